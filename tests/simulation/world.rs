//! What happens when: one queue of happenings in the order of their time, drawn from one seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use headwater_client::Jitter;
use headwater_client::engine::{Action, Attempt, Directive, Event, SaveId, SavedState, Target};
use headwater_core::Token;
use headwater_wire::{ConfigName, FailPhase, InstanceReport, ReportAnswer, ReportError, ValueSource};

use crate::instance::Instance;
use crate::replica::{Replica, config};
use crate::story::{Nature, Story};

pub(crate) const INSTANCES: usize = 3;
pub(crate) const REPLICAS: usize = 2;
pub(crate) const COMMITS: usize = 14;
/// Faults and commits end then.
pub(crate) const TROUBLED: Duration = Duration::from_mins(12);
/// By then everything must have settled.
const SETTLED: Duration = Duration::from_mins(40);
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
    /// Replicas lose their store.
    LostStores,
}

#[derive(Debug)]
pub(crate) enum Happening {
    /// A replica hears of a commit.
    Heard { replica: usize, at: usize },
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
    /// A single seed is replayed: every happening is printed.
    traced: bool,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut jitter = Jitter::seeded(seed);
        let story = Story::tell(&mut jitter, COMMITS, faults);
        Self {
            jitter,
            faults,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            story,
            replicas: (0..REPLICAS).map(|_| Replica::new()).collect(),
            instances: (0..INSTANCES).map(Instance::new).collect(),
            traced: std::env::var_os("HEADWATER_SEED").is_some(),
        }
    }

    pub(crate) fn run(mut self) {
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
        for instance in &self.instances {
            instance.check_settled(&self.story);
        }
        self.check_fleet();
    }

    /// Commits and faults, all at random moments of the troubled time.
    fn plan(&mut self) {
        for instance in 0..INSTANCES {
            let at = self.within(Duration::from_mins(1));
            self.at(at, Happening::Boot { instance });
            // An operator looks after the trouble, and has everything tried again that was refused: what two random
            // deaths had made suspicious must run then.
            self.at(TROUBLED + Duration::from_mins(5), Happening::Retry { instance });
        }
        let mut moments: Vec<Duration> = (0..COMMITS).map(|_| self.within(TROUBLED)).collect();
        moments.sort();
        for (at, moment) in moments.into_iter().enumerate() {
            for replica in 0..REPLICAS {
                let lag = self.within(Duration::from_secs(90));
                self.at(moment + lag, Happening::Heard { replica, at });
            }
        }
        self.strike(12, |instance| Happening::Cut { instance });
        if self.faults >= Faults::Deaths {
            self.strike(8, |instance| Happening::Death { instance });
            self.strike(4, |instance| Happening::Stop { instance });
        }
        if self.faults >= Faults::LostStores {
            self.strike(3, |number| Happening::LoseStore {
                replica: number % REPLICAS,
            });
        }
    }

    fn strike(&mut self, times: usize, fault: impl Fn(usize) -> Happening) {
        for _ in 0..times {
            let (at, number) = (self.within(TROUBLED), self.below(INSTANCES));
            self.at(at, fault(number));
        }
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Heard { replica, at } => {
                if at >= self.replicas[replica].admitted {
                    self.replicas[replica].admit(&self.story, at);
                    self.wake(replica);
                }
            }
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
        let opened = self.instances[instance].boot(seed);
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
        let deadly = self.story.nature_of(&target.digest) == Nature::Deadly;
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
                let refused = self.story.nature_of(&target.digest) == Nature::Refused;
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

    fn fraction(&mut self) -> f64 {
        self.jitter.fraction()
    }
}

fn fault(phase: FailPhase) -> ReportError {
    ReportError {
        phase,
        message: "simulated".to_owned(),
    }
}
