//! Webhooks: what each forge sends, signed as it signs, and what comes of it.
//!
//! Invariant: polling is off in these tests (an hour) unless a test says otherwise, so that whatever happens was
//! caused by a delivery.

mod answers;
mod effects;
mod sent;

pub(crate) use sent::{SECRET, Sent, group_of, hook, outcome, pull_of, push_of};
