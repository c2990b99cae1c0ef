//! What a client reads: one config of one commit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CommitId, ConfigName, Digest, Generation, RepoName};

/// Body of every answer that carries a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotBody {
    /// Repository.
    pub repo: RepoName,
    /// Config.
    pub config: ConfigName,
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Newest admitted commit when this was rendered; for a read by commit, that commit.
    pub tip: CommitId,
    /// Digest of the document's canonical rendering.
    pub digest: Digest,
    /// Fence number of the assignment; 0 for a read by commit, which assigns nothing.
    pub generation: Generation,
    /// Whether the version is to be made active or only prepared.
    pub phase: Phase,
    /// Variant chosen by the labels, if not the base document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The merged document.
    pub document: Value,
    /// The files that made it, lowest layer first.
    pub sources: Vec<String>,
}

/// What an instance is to do with a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Hold it as the running config.
    #[default]
    Active,
    /// Fetch and check it, and go on running the old one.
    Prepare,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// How the target relates to what the client said it holds (`Headwater-Change`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The client named nothing it holds.
    Initial,
    /// The target descends from what the client holds.
    Forward,
    /// The target restores content that an older commit had.
    Rollback,
    /// History was rewritten: the target does not descend from what the client holds.
    Forced,
    /// The same version, rendered differently by this release of the service.
    Rerender,
    /// What the client holds is no longer reachable from the upstream.
    UnknownBase,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl ChangeKind {
    /// The word of the `Headwater-Change` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Forward => "forward",
            Self::Rollback => "rollback",
            Self::Forced => "forced",
            Self::Rerender => "rerender",
            Self::UnknownBase => "unknown-base",
            Self::Other => "other",
        }
    }
}
