//! Stages: who comes when, how long it stays quiet, and what stops it.

use headwater_core::rollout::{
    Liveness, OnHalt, Order, Policy, RollCall, Share, StagePolicy, State, Step, Why,
};
use headwater_wire::{Generation, ReportState};
use proptest::prelude::*;

use crate::fleet::Fleet;

const MINUTE_MS: u64 = 60_000;

/// In stages of these shares, each quiet for a minute.
pub(crate) fn staged(shares: &[Share]) -> Policy {
    let stage = |share: &Share| StagePolicy {
        share: *share,
        bake_ms: MINUTE_MS,
        ..StagePolicy::default()
    };
    Policy {
        stages: shares.iter().map(stage).collect(),
        on_halt: OnHalt::RollBackAfter(10 * MINUTE_MS),
        ..Policy::immediate()
    }
}

pub(crate) fn in_two() -> Policy {
    staged(&[Share::Count(2), Share::Everyone])
}

/// A stage goes as it should: it opens, everybody runs it, it stays quiet.
pub(crate) fn goes_well(fleet: &mut Fleet) {
    assert!(matches!(fleet.step(), Some(Step::Expose { .. })));
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet.obey(ReportState::Confirmed);
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), Some(Step::Advance));
}

#[test]
fn a_count_takes_so_many_and_the_last_stage_takes_the_rest() {
    let mut fleet = Fleet::of(10);
    fleet.offer(2, &in_two());
    assert_eq!(fleet.told(2), [0; 0]);
    goes_well(&mut fleet);
    assert_eq!(fleet.told(2).len(), 2);
    goes_well(&mut fleet);
    assert_eq!(fleet.told(2).len(), 10);
    assert_eq!(*fleet.state(), State::Done);
}

#[test]
fn a_percentage_counts_those_whom_earlier_stages_have_taken() {
    let mut fleet = Fleet::of(20);
    fleet.offer(
        2,
        &staged(&[Share::Percent(10), Share::Percent(25), Share::Everyone]),
    );
    goes_well(&mut fleet);
    let first = fleet.told(2);
    assert_eq!(first.len(), 2);
    goes_well(&mut fleet);
    let second = fleet.told(2);
    assert_eq!(second.len(), 5);
    assert!(
        first.iter().all(|number| second.contains(number)),
        "who is in stays in"
    );
}

#[test]
fn a_small_percentage_takes_at_least_one() {
    let mut fleet = Fleet::of(3);
    fleet.offer(2, &staged(&[Share::Percent(1), Share::Everyone]));
    fleet.step();
    assert_eq!(fleet.told(2).len(), 1);
}

#[test]
fn labels_take_those_that_have_them_and_globs_are_understood() {
    let mut fleet = Fleet::of(6)
        .labelled(&[1, 4], ("region", "eu-west"))
        .labelled(&[2], ("region", "us-east"));
    let mut policy = staged(&[Share::Everyone, Share::Everyone]);
    policy.stages[0].labels = [("region".to_owned(), "eu-*".to_owned())].into();
    fleet.offer(2, &policy);
    fleet.step();
    assert_eq!(fleet.told(2), [1, 4]);
}

#[test]
fn a_stage_that_takes_nobody_proves_nothing_and_stops() {
    let mut fleet = Fleet::of(3);
    let mut policy = staged(&[Share::Everyone, Share::Everyone]);
    policy.stages[0].labels = [("canary".to_owned(), "true".to_owned())].into();
    fleet.offer(2, &policy);
    assert_eq!(fleet.step(), Some(Step::Halt(Why::NobodyInStage { stage: 0 })));
}

#[test]
fn who_comes_later_is_in_exactly_if_its_rank_lies_in_the_open_share() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &staged(&[Share::Percent(50), Share::Everyone]));
    fleet.step();
    let before = fleet.told(2);
    for number in 4..40 {
        fleet.joins(number);
    }
    let after = fleet.told(2);
    assert!(before.iter().all(|number| after.contains(number)));
    assert!(
        (5..35).contains(&after.len()),
        "a share of those who came: {}",
        after.len()
    );
}

