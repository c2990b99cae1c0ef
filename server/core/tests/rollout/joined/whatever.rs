//! Whatever happens, in any order: what is told stays sound.

use super::*;

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

pub(super) fn some_step(number: usize) -> Step {
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

pub(super) fn some_policy(number: usize) -> Policy {
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
    /// The contents from which an instance may come to newer ones.
    fn possible(&self, number: usize) -> Vec<Content> {
        let (old, config) = (self.state.old_contents(), name(number));
        let tip = self.state.at_tip(&config).filter(|_| !old.left.contains(&config));
        let besides = old
            .besides
            .iter()
            .filter(|(_, configs)| configs.contains_key(&config));
        let besides = besides.map(|(source, _)| self.had[&(source.clone(), config.clone())].clone());
        tip.map(|facts| facts.content)
            .into_iter()
            .chain(besides)
            .collect()
    }

    /// What any of three instances is told, or somebody who does not say who he is.
    fn contents_told(&self, number: usize) -> Vec<Content> {
        let (labels, config) = (BTreeMap::new(), name(number));
        let told = [None, Some(0), Some(1), Some(2)].into_iter().filter_map(|who| {
            let id = who.map(instance);
            let asker = id.as_ref().map(|id| (id, &labels));
            let directive = self.state.directive(&config, asker)?;
            Some(self.content(&config, directive).content)
        });
        told.collect()
    }

    /// What is held back, by name.
    fn holds(&self) -> impl Iterator<Item = String> {
        let courses = self.state.courses.values();
        let left = courses.filter_map(|course| Some(course.left.as_ref()?.id.clone()));
        left.chain(self.state.withheld.values().map(|held| held.id.clone()))
    }

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
                let Some(id) = self.holds().nth(number) else {
                    return;
                };
                Command::Release {
                    id,
                    reason: "so".to_owned(),
                    by: None,
                    at: Timestamp(0),
                }
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
    fn whatever_instances_are_told_until_the_next_commit_is_what_it_is_measured_against(
        story in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut repo = Repo::default();
        for happens in story {
            let before = [0, 1].map(|number| repo.possible(number));
            repo.happen(happens);
            let is_taken_by_itself = matches!(happens, Happens::Step(..));
            for (number, before) in before.into_iter().enumerate() {
                let now = repo.possible(number);
                for told in repo.contents_told(number) {
                    let is_in = |all: &[Content]| all.iter().any(|possible| possible.is_same(&told));
                    prop_assert!(is_in(&now), "{told:?} of {number} is not among {now:?} after {happens:?}");
                    prop_assert!(!is_taken_by_itself || is_in(&before), "{happens:?} led out of {before:?}");
                }
            }
        }
    }

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
