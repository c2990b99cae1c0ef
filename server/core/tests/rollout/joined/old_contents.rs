//! From which contents instances may come to what a commit has, while not all of them hold what the tip has.

use headwater_core::OldContent;

use super::*;

impl Repo {
    /// The commits that instances hold content of besides the tip, by number, and why.
    fn besides(&self) -> Vec<(u64, OldContent)> {
        let old = self.state.old_contents();
        let all = old.besides.into_iter().flat_map(|(source, configs)| {
            let number = (1..1_000).find(|number| commit(*number) == source).unwrap();
            configs.into_values().map(move |why| (number, why))
        });
        all.collect()
    }

    /// Whether nobody holds what the tip has.
    fn is_left(&self) -> bool {
        self.state.old_contents().left.contains(&name(0))
    }
}

fn on_its_way(id: &str) -> OldContent {
    OldContent::OnItsWay(id.to_owned())
}

#[test]
fn where_nothing_moves_there_is_nothing_besides_the_tip() {
    let mut repo = Repo::default();
    for content in [1, 2, 3] {
        repo.admit(&[content], &Policy::immediate());
        assert_eq!(repo.state.old_contents().name(), None);
    }
}

#[test]
fn while_a_rollout_moves_or_waits_to_begin_there_is_what_everybody_else_holds() {
    let mut repo = Repo::moving();
    let id = repo.id();
    assert_eq!(repo.besides(), [(1, on_its_way(&id))]);
    repo.step(half());
    assert_eq!(repo.besides(), [(1, on_its_way(&id))]);
    // What waits is what the tip has; what moves is between the two.
    repo.admit(&[3], &in_two());
    assert_eq!(repo.besides(), [(1, on_its_way(&id)), (2, on_its_way(&id))]);
    for step in [Step::Bake, Step::Advance, all(), Step::Bake, Step::Advance] {
        repo.step(step);
    }
    let next = repo.id();
    assert_eq!(repo.besides(), [(2, on_its_way(&next))]);
}

#[test]
fn what_was_gone_back_from_counts_until_everybody_is_back() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    repo.step(Step::RollBack(Why::Frozen));
    assert_eq!(repo.besides(), [(1, OldContent::RolledBack(id.clone()))]);
    assert!(!repo.is_left(), "some may still hold it");
    repo.step(Step::Settle);
    assert_eq!(repo.besides(), [(1, OldContent::RolledBack(id))]);
    assert!(repo.is_left());
}

#[test]
fn what_waits_behind_a_way_back_does_not_hide_what_is_gone_back_from() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    repo.step(Step::RollBack(Why::Frozen));
    repo.admit(&[3], &in_two());
    let not_yet_back = OldContent::NotYetBack(id.clone());
    assert_eq!(
        repo.besides(),
        [(1, OldContent::RolledBack(id)), (2, not_yet_back)]
    );
}

#[test]
fn after_a_rollback_there_is_what_it_decided_instead_of_what_the_tip_has() {
    let mut repo = Repo::default();
    repo.admit(&[1], &Policy::immediate());
    repo.admit(&[2], &Policy::immediate());
    repo.roll_back(1);
    let [(902, OldContent::Restored(_))] = repo.besides()[..] else {
        panic!("{:?}", repo.besides());
    };
    assert!(repo.is_left());
}

#[test]
fn equal_names_mean_equal_contents() {
    let mut repo = Repo::moving();
    let before = repo.state.old_contents();
    repo.step(half());
    assert_eq!(
        before.name(),
        repo.state.old_contents().name(),
        "a stage changes nothing"
    );
    repo.step(Step::RollBack(Why::Frozen));
    assert_ne!(before.name(), repo.state.old_contents().name());
}
