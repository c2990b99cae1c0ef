//! What became of rollouts while something else went on: a history that was rewritten, a copy of the store that was put
//! back, instances that were not back in time.

use super::whatever::{some_policy, some_step};
use super::*;

#[test]
fn a_rewritten_history_stops_what_moves_and_nobody_is_turned() {
    let mut repo = Repo::moving();
    repo.step(half());
    let before = [
        repo.directive(None),
        repo.directive(Some(0)),
        repo.directive(Some(1)),
    ];
    let head = commit(77);
    let hold = Command::Hold {
        head: head.clone(),
        at: Timestamp(0),
    };
    repo.state.apply(hold.clone()).unwrap();
    let state = &repo.state.moving().next().unwrap().state;
    assert!(matches!(state, State::Halted { why: Why::HistoryHeld { head: waits }, .. } if *waits == head));
    let after = [
        repo.directive(None),
        repo.directive(Some(0)),
        repo.directive(Some(1)),
    ];
    assert_eq!(before, after);
    let once = repo.state.clone();
    repo.state.apply(hold).unwrap();
    assert_eq!(repo.state, once, "it is stopped once");
}

/// A rewritten head waits for a person, who takes it.
fn hold_and_accept(repo: &mut Repo) {
    let (head, at) = (commit(77), Timestamp(0));
    let hold = Command::Hold {
        head: head.clone(),
        at,
    };
    repo.state.apply(hold).unwrap();
    let reason = "meant so".to_owned();
    repo.state
        .apply(Command::Accept {
            head,
            reason,
            by: None,
            at,
        })
        .unwrap();
    repo.commits += 1;
}

#[test]
fn a_rollout_whose_content_the_accepted_history_has_goes_on_and_another_gives_way() {
    for (accepted, ended) in [(2, None), (3, Some(State::Superseded))] {
        let mut repo = Repo::moving();
        repo.step(half());
        let id = repo.id();
        hold_and_accept(&mut repo);
        repo.admit(&[accepted], &in_two());
        let rollout = repo.state.rollout(&id).unwrap();
        match ended {
            Some(ended) => assert_eq!(rollout.state, ended),
            None => assert_eq!(
                rollout.state,
                State::Exposing {
                    stage: 0,
                    waited_ms: 0
                }
            ),
        }
        assert_eq!(
            repo.state.moving().next().unwrap().target.content,
            content_of(accepted)
        );
        let said = &repo.state.rollout(&id).unwrap().timeline.happenings;
        assert!(
            said.iter().any(|said| said.what == "resume") == (accepted == 2),
            "{said:?}"
        );
    }
}

#[test]
fn what_went_back_while_a_rewritten_history_waited_is_offered_anew_with_it() {
    // After its time, or at once since instances were only getting ready.
    for prepares in [false, true] {
        let mut repo = Repo::default();
        let policy = if prepares { some_policy(3) } else { in_two() };
        repo.admit(&[1], &policy);
        repo.admit(&[2], &policy);
        let before = repo.id();
        repo.step(if prepares { some_step(13) } else { half() });
        let (head, at) = (commit(77), Timestamp(0));
        let hold = Command::Hold {
            head: head.clone(),
            at,
        };
        repo.state.apply(hold).unwrap();
        if !prepares {
            repo.step(Step::RollBack(Why::HistoryHeld { head: head.clone() }));
        }
        let reason = "meant so".to_owned();
        repo.state
            .apply(Command::Accept {
                head,
                reason,
                by: None,
                at,
            })
            .unwrap();
        repo.commits += 1;
        repo.admit(&[2], &policy);
        if !prepares {
            repo.step(Step::Settle);
        }
        let moving = repo.state.moving().next().unwrap();
        assert_eq!(moving.target.content, content_of(2));
        assert_ne!(moving.id, before);
        assert_eq!(repo.state.head_state, HeadState::Published);
    }
}

#[test]
fn what_a_copy_found_moving_begins_anew_when_all_are_back() {
    let mut repo = Repo::moving();
    repo.step(half());
    let before = repo.id();
    let (missed, at) = (50, Timestamp(0));
    repo.state.apply(Command::Restored { missed, at }).unwrap();
    assert_eq!(repo.told(Some(0)), facts(1));
    repo.step(Step::Settle);
    let again = repo.state.moving().next().unwrap();
    assert_eq!(again.target, facts(2));
    assert_ne!(again.id, before);
    assert_eq!(repo.told(Some(0)), facts(1), "from its first stage on");
}

/// Content 2 went back, and some did not say that they are.
fn incomplete() -> (Repo, String) {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    let reason = "bad".to_owned();
    repo.order(&id, Order::Abort { reason }).unwrap();
    repo.step(Step::GiveUp { left: 2 });
    assert!(matches!(
        repo.state.rollout(&id).unwrap().state,
        State::Incomplete { .. }
    ));
    (repo, id)
}

