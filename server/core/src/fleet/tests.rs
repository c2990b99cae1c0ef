use headwater_wire::{
    Assigned, CommitId, ConfigReport, Drift, FailPhase, InstanceView, ReportError, ReportState, Running,
    StateWanted, Timestamp, ValueSource,
};
use proptest::prelude::*;

use super::strangers::STRANGERS_EACH_MAX;
use super::weight::Weigh;
use super::*;
use crate::rollout::{Liveness, Selector, Standing};

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

#[test]
fn a_new_life_counts_from_one_again() {
    let mut fleet = Fleet::default();
    assert_eq!(taken(&mut fleet, report(5, 900), NOW), Taken::Newer);
    assert_eq!(taken(&mut fleet, report(6, 1), NOW), Taken::Newer);
    assert_eq!(taken(&mut fleet, report(5, 901), NOW), Taken::Older);
    assert_eq!(fleet.get(&id(1)).unwrap().report.told(), report(6, 1));
}

#[test]
fn the_same_report_again_changes_nothing_that_is_told() {
    let mut fleet = Fleet::default();
    taken(&mut fleet, report(1, 1), NOW);
    let before = fleet.get(&id(1)).unwrap().clone();
    assert_eq!(taken(&mut fleet, report(1, 1), later(5_000)), Taken::Again);
    assert_eq!(*fleet.get(&id(1)).unwrap(), before);
}

#[test]
fn messages_are_one_line_of_bounded_length() {
    let mut fleet = Fleet::default();
    let mut config = running('a', ReportState::Failed);
    config.error = Some(ReportError {
        phase: FailPhase::Validate,
        message: format!("a\u{1b}[31m\nb\u{202e}{}", "ü".repeat(MESSAGE_BYTES_MAX)),
    });
    let hostile = InstanceReport {
        client: "x\0".repeat(CLIENT_BYTES_MAX),
        ..with(1, &[("c", config)], &[])
    };
    taken(&mut fleet, hostile, NOW);
    let kept = &fleet.get(&id(1)).unwrap().report;
    let message = &kept
        .configs
        .values()
        .next()
        .unwrap()
        .error
        .as_ref()
        .unwrap()
        .message;
    assert!(
        message.starts_with("a [31m bü") && message.ends_with("ü…"),
        "{message}"
    );
    assert!(message.len() <= MESSAGE_BYTES_MAX);
    assert!(kept.client.len() <= CLIENT_BYTES_MAX && !kept.client.contains('\0'));
}

