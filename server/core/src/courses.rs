//! How rollouts join the state: which content goes by a rollout and which at once, and what each step leaves behind.
//!
//! Invariant: a config whose content is moved at once, and of which nothing moves, has no course, so that ten thousand of
//! them cost nothing. What the first content of a config is compared with is not there yet, so it is moved at once
//! whatever the policy says. A rollout that is over is remembered, and no step of it is taken twice.

use headwater_wire::{CommitId, ConfigName, Generation, RolloutCounts, Timestamp};

use crate::command::{Due, Effect, Ordered, Refusal};
use crate::content::{Content, is_same};
use crate::control::{ConfigFacts, Found, RepoState, Target};
use crate::fleet::Uptime;
use crate::rollout::{
    Course, Happening, Offer, Offered, OrderRefused, Policy, RELEASE, Rollout, State, Step, Why,
};

/// Rollouts of a repository that are remembered when they are over.
const ENDED_MAX: usize = 100;

/// Why something happened to a rollout, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    pub(crate) at: Timestamp,
    pub(crate) ordered: bool,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) counts: Option<RolloutCounts>,
}

impl RepoState {
    /// Lets time pass in what moves. The first call of a process only says where its count begins, so time in which no
    /// process ran does not pass.
    pub fn pass_until(&mut self, now: Uptime) {
        let before = self.passed_until.replace(now);
        let passed = before.map_or(0, |before| now.ms_since(before));
        let moving = self.courses.values_mut().filter_map(Course::moving_mut);
        moving.for_each(|rollout| rollout.pass(passed));
    }

    /// Before holds may end: what they expose instead of the tip goes on being handed out of where it is.
    pub(crate) fn name_sources(&mut self) {
        for (config, held) in &self.withheld {
            if let Some(target) = self.targets.get_mut(config) {
                target.source = Some(held.source.clone());
            }
        }
    }

    /// How the tip wants a config moved, unless at once.
    pub(crate) fn policy_at_tip(&self, config: &ConfigName) -> Option<Policy> {
        if let Some(held) = self.withheld.get(config) {
            return held.policy.clone();
        }
        let newest = self.courses.get(config)?.newest.as_ref()?;
        Some(newest.policy.clone()).filter(|policy| !policy.is_immediate())
    }

    /// Contents that a rollout brings to instances, or has left.
    pub(crate) fn moved_contents(&self, config: &ConfigName) -> Vec<Content> {
        let Some(course) = self.courses.get(config) else {
            return Vec::new();
        };
        let moving = course.moving().map(|rollout| rollout.target.content.clone());
        let left = course.left.as_ref().map(|left| left.content.clone());
        moving.into_iter().chain(left).collect()
    }

    /// The stable content came to the branch as another commit.
    pub(crate) fn adopt(&mut self, config: &ConfigName, adopted: Target) {
        if let Some(course) = self.courses.get_mut(config) {
            course.adopt(&adopted.version);
        }
        self.targets.insert(config.clone(), adopted);
        self.tidy(config, &Cause::default(), &mut Vec::new());
    }

    /// A commit has this content of a config: everybody gets it, or a rollout is to bring it to them.
    pub(crate) fn arrive(
        &mut self,
        config: &ConfigName,
        (old, found): (Option<Target>, Found),
        generation: Generation,
        effects: &mut Vec<Effect>,
    ) {
        let course = self.courses.get(config);
        let is_bound =
            course.is_some_and(|course| course.moving().is_some() || course.holds_back(&found.facts.content));
        match old {
            Some(mut old) if is_bound || !found.policy.is_immediate() => {
                if old.content.inputs == found.facts.content.inputs {
                    old.source = None;
                } else if old.source.is_none() {
                    old.source.clone_from(&self.tip);
                }
                self.targets.insert(config.clone(), old);
                self.offer(config, found, generation, effects);
            }
            old => {
                self.courses.remove(config);
                self.outdo_incomplete(config, found.at);
                self.aim(config, (old, found.facts), generation, effects);
            }
        }
    }

