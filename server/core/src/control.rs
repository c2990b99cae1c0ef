//! The state of one repository and the only way to change it.
//!
//! Invariant: `apply` is the one mutator; all that happens beside it is that time passes. The generation never falls; a
//! target changes only by an admitted commit, by the end of a rollout or by a person's rollback; equal content moves
//! nobody. The state is small and serialisable: it is what the store keeps over a restart.

use std::collections::BTreeMap;

use headwater_wire::{BranchName, CommitId, ConfigName, Digest, Generation, HeadState, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::{Arrival, Command, Effect, Refusal};
use crate::content::Content;
use crate::fleet::Uptime;
use crate::hold::Withheld;
use crate::rollback::{Rollback, StandIns};
use crate::rollout::{Course, Policy, Rollout, Urgency};
use crate::second_person::Orders;

/// Versions remembered per config, so that a return to one of them can be named a rollback.
const PAST_VERSIONS_MAX: usize = 32;

/// How far ahead of ours a generation that an instance has seen may be. More than a million changes were lost nowhere:
/// such a number is a mistake, or somebody who wants to use up the numbers.
pub const GENERATION_GAP_MAX: u64 = 1_000_000;

/// What the service has decided about one repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RepoState {
    /// Branch followed.
    #[serde(default)]
    pub branch: Option<BranchName>,
    /// Newest admitted commit.
    #[serde(default)]
    pub tip: Option<CommitId>,
    /// Newest commit of the branch that was looked at.
    #[serde(default)]
    pub head: Option<CommitId>,
    /// What became of it.
    #[serde(default)]
    pub head_state: HeadState,
    /// Newest fence number given out.
    #[serde(default)]
    pub generation: Generation,
    /// What is stable of every config: what its instances should hold where no rollout says otherwise.
    #[serde(default)]
    pub targets: BTreeMap<ConfigName, Target>,
    /// What was stable of configs that are no longer declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub departed: BTreeMap<ConfigName, Target>,
    /// What happens to those configs that do not just follow the tip.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub courses: BTreeMap<ConfigName, Course>,
    /// Rollouts that are over, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Rollout>,
    /// Up to which moment time has passed in what moves. Of no use to another process.
    #[serde(skip)]
    pub passed_until: Option<Uptime>,
    /// What keeps the head from being exposed.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The rewritten head that a person accepted last, and why.
    #[serde(default)]
    pub accepted: Option<Accepted>,
    /// Rollbacks, oldest first: those that are not settled, and some that are.
    #[serde(default)]
    pub rollbacks: Vec<Rollback>,
    /// Configs that hold what a rollback decided, and not what the tip has.
    #[serde(default)]
    pub withheld: BTreeMap<ConfigName, Withheld>,
    /// Versions told of commits that came to the branch as other commits with the same content.
    #[serde(default)]
    pub stand_ins: StandIns,
    /// Orders that wait for a second person, and some that did.
    #[serde(default, skip_serializing_if = "Orders::is_empty")]
    pub orders: Orders,
}

/// What the instances of one config should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// The content.
    #[serde(flatten)]
    pub content: Content,
    /// Fence number of this target.
    pub generation: Generation,
    /// Versions that were targets before, newest first, with the digest of their inputs.
    #[serde(default)]
    pub past: Vec<(CommitId, Digest)>,
    /// The version that was gone back from to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<CommitId>,
    /// Admitted commit that it is handed out of, where that is not the tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CommitId>,
    /// The oldest version that is remembered, where it is neither this one nor the last of those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<CommitId>,
}

impl Target {
    /// Its content.
    pub fn facts(&self) -> ConfigFacts {
        ConfigFacts {
            version: self.version.clone(),
            content: self.content.clone(),
        }
    }

    /// Whether this target has the content of a version that is older than `held`, or was decided to undo it.
    pub fn restores(&self, held: &CommitId) -> bool {
        if self.undoes.as_ref() == Some(held) {
            return true;
        }
        let mut older = self
            .past
            .iter()
            .skip_while(|(version, _)| version != held)
            .skip(1);
        older.any(|(_, inputs)| *inputs == self.content.inputs)
    }
}

/// A head that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The head held back.
    pub head: CommitId,
    /// Since when.
    pub since: Timestamp,
}

/// A person's decision to take a rewritten head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The head.
    pub head: CommitId,
    /// Why.
    pub reason: String,
    /// Who, if somebody was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What admission found out about one config of an admitted commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFacts {
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// The content.
    #[serde(flatten)]
    pub content: Content,
}

/// The same, with what else has to be known to move instances to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The content.
    pub facts: ConfigFacts,
    /// How it goes.
    pub policy: Policy,
    /// The admitted commit.
    pub source: CommitId,
    /// Whether it waits for what usually is waited for.
    pub urgency: Urgency,
    /// When.
    pub at: Timestamp,
}

