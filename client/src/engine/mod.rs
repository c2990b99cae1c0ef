//! The engine: every decision of a client, and nothing that waits, reads or writes.
//!
//! `on_event(event, now)` gives the actions to perform; what becomes of them comes back as events. Equal events at
//! equal times give equal actions, so the whole client can be simulated by seed. What is deliberately absent: content
//! (the engine knows digests), clocks, sockets, files and the program's types.

mod durable;
mod holding;
mod refusals;
mod reporter;
mod saved;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_wire::{
    ConfigName, ConfigReport, Digest, InstanceReport, ReportAnswer, ReportError, ValueSource,
};

pub use durable::SaveId;
pub use saved::{SavedState, Trial};
pub use target::{Directive, Fence, Target};

use crate::answer::Token;
use crate::backoff::Jitter;
use holding::Holding;
use reporter::Reporter;

/// A point in time: how long ago the engine was made. Monotonic, and the same on no two machines.
pub type Moment = Duration;

/// Names one try, so that the outcome of a try that was given up is not taken for that of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// The numbers that rule a config.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How long content must run before it counts as good.
    pub probation: Duration,
    /// Lives that may begin to run content on probation before it is refused.
    pub starts_max: u32,
    /// Documents that are not what their digest says before the content is refused.
    pub verify_attempts_max: u32,
    /// How long a start waits for the server before it takes what an earlier life left.
    pub patience: Duration,
    /// What tells that the program died.
    pub sign: CrashSign,
    /// Whether the instance reports, which is how a service that lost count learns of the fence.
    pub reports: bool,
}

/// What tells that the program died while content was on probation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CrashSign {
    /// It begins again without having stopped in order.
    #[default]
    Restart,
    /// Somebody says so: what runs the program is not the program, as with an agent, whose own end says nothing.
    Word,
}

/// What a config falls back to when nothing else is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// The program's own default.
    Default,
    /// Nothing.
    Nothing,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            probation: Duration::from_mins(1),
            starts_max: 2,
            verify_attempts_max: 3,
            patience: Duration::from_secs(5),
            sign: CrashSign::Restart,
            reports: true,
        }
    }
}

/// Who reports.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Greater than that of every earlier life of this instance.
    pub incarnation: u64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Name and release of the program.
    pub client: String,
}

/// Why there is no value to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoValue {
    /// The server was not reached, or did not deliver, and nothing usable is on disk.
    Unreachable,
    /// The server has no such config.
    NotFound,
    /// The server was reached and says no.
    Denied,
    /// What the server has was refused, and nothing usable is on disk.
    Refused(ReportError),
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The program wants a config; this is what the disk has of it.
    Opened {
        /// Config.
        config: ConfigName,
        /// State of earlier lives.
        saved: SavedState,
        /// What is left if nothing else is.
        spare: Spare,
    },
    /// The program no longer wants it.
    Closed(ConfigName),
    /// The server says what to hold.
    Told(Directive),
    /// The server says that a token still holds.
    Current {
        /// Config.
        config: ConfigName,
        /// The token.
        token: Token,
    },
    /// The server has no such config.
    Removed(ConfigName),
    /// The server was reached and says no: it does not hand out the config, or not to us.
    Denied(ConfigName),
    /// A connection to the server began.
    Connected,
    /// No server was reached.
    Offline,
    /// A document was fetched and verified, or not.
    Fetched {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// What became of it.
        outcome: Result<(), ReportError>,
    },
    /// A document was decoded, checked and prepared for, or not.
    Prepared {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// What became of it.
        outcome: Result<(), ReportError>,
    },
    /// The program switched, or did not and runs what it ran before.
    Activated {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// What became of it.
        outcome: Result<(), ReportError>,
    },
    /// A state is on disk, or could not be written, which stops nothing: the program serves, only not over a restart.
    Saved {
        /// Config.
        config: ConfigName,
        /// Its number.
        id: SaveId,
    },
    /// The program runs a value of its own.
    Defaulted(ConfigName),
    /// The program died and will be started again.
    Crashed(ConfigName),
    /// The program is not well with what it runs.
    Rejected {
        /// Config.
        config: ConfigName,
        /// Why, for a person.
        message: String,
    },
    /// A person wants what was refused to be tried again.
    Retry(ConfigName),
    /// A report was answered.
    Reported(ReportAnswer),
    /// A report was not answered.
    ReportFailed {
        /// When the server said to come back.
        retry_after: Option<Duration>,
    },
    /// The program ends in order.
    Stopping,
    /// The deadline passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Get the document of a content, and verify its digest.
    Fetch {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// Content.
        target: Target,
    },
    /// Decode, check and get ready for it.
    Prepare {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// Content.
        target: Target,
        /// Where it came from.
        source: ValueSource,
    },
    /// Switch to it.
    Activate {
        /// Config.
        config: ConfigName,
        /// Try.
        attempt: Attempt,
        /// Content.
        target: Target,
        /// Where it came from.
        source: ValueSource,
    },
    /// What runs goes by another name now.
    Rename {
        /// Config.
        config: ConfigName,
        /// The name.
        target: Target,
    },
    /// Write this state, and the documents it names, to disk.
    Save {
        /// Config.
        config: ConfigName,
        /// Its number.
        id: SaveId,
        /// The state.
        state: SavedState,
    },
    /// There is no value to begin with.
    NoValue {
        /// Config.
        config: ConfigName,
        /// Why.
        why: NoValue,
    },
    /// Tell the server.
    Report(InstanceReport),
}

/// All configs of one instance.
#[derive(Debug)]
pub struct Engine {
    rules: Rules,
    configs: BTreeMap<ConfigName, Holding>,
    reporter: Option<Reporter>,
    jitter: Jitter,
}

