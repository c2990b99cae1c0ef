//! What happens to one config: which rollout moves its instances, what waits behind it, and what is stable meanwhile.
//!
//! Invariant: at most one rollout moves, and at most one offer waits, the newest. The stable target moves only by a
//! rollout that ends well, so what is gone back to has proved itself. Content that a rollout left is not begun again
//! until a commit with other content was offered, or a person says so.

use std::collections::BTreeMap;

use headwater_validators::rollout::Known;
use headwater_wire::{CommitId, ConfigName, Generation, InstanceId, Phase, RolloutCounts, Timestamp};
use serde::{Deserialize, Serialize};

use super::directive::Directive;
use super::policy::Policy;
use super::state::{Rollout, State, Urgency};
use super::step::{Step, Why};
use super::timeline::Happening;
use crate::content::Content;
use crate::control::{ConfigFacts, Target, next_target};

/// Content that the instances of a config should come to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Names its rollout, and gives the members their order.
    pub id: String,
    /// The content.
    pub facts: ConfigFacts,
    /// Admitted commit that it is handed out of.
    pub source: CommitId,
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
    /// Its rollout stood still only because nobody knew which history is followed, and goes on.
    GoesOn,
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
    pub left: Option<Left>,
    /// What the tip has, as it was offered last.
    #[serde(default)]
    pub newest: Option<Offer>,
    /// Rollouts that gave way to another since somebody took them from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Rollout>,
}