#[test]
fn a_full_fleet_lets_the_long_silent_go_and_otherwise_refuses() {
    let mut fleet = Fleet::default();
    for number in 0..INSTANCES_MAX {
        let heard = if number < 10 { NOW } else { later(1_000) };
        fleet.take(&id(number), report(1, 1), heard).unwrap();
    }
    let one_more = |fleet: &mut Fleet, number: usize, now: Moment| {
        fleet
            .take(&id(INSTANCES_MAX + number), report(1, 1), now)
            .map(|(taken, _)| taken)
    };
    let full = FleetFull {
        instances: INSTANCES_MAX,
        bytes: fleet.bytes(),
    };
    assert_eq!(one_more(&mut fleet, 0, later(2_000)), Err(NotTaken::Full(full)));
    // Who is known is heard all the same.
    fleet.take(&id(3), report(1, 2), later(2_000)).unwrap();
    let lost = later(Heartbeat::default().lost_after_ms + 1_500);
    fleet.take(&id(4), report(1, 2), later(2_000)).unwrap();
    assert_eq!(one_more(&mut fleet, 0, lost), Ok(Taken::Newer));
    assert_eq!(fleet.len(), INSTANCES_MAX, "as many go as it takes");
    assert!(fleet.get(&id(9)).is_none(), "it was silent for longest");
    // Whoever says that it ends goes before those who only may be silent.
    fleet.leave(&id(3), 1, lost);
    assert_eq!(one_more(&mut fleet, 1, lost), Ok(Taken::Newer));
    assert!(fleet.get(&id(3)).is_none() && fleet.get(&id(8)).is_some());
    assert!(fleet.get(&id(4)).is_some(), "it was heard since");
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

#[test]
fn a_flood_of_large_reports_fills_the_fleet_and_no_more_and_who_is_known_is_heard_on() {
    let mut fleet = Fleet::default();
    fleet.take(&id(0), one('a', ReportState::Applied), NOW).unwrap();
    let mut flooded = (1..INSTANCES_MAX).map(|number| {
        let report = flood(number, |name| format!("c{name}"));
        (number, fleet.take(&id(number), report, NOW))
    });
    let (number, refused) = flooded.find(|(_, taken)| taken.is_err()).unwrap();
    drop(flooded);
    assert!(number > 1_000, "a single one has little room: {number}");
    assert!(fleet.bytes() <= REPORTS_BYTES_MAX);
    let said = refused.unwrap_err().to_string();
    assert!(said.starts_with("there is no room for this report: "), "{said}");
    // Where one stands is taken from whoever is known, also if it is another thing than before.
    let next = with(2, &[("app", running('b', ReportState::Confirmed))], &[]);
    assert_eq!(fleet.take(&id(0), next, NOW).unwrap().0, Taken::Newer);
    // Once the flood has dried up there is room for others again.
    let late = later(Heartbeat::default().lost_after_ms);
    fleet.take(&id(0), with(3, &[], &[]), late).unwrap();
    fleet
        .take(&id(number), flood(number, |name| format!("c{name}")), late)
        .unwrap();
    assert!(fleet.get(&id(0)).is_some());
}

#[test]
fn a_program_that_says_something_else_each_time_leaves_nothing_behind() {
    let mut fleet = Fleet::default();
    let mut say = |seq: u64| {
        let said = flood(usize::try_from(seq).unwrap(), |name| format!("c{name}"));
        fleet
            .take(&id(1), InstanceReport { seq, ..said }, later(seq))
            .unwrap();
        (fleet.bytes(), fleet.history_bytes())
    };
    let first = say(1_000);
    let full = (1_001..1_040).map(&mut say).last().unwrap();
    assert_eq!(full.0, first.0);
    assert!(full.1 <= HISTORY_MAX * REPORT_CONFIGS_MAX * 512);
    assert_eq!((1_040..1_050).map(&mut say).last().unwrap(), full);
}

#[test]
fn messages_of_many_failures_are_cut_shorter() {
    let mut fleet = Fleet::default();
    fleet
        .take(&id(1), flood(7, |name| format!("c{name}")), NOW)
        .unwrap();
    let kept = fleet.get(&id(1)).unwrap().report.told();
    let messages = kept
        .configs
        .values()
        .map(|config| config.error.as_ref().unwrap().message.len());
    let all: usize = messages.sum();
    assert!(all > MESSAGES_BYTES_MAX / 2 && all <= MESSAGES_BYTES_MAX, "{all}");
}

#[test]
fn invented_names_are_left_out_and_what_was_known_is_not() {
    let mut fleet = Fleet::default();
    let is_known = |config: &ConfigName| config.as_str() == "app";
    let mut take = |number: usize, mut report: InstanceReport| {
        fleet.leave_out_strangers(&mut report, (is_known, 1));
        fleet.take(&id(number), report, NOW).unwrap();
        fleet.get(&id(number)).unwrap().report.configs.len()
    };
    assert_eq!(take(1, one('a', ReportState::Applied)), 1);
    // Whoever has many wrong leaves room for the slips of others, also if he says the same again and more.
    for number in (2..2 + STRANGERS_MAX / STRANGERS_EACH_MAX).chain([2]) {
        let flood = flood(number, |name| format!("x{number}-{name}"));
        assert_eq!(take(number, flood), STRANGERS_EACH_MAX);
    }
    assert_eq!(take(50, flood(3, |name| format!("y{name}"))), 0);
    // A name that is remembered is so of everybody, and what the tip has is always heard.
    assert_eq!(
        take(51, flood(4, |name| format!("x2-{name}"))),
        STRANGERS_EACH_MAX
    );
    assert_eq!(take(52, one('b', ReportState::Applied)), 1);
    let mut removed = one('a', ReportState::Confirmed);
    fleet.leave_out_strangers(&mut removed, (|_: &ConfigName| false, 0));
    assert_eq!(removed.configs.len(), 1, "it ran it while the tip had it");
}

#[test]
fn a_listing_is_filtered_by_one_and_the_same_config() {
    let mut fleet = Fleet::default();
    let both = [
        ("a", running('a', ReportState::Confirmed)),
        ("b", running('b', ReportState::Failed)),
    ];
    fleet
        .take(&id(1), with(1, &both, &[("region", "eu")]), NOW)
        .unwrap();
    fleet
        .take(&id(2), with(1, &both[..1], &[("region", "us")]), NOW)
        .unwrap();
    fleet.take(&id(3), report(1, 1), NOW).unwrap();
    let shown = |filter: &InstanceFilter| -> Vec<String> {
        let listing = fleet.list(filter, (None, 10), NOW.uptime, nothing);
        assert_eq!(listing.next, None);
        let ids = listing.instances.iter();
        ids.map(|view| view.instance.to_string()).collect()
    };
    let none = InstanceFilter::default();
    assert_eq!(shown(&none), ["i-000001", "i-000002", "i-000003"]);
    let failed = InstanceFilter {
        state: Some(StateWanted::Reported(ReportState::Failed)),
        ..none.clone()
    };
    assert_eq!(shown(&failed), ["i-000001"]);
    let failed_elsewhere = InstanceFilter {
        config: Some("a".parse().unwrap()),
        ..failed
    };
    assert!(shown(&failed_elsewhere).is_empty());
    let mixed = InstanceFilter {
        state: Some(StateWanted::Reported(ReportState::Failed)),
        version: Some(version('a')),
        ..none.clone()
    };
    assert!(shown(&mixed).is_empty());
    let in_us = InstanceFilter {
        version: Some(version('a')),
        labels: labels("us"),
        ..none
    };
    assert_eq!(shown(&in_us), ["i-000002"]);
}

#[test]
fn an_instance_came_to_a_version_when_it_last_began_to_run_it() {
    let mut fleet = Fleet::default();
    let config: ConfigName = "a".parse().unwrap();
    let mut say = |number: usize, seq: u64, digit: char, at: u64| {
        let mut report = report(1, seq);
        let said = running(digit, ReportState::Applied);
        report.configs.insert(config.clone(), said);
        fleet.take(&id(number), report, later(at)).unwrap();
    };
    say(1, 1, 'b', 10);
    say(1, 2, 'a', 20);
    say(1, 3, 'b', 30);
    say(1, 4, 'b', 40);
    say(2, 1, 'b', 25);
    say(3, 1, 'a', 5);
    let arrivals = |digit, at| fleet.arrivals(&"a".parse().unwrap(), &version(digit), later(at).uptime);
    let came = |digit| {
        arrivals(digit, 50)
            .at
            .iter()
            .map(|at| at.0 - WALL.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(came('b'), [25, 30]);
    assert_eq!(came('a'), [5, 20]);
    assert_eq!(came('c'), [] as [i64; 0]);
    assert_eq!(arrivals('b', 50).instances, 3);
}

#[test]
fn a_listing_that_finds_nothing_for_long_says_where_to_go_on() {
    let mut fleet = Fleet::default();
    let total = LISTING_SCAN_MAX + 5;
    for number in 0..total {
        fleet.take(&id(number), report(1, 1), NOW).unwrap();
    }
    let failed = InstanceFilter {
        state: Some(StateWanted::Reported(ReportState::Failed)),
        ..InstanceFilter::default()
    };
    let first = fleet.list(&failed, (None, 100), NOW.uptime, nothing);
    assert!(first.instances.is_empty());
    assert_eq!(first.next, Some(id(LISTING_SCAN_MAX - 1)));
    let second = fleet.list(&failed, (first.next.as_ref(), 100), NOW.uptime, nothing);
    assert_eq!(second, Listing::default());
}

proptest! {
    #[test]
    fn however_reports_arrive_the_newest_one_is_kept(
        mut reports in proptest::collection::vec((0..3_u64, 1..6_u64), 1..30),
        turns in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
    ) {
        let newest = *reports.iter().max().unwrap();
        for turn in turns {
            let at = turn.index(reports.len());
            reports.swap(0, at);
        }
        let mut fleet = Fleet::default();
        for (incarnation, seq) in &reports {
            let before = fleet.get(&id(1)).map(|view| (view.report.incarnation, view.report.seq));
            let (taken, now) = fleet.take(&id(1), report(*incarnation, *seq), NOW).unwrap();
            prop_assert_eq!(taken == Taken::Older, before.is_some_and(|before| before > (*incarnation, *seq)));
            prop_assert!(before.is_none_or(|before| before <= (now.report.incarnation, now.report.seq)));
        }
        prop_assert_eq!(fleet.get(&id(1)).map(|view| (view.report.incarnation, view.report.seq)), Some(newest));
    }

    #[test]
    fn pages_make_up_the_whole_listing(count in 0..40_usize, limit in 1..9_usize) {
        let mut fleet = Fleet::default();
        for number in 0..count {
            fleet.take(&id(number), report(1, 1), NOW).unwrap();
        }
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = fleet.list(&InstanceFilter::default(), (after.as_ref(), limit), NOW.uptime, nothing);
            seen.extend(page.instances.iter().map(|view| view.instance.clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        prop_assert_eq!(seen, (0..count).map(id).collect::<Vec<_>>());
    }
}

#[test]
fn a_page_costs_what_it_shows_however_many_there_are() {
    let mut fleet = Fleet::default();
    for number in 0..10_000 {
        fleet
            .take(&id(number), one('a', ReportState::Confirmed), NOW)
            .unwrap();
    }
    let worked_out = std::cell::Cell::new(0);
    let assigned = |reported: &Reported, config: &ConfigName| {
        worked_out.set(worked_out.get() + 1);
        assigned_a(reported, config)
    };
    let page = |filter: &InstanceFilter| {
        worked_out.set(0);
        let listing = fleet.list(filter, (Some(&id(9_000)), 100), NOW.uptime, assigned);
        (listing.instances.len(), worked_out.get())
    };
    assert_eq!(page(&InstanceFilter::default()), (100, 100));
    let failed = InstanceFilter {
        state: Some(StateWanted::Reported(ReportState::Failed)),
        ..InstanceFilter::default()
    };
    assert_eq!(page(&failed), (0, 0));
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

#[test]
fn an_instance_is_live_then_stale_then_lost_by_its_silence() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 1, NOW);
    let at = |fleet: &Fleet, ms| {
        let member = member(fleet, later(ms));
        (member.liveness, member.silent_ms)
    };
    assert_eq!(at(&fleet, 75_000), (Liveness::Live, 75_000));
    assert_eq!(at(&fleet, 75_001), (Liveness::Stale, 75_001));
    assert_eq!(at(&fleet, 299_999), (Liveness::Stale, 299_999));
    assert_eq!(at(&fleet, 300_000), (Liveness::Lost, 300_000));
    says(&mut fleet, (1, 2), 1, later(400_000));
    assert_eq!(at(&fleet, 400_000), (Liveness::Live, 0));
}

#[test]
fn i20_a_step_of_the_clock_on_the_wall_makes_nobody_live_or_lost() {
    const DAY_MS: i64 = 86_400_000;
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 1, NOW);
    for step_ms in [-DAY_MS, DAY_MS] {
        let stepped = Moment {
            at: Timestamp(WALL.0 + step_ms),
            ..later(10_000)
        };
        assert_eq!(member(&fleet, stepped).liveness, Liveness::Live);
        says(&mut fleet, (1, 2), 1, stepped);
        assert_eq!(member(&fleet, later(20_000)).silent_ms, 10_000);
        assert_eq!(member(&fleet, later(310_000)).liveness, Liveness::Lost);
    }
}

#[test]
fn an_instance_that_acks_and_then_crash_loops_is_seen_to_restart() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 5, NOW);
    // Restarts of before are not the new content's doing.
    says(&mut fleet, (2, 1), 5, NOW);
    says(&mut fleet, (3, 1), 5, NOW);
    let restarts = |fleet: &Fleet, generation| {
        let standing = Standing::of(&member(fleet, NOW), &version('a'), Generation(generation));
        standing.restarts
    };
    assert_eq!((restarts(&fleet, 5), restarts(&fleet, 6)), (2, 0));
    says(&mut fleet, (3, 2), 6, NOW);
    assert_eq!(restarts(&fleet, 6), 0);
    says(&mut fleet, (4, 1), 6, NOW);
    // One that keeps nothing on its disk has forgotten what it was told; the fleet has not.
    says(&mut fleet, (5, 1), 0, NOW);
    says(&mut fleet, (5, 2), 6, NOW);
    assert_eq!(restarts(&fleet, 6), 2);
    // A directive after that is another.
    says(&mut fleet, (5, 3), 7, NOW);
    assert_eq!((restarts(&fleet, 6), restarts(&fleet, 7)), (0, 0));
}

#[test]
fn a_crash_between_being_told_and_saying_so_counts() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 5, NOW);
    fleet.told(&id(1), &config(), Generation(6));
    for life in 2..4 {
        says(&mut fleet, (life, 1), 6, NOW);
    }
    assert_eq!(member(&fleet, NOW).restarts, 2);
    // Who says it again, or late, tells nothing new.
    fleet.told(&id(1), &config(), Generation(6));
    fleet.told(&id(1), &config(), Generation(5));
    assert_eq!(
        (member(&fleet, NOW).told, member(&fleet, NOW).restarts),
        (Generation(6), 2)
    );
    fleet.told(&id(2), &config(), Generation(6));
    fleet.told(&id(1), &"other".parse().unwrap(), Generation(6));
    assert_eq!(fleet.len(), 1);
}

