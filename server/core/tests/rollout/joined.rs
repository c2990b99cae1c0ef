//! Rollouts within the state of a repository: what is offered, who is told what, and what each decision leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::rollout::{
    Activation, Directive, Order, OrderRefused, Policy, Share, StagePolicy, State, Step, Threshold, Urgency,
    Why,
};
use headwater_core::{
    Arrival, Command, ConfigFacts, Content, Decision, Due, Effect, Held, Ordered, Refusal, Relation,
    RepoState, Rollback, RollbackState, Sight, Undone, Uptime,
};
use headwater_wire::{
    CommitId, ConfigName, Generation, HeadState, InstanceId, RollbackMode, RolloutCounts, Timestamp,
};
use proptest::prelude::*;

use crate::commit;
use crate::coordinator::{content_of, facts};
use crate::stages::{in_two, staged};

fn name(number: usize) -> ConfigName {
    format!("c{number}").parse().unwrap()
}

fn instance(number: usize) -> InstanceId {
    format!("i-{number}").parse().unwrap()
}

/// A repository and the number of its newest commit.
#[derive(Default)]
struct Repo {
    state: RepoState,
    commits: u64,
    urgency: Urgency,
}

impl Repo {
    /// A commit has these contents, all moved as `policy` says.
    fn admit(&mut self, contents: &[u64], policy: &Policy) -> Vec<Effect> {
        self.commits += 1;
        let configs = contents.iter().enumerate().map(|(number, content)| {
            let version = self.version_of(number, *content);
            let content = content_of(*content);
            (name(number), ConfigFacts { version, content })
        });
        let configs: BTreeMap<_, _> = configs.collect();
        let policies = configs
            .keys()
            .map(|name| (name.clone(), policy.clone()))
            .collect();
        let arrival = Arrival {
            commit: commit(self.commits),
            depth: 0,
            configs,
            policies,
            urgency: self.urgency,
            at: Timestamp(0),
        };
        self.state.apply(Command::Admit(Box::new(arrival))).unwrap()
    }

    /// The version stays for as long as the tip has the content.
    fn version_of(&self, number: usize, content: u64) -> CommitId {
        let at_tip = self.state.at_tip(&name(number));
        at_tip
            .filter(|facts| facts.content == content_of(content))
            .map_or_else(|| commit(self.commits), |facts| facts.version)
    }

    /// Content 1 is stable, and content 2 moves in two stages.
    fn moving() -> Self {
        let mut repo = Self::default();
        repo.admit(&[1], &in_two());
        repo.admit(&[2], &in_two());
        repo
    }

    fn step(&mut self, step: Step) -> Vec<Effect> {
        let due = self.due(step);
        self.state.apply(Command::Step(Box::new(due))).unwrap()
    }

    fn due(&self, step: Step) -> Due {
        let rollout = self.state.moving().next().unwrap();
        Due {
            config: rollout.config.clone(),
            id: rollout.id.clone(),
            after: rollout.steps,
            step,
            counts: None,
            at: Timestamp(0),
        }
    }

    fn order(&mut self, id: &str, order: Order) -> Result<Vec<Effect>, Refusal> {
        let ordered = Ordered {
            id: id.to_owned(),
            order,
            reason: "because".to_owned(),
            by: Some("Ada".to_owned()),
            counts: None,
            at: Timestamp(7),
        };
        self.state.apply(Command::Order(Box::new(ordered)))
    }

    fn roll_back(&mut self, content: u64) {
        self.try_to_roll_back(content, BTreeSet::new()).unwrap();
    }