    fn offer(
        &mut self,
        config: &ConfigName,
        found: Found,
        generation: Generation,
        effects: &mut Vec<Effect>,
    ) {
        let Some(stable) = self.targets.get_mut(config) else {
            return;
        };
        let next = generation.max(self.generation.next());
        let by = found.source.clone();
        let offer = Offer {
            id: format!("r-{next}"),
            facts: found.facts,
            source: found.source,
            policy: found.policy,
            urgency: found.urgency,
        };
        let course = self.courses.entry(config.clone()).or_default();
        let before = course.moving().map(|rollout| rollout.id.clone());
        let offered = course.offer(config, stable, offer, next);
        let cause = Cause {
            at: found.at,
            reason: Some(format!("commit {by}")),
            ..Cause::default()
        };
        match (offered, before) {
            (Offered::Begins | Offered::GoesBack, before) => {
                self.generation = self.generation.max(next);
                if let Some(before) = before {
                    course.note(&before, happening("supersede", None, &cause));
                }
            }
            // Its name is taken, although nobody was told anything under this number.
            (Offered::Waits, _) => self.generation = self.generation.max(next),
            (Offered::GoesOn, Some(before)) => {
                course.note(&before, happening("resume", None, &cause));
                let config = config.clone();
                effects.push(Effect::RolloutMoved { config, id: before });
            }
            (Offered::Same | Offered::HeldBack | Offered::GoesOn, _) => {}
        }
        self.tidy(config, &cause, effects);
    }

    /// Takes the next step of a rollout, if it is as it was when the step was planned.
    pub(crate) fn take_step(&mut self, due: Due) -> Result<Vec<Effect>, Refusal> {
        let Due {
            config,
            id,
            after,
            step,
            counts,
            at,
        } = due;
        if let Some(effects) = self.settle_incomplete(&id, after, &step, at) {
            return Ok(effects);
        }
        let moving = self.moving_of(&config);
        if moving.is_none_or(|rollout| rollout.id != id || rollout.steps != after) {
            return Err(Refusal::MovedOn);
        }
        let reason = step.why().map(ToString::to_string);
        let cause = Cause {
            at,
            ordered: false,
            by: None,
            reason,
            counts,
        };
        let generation = self.generation.next();
        self.advance(&config, step, generation, &cause)
            .ok_or(Refusal::MovedOn)
    }

    /// Does what a person orders.
    pub(crate) fn order(&mut self, ordered: Ordered) -> Result<Vec<Effect>, Refusal> {
        let Ordered {
            id,
            order,
            after,
            reason,
            by,
            counts,
            at,
        } = ordered;
        let Some(rollout) = self.rollout(&id) else {
            return Err(Refusal::NoSuchRollout(id));
        };
        let config = rollout.config.clone();
        if after.is_some_and(|after| after != rollout.steps) {
            return Err(Refusal::MovedOn);
        }
        let step = rollout.order(order)?;
        let cause = Cause {
            at,
            ordered: true,
            by,
            reason: Some(reason),
            counts,
        };
        if let Some(effects) = self.end_incomplete(|rollout| rollout.id == id, &cause) {
            return Ok(effects);
        }
        let generation = self.generation.next();
        let taken = self.advance(&config, step, generation, &cause);
        taken.ok_or(Refusal::OrderRefused(OrderRefused::Over))
    }

    /// A history that was rewritten waits for a person: nothing goes forward meanwhile.
    pub(crate) fn halt_all(&mut self, head: &CommitId, at: Timestamp) -> Vec<Effect> {
        let moving: Vec<(ConfigName, bool)> = self
            .moving()
            .map(|rollout| {
                let is_preparing = matches!(rollout.state, State::Preparing { .. });
                (rollout.config.clone(), is_preparing)
            })
            .collect();
        let why = Why::HistoryHeld { head: head.clone() };
        let mut effects = Vec::new();
        for (config, is_preparing) in moving {
            let step = if is_preparing {
                Step::AbortPrepare(why.clone())
            } else {
                Step::Halt(why.clone())
            };
            let cause = Cause {
                at,
                reason: Some(why.to_string()),
                ..Cause::default()
            };
            let generation = self.generation.next();
            // What stands still already, or goes back, is left as it is.
            effects.extend(
                self.advance(&config, step, generation, &cause)
                    .unwrap_or_default(),
            );
        }
        effects
    }

