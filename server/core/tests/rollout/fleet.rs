//! A fleet in one's hand: what each instance says, how long it has been silent, and one rollout that counts it.

use std::collections::BTreeMap;

use headwater_core::Target;
use headwater_core::rollout::{
    Course, Directive, Liveness, Member, Offer, Offered, Order, OrderRefused, Policy, RollCall, Rollout,
    State, Step, Tally, Urgency, plan, tally,
};
use headwater_wire::{
    ConfigReport, FailPhase, Generation, InstanceId, Phase, ReportError, ReportState, Running, Timestamp,
    ValueSource,
};

use crate::coordinator::{LOST_AFTER_MS, config, facts, stable};
use crate::{commit, digest};

/// What one instance says.
#[derive(Debug, Clone)]
pub(crate) struct Says {
    pub labels: BTreeMap<String, String>,
    pub report: ConfigReport,
    pub liveness: Liveness,
    pub silent_ms: u64,
    pub restarts: u32,
}

/// One config, its instances, and a clock that is turned by hand.
pub(crate) struct Fleet {
    pub instances: BTreeMap<InstanceId, Says>,
    pub course: Course,
    pub stable: Target,
    pub newest: Generation,
    pub roll_call: RollCall,
    pub now: Timestamp,
}

impl Fleet {
    /// So many instances that hold content 1.
    pub(crate) fn of(count: usize) -> Self {
        let mut fleet = Self {
            instances: BTreeMap::new(),
            course: Course::default(),
            stable: stable(1),
            newest: Generation(1),
            roll_call: RollCall::Over,
            now: Timestamp(0),
        };
        for number in 0..count {
            fleet.joins(number);
        }
        fleet
    }

    pub(crate) fn joins(&mut self, number: usize) -> InstanceId {
        let id: InstanceId = format!("i-{number}").parse().unwrap();
        let says = Says {
            labels: BTreeMap::new(),
            report: report(1, Generation(1), ReportState::Confirmed),
            liveness: Liveness::Live,
            silent_ms: 0,
            restarts: 0,
        };
        self.instances.insert(id.clone(), says);
        id
    }

    pub(crate) fn labelled(mut self, numbers: &[usize], label: (&str, &str)) -> Self {
        for number in numbers {
            let says = self.says(*number);
            says.labels.insert(label.0.to_owned(), label.1.to_owned());
        }
        self
    }

    pub(crate) fn says(&mut self, number: usize) -> &mut Says {
        let id: InstanceId = format!("i-{number}").parse().unwrap();
        self.instances.get_mut(&id).unwrap()
    }

    /// A commit has this content.
    pub(crate) fn offer(&mut self, content: u64, policy: &Policy) -> Offered {
        self.offer_as(content, policy, Urgency::Usual)
    }

    pub(crate) fn offer_as(&mut self, content: u64, policy: &Policy, urgency: Urgency) -> Offered {
        self.newest = self.newest.next();
        let offer = Offer {
            id: format!("r-{}", self.newest),
            facts: facts(content),
            source: commit(content),
            policy: policy.clone(),
            urgency,
        };
        self.course.offer(&config(), &mut self.stable, offer, self.newest)
    }

    pub(crate) fn rollout(&self) -> &Rollout {
        self.course.rollout.as_ref().unwrap()
    }

    pub(crate) fn state(&self) -> &State {
        &self.rollout().state
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.instances.iter().map(|(instance, says)| Member {
            instance,
            labels: &says.labels,
            report: &says.report,
            liveness: says.liveness,
            silent_ms: says.silent_ms,
            lost_ms: says.silent_ms.saturating_sub(LOST_AFTER_MS),
            told: says.report.generation,
            restarts: says.restarts,
        })
    }

    pub(crate) fn tally(&self) -> Tally {
        tally(self.rollout(), self.members(), self.roll_call)
    }

    pub(crate) fn plan(&self) -> Option<Step> {
        plan(self.rollout(), &self.tally(), self.now)
    }

    /// Takes the step that is due, and says which.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let step = self.plan()?;
        self.take(&step);
        Some(step)
    }

    pub(crate) fn take(&mut self, step: &Step) {
        self.newest = self.newest.next();
        let fits = self
            .course
            .apply(&config(), &mut self.stable, step.clone(), self.newest);
        assert!(fits, "{step:?} does not fit {:?}", self.state());
    }

    pub(crate) fn order(&mut self, order: Order) -> Result<(), OrderRefused> {
        let step = self.rollout().order(order)?;
        self.take(&step);
        Ok(())
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0 + i64::try_from(ms).unwrap());
        self.course.rollout.as_mut().unwrap().pass(ms);
    }

    pub(crate) fn directive(&self, number: usize) -> Directive {
        let id: InstanceId = format!("i-{number}").parse().unwrap();
        let says = &self.instances[&id];
        self.course.directive(&self.stable, &id, &says.labels)
    }

    /// Numbers of the instances that are told content `content` to run.
    pub(crate) fn told(&self, content: u64) -> Vec<usize> {
        let numbers = 0..self.instances.len();
        let is_told = |number: &usize| {
            let (phase, facts) = self.course.content(&self.stable, self.directive(*number));
            phase == Phase::Active && facts.version == commit(content)
        };
        numbers.filter(is_told).collect()
    }

    /// Everybody who is live does as he is told, and says so; what is in use is in this state.
    pub(crate) fn obey(&mut self, state: ReportState) {
        for number in 0..self.instances.len() {
            self.obeys(number, state);
        }
    }

    pub(crate) fn obeys(&mut self, number: usize, state: ReportState) {
        let directive = self.directive(number);
        let (phase, facts) = self.course.content(&self.stable, directive);
        let says = self.says(number);
        if says.liveness != Liveness::Live {
            return;
        }
        says.report.generation = directive.generation();
        if phase == Phase::Prepare {
            says.report.prepared = Some(facts.version);
            says.report.state = ReportState::Prepared;
            return;
        }
        let running = Running {
            version: facts.version,
            digest: digest(1),
        };
        says.report.running = Some(running);
        says.report.prepared = None;
        says.report.state = state;
    }

    /// An instance refuses what it is told.
    pub(crate) fn refuses(&mut self, number: usize) {
        let generation = self.directive(number).generation();
        let says = self.says(number);
        says.report.generation = generation;
        says.report.state = ReportState::Failed;
        says.report.error = Some(ReportError {
            phase: FailPhase::Validate,
            message: "port out of range".to_owned(),
        });
    }

    pub(crate) fn falls_silent(&mut self, number: usize, liveness: Liveness, silent_ms: u64) {
        let says = self.says(number);
        says.liveness = liveness;
        says.silent_ms = silent_ms;
    }
}

fn report(content: u64, generation: Generation, state: ReportState) -> ConfigReport {
    ConfigReport {
        running: Some(Running {
            version: commit(content),
            digest: digest(1),
        }),
        generation,
        state,
        error: None,
        prepared: None,
        source: ValueSource::Server,
    }
}
