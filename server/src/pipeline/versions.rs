//! Feeds the version search with history from the mirror.

use std::collections::BTreeMap;

use headwater_core::{Known, VersionSearch};
use headwater_validators::{Inputs, Limits};
use headwater_wire::{CommitId, ConfigName, RepoPath};

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
        if changed.iter().any(|path| path.as_str() == tree::MANIFEST) || search.must_declare(&changed) {
            let tree = tree::read(reader, &parent, limits, Contents::Manifest)?;
            let declared = headwater_validators::declare(&tree, limits);
            search.step_declared(parent.clone(), declared.as_ref());
        } else {
            search.step(parent.clone(), &changed);
        }
        at = parent;
    }
    Ok(search.finish())
}

/// Paths whose content differs between a commit and its parent. Names that are no valid paths are left out, since no
/// config can be made of them; so is a mere change of the executable bit, which changes no content.
pub(crate) fn changed_paths(
    reader: &Reader,
    from: &CommitId,
    to: &CommitId,
) -> Result<Vec<RepoPath>, GitError> {
    let changed = reader.changed(Some(from), to)?;
    let paths = changed
        .iter()
        .filter(|entry| changes_content(entry))
        .filter_map(|entry| {
            let path = std::str::from_utf8(&entry.path).ok()?;
            path.parse().ok()
        });
    Ok(paths.collect())
}

fn changes_content(entry: &ChangedEntry) -> bool {
    let is_file = |side: &Side| matches!(side.kind, SideKind::File | SideKind::Executable);
    match (&entry.old, &entry.new) {
        (Some(old), Some(new)) => !(is_file(old) && is_file(new) && old.id == new.id),
        (None, _) | (_, None) => true,
    }
}

/// Length of a commit's first-parent history.
pub(crate) fn depth(reader: &Reader, commit: &CommitId) -> Result<u64, GitError> {
    let history = reader.first_parents(commit, None, WALK_MAX)?;
    Ok(u64::try_from(history.len()).unwrap_or(u64::MAX))
}
