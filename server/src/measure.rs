//! What a commit is measured against: what is exposed, what it goes back to, and what people allowed it.
//!
//! Invariant: the old values are those of the commit that instances hold, never those of the parent, so that two
//! commits pushed together cannot each take a step that is allowed once. What a message says is only where to look:
//! a commit counts as a way back as far as its content is that of a commit that was admitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_validators::{Allowance, CommitFacts, ConfigTree, Context, Extent, Restored, allowances};
use headwater_wire::{CommitId, ConfigName, VerdictState};

use crate::earlier::Earlier;
use crate::git::error::GitError;
use crate::git::intent::{intent_of, trailers};
use crate::git::read::Reader;
use crate::judge::Rules;
use crate::publish::Snapshot;
use crate::repo::{Repo, RepoError, read_in};
use crate::tree::{self, Contents, RawEntry, assemble};

/// New commits judged one by one. Of a longer push, older ones are judged when somebody asks for them.
const CANDIDATES_MAX: usize = 256;

/// How far back the commit that a rollback restores is looked for, in first parents.
const RESTORED_WITHIN: usize = 10_000;

/// What a commit is measured against, before its old tree is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measure {
    /// Configs that are good in the exposed commit.
    pub exposed: BTreeSet<ConfigName>,
    /// The commit whose values are the old ones.
    pub before: Option<CommitId>,
    /// What it goes back to.
    pub restored: Option<Restored>,
    /// What it says of itself, and what people allowed.
    pub facts: CommitFacts,
    /// A tree of which some may hold for this one. It changes no verdict, only what one costs.
    pub earlier: Option<Arc<Earlier>>,
}

/// What is known of the past of a commit that is to be judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Against {
    /// Configs that are good in the exposed commit.
    pub exposed: BTreeSet<ConfigName>,
    /// The exposed commit.
    pub before: Option<CommitId>,
    /// The commits that come with this one, it among them.
    pub new: Vec<CommitId>,
}

/// The same with the old tree: all that validators are told besides the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Names of configs, facts and way back.
    pub measure: Measure,
    /// The old tree.
    pub before: Option<Arc<[RawEntry]>>,
}

impl Measured {
    /// The old tree, assembled.
    pub(crate) fn tree(&self) -> Option<ConfigTree> {
        let before = self.before.as_deref()?;
        let measure = &self.measure;
        let earlier = measure.earlier.as_ref();
        let is_it = |earlier: &&Arc<Earlier>| measure.before.as_ref() == Some(&earlier.commit);
        Some(match earlier.filter(is_it) {
            Some(earlier) => earlier.valid.tree().clone(),
            None => assemble(before),
        })
    }

    /// As the validators take it; `tree` is [`Measured::tree`].
    pub(crate) fn context<'a>(&'a self, rules: &'a Rules, tree: Option<&'a ConfigTree>) -> Context<'a> {
        Context {
            limits: &rules.limits,
            exposed: &self.measure.exposed,
            before: tree,
            restored: self.measure.restored.as_ref(),
            commit: &self.measure.facts,
            floor: &rules.floor,
        }
    }
}

impl Repo {
    /// A commit that is not exposed yet, against what is.
    pub(crate) async fn against(&self, snapshot: &Snapshot, commit: &CommitId) -> Result<Against, RepoError> {
        let (tip, wanted) = (snapshot.commit.clone(), commit.clone());
        let new = self
            .read(move |reader| {
                let descends = reader.contains(&tip) && reader.is_ancestor(&tip, &wanted)?;
                Ok(if descends {
                    new_commits(reader, Some(&tip), &wanted)?
                } else {
                    Vec::new()
                })
            })
            .await?;
        Ok(Against {
            exposed: snapshot.configs.keys().cloned().collect(),
            before: Some(snapshot.commit.clone()),
            new,
        })
    }

    /// What a commit is measured against.
    pub(crate) async fn measure(&self, commit: &CommitId, against: Against) -> Result<Measure, RepoError> {
        self.measure_in(&self.reader()?, commit, against).await
    }

    /// The same for a commit that `reader` knows and the mirror need not.
    pub(crate) async fn measure_in(
        &self,
        reader: &Reader,
        commit: &CommitId,
        against: Against,
    ) -> Result<Measure, RepoError> {
        let Against { exposed, before, new } = against;
        let (wanted, tip) = (commit.clone(), before.clone());
        let work = move |reader: &Reader| {
            let facts = facts(reader, &wanted, &new)?;
            let target = match &tip {
                Some(tip) => way_back(reader, &wanted, tip)?,
                None => None,
            };
            Ok((facts, target))
        };
        let (facts, target) = read_in(reader, work).await?;
        let restored = match target {
            Some(target) => self.restored(reader, commit, &target).await?,
            None => None,
        };
        Ok(Measure {
            exposed,
            before,
            restored,
            facts,
            earlier: self.earlier(),
        })
    }

    /// What files that are in no commit are measured against: what is exposed now.
    pub(crate) async fn measured(&self) -> Result<Measured, RepoError> {
        let published = self.board.read();
        let Some(snapshot) = published.snapshot.clone() else {
            return Ok(Measured::default());
        };
        let (tip, limits) = (snapshot.commit.clone(), self.rules().limits.clone());
        let before = self
            .read(move |reader| Ok(tree::read_raw(reader, &tip, &limits, Contents::Configs)?))
            .await?;
        Ok(Measured {
            measure: Measure {
                exposed: snapshot.configs.keys().cloned().collect(),
                before: Some(snapshot.commit.clone()),
                ..Measure::default()
            },
            before: Some(tree::by_content(before).into()),
        })
    }

