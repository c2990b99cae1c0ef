//! What signals of rollouts are asked, and what counts as which answer.
//!
//! Invariant: only a clear yes is one. Whatever else comes, or does not come, is an answer that does not pass. Only
//! addresses of the settings are spoken to.

pub(crate) mod poll;
mod prometheus;

use std::collections::BTreeMap;

use headwater_core::rollout::{Reading, SignalPolicy, SignalSource};
use headwater_wire::{CommitId, ConfigName, RepoName};
use reqwest::Client;
use serde::{Deserialize, Serialize};

use crate::outcall::{self, post_signed, quoted};
use crate::settings::{SignalKind, SignalSettings};

/// The signals of the settings.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    known: BTreeMap<String, Signal>,
}

#[derive(Debug)]
struct Signal {
    settings: SignalSettings,
    /// Without one, why it cannot be asked.
    client: Result<Client, String>,
}

/// What a signal is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Repository.
    pub repo: RepoName,
    /// Config that is moved.
    pub config: ConfigName,
    /// The rollout.
    pub rollout: String,
    /// Steps that it had taken: what is said counts for this bake alone.
    pub steps: u64,
    /// Stage that bakes, from 0.
    pub stage: usize,
    /// What its instances run.
    pub version: CommitId,
    /// What the others run.
    pub baseline: CommitId,
    /// Who is asked, and what.
    pub signal: SignalPolicy,
}

/// What a webhook is sent.
#[derive(Serialize)]
struct Body<'a> {
    repo: &'a RepoName,
    config: &'a ConfigName,
    rollout: &'a str,
    signal: &'a str,
    /// From 1, as people count.
    stage: usize,
    version: &'a CommitId,
    baseline: &'a CommitId,
}

/// What it answers.
#[derive(Deserialize)]
struct Answer {
    result: Word,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Pass,
    Fail,
    Inconclusive,
}

impl Signals {
    /// Prepares to ask; connects to nothing.
    pub(crate) fn new(settings: &[SignalSettings]) -> Self {
        let signal = |settings: &SignalSettings| {
            let client = outcall::client(settings.ca_file.as_ref(), settings.deadline);
            let settings = settings.clone();
            (settings.name.clone(), Signal { settings, client })
        };
        Self {
            known: settings.iter().map(signal).collect(),
        }
    }

    /// Asks once.
    pub(crate) async fn ask(&self, question: &Question) -> Reading {
        let source = &question.signal.source;
        let Some(signal) = self.known.get(source.server()) else {
            return Reading::Error("the settings have no signal of this name".to_owned());
        };
        let client = match &signal.client {
            Ok(client) => client,
            Err(why) => return Reading::Error(why.clone()),
        };
        let url = &signal.settings.url;
        match (source, &signal.settings.kind) {
            (SignalSource::Prometheus { query, pass_if, .. }, SignalKind::Prometheus { token }) => {
                prometheus::ask(client, (url, token.as_ref()), (query, *pass_if)).await
            }
            (SignalSource::Webhook { .. }, SignalKind::Webhook { secret }) => {
                let call = post_signed(client, url, &body(question), secret);
                match outcall::answer(call).await {
                    Ok(answer) => understood(&answer),
                    Err(silence) => Reading::Error(silence.why()),
                }
            }
            (SignalSource::Prometheus { .. }, SignalKind::Webhook { .. })
            | (SignalSource::Webhook { .. }, SignalKind::Prometheus { .. }) => {
                Reading::Error("the settings have a signal of another kind under this name".to_owned())
            }
        }
    }
}

fn body(question: &Question) -> Vec<u8> {
    let body = Body {
        repo: &question.repo,
        config: &question.config,
        rollout: &question.rollout,
        signal: &question.signal.name,
        stage: question.stage + 1,
        version: &question.version,
        baseline: &question.baseline,
    };
    // Names are JSON already, so this cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn understood(answer: &[u8]) -> Reading {
    match serde_json::from_slice::<Answer>(answer) {
        Ok(Answer { result, message }) => match result {
            Word::Pass => Reading::Pass,
            Word::Fail => Reading::Fail(quoted(&message)),
            Word::Inconclusive => Reading::Inconclusive(quoted(&message)),
        },
        Err(_) => Reading::Error("its answer is not `{\"result\": \"pass\"}` or the like".to_owned()),
    }
}

#[cfg(test)]
mod tests;
