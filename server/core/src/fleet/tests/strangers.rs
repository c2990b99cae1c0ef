//! Goodbyes, forged numbers, and instances that a person has forgotten.

use super::*;

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
