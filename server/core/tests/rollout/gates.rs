//! What else must agree: signals, and the calendar.

use headwater_core::rollout::{
    Activation, Directive, Freeze, Order, Policy, Reading, SignalPolicy, SignalSource, State, Step, Urgency,
    Why,
};
use headwater_wire::{ReportState, Timestamp};

use crate::fleet::Fleet;
use crate::stages::in_two;

const MINUTE_MS: u64 = 60_000;

fn with_signal() -> Policy {
    let signal = SignalPolicy {
        name: "errors".to_owned(),
        passes_min: 2,
        unclear_max: 3,
        source: SignalSource::Webhook {
            server: "oracle".to_owned(),
        },
        interval_ms: 30_000,
    };
    Policy {
        signals: vec![signal],
        ..in_two()
    }
}

/// A first stage that bakes.
fn baking(policy: &Policy) -> Fleet {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, policy);
    fleet.step();
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet
}

fn hears(fleet: &mut Fleet, reading: Reading) {
    fleet.course.rollout.as_mut().unwrap().hear("errors", reading);
}

fn no_traffic() -> Reading {
    Reading::Inconclusive("no traffic".to_owned())
}

fn away() -> Reading {
    Reading::Error("connection refused".to_owned())
}

#[test]
fn a_stage_ends_when_its_signal_has_said_yes_often_enough() {
    let mut fleet = baking(&with_signal());
    fleet.pass(MINUTE_MS);
    hears(&mut fleet, Reading::Pass);
    assert_eq!(fleet.step(), None);
    hears(&mut fleet, Reading::Pass);
    assert_eq!(fleet.step(), Some(Step::Advance));
}

#[test]
fn a_yes_before_the_quiet_time_is_over_shortens_nothing() {
    let mut fleet = baking(&with_signal());
    hears(&mut fleet, Reading::Pass);
    hears(&mut fleet, Reading::Pass);
    fleet.pass(MINUTE_MS - 1);
    assert_eq!(fleet.step(), None);
}

#[test]
fn one_no_stops_the_rollout() {
    let mut fleet = baking(&with_signal());
    hears(&mut fleet, Reading::Pass);
    hears(&mut fleet, Reading::Fail("5 % of requests fail".to_owned()));
    hears(&mut fleet, Reading::Pass);
    let Some(Step::Halt(why)) = fleet.step() else {
        panic!("{:?}", fleet.state());
    };
    assert_eq!(why.to_string(), "signal `errors` says no: 5 % of requests fail");
}

#[test]
fn answers_that_are_none_and_questions_that_fail_stop_it_after_some_and_never_pass() {
    for unclear in [no_traffic, away] {
        let mut fleet = baking(&with_signal());
        fleet.pass(MINUTE_MS);
        hears(&mut fleet, unclear());
        hears(&mut fleet, unclear());
        assert_eq!(fleet.step(), None);
        hears(&mut fleet, unclear());
        assert!(matches!(fleet.step(), Some(Step::Halt(Why::Unclear { .. }))));
    }
}

#[test]
fn a_yes_in_between_begins_the_count_of_doubts_anew() {
    let mut fleet = baking(&with_signal());
    for reading in [no_traffic(), away(), Reading::Pass, away(), no_traffic()] {
        hears(&mut fleet, reading);
    }
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None);
    hears(&mut fleet, Reading::Pass);
    assert_eq!(fleet.step(), Some(Step::Advance));
}

#[test]
fn a_signal_that_is_never_asked_does_not_pass() {
    let mut fleet = baking(&with_signal());
    fleet.pass(MINUTE_MS + with_signal().deadlines.expose_ms);
    assert!(matches!(
        fleet.step(),
        Some(Step::Halt(Why::Unclear { passes: 0, .. }))
    ));
}

#[test]
fn what_a_signal_said_does_not_count_for_another_bake() {
    let mut fleet = baking(&with_signal());
    hears(&mut fleet, Reading::Fail("slow".to_owned()));
    fleet.step();
    fleet.order(Order::Resume).unwrap();
    assert_eq!(fleet.step(), Some(Step::Bake));
    fleet.pass(MINUTE_MS);
    assert_eq!(fleet.step(), None, "it must be asked again");
}

/// From the third minute of the test to its fifth.
fn frozen(policy: Policy) -> Policy {
    let at = |minute: i64| Timestamp(minute * 60_000);
    Policy {
        freezes: vec![Freeze::Between {
            from: at(2),
            until: at(5),
        }],
        ..policy
    }
}

