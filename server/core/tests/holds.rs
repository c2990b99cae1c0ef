//! Laws of going back, over arbitrary sequences of admissions, rollbacks, landings, releases and restarts.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::collections::BTreeMap;

use headwater_core::rollout::Urgency;
use headwater_core::{
    Arrival, Command, ConfigFacts, Content, Decision, Effect, Refusal, RepoState, Rollback, RollbackState,
    Sight, Undone, Withheld,
};
use headwater_wire::{CommitId, ConfigName, Digest, HeadState, RollbackMode, Timestamp};
use proptest::prelude::*;

/// Configs of every tree.
const CONFIGS: usize = 3;
/// Documents that a config may have.
const DOCUMENTS: u8 = 3;
/// Contents that a config may have: each document in two wordings. 0 is none.
const CONTENTS: u8 = 1 + 2 * DOCUMENTS;
/// Commits of ours are numbered from here on.
const OURS: usize = 1_000;

type Contents = [u8; CONFIGS];

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// A commit of the branch is admitted, with this content.
    Admit(Contents),
    /// A commit of the branch is rejected.
    Reject,
    /// The tip is admitted again, as after a restart.
    AdmitAgain,
    /// A person goes back to this content as a whole, or of one config.
    RollBack(Contents, Option<usize>),
    /// A push went so.
    Settle(prop::sample::Index, RollbackState),
    /// The commit of a rollback comes to the branch, as it is or built anew, and is admitted with this beside it.
    Land(prop::sample::Index, Anew),
    /// A person lifts a hold.
    Release(prop::sample::Index),
}

/// Whether the branch has moved since the commit of a rollback was written.
#[derive(Debug, Clone, Copy)]
enum Anew {
    Yes,
    No,
}

fn step() -> impl Strategy<Value = Step> {
    let contents = || [0..CONTENTS, 0..CONTENTS, 0..CONTENTS];
    let url = || "https://forge.example.test/1".to_owned();
    let states = prop_oneof![
        Just(RollbackState::GitPending {
            why: "away".into(),
            hint: "wait".into()
        }),
        Just(RollbackState::Proposed {
            url: url(),
            branch: "b".into()
        }),
    ];
    prop_oneof![
        4 => contents().prop_map(Step::Admit),
        1 => Just(Step::Reject),
        1 => Just(Step::AdmitAgain),
        3 => (contents(), prop::option::of(0..CONFIGS)).prop_map(|(to, one)| Step::RollBack(to, one)),
        1 => (any::<prop::sample::Index>(), states).prop_map(|(which, state)| Step::Settle(which, state)),
        2 => (any::<prop::sample::Index>(), prop_oneof![Just(Anew::Yes), Just(Anew::No)]).prop_map(|(which, anew)| Step::Land(which, anew)),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
    ]
}

fn commit(number: usize) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

fn config(number: usize) -> ConfigName {
    format!("config-{number}").parse().unwrap()
}

fn digest(number: u8) -> Digest {
    format!("sha256:{number:064x}").parse().unwrap()
}

fn content(number: u8) -> Option<Content> {
    let document = number.checked_sub(1)? % DOCUMENTS;
    Some(Content {
        inputs: digest(number),
        documents: Some(digest(document)),
    })
}

/// Another wording of the same documents.
fn reworded(number: u8) -> u8 {
    match number {
        0 => 0,
        some if some > DOCUMENTS => some - DOCUMENTS,
        some => some + DOCUMENTS,
    }
}

fn is_same(one: Option<&Content>, other: Option<&Content>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.documents == other.documents,
        (one, other) => one == other,
    }
}

fn is_bad(held: &Withheld, content: Option<&Content>) -> bool {
    held.bad.iter().any(|bad| is_same(bad.as_ref(), content))
}

/// What `commit` has, if the one before it had `before`: a version is the commit at which the content came.
fn facts(
    commit: &CommitId,
    contents: Contents,
    before: &BTreeMap<ConfigName, ConfigFacts>,
) -> BTreeMap<ConfigName, ConfigFacts> {
    let of = |(number, wording): (usize, u8)| {
        let (name, content) = (config(number), content(wording)?);
        let kept = before.get(&name).filter(|facts| facts.content == content);
        let version = kept.map_or(commit, |facts| &facts.version).clone();
        Some((name, ConfigFacts { version, content }))
    };
    contents.into_iter().enumerate().filter_map(of).collect()
}