proptest! {
    #[test]
    fn a_count_is_never_exceeded_whoever_comes_and_goes(
        counts in (1_u32..8, 0_u32..8),
        fleet_of in (1_usize..12, 0_usize..30),
        gone in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let shares = [Share::Count(counts.0), Share::Count(counts.0 + counts.1), Share::Everyone];
        let mut fleet = Fleet::of(fleet_of.0);
        fleet.offer(2, &staged(&shares));
        for limit in [counts.0, counts.0 + counts.1] {
            if !matches!(fleet.step(), Some(Step::Expose { .. })) {
                return Ok(());
            }
            let told = fleet.told(2);
            prop_assert!(told.len() <= limit as usize, "{} of {limit}", told.len());
            for who in &gone {
                fleet.falls_silent(who.index(fleet_of.0), Liveness::Lost, 600_000);
            }
            for number in fleet_of.0..fleet_of.0 + fleet_of.1 {
                fleet.joins(number);
            }
            prop_assert_eq!(&fleet.told(2), &told, "who comes later waits for the stage that takes everyone");
            for number in 0..fleet_of.0 {
                fleet.falls_silent(number, Liveness::Live, 0);
            }
            fleet.obey(ReportState::Confirmed);
            fleet.step();
            fleet.pass(MINUTE_MS);
            fleet.step();
        }
        fleet.step();
        prop_assert_eq!(fleet.told(2).len(), fleet_of.0 + fleet_of.1);
    }

    #[test]
    fn nobody_is_counted_who_is_not_there(silences in proptest::collection::vec(0_usize..4, 2..10), steps in 0_usize..9) {
        let mut fleet = Fleet::of(silences.len());
        fleet.offer(2, &staged(&[Share::Count(2), Share::Everyone]));
        for step in 0..steps {
            fleet.step();
            fleet.obey(ReportState::Confirmed);
            fleet.pass(MINUTE_MS);
            if step + 1 == steps {
                for (number, silence) in silences.iter().enumerate() {
                    let liveness = [Liveness::Live, Liveness::Stale, Liveness::Lost, Liveness::Gone][*silence];
                    fleet.falls_silent(number, liveness, if *silence == 0 { 0 } else { MINUTE_MS });
                }
            }
            let told = fleet.rollout().counts(&fleet.tally());
            prop_assert!(told.members <= told.fleet, "{} of {}", told.members, told.fleet);
            prop_assert!(told.fleet <= silences.len() as u64);
            let parts = told.applied + told.confirmed + told.pending + told.ready + told.failed + told.unknown;
            prop_assert_eq!(parts, told.members);
        }
    }
}

#[test]
fn two_rollouts_do_not_begin_with_the_same_instances() {
    let mut fleet = Fleet::of(40);
    let policy = staged(&[Share::Count(5), Share::Everyone]);
    fleet.offer(2, &policy);
    fleet.step();
    let first = fleet.told(2);
    fleet
        .order(Order::Abort {
            reason: "again".to_owned(),
        })
        .unwrap();
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    fleet.offer(3, &policy);
    fleet.step();
    assert_ne!(fleet.told(3), first);
}

#[test]
fn nobody_is_chosen_before_everybody_has_had_time_to_report() {
    let mut fleet = Fleet::of(10);
    fleet.roll_call = RollCall::Running;
    fleet.offer(2, &in_two());
    assert_eq!(fleet.step(), None);
    fleet.roll_call = RollCall::Over;
    assert!(matches!(fleet.step(), Some(Step::Expose { members: 2, .. })));
}

#[test]
fn where_everybody_is_taken_nobody_waits_for_the_roll_call() {
    let mut fleet = Fleet::of(10);
    fleet.roll_call = RollCall::Running;
    fleet.offer(2, &Policy::immediate());
    assert!(matches!(fleet.step(), Some(Step::Expose { members: 10, .. })));
    assert_eq!(fleet.told(2).len(), 10);
}