    /// A person goes back to this content of the first config.
    fn try_to_roll_back(
        &mut self,
        content: u64,
        at_once: BTreeSet<ConfigName>,
    ) -> Result<Vec<Effect>, Refusal> {
        let facts = BTreeMap::from([(
            name(0),
            ConfigFacts {
                version: commit(900 + self.commits),
                content: content_of(content),
            },
        )]);
        let undone = Undone::Restore {
            target: commit(1),
            config: Some(name(0)),
            paths: Vec::new(),
        };
        let touched = BTreeSet::from([name(0)]);
        let rollback = rollback(undone, &commit(self.commits), &commit(900 + self.commits));
        let decision = Decision {
            rollback,
            facts,
            touched,
            at_once,
            taken_back: BTreeMap::new(),
        };
        self.state.apply(Command::RollBack(Box::new(decision)))
    }

    fn id(&self) -> String {
        self.state.moving().next().unwrap().id.clone()
    }

    fn directive(&self, who: Option<usize>) -> Directive {
        let labels = BTreeMap::new();
        let who = who.map(instance);
        let who = who.as_ref().map(|instance| (instance, &labels));
        self.state.directive(&name(0), who).unwrap()
    }

    /// What is told of a config under a directive.
    fn content(&self, config: &ConfigName, directive: Directive) -> ConfigFacts {
        match directive {
            Directive::Baseline(_) => self.state.targets[config].facts(),
            Directive::Prepare(_) | Directive::Target(_) => {
                self.state.moving_of(config).unwrap().target.clone()
            }
        }
    }

    fn told(&self, who: Option<usize>) -> ConfigFacts {
        self.content(&name(0), self.directive(who))
    }
}

fn rollback(undone: Undone, base: &CommitId, exposed: &CommitId) -> Rollback {
    Rollback {
        id: format!("b-{exposed}"),
        request: format!("request {exposed}"),
        undone,
        subject: None,
        sight: Sight::default(),
        reason: "it broke".to_owned(),
        requested_by: None,
        expected_tip: None,
        mode: RollbackMode::Push,
        insists: false,
        at: Timestamp(0),
        base: base.clone(),
        exposed: exposed.clone(),
        parent: base.clone(),
        commit: exposed.clone(),
        state: RollbackState::Effective,
        left_alone: BTreeMap::new(),
    }
}

fn half() -> Step {
    Step::Expose {
        threshold: Threshold::below(1, vec![0, u64::MAX / 2]),
        members: 1,
    }
}

fn all() -> Step {
    Step::Expose {
        threshold: Threshold::ALL,
        members: 1,
    }
}

#[test]
fn a_rollout_that_is_over_keeps_the_counts_that_it_ended_with() {
    let mut repo = Repo::moving();
    let ended = RolloutCounts {
        members: 2,
        confirmed: 2,
        fleet: 10,
        ..RolloutCounts::default()
    };
    for (step, counts) in [
        (half(), None),
        (Step::RollBack(Why::Restored), None),
        (Step::Settle, Some(ended)),
    ] {
        let due = Due {
            counts,
            ..repo.due(step)
        };
        repo.state.apply(Command::Step(Box::new(due))).unwrap();
    }
    let over = repo.state.ended.last().unwrap();
    assert_eq!(over.view(None, Timestamp(0)).counts, Some(ended));
}

#[test]
fn what_is_moved_at_once_keeps_no_course() {
    let mut repo = Repo::default();
    for content in [1, 2, 3] {
        repo.admit(&[content; 3], &Policy::immediate());
        assert_eq!(repo.told(None), repo.state.at_tip(&name(0)).unwrap());
    }
    assert!(repo.state.courses.is_empty() && repo.state.ended.is_empty());
}

#[test]
fn the_first_content_of_a_config_is_moved_at_once_whatever_the_policy_says() {
    let mut repo = Repo::default();
    repo.admit(&[1], &in_two());
    assert!(repo.state.courses.is_empty());
    assert_eq!(repo.told(None), facts(1));
}

#[test]
fn an_offer_leaves_what_is_stable_and_the_tip_is_what_the_tip_has() {
    let repo = Repo::moving();
    assert_eq!(repo.state.targets[&name(0)].facts(), facts(1));
    assert_eq!(repo.state.targets[&name(0)].source, Some(commit(1)));
    assert_eq!(repo.state.at_tip(&name(0)), Some(facts(2)));
    assert_eq!(repo.state.all_at_tip()[&name(0)], facts(2));
    let sources: Vec<_> = repo.state.sources().map(|(_, source)| source.clone()).collect();
    assert_eq!(sources, [commit(1), commit(2)]);
}

