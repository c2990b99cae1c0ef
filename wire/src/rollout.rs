//! Rollouts: how the instances of one config are moved to other content, what people may order, and what came of it.
//!
//! Invariant: of the members, those that were not heard of lately are `unknown` and in no other count: silence is
//! never told as success. What is deliberately absent: which sentence is said when; the service words it, so that every
//! reader says the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ConfigName, InstanceId};
use crate::time::Timestamp;

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Its next stage begins as soon as the instances for it are known.
    Due,
    /// Its next stage waits for a person to promote it.
    AwaitingApproval,
    /// Its next stage waits for the end of a freeze.
    Frozen,
    /// The members of a stage get ready, to switch together.
    Preparing,
    /// The members of the open stages take the target.
    Exposing,
    /// They run it, and must stay well for a while.
    Baking,
    /// A person has stopped it.
    Paused,
    /// It has stopped by itself; nobody new gets the target.
    Halted,
    /// Everybody is told the baseline.
    RollingBack,
    /// Everybody should hold the target.
    Done,
    /// Everybody who was heard of holds the baseline again.
    RolledBack,
    /// Everybody was told the baseline, and some have not said that they hold it.
    Incomplete,
    /// It ended before anybody was told to run the target.
    Aborted,
    /// A newer commit took its place.
    Superseded,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl RolloutState {
    /// All states this version knows, in the order in which they are usually passed.
    pub const ALL: &'static [Self] = &[
        Self::Due,
        Self::AwaitingApproval,
        Self::Frozen,
        Self::Preparing,
        Self::Exposing,
        Self::Baking,
        Self::Paused,
        Self::Halted,
        Self::RollingBack,
        Self::Done,
        Self::RolledBack,
        Self::Incomplete,
        Self::Aborted,
        Self::Superseded,
    ];

    /// The state of a word on the wire; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Frozen => "frozen",
            Self::Preparing => "preparing",
            Self::Exposing => "exposing",
            Self::Baking => "baking",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::RollingBack => "rolling_back",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Incomplete => "incomplete",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
            Self::Other => "other",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Done | Self::RolledBack | Self::Incomplete | Self::Aborted | Self::Superseded => true,
            Self::Due
            | Self::AwaitingApproval
            | Self::Frozen
            | Self::Preparing
            | Self::Exposing
            | Self::Baking
            | Self::Paused
            | Self::Halted
            | Self::RollingBack
            | Self::Other => false,
        }
    }

    /// Whether it goes back, or has gone back.
    pub fn goes_back(self) -> bool {
        matches!(self, Self::RollingBack | Self::RolledBack | Self::Incomplete)
    }

    /// Whether it stays as it is until a person acts, or is a fault that a person must know of.
    pub fn needs_a_person(self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Paused | Self::Halted | Self::Incomplete => true,
            Self::Due
            | Self::Frozen
            | Self::Preparing
            | Self::Exposing
            | Self::Baking
            | Self::RollingBack
            | Self::Done
            | Self::RolledBack
            | Self::Aborted
            | Self::Superseded
            | Self::Other => false,
        }
    }
}

/// What a person may order a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutOrder {
    /// Let the due stage begin, or do not wait for the open one.
    Promote,
    /// Stop, and stay.
    Pause,
    /// Go on.
    Resume,
    /// Go back.
    Abort,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl RolloutOrder {
    /// The orders this version knows.
    pub const ALL: &'static [Self] = &[Self::Promote, Self::Pause, Self::Resume, Self::Abort];

    /// The order of a word on the wire; `None` for one that this version does not know.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|order| order.as_str() == word)
    }

    /// The word on the wire, which is also the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Other => "other",
        }
    }
}

/// `POST …/rollouts/{id}/{promote,pause,resume,abort}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutOrderRequest {
    /// Why, in one line; kept with the decision.
    pub reason: String,
    /// Who asks, as `Name <address>` or a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// `steps` of the rollout as it was seen: if it has gone on since, nothing is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_steps: Option<u64>,
}

