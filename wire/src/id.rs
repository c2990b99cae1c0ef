//! Identifiers, each parsed once at the door and never a bare `String` afterwards.
//!
//! Invariant: a value of these types is already valid, so it may be put into a URL, a ref or a log line as it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::RepoPath;

/// Why a text is not the identifier it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A commit id that is short, upper-case or not hexadecimal.
    #[error("not a full commit id: `{0}`")]
    CommitId(String),
    /// A repository name that could not stand in a path or a file name.
    #[error("not a repository name: `{0}`")]
    RepoName(String),
    /// A hook name that could not stand in an address.
    #[error("not a hook name: `{0}`")]
    HookName(String),
    /// An instance id with characters outside `[A-Za-z0-9._:-]`, longer than 128 bytes, or a step in a path.
    #[error("not an instance id: `{0}`")]
    InstanceId(String),
    /// A config name that is no relative path.
    #[error("not a config name: `{0}`")]
    ConfigName(String),
    /// A branch name that Git itself would refuse.
    #[error("not a branch name: `{0}`")]
    BranchName(String),
    /// A digest that is not `sha256:` and 64 lowercase hex digits.
    #[error("not a digest: `{0}`")]
    Digest(String),
}

/// Gives a validated text type `FromStr`, `Display`, `AsRef<str>` and serde through its text.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $error:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError::$error(clip(text))) }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A full commit id: 40 (SHA-1) or 64 (SHA-256) lowercase hex digits. The only identity a version has.
    CommitId, CommitId, |text| matches!(text.len(), 40 | 64) && is_lower_hex(text)
);

impl CommitId {
    /// The first ten digits, for people; never parsed back.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

text_id!(
    /// Name of a repository in this service: `[a-z0-9]` first, then `[a-z0-9._-]`, at most 63 bytes, since it is
    /// also a directory name and a metric label.
    RepoName, RepoName, is_short_name
);

text_id!(
    /// Name of a webhook, the last part of its address `/hooks/{hook}`; under the rules of [`RepoName`].
    HookName, HookName, is_short_name
);

text_id!(
    /// Name of one running client: `[A-Za-z0-9._:-]`, 1 to 128 bytes. Not `.` or `..`, which an address cannot end with:
    /// whoever follows it takes them for steps.
    InstanceId, InstanceId, |text| {
        (1..=128).contains(&text.len())
            && !matches!(text, "." | "..")
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-'))
    }
);

text_id!(
    /// Name of a config: a relative path such as `payments/prod`, under the rules of [`RepoPath`].
    ConfigName, ConfigName, |text| text.parse::<RepoPath>().is_ok()
);

text_id!(
    /// Short name of a branch (`main`, `release/1.2`), under the rules of `git check-ref-format --branch`.
    BranchName, BranchName, is_branch_name
);

text_id!(
    /// `sha256:` and 64 lowercase hex digits: the digest of a document's canonical rendering.
    Digest, Digest, |text| {
        text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_lower_hex(hex))
    }
);

impl Digest {
    /// The hex digits without the algorithm's name.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }
}

/// Fence number of what an instance should hold. It never falls, so that a late answer cannot undo a newer one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_short_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(rest)
        && !text.contains("..")
}

/// The rules of `git check-ref-format` that a short branch name can break.
fn is_branch_name(text: &str) -> bool {
    let bad_char =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\' | '\u{7f}');
    let bad_part = |part: &str| {
        let lock = part.len() >= 5 && part.as_bytes().ends_with(b".lock");
        part.is_empty() || part.starts_with('.') || lock
    };
    (1..=255).contains(&text.len())
        && !text.starts_with('-')
        && text != "@"
        && text != "HEAD"
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && !text.chars().any(bad_char)
        && !text.split('/').any(bad_part)
}

/// At most 80 characters of a rejected text, without control characters, so that an error stays one line.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_id_is_full_and_lowercase() {
        assert!("a".repeat(40).parse::<CommitId>().is_ok());
        assert!("a".repeat(64).parse::<CommitId>().is_ok());
        for bad in [
            "",
            "abc",
            &"A".repeat(40),
            &"g".repeat(40),
            &"a".repeat(41),
            "HEAD",
        ] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_name_that_could_leave_its_directory_is_refused() {
        for bad in ["", ".", "..", "a/b", "../a", "A", "-x", "a..b", "a\0"] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ü"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "...", ".a", "web-1.example.org:80"] {
            assert!(good.parse::<InstanceId>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", ".", "..", "-x", "a/b"] {
            assert!(bad.parse::<HookName>().is_err(), "{bad:?} was accepted");
        }
        for bad in [
            "",
            ".",
            "..",
            "./a",
            "a/..",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            ".git/config",
            "a\nb",
            "a\\b",
        ] {
            assert!(bad.parse::<ConfigName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_branch_name_that_git_refuses_is_refused() {
        for bad in [
            "", "-x", "a..b", "a b", "a.lock", "x/.y", "a@{1}", "a//b", "@", "HEAD", "a/", "/a", "a~1", "a.",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["main", "release/1.2", "feature/ünïcode", "a-b_c"] {
            assert!(good.parse::<BranchName>().is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn an_error_quotes_one_clean_line() {
        let error = "a\nb\u{1b}[31m".parse::<RepoName>().unwrap_err();
        assert_eq!(error.to_string(), "not a repository name: `ab[31m`");
    }
}
