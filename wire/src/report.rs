//! What an instance says it runs (`PUT …/instances/{instance}`), and what it is answered.
//!
//! Invariant: a report is always whole: it replaces the one before, so a lost or repeated report harms nothing. Which
//! of two is newer follows from `(incarnation, seq)` alone, never from a clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::VersionEventWith;
use crate::id::{CommitId, ConfigName, Digest, Generation};

/// Everything an instance holds, as one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// Life of the process: greater than that of every life before it.
    pub incarnation: u64,
    /// Counts the reports of this life, from 1.
    pub seq: u64,
    /// Labels, which choose variants and stages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name and release of the reporting program, such as `headwater-agent/0.1.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// The configs it holds or should hold.
    #[serde(default)]
    pub configs: BTreeMap<ConfigName, ConfigReport>,
}

/// Where one instance stands with one config.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigReport {
    /// What the program runs now; absent while it runs nothing, or a value of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Highest fence number it has seen.
    #[serde(default)]
    pub generation: Generation,
    /// How far it is with the newest version it was told.
    pub state: ReportState,
    /// Why it is not further: always there when the state is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReportError>,
    /// Version that is checked and ready to be activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<CommitId>,
    /// Where the running value came from, if not from the server in this life.
    #[serde(default, skip_serializing_if = "ValueSource::is_server")]
    pub source: ValueSource,
}

/// Content that a program runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Running {
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the document's canonical rendering.
    pub digest: Digest,
}

/// How far an instance is with the newest version it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportState {
    /// It was told, and works on it.
    Pending,
    /// It is checked and durable, and waits for the word to activate.
    Prepared,
    /// It runs, on probation.
    Applied,
    /// It runs and has survived its probation.
    Confirmed,
    /// It was refused; what ran before still runs.
    Failed,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl ReportState {
    /// The state of a word on the wire; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Prepared,
            Self::Applied,
            Self::Confirmed,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Prepared => "prepared",
            Self::Applied => "applied",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }
}

/// Why an instance does not run what it was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportError {
    /// Where it failed.
    pub phase: FailPhase,
    /// What went wrong, for a person.
    pub message: String,
}

/// Step at which a version failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailPhase {
    /// The directive was older than one already seen.
    Fence,
    /// The document could not be fetched.
    Fetch,
    /// The document is not what its digest says.
    Verify,
    /// The program cannot read the document, or its own check refused it.
    Validate,
    /// The program could not get ready for it.
    Prepare,
    /// The program could not switch to it.
    Activate,
    /// The program died while the version was on probation.
    Crash,
    /// The program says that it is not well with it.
    Health,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl FailPhase {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Validate => "validate",
            Self::Prepare => "prepare",
            Self::Activate => "activate",
            Self::Crash => "crash",
            Self::Health => "health",
            Self::Other => "other",
        }
    }
}

/// Where a running value came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// From the server, in this life of the process.
    #[default]
    Server,
    /// From disk: content that survived its probation in an earlier life.
    LastKnownGood,
    /// From disk: content that an earlier life applied but had not confirmed yet.
    Unconfirmed,
    /// The program's own default.
    Default,
    /// Set at the instance's own place, whatever the server says.
    Pinned,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl ValueSource {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::LastKnownGood => "last_known_good",
            Self::Unconfirmed => "unconfirmed",
            Self::Default => "default",
            Self::Pinned => "pinned",
            Self::Other => "other",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes the field by reference"
    )]
    pub(crate) fn is_server(&self) -> bool {
        *self == Self::Server
    }
}

/// Answer to a report.
pub type ReportAnswer = ReportAnswerWith<Value>;

/// A [`ReportAnswer`] whose documents are read as `D`, as in a [`VersionEventWith`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub struct ReportAnswerWith<D> {
    /// Whether the report was taken; it is not if a newer one was taken before.
    pub accepted: bool,
    /// Incarnation of the newest report that was taken. If it is greater than one's own in a process that has just
    /// started, an earlier life counted further (its clock was ahead): go on from there.
    pub incarnation: u64,
    /// Sequence number of the newest report that was taken.
    pub seq: u64,
    /// How often to report while nothing changes, in ms.
    pub heartbeat_ms: u64,
    /// What the instance should hold, for each config it reported that exists. Documents are told only where they
    /// are small and are not what the instance says it runs.
    #[serde(default)]
    pub assignments: Vec<VersionEventWith<D>>,
    /// Configs it reported that the tip does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<ConfigName>,
}
