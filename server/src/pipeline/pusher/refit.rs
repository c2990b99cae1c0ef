//! The commit of a rollback when the branch has moved since it was written.
//!
//! Invariant: what others have brought to the branch stays; what earlier rollbacks brought is the service's own, and
//! the later one counts. A commit that is built anew goes back only over what the rollback is about, is judged like the
//! first, and has for every config what instances are told to hold.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::{Command, Content, RepoState, Rollback, Target, Undone};
use headwater_wire::{CommitId, ConfigName, RepoPath};
use tracing::info;

use super::super::Pipeline;
use super::super::admit::contents;
use super::super::rollback::RollbackError;
use super::super::rollback::draft::undo;
use super::super::source::RoundError;
use super::PushStop;
use crate::git::error::{Cause, GitError};
use crate::git::intent::{Scope, Undo};

/// Paths that a reason names.
const PATHS_SHOWN: usize = 3;
/// Commits looked through for those of earlier rollbacks.
const COMMITS_MAX: usize = 4_096;
/// What a person can do about a branch that went another way.
const LOOK: &str = "look at what came in, then roll back again or release the hold";

impl Pipeline {
    /// The rollback with a commit on top of `tip`, built anew if the branch has moved or the mirror was lost.
    pub(super) async fn fitted(
        &mut self,
        rollback: &Rollback,
        state: &RepoState,
        tip: &CommitId,
    ) -> Result<Rollback, PushStop> {
        let is_on_tip = rollback.parent == *tip;
        if is_on_tip
            && self
                .repo
                .reader()
                .map_err(RoundError::from)?
                .contains(&rollback.commit)
        {
            return Ok(rollback.clone());
        }
        if rollback.expected_tip.is_some() && !is_on_tip {
            let why = format!("the tip moved to {tip} meanwhile, and another one was expected");
            return Err(PushStop::Stuck(why, LOOK));
        }
        // What was not decided about yet may end the rollback.
        if state.head.as_ref() != Some(tip) {
            return Err(PushStop::Behind);
        }
        let base = self.own_base(rollback, state, tip).await?;
        let undo = if base == *tip {
            undo(&rollback.undone)
        } else {
            self.narrowed(rollback, base, tip).await?
        };
        let commit = self.write(rollback, undo, tip).await?.commit;
        if !self.changes_nothing_exposed(rollback, state, &commit).await? {
            let why = format!("on top of {} it would change what is exposed", tip.short());
            return Err(PushStop::Stuck(why, LOOK));
        }
        let (id, parent) = (rollback.id.clone(), tip.clone());
        info!(rollback = id, commit.id = %commit, "rollback {id} was built anew on {}", tip.short());
        let (built_on, built) = (parent.clone(), commit.clone());
        self.apply(Command::Rebuild { id, parent, commit })
            .await
            .map_err(RoundError::from)?;
        Ok(Rollback {
            parent: built_on,
            commit: built,
            ..rollback.clone()
        })
    }

    /// The head that a rollback was decided on, or the last of the earlier rollbacks' commits right on top of it: pushes
    /// that were under way then.
    async fn own_base(
        &self,
        rollback: &Rollback,
        state: &RepoState,
        tip: &CommitId,
    ) -> Result<CommitId, PushStop> {
        let earlier = state.rollbacks.iter().take_while(|other| other.id != rollback.id);
        let ours: BTreeSet<CommitId> = earlier
            .flat_map(|other| [other.exposed.clone(), other.commit.clone()])
            .collect();
        let (base, tip) = (rollback.base.clone(), tip.clone());
        let read = self.repo.read(move |reader| {
            let since = reader.first_parents(&tip, Some(&base), COMMITS_MAX)?;
            let oldest_first = since.into_iter().rev();
            let mut own = base;
            for commit in oldest_first.take_while(|commit| ours.contains(commit)) {
                if reader.commit(&commit)?.parents.first() == Some(&own) {
                    own = commit;
                }
            }
            Ok(own)
        });
        Ok(read.await.map_err(RoundError::from)?)
    }

    /// What a rollback does to a branch that has moved: only the paths go back that it was about, if nobody else
    /// has changed them since `base`.
    async fn narrowed(&self, rollback: &Rollback, base: CommitId, tip: &CommitId) -> Result<Undo, PushStop> {
        let Undone::Restore { target, .. } = &rollback.undone else {
            return Ok(undo(&rollback.undone));
        };
        // All of the tree goes back from where earlier ones have brought it, and one config from where it was.
        let about = if rollback.undone.is_everything() {
            (base.clone(), target.clone())
        } else {
            (rollback.base.clone(), rollback.exposed.clone())
        };
        let tip = tip.clone();
        let read = self.repo.read(move |reader| {
            let paths = |from: &CommitId, to: &CommitId| -> Result<BTreeSet<Vec<u8>>, GitError> {
                let changed = reader.changed(Some(from), to)?;
                Ok(changed.into_iter().map(|entry| entry.path).collect())
            };
            Ok((paths(&about.0, &about.1)?, paths(&base, &tip)?))
        });
        let (ours, theirs) = read.await.map_err(RoundError::from)?;
        let both = ours.intersection(&theirs).take(PATHS_SHOWN);
        let both: Vec<String> = both.map(|path| format!("`{}`", shown(path))).collect();
        if !both.is_empty() {
            let why = format!("the branch has changed the same since: {}", both.join(", "));
            return Err(PushStop::Stuck(why, LOOK));
        }
        let paths = ours
            .iter()
            .map(|path| std::str::from_utf8(path).ok()?.parse().ok());
        let Some(paths) = paths.collect::<Option<Vec<RepoPath>>>() else {
            let why = "the branch has moved, and some paths have names that are no text".to_owned();
            return Err(PushStop::Stuck(why, "roll back again"));
        };
        let (target, scope) = (target.clone(), Scope::Paths(paths));
        Ok(Undo::Restore { target, scope })
    }

    /// Whether a commit is good and has what instances are told to hold.
    async fn changes_nothing_exposed(
        &self,
        rollback: &Rollback,
        state: &RepoState,
        commit: &CommitId,
    ) -> Result<bool, PushStop> {
        let judged = match self.judge_draft(rollback, commit).await {
            Ok(judged) => judged,
            Err(RollbackError::Invalid(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.keep_draft(&judged).await?;
        let built: BTreeMap<ConfigName, Content> = contents(&judged).collect();
        let has = |(config, target): (&ConfigName, &Target)| {
            // What is not held back may have come to the branch and not to everybody yet.
            let at_tip = state
                .at_tip(config)
                .filter(|_| !state.withheld.contains_key(config));
            let wanted = at_tip.map_or_else(|| target.content.clone(), |facts| facts.content);
            let content = built.get(config);
            content.is_some_and(|content| content.is_same(&wanted))
        };
        Ok(built.len() == state.targets.len() && state.targets.iter().all(has))
    }
}

fn shown(path: &[u8]) -> String {
    Cause::ours(&String::from_utf8_lossy(path)).to_string()
}
