//! How long to wait before the next attempt; pure, so that its laws are tested without waiting.
//!
//! Invariant: equal seeds give equal delays. What is deliberately absent: a clock and a source of randomness.

use std::time::Duration;

/// Ceiling of the first delay.
const FIRST: Duration = Duration::from_millis(500);
/// Ceiling of every later delay.
const CEILING: Duration = Duration::from_mins(1);
/// Longest `Retry-After` that is believed, so that one wrong answer cannot silence a client for days.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// A seeded stream of fractions (`SplitMix64`). Not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// A stream that depends on nothing but the seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, which depends on nothing but this one's place.
    #[must_use]
    pub fn split(&mut self) -> Self {
        self.fraction();
        Self(self.0.rotate_left(17))
    }

    /// The next fraction, at least 0 and less than 1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let top = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(top) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Full-jitter exponential back-off: uniform between 0 and a ceiling which doubles from 0.5 s to 60 s.
#[derive(Debug, Clone)]
pub struct Backoff {
    attempt: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Starts before the first failure.
    pub fn new(jitter: Jitter) -> Self {
        Self { attempt: 0, jitter }
    }

    /// The delay after one more failure. A `Retry-After` is a floor, and jitter is added to it, so that clients
    /// that were sent away together do not come back together.
    pub fn next_delay(&mut self, retry_after: Option<Duration>) -> Duration {
        let ceiling = CEILING.min(FIRST.saturating_mul(1 << self.attempt.min(7)));
        self.attempt = self.attempt.saturating_add(1);
        let jittered = ceiling.mul_f64(self.jitter.fraction());
        retry_after.unwrap_or_default().min(RETRY_AFTER_MAX) + jittered
    }

    /// A delay at random below `over`, which does not count as a failure.
    pub(crate) fn spread(&mut self, over: Duration) -> Duration {
        over.mul_f64(self.jitter.fraction())
    }

    /// The other side answered: the next failure is a first one.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// Answers that may come without a pause.
const BURST: u32 = 3;
/// Time in which one more answer may come.
const REFILL: Duration = Duration::from_secs(5);

/// Token bucket which keeps a long poll from turning into a busy loop when an answer comes at once again and again.
#[derive(Debug, Clone)]
pub struct Pace {
    spent: Duration,
}

impl Pace {
    /// A full bucket.
    pub fn new() -> Self {
        Self {
            spent: Duration::ZERO,
        }
    }

    /// How long to wait before the next call, after one that took `took`.
    pub fn after(&mut self, took: Duration) -> Duration {
        self.spent = self.spent.saturating_sub(took) + REFILL;
        let wait = self.spent.saturating_sub(REFILL * BURST);
        self.spent -= wait;
        wait
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling_and_equal_seeds_agree(seed: u64, failures in 1_usize..40) {
            let mut one = Backoff::new(Jitter::seeded(seed));
            let mut two = one.clone();
            for attempt in 0..failures {
                let delay = one.next_delay(None);
                let ceiling = Duration::from_millis(500 << attempt.min(7)).min(CEILING);
                prop_assert!(delay < ceiling, "attempt {attempt}: {delay:?}");
                prop_assert_eq!(delay, two.next_delay(None));
            }
        }

        #[test]
        fn a_retry_after_is_a_floor_but_not_a_trap(seed: u64, asked in 0_u64..1_000_000) {
            let delay = Backoff::new(Jitter::seeded(seed)).next_delay(Some(Duration::from_secs(asked)));
            prop_assert!(delay >= Duration::from_secs(asked).min(RETRY_AFTER_MAX));
            prop_assert!(delay < RETRY_AFTER_MAX + FIRST);
        }

        #[test]
        fn fractions_lie_between_zero_and_one(seed: u64) {
            let mut jitter = Jitter::seeded(seed);
            for _ in 0..100 {
                prop_assert!((0.0..1.0).contains(&jitter.fraction()));
            }
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let mut jitter = Jitter::seeded(1);
        let mean = (0..10_000).map(|_| jitter.fraction()).sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
    }

    #[test]
    fn a_success_starts_the_series_again() {
        let mut backoff = Backoff::new(Jitter::seeded(7));
        for _ in 0..10 {
            backoff.next_delay(None);
        }
        backoff.reset();
        assert!(backoff.next_delay(None) < FIRST);
    }

    #[test]
    fn answers_that_come_at_once_are_slowed_after_a_burst_of_three() {
        let mut pace = Pace::new();
        let waits: Vec<u64> = (0..5).map(|_| pace.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 5, 5]);
        assert_eq!(pace.after(Duration::from_secs(50)), Duration::ZERO);
    }
}
