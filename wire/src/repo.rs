//! Views of repositories and configs, and the requests that act on a repository.

use serde::{Deserialize, Serialize};

use crate::commit::VerdictState;
use crate::finding::Finding;
use crate::id::{BranchName, CommitId, ConfigName, Digest, Generation, HookName, RepoName};
use crate::time::Timestamp;

/// What became of the newest commit of the branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadState {
    /// There is none, or none has been seen yet.
    #[default]
    None,
    /// It is the tip: admitted and exposed.
    Published,
    /// It is being fetched or judged.
    Validating,
    /// It failed admission; the last good commit keeps serving.
    Rejected,
    /// It waits for a person: history was rewritten, or a rollback holds it back.
    Held,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl HeadState {
    /// The word of the `Headwater-Head-State` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Published => "published",
            Self::Validating => "validating",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::Other => "other",
        }
    }
}

/// What is known of the upstream itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Not asked yet since the start.
    #[default]
    Starting,
    /// The last listing succeeded and the branch is there.
    Ok,
    /// The upstream has no branch at all.
    EmptyRepository,
    /// The upstream has branches, but not the one to follow.
    BranchMissing,
    /// No connection, or it broke.
    Unreachable,
    /// A deadline passed without an answer.
    TimedOut,
    /// The upstream wants credentials and none are set.
    AuthRequired,
    /// The upstream refused the credentials, or the host key is not the pinned one.
    AuthFailed,
    /// There is no repository at the address.
    NotFound,
    /// The upstream answered something that is not Git, or a pack that is broken or incomplete.
    BadAnswer,
    /// The branch holds more than is followed: a file, or a tree, that is too large.
    TooLarge,
    /// The branch does not descend from what was followed before; a person decides.
    HistoryRewritten,
    /// The local mirror is damaged and is being cloned again.
    MirrorBroken,
    /// The disk is full or the data directory cannot be written.
    StorageFull,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl SourceState {
    /// All states this version knows.
    pub const ALL: &'static [Self] = &[
        Self::Starting,
        Self::Ok,
        Self::EmptyRepository,
        Self::BranchMissing,
        Self::Unreachable,
        Self::TimedOut,
        Self::AuthRequired,
        Self::AuthFailed,
        Self::NotFound,
        Self::BadAnswer,
        Self::TooLarge,
        Self::HistoryRewritten,
        Self::MirrorBroken,
        Self::StorageFull,
        Self::Other,
    ];

    /// The word used on the wire and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ok => "ok",
            Self::EmptyRepository => "empty_repository",
            Self::BranchMissing => "branch_missing",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::AuthRequired => "auth_required",
            Self::AuthFailed => "auth_failed",
            Self::NotFound => "not_found",
            Self::BadAnswer => "bad_answer",
            Self::TooLarge => "too_large",
            Self::HistoryRewritten => "history_rewritten",
            Self::MirrorBroken => "mirror_broken",
            Self::StorageFull => "storage_full",
            Self::Other => "other",
        }
    }
}

/// `GET /v1/repos/{repo}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoView {
    /// Name in this service.
    pub name: RepoName,
    /// Upstream address without credentials.
    pub url: String,
    /// Branch followed; absent until the upstream's default branch is known.
    #[serde(default)]
    pub branch: Option<BranchName>,
    /// Newest admitted commit.
    #[serde(default)]
    pub tip: Option<CommitId>,
    /// Newest commit of the branch.
    #[serde(default)]
    pub head: Option<CommitId>,
    /// What became of it.
    pub head_state: HeadState,
    /// What is known of the upstream.
    pub source_state: SourceState,
    /// Last successful listing of the upstream.
    #[serde(default)]
    pub synced_at: Option<Timestamp>,
    /// Whether that is longer ago than three poll intervals.
    pub stale: bool,
    /// Number of configs at the tip.
    #[serde(default)]
    pub configs: usize,
    /// Why the state is not the good one, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Since when the webhooks of this repository are silent: polling found a change that no hook had announced.
    /// Absent while hooks are well, and where none are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_silence: Option<Timestamp>,
    /// Webhook deliveries since the service started: the newest that was verified, and the newest that was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryView>,
    /// The rewritten history that a person took last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedView>,
    /// Error findings of a rejected head, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// `GET /v1/repos`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoList {
    /// By name.
    pub repos: Vec<RepoView>,
}

/// One line of `GET /v1/repos/{repo}/configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigItem {
    /// Name.
    pub name: ConfigName,
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the base document.
    pub digest: Digest,
    /// Fence number.
    pub generation: Generation,
    /// Names of the variants, in the order they are tried.
    #[serde(default)]
    pub variants: Vec<String>,
    /// Rollout policy named by the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// The version that everybody held before what the branch has: where going back by one step leads. Absent where
    /// there is none that is known, and where that is what was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<CommitId>,
}

/// `GET /v1/repos/{repo}/configs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigList {
    /// Tip the list was taken from.
    pub tip: CommitId,
    /// By name.
    pub configs: Vec<ConfigItem>,
}

/// `POST /v1/repos/{repo}/accept`: take a rewritten history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The head the person has seen and takes.
    pub head: CommitId,
    /// Why; kept with the decision.
    pub reason: String,
    /// Who asks, as `Name <address>` or a name; kept with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// The rewritten history that a person took last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedView {
    /// Its head.
    pub head: CommitId,
    /// Why.
    pub reason: String,
    /// Who, if a name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Something that keeps the head from being exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// Identifier, to release it.
    pub id: String,
    /// Why: `history_rewritten` or `rollback`.
    pub kind: String,
    /// The commit held back.
    pub head: CommitId,
    /// The commit that keeps serving.
    #[serde(default)]
    pub tip: Option<CommitId>,
    /// Since when.
    pub since: Timestamp,
    /// How to lift it.
    pub hint: String,
    /// The configs held, where it is not all of the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigName>,
    /// Why, in the words of who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /v1/repos/{repo}/holds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldList {
    /// Open holds.
    pub holds: Vec<HoldView>,
}

/// `POST /v1/repos/{repo}/checks` with a JSON body; a tar of files is the other form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Hash, unique prefix, branch or tag.
    pub rev: String,
}

/// Answer of a check, and the JSON that `headwater check --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// Format of this document; 1.
    pub version: u32,
    /// Whether the content would be admitted.
    pub verdict: VerdictState,
    /// All findings, sorted.
    pub findings: Vec<Finding>,
}

/// What became of a webhook delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookOutcome {
    /// The repositories named are listed anew.
    Accepted,
    /// It was a test of the connection, which works.
    Pong,
    /// There is nothing to do about it.
    Ignored,
    /// Its signature is missing or wrong, so nobody knows who sent it.
    Refused,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// A webhook delivery, as it is told of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// When it came.
    pub at: Timestamp,
    /// The hook it came to.
    pub hook: HookName,
    /// What sends to that hook: `github`, `gitea` and so on.
    pub forge: String,
    /// What became of it.
    pub outcome: HookOutcome,
    /// Why there was nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `POST /hooks/{hook}`; forges show it to who looks at the delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAnswer {
    /// What became of it.
    pub outcome: HookOutcome,
    /// Why there was nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Repositories that are listed anew because of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<RepoName>,
}
