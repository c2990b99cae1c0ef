//! The world: time, a network that loses, repeats and delays, crashes on both sides, and commits that come.

use std::collections::BTreeMap;

use headwater_core::rollout::{
    Activation, Deadlines, Freeze, Known, Offered, OnHalt, Order, Policy, Quorum, Reading, RollCall, Share,
    SignalPolicy, SignalSource, StagePolicy, State, Step, Urgency,
};
use headwater_wire::{Generation, InstanceId, Phase, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::checks::{Check, Checks, replayed};
use crate::coordinator::{Coordinator, Decision};
use crate::instance::{Done, Instance, Message, Nature};
use crate::mutations::Mutation;

const TICK_MS: u64 = 10_000;
const BEGAN_MS: u64 = 1_000_000;

pub(crate) struct World {
    rng: StdRng,
    coordinator: Coordinator,
    instances: Vec<Instance>,
    /// On their way.
    flying: Vec<(usize, Message)>,
    now_ms: u64,
    /// Content that some instances do not take.
    bad: u64,
    rough: bool,
    mutation: Mutation,
    checks: Checks,
    silent: BTreeMap<InstanceId, u32>,
    /// What was decided, in words.
    pub trace: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Mutation) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(2..=7);
        let instances = (0..count)
            .map(|number| {
                let mut instance = Instance::new(number, crate::commit(1), Generation(1));
                instance.nature = match rng.random_range(0..12) {
                    0 => Nature::Refuses,
                    1 => Nature::Dies,
                    _ => Nature::Good,
                };
                if rng.random_bool(0.3) {
                    instance.labels.insert("canary".to_owned(), "true".to_owned());
                }
                instance
            })
            .collect();
        let bad = if rng.random_bool(0.5) { 2 } else { 3 };
        let mut world = Self {
            coordinator: Coordinator::new(mutation),
            rng,
            instances,
            flying: Vec::new(),
            now_ms: BEGAN_MS,
            bad,
            rough: true,
            mutation,
            checks: Checks::default(),
            silent: BTreeMap::new(),
            trace: Vec::new(),
        };
        for instance in &world.instances {
            world.checks.began(instance);
        }
        world.commit(2);
        world
    }

    /// The same world with another clock on the wall of the coordinator.
    pub(crate) fn with_skew(mut self, skew_ms: i64) -> Self {
        self.coordinator.skew_ms = skew_ms;
        self
    }

    /// One moment: reports, a step, words, deliveries, and what goes wrong meanwhile.
    fn moment(&mut self) -> Check {
        self.now_ms += TICK_MS;
        self.coordinator.pass(TICK_MS);
        if self.rough {
            self.trouble();
        }
        for index in 0..self.instances.len() {
            if self.instances[index].reachable && !self.is_lost() {
                self.coordinator.hear(&self.instances[index], self.now_ms);
            }
        }
        self.ask_signals();
        self.decide()?;
        for index in 0..self.instances.len() {
            if self.instances[index].reachable && !self.is_lost() {
                let message = self.coordinator.message(&self.instances[index]);
                self.checks
                    .says(&self.coordinator, &self.instances[index], &message)?;
                self.flying.push((index, message));
            }
        }
        self.deliver()?;
        for index in 0..self.instances.len() {
            self.instances[index].live_on(&crate::commit(self.bad));
            self.switch_by_itself(index)?;
        }
        Ok(())
    }

    /// The steps that are due, one after the other: what comes first may be the end of what was.
    fn decide(&mut self) -> Check {
        for _ in 0..4 {
            self.checks.decided(&self.coordinator.live)?;
            let Some(rollout) = self.coordinator.live.rollout() else {
                break;
            };
            self.checks.lasts(rollout, self.now_ms)?;
            let tally = self.coordinator.tally(rollout, self.now_ms);
            self.checks.counts(rollout, &tally)?;
            let Some(step) = self.coordinator.next_step(&tally, self.now_ms) else {
                break;
            };
            self.checks.step(rollout, &step)?;
            self.trace.push(format!("{} {step:?}", self.now_ms));
            self.checks.opens(&self.coordinator, &self.instances, self.now_ms);
            self.coordinator.decide(Decision::Step(step));
            self.checks.decided(&self.coordinator.live)?;
            self.checks.radius(&self.coordinator, &self.instances)?;
        }
        Ok(())
    }

    fn ask_signals(&mut self) {
        let Some(rollout) = &mut self.coordinator.live.course.rollout else {
            return;
        };
        for signal in rollout.policy.signals.clone() {
            let reading = match self.rng.random_range(0..40) {
                0 => Reading::Fail("errors".to_owned()),
                1..=3 => Reading::Inconclusive("no traffic".to_owned()),
                4 => Reading::Error("away".to_owned()),
                _ => Reading::Pass,
            };
            rollout.hear(&signal.name, reading);
        }
    }

    fn is_lost(&mut self) -> bool {
        self.rough && self.rng.random_bool(0.2)
    }

    fn trouble(&mut self) {
        let count = self.instances.len();
        match self.rng.random_range(0..60) {
            0 => {
                self.coordinator.restart(self.now_ms);
                self.checks.began_anew();
            }
            1 => self.coordinator.backup = self.coordinator.kept.clone(),
            2 if self.mutation == Mutation::OldNumbersAgain || self.rng.random_bool(0.3) => self.restore(),
            3..=6 => {
                let index = self.rng.random_range(0..count);
                self.instances[index].reachable ^= true;
            }
            7 => self.join(),
            8 => self.order(),
            9 | 10 => {
                let content = self.rng.random_range(1..=5);
                self.commit(content);
            }
            11 => {
                let index = self.rng.random_range(0..count);
                self.instances[index].restarts += 1;
                self.instances[index].prepared = None;
            }
            _ => {}
        }
    }

    fn restore(&mut self) {
        let seen = self.instances.iter().map(|instance| instance.fence.generation);
        let flying = self.flying.iter().map(|(_, message)| message.generation);
        let highest = seen.chain(flying).max().unwrap_or_default();
        let highest = highest.max(self.coordinator.live.newest);
        self.coordinator.restore(self.now_ms, highest);
        self.checks.restored();
        self.checks.began_anew();
    }

    /// A commit comes, with this content, and sometimes a second one after it, which is the same.
    fn commit(&mut self, content: u64) {
        let policy = policy(&mut self.rng, self.mutation, self.now_ms);
        let urgency = if self.rng.random_bool(0.1) {
            Urgency::Emergency
        } else {
            Urgency::Usual
        };
        self.checks.offered(content);
        let offered = self.coordinator.offer(content, policy.clone(), urgency);
        self.trace
            .push(format!("{} offer {content}: {offered:?}", self.now_ms));
        if self.rng.random_bool(0.3) && offered != Offered::Waits {
            let again = self.coordinator.offer(content, policy, urgency);
            assert!(
                !matches!(again, Offered::Begins | Offered::Waits) || self.mutation != Mutation::None,
                "equal content is no news: {again:?}"
            );
        }
        self.checks.began_anew();
    }

    fn join(&mut self) {
        if self.instances.len() < 9 {
            let number = self.instances.len();
            let stable = self.coordinator.live.stable.version.clone();
            let instance = Instance::new(number, stable, Generation(0));
            self.checks.began(&instance);
            self.instances.push(instance);
        }
    }

    fn order(&mut self) {
        let order = match self.rng.random_range(0..5) {
            0 => Order::Pause,
            1 | 2 => Order::Resume,
            3 => Order::Promote,
            _ => Order::Abort {
                reason: "no".to_owned(),
            },
        };
        let ordered = self
            .coordinator
            .live
            .rollout()
            .map(|rollout| rollout.order(order));
        if let Some(Ok(step)) = ordered {
            self.trace.push(format!("{} ordered {step:?}", self.now_ms));
            self.coordinator.decide(Decision::Step(step));
            self.checks.began_anew();
        }
    }

    /// Most words arrive, some twice, some much later, in any order.
    fn deliver(&mut self) -> Check {
        let mut later = Vec::new();
        let mut flying = std::mem::take(&mut self.flying);
        while !flying.is_empty() {
            let next = self.rng.random_range(0..flying.len());
            let (index, message) = flying.swap_remove(next);
            if self.rough && self.rng.random_bool(0.1) && later.len() < 50 {
                later.push((index, message.clone()));
            }
            if self.rough && self.rng.random_bool(0.2) {
                continue;
            }
            let instance = &mut self.instances[index];
            let before = instance.fence.generation;
            let done = instance.take(&message, &crate::commit(self.bad), self.mutation);
            if instance.fence.generation < before {
                return Err(format!("I4 fence: {} fell from {before}", instance.id));
            }
            self.silent.insert(instance.id.clone(), 0);
            self.check_done(index, done)?;
        }
        self.flying = later;
        Ok(())
    }

    fn switch_by_itself(&mut self, index: usize) -> Check {
        let instance = &mut self.instances[index];
        let silent = self.silent.entry(instance.id.clone()).or_default();
        *silent += 1;
        if self.mutation != Mutation::ActivateOnSilence || *silent < 4 {
            return Ok(());
        }
        let Some(version) = instance.prepared.clone() else {
            return Ok(());
        };
        let generation = instance.fence.generation;
        instance.activate(version.clone());
        self.check_done(index, Done::Activated(generation, version))
    }

    fn check_done(&mut self, index: usize, done: Done) -> Check {
        let id = &self.instances[index].id;
        match done {
            Done::Nothing => {}
            Done::Ready(generation) => self.checks.is_ready(id, generation),
            Done::Activated(generation, version) => {
                self.checks
                    .activated(&self.coordinator, id, (generation, &version))?;
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everybody must come to hold what he should.
    fn calm_down(&mut self) -> Check {
        self.rough = false;
        for instance in &mut self.instances {
            instance.reachable = true;
        }
        for _ in 0..2_000 {
            self.moment()?;
            self.give_orders();
            if self.coordinator.is_over() {
                for _ in 0..5 {
                    self.moment()?;
                }
                replayed(&self.coordinator.kept)?;
                return self.check_settled();
            }
        }
        Err(format!("I9 no-wedge: {:?}", self.coordinator.state()))
    }

    /// What a rollout waits for a person for is ordered.
    fn give_orders(&mut self) {
        let Some(rollout) = self.coordinator.live.rollout() else {
            return;
        };
        let roll_call = self.coordinator.tally(rollout, self.now_ms).roll_call;
        let step = match &rollout.state {
            State::Paused { .. } => Some(Step::Resume),
            State::Halted { .. } if rollout.policy.on_halt == OnHalt::Stay => rollout
                .order(Order::Abort {
                    reason: "stays".to_owned(),
                })
                .ok(),
            State::Due { .. } if roll_call == RollCall::Over => Some(Step::Promote),
            State::Due { .. }
            | State::Preparing { .. }
            | State::Exposing { .. }
            | State::Baking { .. }
            | State::Halted { .. }
            | State::RollingBack { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => None,
        };
        if let Some(step) = step {
            self.coordinator.decide(Decision::Step(step));
            self.checks.began_anew();
        }
    }

    fn check_settled(&self) -> Check {
        for instance in &self.instances {
            let told = self.coordinator.message(instance);
            let refuses = instance.nature != Nature::Good && told.version == crate::commit(self.bad);
            if told.phase == Phase::Active && instance.active != told.version && !refuses {
                return Err(format!(
                    "I8 converge: {} runs {} and is told {told:?}, fence {:?}",
                    instance.id, instance.active, instance.fence
                ));
            }
        }
        Ok(())
    }

    /// A rough time, and then a quiet one.
    pub(crate) fn run(&mut self) -> Check {
        for _ in 0..300 {
            self.moment()?;
        }
        self.calm_down()
    }
}

/// A policy at random; the mutations are about two phases.
/// A canary perhaps, perhaps some, and then everybody.
fn stages(rng: &mut StdRng) -> Vec<StagePolicy> {
    let mut stages = Vec::new();
    if rng.random_bool(0.3) {
        stages.push(StagePolicy {
            labels: [("canary".to_owned(), "true".to_owned())].into(),
            bake_ms: 30_000,
            ..StagePolicy::default()
        });
    }
    if rng.random_bool(0.5) {
        stages.push(StagePolicy {
            share: if rng.random_bool(0.5) {
                Share::Percent(40)
            } else {
                Share::Count(2)
            },
            bake_ms: 20_000,
            approval: rng.random_bool(0.2),
            ..StagePolicy::default()
        });
    }
    stages.push(StagePolicy::default());
    stages
}

fn policy(rng: &mut StdRng, mutation: Mutation, now_ms: u64) -> Policy {
    let two_phase =
        mutation.is_of_two_phases() || (mutation != Mutation::ExposesEveryone && rng.random_bool(0.5));
    let stages = stages(rng);
    let mut policy = Policy {
        activation: if two_phase {
            Activation::TwoPhase
        } else {
            Activation::Single
        },
        stages,
        deadlines: Deadlines {
            prepare_ms: 120_000,
            expose_ms: 200_000,
            roll_back_ms: 200_000,
        },
        quorum: if rng.random_bool(0.8) {
            Quorum::All
        } else {
            Quorum::Percent(60)
        },
        on_halt: if rng.random_bool(0.8) {
            OnHalt::RollBackAfter(60_000)
        } else {
            OnHalt::Stay
        },
        ..Policy::immediate()
    };
    policy.budget.failed = rng.random_range(1..=3);
    policy.budget.unknown_after_ms = rng.random_bool(0.5).then_some(120_000);
    policy.sample_min = rng.random_range(0..=2);
    policy.known = if rng.random_bool(0.5) {
        Known::AtOnce
    } else {
        Known::AsNew
    };
    if rng.random_bool(0.2) {
        policy.signals.push(SignalPolicy {
            name: "errors".to_owned(),
            passes_min: 2,
            unclear_max: 3,
            source: SignalSource::Webhook {
                server: "oracle".to_owned(),
            },
            interval_ms: 30_000,
        });
    }
    if rng.random_bool(0.2) && mutation != Mutation::NoFreezes {
        let from = i64::try_from(now_ms).unwrap() + rng.random_range(0..100_000);
        policy.freezes.push(Freeze::Between {
            from: Timestamp(from),
            until: Timestamp(from + rng.random_range(0..200_000)),
        });
    }
    policy
}

#[test]
fn whatever_goes_wrong_every_invariant_holds_and_the_fleet_converges() {
    for seed in crate::seeds(300) {
        let mut world = World::new(seed, Mutation::None);
        if let Err(violation) = world.run() {
            panic!("{}\nHEADWATER_SEED={seed}: {violation}", world.trace.join("\n"));
        }
    }
}

/// I20: only a freeze asks for the time, so without freezes all clocks are as good as any.
#[test]
fn a_clock_that_is_a_day_off_decides_nothing() {
    const DAY_MS: i64 = 86_400_000;
    for seed in crate::seeds(20) {
        let traces = [0, DAY_MS, -DAY_MS].map(|skew_ms| {
            let mut world = World::new(seed, Mutation::NoFreezes).with_skew(skew_ms);
            world.run().unwrap();
            world.trace
        });
        assert_eq!(traces[0], traces[1], "HEADWATER_SEED={seed}");
        assert_eq!(traces[0], traces[2], "HEADWATER_SEED={seed}");
    }
}
