//! What happens when: one queue of happenings in the order of their time, drawn from one seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use headwater_client::Jitter;
use headwater_client::engine::{Action, Attempt, Directive, Event, SaveId, SavedState, Target};
use headwater_core::Token;
use headwater_wire::{ConfigName, Digest, FailPhase, InstanceReport, ReportAnswer, ReportError, ValueSource};

use crate::instance::Instance;
use crate::laws::Laws;
use crate::replica::{Planned, Replica, config, told};
use crate::story::{Nature, Story, place};

const COMMITS: usize = 14;
/// Faults and commits end then.
pub(crate) const TROUBLED: Duration = Duration::from_mins(12);
/// By then everything must have settled.
const SETTLED: Duration = Duration::from_hours(1);
/// Happenings of one run; more of them mean that something spins.
const HAPPENINGS_MAX: u64 = 200_000;

/// Which faults a run has: each kind comes on top of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Faults {
    /// Connections break, calls fail, reports are lost or doubled.
    Cuts,
    /// Processes die, or are restarted in order.
    Deaths,
    /// Contents that the program refuses, or dies of.
    BadContents,
    /// Processes of the service die, also between what they keep and what they tell; older copies of their store are put
    /// back; instances come back without a disk; networks part; clocks step.
    Services,
    /// Replicas lose their store.
    LostStores,
}

/// How contents are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each at once, by two replicas with a store each.
    AtOnce,
    /// In stages and phases, by one service.
    Rollouts,
}

/// Ways to build the service wrong, each of which a law must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// None.
    Nothing,
    /// It tells before it has kept.
    TellsBeforeItKeeps,
    /// It goes on from an older copy as if nothing had been decided since.
    GoesOnFromACopy,
    /// One instance that is ready is enough.
    OneIsEnough,
    /// A rollback may bring whatever was admitted.
    GoesAnywhere,
}

impl Manner {
    fn instances(self) -> usize {
        match self {
            Self::AtOnce => 3,
            Self::Rollouts => 6,
        }
    }

    fn replicas(self) -> usize {
        match self {
            Self::AtOnce => 2,
            Self::Rollouts => 1,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Happening {
    /// A replica hears of a commit.
    Heard { replica: usize, at: usize },
    /// The driver of a replica looks at what moves.
    Look { replica: usize, process: u64 },
    /// What it planned reaches the pipeline.
    Steps {
        replica: usize,
        process: u64,
        planned: Planned,
    },
    /// A person orders something of what moves.
    Order { replica: usize },
    /// A person lets come again what was left.
    Release { replica: usize },
    /// A person goes back to whatever commit.
    RollBack { replica: usize },
    /// The process of a replica dies.
    Crash { replica: usize },
    /// A copy of its store is made.
    BackUp { replica: usize },
    /// The copy is put back.
    Restore { replica: usize },
    /// Nothing reaches an instance for a while.
    Part { instance: usize },
    /// A process dies and its disk with it.
    LoseDisk { instance: usize },
    /// The clock on the wall of an instance or of the service is another one.
    ClockStep { node: usize, skew_ms: i64 },
    /// A replica loses what it had decided.
    LoseStore { replica: usize },
    /// A process begins.
    Boot { instance: usize },
    /// Whatever process there is dies.
    Death { instance: usize },
    /// Whatever process there is ends in order.
    Stop { instance: usize },
    /// A person has what was refused tried again.
    Retry { instance: usize },
    /// A connection breaks, at once or without a word.
    Cut { instance: usize },
    /// A connection reaches its replica.
    Arrive {
        instance: usize,
        connection: u64,
        replica: usize,
        held: Option<Token>,
    },
    /// A report reaches a replica.
    Report {
        instance: usize,
        life: u64,
        replica: usize,
        report: InstanceReport,
    },
    /// Something reaches one process; nothing, if it is no longer there.
    Process { instance: usize, life: u64, what: What },
}

#[derive(Debug)]
pub(crate) enum What {
    Connect,
    Dies,
    Tick,
    Told { connection: u64, directive: Directive },
    Answer(ReportAnswer),
    Event(Event),
    Activated(Attempt, Target, ValueSource),
    Saved(SaveId, SavedState),
}

pub(crate) struct World {
    jitter: Jitter,
    pub(crate) faults: Faults,
    pub(crate) now: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    count: u64,
    pub(crate) story: Story,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) instances: Vec<Instance>,
    /// Until when nothing reaches an instance.
    apart: Vec<Duration>,
    pub(crate) laws: Laws,
    pub(crate) manner: Manner,
    /// What is built wrong.
    pub(crate) wrong: Wrong,
    /// What was decided, in words that no clock is in.
    trace: Vec<String>,
    /// A single seed is replayed: every happening is printed.
    traced: bool,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, manner: Manner) -> Self {
        let mut jitter = Jitter::seeded(seed);
        let story = Story::tell(&mut jitter, COMMITS, faults, manner);
        let instances = manner.instances();
        Self {
            jitter,
            faults,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            story,
            replicas: (0..manner.replicas()).map(|_| Replica::default()).collect(),
            instances: (0..instances)
                .map(|number| Instance::new(number, manner))
                .collect(),
            apart: vec![Duration::ZERO; instances],
            laws: Laws::new(manner),
            manner,
            wrong: Wrong::Nothing,
            trace: Vec::new(),
            traced: std::env::var_os("HEADWATER_SEED").is_some(),
        }
    }

    /// The same world, built wrong.
    pub(crate) fn with(mut self, wrong: Wrong) -> Self {
        self.wrong = wrong;
        self
    }

    /// The same world with other clocks on its walls: days off, and no two alike.
    pub(crate) fn with_wrong_clocks(mut self) -> Self {
        const DAY_MS: i64 = 86_400_000;
        for (number, instance) in self.instances.iter_mut().enumerate() {
            instance.skew_ms = if number % 2 == 0 { DAY_MS } else { -DAY_MS };
        }
        for replica in &mut self.replicas {
            replica.skew_ms = DAY_MS;
        }
        self
    }

    /// Runs to the end, and says what was decided.
    pub(crate) fn run(mut self) -> Vec<String> {
        self.plan();
        let mut done = 0;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > SETTLED {
                break;
            }
            done += 1;
            assert!(done < HAPPENINGS_MAX, "something spins at {at:?}");
            self.now = at;
            let happening = self.happenings.remove(&number).unwrap();
            if self.traced {
                println!("{at:?} {happening:?}");
            }
            self.happen(happening);
        }
        self.check_quiet();
        for instance in &self.instances {
            instance.check_settled(&self.story, &self.wanted(instance.name.number));
        }
        self.check_fleet();
        self.trace
    }

