//! The task of a client: brings events to the engine, performs its actions, and brings back what became of them.
//!
//! Invariant: nothing is decided here. Every wait has a deadline of its own (calls, hooks, writes), so the loop always
//! comes round. What is deliberately absent: retries, which are the engine's.

mod jobs;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{ConfigName, Digest, InstanceId, RepoName, ReportAnswer, ReportError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cache::{Cache, CacheKey, Restored};
use crate::client::ClientStatus;
use crate::engine::{Action, Engine, Event, Moment, SaveId, Spare};
use crate::error::ApiError;
use crate::fetch::{self, Wanted};
use crate::open::OpenError;
use crate::query::Labels;
use crate::servers::Servers;
use crate::slot::Slot;
use crate::watch::{Transport, TransportChoice, Watch, WatchEvent};

/// Configs that are opened one after the other are watched by one stream: so long the first waits for the next.
const GATHER: Duration = Duration::from_millis(10);
/// Longest wait for the last write of a client that ends.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait for the service to hear that this life ends. It is a courtesy: without it the service finds out by silence.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);
/// Time in which a service that has lost count can learn of the fence and tell its word again. After that it is asked
/// anew, since it may believe that it was heard.
const AT_ODDS: Duration = Duration::from_secs(5);
/// Pause before a server that refused the whole request is asked again.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// What a client was set up with.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) servers: Servers,
    pub(crate) transport: TransportChoice,
    pub(crate) repo: RepoName,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) labels: Labels,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) seed: u64,
}

/// What the program wants.
#[derive(Debug)]
pub(crate) enum Command {
    /// A config.
    Open {
        config: ConfigName,
        slot: Arc<dyn Slot>,
        reply: oneshot::Sender<Result<(), OpenError>>,
    },
    /// A config no longer.
    Close(ConfigName),
    /// What was refused, once more.
    Retry(ConfigName),
    /// Its user died.
    Crashed(ConfigName),
    /// Its user is not well.
    Rejected(ConfigName, String),
    /// An end in order.
    Stop(oneshot::Sender<()>),
}

/// One open config.
#[derive(Debug)]
struct Entry {
    slot: Arc<dyn Slot>,
    cache: Option<Arc<Cache>>,
    /// Documents that are still needed.
    documents: BTreeMap<Digest, Arc<str>>,
    /// What is wrong with its cache.
    trouble: BTreeSet<String>,
}

impl Entry {
    fn document(&self, digest: &Digest) -> Result<Arc<str>, ReportError> {
        self.documents.get(digest).cloned().ok_or_else(fetch::gone)
    }
}

/// What a job brings back.
#[derive(Debug)]
enum Done {
    /// An event for the engine.
    Event(Event),
    /// A config's cache was opened.
    Opened(ConfigName, Option<(Cache, Restored)>),
    /// A document was fetched, or not.
    Fetched {
        wanted: Wanted,
        outcome: Result<Arc<str>, ReportError>,
    },
    /// A state was written, or not.
    Saved {
        config: ConfigName,
        id: SaveId,
        trouble: Option<String>,
    },
    /// A report was answered, or not.
    Reported(Result<ReportAnswer, ApiError>),
}

/// See the module.
pub(crate) struct Driver {
    place: Place,
    engine: Engine,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Arc<ClientStatus>>,
    entries: BTreeMap<ConfigName, Entry>,
    watch: Option<Watch>,
    /// When the set of watched configs has settled and the watch is to be begun anew.
    watch_at: Option<Instant>,
    /// When a word that was refused is asked for again.
    odds_at: Option<Instant>,
    jobs: JoinSet<Done>,
    transport: Option<Transport>,
    error: Option<String>,
    /// What is wrong with the note of earlier lives.
    trouble: BTreeSet<String>,
}

impl Driver {
    pub(crate) fn new(
        place: Place,
        engine: Engine,
        commands: mpsc::Receiver<Command>,
        status: watch::Sender<Arc<ClientStatus>>,
    ) -> Self {
        let trouble = status.borrow().trouble.clone();
        Self {
            place,
            engine,
            started: Instant::now(),
            commands,
            status,
            entries: BTreeMap::new(),
            watch: None,
            watch_at: None,
            odds_at: None,
            jobs: JoinSet::new(),
            transport: None,
            error: None,
            trouble,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let deadline = self.engine.deadline().map(|at| self.started + at);
            let timer = [deadline, self.watch_at, self.odds_at]
                .into_iter()
                .flatten()
                .min();
            // Cancel-safe: a mailbox, a watch and a set of jobs lose nothing when they are not waited for to the end.
            tokio::select! {
                command = self.commands.recv() => match command {
                    None => return self.stop(None).await,
                    Some(Command::Stop(reply)) => return self.stop(Some(reply)).await,
                    Some(command) => self.command(command),
                },
                event = next_of(self.watch.as_mut()) => self.heard(event),
                Some(done) = self.jobs.join_next() => {
                    // A job neither panics nor is aborted while the driver runs.
                    if let Ok(done) = done { self.done(done) }
                }
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => self.tick(),
            }
        }
    }

