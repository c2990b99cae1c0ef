//! `headwater instances`: what each instance says it runs, and what the service makes of it.

use std::io;

use clap::Args;
use headwater_client::{InstancesQuery, Labels};
use headwater_wire::{
    ConfigName, ConfigReport, Drift, InstanceId, InstancePage, InstanceView, Liveness, ReportState,
    StateWanted, Timestamp, ValueSource,
};

use super::configs::refuse_unknown;
use super::failure::{Exit, Failure};
use super::instance::{self, Time};
use super::options::{self, Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{Cell, age, clean, clip, columns};

/// Longest message of a failure in a line of the table, in characters.
const MESSAGE_CHARS: usize = 120;
/// Instances asked for at once.
const PAGE_LEN: u32 = 1_000;

const EXAMPLES: &str = "\
Examples:
  headwater instances
  headwater instances --config payments/prod --state failed
  headwater instances --version 9f2c --label region='eu-*'
  headwater instances --state unknown
  headwater instances payments-7f9c --at 14:03
  headwater instances payments-7f9c --forget";

/// Show what each instance says it runs
///
/// One line for each instance and config: the state, the version it runs and whether that is the one it is assigned
/// (drift), the generation it has seen, when it was heard last, and why it failed if it did. Of one that was not heard
/// of lately nobody knows what it does now, so its state is `unknown`; those that have said that they end are not
/// shown. With the name of an instance: that one alone, with what it ran before.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Instances {
    /// Only this instance, with what it ran and when
    #[arg(value_name = "INSTANCE", conflicts_with_all = ["state", "version", "liveness", "drift", "labels"])]
    instance: Option<InstanceId>,
    /// What the instance ran at this time, in UTC: 14:03, 14:03:20 or 2026-01-31T14:03:00Z
    #[arg(long, value_name = "TIME", value_parser = instance::time, requires = "instance")]
    at: Option<Time>,
    /// Only instances that report this config, and only this config
    #[arg(long, value_name = "CONFIG")]
    config: Option<ConfigName>,
    /// Only where a config is pending, prepared, applied, confirmed or failed, or unknown
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<StateWanted>,
    /// Only instances that run this version: a commit, or a unique beginning of one
    #[arg(long, value_name = "REV", value_parser = options::revision)]
    version: Option<String>,
    /// Only instances that are live, stale, lost or gone
    #[arg(long, value_name = "LIVENESS", value_parser = liveness)]
    liveness: Option<Liveness>,
    /// Whether what runs is what should.
    #[arg(long, value_name = "DRIFT", value_parser = drift, help = "Only where what runs is in_sync, divergent or pinned")]
    drift: Option<Drift>,
    /// Only instances with this label, whose value is a glob; may be repeated
    #[arg(long = "label", value_name = "KEY=GLOB", value_parser = options::label)]
    labels: Vec<(String, String)>,
    /// Let the service forget the instance: its next report counts as its first, whatever was reported under its name
    #[arg(long, requires = "instance", conflicts_with_all = ["at", "config"])]
    forget: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

fn state(word: &str) -> Result<StateWanted, &'static str> {
    let words = "one of `pending`, `prepared`, `applied`, `confirmed`, `failed`, `unknown`";
    StateWanted::read(word).ok_or(words)
}

fn liveness(word: &str) -> Result<Liveness, &'static str> {
    Liveness::read(word).ok_or("one of `live`, `stale`, `lost`, `gone`")
}

fn drift(word: &str) -> Result<Drift, &'static str> {
    Drift::read(word).ok_or("one of `in_sync`, `divergent`, `pinned`")
}