#[test]
fn a_stage_bakes_for_the_time_that_it_says_or_else_for_that_of_the_policy() {
    for (said, quiet) in [(0, 3 * MINUTE_MS), (MINUTE_MS, MINUTE_MS)] {
        let mut fleet = Fleet::of(4);
        let mut policy = Policy {
            bake_unsaid_ms: 3 * MINUTE_MS,
            ..in_two()
        };
        policy.stages[0].bake_ms = said;
        fleet.offer(2, &policy);
        fleet.step();
        fleet.obey(ReportState::Applied);
        assert_eq!(fleet.step(), Some(Step::Bake));
        fleet.pass(quiet - 1);
        assert_eq!(fleet.step(), None);
        fleet.pass(1);
        assert_eq!(fleet.step(), Some(Step::Advance));
    }
}

#[test]
fn who_does_not_take_it_in_time_stops_the_rollout() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let slow = fleet.told(2)[0];
    fleet.obey(ReportState::Applied);
    fleet.says(slow).report.state = ReportState::Pending;
    assert_eq!(fleet.step(), None);
    fleet.pass(fleet.rollout().policy.deadlines.expose_ms);
    let Some(Step::Halt(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!(
        why.to_string(),
        format!("1 of 2 instances were not ready in time: i-{slow} (pending)")
    );
    assert!(why.who().is_empty(), "who is late has not failed");
}

#[test]
fn one_refusal_stops_the_rollout_and_nobody_else_is_told() {
    let mut fleet = Fleet::of(10);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.refuses(told[0]);
    let Some(Step::Halt(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    let id = format!("i-{}", told[0]);
    assert_eq!(
        why.to_string(),
        format!("1 of 2 instances failed; it stops at 1: {id} (validate)")
    );
    let said: Vec<_> = why.who().iter().map(|blamed| blamed.said.as_deref()).collect();
    assert_eq!(said, [Some("port out of range")]);
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.told(2), told);
}

#[test]
fn as_many_may_fail_as_the_budget_says() {
    let mut fleet = Fleet::of(10);
    let mut policy = staged(&[Share::Count(5), Share::Everyone]);
    policy.budget.failed = 2;
    fleet.offer(2, &policy);
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.refuses(told[0]);
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet.refuses(told[1]);
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Failed { failed: 2, .. }))
    ));
}

#[test]
fn a_refusal_of_an_earlier_word_does_not_count() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.refuses(told[0]);
    fleet.says(told[0]).report.generation = Generation(1);
    assert_eq!(fleet.tally().failed, 0);
}

#[test]
fn silence_is_never_success() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.falls_silent(told[0], Liveness::Stale, 100_000);
    let tally = fleet.tally();
    assert_eq!((tally.applied, tally.unknown, tally.failed), (1, 1, 0));
    assert_eq!(fleet.step(), None, "it is waited for");
    fleet.pass(fleet.rollout().policy.deadlines.expose_ms);
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Late { pending: 1, .. }))
    ));
}

#[test]
fn who_is_silent_for_longer_than_the_policy_allows_has_failed() {
    let mut fleet = Fleet::of(4);
    let mut policy = in_two();
    policy.budget.unknown_after_ms = Some(2 * MINUTE_MS);
    fleet.offer(2, &policy);
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.pass(3 * MINUTE_MS);
    fleet.falls_silent(told[0], Liveness::Stale, 2 * MINUTE_MS - 1);
    assert_eq!(fleet.tally().failed, 0);
    fleet.falls_silent(told[0], Liveness::Stale, 2 * MINUTE_MS);
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Failed { failed: 1, .. }))
    ));
}