#[test]
fn a_freeze_opens_no_stage_and_says_when_it_ends() {
    let mut fleet = Fleet::of(4);
    fleet.now = Timestamp(120_000);
    let policy = frozen(in_two());
    fleet.offer(2, &policy);
    assert_eq!(fleet.step(), None);
    assert_eq!(policy.frozen_until(fleet.now), Some(Timestamp(300_000)));
    fleet.pass(3 * MINUTE_MS);
    assert!(matches!(fleet.step(), Some(Step::Expose { .. })));
}

#[test]
fn a_freeze_lets_what_is_open_bake_and_stop() {
    let mut fleet = baking(&frozen(in_two()));
    fleet.pass(2 * MINUTE_MS);
    assert_eq!(fleet.step(), Some(Step::Advance));
    assert_eq!(fleet.step(), None, "the next stage waits");
    fleet.refuses(fleet.told(2)[0]);
    assert!(matches!(fleet.step(), Some(Step::Halt(_))));
}

#[test]
fn a_freeze_never_keeps_anybody_from_going_back() {
    let policy = Policy {
        on_halt: headwater_core::rollout::OnHalt::RollBackAfter(0),
        ..frozen(in_two())
    };
    let mut fleet = baking(&policy);
    fleet.pass(2 * MINUTE_MS);
    fleet.refuses(fleet.told(2)[0]);
    fleet.step();
    assert!(matches!(fleet.step(), Some(Step::RollBack(_))));
    fleet.obey(ReportState::Applied);
    assert_eq!(fleet.step(), Some(Step::Settle));
}

#[test]
fn a_freeze_takes_the_question_back_and_asks_again_afterwards() {
    let policy = Policy {
        activation: Activation::TwoPhase,
        ..frozen(in_two())
    };
    let mut fleet = Fleet::of(2);
    fleet.offer(2, &policy);
    fleet.step();
    fleet.obey(ReportState::Confirmed);
    fleet.pass(2 * MINUTE_MS);
    assert_eq!(fleet.step(), Some(Step::AbortPrepare(Why::Frozen)));
    assert!(matches!(fleet.directive(0), Directive::Baseline(_)));
    assert_eq!(fleet.step(), None);
    fleet.pass(3 * MINUTE_MS);
    assert!(matches!(fleet.step(), Some(Step::Prepare { .. })));
}

#[test]
fn an_emergency_does_not_wait_for_the_end_of_a_freeze() {
    let mut fleet = Fleet::of(4);
    fleet.now = Timestamp(120_000);
    fleet.offer_as(2, &frozen(in_two()), Urgency::Emergency);
    assert!(matches!(fleet.step(), Some(Step::Expose { members: 2, .. })));
}

#[test]
fn a_weekly_freeze_begins_and_ends_on_its_minute_and_goes_over_the_end_of_the_week() {
    // From Saturday 20:00 on for 32 hours, to Monday 04:00.
    let policy = Policy {
        freezes: vec![Freeze::Weekly {
            from_minute: (5 * 24 + 20) * 60,
            minutes: 32 * 60,
        }],
        ..in_two()
    };
    let until = |text: &str| policy.frozen_until(text.parse().unwrap());
    let end: Timestamp = "2026-08-03T04:00:00Z".parse().unwrap();
    assert_eq!(until("2026-08-01T19:59:59Z"), None);
    assert_eq!(until("2026-08-01T20:00:00Z"), Some(end));
    assert_eq!(until("2026-08-03T03:59:59.999Z"), Some(end));
    assert_eq!(until("2026-08-03T04:00:00Z"), None);
}

#[test]
fn freezes_that_follow_each_other_are_one() {
    let at = |minute: i64| Timestamp(minute * 60_000);
    let between = |from: i64, until: i64| Freeze::Between {
        from: at(from),
        until: at(until),
    };
    let policy = Policy {
        freezes: vec![between(5, 9), between(2, 5), between(20, 30)],
        ..in_two()
    };
    assert_eq!(policy.frozen_until(at(3)), Some(at(9)));
    assert_eq!(policy.frozen_until(at(9)), None);
}

#[test]
fn a_stage_waits_for_approval_and_for_the_end_of_a_freeze() {
    let mut policy = frozen(in_two());
    policy.stages[0].approval = true;
    let mut fleet = Fleet::of(4);
    fleet.now = Timestamp(120_000);
    fleet.offer(2, &policy);
    fleet.order(Order::Promote).unwrap();
    assert_eq!(fleet.step(), None);
    fleet.pass(3 * MINUTE_MS);
    assert!(matches!(fleet.step(), Some(Step::Expose { .. })));
    assert!(matches!(fleet.state(), State::Exposing { .. }));
}