impl Instances {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        if let Some(instance) = self.instance.as_ref().filter(|_| self.forget) {
            return instance::forget(session, instance, out).await;
        }
        if let Some(instance) = &self.instance {
            return instance::run(session, (instance, self.config.as_ref()), self.at, out).await;
        }
        let repo = session.repo().await?;
        let mut query = InstancesQuery {
            config: self.config.clone(),
            state: self.state,
            version: self.version.clone(),
            liveness: self.liveness,
            drift: self.drift,
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
            "DRIFT",
            "GENERATION",
            "HEARD",
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
            let drift = view.standings.get(name).and_then(|standing| standing.drift);
            self.config.as_ref().is_none_or(|wanted| wanted == name)
                && self.drift.is_none_or(|wanted| drift == Some(wanted))
                && match self.state {
                    Some(StateWanted::Reported(state)) => config.state == state,
                    Some(StateWanted::Unknown) | None => true,
                }
        };
        let configs = view.report.configs.iter();
        let shown = configs.filter(|(name, config)| is_shown(name, config));
        let mut rows: Vec<Vec<Cell>> = shown
            .map(|(name, config)| row(view, (name, config), now))
            .collect();
        if view.report.configs.is_empty() {
            let nothing = ["none", "", "", "", ""].map(|text| (Tone::Dim, text.to_owned()));
            let mut row = vec![(Tone::Strong, clean(view.instance.as_str()))];
            row.extend(nothing);
            row.push(heard(view, now));
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
    let drift = view.standings.get(name).and_then(|standing| standing.drift);
    vec![
        (Tone::Strong, clean(view.instance.as_str())),
        (Tone::Normal, clean(name.as_str())),
        state_cell(view, config),
        (Tone::Normal, running.to_owned()),
        drift.map_or((Tone::Dim, "-".to_owned()), drift_cell),
        (Tone::Dim, config.generation.to_string()),
        heard(view, now),
        (Tone::Normal, why(view, config)),
    ]
}

/// Whether nobody knows what it does now.
pub(super) fn is_unknown(view: &InstanceView) -> bool {
    matches!(view.liveness, Liveness::Stale | Liveness::Lost)
}

fn state_cell(view: &InstanceView, config: &ConfigReport) -> Cell {
    if is_unknown(view) {
        return (Tone::Warning, "unknown".to_owned());
    }
    (tone(config.state), config.state.as_str().to_owned())
}

fn drift_cell(drift: Drift) -> Cell {
    let tone = match drift {
        Drift::InSync => Tone::Normal,
        Drift::Divergent | Drift::Pinned | Drift::Other => Tone::Warning,
    };
    (tone, drift.as_str().replace('_', " "))
}

/// When it was heard, by how long it has been silent: the service's clock may be another one than ours.
pub(super) fn heard(view: &InstanceView, now: Timestamp) -> Cell {
    let silent_ms = i64::try_from(view.silent_ms).unwrap_or(i64::MAX);
    let ago = age(now, Timestamp(now.0.saturating_sub(silent_ms)));
    match view.liveness {
        Liveness::Live => (Tone::Dim, ago),
        Liveness::Stale | Liveness::Lost | Liveness::Gone => {
            (Tone::Warning, format!("{ago}, {}", view.liveness.as_str()))
        }
        // A service that does not tell.
        Liveness::Other => (Tone::Dim, age(now, view.reported_at)),
    }
}

/// What there is to say beside the state: what it was before it fell silent, the failure, and a value that is
/// not from the server.
fn why(view: &InstanceView, config: &ConfigReport) -> String {
    let mut said = Vec::new();
    if is_unknown(view) {
        said.push(format!("said last: {}", config.state.as_str()));
    }
    if let Some(error) = &config.error {
        let message = clip(&clean(&error.message), MESSAGE_CHARS);
        said.push(format!("{}: {message}", error.phase.as_str()));
    }
    if config.source != ValueSource::Server {
        said.push(format!("({})", config.source.as_str().replace('_', " ")));
    }
    said.join(" ")
}

pub(super) fn tone(state: ReportState) -> Tone {
    match state {
        ReportState::Confirmed => Tone::Good,
        ReportState::Failed => Tone::Bad,
        ReportState::Pending | ReportState::Prepared | ReportState::Applied => Tone::Normal,
        ReportState::Other => Tone::Warning,
    }
}
