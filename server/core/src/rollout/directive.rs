//! What one instance should hold.
//!
//! Invariant: the fence number that one instance is told never falls while its labels stay the same, and under one
//! number it is never told two contents.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{Generation, InstanceId, Phase};

use super::membership::rank;
use super::state::{Opened, Rollout, State};

/// What one instance should hold, and under which fence number it is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// The content from before the rollout.
    Baseline(Generation),
    /// The content from before the rollout, and be ready for the target.
    Prepare(Generation),
    /// The target.
    Target(Generation),
}

impl Directive {
    /// Its fence number.
    pub fn generation(self) -> Generation {
        match self {
            Self::Baseline(generation) | Self::Prepare(generation) | Self::Target(generation) => generation,
        }
    }
}

impl Rollout {
    /// What an instance should hold.
    pub fn directive(&self, instance: &InstanceId, labels: &BTreeMap<String, String>) -> Directive {
        let directives = Directives::of(self);
        let stage = directives.stage_of(directives.rank(instance), labels);
        directives.one(instance, stage)
    }

    /// What a client should hold that does not say who it is: it comes last, with the stage that takes everyone.
    pub fn anonymous(&self) -> Directive {
        let newest = self
            .opened
            .last()
            .zip(self.policy.stages.get(self.opened.len().saturating_sub(1)));
        match newest {
            Some((opened, stage))
                if stage.takes_everyone() && opened.phase == Phase::Active && !self.state.is_back() =>
            {
                Directive::Target(opened.generation)
            }
            Some(_) | None => Directive::Baseline(self.baseline_generation),
        }
    }

    /// Whether every instance is told what `other` tells it.
    pub fn tells_the_same(&self, other: &Self) -> bool {
        let words = |opened: &Opened, other: &Opened| {
            opened.threshold == other.threshold
                && opened.generation == other.generation
                && opened.phase == other.phase
        };
        let opened = self.opened.iter().zip(&other.opened);
        self.id == other.id
            && self.baseline_generation == other.baseline_generation
            && self.state.is_back() == other.state.is_back()
            && self.state.is_final() == other.state.is_final()
            && required(&self.state) == required(&other.state)
            && self.opened.len() == other.opened.len()
            && opened.into_iter().all(|(opened, other)| words(opened, other))
    }
}

/// The directives of many instances of one rollout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directives<'a> {
    rollout: &'a Rollout,
}

impl<'a> Directives<'a> {
    pub(super) fn of(rollout: &'a Rollout) -> Self {
        Self { rollout }
    }

    /// Position of an instance in the order of the rollout.
    pub(super) fn rank(self, instance: &InstanceId) -> u64 {
        rank(&self.rollout.id, instance)
    }

    /// The first open stage that an instance is in.
    pub(super) fn stage_of(self, rank: u64, labels: &BTreeMap<String, String>) -> Option<&'a Opened> {
        let mut open = self.rollout.opened.iter().zip(&self.rollout.policy.stages);
        let found = open.find(|(opened, stage)| opened.threshold.takes(rank) && stage.labels.takes(labels));
        found.map(|(opened, _)| opened)
    }

    /// Whether the labels of an instance that is in no open stage fit a stage.
    pub(super) fn may_join(self, stage: usize, labels: &BTreeMap<String, String>) -> bool {
        let stage = self.rollout.policy.stages.get(stage);
        stage.is_some_and(|stage| stage.labels.takes(labels))
    }

    /// What an instance should hold, from the open stage that it is in.
    pub(super) fn one(self, instance: &InstanceId, stage: Option<&Opened>) -> Directive {
        let rollout = self.rollout;
        let baseline = Directive::Baseline(rollout.baseline_generation);
        if rollout.state.is_back() {
            return baseline;
        }
        match stage {
            None => rollout.anonymous(),
            Some(opened) if opened.phase == Phase::Active => Directive::Target(opened.generation),
            // Who came after it began keeps the baseline until it is decided.
            Some(opened) if required(&rollout.state).is_some_and(|required| required.contains(instance)) => {
                Directive::Prepare(opened.generation)
            }
            Some(_) => baseline,
        }
    }
}

/// The instances that must be ready.
fn required(state: &State) -> Option<&BTreeSet<InstanceId>> {
    match state {
        State::Preparing { required, .. } => Some(required),
        State::Paused { from } | State::Halted { from, .. } => required(from),
        State::Due { .. }
        | State::Exposing { .. }
        | State::Baking { .. }
        | State::RollingBack { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded => None,
    }
}
