//! What webhooks are to be asked, and what becomes of a verdict by their answers.
//!
//! Invariant: a question that nobody answered is not a yes. What is deliberately absent: asking. Whoever holds the
//! verdict asks, and folds the answers in.

use headwater_wire::{ConfigName, Finding, Severity};
use serde::Serialize;
use serde_json::Value;

use super::finding::{Holds, weighed};
use super::rule::{OnError, Rule};
use crate::secrets::formats;
use crate::trailer::Allowance;

/// Longest answer of a webhook that is shown, in characters.
const ANSWER_CHARS_MAX: usize = 300;

/// What one rule wants one webhook to be asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub(crate) rule: Rule,
    pub(crate) holds: Holds,
    pub(crate) webhook: String,
    pub(crate) on_error: OnError,
    pub(crate) configs: Vec<QuestionedConfig>,
    /// What a refusal becomes.
    pub(crate) finding: Finding,
    pub(crate) allowed: Vec<Allowance>,
}

/// A document that changes, as a webhook sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionedConfig {
    /// Name of the config.
    pub name: ConfigName,
    /// The variant, if it is one's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What is exposed now; `null` if there is nothing.
    pub old: Option<Value>,
    /// What would be exposed; `null` if there is nothing any more.
    pub new: Option<Value>,
}

/// What a webhook said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Accepted,
    /// No, and why.
    Refused(String),
    /// Nothing that could be understood, and what happened.
    Failed(String),
    /// It was not asked, since this is not the place for it.
    NotRun,
}

impl Question {
    /// Id of the rule that asks; it may ask once as this commit has it and once as the exposed commit does.
    pub fn rule(&self) -> &str {
        &self.rule.id
    }

    /// Name of the webhook, which the server's settings know.
    pub fn webhook(&self) -> &str {
        &self.webhook
    }

    /// The documents that change.
    pub fn configs(&self) -> &[QuestionedConfig] {
        &self.configs
    }

    /// What an outcome means.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Option<Finding> {
        let finding = match outcome {
            Outcome::Accepted => return None,
            Outcome::Refused(why) => {
                let mut finding = self.finding.clone();
                if self.rule.says.message.is_none() {
                    finding.message = format!(
                        "the webhook `{}` refuses this commit: {}",
                        self.webhook,
                        clipped(why)
                    );
                }
                finding
            }
            Outcome::Failed(what) => Finding {
                code: "webhook/unanswered".to_owned(),
                severity: match self.on_error {
                    OnError::Reject => Severity::Error,
                    OnError::Warn => Severity::Warning,
                },
                message: format!("the webhook `{}` gave no answer: {}", self.webhook, clipped(what)),
                ..self.finding.clone()
            },
            Outcome::NotRun => {
                return Some(Finding {
                    code: "webhook/not-run".to_owned(),
                    severity: Severity::Info,
                    message: format!(
                        "this rule is not run here, since the server asks a webhook: `{}`",
                        self.webhook
                    ),
                    hint: None,
                    ..self.finding.clone()
                });
            }
        };
        Some(weighed((&self.rule, self.holds), finding, &self.allowed))
    }
}

/// Somebody else's words on one line. They come after everything was redacted, and may repeat what was asked.
fn clipped(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = formats::redact(&line)
        .chars()
        .filter(|c| !c.is_control())
        .take(ANSWER_CHARS_MAX)
        .collect();
    if shown.is_empty() {
        "no reason given".to_owned()
    } else {
        shown
    }
}