#[test]
fn who_does_not_say_who_he_is_comes_with_the_last_stage() {
    let mut repo = Repo::moving();
    repo.step(half());
    assert_eq!(repo.told(None), facts(1));
    repo.step(Step::Bake);
    repo.step(Step::Advance);
    repo.step(all());
    assert_eq!(repo.told(None), facts(2));
    repo.step(Step::Halt(Why::Frozen));
    assert_eq!(repo.told(None), facts(2));
    repo.step(Step::RollBack(Why::Frozen));
    assert_eq!(repo.told(None), facts(1));
}

#[test]
fn a_rollout_that_ends_well_is_stable_remembered_and_no_longer_a_course() {
    let mut repo = Repo::moving();
    let id = repo.id();
    for step in [
        half(),
        Step::Bake,
        Step::Advance,
        all(),
        Step::Bake,
        Step::Advance,
    ] {
        repo.step(step);
    }
    assert_eq!(repo.state.targets[&name(0)].facts(), facts(2));
    assert!(repo.state.courses.is_empty());
    let ended = repo.state.rollout(&id).unwrap();
    assert_eq!(ended.state, State::Done);
    let words: Vec<&str> = ended
        .timeline
        .happenings
        .iter()
        .map(|happening| happening.what.as_str())
        .collect();
    assert_eq!(
        words,
        ["begin", "expose", "bake", "advance", "expose", "bake", "advance"]
    );
}

#[test]
fn a_step_that_was_planned_before_another_was_taken_is_not_taken() {
    let mut repo = Repo::moving();
    repo.step(half());
    let bake = repo.due(Step::Bake);
    repo.step(Step::Pause);
    repo.step(Step::Resume);
    let before = repo.state.clone();
    assert_eq!(
        repo.state.apply(Command::Step(Box::new(bake))),
        Err(Refusal::MovedOn)
    );
    assert_eq!(repo.state, before);
}

#[test]
fn an_order_is_remembered_with_who_gave_it_and_refused_when_it_does_not_fit() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.order(&id, Order::Pause).unwrap();
    let rollout = repo.state.rollout(&id).unwrap();
    let last = rollout.timeline.happenings.last().unwrap();
    assert_eq!((last.what.as_str(), last.by.as_deref()), ("pause", Some("Ada")));
    assert_eq!((last.at, last.reason.as_deref()), (Timestamp(7), Some("because")));
    let refused = Err(Refusal::OrderRefused(OrderRefused::Stopped));
    assert_eq!(repo.order(&id, Order::Pause), refused);
    let unknown = Err(Refusal::NoSuchRollout("r-0".to_owned()));
    assert_eq!(repo.order("r-0", Order::Pause), unknown);
    let reason = "bad".to_owned();
    repo.order(&id, Order::Abort { reason }).unwrap();
    let over = Err(Refusal::OrderRefused(OrderRefused::Over));
    assert_eq!(repo.order(&id, Order::Pause), over);
}

#[test]
fn what_a_rollout_left_stays_away_until_other_content_comes_or_a_person_says_so() {
    let gone_back = || {
        let mut repo = Repo::moving();
        let id = repo.id();
        for step in [half(), Step::RollBack(Why::Frozen), Step::Settle] {
            repo.step(step);
        }
        (repo, id)
    };
    let (mut repo, id) = gone_back();
    assert_eq!(repo.state.head_state, HeadState::Held);
    repo.admit(&[2], &in_two());
    assert_eq!(repo.state.moving().count(), 0);
    assert_eq!(repo.told(Some(0)), facts(1));
    let release = Command::Release {
        id,
        reason: "mended".to_owned(),
        at: Timestamp(0),
    };
    repo.state.apply(release).unwrap();
    assert_eq!(repo.state.moving().next().unwrap().target, facts(2));
    assert_eq!(repo.state.head_state, HeadState::Published);
    let (mut repo, _) = gone_back();
    repo.admit(&[3], &Policy::immediate());
    assert!(
        repo.state.courses.is_empty(),
        "nothing is held back, and nothing moves"
    );
    assert_eq!(repo.told(None), facts(3));
}

