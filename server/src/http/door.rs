//! Which listener a request came by, and that the one for everybody gives no orders where there is another for that.
//!
//! Invariant: where there is a listener for administration, whatever the route table says changes what instances should
//! hold, or is for the operator of the service alone, is refused at the other one, whoever asks. Each listener has routes
//! that know their door from the beginning, so no request can come in without one. What is deliberately absent: where the
//! other listener is, which strangers need not know.

use headwater_wire::{Problem, ProblemCode};

use super::problem::{Answer, Result};
use crate::auth::Need;

/// The listener that a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// The only one there is.
    Only,
    /// The one for everybody, beside one for administration.
    Main,
    /// The one for administration.
    Admin,
}

impl Door {
    /// The one for everybody, as the settings have it.
    pub(crate) fn of_main(settings: &crate::settings::Settings) -> Self {
        if settings.admin.is_some() {
            Self::Main
        } else {
            Self::Only
        }
    }

    /// Whether orders are given here.
    pub(crate) fn takes_orders(self) -> bool {
        match self {
            Self::Only | Self::Admin => true,
            Self::Main => false,
        }
    }

    /// Its label in metrics and logs.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Only | Self::Main => "main",
            Self::Admin => "admin",
        }
    }

    /// Lets pass what may be done here by those who may do it.
    ///
    /// # Errors
    /// `admin_listener` of what is an order, where none are given.
    pub(super) fn lets(self, need: Need) -> Result<()> {
        let is_order = match need {
            Need::Order | Need::Administer => true,
            Need::Nothing | Need::Fetch | Need::Report | Need::End | Need::Read => false,
        };
        if is_order && !self.takes_orders() {
            return Err(refused());
        }
        Ok(())
    }
}

fn refused() -> Answer {
    Problem::new(
        ProblemCode::AdminListener,
        "this listener gives no orders, whoever asks",
    )
    .hint("ask at the service's listener for administration; whoever runs the service knows where that is")
    .into()
}