#[test]
fn a_life_that_names_its_configs_one_after_the_other_is_the_next_one_of_each() {
    let mut fleet = Fleet::default();
    let named = |names: &[&str], incarnation, seq| {
        let configs = names
            .iter()
            .map(|name| (*name, running('a', ReportState::Applied)));
        InstanceReport {
            incarnation,
            ..with(seq, &configs.collect::<Vec<_>>(), &[])
        }
    };
    let restarts = |fleet: &Fleet, name: &str| {
        let mut members = fleet.members(&name.parse().unwrap(), NOW.uptime);
        members.next().map(|member| member.restarts)
    };
    let mut take = |names: &[&str], incarnation, seq| {
        fleet.take(&id(1), named(names, incarnation, seq), NOW).unwrap();
        (restarts(&fleet, "a"), restarts(&fleet, "b"))
    };
    assert_eq!(take(&["a", "b"], 1, 1), (Some(0), Some(0)));
    assert_eq!(take(&["a"], 2, 1), (Some(1), None));
    assert_eq!(take(&["a"], 2, 2), (Some(1), None));
    assert_eq!(take(&["a", "b"], 2, 3), (Some(1), Some(1)));
    // A config that one life has given up is begun anew.
    assert_eq!(take(&["a"], 2, 4), (Some(1), None));
    assert_eq!(take(&["a", "b"], 2, 5), (Some(1), Some(0)));
    // A life that never named it was another program.
    take(&["a"], 3, 1);
    take(&["a"], 4, 1);
    assert_eq!(take(&["a", "b"], 4, 2), (Some(3), Some(0)));
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

proptest! {
    /// The index is what a look at every report would find, whatever was reported, told and forgotten.
    #[test]
    fn the_members_of_a_config_are_those_that_report_it(
        steps in proptest::collection::vec((0..5_usize, 1..4_u64, 0..8_u8, any::<bool>()), 1..60),
    ) {
        let mut fleet = Fleet::default();
        let name = |number: u8| format!("c{number}").parse::<ConfigName>().unwrap();
        for (seq, (number, incarnation, configs, forget)) in (1..).zip(steps) {
            if forget {
                fleet.forget(&id(number));
            } else {
                let named = (0..3).filter(|bit| configs & (1 << bit) != 0);
                let configs = named.map(|bit| (name(bit), running('a', ReportState::Applied))).collect();
                let report = InstanceReport { configs, ..report(incarnation, seq) };
                fleet.take(&id(number), report, NOW).unwrap();
            }
            for bit in 0..3 {
                let indexed: BTreeSet<&InstanceId> =
                    fleet.members(&name(bit), NOW.uptime).map(|member| member.instance).collect();
                let reporting = fleet.entries.iter().filter(|entry| entry.reported.report.configs.contains_key(&name(bit)));
                prop_assert_eq!(indexed, reporting.map(|entry| &entry.reported.instance).collect());
            }
            prop_assert_eq!(fleet.ids.len(), fleet.entries.iter().count());
            prop_assert_eq!(fleet.bytes(), weighed(&fleet));
            let histories = fleet.seats.values().flat_map(BTreeMap::values).map(|seat| seat.history.newest_first().count());
            prop_assert_eq!(fleet.archive.len(), histories.sum::<usize>());
            let seats: usize = fleet.seats.values().map(BTreeMap::len).sum();
            let held = |entry: &Entry| entry.reported.report.configs.len() + entry.carried.len();
            prop_assert_eq!(seats, fleet.entries.iter().map(held).sum::<usize>());
            prop_assert_eq!(seats, fleet.seats_len);
        }
    }
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

#[test]
fn silence_is_never_counted_as_success() {
    let fleet = mixed();
    let at = later(300_000).uptime;
    let counts = fleet_counts(fleet.members(&config(), at), |_| Some(assigned_to_all()));
    assert_eq!(
        (counts.instances, counts.live, counts.stale, counts.lost),
        (4, 3, 0, 1)
    );
    assert_eq!((counts.in_sync, counts.divergent, counts.pinned), (1, 1, 1));
    let of = |digit| {
        let mut versions = counts.versions.iter();
        versions
            .find(|counts| counts.version == Some(version(digit)))
            .unwrap()
    };
    assert_eq!(of('a').states, BTreeMap::from([(ReportState::Confirmed, 1)]));
    assert_eq!(of('a').unknown, 1);
    assert_eq!(of('b').states, BTreeMap::from([(ReportState::Failed, 1)]));
}

#[test]
fn of_very_many_versions_the_rest_is_one_count() {
    let mut fleet = Fleet::default();
    for number in 0..VERSIONS_COUNTED_MAX + 20 {
        let running = Running {
            version: format!("{number:040x}").parse().unwrap(),
            digest: digest('a'),
        };
        let config = ConfigReport {
            running: Some(running),
            ..running_nothing()
        };
        heard(&mut fleet, number, with(1, &[("app", config)], &[]), NOW);
    }
    let counts = fleet_counts(fleet.members(&config(), NOW.uptime), |_| None);
    assert_eq!(counts.versions.len(), VERSIONS_COUNTED_MAX + 1);
    let rest = counts.versions.last().unwrap();
    assert_eq!((rest.rest, rest.states[&ReportState::Pending]), (true, 20));
}

#[test]
fn a_listing_is_filtered_by_each_axis_alone() {
    let fleet = mixed();
    let shown =
        |filter: InstanceFilter| ids(&fleet.list(&filter, (None, 10), later(300_000).uptime, assigned_a));
    let state = |state| InstanceFilter {
        state: Some(state),
        ..InstanceFilter::default()
    };
    assert_eq!(shown(state(StateWanted::Unknown)), ["i-000003"]);
    assert_eq!(
        shown(state(StateWanted::Reported(ReportState::Confirmed))),
        ["i-000001"]
    );
    let drift = |drift| InstanceFilter {
        drift: Some(drift),
        ..InstanceFilter::default()
    };
    assert_eq!(shown(drift(Drift::InSync)), ["i-000001", "i-000003"]);
    assert_eq!(shown(drift(Drift::Divergent)), ["i-000002"]);
    assert_eq!(shown(drift(Drift::Pinned)), ["i-000004"]);
    let lost = InstanceFilter {
        liveness: Some(headwater_wire::Liveness::Lost),
        ..InstanceFilter::default()
    };
    assert_eq!(shown(lost), ["i-000003"]);
}

#[test]
fn labels_are_asked_for_by_globs() {
    let mut fleet = Fleet::default();
    for (number, region) in [(1, "eu-west"), (2, "us-east")] {
        heard(&mut fleet, number, with(1, &[], &[("region", region)]), NOW);
    }
    let filter = InstanceFilter {
        labels: labels("eu-*"),
        ..InstanceFilter::default()
    };
    assert_eq!(
        ids(&fleet.list(&filter, (None, 10), NOW.uptime, nothing)),
        ["i-000001"]
    );
    assert_eq!(labels("{").broken(), Some("region"));
}

#[test]
fn who_says_that_it_ends_is_no_member_and_is_still_known() {
    let mut fleet = mixed();
    let now = later(300_000);
    assert_eq!(fleet.leave(&id(9), 1, now), Left::Unknown);
    assert_eq!(fleet.leave(&id(1), 0, now), Left::Newer { incarnation: 1 });
    for _ in 0..2 {
        assert_eq!(fleet.leave(&id(1), 1, now), Left::Gone);
    }
    assert_eq!(fleet.members(&config(), now.uptime).count(), 3);
    assert_eq!(
        ids(&fleet.list(&InstanceFilter::default(), (None, 1), now.uptime, nothing)),
        ["i-000002"]
    );
    let gone = fleet.view(&id(1), now.uptime, nothing).unwrap();
    assert_eq!(gone.liveness, headwater_wire::Liveness::Gone);
    // What comes late of that life counts for nothing; the next one is here again, and was not begun by a crash.
    let late = with(7, &[("app", running('a', ReportState::Applied))], &[]);
    assert_eq!(fleet.take(&id(1), late.clone(), now).unwrap().0, Taken::Older);
    let next = InstanceReport {
        incarnation: 2,
        ..late
    };
    assert_eq!(fleet.take(&id(1), next, now).unwrap().0, Taken::Newer);
    let back = fleet
        .members(&config(), now.uptime)
        .find(|member| *member.instance == id(1));
    assert_eq!(back.unwrap().restarts, 0);
    // One that ends without a word is.
    let after = with(8, &[("app", running('a', ReportState::Applied))], &[]);
    let after = InstanceReport {
        incarnation: 3,
        ..after
    };
    fleet.take(&id(1), after, now).unwrap();
    let mut members = fleet.members(&config(), now.uptime);
    let back = members.find(|member| *member.instance == id(1));
    assert_eq!(back.unwrap().restarts, 1);
}

#[test]
fn a_rolling_restart_is_no_crash_loop_also_where_the_service_restarts_meanwhile() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 5, NOW);
    for life in 1..5 {
        fleet.leave(&id(1), life, NOW);
        fleet = reopened(&fleet, NOW);
        says(&mut fleet, (life + 1, 1), 5, NOW);
    }
    assert_eq!(member(&fleet, NOW).restarts, 0);
}

