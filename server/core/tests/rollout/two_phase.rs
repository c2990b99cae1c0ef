//! Two phases: nobody switches before enough are ready, and of one number there is one decision.

use headwater_core::rollout::{
    Activation, Directive, Liveness, Order, OrderRefused, Policy, Quorum, Share, State, Step, Why,
};
use headwater_wire::{Phase, ReportState};

use crate::fleet::Fleet;
use crate::stages::staged;

const MINUTE_MS: u64 = 60_000;

fn together() -> Policy {
    Policy {
        activation: Activation::TwoPhase,
        ..staged(&[Share::Everyone])
    }
}

/// All instances of a fleet of so many are asked to get ready.
fn asked(count: usize, policy: &Policy) -> Fleet {
    let mut fleet = Fleet::of(count);
    fleet.offer(2, policy);
    assert!(matches!(fleet.step(), Some(Step::Prepare { .. })));
    fleet
}

#[test]
fn nobody_switches_before_all_that_are_required_are_ready() {
    let mut fleet = asked(3, &together());
    fleet.obeys(0, ReportState::Confirmed);
    fleet.obeys(1, ReportState::Confirmed);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.told(2), [0; 0]);
    fleet.obeys(2, ReportState::Confirmed);
    assert_eq!(fleet.step(), Some(Step::Activate));
    assert_eq!(fleet.told(2), [0, 1, 2]);
}

#[test]
fn they_switch_under_the_number_under_which_they_got_ready() {
    let mut fleet = asked(2, &together());
    let asked = fleet.directive(0).generation();
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    assert_eq!(fleet.directive(0), Directive::Target(asked));
}

#[test]
fn to_be_ready_for_another_word_is_not_to_be_ready() {
    let mut fleet = asked(2, &together());
    fleet.obey(ReportState::Confirmed);
    let asked = fleet.directive(0).generation();
    fleet.says(0).report.generation = headwater_wire::Generation(asked.0 - 1);
    assert_eq!(fleet.step(), None);
}

#[test]
fn who_falls_silent_after_it_got_ready_is_not_ready() {
    let mut fleet = asked(2, &together());
    fleet.obey(ReportState::Confirmed);
    fleet.falls_silent(0, Liveness::Stale, 100_000);
    let tally = fleet.tally();
    assert_eq!((tally.required_ready, tally.required_unknown), (1, 1));
    assert_eq!(fleet.step(), None);
    fleet.falls_silent(0, Liveness::Live, 0);
    assert_eq!(fleet.step(), Some(Step::Activate));
}

