//! What is worth a line in the log once in a while, however often it happens.
//!
//! Invariant: two lines are at least a pause apart, so whoever causes them at will fills no disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_mins(10);

/// When something was said last.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it may be said now; if so, it counts as said.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said.is_none_or(|said| now.duration_since(said) >= PAUSE);
        if is_due {
            *said = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_all_the_time_is_said_once_in_a_pause() {
        let (seldom, began) = (Seldom::default(), Instant::now());
        let at = |pause: Duration| seldom.is_due_at(began + pause);
        let said = [Duration::ZERO, PAUSE / 2, PAUSE, PAUSE, 2 * PAUSE].map(at);
        assert_eq!(said, [true, false, true, false, true]);
    }
}
