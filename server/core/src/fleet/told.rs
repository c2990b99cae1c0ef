//! Instances as they are told to whoever asks.
//!
//! Invariant: what an instance said, whether it was heard of, and whether it runs what it should stand beside each
//! other; none of them is made from another. A listing looks at a bounded number of instances.

use std::collections::BTreeMap;
use std::ops::Bound;

use headwater_wire::{Assigned, ConfigName, InstanceId, InstanceView, Liveness, Ran, Standing, Timestamp};

use super::history::Past;
use super::liveness::{Uptime, liveness};
use super::places::Place;
use super::{Entry, Fleet, InstanceFilter, LISTING_SCAN_MAX, Reported, drift};
use crate::rollout;

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Instances that match, by id.
    pub instances: Vec<InstanceView>,
    /// The last instance that was looked at, if there are more behind it.
    pub next: Option<InstanceId>,
}

impl Fleet {
    /// One instance, without its history. `assigned` says what it should hold.
    pub fn view(
        &self,
        instance: &InstanceId,
        now: Uptime,
        assigned: impl Fn(&Reported, &ConfigName) -> Option<Assigned>,
    ) -> Option<InstanceView> {
        let place = *self.ids.get(instance)?;
        Some(self.told_of(place, self.entries.get(place)?, now, &assigned))
    }

    /// What an instance ran, the newest first: all that is remembered, or what was last heard of it at a time.
    pub fn history(&self, instance: &InstanceId, at: Option<Timestamp>) -> BTreeMap<ConfigName, Vec<Ran>> {
        let place = self.ids.get(instance).copied();
        let Some((place, entry)) = place.and_then(|place| Some((place, self.entries.get(place)?))) else {
            return BTreeMap::new();
        };
        let told = entry.configs().map(|config| {
            let seat = self.seats.get(config).and_then(|seats| seats.get(&place));
            let mut ran: Vec<Ran> = seat
                .into_iter()
                .flat_map(|seat| seat.history.newest_first().map(Past::told))
                .collect();
            if let (Some(newest), false) = (ran.first_mut(), entry.carried.contains(config)) {
                newest.until = entry.heard.at.max(newest.from);
            }
            if let Some(at) = at {
                ran.retain(|ran| ran.from <= at);
                ran.truncate(1);
            }
            (config.clone(), ran)
        });
        told.filter(|(_, ran)| !ran.is_empty()).collect()
    }

    /// Instances behind `after` that match, at most `limit`. A page may be shorter although more follow.
    pub fn list(
        &self,
        filter: &InstanceFilter,
        (after, limit): (Option<&InstanceId>, usize),
        now: Uptime,
        assigned: impl Fn(&Reported, &ConfigName) -> Option<Assigned>,
    ) -> Listing {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.ids.range::<InstanceId, _>((from, Bound::Unbounded));
        let mut listing = Listing::default();
        let mut last = None;
        for (instance, place) in rest.by_ref().take(LISTING_SCAN_MAX) {
            last = Some(instance);
            let Some(entry) = self.entries.get(*place) else {
                continue;
            };
            if filter.may_match(&entry.reported, entry.liveness(now, self)) {
                let view = self.told_of(*place, entry, now, &assigned);
                listing.instances.extend(filter.matches(&view).then_some(view));
            }
            if listing.instances.len() >= limit {
                break;
            }
        }
        if rest.next().is_some() {
            listing.next = last.cloned();
        }
        listing
    }

    fn told_of(
        &self,
        place: Place,
        entry: &Entry,
        now: Uptime,
        assigned: &impl Fn(&Reported, &ConfigName) -> Option<Assigned>,
    ) -> InstanceView {
        let reported = &entry.reported;
        let standing = |config: &ConfigName| {
            let seat = self.seats.get(config).and_then(|seats| seats.get(&place));
            let report = reported.report.configs.get(config);
            let assigned = assigned(reported, config);
            Standing {
                drift: report.and_then(|report| drift(report, assigned.as_ref())),
                assigned,
                restarts: seat.map_or(0, |seat| seat.restarts),
            }
        };
        let configs = reported.report.configs.keys();
        InstanceView {
            instance: reported.instance.clone(),
            reported_at: reported.reported_at,
            liveness: entry.liveness(now, self),
            silent_ms: entry.silent_ms(now),
            standings: configs.map(|config| (config.clone(), standing(config))).collect(),
            history: BTreeMap::new(),
            report: reported.report.told(),
        }
    }
}

impl Entry {
    fn liveness(&self, now: Uptime, fleet: &Fleet) -> Liveness {
        match liveness(self.presence, self.silent_ms(now), fleet.heartbeat) {
            rollout::Liveness::Live => Liveness::Live,
            rollout::Liveness::Stale => Liveness::Stale,
            rollout::Liveness::Lost => Liveness::Lost,
            rollout::Liveness::Gone => Liveness::Gone,
        }
    }
}
