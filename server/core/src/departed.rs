//! Configs that are no longer declared: what was stable of each when it left.
//!
//! Invariant: who takes a config away and brings it back has not gone round its policy. What it held is what its return is
//! compared with: equal content moves nobody, and other content goes as the commit says that brings it. Bounded; a config
//! that left so long ago that it is forgotten comes back like a new one.

use headwater_wire::ConfigName;

use crate::control::{RepoState, Target};

/// Configs remembered so. Of more, those are forgotten that were moved the longest time ago.
const DEPARTED_MAX: usize = 1_000;

impl RepoState {
    /// Remembers what was stable of a config that leaves. It goes on being handed out of where it was, if it comes back.
    pub(crate) fn depart(&mut self, config: &ConfigName, mut target: Target) {
        if target.source.is_none() {
            target.source.clone_from(&self.tip);
        }
        self.departed.insert(config.clone(), target);
        if self.departed.len() > DEPARTED_MAX {
            let oldest = self.departed.iter().min_by_key(|(_, target)| target.generation);
            let oldest = oldest.map(|(config, _)| config.clone());
            oldest.and_then(|config| self.departed.remove(&config));
        }
    }

    /// What was stable of a config when it left.
    pub(crate) fn come_back(&mut self, config: &ConfigName) -> Option<Target> {
        self.departed.remove(config)
    }
}
