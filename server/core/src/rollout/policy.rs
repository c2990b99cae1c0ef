//! How a rollout goes: who comes when, how long it stays quiet, what stops it.
//!
//! Invariant: a policy has at least one stage, and its last stage takes everyone: a rollout that ends has reached the
//! whole fleet, never a part of it for good.

use headwater_validators::rollout::{
    BAKE_UNSAID_MS, Begins, Budget, Deadlines, Freeze, Known, OnHalt, Quorum, RolloutKind, RolloutPolicy,
    SignalPolicy, Stage,
};
use headwater_validators::{Config, ValidTree};
use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::freeze::frozen_until;
use super::membership::Selector;

/// How the instances of one config are moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether instances get ready before any of them switches.
    pub activation: Activation,
    /// Who comes when; never empty, and the last takes everyone.
    pub stages: Vec<StagePolicy>,
    /// How much may go wrong.
    pub budget: Budget,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How many of the required instances must be ready before any of them switches.
    pub quorum: Quorum,
    /// What becomes of a rollout that was halted.
    pub on_halt: OnHalt,
    /// Quiet time of a stage that does not say how long it bakes, in ms: what crashes a while after it was taken must have
    /// the time to.
    #[serde(default)]
    pub bake_unsaid_ms: u64,
    /// Instances that must run it before quiet proves anything; of a smaller fleet, all.
    #[serde(default)]
    pub sample_min: u64,
    /// Signals that a stage must have the consent of.
    #[serde(default)]
    pub signals: Vec<SignalPolicy>,
    /// Times in which nothing new is exposed.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
    /// What becomes of content that was stable here before.
    #[serde(default)]
    pub known: Known,
}

/// Whether instances get ready before any of them switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// An instance switches when it is ready.
    Single,
    /// The instances of a stage switch when they are ready together.
    TwoPhase,
}

/// One stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePolicy {
    /// Labels an instance must have, each a glob.
    #[serde(default)]
    pub labels: Selector,
    /// How many of those that have them.
    #[serde(default)]
    pub share: Share,
    /// Quiet time before the next stage, in ms.
    #[serde(default)]
    pub bake_ms: u64,
    /// Whether a person must let it begin.
    #[serde(default)]
    pub approval: bool,
}

/// How many of the instances that a stage may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// All, also those that come later.
    #[default]
    Everyone,
    /// So many of a hundred, at least one.
    Percent(u8),
    /// So many.
    Count(u32),
}

impl Policy {
    /// Everyone at once.
    pub fn immediate() -> Self {
        Self::of(&RolloutPolicy::of_kind(RolloutKind::Immediate))
    }

    /// Whether nothing of it needs to be watched or waited for: everyone gets the content, and it stays.
    pub fn is_immediate(&self) -> bool {
        let [stage] = self.stages.as_slice() else {
            return false;
        };
        stage.takes_everyone()
            && !stage.approval
            && self.activation == Activation::Single
            && self.on_halt == OnHalt::Stay
            && self.quiet_ms(0) == 0
            && self.signals.is_empty()
            && self.freezes.is_empty()
    }

    /// Of one config, as the commit says that has it. A config that names none is moved at once; what the settings
    /// insist on was judged with the commit.
    pub fn of_config(tree: &ValidTree, config: &Config) -> Self {
        let named = config.rollout().and_then(|name| tree.rollouts().get(name));
        named.map_or_else(Self::immediate, Self::of)
    }

    /// As a manifest says it.
    pub fn of(manifest: &RolloutPolicy) -> Self {
        let mut stages: Vec<StagePolicy> = manifest.stages.iter().map(StagePolicy::of).collect();
        if !stages.last().is_some_and(StagePolicy::takes_everyone) {
            stages.push(StagePolicy::default());
        }
        let (activation, bake_unsaid_ms) = match manifest.kind {
            RolloutKind::Immediate => (Activation::Single, 0),
            RolloutKind::Staged => (Activation::Single, BAKE_UNSAID_MS),
            RolloutKind::TwoPhase => (Activation::TwoPhase, BAKE_UNSAID_MS),
        };
        Self {
            activation,
            stages,
            budget: manifest.budget,
            deadlines: manifest.deadlines,
            quorum: manifest.quorum,
            on_halt: manifest.on_halt,
            bake_unsaid_ms,
            sample_min: manifest.sample_min,
            signals: manifest.signals.clone(),
            freezes: manifest.freezes.clone(),
            known: manifest.known,
        }
    }

    /// When something new may be exposed again, if it may not be at `now`.
    pub fn frozen_until(&self, now: Timestamp) -> Option<Timestamp> {
        frozen_until(&self.freezes, now)
    }

    /// How long a stage must stay quiet, in ms.
    pub fn quiet_ms(&self, stage: usize) -> u64 {
        let said = self.stages.get(stage).map(|stage| stage.bake_ms);
        said.filter(|bake_ms| *bake_ms > 0).unwrap_or(self.bake_unsaid_ms)
    }

    /// The same in one stage.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self {
            stages: vec![StagePolicy::default()],
            ..self
        }
    }
}

impl StagePolicy {
    fn of(stage: &Stage) -> Self {
        let share = match (stage.count, stage.percent) {
            (Some(count), _) => Share::Count(count),
            (None, Some(percent)) if percent < 100 => Share::Percent(percent),
            (None, Some(_) | None) => Share::Everyone,
        };
        Self {
            labels: Selector::of(stage.labels.clone()),
            share,
            bake_ms: stage.bake_time_ms.unwrap_or(0),
            approval: stage.begins == Begins::WithApproval,
        }
    }

    /// Whether no instance can be outside of it.
    pub fn takes_everyone(&self) -> bool {
        self.labels.is_empty() && self.share == Share::Everyone
    }
}
