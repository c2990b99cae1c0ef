//! How often somebody may do something: a bucket of tokens for each, which fills again by itself.
//!
//! Invariant: within any minute nobody does it more than twice as often as the rate says, and over a long time no more often
//! than that. A bucket that is full again is forgotten, so that the table follows how much is done and not how many ever
//! did it. Pure: the time is given.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a rate is counted over, and the time in which an empty bucket is full again.
const MINUTE: Duration = Duration::from_mins(1);
/// Buckets that are looked through for full ones at the earliest.
const SWEEP_LEN: usize = 1_024;
/// Most buckets. Beyond it (a hundred thousand spend at once), who is new is not counted: the limit of its caller holds.
const BUCKETS_MAX: usize = 200_000;

/// So many within a minute, all at once if it must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(NonZeroU32);

impl Rate {
    /// None of 0, which is no limit.
    pub(super) fn new(per_minute: u32) -> Option<Self> {
        NonZeroU32::new(per_minute).map(Self)
    }

    pub(super) fn per_minute(self) -> u32 {
        self.0.get()
    }

    /// Takes one out of a bucket that is full again at `full_at`. Tells when it then will be, or how long to wait.
    fn take(self, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let missing = full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        let missing = missing + MINUTE / self.0.get();
        match missing.checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => Ok(now + missing),
        }
    }
}

/// Buckets of all who did it lately.
#[derive(Debug)]
pub(super) struct Buckets<K>(Mutex<Table<K>>);

#[derive(Debug)]
struct Table<K> {
    full_at: HashMap<K, Instant>,
    /// So many are there when they are looked through next.
    sweep_at: usize,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            full_at: HashMap::new(),
            sweep_at: SWEEP_LEN,
        }))
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes one out of the bucket of `key`.
    ///
    /// # Errors
    /// It is empty: how long to wait until there is one.
    pub(super) fn take(&self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.full_at.get(&key).copied();
        let full_at = rate.take(known, now)?;
        if known.is_none() && table.full_at.len() >= table.sweep_at {
            table.full_at.retain(|_, full_at| *full_at > now);
            table.full_at.shrink_to(SWEEP_LEN);
            table.sweep_at = SWEEP_LEN.max(2 * table.full_at.len());
        }
        if known.is_some() || table.full_at.len() < BUCKETS_MAX {
            table.full_at.insert(key, full_at);
        }
        Ok(())
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .full_at
            .len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_minute: u32) -> Rate {
        Rate::new(per_minute).unwrap()
    }

    #[test]
    fn who_has_spent_a_minutes_worth_waits_for_one_and_no_longer() {
        let (buckets, rate) = (Buckets::default(), rate(60));
        let mut now = Instant::now();
        for _ in 0..60 {
            buckets.take("a", rate, now).unwrap();
        }
        assert_eq!(buckets.take("a", rate, now), Err(SECOND));
        buckets.take("b", rate, now).unwrap();
        now += SECOND / 2;
        assert_eq!(buckets.take("a", rate, now), Err(SECOND / 2));
        now += SECOND / 2;
        buckets.take("a", rate, now).unwrap();
        assert_eq!(buckets.take("a", rate, now), Err(SECOND));
    }

    #[test]
    fn who_keeps_to_the_rate_never_waits() {
        let (buckets, rate) = (Buckets::default(), rate(60));
        let mut now = Instant::now();
        for _ in 0..1_000 {
            buckets.take("a", rate, now).unwrap();
            now += SECOND;
        }
    }

    #[test]
    fn refusals_cost_nothing() {
        let (buckets, rate) = (Buckets::default(), rate(1));
        let mut now = Instant::now();
        buckets.take("a", rate, now).unwrap();
        for _ in 0..1_000 {
            buckets.take("a", rate, now).unwrap_err();
        }
        now += MINUTE;
        buckets.take("a", rate, now).unwrap();
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let (buckets, rate) = (Buckets::default(), rate(600));
        let mut now = Instant::now();
        for name in 0..100_000_u32 {
            buckets.take(name, rate, now).unwrap();
            now += Duration::from_millis(1);
        }
        assert!(buckets.len() <= 2 * SWEEP_LEN, "{}", buckets.len());
    }
}
