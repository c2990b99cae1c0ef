//! What is proposed for a branch: its commits, and what the branch would be with them.
//!
//! Invariant: works in the [`annex`](super::annex) alone. Equal heads and bases give equal merge results. Files that
//! were moved are looked for only where the merge conflicts otherwise, as Git's own programs would find them; so the
//! result is at worst a merge that a forge refuses or does otherwise, and whatever a forge then writes to the branch is
//! judged for itself. What is deliberately absent: merge drivers of `.gitattributes`, and any ref.

use gix::merge::blob::builtin_driver::text::Labels;
use headwater_wire::CommitId;

use super::Mirror;
use super::error::GitError;
use super::history::CommitInfo;
use super::intent::signature;
use super::object::to_commit_id;
use super::read::known;
use super::revert::unresolved;
use super::stop::Stop;

/// What a branch would be with what is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// What it is: it has all of it.
    Contained,
    /// This commit: the proposed one, if it builds on the branch's newest; else one that is here and nowhere else.
    Clean(CommitId),
    /// Nothing, until a person resolves these paths, which are sorted and escaped where they are no plain text.
    Conflict(Vec<String>),
    /// Nothing: they have no commit in common.
    Unrelated,
}

/// Whether files that were moved are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renames {
    Ignored,
    Found,
}

impl Mirror {
    /// Receives what the ref called `full` leads to, which builds on `base`; `None` if the upstream has no such ref.
    pub fn receive_proposal(
        &mut self,
        full: &str,
        base: &CommitId,
        stop: &Stop,
    ) -> Result<Option<CommitId>, GitError> {
        let upstream = self.upstream.clone();
        self.receive_ref_onto(&upstream, full, Some(base), stop)
    }

    /// Merges `head` into `base`, both of which are here.
    pub fn merge_proposal(&mut self, base: &CommitId, head: &CommitId) -> Result<Merge, GitError> {
        if base == head || self.reader.is_ancestor(head, base)? {
            return Ok(Merge::Contained);
        }
        if self.reader.is_ancestor(base, head)? {
            return Ok(Merge::Clean(head.clone()));
        }
        let mut repo = self.scratch()?;
        let (ours, theirs) = (known(&repo, base)?, known(&repo, head)?);
        let broken = |error: &gix::Error| self.layout.broken(error);
        let bases = repo
            .merge_bases_many(ours, &[theirs])
            .map_err(|error| broken(&error))?;
        if bases.is_empty() {
            return Ok(Merge::Unrelated);
        }
        let mut merged = merge(&repo, (ours, theirs), Renames::Ignored).map_err(|error| broken(&error))?;
        if merged.is_err() {
            merged = merge(&repo, (ours, theirs), Renames::Found).map_err(|error| broken(&error))?;
        }
        let tree = match merged {
            Ok(tree) => tree,
            Err(paths) => return Ok(Merge::Conflict(paths)),
        };
        let commit = commit(tree, (ours, theirs), self.reader.commit(head)?);
        let id = repo
            .write_object(&commit)
            .map_err(|error| broken(&error))?
            .detach();
        self.persist(&mut repo)?;
        self.refresh_reader()?;
        Ok(Merge::Clean(to_commit_id(id)))
    }
}

/// The merged tree, or the paths that conflict.
fn merge(
    repo: &gix::Repository,
    (ours, theirs): (gix::ObjectId, gix::ObjectId),
    renames: Renames,
) -> gix::Result<Result<gix::ObjectId, Vec<String>>> {
    let mut options: gix::merge::plumbing::tree::Options = repo.tree_merge_options()?.into();
    if renames == Renames::Ignored {
        options.rewrites = None;
    }
    let merged = repo.merge_commits(ours, theirs, Labels::default(), options.into())?;
    let mut merged = merged.tree_merge;
    let paths = unresolved(&merged.conflicts);
    if !paths.is_empty() {
        return Ok(Err(paths));
    }
    Ok(Ok(merged.tree.write()?.detach()))
}

/// A merge that says what its newest commit says, since that is what its author says of it, and at the same time, so
/// that it depends on nothing but what is merged.
fn commit(
    tree: gix::ObjectId,
    (ours, theirs): (gix::ObjectId, gix::ObjectId),
    newest: CommitInfo,
) -> gix::objs::Commit {
    gix::objs::Commit {
        tree,
        parents: [ours, theirs].into_iter().collect(),
        author: signature(&newest.author),
        committer: signature(&newest.committer),
        encoding: None,
        message: newest.message.into(),
        extra_headers: Vec::new(),
    }
}