/// The greatest number that a report may have at all.
const FORGED: u64 = (1 << 53) - 1;

#[test]
fn a_forged_number_takes_nobody_out_of_sight() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 5, NOW);
    let forged = |incarnation, seq| InstanceReport {
        incarnation,
        ..with(seq, &[], &[])
    };
    for (forged, said) in [
        (
            forged(FORGED, 1),
            "no life of an instance can have come to this number yet: 9007199254740991",
        ),
        (
            forged(1, FORGED),
            "no instance can have sent so many reports since it was last heard: 9007199254740991",
        ),
        (
            forged(2, FORGED),
            "no instance can have sent so many reports since it was last heard: 9007199254740991",
        ),
    ] {
        let refused = fleet.take(&id(1), forged, NOW).unwrap_err();
        assert_eq!(refused.to_string(), said);
        assert!(matches!(refused, NotTaken::Implausible(_)));
    }
    assert_eq!(taken(&mut fleet, report(1, 2), NOW), Taken::Newer);
    // An instance that nobody knows cannot be taken beforehand either.
    assert!(fleet.take(&id(2), forged(FORGED, 1), NOW).is_err());
    assert!(fleet.take(&id(2), forged(1, FORGED), NOW).is_err());
    assert_eq!(fleet.len(), 1);
}