impl Engine {
    /// An engine that reports as `identity`, or does not report.
    pub fn new(mut rules: Rules, identity: Option<Identity>, seed: u64) -> Self {
        rules.reports = identity.is_some();
        Self {
            rules,
            configs: BTreeMap::new(),
            reporter: identity.map(|identity| Reporter::new(identity, seed)),
            jitter: Jitter::seeded(seed.wrapping_add(1)),
        }
    }

    /// Takes one event and says what is to be done, in this order.
    pub fn on_event(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut out = Vec::new();
        self.take(event, now, &mut out);
        if let Some(reporter) = &mut self.reporter {
            let configs = reports(&self.configs);
            out.extend(reporter.due(&configs, now).map(Action::Report));
        }
        out
    }

    fn take(&mut self, event: Event, now: Moment, out: &mut Vec<Action>) {
        match event {
            Event::Opened { config, saved, spare } => {
                let jitter = self.jitter.split();
                let holding = Holding::open(config.clone(), (saved, spare), self.rules, jitter, now);
                let holding = self.configs.entry(config).insert_entry(holding).into_mut();
                holding.tick(now, out);
            }
            Event::Closed(config) => {
                self.configs.remove(&config);
            }
            Event::Told(directive) => {
                if let Some(holding) = self.configs.get_mut(&directive.config) {
                    holding.told(directive, now, out);
                }
            }
            Event::Current { config, token } => self.with(&config, |h| h.current(&token, now, out)),
            Event::Removed(config) => self.with(&config, |h| h.removed(now, out)),
            Event::Denied(config) => self.with(&config, |h| h.denied(now, out)),
            Event::Connected => self.configs.values_mut().for_each(Holding::connected),
            Event::Offline => self.each(|h| h.offline(now, out)),
            Event::Fetched {
                config,
                attempt,
                outcome,
            } => self.with(&config, |h| h.fetched(attempt, outcome, now, out)),
            Event::Prepared {
                config,
                attempt,
                outcome,
            } => self.with(&config, |h| h.prepared(attempt, outcome, now, out)),
            Event::Activated {
                config,
                attempt,
                outcome,
            } => self.with(&config, |h| h.activated(attempt, outcome, now, out)),
            Event::Saved { config, id } => self.with(&config, |h| h.saved(id, now, out)),
            Event::Defaulted(config) => self.with(&config, Holding::defaulted),
            Event::Crashed(config) => self.with(&config, |h| h.crashed(now, out)),
            Event::Rejected { config, message } => self.with(&config, |h| h.rejected(message, now, out)),
            Event::Retry(config) => self.with(&config, |h| h.retry(now, out)),
            // Its assignments are for programs that only report. What a watch tells follows from what was named on its
            // connection; a second source beside it could take the instance back.
            Event::Reported(answer) => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.answered(&answer, now);
                }
            }
            Event::ReportFailed { retry_after } => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.failed(retry_after, now);
                }
            }
            Event::Stopping => self.each(|h| h.stop(out)),
            Event::Tick => self.each(|h| h.tick(now, out)),
        }
    }

    fn with(&mut self, config: &ConfigName, act: impl FnOnce(&mut Holding)) {
        if let Some(holding) = self.configs.get_mut(config) {
            act(holding);
        }
    }

    fn each(&mut self, act: impl FnMut(&mut Holding)) {
        self.configs.values_mut().for_each(act);
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        let configs = self.configs.values().filter_map(Holding::deadline).min();
        let report = self
            .reporter
            .as_ref()
            .and_then(|reporter| reporter.deadline(&reports(&self.configs)));
        configs.into_iter().chain(report).min()
    }

    /// What to name to the server as held, for each config: the newest content that was told, else what runs, else the
    /// best that an earlier life left. So a replica that lags takes nobody back, neither over a version that is still
    /// on its way nor over a restart.
    pub fn named(&self) -> BTreeMap<ConfigName, Token> {
        self.configs
            .iter()
            .filter_map(|(config, holding)| Some((config.clone(), holding.named()?.token.clone())))
            .collect()
    }

    /// What runs.
    pub fn running(&self, config: &ConfigName) -> Option<&Target> {
        self.configs.get(config)?.running()
    }

    /// Whether the document of this digest is still needed.
    pub fn needs(&self, config: &ConfigName, digest: &Digest) -> bool {
        self.configs
            .get(config)
            .is_some_and(|holding| holding.needs(digest))
    }

    /// Where each config stands, in the words of the report.
    pub fn standing(&self) -> BTreeMap<ConfigName, ConfigReport> {
        reports(&self.configs)
    }

    /// Whether everything that should be on disk is there.
    pub fn is_settled(&self) -> bool {
        self.configs.values().all(Holding::is_settled)
    }

    /// Whether the newest word of the server about some config was refused by the fence.
    pub fn is_at_odds(&self) -> bool {
        self.configs.values().any(Holding::is_at_odds)
    }

    /// Whether another process reports under this instance's name.
    pub fn is_superseded(&self) -> bool {
        self.reporter.as_ref().is_some_and(Reporter::is_superseded)
    }

    /// The life under which reports are sent.
    pub fn incarnation(&self) -> Option<u64> {
        self.reporter.as_ref().map(Reporter::incarnation)
    }

    /// The life that the service would miss if it ended without a word.
    pub fn missed(&self) -> Option<u64> {
        self.reporter.as_ref().and_then(Reporter::missed)
    }
}

fn reports(configs: &BTreeMap<ConfigName, Holding>) -> BTreeMap<ConfigName, ConfigReport> {
    configs
        .iter()
        .map(|(config, holding)| (config.clone(), holding.report()))
        .collect()
}