#[test]
fn who_is_lost_on_probation_has_failed_although_it_said_that_all_was_well() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet.pass(MINUTE_MS);
    fleet.falls_silent(told[0], Liveness::Lost, MINUTE_MS - 1);
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Failed { failed: 1, .. }))
    ));
}

/// A first stage of two that bakes, and whom it took; both have proved themselves.
fn two_confirmed(policy: &Policy) -> (Fleet, Vec<usize>) {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, policy);
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Confirmed);
    assert_eq!(fleet.step(), Some(Step::Bake));
    (fleet, told)
}

#[test]
fn who_falls_silent_after_its_probation_is_waited_for_while_its_stage_bakes() {
    for liveness in [Liveness::Stale, Liveness::Lost] {
        let (mut fleet, told) = two_confirmed(&in_two());
        fleet.pass(MINUTE_MS);
        fleet.falls_silent(told[0], liveness, MINUTE_MS - 1);
        let tally = fleet.tally();
        assert_eq!((tally.confirmed, tally.unknown, tally.failed), (1, 1, 0));
        assert_eq!(fleet.step(), None);
        fleet.order(Order::Pause).unwrap();
        assert_eq!(fleet.tally().unknown, 1, "a stop proves nothing");
        fleet.order(Order::Resume).unwrap();
        fleet.pass(fleet.rollout().policy.deadlines.expose_ms);
        assert!(matches!(
            fleet.step(),
            Some(Step::Halt(Why::Late { pending: 1, .. }))
        ));
    }
}

#[test]
fn who_was_told_and_is_silent_for_too_long_has_failed_however_far_it_was() {
    for state in [ReportState::Pending, ReportState::Applied, ReportState::Confirmed] {
        for liveness in [Liveness::Stale, Liveness::Lost] {
            let mut policy = in_two();
            policy.budget.unknown_after_ms = Some(10 * MINUTE_MS);
            let (mut fleet, told) = two_confirmed(&policy);
            fleet.says(told[0]).report.state = state;
            fleet.pass(10 * MINUTE_MS - 1);
            // Its last word is older than the stage, and it was not lost when that began.
            fleet.falls_silent(told[0], liveness, 11 * MINUTE_MS);
            let tally = fleet.tally();
            let is_lost_on_probation = state == ReportState::Applied && liveness == Liveness::Lost;
            assert_eq!(
                tally.failed,
                u64::from(is_lost_on_probation),
                "{state:?} {liveness:?}"
            );
            assert_eq!((tally.members, tally.unknown + tally.failed), (2, 1));
            fleet.pass(1);
            assert!(matches!(
                fleet.step(),
                Some(Step::Halt(Why::Failed { failed: 1, .. }))
            ));
        }
    }
}

#[test]
fn who_says_that_it_ends_is_waited_for_no_more() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obeys(told[0], ReportState::Confirmed);
    assert_eq!(fleet.step(), None);
    fleet.falls_silent(told[1], Liveness::Gone, 0);
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), Some(Step::Advance));
}

#[test]
fn quiet_after_all_have_ended_proves_nothing() {
    let (mut fleet, told) = two_confirmed(&in_two());
    for number in told {
        fleet.falls_silent(number, Liveness::Gone, 0);
    }
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None);
    fleet.pass(fleet.rollout().policy.deadlines.expose_ms);
    assert_eq!(fleet.step(), Some(Step::Halt(Why::TooFew { ran: 0, wanted: 1 })));
}

#[test]
fn who_is_in_no_memory_any_more_is_waited_for() {
    let (mut fleet, told) = two_confirmed(&in_two());
    fleet.instances.remove(format!("i-{}", told[0]).as_str());
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None);
}

#[test]
fn who_falls_silent_after_its_stage_has_ended_well_was_only_stopped() {
    let mut policy = in_two();
    policy.budget.unknown_after_ms = Some(MINUTE_MS);
    let (mut fleet, told) = two_confirmed(&policy);
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), Some(Step::Advance));
    fleet.falls_silent(told[0], Liveness::Lost, 2 * MINUTE_MS);
    fleet.pass(2 * MINUTE_MS);
    goes_well(&mut fleet);
    assert_eq!(*fleet.state(), State::Done);
    let tally = fleet.tally();
    assert_eq!(
        (tally.confirmed, tally.silent),
        (3, 1),
        "and is no success either"
    );
}

