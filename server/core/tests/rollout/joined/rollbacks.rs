//! What a person goes back to, and what is left to the rollouts that have it.

use super::*;

#[test]
fn a_person_who_goes_where_the_rollout_would_go_ends_it_and_holds_back_what_it_brought() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    let before = repo.directive(None).generation();
    repo.roll_back(1);
    assert!(matches!(
        repo.state.rollout(&id).unwrap().state,
        State::RollingBack { .. }
    ));
    assert_eq!(repo.told(Some(0)), facts(1));
    assert!(repo.directive(None).generation() > before);
    let held = &repo.state.withheld[&name(0)];
    assert!(held.bad.contains(&Some(content_of(2))));
    assert!(
        repo.state.courses[&name(0)].left.is_none(),
        "the rollback holds it"
    );
    repo.step(Step::Settle);
    repo.admit(&[2], &in_two());
    assert_eq!(repo.told(Some(0)), facts(1));
}

#[test]
fn a_person_who_goes_further_back_has_everybody_turned_there_at_once() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    // It is older than what is remembered.
    repo.try_to_roll_back(9, [name(0)].into()).unwrap();
    assert_eq!(repo.state.rollout(&id).unwrap().state, State::Superseded);
    for who in [None, Some(0), Some(1)] {
        assert_eq!(repo.told(who).content, content_of(9));
    }
    let bad = &repo.state.withheld[&name(0)].bad;
    assert!(bad.contains(&Some(content_of(1))) && bad.contains(&Some(content_of(2))));
}

#[test]
fn a_rollback_gives_nobody_what_no_rollout_released() {
    let mut repo = Repo::moving();
    repo.step(half());
    repo.admit(&[3], &in_two());
    let before = repo.state.clone();
    // Canaries alone have one, one waits behind it, and one was skipped.
    for content in [2, 9] {
        let refused = repo.try_to_roll_back(content, BTreeSet::new());
        assert_eq!(refused, Err(Refusal::NotReleased(vec![name(0)])));
        assert_eq!(repo.state, before, "nothing has happened");
    }
}

#[test]
fn what_a_rollout_carries_already_is_left_alone_by_a_rollback() {
    let mut repo = Repo::moving();
    let moving = repo.id();
    let told = [None, Some(0), Some(1)].map(|who| repo.told(who));
    repo.roll_back(2);
    assert_eq!(repo.id(), moving);
    assert_eq!([None, Some(0), Some(1)].map(|who| repo.told(who)), told);
    assert!(repo.state.withheld.is_empty());
    let left_alone = |repo: &Repo| repo.state.rollbacks.last().unwrap().left_alone.clone();
    assert_eq!(left_alone(&repo), [(name(0), moving.clone())].into());
    // Of what waits behind it there is nothing to look at yet; later it has a rollout of its own, and what was left stays so.
    repo.step(half());
    repo.admit(&[3], &in_two());
    let queued = repo.state.courses[&name(0)].queued.clone().unwrap();
    repo.roll_back(3);
    assert_eq!(left_alone(&repo), [(name(0), moving.clone())].into());
    assert_eq!(repo.state.courses[&name(0)].queued, Some(queued.clone()));
    let reason = "bad".to_owned();
    repo.order(
        &moving,
        Order::Abort {
            reason: reason.clone(),
        },
    )
    .unwrap();
    repo.step(Step::Settle);
    repo.order(&queued.id, Order::Abort { reason }).unwrap();
    repo.commits += 1;
    repo.roll_back(3);
    assert_eq!(left_alone(&repo), [(name(0), queued.id)].into());
    assert_eq!(repo.told(None), facts(1));
}

#[test]
fn what_was_stable_once_is_everybodys_at_once_again() {
    let mut repo = Repo::moving();
    for step in [all(), Step::Bake, Step::Advance, all(), Step::Bake, Step::Advance] {
        repo.step(step);
    }
    assert_eq!(repo.told(None), facts(2));
    repo.roll_back(1);
    assert_eq!(repo.told(None).content, content_of(1));
}

#[test]
fn a_config_that_is_taken_away_and_brought_back_goes_by_its_policy() {
    let mut repo = Repo::default();
    repo.admit(&[1, 1], &in_two());
    repo.admit(&[1], &in_two());
    assert!(!repo.state.targets.contains_key(&name(1)));
    let kept = serde_json::to_string(&repo.state).unwrap();
    let mut same: RepoState = serde_json::from_str(&kept).unwrap();
    std::mem::swap(&mut same, &mut repo.state);
    repo.admit(&[1, 2], &in_two());
    assert_eq!(repo.state.moving().count(), 1);
    let stable = &repo.state.targets[&name(1)];
    assert_eq!(stable.content, content_of(1));
    assert_eq!(stable.source, Some(commit(1)), "the tip has another one");
    std::mem::swap(&mut same, &mut repo.state);
    repo.admit(&[1, 1], &in_two());
    assert_eq!(repo.state.moving().count(), 0, "it is what it was");
    assert!(repo.state.departed.is_empty());
}

#[test]
fn a_commit_that_fulfils_a_rollback_calls_back_what_it_no_longer_has_of_another_config() {
    let (mut repo, now) = (Repo::default(), Policy::immediate());
    repo.admit(&[3, 1], &now);
    repo.admit(&[1, 2], &now);
    repo.commits += 1;
    repo.roll_back(3);
    repo.admit(&[1, 3], &in_two());
    assert!(repo.state.moving_of(&name(1)).is_some());
    repo.admit(&[3, 2], &now);
    assert_eq!(repo.state.moving_of(&name(1)), None);
    assert_eq!(repo.state.at_tip(&name(1)).unwrap().content, content_of(2));
}