/// Content that a rollout went back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The rollout.
    pub id: String,
    /// The content.
    pub content: Content,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
        self.newest = Some(offer.clone());
        if self.holds_back(content) {
            return Offered::HeldBack;
        }
        self.left = None;
        self.queued = None;
        let is_stable = stable.content.is_same(content);
        let Some(moving) = self.moving() else {
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
            let waits = matches!(
                &moving.state,
                State::Halted {
                    why: Why::HistoryHeld { .. },
                    ..
                }
            );
            if waits && self.apply(config, stable, Step::Resume, next) {
                return Offered::GoesOn;
            }
            return Offered::Same;
        }
        if moving.gives_way() || offer.urgency == Urgency::Emergency {
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
        let was_back = rollout.state.is_back();
        if !rollout.apply(step, next) {
            return false;
        }
        // What was told again since the rollout ended is above what the rollout knows of.
        stable.generation = stable.generation.max(rollout.baseline_generation);
        // Only once: what came meanwhile, or a person, may have said that it need not be held back any more.
        if rollout.state.is_back() && !was_back {
            self.left = left_by(rollout);
            // Also who was only asked to get ready holds it until he is told otherwise.
            stable.undoes = Some(rollout.target.version.clone());
        }
        if let (State::Done, Some(last)) = (&rollout.state, rollout.opened.last()) {
            *stable = next_target(Some(stable.clone()), rollout.target.clone(), last.generation);
            stable.source = Some(rollout.source.clone());
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

    /// The rollout that moves.
    pub fn moving(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| !rollout.state.is_final())
    }

    /// The same, to let time pass in it.
    pub(crate) fn moving_mut(&mut self) -> Option<&mut Rollout> {
        self.rollout.as_mut().filter(|rollout| !rollout.state.is_final())
    }

    /// What is held back of what the branch has now: content that a rollout left, and that no other came after. Where other
    /// content waited meanwhile, what was left stays away if it comes again, and nothing is kept from anybody.
    pub fn holding(&self) -> Option<&Left> {
        let newest = self.newest.as_ref().map(|newest| &newest.facts.content);
        self.left
            .as_ref()
            .filter(|left| newest.is_none_or(|newest| newest.is_same(&left.content)))
    }

    /// Whether this is content that a rollout left, and nobody has said that it may come again.
    pub fn holds_back(&self, content: &Content) -> bool {
        self.left
            .as_ref()
            .is_some_and(|left| left.content.is_same(content))
    }

    /// Whether everything about it can be forgotten: the tip has what is stable, and nothing moves or is held back.
    pub(crate) fn is_idle(&self, stable: &Target) -> bool {
        let tip = self.newest.as_ref().map(|offer| &offer.facts);
        self.rollout.is_none() && self.left.is_none() && tip.is_none_or(|facts| *facts == stable.facts())
    }

    /// The lowest fence number that any instance is told.
    pub(crate) fn lowest(&self, stable: &Target) -> Generation {
        let opened = self.moving().into_iter().flat_map(|rollout| &rollout.opened);
        opened.fold(stable.generation, |lowest, opened| lowest.min(opened.generation))
    }

    /// The highest fence number that was given out for it.
    pub(crate) fn highest(&self, stable: &Target) -> Generation {
        let opened = self.rollout.iter().flat_map(|rollout| &rollout.opened);
        opened.fold(stable.generation, |highest, opened| {
            highest.max(opened.generation)
        })
    }

    /// Remembers what happened to a rollout of it.
    pub(crate) fn note(&mut self, id: &str, happening: Happening) {
        let mut known = self.ended.iter_mut().chain(&mut self.rollout);
        if let Some(rollout) = known.find(|rollout| rollout.id == id) {
            rollout.timeline.add(happening);
        }
    }

    /// Remembers how the members of a rollout of it stood at its end.
    pub(crate) fn close(&mut self, id: &str, counts: Option<RolloutCounts>) {
        let mut known = self.ended.iter_mut().chain(&mut self.rollout);
        let over = known.find(|rollout| rollout.id == id && rollout.state.is_final());
        if let Some(rollout) = over {
            rollout.ended_with = counts;
        }
    }

    /// The stable content came to the branch as another commit.
    pub(crate) fn adopt(&mut self, version: &CommitId) {
        if let Some(rollout) = &mut self.rollout {
            rollout.adopted = Some(version.clone());
        }
    }

    /// Takes note of the documents of contents that were decided about.
    pub(crate) fn learn(&mut self, content: &Content) {
        let offers = [&mut self.queued, &mut self.newest].into_iter().flatten();
        offers.for_each(|offer| offer.facts.content.learn(content));
        self.left.iter_mut().for_each(|left| left.content.learn(content));
        if let Some(rollout) = &mut self.rollout {
            rollout.target.content.learn(content);
            rollout.baseline.content.learn(content);
        }
    }

    /// What is told stays the same and is told again from `next` on. Says the newest number given out.
    pub fn reissue(&mut self, stable: &mut Target, next: Generation) -> Generation {
        stable.generation = next;
        self.moving_mut().map_or(next, |rollout| rollout.reissue(next))
    }

    /// The store is an older copy of itself: nobody knows what was decided since. What was moving goes back, under a
    /// number that is above all that were ever given out, and begins anew when all are back; the rest is told again above it.
    pub fn restored(&mut self, config: &ConfigName, stable: &mut Target, next: Generation) -> Generation {
        let moves = self.moving().map(|rollout| rollout.target.content.clone());
        if self.apply(config, stable, Step::RollBack(Why::Restored), next) {
            let again = self.newest.clone();
            let again =
                again.filter(|newest| moves.is_some_and(|moves| moves.is_same(&newest.facts.content)));
            let again = again.map(|newest| Offer {
                id: format!("r-{next}"),
                ..newest
            });
            self.queued = self.queued.take().or(again);
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
        self.moving()
            .map_or(Directive::Baseline(stable.generation), |rollout| {
                rollout.directive(instance, labels)
            })
    }

    /// What a client should hold that does not say who it is.
    pub fn anonymous(&self, stable: &Target) -> Directive {
        let baseline = Directive::Baseline(stable.generation);
        self.moving().map_or(baseline, Rollout::anonymous)
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
        if stable.had(&offer.facts.content) && offer.policy.known == Known::AtOnce {
            offer.policy = offer.policy.at_once();
        }
        let new = Rollout::new(config.clone(), offer, stable);
        self.ended.extend(self.rollout.replace(new));
    }
}

/// Content that a rollout went back from because something was wrong with it.
fn left_by(rollout: &Rollout) -> Option<Left> {
    match &rollout.state {
        State::RollingBack { why, .. }
        | State::RolledBack { why }
        | State::Incomplete { why, .. }
        | State::Aborted { why } => (!why.is_blameless()).then(|| Left {
            id: rollout.id.clone(),
            content: rollout.target.content.clone(),
            since: Timestamp::default(),
            reason: None,
        }),
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
