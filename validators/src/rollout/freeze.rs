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
        is_covered(
            (0, WEEK_MINUTES),
            freezes.iter().flat_map(Self::of_the_week).collect(),
        )
    }

    /// Whether some freezes of its own kind leave no moment of it.
    pub(super) fn is_kept_by(&self, freezes: &[Self]) -> bool {
        let weekly: Vec<_> = freezes.iter().flat_map(Self::of_the_week).collect();
        let mut own = self.of_the_week().into_iter();
        own.all(|span| is_covered(span, weekly.clone()))
            && self
                .once()
                .is_none_or(|span| is_covered(span, freezes.iter().filter_map(Self::once).collect()))
    }

    /// From when until when it is, if that is once.
    fn once(&self) -> Option<(Timestamp, Timestamp)> {
        match *self {
            Self::Between { from, until } => Some((from, until)),
            Self::Weekly { .. } => None,
        }
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

/// Whether spans, each from and until, leave nothing of a time between them.
fn is_covered<T: Ord + Copy>((from, until): (T, T), mut spans: Vec<(T, T)>) -> bool {
    spans.sort_unstable();
    let reached = spans.iter().fold(from, |reached, (from, until)| {
        if *from <= reached {
            reached.max(*until)
        } else {
            reached
        }
    });
    reached >= until
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

    #[test]
    fn a_freeze_is_kept_by_longer_ones_and_by_some_that_follow_each_other() {
        let once = |from: &str, until: &str| Freeze::Between {
            from: from.parse().unwrap(),
            until: until.parse().unwrap(),
        };
        let christmas = once("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z");
        let (first, second) = (
            once("2026-12-20T00:00:00Z", "2026-12-25T00:00:00Z"),
            once("2026-12-25T00:00:00Z", "2027-01-01T00:00:00Z"),
        );
        assert!(christmas.is_kept_by(&[second.clone(), first.clone()]));
        assert!(!christmas.is_kept_by(&[first]) && !christmas.is_kept_by(&[second]));
        let over_sunday = weekly(WEEK_MINUTES - 60, 120);
        assert!(over_sunday.is_kept_by(&[weekly(WEEK_MINUTES - 90, 180)]));
        assert!(over_sunday.is_kept_by(&[weekly(0, 60), weekly(WEEK_MINUTES - 60, 60)]));
        assert!(!over_sunday.is_kept_by(&[weekly(WEEK_MINUTES - 60, 119)]));
        assert!(!over_sunday.is_kept_by(&[christmas]));
    }
}
