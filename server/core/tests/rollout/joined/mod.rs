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

mod interrupted;
mod old_contents;
mod rollbacks;
mod whatever;

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
    /// What each commit has.
    had: BTreeMap<(CommitId, ConfigName), Content>,
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
        let had = configs
            .iter()
            .map(|(name, facts)| ((commit(self.commits), name.clone()), facts.content.clone()));
        self.had.extend(had);
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
        self.order_after(None, id, order)
    }

    fn order_after(&mut self, after: Option<u64>, id: &str, order: Order) -> Result<Vec<Effect>, Refusal> {
        let ordered = Ordered {
            id: id.to_owned(),
            order,
            after,
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
        let exposed = (commit(900 + self.commits), name(0));
        self.had.insert(exposed, content_of(content));
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
        confirmed_by: None,
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
    assert!(last.ordered && !rollout.timeline.happenings[0].ordered);
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
        id: id.clone(),
        reason: "mended".to_owned(),
        by: Some("Ada".to_owned()),
        at: Timestamp(77),
    };
    let since = |repo: &Repo| repo.state.rollout(&id).unwrap().view(None, Timestamp(99)).since;
    let went_back = since(&repo);
    assert_eq!(
        repo.state.held_before(&name(0)),
        None,
        "before it is what was left"
    );
    repo.state.apply(release).unwrap();
    assert_eq!(repo.state.held_before(&name(0)), Some(&facts(1).version));
    let told = repo
        .state
        .rollout(&id)
        .unwrap()
        .timeline
        .happenings
        .last()
        .unwrap();
    assert_eq!((told.what.as_str(), told.at), ("release", Timestamp(77)));
    assert_eq!(
        (told.by.as_deref(), told.reason.as_deref()),
        (Some("Ada"), Some("mended"))
    );
    assert_eq!(since(&repo), went_back);
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
        who: Vec::new(),
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
fn an_order_for_what_was_seen_does_nothing_to_what_has_gone_on_since() {
    let mut repo = Repo::moving();
    repo.step(half());
    let (id, seen) = (repo.id(), repo.state.moving().next().unwrap().steps);
    repo.order_after(Some(seen), &id, Order::Promote).unwrap();
    let before = repo.state.clone();
    let again = repo.order_after(Some(seen), &id, Order::Promote);
    assert_eq!(again, Err(Refusal::MovedOn));
    assert_eq!(repo.state, before, "nothing has happened");
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
