//! A fleet by what it is told; what several rooms of these tests use stands here.

mod counts;
mod kept;
mod listings;
mod liveness;
mod reports;
mod strangers;

use super::strangers::STRANGERS_EACH_MAX;
use super::weight::Weigh;
use super::*;
use crate::rollout::{Liveness, Selector, Standing};
use headwater_wire::{
    Assigned, CommitId, ConfigReport, Drift, FailPhase, InstanceView, ReportError, ReportState, Running,
    StateWanted, Timestamp, ValueSource,
};
use proptest::prelude::*;

const WALL: Timestamp = Timestamp(1_700_000_000_000);

const NOW: Moment = Moment {
    at: WALL,
    uptime: Uptime(1_000),
};

fn id(number: usize) -> InstanceId {
    format!("i-{number:06}").parse().unwrap()
}

/// So many ms later, by both clocks.
fn later(ms: u64) -> Moment {
    Moment {
        at: Timestamp(WALL.0 + i64::try_from(ms).unwrap()),
        uptime: Uptime(NOW.uptime.0 + ms),
    }
}

fn version(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn nothing(_: &Reported, _: &ConfigName) -> Option<Assigned> {
    None
}

fn labels(region: &str) -> Selector {
    Selector::from([("region".to_owned(), region.to_owned())])
}

fn report(incarnation: u64, seq: u64) -> InstanceReport {
    InstanceReport {
        incarnation,
        seq,
        ..InstanceReport::default()
    }
}

fn running(digit: char, state: ReportState) -> ConfigReport {
    ConfigReport {
        running: Some(Running {
            version: version(digit),
            digest: digest(digit),
        }),
        generation: Generation(1),
        state,
        error: None,
        prepared: None,
        source: ValueSource::Server,
    }
}

fn digest(digit: char) -> headwater_wire::Digest {
    format!("sha256:{}", digit.to_string().repeat(64))
        .parse()
        .unwrap()
}

fn running_nothing() -> ConfigReport {
    ConfigReport {
        running: None,
        ..running('0', ReportState::Pending)
    }
}

fn with(seq: u64, configs: &[(&str, ConfigReport)], labels: &[(&str, &str)]) -> InstanceReport {
    InstanceReport {
        configs: configs
            .iter()
            .map(|(name, config)| (name.parse().unwrap(), config.clone()))
            .collect(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..report(1, seq)
    }
}

fn taken(fleet: &mut Fleet, report: InstanceReport, now: Moment) -> Taken {
    fleet.take(&id(1), report, now).unwrap().0
}

/// A report as a hostile program makes it: as many configs as may be, and nothing in it that anybody else says.
fn flood(number: usize, names: impl Fn(usize) -> String) -> InstanceReport {
    let mut config = running('a', ReportState::Failed);
    let version = format!("{number:040x}").parse().unwrap();
    config.running.as_mut().unwrap().version = version;
    config.error = Some(ReportError {
        phase: FailPhase::Validate,
        message: format!("{number:0200}"),
    });
    let configs = (0..REPORT_CONFIGS_MAX).map(|name| (names(name).parse().unwrap(), config.clone()));
    InstanceReport {
        configs: configs.collect(),
        labels: BTreeMap::from([("n".to_owned(), number.to_string())]),
        ..report(1, 1)
    }
}

fn config() -> ConfigName {
    "app".parse().unwrap()
}

/// What an instance says of its only config.
fn says(fleet: &mut Fleet, (incarnation, seq): (u64, u64), generation: u64, now: Moment) {
    let config = ConfigReport {
        generation: Generation(generation),
        ..running('a', ReportState::Applied)
    };
    let report = InstanceReport {
        incarnation,
        ..with(seq, &[("app", config)], &[])
    };
    fleet.take(&id(1), report, now).unwrap();
}

fn member(fleet: &Fleet, now: Moment) -> Member<'_> {
    let members: Vec<Member<'_>> = fleet.members(&config(), now.uptime).collect();
    assert_eq!(members.len(), 1);
    members[0]
}

/// What a fleet takes, by a look at everybody.
fn weighed(fleet: &Fleet) -> usize {
    let mut labels = BTreeSet::new();
    let mut clients = BTreeSet::new();
    let mut configs = BTreeSet::new();
    let mut seats = 0;
    for entry in fleet.entries.iter() {
        seats += weight::entry(entry.configs().count());
        labels.insert(&*entry.reported.report.labels);
        clients.insert(&*entry.reported.report.client);
        configs.insert(&*entry.reported.report.configs);
    }
    seats
        + fleet.seats.len() * weight::CONFIG_BYTES
        + labels.iter().map(|value| value.weight()).sum::<usize>()
        + clients.iter().map(|value| value.weight()).sum::<usize>()
        + configs.iter().map(|value| value.weight()).sum::<usize>()
}

fn heard(fleet: &mut Fleet, number: usize, report: InstanceReport, now: Moment) {
    fleet.take(&id(number), report, now).unwrap();
}

fn one(digit: char, state: ReportState) -> InstanceReport {
    with(1, &[("app", running(digit, state))], &[])
}

#[expect(clippy::unnecessary_wraps, reason = "it stands for what may know of nothing")]
fn assigned_a(_: &Reported, _: &ConfigName) -> Option<Assigned> {
    Some(assigned_to_all())
}

fn assigned_to_all() -> Assigned {
    Assigned {
        version: version('a'),
        digest: digest('a'),
        generation: Generation(1),
    }
}

fn ids(listing: &Listing) -> Vec<String> {
    listing
        .instances
        .iter()
        .map(|view| view.instance.to_string())
        .collect()
}

/// Four instances: in order, behind, silent for long, and one that does as it likes.
fn mixed() -> Fleet {
    let mut fleet = Fleet::default();
    heard(&mut fleet, 1, one('a', ReportState::Confirmed), later(300_000));
    heard(&mut fleet, 2, one('b', ReportState::Failed), later(300_000));
    heard(&mut fleet, 3, one('a', ReportState::Confirmed), NOW);
    let pinned = ConfigReport {
        running: None,
        source: ValueSource::Pinned,
        ..running('a', ReportState::Applied)
    };
    heard(&mut fleet, 4, with(1, &[("app", pinned)], &[]), later(300_000));
    fleet
}

/// The greatest number that a report may have at all.
const FORGED: u64 = (1 << 53) - 1;

fn reopened(fleet: &Fleet, now: Moment) -> Fleet {
    let kept = fleet.kept(None, usize::MAX, now.uptime);
    let mut again = Fleet::default();
    for instance in kept {
        again.recall(instance, Uptime(0)).unwrap();
    }
    again
}
