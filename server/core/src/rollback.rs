//! Going back: what a person decided, and how far it came into Git.
//!
//! Invariant: the effect is decided first and does not depend on Git; a rollback is settled once, and stays so. What
//! is deliberately absent: pushing, and every question to Git.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName, RepoPath, RollbackMode, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::{Effect, Refusal};
use crate::content::is_same;
use crate::control::{ConfigFacts, RepoState, Target};
use crate::courses::Cause;
use crate::taken_back::TakenBack;

/// Rollbacks that are remembered. Those that are not settled are never dropped.
const ROLLBACKS_MAX: usize = 100;
/// How a request of the service itself begins; those of people are JSON.
const OF_ROLLOUT: &str = "rollout ";
/// Stand-ins that are remembered: whoever held one for longer than so many rollbacks is told the whole content.
const STAND_INS_MAX: usize = 64;

/// One wish of one person to go back, kept before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Names it; its commit carries it.
    pub id: String,
    /// Names the request, so that the same one said again is the same rollback.
    pub request: String,
    /// What is undone.
    pub undone: Undone,
    /// First line of the message of the commit that this names.
    #[serde(default)]
    pub subject: Option<String>,
    /// How the branch was known when the person asked.
    #[serde(default)]
    pub sight: Sight,
    /// Why.
    pub reason: String,
    /// Who asked, if somebody was named.
    #[serde(default)]
    pub requested_by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// The tip that the person has seen; its commit is never put on top of another one.
    #[serde(default)]
    pub expected_tip: Option<CommitId>,
    /// Whether it is pushed, or proposed in any case.
    pub mode: RollbackMode,
    /// The person insists, although the content does not validate.
    #[serde(default)]
    pub insists: bool,
    /// When it was decided; the dates of its commit.
    pub at: Timestamp,
    /// Head of the branch when it was decided.
    pub base: CommitId,
    /// The commit that was exposed at once: the wish on top of `base`.
    pub exposed: CommitId,
    /// What `commit` is built on: `base`, unless the branch has moved since.
    pub parent: CommitId,
    /// The commit that is to come to the branch, or has.
    pub commit: CommitId,
    /// How far it came.
    pub state: RollbackState,
    /// Configs that it did not touch, since a rollout of this name carries what they have there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_alone: BTreeMap<ConfigName, String>,
}

/// As of when the branch was known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// When the upstream last said where it is.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    /// Why the upstream could not say it again.
    #[serde(default)]
    pub unlisted: Option<String>,
}

/// What is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undone {
    /// Content becomes what it was at a commit.
    Restore {
        /// The commit.
        target: CommitId,
        /// The one config, if not all of the tree.
        #[serde(default)]
        config: Option<ConfigName>,
        /// Files and directories that decide the config; none for all of the tree.
        #[serde(default)]
        paths: Vec<RepoPath>,
    },
    /// One commit's change is taken back.
    Revert {
        /// The commit.
        commit: CommitId,
        /// For a merge: the parent, from 1 on, whose side is kept.
        #[serde(default)]
        mainline: Option<usize>,
    },
}

impl Undone {
    /// Whether it says what all of the tree shall be, so that nothing decided before it is left to do.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Restore { config: None, .. })
    }
}

/// How far a rollback came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackState {
    /// Instances have it; Git was not asked yet.
    Effective,
    /// The branch has it.
    Pushed {
        /// As this commit.
        commit: CommitId,
    },
    /// A pull request waits to be merged.
    Proposed {
        /// Its page.
        url: String,
        /// Its branch.
        branch: String,
    },
    /// Git does not have it; it is tried again.
    GitPending {
        /// Why.
        why: String,
        /// What a person can do.
        hint: String,
    },
    /// Other content was exposed before it came into Git.
    Superseded {
        /// By this commit.
        by: CommitId,
    },
    /// A person lifted it before it came into Git.
    Released {
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// The second person, where it needed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirmed_by: Option<String>,
        /// When.
        at: Timestamp,
    },
}

impl Rollback {
    /// The request of the service itself, to take back in Git what a rollout went back from.
    pub fn request_of_rollout(id: &str) -> String {
        format!("{OF_ROLLOUT}{id}")
    }

    /// The rollout whose content this takes back in Git, where no person asked.
    pub fn rollout(&self) -> Option<&str> {
        self.request.strip_prefix(OF_ROLLOUT)
    }

