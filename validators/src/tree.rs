//! What one commit holds, as the caller read it from Git or from a directory.
//!
//! Invariant: every path in a [`ConfigTree`] is a [`RepoPath`], so nothing behind this door can name a place outside
//! the tree. A name that is not one becomes a finding and never an entry. What is deliberately absent: reading.
//! Symbolic links and submodules are remembered as such and never followed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use headwater_wire::{Finding, PathError, RepoPath, Severity, Span};
use serde::Serialize;

use crate::printable::{is_invisible, is_unprintable};
use headwater_render::Format;

/// Characters of a hostile name that are shown; the rest is cut, since a name may be as long as an attacker likes.
const SHOWN_NAME_CHARS: usize = 120;

/// First bytes of a file whose content Git LFS keeps elsewhere.
const LFS_MAGIC: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Identity of a file's content: a Git blob id or any other content hash. Compared for equality only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ContentId(Arc<str>);

impl ContentId {
    /// Wraps the text of a content hash.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text it was made from.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({})", self.0)
    }
}

/// A file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Identity of its content.
    pub id: ContentId,
    /// Size in bytes, whether or not the bytes were read.
    pub size: u64,
    /// Its bytes; `None` if it is no config file (see [`wants`]) or larger than the caller was willing to read.
    pub bytes: Option<Arc<[u8]>>,
}

impl File {
    /// Whether the file only points to content that Git LFS keeps elsewhere.
    pub(crate) fn is_lfs_pointer(&self) -> bool {
        self.bytes
            .as_deref()
            .is_some_and(|bytes| bytes.starts_with(LFS_MAGIC))
    }
}

/// What a path of the tree names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(File),
    /// A symbolic link; never followed.
    Symlink,
    /// A commit of another repository; never fetched.
    Submodule,
}

impl Entry {
    /// Whether it holds the same, by the ids of contents.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one.id == other.id,
            (Self::Symlink, Self::Symlink) | (Self::Submodule, Self::Submodule) => true,
            (Self::File(_) | Self::Symlink | Self::Submodule, _) => false,
        }
    }
}

/// The entries of one commit, sorted by path, and what is wrong with their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigTree {
    /// Shared by those who keep a tree beside the next one.
    entries: Arc<BTreeMap<RepoPath, Entry>>,
    hostile: Vec<Finding>,
    odd: Vec<Finding>,
}

impl ConfigTree {
    /// A tree without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry under its raw name. A name that could leave the tree, or that people could not see for what it
    /// is, becomes an error finding instead.
    pub fn insert(&mut self, path: &[u8], entry: Entry) {
        match checked_path(path) {
            Ok(path) if self.entries.contains_key(&path) => {
                self.hostile.push(name_finding(
                    path.as_str().as_bytes(),
                    "two entries of the tree have one name",
                ));
            }
            Ok(path) => {
                Arc::make_mut(&mut self.entries).insert(path, entry);
            }
            Err(Refused::Hostile(reason)) => self.hostile.push(name_finding(path, &reason)),
            Err(Refused::Odd(reason)) => self.odd.push(name_finding(path, &reason)),
        }
    }

    /// The entry at `path`.
    pub fn get(&self, path: &RepoPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Files that have other content than in a tree of the same names and kinds of entries; `None` if it has others.
    pub(crate) fn edited_since(&self, earlier: &Self) -> Option<Vec<&RepoPath>> {
        if Arc::ptr_eq(&self.entries, &earlier.entries) {
            return Some(Vec::new());
        }
        if self.entries.len() != earlier.entries.len() {
            return None;
        }
        let mut edited = Vec::new();
        for ((path, entry), (old_path, old)) in self.entries.iter().zip(earlier.entries.iter()) {
            let is_same = path == old_path
                && match (entry, old) {
                    (Entry::File(file), Entry::File(old)) => {
                        if file.id != old.id {
                            edited.push(path);
                        }
                        true
                    }
                    (Entry::Symlink, Entry::Symlink) | (Entry::Submodule, Entry::Submodule) => true,
                    _ => false,
                };
            if !is_same {
                return None;
            }
        }
        Some(edited)
    }

    /// The entry under a path spelled as text.
    pub(crate) fn entry(&self, path: &str) -> Option<(&RepoPath, &Entry)> {
        self.entries.get_key_value(path)
    }

    /// Entries whose path begins with `prefix`, by path.
    pub(crate) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a RepoPath, &'a Entry)> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        self.entries
            .range::<str, _>(from)
            .take_while(move |(path, _)| path.as_str().starts_with(prefix))
    }