#[test]
fn silence_from_before_a_stage_is_not_its_doing() {
    let mut fleet = Fleet::of(1);
    let mut policy = staged(&[Share::Everyone]);
    policy.budget.unknown_after_ms = Some(2 * MINUTE_MS);
    fleet.falls_silent(0, Liveness::Stale, 3 * MINUTE_MS);
    fleet.offer(2, &policy);
    fleet.step();
    assert_eq!((fleet.tally().failed, fleet.tally().unknown), (0, 1));
    fleet.pass(2 * MINUTE_MS);
    assert!(matches!(fleet.step(), Some(Step::Halt(Why::Failed { .. }))));
}

#[test]
fn restarts_after_the_probation_count_while_the_stage_bakes() {
    let (mut fleet, told) = two_confirmed(&in_two());
    fleet.says(told[0]).restarts = 2;
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Failed { failed: 1, .. }))
    ));
}

#[test]
fn who_was_gone_before_its_stage_began_is_not_waited_for() {
    let mut fleet = Fleet::of(3);
    fleet.falls_silent(2, Liveness::Lost, 60 * MINUTE_MS);
    fleet.offer(2, &staged(&[Share::Everyone]));
    fleet.step();
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
}

#[test]
fn an_instance_that_restarts_again_and_again_has_failed() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.says(told[0]).restarts = 1;
    assert_eq!(fleet.tally().failed, 0);
    fleet.says(told[0]).restarts = 2;
    assert!(matches!(fleet.step(), Some(Step::Halt(Why::Failed { .. }))));
}

#[test]
fn too_few_instances_prove_nothing() {
    let mut fleet = Fleet::of(10);
    let policy = Policy {
        sample_min: 3,
        ..in_two()
    };
    fleet.offer(2, &policy);
    fleet.step();
    fleet.obey(ReportState::Applied);
    fleet.step();
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None);
    fleet.pass(policy.deadlines.expose_ms);
    assert_eq!(fleet.step(), Some(Step::Halt(Why::TooFew { ran: 2, wanted: 3 })));
}

#[test]
fn of_a_fleet_smaller_than_the_sample_all_are_enough() {
    let mut fleet = Fleet::of(2);
    let policy = Policy {
        sample_min: 50,
        ..staged(&[Share::Everyone])
    };
    fleet.offer(2, &policy);
    goes_well(&mut fleet);
    assert_eq!(*fleet.state(), State::Done);
}

#[test]
fn a_planner_that_is_asked_twice_says_the_same() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    for _ in 0..20 {
        assert_eq!(fleet.plan(), fleet.plan());
        fleet.step();
        fleet.obey(ReportState::Confirmed);
        fleet.pass(MINUTE_MS / 2);
    }
    assert_eq!(*fleet.state(), State::Done);
}

#[test]
fn a_step_that_does_not_fit_changes_nothing() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    let before = fleet.rollout().clone();
    let steps = [
        Step::Activate,
        Step::Bake,
        Step::Advance,
        Step::Resume,
        Step::Settle,
        Step::GiveUp { left: 1 },
    ];
    for step in steps {
        let rollout = fleet.course.rollout.as_mut().unwrap();
        assert!(!rollout.apply(step, Generation(99)));
        assert_eq!(*rollout, before);
    }
}

#[test]
fn a_client_that_does_not_say_who_it_is_comes_last() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    goes_well(&mut fleet);
    let baseline = fleet.rollout().baseline_generation;
    assert_eq!(fleet.rollout().anonymous().generation(), baseline);
    goes_well(&mut fleet);
    assert!(fleet.rollout().anonymous().generation() > baseline);
}