    /// A person has decided what a config holds from now on: a rollout of it ends, or goes back if that is where the
    /// person goes, too. What it left is held back by the rollback.
    pub(crate) fn give_way(
        &mut self,
        config: &ConfigName,
        decided: Option<&ConfigFacts>,
        generation: Generation,
        cause: &Cause,
    ) {
        let Some(course) = self.courses.get_mut(config) else {
            return;
        };
        course.queued = None;
        course.newest = None;
        let stable = self.targets.get(config).map(|target| &target.content);
        let goes_back = is_same(stable, decided.map(|facts| &facts.content));
        let step = if goes_back {
            let reason = cause.reason.clone().unwrap_or_default();
            Step::RollBack(Why::Asked { reason })
        } else {
            Step::Supersede
        };
        self.advance(config, step, generation, cause);
        if let Some(course) = self.courses.get_mut(config) {
            course.release();
        }
        self.tidy(config, cause, &mut Vec::new());
    }

    /// A person says that what a rollout left may come again: it is offered anew.
    pub(crate) fn let_come_again(&mut self, id: &str, cause: &Cause) -> Option<Vec<Effect>> {
        let held = |course: &Course| course.left.as_ref().is_some_and(|left| left.id == id);
        let (config, course) = self.courses.iter_mut().find(|(_, course)| held(course))?;
        let config = config.clone();
        course.release();
        let newest = course.newest.clone();
        let ended = self.ended.iter_mut().chain(course.rollout.as_mut());
        let left = ended.filter(|rollout| rollout.id == id);
        left.for_each(|rollout| rollout.timeline.add(happening(RELEASE, None, cause)));
        let generation = self.generation.next();
        let mut effects = Vec::new();
        if let Some(Offer {
            facts,
            policy,
            source,
            urgency,
            ..
        }) = newest
        {
            let found = Found {
                facts,
                policy,
                source,
                urgency,
                at: cause.at,
            };
            let old = self.targets.remove(&config);
            self.arrive(&config, (old, found), generation, &mut effects);
        }
        Some(effects)
    }

    /// The config is no longer declared: nothing of it moves any more. What was stable is remembered.
    pub(crate) fn leave(&mut self, config: &ConfigName, mut stable: Target, at: Timestamp) {
        let rollout = self.courses.remove(config).and_then(|course| course.rollout);
        if let Some(mut rollout) = rollout {
            self.generation = self.generation.next();
            rollout.apply(Step::Supersede, self.generation);
            stable.generation = stable.generation.max(rollout.baseline_generation);
            let cause = Cause {
                at,
                reason: Some("the config is no longer declared".to_owned()),
                ..Cause::default()
            };
            rollout.timeline.add(happening("supersede", None, &cause));
            self.remember(rollout);
        }
        self.depart(config, stable);
    }

    /// Nobody knows what was decided since the copy was taken that the store is: what moved goes back, under numbers that
    /// were not given out.
    pub(crate) fn restored(&mut self, missed: u64, at: Timestamp) -> Vec<Effect> {
        self.generation = Generation(self.generation.0.saturating_add(missed));
        let mut effects = Vec::new();
        let configs: Vec<ConfigName> = self.courses.keys().cloned().collect();
        let cause = Cause {
            at,
            reason: Some(Why::Restored.to_string()),
            ..Cause::default()
        };
        for config in configs {
            let next = self.generation.next();
            let (Some(course), Some(stable)) = (self.courses.get_mut(&config), self.targets.get_mut(&config))
            else {
                continue;
            };
            let id = course.moving().map(|rollout| rollout.id.clone());
            self.generation = course.restored(&config, stable, next).max(next);
            if let Some(id) = id {
                course.note(&id, happening("roll_back", None, &cause));
            }
            self.tidy(&config, &cause, &mut effects);
        }
        effects
    }

