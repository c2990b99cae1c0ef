//! Whether an instance was heard of lately.
//!
//! Invariant: silence is measured by a clock that never steps, and only while there was somebody to hear: neither a
//! step of the clock on the wall nor a service that was down makes anybody live or lost.

use headwater_wire::Timestamp;

use crate::rollout::Liveness;

/// For how long the service has been running, in ms, by a clock that never steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub u64);

impl Uptime {
    /// How much later than `earlier` it is, in ms; nothing if it is not.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A moment, twice: as people read it, and as time is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// By the clock on the wall, which may step: it is shown, and decides nothing.
    pub at: Timestamp,
    /// By the clock that never steps.
    pub uptime: Uptime,
}

/// How often instances report, and when one that does not is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often an instance reports while nothing changes, in ms.
    pub every_ms: u64,
    /// Silence after which it is lost, in ms.
    pub lost_after_ms: u64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            every_ms: 30_000,
            lost_after_ms: 300_000,
        }
    }
}

impl Heartbeat {
    /// Longest silence of a live instance, in ms: two reports may be lost, and the third late.
    pub fn live_ms(self) -> u64 {
        self.every_ms.saturating_mul(5) / 2
    }
}

/// What is known of the presence of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It was heard by this process.
    Heard,
    /// An earlier process of the service heard it, and it had been silent for so long, in ms, if it was lost even then.
    Remembered { lost_ms: Option<u64> },
    /// It has said that it ends.
    Gone,
}

/// For how long an instance that was heard, or remembered, at `since` has been silent, in ms.
pub(super) fn silent_ms(presence: Presence, since: Uptime, now: Uptime) -> u64 {
    let before_ms = match presence {
        Presence::Remembered { lost_ms } => lost_ms.unwrap_or_default(),
        Presence::Heard | Presence::Gone => 0,
    };
    now.ms_since(since).saturating_add(before_ms)
}

/// What that silence means.
pub(super) fn liveness(presence: Presence, silent_ms: u64, heartbeat: Heartbeat) -> Liveness {
    if presence == Presence::Gone {
        return Liveness::Gone;
    }
    if silent_ms >= heartbeat.lost_after_ms {
        return Liveness::Lost;
    }
    if presence == Presence::Heard && silent_ms <= heartbeat.live_ms() {
        return Liveness::Live;
    }
    Liveness::Stale
}
