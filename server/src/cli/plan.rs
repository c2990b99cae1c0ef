//! `headwater plan`: what a commit would touch, before it does.

use std::io;

use clap::Args;
use headwater_core::{count, span};
use headwater_wire::{PlanView, PlannedConfig, RolloutStageView, VerdictState};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, revision};
use super::out::{Out, Tone};
use super::text::{Cell, clean, columns};

const EXAMPLES: &str = "\
Examples:
  headwater plan HEAD
  headwater plan 9f8e7d6c5b --output json";

/// Show what a commit would touch
///
/// Which configs get other content than they have now, how many of the instances that report have them, in which stages
/// these would get it, and how long that takes at least. Nothing is exposed. The newest commit of a pull request can be
/// named by its hash, where the server judges pull requests.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plan {
    /// The commit: a hash or a unique beginning of one, the followed branch, a tag, or HEAD
    #[arg(value_name = "REV", default_value = "HEAD", value_parser = revision)]
    rev: String,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Plan {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let plan = session.repo().await?.plan(&self.rev).await?;
        match session.output {
            Output::Json => out.json(&plan)?,
            Output::Text => print(&plan, out)?,
        }
        Ok(if plan.verdict == VerdictState::Admitted {
            Exit::Fine
        } else {
            Exit::Findings
        })
    }
}

fn print(plan: &PlanView, out: &mut Out<'_>) -> io::Result<()> {
    let commit = out.paint().apply(Tone::Strong, plan.commit.short());
    out.line(format!("{commit}  {}", clean(&plan.summary)))?;
    let rows: Vec<Vec<Cell>> = plan.configs.iter().flat_map(rows).collect();
    for line in columns(&rows, out.paint()) {
        out.line(format!("  {line}"))?;
    }
    Ok(())
}

/// A config on one line, and its stages below it.
fn rows(config: &PlannedConfig) -> Vec<Vec<Cell>> {
    let (kind, stages) = match &config.policy {
        Some(policy) => (policy.kind.as_str(), policy.stages.as_slice()),
        None => ("", &[][..]),
    };
    let mut rows = vec![vec![
        (Tone::Strong, clean(config.config.as_str())),
        (Tone::Normal, clean(&config.kind)),
        (Tone::Normal, count(config.instances, "instance")),
        (Tone::Normal, clean(kind)),
    ]];
    if stages.len() > 1 || stages.iter().any(|stage| stage.bake_ms > 0) {
        rows.extend(stages.iter().enumerate().map(stage_row));
    }
    rows.extend(standing(config).map(|text| vec![(Tone::Normal, format!("  {text}"))]));
    rows.extend(
        config
            .warning
            .as_ref()
            .map(|warning| vec![(Tone::Warning, format!("  warning: {}", clean(warning)))]),
    );
    rows
}

/// What keeps it from beginning now.
fn standing(config: &PlannedConfig) -> impl Iterator<Item = String> {
    let carried = config.carried_by.as_ref();
    let carried = carried.map(|id| format!("rollout {} brings it already, or lets it wait", clean(id)));
    let waits = config.waits_for.as_ref();
    let waits = waits.map(|id| format!("waits for rollout {}", clean(id)));
    let frozen = config
        .frozen_until
        .map(|until| format!("nothing new is exposed until {until}"));
    [carried, waits, frozen].into_iter().flatten()
}

fn stage_row((number, stage): (usize, &RolloutStageView)) -> Vec<Cell> {
    let share = match (stage.percent, stage.count) {
        (Some(percent), _) => format!("{percent} %"),
        (None, Some(count)) => count.to_string(),
        (None, None) => "all".to_owned(),
    };
    let labels: Vec<String> = stage
        .labels
        .iter()
        .map(|(label, glob)| format!("{}={}", clean(label), clean(glob)))
        .collect();
    let who = if labels.is_empty() {
        share
    } else {
        format!("{share} with {}", labels.join(" "))
    };
    let members = stage
        .members
        .map_or_else(String::new, |members| count(members, "instance"));
    let waits = if stage.approval { ", once promoted" } else { "" };
    vec![
        (Tone::Dim, format!("  stage {}", number + 1)),
        (Tone::Normal, who),
        (Tone::Normal, members),
        (Tone::Normal, format!("quiet for {}{waits}", span(stage.bake_ms))),
    ]
}
