//! What became of a commit, in one line.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use headwater_core::{Fate, Outcome};
use headwater_wire::{RolloutCounts, RolloutPolicyView, RolloutState, RolloutView};

fn rollout(config: &str, state: RolloutState) -> RolloutView {
    let counts = RolloutCounts {
        members: 12,
        applied: 1,
        confirmed: 9,
        failed: 1,
        unknown: 1,
        ..RolloutCounts::default()
    };
    RolloutView {
        id: "r-7".to_owned(),
        config: config.parse().unwrap(),
        target: "a".repeat(40).parse().unwrap(),
        baseline: None,
        policy: RolloutPolicyView::default(),
        state,
        stage: 2,
        stages_total: 3,
        why: (state == RolloutState::Halted).then(|| "1 of 12 instances failed; it stops at 1".to_owned()),
        since: None,
        waited_ms: None,
        limit_ms: None,
        counts: Some(counts),
        failed_names: Vec::new(),
        failures: Vec::new(),
        next: String::new(),
        orders: Vec::new(),
        queued: None,
        timeline: Vec::new(),
        steps: 0,
        steps_left_out: 0,
    }
}

fn told(rollouts: &[RolloutView]) -> String {
    let outcome = Outcome::of(rollouts).unwrap();
    format!("{:?}: {}", outcome.fate, outcome.words)
}

#[test]
fn the_worst_rollout_of_a_commit_is_told() {
    let (done, baking, halted) = (
        rollout("web", RolloutState::Done),
        rollout("payments/prod", RolloutState::Baking),
        rollout("payments/dev", RolloutState::Halted),
    );
    let said = [
        told(std::slice::from_ref(&done)),
        told(std::slice::from_ref(&baking)),
        told(&[done.clone(), done.clone()]),
        told(&[done.clone(), baking.clone()]),
        told(&[halted, done, baking]),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    Well: web done, 10 of 12 instances run it, 1 failed, 1 unknown
    Moving: payments/prod baking, stage 2 of 3, 10 of 12 instances run it, 1 failed, 1 unknown
    Well: 2 configs done
    Moving: 1 of 2 configs done; payments/prod baking, stage 2 of 3, 10 of 12 instances run it, 1 failed, 1 unknown
    Ill: 1 of 3 configs done; payments/dev halted, stage 2 of 3, 10 of 12 instances run it, 1 failed, 1 unknown: 1 of 12 instances failed; it stops at 1
    ");
}

#[test]
fn silence_is_not_told_as_success() {
    let outcome = Outcome::of(&[rollout("web", RolloutState::Exposing)]).unwrap();
    assert_eq!(outcome.fate, Fate::Moving);
    assert!(
        outcome
            .words
            .contains("10 of 12 instances run it, 1 failed, 1 unknown"),
        "{}",
        outcome.words
    );
    assert_eq!(Outcome::of(&[]), None);
}
