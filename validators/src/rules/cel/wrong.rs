//! What can go wrong in a run.

use super::RunError;
use super::budget::{RUN_STEPS_MAX, Spent};
use super::value::Value;
use crate::document::Range;

/// What went wrong, without its place.
#[derive(Debug)]
pub(super) enum Wrong {
    /// With the values at hand; other values may do.
    Value { message: String, hint: Option<String> },
    /// There are no steps left, so nothing may go on.
    Spent(Spent),
}

/// What went wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) range: Range,
    pub(super) wrong: Wrong,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::Value {
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Value {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// `who` takes something else than `found`.
    pub(super) fn takes(who: &str, expected: &str, found: &Value<'_>) -> Self {
        Self::new(format!(
            "`{who}` takes {expected}, found {}",
            found.kind().in_words()
        ))
    }

    pub(super) fn at(self, range: Range) -> Fault {
        Fault { range, wrong: self }
    }
}

impl From<Spent> for Wrong {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl From<Fault> for RunError {
    fn from(fault: Fault) -> Self {
        let (message, hint) = match fault.wrong {
            Wrong::Value { message, hint } => (message, hint),
            Wrong::Spent(Spent::Run) => (
                format!("the rule takes more than {RUN_STEPS_MAX} steps"),
                Some("look at fewer values, or narrow a loop with `filter` before the next one".to_owned()),
            ),
            Wrong::Spent(Spent::Commit) => (
                "the rules of this commit take too many steps together".to_owned(),
                Some("look at fewer values, or give a costly rule `scope = \"commit\"`".to_owned()),
            ),
        };
        Self {
            range: fault.range,
            message,
            hint,
        }
    }
}
