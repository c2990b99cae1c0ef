//! How the commit of a rollback comes to the branch, after its effect.
//!
//! Invariant: every attempt begins by looking where the branch is and whether it has the commit already, so that no
//! answer that got lost makes a second one. The branch is moved by compare-and-swap; a commit that was built on
//! another head is built anew, only over what it is about, and pushed only if it changes nothing that is exposed.
//! While it cannot be pushed the effect holds, and it is tried again, ever more rarely, also after a restart. One
//! attempt is under way at a time, beside the pipeline, which goes on following the branch meanwhile.

mod courier;
mod propose;
mod refit;

use std::collections::VecDeque;
use std::time::Duration;

use headwater_core::{Command, Rollback, RollbackState};
use headwater_wire::CommitId;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Pipeline;
use super::git_thread::GitThreadError;
use super::rollback::RollbackError;
use super::source::RoundError;
use crate::git::push::PushError;
use courier::{Errand, Word};

/// First pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// The window of the cap on writes.
const MINUTE: Duration = Duration::from_mins(1);
/// What is to be done where time will do it.
const AGAIN: &str = "it is tried again by itself";

/// What is under way, and when to push next.
#[derive(Default)]
pub(super) struct Pusher {
    errand: Option<Errand>,
    /// Rollbacks that are due, after the one that is under way.
    queue: VecDeque<String>,
    due: Option<Instant>,
    failures: u32,
    written: VecDeque<Instant>,
}

impl Pusher {
    /// Something is to be pushed now.
    pub(super) fn wake(&mut self) {
        self.due = Some(Instant::now());
        self.failures = 0;
    }

    /// Tries at once what had to wait.
    pub(super) fn hurry(&mut self) {
        if self.due.is_some() {
            self.wake();
        }
    }

    /// Sets the next try after a failure. Gives the pause.
    fn fail(&mut self, now: Instant) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let doubled = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let pause = doubled.min(PAUSE_MAX).mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.due = Some(now + pause);
        pause
    }

    /// Sets the next try after one that came to nothing. Gives the pause.
    fn put_off(&mut self, stop: &PushStop, now: Instant) -> Duration {
        let PushStop::Later(at) = stop else {
            return self.fail(now);
        };
        self.due = Some(*at);
        at.saturating_duration_since(now)
    }

    /// Takes one of the writes of this minute, or says when there will be one.
    fn take(&mut self, now: Instant, per_minute: u32) -> Result<(), Instant> {
        while self.written.front().is_some_and(|at| *at + MINUTE <= now) {
            self.written.pop_front();
        }
        let full = self.written.len() >= usize::try_from(per_minute).unwrap_or(usize::MAX);
        match self.written.front() {
            Some(oldest) if full => Err(*oldest + MINUTE),
            Some(_) | None => {
                self.written.push_back(now);
                Ok(())
            }
        }
    }
}

/// What the pipeline has to do for a push.
pub(super) enum Turn {
    /// It is time for those that are due.
    Begin,
    /// The next of them.
    Next,
    /// The attempt that is under way has a word.
    Word(Word),
    /// It ended without one, which is a fault of this program.
    Lost,
}

/// Waits until there is something to do for a push. Cancel-safe.
pub(super) async fn turn(pusher: &mut Pusher) -> Turn {
    match (&mut pusher.errand, pusher.queue.is_empty(), pusher.due) {
        (Some(errand), ..) => errand.words.recv().await.map_or(Turn::Lost, Turn::Word),
        (None, false, _) => Turn::Next,
        (None, true, Some(due)) => {
            tokio::time::sleep_until(due).await;
            Turn::Begin
        }
        (None, true, None) => std::future::pending().await,
    }
}

impl Pipeline {
    /// At a start: whatever the process before did not bring to the branch is brought now.
    pub(super) fn resume_pushing(&mut self) {
        let state = &self.repo.board.read().state;
        if state.rollbacks.iter().any(Rollback::is_due) {
            self.pusher.wake();
        }
    }

    /// Gives up an attempt for a rollback that was settled meanwhile, by another one, a person or the branch. What it
    /// has sent may still arrive; then it is on the branch like any other commit.
    pub(super) fn recall(&mut self) {
        let Some(errand) = &self.pusher.errand else { return };
        let published = self.repo.board.read();
        let rollback = published.state.rollback(&errand.id);
        if !rollback.is_some_and(Rollback::is_due) {
            self.pusher.errand = None;
        }
    }

    /// Does what a push needs of the pipeline; nothing here waits for the upstream. Says whether to list the branch now.
    pub(super) async fn take_turn(&mut self, turn: Turn) -> bool {
        match turn {
            Turn::Begin => {
                self.pusher.due = None;
                let published = self.repo.board.read();
                let due = published
                    .state
                    .rollbacks
                    .iter()
                    .filter(|rollback| rollback.is_due());
                self.pusher.queue = due.map(|rollback| rollback.id.clone()).collect();
                false
            }
            Turn::Next => {
                self.send_next();
                false
            }
            Turn::Word(Word::Fit { id, tip, reply }) => {
                // Whoever asked may have been recalled.
                reply.send(self.fit(&id, &tip).await).ok();
                false
            }
            Turn::Word(Word::Ended { id, result }) => {
                self.pusher.errand = None;
                self.conclude(id, *result).await
            }
            Turn::Lost => {
                self.pusher.errand = None;
                self.pusher.fail(Instant::now());
                false
            }
        }
    }

    /// Starts the next attempt of those that are due.
    fn send_next(&mut self) {
        let published = self.repo.board.read();
        let next = self.pusher.queue.pop_front();
        let rollback = next.and_then(|id| published.state.rollback(&id));
        if let Some(rollback) = rollback.filter(|rollback| rollback.is_due()) {
            self.pusher.errand = Some(Errand::begin(self.repo.clone(), rollback));
        }
    }

