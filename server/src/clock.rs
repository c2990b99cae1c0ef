//! The one place that reads the wall clock. Everything else is handed a [`Timestamp`].

use std::time::UNIX_EPOCH;

use headwater_wire::Timestamp;

/// The present moment by this machine's clock, which may jump: it is shown and recorded, and never decides an order.
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is wrong anyway; zero keeps the record readable.
    Timestamp(since_epoch.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}
