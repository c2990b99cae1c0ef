//! From a commit in the mirror to the tree that the validators read.

use std::collections::{BTreeMap, BTreeSet};

use headwater_validators::{ConfigTree, ContentId, Entry, File, Limits, wants};
use headwater_wire::{CommitId, RepoPath};
use sha2::{Digest, Sha256};

use crate::earlier::Earlier;
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
    let mut entries = Vec::new();
    let mut push = |path: &[u8], found| entries.push((path.to_vec(), entry_of(found)));
    reader.walk(
        commit,
        &read_limits(limits),
        &|path| contents.wants(path),
        &mut push,
    )?;
    Ok(entries)
}

/// Reads the entries of `commit`; a file that an earlier tree has too is taken from there.
pub(crate) fn read_after(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
    earlier: &Earlier,
) -> Result<Vec<RawEntry>, GitError> {
    let mut entries = Vec::new();
    let mut push = |path: &[u8], found| entries.push((path.to_vec(), entry_of(found)));
    let known = |path: &[u8], id: &gix::oid| {
        let file = earlier.file(path)?;
        // Other limits may have been in force, under which more was read, or less.
        let is_as_read = file.size <= limits.file_bytes && (file.bytes.is_some() || !is_wanted(path));
        let is_same =
            is_as_read && gix::ObjectId::from_hex(file.id.as_str().as_bytes()).is_ok_and(|known| known == id);
        is_same.then(|| (file.size, file.bytes.clone()))
    };
    reader.walk_after(
        commit,
        &read_limits(limits),
        (&|path| Contents::Configs.wants(path), &known),
        &mut push,
    )?;
    Ok(entries)
}

fn is_wanted(path: &[u8]) -> bool {
    let text = std::str::from_utf8(path).ok();
    text.and_then(|text| text.parse().ok())
        .is_some_and(|path| Contents::Configs.wants(&path))
}

/// Reads the entries of an older commit, without those bytes that `newer` has already. Nothing if neither has a
/// manifest: then no guard could ask for old values.
pub(crate) fn read_before(
    reader: &Reader,
    commit: &CommitId,
    limits: &Limits,
    newer: &[RawEntry],
) -> Result<Option<Vec<RawEntry>>, GitError> {
    let newer: BTreeMap<&[u8], &Entry> = newer
        .iter()
        .map(|(path, entry)| (path.as_slice(), entry))
        .collect();
    let mut entries = read_raw(reader, commit, limits, Contents::Manifest)?;
    let is_manifest = |(path, _): &RawEntry| path == MANIFEST.as_bytes();
    if !newer.contains_key(MANIFEST.as_bytes()) && !entries.iter().any(is_manifest) {
        return Ok(None);
    }
    let mut differing = BTreeSet::new();
    for (path, entry) in &mut entries {
        let same = newer.get(path.as_slice()).filter(|newer| is_same(newer, entry));
        match same {
            Some(newer) => entry.clone_from(newer),
            None => {
                differing.insert(path.clone());
            }
        }
    }
    let read_limits = read_limits(limits);
    let wanted = |path: &RepoPath| wants(path) && differing.contains(path.as_str().as_bytes());
    let mut read = BTreeMap::new();
    reader.walk(commit, &read_limits, &wanted, &mut |path, found| {
        if differing.contains(path) {
            read.insert(path.to_vec(), entry_of(found));
        }
    })?;
    for (path, entry) in &mut entries {
        if let Some(found) = read.remove(path) {
            *entry = found;
        }
    }
    Ok(Some(entries))
}

/// Whether two files have one content. The bytes of one may not have been read.
fn is_same(one: &Entry, other: &Entry) -> bool {
    match (one, other) {
        (Entry::File(one), Entry::File(other)) => one.id == other.id,
        _ => false,
    }
}

/// The same entries under ids that any reader can make from the bytes, to be compared with files that Git has not
/// named.
pub(crate) fn by_content(entries: Vec<RawEntry>) -> Vec<RawEntry> {
    let renamed = |(path, entry): RawEntry| match entry {
        Entry::File(file) => {
            let id = file_id(file.size, file.bytes.as_deref());
            (path, Entry::File(File { id, ..file }))
        }
        Entry::Symlink | Entry::Submodule => (path, entry),
    };
    entries.into_iter().map(renamed).collect()
}

/// Names a file that Git has not named. Content that is not read is told apart by its size alone: nothing but the
/// question whether a file was touched looks at it.
pub(crate) fn file_id(size: u64, bytes: Option<&[u8]>) -> ContentId {
    bytes.map_or_else(|| content_id(&size.to_be_bytes()), content_id)
}

/// The tree of raw entries. Contents are shared, not copied.
pub(crate) fn assemble(entries: &[RawEntry]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, entry) in entries {
        tree.insert(path, entry.clone());
    }
    tree
}

/// What reading a tree may cost.
pub(crate) fn read_limits(limits: &Limits) -> ReadLimits {
    ReadLimits {
        file_bytes_max: limits.file_bytes,
        ..ReadLimits::default()
    }
}

/// What Git found at a path, as the validators see it.
pub(crate) fn entry_of(found: Found) -> Entry {
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
