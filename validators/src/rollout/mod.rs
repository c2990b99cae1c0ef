//! What a manifest says of how a new version of a config travels through the fleet.
//!
//! Invariant: what is here is well formed, and says everything: what the manifest leaves out has its default. What it
//! means, and how it is carried out, is not decided here.

mod freeze;
mod signal;
mod strictness;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use freeze::{Freeze, WEEK_MINUTES};
pub use signal::{Bound, SignalPolicy, SignalSource};

const MINUTE_MS: u64 = 60_000;

/// Quiet time of a stage that says none, in ms: what crashes a while after it was taken must have the time to.
pub const BAKE_UNSAID_MS: u64 = MINUTE_MS;

/// A policy of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// How it moves.
    pub kind: RolloutKind,
    /// Stages in order; empty unless the manifest has some.
    pub stages: Vec<Stage>,
    /// How many of the required instances must be ready before any of them switches.
    pub quorum: Quorum,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How much may go wrong.
    pub budget: Budget,
    /// What becomes of a rollout that was halted.
    pub on_halt: OnHalt,
    /// Instances that must run it before quiet proves anything; of a smaller fleet, all.
    pub sample_min: u64,
    /// What becomes of content that was stable here before.
    pub known: Known,
    /// Times in which nothing new is exposed.
    pub freezes: Vec<Freeze>,
    /// Signals that a stage must have the consent of.
    pub signals: Vec<SignalPolicy>,
}

/// How a rollout moves, the most careless first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutKind {
    /// Everyone at once.
    Immediate,
    /// Stage by stage.
    Staged,
    /// Prepared everywhere, then activated.
    TwoPhase,
}

/// One step of a rollout: who is in it, and how long it must stay quiet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// Labels an instance must have, each a glob.
    pub labels: BTreeMap<String, String>,
    /// Share of the fleet, 1 to 100.
    pub percent: Option<u8>,
    /// Number of instances.
    pub count: Option<u32>,
    /// Quiet time before the next stage, in ms, if it says one.
    pub bake_time_ms: Option<u64>,
    /// Who lets it begin.
    pub begins: Begins,
}

/// Who lets a stage begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Begins {
    /// It begins when the stage before it has ended.
    #[default]
    ByItself,
    /// A person must approve of it.
    WithApproval,
}

/// How much may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Instances that must fail to stop the rollout, at least 1.
    pub failed: u64,
    /// Silence after which an instance counts as failed, in ms. Without, it is waited for until the deadline.
    pub unknown_after_ms: Option<u64>,
    /// Restarts within its probation after which an instance counts as failed.
    pub restarts: u32,
}

/// How long things may take, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// For the instances of a stage to get ready.
    pub prepare_ms: u64,
    /// For the instances of a stage to run it.
    pub expose_ms: u64,
    /// For instances to go back.
    pub roll_back_ms: u64,
}

/// How many of the required instances must be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    /// All of them.
    All,
    /// So many of a hundred, once the deadline has passed; before it, all.
    Percent(u8),
}

/// What becomes of a rollout that was halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHalt {
    /// After so long, in ms, it goes back by itself.
    RollBackAfter(u64),
    /// It stays as it is until a person decides.
    Stay,
}

/// What becomes of content that was stable here before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It goes through all stages, like new content.
    #[default]
    AsNew,
    /// It has proved itself: everybody gets it in one stage.
    AtOnce,
}

impl RolloutPolicy {
    /// A policy that says nothing but its kind.
    pub fn of_kind(kind: RolloutKind) -> Self {
        Self {
            kind,
            stages: Vec::new(),
            quorum: Quorum::All,
            deadlines: Deadlines::default(),
            budget: Budget::default(),
            on_halt: OnHalt::of_kind(kind),
            sample_min: 0,
            known: Known::AsNew,
            freezes: Vec::new(),
            signals: Vec::new(),
        }
    }
}

impl Stage {
    /// Quiet time before the next stage, in ms. None at all proves nothing, and is as good as not said.
    pub fn bake_ms(&self) -> u64 {
        self.bake_time_ms.filter(|ms| *ms > 0).unwrap_or(BAKE_UNSAID_MS)
    }

    /// Whether no instance can be outside of it.
    pub fn takes_everyone(&self) -> bool {
        self.labels.is_empty() && self.count.is_none() && self.percent.is_none_or(|percent| percent == 100)
    }
}

impl RolloutKind {
    /// The word of the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Staged => "staged",
            Self::TwoPhase => "two-phase",
        }
    }
}

impl OnHalt {
    /// Unless the manifest says otherwise. Who takes everybody at once has nobody left to protect, and may be waiting
    /// for no answer at all, so that a person decides.
    pub const fn of_kind(kind: RolloutKind) -> Self {
        match kind {
            RolloutKind::Immediate => Self::Stay,
            RolloutKind::Staged | RolloutKind::TwoPhase => Self::RollBackAfter(10 * MINUTE_MS),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            failed: 1,
            unknown_after_ms: None,
            restarts: 2,
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            prepare_ms: 5 * MINUTE_MS,
            expose_ms: 15 * MINUTE_MS,
            roll_back_ms: 15 * MINUTE_MS,
        }
    }
}
