//! From what a person types to a commit: `HEAD`, the branch, tags, full ids, unique prefixes, and `~N` / `^N` behind.
//!
//! Invariant: user input is parsed here, by a grammar of one page, and never by Git's own, which also knows dates,
//! searches and reflogs. What is deliberately absent: any guess between two meanings; both are named instead.

use std::collections::HashSet;

use gix::hash::Prefix;
use headwater_wire::{BranchName, CommitId};

use super::error::GitError;
use super::object::{to_commit_id, to_object_id};
use super::read::{Reader, is_commit};

/// Longest revision; a tag name and a few steps fit.
const REV_BYTES_MAX: usize = 320;
/// Shortest prefix of an id, as in Git.
const PREFIX_HEX_MIN: usize = 4;
/// Most steps back in one revision: each reads a commit.
const STEPS_MAX: usize = 10_000;
/// Most candidates named for an ambiguous revision.
const CANDIDATES_MAX: usize = 10;

/// Why a revision names no commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// Nothing is called so.
    #[error("no such revision: `{}`", super::error::Cause::new(rev, &[]))]
    NotFound {
        /// What was asked for.
        rev: String,
    },
    /// Several things are called so.
    #[error("ambiguous revision: `{rev}`")]
    Ambiguous {
        /// What was asked for.
        rev: String,
        /// What it may mean, at most ten.
        candidates: Vec<String>,
    },
    /// The mirror could not be read.
    #[error("cannot read the mirror")]
    Git(#[from] GitError),
}

/// One step behind a name.
enum Step {
    /// `~N`: N first parents back.
    Back(usize),
    /// `^N`: the Nth parent; `^0` is the commit itself.
    Parent(usize),
}

impl Reader {
    /// The commit that `rev` names, given the branch that is followed and its tip. It need not be reachable from the
    /// tip; who must know asks [`Reader::reachable`].
    pub fn resolve(&self, rev: &str, branch: &BranchName, tip: &CommitId) -> Result<CommitId, ResolveError> {
        let not_found = || ResolveError::NotFound {
            rev: rev.chars().take(REV_BYTES_MAX).collect(),
        };
        if rev.len() > REV_BYTES_MAX {
            return Err(not_found());
        }
        let (base, steps) = split_steps(rev).ok_or_else(not_found)?;
        let mut commit = self.resolve_name(rev, base, branch, tip)?;
        for step in steps {
            commit = self.step(&commit, &step)?.ok_or_else(not_found)?;
        }
        Ok(commit)
    }

    fn resolve_name(
        &self,
        rev: &str,
        base: &str,
        branch: &BranchName,
        tip: &CommitId,
    ) -> Result<CommitId, ResolveError> {
        if matches!(base, "HEAD" | "@") || base == format!("refs/heads/{branch}") {
            return Ok(tip.clone());
        }
        if let Some(tag) = base.strip_prefix("refs/tags/") {
            let found = self.tags.get(tag).cloned();
            return found.ok_or_else(|| ResolveError::NotFound { rev: rev.to_owned() });
        }
        if let Ok(commit) = base.parse::<CommitId>()
            && self.contains(&commit)
        {
            return Ok(commit);
        }
        match (self.tags.get(base), base == branch.as_str()) {
            (Some(tag), true) if tag != tip => {
                let candidates = vec![format!("refs/heads/{branch}"), format!("refs/tags/{base}")];
                Err(ResolveError::Ambiguous {
                    rev: rev.to_owned(),
                    candidates,
                })
            }
            (_, true) => Ok(tip.clone()),
            (Some(tag), false) => Ok(tag.clone()),
            (None, false) => self.resolve_prefix(rev, base),
        }
    }

    fn resolve_prefix(&self, rev: &str, base: &str) -> Result<CommitId, ResolveError> {
        let not_found = || ResolveError::NotFound { rev: rev.to_owned() };
        let repo = self.local();
        let hex_max = repo.object_hash().len_in_hex();
        if !(PREFIX_HEX_MIN..hex_max).contains(&base.len())
            || !base.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(not_found());
        }
        let prefix = Prefix::from_hex(base).map_err(|_| not_found())?;
        let mut objects = HashSet::new();
        let looked = repo.objects.lookup_prefix(prefix, Some(&mut objects));
        looked.map_err(|error| self.broken(&error))?;
        let mut commits: Vec<_> = objects
            .into_iter()
            .filter(|id| is_commit(&repo, *id))
            .map(to_commit_id)
            .collect();
        commits.sort();
        match commits.as_slice() {
            [] => Err(not_found()),
            [only] => Ok(only.clone()),
            several => {
                let candidates = several
                    .iter()
                    .take(CANDIDATES_MAX)
                    .map(ToString::to_string)
                    .collect();
                Err(ResolveError::Ambiguous {
                    rev: rev.to_owned(),
                    candidates,
                })
            }
        }
    }

    fn step(&self, commit: &CommitId, step: &Step) -> Result<Option<CommitId>, GitError> {
        let repo = self.local();
        let parents = |id: gix::ObjectId| -> Result<Vec<gix::ObjectId>, GitError> {
            let object = repo.find_commit(id).map_err(|error| self.broken(&error))?;
            Ok(object.parent_ids().map(gix::Id::detach).collect())
        };
        let mut id = to_object_id(&repo, commit)?;
        match step {
            Step::Parent(0) => Ok(Some(commit.clone())),
            Step::Parent(nth) => Ok(parents(id)?.get(nth - 1).copied().map(to_commit_id)),
            Step::Back(count) => {
                for _ in 0..*count {
                    let Some(parent) = parents(id)?.first().copied() else {
                        return Ok(None);
                    };
                    id = parent;
                }
                Ok(Some(to_commit_id(id)))
            }
        }
    }
}

/// `None` if what stands behind the name is no sequence of steps within the limit.
fn split_steps(rev: &str) -> Option<(&str, Vec<Step>)> {
    let at = rev.find(['~', '^']).unwrap_or(rev.len());
    let (base, mut rest) = rev.split_at_checked(at)?;
    let (mut steps, mut total) = (Vec::new(), 0_usize);
    while let Some(mark) = rest.chars().next() {
        rest = rest.strip_prefix(['~', '^'])?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at_checked(digits)?;
        let number = if number.is_empty() {
            1
        } else {
            number.parse().ok()?
        };
        total = total
            .checked_add(if mark == '~' { number } else { 1 })
            .filter(|total| *total <= STEPS_MAX)?;
        steps.push(if mark == '~' {
            Step::Back(number)
        } else {
            Step::Parent(number)
        });
        rest = behind;
    }
    Some((base, steps))
}
