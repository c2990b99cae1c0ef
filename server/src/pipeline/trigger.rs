//! When the upstream is listed next.
//!
//! Invariant: a wake carries no data and wakes coalesce: whoever asked before a listing started is served by it.
//! Polling never stops; it only slows down while the upstream fails, or while webhooks prove that they are quicker.

use std::time::Duration;

use headwater_wire::CommitId;
use opentelemetry::trace::SpanContext;
use tokio::time::Instant;

use crate::forge::Expected;

/// Longest pause between two listings of an upstream that fails.
const BACKOFF_MAX: Duration = Duration::from_mins(15);

/// Shortest pause between two listings that requests force: a herd of unknown tokens must not become a herd of
/// connections to the upstream.
pub(crate) const FORCED_PAUSE: Duration = Duration::from_secs(2);

/// When the upstream is listed after a delivery, in seconds from it: forges send deliveries before what they speak of
/// can be read, above all where reads go to a replica.
const CHASE_SECONDS: [u64; 6] = [0, 1, 2, 4, 8, 15];

/// Shortest pause between two listings that deliveries cause, so that a storm of them causes one per second.
const CHASE_PAUSE: Duration = Duration::from_secs(1);

/// How many times longer the poll interval is while webhooks are well.
const STRETCH: u32 = 5;

/// Longest poll interval that webhooks can stretch to: what they miss is not missed for longer.
const STRETCHED_MAX: Duration = Duration::from_mins(10);

/// The poll interval while webhooks are well.
pub(crate) fn stretched(interval: Duration) -> Duration {
    interval.max(interval.saturating_mul(STRETCH).min(STRETCHED_MAX))
}

/// Where the last listing saw the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// At this commit.
    At(CommitId),
    /// Nowhere.
    Gone,
}

/// Listing again and again after a delivery until the upstream shows what it announced.
#[derive(Debug, Clone)]
pub(crate) struct Chase {
    /// When the delivery arrived.
    since: Instant,
    expected: Expected,
    /// What was seen before the delivery.
    before: Option<Seen>,
    /// The first of [`CHASE_SECONDS`] that is still to come.
    step: usize,
    /// Not before this.
    earliest: Instant,
    /// The trace of the delivery.
    origin: Option<SpanContext>,
}

impl Chase {
    /// After a delivery that arrived at `since`. `last` is the last listing that a delivery caused.
    pub(crate) fn new(
        since: Instant,
        expected: Expected,
        before: Option<Seen>,
        last: Option<Instant>,
    ) -> Self {
        Self {
            since,
            expected,
            before,
            step: 0,
            earliest: last.map_or(since, |last| last + CHASE_PAUSE),
            origin: None,
        }
    }

    /// The same, in the trace of the delivery.
    pub(crate) fn within(self, origin: Option<SpanContext>) -> Self {
        Self { origin, ..self }
    }

    /// The trace of the delivery.
    pub(crate) fn origin(&self) -> Option<&SpanContext> {
        self.origin.as_ref()
    }

    /// When to list next; never again if nothing is left.
    pub(crate) fn due(&self) -> Option<Instant> {
        let seconds = CHASE_SECONDS.get(self.step)?;
        Some((self.since + Duration::from_secs(*seconds)).max(self.earliest))
    }

    /// Takes note of a listing that started at `started`, whatever its reason was.
    pub(crate) fn listed(&mut self, started: Instant) {
        let Some(passed) = started.checked_duration_since(self.since) else {
            return;
        };
        self.earliest = started + CHASE_PAUSE;
        while CHASE_SECONDS
            .get(self.step)
            .is_some_and(|seconds| Duration::from_secs(*seconds) <= passed)
        {
            self.step += 1;
        }
    }

    /// Whether a listing showed what the delivery announced. Where it names a commit, only that commit will do: a
    /// branch that moved elsewhere may be an older push of two.
    pub(crate) fn is_answered_by(&self, seen: &Seen) -> bool {
        match &self.expected {
            Expected::At(commit) => matches!(seen, Seen::At(head) if head == commit),
            Expected::Gone => *seen == Seen::Gone,
            Expected::Change => self.before.as_ref() != Some(seen),
        }
    }
}

/// A random number from 0 to 1, drawn by the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jitter(pub f64);

