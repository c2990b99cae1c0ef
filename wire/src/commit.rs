//! Views of commits, their verdicts and their differences.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::id::{BranchName, CommitId, ConfigName};
use crate::plan::PlanView;
use crate::time::Timestamp;

/// Author or committer, as Git records them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// When, by that person's clock.
    pub at: Timestamp,
}

/// What admission decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictState {
    /// May be served.
    Admitted,
    /// Is never offered to an instance.
    Rejected,
    /// Nobody asked yet.
    Unjudged,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictView {
    /// Decision.
    pub state: VerdictState,
    /// All findings, sorted.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One commit of the followed branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitView {
    /// Id.
    pub commit: CommitId,
    /// Parents, first parent first.
    pub parents: Vec<CommitId>,
    /// Who wrote it.
    pub author: Person,
    /// Who recorded it.
    pub committer: Person,
    /// Whole message.
    pub message: String,
    /// What admission decided.
    pub verdict: VerdictView,
    /// Configs whose content this commit changed against its first parent.
    pub configs_changed: Vec<ConfigName>,
    /// What became of it in the fleet, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// `GET /v1/repos/{repo}/proposals/{commit}`: what the followed branch would be with what is proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalView {
    /// Newest commit of what is proposed.
    pub head: CommitId,
    /// Number of the pull request; absent for a merge of a merge queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Branch it is proposed for.
    pub branch: BranchName,
    /// Commit of the branch that it was merged with.
    pub base: CommitId,
    /// Whether it can be merged.
    pub merge: MergeState,
    /// Paths that a person has to resolve, where it cannot be merged.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Verdict on the merge; `unjudged` where there is none.
    pub verdict: VerdictView,
    /// What it would touch; absent where it would not be admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanView>,
    /// Webhooks that rules name for it. They are asked once it is on the branch, and may refuse it then.
    #[serde(default)]
    pub webhooks: Vec<String>,
}

/// Whether what is proposed can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeState {
    /// The branch has it already.
    Contained,
    /// It can.
    Clean,
    /// A person has to resolve some paths.
    Conflict,
    /// It has no commit in common with the branch.
    Unrelated,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// `GET /v1/repos/{repo}/commits`: newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitPage {
    /// Commits, newest first.
    pub commits: Vec<CommitView>,
    /// Value of `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CommitId>,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// File.
    pub path: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
}

/// One value that differs between two documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// JSON pointer.
    pub pointer: String,
    /// Value before; absent if the key is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// Value after; absent if the key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// Where the old value was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_origin: Option<Origin>,
    /// Where the new value is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_origin: Option<Origin>,
}

/// All changed values of one config, for one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigDiff {
    /// Config.
    pub config: ConfigName,
    /// Variant, if not the base document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Whether the config is in both commits, or was `added` or `removed`.
    pub kind: String,
    /// Changed values, by pointer.
    pub changes: Vec<Change>,
}

/// Text difference of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// File.
    pub path: String,
    /// `added`, `removed` or `modified`.
    pub kind: String,
    /// Unified diff; absent for files that are binary or too large to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `GET /v1/repos/{repo}/diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffView {
    /// Commit compared from.
    pub from: CommitId,
    /// Commit compared to.
    pub to: CommitId,
    /// Changed values, by config.
    pub configs: Vec<ConfigDiff>,
    /// Changed files, by path.
    pub files: Vec<FileDiff>,
}

/// Which layer set one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainEntry {
    /// JSON pointer of a leaf.
    pub pointer: String,
    /// Its value.
    pub value: Value,
    /// The layer that won.
    pub origin: Origin,
    /// The layers it overrides, newest first.
    #[serde(default)]
    pub overrides: Vec<Origin>,
}

/// `GET /v1/repos/{repo}/explain/{config}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainView {
    /// Config.
    pub config: ConfigName,
    /// Commit that was read.
    pub commit: CommitId,
    /// Variant chosen by the labels, if not the base document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Files, lowest layer first.
    pub layers: Vec<String>,
    /// One entry a leaf, by pointer.
    pub entries: Vec<ExplainEntry>,
}
