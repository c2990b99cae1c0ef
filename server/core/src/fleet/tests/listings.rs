//! Listings: filters, pages, and what a page costs.

use super::*;

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
