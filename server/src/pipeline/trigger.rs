//! When the upstream is listed next.
//!
//! Invariant: a wake carries no data and wakes coalesce: whoever asked before a listing started is served by it.
//! Polling never stops; it only slows down while the upstream fails.

use std::time::Duration;

/// Longest pause between two listings of an upstream that fails.
const BACKOFF_MAX: Duration = Duration::from_mins(15);

/// Shortest pause between two listings that requests force: a herd of unknown tokens must not become a herd of
/// connections to the upstream.
pub(crate) const FORCED_PAUSE: Duration = Duration::from_secs(2);

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
