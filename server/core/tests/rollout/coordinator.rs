//! The coordinator: keeps each decision, then tells it; comes back with what it kept.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::rollout::{
    Course, Directive, Liveness, Member, Offer, Offered, Policy, RollCall, Rollout, State, Step, Tally,
    Threshold, Urgency, plan, tally,
};
use headwater_core::{ConfigFacts, Content, Target};
use headwater_wire::{ConfigName, ConfigReport, Generation, InstanceId, Phase, Timestamp};

use crate::instance::{Instance, Message};
use crate::mutations::Mutation;
use crate::{commit, digest};

/// Silence after which an instance is given up.
pub(crate) const LOST_AFTER_MS: u64 = 300_000;

/// What is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub course: Course,
    pub stable: Target,
    pub newest: Generation,
    /// Decisions of fence numbers that began as "get ready".
    pub activated: BTreeSet<Generation>,
    pub aborted: BTreeSet<Generation>,
    /// Every decision, in order: what the log of Git would say.
    pub log: Vec<(Decision, Generation)>,
}

/// One decision, as it is written down.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    Offer(Offer),
    Step(Step),
    Restored,
}

/// An instance as it was last heard.
#[derive(Debug, Clone)]
struct Heard {
    labels: BTreeMap<String, String>,
    report: ConfigReport,
    restarts: u32,
    at_ms: u64,
}

pub(crate) struct Coordinator {
    pub kept: Kept,
    /// What it believes, which is what it kept, unless it is built wrong.
    pub live: Kept,
    pub backup: Kept,
    heard: BTreeMap<InstanceId, Heard>,
    began_ms: u64,
    /// How wrong its clock is.
    pub skew_ms: i64,
    pub mutation: Mutation,
}

pub(crate) fn config() -> ConfigName {
    "payments/prod".parse().unwrap()
}

/// Content of a number: two commits with one content have nothing else in common.
pub(crate) fn content_of(number: u64) -> Content {
    Content {
        inputs: digest(number),
        documents: None,
    }
}

pub(crate) fn facts(content: u64) -> ConfigFacts {
    ConfigFacts {
        version: commit(content),
        content: content_of(content),
    }
}

/// What is stable before anything happens.
pub(crate) fn stable(content: u64) -> Target {
    Target {
        version: commit(content),
        content: content_of(content),
        generation: Generation(1),
        past: Vec::new(),
        undoes: None,
        source: None,
        horizon: None,
    }
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            course: Course::default(),
            stable: stable(1),
            newest: Generation(1),
            activated: BTreeSet::new(),
            aborted: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    /// Takes a decision, which uses the number after the newest.
    pub(crate) fn take(&mut self, decision: Decision) -> Option<Offered> {
        let next = self.newest.next();
        self.log.push((decision.clone(), next));
        self.newest = next;
        match decision {
            Decision::Offer(offer) => Some(self.course.offer(&config(), &mut self.stable, offer, next)),
            Decision::Step(step) => {
                let fits = self.course.apply(&config(), &mut self.stable, step.clone(), next);
                assert!(fits, "{step:?} does not fit");
                None
            }
            Decision::Restored => {
                self.newest = self.course.restored(&config(), &mut self.stable, next);
                None
            }
        }
    }

    pub(crate) fn rollout(&self) -> Option<&Rollout> {
        self.course.rollout.as_ref()
    }

    /// The number under which instances get ready.
    fn asked(&self) -> Option<Generation> {
        let rollout = self.rollout()?;
        let is_open = !rollout.state.is_final() && !rollout.state.is_back();
        let asked = rollout
            .opened
            .last()
            .filter(|opened| opened.phase == Phase::Prepare);
        asked.filter(|_| is_open).map(|opened| opened.generation)
    }
}

impl Coordinator {
    pub(crate) fn new(mutation: Mutation) -> Self {
        let kept = Kept::new();
        Self {
            live: kept.clone(),
            backup: kept.clone(),
            kept,
            heard: BTreeMap::new(),
            began_ms: 0,
            skew_ms: 0,
            mutation,
        }
    }

    pub(crate) fn state(&self) -> Option<&State> {
        self.live.rollout().map(|rollout| &rollout.state)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().is_none_or(State::is_final)
    }

    /// A commit has this content.
    pub(crate) fn offer(&mut self, content: u64, policy: Policy, urgency: Urgency) -> Offered {
        if self.mutation == Mutation::ForgetsWhatWasLeft {
            self.live.course.release();
        }
        let offer = Offer {
            id: format!("r-{}", self.live.newest),
            facts: facts(content),
            source: commit(content),
            policy,
            urgency,
        };
        self.decide(Decision::Offer(offer)).unwrap()
    }