/// What is exposed of a config.
fn exposed<'a>(state: &'a RepoState, config: &ConfigName) -> Option<&'a Content> {
    state.targets.get(config).map(|target| &target.content)
}

fn of(facts: Option<&ConfigFacts>) -> Option<&Content> {
    facts.map(|facts| &facts.content)
}

fn rollback(id: usize, base: CommitId, one: Option<usize>) -> Rollback {
    let exposed = commit(OURS + id);
    Rollback {
        id: format!("r{id}"),
        request: format!("request {id}"),
        undone: Undone::Restore {
            target: commit(0),
            config: one.map(config),
            paths: Vec::new(),
        },
        subject: None,
        sight: Sight::default(),
        reason: "because".to_owned(),
        requested_by: None,
        confirmed_by: None,
        expected_tip: None,
        mode: RollbackMode::Push,
        insists: false,
        at: Timestamp(0),
        parent: base.clone(),
        base,
        commit: exposed.clone(),
        exposed,
        state: RollbackState::Effective,
        left_alone: BTreeMap::new(),
    }
}

fn admit(commit: &CommitId, configs: BTreeMap<ConfigName, ConfigFacts>) -> Command {
    Command::Admit(Box::new(Arrival {
        commit: commit.clone(),
        depth: 0,
        configs,
        policies: BTreeMap::new(),
        urgency: Urgency::Usual,
        at: Timestamp(0),
    }))
}

/// A repository, and the numbers that were given out.
#[derive(Default)]
struct World {
    state: RepoState,
    commits: usize,
    rollbacks: usize,
}

impl World {
    fn admitted(commits: usize, contents: Contents) -> Self {
        let mut world = Self::default();
        for _ in 0..commits {
            world.take(&Step::Admit(contents));
        }
        world
    }

    fn next_commit(&mut self) -> CommitId {
        self.commits += 1;
        commit(self.commits)
    }

    fn decision(&mut self, to: Contents, one: Option<usize>) -> Option<Command> {
        let base = self.state.head.clone().or_else(|| self.state.tip.clone())?;
        let at_tip = self.state.all_at_tip();
        let mut contents = to;
        for (number, content) in contents.iter_mut().enumerate() {
            if one.is_some_and(|one| one != number) {
                let now = of(at_tip.get(&config(number)));
                *content = (0..CONTENTS).find(|number| self::content(*number).as_ref() == now)?;
            }
        }
        self.rollbacks += 1;
        let rollback = rollback(self.rollbacks, base, one);
        let facts = facts(&rollback.exposed, contents, &at_tip);
        let touched = self.state.touched(&rollback.undone, &facts);
        Some(Command::RollBack(Box::new(Decision {
            rollback,
            facts,
            at_once: touched.clone(),
            touched,
            taken_back: BTreeMap::new(),
        })))
    }

    fn some_rollback(&self, which: prop::sample::Index) -> Option<Rollback> {
        let known = &self.state.rollbacks;
        (!known.is_empty()).then(|| known[which.index(known.len())].clone())
    }

    /// The commands of a step.
    fn commands(&mut self, step: &Step) -> Vec<Command> {
        let at_tip = self.state.all_at_tip();
        match step {
            Step::Admit(contents) => {
                let commit = self.next_commit();
                vec![admit(&commit, facts(&commit, *contents, &at_tip))]
            }
            Step::Reject => vec![Command::Reject(self.next_commit())],
            Step::AdmitAgain => {
                let tip = self.state.tip.as_ref().into_iter();
                tip.map(|tip| admit(tip, at_tip.clone())).collect()
            }
            Step::RollBack(to, one) => self.decision(*to, *one).into_iter().collect(),
            Step::Settle(which, state) => {
                let rollback = self.some_rollback(*which).into_iter();
                let settle = |rollback: Rollback| Command::Settle {
                    id: rollback.id,
                    state: state.clone(),
                };
                rollback.map(settle).collect()
            }
            Step::Land(which, anew) => self.landing(*which, *anew),
            Step::Release(which) => {
                let rollback = self.some_rollback(*which).into_iter();
                let lift = |rollback: Rollback| Command::Release {
                    id: rollback.id,
                    reason: "it was good".into(),
                    by: None,
                    at: Timestamp(0),
                };
                rollback.map(lift).collect()
            }
        }
    }

