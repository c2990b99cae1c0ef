//! What decides the content of a config, without its content.
//!
//! Invariant: if two trees give a config equal inputs, they give it equal documents. So the history of a config is
//! found by comparing file ids, without parsing old files. Deliberately not part of it: schema, rollout policy and
//! owners, which decide whether a document is admitted and how it travels, and not what it says.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use headwater_wire::{Digest, RepoPath};
use serde::{Serialize, Serializer};

/// Digest of what decides a config's content. Equality, hash and serialized form are the digest's alone.
#[derive(Debug, Clone)]
pub struct Inputs {
    digest: Digest,
    paths: Arc<[RepoPath]>,
}

impl Inputs {
    /// From the canonical text of all that counts, and the paths that could change it.
    pub(crate) fn new(canonical: &str, mut paths: Vec<RepoPath>) -> Self {
        paths.sort();
        paths.dedup();
        Self {
            digest: headwater_render::digest(canonical),
            paths: paths.into(),
        }
    }

    /// The digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Every path whose change could change these inputs, sorted: the manifest, all layers, and the alternatives and
    /// optional layers that are absent now. Where a layer has a wildcard, the directory above it stands for all that
    /// is below, so compare entries of Git trees and not only files.
    pub fn paths(&self) -> &[RepoPath] {
        &self.paths
    }
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Inputs {}

impl Hash for Inputs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.digest.serialize(serializer)
    }
}
