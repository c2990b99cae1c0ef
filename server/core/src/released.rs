//! What going back may give everybody at once: content that everybody had.
//!
//! Invariant: nobody gets by a rollback what no rollout released. A config whose content at the commit is what a rollout
//! carries already stays with that rollout; one that would get content that never was everybody's here keeps the rollback
//! from happening. Content is stable again at any time, as far as it is remembered; what is older than that is taken to
//! have been. What is deliberately absent: which commits are older, which is asked of Git.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName};

use crate::command::Refusal;
use crate::content::Content;
use crate::control::{ConfigFacts, RepoState, Target};

/// What a rollback does with one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Everybody gets what the commit has.
    AtOnce,
    /// Nothing: the rollout of this name has it in hand.
    LeftAlone(String),
    /// It must not: everybody never had it here.
    Barred,
}

impl Target {
    /// Whether this is what is stable, or was before, as far as is remembered.
    pub fn had(&self, content: &Content) -> bool {
        let mut past = self.past.iter();
        self.content.is_same(content) || past.any(|(_, inputs)| *inputs == content.inputs)
    }

    /// The oldest version that is remembered. What was stable before that nobody knows.
    pub fn horizon(&self) -> &CommitId {
        let oldest = self.past.last().map_or(&self.version, |(version, _)| version);
        self.horizon.as_ref().unwrap_or(oldest)
    }
}

impl RepoState {
    /// What was stable last of a config, also if it is no longer declared.
    pub fn stable(&self, config: &ConfigName) -> Option<&Target> {
        self.targets.get(config).or_else(|| self.departed.get(config))
    }

    /// What a rollback does with a config that has these facts at its commit.
    pub fn way(&self, config: &ConfigName, new: Option<&ConfigFacts>) -> Way {
        let (Some(new), Some(stable)) = (new, self.stable(config)) else {
            return Way::AtOnce;
        };
        let content = &new.content;
        let is_stable = stable.content.is_same(content);
        let carried = self.carrier(config, content);
        match carried {
            Some((id, Carries::Forward)) if !is_stable => Way::LeftAlone(id),
            _ if stable.had(content) => Way::AtOnce,
            Some((id, _)) => Way::LeftAlone(id),
            None => Way::Barred,
        }
    }

    /// The version that everybody held before what the branch has of a config: one step back. `None` where there is none
    /// that is known to be on the branch, and where that step was the last that was taken: before it is what was left.
    pub fn held_before(&self, config: &ConfigName) -> Option<&CommitId> {
        let stable = self.targets.get(config)?;
        let course = self.courses.get(config);
        let has_left = course.is_some_and(|course| course.holding().is_some());
        if has_left || self.withheld.contains_key(config) {
            return None;
        }
        if self
            .moving_of(config)
            .is_some_and(|moving| !moving.state.is_back())
        {
            return Some(&stable.version).filter(|version| !self.is_unborn(version));
        }
        let mut before = stable.past.iter().filter(|_| stable.undoes.is_none());
        let other =
            before.find(|(version, inputs)| *inputs != stable.content.inputs && !self.is_unborn(version));
        other.map(|(version, _)| version)
    }

    /// Divides the configs that a rollback would touch: those that it turns at once, and those that it leaves alone, with
    /// the rollouts that have them.
    pub(crate) fn ways(
        &self,
        touched: BTreeSet<ConfigName>,
        facts: &BTreeMap<ConfigName, ConfigFacts>,
        at_once: &BTreeSet<ConfigName>,
    ) -> Result<(BTreeSet<ConfigName>, BTreeMap<ConfigName, String>), Refusal> {
        let (mut turned, mut left_alone, mut barred) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        for config in touched {
            match self.way(&config, facts.get(&config)) {
                Way::AtOnce => {
                    turned.insert(config);
                }
                Way::LeftAlone(id) => {
                    left_alone.insert(config, id);
                }
                Way::Barred if at_once.contains(&config) => {
                    turned.insert(config);
                }
                Way::Barred => barred.push(config),
            }
        }
        if barred.is_empty() {
            Ok((turned, left_alone))
        } else {
            Err(Refusal::NotReleased(barred))
        }
    }

    /// The rollout that brings content of the tip to instances, or behind which it waits.
    pub fn carried_by(&self, config: &ConfigName, content: &Content) -> Option<String> {
        let (id, carries) = self.carrier(config, content)?;
        let is_stable = self
            .stable(config)
            .is_some_and(|stable| stable.content.is_same(content));
        (carries == Carries::Forward && !is_stable).then_some(id)
    }

    /// The rollout that has content of the tip in hand, and what it does with it. What a rollback holds back, none has.
    fn carrier(&self, config: &ConfigName, content: &Content) -> Option<(String, Carries)> {
        if self.withheld.contains_key(config) {
            return None;
        }
        let course = self.courses.get(config)?;
        let newest = course.newest.as_ref()?;
        if !newest.facts.content.is_same(content) {
            return None;
        }
        if let Some(left) = course.left.as_ref().filter(|left| left.content.is_same(content)) {
            return Some((left.id.clone(), Carries::Nowhere));
        }
        let moving = course.moving().filter(|rollout| !rollout.state.is_back());
        if let Some(moving) = moving.filter(|rollout| rollout.target.content.is_same(content)) {
            return Some((moving.id.clone(), Carries::Forward));
        }
        // What waits has no rollout yet: the one that it waits behind is the one that people can look at.
        let behind = course.moving().map_or(&newest.id, |moving| &moving.id);
        let carries = if course.queued.is_some() {
            Carries::Forward
        } else {
            Carries::Nowhere
        };
        Some((behind.clone(), carries))
    }
}

/// What a rollout does with content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// It brings it to instances, or will.
    Forward,
    /// It has left it, and holds it back.
    Nowhere,
}