    /// Where the rollback holds something back its commit has what is exposed, elsewhere what the tip has.
    fn landing(&mut self, which: prop::sample::Index, anew: Anew) -> Vec<Command> {
        let rollback = self.some_rollback(which);
        let Some(rollback) = rollback.filter(|rollback| self.state.holds_back(&rollback.id)) else {
            return Vec::new();
        };
        let commit = match anew {
            Anew::Yes => self.next_commit(),
            Anew::No => rollback.exposed,
        };
        let mut configs = self.state.all_at_tip();
        let held = self.state.withheld.iter();
        for (name, _) in held.filter(|(_, held)| held.id == rollback.id) {
            configs.remove(name);
            let version = commit.clone();
            let content = exposed(&self.state, name).cloned();
            configs.extend(content.map(|content| (name.clone(), ConfigFacts { version, content })));
        }
        let land = Command::Land {
            id: rollback.id,
            commit: commit.clone(),
        };
        vec![land, admit(&commit, configs)]
    }

    /// Does a step and gives what it changed.
    fn take(&mut self, step: &Step) -> Vec<Effect> {
        let commands = self.commands(step).into_iter();
        commands
            .flat_map(|command| self.state.apply(command).unwrap_or_default())
            .collect()
    }
}

/// What a command may do to the configs that are held back before it.
fn keeps_what_is_held(before: &RepoState, command: &Command, after: &RepoState) -> Result<(), TestCaseError> {
    for (name, held) in &before.withheld {
        let still = after.withheld.contains_key(name);
        match command {
            Command::Admit(arrival) => {
                let is_bad = is_bad(held, of(arrival.configs.get(name)));
                prop_assert_eq!(still, is_bad, "a commit ends a hold exactly by other content");
                if is_bad {
                    prop_assert_eq!(exposed(after, name), exposed(before, name));
                }
            }
            Command::Land { id, .. } | Command::Release { id, .. } => prop_assert_eq!(still, held.id != *id),
            Command::RollBack(decision) => {
                let decided = decision
                    .touched
                    .contains(name)
                    .then(|| of(decision.facts.get(name)));
                let at_tip = before.at_tip(name);
                let ends = decided.is_some_and(|decided| is_same(decided, of(at_tip.as_ref())));
                prop_assert_eq!(still, !ends, "a person decided for what the tip has");
            }
            Command::Follow(_)
            | Command::Judge(_)
            | Command::Reject(_)
            | Command::Hold { .. }
            | Command::Accept { .. }
            | Command::Give(_)
            | Command::Confirm { .. }
            | Command::Withdraw(_)
            | Command::RaiseGeneration { .. }
            | Command::Settle { .. }
            | Command::Recognise(_)
            | Command::Condemn(_)
            | Command::Step(_)
            | Command::Order(_)
            | Command::Restored { .. }
            | Command::Rebuild { .. } => prop_assert!(still, "nothing else ends a hold"),
        }
    }
    Ok(())
}

/// What holds in every state.
fn is_sound(state: &RepoState) -> Result<(), TestCaseError> {
    for (name, held) in &state.withheld {
        prop_assert!(!is_bad(held, exposed(state, name)), "bad content is exposed");
        prop_assert!(
            is_bad(held, of(held.tip.as_ref())),
            "the tip has what is held back"
        );
        prop_assert!(state.rollback(&held.id).is_some(), "a hold has its rollback");
    }
    for (name, target) in &state.targets {
        prop_assert!(target.generation <= state.generation, "{name}");
    }
    let json = serde_json::to_string(state).unwrap();
    prop_assert_eq!(
        &serde_json::from_str::<RepoState>(&json).unwrap(),
        state,
        "what is kept is what is known"
    );
    Ok(())
}

