//! Asks the signals of everything that bakes, again and again, and tells the driver of the rollouts what they say.
//!
//! Invariant: level-triggered. What is asked follows from what is published now; what no longer bakes is no longer
//! asked. An answer that comes too late is told with the bake it was asked for, and counts for no other. Nothing that
//! publishes waits for a signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::RepoState;
use headwater_core::rollout::{Rollout, State};
use headwater_wire::{ConfigName, RepoName};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use super::{Question, Signals};
use crate::repo::Repo;
use crate::rollouts::Heard;
use crate::trace;

/// Questions of one repository that wait for an answer at once: who answers has others to answer, too.
const ASKING_MAX: usize = 8;

/// What tells two questions apart: the same name in another bake is another question.
type Key = (ConfigName, String, u64, String);

/// Asks for a repository until told to stop.
pub(crate) async fn run(repo: Arc<Repo>, signals: Arc<Signals>, stop: CancellationToken) {
    let mut board = repo.board.watch_published();
    let asker = Asker {
        repo: repo.clone(),
        signals,
        permits: Arc::new(Semaphore::new(ASKING_MAX)),
        heard: repo.rollouts.signals(),
    };
    let mut open: BTreeMap<Key, DropGuard> = BTreeMap::new();
    loop {
        let wanted = questions(&repo.settings().name, &board.borrow_and_update().state);
        // Dropping a guard ends its task.
        open.retain(|key, _| wanted.contains_key(key));
        for (key, question) in wanted {
            open.entry(key).or_insert_with(|| asker.start(question));
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// Everything that has to be asked in a state.
fn questions(repo: &RepoName, state: &RepoState) -> BTreeMap<Key, Question> {
    let mut questions = BTreeMap::new();
    for rollout in state.moving() {
        let State::Baking { stage, .. } = rollout.state else {
            continue;
        };
        for question in of_rollout(repo, rollout, stage) {
            let (config, id) = (question.config.clone(), question.rollout.clone());
            let key = (config, id, question.steps, question.signal.name.clone());
            questions.insert(key, question);
        }
    }
    questions
}

fn of_rollout<'a>(
    repo: &'a RepoName,
    rollout: &'a Rollout,
    stage: usize,
) -> impl Iterator<Item = Question> + 'a {
    rollout.policy.signals.iter().map(move |signal| Question {
        repo: repo.clone(),
        config: rollout.config.clone(),
        rollout: rollout.id.clone(),
        steps: rollout.steps,
        stage,
        version: rollout.target.version.clone(),
        baseline: rollout.baseline.version.clone(),
        signal: signal.clone(),
    })
}

struct Asker {
    repo: Arc<Repo>,
    signals: Arc<Signals>,
    permits: Arc<Semaphore>,
    heard: mpsc::Sender<Heard>,
}

impl Asker {
    fn start(&self, question: Question) -> DropGuard {
        let stop = CancellationToken::new();
        let asking = keep_asking(
            self.repo.clone(),
            self.signals.clone(),
            self.permits.clone(),
            self.heard.clone(),
            question,
        );
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Cancel-safe: an answer that is lost was about a bake that is over.
            tokio::select! {
                () = stopped.cancelled() => {}
                () = asking => {}
            }
        });
        stop.drop_guard()
    }
}

async fn keep_asking(
    repo: Arc<Repo>,
    signals: Arc<Signals>,
    permits: Arc<Semaphore>,
    heard: mpsc::Sender<Heard>,
    question: Question,
) {
    loop {
        let reading = {
            let Ok(_permit) = permits.acquire().await else {
                return;
            };
            let origin = repo.flights.origin(&question.version);
            let asked = trace::step(|| trace::call("ask a signal"), signals.ask(&question));
            repo.traces.under(origin, asked).await
        };
        debug!(config = %question.config, signal = question.signal.name, ?reading, "a signal was asked");
        let told = Heard {
            config: question.config.clone(),
            rollout: question.rollout.clone(),
            steps: question.steps,
            signal: question.signal.name.clone(),
            reading,
        };
        if heard.send(told).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(question.signal.interval_ms)).await;
    }
}
