//! What a verdict depends on besides the tree.
//!
//! Invariant: everything here is a value that the caller worked out before, so that a verdict can be worked out again,
//! in another process too. What is deliberately absent: how a commit comes to be exposed, restored or allowed.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName, Digest};
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::rollout::RolloutKind;
use crate::trailer::Allowance;
use crate::tree::ConfigTree;
use crate::verdict::Config;

/// What a verdict depends on besides the tree. [`Context::alone`] is the smallest one; the rest is added to it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The server's ceilings; a manifest may lower some.
    pub limits: &'a Limits,
    /// Configs that are good in the exposed commit. Without a manifest a file that cannot be read is tolerated, unless
    /// its config is one of these.
    pub exposed: &'a BTreeSet<ConfigName>,
    /// The tree that old values are taken from: what is exposed, the merge base, or what a person named. Its files are
    /// not judged, but its guards hold for this tree too. Without one there are no old values, and whatever measures a
    /// change says nothing. Its content ids must be of the same kind as those of the tree.
    pub before: Option<&'a ConfigTree>,
    /// What instances hold besides what `before` has, while rollouts move or after something was gone back from. Nothing
    /// but old values comes from there.
    pub besides: &'a [OldTree],
    /// Configs of which nobody holds what `before` has, so that no change is measured from there.
    pub left: &'a BTreeSet<ConfigName>,
    /// What this tree goes back to, if it does. A config that is as it was there may change by any step: it was
    /// admitted once.
    pub restored: Option<&'a Restored>,
    /// The commit, as far as there is one yet.
    pub commit: &'a CommitFacts,
    /// What the repository cannot lower.
    pub floor: &'a Floor,
}

impl<'a> Context<'a> {
    /// A tree by itself: nothing was exposed before, and the server insists on nothing but its limits.
    pub fn alone(limits: &'a Limits) -> Self {
        const NO_TREE: &[OldTree] = &[];
        const NO_CONFIG: &BTreeSet<ConfigName> = &BTreeSet::new();
        const NO_COMMIT: &CommitFacts = &CommitFacts {
            id: None,
            author: String::new(),
            message: String::new(),
            allowed: Vec::new(),
        };
        const NO_FLOOR: &Floor = &Floor {
            webhooks: None,
            rollout: None,
            bake_min_ms: 0,
            first_percent_max: None,
            signals: None,
            manifest_owners: Vec::new(),
        };
        Self {
            limits,
            exposed: NO_CONFIG,
            before: None,
            besides: NO_TREE,
            left: NO_CONFIG,
            restored: None,
            commit: NO_COMMIT,
            floor: NO_FLOOR,
        }
    }
}

/// An admitted tree of which instances hold some configs, although it is not the exposed one.
#[derive(Debug, Clone, Default)]
pub struct OldTree {
    /// The tree, under its own manifest. Files that those configs are not made of may be missing.
    pub tree: ConfigTree,
    /// The configs.
    pub configs: BTreeMap<ConfigName, OldConfig>,
}

/// A config that instances hold out of another tree than the exposed one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldConfig {
    /// Why they do, and what to do where a step from there is refused.
    pub hint: String,
    /// What people allowed on the way from there to what is exposed.
    pub allowed: Vec<Allowance>,
}

/// The commit that is judged, in its author's words: nothing here is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitFacts {
    /// Its id; a work tree has none yet.
    pub id: Option<CommitId>,
    /// Mail address of its author.
    pub author: String,
    /// Its message.
    pub message: String,
    /// What people allowed, in its message or in those of the commits that come with it; see [`crate::allowances`].
    pub allowed: Vec<Allowance>,
}

/// An admitted commit whose content a tree brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// What decided the content of each of its configs: digests of [`crate::Inputs`].
    pub configs: BTreeMap<ConfigName, Digest>,
    /// How much of it is brought back.
    pub extent: Extent,
}

impl Restored {
    /// Whether a config is as it was there.
    pub(crate) fn brings_back(&self, config: &Config) -> bool {
        let digest = self.configs.get(config.name());
        digest.is_some_and(|digest| config.inputs().digest() == digest)
    }
}

/// How much of a commit is brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Some of its content.
    #[default]
    Part,
    /// Its whole tree, manifest and schemas too.
    WholeTree,
}

/// What the server's settings insist on, whatever a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Names of the webhooks that rules may ask; `None` where nobody knows, as outside of a server.
    pub webhooks: Option<BTreeSet<String>>,
    /// The most careless rollout that a config may have.
    pub rollout: Option<RolloutKind>,
    /// Shortest quiet time of a stage, in ms.
    #[serde(default)]
    pub bake_min_ms: u64,
    /// Largest share of the fleet that a first stage may take, of a hundred.
    #[serde(default)]
    pub first_percent_max: Option<u8>,
    /// What signals of rollouts may ask, by name, with its kind ([`SignalSource::kind`]); `None` where nobody knows.
    ///
    /// [`SignalSource::kind`]: crate::rollout::SignalSource::kind
    #[serde(default)]
    pub signals: Option<BTreeMap<String, String>>,
    /// Mail addresses of those who may change the manifest; empty is everybody.
    pub manifest_owners: Vec<String>,
}
