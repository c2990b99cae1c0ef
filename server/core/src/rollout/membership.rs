//! Which instances fall into which stage.
//!
//! Invariant: who is in a stage stays in it: a stage is a set of labels and a threshold of rank, fixed when it opens.
//! An instance that comes later is ranked like the others, and is in exactly if its rank lies under the threshold.
//! Ranks differ from rollout to rollout, so that it is not always the same host that goes first.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};
use headwater_wire::InstanceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::policy::Share;

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

/// Below which rank instances are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Threshold(u64);

impl Threshold {
    /// Everybody is in.
    pub const ALL: Self = Self(u64::MAX);
    /// Nobody is in.
    pub const NOBODY: Self = Self(0);

    /// The threshold that takes `share` of those with these ranks, which are brought into order. Nobody known leaves
    /// it to those who come: of an unknown number a share is the same share of all ranks.
    pub fn of(share: Share, ranks: &mut [u64]) -> Self {
        let wanted = match share {
            Share::Everyone => return Self::ALL,
            Share::Percent(percent) => (ranks.len() * usize::from(percent)).div_ceil(100).max(1),
            Share::Count(0) => return Self::NOBODY,
            Share::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        };
        ranks.sort_unstable();
        match (ranks.get(wanted - 1), share) {
            (Some(rank), _) => Self(rank.saturating_add(1)),
            (None, Share::Percent(percent)) => Self(u64::MAX / 100 * u64::from(percent)),
            (None, Share::Count(_) | Share::Everyone) => Self::ALL,
        }
    }

    /// Whether an instance of this rank is in.
    pub fn takes(self, rank: u64) -> bool {
        rank < self.0
    }
}

/// Labels that are asked for, each a glob, ready to be compared.
#[derive(Debug, Clone, Default)]
pub struct Selector(Vec<(String, Test)>);

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
    pub fn of(globs: &BTreeMap<String, String>) -> Self {
        let tests = globs.iter();
        Self(
            tests
                .map(|(label, glob)| (label.clone(), Test::of(glob)))
                .collect(),
        )
    }

    /// A label whose glob is none, if there is one.
    pub fn broken(&self) -> Option<&str> {
        let mut tests = self.0.iter();
        let broken = tests.find(|(_, test)| matches!(test, Test::Never))?;
        Some(&broken.0)
    }

    /// Whether these labels are what is asked for.
    pub fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut tests = self.0.iter();
        tests.all(|(label, test)| labels.get(label).is_some_and(|value| test.takes(value)))
    }
}
