//! When the other side was last heard.
//!
//! Invariant: any byte counts, whichever layer reads it and whatever it means.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Shared between who reads bytes and who asks how long it has been silent.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// A byte arrived.
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