/// How what is told of a config stands to a generation that an instance has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceCheck {
    /// What is told is above it, or nothing is told.
    Above,
    /// It is the one the instance has seen, or another one of the same number.
    Equal,
    /// The instance has seen more: from another replica, or from before our store was lost.
    Overtaken,
    /// The instance says that it has seen what nobody can have given out.
    Absurd,
}

impl RepoState {
    /// Applies one command and says what changed.
    pub fn apply(&mut self, command: Command) -> Result<Vec<Effect>, Refusal> {
        match command {
            Command::Follow(branch) => {
                self.branch = Some(branch);
                Ok(Vec::new())
            }
            Command::Judge(head) => Ok(self.set_head(head, HeadState::Validating)),
            Command::Admit(arrival) => Ok(self.admit(*arrival)),
            Command::Reject(head) => {
                self.hold = None;
                Ok(self.set_head(head, HeadState::Rejected))
            }
            Command::Hold { head, at } => {
                let since = self
                    .hold
                    .as_ref()
                    .filter(|hold| hold.head == head)
                    .map_or(at, |hold| hold.since);
                self.hold = Some(Hold {
                    head: head.clone(),
                    since,
                });
                let mut effects = self.halt_all(&head, at);
                effects.extend(self.set_head(head, HeadState::Held));
                Ok(effects)
            }
            Command::Accept { head, reason, by, at } => self.accept(head, (reason, by), at),
            Command::RaiseGeneration { config, above } => Ok(self.raise(config, above)),
            Command::RollBack(decision) => self.roll_back(*decision),
            Command::Settle { id, state } => {
                self.settle(&id, state);
                Ok(Vec::new())
            }
            Command::Rebuild { id, parent, commit } => {
                self.rebuild(&id, parent, commit);
                Ok(Vec::new())
            }
            Command::Land { id, commit } => {
                self.land(&id, commit);
                Ok(Vec::new())
            }
            Command::Release { id, reason, by, at } => self.release(&id, (reason, by), at),
            Command::Condemn(contents) => {
                self.condemn(contents);
                Ok(Vec::new())
            }
            Command::Step(due) => self.take_step(*due),
            Command::Order(wish) => self.order(*wish),
            Command::Give(order) => self.give(*order).map(|()| Vec::new()),
            Command::Confirm { word, rollback } => self.confirm(&word, rollback).map(|()| Vec::new()),
            Command::Withdraw(word) => self.withdraw(&word).map(|()| Vec::new()),
            Command::Restored { missed, at } => {
                self.orders.drop_all(at);
                Ok(self.restored(missed, at))
            }
            Command::Recognise(known) => {
                self.recognise(&known);
                Ok(Vec::new())
            }
        }
    }

    /// How what is told of `config` under the lowest number stands to a generation that an instance has seen.
    pub fn fence(&self, config: &ConfigName, seen: Generation) -> FenceCheck {
        let Some(target) = self.targets.get(config) else {
            return FenceCheck::Above;
        };
        let course = self.courses.get(config);
        let lowest = course.map_or(target.generation, |course| course.lowest(target));
        self.fence_of(lowest, seen)
    }

    /// How what an instance is told under `told` stands to a generation that it has seen.
    pub fn fence_of(&self, told: Generation, seen: Generation) -> FenceCheck {
        if told > seen {
            FenceCheck::Above
        } else if seen.0.saturating_sub(self.generation.0) > GENERATION_GAP_MAX {
            FenceCheck::Absurd
        } else if told == seen {
            FenceCheck::Equal
        } else {
            FenceCheck::Overtaken
        }
    }

    /// The version stays: only its number changes, and with it the newest number given out.
    fn raise(&mut self, config: ConfigName, above: Generation) -> Vec<Effect> {
        match self.fence(&config, above) {
            FenceCheck::Above | FenceCheck::Absurd => return Vec::new(),
            FenceCheck::Equal | FenceCheck::Overtaken => {}
        }
        let Some(target) = self.targets.get_mut(&config) else {
            return Vec::new();
        };
        let next = self.generation.max(above).next();
        self.generation = if let Some(course) = self.courses.get_mut(&config) {
            course.reissue(target, next)
        } else {
            target.generation = next;
            next
        };
        vec![Effect::TargetReissued {
            config,
            generation: next,
        }]
    }

