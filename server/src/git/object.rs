//! Names of objects: from gix's type to ours and back.
//!
//! Invariant: what leaves this room is text that was checked, never a type of gix.

use std::fmt;
use std::sync::Arc;

use headwater_wire::CommitId;

use super::error::GitError;

/// Full hash of a tree or blob, in hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

impl ObjectName {
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<gix::ObjectId> for ObjectName {
    fn from(id: gix::ObjectId) -> Self {
        Self(id.to_hex().to_string().into())
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectName({})", self.0)
    }
}

/// The commit id for an object id of gix.
pub(crate) fn to_commit_id(id: gix::ObjectId) -> CommitId {
    id.to_hex()
        .to_string()
        .parse()
        .expect("an object id prints as 40 or 64 lowercase hex digits")
}

/// The object id for a commit id; a hash of the other length names no object here.
pub(crate) fn to_object_id(repo: &gix::Repository, commit: &CommitId) -> Result<gix::ObjectId, GitError> {
    let unknown = || GitError::UnknownCommit {
        commit: commit.clone(),
    };
    let id = gix::ObjectId::from_hex(commit.as_str().as_bytes()).map_err(|_| unknown())?;
    if id.kind() == repo.object_hash() {
        Ok(id)
    } else {
        Err(unknown())
    }
}
