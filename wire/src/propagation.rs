//! How a version came to the instances of a config: `GET /v1/repos/{repo}/propagation?config=&version=`.
//!
//! Invariant: an instance counts from when it first said that it runs the version; who was not heard of is among the
//! instances, and not among those that have it.

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ConfigName};
use crate::time::Timestamp;

/// How far a version came by a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropagationPoint {
    /// When.
    pub at: Timestamp,
    /// Instances that had said by then that they run it.
    pub instances: u64,
}

/// When a part of all instances had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropagationShare {
    /// So many of a hundred.
    pub percent: u8,
    /// When they had all said so; absent while they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How long after the commit that was, in ms, by the clock of whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

/// How a version came to the instances of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropagationView {
    /// Config.
    pub config: ConfigName,
    /// Version.
    pub version: CommitId,
    /// When it was committed, by the clock of whoever made it.
    pub committed_at: Timestamp,
    /// Instances that have the config now, also those that were not heard of lately.
    pub instances: u64,
    /// Those of them that have run the version, as far as is remembered.
    pub arrived: u64,
    /// How they came to it, the earliest first; of very many, some.
    #[serde(default)]
    pub points: Vec<PropagationPoint>,
    /// When 50, 95 and 100 of a hundred had it.
    #[serde(default)]
    pub shares: Vec<PropagationShare>,
}
