//! What a rollback holds back, and what ends that.
//!
//! Invariant: content that is held back is exposed by no commit that has it, however it comes. Only a commit with other
//! content, the rollback's own commit on the branch, or a person ends that. Content is compared by its inputs, by its
//! documents and by the values that were taken back, never by commits: whoever touches a comment, or what lies beside
//! those values, has not mended anything.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::{Effect, Refusal};
use crate::content::{Content, is_same};
use crate::control::{ConfigFacts, Found, RepoState, Target};
use crate::courses::Cause;
use crate::rollback::{Rollback, RollbackState};
use crate::rollout::{Policy, Urgency};
use crate::taken_back::TakenBack;

/// Contents of one config that are held back at most. Whoever went back oftener without ever reaching the branch may see
/// the oldest of them again.
const BAD_MAX: usize = 64;

/// A config that holds what a rollback decided, and not what the tip has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The rollback.
    pub id: String,
    /// Commit whose documents are exposed instead.
    pub source: CommitId,
    /// Content that is not exposed, newest first; nothing where the config did not exist.
    pub bad: Vec<Option<Content>>,
    /// What was taken back, newest first: content that still has it is as bad.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_back: Vec<TakenBack>,
    /// What the tip has; nothing if it has no such config.
    #[serde(default)]
    pub tip: Option<ConfigFacts>,
    /// How the tip wants it moved, unless at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

impl Withheld {
    /// Adds content that is not exposed from now on.
    fn condemn(&mut self, content: Option<Content>) {
        let is_known = |known: &Option<Content>| is_same(known.as_ref(), content.as_ref());
        if !self.bad.iter().any(is_known) {
            self.bad.insert(0, content);
            self.bad.truncate(BAD_MAX);
        }
    }

    /// Whether this is content that is not exposed. What is found out about it is remembered.
    fn holds(&mut self, content: Option<&Content>) -> bool {
        let found = self.bad.iter_mut().find(|bad| is_same(bad.as_ref(), content));
        let is_bad = found.is_some();
        if let (Some(Some(bad)), Some(content)) = (found, content) {
            bad.learn(content);
        }
        is_bad
    }
}

impl RepoState {
    /// What the tip has of a config, whether or not it is exposed.
    pub fn at_tip(&self, config: &ConfigName) -> Option<ConfigFacts> {
        if let Some(withheld) = self.withheld.get(config) {
            return withheld.tip.clone();
        }
        let course = self.courses.get(config);
        if let Some(newest) = course.and_then(|course| course.newest.as_ref()) {
            return Some(newest.facts.clone());
        }
        self.targets.get(config).map(Target::facts)
    }

    /// Everything the tip has.
    pub fn all_at_tip(&self) -> BTreeMap<ConfigName, ConfigFacts> {
        let names: BTreeSet<&ConfigName> = self.targets.keys().chain(self.withheld.keys()).collect();
        let facts = names
            .into_iter()
            .filter_map(|config| Some((config.clone(), self.at_tip(config)?)));
        facts.collect()
    }

    /// Whether a rollback holds anything back.
    pub fn holds_back(&self, id: &str) -> bool {
        self.withheld.values().any(|withheld| withheld.id == id)
    }

    /// Everything that was or would be exposed of a config is bad from now on, except what was decided.
    pub(crate) fn withhold(
        &mut self,
        config: &ConfigName,
        (decided, taken_back): (Option<&ConfigFacts>, Vec<TakenBack>),
        rollback: &Rollback,
    ) {
        let tip = self.at_tip(config);
        let policy = self.policy_at_tip(config);
        let decided = decided.map(|facts| &facts.content);
        let at_tip = tip.as_ref().map(|facts| facts.content.clone());
        let is_decided = is_same(at_tip.as_ref(), decided);
        let active = self.targets.get(config).map(|target| target.content.clone());
        let before = self.withheld.remove(config);
        if is_decided {
            return;
        }
        let mut withheld = Withheld {
            id: rollback.id.clone(),
            source: rollback.exposed.clone(),
            bad: before.map_or_else(Vec::new, |held| held.bad),
            taken_back,
            tip,
            policy,
        };
        let moved = self.moved_contents(config).into_iter().map(Some);
        for content in moved.chain([at_tip, active]) {
            withheld.condemn(content);
        }
        withheld.bad.retain(|content| !is_same(content.as_ref(), decided));
        self.withheld.insert(config.clone(), withheld);
    }

