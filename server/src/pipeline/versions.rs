//! Feeds the version search with history from the mirror.

use std::collections::BTreeMap;

use headwater_core::{ChangedPath, Known, VersionSearch};
use headwater_validators::{Inputs, Limits, PathChange};
use headwater_wire::{CommitId, ConfigName};

use crate::git::error::GitError;
use crate::git::history::{ChangedEntry, Side, SideKind};
use crate::git::read::Reader;
use crate::tree::{self, Contents};

/// Commits walked at most for one search; a run longer than that is cut, and said to begin there.
const WALK_MAX: usize = 1_000_000;

/// Finds the version of every config that `commit` declares. `known` is a commit whose versions are already known,
/// where the walk may end early.
pub(crate) fn versions_at(
    reader: &Reader,
    commit: &CommitId,
    inputs: BTreeMap<ConfigName, Inputs>,
    known: Option<(&CommitId, &Known)>,
    limits: &Limits,
) -> Result<BTreeMap<ConfigName, CommitId>, GitError> {
    let mut search = VersionSearch::new(commit.clone(), inputs);
    let mut at = commit.clone();
    for _ in 0..WALK_MAX {
        if let Some((known_commit, known)) = known
            && *known_commit == at
        {
            search.meet(known);
        }
        if search.is_done() {
            break;
        }
        let Some(parent) = reader.commit(&at)?.parents.into_iter().next() else {
            break;
        };
        let changed = changed_paths(reader, &parent, &at)?;
        if search.must_declare(&changed) {
            let declared = declared(reader, &parent, limits)?;
            search.step_declared(parent.clone(), declared.as_ref());
        } else {
            search.step(parent.clone(), &changed);
        }
        at = parent;
    }
    Ok(search.finish())
}

/// What an old commit declares. One that is too large to be read declares nothing, as when it is judged.
fn declared(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
) -> Result<Option<BTreeMap<ConfigName, Inputs>>, GitError> {
    match tree::read(reader, commit, limits, Contents::Manifest) {
        Ok(tree) => Ok(headwater_validators::declare(&tree, limits)),
        Err(GitError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Paths that differ between a commit and its parent. Names that are no valid paths are left out, since no config can
/// be made of them.
fn changed_paths(reader: &Reader, from: &CommitId, to: &CommitId) -> Result<Vec<ChangedPath>, GitError> {
    let changed = reader.changed(Some(from), to)?;
    let paths = changed.iter().filter_map(|entry| {
        let path = std::str::from_utf8(&entry.path).ok()?.parse().ok()?;
        let change = path_change(entry)?;
        Some(ChangedPath { path, change })
    });
    Ok(paths.collect())
}

/// `None` for what changes no content: the executable bit, and where a link or a submodule leads, which nobody follows.
fn path_change(entry: &ChangedEntry) -> Option<PathChange> {
    let is_file = |side: &Side| matches!(side.kind, SideKind::File | SideKind::Executable);
    match (&entry.old, &entry.new) {
        (None, None) => None,
        (None, Some(_)) => Some(PathChange::Added),
        (Some(_), None) => Some(PathChange::Removed),
        (Some(old), Some(new)) if is_file(old) && is_file(new) => {
            (old.id != new.id).then_some(PathChange::Edited)
        }
        (Some(old), Some(new)) => (old.kind != new.kind).then_some(PathChange::Retyped),
    }
}

/// Length of a commit's first-parent history.
pub(crate) fn depth(reader: &Reader, commit: &CommitId) -> Result<u64, GitError> {
    let history = reader.first_parents(commit, None, WALK_MAX)?;
    Ok(u64::try_from(history.len()).unwrap_or(u64::MAX))
}
