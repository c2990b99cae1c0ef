//! What is in use now, for whoever asks.
//!
//! Invariant: a board is never changed, only replaced, so that a reader sees one state of all configs.

use std::collections::BTreeMap;

use headwater_wire::ConfigName;

use super::command::Subject;
use super::switch::{Change, Name};

/// The value of each config that is in use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(BTreeMap<ConfigName, Change>);

impl Board {
    pub(crate) fn get(&self, config: &ConfigName) -> Option<&Change> {
        self.0.get(config)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.values()
    }

    /// The board after these were put into use.
    pub(super) fn with(&self, changes: Vec<Change>) -> Self {
        let mut next = self.0.clone();
        next.extend(changes.into_iter().map(|change| (change.config.clone(), change)));
        Self(next)
    }

    /// The board after a value got another name; a value that is not in use has none.
    pub(super) fn renamed(&self, name: &Name) -> Self {
        let mut next = self.0.clone();
        if let Some(change) = next.get_mut(&name.config)
            && change.digest == name.digest
        {
            change.version = name.version.clone();
            change.source = name.source;
        }
        Self(next)
    }

    /// What a command is told about them.
    pub(super) fn subject(&self, configs: &[ConfigName]) -> Subject {
        let first = configs.first().and_then(|config| self.get(config));
        Subject {
            configs: configs.to_vec(),
            version: first.map(|change| change.version.clone()),
            digest: first.map(|change| change.digest.clone()),
            ..Subject::default()
        }
    }
}
