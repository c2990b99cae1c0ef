//! Asks the webhooks that rules name, and signs what it asks.
//!
//! Invariant: only addresses of the settings are spoken to, redirects are not followed, and whatever is no clear yes or
//! no is an answer that failed. What is deliberately absent: what a failure means for a commit, which its rule says.

use std::collections::BTreeMap;

use headwater_validators::{Outcome, Question, QuestionedConfig};
use headwater_wire::{CommitId, RepoName};
use opentelemetry::KeyValue;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::measure::Measure;
use crate::outcall::{self, Silence, post_signed};
use crate::secret::Secret;
use crate::settings::WebhookSettings;
use crate::trace;

/// Times a webhook is asked before its silence counts.
const TRIES: usize = 2;

/// The webhooks of the settings, for one repository.
#[derive(Debug)]
pub(crate) struct Webhooks {
    repo: RepoName,
    known: BTreeMap<String, Webhook>,
}

#[derive(Debug)]
struct Webhook {
    url: String,
    secret: Secret,
    /// Without one, why it cannot be asked.
    client: Result<Client, String>,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    repo: &'a RepoName,
    commit: Option<&'a CommitId>,
    base: Option<&'a CommitId>,
    rule: &'a str,
    configs: &'a [QuestionedConfig],
}

/// What comes back.
#[derive(Deserialize)]
struct Answer {
    allowed: bool,
    #[serde(default)]
    reason: String,
}

impl Webhooks {
    /// Prepares to ask; connects to nothing.
    pub(crate) fn new(repo: RepoName, settings: &[WebhookSettings]) -> Self {
        let webhook = |settings: &WebhookSettings| {
            let webhook = Webhook {
                url: settings.url.clone(),
                secret: settings.secret.clone(),
                client: outcall::client(settings.ca_file.as_ref(), settings.deadline),
            };
            (settings.name.clone(), webhook)
        };
        Self {
            repo,
            known: settings.iter().map(webhook).collect(),
        }
    }

    /// Asks one after the other; the outcomes are in the order of the questions.
    pub(crate) async fn ask(&self, questions: &[Question], measure: &Measure) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for question in questions {
            let outcome = match self.known.get(question.webhook()) {
                Some(webhook) => {
                    let body = self.body(question, measure);
                    let span = || {
                        let name = KeyValue::new("headwater.webhook", question.webhook().to_owned());
                        trace::call("ask a webhook").with_attributes([name])
                    };
                    trace::step(span, webhook.ask(&body)).await
                }
                None => Outcome::Failed("the settings have no webhook of this name".to_owned()),
            };
            debug!(
                webhook = question.webhook(),
                rule = question.rule(),
                ?outcome,
                "a webhook was asked"
            );
            outcomes.push(outcome);
        }
        outcomes
    }

    fn body(&self, question: &Question, measure: &Measure) -> Vec<u8> {
        let body = Body {
            repo: &self.repo,
            commit: measure.facts.id.as_ref(),
            base: measure.before.as_ref(),
            rule: question.rule(),
            configs: question.configs(),
        };
        // Names and documents are JSON already, so this cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl Webhook {
    async fn ask(&self, body: &[u8]) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(why) => return Outcome::Failed(why.clone()),
        };
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.exchange(client, body).await {
                Ok(answer) if answer.allowed => return Outcome::Accepted,
                Ok(answer) => return Outcome::Refused(answer.reason),
                Err(Silence::Lasting(why)) => return Outcome::Failed(why),
                Err(Silence::Passing(why)) => last = why,
            }
        }
        Outcome::Failed(last)
    }

    async fn exchange(&self, client: &Client, body: &[u8]) -> Result<Answer, Silence> {
        let answer = outcall::answer(post_signed(client, &self.url, body, &self.secret)).await?;
        serde_json::from_slice(&answer)
            .map_err(|_| Silence::Lasting("its answer is not `{\"allowed\": true}` or the like".to_owned()))
    }
}
