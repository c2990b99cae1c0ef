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

/// Shortest time between two lines that say the same.
const SAME_PAUSE: Duration = Duration::from_mins(1);
/// Most different lines within it; strangers may have a hand in what they say.
const SAME_MAX: usize = 16;

/// When each of several things was said last.
#[derive(Debug, Default)]
pub(crate) struct SeldomOf(Mutex<Vec<(String, Instant)>>);

impl SeldomOf {
    /// Whether it may be said now; if so, it counts as said.
    pub(crate) fn is_due(&self, what: &str) -> bool {
        self.is_due_at(what, Instant::now())
    }

    fn is_due_at(&self, what: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(_, at)| now.duration_since(*at) < SAME_PAUSE);
        let is_due = said.len() < SAME_MAX && said.iter().all(|(before, _)| before != what);
        if is_due {
            said.push((what.to_owned(), now));
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

    #[test]
    fn what_differs_is_said_each_and_not_without_end() {
        let (seldom, now) = (SeldomOf::default(), Instant::now());
        assert!(seldom.is_due_at("a", now) && seldom.is_due_at("b", now));
        assert!(!seldom.is_due_at("a", now));
        let said = (0..100).filter(|number| seldom.is_due_at(&number.to_string(), now));
        assert_eq!(said.count(), SAME_MAX - 2);
        assert!(seldom.is_due_at("a", now + SAME_PAUSE));
    }
}