/// How a rollout goes, as the commit says that has the content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutPolicyView {
    /// `immediate`, `staged` or `two-phase`.
    pub kind: String,
    /// Its stages, in order.
    #[serde(default)]
    pub stages: Vec<RolloutStageView>,
    /// Failed instances that stop it.
    pub failed_max: u64,
    /// How long after it was halted it goes back by itself, in ms; absent if it stays until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back_after_ms: Option<u64>,
    /// Shortest time that it takes, in ms: what its stages must stay quiet.
    #[serde(default)]
    pub shortest_ms: u64,
}

/// One stage of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStageView {
    /// Labels that its members must have, each a glob.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// So many of a hundred of those that have them; with neither this nor `count`, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// So many of those that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How long its members must stay well before the next stage, in ms.
    #[serde(default)]
    pub bake_ms: u64,
    /// Whether a person must let it begin.
    #[serde(default)]
    pub approval: bool,
    /// Members: those it was opened for; in a plan, those it would take now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}

/// Where the instances of a rollout stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutCounts {
    /// Members of the open stages, or of the stage that gets ready: each of them is in exactly one of the counts up to
    /// `unknown`. While it goes back, those that may run the target.
    #[serde(default)]
    pub members: u64,
    /// Run the target, on probation.
    #[serde(default)]
    pub applied: u64,
    /// Run it, and have survived their probation.
    #[serde(default)]
    pub confirmed: u64,
    /// Are on their way.
    #[serde(default)]
    pub pending: u64,
    /// Are ready, and wait for the word.
    #[serde(default)]
    pub ready: u64,
    /// Have refused it, died of it, or count as failed by the policy.
    #[serde(default)]
    pub failed: u64,
    /// Were not heard of lately, however far they were.
    #[serde(default)]
    pub unknown: u64,
    /// May run the target, should hold the baseline, and have not said that they do.
    #[serde(default)]
    pub not_back: u64,
    /// Instances that have the config: those that are live, and members that are not.
    #[serde(default)]
    pub fleet: u64,
}

/// One decision of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStepView {
    /// When.
    pub at: Timestamp,
    /// What, in a word or two: `begin`, `prepare`, `expose`, `activate`, `bake`, `advance`, `promote`, `pause`,
    /// `resume`, `halt`, `abort_prepare`, `roll_back`, `settle`, `give_up`, `supersede`, and `release` of what it left.
    pub step: String,
    /// The stage that it was about, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// Whether a person ordered it; else the service did it by itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ordered: bool,
    /// That person, if a name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An instance that failed, or that a rollout went back for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutFailure {
    /// Who.
    pub instance: InstanceId,
    /// How: the step at which it failed, restarts, or silence.
    pub how: String,
    /// What it said itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One movement of one config's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    /// Names it.
    pub id: String,
    /// Config.
    pub config: ConfigName,
    /// Version that its instances should come to hold.
    pub target: CommitId,
    /// Version they held before, and go back to; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<CommitId>,
    /// How it goes.
    pub policy: RolloutPolicyView,
    /// Where it is.
    pub state: RolloutState,
    /// Stage it is in, or that comes next, from 1.
    pub stage: usize,
    /// Number of stages.
    pub stages_total: usize,
    /// Why it is halted, goes back or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it came to this state; absent where nobody remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// For how long it has waited in this state, in ms, of `limit_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// When something happens by itself if nothing does before, in ms after the state began: the next stage, a halt,
    /// the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// Where its instances stand; absent once it is over and its members are nobody's business any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RolloutCounts>,
    /// Some of the instances that failed, or that it went back for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_names: Vec<InstanceId>,
    /// The same instances, and why each of them counts as failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RolloutFailure>,
    /// What happens next and when, or who must do what.
    pub next: String,
    /// What can be ordered now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<RolloutOrder>,
    /// How many steps it has taken: who saw it with as many has seen what is decided about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps: u64,
    /// Version that comes after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<CommitId>,
    /// What was decided, oldest first; told of one rollout, not of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<RolloutStepView>,
    /// Steps between the first and the newest of them that are not remembered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_left_out: u64,
}

/// `GET /v1/repos/{repo}/rollouts`: those that need a person first, then those that move, then those that are over,
/// newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutList {
    /// Rollouts that match.
    pub rollouts: Vec<RolloutView>,
    /// How many more match than one answer holds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}
