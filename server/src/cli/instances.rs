//! `headwater instances`: what each instance says it runs.

use std::io;

use clap::Args;
use headwater_client::{InstancesQuery, Labels};
use headwater_wire::{
    ConfigName, ConfigReport, InstancePage, InstanceView, ReportState, Timestamp, ValueSource,
};

use super::configs::refuse_unknown;
use super::failure::{Exit, Failure};
use super::options::{self, Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{Cell, age, clean, clip, columns};

/// Longest message that is shown whole in a table.
const MESSAGE_CHARS: usize = 80;
/// Instances asked for at once.
const PAGE_LEN: u32 = 1_000;

const EXAMPLES: &str = "\
Examples:
  headwater instances
  headwater instances --config payments/prod --state failed
  headwater instances --version 9f8e7d6c5b --label region=eu
  headwater instances --output json";

/// Show what each instance says it runs
///
/// One line for each instance and config: the state, the version it runs, the generation it has seen, when it reported
/// last, and why it failed if it did. What is shown is what the instances said; the service remembers it in memory,
/// so after its restart they appear as they report again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Instances {
    /// Only instances that report this config, and only this config
    #[arg(long, value_name = "CONFIG")]
    config: Option<ConfigName>,
    /// Only instances where a config is pending, prepared, applied, confirmed or failed
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<ReportState>,
    /// Only instances that run this version: a commit, or a unique beginning of one
    #[arg(long, value_name = "REV", value_parser = options::revision)]
    version: Option<String>,
    /// Only instances with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = options::label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

fn state(word: &str) -> Result<ReportState, &'static str> {
    ReportState::read(word).ok_or("one of `pending`, `prepared`, `applied`, `confirmed`, `failed`")
}

impl Instances {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let mut query = InstancesQuery {
            config: self.config.clone(),
            state: self.state,
            version: self.version.clone(),
            labels: self.labels.iter().cloned().collect::<Labels>(),
            limit: Some(PAGE_LEN),
            after: None,
        };
        let mut all = InstancePage::default();
        loop {
            let page = repo.instances(&query).await?;
            all.instances.extend(page.instances);
            // A page that does not lead on ends it, whatever it says.
            match page.next {
                Some(next) if query.after.as_ref() < Some(&next) => query.after = Some(next),
                Some(_) | None => break,
            }
        }
        if let (Some(config), []) = (&self.config, all.instances.as_slice()) {
            refuse_unknown(&repo, config).await?;
        }
        match session.output {
            Output::Json => out.json(&all)?,
            Output::Text => self.print(&all.instances, (session.now)(), out)?,
        }
        Ok(Exit::Fine)
    }

    fn print(&self, instances: &[InstanceView], now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
        let rows: Vec<Vec<Cell>> = instances.iter().flat_map(|view| self.rows(view, now)).collect();
        if rows.is_empty() {
            return out.line("no instances");
        }
        let titles = [
            "INSTANCE",
            "CONFIG",
            "STATE",
            "RUNS",
            "GENERATION",
            "REPORTED",
            "",
        ];
        let mut table = vec![titles.map(|title| (Tone::Dim, title.to_owned())).to_vec()];
        table.extend(rows);
        columns(&table, out.paint())
            .iter()
            .try_for_each(|line| out.line(line))
    }

    fn rows(&self, view: &InstanceView, now: Timestamp) -> Vec<Vec<Cell>> {
        let is_shown = |name: &ConfigName, config: &ConfigReport| {
            self.config.as_ref().is_none_or(|wanted| wanted == name)
                && self.state.is_none_or(|wanted| wanted == config.state)
        };
        let configs = view.report.configs.iter();
        let shown = configs.filter(|(name, config)| is_shown(name, config));
        let mut rows: Vec<Vec<Cell>> = shown
            .map(|(name, config)| row(view, (name, config), now))
            .collect();
        if view.report.configs.is_empty() {
            let nothing = ["none", "", "", ""].map(|text| (Tone::Dim, text.to_owned()));
            let mut row = vec![(Tone::Strong, clean(view.instance.as_str()))];
            row.extend(nothing);
            row.push((Tone::Dim, age(now, view.reported_at)));
            rows.push(row);
        }
        rows
    }
}

fn row(view: &InstanceView, (name, config): (&ConfigName, &ConfigReport), now: Timestamp) -> Vec<Cell> {
    let running = config
        .running
        .as_ref()
        .map_or("nothing", |running| running.version.short());
    vec![
        (Tone::Strong, clean(view.instance.as_str())),
        (Tone::Normal, clean(name.as_str())),
        (tone(config.state), config.state.as_str().to_owned()),
        (Tone::Normal, running.to_owned()),
        (Tone::Dim, config.generation.to_string()),
        (Tone::Dim, age(now, view.reported_at)),
        (Tone::Normal, why(config)),
    ]
}

/// What there is to say beside the state: the failure, and a value that is not from the server.
fn why(config: &ConfigReport) -> String {
    let mut said = Vec::new();
    if let Some(error) = &config.error {
        let message = clip(&clean(&error.message), MESSAGE_CHARS);
        said.push(format!("{}: {message}", error.phase.as_str()));
    }
    if config.source != ValueSource::Server {
        said.push(format!("({})", config.source.as_str().replace('_', " ")));
    }
    said.join(" ")
}

fn tone(state: ReportState) -> Tone {
    match state {
        ReportState::Confirmed => Tone::Good,
        ReportState::Failed => Tone::Bad,
        ReportState::Pending | ReportState::Prepared | ReportState::Applied => Tone::Normal,
        ReportState::Other => Tone::Warning,
    }
}