    /// The rollback with a commit that may be pushed on top of `tip` now.
    async fn fit(&mut self, id: &str, tip: &CommitId) -> Result<Rollback, PushStop> {
        let state = self.repo.board.read().state.clone();
        let due = state.rollback(id).filter(|rollback| rollback.is_due());
        let ready = self.fitted(due.ok_or(PushStop::Settled)?, &state, tip).await?;
        let per_minute = self.repo.settings().write.per_minute;
        let taken = self.pusher.take(Instant::now(), per_minute);
        taken.map_err(PushStop::Later)?;
        Ok(ready)
    }

    /// Keeps how an attempt ended, and says when the next one is.
    async fn conclude(&mut self, id: String, result: Result<RollbackState, PushStop>) -> bool {
        let next = match result {
            Ok(next) => next,
            Err(PushStop::Settled) => return false,
            // The listing that follows wakes the push again. If it sees another branch than the push, this waits.
            Err(PushStop::Behind) => {
                self.pusher.fail(Instant::now());
                return true;
            }
            Err(stop) => {
                let pause = self.pusher.put_off(&stop, Instant::now());
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let (why, hint) = (stop.one_line(), stop.hint().to_owned());
                warn!(
                    rollback = id,
                    hint,
                    pause_ms,
                    "rollback {id} is in effect, and not in Git yet, which is tried again: {why}"
                );
                RollbackState::GitPending { why, hint }
            }
        };
        let is_news = matches!(next, RollbackState::Pushed { .. });
        if let Err(error) = self.note_push(id, next).await {
            warn!(%error, "how a push went could not be kept: {error}");
            self.pusher.fail(Instant::now());
        }
        is_news
    }

    async fn note_push(&mut self, id: String, next: RollbackState) -> Result<(), RoundError> {
        let published = self.repo.board.read();
        if published
            .state
            .rollback(&id)
            .is_some_and(|rollback| rollback.state == next)
        {
            return Ok(());
        }
        match &next {
            RollbackState::Pushed { commit } => {
                info!(rollback = id, commit.id = %commit, "rollback {id} is on the branch as {}", commit.short());
            }
            RollbackState::Proposed { url, .. } => {
                info!(rollback = id, url, "rollback {id} waits as a pull request: {url}");
            }
            RollbackState::Effective
            | RollbackState::GitPending { .. }
            | RollbackState::Superseded { .. }
            | RollbackState::Released { .. } => {}
        }
        self.apply(Command::Settle { id, state: next }).await?;
        Ok(())
    }
}

/// Why an attempt ended without the commit on its way.
#[derive(Debug, thiserror::Error)]
pub(in crate::pipeline) enum PushStop {
    /// The branch has moved to what was not decided about yet.
    #[error("the branch has moved")]
    Behind,
    /// The rollback was settled otherwise.
    #[error("the rollback was settled meanwhile")]
    Settled,
    /// Too many writes within a minute.
    #[error("all writes of this minute are used up")]
    Later(Instant),
    /// It cannot be done as things are: why, and what a person can do.
    #[error("{0}")]
    Stuck(String, &'static str),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    GitThread(#[from] GitThreadError),
    #[error(transparent)]
    Write(#[from] RollbackError),
    #[error(transparent)]
    Round(#[from] RoundError),
}

impl PushStop {
    fn hint(&self) -> &'static str {
        match self {
            Self::Stuck(_, hint) => hint,
            Self::Push(error) => error.hint(),
            Self::Write(RollbackError::Revert(error)) => error.hint(),
            Self::Behind
            | Self::Settled
            | Self::Later(_)
            | Self::GitThread(_)
            | Self::Write(_)
            | Self::Round(_) => AGAIN,
        }
    }

    fn one_line(&self) -> String {
        match self {
            Self::Push(error) => error.one_line(),
            Self::GitThread(GitThreadError::Git(error)) => error.one_line(),
            Self::Stuck(..)
            | Self::Behind
            | Self::Settled
            | Self::Later(_)
            | Self::GitThread(_)
            | Self::Write(_)
            | Self::Round(_) => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_writes_than_a_minute_has_the_rest_waits_for_the_oldest_to_be_a_minute_ago() {
        let (mut pusher, start) = (Pusher::default(), Instant::now());
        let second = start + Duration::from_secs(1);
        assert_eq!(pusher.take(start, 2), Ok(()));
        assert_eq!(pusher.take(second, 2), Ok(()));
        assert_eq!(pusher.take(second, 2), Err(start + MINUTE));
        assert_eq!(pusher.take(start + MINUTE, 2), Ok(()));
        assert_eq!(pusher.take(start + MINUTE, 2), Err(second + MINUTE));
    }

    #[test]
    fn pauses_grow_up_to_minutes_and_end_when_something_is_new() {
        let (mut pusher, now) = (Pusher::default(), Instant::now());
        let pause = |pusher: &mut Pusher| {
            pusher.fail(now);
            pusher.due.unwrap() - now
        };
        assert!(pause(&mut pusher) < PAUSE_MIN * 2);
        for _ in 0..40 {
            pause(&mut pusher);
        }
        let longest = pause(&mut pusher);
        assert!(longest >= PAUSE_MAX.mul_f64(0.75) && longest <= PAUSE_MAX.mul_f64(1.25));
        pusher.hurry();
        assert!(pusher.due.unwrap() <= Instant::now());
        assert!(pause(&mut pusher) < PAUSE_MIN * 2);
        // What is not waited for is not begun.
        pusher.due = None;
        pusher.hurry();
        assert_eq!(pusher.due, None);
    }
}
