//! Rollouts that went back and of which some instances have not said that they are back.
//!
//! Invariant: each ends once, by the word of those instances, by that of a person, or when other content has become
//! everybody's: then who runs what is counted there. Until then it is shown to people.

use std::collections::BTreeSet;

use headwater_wire::{ConfigName, Timestamp};

use crate::command::Effect;
use crate::control::RepoState;
use crate::courses::{Cause, happening};
use crate::rollout::{Rollout, State, Step};

impl RepoState {
    /// The newest of each config of which nothing moves, as if it were still waited for: who did not say that he is back may
    /// say so yet.
    pub fn incomplete(&self) -> Vec<Rollout> {
        let mut seen = BTreeSet::new();
        let newest_first = self.ended.iter().rev();
        let idle = newest_first.filter(|rollout| self.moving_of(&rollout.config).is_none());
        let waiting = idle.filter_map(|rollout| {
            let State::Incomplete { why, .. } = &rollout.state else {
                return None;
            };
            let (why, waited_ms) = (why.clone(), 0);
            let state = State::RollingBack { why, waited_ms };
            seen.insert(&rollout.config).then(|| Rollout {
                state,
                ..rollout.clone()
            })
        });
        waiting.collect()
    }

    /// Takes a step of one that was incomplete: everybody has come back after all. `None` if it is no such step.
    pub(crate) fn settle_incomplete(
        &mut self,
        id: &str,
        after: u64,
        step: &Step,
        at: Timestamp,
    ) -> Option<Vec<Effect>> {
        let cause = Cause {
            at,
            reason: Some("everybody is back".to_owned()),
            ..Cause::default()
        };
        let is_it = |rollout: &Rollout| rollout.id == id && rollout.steps == after && *step == Step::Settle;
        self.end_incomplete(is_it, &cause)
    }

    /// Ends what is incomplete: nobody has to look at it any more. `None` if nothing such is.
    pub(crate) fn end_incomplete(
        &mut self,
        is_it: impl Fn(&Rollout) -> bool,
        cause: &Cause,
    ) -> Option<Vec<Effect>> {
        let mut effects = Vec::new();
        let is_incomplete = |rollout: &Rollout| matches!(rollout.state, State::Incomplete { .. });
        for rollout in &mut self.ended {
            if is_incomplete(rollout) && is_it(rollout) && rollout.apply(Step::Settle, self.generation) {
                rollout.timeline.add(happening(Step::Settle.word(), None, cause));
                effects.push(Effect::RolloutMoved {
                    config: rollout.config.clone(),
                    id: rollout.id.clone(),
                });
            }
        }
        (!effects.is_empty()).then_some(effects)
    }

    /// Other content is everybody's by now, and who runs what is counted there.
    pub(crate) fn outdo_incomplete(&mut self, config: &ConfigName, at: Timestamp) {
        let cause = Cause {
            at,
            reason: Some("other content is everybody's now".to_owned()),
            ..Cause::default()
        };
        self.end_incomplete(|rollout| rollout.config == *config, &cause);
    }
}
