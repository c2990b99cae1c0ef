//! Which instances a rollout stopped for, and why each of them: kept with the decision, since everybody is told
//! something else afterwards and then says nothing of it any more.
//!
//! Invariant: bounded, and in plain lines. What an instance says in its own words is told to whoever asks the service, and
//! is never part of a sentence that goes to Git: it may hold what a commit can never forget.

use headwater_validators::printable;
use headwater_wire::{ConfigReport, InstanceId};
use serde::{Deserialize, Serialize};

use crate::words::{count, span};

/// Instances that are named in a sentence.
const NAMED_MAX: usize = 3;
/// Characters of what an instance says that are kept.
const SAID_CHARS_MAX: usize = 300;

/// One instance that failed or refused, or that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blamed {
    /// Who.
    pub instance: InstanceId,
    /// How, in our words.
    pub how: String,
    /// What it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// Why an instance counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It says so itself.
    Said,
    /// It was lost while it ran it on probation.
    LostOnProbation,
    /// It began anew too often.
    Restarts(u32),
    /// It was not heard of for too long, in ms.
    Silent(u64),
    /// It has not said that it runs it.
    Pending,
    /// It is ready, and has not said that it runs it.
    Ready,
}

impl Blamed {
    pub(super) fn of(instance: &InstanceId, report: &ConfigReport, fault: Fault) -> Self {
        let error = report.error.as_ref().filter(|_| fault == Fault::Said);
        let how = match fault {
            Fault::Said => error.map_or("failed", |error| error.phase.as_str()).to_owned(),
            Fault::LostOnProbation => "lost on probation".to_owned(),
            Fault::Restarts(restarts) => count(restarts, "restart"),
            Fault::Silent(ms) => format!("silent for {}", span(ms)),
            Fault::Pending => "pending".to_owned(),
            Fault::Ready => "ready".to_owned(),
        };
        let said = error.map(|error| printable(&error.message).chars().take(SAID_CHARS_MAX).collect());
        Self {
            instance: instance.clone(),
            how,
            said: said.filter(|said: &String| !said.is_empty()),
        }
    }
}

/// `: web-7 (validate), web-9 (2 restarts) and 3 more`; nothing where nobody is known by name.
pub(super) fn named(who: &[Blamed], all: u64) -> String {
    let named: Vec<String> = who
        .iter()
        .take(NAMED_MAX)
        .map(|blamed| format!("{} ({})", blamed.instance, blamed.how))
        .collect();
    match all.saturating_sub(named.len() as u64) {
        _ if named.is_empty() => String::new(),
        0 => format!(": {}", named.join(", ")),
        more => format!(": {} and {more} more", named.join(", ")),
    }
}
