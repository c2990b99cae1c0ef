//! Counts and filters over a fleet of every kind: the unknown is never called a success.

use super::*;

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
