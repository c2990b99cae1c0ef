//! From a commit in the mirror to the tree that the validators read.

use headwater_validators::{ConfigTree, ContentId, Entry, File, Limits, wants};
use headwater_wire::{CommitId, RepoPath};
use sha2::{Digest, Sha256};

use crate::git::error::GitError;
use crate::git::limits::ReadLimits;
use crate::git::read::{Found, Reader};

/// File that says what a repository's configs are.
pub(crate) const MANIFEST: &str = "headwater.toml";

/// A raw path of a tree and what stands there.
pub(crate) type RawEntry = (Vec<u8>, Entry);

/// Which files are read in full; of the others, name and id are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Everything a verdict depends on: all files of a config format.
    Configs,
    /// The manifest alone: enough to say which configs there are, and from which inputs.
    Manifest,
}

impl Contents {
    fn wants(self, path: &RepoPath) -> bool {
        match self {
            Self::Configs => wants(path),
            Self::Manifest => path.as_str() == MANIFEST,
        }
    }
}

/// Reads the tree of `commit`.
pub(crate) fn read(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
    contents: Contents,
) -> Result<ConfigTree, GitError> {
    Ok(assemble(&read_raw(reader, commit, limits, contents)?))
}

/// Reads the entries of `commit`, hostile names included.
pub(crate) fn read_raw(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
    contents: Contents,
) -> Result<Vec<RawEntry>, GitError> {
    let read_limits = ReadLimits {
        file_bytes_max: limits.file_bytes,
        ..ReadLimits::default()
    };
    let mut entries = Vec::new();
    let mut push = |path: &[u8], found| entries.push((path.to_vec(), entry(found)));
    reader.walk(commit, &read_limits, &|path| contents.wants(path), &mut push)?;
    Ok(entries)
}

/// The tree of raw entries. Contents are shared, not copied.
pub(crate) fn assemble(entries: &[RawEntry]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, entry) in entries {
        tree.insert(path, entry.clone());
    }
    tree
}

/// What Git found at a path, as the validators see it.
pub(crate) fn entry(found: Found) -> Entry {
    match found {
        Found::File { id, size, bytes } => Entry::File(File {
            id: ContentId::new(id.as_str()),
            size,
            bytes,
        }),
        Found::Symlink { .. } => Entry::Symlink,
        Found::Submodule { .. } => Entry::Submodule,
    }
}

/// Names content that Git has not named.
pub(crate) fn content_id(bytes: &[u8]) -> ContentId {
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a string cannot fail.
        write!(hex, "{byte:02x}").ok();
    }
    ContentId::new(hex)
}
