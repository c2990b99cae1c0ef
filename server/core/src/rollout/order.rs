//! What a person may order.
//!
//! Invariant: an order either is a step that fits the state now, or is refused with what can be ordered instead.

use super::state::{Rollout, State};
use super::step::{Step, Why};

/// A person's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Let the due stage begin, or do not wait for the open one.
    Promote,
    /// Stop, and stay.
    Pause,
    /// Go on.
    Resume,
    /// Go back.
    Abort {
        /// Why.
        reason: String,
    },
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
            Order::Promote if matches!(self.state, State::Preparing { .. }) => {
                Err(OrderRefused::GettingReady)
            }
            Order::Promote => Ok(Step::Promote),
        }
    }
}
