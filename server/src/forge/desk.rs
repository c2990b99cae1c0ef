//! Commit statuses on their way to a forge.
//!
//! Invariant: the desk is bounded and never waited for: publishing does not know that it exists. Of one commit and
//! context the latest status wins, whatever came before. A status is a courtesy: what cannot be told after some
//! tries is dropped, and said once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_wire::{CommitId, Finding, HeadState, Severity};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::api::{ForgeApi, ForgeError};
use super::ask::{Status, StatusState};
use crate::git::error::Remedy;
use crate::publish::Published;
use crate::repo::Repo;
use crate::trace;

/// Statuses that may wait; of more, the oldest are dropped.
const WAITING_MAX: usize = 256;
/// Tries of one status before it is dropped.
const TRIES_MAX: u32 = 8;
/// Findings that are sent with a status.
pub(crate) const FINDINGS_MAX: usize = 200;
/// Longest pause between two tries that the forge did not ask for.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// Statuses that wait to be told.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    waiting: Mutex<VecDeque<Waiting>>,
    added: Notify,
}

#[derive(Debug, Clone)]
struct Waiting {
    status: Status,
    tries: u32,
}

impl Waiting {
    fn is_like(&self, other: &Status) -> bool {
        self.status.commit == other.commit && self.status.context == other.context
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a status in, in the place of an older one of the same commit and context.
    pub(crate) fn put(&self, status: Status) {
        let mut waiting = self.waiting();
        if let Some(older) = waiting.iter_mut().find(|waiting| waiting.is_like(&status)) {
            *older = Waiting { status, tries: 0 };
        } else {
            waiting.push_back(Waiting { status, tries: 0 });
            if waiting.len() > WAITING_MAX {
                waiting.pop_front();
            }
        }
        drop(waiting);
        self.added.notify_one();
    }

    fn take(&self) -> Option<Waiting> {
        self.waiting().pop_front()
    }

    /// Puts a status back that could not be told, unless a newer one has come.
    fn give_back(&self, tried: Waiting) {
        let mut waiting = self.waiting();
        if !waiting.iter().any(|newer| newer.is_like(&tried.status)) {
            waiting.push_front(tried);
        }
    }

    async fn next(&self) -> Waiting {
        loop {
            if let Some(waiting) = self.take() {
                return waiting;
            }
            self.added.notified().await;
        }
    }
}

/// Tells a forge what waits on the desk, one at a time, until told to stop.
pub(super) async fn tell(
    repo: Arc<Repo>,
    (api, desk): (Arc<ForgeApi>, Arc<Desk>),
    cancel: CancellationToken,
) {
    let mut failures = 0_u32;
    loop {
        // Cancel-safe: what is lost is a status, which the next start tells again.
        let waiting = tokio::select! {
            () = cancel.cancelled() => return,
            waiting = desk.next() => waiting,
        };
        let setting = trace::trying(
            || trace::call("set a commit status"),
            api.set_status(&waiting.status),
        );
        let origin = repo.flights.origin(&waiting.status.commit);
        let told = tokio::select! {
            () = cancel.cancelled() => return,
            told = repo.traces.under(origin, setting) => told,
        };
        let pause = match told {
            Ok(()) => {
                debug!(commit.id = %waiting.status.commit, state = ?waiting.status.state, "told the forge");
                failures = 0;
                continue;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                note(&desk, waiting, &error, failures)
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What a failure means for the status, and how long to wait before the next one. Said when failures begin.
fn note(desk: &Desk, waiting: Waiting, error: &ForgeError, failures: u32) -> Duration {
    let commit = waiting.status.commit.clone();
    let again = Waiting {
        tries: waiting.tries + 1,
        ..waiting
    };
    if failures == 1 {
        warn!(commit.id = %commit, hint = error.hint(), "a commit status could not be told: {error}");
    }
    let pause = Duration::from_secs(1 << failures.min(9)).min(PAUSE_MAX);
    match (error, error.remedy()) {
        // Not the status's fault, so it does not count.
        (ForgeError::RateLimited(pause), _) => {
            desk.give_back(Waiting {
                tries: again.tries - 1,
                ..again
            });
            *pause
        }
        (_, Remedy::Retry | Remedy::Reauthenticate) if again.tries < TRIES_MAX => {
            desk.give_back(again);
            pause
        }
        _ => {
            info!(commit.id = %commit, "the status of {} is not told", commit.short());
            Duration::ZERO
        }
    }
}

/// Puts the fate of each head of a repository on the desk, until told to stop.
pub(super) async fn follow(repo: Arc<Repo>, desk: Arc<Desk>, words: Words, cancel: CancellationToken) {
    let mut board = repo.board.watch_published();
    let mut last = None;
    loop {
        let published = board.borrow_and_update().clone();
        let status = words.status(&published);
        if let Some(status) = status.filter(|status| last.as_ref() != Some(status)) {
            last = Some(status.clone());
            desk.put(status);
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// How statuses of one repository are worded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) context: String,
    /// Where the repository is, for links to findings.
    pub(crate) repo_url: Option<String>,
}

impl Words {
    /// The status of the head, if there is one.
    fn status(&self, published: &Published) -> Option<Status> {
        let commit = published.state.head.clone()?;
        let (state, description) = match published.state.head_state {
            HeadState::Validating => (StatusState::Pending, "being judged".to_owned()),
            HeadState::Held => {
                let why = "held: history was rewritten, and a person has to accept it";
                (StatusState::Pending, why.to_owned())
            }
            HeadState::Published => (
                StatusState::Success,
                "admitted, and served from now on".to_owned(),
            ),
            HeadState::Rejected => (StatusState::Failure, rejection(published)),
            HeadState::None | HeadState::Other => return None,
        };
        let target_url = self.link("commits", &commit);
        let findings = published.head_findings.iter().take(FINDINGS_MAX).cloned();
        Some(Status {
            commit,
            context: self.context.clone(),
            state,
            description,
            target_url,
            findings: findings.collect(),
        })
    }

    /// Where to read more of a commit, among `what`.
    pub(crate) fn link(&self, what: &str, commit: &CommitId) -> Option<String> {
        let url = self.repo_url.as_ref()?;
        Some(format!("{url}/{what}/{commit}"))
    }
}

/// Why the head was rejected, in a few words.
fn rejection(published: &Published) -> String {
    match errors(&published.head_findings) {
        Some(errors) => format!("rejected: {errors}"),
        // After a restart, a head that was rejected before is not judged again.
        None => "rejected".to_owned(),
    }
}

/// How many errors there are, and the first of them.
pub(crate) fn errors(findings: &[Finding]) -> Option<String> {
    let mut errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let first = errors.next()?;
    let count = 1 + errors.count();
    let plural = if count == 1 { "" } else { "s" };
    let at = first.file().map(|path| format!(" at {path}:{}", first.span.line));
    Some(format!(
        "{count} error{plural}; {}{}",
        first.code,
        at.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(digit: char, state: StatusState) -> Status {
        Status {
            commit: digit.to_string().repeat(40).parse().unwrap(),
            context: "headwater".to_owned(),
            state,
            description: String::new(),
            target_url: None,
            findings: Vec::new(),
        }
    }

    fn states(desk: &Desk) -> Vec<(String, StatusState)> {
        let waiting = desk.waiting();
        let short = |waiting: &Waiting| (waiting.status.commit.short().to_owned(), waiting.status.state);
        waiting.iter().map(short).collect()
    }

    #[test]
    fn of_one_commit_the_latest_status_wins() {
        let desk = Desk::default();
        desk.put(status('a', StatusState::Pending));
        desk.put(status('b', StatusState::Pending));
        desk.put(status('a', StatusState::Success));
        let expected = [
            ("a".repeat(10), StatusState::Success),
            ("b".repeat(10), StatusState::Pending),
        ];
        assert_eq!(states(&desk), expected);
    }

    #[test]
    fn what_failed_does_not_overtake_what_is_newer() {
        let desk = Desk::default();
        desk.put(status('a', StatusState::Pending));
        let tried = desk.take().unwrap();
        desk.put(status('a', StatusState::Failure));
        desk.give_back(tried);
        assert_eq!(states(&desk), [("a".repeat(10), StatusState::Failure)]);
    }

    #[test]
    fn the_desk_is_bounded_and_forgets_the_oldest() {
        let desk = Desk::default();
        for number in 0..WAITING_MAX + 10 {
            let commit = format!("{number:040x}").parse().unwrap();
            desk.put(Status {
                commit,
                ..status('a', StatusState::Pending)
            });
        }
        assert_eq!(desk.waiting().len(), WAITING_MAX);
        assert_eq!(
            desk.take().unwrap().status.commit.as_str(),
            format!("{:040x}", 10)
        );
    }

    #[test]
    fn a_refusal_drops_the_status_and_a_limit_of_the_rate_keeps_it() {
        let desk = Desk::default();
        let waiting = |tries| Waiting {
            status: status('a', StatusState::Success),
            tries,
        };
        let refused = ForgeError::Refused {
            status: 404,
            message: String::new(),
        };
        note(&desk, waiting(0), &refused, 1);
        assert!(desk.take().is_none());
        let limited = ForgeError::RateLimited(Duration::from_secs(77));
        assert_eq!(
            note(&desk, waiting(TRIES_MAX), &limited, 3),
            Duration::from_secs(77)
        );
        assert_eq!(desk.take().unwrap().tries, TRIES_MAX);
        note(&desk, waiting(0), &ForgeError::TimedOut, 1);
        assert_eq!(desk.take().unwrap().tries, 1);
        note(&desk, waiting(TRIES_MAX - 1), &ForgeError::TimedOut, 1);
        assert!(desk.take().is_none());
    }
}
