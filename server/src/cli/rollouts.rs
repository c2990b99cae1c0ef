//! `headwater rollouts`: what moves, what needs a person, and what became of what moved.

use std::io;

use clap::Args;
use headwater_client::RolloutsQuery;
use headwater_core::rollout::SOMEBODY;
use headwater_wire::{
    ConfigName, ProblemCode, RolloutFailure, RolloutList, RolloutState, RolloutStepView, RolloutView,
    Timestamp,
};

use super::configs::refuse_unknown;
use super::failure::{Exit, Failure, in_commands};
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::progress::{counts, progress, tone};
use super::text::{Cell, age, clean, columns};

const EXAMPLES: &str = "\
Examples:
  headwater rollouts
  headwater rollouts payments/prod
  headwater rollouts r-57
  headwater rollouts --state halted --output json";

/// Show rollouts: what moves, what needs a person, what became of it
///
/// What needs a person comes first, then what moves, then what is over, newest first. Of a rollout that is named by its
/// id everything is told that was decided. A config that is moved at once is told of while an instance does not run it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rollouts {
    /// Only rollouts of this config; or the id of one rollout
    #[arg(value_name = "CONFIG|ID")]
    what: Option<String>,
    /// Only rollouts in this state, such as halted
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<RolloutState>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

fn state(word: &str) -> Result<RolloutState, String> {
    RolloutState::read(word).ok_or_else(|| {
        let words: Vec<&str> = RolloutState::ALL.iter().map(|state| state.as_str()).collect();
        format!("one of {}", words.join(", "))
    })
}

impl Rollouts {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let mut no_rollout = None;
        if let Some(id) = &self.what {
            match repo.rollout(id).await {
                Ok(view) => {
                    match session.output {
                        Output::Json => out.json(&view)?,
                        Output::Text => print_one(&view, (session.now)(), out)?,
                    }
                    return Ok(Exit::Fine);
                }
                Err(error) if error.code() == Some(ProblemCode::RolloutNotFound) => no_rollout = error.hint(),
                Err(error) => return Err(error.into()),
            }
        }
        let config = self.what.as_deref().map(config).transpose()?;
        let query = RolloutsQuery {
            config,
            state: self.state,
        };
        let list = repo.rollouts(&query).await?;
        if let (Some(config), []) = (&query.config, list.rollouts.as_slice()) {
            let unknown = refuse_unknown(&repo, config).await;
            unknown.map_err(|refused| neither(refused, config, no_rollout.as_deref()))?;
        }
        match session.output {
            Output::Json => out.json(&list)?,
            Output::Text => print(&list, (session.now)(), out)?,
        }
        Ok(Exit::Fine)
    }
}

fn config(name: &str) -> Result<ConfigName, Failure> {
    name.parse().map_err(|_| Failure::Usage {
        message: format!("neither a config nor the id of a rollout: `{}`", clean(name)),
        hint: "`headwater rollouts` lists rollouts with their ids".to_owned(),
    })
}

/// A name that is no config's is no rollout's either, and may have been meant for one.
fn neither(refused: Failure, named: &ConfigName, of_rollouts: Option<&str>) -> Failure {
    let (Failure::Refused { hint, .. }, Some(of_rollouts)) = (&refused, of_rollouts) else {
        return refused;
    };
    let of_rollouts = in_commands(of_rollouts);
    let is_near = |hint: &str| hint.starts_with("did you mean");
    let hint = match (is_near(hint), is_near(&of_rollouts)) {
        (true, _) => hint.clone(),
        (false, true) => of_rollouts,
        (false, false) => format!("{of_rollouts}; {hint}"),
    };
    Failure::Refused {
        message: format!("there is neither a rollout nor a config `{named}`"),
        hint,
    }
}

fn print(list: &RolloutList, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    if list.rollouts.is_empty() {
        return out.line("nothing moves");
    }
    let titles = ["ROLLOUT", "CONFIG", "VERSION", "STATE", "", "SINCE", "INSTANCES"];
    let mut table = vec![titles.map(|title| (Tone::Dim, title.to_owned())).to_vec()];
    table.extend(list.rollouts.iter().map(|view| row(view, now)));
    for line in columns(&table, out.paint()) {
        out.line(line)?;
    }
    if list.left_out > 0 {
        out.line(format!("and {} more; name a config or a state", list.left_out))?;
    }
    Ok(())
}

