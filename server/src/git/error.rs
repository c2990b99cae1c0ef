//! What can go wrong with Git, and what to do about each of it.
//!
//! Invariant: every text in an error of this room went through [`Cause`], so it is one short line without control
//! characters and without any credential; each variant has exactly one [`Remedy`]. What is deliberately absent: the
//! error types of gix, whose texts hold what a remote wrote.

use std::fmt;
use std::path::PathBuf;

use gix::error::{Class, ResourceExhaustionKind};
use headwater_wire::{BranchName, CommitId, SourceState};

use crate::secret::Secret;

/// Longest cause that is kept, in characters: enough for the words of `ssh`, too short for a page of HTML.
const CAUSE_CHARS_MAX: usize = 600;

/// What the reader of an error has to do; status codes, log levels and retry policy follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// The same call may succeed later.
    Retry,
    /// Credentials have to be set or renewed.
    Reauthenticate,
    /// What was asked for, or the settings, have to change.
    FixInput,
    /// The world moved: look again and decide anew.
    RefreshAndRedo,
    /// Room has to be made.
    FreeCapacity,
    /// The mirror has to be built again; that is always safe.
    RepairMirror,
    /// Somebody asked to stop.
    Stop,
    /// We made a mistake.
    Bug,
}

/// One clean line that tells why, fit for a log, an answer and a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(String);

impl Cause {
    /// Cleans `text`: control characters become escapes, long texts are cut, `secrets` become `[secret]`.
    pub fn new(text: &str, secrets: &[Secret]) -> Self {
        let mut text = text.to_owned();
        for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
            text = text.replace(secret.expose(), "[secret]");
        }
        let escaped = text
            .trim()
            .chars()
            .flat_map(escape)
            .take(CAUSE_CHARS_MAX)
            .collect::<String>();
        Self(if escaped.is_empty() {
            "no reason given".to_owned()
        } else {
            escaped
        })
    }

    /// A cause in our own words.
    pub(crate) fn ours(text: &str) -> Self {
        Self::new(text, &[])
    }

    /// The texts of an error and of all its sources, in order, without repetitions.
    pub(crate) fn chain(error: &(dyn std::error::Error + 'static), secrets: &[Secret]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            push_new(&mut texts, error.to_string());
            next = error.source();
        }
        Self::new(&texts.join(": "), secrets)
    }

    /// The same for the error tree of gix.
    pub(crate) fn gix(error: &gix::Error, secrets: &[Secret]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in error.iter_errors() {
            push_new(&mut texts, error.to_string());
        }
        Self::new(&texts.join(": "), secrets)
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

fn push_new(texts: &mut Vec<String>, text: String) {
    if !texts.iter().any(|known| known.contains(&text)) {
        texts.push(text);
    }
}

/// A newline becomes a blank, other control characters and the marks that reorder text become escapes.
fn escape(c: char) -> Vec<char> {
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match c {
        '\n' | '\r' | '\t' => vec![' '],
        c if c.is_control() || reorders => c.escape_unicode().collect(),
        c => vec![c],
    }
}

/// Which conversation with the upstream ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Asking where the branch is.
    List,
    /// Receiving objects.
    Fetch,
    /// Packing the mirror.
    Maintain,
    /// Sending objects and moving a ref of the upstream.
    Push,
    /// Signing a commit.
    Sign,
    /// Checking the signature of a commit.
    Verify,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "listing",
            Self::Fetch => "fetching",
            Self::Maintain => "maintaining",
            Self::Push => "pushing",
            Self::Sign => "signing",
            Self::Verify => "checking a signature",
        })
    }
}