/// Pause before the next listing. `failures` counts failed listings in a row.
///
/// A healthy upstream is asked every `interval` ± 20 %. A failing one is asked after 1, 2, 4, … times a short base,
/// at most every 15 minutes, spread by half so that many repositories of one host do not come back together.
pub(crate) fn pause(interval: Duration, failures: u32, jitter: Jitter) -> Duration {
    let unit = jitter.0.clamp(0.0, 1.0);
    if failures == 0 {
        return interval.mul_f64(0.8 + 0.4 * unit);
    }
    // The first retry comes soon: most failures are a restart of the other side.
    let base = interval.min(Duration::from_secs(5));
    let doubled = base.saturating_mul(1_u32 << failures.saturating_sub(1).min(20));
    doubled.min(BACKOFF_MAX.max(interval)).mul_f64(0.5 + 0.5 * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn a_healthy_upstream_is_asked_around_the_interval() {
        assert_eq!(pause(INTERVAL, 0, Jitter(0.0)), Duration::from_secs(24));
        assert_eq!(pause(INTERVAL, 0, Jitter(1.0)), Duration::from_secs(36));
    }

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// Seconds after the delivery at which the upstream is listed until `answer` says that it moved.
    fn chased(mut chase: Chase, start: Instant) -> Vec<u64> {
        let mut at = Vec::new();
        while let Some(due) = chase.due() {
            at.push(due.duration_since(start).as_secs());
            chase.listed(due);
        }
        at
    }

    #[test]
    fn after_a_delivery_the_upstream_is_listed_six_times_within_fifteen_seconds() {
        let now = Instant::now();
        let chase = Chase::new(now, Expected::Change, None, None);
        assert_eq!(chased(chase, now), [0, 1, 2, 4, 8, 15]);
    }

    #[test]
    fn a_delivery_right_after_a_listing_that_another_caused_waits_out_the_second() {
        let now = Instant::now();
        let chase = Chase::new(now, Expected::Change, None, Some(now));
        assert_eq!(chased(chase, now), [1, 2, 4, 8, 15]);
    }

    #[test]
    fn a_slow_listing_skips_the_steps_it_covers() {
        let now = Instant::now();
        let mut chase = Chase::new(now, Expected::Change, None, None);
        chase.listed(now + Duration::from_secs(5));
        assert_eq!(chased(chase, now), [8, 15]);
    }

    #[test]
    fn a_listing_that_started_before_the_delivery_does_not_count() {
        let now = Instant::now();
        let mut chase = Chase::new(now, Expected::Change, None, None);
        chase.listed(now.checked_sub(Duration::from_millis(1)).unwrap_or(now));
        assert_eq!(chase.due(), Some(now));
    }

    #[test]
    fn only_what_was_announced_ends_the_listing() {
        let now = Instant::now();
        let chase = |expected, before| Chase::new(now, expected, before, None);
        let (a, b) = (Seen::At(commit('a')), Seen::At(commit('b')));
        let at_b = chase(Expected::At(commit('b')), Some(a.clone()));
        assert!(at_b.is_answered_by(&b));
        assert!(!at_b.is_answered_by(&a));
        assert!(!at_b.is_answered_by(&Seen::At(commit('c'))));
        assert!(!at_b.is_answered_by(&Seen::Gone));
        assert!(chase(Expected::Gone, Some(a.clone())).is_answered_by(&Seen::Gone));
        assert!(!chase(Expected::Gone, Some(a.clone())).is_answered_by(&b));
        let change = chase(Expected::Change, Some(a.clone()));
        assert!(change.is_answered_by(&b));
        assert!(!change.is_answered_by(&a));
    }

    #[test]
    fn webhooks_stretch_the_poll_interval_up_to_ten_minutes_and_never_shorten_it() {
        for (interval, expected) in [(1, 5), (30, 150), (120, 600), (300, 600), (3_600, 3_600)] {
            let stretched = stretched(Duration::from_secs(interval));
            assert_eq!(stretched, Duration::from_secs(expected), "{interval}");
        }
    }

    #[test]
    fn a_failing_upstream_is_asked_less_and_less_but_never_given_up() {
        let full: Vec<u64> = (1..=12)
            .map(|n| pause(INTERVAL, n, Jitter(1.0)).as_secs())
            .collect();
        assert_eq!(full, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
        assert_eq!(pause(INTERVAL, u32::MAX, Jitter(1.0)), BACKOFF_MAX);
    }

    #[test]
    fn a_failing_upstream_is_never_asked_more_often_than_a_short_interval_says() {
        assert_eq!(
            pause(Duration::from_secs(1), 1, Jitter(1.0)),
            Duration::from_secs(1)
        );
        assert!(pause(Duration::from_secs(1), 1, Jitter(0.0)) >= Duration::from_millis(500));
    }
}