fn row(view: &RolloutView, now: Timestamp) -> Vec<Cell> {
    let since = view.since.map(|since| age(now, since)).unwrap_or_default();
    vec![
        (Tone::Strong, clean(&view.id)),
        (Tone::Normal, clean(view.config.as_str())),
        (Tone::Normal, view.target.short().to_owned()),
        (tone(view), view.state.as_str().replace('_', " ")),
        (Tone::Normal, progress(view)),
        (Tone::Dim, since),
        (Tone::Normal, counts(view)),
    ]
}

/// One rollout with all that was decided; also what an order answers.
pub(super) fn print_one(view: &RolloutView, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    let name = out.paint().apply(Tone::Strong, &clean(&view.id));
    out.line(format!("{name}  {}", clean(view.config.as_str())))?;
    let from = view
        .baseline
        .as_ref()
        .map_or_else(String::new, |baseline| format!(", from {}", baseline.short()));
    let state = format!("{}  {}", view.state.as_str().replace('_', " "), progress(view));
    let mut rows: Vec<Vec<Cell>> = vec![
        field("version", Tone::Normal, format!("{}{from}", view.target.short())),
        field("policy", Tone::Normal, clean(&view.policy.kind)),
        field("state", tone(view), state.trim_end().to_owned()),
    ];
    rows.extend(
        view.why
            .as_ref()
            .map(|why| field("why", Tone::Warning, clean(why))),
    );
    rows.extend(
        view.counts
            .map(|_| field("instances", Tone::Normal, counts(view))),
    );
    rows.extend(
        failed(view)
            .into_iter()
            .map(|told| field("failed", Tone::Bad, told)),
    );
    rows.push(field("next", Tone::Hint, clean(&view.next)));
    rows.extend(view.queued.as_ref().map(|queued| {
        field(
            "queued",
            Tone::Normal,
            format!("{} comes after it", queued.short()),
        )
    }));
    for line in columns(&rows, out.paint()) {
        out.line(format!("  {line}"))?;
    }
    let steps: Vec<Vec<Cell>> = view.timeline.iter().map(|step| step_row(step, now)).collect();
    for line in columns(&steps, out.paint()) {
        out.line(format!("    {line}"))?;
    }
    Ok(())
}

/// Instances that failed, each with what is known of it; of an older server their names.
fn failed(view: &RolloutView) -> Vec<String> {
    if view.failures.is_empty() {
        return view
            .failed_names
            .iter()
            .map(|name| clean(name.as_str()))
            .collect();
    }
    let told = |failure: &RolloutFailure| {
        let said = failure.message.as_ref().map(|said| format!(": {}", clean(said)));
        let (name, how) = (clean(failure.instance.as_str()), clean(&failure.how));
        format!("{name} ({how}){}", said.unwrap_or_default())
    };
    view.failures.iter().map(told).collect()
}

fn field(name: &str, tone: Tone, text: String) -> Vec<Cell> {
    vec![(Tone::Dim, name.to_owned()), (tone, text)]
}

fn step_row(step: &RolloutStepView, now: Timestamp) -> Vec<Cell> {
    let stage = step
        .stage
        .map(|stage| format!(" stage {stage}"))
        .unwrap_or_default();
    let unnamed = step.ordered.then_some(SOMEBODY);
    let by = step.by.as_deref().or(unnamed);
    let second = step.confirmed_by.as_ref();
    let second = second.map(|second| format!(", confirmed by {}", clean(second)));
    let by = by.map(|by| format!("by {}{}", clean(by), second.unwrap_or_default()));
    let reason = step.reason.as_ref().map(|reason| clean(reason));
    let said: Vec<String> = by.into_iter().chain(reason).collect();
    vec![
        (Tone::Dim, age(now, step.at)),
        (
            Tone::Normal,
            format!("{}{stage}", clean(&step.step).replace('_', " ")),
        ),
        (Tone::Normal, said.join(": ")),
    ]
}