#[test]
fn a_forged_goodbye_is_believed_only_until_its_life_goes_on_reporting() {
    let live_ms = Heartbeat::default().live_ms();
    for incarnation in [1, 2] {
        let mut fleet = Fleet::default();
        says(&mut fleet, (1, 1), 5, NOW);
        assert_eq!(
            fleet.leave(&id(1), FORGED, NOW),
            Left::Implausible(Implausible::Incarnation(FORGED))
        );
        assert_eq!(member(&fleet, NOW).liveness, Liveness::Live);
        assert_eq!(fleet.leave(&id(1), incarnation, NOW), Left::Gone);
        assert_eq!(taken(&mut fleet, report(1, 2), later(live_ms)), Taken::Older);
        says(&mut fleet, (1, 3), 5, later(live_ms + 1));
        let member = member(&fleet, later(live_ms + 1));
        assert_eq!((member.liveness, member.restarts), (Liveness::Live, 0));
    }
}

#[test]
fn an_instance_that_a_person_forgets_begins_anew_with_whatever_it_says_next() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (9, 9), 5, NOW);
    assert!(fleet.forget(&id(1)));
    assert!(!fleet.forget(&id(1)));
    assert_eq!(
        (fleet.len(), fleet.members(&config(), NOW.uptime).count()),
        (0, 0)
    );
    says(&mut fleet, (3, 1), 4, NOW);
    assert_eq!(member(&fleet, NOW).told, Generation(4));
}

