//! What of a fleet outlives the process.
//!
//! It is a copy that shares with the fleet what many say alike, so that it is made quickly, and so that whoever writes it
//! down can write such things once. How it is written is the business of whoever does.
//!
//! Invariant: whom an earlier process heard is stale until it is heard again, and lost only after it has had the same
//! time as everybody to be heard by this one, unless it was lost before.

use std::ops::Bound;
use std::sync::Arc;

use headwater_wire::{ConfigName, Generation, InstanceId, Timestamp};

use super::held::HeldReport;
use super::history::{History, Past};
use super::liveness::{Moment, Presence, Uptime};
use super::numbers::check_incarnation;
use super::seat::Seat;
use super::tidy::tidy;
use super::{Entry, Fleet, FleetFull, Reported};

/// One instance, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptInstance {
    /// Who.
    pub instance: InstanceId,
    /// When its newest report was taken.
    pub reported_at: Timestamp,
    /// When it was last heard.
    pub heard_at: Timestamp,
    /// For how long it had been silent, in ms.
    pub silent_ms: u64,
    /// Whether it had said that it ends.
    pub gone: bool,
    /// Its newest report.
    pub report: HeldReport,
    /// What is remembered of each config.
    pub seats: Vec<KeptSeat>,
}

/// What is remembered of one config of an instance, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSeat {
    /// The config.
    pub config: ConfigName,
    /// Number of the newest directive that was given.
    pub told: Generation,
    /// Restarts since then.
    pub restarts: u32,
    /// What ran, the newest first.
    pub history: Vec<Past>,
}

impl Fleet {
    /// The instances behind `after`, at most `limit`, as they are kept.
    pub fn kept(&self, after: Option<&InstanceId>, limit: usize, now: Uptime) -> Vec<KeptInstance> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.ids.range::<InstanceId, _>((from, Bound::Unbounded));
        let entries = rest.filter_map(|(_, place)| Some((place, self.entries.get(*place)?)));
        let kept = entries.take(limit).map(|(place, entry)| {
            let seat = |config: &ConfigName| {
                let seat = self.seats.get(config)?.get(place)?;
                Some(KeptSeat {
                    config: config.clone(),
                    told: seat.told,
                    restarts: seat.restarts,
                    history: seat.history.newest_first().cloned().collect(),
                })
            };
            KeptInstance {
                instance: entry.reported.instance.clone(),
                reported_at: entry.reported.reported_at,
                heard_at: entry.heard.at,
                silent_ms: entry.silent_ms(now),
                gone: entry.presence == Presence::Gone,
                report: entry.reported.report.clone(),
                seats: entry.configs().filter_map(seat).collect(),
            }
        });
        kept.collect()
    }

    /// Remembers an instance that an earlier process heard. One that was heard since is left alone, and so is one whose
    /// numbers are not believed.
    pub fn recall(&mut self, kept: KeptInstance, now: Uptime) -> Result<(), FleetFull> {
        if self.ids.contains_key(&kept.instance) {
            return Ok(());
        }
        if check_incarnation(kept.report.incarnation, kept.reported_at).is_err() {
            return Ok(());
        }
        let report = tidy(kept.report.told());
        self.make_room(&kept.instance, &report, now)?;
        let report = self.shared(report);
        let is_lost = kept.silent_ms >= self.heartbeat.lost_after_ms;
        let presence = if kept.gone {
            Presence::Gone
        } else {
            Presence::Remembered {
                lost_ms: is_lost.then_some(kept.silent_ms),
            }
        };
        let named = |config: &ConfigName| report.configs.contains_key(config);
        let carried = kept.seats.iter().map(|seat| &seat.config);
        let carried = carried.filter(|config| !named(config)).cloned().collect();
        let configs: Vec<ConfigName> = report.configs.keys().cloned().collect();
        let place = self.entries.add(Entry {
            reported: Arc::new(Reported {
                instance: kept.instance.clone(),
                reported_at: kept.reported_at,
                report: self.pools.hold(&report, None),
            }),
            heard: Moment {
                at: kept.heard_at,
                uptime: now,
            },
            presence,
            carried,
        });
        if presence == Presence::Gone {
            self.leavers.gone.insert(place);
        }
        self.ids.insert(kept.instance, place);
        for config in configs {
            self.seats.entry(config).or_default().entry(place).or_default();
            self.seats_len += 1;
        }
        for kept in kept.seats {
            let mut history = History::default();
            for ran in kept.history.iter().rev() {
                history.recall(ran, &mut self.archive);
            }
            let seat = Seat {
                told: kept.told,
                restarts: kept.restarts,
                history,
            };
            let before = self.seats.entry(kept.config).or_default().insert(place, seat);
            match before {
                Some(before) => before.history.drop_from(&mut self.archive),
                None => self.seats_len += 1,
            }
        }
        Ok(())
    }
}
