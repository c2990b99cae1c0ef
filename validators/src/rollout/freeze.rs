//! Times in which nothing new is exposed, as a manifest gives them.
//!
//! Invariant: a freeze ends. What is deliberately absent: the clock, and what a freeze keeps back.

use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

/// Minutes of a week.
pub const WEEK_MINUTES: u32 = 7 * 24 * 60;

/// One time in which nothing new is exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Once.
    Between {
        /// From this moment on.
        from: Timestamp,
        /// Until before this one.
        until: Timestamp,
    },
    /// Every week.
    Weekly {
        /// Minutes since Monday 00:00 UTC.
        from_minute: u32,
        /// For so many minutes, less than a week.
        minutes: u32,
    },
}

impl Freeze {
    /// Whether the weekly ones among them leave no minute of the week, so that nothing would ever be exposed.
    pub(crate) fn fill_the_week(freezes: &[Self]) -> bool {
        let mut spans: Vec<(u32, u32)> = freezes.iter().flat_map(Self::of_the_week).collect();
        spans.sort_unstable();
        let covered = spans.iter().try_fold(0, |covered, (from, until)| {
            (*from <= covered).then_some(covered.max(*until))
        });
        covered.is_some_and(|covered| covered >= WEEK_MINUTES)
    }

    /// The minutes it takes from and until, in a week that ends on Sunday; what goes on beyond that is a second span.
    fn of_the_week(&self) -> Vec<(u32, u32)> {
        let Self::Weekly { from_minute, minutes } = *self else {
            return Vec::new();
        };
        let until = from_minute + minutes;
        if until <= WEEK_MINUTES {
            vec![(from_minute, until)]
        } else {
            vec![(from_minute, WEEK_MINUTES), (0, until - WEEK_MINUTES)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekly(from_minute: u32, minutes: u32) -> Freeze {
        Freeze::Weekly { from_minute, minutes }
    }

    #[test]
    fn a_week_is_full_only_if_no_minute_of_it_is_left() {
        let days = |days: u32| days * 24 * 60;
        let first = weekly(days(5), days(4));
        assert!(!Freeze::fill_the_week(&[]));
        assert!(!Freeze::fill_the_week(std::slice::from_ref(&first)));
        assert!(Freeze::fill_the_week(&[first.clone(), weekly(days(2), days(3))]));
        assert!(!Freeze::fill_the_week(&[first, weekly(days(2), days(3) - 1)]));
    }
}
