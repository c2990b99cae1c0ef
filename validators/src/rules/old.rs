//! The documents that instances may hold of each config before they get a new one.
//!
//! Invariant: of a config that a commit leaves as it is exposed, these are the exposed ones alone: nobody takes a new step
//! by that commit. Of any other they are all that instances may hold, wherever it comes from, so that a step is measured
//! from each. What is deliberately absent: why instances hold what is not exposed, which the caller knows.

use std::collections::BTreeMap;

use headwater_wire::ConfigName;

use super::before::Documents;
use crate::context::OldConfig;
use crate::effective::Effective;

/// What instances may hold of all configs.
#[derive(Debug, Default)]
pub(crate) struct OldValues<'a>(BTreeMap<ConfigName, Vec<Old<'a>>>);

/// The documents of one config that some instances may hold.
#[derive(Debug)]
pub(crate) struct Old<'a> {
    pub(crate) documents: Documents,
    /// What is known of them if they are not the exposed ones.
    pub(crate) besides: Option<&'a OldConfig>,
}

impl<'a> OldValues<'a> {
    /// Those of each config, by its exposed name.
    pub(crate) fn new(all: impl Iterator<Item = (ConfigName, Vec<Old<'a>>)>) -> Self {
        Self(all.filter(|(_, old)| !old.is_empty()).collect())
    }

    /// Those of one config; none if it is new.
    pub(crate) fn of(&self, name: &ConfigName) -> &[Old<'a>] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The configs that somebody may hold.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ConfigName> {
        self.0.keys()
    }

    /// All documents.
    pub(crate) fn effectives(&self) -> impl Iterator<Item = &Effective> {
        self.0.values().flatten().flat_map(|old| old.documents.all())
    }
}