#[test]
fn what_need_not_be_held_back_any_more_is_not_held_again_when_the_last_instance_is_back() {
    let gone_back = || {
        let mut repo = Repo::moving();
        repo.step(half());
        repo.step(Step::RollBack(Why::Frozen));
        assert!(repo.state.courses[&name(0)].left.is_some());
        repo
    };
    let is_left = |repo: &Repo| repo.state.courses.values().any(|course| course.left.is_some());
    let mut brought_back = gone_back();
    brought_back.roll_back(1);
    brought_back.step(Step::Settle);
    assert!(!is_left(&brought_back), "the rollback holds it");
    let mut other = gone_back();
    other.admit(&[3], &in_two());
    other.step(Step::Settle);
    assert!(!is_left(&other), "other content has come");
    assert_eq!(other.state.head_state, HeadState::Published);
}

#[test]
fn what_moves_everybody_at_once_waits_for_what_moves_and_then_for_nobody() {
    let mut repo = Repo::moving();
    repo.step(half());
    repo.admit(&[3], &Policy::immediate());
    assert_eq!(repo.told(None), facts(1));
    for step in [Step::Bake, Step::Advance, all(), Step::Bake, Step::Advance] {
        repo.step(step);
    }
    assert_eq!(repo.told(None), facts(3));
    assert_eq!(repo.told(Some(0)), facts(3));
    assert!(repo.state.courses.is_empty());
    assert_eq!(repo.state.targets[&name(0)].past[0].0, facts(2).version);
}

#[test]
fn an_emergency_does_not_wait_for_what_moves() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    repo.urgency = Urgency::Emergency;
    repo.admit(&[3], &in_two());
    assert_eq!(repo.state.rollout(&id).unwrap().state, State::Superseded);
    let moving = repo.state.moving().next().unwrap();
    assert_eq!((&moving.target, moving.urgency), (&facts(3), Urgency::Emergency));
    assert_eq!(moving.policy.stages.len(), 2, "its stages stay");
}

#[test]
fn what_was_gone_back_from_is_known_to_be_newer_than_what_is_told() {
    let mut repo = Repo::moving();
    repo.step(half());
    assert!(
        repo.state.went_back_from(&name(0), &commit(2)),
        "it may leave its stage"
    );
    repo.step(Step::RollBack(Why::Frozen));
    repo.step(Step::Settle);
    repo.admit(&[3], &in_two());
    assert!(
        repo.state.went_back_from(&name(0), &commit(2)),
        "also when it is over"
    );
    assert!(!repo.state.went_back_from(&name(0), &commit(1)));
}

#[test]
fn i8_who_was_only_asked_to_get_ready_is_told_what_to_hold_however_many_rollouts_end_meanwhile() {
    let mut repo = Repo::default();
    let policy = Policy {
        activation: Activation::TwoPhase,
        ..in_two()
    };
    repo.admit(&[1], &policy);
    repo.admit(&[2], &policy);
    repo.step(Step::Prepare {
        threshold: Threshold::ALL,
        required: BTreeSet::from([instance(0)]),
        excluded: BTreeSet::new(),
    });
    repo.step(Step::AbortPrepare(Why::Late {
        pending: 1,
        members: 1,
    }));
    assert!(repo.state.moving_of(&name(0)).is_none());
    assert!(
        repo.state.went_back_from(&name(0), &commit(2)),
        "what it names as held is a commit after the one that it is told"
    );
    repo.state.ended.clear();
    assert!(repo.state.went_back_from(&name(0), &commit(2)));
}

