//! What the service tells of instances: the newest report of each, what it makes of it, and how many there are of what.
//!
//! Invariant: how far an instance is, whether it was heard of, and whether it runs what it should are three things,
//! each told apart. Whom nobody has heard of lately is counted as unknown, and nowhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ConfigName, Digest, Generation, InstanceId};
use crate::report::{FailPhase, InstanceReport, ReportState, Running, ValueSource};
use crate::time::Timestamp;

/// Whether an instance was heard of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Lately.
    Live,
    /// Not for longer than is usual, or not since the service began.
    Stale,
    /// Not for so long that it is given up.
    Lost,
    /// It has said that it ends.
    Gone,
    /// Not told, or a word this version does not know.
    #[default]
    #[serde(other)]
    Other,
}

impl Liveness {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Lost => "lost",
            Self::Gone => "gone",
            Self::Other => "other",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes the field by reference"
    )]
    fn is_other(&self) -> bool {
        *self == Self::Other
    }

    /// The liveness of a word on the wire; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        let all = [Self::Live, Self::Stale, Self::Lost, Self::Gone];
        all.into_iter().find(|liveness| liveness.as_str() == word)
    }
}

/// Whether an instance runs what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// It runs the content it is assigned.
    InSync,
    /// It runs other content, or none.
    Divergent,
    /// It runs a value that was set at its own place, whatever it is assigned.
    Pinned,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl Drift {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Divergent => "divergent",
            Self::Pinned => "pinned",
            Self::Other => "other",
        }
    }

    /// The drift of a word on the wire; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        let all = [Self::InSync, Self::Divergent, Self::Pinned];
        all.into_iter().find(|drift| drift.as_str() == word)
    }
}

/// State of a config as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateWanted {
    /// What the instance said last. Of those that were not heard of lately, none is found that runs something well.
    Reported(ReportState),
    /// Nobody knows: it was not heard of lately.
    Unknown,
}

impl StateWanted {
    /// The word in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported(state) => state.as_str(),
            Self::Unknown => "unknown",
        }
    }

    /// The state of a word; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        if word == Self::Unknown.as_str() {
            return Some(Self::Unknown);
        }
        ReportState::read(word).map(Self::Reported)
    }
}

/// Content that an instance should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the document's canonical rendering.
    pub digest: Digest,
    /// Number of the directive.
    pub generation: Generation,
}

/// What the service makes of one config of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it should hold; absent while nobody knows, and of a config that the tip does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Assigned>,
    /// Whether it runs that; absent where nothing is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// How often it began anew since it was given its newest directive.
    #[serde(default)]
    pub restarts: u32,
}

/// What one instance ran for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// When it first said so.
    pub from: Timestamp,
    /// When it was last heard while it was so. What it did between then and the next entry nobody knows.
    pub until: Timestamp,
    /// Life of the process.
    pub incarnation: u64,
    /// What it ran; absent while it ran nothing, or a value of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// How far it was with the newest version it had been told.
    pub state: ReportState,
    /// Where it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailPhase>,
    /// Where the value came from, if not from the server in that life.
    #[serde(default, skip_serializing_if = "ValueSource::is_server")]
    pub source: ValueSource,
}

/// One instance (`GET …/instances/{instance}`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Who reported.
    pub instance: InstanceId,
    /// When the newest report was taken.
    pub reported_at: Timestamp,
    /// Whether it was heard of.
    #[serde(default, skip_serializing_if = "Liveness::is_other")]
    pub liveness: Liveness,
    /// For how long it was not, in ms.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub silent_ms: u64,
    /// What the service makes of each config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub standings: BTreeMap<ConfigName, Standing>,
    /// What it ran before, the newest first; only where one instance is asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history: BTreeMap<ConfigName, Vec<Ran>>,
    /// The newest report.
    #[serde(flatten)]
    pub report: InstanceReport,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One page of instances (`GET …/instances`), by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePage {
    /// Instances that match.
    pub instances: Vec<InstanceView>,
    /// Give it as `after` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<InstanceId>,
}

/// How many instances there are of what (`GET …/fleet`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetView {
    /// Instances remembered, also those that are gone.
    pub instances: u64,
    /// Each config that instances report.
    #[serde(default)]
    pub configs: BTreeMap<ConfigName, ConfigCounts>,
}

/// The instances of one config, counted. Those that are gone are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCounts {
    /// All of them: the live ones, and those that are unknown.
    pub instances: u64,
    /// Those that were heard of lately; only they are counted by state and drift.
    pub live: u64,
    /// Those that were not heard for longer than is usual.
    pub stale: u64,
    /// Those that are given up.
    pub lost: u64,
    /// Live ones that run what they are assigned.
    pub in_sync: u64,
    /// Live ones that run something else, or nothing.
    pub divergent: u64,
    /// Live ones that run a value of their own place.
    pub pinned: u64,
    /// By what they say they run, the most first; of very many versions, the rest is one entry of its own at the end.
    #[serde(default)]
    pub versions: Vec<VersionCounts>,
}

/// The instances that say they run one version of a config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionCounts {
    /// The version; absent for those that run nothing, or a value of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<CommitId>,
    /// Whether these are the versions that are left over, counted together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest: bool,
    /// Live ones by what they say of the newest version that they were told.
    #[serde(default)]
    pub states: BTreeMap<ReportState, u64>,
    /// Those that were not heard of lately, whatever they said last.
    #[serde(default)]
    pub unknown: u64,
}
