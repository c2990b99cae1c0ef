//! How the source is: what a round's end means for readers, and when it is said.
//!
//! Invariant: every failure has a state, a sentence and a hint; each is logged when it begins and not again while it
//! lasts.

use std::time::Duration;

use headwater_wire::{BranchName, SourceState, Timestamp};
use tracing::{info, warn};

use super::Pipeline;
use super::git_thread::GitThreadError;
use crate::clock;
use crate::git::error::GitError;
use crate::publish::SourceStatus;
use crate::repo::{Repo, RepoError};
use crate::store::StoreFailure;

/// A source counts as stale when its last successful listing is older than this many poll intervals.
const STALE_INTERVALS: u32 = 3;

/// Why a round ended early. The next round starts over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoundError {
    #[error(transparent)]
    GitThread(#[from] GitThreadError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreFailure),
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl RoundError {
    fn git(&self) -> Option<&GitError> {
        match self {
            Self::GitThread(GitThreadError::Git(error))
            | Self::Git(error)
            | Self::Repo(RepoError::Git(error)) => Some(error),
            Self::GitThread(_) | Self::Store(_) | Self::Repo(_) => None,
        }
    }

    /// The state that readers are shown.
    pub(super) fn source_state(&self) -> SourceState {
        match (self, self.git()) {
            (_, Some(error)) => error.source_state(),
            (Self::GitThread(_) | Self::Repo(_), None) => SourceState::TimedOut,
            (Self::Store(_) | Self::Git(_), None) => SourceState::StorageFull,
        }
    }

    /// What a person can do about it.
    fn hint(&self) -> String {
        match (self, self.git()) {
            (_, Some(error)) => error.hint().to_owned(),
            (Self::Store(StoreFailure::Store(error)), None) => error.hint().to_owned(),
            (Self::Store(_), None) => "check the disk of the data directory".to_owned(),
            (Self::GitThread(_) | Self::Git(_) | Self::Repo(_), None) => {
                "the call is bounded and is tried again; if this stays, restart the service".to_owned()
            }
        }
    }

    /// Message and causes in one line.
    fn one_line(&self) -> String {
        match self.git() {
            Some(error) => error.one_line(),
            None => self.to_string(),
        }
    }
}

impl Pipeline {
    /// Records how a round ended, and says it once per change.
    pub(super) fn note(&mut self, result: Result<SourceState, RoundError>) {
        let before = self.repo.board.read().source.clone();
        match result {
            Ok(state) => {
                self.failures = 0;
                let (error, hint) = explain(state, &self.repo, self.missing.as_ref());
                // A branch that is gone was listed all right, but what is served is old all the same.
                let gone = matches!(state, SourceState::BranchMissing | SourceState::EmptyRepository);
                let outdated = gone && self.repo.board.read().state.tip.is_some();
                if before.state != state {
                    info!(
                        source_state = state.as_str(),
                        "the upstream is {}",
                        state.as_str()
                    );
                }
                self.show_source(|source| {
                    *source = SourceStatus {
                        state,
                        synced_at: source.synced_at,
                        stale: outdated,
                        error,
                        hint,
                    };
                });
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let (state, text, hint) = (error.source_state(), error.one_line(), error.hint());
                if before.state != state || before.error.as_deref() != Some(&text) {
                    warn!(source_state = state.as_str(), error = %text, hint, "the upstream is {}: {text}", state.as_str());
                }
                let outdated = self.is_stale(before.synced_at);
                self.show_source(|source| {
                    *source = SourceStatus {
                        state,
                        synced_at: source.synced_at,
                        stale: outdated,
                        error: Some(text),
                        hint: Some(hint),
                    };
                });
            }
        }
    }

    fn is_stale(&self, synced_at: Option<Timestamp>) -> bool {
        is_stale(synced_at, clock::now(), self.repo.poll_interval())
    }

    pub(super) fn mark_stale(&self) {
        let source = self.repo.board.read().source.clone();
        if !source.stale && self.failures > 0 && self.is_stale(source.synced_at) {
            self.show_source(|source| source.stale = true);
        }
    }
}

/// Whether the last successful listing is too long ago; a source that was never listed is stale at once.
pub(crate) fn is_stale(synced_at: Option<Timestamp>, now: Timestamp, poll_interval: Duration) -> bool {
    let limit_ms = i64::try_from((poll_interval * STALE_INTERVALS).as_millis()).unwrap_or(i64::MAX);
    synced_at.is_none_or(|synced_at| now.ms_since(synced_at) > limit_ms)
}

/// Error and hint of a state that a successful listing can end in.
fn explain(
    state: SourceState,
    repo: &Repo,
    missing: Option<&MissingBranch>,
) -> (Option<String>, Option<String>) {
    let published = repo.board.read();
    let keeps = if published.state.tip.is_some() {
        "; the last good commit keeps serving"
    } else {
        ""
    };
    let told = |error: String, hint: String| (Some(error), Some(format!("{hint}{keeps}")));
    if state == SourceState::EmptyRepository {
        let hint = "push a first commit; it is seen at the next poll".to_owned();
        return told("the upstream has no commit yet".to_owned(), hint);
    }
    if state == SourceState::BranchMissing {
        let error = missing.map_or_else(|| "the branch is missing".to_owned(), MissingBranch::to_string);
        return told(
            error,
            "push the branch, or name another one with --branch".to_owned(),
        );
    }
    if let (SourceState::HistoryRewritten, Some(hold)) = (state, &published.state.hold) {
        let branch = published
            .state
            .branch
            .as_ref()
            .map_or("the branch", BranchName::as_str);
        return told(
            format!(
                "`{branch}` does not descend from the tip: it was reset or replaced, or another branch is followed"
            ),
            format!(
                "look at the new head, then run `headwater accept {} --reason …`",
                hold.head.short()
            ),
        );
    }
    (None, None)
}

/// A branch that the upstream does not have, and what it has instead.
#[derive(Debug, Clone)]
pub(super) struct MissingBranch {
    pub(super) branch: Option<BranchName>,
    pub(super) others: Vec<String>,
}

impl std::fmt::Display for MissingBranch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.branch {
            Some(branch) => write!(f, "the upstream has no branch `{branch}`")?,
            None => f.write_str("the upstream names no default branch")?,
        }
        if !self.others.is_empty() {
            write!(f, "; it has `{}`", self.others.join("`, `"))?;
        }
        Ok(())
    }
}
