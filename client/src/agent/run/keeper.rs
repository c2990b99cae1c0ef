//! Configs between the library and the files: what is told to which, and what an operator hears of it.
//!
//! Invariant: a refusal is told once, with the version it is about.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use headwater_wire::{ConfigName, ConfigReport, ReportState, ValueSource};
use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

use crate::agent::progress;
use crate::agent::settings::{Settings, Stay};
use crate::agent::supervise::AfterCrash;
use crate::agent::switch::{Cause, Change, Name, OnTheWay, Refusal, Switcher};
use crate::{Candidate, Client, ClientStatus, Handle, OpenError};

/// Commands have deadlines of their own; several configs wait for one another's. This only bounds a fault of ours.
const HOOK_DEADLINE: Duration = Duration::from_hours(24);
/// Longest wait until a switch is noted, before a crash is told.
const NOTE_DEADLINE: Duration = Duration::from_millis(500);
/// Pause before what this machine prevented is tried again, such as a write to a full disk.
const MACHINE_PAUSE: Duration = Duration::from_secs(30);

/// Opens configs whose values go through the files.
pub(super) struct Keeper {
    pub(super) settings: Settings,
    pub(super) client: Client,
    pub(super) switcher: Switcher,
}

impl Keeper {
    /// Keeps all configs up to date, for ever.
    pub(super) async fn keep(&self) -> std::convert::Infallible {
        // A value of its own keeps a config open while there is none; it is never written.
        let opening = self
            .settings
            .configs
            .iter()
            .map(|config| self.open(config, Some(Value::Null)));
        let _handles = join_all(opening).await;
        std::future::pending().await
    }

    /// Opens a config whose values go through the files.
    pub(super) async fn open(
        &self,
        config: &ConfigName,
        default: Option<Value>,
    ) -> Result<Handle<Value>, OpenError> {
        let again = match self.settings.stay {
            Stay::UntilStopped => Some(self.client.clone()),
            Stay::Once { .. } => None,
        };
        let prepare = (self.switcher.clone(), again);
        let activate = prepare.clone();
        let builder = self
            .client
            .config::<Value>(config.as_str())
            .hook_deadline(HOOK_DEADLINE)
            .prepare(move |candidate| {
                let (switcher, again) = prepare.clone();
                async move {
                    let change = change(candidate);
                    let outcome = switcher.prepare(change.clone()).await;
                    told(outcome, &change, again)
                }
            })
            .activate(move |candidate| {
                let (switcher, again) = activate.clone();
                async move {
                    let change = change(candidate);
                    let outcome = switcher.activate(change.clone()).await;
                    told(outcome, &change, again)
                }
            });
        match default {
            Some(value) => builder.placeholder(value).open().await,
            None => builder.open().await,
        }
    }
}

fn change(candidate: Candidate<Value>) -> Change {
    Change {
        config: candidate.config,
        version: candidate.version,
        digest: candidate.digest,
        source: candidate.source,
        document: candidate.value,
    }
}

/// Tells a refusal once, with its version; what this machine prevented is tried again by itself, if there is a client
/// that stays for it.
fn told(outcome: Result<(), Refusal>, change: &Change, again: Option<Client>) -> Result<(), String> {
    let Err(refusal) = outcome else { return Ok(()) };
    let Refusal { cause, message } = refusal;
    let (config, version) = (&change.config, change.version.short());
    match cause {
        Cause::Value => warn!(%config, version, "{config} does not take {version}: {message}"),
        Cause::Machine => {
            let Some(client) = again else {
                warn!(%config, version, "{config} cannot take {version}: {message}");
                return Err(message);
            };
            let seconds = MACHINE_PAUSE.as_secs();
            warn!(%config, version, "{config} cannot take {version}, and tries again in {seconds} s: {message}");
            let config = config.clone();
            tokio::spawn(async move {
                tokio::time::sleep(MACHINE_PAUSE).await;
                client.retry(&config).await;
            });
        }
        Cause::Stopping => {}
    }
    Err(message)
}

/// Configs that were told of a value and have not put it into use yet. One that the server does not have is none.
pub(super) fn on_the_way(client: &Client) -> OnTheWay {
    let client = client.clone();
    Arc::new(move || {
        let standing = client.status();
        let is_coming = |report: &ConfigReport| {
            report.state == ReportState::Pending && report.source != ValueSource::Default
        };
        let coming = standing.configs.iter().filter(|(_, report)| is_coming(report));
        coming.map(|(config, _)| config.clone()).collect()
    })
}

/// A crash counts against everything that is on probation, or about to be: a program may die before the switch to its
/// files is noted.
pub(super) fn judge_crash(client: &Client) -> AfterCrash {
    let is_unproven = |state| matches!(state, ReportState::Applied | ReportState::Pending);
    let standing = client.status();
    let unproven: Vec<ConfigName> = standing
        .configs
        .iter()
        .filter(|(_, report)| is_unproven(report.state))
        .map(|(config, _)| config.clone())
        .collect();
    if unproven.is_empty() {
        return AfterCrash::GiveUp;
    }
    let client = client.clone();
    tokio::spawn(async move {
        let noted = client.wait_until(|status| {
            let state = |config| status.configs.get(config).map(|report| report.state);
            unproven
                .iter()
                .all(|config| state(config) != Some(ReportState::Pending))
        });
        // One that is still on its way was not in the files of the program that died.
        timeout(NOTE_DEADLINE, noted).await.ok();
        for config in unproven {
            client.crashed(&config).await;
        }
    });
    AfterCrash::Restart
}

/// Tells what changes, and keeps the names on the board those of the newest word.
pub(super) async fn watch_client(client: Client, switcher: Switcher) {
    let mut old = Arc::new(ClientStatus::default());
    loop {
        let before = Arc::clone(&old);
        let Some(new) = client.wait_until(|new| **new != *before).await else {
            return;
        };
        for line in progress::lines(&old, &new) {
            line.say();
        }
        for (config, report) in &new.configs {
            let was = old.configs.get(config).and_then(|old| old.running.as_ref());
            if let Some(running) = &report.running
                && was.is_some_and(|was| was != running)
            {
                let name = Name {
                    config: config.clone(),
                    version: running.version.clone(),
                    digest: running.digest.clone(),
                    source: report.source,
                };
                switcher.rename(name).await;
            }
        }
        old = new;
    }
}
