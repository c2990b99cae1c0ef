//! What a commit is measured against: what is exposed, what it goes back to, and what people allowed it.
//!
//! Invariant: the old values are those of the commits that instances hold, never those of the parent, so that two
//! commits pushed together cannot each take a step that is allowed once, nor one that takes the place of what moves. What a message says is only where to look:
//! a commit counts as a way back as far as its content is that of a commit that was admitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::OldContents;
use headwater_validators::{
    Allowance, CommitFacts, ConfigTree, Context, Extent, Limits, OldTree, Restored, allowances,
};
use headwater_wire::{CommitId, ConfigName, Finding, VerdictState};

use crate::besides::{self, Besides};
use crate::earlier::Earlier;
use crate::git::error::GitError;
use crate::git::intent::{intent_of, trailers};
use crate::git::read::Reader;
use crate::judge::Rules;
use crate::publish::Snapshot;
use crate::repo::{Repo, RepoError, read_in};
use crate::store::VerdictRecord;
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
    /// Commits whose values are old ones, too.
    pub besides: Vec<Besides>,
    /// Configs of which nobody holds what the exposed commit has.
    pub left: BTreeSet<ConfigName>,
    /// Names what instances hold besides the exposed commit.
    pub old: Option<String>,
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
    /// What instances hold besides.
    pub old: OldContents,
    /// The commits that come with this one, it among them.
    pub new: Vec<CommitId>,
}

/// The same with the old trees: all that validators are told besides the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Names of configs, facts and way back.
    pub measure: Measure,
    /// The old tree.
    pub before: Option<Arc<[RawEntry]>>,
    /// Those of [`Measure::besides`], in their order.
    pub besides: Vec<Arc<[RawEntry]>>,
}

/// Old trees, assembled.
pub(crate) struct OldTrees {
    before: Option<ConfigTree>,
    besides: Vec<OldTree>,
}

impl Against {
    /// Whether a verdict was worked out while instances held something else than now, which it may hang on. What was
    /// admitted and has its turn again was not exposed yet; a refusal for other reasons stands.
    pub(crate) fn outlives(&self, kept: &VerdictRecord) -> bool {
        let may_differ = match kept.state {
            VerdictState::Admitted => !self.new.is_empty(),
            VerdictState::Rejected => is_by_a_rule(&kept.findings),
            VerdictState::Unjudged | VerdictState::Other => false,
        };
        may_differ && self.before.is_some() && kept.old != besides::name(&self.old)
    }
}

/// Whether a rule is among what a commit was rejected for.
pub(crate) fn is_by_a_rule(findings: &[Finding]) -> bool {
    let is_rule = |finding: &Finding| finding.is_error() && finding.code.starts_with("rule/");
    findings.iter().any(is_rule)
}

impl Measured {
    /// The old trees, assembled.
    pub(crate) fn trees(&self) -> OldTrees {
        let old = self.measure.besides.iter().zip(&self.besides);
        let besides = old.map(|(besides, entries)| OldTree {
            tree: assemble(entries),
            configs: besides.configs.clone(),
        });
        OldTrees {
            before: self.tree(),
            besides: besides.collect(),
        }
    }

    fn tree(&self) -> Option<ConfigTree> {
        let before = self.before.as_deref()?;
        let measure = &self.measure;
        let earlier = measure.earlier.as_ref();
        let is_it = |earlier: &&Arc<Earlier>| measure.before.as_ref() == Some(&earlier.commit);
        Some(match earlier.filter(is_it) {
            Some(earlier) => earlier.valid.tree().clone(),
            None => assemble(before),
        })
    }

    /// As the validators take it; `trees` are [`Measured::trees`].
    pub(crate) fn context<'a>(&'a self, rules: &'a Rules, trees: &'a OldTrees) -> Context<'a> {
        Context {
            limits: &rules.limits,
            exposed: &self.measure.exposed,
            before: trees.before.as_ref(),
            besides: &trees.besides,
            left: &self.measure.left,
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
            old: self.board.read().state.old_contents(),
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
        let Against {
            exposed,
            before,
            old,
            new,
        } = against;
        let (wanted, tip, held) = (commit.clone(), before.clone(), old.clone());
        let work = move |reader: &Reader| {
            let facts = facts(reader, &wanted, &new)?;
            let (target, besides) = match &tip {
                Some(tip) => (way_back(reader, &wanted, tip)?, Besides::all(reader, &held, tip)?),
                None => (None, Vec::new()),
            };
            Ok((facts, target, besides))
        };
        let (facts, target, besides) = read_in(reader, work).await?;
        let restored = match target {
            Some(target) => self.restored(reader, commit, &target).await?,
            None => None,
        };
        Ok(Measure {
            exposed,
            before,
            besides,
            old: besides::name(&old),
            left: old.left,
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
        let old = published.state.old_contents();
        let left = old.left.clone();
        let work = move |reader: &Reader| {
            let before = tree::read_raw(reader, &tip, &limits, Contents::Configs)?;
            let besides = Besides::all(reader, &old, &tip)?;
            let read = |besides: &Besides| besides.read(reader, &limits, &before);
            let trees: Vec<_> = besides.iter().map(read).collect::<Result<_, _>>()?;
            Ok((before, besides, trees))
        };
        let (before, besides, trees) = self.read(work).await?;
        let as_files = |entries| tree::by_content(entries).into();
        Ok(Measured {
            measure: Measure {
                exposed: snapshot.configs.keys().cloned().collect(),
                before: Some(snapshot.commit.clone()),
                besides,
                left,
                ..Measure::default()
            },
            before: Some(as_files(before)),
            besides: trees.into_iter().map(as_files).collect(),
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

/// Reads the entries of a commit, and those of what it is measured against.
pub(crate) fn read(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
    mut measure: Measure,
) -> Result<(Arc<[RawEntry]>, Measured), GitError> {
    let earlier = measure.earlier.as_deref();
    let entries = match earlier {
        Some(earlier) => tree::read_after(reader, commit, limits, earlier)?,
        None => tree::read_raw(reader, commit, limits, Contents::Configs)?,
    };
    let before: Option<Arc<[RawEntry]>> = match &measure.before {
        Some(before) => match earlier.filter(|earlier| earlier.commit == *before) {
            Some(earlier) => Some(Arc::clone(&earlier.files)),
            None => tree::read_before(reader, before, limits, &entries)?.map(Arc::from),
        },
        None => None,
    };
    if let Some(before) = before.as_deref() {
        besides::retain_changed(&mut measure.besides, (before, &entries), limits);
    }
    let besides = measure.besides.iter();
    let besides = besides.map(|besides| Ok(besides.read(reader, limits, &entries)?.into()));
    let besides = besides.collect::<Result<_, GitError>>()?;
    let measured = Measured {
        measure,
        before,
        besides,
    };
    Ok((entries.into(), measured))
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
pub(crate) fn allowed_to(reader: &Reader, commits: &[CommitId]) -> Result<Vec<Allowance>, GitError> {
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
