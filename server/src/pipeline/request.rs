//! What the rest of the service asks of a repository's pipeline, and what it is answered.
//!
//! Invariant: whoever asks gets one answer, and may be gone before it comes; what was decided stays.

use headwater_core::rollout::{Order, Rollout};
use headwater_core::{Due, Refusal, Rollback, WaitingOrder, Word};
use headwater_wire::CommitId;
use opentelemetry::trace::SpanContext;
use tokio::sync::oneshot;

use super::rollback::{Foreseen, RollbackError, Wish};
use crate::store::StoreFailure;
use crate::trace;

/// A request on its way, and the trace that it was sent in.
#[derive(Debug)]
pub(crate) struct Posted {
    /// The request.
    pub request: Request,
    /// Where it was sent.
    pub origin: Option<SpanContext>,
}

impl Posted {
    /// A request that is sent from here.
    pub(crate) fn new(request: Request) -> Self {
        Self {
            request,
            origin: trace::origin(),
        }
    }
}

/// What the rest of the service asks of a repository's pipeline.
#[derive(Debug)]
pub(crate) enum Request {
    /// The settings of the repository were replaced.
    Reconfigured,
    /// List the upstream and say how it went. The listing starts after this request.
    List {
        /// Where the answer goes.
        reply: oneshot::Sender<Fresh>,
        /// How soon, and what.
        force: Force,
    },
    /// Take a rewritten head that is held back.
    Accept {
        /// The head the person has seen.
        head: CommitId,
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        by: Option<String>,
        /// The second person's word, where it waited for one.
        word: Option<Word>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), AcceptError>>,
    },
    /// Go back. Urgent: sent by [`Repo::send_urgent`](crate::repo::Repo::send_urgent).
    RollBack {
        /// What is wanted.
        wish: Box<Wish>,
        /// The second person's word, where it waited for one.
        word: Option<Word>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Rollback, RollbackError>>,
    },
    /// Say what going back would do, and do nothing. Urgent, too: who asks is about to.
    Foresee {
        /// What is wanted.
        wish: Box<Wish>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Foreseen, RollbackError>>,
    },
    /// Lift what a rollback or a rollout holds back. Urgent, too.
    Release {
        /// The rollback or rollout.
        id: String,
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        by: Option<String>,
        /// The second person's word, where it waited for one.
        word: Option<Word>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), RollbackError>>,
    },
    /// Keep an order until a second person confirms it, if it could be carried out now. Urgent, too.
    Give {
        /// The order.
        order: Box<WaitingOrder>,
        /// What is wanted, of a rollback.
        wish: Option<Box<Wish>>,
        /// Where the order goes as it was kept.
        reply: oneshot::Sender<Result<WaitingOrder, OrderError>>,
    },
    /// Take an order back that waits. Urgent, too.
    Withdraw {
        /// Which, and by whose word.
        word: Word,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), OrderError>>,
    },
    /// Take the steps that rollouts are due for, as far as they still fit. Urgent, too: a halt waits for nobody.
    Steps {
        /// The steps.
        due: Vec<Due>,
        /// Told whether any was taken.
        reply: oneshot::Sender<bool>,
    },
    /// Do what a person orders of a rollout. Urgent, too.
    Order {
        /// The rollout.
        id: String,
        /// What shall happen.
        order: Order,
        /// After how many of its steps it was seen, if that matters.
        after: Option<u64>,
        /// Why.
        reason: String,
        /// Who, if somebody was named.
        by: Option<String>,
        /// The second person's word, where it waited for one.
        word: Option<Word>,
        /// Where the rollout goes as it is then.
        reply: oneshot::Sender<Result<Rollout, OrderError>>,
    },
}

impl Request {
    /// Whether it was sent as urgent, so that what is under way is put off for it.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Reconfigured | Self::List { .. } | Self::Accept { .. } => false,
            Self::RollBack { .. }
            | Self::Foresee { .. }
            | Self::Release { .. }
            | Self::Give { .. }
            | Self::Withdraw { .. }
            | Self::Steps { .. }
            | Self::Order { .. } => true,
        }
    }
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// There is no such rollout, or the order does not fit it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be kept.
    #[error(transparent)]
    Kept(#[from] RollbackError),
}

/// How a listing is forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// Whoever asks within a pause shares one.
    Shared,
    /// A person waits to decide something: without a pause.
    AtOnce,
    /// The same, and the tags are listed, too.
    AtOnceWithTags,
}

/// How a forced listing went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// The upstream was listed, and what it named was fetched and judged.
    Listed,
    /// It could not be.
    Failed,
}

/// Why an acceptance was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}