#[test]
fn what_is_incomplete_ends_when_all_are_back_or_a_person_says_so_or_other_content_is_everybodys() {
    let is_over = |repo: &Repo, id: &str| {
        let is_back = matches!(repo.state.rollout(id).unwrap().state, State::RolledBack { .. });
        assert_eq!(repo.state.incomplete().is_empty(), is_back);
        is_back
    };
    let (mut repo, id) = incomplete();
    assert!(!is_over(&repo, &id));
    let waited_for = repo.state.incomplete().remove(0);
    let due = Due {
        config: name(0),
        id: id.clone(),
        after: waited_for.steps,
        step: Step::Settle,
        counts: None,
        at: Timestamp(1),
    };
    repo.state.apply(Command::Step(Box::new(due.clone()))).unwrap();
    assert!(is_over(&repo, &id));
    let again = repo.state.apply(Command::Step(Box::new(due)));
    assert_eq!(again, Err(Refusal::MovedOn));

    let (mut repo, id) = incomplete();
    let reason = "they are switched off".to_owned();
    repo.order(&id, Order::Abort { reason }).unwrap();
    assert!(is_over(&repo, &id));
    let last = repo
        .state
        .rollout(&id)
        .unwrap()
        .timeline
        .happenings
        .last()
        .unwrap();
    assert_eq!(
        (last.what.as_str(), last.reason.as_deref()),
        ("settle", Some("because"))
    );

    let (mut repo, id) = incomplete();
    repo.admit(&[3], &staged(&[Share::Everyone]));
    for step in [all(), Step::Bake, Step::Advance] {
        repo.step(step);
    }
    assert!(is_over(&repo, &id));

    let (mut repo, id) = incomplete();
    repo.admit(&[3], &Policy::immediate());
    assert!(is_over(&repo, &id));
}

#[test]
fn what_is_said_of_content_that_was_left_is_true_while_it_is_held_back_and_after() {
    let (mut repo, id) = incomplete();
    let next = |repo: &Repo| {
        let rollout = repo.state.rollout(&id).unwrap();
        repo.state.view_over(rollout, Timestamp(0)).next
    };
    let held = next(&repo);
    let left = repo.state.courses[&name(0)].left.clone().unwrap();
    assert_eq!(
        (left.since, left.reason.as_deref()),
        (Timestamp(7), Some("because"))
    );
    repo.admit(&[1], &in_two());
    let mut said = vec![held, next(&repo)];
    let reason = "they are switched off".to_owned();
    repo.order(&id, Order::Abort { reason }).unwrap();
    said.push(next(&repo));
    insta::assert_snapshot!(said.join("\n"), @"
    look at the 2 instances that did not say so; it ends when they do, or when you say `abort`; its content is held back until the branch has other content, or a person releases it
    look at the 2 instances that did not say so; it ends when they do, or when you say `abort`; its content is not held back any more
    nothing: its content is not held back any more
    ");
}

#[test]
fn an_older_stand_in_stands_for_what_its_successor_came_as() {
    let mut repo = Repo::default();
    repo.admit(&[1], &in_two());
    for _ in 0..2 {
        repo.admit(&[2], &in_two());
        repo.step(half());
        repo.roll_back(1);
        repo.step(Step::Settle);
        let exposed = repo.state.rollbacks.last().unwrap().commit.clone();
        let configs = [(
            name(0),
            ConfigFacts {
                version: exposed.clone(),
                content: content_of(1),
            },
        )];
        let arrival = Arrival {
            commit: exposed.clone(),
            depth: 0,
            configs: configs.into(),
            policies: [(name(0), in_two())].into(),
            urgency: Urgency::Usual,
            at: Timestamp(0),
        };
        repo.state.apply(Command::Admit(Box::new(arrival))).unwrap();
        repo.commits += 1;
        assert_eq!(repo.state.targets[&name(0)].version, exposed);
        assert_eq!(repo.state.stand_ins.of(&name(0), &commit(1)), Some(&exposed));
        assert_eq!(repo.state.targets[&name(0)].horizon(), &commit(1));
    }
}

#[test]
fn a_copy_that_is_put_back_goes_back_above_what_was_given_out() {
    let mut repo = Repo::moving();
    repo.step(half());
    let missed = 50;
    let before = repo.state.generation;
    repo.state
        .apply(Command::Restored {
            missed,
            at: Timestamp(0),
        })
        .unwrap();
    let rollout = repo.state.moving().next().unwrap();
    assert!(matches!(
        rollout.state,
        State::RollingBack {
            why: Why::Restored,
            ..
        }
    ));
    assert!(repo.directive(Some(0)).generation() > Generation(before.0 + missed));
}

#[test]
fn instances_that_are_back_count_as_such_under_the_name_that_their_content_came_to_the_branch_with() {
    let mut repo = Repo::moving();
    repo.step(half());
    repo.roll_back(1);
    let id = repo.state.rollbacks[0].id.clone();
    let landed = repo.state.rollbacks[0].commit.clone();
    let land = Command::Land {
        id,
        commit: landed.clone(),
    };
    repo.state.apply(land).unwrap();
    let arrival = Arrival {
        commit: landed.clone(),
        depth: 0,
        configs: BTreeMap::from([(
            name(0),
            ConfigFacts {
                version: landed.clone(),
                content: content_of(1),
            },
        )]),
        policies: BTreeMap::from([(name(0), in_two())]),
        urgency: Urgency::Usual,
        at: Timestamp(0),
    };
    repo.state.apply(Command::Admit(Box::new(arrival))).unwrap();
    assert_eq!(repo.state.targets[&name(0)].version, landed);
    let rollout = repo.state.moving().next().unwrap();
    assert!(
        matches!(rollout.state, State::RollingBack { .. }),
        "no second rollout begins"
    );
    assert_eq!(rollout.adopted, Some(landed));
}
