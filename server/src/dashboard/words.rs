//! Small things that many pages show: a link, a moment, a value.

use headwater_core::rollout::SOMEBODY;
use headwater_wire::{CommitId, Origin, Timestamp};
use serde_json::Value;

use super::asked::Links;
use crate::cli::text;

/// Longest value in a table, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// Who does what nobody ordered.
pub(super) const SERVICE: &str = "the service";

/// A link and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Address.
    pub href: String,
    /// Text.
    pub text: String,
}

impl Link {
    /// A link.
    pub(super) fn new(href: String, text: String) -> Self {
        Self { href, text }
    }

    /// A commit by the beginning of its hash.
    pub(super) fn commit(links: &Links, commit: &CommitId) -> Self {
        Self::new(links.commit(commit), commit.short().to_owned())
    }
}

/// A moment, and how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    /// RFC 3339.
    pub at: String,
    /// How long ago.
    pub ago: String,
}

impl When {
    /// A moment, seen from now.
    pub(super) fn new(now: Timestamp, at: Timestamp) -> Self {
        Self {
            at: at.to_string(),
            ago: text::age(now, at),
        }
    }
}

/// A value as JSON, cut where it is very long.
pub(super) fn value(value: &Value) -> String {
    text::clip(&value.to_string(), VALUE_CHARS_MAX)
}

/// A value that may be absent.
pub(super) fn value_or_none(value: Option<&Value>) -> String {
    value.map_or_else(|| "—".to_owned(), self::value)
}

/// `file:line`.
pub(super) fn place(origin: Option<&Origin>) -> String {
    origin.map(text::place).unwrap_or_default()
}

/// The first line of a message.
pub(super) fn subject(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    text::clip(line, 120)
}

/// Who ordered something, and who confirmed it where that was needed.
pub(super) fn both(by: Option<&str>, confirmed_by: Option<&str>) -> String {
    let by = named(by);
    match confirmed_by {
        Some(second) => format!("{by}, confirmed by {second}"),
        None => by,
    }
}

/// Who ordered something, also where nobody said who he is.
pub(super) fn named(by: Option<&str>) -> String {
    by.unwrap_or(SOMEBODY).to_owned()
}

/// A word of the wire as people write it.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}