    fn admit(&mut self, arrival: Arrival) -> Vec<Effect> {
        let Arrival {
            commit,
            depth,
            configs,
            mut policies,
            urgency,
            at,
        } = arrival;
        let mut effects = Vec::new();
        let generation = Generation(self.generation.next().0.max(depth));
        self.name_sources();
        self.look_through(&commit, &configs);
        for (config, held) in &mut self.withheld {
            held.policy = policies.remove(config);
        }
        let mut before = std::mem::take(&mut self.targets);
        for config in self.withheld.keys() {
            if let Some(kept) = before.remove(config) {
                self.targets.insert(config.clone(), kept);
            }
        }
        for (config, facts) in configs {
            if self.withheld.contains_key(&config) {
                continue;
            }
            let old = before.remove(&config).or_else(|| self.come_back(&config));
            if let Some(old) = old.as_ref().filter(|old| self.adopts(&config, old, &facts)) {
                let (from, to) = (old.version.clone(), facts.version);
                self.stand_ins.add(&config, &from, &to);
                let adopted = Target {
                    version: to.clone(),
                    content: facts.content,
                    source: None,
                    horizon: Some(old.horizon().clone()),
                    ..old.clone()
                };
                self.adopt(&config, adopted);
                effects.push(Effect::TargetAdopted { config, from, to });
                continue;
            }
            let found = Found {
                facts,
                policy: policies.remove(&config).unwrap_or_else(Policy::immediate),
                source: commit.clone(),
                urgency,
                at,
            };
            self.arrive(&config, (old, found), generation, &mut effects);
        }
        for (config, old) in before {
            self.leave(&config, old, at);
            effects.push(Effect::TargetRemoved(config));
        }
        if self.tip.as_ref() != Some(&commit) {
            effects.push(Effect::TipMoved {
                from: self.tip.replace(commit.clone()),
                to: commit.clone(),
            });
        }
        self.hold = None;
        let state = self.state_of_tip();
        effects.extend(self.set_head(commit, state));
        effects
    }

    /// Gives a config its next target.
    pub(crate) fn aim(
        &mut self,
        config: &ConfigName,
        (old, facts): (Option<Target>, ConfigFacts),
        generation: Generation,
        effects: &mut Vec<Effect>,
    ) {
        let from = old.as_ref().map(|target| target.version.clone());
        if from.as_ref() != Some(&facts.version) {
            self.generation = self.generation.max(generation);
            effects.push(Effect::TargetMoved {
                config: config.clone(),
                from,
                to: facts.version.clone(),
            });
        }
        let target = next_target(old, facts, generation);
        self.targets.insert(config.clone(), target);
    }

    /// What is said of the head when it is the tip.
    pub(crate) fn state_of_tip(&self) -> HeadState {
        if self.withheld.is_empty() && self.courses.values().all(|course| course.holding().is_none()) {
            HeadState::Published
        } else {
            HeadState::Held
        }
    }

    fn accept(
        &mut self,
        head: CommitId,
        (reason, by): (String, Option<String>),
        at: Timestamp,
    ) -> Result<Vec<Effect>, Refusal> {
        // The same acceptance said twice is answered the same way, whatever has become of the head since.
        if self
            .accepted
            .as_ref()
            .is_some_and(|accepted| accepted.head == head)
        {
            return Ok(vec![Effect::JudgeAgain(head)]);
        }
        let hold = self.hold.as_ref().ok_or(Refusal::NothingHeld)?;
        if hold.head != head {
            return Err(Refusal::HeadMoved {
                actual: hold.head.clone(),
            });
        }
        self.accepted = Some(Accepted {
            head: head.clone(),
            reason,
            by,
            confirmed_by: None,
            at,
        });
        Ok(vec![Effect::JudgeAgain(head)])
    }

    pub(crate) fn set_head(&mut self, head: CommitId, state: HeadState) -> Vec<Effect> {
        let changed = self.head.as_ref() != Some(&head) || self.head_state != state;
        self.head = Some(head);
        self.head_state = state;
        if changed {
            vec![Effect::HeadChanged]
        } else {
            Vec::new()
        }
    }
}

/// The target after `old`: the same one if the version is the same, else a new one that remembers it.
pub(crate) fn next_target(old: Option<Target>, facts: ConfigFacts, generation: Generation) -> Target {
    let Some(old) = old else {
        return Target {
            version: facts.version,
            content: facts.content,
            generation,
            past: Vec::new(),
            undoes: None,
            source: None,
            horizon: None,
        };
    };
    if old.version == facts.version {
        return Target {
            content: facts.content,
            source: None,
            ..old
        };
    }
    let mut past = old.past;
    past.insert(0, (old.version, old.content.inputs));
    let horizon = old.horizon.filter(|_| past.len() <= PAST_VERSIONS_MAX);
    past.truncate(PAST_VERSIONS_MAX);
    Target {
        version: facts.version,
        content: facts.content,
        generation,
        past,
        undoes: None,
        source: None,
        horizon,
    }
}
