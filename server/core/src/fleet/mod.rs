//! The newest report of every instance, and what is known of it beside.
//!
//! Invariant: which of two reports of one instance is newer follows from `(incarnation, seq)` alone. Silence decides
//! only who is live, and whose place may be taken when there is no more room. Everything kept has a limit. The members
//! of a config are found without looking at anybody else. What is deliberately absent: a disk, and what an instance
//! should hold.

mod filter;
mod liveness;
mod places;
mod seat;
mod tidy;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use headwater_wire::{ConfigName, Generation, InstanceId, InstanceReport, InstanceView};

pub use self::filter::InstanceFilter;
pub use self::liveness::{Heartbeat, Moment, Uptime};
use self::liveness::{Presence, liveness, silent_ms};
use self::places::{Place, Places};
use self::seat::Seat;
pub use self::tidy::{CLIENT_BYTES_MAX, MESSAGE_BYTES_MAX};
use self::tidy::{tidy, weight};
use crate::rollout::Member;

/// Instances remembered of one repository.
pub const INSTANCES_MAX: usize = 100_000;
/// Bytes that all reports of one repository take together, by a measure that is about right: about a dozen configs
/// each for a full fleet.
pub const REPORTS_BYTES_MAX: usize = 512 << 20;
/// After so long without a word an instance gives way to another when there is no more room, in ms.
pub const SILENCE_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// Configs of one report.
pub const REPORT_CONFIGS_MAX: usize = 256;
/// Instances one listing looks at; a filter that matches few would otherwise hold up every report meanwhile.
pub const LISTING_SCAN_MAX: usize = 10_000;

/// The newest report of every instance of one repository.
#[derive(Debug, Default)]
pub struct Fleet {
    heartbeat: Heartbeat,
    ids: BTreeMap<InstanceId, Place>,
    entries: Places<Entry>,
    /// Who has, or had in the life before, which config.
    seats: BTreeMap<ConfigName, BTreeMap<Place, Seat>>,
    bytes: usize,
    /// Nobody can have been silent for long enough before this moment, so there is no use in looking.
    sweep_from: Option<Uptime>,
}

#[derive(Debug)]
struct Entry {
    view: Arc<InstanceView>,
    heard: Moment,
    presence: Presence,
    /// Configs of the life before that this one has not named yet: it may only just have begun.
    carried: BTreeSet<ConfigName>,
    bytes: usize,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest one now.
    Newer,
    /// It was taken before.
    Again,
    /// A newer one was taken before; it counts for nothing.
    Older,
}

/// There is no room for one more instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another instance: {instances} are remembered")]
pub struct FleetFull {
    /// Instances remembered.
    pub instances: usize,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Instances that match, by id.
    pub instances: Vec<Arc<InstanceView>>,
    /// The last instance that was looked at, if there are more behind it.
    pub next: Option<InstanceId>,
}

impl Fleet {
    /// Nobody yet. Instances are asked to report as `heartbeat` says.
    pub fn new(heartbeat: Heartbeat) -> Self {
        Self {
            heartbeat,
            ..Self::default()
        }
    }