#[test]
fn a_number_that_nobody_can_have_come_to_is_not_remembered_over_a_restart() {
    let mut fleet = Fleet::default();
    says(&mut fleet, (1, 1), 5, NOW);
    let mut kept = fleet.kept(None, 10, NOW.uptime);
    kept[0].report.incarnation = FORGED;
    let mut again = Fleet::default();
    again.recall(kept.remove(0), Uptime(0)).unwrap();
    assert!(again.is_empty());
}

#[test]
fn what_an_instance_ran_is_told_by_when_it_was_heard() {
    let mut fleet = Fleet::default();
    let mut seq = 0;
    let mut say = |fleet: &mut Fleet, digit, state, ms| {
        seq += 1;
        let report = with(seq, &[("app", running(digit, state))], &[]);
        heard(fleet, 1, report, later(ms));
    };
    say(&mut fleet, 'a', ReportState::Confirmed, 0);
    say(&mut fleet, 'a', ReportState::Confirmed, 30_000);
    say(&mut fleet, 'b', ReportState::Applied, 60_000);
    say(&mut fleet, 'b', ReportState::Applied, 90_000);
    let told = |at: Option<u64>| {
        let at = at.map(|ms| later(ms).at);
        let ran = fleet.history(&id(1), at).remove(&config()).unwrap_or_default();
        let short = |ran: &headwater_wire::Ran| {
            let version = ran
                .running
                .as_ref()
                .unwrap()
                .version
                .as_str()
                .chars()
                .next()
                .unwrap();
            (version, ran.from.ms_since(WALL), ran.until.ms_since(WALL))
        };
        ran.iter().map(short).collect::<Vec<_>>()
    };
    let (a, b) = (('a', 0, 30_000), ('b', 60_000, 90_000));
    assert_eq!(told(None), [b, a]);
    assert_eq!(
        (told(Some(10_000)), told(Some(45_000)), told(Some(60_000))),
        (vec![a], vec![a], vec![b])
    );
    assert!(fleet.history(&id(1), Some(Timestamp(WALL.0 - 1))).is_empty());
    assert!(fleet.history(&id(2), None).is_empty());
}

