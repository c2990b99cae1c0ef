//! Orders that wait for a second person: what they are, and what becomes of them.

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ConfigName};
use crate::repo::{HoldList, RepoView};
use crate::rollback::RollbackView;
use crate::rollout::RolloutView;
use crate::time::Timestamp;

/// What a person may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// Go back.
    Rollback,
    /// Let the next stage of a rollout begin, or do not wait for the open one.
    Promote,
    /// Stop a rollout.
    Pause,
    /// Let a stopped rollout go on.
    Resume,
    /// Take a rollout back.
    Abort,
    /// Take a rewritten history.
    Accept,
    /// Lift what is held back.
    Release,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl OrderKind {
    /// The orders this version knows.
    pub const ALL: &'static [Self] = &[
        Self::Rollback,
        Self::Promote,
        Self::Pause,
        Self::Resume,
        Self::Abort,
        Self::Accept,
        Self::Release,
    ];

    /// The word on the wire and in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Accept => "accept",
            Self::Release => "release",
            Self::Other => "other",
        }
    }

    /// The order that a word names.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|kind| kind.as_str() == word).copied()
    }
}

/// Where an order stands that waits, or waited, for a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Nothing has happened yet; another person confirms it, or whoever gave it withdraws it.
    Waiting,
    /// Another person confirmed it, and it was carried out.
    Confirmed,
    /// Whoever gave it withdrew it.
    Withdrawn,
    /// Nobody confirmed it in time.
    RunOut,
    /// The decisions were put back from an older copy, so that nobody knows whether it was confirmed.
    Dropped,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl OrderState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::Withdrawn => "withdrawn",
            Self::RunOut => "run_out",
            Self::Dropped => "dropped",
            Self::Other => "other",
        }
    }
}

/// One order that waits, or waited, for a second person: the body of a 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Names it.
    pub id: String,
    /// What is ordered.
    pub order: OrderKind,
    /// Where it stands.
    pub state: OrderState,
    /// What happens when it is confirmed, in one sentence.
    pub what: String,
    /// The person that gave it, by the name that lets him in.
    pub given_by: String,
    /// The same with the name that was typed beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Why.
    pub reason: String,
    /// When it was given.
    pub at: Timestamp,
    /// When it runs out.
    pub until: Timestamp,
    /// The rollout that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// After how many steps of that rollout it is meant; after others it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_steps: Option<u64>,
    /// Commit whose content comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
    /// Commit whose change is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<CommitId>,
    /// The one config that goes back, if not everything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigName>,
    /// Head of the branch that a rollback is meant for; on top of another one it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tip: Option<CommitId>,
    /// The rewritten head that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<CommitId>,
    /// What is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<OrderEndView>,
}

impl OrderView {
    /// Who gave it, for people: by the name that lets him in, and only behind that by whatever he typed.
    pub fn giver(&self) -> String {
        match &self.requested_by {
            Some(signed) if *signed != self.given_by => {
                format!("{}, who signs as {signed}", self.given_by)
            }
            Some(_) | None => self.given_by.clone(),
        }
    }
}

/// How an order ended that waited for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEndView {
    /// Who ended it; nobody, where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The rollback that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
}

/// `GET /v1/repos/{repo}/orders`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderList {
    /// Those that wait, oldest first.
    pub orders: Vec<OrderView>,
    /// What became of others, newest first.
    #[serde(default)]
    pub ended: Vec<OrderView>,
}

/// `POST /v1/repos/{repo}/orders/{id}/{confirm,withdraw}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderWordRequest {
    /// Why, in one line; kept with the decision.
    pub reason: String,
    /// Who says so, as `Name <address>` or a name; kept beside the name that lets him in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// An order that was confirmed, and what came of it: one of the four, as the order itself is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfirmedView {
    /// The order.
    pub order: OrderView,
    /// The rollback that was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<RollbackView>>,
    /// The rollout that something was ordered of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<RolloutView>>,
    /// The repository whose rewritten history was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Box<RepoView>>,
    /// What is held back still, where something was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<HoldList>,
}

/// What an order is answered: either it waits for a second person (202), or it was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OrderAnswer<T> {
    /// It waits.
    Waits(Box<OrderView>),
    /// It was carried out.
    Done(T),
}
