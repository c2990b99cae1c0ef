//! The one place that reads the wall clock. Everything else is handed a [`Timestamp`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_wire::Timestamp;

/// The present moment by this machine's clock, which may jump: it is shown and recorded, and never decides an order.
pub fn now() -> Timestamp {
    let since_epoch = exact().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway; zero keeps the record readable.
    Timestamp(since_epoch.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

/// The same, as exact as the machine tells it: for what is measured in less than a millisecond.
pub(crate) fn exact() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    SystemTime::now()
}

/// A moment that was recorded, among those that are exact.
pub(crate) fn exactly(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
