//! What a person may order.
//!
//! Invariant: an order either is a step that fits the state now, or is refused with what can be ordered instead.

use super::state::{Rollout, State};
use super::step::{Step, Why};
use super::view::needs_approval;

/// A person's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Let the due stage begin, or do not wait for the open one.
    Promote,
    /// Stop, and stay.
    Pause,
    /// Go on.
    Resume,
    /// Go back; of one that went back and is incomplete, do not wait for the rest.
    Abort {
        /// Why.
        reason: String,
    },
}

/// What a person ordered, by the word of the step that carried it out: who aborts sees `abort` again, not how it was done.
pub fn ordered_word(step: &str) -> &str {
    match step {
        "abort_prepare" | "roll_back" => "abort",
        same => same,
    }
}

/// An order that does not fit; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// It is over.
    #[error("the rollout is over")]
    Over,
    /// It goes back already.
    #[error("the rollout goes back already")]
    GoesBack,
    /// Instances get ready; that they do is what two phases are for.
    #[error("instances are getting ready, which cannot be skipped")]
    GettingReady,
    /// A promotion lets a stage begin that waits for one. It ends no freeze.
    #[error("the next stage waits for no person, and begins by itself")]
    BeginsByItself,
    /// It is stopped already.
    #[error("the rollout is stopped already")]
    Stopped,
    /// It is not stopped.
    #[error("the rollout is not stopped")]
    NotStopped,
}

impl Rollout {
    /// The step that carries out an order.
    pub fn order(&self, order: Order) -> Result<Step, OrderRefused> {
        // Who looked at those that had not said so has nothing more to wait for.
        if let (State::Incomplete { .. }, Order::Abort { .. }) = (&self.state, &order) {
            return Ok(Step::Settle);
        }
        if self.state.is_final() {
            return Err(OrderRefused::Over);
        }
        if self.state.is_back() {
            return Err(OrderRefused::GoesBack);
        }
        let is_stopped = matches!(self.state, State::Paused { .. } | State::Halted { .. });
        match order {
            Order::Abort { reason } => Ok(Step::RollBack(Why::Asked { reason })),
            Order::Pause | Order::Promote if is_stopped => Err(OrderRefused::Stopped),
            Order::Pause => Ok(Step::Pause),
            Order::Resume if is_stopped => Ok(Step::Resume),
            Order::Resume => Err(OrderRefused::NotStopped),
            Order::Promote => self.promote(),
        }
    }

    fn promote(&self) -> Result<Step, OrderRefused> {
        match self.state {
            State::Preparing { .. } => Err(OrderRefused::GettingReady),
            State::Due { stage, approval } if !needs_approval(&self.policy, stage, approval) => {
                Err(OrderRefused::BeginsByItself)
            }
            State::Due { .. }
            | State::Exposing { .. }
            | State::Baking { .. }
            | State::Paused { .. }
            | State::Halted { .. }
            | State::RollingBack { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => Ok(Step::Promote),
        }
    }
}