/// A failure of the mirror; each variant has exactly one remedy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// No connection, or it broke.
    #[error("cannot reach the upstream")]
    Unreachable(#[source] Cause),
    /// A deadline passed.
    #[error("the upstream did not answer in time while {phase}: {waited_ms} ms")]
    TimedOut {
        /// What was being done.
        phase: Phase,
        /// How long it was waited.
        waited_ms: u64,
    },
    /// The upstream wants credentials and none are set.
    #[error("the upstream asks for credentials and none are set")]
    AuthRequired,
    /// The upstream refused the credentials.
    #[error("the upstream refused the credentials")]
    AuthFailed(#[source] Cause),
    /// The host's key is not one of the known ones.
    #[error("the upstream's host key is not a known one")]
    HostKey(#[source] Cause),
    /// No repository at the address.
    #[error("there is no repository at the upstream's address")]
    NotFound(#[source] Cause),
    /// Something that is not Git, or is broken, or is too large.
    #[error("the upstream gave a bad answer")]
    BadAnswer(#[source] Cause),
    /// The objects received are not complete; nothing of them was adopted.
    #[error("the upstream sent an incomplete history: `{missing}` is missing in `{commit}`")]
    Incomplete {
        /// The commit that needs the object.
        commit: CommitId,
        /// What is missing.
        missing: String,
    },
    /// The branch vanished between listing and fetching.
    #[error("the upstream no longer has the branch `{branch}`")]
    BranchGone {
        /// The branch.
        branch: BranchName,
    },
    /// The branch was moved to another history between listing and fetching.
    #[error("the upstream moved the branch `{branch}` while it was fetched: {actual}")]
    BranchMoved {
        /// The branch.
        branch: BranchName,
        /// Where it is now.
        actual: CommitId,
    },
    /// Our own ref was moved by somebody else in between.
    #[error("the recorded head of `{branch}` is not the expected one: {}", actual.as_ref().map_or("none", CommitId::as_str))]
    HeadMoved {
        /// The branch.
        branch: BranchName,
        /// Where it is.
        actual: Option<CommitId>,
    },
    /// Disk full, quota reached or file system read-only.
    #[error("cannot write to the mirror `{}`", dir.display())]
    StorageFull {
        /// The mirror.
        dir: PathBuf,
        /// What the system said.
        #[source]
        cause: Cause,
    },
    /// The mirror cannot be read.
    #[error("the mirror `{}` is damaged", dir.display())]
    MirrorBroken {
        /// The mirror.
        dir: PathBuf,
        /// What is wrong.
        #[source]
        cause: Cause,
    },
    /// Another process holds the mirror.
    #[error("the mirror is in use by another process: `{}`", dir.display())]
    LockedByOther {
        /// The mirror.
        dir: PathBuf,
    },
    /// The commit is not in the mirror.
    #[error("the commit is not here: `{commit}`")]
    UnknownCommit {
        /// The commit.
        commit: CommitId,
    },
    /// A single object is larger than is taken.
    #[error("a file of the branch is larger than what is fetched, in bytes: {max}")]
    ObjectTooLarge {
        /// The limit.
        max: u64,
    },
    /// A tree is larger or deeper than is read.
    #[error("the tree of `{commit}` has more than {max} {what}")]
    TooLarge {
        /// The commit.
        commit: CommitId,
        /// What is too much: `entries`, `levels of directories`, `bytes`.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A setting cannot be used: a file that cannot be read, credentials that may not be sent.
    #[error("the settings of the upstream cannot be used")]
    Settings(#[source] Cause),
    /// A program that this transport needs is not installed.
    #[error("program not found: `{program}`")]
    ProgramMissing {
        /// Its name.
        program: &'static str,
    },
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl GitError {
    /// What has to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } | Self::BadAnswer(_) | Self::Incomplete { .. } => {
                Remedy::Retry
            }
            Self::AuthRequired | Self::AuthFailed(_) | Self::HostKey(_) => Remedy::Reauthenticate,
            Self::NotFound(_)
            | Self::UnknownCommit { .. }
            | Self::ObjectTooLarge { .. }
            | Self::TooLarge { .. }
            | Self::Settings(_)
            | Self::ProgramMissing { .. }
            | Self::LockedByOther { .. } => Remedy::FixInput,
            Self::BranchGone { .. } | Self::BranchMoved { .. } | Self::HeadMoved { .. } => {
                Remedy::RefreshAndRedo
            }
            Self::StorageFull { .. } => Remedy::FreeCapacity,
            Self::MirrorBroken { .. } => Remedy::RepairMirror,
            Self::Cancelled => Remedy::Stop,
        }
    }

    /// What a person can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "check the address, the network, the proxy and the CA file; it is tried again by itself"
            }
            Self::TimedOut { .. } => {
                "check the network and the load of the upstream; it is tried again by itself"
            }
            Self::AuthRequired => "set a token file, a user with a password file, or a key file",
            Self::AuthFailed(_) => {
                "renew the token, password or key and its rights; SIGHUP tries again at once"
            }
            Self::HostKey(_) => {
                "compare the key with one published by the host, put it into the known_hosts file, then send SIGHUP"
            }
            Self::NotFound(_) => {
                "check the address; many hosts also say `not found` if credentials are missing"
            }
            Self::BadAnswer(_) => "check that the address is a Git repository; it is tried again by itself",
            Self::Incomplete { .. } => "run `git fsck` on the upstream; what is published stays as it is",
            Self::BranchGone { .. } => {
                "it is listed again by itself; if the branch was deleted, follow another one"
            }
            Self::BranchMoved { .. } => "it is listed again by itself",
            Self::HeadMoved { .. } => "look at the head again, then decide anew",
            Self::StorageFull { .. } => {
                "make room or make the data directory writable; what is published keeps serving"
            }
            Self::MirrorBroken { .. } => "nothing is lost: the mirror is set aside and cloned again",
            Self::LockedByOther { .. } => "stop the other process or give this one its own data directory",
            Self::UnknownCommit { .. } => "push the commit to the upstream, or check the id",
            Self::ObjectTooLarge { .. } => {
                "take the file out of the commits that are not published yet, and force-push; a commit that removes it \
                 is not enough, since history is fetched too; docs/operations.md shows how to find it"
            }
            Self::TooLarge { .. } => "make the tree smaller, or split the repository",
            Self::Settings(_) => "correct the setting named in the cause",
            Self::ProgramMissing { .. } => "install the program, or use an https address, which needs none",
            Self::Cancelled => "nothing; the service is stopping",
        }
    }

    /// The word for this failure in the view of a repository.
    pub fn source_state(&self) -> SourceState {
        match self {
            Self::Unreachable(_) | Self::ProgramMissing { .. } | Self::Settings(_) | Self::Cancelled => {
                SourceState::Unreachable
            }
            Self::TimedOut { .. } => SourceState::TimedOut,
            Self::AuthRequired => SourceState::AuthRequired,
            Self::AuthFailed(_) | Self::HostKey(_) => SourceState::AuthFailed,
            Self::NotFound(_) => SourceState::NotFound,
            Self::BadAnswer(_) | Self::Incomplete { .. } => SourceState::BadAnswer,
            Self::ObjectTooLarge { .. } | Self::TooLarge { .. } => SourceState::TooLarge,
            Self::BranchGone { .. } => SourceState::BranchMissing,
            Self::BranchMoved { .. } => SourceState::Ok,
            Self::StorageFull { .. } => SourceState::StorageFull,
            Self::MirrorBroken { .. }
            | Self::LockedByOther { .. }
            | Self::UnknownCommit { .. }
            | Self::HeadMoved { .. } => SourceState::MirrorBroken,
        }
    }

    /// Message and cause in one line, for places that show no chain.
    pub fn one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// Whether the system refused to write: no space, quota, or a read-only file system.
pub(crate) fn is_storage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

/// The same, anywhere in an error tree of gix, which keeps the system's error or only its words.
pub(crate) fn is_storage_gix(error: &gix::Error) -> bool {
    error.iter_errors().any(|error| {
        let text = error.to_string();
        error.downcast_ref::<std::io::Error>().is_some_and(is_storage)
            || [
                "No space left on device",
                "Disk quota exceeded",
                "Read-only file system",
            ]
            .iter()
            .any(|words| text.contains(words))
    })
}

/// Whether an object was larger than we let gix make room for. A pack that lies about its number of objects is of the
/// same class, and only the words tell the two apart.
pub(crate) fn is_object_too_large(error: &gix::Error) -> bool {
    let limit = Class::ResourceExhaustion(ResourceExhaustionKind::AllocationLimit);
    error
        .classify()
        .any(|found| found.class() == limit && found.error().to_string().starts_with("Entry too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_clean_line_without_secrets() {
        let secret = Secret::new("hunter2");
        let cause = Cause::new("remote:\n\u{1b}[31mhunter2 \0 \u{202e}gone\r\n", &[secret]);
        assert_eq!(cause.as_str(), "remote: \\u{1b}[31m[secret] \\u{0} \\u{202e}gone");
        assert_eq!(
            Cause::new(&"x".repeat(10_000), &[]).as_str().len(),
            CAUSE_CHARS_MAX
        );
        assert_eq!(Cause::new("  ", &[]).as_str(), "no reason given");
    }
}
