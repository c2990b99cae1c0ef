//! Times in which nothing new is exposed.
//!
//! Invariant: a freeze only keeps back what would go forward. It never keeps anybody from going back. Its
//! clock is the service's alone: no instance is asked for the time.

use headwater_validators::rollout::{Freeze, WEEK_MINUTES};
use headwater_wire::Timestamp;

const MINUTE_MS: i64 = 60_000;
/// 1970-01-05T00:00:00Z, the first Monday of the count.
const FIRST_MONDAY_MS: i64 = 4 * 24 * 60 * MINUTE_MS;

/// When it ends, if it holds at `now`.
fn end(freeze: &Freeze, now: Timestamp) -> Option<Timestamp> {
    match *freeze {
        Freeze::Between { from, until } => (from <= now && now < until).then_some(until),
        Freeze::Weekly { from_minute, minutes } => {
            let minute = now.0.saturating_sub(FIRST_MONDAY_MS).div_euclid(MINUTE_MS);
            let week = i64::from(WEEK_MINUTES);
            let since = (minute - i64::from(from_minute)).rem_euclid(week);
            // One that never ends would be a stop and no freeze.
            let length = i64::from(minutes).min(week - 1);
            let left = length - since;
            (left > 0).then(|| Timestamp(now.0 - now.0.rem_euclid(MINUTE_MS) + left * MINUTE_MS))
        }
    }
}

/// When the last of the freezes that follow each other without a gap ends, if one holds at `now`.
pub(super) fn frozen_until(freezes: &[Freeze], now: Timestamp) -> Option<Timestamp> {
    let mut until = None;
    // Freezes that fill the week among themselves are left after one round, as if there were a gap.
    for _ in 0..=freezes.len() {
        let at = until.unwrap_or(now);
        match freezes.iter().filter_map(|freeze| end(freeze, at)).max() {
            Some(end) => until = Some(end),
            None => break,
        }
    }
    until
}
