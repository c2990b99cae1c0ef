//! Which configs would be served before the commit in question.
//!
//! A server knows, since it judged each commit as it came. Here it is worked out from history, and only where the
//! verdict depends on it: in a repository without manifest, when a file cannot be read. A commit whose verdict depends
//! on its own past in the same way is no starting point, so the search goes back to one that is, and then forwards.

use std::collections::BTreeSet;

use headwater_validators::{Context, Limits, Verdict, validate};
use headwater_wire::{CommitId, ConfigName};

use super::subject::{Read, commit_tree};
use crate::cli::failure::Failure;
use crate::git::local::{LocalRepository, Presence};

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
}

/// Configs that are good in the commit that would be served.
pub(super) struct ExposedConfigs {
    pub(super) configs: BTreeSet<ConfigName>,
    end: End,
}

impl ExposedConfigs {
    /// What a person should know if the history was cut off.
    pub(super) fn note(&self) -> Option<String> {
        (self.end == End::Cut).then(|| {
            "this clone is shallow: whether a file that cannot be read was good before is not known; fetch more \
             history, or name the served commit with `--against`"
                .to_owned()
        })
    }
}

/// Whether another past could give another verdict.
pub(super) fn depends_on_history(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Valid(tree) => !tree.has_manifest() && !tree.unreadable().is_empty(),
        Verdict::Invalid(_) => false,
    }
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

    /// Works out what would be served.
    pub(super) fn exposed(self, limits: &Limits) -> Result<ExposedConfigs, Failure> {
        let Self {
            repository,
            newest: mut next,
            mut end,
        } = self;
        let mut configs = BTreeSet::new();
        let Some(repository) = repository else {
            return Ok(ExposedConfigs { configs, end });
        };
        let mut undecided = Vec::new();
        for _ in 0..LOOK_BACK_MAX {
            let Some(commit) = next.take() else { break };
            let verdict = judge(repository, &commit, limits, &BTreeSet::new())?;
            match verdict {
                Some(verdict) if depends_on_history(&verdict) => undecided.push(commit.clone()),
                Some(Verdict::Valid(tree)) => {
                    configs = tree.configs().keys().cloned().collect();
                    end = End::Whole;
                    break;
                }
                Some(Verdict::Invalid(_)) | None => {}
            }
            (next, end) = parent(repository, &commit)?;
        }
        for commit in undecided.iter().rev() {
            if let Some(Verdict::Valid(tree)) = judge(repository, commit, limits, &configs)? {
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
    limits: &Limits,
    exposed: &BTreeSet<ConfigName>,
) -> Result<Option<Verdict>, Failure> {
    Ok(match commit_tree(repository, commit, limits)? {
        Read::Tree(tree) => {
            let context = Context {
                exposed,
                ..Context::alone(limits)
            };
            Some(validate(&tree, &context))
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