#[test]
fn one_that_refuses_ends_it_and_everybody_is_told_what_to_hold_under_a_higher_number() {
    let mut fleet = asked(3, &together());
    let asked = fleet.directive(0).generation();
    fleet.refuses(1);
    let Some(Step::AbortPrepare(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!(
        why.to_string(),
        "1 of 3 instances refused to get ready: i-1 (validate)"
    );
    assert_eq!(*fleet.state(), State::Aborted { why });
    for number in 0..3 {
        assert!(matches!(fleet.directive(number), Directive::Baseline(word) if word > asked));
    }
}

#[test]
fn who_refused_is_known_by_name_after_everybody_was_told_something_else() {
    let mut fleet = asked(3, &together());
    fleet.refuses(1);
    fleet.step();
    fleet.obey(ReportState::Confirmed);
    let view = fleet.course.view(None, fleet.now).unwrap();
    assert_eq!(view.failed_names, ["i-1".parse().unwrap()]);
    let said = view.failures.first().unwrap();
    assert_eq!(
        (said.how.as_str(), said.message.as_deref()),
        ("validate", Some("port out of range"))
    );
}

#[test]
fn who_is_not_ready_in_time_ends_it() {
    let mut fleet = asked(3, &together());
    fleet.obeys(0, ReportState::Confirmed);
    fleet.pass(together().deadlines.prepare_ms);
    let Some(Step::AbortPrepare(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!(
        why.to_string(),
        "2 of 3 instances were not ready in time: i-1 (pending), i-2 (pending)"
    );
}

#[test]
fn who_is_silent_for_longer_than_the_policy_bears_is_not_waited_for_until_the_deadline() {
    let mut policy = together();
    policy.budget.unknown_after_ms = Some(2 * MINUTE_MS);
    let mut fleet = asked(3, &policy);
    fleet.obeys(0, ReportState::Confirmed);
    fleet.obeys(1, ReportState::Confirmed);
    fleet.pass(2 * MINUTE_MS);
    fleet.falls_silent(2, Liveness::Stale, 2 * MINUTE_MS - 1);
    assert_eq!(fleet.step(), None);
    fleet.falls_silent(2, Liveness::Stale, 2 * MINUTE_MS);
    let Some(Step::AbortPrepare(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!(
        why.to_string(),
        "1 of 3 instances were not ready in time: i-2 (silent for 2 min)"
    );
}

#[test]
fn a_quorum_that_can_do_without_the_silent_goes_on_waiting_for_the_others() {
    let mut policy = Policy {
        quorum: Quorum::Percent(60),
        ..together()
    };
    policy.budget.unknown_after_ms = Some(2 * MINUTE_MS);
    let mut fleet = asked(3, &policy);
    fleet.obeys(0, ReportState::Confirmed);
    fleet.pass(2 * MINUTE_MS);
    fleet.falls_silent(2, Liveness::Stale, 2 * MINUTE_MS);
    assert_eq!(fleet.step(), None);
    fleet.refuses(1);
    assert!(matches!(
        fleet.step(),
        Some(Step::AbortPrepare(Why::Late { pending: 1, .. }))
    ));
}

#[test]
fn a_quorum_waits_for_all_until_the_deadline_and_then_takes_enough() {
    let policy = Policy {
        quorum: Quorum::Percent(60),
        ..together()
    };
    let mut fleet = asked(5, &policy);
    for number in 0..3 {
        fleet.obeys(number, ReportState::Confirmed);
    }
    assert_eq!(fleet.step(), None);
    fleet.pass(policy.deadlines.prepare_ms);
    assert_eq!(fleet.step(), Some(Step::Activate));
}

#[test]
fn a_quorum_bears_as_many_refusals_as_it_can_do_without() {
    let policy = Policy {
        quorum: Quorum::Percent(60),
        ..together()
    };
    let mut fleet = asked(5, &policy);
    fleet.refuses(0);
    fleet.refuses(1);
    assert_eq!(fleet.step(), None);
    fleet.refuses(2);
    assert!(matches!(
        fleet.step(),
        Some(Step::AbortPrepare(Why::Refused {
            refused: 3,
            required: 5,
            ..
        }))
    ));
}

#[test]
fn who_is_lost_when_it_begins_is_left_out_by_name() {
    let mut fleet = Fleet::of(3);
    fleet.falls_silent(2, Liveness::Lost, 600_000);
    fleet.offer(2, &together());
    let Some(Step::Prepare {
        required, excluded, ..
    }) = fleet.step()
    else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!((required.len(), excluded.len()), (2, 1));
    fleet.obey(ReportState::Confirmed);
    assert_eq!(fleet.step(), Some(Step::Activate));
}

#[test]
fn who_comes_late_holds_the_baseline_until_it_is_decided_and_is_never_waited_for() {
    let mut fleet = asked(2, &together());
    fleet.joins(2);
    assert!(matches!(fleet.directive(2), Directive::Baseline(_)));
    fleet.obeys(0, ReportState::Confirmed);
    fleet.obeys(1, ReportState::Confirmed);
    assert_eq!(fleet.step(), Some(Step::Activate));
    assert_eq!(fleet.told(2), [0, 1, 2]);
}

#[test]
fn who_comes_after_an_abort_holds_the_baseline() {
    let mut fleet = asked(2, &together());
    fleet.refuses(0);
    fleet.step();
    fleet.joins(2);
    assert_eq!(fleet.told(1), [0, 1, 2]);
}

#[test]
fn a_straggler_is_counted_until_it_has_switched() {
    let mut fleet = asked(3, &together());
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    fleet.obeys(0, ReportState::Applied);
    fleet.obeys(1, ReportState::Applied);
    let tally = fleet.tally();
    assert_eq!((tally.applied, tally.ready), (2, 1));
    assert_eq!(fleet.step(), None, "the fleet is mixed, and is said to be");
    fleet.obeys(2, ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
}

#[test]
fn getting_ready_cannot_be_skipped() {
    let mut fleet = asked(2, &together());
    assert_eq!(fleet.order(Order::Promote), Err(OrderRefused::GettingReady));
}

#[test]
fn a_later_stage_that_refuses_leaves_the_earlier_ones_and_stops() {
    let policy = Policy {
        activation: Activation::TwoPhase,
        ..staged(&[Share::Count(1), Share::Everyone])
    };
    let mut fleet = asked(3, &policy);
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    fleet.pass(60_000);
    assert_eq!(fleet.step(), Some(Step::Advance));
    assert!(matches!(fleet.step(), Some(Step::Prepare { .. })));
    let first = fleet.told(2);
    let other = (0..3).find(|number| !first.contains(number)).unwrap();
    fleet.refuses(other);
    assert!(matches!(
        fleet.step(),
        Some(Step::AbortPrepare(Why::Refused { .. }))
    ));
    assert!(matches!(fleet.state(), State::Halted { .. }));
    assert_eq!(fleet.told(2), first);
}

#[test]
fn a_pause_keeps_the_question_open() {
    let mut fleet = asked(2, &together());
    fleet.order(Order::Pause).unwrap();
    assert!(matches!(fleet.directive(0), Directive::Prepare(_)));
    fleet.obey(ReportState::Confirmed);
    assert_eq!(fleet.step(), None);
    fleet.order(Order::Resume).unwrap();
    assert_eq!(fleet.step(), Some(Step::Activate));
}

#[test]
fn a_rollback_before_the_decision_activates_nobody() {
    let mut fleet = asked(2, &together());
    fleet.obey(ReportState::Confirmed);
    fleet
        .order(Order::Abort {
            reason: "no".to_owned(),
        })
        .unwrap();
    let opened = &fleet.rollout().opened;
    assert!(opened.iter().all(|opened| opened.phase == Phase::Prepare));
    assert_eq!(fleet.told(1), [0, 1]);
}
