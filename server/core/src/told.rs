//! What is read off the state of a repository: who is told what, out of which commit, and what moves.
//!
//! Invariant: nothing here changes anything; equal states give equal answers.

use std::collections::BTreeMap;

use headwater_wire::{CommitId, ConfigName, InstanceId, RolloutView, Timestamp};

use crate::content::Content;
use crate::control::{RepoState, Target, next_target};
use crate::fleet::Uptime;
use crate::rollout::{Course, Directive, Rollout};

impl RepoState {
    /// What an instance with these labels should hold of a config, or somebody who does not say who he is.
    pub fn directive(
        &self,
        config: &ConfigName,
        asker: Option<(&InstanceId, &BTreeMap<String, String>)>,
    ) -> Option<Directive> {
        let stable = self.targets.get(config)?;
        Some(match (self.courses.get(config), asker) {
            (None, _) => Directive::Baseline(stable.generation),
            (Some(course), None) => course.anonymous(stable),
            (Some(course), Some((instance, labels))) => course.directive(stable, instance, labels),
        })
    }

    /// The rollouts that move, as they are now, without anything being changed.
    pub fn moving_at(&self, now: Uptime) -> Vec<Rollout> {
        let passed = self.passed_until.map_or(0, |before| now.ms_since(before));
        let mut moving: Vec<Rollout> = self.moving().cloned().collect();
        for rollout in &mut moving {
            rollout.pass(passed);
        }
        moving
    }

    /// What is told of a rollout that is over.
    pub fn view_over(&self, rollout: &Rollout, now: Timestamp) -> RolloutView {
        if self.is_held_back(&rollout.config, &rollout.target.content) {
            rollout.view(None, now)
        } else {
            rollout.view_without_hold(now)
        }
    }

    /// Whether content of a config is not exposed because it was gone back from.
    pub fn is_held_back(&self, config: &ConfigName, content: &Content) -> bool {
        let course = self.courses.get(config);
        let held = self.withheld.get(config);
        course.is_some_and(|course| course.holds_back(content))
            || held.is_some_and(|held| held.bad.iter().flatten().any(|bad| bad.is_same(content)))
    }

    /// The rollouts that move, by config.
    pub fn moving(&self) -> impl Iterator<Item = &Rollout> {
        self.courses.values().filter_map(Course::moving)
    }

    /// The rollout that moves a config.
    pub fn moving_of(&self, config: &ConfigName) -> Option<&Rollout> {
        self.courses.get(config)?.moving()
    }

    /// A rollout by its id, whether or not it is over.
    pub fn rollout(&self, id: &str) -> Option<&Rollout> {
        self.moving().chain(&self.ended).find(|rollout| rollout.id == id)
    }

    /// What the stable target becomes if a rollout ends well.
    pub fn target_of(&self, rollout: &Rollout) -> Option<Target> {
        let stable = self.targets.get(&rollout.config)?.clone();
        let generation = rollout
            .opened
            .last()
            .map_or(stable.generation, |opened| opened.generation);
        let mut target = next_target(Some(stable), rollout.target.clone(), generation);
        target.source = Some(rollout.source.clone());
        Some(target)
    }

    /// Commits that something is handed out of, beside the tip.
    pub fn sources(&self) -> impl Iterator<Item = (&ConfigName, &CommitId)> {
        let stable = self
            .targets
            .keys()
            .filter_map(|config| Some((config, self.source_of(config)?)));
        stable.chain(self.moving().map(|rollout| (&rollout.config, &rollout.source)))
    }

    /// The commit that the stable content of a config is handed out of, where that is not the tip.
    pub fn source_of(&self, config: &ConfigName) -> Option<&CommitId> {
        match self.withheld.get(config) {
            Some(held) => Some(&held.source),
            None => self.targets.get(config)?.source.as_ref(),
        }
    }
}