#[test]
fn a_history_has_an_end() {
    let mut fleet = Fleet::default();
    for seq in 1..100 {
        let state = if seq % 2 == 0 {
            ReportState::Applied
        } else {
            ReportState::Pending
        };
        heard(
            &mut fleet,
            1,
            with(seq, &[("app", running('a', state))], &[]),
            later(seq),
        );
    }
    let history = fleet.history(&id(1), None).remove(&config()).unwrap();
    assert_eq!(history.len(), HISTORY_MAX);
    assert_eq!(history[0].from, later(99).at);
    // Where everybody together has too many, each gives its own oldest for a new one.
    fleet.archive = Archive::full();
    let before = fleet.archive.len();
    heard(
        &mut fleet,
        1,
        with(100, &[("app", running('b', ReportState::Failed))], &[]),
        later(100),
    );
    assert_eq!(fleet.archive.len(), before);
}

fn reopened(fleet: &Fleet, now: Moment) -> Fleet {
    let kept = fleet.kept(None, usize::MAX, now.uptime);
    let mut again = Fleet::default();
    for instance in kept {
        again.recall(instance, Uptime(0)).unwrap();
    }
    again
}

#[test]
fn whom_an_earlier_process_heard_is_stale_until_it_is_heard_again() {
    let mut fleet = mixed();
    let saved = later(310_000);
    fleet.leave(&id(4), 1, saved);
    let mut fleet = reopened(&fleet, saved);
    let liveness = |fleet: &Fleet, uptime| {
        let mut members: Vec<_> = fleet.members(&config(), Uptime(uptime)).collect();
        members.sort_by_key(|member| member.instance);
        members
            .iter()
            .map(|member| (member.liveness, member.silent_ms))
            .collect::<Vec<_>>()
    };
    // The third was lost before, and the fourth is gone; the others have the time that everybody has.
    let lost = (Liveness::Lost, 310_000);
    assert_eq!(
        liveness(&fleet, 0),
        [(Liveness::Stale, 0), (Liveness::Stale, 0), lost]
    );
    assert_eq!(liveness(&fleet, 299_999)[0].0, Liveness::Stale);
    assert_eq!(liveness(&fleet, 300_000)[0].0, Liveness::Lost);
    heard(
        &mut fleet,
        1,
        with(2, &[("app", running('a', ReportState::Confirmed))], &[]),
        Moment::default(),
    );
    assert_eq!(liveness(&fleet, 0)[0].0, Liveness::Live);
    // It is no newer life than the one before, and what came before is older.
    let member = fleet
        .members(&config(), Uptime(0))
        .find(|member| *member.instance == id(1))
        .unwrap();
    assert_eq!(member.restarts, 0);
    assert_eq!(
        fleet.take(&id(1), report(0, 9), Moment::default()).unwrap().0,
        Taken::Older
    );
}