proptest! {
    #[test]
    fn what_was_bad_is_not_exposed_again_until_other_content_its_commit_or_a_person_ends_that(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let mut world = World::admitted(1, [1, 1, 1]);
        for step in steps {
            for command in world.commands(&step) {
                let before = world.state.clone();
                // After a restart there is what was kept.
                let json = serde_json::to_string(&before).unwrap();
                let mut restarted: RepoState = serde_json::from_str(&json).unwrap();
                let effects = world.state.apply(command.clone());
                prop_assert_eq!(&restarted.apply(command.clone()), &effects);
                prop_assert_eq!(&restarted, &world.state);
                prop_assert!(world.state.generation >= before.generation);
                keeps_what_is_held(&before, &command, &world.state)?;
                is_sound(&world.state)?;
            }
            let state = &world.state;
            if state.head == state.tip && state.head_state != HeadState::Validating {
                prop_assert_eq!(state.head_state == HeadState::Held, !state.withheld.is_empty());
            }
        }
    }

    #[test]
    fn a_rollback_exposes_what_was_decided_and_holds_back_everything_else_that_was_to_be_seen(
        steps in proptest::collection::vec(step(), 0..20),
        to in [0..CONTENTS, 0..CONTENTS, 0..CONTENTS],
        one in prop::option::of(0..CONFIGS),
    ) {
        let mut world = World::admitted(1, [1, 1, 1]);
        for step in &steps {
            world.take(step);
        }
        let before = world.state.clone();
        let Some(command) = world.decision(to, one) else { return Ok(()) };
        let Command::RollBack(decision) = &command else { unreachable!() };
        world.state.apply(command.clone()).unwrap();
        for name in &decision.touched {
            let decided = of(decision.facts.get(name));
            prop_assert!(is_same(exposed(&world.state, name), decided));
            if let Some(held) = world.state.withheld.get(name) {
                let at_tip = before.at_tip(name);
                for seen in [exposed(&before, name), of(at_tip.as_ref())] {
                    prop_assert_eq!(is_bad(held, seen), !is_same(seen, decided));
                }
            }
        }
        // Said again, as after a crash between the decision and the answer, it changes nothing.
        let once = world.state.clone();
        prop_assert_eq!(world.state.apply(command).unwrap(), Vec::new());
        prop_assert_eq!(&world.state, &once);
    }

    #[test]
    fn the_commit_of_a_rollback_wakes_nobody_when_it_arrives(
        steps in proptest::collection::vec(step(), 0..20),
        to in [0..CONTENTS, 0..CONTENTS, 0..CONTENTS],
        anew: bool,
    ) {
        let mut world = World::admitted(1, [1, 1, 1]);
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::RollBack(to, None));
        let newest = world.state.rollbacks.last().unwrap().clone();
        let numbers: Vec<_> = world.state.targets.values().map(|target| target.generation).collect();
        let commit = if anew { world.next_commit() } else { newest.exposed.clone() };
        let at_tip = world.state.all_at_tip();
        let arrived = facts(&commit, to, &at_tip);
        world.state.apply(Command::Land { id: newest.id.clone(), commit: commit.clone() }).unwrap();
        let effects = world.state.apply(admit(&commit, arrived)).unwrap();
        for effect in effects {
            prop_assert!(!matches!(effect, Effect::TargetMoved { .. } | Effect::TargetRemoved(_)), "{effect:?}");
        }
        let after: Vec<_> = world.state.targets.values().map(|target| target.generation).collect();
        prop_assert_eq!(after, numbers);
        prop_assert_eq!(&world.state.rollback(&newest.id).unwrap().state, &RollbackState::Pushed { commit });
        prop_assert!(world.state.withheld.is_empty());
    }
}

proptest! {
    #[test]
    fn whatever_rewords_what_is_held_back_exposes_none_of_it(
        good in 1..CONTENTS,
        bad in 1..CONTENTS,
        wordings in proptest::collection::vec((any::<bool>(), 0..CONTENTS, 0..CONTENTS), 1..8),
    ) {
        prop_assume!(!is_same(content(good).as_ref(), content(bad).as_ref()));
        let mut world = World::admitted(1, [good, 1, 1]);
        world.take(&Step::Admit([bad, 1, 1]));
        world.take(&Step::RollBack([good, 1, 1], Some(0)));
        for (rewords, second, third) in wordings {
            let bad = if rewords { reworded(bad) } else { bad };
            world.take(&Step::Admit([bad, second, third]));
            prop_assert_eq!(exposed(&world.state, &config(0)).cloned(), content(good));
            prop_assert_eq!(world.state.head_state, HeadState::Held);
        }
        world.take(&Step::Admit([reworded(good), 1, 1]));
        prop_assert!(world.state.withheld.is_empty());
        prop_assert!(world.state.rollbacks[0].is_pushed());
    }
}

