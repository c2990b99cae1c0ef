//! What a tree is measured against: the commit that is served, and what the commit in question says of itself.
//!
//! Invariant: the same measure as a server's, with what a clone knows. What is deliberately absent: which configs are
//! exposed, which is worked out only where it matters (`baseline`).

use std::collections::BTreeMap;

use headwater_validators::{CommitFacts, Entry, Extent, Limits, Restored, declare};
use headwater_wire::CommitId;

use super::baseline::LOOK_BACK_MAX;
use crate::git::error::GitError;
use crate::git::read::Reader;
use crate::measure::{self, Measure, Measured};
use crate::tree::{self, Contents, RawEntry, assemble};

/// Whose names the files of a tree have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// Git's.
    OfGit,
    /// Ours, made of their content.
    OfContent,
}

/// How far the commit is that a tree is judged as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is there.
    Made(CommitId),
    /// It is staged, and this is its message.
    Worded(String),
    /// It is staged, and has no message yet.
    Staged,
    /// There are files that somebody may commit.
    Files,
}

/// Where a tree stands in history.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The commit that is taken for the one that is served.
    pub(super) against: Option<CommitId>,
    /// The commit that one of the tree would come after, where it is not made yet.
    pub(super) head: Option<CommitId>,
    /// The commit itself.
    pub(super) progress: Progress,
    /// Mail address of the author of a commit that is not made yet.
    pub(super) author: String,
}

/// Reads what a tree at a place is measured against: the commit of the place, or one before it, as the old one.
pub(super) fn measured(
    reader: &Reader,
    place: &Place,
    (entries, ids): (&[RawEntry], Ids),
    limits: &Limits,
) -> Result<Measured, GitError> {
    let against = match &place.against {
        Some(against) => usable(reader, against, limits)?,
        None => None,
    };
    let mut measure = Measure {
        before: against.clone(),
        facts: facts(reader, place, against.as_ref())?,
        ..Measure::default()
    };
    let Some(against) = &against else {
        return Ok(Measured {
            measure,
            ..Measured::default()
        });
    };
    measure.restored = match way_back(reader, place, against)? {
        Some(target) => restored(reader, &target, (&place.progress, entries), limits)?,
        None => None,
    };
    let before = match tree::read_before(reader, against, limits, entries) {
        Err(GitError::TooLarge { .. }) => None,
        other => other?,
    };
    let before = match ids {
        Ids::OfGit => before,
        Ids::OfContent => before.map(tree::by_content),
    };
    let before = before.map(Into::into);
    Ok(Measured {
        measure,
        before,
        ..Measured::default()
    })
}

/// What the commit says of itself, and what was allowed to those that come with it.
fn facts(reader: &Reader, place: &Place, against: Option<&CommitId>) -> Result<CommitFacts, GitError> {
    let newest = match &place.progress {
        Progress::Made(commit) => Some(commit),
        Progress::Worded(_) | Progress::Staged | Progress::Files => place.head.as_ref(),
    };
    let new = match (against, newest) {
        (Some(against), Some(newest)) => measure::new_commits(reader, Some(against), newest)?,
        (None, _) | (_, None) => Vec::new(),
    };
    let message = match &place.progress {
        Progress::Made(commit) => return measure::facts(reader, commit, &new),
        Progress::Worded(message) => message.clone(),
        Progress::Staged | Progress::Files => String::new(),
    };
    measure::facts_in(reader, (place.author.clone(), message), &new)
}

fn way_back(reader: &Reader, place: &Place, against: &CommitId) -> Result<Option<CommitId>, GitError> {
    match &place.progress {
        Progress::Made(commit) => measure::way_back(reader, commit, against),
        Progress::Worded(message) => measure::way_back_in(reader, message, against),
        Progress::Staged | Progress::Files => Ok(None),
    }
}

/// The commit or the newest one before it whose manifest can be used: no server exposes one whose manifest cannot.
fn usable(reader: &Reader, newest: &CommitId, limits: &Limits) -> Result<Option<CommitId>, GitError> {
    let mut next = Some(newest.clone());
    for _ in 0..LOOK_BACK_MAX {
        let Some(commit) = next.take().filter(|commit| reader.contains(commit)) else {
            break;
        };
        match tree::read(reader, &commit, limits, Contents::Manifest) {
            Ok(tree) if declare(&tree, limits).is_some() => return Ok(Some(commit)),
            Ok(_) | Err(GitError::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
        next = reader.commit(&commit)?.parents.first().cloned();
    }
    Ok(None)
}

fn restored(
    reader: &Reader,
    target: &CommitId,
    (progress, entries): (&Progress, &[RawEntry]),
    limits: &Limits,
) -> Result<Option<Restored>, GitError> {
    let old = tree::read_raw(reader, target, limits, Contents::Manifest)?;
    let Some(declared) = declare(&assemble(&old), limits) else {
        return Ok(None);
    };
    let digests = declared
        .iter()
        .map(|(name, inputs)| (name.clone(), inputs.digest().clone()));
    let extent = match progress {
        Progress::Made(commit) => measure::extent(reader, commit, target)?,
        Progress::Worded(_) | Progress::Staged | Progress::Files if by_path(entries) == by_path(&old) => {
            Extent::WholeTree
        }
        Progress::Worded(_) | Progress::Staged | Progress::Files => Extent::Part,
    };
    Ok(Some(Restored {
        configs: digests.collect(),
        extent,
    }))
}

/// What is at each path, without bytes: not all of them are read in every tree.
fn by_path(entries: &[RawEntry]) -> BTreeMap<&[u8], Option<&str>> {
    let files = entries.iter().map(|(path, entry)| {
        let content = match entry {
            Entry::File(file) => Some(file.id.as_str()),
            Entry::Symlink | Entry::Submodule => None,
        };
        (path.as_slice(), content)
    });
    files.collect()
}
