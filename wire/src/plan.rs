//! What a commit would touch, before it is exposed: `GET /v1/repos/{repo}/plan?rev=`.
//!
//! Invariant: a forecast and no promise: it is made from the fleet as it has reported up to now, and exposes nobody.

use serde::{Deserialize, Serialize};

use crate::commit::VerdictState;
use crate::id::{CommitId, ConfigName};
use crate::rollout::RolloutPolicyView;
use crate::time::Timestamp;

/// What a commit would touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The commit.
    pub commit: CommitId,
    /// What it was compared with: the commit that is exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<CommitId>,
    /// Whether it would be admitted; a commit that would not be touches nobody.
    pub verdict: VerdictState,
    /// All of it in one sentence.
    pub summary: String,
    /// Configs whose content it changes, by name.
    #[serde(default)]
    pub configs: Vec<PlannedConfig>,
    /// Instances that have at least one of those that no rollout carries already.
    #[serde(default)]
    pub instances: u64,
    /// Shortest time until all of them would hold it, in ms, with what is left of a freeze.
    #[serde(default)]
    pub shortest_ms: u64,
}

/// What would become of one config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedConfig {
    /// Config.
    pub config: ConfigName,
    /// `added`, `removed` or `modified`.
    pub kind: String,
    /// Live instances that have it.
    pub instances: u64,
    /// How it would go, with the members that each stage would take; absent for a config that is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RolloutPolicyView>,
    /// What to know before it begins, such as a stage that would take nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The rollout that brings this content already, or behind which it waits already; it counts neither in `shortest_ms` nor in `instances`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_by: Option<String>,
    /// The rollout that it would wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Until when a freeze exposes nothing new of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
}