/// A state as it was kept before documents were compared.
fn as_kept_before(state: &RepoState) -> RepoState {
    fn forget(value: &mut serde_json::Value) {
        if let Some(members) = value.as_object_mut() {
            members.remove("documents");
            members.values_mut().for_each(forget);
        }
        value.as_array_mut().into_iter().flatten().for_each(forget);
    }
    let mut kept = serde_json::to_value(state).unwrap();
    forget(&mut kept);
    for held in kept["withheld"].as_object_mut().unwrap().values_mut() {
        for bad in held["bad"].as_array_mut().unwrap() {
            *bad = bad["inputs"].take();
        }
    }
    serde_json::from_value(kept).unwrap()
}

#[test]
fn a_decision_that_was_kept_without_documents_knows_them_once_they_are_worked_out_again() {
    let mut world = World::admitted(1, [1, 1, 1]);
    world.take(&Step::Admit([2, 1, 1]));
    world.take(&Step::RollBack([1, 1, 1], Some(0)));
    let old = as_kept_before(&world.state);
    assert_ne!(old, world.state);
    let mut known = old.clone();
    let worked_out = [2, 1].map(|number| (config(0), content(number).unwrap()));
    let others = [1, 2].map(|name| (config(name), content(1).unwrap()));
    let all = worked_out.into_iter().chain(others).collect();
    known.apply(Command::Recognise(all)).unwrap();
    assert_eq!(known, world.state);
    world.state = known;
    world.take(&Step::Admit([reworded(2), 1, 1]));
    assert_eq!(exposed(&world.state, &config(0)), content(1).as_ref());
    // By its inputs alone the same content is held, too, and its documents are known from then on.
    world.state = old;
    world.take(&Step::Admit([2, 1, 2]));
    world.take(&Step::Admit([reworded(2), 1, 1]));
    assert_eq!(exposed(&world.state, &config(0)).unwrap().inputs, digest(1));
}

#[test]
fn what_takes_a_comment_back_releases_nothing() {
    let mut world = World::admitted(1, [1, 1, 1]);
    world.take(&Step::Admit([2, 1, 1]));
    world.take(&Step::RollBack([1, 1, 1], Some(0)));
    world.take(&Step::Admit([reworded(2), 1, 1]));
    world.take(&Step::RollBack([2, 2, 1], Some(1)));
    assert_eq!(exposed(&world.state, &config(0)), content(1).as_ref());
}

#[test]
fn content_that_comes_by_a_commit_that_does_not_say_so_counts_as_the_rollback() {
    let mut world = World::admitted(1, [1, 1, 1]);
    world.take(&Step::Admit([2, 1, 1]));
    world.take(&Step::RollBack([1, 1, 1], None));
    let effects = world.take(&Step::Admit([1, 1, 1]));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::TargetAdopted { .. }))
    );
    let commit = world.state.tip.clone().unwrap();
    assert_eq!(world.state.rollbacks[0].state, RollbackState::Pushed { commit });
    assert_eq!(world.state.head_state, HeadState::Published);
}

#[test]
fn a_rollback_of_everything_takes_the_place_of_those_that_are_not_in_git_yet() {
    let mut world = World::admitted(1, [1, 1, 1]);
    world.take(&Step::Admit([2, 2, 2]));
    world.take(&Step::RollBack([1, 1, 1], Some(0)));
    world.take(&Step::RollBack([3, 3, 3], None));
    let by = world.state.rollbacks[1].exposed.clone();
    assert_eq!(world.state.rollbacks[0].state, RollbackState::Superseded { by });
    assert_eq!(world.state.withheld[&config(0)].bad, [content(1), content(2)]);
}

#[test]
fn what_is_not_held_cannot_be_released() {
    let mut world = World::admitted(1, [1, 1, 1]);
    let release = Command::Release {
        id: "r9".into(),
        reason: "why".into(),
        by: None,
        at: Timestamp(0),
    };
    assert_eq!(world.state.apply(release), Err(Refusal::NotHeld("r9".into())));
}
