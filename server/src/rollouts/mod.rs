//! What moves in a repository, beside what was decided: how its members stand, and what signals say of it.
//!
//! Invariant: nothing here decides. Counts are made from the fleet as it is and replaced as a whole; what a signal said
//! counts for the rollout and the step it was said of, and for no other. What is lost with the process is counted and
//! asked anew.

pub(crate) mod driver;
pub(crate) mod noted;
pub(crate) mod views;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::rollout::{
    Order, Reading, Readings, RollCall, Rollout, State, Tally, by_content, plan, tally,
};
use headwater_core::{Due, RepoState, Uptime};
use headwater_wire::{ConfigName, RolloutOrder};
use tokio::sync::{Notify, mpsc};
use tracing::warn;

use crate::clock;
use crate::repo::Repo;
use crate::task;

/// Readings that may wait for the driver.
const READINGS_MAX: usize = 256;
/// Longest time that counting may take. A hundred thousand members take a fraction of a second.
const COUNT_DEADLINE: Duration = Duration::from_secs(20);

/// The decision that is meant by a word, if we know it.
pub(crate) fn meant(order: RolloutOrder, reason: &str) -> Option<Order> {
    match order {
        RolloutOrder::Promote => Some(Order::Promote),
        RolloutOrder::Pause => Some(Order::Pause),
        RolloutOrder::Resume => Some(Order::Resume),
        RolloutOrder::Abort => Some(Order::Abort {
            reason: reason.to_owned(),
        }),
        RolloutOrder::Other => None,
    }
}

/// What a signal says of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Config that is moved.
    pub config: ConfigName,
    /// The rollout that was asked about.
    pub rollout: String,
    /// Steps that it had taken then.
    pub steps: u64,
    /// Name of the signal.
    pub signal: String,
    /// What it says.
    pub reading: Reading,
}

/// How what moves stands.
#[derive(Debug)]
pub(crate) struct Rollouts {
    /// Members have reported.
    news: Notify,
    tallies: Mutex<BTreeMap<ConfigName, (String, Arc<Tally>)>>,
    signals: Mutex<BTreeMap<ConfigName, Said>>,
    sender: mpsc::Sender<Heard>,
    receiver: Mutex<Option<mpsc::Receiver<Heard>>>,
}

/// What signals have said of a rollout since its newest step.
#[derive(Debug, Clone)]
struct Said {
    rollout: String,
    steps: u64,
    readings: BTreeMap<String, Readings>,
}

impl Default for Rollouts {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(READINGS_MAX);
        Self {
            news: Notify::new(),
            tallies: Mutex::default(),
            signals: Mutex::default(),
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

impl Rollouts {
    /// Members of something that moves have reported.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// Where those who ask signals say what these answered.
    pub(crate) fn signals(&self) -> mpsc::Sender<Heard> {
        self.sender.clone()
    }

    /// How the members of a rollout that moves stood when they were last counted.
    pub(crate) fn tally(&self, rollout: &Rollout) -> Option<Arc<Tally>> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, tally) = tallies.get(&rollout.config)?;
        (*id == rollout.id).then(|| tally.clone())
    }

    /// The rollout with what signals have said of it.
    pub(crate) fn with_signals(&self, rollout: &Rollout) -> Rollout {
        let mut rollout = rollout.clone();
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if let (State::Baking { signals, .. }, Some(said)) =
            (&mut rollout.state, signals.get(&rollout.config))
            && said.rollout == rollout.id
            && said.steps == rollout.steps
        {
            signals.clone_from(&said.readings);
        }
        rollout
    }

    /// Takes what a signal says, if the rollout that was asked about still bakes.
    fn hear(&self, state: &RepoState, heard: Heard) {
        let Some(rollout) = state.moving_of(&heard.config) else {
            return;
        };
        if rollout.id != heard.rollout || rollout.steps != heard.steps {
            return;
        }
        let mut rollout = self.with_signals(rollout);
        rollout.hear(&heard.signal, heard.reading);
        if let State::Baking {
            signals: readings, ..
        } = rollout.state
        {
            let said = Said {
                rollout: rollout.id,
                steps: rollout.steps,
                readings,
            };
            let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
            signals.insert(heard.config, said);
        }
    }

    /// Shows how everything that moves stands, and forgets what does not move any more.
    fn show(&self, counts: Vec<(ConfigName, String, Tally)>) {
        let counts = counts.into_iter();
        let counts: BTreeMap<_, _> = counts
            .map(|(config, id, tally)| (config, (id, Arc::new(tally))))
            .collect();
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals.retain(|config, said| counts.get(config).is_some_and(|(id, _)| *id == said.rollout));
        *self.tallies.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl Repo {
    /// Counts the members of what moves, and plans what is due.
    pub(crate) async fn due(self: &Arc<Self>, moving: Vec<Rollout>) -> Vec<Due> {
        let repo = self.clone();
        let counted = task::blocking(COUNT_DEADLINE, move || repo.count(&moving)).await;
        counted.unwrap_or_else(|error| {
            warn!(%error, "the members of rollouts could not be counted: {error}");
            Vec::new()
        })
    }

    fn count(&self, moving: &[Rollout]) -> Vec<Due> {
        let (now, moment) = (clock::now(), self.moment());
        let published = self.board.read();
        let mut counts = Vec::new();
        let mut due = Vec::new();
        for rollout in moving {
            let rollout = self.rollouts.with_signals(rollout);
            let tally = self.tally(&rollout, moment.uptime);
            let known = published.state.rollout(&rollout.id);
            let is_over = known.is_some_and(|known| known.state.is_final());
            // Of one that is over already, who is not there has not said that he is back.
            let step = plan(&rollout, &tally, now).filter(|_| !is_over || tally.unknown == 0);
            due.extend(step.map(|step| Due {
                config: rollout.config.clone(),
                id: rollout.id.clone(),
                after: rollout.steps,
                step,
                counts: Some(rollout.counts(&tally)),
                at: now,
            }));
            counts.push((rollout.config, rollout.id, tally));
        }
        self.rollouts.show(counts);
        due
    }

    /// How the members of a rollout stand.
    fn tally(&self, rollout: &Rollout, uptime: Uptime) -> Tally {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let roll_call = roll_call(uptime, fleet.heartbeat().live_ms());
        let members = fleet.members_and_gone(&rollout.config, uptime);
        let stand_ins = &self.board.read().state.stand_ins;
        by_content(members, (&rollout.config, stand_ins), |members| {
            tally(rollout, members, roll_call)
        })
    }
}

/// Everybody has reported who is there, once the longest silence of a live instance has passed since the start.
fn roll_call(uptime: Uptime, live_ms: u64) -> RollCall {
    if uptime.0 > live_ms {
        RollCall::Over
    } else {
        RollCall::Running
    }
}
