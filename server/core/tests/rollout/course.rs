//! What becomes of commits that come while instances move, and of content that was here before.

use headwater_core::rollout::{
    Known, Offer, Offered, Order, Policy, Share, StagePolicy, State, Step, Urgency, Why,
};
use headwater_wire::{Generation, ReportState};

use crate::coordinator::{config, facts};
use crate::fleet::Fleet;
use crate::stages::{goes_well, in_two, staged};

const MINUTE_MS: u64 = 60_000;

/// Content 2 is stable, after content 1.
fn moved_on() -> Fleet {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    goes_well(&mut fleet);
    goes_well(&mut fleet);
    fleet
}

/// Content 2 is in its first stage.
fn on_its_way() -> Fleet {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    fleet.obey(ReportState::Applied);
    fleet
}

fn abort(fleet: &mut Fleet) {
    let reason = "bad".to_owned();
    fleet.order(Order::Abort { reason }).unwrap();
    fleet.obey(ReportState::Confirmed);
}

#[test]
fn what_was_rolled_out_is_stable_and_what_was_before_is_past() {
    let fleet = moved_on();
    assert_eq!(fleet.stable.facts(), facts(2));
    assert_eq!(fleet.stable.past[0].0, facts(1).version);
    assert_eq!(fleet.told(2).len(), 4);
    let last = fleet.rollout().opened.last().unwrap().generation;
    assert_eq!(fleet.stable.generation, last);
}

#[test]
fn equal_content_starts_nothing() {
    let mut fleet = moved_on();
    assert_eq!(fleet.offer(2, &in_two()), Offered::Same);
    assert_eq!(*fleet.state(), State::Done);
    let mut fleet = on_its_way();
    let before = fleet.rollout().clone();
    assert_eq!(fleet.offer(2, &in_two()), Offered::Same);
    assert_eq!(*fleet.rollout(), before);
}

#[test]
fn content_that_gives_equal_documents_is_equal_whatever_it_is_made_of() {
    let mut fleet = moved_on();
    let documents = Some(crate::digest(77));
    fleet.stable.content.documents.clone_from(&documents);
    let mut offer = Offer {
        id: "r-comment".to_owned(),
        facts: facts(3),
        source: crate::commit(3),
        policy: in_two(),
        urgency: Urgency::Usual,
    };
    offer.facts.content.documents = documents;
    let offered = fleet
        .course
        .offer(&config(), &mut fleet.stable, offer, Generation(100));
    assert_eq!(offered, Offered::Same, "a comment moves nobody");
}

#[test]
fn a_newer_commit_waits_and_only_the_newest_one_does() {
    let mut fleet = on_its_way();
    assert_eq!(fleet.offer(3, &in_two()), Offered::Waits);
    assert_eq!(fleet.offer(4, &in_two()), Offered::Waits);
    fleet.step();
    fleet.pass(MINUTE_MS);
    fleet.step();
    goes_well(&mut fleet);
    assert_eq!(fleet.stable.facts(), facts(2));
    assert_eq!(fleet.rollout().target, facts(4));
    assert_eq!(fleet.rollout().baseline, facts(2));
    assert_eq!(fleet.course.queued, None);
}

#[test]
fn what_moves_is_also_what_is_newest_when_a_commit_returns_to_it() {
    let mut fleet = on_its_way();
    fleet.offer(3, &in_two());
    assert_eq!(fleet.offer(2, &in_two()), Offered::Same);
    assert_eq!(fleet.course.queued, None);
}

#[test]
fn what_nobody_was_told_gives_way() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    assert_eq!(fleet.offer(3, &in_two()), Offered::Begins);
    assert_eq!(fleet.rollout().target, facts(3));
    assert_eq!(fleet.rollout().baseline, facts(1));
}

#[test]
fn what_stands_still_gives_way_and_whom_it_had_reached_go_back() {
    let mut fleet = on_its_way();
    fleet.refuses(fleet.told(2)[0]);
    fleet.step();
    let before = fleet.directive(0).generation();
    assert_eq!(fleet.offer(3, &in_two()), Offered::Begins);
    assert_eq!(fleet.told(1).len(), 4);
    assert!(fleet.directive(0).generation() > before);
}

#[test]
fn an_emergency_supersedes_at_once() {
    let mut fleet = on_its_way();
    assert_eq!(fleet.offer_as(3, &in_two(), Urgency::Emergency), Offered::Begins);
    assert_eq!(fleet.told(1).len(), 4);
    assert!(matches!(fleet.step(), Some(Step::Expose { members: 2, .. })));
    assert_eq!(fleet.told(3).len(), 2);
}

#[test]
fn a_paused_rollout_stays_before_what_comes_after_it() {
    let mut fleet = on_its_way();
    fleet.order(Order::Pause).unwrap();
    assert_eq!(fleet.offer(3, &in_two()), Offered::Waits);
    assert!(matches!(fleet.state(), State::Paused { .. }));
}

#[test]
fn a_commit_with_the_content_from_before_goes_back_at_once() {
    let mut fleet = on_its_way();
    fleet.offer(3, &in_two());
    assert_eq!(fleet.offer(1, &in_two()), Offered::GoesBack);
    assert_eq!(fleet.told(1).len(), 4);
    assert_eq!(fleet.course.queued, None);
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    let by = facts(1).version;
    assert_eq!(
        *fleet.state(),
        State::RolledBack {
            why: Why::Reverted { by }
        }
    );
    assert_eq!(
        fleet.offer(2, &in_two()),
        Offered::Begins,
        "to come back to it is a decision of its own"
    );
}

