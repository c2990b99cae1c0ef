//! Is what was received complete? gix does not ask, so we do, before any ref of ours moves.
//!
//! Invariant: after [`connected`] every commit down to the recorded head (or the root) is here, the whole tree of the
//! new head is here, and so is every file that one of the newest new commits changed. What is deliberately absent:
//! a full `fsck`; hashes were checked when the pack was indexed.

use gix::objs::Kind;
use gix::objs::tree::EntryKind;
use headwater_wire::CommitId;

use super::error::GitError;
use super::history::tree_diff;
use super::limits::ReadLimits;
use super::object::{to_commit_id, to_object_id};
use super::read::{WALK_CACHE_BYTES, is_commit};
use super::stop::Shared;

/// Commits whose own changes are checked one by one, newest first: what is served beyond them is checked when it is
/// read. A diff of two neighbours costs 0.05 ms.
const CHECKED_COMMITS_MAX: usize = 2_000;

/// Checks that the history of `head` down to `have` is complete.
pub(crate) fn connected(
    repo: &gix::Repository,
    head: gix::ObjectId,
    have: Option<gix::ObjectId>,
    limits: &ReadLimits,
    work: &Shared,
) -> Result<(), GitError> {
    let mut repo = repo.clone();
    repo.object_cache_size(WALK_CACHE_BYTES);
    let commit = to_commit_id(head);
    if !is_commit(&repo, head) {
        return Err(incomplete(&commit, "the commit itself"));
    }
    let fresh = fresh_commits(&repo, head, have, work)?;
    match have.filter(|have| is_commit(&repo, *have)) {
        None => whole_tree(&repo, &commit, limits, Depth::Headers)?,
        Some(have) => changes(&repo, head, Some(have))?,
    }
    for id in fresh.into_iter().take(CHECKED_COMMITS_MAX) {
        work.verdict()?;
        let object = repo
            .find_commit(id)
            .map_err(|error| incomplete(&to_commit_id(id), &error.to_string()))?;
        let parent = object.parent_ids().next().map(gix::Id::detach);
        if parent.is_some() {
            changes(&repo, id, parent)?;
        } else {
            whole_tree(&repo, &to_commit_id(id), limits, Depth::Headers)?;
        }
    }
    Ok(())
}

/// Reads the whole tree of a recorded head and all of its files within the limit.
pub(crate) fn readable(
    repo: &gix::Repository,
    commit: &CommitId,
    limits: &ReadLimits,
) -> Result<(), GitError> {
    let id = to_object_id(repo, commit)?;
    if !is_commit(repo, id) {
        return Err(incomplete(commit, "the commit itself"));
    }
    whole_tree(repo, commit, limits, Depth::Bytes)
}

/// How closely files are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Headers,
    Bytes,
}

fn incomplete(commit: &CommitId, missing: &str) -> GitError {
    let missing = super::error::Cause::ours(missing).as_str().to_owned();
    GitError::Incomplete {
        commit: commit.clone(),
        missing,
    }
}

/// All commits that are new, newest first; walking them proves that each parent is here.
fn fresh_commits(
    repo: &gix::Repository,
    head: gix::ObjectId,
    have: Option<gix::ObjectId>,
    work: &Shared,
) -> Result<Vec<gix::ObjectId>, GitError> {
    let lost = |error: &gix::Error| {
        incomplete(
            &to_commit_id(head),
            &format!(
                "a commit of its history ({})",
                super::error::Cause::gix(error, &[])
            ),
        )
    };
    let hidden = have.filter(|have| is_commit(repo, *have));
    // A commit-graph file would vouch for commits without looking at them.
    let walk = repo.rev_walk([head]).with_hidden(hidden).use_commit_graph(false);
    let mut fresh = Vec::new();
    for info in walk.all().map_err(|error| lost(&error))? {
        let info = info.map_err(|error| lost(&error))?;
        if fresh.len() % 256 == 0 {
            work.verdict()?;
        }
        fresh.push(info.id);
    }
    Ok(fresh)
}

/// Every entry that differs between a commit and its parent is here.
fn changes(
    repo: &gix::Repository,
    commit: gix::ObjectId,
    parent: Option<gix::ObjectId>,
) -> Result<(), GitError> {
    use gix::diff::tree::recorder::Change;
    let name = to_commit_id(commit);
    let tree =
        |id: gix::ObjectId| -> gix::Result<gix::ObjectId> { Ok(repo.find_commit(id)?.tree_id()?.detach()) };
    let lost = |error: gix::Error| incomplete(&name, &error.to_string());
    let old = parent.map(tree).transpose().map_err(lost)?;
    let records = tree(commit)
        .and_then(|new| tree_diff(repo, old, new))
        .map_err(lost)?;
    for record in records {
        let (Change::Addition {
            entry_mode,
            oid,
            path,
            ..
        }
        | Change::Modification {
            entry_mode,
            oid,
            path,
            ..
        }) = record
        else {
            continue;
        };
        if entry_mode.kind() != EntryKind::Commit && !repo.has_object(oid) {
            return Err(incomplete(&name, &path.to_string()));
        }
    }
    Ok(())
}

fn whole_tree(
    repo: &gix::Repository,
    commit: &CommitId,
    limits: &ReadLimits,
    depth: Depth,
) -> Result<(), GitError> {
    let lost = |error: gix::Error| incomplete(commit, &error.to_string());
    let id = to_object_id(repo, commit)?;
    let root = repo
        .find_commit(id)
        .and_then(|object| Ok(object.tree_id()?.detach()))
        .map_err(lost)?;
    let (mut pending, mut entries) = (vec![root], 0_u64);
    while let Some(tree) = pending.pop() {
        let tree = repo.find_tree(tree).map_err(lost)?;
        for entry in tree.iter() {
            let entry = entry.map_err(lost)?;
            entries += 1;
            if entries > limits.entries_max {
                return Err(GitError::TooLarge {
                    commit: commit.clone(),
                    what: "entries",
                    max: limits.entries_max,
                });
            }
            match entry.mode().kind() {
                EntryKind::Tree => pending.push(entry.object_id()),
                EntryKind::Commit => {}
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => {
                    blob(repo, entry.object_id(), limits, depth)
                        .map_err(|_| incomplete(commit, &entry.filename().to_string()))?;
                }
            }
        }
    }
    Ok(())
}

fn blob(repo: &gix::Repository, id: gix::ObjectId, limits: &ReadLimits, depth: Depth) -> gix::Result<()> {
    let header = repo.find_header(id)?;
    if header.kind() != Kind::Blob {
        return Err(gix::Error::from_error(gix::error::corruption(
            "an entry for a file names no file",
        )));
    }
    if depth == Depth::Bytes && header.size() <= limits.file_bytes_max {
        repo.find_blob(id).map(drop)?;
    }
    Ok(())
}
