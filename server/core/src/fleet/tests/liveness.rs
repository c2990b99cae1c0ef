//! Who is heard, who is silent, and who comes back again and again.

use super::*;

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
