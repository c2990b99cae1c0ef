//! The newest report of every instance, and what is known of it beside.
//!
//! Invariant: which of two reports of one instance is newer follows from `(incarnation, seq)` alone. Silence decides
//! only who is live, and whose place may be taken when there is no more room. Everything kept has a limit. The members
//! of a config are found without looking at anybody else. What is deliberately absent: a disk, and what an instance
//! should hold.

mod arrivals;
mod counts;
mod filter;
mod held;
mod history;
mod kept;
mod liveness;
mod numbers;
mod places;
mod pool;
mod room;
mod seat;
mod strangers;
mod tidy;
mod told;
mod weight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, Generation, InstanceId, InstanceReport, Timestamp};

pub use self::arrivals::Arrivals;
pub use self::counts::{VERSIONS_COUNTED_MAX, drift, fleet_counts};
pub use self::filter::InstanceFilter;
pub use self::held::HeldReport;
use self::held::Pools;
use self::history::{Archive, Heard};
pub use self::history::{CONTENTS_BYTES_MAX, HISTORY_MAX, HISTORY_TOTAL_MAX, Past};
pub use self::kept::{KeptInstance, KeptSeat};
pub use self::liveness::{Heartbeat, Moment, Uptime};
use self::liveness::{Presence, liveness, silent_ms};
pub use self::numbers::Implausible;
use self::numbers::{check_incarnation, check_seq};
use self::places::{Place, Places};
use self::room::Leavers;
use self::seat::Seat;
pub use self::strangers::STRANGERS_MAX;
use self::tidy::tidy;
pub use self::tidy::{CLIENT_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_BYTES_MAX};
pub use self::told::Listing;
use crate::rollout::{self, Member};

/// Instances remembered of one repository.
pub const INSTANCES_MAX: usize = 100_000;
/// Bytes that all reports of one repository take together, by a measure that is about right: of a full fleet whose
/// instances say much alike, about a dozen configs each.
pub const REPORTS_BYTES_MAX: usize = 256 << 20;
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
    archive: Archive,
    /// How many seats there are.
    seats_len: usize,
    pools: Pools,
    leavers: Leavers,
    changes: u64,
}

/// The newest report of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Who reported.
    pub instance: InstanceId,
    /// When it was taken.
    pub reported_at: Timestamp,
    /// What it says.
    pub report: HeldReport,
}

#[derive(Debug)]
struct Entry {
    reported: Arc<Reported>,
    heard: Moment,
    presence: Presence,
    /// Configs of the life before that this one has not named yet: it may only just have begun.
    carried: BTreeSet<ConfigName>,
}