    /// The content of an older commit, if that one was admitted.
    async fn restored(
        &self,
        reader: &Reader,
        commit: &CommitId,
        target: &CommitId,
    ) -> Result<Option<Restored>, RepoError> {
        let kept = self.kept_verdict(target).await;
        if kept.is_some_and(|kept| kept.state != VerdictState::Admitted) {
            return Ok(None);
        }
        let Some(declared) = self.declared(target).await? else {
            return Ok(None);
        };
        let (wanted, target) = (commit.clone(), target.clone());
        let extent = read_in(reader, move |reader| Ok(extent(reader, &wanted, &target)?)).await?;
        let configs = declared
            .iter()
            .map(|(name, inputs)| (name.clone(), inputs.digest().clone()));
        Ok(Some(Restored {
            configs: configs.collect(),
            extent,
        }))
    }
}

/// What a commit says of itself. `new` are the commits that come with it: what was allowed to one of them, the others
/// stand on.
pub(crate) fn facts(reader: &Reader, commit: &CommitId, new: &[CommitId]) -> Result<CommitFacts, GitError> {
    let info = reader.commit(commit)?;
    let others: Vec<CommitId> = new.iter().filter(|other| *other != commit).cloned().collect();
    let facts = facts_in(reader, (info.author.email, info.message), &others)?;
    Ok(CommitFacts {
        id: Some(commit.clone()),
        ..facts
    })
}

/// The same of a commit that is still to be made, by its author and message.
pub(crate) fn facts_in(
    reader: &Reader,
    (author, message): (String, String),
    others: &[CommitId],
) -> Result<CommitFacts, GitError> {
    let mut allowed = allowances(&message);
    allowed.extend(allowed_to(reader, others)?);
    Ok(CommitFacts {
        id: None,
        author,
        message,
        allowed,
    })
}

/// What was allowed to these commits.
fn allowed_to(reader: &Reader, commits: &[CommitId]) -> Result<Vec<Allowance>, GitError> {
    let mut allowed = Vec::new();
    for commit in commits {
        allowed.extend(allowances(&reader.commit(commit)?.message));
    }
    Ok(allowed)
}

/// The commit whose content a commit says it brings back: the target of our own rollbacks, and what stood before a
/// commit that is reverted. It must be the exposed commit or one that was exposed before it.
pub(crate) fn way_back(
    reader: &Reader,
    commit: &CommitId,
    exposed: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    let info = reader.commit(commit)?;
    let mut said = target(reader, &info.message)?;
    // A rollback that was proposed comes as the head of a branch that was merged.
    for merged in info.parents.iter().skip(1) {
        let merged = reader.commit(merged)?;
        if said.is_none() && intent_of(&merged.message).is_some() {
            said = target(reader, &merged.message)?;
        }
    }
    exposed_once(reader, said, exposed)
}

/// The same for a commit that is still to be made, by its message.
pub(crate) fn way_back_in(
    reader: &Reader,
    message: &str,
    exposed: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    exposed_once(reader, target(reader, message)?, exposed)
}

/// The commit that was named, if it is the exposed one or one before it.
fn exposed_once(
    reader: &Reader,
    named: Option<CommitId>,
    exposed: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    let Some(target) = named else {
        return Ok(None);
    };
    let past = reader.first_parents(exposed, None, RESTORED_WITHIN)?;
    Ok(past.into_iter().find(|past| *past == target))
}

/// How much of `target` a commit brings back.
pub(crate) fn extent(reader: &Reader, commit: &CommitId, target: &CommitId) -> Result<Extent, GitError> {
    let is_whole = reader.commit(commit)?.tree == reader.commit(target)?.tree;
    Ok(if is_whole { Extent::WholeTree } else { Extent::Part })
}

/// The commit that a message goes back to.
fn target(reader: &Reader, message: &str) -> Result<Option<CommitId>, GitError> {
    let trailers = trailers(message);
    let named = |key: &str| {
        let found = trailers.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.and_then(|(_, value)| value.parse::<CommitId>().ok())
    };
    if let Some(target) = named("Rollback-To") {
        return Ok(Some(target));
    }
    // The words of `git revert`.
    let sentence = message.lines().find_map(|line| {
        let id = line.strip_prefix("This reverts commit ")?;
        id.trim_end_matches(['.', ',']).parse::<CommitId>().ok()
    });
    match named("Reverts")
        .or(sentence)
        .filter(|reverted| reader.contains(reverted))
    {
        Some(reverted) => Ok(reader.commit(&reverted)?.parents.first().cloned()),
        None => Ok(None),
    }
}

/// First-parent commits of `head` that came after the tip, newest first. The tip itself need not be among the first
/// parents: it may have been merged into another line. The commits of that line were never next, so they are not
/// judged as if they were, and what is measured against what is exposed is measured against the tip.
pub(crate) fn new_commits(
    reader: &Reader,
    tip: Option<&CommitId>,
    head: &CommitId,
) -> Result<Vec<CommitId>, GitError> {
    let mut new = reader.first_parents(head, tip, CANDIDATES_MAX)?;
    let (Some(tip), Some(oldest)) = (tip, new.last()) else {
        return Ok(new);
    };
    if reader.commit(oldest)?.parents.first() == Some(tip) {
        return Ok(new);
    }
    // Those that contain the tip come first, so the first that does not ends them.
    let mut containing = 0;
    for commit in &new {
        if !reader.is_ancestor(tip, commit)? {
            break;
        }
        containing += 1;
    }
    new.truncate(containing);
    Ok(new)
}
