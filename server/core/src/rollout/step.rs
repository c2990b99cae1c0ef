//! The decisions of a rollout, and why it stops.
//!
//! Invariant: a step says all that is needed to take it again, so that the steps that were kept, in order, give the
//! rollout back. What is deliberately absent: what a step changes, which is [`Rollout::apply`](super::Rollout::apply).

use std::collections::BTreeSet;

use headwater_wire::{CommitId, InstanceId};
use serde::{Deserialize, Serialize};

use super::blame::{Blamed, named};
use super::membership::Threshold;

/// Why a rollout stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// More instances failed than may.
    #[error("{failed} of {members} instances failed; it stops at {allowed}{}", named(who, *failed))]
    Failed {
        /// Instances that failed.
        failed: u64,
        /// Instances that were told.
        members: u64,
        /// How many stop a rollout.
        allowed: u64,
        /// Some of those that failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        who: Vec<Blamed>,
    },
    /// Instances did not come to run it in time.
    #[error("{pending} of {members} instances were not ready in time{}", named(who, *pending))]
    Late {
        /// Instances that were waited for.
        pending: u64,
        /// Instances that were told.
        members: u64,
        /// Some of those that were waited for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        who: Vec<Blamed>,
    },
    /// A required instance refused to get ready.
    #[error("{refused} of {required} instances refused to get ready{}", named(who, *refused))]
    Refused {
        /// Instances that refused.
        refused: u64,
        /// Instances that had to be ready.
        required: u64,
        /// Some of those that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        who: Vec<Blamed>,
    },
    /// A stage takes nobody, so it would prove nothing.
    #[error("no instance is in stage {}", stage + 1)]
    NobodyInStage {
        /// Stage, from 0.
        stage: usize,
    },
    /// Too few instances ran it for quiet to prove anything.
    #[error("{ran} instances ran it, and {wanted} must")]
    TooFew {
        /// Instances that ran it.
        ran: u64,
        /// Instances that must.
        wanted: u64,
    },
    /// A health signal says no.
    #[error("signal `{signal}` says no: {message}")]
    Unwell {
        /// Signal.
        signal: String,
        /// What it said.
        message: String,
    },
    /// A health signal does not say anything.
    #[error("signal `{signal}` said yes {passes} times, and then nothing of use: {message}")]
    Unclear {
        /// Signal.
        signal: String,
        /// Times it said yes.
        passes: u32,
        /// The last answer that was neither yes nor no.
        message: String,
    },
    /// A freeze began while instances got ready.
    #[error("nothing new is exposed now")]
    Frozen,
    /// A commit has the content from before.
    #[error("commit {by} has the content from before")]
    Reverted {
        /// The commit.
        by: CommitId,
    },
    /// The history of the branch was rewritten, and nobody has said whether the new one is followed.
    #[error("the history was rewritten, and {head} waits for a person")]
    HistoryHeld {
        /// The head that is held back.
        head: CommitId,
    },
    /// The store is an older copy of itself, and nobody knows what was decided since.
    #[error("the store was restored from a copy")]
    Restored,
    /// A person asked for it.
    #[error("on request: {reason}")]
    Asked {
        /// Why.
        reason: String,
    },
}

impl Why {
    /// Instances that failed or refused, as far as they are known by name. Who is only late has not failed, and stands in
    /// the sentence.
    pub fn who(&self) -> &[Blamed] {
        match self {
            Self::Failed { who, .. } | Self::Refused { who, .. } => who,
            Self::Late { .. }
            | Self::NobodyInStage { .. }
            | Self::TooFew { .. }
            | Self::Unwell { .. }
            | Self::Unclear { .. }
            | Self::Frozen
            | Self::Reverted { .. }
            | Self::HistoryHeld { .. }
            | Self::Restored
            | Self::Asked { .. } => &[],
        }
    }
}

impl Why {
    /// Whether nothing is wrong with the content, so that the next offer may bring it again.
    pub fn is_blameless(&self) -> bool {
        matches!(
            self,
            Self::Reverted { .. } | Self::Restored | Self::HistoryHeld { .. }
        )
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The members of the due stage are asked to get ready.
    Prepare {
        /// Who is in.
        threshold: Threshold,
        /// Instances that must be ready.
        required: BTreeSet<InstanceId>,
        /// Instances that are lost, and not waited for.
        excluded: BTreeSet<InstanceId>,
    },
    /// The members of the due stage get the target.
    Expose {
        /// Who is in.
        threshold: Threshold,
        /// How many that are now.
        members: u64,
    },
    /// The members of the stage that is getting ready switch.
    Activate,
    /// The stage that was getting ready does not switch.
    AbortPrepare(Why),
    /// The open stages run it; now they must stay well.
    Bake,
    /// They stayed well for long enough.
    Advance,
    /// Nobody new gets the target.
    Halt(Why),
    /// Everybody is told the baseline.
    RollBack(Why),
    /// Everybody who was heard of holds the baseline again.
    Settle,
    /// Some have not said so in time.
    GiveUp {
        /// How many.
        left: u64,
    },
    /// A person lets the due stage begin, or does not wait for the open one.
    Promote,
    /// A person stops it.
    Pause,
    /// A person lets it go on.
    Resume,
    /// A newer commit takes its place.
    Supersede,
}

impl Step {
    /// The word it is remembered by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Expose { .. } => "expose",
            Self::Activate => "activate",
            Self::AbortPrepare(_) => "abort_prepare",
            Self::Bake => "bake",
            Self::Advance => "advance",
            Self::Halt(_) => "halt",
            Self::RollBack(_) => "roll_back",
            Self::Settle => "settle",
            Self::GiveUp { .. } => "give_up",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Supersede => "supersede",
        }
    }

    /// Why it was taken, where it says so itself.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::AbortPrepare(why) | Self::Halt(why) | Self::RollBack(why) => Some(why),
            Self::Prepare { .. }
            | Self::Expose { .. }
            | Self::Activate
            | Self::Bake
            | Self::Advance
            | Self::Settle
            | Self::GiveUp { .. }
            | Self::Promote
            | Self::Pause
            | Self::Resume
            | Self::Supersede => None,
        }
    }
}
