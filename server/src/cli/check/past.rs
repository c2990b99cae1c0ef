//! The commit that a tree is measured against, and the verdict that follows.
//!
//! Invariant: the same rules as a server's, with what a clone knows. What is deliberately absent: webhooks, which only a
//! server may ask, and the floor, which only its settings know.

use std::collections::BTreeSet;

use headwater_validators::{
    CommitFacts, ConfigTree, Context, Limits, Outcome, Restored, Verdict, declare, validate,
};
use headwater_wire::{CommitId, ConfigName};

use super::baseline::LOOK_BACK_MAX;
use crate::cli::failure::Failure;
use crate::git::error::{Cause, GitError};
use crate::git::local::LocalError;
use crate::git::read::Reader;
use crate::measure;
use crate::tree::{self, Contents, RawEntry, assemble};

/// Whose names the files of a tree have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// Git's.
    OfGit,
    /// Ours, made of their content.
    OfContent,
}

/// What a tree is measured against.
#[derive(Default)]
pub(super) struct Past {
    before: Option<ConfigTree>,
    restored: Option<Restored>,
    facts: CommitFacts,
}

impl Past {
    /// Reads the commit `against`, or one before it, as the old one. `commit` is the one that is checked, if it is one.
    pub(super) fn read(
        reader: &Reader,
        (against, commit): (Option<&CommitId>, Option<&CommitId>),
        (tree, ids): (&ConfigTree, Ids),
        limits: &Limits,
    ) -> Result<Self, Failure> {
        Self::try_read(reader, (against, commit), (tree, ids), limits)
            .map_err(|error| LocalError::Object(Cause::ours(&error.one_line())).into())
    }

    fn try_read(
        reader: &Reader,
        (against, commit): (Option<&CommitId>, Option<&CommitId>),
        (tree, ids): (&ConfigTree, Ids),
        limits: &Limits,
    ) -> Result<Self, GitError> {
        let against = match against {
            Some(against) => usable(reader, against, limits)?,
            None => None,
        };
        let Some(against) = &against else {
            let facts = commit
                .map(|commit| measure::facts(reader, commit, &[]))
                .transpose()?;
            return Ok(Self {
                facts: facts.unwrap_or_default(),
                ..Self::default()
            });
        };
        let newer: Vec<RawEntry> = tree
            .iter()
            .map(|(path, entry)| (path.as_str().as_bytes().to_vec(), entry.clone()))
            .collect();
        let before = match tree::read_before(reader, against, limits, &newer) {
            Err(GitError::TooLarge { .. }) => None,
            other => other?,
        };
        let before = before.map(|entries| match ids {
            Ids::OfGit => assemble(&entries),
            Ids::OfContent => assemble(&tree::by_content(entries)),
        });
        let Some(commit) = commit else {
            return Ok(Self {
                before,
                ..Self::default()
            });
        };
        let new = measure::new_commits(reader, Some(against), commit)?;
        let restored = match measure::way_back(reader, commit, against)? {
            Some(target) => restored(reader, commit, &target, limits)?,
            None => None,
        };
        Ok(Self {
            before,
            restored,
            facts: measure::facts(reader, commit, &new)?,
        })
    }

    /// The verdict on a tree, with those rules that only a server can run said to be so.
    pub(super) fn judge(
        &self,
        tree: &ConfigTree,
        limits: &Limits,
        exposed: &BTreeSet<ConfigName>,
    ) -> Verdict {
        let context = Context {
            exposed,
            before: self.before.as_ref(),
            restored: self.restored.as_ref(),
            commit: &self.facts,
            ..Context::alone(limits)
        };
        let verdict = validate(tree, &context);
        let questions = match &verdict {
            Verdict::Valid(valid) => valid.questions().len(),
            Verdict::Invalid(_) => 0,
        };
        verdict.answered(&vec![Outcome::NotRun; questions])
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
    commit: &CommitId,
    target: &CommitId,
    limits: &Limits,
) -> Result<Option<Restored>, GitError> {
    let tree = tree::read(reader, target, limits, Contents::Manifest)?;
    let Some(declared) = declare(&tree, limits) else {
        return Ok(None);
    };
    let digests = declared
        .iter()
        .map(|(name, inputs)| (name.clone(), inputs.digest().clone()));
    Ok(Some(Restored {
        configs: digests.collect(),
        extent: measure::extent(reader, commit, target)?,
    }))
}
