//! Laws of going back, over arbitrary sequences of admissions, rollbacks, landings, releases and restarts.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::{
    Command, ConfigFacts, Decision, Effect, Refusal, RepoState, Rollback, RollbackState, Undone,
};
use headwater_wire::{CommitId, ConfigName, Digest, HeadState, RollbackMode, Timestamp};
use proptest::prelude::*;

/// Configs of every tree.
const CONFIGS: usize = 3;
/// Contents that a config may have; 0 is none.
const CONTENTS: u8 = 4;
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

fn digest(content: u8) -> Option<Digest> {
    (content > 0).then(|| format!("sha256:{content:064x}").parse().unwrap())
}

/// What `commit` has, if the one before it had `before`: a version is the commit at which the content came.
fn facts(
    commit: &CommitId,
    contents: Contents,
    before: &BTreeMap<ConfigName, ConfigFacts>,
) -> BTreeMap<ConfigName, ConfigFacts> {
    let of = |(number, content): (usize, u8)| {
        let (name, inputs) = (config(number), digest(content)?);
        let kept = before.get(&name).filter(|facts| facts.inputs == inputs);
        let version = kept.map_or(commit, |facts| &facts.version).clone();
        Some((name, ConfigFacts { version, inputs }))
    };
    contents.into_iter().enumerate().filter_map(of).collect()
}

/// What is exposed of a config.
fn exposed(state: &RepoState, config: &ConfigName) -> Option<Digest> {
    state.targets.get(config).map(|target| target.inputs.clone())
}

fn inputs(facts: Option<&ConfigFacts>) -> Option<Digest> {
    facts.map(|facts| facts.inputs.clone())
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
        reason: "because".to_owned(),
        requested_by: None,
        expected_tip: None,
        mode: RollbackMode::Push,
        insists: false,
        at: Timestamp(0),
        parent: base.clone(),
        base,
        commit: exposed.clone(),
        exposed,
        state: RollbackState::Effective,
    }
}

fn admit(commit: &CommitId, configs: BTreeMap<ConfigName, ConfigFacts>) -> Command {
    Command::Admit {
        commit: commit.clone(),
        depth: 0,
        configs,
    }
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
                let now = inputs(at_tip.get(&config(number)));
                *content = (0..CONTENTS).find(|content| digest(*content) == now)?;
            }
        }
        self.rollbacks += 1;
        let rollback = rollback(self.rollbacks, base, one);
        let facts = facts(&rollback.exposed, contents, &at_tip);
        let differs = |name: &ConfigName| inputs(facts.get(name)) != inputs(at_tip.get(name));
        let names = (0..CONFIGS).map(config);
        let touched: BTreeSet<ConfigName> = names.filter(|name| one.is_none() || differs(name)).collect();
        Some(Command::RollBack(Box::new(Decision {
            rollback,
            facts,
            touched,
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
            let inputs = exposed(&self.state, name);
            configs.extend(inputs.map(|inputs| (name.clone(), ConfigFacts { version, inputs })));
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
            Command::Admit { configs, .. } => {
                let is_bad = held.bad.contains(&inputs(configs.get(name)));
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
                    .then(|| inputs(decision.facts.get(name)));
                let ends = decided == Some(inputs(before.at_tip(name).as_ref()));
                prop_assert_eq!(still, !ends, "a person decided for what the tip has");
            }
            Command::Follow(_)
            | Command::Judge(_)
            | Command::Reject(_)
            | Command::Hold { .. }
            | Command::Accept { .. }
            | Command::RaiseGeneration { .. }
            | Command::Settle { .. }
            | Command::Rebuild { .. } => prop_assert!(still, "nothing else ends a hold"),
        }
    }
    Ok(())
}

/// What holds in every state.
fn is_sound(state: &RepoState) -> Result<(), TestCaseError> {
    for (name, held) in &state.withheld {
        prop_assert!(
            !held.bad.contains(&exposed(state, name)),
            "bad content is exposed"
        );
        prop_assert!(
            held.bad.contains(&inputs(held.tip.as_ref())),
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
            prop_assert_eq!(exposed(&world.state, name), inputs(decision.facts.get(name)));
            if let Some(held) = world.state.withheld.get(name) {
                let decided = inputs(decision.facts.get(name));
                for seen in [exposed(&before, name), inputs(before.at_tip(name).as_ref())] {
                    prop_assert_eq!(held.bad.contains(&seen), seen != decided);
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
        let effects = world.state.apply(Command::Admit { commit: commit.clone(), depth: 0, configs: arrived }).unwrap();
        for effect in effects {
            prop_assert!(!matches!(effect, Effect::TargetMoved { .. } | Effect::TargetRemoved(_)), "{effect:?}");
        }
        let after: Vec<_> = world.state.targets.values().map(|target| target.generation).collect();
        prop_assert_eq!(after, numbers);
        prop_assert_eq!(&world.state.rollback(&newest.id).unwrap().state, &RollbackState::Pushed { commit });
        prop_assert!(world.state.withheld.is_empty());
    }
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
    assert_eq!(world.state.withheld[&config(0)].bad, [digest(1), digest(2)]);
}

#[test]
fn what_is_not_held_cannot_be_released() {
    let mut world = World::admitted(1, [1, 1, 1]);
    let release = Command::Release {
        id: "r9".into(),
        reason: "why".into(),
        at: Timestamp(0),
    };
    assert_eq!(world.state.apply(release), Err(Refusal::NotHeld("r9".into())));
}