    /// Before an admission: ends what the commit ends, and notes what it has of the rest.
    pub(crate) fn look_through(&mut self, commit: &CommitId, configs: &BTreeMap<ConfigName, ConfigFacts>) {
        let is_news = self.tip.as_ref() != Some(commit);
        let holding: BTreeSet<String> = self.withheld.values().map(|held| held.id.clone()).collect();
        // A rollback's content may come by a commit that does not say so: squashed, or written by a person.
        let differs = |config: &ConfigName| {
            let (new, active) = (configs.get(config), self.targets.get(config));
            !is_same(
                new.map(|facts| &facts.content),
                active.map(|target| &target.content),
            )
        };
        let unlike = self.withheld.iter().filter(|(config, _)| differs(config));
        let unlike: BTreeSet<String> = unlike.map(|(_, held)| held.id.clone()).collect();
        self.withheld.retain(|config, held| {
            let facts = configs.get(config);
            held.tip = facts.cloned();
            held.holds(facts.map(|facts| &facts.content))
        });
        let arrived = holding.difference(&unlike).cloned().collect();
        self.end(
            &arrived,
            &RollbackState::Pushed {
                commit: commit.clone(),
            },
        );
        let ended = holding.iter().filter(|id| !self.holds_back(id)).cloned();
        // One that had nothing to hold back is overtaken by any other commit.
        let idle = self.rollbacks.iter().map(|rollback| rollback.id.clone());
        let idle = idle.filter(|id| is_news && !holding.contains(id));
        let overtaken = ended.chain(idle).collect();
        self.end(&overtaken, &RollbackState::Superseded { by: commit.clone() });
    }

    /// Contents that still have what was taken back. What is exposed is what somebody decided.
    pub(crate) fn condemn(&mut self, contents: Vec<(ConfigName, Content)>) {
        for (config, content) in contents {
            let exposed = self.targets.get(&config);
            let is_exposed = exposed.is_some_and(|target| target.content.is_same(&content));
            if let Some(held) = self.withheld.get_mut(&config).filter(|_| !is_exposed) {
                held.condemn(Some(content));
            }
        }
    }

    /// Takes note of the documents of contents that were decided about.
    pub(crate) fn recognise(&mut self, known: &[(ConfigName, Content)]) {
        for (config, content) in known {
            let targets = self.targets.get_mut(config).into_iter();
            targets.for_each(|target| target.content.learn(content));
            let courses = self.courses.get_mut(config).into_iter();
            courses.for_each(|course| course.learn(content));
            let Some(held) = self.withheld.get_mut(config) else {
                continue;
            };
            held.tip.iter_mut().for_each(|tip| tip.content.learn(content));
            held.bad.iter_mut().flatten().for_each(|bad| bad.learn(content));
        }
    }

    /// Lifts what a rollback or a rollout holds back: its configs get what the tip has. A rollback on its way to the
    /// branch is given up.
    pub(crate) fn release(
        &mut self,
        id: &str,
        (reason, by): (String, Option<String>),
        at: Timestamp,
    ) -> Result<Vec<Effect>, Refusal> {
        let held: Vec<ConfigName> = self
            .withheld
            .iter()
            .filter(|(_, held)| held.id == id)
            .map(|(config, _)| config.clone())
            .collect();
        // One that holds nothing back is given up all the same: its commit is not brought to the branch any more.
        let cause = Cause {
            at,
            reason: Some(reason.clone()),
            ordered: true,
            by: by.clone(),
            ..Cause::default()
        };
        let left = self.let_come_again(id, &cause);
        if held.is_empty() && left.is_none() && self.open_mut(id).is_none() {
            return Err(Refusal::NotHeld(id.to_owned()));
        }
        let generation = self.generation.next();
        let mut effects = left.unwrap_or_default();
        self.name_sources();
        let tip = self.tip.clone();
        for config in held {
            let held = self.withheld.remove(&config);
            let policy = held.as_ref().and_then(|held| held.policy.clone());
            let at_tip = held.and_then(|held| held.tip).zip(tip.clone());
            let old = self.targets.remove(&config).or_else(|| self.come_back(&config));
            match (old, at_tip) {
                (old, Some((facts, source))) => {
                    let found = Found {
                        facts,
                        policy: policy.unwrap_or_else(Policy::immediate),
                        source,
                        urgency: Urgency::Usual,
                        at,
                    };
                    self.arrive(&config, (old, found), generation, &mut effects);
                }
                (Some(old), None) => {
                    self.leave(&config, old, at);
                    effects.push(Effect::TargetRemoved(config));
                }
                (None, None) => {}
            }
        }
        if let Some(rollback) = self.open_mut(id) {
            rollback.state = RollbackState::Released {
                reason,
                by,
                confirmed_by: None,
                at,
            };
        }
        if self.head == self.tip
            && let Some(head) = self.head.clone()
        {
            let state = self.state_of_tip();
            effects.extend(self.set_head(head, state));
        }
        Ok(effects)
    }
}
