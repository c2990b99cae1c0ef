//! The events of a watch stream (`GET …/events`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::id::{CommitId, ConfigName, Digest, Generation};
use crate::repo::HeadState;
use crate::snapshot::{ChangeKind, Phase};

/// `version`: this is what the client should hold now. The event id is the token.
pub type VersionEvent = VersionEventWith<Value>;

/// A [`VersionEvent`] whose document is read as `D`. The document stands in it as the text that the digest is of: who
/// wants to check that reads it as raw text, and not as a value that was parsed and would be written again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub struct VersionEventWith<D> {
    /// Config.
    pub config: ConfigName,
    /// Token, the same text as the `ETag` of the config's answer.
    pub token: String,
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Newest admitted commit.
    pub tip: CommitId,
    /// How it relates to what the client held.
    pub change: ChangeKind,
    /// Whether to activate or only prepare.
    pub phase: Phase,
    /// Fence number.
    pub generation: Generation,
    /// Digest of the document.
    pub digest: Digest,
    /// Bytes of the document's canonical rendering.
    pub size: u64,
    /// The document, where it is small enough to be told at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<D>,
}

/// `bookmark`: nothing changed; the token still holds, the tip may be newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookmarkEvent {
    /// Config.
    pub config: ConfigName,
    /// Token.
    pub token: String,
    /// Newest admitted commit.
    pub tip: CommitId,
}

/// `status`: something about the repository that changes no content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusEvent {
    /// Newest commit of the branch, admitted or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<CommitId>,
    /// What became of it.
    pub head_state: HeadState,
    /// Whether the upstream has not been reached for a while.
    pub stale: bool,
    /// Why, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Error findings of a rejected head, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Watched configs that the tip no longer has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<ConfigName>,
}

/// `goaway`: the stream ends; come back after the time said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoawayEvent {
    /// Why: `shutdown` or `age`.
    pub reason: String,
    /// How long to wait before the next connect, in ms; spread, so that clients do not come back together.
    pub retry_after_ms: u64,
}
