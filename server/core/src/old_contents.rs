//! From which contents instances may come to new content, where that is not what the tip has alone.
//!
//! Invariant: whatever an instance is told of a config, or may be told before newer content has its turn, is what the
//! tip has or is named here, and so is what a rollout that goes back has not taken from everybody yet. Steps of
//! rollouts lead from these contents to these contents. What is deliberately absent: who was away meanwhile, and holds
//! what nobody is told any more.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName};

use crate::content::is_same;
use crate::control::RepoState;

/// Contents that instances may hold besides what the tip has, or instead of it. Of most repositories, most of the time,
/// there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldContents {
    /// The commits that they are handed out of, with the configs that have them there.
    pub besides: BTreeMap<CommitId, BTreeMap<ConfigName, OldContent>>,
    /// Configs of which nobody holds what the tip has: it was gone back from.
    pub left: BTreeSet<ConfigName>,
}

/// Why instances hold content of a config that the tip does not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OldContent {
    /// A rollout that moves has not reached everybody: this is what the others hold, or what it brings.
    OnItsWay(String),
    /// A rollout goes back, and not everybody has come back from this.
    NotYetBack(String),
    /// A rollout has gone back to this.
    RolledBack(String),
    /// A rollback has gone back to this.
    Restored(String),
    /// Nothing brings them what the tip has: its rollout ended before anybody had it.
    Apart,
}

impl OldContent {
    /// Whether it goes on to what the tip has, so that what was allowed on the way there is allowed.
    pub fn goes_on(&self) -> bool {
        match self {
            Self::OnItsWay(_) => true,
            Self::NotYetBack(_) | Self::RolledBack(_) | Self::Restored(_) | Self::Apart => false,
        }
    }

    /// What to do where a step from there is refused.
    pub fn hint(&self) -> String {
        match self {
            Self::OnItsWay(id) => format!(
                "instances may hold this old value while rollout `{id}` moves; take a step that is allowed from \
                 there too, or wait: once the rollout has ended, the newest commit is judged again"
            ),
            Self::NotYetBack(id) => format!(
                "rollout `{id}` goes back, and instances may still hold this old value; wait: once everybody is back, \
                 the newest commit is judged again"
            ),
            Self::RolledBack(id) => {
                format!("instances hold this old value, to which rollout `{id}` went back; go on from there")
            }
            Self::Restored(id) => {
                format!("instances hold this old value, to which rollback `{id}` went back; go on from there")
            }
            Self::Apart => {
                "instances hold this old value, since nothing has brought them a newer one; go on from there"
                    .to_owned()
            }
        }
    }
}

impl OldContents {
    /// Names them: equal ones have equal names. `None` if there are none.
    pub fn name(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let besides = self.besides.iter().flat_map(|(commit, configs)| {
            configs
                .iter()
                .map(move |(config, why)| format!("{config} {commit} {why:?}"))
        });
        let left = self.left.iter().map(|config| format!("{config} left"));
        Some(besides.chain(left).collect::<Vec<_>>().join("\n"))
    }
}

impl RepoState {
    /// The contents from which instances may step to those of a commit that comes now, besides what the tip has.
    pub fn old_contents(&self) -> OldContents {
        let mut found = OldContents::default();
        let configs: BTreeSet<&ConfigName> = self.courses.keys().chain(self.withheld.keys()).collect();
        for config in configs {
            self.add_old(config, &mut found);
        }
        found
    }

    fn add_old(&self, config: &ConfigName, found: &mut OldContents) {
        let at_tip = self.at_tip(config).map(|facts| facts.content);
        let differs = |content| !is_same(Some(content), at_tip.as_ref());
        let moving = self.moving_of(config);
        let mut add = |source: &CommitId, why| {
            let configs = found.besides.entry(source.clone()).or_default();
            configs.insert(config.clone(), why);
        };
        if let Some(moving) = moving.filter(|moving| differs(&moving.target.content)) {
            let why = if moving.state.is_back() {
                OldContent::NotYetBack(moving.id.clone())
            } else {
                OldContent::OnItsWay(moving.id.clone())
            };
            add(&moving.source, why);
        }
        let stable = self.targets.get(config).zip(self.source_of(config));
        if let Some((_, source)) = stable.filter(|(stable, _)| differs(&stable.content)) {
            add(source, self.why_stable(config));
        }
        let is_on_its_way = moving.is_some_and(|moving| !differs(&moving.target.content));
        let is_held_back = at_tip
            .as_ref()
            .is_some_and(|content| self.is_held_back(config, content));
        if is_held_back && !is_on_its_way {
            found.left.insert(config.clone());
        }
    }

    /// Why the stable content of a config is not what the tip has.
    fn why_stable(&self, config: &ConfigName) -> OldContent {
        if let Some(held) = self.withheld.get(config) {
            return OldContent::Restored(held.id.clone());
        }
        let course = self.courses.get(config);
        let left = course.and_then(|course| course.left.as_ref());
        match (self.moving_of(config), left) {
            (Some(moving), _) if !moving.state.is_back() => OldContent::OnItsWay(moving.id.clone()),
            (_, Some(left)) => OldContent::RolledBack(left.id.clone()),
            (Some(moving), None) => OldContent::RolledBack(moving.id.clone()),
            (None, None) => OldContent::Apart,
        }
    }
}
