//! What says whether a fleet is well, beside what its instances say themselves.
//!
//! Invariant: only a yes passes. An answer that is none, and a question that failed, stop a rollout after some of
//! them in a row, and never count as a yes. What is deliberately absent: asking; that can fail and takes time.

use headwater_validators::rollout::SignalPolicy;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// All is well.
    Pass,
    /// It is not.
    Fail(String),
    /// There was nothing to judge by, such as no traffic.
    Inconclusive(String),
    /// It could not be asked.
    Error(String),
}

/// The answers of one signal while a stage bakes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    /// Times it said yes.
    pub passes: u32,
    /// What it said when it said no.
    pub failed: Option<String>,
    /// Answers in a row, up to now, that were neither.
    pub unclear: u32,
    /// The last of them.
    pub doubt: String,
}

impl Readings {
    pub(super) fn take(&mut self, reading: Reading) {
        match reading {
            Reading::Pass => {
                self.passes = self.passes.saturating_add(1);
                self.unclear = 0;
            }
            Reading::Fail(message) => self.failed = Some(message),
            Reading::Inconclusive(message) | Reading::Error(message) => {
                self.unclear = self.unclear.saturating_add(1);
                self.doubt = message;
            }
        }
    }

    /// Whether it has said yes often enough, and said so last.
    pub(super) fn consents(&self, policy: &SignalPolicy) -> bool {
        self.passes >= policy.passes_min.max(1) && self.unclear == 0 && self.failed.is_none()
    }
}