    /// Whether its commit still has to be brought to the branch by us.
    pub fn is_due(&self) -> bool {
        matches!(
            self.state,
            RollbackState::Effective | RollbackState::GitPending { .. }
        )
    }

    /// Whether its commit has yet to come to the branch.
    pub fn is_open(&self) -> bool {
        self.is_due() || matches!(self.state, RollbackState::Proposed { .. })
    }

    /// What was settled stays so.
    fn go_on(&mut self, state: RollbackState) {
        if !self.is_open() {
            return;
        }
        if let RollbackState::Pushed { commit } = &state {
            self.commit = commit.clone();
        }
        self.state = state;
    }

    /// Whether the branch was given its commit.
    pub fn is_pushed(&self) -> bool {
        matches!(self.state, RollbackState::Pushed { .. })
    }
}

/// A rollback as it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The wish.
    pub rollback: Rollback,
    /// What the commit written for it has.
    pub facts: BTreeMap<ConfigName, ConfigFacts>,
    /// The configs it is about: see [`RepoState::touched`].
    pub touched: BTreeSet<ConfigName>,
    /// Those that may have what is there although it is not known that everybody had it: it is moved at once anyhow, or
    /// is older than what is remembered.
    pub at_once: BTreeSet<ConfigName>,
    /// What of them is taken back: by this rollback, and by those before it that it does not contradict.
    pub taken_back: BTreeMap<ConfigName, Vec<TakenBack>>,
}

/// Versions that were told of commits which never came to the branch, and the commits that came with their content.
///
/// Of each config by itself: one commit may be the version of many, and of those only the ones that a rollback turned
/// back have another now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<KeptStandIn>")]
pub struct StandIns(Vec<StandIn>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StandIn {
    told: CommitId,
    came: CommitId,
    configs: BTreeSet<ConfigName>,
}

/// As a store has it: one that was kept before configs were told apart says of none what it stands for.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptStandIn {
    Now(StandIn),
    #[expect(dead_code, reason = "it is only recognised, and then left out")]
    Before(CommitId, CommitId),
}

impl From<Vec<KeptStandIn>> for StandIns {
    fn from(kept: Vec<KeptStandIn>) -> Self {
        let known = kept.into_iter().filter_map(|kept| match kept {
            KeptStandIn::Now(stand_in) => Some(stand_in),
            KeptStandIn::Before(..) => None,
        });
        Self(known.collect())
    }
}

impl StandIns {
    pub(crate) fn add(&mut self, config: &ConfigName, told: &CommitId, came: &CommitId) {
        // Who still holds what the one before stood for holds this, too.
        let chained = self
            .0
            .iter()
            .filter(|known| known.came == *told && known.configs.contains(config));
        let mut stand_for: Vec<CommitId> = chained.map(|known| known.told.clone()).collect();
        stand_for.retain(|version| version != came);
        for known in &mut self.0 {
            if known.came == *told || known.told == *told || known.told == *came {
                known.configs.remove(config);
            }
        }
        self.0.retain(|known| !known.configs.is_empty());
        for version in stand_for.iter().chain([told]) {
            self.put(config, version, came);
        }
        self.0.truncate(STAND_INS_MAX);
    }

    fn put(&mut self, config: &ConfigName, told: &CommitId, came: &CommitId) {
        let same = |known: &&mut StandIn| known.told == *told && known.came == *came;
        if let Some(known) = self.0.iter_mut().find(same) {
            known.configs.insert(config.clone());
            return;
        }
        let stand_in = StandIn {
            told: told.clone(),
            came: came.clone(),
            configs: BTreeSet::from([config.clone()]),
        };
        self.0.insert(0, stand_in);
    }

    /// The commit of the branch that came instead of the one that was told of a config.
    pub fn of(&self, config: &ConfigName, told: &CommitId) -> Option<&CommitId> {
        let found = self
            .0
            .iter()
            .find(|known| known.told == *told && known.configs.contains(config));
        found.map(|known| &known.came)
    }
}

impl RepoState {
    /// A rollback by its id.
    pub fn rollback(&self, id: &str) -> Option<&Rollback> {
        self.rollbacks.iter().find(|rollback| rollback.id == id)
    }

    /// Whether a version is a commit that was exposed for a rollback and has not come to the branch.
    pub fn is_unborn(&self, version: &CommitId) -> bool {
        let mut drafts = self.rollbacks.iter().filter(|rollback| !rollback.is_pushed());
        drafts.any(|rollback| rollback.exposed == *version)
    }

