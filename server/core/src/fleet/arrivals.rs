//! When the instances of a config came to run a version.
//!
//! Invariant: an instance came when it first said so, in the newest unbroken time that it ran the version; what is no
//! longer remembered is not guessed.

use headwater_wire::{CommitId, ConfigName, Timestamp};

use super::Fleet;
use super::liveness::{Uptime, liveness};
use crate::rollout::Liveness;

/// How a version came to the instances of a config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Instances that have the config, also those that were not heard of lately.
    pub instances: u64,
    /// When each of them that came to the version did, the earliest first.
    pub at: Vec<Timestamp>,
}

impl Fleet {
    /// How a version came to the instances that have a config now.
    pub fn arrivals(&self, config: &ConfigName, version: &CommitId, now: Uptime) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for (place, seat) in self.seats.get(config).into_iter().flatten() {
            let Some(entry) = self.entries.get(*place) else {
                continue;
            };
            let is_member = entry.reported.report.configs.get(config).is_some()
                && liveness(entry.presence, entry.silent_ms(now), self.heartbeat) != Liveness::Gone;
            if is_member {
                arrivals.instances += 1;
                arrivals.at.extend(seat.history.came_to(version));
            }
        }
        arrivals.at.sort_unstable();
        arrivals
    }
}