    /// Findings for names that no tree should have.
    pub(crate) fn hostile(&self) -> &[Finding] {
        &self.hostile
    }

    /// Findings for names that Git allows and no config can have.
    pub(crate) fn odd(&self) -> &[Finding] {
        &self.odd
    }
}

/// Whether a caller should read the bytes of the file at `path`: it is written in a config format.
pub fn wants(path: &RepoPath) -> bool {
    Format::of(path).is_some()
}

/// Git stores names as bytes; only UTF-8 under the rules of [`RepoPath`] is a path here.
fn checked_path(raw: &[u8]) -> Result<RepoPath, Refused> {
    let text = std::str::from_utf8(raw).map_err(|_| Refused::Odd("name is not UTF-8".to_owned()))?;
    if text.chars().any(is_invisible) {
        return Err(Refused::Odd(
            "name has an invisible or direction-changing character".to_owned(),
        ));
    }
    text.parse().map_err(|error: PathError| match error {
        PathError::Empty | PathError::Reserved => Refused::Hostile(error.to_string()),
        PathError::Character | PathError::TooLong => Refused::Odd(error.to_string()),
    })
}

/// Why a name is no path here.
enum Refused {
    /// It could lead out of the tree: Git itself refuses to check it out.
    Hostile(String),
    /// Real repositories have such names; a config cannot.
    Odd(String),
}

fn name_finding(raw: &[u8], reason: &str) -> Finding {
    let shown = escaped(raw);
    Finding::new(
        "tree/name",
        Severity::Error,
        (&shown, Span::START),
        format!("{reason}: `{shown}`"),
    )
    .hint("rename or remove the entry; such a name is never followed")
}

/// One printable line for any bytes.
fn escaped(raw: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unprintable(c) {
                shown.extend(c.escape_unicode());
            } else {
                shown.push(c);
            }
        }
        for byte in chunk.invalid() {
            shown.extend(std::ascii::escape_default(*byte).map(char::from));
        }
        if shown.chars().count() > SHOWN_NAME_CHARS {
            return shown.chars().take(SHOWN_NAME_CHARS).chain(['…']).collect();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &[&[u8]]) -> (usize, Vec<String>) {
        let mut tree = ConfigTree::new();
        for name in raw {
            tree.insert(name, Entry::Symlink);
        }
        (
            tree.len(),
            tree.hostile()
                .iter()
                .chain(tree.odd())
                .map(|finding| finding.path.clone())
                .collect(),
        )
    }

    #[test]
    fn a_hostile_name_is_shown_escaped_and_never_becomes_an_entry() {
        let (entries, shown) = names(&[
            b"ok.toml",
            b"../up.toml",
            b".git/config",
            b"a\nb.toml",
            b"caf\xe9.toml",
            "a\u{202e}lmot.b".as_bytes(),
            b"ok.toml",
        ]);
        assert_eq!(entries, 1);
        let expected = [
            "../up.toml",
            ".git/config",
            "ok.toml",
            "a\\u{a}b.toml",
            "caf\\xe9.toml",
            "a\\u{202e}lmot.b",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_endless_name_is_cut() {
        let (entries, shown) = names(&[&[b'a'; 5_000]]);
        assert_eq!(entries, 0);
        assert_eq!(shown[0].chars().count(), SHOWN_NAME_CHARS + 1);
    }

    #[test]
    fn a_prefix_names_exactly_the_entries_below_it() {
        let mut tree = ConfigTree::new();
        for name in ["a/1", "a/2", "a0", "b/1"] {
            tree.insert(name.as_bytes(), Entry::Symlink);
        }
        let below: Vec<_> = tree.below("a/").map(|(path, _)| path.as_str()).collect();
        assert_eq!(below, ["a/1", "a/2"]);
    }
}