    /// Takes a step that fits, remembers it, and does what follows. `None` if it does not fit.
    fn advance(
        &mut self,
        config: &ConfigName,
        step: Step,
        generation: Generation,
        cause: &Cause,
    ) -> Option<Vec<Effect>> {
        let course = self.courses.get_mut(config)?;
        let stable = self.targets.get_mut(config)?;
        let rollout = course.moving()?;
        let (id, word) = (rollout.id.clone(), step.word());
        let stage = rollout.state.stage();
        let was_left = course.left.as_ref().is_some_and(|left| left.id == id);
        if !course.apply(config, stable, step, generation) {
            return None;
        }
        course.note(&id, happening(word, stage, cause));
        course.close(&id, cause.counts);
        if let Some(left) = course.left.as_mut().filter(|left| left.id == id && !was_left) {
            left.since = cause.at;
            left.reason.clone_from(&cause.reason);
        }
        self.generation = self.generation.max(generation);
        let mut effects = vec![Effect::RolloutMoved {
            config: config.clone(),
            id,
        }];
        self.tidy(config, cause, &mut effects);
        if self.head == self.tip
            && let Some(head) = self.head.clone()
            && self.hold.is_none()
        {
            let head_state = self.state_of_tip();
            effects.extend(self.set_head(head, head_state));
        }
        Some(effects)
    }

    /// Puts rollouts that are over where they are remembered, and forgets courses that have nothing to say.
    fn tidy(&mut self, config: &ConfigName, cause: &Cause, effects: &mut Vec<Effect>) {
        let (Some(course), Some(stable)) = (self.courses.get_mut(config), self.targets.get(config)) else {
            return;
        };
        let mut over = std::mem::take(&mut course.ended);
        over.extend(course.rollout.take_if(|rollout| rollout.state.is_final()));
        self.generation = self.generation.max(course.highest(stable));
        self.begin(config, cause.at, effects);
        let is_idle = |(course, stable): (&Course, &Target)| course.is_idle(stable);
        if self
            .courses
            .get(config)
            .zip(self.targets.get(config))
            .is_some_and(is_idle)
        {
            self.courses.remove(config);
        }
        for rollout in over {
            if rollout.state == State::Done {
                self.outdo_incomplete(config, cause.at);
            }
            self.remember(rollout);
        }
    }

    /// A rollout that has just begun is said to have; one that had only waited for another, and moves everybody at once,
    /// needs nothing more to be waited for.
    fn begin(&mut self, config: &ConfigName, at: Timestamp, effects: &mut Vec<Effect>) {
        let is_new = |rollout: &Rollout| rollout.timeline.happenings.is_empty();
        let Some(course) = self.courses.get_mut(config) else {
            return;
        };
        let is_light = |rollout: &mut Rollout| is_new(rollout) && rollout.policy.is_immediate();
        if let Some(light) = course.rollout.take_if(is_light) {
            let old = self.targets.remove(config);
            let generation = self.generation.next();
            self.aim(config, (old, light.target), generation, effects);
            if let Some(target) = self.targets.get_mut(config) {
                target.source = Some(light.source);
            }
        } else if let Some(new) = course.rollout.as_mut().filter(|rollout| is_new(rollout)) {
            let cause = Cause {
                at,
                ..Cause::default()
            };
            new.timeline.add(happening("begin", None, &cause));
            effects.push(Effect::RolloutMoved {
                config: config.clone(),
                id: new.id.clone(),
            });
        }
    }

    fn remember(&mut self, rollout: Rollout) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.remove(0);
        }
        self.ended.push(rollout);
    }
}

pub(crate) fn happening(what: &str, stage: Option<usize>, cause: &Cause) -> Happening {
    Happening {
        at: cause.at,
        what: what.to_owned(),
        stage,
        ordered: cause.ordered,
        by: cause.by.clone(),
        confirmed_by: None,
        reason: cause.reason.clone(),
    }
}