    /// Whether a commit is one of a rollback: it was decided about.
    pub fn is_decided(&self, commit: &CommitId) -> bool {
        let mut rollbacks = self.rollbacks.iter();
        rollbacks.any(|rollback| [&rollback.exposed, &rollback.commit].contains(&commit))
    }

    /// Whether a commit was exposed, or goes to the branch, for somebody who insisted on content that does not validate.
    pub fn insists_on(&self, commit: &CommitId) -> bool {
        let mut insisted = self.rollbacks.iter().filter(|rollback| rollback.insists);
        insisted.any(|rollback| [&rollback.exposed, &rollback.commit].contains(&commit))
    }

    /// The rollback that the same request began, if nothing else has happened since.
    pub fn same_request(&self, request: &str) -> Option<&Rollback> {
        let newest = self.rollbacks.iter().rev();
        newest
            .filter(|rollback| rollback.request == request)
            .find(|rollback| match &rollback.state {
                RollbackState::Pushed { commit } => {
                    self.tip.as_ref() == Some(commit)
                        || self.head.as_ref() == Some(commit)
                        || self.head.as_ref() == Some(&rollback.parent)
                        || self.holds_back(&rollback.id)
                }
                RollbackState::Effective
                | RollbackState::Proposed { .. }
                | RollbackState::GitPending { .. } => true,
                RollbackState::Superseded { .. } | RollbackState::Released { .. } => false,
            })
    }

    /// The configs that a rollback is about: all, or those that its commit has otherwise than the tip.
    pub fn touched(
        &self,
        undone: &Undone,
        facts: &BTreeMap<ConfigName, ConfigFacts>,
    ) -> BTreeSet<ConfigName> {
        let at_tip = self.all_at_tip();
        let names = facts.keys().chain(at_tip.keys()).chain(self.withheld.keys());
        let touched = names.filter(|name| {
            let [new, now] = [facts, &at_tip].map(|all| all.get(*name).map(|facts| &facts.content));
            undone.is_everything() || !is_same(new, now)
        });
        touched.cloned().collect()
    }

    /// Turns the configs that a rollback is about to what its commit has, and holds back what they had. What everybody
    /// never had, nobody gets by it.
    pub(crate) fn roll_back(&mut self, decision: Decision) -> Result<Vec<Effect>, Refusal> {
        let Decision {
            mut rollback,
            facts,
            touched,
            at_once,
            mut taken_back,
        } = decision;
        if self.rollback(&rollback.id).is_some() {
            return Ok(Vec::new());
        }
        let (touched, left_alone) = self.ways(touched, &facts, &at_once)?;
        rollback.left_alone = left_alone;
        let generation = self.generation.next();
        self.name_sources();
        let before: BTreeSet<String> = self.withheld.values().map(|held| held.id.clone()).collect();
        let cause = Cause {
            at: rollback.at,
            ordered: rollback.rollout().is_none(),
            by: rollback.requested_by.clone(),
            reason: Some(rollback.reason.clone()),
            ..Cause::default()
        };
        let mut effects = Vec::new();
        for config in &touched {
            let new = facts.get(config);
            let taken_back = taken_back.remove(config).unwrap_or_default();
            self.withhold(config, (new, taken_back), &rollback);
            self.give_way(config, new, generation, &cause);
            let old = self.targets.remove(config).or_else(|| self.come_back(config));
            let undone = old.as_ref().map(|target| target.version.clone());
            match (old, new) {
                (Some(old), Some(new)) if old.content.is_same(&new.content) => {
                    self.targets.insert(config.clone(), old);
                }
                (old, Some(new)) => {
                    self.outdo_incomplete(config, rollback.at);
                    self.aim(config, (old, new.clone()), generation, &mut effects);
                    if let Some(target) = self.targets.get_mut(config) {
                        target.undoes = undone;
                    }
                }
                (Some(old), None) => {
                    self.depart(config, old);
                    effects.push(Effect::TargetRemoved(config.clone()));
                }
                (None, None) => {}
            }
        }
        let outdone = before.into_iter().filter(|id| !self.holds_back(id)).collect();
        let replaced = RollbackState::Superseded {
            by: rollback.exposed.clone(),
        };
        if rollback.undone.is_everything() {
            for earlier in &mut self.rollbacks {
                earlier.go_on(replaced.clone());
            }
        } else {
            self.end(&outdone, &replaced);
        }
        self.rollbacks.push(rollback);
        self.forget_settled();
        if self.head == self.tip
            && let Some(head) = self.head.clone()
        {
            let state = self.state_of_tip();
            effects.extend(self.set_head(head, state));
        }
        Ok(effects)
    }

