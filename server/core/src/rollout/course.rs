//! What happens to one config: which rollout moves its instances, what waits behind it, and what is stable meanwhile.
//!
//! Invariant: at most one rollout moves, and at most one offer waits, the newest. The stable target moves only by a
//! rollout that ends well, so what is gone back to has proved itself. Content that a rollout left is not begun again
//! until a commit with other content was offered, or a person says so.

use std::collections::BTreeMap;

use headwater_wire::{ConfigName, Generation, InstanceId, Phase};
use serde::{Deserialize, Serialize};

use super::directive::Directive;
use super::policy::{Known, Policy};
use super::state::{Rollout, State, Urgency};
use super::step::{Step, Why};
use crate::content::Content;
use crate::control::{ConfigFacts, Target, next_target};

/// Content that the instances of a config should come to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Names its rollout, and gives the members their order.
    pub id: String,
    /// The content.
    pub facts: ConfigFacts,
    /// How it goes, from the commit that has the content.
    pub policy: Policy,
    /// Whether it waits for the rollout before it.
    pub urgency: Urgency,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Everybody holds it, or comes to hold it already.
    Same,
    /// A rollout has left it, and nobody has said that it may come again.
    HeldBack,
    /// It is due.
    Begins,
    /// Another rollout moves. It waits, and what waited before it does not.
    Waits,
    /// It is what is stable: the rollout that moves goes back.
    GoesBack,
}

/// What happens to one config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// The newest rollout, whether or not it is over.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// What comes after it.
    #[serde(default)]
    pub queued: Option<Offer>,
    /// Content that the newest rollout left.
    #[serde(default)]
    pub left: Option<Content>,
}

impl Course {
    /// Takes content that a commit has. `next` is a fence number above all that were given out.
    pub fn offer(
        &mut self,
        config: &ConfigName,
        stable: &mut Target,
        offer: Offer,
        next: Generation,
    ) -> Offered {
        let content = &offer.facts.content;
        if self.left.as_ref().is_some_and(|left| left.is_same(content)) {
            return Offered::HeldBack;
        }
        self.left = None;
        self.queued = None;
        let is_stable = stable.content.is_same(content);
        let Some(moving) = self.rollout.as_ref().filter(|rollout| !rollout.state.is_final()) else {
            if is_stable {
                return Offered::Same;
            }
            self.begin(config, stable, offer);
            return Offered::Begins;
        };
        let goes_back = moving.state.is_back();
        if is_stable {
            let by = offer.facts.version;
            let step = if moving.opened.is_empty() {
                Step::Supersede
            } else {
                Step::RollBack(Why::Reverted { by })
            };
            self.apply(config, stable, step, next);
            return Offered::GoesBack;
        }
        if moving.target.content.is_same(content) && !goes_back {
            return Offered::Same;
        }
        // Nobody has heard of it, or it stands still: nothing is gained by letting it go first.
        let gives_way = moving.opened.is_empty() || matches!(moving.state, State::Halted { .. });
        if gives_way || offer.urgency == Urgency::Emergency {
            self.apply(config, stable, Step::Supersede, next);
            self.begin(config, stable, offer);
            return Offered::Begins;
        }
        self.queued = Some(offer);
        Offered::Waits
    }

    /// Takes one step of the rollout, and what follows from it. Says whether it fitted.
    pub fn apply(&mut self, config: &ConfigName, stable: &mut Target, step: Step, next: Generation) -> bool {
        let Some(rollout) = &mut self.rollout else {
            return false;
        };
        if !rollout.apply(step, next) {
            return false;
        }
        stable.generation = rollout.baseline_generation;
        if rollout.state.is_back() {
            self.left = left_by(rollout);
        }
        if let (State::Done, Some(last)) = (&rollout.state, rollout.opened.last()) {
            *stable = next_target(Some(stable.clone()), rollout.target.clone(), last.generation);
        }
        if rollout.state.is_final()
            && let Some(offer) = self.queued.take()
        {
            self.begin(config, stable, offer);
        }
        true
    }

    /// A person says that what was left may come again, by the next offer.
    pub fn release(&mut self) {
        self.left = None;
    }

    /// What is told stays the same and is told again from `next` on. Says the newest number given out.
    pub fn reissue(&mut self, stable: &mut Target, next: Generation) -> Generation {
        stable.generation = next;
        match &mut self.rollout {
            Some(rollout) if !rollout.state.is_final() => rollout.reissue(next),
            Some(_) | None => next,
        }
    }

    /// The store is an older copy of itself: nobody knows what was decided since. What was moving goes back, under a
    /// number that is above all that were ever given out; the rest is told again above it.
    pub fn restored(&mut self, config: &ConfigName, stable: &mut Target, next: Generation) -> Generation {
        if self.apply(config, stable, Step::RollBack(Why::Restored), next) {
            return next;
        }
        self.reissue(stable, next)
    }

    /// What an instance should hold; the baseline of no rollout is what is stable.
    pub fn directive(
        &self,
        stable: &Target,
        instance: &InstanceId,
        labels: &BTreeMap<String, String>,
    ) -> Directive {
        match &self.rollout {
            Some(rollout) if !rollout.state.is_final() => rollout.directive(instance, labels),
            Some(_) | None => Directive::Baseline(stable.generation),
        }
    }

    /// The content of a directive, and what an instance is to do with it.
    pub fn content(&self, stable: &Target, directive: Directive) -> (Phase, ConfigFacts) {
        match (directive, &self.rollout) {
            (Directive::Target(_), Some(rollout)) => (Phase::Active, rollout.target.clone()),
            (Directive::Prepare(_), Some(rollout)) => (Phase::Prepare, rollout.target.clone()),
            (Directive::Baseline(_), _) | (_, None) => (Phase::Active, stable.facts()),
        }
    }

    fn begin(&mut self, config: &ConfigName, stable: &Target, mut offer: Offer) {
        let was_stable = stable
            .past
            .iter()
            .any(|(_, inputs)| *inputs == offer.facts.content.inputs);
        if was_stable && offer.policy.known == Known::AtOnce {
            offer.policy = offer.policy.at_once();
        }
        self.rollout = Some(Rollout::new(config.clone(), offer, stable));
    }
}

/// Content that a rollout went back from because something was wrong with it.
fn left_by(rollout: &Rollout) -> Option<Content> {
    match &rollout.state {
        State::RollingBack { why, .. }
        | State::RolledBack { why }
        | State::Incomplete { why, .. }
        | State::Aborted { why } => {
            let is_blameless = matches!(why, Why::Reverted { .. } | Why::Restored);
            (!is_blameless).then(|| rollout.target.content.clone())
        }
        State::Due { .. }
        | State::Preparing { .. }
        | State::Exposing { .. }
        | State::Baking { .. }
        | State::Paused { .. }
        | State::Halted { .. }
        | State::Done
        | State::Superseded => None,
    }
}
