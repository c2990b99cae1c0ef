//! What people order, and what becomes of a rollout that has stopped.

use headwater_core::rollout::{Freeze, Liveness, OnHalt, Order, OrderRefused, Policy, State, Step, Why};
use headwater_wire::{ReportState, RolloutOrder, Running, Timestamp};

use crate::commit;
use crate::fleet::Fleet;
use crate::stages::{goes_well, in_two};

const MINUTE_MS: u64 = 60_000;

#[test]
fn a_stage_that_needs_approval_waits_for_a_person() {
    let mut fleet = Fleet::of(4);
    let mut policy = in_two();
    policy.stages[1].approval = true;
    fleet.offer(2, &policy);
    goes_well(&mut fleet);
    fleet.pass(1_000 * MINUTE_MS);
    assert_eq!(fleet.step(), None);
    fleet.order(Order::Promote).unwrap();
    goes_well(&mut fleet);
    assert_eq!(*fleet.state(), State::Done);
}

#[test]
fn to_cut_the_quiet_time_short_is_no_approval_of_the_stage_that_comes_after_it() {
    let mut fleet = Fleet::of(4);
    let mut policy = in_two();
    policy.stages[1].approval = true;
    fleet.offer(2, &policy);
    fleet.step();
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
    let next = |fleet: &Fleet| fleet.course.view(Some(&fleet.tally()), fleet.now).unwrap().next;
    assert_eq!(
        next(&fleet),
        "stage 2 asks a person for `promote` in 60 s, if all stays well"
    );
    fleet.order(Order::Promote).unwrap();
    assert_eq!(
        next(&fleet),
        "stage 2 waits for a person: `promote` lets it begin"
    );
    assert_eq!(fleet.step(), None);
    fleet.order(Order::Promote).unwrap();
    assert!(matches!(fleet.step(), Some(Step::Expose { .. })));
}

#[test]
fn a_stage_that_waits_for_no_person_cannot_be_promoted_and_neither_can_a_freeze() {
    let mut fleet = Fleet::of(4);
    let mut policy = in_two();
    policy.freezes = vec![Freeze::Between {
        from: Timestamp(0),
        until: Timestamp(60_000),
    }];
    fleet.offer(2, &policy);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.order(Order::Promote), Err(OrderRefused::BeginsByItself));
    assert!(!fleet.rollout().orders().contains(&RolloutOrder::Promote));
}

#[test]
fn going_back_waits_for_those_alone_who_may_have_had_it() {
    let mut fleet = Fleet::of(6);
    // Two run what was stable as another commit, which is told to nobody again.
    let elsewhere = fleet.says(0).report.running.clone().unwrap();
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    for number in (0..6).filter(|number| !told.contains(number)) {
        fleet.says(number).report.running = Some(Running {
            version: commit(9),
            ..elsewhere.clone()
        });
    }
    fleet
        .order(Order::Abort {
            reason: "bad".to_owned(),
        })
        .unwrap();
    let counts = fleet.rollout().counts(&fleet.tally());
    assert_eq!((counts.members, counts.not_back, counts.fleet), (2, 2, 6));
    fleet.falls_silent(told[0], Liveness::Stale, 100_000);
    fleet.obeys(told[1], ReportState::Applied);
    assert_eq!(fleet.step(), None, "silence is no way back either");
    fleet.falls_silent(told[0], Liveness::Live, 0);
    fleet.obeys(told[0], ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Settle));
}

#[test]
fn who_was_told_it_and_has_not_heard_of_the_way_back_is_not_back_whatever_it_said_before() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet
        .order(Order::Abort {
            reason: "bad".to_owned(),
        })
        .unwrap();
    assert_eq!(fleet.tally().not_back, 2);
    fleet.obeys(told[0], ReportState::Confirmed);
    assert_eq!(fleet.step(), None);
    fleet.obeys(told[1], ReportState::Confirmed);
    assert_eq!(fleet.step(), Some(Step::Settle));
}

#[test]
fn a_person_need_not_wait_for_the_end_of_a_bake() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    fleet.obey(ReportState::Applied);
    fleet.step();
    fleet.order(Order::Promote).unwrap();
    assert!(matches!(fleet.step(), Some(Step::Expose { members: 2, .. })));
}

#[test]
fn a_pause_freezes_exposure_and_a_bake_begins_anew_after_it() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    fleet.obey(ReportState::Applied);
    fleet.step();
    fleet.pass(MINUTE_MS - 1);
    fleet.order(Order::Pause).unwrap();
    fleet.pass(1_000 * MINUTE_MS);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.order(Order::Pause), Err(OrderRefused::Stopped));
    fleet.order(Order::Resume).unwrap();
    assert_eq!(fleet.step(), Some(Step::Bake));
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.order(Order::Resume), Err(OrderRefused::NotStopped));
}

#[test]
fn a_halted_rollout_goes_back_by_itself_after_its_time() {
    let mut fleet = Fleet::of(6);
    fleet.offer(2, &in_two());
    fleet.step();
    let told = fleet.told(2);
    fleet.obey(ReportState::Applied);
    fleet.refuses(told[0]);
    fleet.step();
    fleet.pass(10 * MINUTE_MS - 1);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.told(2), told, "both versions go on");
    fleet.pass(1);
    assert!(matches!(fleet.step(), Some(Step::RollBack(Why::Failed { .. }))));
    assert_eq!(fleet.told(1).len(), 6);
    assert_eq!(fleet.step(), None, "who runs the other one is waited for");
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Settle));
    assert!(matches!(fleet.state(), State::RolledBack { .. }));
}

#[test]
fn going_back_waits_for_nobody_for_ever_and_says_who_is_left() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    fleet.obey(ReportState::Applied);
    fleet
        .order(Order::Abort {
            reason: "bad".to_owned(),
        })
        .unwrap();
    fleet.pass(fleet.rollout().policy.deadlines.roll_back_ms);
    assert_eq!(fleet.step(), Some(Step::GiveUp { left: 2 }));
    assert!(matches!(fleet.state(), State::Incomplete { left: 2, .. }));
}

#[test]
fn a_rollout_that_may_stay_halted_waits_for_a_person() {
    let mut fleet = Fleet::of(4);
    let policy = Policy {
        on_halt: OnHalt::Stay,
        ..in_two()
    };
    fleet.offer(2, &policy);
    fleet.step();
    fleet.refuses(fleet.told(2)[0]);
    fleet.step();
    fleet.pass(1_000 * MINUTE_MS);
    assert_eq!(fleet.step(), None);
    fleet
        .order(Order::Abort {
            reason: "bad".to_owned(),
        })
        .unwrap();
    assert_eq!(fleet.told(1).len(), 4);
}

#[test]
fn what_nobody_was_told_is_aborted_at_once() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet
        .order(Order::Abort {
            reason: "no".to_owned(),
        })
        .unwrap();
    let why = Why::Asked {
        reason: "no".to_owned(),
    };
    assert_eq!(*fleet.state(), State::Aborted { why });
    assert_eq!(fleet.order(Order::Resume), Err(OrderRefused::Over));
}
