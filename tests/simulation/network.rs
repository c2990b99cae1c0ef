//! Between instances and replicas: connections, what is told on them, and reports.

use std::time::Duration;

use headwater_client::engine::{Directive, Event};
use headwater_core::{RepoState, Token};
use headwater_wire::{ChangeKind, InstanceReport};

use crate::instance::Instance;
use crate::replica::{Told, Watcher, config, told};
use crate::world::{Happening, TROUBLED, What, World};

/// A connection on which nothing arrives is given up after so long.
const WATCHDOG: Duration = Duration::from_secs(40);

impl World {
    pub(crate) fn connect(&mut self, instance: usize) {
        if self.is_apart(instance) {
            self.event(instance, Event::Offline);
            let life = self.instances[instance].life;
            let (at, what) = (self.now + Duration::from_secs(10), What::Connect);
            self.at(at, Happening::Process { instance, life, what });
            return;
        }
        let replica = self.below(self.replicas.len());
        let current = &mut self.instances[instance];
        let named = current
            .engine
            .as_ref()
            .and_then(|engine| engine.named().remove(&config()));
        if !current.was_told {
            current.check_cursor(named.as_ref());
        }
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
        self.tell(replica, |watcher| {
            watcher.connection == connection && watcher.instance == instance
        });
    }

    /// Whoever watches a replica is told what is news to him since `before`.
    pub(crate) fn wake(&mut self, replica: usize, before: &RepoState) {
        let after = &self.replicas[replica].state;
        let wakes = !tells_the_same(before, after);
        if wakes {
            self.tell(replica, |_| true);
            return;
        }
        for instance in &self.instances {
            // That a rollback's content came to the branch as another commit is news to nobody.
            let what = |told: Told| {
                let version = told.target.version;
                let came = after.stand_ins.of(&config(), &version).cloned();
                (came.unwrap_or(version), told.generation, told.phase)
            };
            assert_eq!(
                told(before, &instance.name).map(what),
                told(after, &instance.name).map(what),
                "I18 no-lost-wakeup: {} is not woken for what is news to it",
                instance.name.id
            );
        }
    }

    /// Those who watch a replica are compared with what it has now.
    fn tell(&mut self, replica: usize, whom: impl Fn(&Watcher) -> bool) {
        let here = &mut self.replicas[replica];
        let mut news: Vec<(usize, u64, Directive)> = Vec::new();
        let mut still: Vec<(usize, Token)> = Vec::new();
        for index in 0..here.watchers.len() {
            let watcher = here.watchers[index].clone();
            let name = &self.instances[watcher.instance].name;
            let Some(current) = told(&here.state, name).filter(|_| whom(&watcher)) else {
                continue;
            };
            here.watchers[index].generation = Some(current.generation);
            let token = current.token(&self.story, name.variant);
            let same = watcher.told.as_ref() == Some(&token);
            let raised = watcher
                .generation
                .is_some_and(|before| current.generation > before);
            let change = here.look(&self.story, name, watcher.told.as_ref());
            if let Some((current, change)) = change {
                here.watchers[index].told = Some(token);
                let word = current.word(&self.story, name.variant, change);
                news.push((watcher.instance, watcher.connection, word));
            } else if same && raised {
                let word = current.word(&self.story, name.variant, ChangeKind::Rerender);
                news.push((watcher.instance, watcher.connection, word));
            } else if same && watcher.generation.is_none() {
                // The compare at the beginning of a connection answers 304.
                still.push((watcher.instance, token));
            } else {
                continue;
            }
            here.fleet.told(&name.id, &config(), current.generation);
        }
        for (instance, token) in still {
            let token = headwater_client::Token::new(&token.to_string());
            let event = Event::Current {
                config: config(),
                token,
            };
            self.soon(instance, What::Event(event));
        }
        for (instance, connection, word) in news {
            self.laws.told(&self.instances[instance].name, &word);
            self.deliver(instance, connection, word);
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

    /// The connections to a replica end.
    pub(crate) fn cut_all(&mut self, replica: usize) {
        for instance in 0..self.instances.len() {
            if self.instances[instance].replica == replica {
                self.cut(instance);
            }
        }
    }

    pub(crate) fn send_report(&mut self, instance: usize, report: &InstanceReport) {
        let (life, replica) = (self.instances[instance].life, self.instances[instance].replica);
        self.instances[instance].check_report(report);
        if self.is_apart(instance) || self.now < TROUBLED && self.chance(0.2) {
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
        let name = self.instances[instance].name.clone();
        let mut answer = self.replicas[replica].take(&name, report, self.now);
        if let Some(raise) = self.replicas[replica].raise(&name, report) {
            self.decide(replica, |state| state.apply(raise).is_ok());
        }
        let assigned = self.replicas[replica].assign(&self.story, &name, report);
        answer.assignments.extend(assigned);
        let at = self.now + self.latency();
        let what = What::Answer(answer);
        self.at(at, Happening::Process { instance, life, what });
    }

    /// What the service says of an instance is what the instance does.
    pub(crate) fn check_fleet(&self) {
        // Who dies all the time is known as it was in one of its lives.
        let alive = |instance: &&Instance| {
            !instance.has_only_what_kills_it(&self.story, &self.wanted(instance.name.number))
        };
        for instance in self.instances.iter().filter(alive) {
            let view = self.replicas[instance.replica].fleet.get(&instance.name.id);
            let Some(view) = view else {
                panic!("{}: its replica never heard of it", instance.name.id)
            };
            let report = view.report.configs.get(&config()).unwrap();
            let said = report.running.as_ref().map(|running| &running.digest);
            let runs = instance.runs.as_ref().map(|(target, _)| &target.digest);
            assert_eq!(said, runs, "{}: the service believes otherwise", instance.name.id);
        }
    }
}

/// Whether nobody has anything to hear that he did not hear before, as the board of the service asks it.
fn tells_the_same(before: &RepoState, after: &RepoState) -> bool {
    let stable = |state: &RepoState| {
        let target = state.targets.get(&config())?;
        Some((target.generation, target.content.documents.clone()))
    };
    stable(before) == stable(after)
        && match (before.moving_of(&config()), after.moving_of(&config())) {
            (Some(old), Some(new)) => old.tells_the_same(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
}
