//! What can be asked of the state of a repository, and what is answered.
//!
//! Invariant: a command says what was found out or decided, never what the state shall be.

use std::collections::BTreeMap;

use headwater_wire::{BranchName, CommitId, ConfigName, Generation, OrderState, RolloutCounts, Timestamp};

use crate::content::Content;
use crate::control::ConfigFacts;
use crate::rollback::{Decision, RollbackState};
use crate::rollout::{Order, OrderRefused, Policy, Step, Urgency};
use crate::second_person::{EndedOrder, ORDERS_OF_ONE_MAX, WaitingOrder, Word};

/// A change to the state.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The branch to follow became known, or is another one now.
    Follow(BranchName),
    /// A new head was seen and is being judged.
    Judge(CommitId),
    /// A commit was admitted and is exposed.
    Admit(Box<Arrival>),
    /// The head failed admission.
    Reject(CommitId),
    /// The head is held back.
    Hold {
        /// The head.
        head: CommitId,
        /// When it was first seen.
        at: Timestamp,
    },
    /// A person takes the head that is held back.
    Accept {
        /// The head the person has seen.
        head: CommitId,
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        by: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// An instance has seen a generation that the target of its config does not exceed, so it would refuse the target
    /// and everything up to that generation: the same target is told again above it.
    RaiseGeneration {
        /// Config.
        config: ConfigName,
        /// What the instance has seen.
        above: Generation,
    },
    /// A person goes back: instances are turned at once to what the commit written for it has.
    RollBack(Box<Decision>),
    /// The way of a rollback into Git went on.
    Settle {
        /// Which rollback.
        id: String,
        /// Where it stands now.
        state: RollbackState,
    },
    /// The commit of a rollback was written anew, on top of another one.
    Rebuild {
        /// Which rollback.
        id: String,
        /// What it was built on.
        parent: CommitId,
        /// The commit.
        commit: CommitId,
    },
    /// The branch holds a commit that fulfils a rollback. What it holds back ends; an admission follows.
    Land {
        /// Which rollback.
        id: String,
        /// The commit.
        commit: CommitId,
    },
    /// A person lifts what a rollback, or a rollout that went back, holds back: its configs get what the tip has. If
    /// the commit of a rollback is not on the branch yet, it is given up.
    Release {
        /// Which rollback or rollout.
        id: String,
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        by: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Contents that a commit is about to be admitted with and that still have what a rollback took back of these
    /// configs. They are as bad as what was left.
    Condemn(Vec<(ConfigName, Content)>),
    /// A rollout goes on.
    Step(Box<Due>),
    /// A person orders something of a rollout.
    Order(Box<Ordered>),
    /// A person gives an order that needs a second one.
    Give(Box<WaitingOrder>),
    /// A second person confirmed an order, which was carried out by the commands before this one.
    Confirm {
        /// What was said.
        word: Box<Word>,
        /// The rollback that came of it.
        rollback: Option<String>,
    },
    /// Whoever gave an order that waits withdraws it.
    Withdraw(Box<Word>),
    /// The store is an older copy of itself: what moved goes back.
    Restored {
        /// At most so many numbers were given out since the copy was taken.
        missed: u64,
        /// When it was found out.
        at: Timestamp,
    },
    /// At a start the documents of what was decided are worked out again, so that decisions are known by them that were
    /// kept before documents were compared, or when they were rendered otherwise.
    Recognise(Vec<(ConfigName, Content)>),
}

/// An admitted commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The commit.
    pub commit: CommitId,
    /// Number of commits in its first-parent history: a floor for the generation, so that a lost store does not take the
    /// fence back.
    pub depth: u64,
    /// Its configs.
    pub configs: BTreeMap<ConfigName, ConfigFacts>,
    /// How those of them are moved that are not moved at once.
    pub policies: BTreeMap<ConfigName, Policy>,
    /// Whether it waits for what usually is waited for.
    pub urgency: Urgency,
    /// When it was admitted.
    pub at: Timestamp,
}

/// The next step of a rollout, as it was planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Config.
    pub config: ConfigName,
    /// Its rollout.
    pub id: String,
    /// It was planned after so many steps, and is not taken after more.
    pub after: u64,
    /// The step.
    pub step: Step,
    /// How its members stood.
    pub counts: Option<RolloutCounts>,
    /// When.
    pub at: Timestamp,
}

