//! What decides the content of a config, without its content.
//!
//! Invariant: if two trees give a config equal inputs, they give it equal documents. So the history of a config is
//! found by comparing file ids, without parsing old files. Deliberately not part of it: schema, rollout policy and
//! owners, which decide whether a document is admitted and how it travels, and not what it says.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use headwater_wire::{Digest, RepoPath};
use serde::{Serialize, Serializer};

use crate::plan::names::Names;

/// How a path of a tree differs from the same path of an older tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathChange {
    /// A file in both, with other content.
    Edited,
    /// Nothing was there.
    Added,
    /// Nothing is there any more.
    Removed,
    /// Another kind of entry: a file became a link, for example. A file that became a directory was removed.
    Retyped,
}

/// Digest of what decides a config's content. Equality, hash and serialized form are the digest's alone.
#[derive(Debug, Clone)]
pub struct Inputs {
    digest: Digest,
    files: Arc<[RepoPath]>,
    paths: Arc<[RepoPath]>,
    names: Arc<Names>,
}

impl Inputs {
    /// From the canonical text of all that counts, the files in it, and what else could change it: paths, and names
    /// anywhere in the tree.
    pub(crate) fn new(
        canonical: &str,
        files: Vec<RepoPath>,
        paths: Vec<RepoPath>,
        names: Arc<Names>,
    ) -> Self {
        let sorted = |mut paths: Vec<RepoPath>| {
            paths.sort();
            paths.dedup();
            paths.into()
        };
        Self {
            digest: headwater_render::digest(canonical),
            files: sorted(files),
            paths: sorted(paths),
            names,
        }
    }

    /// The same files and names with other content.
    pub(crate) fn with_digest_of(&self, canonical: &str) -> Self {
        Self {
            digest: headwater_render::digest(canonical),
            ..self.clone()
        }
    }

    /// The digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The files whose content counts, sorted: the layers that are there. A change of one changes the digest.
    pub fn files(&self) -> &[RepoPath] {
        &self.files
    }

    /// Every path that could hold a part of the content, sorted: the manifest, all layers, and the alternatives and
    /// optional layers that are absent now. Where a layer has a wildcard, the directory above it stands for all that
    /// is below. Names elsewhere in the tree can still decide whether the config is declared at all: see
    /// [`Self::may_hang_on`].
    pub fn paths(&self) -> &[RepoPath] {
        &self.paths
    }

    /// Whether an older tree with the same manifest may declare other configs or inputs because of this change, even
    /// of a config that does not name the path. The answer is the same for all configs of a tree.
    pub fn may_hang_on(&self, path: &RepoPath, change: PathChange) -> bool {
        self.names.matter(path, change)
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
