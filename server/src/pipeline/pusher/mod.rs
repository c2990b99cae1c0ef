//! How the commit of a rollback comes to the branch, after its effect.
//!
//! Invariant: every attempt begins by looking where the branch is and whether it has the commit already, so that no
//! answer that got lost makes a second one. The branch is moved by compare-and-swap; a commit that was built on
//! another head is built anew, only over what it is about, and pushed only if it changes nothing that is exposed.
//! While it cannot be pushed the effect holds, and it is tried again, ever more rarely, also after a restart.

mod propose;
mod refit;

use std::collections::VecDeque;
use std::time::Duration;

use headwater_core::{Command, Rollback, RollbackState, Undone};
use headwater_wire::{BranchName, CommitId, RollbackMode};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Pipeline;
use super::lane::LaneError;
use super::rollback::RollbackError;
use super::source::RoundError;
use crate::git::Mirror;
use crate::git::intent::IntentId;
use crate::git::push::{PushError, PushRef, PushRequest, WriteAccess};
use crate::git::revert::IntentSearch;
use crate::git::stop::Stop;

/// First pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// The window of the cap on writes.
const MINUTE: Duration = Duration::from_mins(1);
/// How often a commit is built anew before a pause, when others push at the same time.
const TRIES: u32 = 3;
/// Commits looked through for one that fulfils an intent.
const SEARCH_MAX: usize = 4_096;
/// Pause after something urgent came in between.
const PUT_OFF: Duration = Duration::from_millis(50);
/// What is to be done where time will do it.
const AGAIN: &str = "nothing: it is tried again by itself";

/// When to push next.
#[derive(Debug, Default)]
pub(super) struct Pusher {
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

    fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let doubled = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let pause = doubled.min(PAUSE_MAX).mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.due = Some(now + pause);
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

/// Waits until something is to be pushed. Cancel-safe.
pub(super) async fn due(pusher: &Pusher) {
    match pusher.due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What was found on the branch.
struct Look {
    tip: Option<CommitId>,
    fulfilled: Option<CommitId>,
}

impl Pipeline {
    /// At a start: whatever the process before did not bring to the branch is brought now.
    pub(super) fn resume_pushing(&mut self) {
        let state = &self.repo.board.read().state;
        if state.rollbacks.iter().any(Rollback::is_due) {
            self.pusher.wake();
        }
    }

    /// Tries every rollback whose commit has to come to the branch. Says whether to list the branch now.
    pub(super) async fn push_due(&mut self) -> bool {
        self.pusher.due = None;
        let state = self.repo.board.read().state.clone();
        let mut is_news = false;
        for rollback in state.rollbacks.iter().filter(|rollback| rollback.is_due()) {
            let next = match self.bring(rollback).await {
                Ok(next) => next,
                Err(stop) if stop.is_put_off() => {
                    self.pusher.due = Some(Instant::now() + PUT_OFF);
                    return is_news;
                }
                // The listing that follows wakes the push again. If it sees another branch than the push, this waits.
                Err(PushStop::Behind) => {
                    self.pusher.fail(Instant::now());
                    is_news = true;
                    continue;
                }
                Err(stop) => {
                    if let PushStop::Later(at) = stop {
                        self.pusher.due = Some(at);
                    } else {
                        self.pusher.fail(Instant::now());
                    }
                    let (why, hint) = (stop.one_line(), stop.hint().to_owned());
                    RollbackState::GitPending { why, hint }
                }
            };
            is_news |= matches!(next, RollbackState::Pushed { .. });
            if let Err(error) = self.note_push(rollback, next).await {
                warn!(%error, "how a push went could not be kept: {error}");
                self.pusher.fail(Instant::now());
            }
        }
        is_news
    }

    /// Keeps how an attempt ended.
    async fn note_push(&mut self, rollback: &Rollback, next: RollbackState) -> Result<(), RoundError> {
        if rollback.state == next {
            return Ok(());
        }
        let id = rollback.id.clone();
        match &next {
            RollbackState::Pushed { commit } => {
                info!(rollback = id, commit.id = %commit, "rollback {id} is on the branch as {}", commit.short());
            }
            RollbackState::Proposed { url, .. } => {
                info!(rollback = id, url, "rollback {id} waits as a pull request: {url}");
            }
            RollbackState::GitPending { why, hint } => {
                warn!(
                    rollback = id,
                    hint, "rollback {id} is in effect, and not in Git yet: {why}"
                );
            }
            RollbackState::Effective | RollbackState::Superseded { .. } | RollbackState::Released { .. } => {}
        }
        self.apply(Command::Settle { id, state: next }).await?;
        Ok(())
    }

    /// One attempt: gives where the rollback stands afterwards.
    async fn bring(&mut self, rollback: &Rollback) -> Result<RollbackState, PushStop> {
        let (write, branch) = {
            let (settings, published) = (self.repo.settings(), self.repo.board.read());
            (settings.write.clone(), published.state.branch.clone())
        };
        let Some(branch) = branch.filter(|_| write.allowed) else {
            let why = "writing is not allowed any more".to_owned();
            return Err(PushStop::Stuck(why, "start the service with `--allow-write`"));
        };
        for _ in 0..TRIES {
            let look = self.look(rollback, &branch, &write.access).await?;
            if let Some(commit) = look.fulfilled {
                return Ok(RollbackState::Pushed { commit });
            }
            let Some(tip) = look.tip else {
                let hint = "push the branch again, or follow another one";
                return Err(PushStop::Stuck("the branch is gone".to_owned(), hint));
            };
            let state = self.repo.board.read().state.clone();
            let current = state.rollback(&rollback.id).ok_or(PushStop::Behind)?;
            let ready = self.fitted(current, &state, &tip).await?;
            self.pusher
                .take(Instant::now(), write.per_minute)
                .map_err(PushStop::Later)?;
            if rollback.mode == RollbackMode::Propose {
                return self.propose(&ready, &branch, &write.access).await;
            }
            let (target, expected) = (PushRef::Branch(branch.clone()), Some(ready.parent.clone()));
            match self.send(&write.access, request(target, &ready, expected)).await {
                Ok(()) => return Ok(RollbackState::Pushed { commit: ready.commit }),
                // Whether it arrived, and where the branch is, is looked at again.
                Err(PushStop::Push(PushError::LeaseLost { .. } | PushError::Unknown { .. })) => {}
                Err(PushStop::Push(error)) if is_forbidden(&error) && self.repo.outward.forge().is_some() => {
                    return self.propose(&ready, &branch, &write.access).await;
                }
                Err(stop) => return Err(stop),
            }
        }
        let why = "others push at the same time".to_owned();
        Err(PushStop::Stuck(why, AGAIN))
    }

    /// Looks where the branch is and whether it has the commit. What it has is in the mirror from then on.
    async fn look(
        &self,
        rollback: &Rollback,
        branch: &BranchName,
        access: &WriteAccess,
    ) -> Result<Look, PushStop> {
        let (target, access) = (PushRef::Branch(branch.clone()), access.clone());
        let (id, base) = (rollback.id.parse::<IntentId>(), rollback.base.clone());
        let deadline = self.repo.settings().mirror_limits.fetch;
        let job = move |mirror: &mut Mirror, stop: &Stop| {
            let tip = match mirror.tip_of(&access, &target, stop) {
                Ok(tip) => tip,
                Err(error) => return Ok(Err(error)),
            };
            let reader = mirror.reader();
            let found = match (&tip, id) {
                (Some(tip), Ok(id)) => reader.find_intent(&id, tip, &base, SEARCH_MAX)?,
                (None, _) | (_, Err(_)) => IntentSearch::Absent,
            };
            let fulfilled = match found {
                IntentSearch::Found(commit) => Some(commit),
                IntentSearch::Absent | IntentSearch::GaveUp { .. } => None,
            };
            Ok(Ok((Look { tip, fulfilled }, reader)))
        };
        let urgent = self.repo.urgent.any();
        let (look, reader) = self.lane.call_unless(urgent, deadline, job).await??;
        self.repo.set_reader(reader);
        Ok(look)
    }

    async fn send(&self, access: &WriteAccess, request: PushRequest) -> Result<(), PushStop> {
        let (access, deadline) = (access.clone(), self.repo.settings().mirror_limits.push);
        let job = move |mirror: &mut Mirror, stop: &Stop| Ok(mirror.push(&access, &request, stop));
        self.lane
            .call_unless(self.repo.urgent.any(), deadline, job)
            .await??;
        Ok(())
    }
}

fn request(target: PushRef, rollback: &Rollback, expected: Option<CommitId>) -> PushRequest {
    let source = match &rollback.undone {
        Undone::Restore { target, .. } => target,
        Undone::Revert { commit, .. } => commit,
    };
    PushRequest {
        target,
        commit: rollback.commit.clone(),
        expected,
        sources: vec![source.clone(), rollback.base.clone()],
    }
}

/// Whether a pull request may be taken where a push is not.
fn is_forbidden(error: &PushError) -> bool {
    matches!(
        error,
        PushError::Protected { .. } | PushError::RefusedByHook { .. } | PushError::Refused { .. }
    )
}

/// Why an attempt ended without the commit on its way.
#[derive(Debug, thiserror::Error)]
pub(super) enum PushStop {
    /// The branch has moved to what was not decided about yet.
    #[error("the branch has moved")]
    Behind,
    /// Too many writes within a minute.
    #[error("all writes of this minute are used up")]
    Later(Instant),
    /// It cannot be done as things are: why, and what a person can do.
    #[error("{0}")]
    Stuck(String, &'static str),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Write(#[from] RollbackError),
    #[error(transparent)]
    Round(#[from] RoundError),
}

impl PushStop {
    fn is_put_off(&self) -> bool {
        matches!(
            self,
            Self::Lane(LaneError::PutOff) | Self::Round(RoundError::Lane(LaneError::PutOff))
        )
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Stuck(_, hint) => hint,
            Self::Push(error) => error.hint(),
            Self::Write(RollbackError::Revert(error)) => error.hint(),
            Self::Behind | Self::Later(_) | Self::Lane(_) | Self::Write(_) | Self::Round(_) => AGAIN,
        }
    }

    fn one_line(&self) -> String {
        match self {
            Self::Push(error) => error.one_line(),
            Self::Lane(LaneError::Git(error)) => error.one_line(),
            Self::Stuck(..)
            | Self::Behind
            | Self::Later(_)
            | Self::Lane(_)
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