/// What a person orders of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered {
    /// The rollout.
    pub id: String,
    /// What shall happen.
    pub order: Order,
    /// After how many of its steps it was seen by who orders, if that matters.
    pub after: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who, if somebody was named.
    pub by: Option<String>,
    /// How its members stood.
    pub counts: Option<RolloutCounts>,
    /// When.
    pub at: Timestamp,
}

/// What a command changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The tip is another commit.
    TipMoved {
        /// Tip before.
        from: Option<CommitId>,
        /// Tip now.
        to: CommitId,
    },
    /// A config's instances should hold another version.
    TargetMoved {
        /// Config.
        config: ConfigName,
        /// Version before, if there was one.
        from: Option<CommitId>,
        /// Version now.
        to: CommitId,
    },
    /// A config's version is another commit with the same content, which is news to nobody.
    TargetAdopted {
        /// Config.
        config: ConfigName,
        /// Version before.
        from: CommitId,
        /// Version now.
        to: CommitId,
    },
    /// A config's target is the same under a higher generation.
    TargetReissued {
        /// Config.
        config: ConfigName,
        /// Generation now.
        generation: Generation,
    },
    /// A config is no longer declared.
    TargetRemoved(ConfigName),
    /// A rollout began, went on or ended.
    RolloutMoved {
        /// Config.
        config: ConfigName,
        /// Rollout.
        id: String,
    },
    /// The head, or what became of it, is another.
    HeadChanged,
    /// The accepted head must be judged again.
    JudgeAgain(CommitId),
}

/// Why a command was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is held back.
    #[error("nothing is held back")]
    NothingHeld,
    /// Another head is held back than the one named.
    #[error("the head held back is {actual}")]
    HeadMoved {
        /// The head that is held back.
        actual: CommitId,
    },
    /// There is no such rollback, or it is settled and holds nothing back.
    #[error("nothing is held back by `{0}`")]
    NotHeld(String),
    /// What these configs have at the commit was never released to everybody here, so going back may not do it either.
    #[error("what {} there was never released to everybody here", has(.0))]
    NotReleased(Vec<ConfigName>),
    /// There is no such rollout.
    #[error("there is no rollout `{0}`")]
    NoSuchRollout(String),
    /// The order does not fit the rollout as it is.
    #[error(transparent)]
    OrderRefused(#[from] OrderRefused),
    /// The rollout has moved on since the step was planned.
    #[error("the rollout has moved on")]
    MovedOn,
    /// No order of that name waits, or waited lately, for a second person.
    #[error("no order `{0}` waits for a second person")]
    NoSuchOrder(String),
    /// The order does not wait any more.
    #[error("order {} {}", .0.order.id, ended(.0))]
    OrderEnded(Box<EndedOrder>),
    /// Whoever gave an order cannot confirm it.
    #[error("`{0}` gave this order, and another person has to confirm it")]
    SamePerson(String),
    /// Only whoever gave an order withdraws it.
    #[error("`{0}` gave this order, and nobody else withdraws it")]
    NotTheGiver(String),
    /// What the order is about is not any more as it was when it was given.
    #[error("what order {0} is about is not any more as it was when it was given")]
    NotAsSeen(String),
    /// As many orders wait as may.
    #[error("too many orders wait for a second person; one person may give {ORDERS_OF_ONE_MAX}")]
    TooManyOrders,
}

/// How an order ended, in words.
fn ended(ended: &EndedOrder) -> String {
    let by = ended
        .by
        .as_ref()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    match ended.how {
        OrderState::Confirmed => format!("was confirmed{by}, and carried out"),
        OrderState::Withdrawn => format!("was withdrawn{by}"),
        OrderState::RunOut => "has run out".to_owned(),
        OrderState::Dropped => "was dropped when an older copy of the decisions was put back".to_owned(),
        OrderState::Waiting | OrderState::Other => "has ended".to_owned(),
    }
}

/// Which configs have it, in words.
fn has(configs: &[ConfigName]) -> String {
    let names: Vec<String> = configs.iter().map(|config| format!("`{config}`")).collect();
    match names.as_slice() {
        [one] => format!("{one} has"),
        all => format!("{} have", all.join(", ")),
    }
}
