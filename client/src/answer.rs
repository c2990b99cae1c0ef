//! The answer of the call that reads a config, and what its headers say.

use std::fmt;

use bytes::Bytes;
use headwater_wire::{ChangeKind, CommitId, HeadState, SnapshotBody, Timestamp};
use http::header::ETAG;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// What a client holds, in the server's words: opaque, compared for equality only.
///
/// A weak mark (`W/`) and the quotes are dropped, since a proxy that compresses adds the first, and events spell the
/// token without the second.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// From an `ETag` header, or from the token of an event.
    pub fn new(text: &str) -> Self {
        let strong = text.strip_prefix("W/").unwrap_or(text);
        let bare = strong
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(strong);
        Self(bare.to_owned())
    }

    /// Value of `If-None-Match`; none if the text cannot stand in a header, which only costs a full answer.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("\"{}\"", self.0)).ok()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the headers of an answer say, with and without a body. A header that is absent, or a word this version does
/// not know, is no error: the body alone is enough to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Token of what the client should hold.
    pub token: Option<Token>,
    /// Version of the config.
    pub version: Option<CommitId>,
    /// Newest admitted commit.
    pub tip: Option<CommitId>,
    /// What became of the newest commit of the branch.
    pub head_state: Option<HeadState>,
    /// How the version relates to what the client held.
    pub change: Option<ChangeKind>,
    /// Last successful listing of the upstream.
    pub synced_at: Option<Timestamp>,
    /// Whether that is too long ago.
    pub stale: bool,
}

impl Standing {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            token: text(ETAG.as_str()).map(Token::new),
            version: text("headwater-version").and_then(|text| text.parse().ok()),
            tip: text("headwater-tip").and_then(|text| text.parse().ok()),
            head_state: text("headwater-head-state").and_then(word),
            change: text("headwater-change").and_then(word),
            synced_at: text("headwater-synced-at").and_then(|text| text.parse().ok()),
            stale: text("headwater-stale") == Some("true"),
        }
    }
}

/// A header whose words are those of an enum on the wire.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

/// What the server says the client should hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    /// It is not what the client named.
    Modified(ConfigAnswer),
    /// It is.
    NotModified(Standing),
}

/// A config as it was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigAnswer {
    /// What the headers say.
    pub standing: Standing,
    /// A snapshot body, or the bare document or value if a format or a pointer was asked for.
    pub body: Bytes,
    pub(crate) server: String,
}

impl ConfigAnswer {
    /// The body as a snapshot; only for a call without format and pointer.
    pub fn snapshot(&self) -> Result<SnapshotBody, ApiError> {
        self.json("a snapshot")
    }

    /// The body as a JSON value; only for a call whose format is JSON.
    pub fn value(&self) -> Result<serde_json::Value, ApiError> {
        self.json("a JSON document")
    }

    fn json<T: DeserializeOwned>(&self, expected: &'static str) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|source| ApiError::Malformed {
            server: self.server.clone(),
            expected,
            source: source.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_however_it_was_quoted() {
        for text in ["abc", "\"abc\"", "W/\"abc\""] {
            assert_eq!(Token::new(text), Token::new("abc"));
        }
        assert_eq!(Token::new("abc").header().unwrap(), "\"abc\"");
        assert_eq!(Token::new("a\nb").header(), None);
    }

    #[test]
    fn unknown_words_in_headers_are_no_error() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"t\""),
            ("headwater-head-state", "levitating"),
            ("headwater-change", "unknown-base"),
            ("headwater-tip", "?"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let standing = Standing::read(&headers);
        assert_eq!(standing.head_state, Some(HeadState::Other));
        assert_eq!(standing.change, Some(ChangeKind::UnknownBase));
        assert_eq!((standing.tip, standing.stale), (None, false));
    }
}
