//! Waiting for a state, never for a time.
//!
//! Invariant: a wait looks at the world again and again (level-triggered) and ends with a panic that names what never
//! came. How long it may take is no statement about the service; it only bounds a test that has failed.

use std::time::{Duration, Instant};

/// Longest wait for anything. Machines that run many tests at once are slow.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something, and returns it.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Looks until `is` says yes.
#[track_caller]
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    wait_for(what, || is().then_some(()));
}
