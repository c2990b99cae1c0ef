//! Asking the upstream where a branch is, without receiving any object.
//!
//! Invariant: one exact ref is asked for, so the answer has a few hundred bytes; only if the branch is missing are the
//! others listed, to tell a person their names. What is deliberately absent: trust in what a listing says; a fetch
//! looks again.

use gix::bstr::{BStr, ByteSlice};
use gix::protocol::handshake::Ref;
use headwater_wire::{BranchName, CommitId};

use super::Mirror;
use super::error::{Cause, GitError, Phase};
use super::object::to_commit_id;
use super::session::{Session, with_connection};
use super::stop::Stop;

/// Names of other branches that are told to a person.
const OTHERS_MAX: usize = 5;
/// What people call the default branch where the upstream does not say.
const USUAL_DEFAULTS: [&str; 2] = ["main", "master"];

/// Which branch to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchWanted {
    /// The one the upstream's `HEAD` names, else `main` or `master`.
    Default,
    /// This one.
    Named(BranchName),
}

impl BranchWanted {
    /// The branch, if it has a name.
    pub fn named(&self) -> Option<&BranchName> {
        match self {
            Self::Default => None,
            Self::Named(branch) => Some(branch),
        }
    }
}

/// What the upstream says about the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The branch; `None` only while an upstream without branches and without a `HEAD` is asked for its default.
    pub branch: Option<BranchName>,
    /// Where it is.
    pub head: ListedHead,
}

/// Where the branch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedHead {
    /// At this commit.
    At(CommitId),
    /// The upstream has no branch at all.
    EmptyRepository,
    /// The upstream has branches, but not this one.
    BranchMissing {
        /// The missing one; `None` if no default could be found.
        branch: Option<BranchName>,
        /// Up to five others, sorted.
        others: Vec<String>,
    },
}

impl Mirror {
    /// Asks the upstream where the branch is. Nothing is written.
    pub fn list(&self, want: &BranchWanted, stop: &Stop) -> Result<Listing, GitError> {
        match want {
            BranchWanted::Named(branch) => self.list_named(branch, stop),
            BranchWanted::Default => self.list_default(stop),
        }
    }

    fn list_named(&self, branch: &BranchName, stop: &Stop) -> Result<Listing, GitError> {
        let full = full_name(branch);
        let refs = self.remote_refs(std::slice::from_ref(&full), stop)?;
        let listed = refs
            .iter()
            .filter(|listed| name_of(listed) == full)
            .find_map(id_of);
        let head = match listed {
            Some(id) => ListedHead::At(to_commit_id(id)),
            None => self.without_branch(Some(branch), stop)?,
        };
        Ok(Listing {
            branch: Some(branch.clone()),
            head,
        })
    }

    fn list_default(&self, stop: &Stop) -> Result<Listing, GitError> {
        let mut asked = vec!["HEAD".to_owned()];
        asked.extend(USUAL_DEFAULTS.map(|name| format!("refs/heads/{name}")));
        let refs = self.remote_refs(&asked, stop)?;
        let symbolic = refs
            .iter()
            .filter(|listed| name_of(listed) == "HEAD")
            .find_map(target_of);
        let usual = || {
            let here = |name: &&str| {
                refs.iter()
                    .any(|listed| name_of(listed) == format!("refs/heads/{name}"))
            };
            USUAL_DEFAULTS
                .iter()
                .find(|name| here(name))
                .and_then(|name| name.parse().ok())
        };
        let branch: Option<BranchName> = symbolic.and_then(branch_of);
        let Some(branch) = branch.or_else(usual) else {
            return Ok(Listing {
                branch: None,
                head: self.without_branch(None, stop)?,
            });
        };
        let full = full_name(&branch);
        let at = |listed: &&Ref| {
            name_of(listed) == full || target_of(listed).is_some_and(|target| target == full.as_str())
        };
        match refs.iter().find(at).and_then(id_of) {
            Some(id) => Ok(Listing {
                branch: Some(branch),
                head: ListedHead::At(to_commit_id(id)),
            }),
            // An unborn HEAD names a branch that may not be there while others are.
            None => match usual() {
                Some(usual) => self.list_named(&usual, stop),
                None => self.list_named(&branch, stop),
            },
        }
    }

    fn without_branch(&self, branch: Option<&BranchName>, stop: &Stop) -> Result<ListedHead, GitError> {
        let refs = self.remote_refs(&["+refs/heads/*:refs/headwater/listed/*".to_owned()], stop)?;
        let mut others: Vec<String> = refs
            .iter()
            .filter_map(|listed| branch_of(name_of(listed).as_bytes().as_bstr()))
            .map(|branch| branch.as_str().to_owned())
            .collect();
        if others.is_empty() {
            return Ok(ListedHead::EmptyRepository);
        }
        others.sort();
        others.truncate(OTHERS_MAX);
        Ok(ListedHead::BranchMissing {
            branch: branch.cloned(),
            others,
        })
    }

    /// What the upstream says about refs; with old servers that may be all refs.
    pub(super) fn remote_refs(&self, refspecs: &[String], stop: &Stop) -> Result<Vec<Ref>, GitError> {
        let repo = self.layout.open()?.to_thread_local();
        let mut session = Session::open(&self.session_settings(), Phase::List, stop)?;
        let transport = session.take_transport()?;
        let listed = with_connection(&repo, refspecs, transport, |connection| {
            let (map, _handshake) =
                connection.ref_map(gix::progress::Discard, gix::remote::ref_map::Options::default())?;
            Ok(map.remote_refs)
        });
        session.finish(listed, &self.layout.dir)
    }
}

pub(super) fn full_name(branch: &BranchName) -> String {
    format!("refs/heads/{branch}")
}

/// Name as text; a name that is no UTF-8 equals no name of ours.
pub(super) fn name_of(listed: &Ref) -> String {
    let (Ref::Peeled { full_ref_name, .. }
    | Ref::Direct { full_ref_name, .. }
    | Ref::Symbolic { full_ref_name, .. }
    | Ref::Unborn { full_ref_name, .. }) = listed;
    full_ref_name.to_str_lossy().into_owned()
}

fn id_of(listed: &Ref) -> Option<gix::ObjectId> {
    match listed {
        Ref::Peeled { object, .. } | Ref::Direct { object, .. } | Ref::Symbolic { object, .. } => {
            Some(*object)
        }
        Ref::Unborn { .. } => None,
    }
}

fn target_of(listed: &Ref) -> Option<&BStr> {
    match listed {
        Ref::Symbolic { target, .. } | Ref::Unborn { target, .. } => Some(target.as_bstr()),
        Ref::Peeled { .. } | Ref::Direct { .. } => None,
    }
}

fn branch_of(full: &BStr) -> Option<BranchName> {
    full.to_str().ok()?.strip_prefix("refs/heads/")?.parse().ok()
}

/// The cause of a listing that contradicts itself.
pub(super) fn contradiction(text: &str) -> GitError {
    GitError::BadAnswer(Cause::ours(text))
}