#[test]
fn i8_who_holds_what_a_copy_of_the_store_does_not_know_of_is_told_what_to_hold() {
    let mut repo = Repo::default();
    repo.admit(&[1], &in_two());
    let mut copy = repo.state.clone();
    // Instances come to hold content 2, and the copy is put back, which does not know.
    repo.admit(&[2], &in_two());
    let restored = Command::Restored {
        missed: 10,
        at: Timestamp(0),
    };
    copy.apply(restored).unwrap();
    repo.state = copy;
    let version = commit(2);
    let relate = |repo: &Repo, is_in_tip: bool| {
        let held = Held {
            version: &version,
            relation: Relation::Descendant,
            is_in_tip,
        };
        repo.state.relate(&name(0), held, &repo.state.targets[&name(0)])
    };
    assert_eq!(
        relate(&repo, false),
        (Relation::Descendant, false),
        "a replica that lags takes nobody back"
    );
    repo.commits += 1;
    repo.admit(&[3], &in_two());
    assert_eq!(
        relate(&repo, true),
        (Relation::Ancestor, true),
        "what comes before the tip is news to nobody here"
    );
}

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
    repo.state.apply(Command::Accept { head, reason, at }).unwrap();
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
        repo.state.apply(Command::Accept { head, reason, at }).unwrap();
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
fn a_config_that_is_no_longer_declared_is_not_moved_any_more() {
    let mut repo = Repo::moving();
    let id = repo.id();
    repo.step(half());
    repo.admit(&[], &in_two());
    assert!(repo.state.courses.is_empty());
    assert_eq!(repo.state.rollout(&id).unwrap().state, State::Superseded);
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

#[test]
fn no_two_rollouts_have_one_id_whether_they_begin_or_wait() {
    let mut repo = Repo::default();
    repo.admit(&[1, 1], &in_two());
    repo.admit(&[2, 1], &in_two());
    repo.step(half());
    // Of the first config a rollout moves, so the next one waits; of the second it begins.
    repo.admit(&[3, 2], &in_two());
    let course = &repo.state.courses[&name(0)];
    let waiting = course.queued.as_ref().unwrap().id.clone();
    let mut ids: Vec<String> = repo.state.moving().map(|rollout| rollout.id.clone()).collect();
    ids.push(waiting);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn time_passes_only_while_a_process_counts_it() {
    let mut repo = Repo::moving();
    repo.step(half());
    let waited = |state: &RepoState| match state.moving().next().unwrap().state {
        State::Exposing { waited_ms, .. } => waited_ms,
        ref other @ (State::Due { .. }
        | State::Preparing { .. }
        | State::Baking { .. }
        | State::Paused { .. }
        | State::Halted { .. }
        | State::RollingBack { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded) => panic!("it is being exposed, not {other:?}"),
    };
    repo.state.pass_until(Uptime(5_000));
    assert_eq!(waited(&repo.state), 0);
    repo.state.pass_until(Uptime(7_500));
    assert_eq!(waited(&repo.state), 2_500);
    let kept = serde_json::to_string(&repo.state).unwrap();
    let mut restarted: RepoState = serde_json::from_str(&kept).unwrap();
    restarted.pass_until(Uptime(90_000));
    assert_eq!(waited(&restarted), 2_500);
}

/// What may happen in any order.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Admit([u64; 2], usize),
    Undeclare(u64, usize),
    Step(usize, usize),
    Order(usize, usize),
    RollBack(u64),
    Release(usize),
    Raise(u64),
    Hold,
    Restored,
}

fn happens() -> impl Strategy<Value = Happens> {
    let contents = [1..5_u64, 1..5_u64];
    prop_oneof![
        6 => (contents, 0..4_usize).prop_map(|(contents, policy)| Happens::Admit(contents, policy)),
        1 => (1..5_u64, 0..4_usize).prop_map(|(content, policy)| Happens::Undeclare(content, policy)),
        20 => (0..2_usize, 0..14_usize).prop_map(|(config, step)| Happens::Step(config, step)),
        4 => (0..2_usize, 0..4_usize).prop_map(|(config, order)| Happens::Order(config, order)),
        1 => (1..5_u64).prop_map(Happens::RollBack),
        1 => (0..3_usize).prop_map(Happens::Release),
        1 => (0..40_u64).prop_map(Happens::Raise),
        1 => Just(Happens::Hold),
        1 => Just(Happens::Restored),
    ]
}

fn some_step(number: usize) -> Step {
    let why = || Why::Asked {
        reason: "so".to_owned(),
    };
    match number {
        0 => half(),
        1 => all(),
        2 => Step::Bake,
        3 => Step::Advance,
        4 => Step::Halt(why()),
        5 => Step::RollBack(why()),
        6 => Step::Settle,
        7 => Step::GiveUp { left: 1 },
        8 => Step::Promote,
        9 => Step::Pause,
        10 => Step::Resume,
        11 => Step::Activate,
        12 => Step::AbortPrepare(why()),
        _ => Step::Prepare {
            threshold: Threshold::ALL,
            required: [instance(0), instance(1)].into(),
            excluded: BTreeSet::new(),
        },
    }
}

fn some_order(number: usize) -> Order {
    let reason = "so".to_owned();
    match number {
        0 => Order::Promote,
        1 => Order::Pause,
        2 => Order::Resume,
        _ => Order::Abort { reason },
    }
}

fn some_policy(number: usize) -> Policy {
    match number {
        0 => Policy::immediate(),
        1 => in_two(),
        2 => staged(&[Share::Everyone]),
        _ => Policy {
            activation: Activation::TwoPhase,
            ..in_two()
        },
    }
}

impl Repo {
    fn happen(&mut self, happens: Happens) {
        let moving = |repo: &Self, number: usize| repo.state.moving_of(&name(number)).cloned();
        let command = match happens {
            Happens::Admit(contents, policy) => {
                self.admit(&contents, &some_policy(policy));
                return;
            }
            Happens::Undeclare(content, policy) => {
                self.admit(&[content], &some_policy(policy));
                return;
            }
            Happens::Step(config, step) => {
                let Some(rollout) = moving(self, config) else {
                    return;
                };
                Command::Step(Box::new(Due {
                    config: rollout.config,
                    id: rollout.id,
                    after: rollout.steps,
                    step: some_step(step),
                    counts: None,
                    at: Timestamp(0),
                }))
            }
            Happens::Order(config, order) => {
                let Some(rollout) = moving(self, config) else {
                    return;
                };
                self.order(&rollout.id, some_order(order)).ok();
                return;
            }
            Happens::RollBack(content) => {
                if self.commits > 0 {
                    self.commits += 1;
                    self.try_to_roll_back(content, BTreeSet::new()).ok();
                }
                return;
            }
            Happens::Release(number) => {
                let left = self
                    .state
                    .courses
                    .values()
                    .filter_map(|course| course.left.as_ref());
                let left = left.map(|left| left.id.clone());
                let held = self.state.withheld.values().map(|held| held.id.clone());
                let Some(id) = left.chain(held).nth(number) else {
                    return;
                };
                let reason = "so".to_owned();
                let at = Timestamp(0);
                Command::Release { id, reason, at }
            }
            Happens::Raise(above) => Command::RaiseGeneration {
                config: name(0),
                above: Generation(above),
            },
            Happens::Hold => Command::Hold {
                head: commit(500),
                at: Timestamp(0),
            },
            Happens::Restored => Command::Restored {
                missed: 3,
                at: Timestamp(0),
            },
        };
        self.state.apply(command).ok();
    }
}

proptest! {
    #[test]
    fn whatever_happens_nobodys_number_falls_and_one_number_is_one_content(
        story in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut repo = Repo::default();
        let labels = BTreeMap::new();
        let mut told: BTreeMap<(usize, Option<usize>), (Generation, ConfigFacts)> = BTreeMap::new();
        let mut released = [const { Vec::new() }; 2];
        for happens in story {
            let before = repo.state.generation;
            let is_new = [0, 1].map(|number| repo.state.stable(&name(number)).is_none());
            repo.happen(happens);
            for (number, released) in released.iter_mut().enumerate() {
                release(&repo.state, &name(number), (happens, number), released);
                let Some(stable) = repo.state.targets.get(&name(number)) else { continue };
                if is_new[number] {
                    released.push(stable.content.clone());
                }
                prop_assert!(released.contains(&stable.content), "everybody has what nobody released: {happens:?}");
            }
            prop_assert!(repo.state.generation >= before);
            for number in 0..2 {
                for who in [None, Some(0), Some(1), Some(2)] {
                    let id = who.map(instance);
                    let asker = id.as_ref().map(|id| (id, &labels));
                    let Some(directive) = repo.state.directive(&name(number), asker) else { continue };
                    let now = (directive.generation(), repo.content(&name(number), directive));
                    prop_assert!(now.0 <= repo.state.generation, "a number was given out and not counted");
                    if let Some((generation, facts)) = told.get(&(number, who)) {
                        let is_same = facts.content.is_same(&now.1.content);
                        prop_assert!(now.0 >= *generation, "{who:?} fell after {happens:?}");
                        prop_assert!(now.0 > *generation || is_same, "{who:?}: {happens:?}");
                    }
                    told.insert((number, who), now);
                }
                is_sound(&repo.state, &name(number))?;
            }
            let json = serde_json::to_string(&repo.state).unwrap();
            let kept: RepoState = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&kept, &repo.state, "what is kept is what is known");
        }
    }
}

/// Notes what everybody may have from now on: what a rollout brought to its end, and what a commit moves at once.
fn release(
    state: &RepoState,
    config: &ConfigName,
    (happens, number): (Happens, usize),
    released: &mut Vec<Content>,
) {
    let done = state.ended.iter().filter(|rollout| rollout.config == *config);
    let done = done.filter(|rollout| rollout.state == State::Done);
    released.extend(done.map(|rollout| rollout.target.content.clone()));
    match happens {
        Happens::Admit(contents, 0) => released.push(content_of(contents[number])),
        Happens::Undeclare(content, 0) if number == 0 => released.push(content_of(content)),
        Happens::Admit(..)
        | Happens::Undeclare(..)
        | Happens::Step(..)
        | Happens::Order(..)
        | Happens::RollBack(_)
        | Happens::Release(_)
        | Happens::Raise(_)
        | Happens::Hold
        | Happens::Restored => {}
    }
}

/// What holds of every config in every state.
fn is_sound(state: &RepoState, config: &ConfigName) -> Result<(), TestCaseError> {
    let Some(course) = state.courses.get(config) else {
        return Ok(());
    };
    prop_assert!(
        state.targets.contains_key(config),
        "a course has something stable"
    );
    prop_assert!(course.ended.is_empty(), "what is over is remembered elsewhere");
    prop_assert!(
        course
            .rollout
            .as_ref()
            .is_none_or(|rollout| !rollout.state.is_final())
    );
    let nothing = course.rollout.is_none() && course.left.is_none();
    prop_assert!(
        !nothing || course.newest.is_some(),
        "a course that says nothing is forgotten"
    );
    if let (Some(rollout), Some(held)) = (course.moving(), state.withheld.get(config)) {
        let brings = Some(rollout.target.content.clone());
        prop_assert!(
            rollout.state.is_back() || !held.bad.contains(&brings),
            "what is held back moves"
        );
    }
    let anonymous = state.directive(config, None);
    if let (Some(Directive::Target(_)), Some(rollout)) = (anonymous, course.moving()) {
        let newest = rollout.policy.stages.get(rollout.opened.len() - 1);
        prop_assert!(
            newest.is_some_and(StagePolicy::takes_everyone),
            "the anonymous come last"
        );
    }
    Ok(())
}
