//! Why a commit did not reach the upstream, and what to do about each of it.
//!
//! Invariant: each variant has exactly one [`Remedy`]; what a server or hook said went through [`Cause`]. What is
//! deliberately absent: retrying, which belongs to whoever knows what the commit was for.

use headwater_wire::CommitId;

use super::PushRef;
use crate::git::error::{Cause, GitError, Remedy};

/// Why a ref of the upstream was not moved, or may not have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PushError {
    /// Somebody else moved the ref first.
    #[error("cannot push to `{target}`, the upstream moved it: {}", actual.as_ref().map_or("gone", CommitId::as_str))]
    LeaseLost {
        /// The ref.
        target: PushRef,
        /// Where it is now; `None` if it does not exist.
        actual: Option<CommitId>,
    },
    /// The ref is locked at this moment.
    #[error("cannot push to `{target}`, the upstream is busy with it")]
    Busy {
        /// The ref.
        target: PushRef,
        /// What the server said.
        #[source]
        words: Cause,
    },
    /// A rule of the forge wants another way, such as a pull request.
    #[error("cannot push to `{target}`, it is protected")]
    Protected {
        /// The ref.
        target: PushRef,
        /// What the server said.
        #[source]
        words: Cause,
    },
    /// A hook of the upstream said no.
    #[error("cannot push to `{target}`, a hook of the upstream refused")]
    RefusedByHook {
        /// The ref.
        target: PushRef,
        /// What the hook said.
        #[source]
        words: Cause,
    },
    /// The server said no.
    #[error("cannot push to `{target}`, the upstream refused")]
    Refused {
        /// The ref.
        target: PushRef,
        /// What the server said.
        #[source]
        words: Cause,
    },
    /// The whole repository takes no changes.
    #[error("cannot push to `{target}`, the repository is read-only")]
    ReadOnly {
        /// The ref.
        target: PushRef,
        /// What the server said.
        #[source]
        words: Cause,
    },
    /// The credentials are missing, wrong, or do not allow to write.
    #[error("these credentials may not write")]
    Unauthorized(#[source] GitError),
    /// No answer in time, and nothing was sent that could move the ref.
    #[error("cannot push to `{target}`: no answer within {waited_ms} ms")]
    TimedOut {
        /// The ref.
        target: PushRef,
        /// How long it was waited.
        waited_ms: u64,
    },
    /// Everything was sent and no answer came: the ref may have been moved.
    #[error("it is not known whether `{target}` was moved")]
    Unknown {
        /// The ref.
        target: PushRef,
        /// What happened instead of an answer.
        #[source]
        cause: Cause,
    },
    /// More than is pushed.
    #[error("the push to `{target}` has more than {max} {what}")]
    TooLarge {
        /// The ref.
        target: PushRef,
        /// What is too much: `bytes`, `objects`, `commits`.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// The new commit does not descend from the expected one.
    #[error("the commit for `{target}` does not descend from the expected one: {expected}")]
    WouldRewrite {
        /// The ref.
        target: PushRef,
        /// Where it was expected.
        expected: CommitId,
    },
    /// The upstream or the mirror failed before anything was sent.
    #[error("cannot push")]
    Upstream(#[source] GitError),
}

impl From<GitError> for PushError {
    fn from(error: GitError) -> Self {
        if matches!(error, GitError::AuthRequired | GitError::AuthFailed(_)) {
            Self::Unauthorized(error)
        } else {
            Self::Upstream(error)
        }
    }
}

impl PushError {
    /// A failure before anything was sent.
    pub(in crate::git) fn before(target: &PushRef, error: GitError) -> Self {
        let GitError::TimedOut { waited_ms, .. } = error else {
            return error.into();
        };
        Self::TimedOut {
            target: target.clone(),
            waited_ms,
        }
    }

    /// What has to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::LeaseLost { .. } | Self::Unknown { .. } => Remedy::RefreshAndRedo,
            Self::Busy { .. } | Self::TimedOut { .. } => Remedy::Retry,
            Self::Protected { .. }
            | Self::RefusedByHook { .. }
            | Self::Refused { .. }
            | Self::ReadOnly { .. }
            | Self::TooLarge { .. } => Remedy::FixInput,
            Self::Unauthorized(_) => Remedy::Reauthenticate,
            Self::WouldRewrite { .. } => Remedy::Bug,
            Self::Upstream(error) => error.remedy(),
        }
    }

    /// What a person can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::LeaseLost { .. } => "look at what came in between, then ask again",
            Self::Busy { .. } => "it is tried again by itself",
            Self::TimedOut { .. } => {
                "look whether the upstream, or a proxy in between, answers; it is tried again by itself"
            }
            Self::Protected { .. } => {
                "open a pull request instead, or let the service's account bypass the rule"
            }
            Self::RefusedByHook { .. } => {
                "do what the hook says, or ask its owner to let the service through"
            }
            Self::Refused { .. } => "read what the upstream said; repeating the push does not help",
            Self::ReadOnly { .. } => "make the repository writable, or follow the one that is",
            Self::Unauthorized(_) => "set credentials for writing that may push to this branch",
            Self::Unknown { .. } => {
                "look at the hooks of the upstream, and at a proxy in between; whether it arrived is looked at before it is tried again by itself"
            }
            Self::TooLarge { .. } => "set the push method `git`, or make the change smaller",
            Self::WouldRewrite { .. } => "report this; history is never rewritten",
            Self::Upstream(error) => error.hint(),
        }
    }

    /// Message and causes in one line, for places that show no chain.
    pub fn one_line(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}
