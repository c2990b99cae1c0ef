//! Going back: requests, and what became of them.

use serde::{Deserialize, Serialize};

use crate::commit::ConfigDiff;
use crate::id::{CommitId, ConfigName};
use crate::time::Timestamp;

/// How the commit of a rollback comes to the branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackMode {
    /// It is pushed; where the branch is protected, a pull request is opened.
    #[default]
    Push,
    /// A pull request is opened in any case.
    Propose,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// `POST /v1/repos/{repo}/rollbacks`: exactly one of `to` and `revert`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Revision whose content comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Revision whose change is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<String>,
    /// For a merge that is reverted: the parent, from 1 on, whose side is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mainline: Option<usize>,
    /// The one config that goes back, with `to`; else everything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigName>,
    /// Why; it stands in the commit.
    #[serde(default)]
    pub reason: String,
    /// Who asks, as `Name <address>` or a name; the author of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Head of the branch as the person has seen it; refused if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tip: Option<CommitId>,
    /// How the commit comes to the branch.
    #[serde(default)]
    pub mode: RollbackMode,
    /// Insist, although the content does not validate; the service must allow it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force_invalid: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// How far a rollback came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackStage {
    /// The branch has the commit.
    Pushed,
    /// A pull request waits to be merged.
    Proposed,
    /// Instances are told; Git does not have it yet, and it is tried again.
    GitPending,
    /// Other content was exposed before it came into Git.
    Superseded,
    /// A person lifted it before it came into Git.
    Released,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl RollbackStage {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Proposed => "proposed",
            Self::GitPending => "git_pending",
            Self::Superseded => "superseded",
            Self::Released => "released",
            Self::Other => "other",
        }
    }
}

/// One rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackView {
    /// Names it; `Headwater-Intent` of its commit.
    pub id: String,
    /// How far it came.
    pub state: RollbackStage,
    /// Its commit, which need not be on the branch yet.
    pub commit: CommitId,
    /// Commit whose content came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
    /// Commit whose change was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<CommitId>,
    /// First line of the message of that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When the upstream last said where the branch is, before this was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Why the upstream could not be asked again; then newer commits were not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
    /// The one config that went back, if not everything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigName>,
    /// Why.
    pub reason: String,
    /// Who asked, if a name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// The rollout that went back and whose content this takes back in Git: nobody asked, the service did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// When it was decided.
    pub at: Timestamp,
    /// Page of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Configs that are held at its content although the tip has another.
    #[serde(default)]
    pub holds: Vec<ConfigName>,
    /// Configs that it did not touch, since a rollout carries what they have there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<LeftAlone>,
    /// Who lifted it, and when, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<ReleasedView>,
    /// Why Git does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a rollback would do: `GET /v1/repos/{repo}/rollbacks/plan`.
///
/// It is found by the very decision, of which nothing is kept; what would be refused is refused here in the same words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollbackPlanView {
    /// Commit whose content would come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
    /// Commit whose change would be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<CommitId>,
    /// First line of the message of that commit.
    pub subject: String,
    /// The one config that would go back, if not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigName>,
    /// Commit on top of which it would be: `expected_tip` of whoever wants just this.
    pub base: CommitId,
    /// When the upstream last said where the branch is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// All of it in one sentence.
    pub summary: String,
    /// Configs of which somebody would get other content, by name.
    #[serde(default)]
    pub configs: Vec<TurnedConfig>,
    /// Live instances that get other content of at least one of them.
    #[serde(default)]
    pub instances: u64,
    /// Configs that it would not touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<LeftAlone>,
}

/// A person's word that ended a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedView {
    /// Who, if a name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A config that a rollback would turn back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnedConfig {
    /// The config.
    pub config: ConfigName,
    /// `added`, `removed` or `modified`.
    pub kind: String,
    /// Live instances that get other content; where everybody else has it already, only those that a rollout gave its own.
    pub instances: u64,
    /// The rollout that it would end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// The version that waits behind that rollout, and would not come to instances any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_up: Option<CommitId>,
    /// Values that differ, of the base document first, then of each variant.
    #[serde(default)]
    pub changes: Vec<ConfigDiff>,
}

/// A config that a rollback did not touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAlone {
    /// The config.
    pub config: ConfigName,
    /// The rollout that has its content in hand, or behind which it waits.
    pub rollout: String,
}

/// `GET /v1/repos/{repo}/rollbacks`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackList {
    /// Those that are not settled, and the newest of those that are.
    pub rollbacks: Vec<RollbackView>,
}

/// `POST /v1/repos/{repo}/holds/{id}/release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Why; kept with the decision.
    pub reason: String,
    /// Who asks, as `Name <address>` or a name; kept with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}