#[test]
fn what_was_left_is_not_begun_again_by_a_commit_that_still_has_it() {
    let mut fleet = on_its_way();
    abort(&mut fleet);
    fleet.step();
    assert!(matches!(fleet.state(), State::RolledBack { .. }));
    assert_eq!(fleet.offer(2, &in_two()), Offered::HeldBack);
    assert_eq!(fleet.told(1).len(), 4);
}

#[test]
fn what_was_left_may_come_again_after_other_content_or_when_a_person_says_so() {
    let mut fleet = on_its_way();
    abort(&mut fleet);
    fleet.step();
    assert_eq!(fleet.offer(1, &in_two()), Offered::Same);
    assert_eq!(fleet.offer(2, &in_two()), Offered::Begins);
    let mut fleet = on_its_way();
    abort(&mut fleet);
    fleet.step();
    fleet.course.release();
    assert_eq!(fleet.offer(2, &in_two()), Offered::Begins);
}

#[test]
fn what_waits_begins_when_everybody_is_back() {
    let mut fleet = on_its_way();
    fleet.offer(3, &in_two());
    abort(&mut fleet);
    assert!(matches!(fleet.state(), State::RollingBack { .. }));
    fleet.step();
    assert_eq!(fleet.rollout().target, facts(3));
    assert_eq!(fleet.rollout().baseline, facts(1));
    assert_eq!(fleet.course.holding(), None, "the branch has other content");
    assert_eq!(fleet.offer(2, &in_two()), Offered::HeldBack);
    assert!(fleet.course.holding().is_some());
}

#[test]
fn what_was_stable_before_skips_the_stages_if_the_policy_says_so() {
    let mut fleet = moved_on();
    let policy = Policy {
        known: Known::AtOnce,
        ..in_two()
    };
    fleet.offer(1, &policy);
    assert_eq!(fleet.rollout().policy.stages, [StagePolicy::default()]);
    let mut fleet = moved_on();
    fleet.offer(3, &policy);
    assert_eq!(fleet.rollout().policy.stages.len(), 2, "what is new does not");
    let mut fleet = moved_on();
    fleet.offer(1, &in_two());
    assert_eq!(
        fleet.rollout().policy.stages.len(),
        2,
        "and neither without the policy"
    );
}

#[test]
fn a_rollback_goes_to_what_has_proved_itself_and_not_to_what_came_before() {
    let mut fleet = on_its_way();
    fleet.offer(3, &in_two());
    abort(&mut fleet);
    fleet.step();
    fleet.step();
    fleet.obey(ReportState::Applied);
    abort(&mut fleet);
    assert_eq!(fleet.told(1).len(), 4, "content 2 was exposed, and never stable");
}

#[test]
fn an_immediate_policy_moves_everybody_and_a_failure_only_alerts() {
    let mut fleet = Fleet::of(3);
    fleet.offer(2, &Policy::immediate());
    fleet.step();
    assert_eq!(fleet.told(2).len(), 3);
    fleet.obey(ReportState::Applied);
    fleet.refuses(0);
    assert!(matches!(fleet.step(), Some(Step::Halt(Why::Failed { .. }))));
    fleet.pass(1_000 * MINUTE_MS);
    assert_eq!(fleet.step(), None);
    assert_eq!(fleet.told(2).len(), 3);
}

#[test]
fn what_is_told_again_has_a_number_for_each_content() {
    let mut fleet = on_its_way();
    let newest = fleet.course.reissue(&mut fleet.stable, Generation(100));
    let told = fleet.told(2);
    let (target, baseline) = (told[0], fleet.told(1)[0]);
    let (target, baseline) = (fleet.directive(target), fleet.directive(baseline));
    assert!(target.generation() >= Generation(100) && baseline.generation() >= Generation(100));
    assert_ne!(target.generation(), baseline.generation());
    assert_eq!(newest, target.generation().max(baseline.generation()));
}

/// An instance that has seen a higher number than we gave out has everything told again above it; who is back later than
/// the deadline is back all the same, and must not take the numbers down with him.
#[test]
fn numbers_that_were_raised_after_a_way_back_was_given_up_stay_raised_when_the_last_one_is_back() {
    let mut fleet = on_its_way();
    let reason = "bad".to_owned();
    fleet.order(Order::Abort { reason }).unwrap();
    fleet.pass(fleet.rollout().policy.deadlines.roll_back_ms);
    assert!(matches!(fleet.step(), Some(Step::GiveUp { .. })));
    fleet.course.reissue(&mut fleet.stable, Generation(100));
    let reason = "they are gone for good".to_owned();
    fleet.order(Order::Abort { reason }).unwrap();
    assert!(matches!(fleet.state(), State::RolledBack { .. }));
    assert_eq!(fleet.directive(0).generation(), Generation(100));
}

#[test]
fn a_restored_store_goes_back_from_what_it_finds_moving_and_waits_for_all() {
    let mut fleet = on_its_way();
    let next = Generation(1_000);
    fleet.course.restored(&config(), &mut fleet.stable, next);
    assert!(matches!(
        fleet.state(),
        State::RollingBack {
            why: Why::Restored,
            ..
        }
    ));
    assert_eq!(fleet.directive(0).generation(), next);
    fleet.obey(ReportState::Confirmed);
    fleet.step();
    let moving = fleet.course.moving().unwrap();
    assert!(matches!(moving.state, State::Due { stage: 0, .. }));
    assert_eq!(moving.target, facts(2), "nobody has said that it is bad");
    assert_eq!(fleet.offer(2, &in_two()), Offered::Same);
}

#[test]
fn what_was_being_asked_when_a_copy_was_taken_is_gone_back_from_even_if_it_was_never_told() {
    let mut fleet = Fleet::of(2);
    fleet.offer(2, &staged(&[Share::Everyone]));
    fleet
        .course
        .restored(&config(), &mut fleet.stable, Generation(50));
    assert!(matches!(fleet.state(), State::RollingBack { .. }));
}
