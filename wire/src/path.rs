//! A path inside a repository's tree.
//!
//! Invariant: relative, `/`-separated, no `.`/`..`/`.git` component, no control character, no backslash, at most
//! 1,024 bytes. It names a tree entry and never a file of this machine.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest path, in bytes. Git allows more, file systems that hold a work tree rarely do.
pub(crate) const PATH_BYTES_MAX: usize = 1_024;

/// Why a text is not a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing between two slashes, or nothing at all.
    #[error("path has an empty component")]
    Empty,
    /// `.`, `..` or any spelling of `.git`.
    #[error("path has a component that Git reserves")]
    Reserved,
    /// A control character or a backslash.
    #[error("path has a control character or a backslash")]
    Character,
    /// Longer than the limit.
    #[error("path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
}

/// A relative path in a commit's tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Arc<str>);

impl RepoPath {
    /// The text, `/`-separated.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// What stands behind the last dot of the file name, unless the dot is the name's first character.
    pub fn extension(&self) -> Option<&str> {
        let (stem, extension) = self.file_name().rsplit_once('.')?;
        (!stem.is_empty()).then_some(extension)
    }

    /// The path without its extension and the dot before it.
    pub fn without_extension(&self) -> &str {
        let cut = self.extension().map_or(0, |extension| extension.len() + 1);
        self.0.get(..self.0.len() - cut).unwrap_or(&self.0)
    }

    /// The directory that holds this entry, or `None` at the root.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(directory, _)| directory)
    }
}

impl FromStr for RepoPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(PathError::Character);
        }
        for component in text.split('/') {
            match component {
                "" => return Err(PathError::Empty),
                "." | ".." => return Err(PathError::Reserved),
                other if other.eq_ignore_ascii_case(".git") => return Err(PathError::Reserved),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for RepoPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for RepoPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({})", self.0)
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_the_tree_is_refused() {
        let cases = [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Empty),
            ("a//b", PathError::Empty),
            ("a/", PathError::Empty),
            ("../a", PathError::Reserved),
            ("a/./b", PathError::Reserved),
            ("a/.GIT/config", PathError::Reserved),
            ("a\\b", PathError::Character),
            ("a\0b", PathError::Character),
            ("a\u{202e}b\u{85}", PathError::Character),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<RepoPath>(), Err(expected), "{text:?}");
        }
        assert_eq!("a".repeat(1_025).parse::<RepoPath>(), Err(PathError::TooLong));
    }

    #[test]
    fn an_extension_needs_a_stem() {
        let path = |text: &str| text.parse::<RepoPath>().unwrap();
        assert_eq!(path("a/b.c.toml").extension(), Some("toml"));
        assert_eq!(path("a/b.c.toml").without_extension(), "a/b.c");
        assert_eq!(path("a/.json").extension(), None);
        assert_eq!(path("a/.json").without_extension(), "a/.json");
        assert_eq!(path("a.d/b").extension(), None);
        assert_eq!(path("a.d/b").parent(), Some("a.d"));
    }
}