/// How it stood with an instance until its next report.
#[derive(Debug, Clone, Copy)]
struct Before {
    heard_at: Timestamp,
    /// It had said that it ends, so a life that follows was not begun by a crash.
    has_left: bool,
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

/// Why a report is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// There is no room for it.
    #[error(transparent)]
    Full(#[from] FleetFull),
    /// It cannot be so.
    #[error(transparent)]
    Implausible(#[from] Implausible),
}

/// There is no room for one more instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for this report: {instances} instances are remembered, in {bytes} bytes")]
pub struct FleetFull {
    /// Instances remembered.
    pub instances: usize,
    /// What they take.
    pub bytes: usize,
}

/// What became of a word that an instance ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is gone.
    Gone,
    /// Nobody of this name has reported.
    Unknown,
    /// A newer life of it has reported, which goes on.
    Newer {
        /// Its incarnation.
        incarnation: u64,
    },
    /// No life can have this number, so nothing is believed of it.
    Implausible(Implausible),
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
    ) -> Result<(Taken, Arc<Reported>), NotTaken> {
        let order = (report.incarnation, report.seq);
        check_incarnation(report.incarnation, now.at)?;
        let place = self.ids.get(instance).copied();
        let mut before = None;
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            let newest = (entry.reported.report.incarnation, entry.reported.report.seq);
            if order < newest || entry.is_over(report.incarnation, now.uptime, self.heartbeat) {
                return Ok((Taken::Older, entry.reported.clone()));
            }
            check_seq(report.seq, (order.0 == newest.0).then_some(newest.1))?;
            before = Some(Before {
                heard_at: entry.heard.at,
                has_left: entry.presence == Presence::Gone,
            });
            entry.heard = now;
            entry.presence = Presence::Heard;
            let reported = entry.reported.clone();
            if let Some(place) = place {
                self.leavers.gone.remove(&place);
            }
            if order == newest {
                return Ok((Taken::Again, reported));
            }
        } else {
            check_seq(report.seq, None)?;
        }
        let report = tidy(report);
        self.make_room(instance, &report, now.uptime)?;
        let report = self.shared(report);
        let newest = place.and_then(|place| self.entries.get(place));
        let newest = newest.map(|entry| &entry.reported.report);
        let reported = Arc::new(Reported {
            instance: instance.clone(),
            reported_at: now.at,
            report: self.pools.hold(&report, newest),
        });
        let entry = Entry {
            reported: reported.clone(),
            heard: now,
            presence: Presence::Heard,
            carried: BTreeSet::new(),
        };
        self.put(entry, before);
        Ok((Taken::Newer, reported))
    }

    /// Takes the word that a life of an instance ends. It is remembered, but is no member of anything any more until
    /// another life of it reports, or this one goes on doing so: then the word was not its own.
    pub fn leave(&mut self, instance: &InstanceId, incarnation: u64, now: Moment) -> Left {
        if let Err(why) = check_incarnation(incarnation, now.at) {
            return Left::Implausible(why);
        }
        let place = self.ids.get(instance).copied();
        let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) else {
            return Left::Unknown;
        };
        let newest = entry.reported.report.incarnation;
        if incarnation < newest {
            return Left::Newer { incarnation: newest };
        }
        if entry.presence != Presence::Gone {
            entry.presence = Presence::Gone;
            entry.heard = now;
            self.changes += 1;
            // It gives way before those that may only be silent.
            self.leavers.gone.extend(place);
        }
        Left::Gone
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
    pub fn get(&self, instance: &InstanceId) -> Option<&Arc<Reported>> {
        self.entry(instance).map(|entry| &entry.reported)
    }

    /// The instances that have a config, in no particular order.
    pub fn members<'a>(
        &'a self,
        config: &ConfigName,
        now: Uptime,
    ) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let all = self.members_and_gone(config, now);
        all.filter(|member| member.liveness != rollout::Liveness::Gone)
    }

    /// The same, and those that had it when they said that they end.
    pub fn members_and_gone<'a>(
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
            let report = &entry.reported.report;
            Some(Member {
                instance: &entry.reported.instance,
                labels: &report.labels,
                report: report.configs.get(config)?,
                liveness: liveness(entry.presence, silent_ms, self.heartbeat),
                silent_ms,
                lost_ms: silent_ms.saturating_sub(self.heartbeat.lost_after_ms),
                told: seat.told,
                restarts: seat.restarts,
            })
        })
    }

    /// Configs that instances report.
    pub fn configs(&self) -> impl Iterator<Item = &ConfigName> {
        self.seats.keys()
    }

    /// Counts what would be worth keeping; a heartbeat that says nothing new is not.
    pub fn changes(&self) -> u64 {
        self.changes
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

    /// The report as it is kept: what many run is named by one and the same text.
    fn shared(&mut self, mut report: InstanceReport) -> InstanceReport {
        let running = report.configs.values_mut();
        for running in running.filter_map(|config| config.running.as_mut()) {
            self.archive.share(running);
        }
        report
    }

    /// Puts the entry of an instance in the place of the one before, of which `before` tells.
    fn put(&mut self, mut entry: Entry, before: Option<Before>) {
        let reported = entry.reported.clone();
        let heard = Heard {
            before: before.map(|before| before.heard_at),
            now: entry.heard.at,
            incarnation: reported.report.incarnation,
        };
        let place = if let Some(place) = self.ids.get(&reported.instance).copied() {
            self.follow(place, &mut entry, before);
            if let Some(slot) = self.entries.get_mut(place) {
                let old = std::mem::replace(slot, entry);
                self.changes += u64::from(says_more_than(&reported.report, &old.reported.report));
                self.let_go(old);
            }
            place
        } else {
            self.changes += 1;
            let place = self.entries.add(entry);
            self.ids.insert(reported.instance.clone(), place);
            place
        };
        for (config, report) in reported.report.configs.iter() {
            let seats = self.seats.entry(config.clone()).or_default();
            let seat = seats.entry(place).or_insert_with(|| {
                self.seats_len += 1;
                Seat::default()
            });
            seat.hear(report, heard, &mut self.archive);
        }
    }

    /// Nobody will ask for what an instance said there.
    fn let_go(&mut self, old: Entry) {
        // Where an answer is just being made of it, it is swept later.
        if let Some(reported) = Arc::into_inner(old.reported) {
            self.pools.let_go(&reported.report);
        }
    }

    /// What of the entry in `place` goes on in the one that takes its place. A new life keeps the seats of the one
    /// before for as long as it has not named others; in one life, what is no longer named is over.
    fn follow(&mut self, place: Place, entry: &mut Entry, before: Option<Before>) {
        let Some(last) = self.entries.get(place) else {
            return;
        };
        let (old, new) = (&last.reported.report, &entry.reported.report);
        let is_new_life = new.incarnation > old.incarnation;
        let is_restart = is_new_life && !before.is_some_and(|before| before.has_left);
        let named = old.configs.keys().map(|config| (config, is_new_life));
        let carried = last.carried.iter().map(|config| (config, !is_new_life));
        for (config, goes_on) in named.chain(carried) {
            let seat = self.seats.get_mut(config).and_then(|seats| seats.get_mut(&place));
            if let Some(seat) = seat.filter(|_| is_restart) {
                seat.restart();
            }
            if new.configs.contains_key(config) {
                continue;
            }
            if !goes_on {
                self.seats_len -= vacate(&mut self.seats, config, place, &mut self.archive);
                continue;
            }
            entry.carried.insert(config.clone());
            if let (Some(seats), Some(before), true) = (self.seats.get_mut(config), before, is_new_life) {
                seats
                    .entry(place)
                    .and_modify(|seat| seat.history.end(before.heard_at));
            }
        }
    }

    /// Lets an instance go, with all that is known of it: whatever reports under its name next is the first to do so.
    /// Says whether there was one.
    pub fn forget(&mut self, instance: &InstanceId) -> bool {
        let Some(place) = self.ids.remove(instance) else {
            return false;
        };
        self.leavers.gone.remove(&place);
        if let Some(entry) = self.entries.remove(place) {
            self.changes += 1;
            for config in entry.configs() {
                self.seats_len -= vacate(&mut self.seats, config, place, &mut self.archive);
            }
            self.let_go(entry);
        }
        true
    }
}