    /// Writes what is unwritten, says that this life ends, and leaves.
    async fn stop(mut self, reply: Option<oneshot::Sender<()>>) {
        self.watch = None;
        self.event(Event::Stopping);
        let until = Instant::now() + STOP_DEADLINE;
        while !self.engine.is_settled() {
            let joined = tokio::time::timeout_at(until, self.jobs.join_next()).await;
            match joined {
                Ok(Some(Ok(done @ Done::Saved { .. }))) => self.done(done),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.farewell().await;
        if let Some(reply) = reply {
            // Who asked may not wait any more.
            reply.send(()).ok();
        }
    }

    /// Says that this life ends, so that the next one is not taken for a restart after a crash.
    async fn farewell(&self) {
        let Some((instance, life)) = self.place.instance.as_ref().zip(self.engine.missed()) else {
            return;
        };
        let server = self.place.servers.current();
        // Whether it is heard or not, this is the end.
        tokio::time::timeout(FAREWELL_DEADLINE, server.leave(instance, life))
            .await
            .ok();
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Open { config, slot, reply } => {
                let opened = self.open(config, slot);
                // Who asked may not wait any more.
                reply.send(opened).ok();
            }
            Command::Close(config) => {
                self.entries.remove(&config);
                self.event(Event::Closed(config));
                self.watch_at = Some(Instant::now() + GATHER);
            }
            Command::Retry(config) => self.event(Event::Retry(config)),
            Command::Crashed(config) => self.event(Event::Crashed(config)),
            Command::Rejected(config, message) => self.event(Event::Rejected { config, message }),
            // Taken by the loop.
            Command::Stop(_) => {}
        }
    }

    fn open(&mut self, config: ConfigName, slot: Arc<dyn Slot>) -> Result<(), OpenError> {
        if self.entries.contains_key(&config) {
            return Err(OpenError::AlreadyOpen(config));
        }
        let entry = Entry {
            slot,
            cache: None,
            documents: BTreeMap::new(),
            trouble: BTreeSet::new(),
        };
        self.entries.insert(config.clone(), entry);
        let Some(dir) = self.place.cache_dir.clone() else {
            self.done(Done::Opened(config, None));
            return Ok(());
        };
        let key = CacheKey {
            server: self.place.servers.first().server(),
            repo: self.place.repo.clone(),
            config: config.clone(),
            instance: self.place.instance.clone(),
        };
        self.blocking(move || Done::Opened(config, Some(Cache::open(&dir, key))));
        Ok(())
    }

    fn tick(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if due(self.watch_at) || due(self.odds_at) {
            self.watch_at = None;
            self.odds_at = self.odds_at.map(|_| Instant::now() + AT_ODDS);
            self.begin_watch();
        }
        self.event(Event::Tick);
    }

    /// One event and all that follows from it at once.
    fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now: Moment = self.started.elapsed();
            for action in self.engine.on_event(event, now) {
                events.extend(self.perform(action));
            }
        }
        for (config, entry) in &mut self.entries {
            entry
                .documents
                .retain(|digest, _| self.engine.needs(config, digest));
        }
        self.odds_at = match self.odds_at {
            _ if !self.engine.is_at_odds() => None,
            None => Some(Instant::now() + AT_ODDS),
            waiting => waiting,
        };
        self.publish();
    }

    /// Performs one action; what is known at once comes back at once.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Fetch {
                config,
                attempt,
                target,
            } => self.fetch(config, attempt, target),
            Action::Prepare {
                config,
                attempt,
                target,
                source,
            } => self.prepare(config, attempt, target, source),
            Action::Activate {
                config,
                attempt,
                target,
                source,
            } => self.activate(config, attempt, target, source),
            Action::Rename { config, target } => {
                self.entries.get(&config)?.slot.rename(&target);
                None
            }
            Action::Save { config, id, state } => self.save(config, id, state),
            Action::NoValue { config, why } => {
                let detail = self.error.clone();
                let fallback = self.entries.get(&config)?.slot.no_value(why, detail);
                (fallback == Spare::Default).then_some(Event::Defaulted(config))
            }
            Action::Report(report) => {
                let reporting = match &self.watch {
                    Some(watch) => watch.report(report),
                    None => return Some(Event::ReportFailed { retry_after: None }),
                };
                self.jobs.spawn(async move { Done::Reported(reporting.await) });
                None
            }
        }
    }

    fn publish(&self) {
        let troubles = self
            .entries
            .values()
            .flat_map(|entry| entry.trouble.iter().cloned())
            .collect();
        let status = ClientStatus {
            transport: self.transport,
            error: self.error.clone(),
            configs: self.engine.standing(),
            trouble: self.trouble.union(&troubles).cloned().collect(),
            superseded: self.engine.is_superseded(),
        };
        self.status.send_if_modified(|current| {
            let changed = **current != status;
            if changed {
                *current = Arc::new(status);
            }
            changed
        });
    }
}

async fn next_of(watch: Option<&mut Watch>) -> Option<WatchEvent> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
