//! Which instances fall into which stage.
//!
//! Invariant: who is in a stage stays in it: a stage is a set of labels and of ranks, fixed when it opens. Of those who
//! come later, a part in a hundred takes that part, by their ranks, so that it stays one; a number takes nobody, so
//! that it is never exceeded. Ranks differ from rollout to rollout, so that it is not always the same host that goes
//! first.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use headwater_wire::InstanceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Position of an instance in the order of a rollout, spread evenly.
pub fn rank(salt: &str, instance: &InstanceId) -> u64 {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update([0]);
    hash.update(instance.as_str().as_bytes());
    let first = hash
        .finalize()
        .iter()
        .take(8)
        .fold(0, |rank, byte| (rank << 8) | u64::from(*byte));
    // The greatest number is left free, so that a threshold can lie above every rank.
    first.min(u64::MAX - 1)
}

/// Which ranks are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// Those below this one, whoever comes.
    Below(u64),
    /// These alone, in order.
    These(Vec<u64>),
}

impl Threshold {
    /// Everybody is in.
    pub const ALL: Self = Self::Below(u64::MAX);
    /// Nobody is in.
    pub const NOBODY: Self = Self::Below(0);

    /// Takes the first `wanted` of those with these ranks, and nobody else.
    pub fn these(wanted: usize, mut ranks: Vec<u64>) -> Self {
        ranks.sort_unstable();
        ranks.truncate(wanted);
        Self::These(ranks)
    }

    /// Takes the first `wanted` of those with these ranks, and as large a part of those who come later.
    pub fn below(wanted: usize, mut ranks: Vec<u64>) -> Self {
        let Some(last) = wanted.checked_sub(1) else {
            return Self::NOBODY;
        };
        ranks.sort_unstable();
        ranks
            .get(last)
            .map_or(Self::ALL, |rank| Self::Below(rank.saturating_add(1)))
    }

    /// Takes so many of a hundred of an unknown number.
    pub fn percent(percent: u8) -> Self {
        Self::Below(u64::MAX / 100 * u64::from(percent))
    }

    /// Whether an instance of this rank is in.
    pub fn takes(&self, rank: u64) -> bool {
        match self {
            Self::Below(threshold) => rank < *threshold,
            Self::These(ranks) => ranks.binary_search(&rank).is_ok(),
        }
    }
}

/// Labels that are asked for, each a glob, ready to be compared: whatever is asked about each instance of a fleet must not
/// read globs for each of them. Clones share what was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Selector {
    globs: Arc<BTreeMap<String, String>>,
    tests: Arc<[(String, Test)]>,
}

#[derive(Debug, Clone)]
enum Test {
    /// Most are no patterns, and cost nothing.
    Is(String),
    Like(GlobMatcher),
    /// A glob that is none takes nobody: a stage must not grow by a mistake.
    Never,
}

impl Test {
    fn of(glob: &str) -> Self {
        if !glob.contains(['*', '?', '[', '{', '\\']) {
            return Self::Is(glob.to_owned());
        }
        Glob::new(glob).map_or(Self::Never, |glob| Self::Like(glob.compile_matcher()))
    }

    fn takes(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == value,
            Self::Like(glob) => glob.is_match(value),
            Self::Never => false,
        }
    }
}

impl Selector {
    /// Of globs by label; one that is no glob takes nobody.
    pub fn of(globs: BTreeMap<String, String>) -> Self {
        let tests = globs.iter();
        let tests = tests.map(|(label, glob)| (label.clone(), Test::of(glob)));
        Self {
            tests: tests.collect(),
            globs: Arc::new(globs),
        }
    }

    /// Globs by label.
    pub fn globs(&self) -> &BTreeMap<String, String> {
        &self.globs
    }

    /// Whether it takes everybody.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// A label whose glob is none, if there is one.
    pub fn broken(&self) -> Option<&str> {
        let mut tests = self.tests.iter();
        let broken = tests.find(|(_, test)| matches!(test, Test::Never))?;
        Some(&broken.0)
    }

    /// Whether these labels are what is asked for.
    pub fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut tests = self.tests.iter();
        tests.all(|(label, test)| labels.get(label).is_some_and(|value| test.takes(value)))
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl Eq for Selector {}

impl From<BTreeMap<String, String>> for Selector {
    fn from(globs: BTreeMap<String, String>) -> Self {
        Self::of(globs)
    }
}

impl<const N: usize> From<[(String, String); N]> for Selector {
    fn from(globs: [(String, String); N]) -> Self {
        Self::of(globs.into())
    }
}

impl From<Selector> for BTreeMap<String, String> {
    fn from(selector: Selector) -> Self {
        Arc::unwrap_or_clone(selector.globs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept_as_globs_and_read_once() {
        let selector = Selector::from([("region".to_owned(), "eu-*".to_owned())]);
        let again: Selector = serde_json::from_str(&serde_json::to_string(&selector).unwrap()).unwrap();
        assert_eq!(again, selector);
        let labels = |region: &str| BTreeMap::from([("region".to_owned(), region.to_owned())]);
        assert!(again.takes(&labels("eu-west")) && !again.takes(&labels("us-east")));
        assert!(Arc::ptr_eq(&again.tests, &again.clone().tests));
    }
}