    /// The document that an instance should have in the end.
    pub(crate) fn wanted(&self, instance: usize) -> Digest {
        let name = &self.instances[instance].name;
        let replica = &self.replicas[self.instances[instance].replica];
        let told = told(&replica.state, name).unwrap();
        self.story.digest(place(&told.target.version), name.variant)
    }

    pub(crate) fn trace(&mut self, text: String) {
        if self.traced {
            println!("---- {text}");
        }
        self.trace.push(text);
    }

    /// Commits and faults, all at random moments of the troubled time.
    fn plan(&mut self) {
        for instance in 0..self.instances.len() {
            let at = self.within(Duration::from_mins(1));
            self.at(at, Happening::Boot { instance });
            // An operator looks after the trouble, and has everything tried again that was refused: what two random
            // deaths had made suspicious must run then.
            self.at(TROUBLED + Duration::from_mins(5), Happening::Retry { instance });
        }
        let mut moments: Vec<Duration> = (0..COMMITS).map(|_| self.within(TROUBLED)).collect();
        moments.sort();
        for (at, moment) in moments.into_iter().enumerate() {
            for replica in 0..self.replicas.len() {
                let lag = self.within(Duration::from_secs(90));
                self.at(moment + lag, Happening::Heard { replica, at });
            }
        }
        self.plan_faults();
        if self.manner == Manner::Rollouts {
            self.look_soon(0);
            self.strike(3, |_| Happening::Order { replica: 0 });
            self.strike(2, |_| Happening::Release { replica: 0 });
            self.strike(2, |_| Happening::RollBack { replica: 0 });
        }
    }

    fn plan_faults(&mut self) {
        self.strike(12, |instance| Happening::Cut { instance });
        if self.faults >= Faults::Deaths {
            self.strike(8, |instance| Happening::Death { instance });
            self.strike(4, |instance| Happening::Stop { instance });
        }
        let replicas = self.replicas.len();
        if self.faults >= Faults::Services && self.manner == Manner::Rollouts {
            self.strike(2, |number| Happening::Crash {
                replica: number % replicas,
            });
            self.strike(4, |instance| Happening::Part { instance });
            self.strike(2, |instance| Happening::LoseDisk { instance });
            for skew_ms in [86_400_000, -86_400_000, 0, 86_400_000] {
                self.strike(2, |node| Happening::ClockStep { node, skew_ms });
            }
            self.strike(2, |_| Happening::BackUp { replica: 0 });
            self.strike(1, |_| Happening::Restore { replica: 0 });
        }
        if self.faults >= Faults::LostStores {
            self.strike(3, |number| Happening::LoseStore {
                replica: number % replicas,
            });
        }
    }

