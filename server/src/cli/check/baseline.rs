//! Which configs would be served before the commit in question.
//!
//! A server knows, since it judged each commit as it came. Here it is worked out from history, and only where the
//! verdict depends on it: in a repository without manifest, when a file cannot be read. A commit whose verdict depends
//! on its own past in the same way is no starting point, so the search goes back to one that is, and then forwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use headwater_validators::ValidTree;
use headwater_wire::{CommitId, ConfigName};

use super::judging::Judging;
use super::subject::{Read, commit_tree};
use crate::cli::failure::Failure;
use crate::git::local::{LocalRepository, Presence};
use crate::judge::Outcome;
use crate::measure::{Measure, Measured};

/// Commits looked back at, most of which cost a verdict; a server looks as far at its first start.
pub(super) const LOOK_BACK_MAX: usize = 100;

/// The past that a tree is judged against.
pub(super) struct History<'a> {
    repository: Option<&'a LocalRepository>,
    newest: Option<CommitId>,
    end: End,
}

/// How the known past ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With a first commit, or with enough commits.
    Whole,
    /// With a commit whose parent this clone does not have.
    Cut,
    /// With a commit that there was no more time for.
    Late(Duration),
}

/// Configs that are good in the commit that would be served.
pub(super) struct ExposedConfigs {
    pub(super) configs: BTreeSet<ConfigName>,
    end: End,
}

impl ExposedConfigs {
    /// What a person should know if the history was cut off.
    pub(super) fn note(&self) -> Option<String> {
        let unknown = "whether a file that cannot be read was good before is not known";
        match self.end {
            End::Whole => None,
            End::Cut => Some(format!(
                "this clone is shallow: {unknown}; fetch more history, or name the served commit with `--against`"
            )),
            End::Late(deadline) => Some(format!(
                "looking back took longer than {deadline:?}: {unknown}; give it more time with `--deadline`"
            )),
        }
    }
}

/// Whether another past could give another verdict.
pub(super) fn depends_on_history(outcome: &Outcome) -> bool {
    let is_open = |tree: &ValidTree| !tree.has_manifest() && !tree.unreadable().is_empty();
    outcome.valid.as_ref().is_some_and(is_open)
}

impl<'a> History<'a> {
    /// No past at all.
    pub(super) fn none() -> Self {
        Self {
            repository: None,
            newest: None,
            end: End::Whole,
        }
    }

    /// The past up to and with a commit.
    pub(super) fn from(repository: &'a LocalRepository, newest: CommitId) -> Self {
        Self {
            repository: Some(repository),
            newest: Some(newest),
            end: End::Whole,
        }
    }

    /// What stands before a commit; before a commit that is still to be made, that is `HEAD`.
    pub(super) fn before(
        repository: &'a LocalRepository,
        commit: Option<&CommitId>,
    ) -> Result<Self, Failure> {
        let (newest, end) = match commit {
            None => (repository.head()?, End::Whole),
            Some(commit) => parent(repository, commit)?,
        };
        Ok(Self {
            repository: Some(repository),
            newest,
            end,
        })
    }

    /// The commit whose values are the old ones.
    pub(super) fn newest(&self) -> Option<&CommitId> {
        self.newest.as_ref()
    }

    /// Works out what would be served, in as long as one verdict may take.
    pub(super) fn exposed(self, judging: &mut Judging) -> Result<ExposedConfigs, Failure> {
        let Self {
            repository,
            newest: mut next,
            mut end,
        } = self;
        let mut configs = BTreeSet::new();
        let Some(repository) = repository else {
            return Ok(ExposedConfigs { configs, end });
        };
        let started = Instant::now();
        let deadline = judging.deadline();
        let mut undecided = Vec::new();
        for _ in 0..LOOK_BACK_MAX {
            let Some(commit) = next.take() else { break };
            if started.elapsed() > deadline {
                end = End::Late(deadline);
                break;
            }
            match judge(repository, &commit, judging, &BTreeSet::new())? {
                Some(outcome) if depends_on_history(&outcome) => undecided.push(commit.clone()),
                Some(Outcome {
                    valid: Some(tree), ..
                }) => {
                    configs = tree.configs().keys().cloned().collect();
                    end = End::Whole;
                    break;
                }
                Some(Outcome { valid: None, .. }) | None => {}
            }
            (next, end) = parent(repository, &commit)?;
        }
        for commit in undecided.iter().rev() {
            if started.elapsed() > deadline {
                end = End::Late(deadline);
                break;
            }
            let outcome = judge(repository, commit, judging, &configs)?;
            if let Some(tree) = outcome.and_then(|outcome| outcome.valid) {
                configs = tree.configs().keys().cloned().collect();
            }
        }
        Ok(ExposedConfigs { configs, end })
    }
}

/// The verdict on a commit; none if it is too large to be read, which rejects it.
fn judge(
    repository: &LocalRepository,
    commit: &CommitId,
    judging: &mut Judging,
    exposed: &BTreeSet<ConfigName>,
) -> Result<Option<Outcome>, Failure> {
    Ok(match commit_tree(repository, commit, judging.limits())? {
        Read::Tree(entries) => {
            let measured = Measured {
                measure: Measure {
                    exposed: exposed.clone(),
                    ..Measure::default()
                },
                ..Measured::default()
            };
            Some(judging.judge(&entries, &measured)?)
        }
        Read::TooLarge(_) => None,
    })
}

fn parent(repository: &LocalRepository, commit: &CommitId) -> Result<(Option<CommitId>, End), Failure> {
    Ok(match repository.first_parent(commit)? {
        Some((parent, Presence::Here)) => (Some(parent), End::Whole),
        Some((_, Presence::Missing)) => (None, End::Cut),
        None => (None, End::Whole),
    })
}