impl Entry {
    /// Whether what this life, or one before it, says now is only late. For longer than that nothing is under way, so
    /// whoever is heard then is still there, whoever said that it ends.
    fn is_over(&self, incarnation: u64, now: Uptime, heartbeat: Heartbeat) -> bool {
        self.presence == Presence::Gone
            && incarnation <= self.reported.report.incarnation
            && self.silent_ms(now) <= heartbeat.live_ms()
    }

    fn silent_ms(&self, now: Uptime) -> u64 {
        silent_ms(self.presence, self.heard.uptime, now)
    }

    /// Every config that it has a seat of.
    fn configs(&self) -> impl Iterator<Item = &ConfigName> {
        self.reported.report.configs.keys().chain(&self.carried)
    }
}

/// Whether a report tells anything but that it is the next one.
fn says_more_than(new: &HeldReport, old: &HeldReport) -> bool {
    (new.incarnation, &new.labels, &new.client, &new.configs)
        != (old.incarnation, &old.labels, &old.client, &old.configs)
}

/// Takes a seat away, and says how many there are fewer.
fn vacate(
    seats: &mut BTreeMap<ConfigName, BTreeMap<Place, Seat>>,
    config: &ConfigName,
    place: Place,
    archive: &mut Archive,
) -> usize {
    let Some(of_config) = seats.get_mut(config) else {
        return 0;
    };
    let left = of_config.remove(&place);
    if of_config.is_empty() {
        seats.remove(config);
    }
    let Some(seat) = left else {
        return 0;
    };
    seat.history.drop_from(archive);
    1
}

#[cfg(test)]
mod tests;
