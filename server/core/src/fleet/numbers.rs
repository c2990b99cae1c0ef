//! Which numbers of lives and of reports are believed.
//!
//! Invariant: above a number that is believed there is always a greater one that will be: a forged report cannot put
//! an instance where no honest life of it comes after. The clock on the wall decides this alone; it only has to be
//! right to a year. What is deliberately absent: who may speak for an instance.

use headwater_wire::Timestamp;

/// So far ahead of the service's clock a life may be numbered, in ms: clocks that are wrong by more are rare.
const AHEAD_MAX_MS: i64 = 366 * 24 * 60 * 60 * 1_000;
/// When this was written, in ms since 1970. A clock that shows an earlier time is not set.
const WRITTEN_MS: i64 = 1_767_225_600_000;
/// What is believed while the clock is not set: any time of this century, in ms since 1970.
const UNSET_MAX_MS: i64 = 4_102_444_800_000;
/// Reports of one life that may have gone unheard: one each second, for thirty years.
const UNHEARD_MAX: u64 = 1_000_000_000;

/// A number that nobody can have come to by counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// Of a life.
    #[error("no life of an instance can have come to this number yet: {0}")]
    Incarnation(u64),
    /// Of a report.
    #[error("no instance can have sent so many reports since it was last heard: {0}")]
    Seq(u64),
}

impl Implausible {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Incarnation(_) => {
                "number lives by the time of their start in ms since 1970, or from 1; if that is done, compare the \
                 clocks of the instance and of the service"
            }
            Self::Seq(_) => "count the reports of each life from 1",
        }
    }
}

/// Whether a life can have this number.
pub(super) fn check_incarnation(incarnation: u64, now: Timestamp) -> Result<(), Implausible> {
    let max_ms = if now.0 < WRITTEN_MS {
        UNSET_MAX_MS
    } else {
        now.0.saturating_add(AHEAD_MAX_MS)
    };
    if i64::try_from(incarnation).is_ok_and(|number| number <= max_ms) {
        return Ok(());
    }
    Err(Implausible::Incarnation(incarnation))
}

/// Whether a report can have this number in a life of which `newest` was heard, if any was.
pub(super) fn check_seq(seq: u64, newest: Option<u64>) -> Result<(), Implausible> {
    if seq <= newest.unwrap_or(0).saturating_add(UNHEARD_MAX) {
        return Ok(());
    }
    Err(Implausible::Seq(seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26.
    const NOW: Timestamp = Timestamp(1_795_651_200_000);
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    fn is_believed(ms: i64, now: Timestamp) -> bool {
        check_incarnation(u64::try_from(ms).unwrap(), now).is_ok()
    }

    #[test]
    fn lives_are_numbered_by_a_clock_that_may_be_months_ahead_or_from_one() {
        assert!(is_believed(1, NOW));
        assert!(is_believed(NOW.0 + 300 * DAY_MS, NOW));
        assert!(!is_believed(NOW.0 + 400 * DAY_MS, NOW));
        assert_eq!(
            check_incarnation((1 << 53) - 1, NOW).unwrap_err(),
            Implausible::Incarnation((1 << 53) - 1)
        );
        assert!(check_incarnation(u64::MAX, NOW).is_err());
    }

    #[test]
    fn a_service_whose_clock_is_not_set_believes_every_clock_that_is() {
        for unset in [Timestamp(0), Timestamp(-DAY_MS)] {
            assert!(is_believed(NOW.0 + 20 * 365 * DAY_MS, unset));
            assert!(check_incarnation((1 << 53) - 1, unset).is_err());
        }
    }

    #[test]
    fn reports_are_counted_without_leaps() {
        assert_eq!(check_seq(1, None), Ok(()));
        assert_eq!(check_seq(31_000_000, None), Ok(()));
        assert_eq!(
            check_seq((1 << 53) - 1, None),
            Err(Implausible::Seq((1 << 53) - 1))
        );
        let far = 5 * UNHEARD_MAX;
        assert_eq!(check_seq(far + 1, Some(far)), Ok(()));
        assert!(check_seq(far + 1, Some(1)).is_err());
    }
}
