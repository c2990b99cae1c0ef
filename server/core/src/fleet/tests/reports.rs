//! What a report does: which one is kept, how much of it, and what a flood of them fills.

use super::*;

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

#[test]
fn however_many_newcomers_a_full_fleet_refuses_everybody_is_looked_at_once_in_a_while() {
    let mut fleet = Fleet::default();
    for number in 0..INSTANCES_MAX {
        fleet.take(&id(number), report(1, 1), NOW).unwrap();
    }
    let refused = |fleet: &mut Fleet, at: Moment| {
        let before = fleet.leavers.looks;
        for number in 0..10_000 {
            let newcomer = fleet.take(&id(INSTANCES_MAX + number), report(1, 1), at);
            assert!(newcomer.is_err());
        }
        fleet.leavers.looks - before
    };
    assert!(refused(&mut fleet, later(100)) <= 2);
    assert_eq!(refused(&mut fleet, later(200)), 0);
    assert!(refused(&mut fleet, later(5_000)) <= 2);
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