    /// How often instances report.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat
    }

    /// Takes a report, if it is the newest of its instance, and says which one is the newest now.
    pub fn take(
        &mut self,
        instance: &InstanceId,
        report: InstanceReport,
        now: Moment,
    ) -> Result<(Taken, Arc<InstanceView>), FleetFull> {
        let order = |report: &InstanceReport| (report.incarnation, report.seq);
        let place = self.ids.get(instance).copied();
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            let newest = order(&entry.view.report);
            if order(&report) < newest {
                return Ok((Taken::Older, entry.view.clone()));
            }
            entry.heard = now;
            entry.presence = Presence::Heard;
            if order(&report) == newest {
                return Ok((Taken::Again, entry.view.clone()));
            }
        }
        let report = tidy(report);
        let bytes = weight(instance, &report);
        self.make_room(instance, bytes, now.uptime)?;
        let view = Arc::new(InstanceView {
            instance: instance.clone(),
            reported_at: now.at,
            report,
        });
        let entry = Entry {
            view: view.clone(),
            heard: now,
            presence: Presence::Heard,
            carried: BTreeSet::new(),
            bytes,
        };
        self.put(entry);
        Ok((Taken::Newer, view))
    }

    /// Notes that an instance was given a directive: from now on its restarts are this one's.
    pub fn told(&mut self, instance: &InstanceId, config: &ConfigName, generation: Generation) {
        let place = self.ids.get(instance);
        let seats = self.seats.get_mut(config);
        if let Some(seat) = seats.zip(place).and_then(|(seats, place)| seats.get_mut(place)) {
            seat.give(generation);
        }
    }

    /// The newest report of one instance.
    pub fn get(&self, instance: &InstanceId) -> Option<&Arc<InstanceView>> {
        self.entry(instance).map(|entry| &entry.view)
    }

    /// The instances that have a config, in no particular order.
    pub fn members<'a>(
        &'a self,
        config: &ConfigName,
        now: Uptime,
    ) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let seats = self.seats.get_key_value(config).into_iter();
        let seats =
            seats.flat_map(|(config, seats)| seats.iter().map(move |(place, seat)| (config, place, seat)));
        seats.filter_map(move |(config, place, seat)| {
            let entry = self.entries.get(*place)?;
            let silent_ms = entry.silent_ms(now);
            Some(Member {
                instance: &entry.view.instance,
                labels: &entry.view.report.labels,
                report: entry.view.report.configs.get(config)?,
                liveness: liveness(entry.presence, silent_ms, self.heartbeat)?,
                silent_ms,
                told: seat.told,
                restarts: seat.restarts,
            })
        })
    }

    /// Instances behind `after` that match, at most `limit`. A page may be shorter although more follow.
    pub fn list(&self, filter: &InstanceFilter, after: Option<&InstanceId>, limit: usize) -> Listing {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.ids.range::<InstanceId, _>((from, Bound::Unbounded));
        let mut listing = Listing::default();
        let mut last = None;
        for (instance, place) in rest.by_ref().take(LISTING_SCAN_MAX) {
            last = Some(instance);
            let shown = self
                .entries
                .get(*place)
                .filter(|entry| filter.matches(&entry.view.report));
            listing.instances.extend(shown.map(|entry| entry.view.clone()));
            if listing.instances.len() >= limit {
                break;
            }
        }
        if rest.next().is_some() {
            listing.next = last.cloned();
        }
        listing
    }

    /// Number of instances remembered.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nobody has reported yet.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn entry(&self, instance: &InstanceId) -> Option<&Entry> {
        self.entries.get(*self.ids.get(instance)?)
    }

    /// Puts the entry of an instance in the place of the one before, with its seats.
    fn put(&mut self, mut entry: Entry) {
        let view = entry.view.clone();
        self.bytes += entry.bytes;
        let place = match self.ids.get(&view.instance).copied() {
            Some(place) => {
                self.follow(place, &mut entry);
                if let Some(before) = self.entries.get_mut(place) {
                    self.bytes -= before.bytes;
                    *before = entry;
                }
                place
            }
            None => {
                let place = self.entries.add(entry);
                self.ids.insert(view.instance.clone(), place);
                place
            }
        };
        for (config, report) in &view.report.configs {
            let seats = self.seats.entry(config.clone()).or_default();
            seats.entry(place).or_default().hear(report);
        }
    }

    /// What of the entry in `place` goes on in the one that takes its place. A new life keeps the seats of the one
    /// before for as long as it has not named others; in one life, what is no longer named is over.
    fn follow(&mut self, place: Place, entry: &mut Entry) {
        let Some(before) = self.entries.get(place) else {
            return;
        };
        let (old, new) = (&before.view.report, &entry.view.report);
        let is_new_life = new.incarnation > old.incarnation;
        let named = old.configs.keys().map(|config| (config, is_new_life));
        let carried = before.carried.iter().map(|config| (config, !is_new_life));
        for (config, goes_on) in named.chain(carried) {
            let seat = self.seats.get_mut(config).and_then(|seats| seats.get_mut(&place));
            if let Some(seat) = seat.filter(|_| is_new_life) {
                seat.restart();
            }
            if new.configs.contains_key(config) {
                continue;
            }
            if goes_on {
                entry.carried.insert(config.clone());
            } else {
                vacate(&mut self.seats, config, place);
            }
        }
    }

    /// Lets an instance go.
    fn forget(&mut self, instance: &InstanceId) {
        let Some(place) = self.ids.remove(instance) else {
            return;
        };
        if let Some(entry) = self.entries.remove(place) {
            self.bytes -= entry.bytes;
            for config in entry.view.report.configs.keys().chain(&entry.carried) {
                vacate(&mut self.seats, config, place);
            }
        }
    }

    /// Lets those go that have been silent for long, if that is what it takes.
    fn make_room(&mut self, instance: &InstanceId, bytes: usize, now: Uptime) -> Result<(), FleetFull> {
        if self.has_room(instance, bytes) {
            return Ok(());
        }
        if self.sweep_from.is_none_or(|from| from <= now) {
            self.sweep(now);
        }
        if self.has_room(instance, bytes) {
            return Ok(());
        }
        Err(FleetFull {
            instances: self.ids.len(),
        })
    }

    fn has_room(&self, instance: &InstanceId, bytes: usize) -> bool {
        let before = self.entry(instance);
        let count = self.ids.len() + usize::from(before.is_none());
        let freed = before.map_or(0, |entry| entry.bytes);
        count <= INSTANCES_MAX && self.bytes - freed + bytes <= REPORTS_BYTES_MAX
    }

    fn sweep(&mut self, now: Uptime) {
        let is_over = |entry: &&Entry| entry.silent_ms(now) > SILENCE_MAX_MS;
        let over: Vec<InstanceId> = self
            .entries
            .iter()
            .filter(is_over)
            .map(|entry| entry.view.instance.clone())
            .collect();
        for instance in &over {
            self.forget(instance);
        }
        let longest = self.entries.iter().map(|entry| entry.silent_ms(now)).max();
        let rest_ms = longest.map(|silent_ms| SILENCE_MAX_MS.saturating_sub(silent_ms).saturating_add(1));
        self.sweep_from = rest_ms.map(|rest_ms| Uptime(now.0.saturating_add(rest_ms)));
    }
}

impl Entry {
    fn silent_ms(&self, now: Uptime) -> u64 {
        silent_ms(self.presence, self.heard.uptime, now)
    }
}

/// Takes a seat away.
fn vacate(seats: &mut BTreeMap<ConfigName, BTreeMap<Place, Seat>>, config: &ConfigName, place: Place) {
    let Some(of_config) = seats.get_mut(config) else {
        return;
    };
    of_config.remove(&place);
    if of_config.is_empty() {
        seats.remove(config);
    }
}

#[cfg(test)]
mod tests;
