//! Moving one ref of the upstream from where it is expected to a commit of the mirror, or learning why not.
//!
//! Invariant: a compare-and-swap. The expected value is compared with what the upstream says before anything is sent, and
//! again by the upstream under its own lock; nothing is ever forced, and what is pushed descends from what it replaces.
//! Once everything was sent, a missing answer is [`PushError::Unknown`], never a failure: look with [`Mirror::landed`]
//! before anything else. What is deliberately absent: pushing several refs, deleting, retries.

mod error;
mod git_cli;
mod landing;
mod pack;
mod receive_pack;
mod refusal;

use std::fmt;

use headwater_wire::{BranchName, CommitId};

pub use error::PushError;
pub use landing::Landing;

use super::Mirror;
use super::error::{Cause, GitError};
use super::object::{to_commit_id, to_object_id};
use super::read::known;
use super::session::SessionSettings;
use super::stop::Stop;
use super::upstream::Upstream;
use refusal::Refusal;

/// How to write to the upstream: apart from how it is read, since most who may read may not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAccess {
    /// Where to, and who we are there.
    pub upstream: Upstream,
    /// Who speaks Git's protocol.
    pub method: PushMethod,
}

/// Who speaks Git's protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PushMethod {
    /// We do: no program over HTTP, and no secret leaves the process.
    #[default]
    ReceivePack,
    /// The `git` program, for servers that our own words do not suit and for packs beyond our limit.
    GitProgram,
}

/// A ref that we push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushRef {
    /// A branch.
    Branch(BranchName),
    /// The notes that tell what became of commits.
    Notes,
}

impl fmt::Display for PushRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "refs/heads/{branch}"),
            Self::Notes => f.write_str("refs/notes/headwater"),
        }
    }
}

/// One ref to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The ref.
    pub target: PushRef,
    /// Where to; a commit of the mirror.
    pub commit: CommitId,
    /// Where it must be now; `None` if it must not exist.
    pub expected: Option<CommitId>,
    /// Commits whose content the new one takes up, as [`Written::sources`](super::revert::Written::sources) says.
    pub sources: Vec<CommitId>,
}

/// The ref is where it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// This push moved it.
    Moved,
    /// It was there before: another pusher of the same intent, or our own push whose answer got lost.
    AlreadyThere,
}

/// What a server or `git` said about the ref.
#[derive(Debug)]
enum Answer {
    Moved,
    AlreadyThere,
    /// It was elsewhere before anything was sent.
    Elsewhere(Option<gix::ObjectId>),
    /// The reason of the status line, and what else was said.
    No {
        reason: String,
        said: String,
    },
    /// The server ended without a word about the ref.
    Silence,
}

/// A request whose names were looked up, with everything needed to carry it out.
struct Job<'a> {
    mirror: &'a Mirror,
    access: &'a WriteAccess,
    target: &'a PushRef,
    new: gix::ObjectId,
    expected: Option<gix::ObjectId>,
    sources: Vec<gix::ObjectId>,
    stop: &'a Stop,
}

impl WriteAccess {
    fn settings<'a>(&'a self, mirror: &'a Mirror) -> SessionSettings<'a> {
        SessionSettings {
            upstream: &self.upstream,
            limits: &mirror.limits,
            home: &mirror.layout.home,
        }
    }
}

impl Mirror {
    /// Moves a ref of the upstream. No ref of the mirror is moved: the commit comes in by the next fetch.
    pub fn push(
        &self,
        access: &WriteAccess,
        request: &PushRequest,
        stop: &Stop,
    ) -> Result<Pushed, PushError> {
        // An upstream may list many refs that are not here; this handle does not search the disk for each of them.
        let repo = self.reader.walking();
        let sources = request.sources.iter();
        let job = Job {
            mirror: self,
            access,
            target: &request.target,
            new: known(&repo, &request.commit)?,
            expected: request
                .expected
                .as_ref()
                .map(|commit| to_object_id(&repo, commit))
                .transpose()?,
            sources: sources
                .filter_map(|commit| to_object_id(&repo, commit).ok())
                .collect(),
            stop,
        };
        if let Some(expected) = &request.expected
            && !self.reader.is_ancestor(expected, &request.commit)?
        {
            return Err(PushError::WouldRewrite {
                target: request.target.clone(),
                expected: expected.clone(),
            });
        }
        let answer = match access.method {
            PushMethod::ReceivePack => receive_pack::push(&job, &repo)?,
            PushMethod::GitProgram => git_cli::push(&job)?,
        };
        job.conclude(answer)
    }
}

impl Job<'_> {
    fn conclude(&self, answer: Answer) -> Result<Pushed, PushError> {
        let target = self.target.clone();
        let (reason, said) = match answer {
            Answer::Moved => return Ok(Pushed::Moved),
            Answer::AlreadyThere => return Ok(Pushed::AlreadyThere),
            Answer::Elsewhere(actual) => {
                let actual = actual.map(to_commit_id);
                return Err(PushError::LeaseLost { target, actual });
            }
            Answer::Silence => {
                let cause = Cause::ours("the upstream ended without a word about the ref");
                return Err(PushError::Unknown { target, cause });
            }
            Answer::No { reason, said } => (reason, said),
        };
        let words = self.words(&reason, &said);
        Err(match refusal::judge(&reason, &said) {
            Refusal::Protected => PushError::Protected { target, words },
            Refusal::Later => PushError::Busy { target, words },
            Refusal::ReadOnly => PushError::ReadOnly { target, words },
            Refusal::NotAllowed => PushError::Unauthorized(GitError::AuthFailed(words)),
            Refusal::Hook => PushError::RefusedByHook { target, words },
            Refusal::Other => PushError::Refused { target, words },
            Refusal::Contended => return self.contended(words),
        })
    }

    /// The words alone do not tell whether the ref was moved or only locked: look at it.
    fn contended(&self, words: Cause) -> Result<Pushed, PushError> {
        let target = self.target.clone();
        match receive_pack::look(self.mirror, self.access, self.target, self.stop) {
            Ok(actual) if actual == Some(self.new) => Ok(Pushed::AlreadyThere),
            Ok(actual) if actual != self.expected => Err(PushError::LeaseLost {
                target,
                actual: actual.map(to_commit_id),
            }),
            Ok(_) | Err(_) => Err(PushError::Busy { target, words }),
        }
    }

    fn words(&self, reason: &str, said: &str) -> Cause {
        let authorization = self.access.upstream.authorization().ok().flatten();
        let secrets = authorization.map(|made| made.secrets).unwrap_or_default();
        let said = said.trim();
        if said.is_empty() {
            Cause::new(reason, &secrets)
        } else {
            Cause::new(&format!("{reason}: {said}"), &secrets)
        }
    }
}