    /// Ends those of `ids` that are still open.
    pub(crate) fn end(&mut self, ids: &BTreeSet<String>, state: &RollbackState) {
        let rollbacks = self.rollbacks.iter_mut();
        for rollback in rollbacks.filter(|rollback| ids.contains(&rollback.id)) {
            rollback.go_on(state.clone());
        }
    }

    /// Whether a commit of the branch has the content that an exposed commit of ours stood for, or is the commit of a
    /// rollback that words what is exposed otherwise. Where other content is on its way to instances, this has to be
    /// offered to its course, which calls that back.
    pub(crate) fn adopts(&self, config: &ConfigName, old: &Target, facts: &ConfigFacts) -> bool {
        let course = self.courses.get(config);
        let newest = course.and_then(|course| course.newest.as_ref());
        if newest.is_some_and(|newest| !newest.facts.content.is_same(&facts.content)) {
            return false;
        }
        let mut rollbacks = self.rollbacks.iter();
        old.content.is_same(&facts.content)
            && old.version != facts.version
            && rollbacks.any(|rollback| rollback.exposed == old.version || rollback.commit == facts.version)
    }

    pub(crate) fn settle(&mut self, id: &str, state: RollbackState) {
        if let Some(rollback) = self.open_mut(id) {
            rollback.go_on(state);
        }
    }

    pub(crate) fn rebuild(&mut self, id: &str, parent: CommitId, commit: CommitId) {
        if let Some(rollback) = self.open_mut(id) {
            rollback.parent = parent;
            rollback.commit = commit;
        }
    }

    pub(crate) fn land(&mut self, id: &str, commit: CommitId) {
        if let Some(rollback) = self.rollbacks.iter_mut().find(|rollback| rollback.id == id) {
            self.withheld.retain(|_, held| held.id != id);
            rollback.commit = commit.clone();
            rollback.state = RollbackState::Pushed { commit };
        }
    }

    pub(crate) fn open_mut(&mut self, id: &str) -> Option<&mut Rollback> {
        let mut open = self.rollbacks.iter_mut().filter(|rollback| rollback.is_open());
        open.find(|rollback| rollback.id == id)
    }

    fn forget_settled(&mut self) {
        let Some(excess) = self.rollbacks.len().checked_sub(ROLLBACKS_MAX) else {
            return;
        };
        let holding: BTreeSet<String> = self.withheld.values().map(|held| held.id.clone()).collect();
        let mut left = excess;
        self.rollbacks.retain(|rollback| {
            let goes = left > 0 && !rollback.is_open() && !holding.contains(&rollback.id);
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn config(name: &str) -> ConfigName {
        name.parse().unwrap()
    }

    #[test]
    fn a_version_stands_for_another_only_where_that_config_was_turned_back() {
        let (a, b) = (config("a"), config("b"));
        let mut stand_ins = StandIns::default();
        stand_ins.add(&a, &commit('1'), &commit('2'));
        assert_eq!(stand_ins.of(&a, &commit('1')), Some(&commit('2')));
        assert_eq!(stand_ins.of(&b, &commit('1')), None);
        stand_ins.add(&b, &commit('1'), &commit('2'));
        stand_ins.add(&a, &commit('2'), &commit('3'));
        assert_eq!(stand_ins.of(&a, &commit('1')), Some(&commit('3')));
        assert_eq!(stand_ins.of(&a, &commit('2')), Some(&commit('3')));
        assert_eq!(stand_ins.of(&b, &commit('1')), Some(&commit('2')));
    }

    #[test]
    fn what_is_kept_reads_back_and_what_an_older_store_has_is_left_out() {
        let mut stand_ins = StandIns::default();
        stand_ins.add(&config("a"), &commit('1'), &commit('2'));
        let kept = serde_json::to_string(&stand_ins).unwrap();
        assert_eq!(serde_json::from_str::<StandIns>(&kept).unwrap(), stand_ins);
        let older = format!("[[\"{}\", \"{}\"]]", commit('1'), commit('2'));
        assert_eq!(
            serde_json::from_str::<StandIns>(&older).unwrap(),
            StandIns::default()
        );
    }
}