    fn strike(&mut self, times: usize, fault: impl Fn(usize) -> Happening) {
        for _ in 0..times {
            let (at, number) = (self.within(TROUBLED), self.below(self.instances.len()));
            self.at(at, fault(number));
        }
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Heard { replica, at } => self.hear_of(replica, at),
            Happening::Look { replica, process } => self.look(replica, process),
            Happening::Steps {
                replica,
                process,
                planned,
            } => self.take_steps(replica, process, planned),
            Happening::Order { replica } => self.order_something(replica),
            Happening::Release { replica } => self.release(replica),
            Happening::RollBack { replica } => self.roll_back(replica),
            Happening::Crash { replica } => self.crash(replica),
            Happening::BackUp { replica } => self.replicas[replica].back_up(),
            Happening::Restore { replica } => self.restore(replica),
            Happening::Part { instance } => {
                self.apart[instance] = self.now + self.within(Duration::from_mins(7));
                self.cut(instance);
            }
            Happening::LoseDisk { instance } => {
                self.instances[instance].lose_disk();
                self.die(instance);
            }
            Happening::ClockStep { node, skew_ms } => match self.instances.get_mut(node) {
                Some(instance) if node > 0 => instance.skew_ms = skew_ms,
                Some(_) | None => self.replicas[0].skew_ms = skew_ms,
            },
            Happening::LoseStore { replica } => self.lose_store(replica),
            Happening::Boot { instance } => self.boot(instance),
            Happening::Death { instance } => self.die(instance),
            Happening::Stop { instance } => self.stop(instance),
            Happening::Retry { instance } => {
                self.instances[instance].forgive();
                self.event(instance, Event::Retry(config()));
            }
            Happening::Cut { instance } => self.cut(instance),
            Happening::Arrive {
                instance,
                connection,
                replica,
                held,
            } => self.arrive(instance, connection, replica, held),
            Happening::Report {
                instance,
                life,
                replica,
                report,
            } => self.report(instance, life, replica, &report),
            Happening::Process { instance, life, what } => {
                let current = &self.instances[instance];
                if current.life == life && current.engine.is_some() {
                    self.process(instance, what);
                }
            }
        }
    }

    fn process(&mut self, instance: usize, what: What) {
        match what {
            What::Connect => self.connect(instance),
            What::Dies => {
                self.instances[instance].dies_of_it();
                self.die(instance);
            }
            What::Tick => self.event(instance, Event::Tick),
            What::Told {
                connection,
                directive,
            } => {
                if self.instances[instance].connection == connection {
                    self.instances[instance].was_told = true;
                    self.event(instance, Event::Told(directive));
                }
            }
            What::Answer(answer) => self.event(instance, Event::Reported(answer)),
            What::Event(event) => self.event(instance, event),
            What::Activated(attempt, target, source) => {
                self.switch(instance, target, source);
                let (config, outcome) = (config(), Ok(()));
                self.event(
                    instance,
                    Event::Activated {
                        config,
                        attempt,
                        outcome,
                    },
                );
            }
            What::Saved(id, state) => {
                let now = self.now;
                self.laws.saved(&self.instances[instance].name, &state);
                self.instances[instance].save(state, now);
                self.event(instance, Event::Saved { config: config(), id });
            }
        }
    }

    // ---- processes ----

    fn boot(&mut self, instance: usize) {
        if self.instances[instance].engine.is_some() {
            return;
        }
        let seed = self.below(1 << 30) as u64;
        let opened = self.instances[instance].boot(seed, self.now);
        self.event(instance, opened);
        self.soon(instance, What::Connect);
    }

    pub(crate) fn die(&mut self, instance: usize) {
        self.instances[instance].die();
        let again = self.now + Duration::from_secs(1) + self.within(Duration::from_secs(10));
        self.at(again, Happening::Boot { instance });
    }

    /// Ends in order: what is unwritten is written first.
    fn stop(&mut self, instance: usize) {
        let now = self.now;
        let current = &mut self.instances[instance];
        if let Some(engine) = &mut current.engine {
            let actions = engine.on_event(Event::Stopping, now);
            for action in actions {
                if let Action::Save { state, .. } = action {
                    current.save(state, now);
                }
            }
        }
        self.die(instance);
    }

    fn switch(&mut self, instance: usize, target: Target, source: ValueSource) {
        let deadly = self.story.nature_of(&target.digest, instance) == Nature::Deadly;
        self.laws.switched(&self.instances[instance].name, &target);
        let now = self.now;
        self.instances[instance].switch(&self.story, target, source, now);
        if deadly {
            let life = self.instances[instance].life;
            let what = What::Dies;
            self.at(
                now + Duration::from_secs(3),
                Happening::Process { instance, life, what },
            );
        }
    }

    /// One event, and what the engine makes of it.
    pub(crate) fn event(&mut self, instance: usize, event: Event) {
        let (now, life) = (self.now, self.instances[instance].life);
        let Some(engine) = self.instances[instance].engine.as_mut() else {
            return;
        };
        let actions = engine.on_event(event, now);
        let deadline = engine.deadline();
        self.instances[instance].check_fence();
        for action in actions {
            self.perform(instance, action);
        }
        let Some(at) = deadline.map(|at| at.max(now + Duration::from_millis(1))) else {
            return;
        };
        // A tick that is due before will look again.
        let planned = &mut self.instances[instance].tick_at;
        if planned.is_none_or(|planned| at < planned || planned <= now) {
            *planned = Some(at);
            let what = What::Tick;
            self.at(at, Happening::Process { instance, life, what });
        }
    }

    fn perform(&mut self, instance: usize, action: Action) {
        match action {
            Action::Fetch {
                config,
                attempt,
                target,
            } => self.fetch(instance, config, attempt, &target),
            Action::Prepare {
                config,
                attempt,
                target,
                ..
            } => {
                let refused = self.story.nature_of(&target.digest, instance) == Nature::Refused;
                let outcome = if refused {
                    Err(fault(FailPhase::Validate))
                } else {
                    Ok(())
                };
                let event = Event::Prepared {
                    config,
                    attempt,
                    outcome,
                };
                self.soon(instance, What::Event(event));
            }
            Action::Activate {
                attempt,
                target,
                source,
                ..
            } => self.soon(instance, What::Activated(attempt, target, source)),
            Action::Save { id, state, .. } => self.soon(instance, What::Saved(id, state)),
            Action::Rename { target, .. } => {
                self.laws.runs(&self.instances[instance].name, &target);
                if let Some((running, _)) = &mut self.instances[instance].runs {
                    *running = target;
                }
            }
            Action::NoValue { .. } => {}
            Action::Report(report) => self.send_report(instance, &report),
        }
    }

    fn fetch(&mut self, instance: usize, config: ConfigName, attempt: Attempt, target: &Target) {
        // What is on disk is at hand.
        let disk = &self.instances[instance].disk;
        let kept = disk.digests().any(|digest| *digest == target.digest);
        let troubled = self.now < TROUBLED && !kept;
        let phase = match self.fraction() {
            fate if troubled && fate < 0.25 => Some(FailPhase::Fetch),
            fate if troubled && fate < 0.28 => Some(FailPhase::Verify),
            _ => None,
        };
        let event = Event::Fetched {
            config,
            attempt,
            outcome: phase.map_or(Ok(()), |phase| Err(fault(phase))),
        };
        self.soon(instance, What::Event(event));
    }

    /// Whether nothing reaches an instance now.
    pub(crate) fn is_apart(&self, instance: usize) -> bool {
        self.now < self.apart[instance].min(TROUBLED)
    }

    // ---- chance and time ----

    pub(crate) fn at(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.happenings.insert(self.count, happening);
        self.queue.push(Reverse((at, self.count)));
    }

    /// Reaches the process that there is now, after a while.
    pub(crate) fn soon(&mut self, instance: usize, what: What) {
        let at = self.now + self.latency();
        let life = self.instances[instance].life;
        self.at(at, Happening::Process { instance, life, what });
    }

    /// Mostly quick, sometimes seconds.
    pub(crate) fn latency(&mut self) -> Duration {
        let slow = self.now < TROUBLED && self.chance(0.1);
        self.within(if slow {
            Duration::from_secs(8)
        } else {
            Duration::from_millis(50)
        })
    }

    pub(crate) fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.fraction())
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        let number = self.within(Duration::from_millis(most as u64)).as_millis();
        usize::try_from(number).unwrap()
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    pub(crate) fn fraction(&mut self) -> f64 {
        self.jitter.fraction()
    }
}

fn fault(phase: FailPhase) -> ReportError {
    ReportError {
        phase,
        message: "simulated".to_owned(),
    }
}