    pub(crate) fn hear(&mut self, instance: &Instance, now_ms: u64) {
        let heard = Heard {
            labels: instance.labels.clone(),
            report: instance.report(),
            restarts: instance.restarts,
            at_ms: now_ms,
        };
        self.heard.insert(instance.id.clone(), heard);
    }

    fn liveness(heard: &Heard, now_ms: u64) -> Liveness {
        match now_ms - heard.at_ms {
            0..=75_000 => Liveness::Live,
            75_001..LOST_AFTER_MS => Liveness::Stale,
            _ => Liveness::Lost,
        }
    }

    /// Those that it knows of and that are not lost.
    pub(crate) fn known(&self, now_ms: u64) -> BTreeSet<InstanceId> {
        let heard = self.heard.iter();
        let there = heard.filter(|(_, heard)| Self::liveness(heard, now_ms) != Liveness::Lost);
        there.map(|(instance, _)| instance.clone()).collect()
    }

    pub(crate) fn tally(&self, rollout: &Rollout, now_ms: u64) -> Tally {
        let members = self.heard.iter().map(|(instance, heard)| Member {
            instance,
            labels: &heard.labels,
            report: &heard.report,
            liveness: Self::liveness(heard, now_ms),
            silent_ms: now_ms - heard.at_ms,
            lost_ms: (now_ms - heard.at_ms).saturating_sub(LOST_AFTER_MS),
            told: heard.report.generation,
            restarts: heard.restarts,
        });
        let roll_call = if now_ms - self.began_ms > 60_000 {
            RollCall::Over
        } else {
            RollCall::Running
        };
        tally(rollout, members, roll_call)
    }

    /// The next step, if there is one.
    pub(crate) fn next_step(&self, tally: &Tally, now_ms: u64) -> Option<Step> {
        let rollout = self.live.rollout()?;
        let wall_ms = i64::try_from(now_ms).unwrap() + self.skew_ms;
        let step = plan(rollout, tally, Timestamp(wall_ms))?;
        let is_preparing = matches!(rollout.state, State::Preparing { .. });
        Some(match (self.mutation, step) {
            (Mutation::AnyQuorum, _) if is_preparing && tally.required_ready > 0 => Step::Activate,
            (Mutation::ExposesEveryone, Step::Expose { members, .. }) => Step::Expose {
                threshold: Threshold::ALL,
                members,
            },
            (_, step) => step,
        })
    }

    pub(crate) fn decide(&mut self, decision: Decision) -> Option<Offered> {
        let asked = self.live.asked();
        let offered = self.live.take(decision);
        if let Some(generation) = asked
            && self.live.asked() != Some(generation)
        {
            let mut opened = self
                .live
                .rollout()
                .into_iter()
                .flat_map(|rollout| &rollout.opened);
            let switches = opened.any(|opened| opened.generation == generation);
            let decided = if switches {
                &mut self.live.activated
            } else {
                &mut self.live.aborted
            };
            decided.insert(generation);
        }
        if self.mutation != Mutation::SendBeforeKeep {
            self.kept = self.live.clone();
        }
        offered
    }

    /// Lets time pass, which is kept with the next decision.
    pub(crate) fn pass(&mut self, ms: u64) {
        if let Some(rollout) = &mut self.live.course.rollout {
            rollout.pass(ms);
        }
    }

    /// What it kept before it died is what it goes on with.
    pub(crate) fn restart(&mut self, now_ms: u64) {
        self.live = self.kept.clone();
        self.heard.clear();
        self.began_ms = now_ms;
    }

    /// An old backup is put back. The number goes above what anybody has seen, and what was undecided is ended.
    pub(crate) fn restore(&mut self, now_ms: u64, highest: Generation) {
        self.kept = self.backup.clone();
        self.restart(now_ms);
        if self.mutation == Mutation::OldNumbersAgain {
            return;
        }
        self.live.newest = self.live.newest.max(highest);
        self.live.take(Decision::Restored);
        // This decides nothing of the number that the copy believes undecided: it may have been decided since, which
        // a copy cannot know. Everybody is told the baseline under a new number, and that is the decision of that one.
        self.kept = self.live.clone();
    }

    pub(crate) fn message(&self, instance: &Instance) -> Message {
        let (course, stable) = (&self.live.course, &self.live.stable);
        let mut directive = course.directive(stable, &instance.id, &instance.labels);
        let is_preparing = matches!(self.state(), Some(State::Preparing { .. }));
        if self.mutation == Mutation::JoinerGetsUndecided
            && is_preparing
            && matches!(directive, Directive::Baseline(_))
        {
            directive = Directive::Target(self.live.newest);
        }
        let (phase, content) = course.content(stable, directive);
        Message {
            generation: directive.generation(),
            phase,
            version: content.version,
        }
    }
}