proptest! {
    /// Nothing but being heard is lost by a restart of the service.
    #[test]
    fn a_fleet_comes_back_as_it_was_kept(
        steps in proptest::collection::vec((0..4_usize, 1..4_u64, 0..4_u8, 0..3_u8), 1..40),
    ) {
        let mut fleet = Fleet::default();
        for (seq, (number, incarnation, configs, what)) in (1..).zip(steps) {
            if what == 0 {
                fleet.leave(&id(number), incarnation, later(seq));
                continue;
            }
            let named = (0..2).filter(|bit| configs & (1 << bit) != 0);
            let state = if what == 1 { ReportState::Applied } else { ReportState::Failed };
            let configs = named.map(|bit| (format!("c{bit}").parse().unwrap(), running('a', state))).collect();
            heard(&mut fleet, number, InstanceReport { configs, ..report(incarnation, seq) }, later(seq));
        }
        let now = later(1_000);
        let again = reopened(&fleet, now);
        prop_assert_eq!(again.len(), fleet.len());
        prop_assert_eq!(again.bytes(), fleet.bytes());
        prop_assert_eq!(again.archive.len(), fleet.archive.len());
        for number in 0..4 {
            let seen = |fleet: &Fleet, now: Uptime| fleet.view(&id(number), now, nothing).map(|view| InstanceView {
                liveness: headwater_wire::Liveness::Other,
                silent_ms: 0,
                ..view
            });
            prop_assert_eq!(seen(&again, Uptime(0)), seen(&fleet, now.uptime));
            prop_assert_eq!(again.history(&id(number), None), fleet.history(&id(number), None));
        }
        let kept = |fleet: &Fleet, now: Uptime| {
            let kept = fleet.kept(None, 100, now).into_iter();
            kept.map(|kept| KeptInstance { silent_ms: 0, ..kept }).collect::<Vec<_>>()
        };
        prop_assert_eq!(kept(&again, Uptime(0)), kept(&fleet, now.uptime));
    }
}
