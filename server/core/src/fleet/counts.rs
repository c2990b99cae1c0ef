//! The instances of one config, counted.
//!
//! Invariant: who was not heard of lately is unknown, and in no other count: silence is never success.

use std::collections::BTreeMap;

use headwater_wire::{Assigned, CommitId, ConfigCounts, ConfigReport, Drift, ValueSource, VersionCounts};

use crate::rollout::{Liveness, Member};

/// Versions that are counted one by one; a fleet has few, and one that lies about them must not make an answer long.
pub const VERSIONS_COUNTED_MAX: usize = 100;

/// Whether an instance that reports this runs what it is assigned; nothing where nothing is assigned.
pub fn drift(report: &ConfigReport, assigned: Option<&Assigned>) -> Option<Drift> {
    if report.source == ValueSource::Pinned {
        return Some(Drift::Pinned);
    }
    let running = report.running.as_ref().map(|running| &running.digest);
    let is_held = running == Some(&assigned?.digest);
    Some(if is_held { Drift::InSync } else { Drift::Divergent })
}

/// Counts the members of a config.
pub fn fleet_counts<'a>(
    members: impl Iterator<Item = Member<'a>>,
    assigned: impl Fn(&Member<'a>) -> Option<Assigned>,
) -> ConfigCounts {
    let mut counts = ConfigCounts::default();
    let mut versions: BTreeMap<Option<&CommitId>, VersionCounts> = BTreeMap::new();
    for member in members.filter(|member| member.liveness != Liveness::Gone) {
        counts.instances += 1;
        let running = member.report.running.as_ref().map(|running| &running.version);
        let version = versions.entry(running).or_default();
        match member.liveness {
            Liveness::Live => counts.live += 1,
            Liveness::Stale => counts.stale += 1,
            Liveness::Lost | Liveness::Gone => counts.lost += 1,
        }
        if member.liveness != Liveness::Live {
            version.unknown += 1;
            continue;
        }
        *version.states.entry(member.report.state).or_default() += 1;
        match drift(member.report, assigned(&member).as_ref()) {
            Some(Drift::InSync) => counts.in_sync += 1,
            Some(Drift::Divergent) => counts.divergent += 1,
            Some(Drift::Pinned) => counts.pinned += 1,
            Some(Drift::Other) | None => {}
        }
    }
    counts.versions = most_first(versions);
    counts
}

fn most_first(versions: BTreeMap<Option<&CommitId>, VersionCounts>) -> Vec<VersionCounts> {
    let named = versions.into_iter().map(|(version, counts)| VersionCounts {
        version: version.cloned(),
        ..counts
    });
    let mut all: Vec<VersionCounts> = named.collect();
    all.sort_by_key(|counts| std::cmp::Reverse(total(counts)));
    let over = all.split_off(VERSIONS_COUNTED_MAX.min(all.len()));
    let rest = over.into_iter().reduce(|mut rest, counts| {
        rest.unknown += counts.unknown;
        for (state, count) in counts.states {
            *rest.states.entry(state).or_default() += count;
        }
        rest
    });
    all.extend(rest.map(|rest| VersionCounts {
        version: None,
        rest: true,
        ..rest
    }));
    all
}

fn total(counts: &VersionCounts) -> u64 {
    counts.states.values().sum::<u64>() + counts.unknown
}
