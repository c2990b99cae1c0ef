//! Room for instances: how much of it is taken, and who gives way when there is no more.
//!
//! Invariant: a fleet that is full takes nobody new, but for one that has said that it ends, or is lost: whoever has
//! been silent for longest gives way first, and nobody who is heard does. What many say alike is counted once, so that
//! only a flood of reports that differ fills a fleet. What histories take has limits of its own. Everybody is looked at once
//! in a while, however many are refused: a full fleet must not cost whoever is in it anything.

use std::collections::BTreeSet;

use headwater_wire::{InstanceId, InstanceReport};

use super::liveness::{Presence, Uptime};
use super::places::Place;
use super::weight::{CONFIG_BYTES, alone, entry};
use super::{Fleet, FleetFull, INSTANCES_MAX, REPORTS_BYTES_MAX};

/// Time between two looks at all that is held, in ms. A newcomer comes again after a few seconds anyway.
const LOOK_EVERY_MS: u64 = 1_000;

/// Who gives way when there is no more room.
#[derive(Debug, Default)]
pub(super) struct Leavers {
    /// Those that have said that they end.
    pub gone: BTreeSet<Place>,
    /// Those that were lost when somebody last looked, who has been silent for longest last.
    lost: Vec<InstanceId>,
    /// Nobody else can be lost before this moment, so there is no use in looking.
    look_from: Uptime,
    /// What nobody holds is let go from this moment on.
    sweep_from: Uptime,
    /// How often all was looked at.
    pub looks: u64,
}

impl Fleet {
    /// What all reports and seats take, in bytes, by a measure that is about right.
    pub fn bytes(&self) -> usize {
        let seats = entry(0) * self.ids.len() + self.seats_len * (entry(1) - entry(0));
        seats + self.seats.len() * CONFIG_BYTES + self.pools.bytes()
    }

    /// What all histories take, in bytes.
    pub fn history_bytes(&self) -> usize {
        self.archive.bytes()
    }

    /// Lets those go that give way, as many as it takes.
    pub(super) fn make_room(
        &mut self,
        instance: &InstanceId,
        report: &InstanceReport,
        now: Uptime,
    ) -> Result<(), FleetFull> {
        if self.has_room(instance, report) {
            return Ok(());
        }
        if self.leavers.sweep_from <= now {
            self.leavers.sweep_from = Uptime(now.0.saturating_add(LOOK_EVERY_MS));
            self.leavers.looks += 1;
            self.pools.sweep();
        }
        while !self.has_room(instance, report) {
            let Some(leaver) = self.next_leaver(now) else {
                return Err(FleetFull {
                    instances: self.ids.len(),
                    bytes: self.bytes(),
                });
            };
            self.forget(&leaver);
        }
        Ok(())
    }

    fn has_room(&self, instance: &InstanceId, report: &InstanceReport) -> bool {
        let before = self.entry(instance);
        if before.is_none() && self.ids.len() >= INSTANCES_MAX {
            return false;
        }
        let bytes = self.bytes();
        if bytes + alone(report) <= REPORTS_BYTES_MAX {
            return true;
        }
        let new = report.configs.keys();
        let new = new.filter(|config| !self.seats.contains_key(*config)).count() * CONFIG_BYTES;
        let added = entry(report.configs.len()) + new + self.pools.added(report);
        let freed = before.map_or(0, |before| {
            entry(before.configs().count()) + before.reported.report.freed()
        });
        bytes + added <= REPORTS_BYTES_MAX + freed
    }

    fn next_leaver(&mut self, now: Uptime) -> Option<InstanceId> {
        if let Some(place) = self.leavers.gone.first() {
            let entry = self.entries.get(*place);
            return entry.map(|entry| entry.reported.instance.clone());
        }
        let lost_after_ms = self.heartbeat.lost_after_ms;
        if self.leavers.lost.is_empty() && self.leavers.look_from <= now {
            let next = self.look_for_lost(now);
            self.leavers.look_from = next.max(Uptime(now.0.saturating_add(LOOK_EVERY_MS)));
            self.leavers.looks += 1;
        }
        while let Some(instance) = self.leavers.lost.pop() {
            let is_lost = |entry: &super::Entry| entry.silent_ms(now) >= lost_after_ms;
            if self.entry(&instance).is_some_and(is_lost) {
                return Some(instance);
            }
        }
        None
    }

    /// Looks at everybody, and says when there is use in looking again.
    fn look_for_lost(&mut self, now: Uptime) -> Uptime {
        let lost_after_ms = self.heartbeat.lost_after_ms;
        let heard = self
            .entries
            .iter()
            .filter(|entry| entry.presence != Presence::Gone);
        let silent = heard.map(|entry| (entry.silent_ms(now), &entry.reported.instance));
        let (mut lost, rest): (Vec<_>, Vec<_>) =
            silent.partition(|(silent_ms, _)| *silent_ms >= lost_after_ms);
        lost.sort();
        let longest = rest.into_iter().map(|(silent_ms, _)| silent_ms).max();
        self.leavers.lost = lost.into_iter().map(|(_, instance)| instance.clone()).collect();
        let rest_ms = lost_after_ms - longest.unwrap_or(0);
        Uptime(now.0.saturating_add(rest_ms))
    }
}
