//! Between instances and replicas: connections, what is told on them, and reports.

use std::time::Duration;

use headwater_client::engine::{Directive, Event};
use headwater_core::Token;
use headwater_wire::{ChangeKind, InstanceReport, Timestamp};

use crate::instance::Instance;
use crate::replica::{Watcher, config};
use crate::story::place;
use crate::world::{COMMITS, Happening, INSTANCES, REPLICAS, TROUBLED, What, World};

/// A connection on which nothing arrives is given up after so long.
const WATCHDOG: Duration = Duration::from_secs(40);

impl World {
    pub(crate) fn connect(&mut self, instance: usize) {
        let replica = self.below(REPLICAS);
        let current = &mut self.instances[instance];
        let named = current
            .engine
            .as_ref()
            .and_then(|engine| engine.named().remove(&config()));
        let held = named.and_then(|token| Token::read(&token.to_string()));
        current.connection += 1;
        current.replica = replica;
        let connection = current.connection;
        self.event(instance, Event::Connected);
        let at = self.now + self.latency();
        self.at(
            at,
            Happening::Arrive {
                instance,
                connection,
                replica,
                held,
            },
        );
    }

    /// Registered and compared in one step, as the service does.
    pub(crate) fn arrive(&mut self, instance: usize, connection: u64, replica: usize, held: Option<Token>) {
        if self.instances[instance].connection != connection {
            return;
        }
        let watcher = Watcher {
            instance,
            connection,
            told: held,
            generation: None,
        };
        let watchers = &mut self.replicas[replica].watchers;
        watchers.retain(|watcher| watcher.instance != instance);
        watchers.push(watcher);
        self.wake(replica);
    }

    /// Everybody who watches a replica is compared with what it has now.
    pub(crate) fn wake(&mut self, replica: usize) {
        let here = &mut self.replicas[replica];
        let Some(target) = here.state.targets.get(&config()).cloned() else {
            return;
        };
        let current = self.story.token(place(&target.version));
        let mut told: Vec<(usize, u64, Directive)> = Vec::new();
        let mut still: Vec<(usize, Token)> = Vec::new();
        for index in 0..here.watchers.len() {
            let watcher = here.watchers[index].clone();
            here.watchers[index].generation = Some(target.generation);
            let same = watcher.told.as_ref() == Some(&current);
            let raised = watcher.generation.is_some_and(|told| target.generation > told);
            if let Some((token, directive)) = here.look(&self.story, watcher.told.as_ref(), COMMITS) {
                here.watchers[index].told = Some(token);
                told.push((watcher.instance, watcher.connection, directive));
            } else if same && raised {
                let directive = here.directive(&current, ChangeKind::Forward, &self.story);
                told.push((watcher.instance, watcher.connection, directive));
            } else if same && watcher.generation.is_none() {
                // The compare at the beginning of a connection answers 304.
                still.push((watcher.instance, current.clone()));
            }
        }
        for (instance, token) in still {
            let token = headwater_client::Token::new(&token.to_string());
            let event = Event::Current {
                config: config(),
                token,
            };
            self.soon(instance, What::Event(event));
        }
        for (instance, connection, directive) in told {
            self.deliver(instance, connection, directive);
        }
    }

    /// One connection keeps its order.
    fn deliver(&mut self, instance: usize, connection: u64, directive: Directive) {
        let arrival = self.now + self.latency();
        let current = &mut self.instances[instance];
        let at = arrival.max(current.last_arrival + Duration::from_millis(1));
        if connection == current.connection {
            current.last_arrival = at;
        }
        let life = current.life;
        let what = What::Told {
            connection,
            directive,
        };
        self.at(at, Happening::Process { instance, life, what });
    }

    /// Half of the connections break without a word: what is sent is lost, and the watchdog finds out.
    pub(crate) fn cut(&mut self, instance: usize) {
        let life = self.instances[instance].life;
        self.instances[instance].connection += 1;
        let pause = if self.chance(0.5) {
            WATCHDOG
        } else {
            for replica in &mut self.replicas {
                replica.watchers.retain(|watcher| watcher.instance != instance);
            }
            self.event(instance, Event::Offline);
            self.within(Duration::from_secs(5))
        };
        let what = What::Connect;
        self.at(self.now + pause, Happening::Process { instance, life, what });
    }

    /// The process of the replica ends with its store, and so do its connections.
    pub(crate) fn lose_store(&mut self, replica: usize) {
        self.replicas[replica].lose_store(&self.story);
        for instance in 0..INSTANCES {
            if self.instances[instance].replica == replica {
                self.cut(instance);
            }
        }
    }

    pub(crate) fn send_report(&mut self, instance: usize, report: &InstanceReport) {
        let (life, replica) = (self.instances[instance].life, self.instances[instance].replica);
        if self.now < TROUBLED && self.chance(0.2) {
            let what = What::Event(Event::ReportFailed { retry_after: None });
            let at = self.now + Duration::from_secs(10);
            self.at(at, Happening::Process { instance, life, what });
            return;
        }
        let copies = if self.chance(0.2) { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now + self.latency();
            let report = report.clone();
            self.at(
                at,
                Happening::Report {
                    instance,
                    life,
                    replica,
                    report,
                },
            );
        }
    }

    pub(crate) fn report(&mut self, instance: usize, life: u64, replica: usize, report: &InstanceReport) {
        let now = Timestamp(i64::try_from(self.now.as_millis()).unwrap());
        let id = self.instances[instance].id.clone();
        let answer = self.replicas[replica].report(&self.story, &id, report, (now, COMMITS));
        self.wake(replica);
        let at = self.now + self.latency();
        let what = What::Answer(answer);
        self.at(at, Happening::Process { instance, life, what });
    }

    /// What the service says of an instance is what the instance does.
    pub(crate) fn check_fleet(&self) {
        // Who dies all the time is known as it was in one of its lives.
        let alive = |instance: &&Instance| !instance.has_only_what_kills_it(&self.story);
        for instance in self.instances.iter().filter(alive) {
            let view = self.replicas[instance.replica].fleet.get(&instance.id);
            let Some(view) = view else {
                panic!("{}: its replica never heard of it", instance.id)
            };
            let report = view.report.configs.get(&config()).unwrap();
            let said = report.running.as_ref().map(|running| &running.digest);
            let runs = instance.runs.as_ref().map(|(target, _)| &target.digest);
            assert_eq!(said, runs, "{}: the service believes otherwise", instance.id);
        }
    }
}
