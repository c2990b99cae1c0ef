//! The newest tree that was judged and found valid, kept so that the verdict on the next one costs what it changed.
//!
//! Invariant: it was worked out in this process, from the content it names, after a child had shown that this ends; so
//! nothing that a child said is in it. There is one for each repository: its files and documents are those that are
//! exposed, as a rule, and no copies. What is deliberately absent: what of it still holds, which the validators know.

use std::sync::Arc;

use headwater_validators::{Entry, File, Limits, Unsettled, ValidTree};
use headwater_wire::CommitId;

use crate::measure::{Measure, Measured};
use crate::tree::{RawEntry, assemble};

/// A valid tree with its files.
#[derive(Debug)]
pub(crate) struct Earlier {
    /// The commit.
    pub(crate) commit: CommitId,
    /// Its entries, sorted by path.
    pub(crate) files: Arc<[RawEntry]>,
    /// What was worked out.
    pub(crate) valid: ValidTree,
}

/// The part of a commit that has to be tried in a child before the verdict is worked out.
pub(crate) struct Rehearsal {
    /// Files that the configs are made of.
    pub(crate) entries: Vec<RawEntry>,
    /// What the commit is measured against, as far as it matters here.
    pub(crate) measured: Measured,
    /// Which configs are worked out, and the files that takes.
    pub(crate) work: Unsettled,
}

impl Earlier {
    /// Of a tree with these entries.
    pub(crate) fn new(commit: CommitId, entries: &[RawEntry], valid: ValidTree) -> Self {
        let mut files = entries.to_vec();
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self {
            commit,
            files: files.into(),
            valid,
        }
    }

    /// The file with a raw path.
    pub(crate) fn file(&self, path: &[u8]) -> Option<&File> {
        let found = self
            .files
            .binary_search_by(|(other, _)| other.as_slice().cmp(path));
        match found.ok().and_then(|index| self.files.get(index)) {
            Some((_, Entry::File(file))) => Some(file),
            Some((_, Entry::Symlink | Entry::Submodule)) | None => None,
        }
    }
}

impl Rehearsal {
    /// What is to be tried of `entries`; `None` if that is all of it. Old values must be those of the earlier tree, or
    /// nobody has looked at them yet.
    pub(crate) fn of(entries: &[RawEntry], measured: &Measured, limits: &Limits) -> Option<Self> {
        let earlier = measured.measure.earlier.as_ref()?;
        let before = &measured.measure.before;
        if before.as_ref().is_some_and(|before| *before != earlier.commit) {
            return None;
        }
        let work = headwater_validators::unsettled(&assemble(entries), limits, &earlier.valid)?;
        let is_part = |(path, _): &&RawEntry,
                       paths: &std::collections::BTreeSet<headwater_wire::RepoPath>| {
            std::str::from_utf8(path).is_ok_and(|path| paths.contains(path))
        };
        let of = |entries: &[RawEntry], paths| -> Vec<RawEntry> {
            entries
                .iter()
                .filter(|entry| is_part(entry, paths))
                .cloned()
                .collect()
        };
        let old = measured.before.as_deref();
        Some(Self {
            entries: of(entries, &work.files),
            measured: Measured {
                before: old.map(|old| of(old, &work.before).into()),
                besides: measured.besides.clone(),
                measure: Measure {
                    earlier: None,
                    ..measured.measure.clone()
                },
            },
            work,
        })
    }
}
