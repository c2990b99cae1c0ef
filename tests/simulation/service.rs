//! The service's side: decisions are kept, then told; its process may end between the two.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_core::rollout::{Approval, OnHalt, Order, Rollout, State, Step, Tally};
use headwater_core::{
    Command, ConfigFacts, Decision, Due, Ordered, RepoState, Rollback, RollbackState, Sight, Undone, Way,
};
use headwater_wire::{CommitId, HeadState, RollbackMode, Timestamp};

use crate::replica::{Planned, config};
use crate::story::{commit, place};
use crate::world::{Faults, Happening, Manner, TROUBLED, World, Wrong};

/// Time between two looks at what moves.
const LOOK: Duration = Duration::from_secs(5);
/// Steps that may follow each other before anybody is told.
const AT_ONCE_MAX: usize = 4;

impl World {
    /// A replica decides: what is decided is kept, and then told. Says whether it was told.
    pub(crate) fn decide(&mut self, replica: usize, change: impl FnOnce(&mut RepoState) -> bool) -> bool {
        let is_rough = self.faults >= Faults::Services && self.manner == Manner::Rollouts;
        let crashes = is_rough && self.now < TROUBLED;
        let fate = if crashes { self.fraction() } else { 1.0 };
        if fate < 0.02 {
            self.crash(replica);
            return false;
        }
        let mut state = self.replicas[replica].state_now(self.now);
        if !change(&mut state) {
            return false;
        }
        self.begin_at_once(replica, &mut state);
        let before = std::mem::replace(&mut self.replicas[replica].state, state.clone());
        if self.wrong == Wrong::TellsBeforeItKeeps && fate < 0.05 {
            self.wake(replica, &before);
            self.crash(replica);
            return false;
        }
        self.replicas[replica].keep(&state);
        let names: Vec<_> = self.instances.iter().map(|instance| &instance.name).collect();
        self.laws.decided(&before, &state, &names);
        if fate < 0.05 {
            self.crash(replica);
            return false;
        }
        self.wake(replica, &before);
        true
    }

    /// What has only just begun is planned before anybody is told.
    fn begin_at_once(&mut self, replica: usize, state: &mut RepoState) {
        for _ in 0..AT_ONCE_MAX {
            if !state.moving().any(|rollout| rollout.steps == 0) {
                return;
            }
            let (planned, _) = self.replicas[replica].plan(state, self.now);
            self.laws.knows(&planned.known);
            let new = planned.due.into_iter().filter(|due| due.after == 0);
            let taken = new.map(|due| state.apply(Command::Step(Box::new(due))));
            if taken.flatten().count() == 0 {
                return;
            }
        }
    }

    /// The process ends and another one begins. It lists the branch anew.
    pub(crate) fn crash(&mut self, replica: usize) {
        self.replicas[replica].restart(self.now);
        self.begin_anew(replica);
    }

    fn begin_anew(&mut self, replica: usize) {
        self.laws.began_anew();
        self.cut_all(replica);
        if let Some(at) = self.replicas[replica].heard.checked_sub(1) {
            let soon = self.now + self.within(Duration::from_secs(2));
            self.at(soon, Happening::Heard { replica, at });
        }
        self.look_soon(replica);
    }

    /// The copy of the store that was made last is put back.
    pub(crate) fn restore(&mut self, replica: usize) {
        if self.replicas[replica].restore(self.now, self.wrong) {
            let state = self.replicas[replica].state.clone();
            self.laws.restored(&state);
            self.begin_anew(replica);
        }
    }

    /// The process of the replica ends with its store, and so do its connections.
    pub(crate) fn lose_store(&mut self, replica: usize) {
        let admitted = self.replicas[replica].admitted();
        self.replicas[replica].lose_store(self.now);
        if let Some(at) = admitted.checked_sub(1) {
            self.admit(replica, at);
        }
        self.cut_all(replica);
    }

    pub(crate) fn hear_of(&mut self, replica: usize, at: usize) {
        let here = &mut self.replicas[replica];
        here.heard = here.heard.max(at + 1);
        if at + 1 >= here.admitted() {
            self.admit(replica, at);
        }
    }

    fn admit(&mut self, replica: usize, at: usize) {
        self.laws.offered(&self.story.content(at), self.story.policy(at));
        let command = self.replicas[replica].arrival(&self.story, at, self.now);
        if self.decide(replica, |state| state.apply(command).is_ok()) {
            self.trace(format!("admitted {at}"));
        }
    }

    /// Looks again after a while, for as long as this process lives.
    pub(crate) fn look_soon(&mut self, replica: usize) {
        let process = self.replicas[replica].process;
        self.at(self.now + LOOK, Happening::Look { replica, process });
    }

    /// Counts and plans. The steps reach the pipeline a little later.
    pub(crate) fn look(&mut self, replica: usize, process: u64) {
        if self.replicas[replica].process != process {
            return;
        }
        let here = &self.replicas[replica];
        let (mut planned, counted) = here.plan(&here.state_now(self.now), self.now);
        if self.wrong == Wrong::OneIsEnough {
            planned.due.extend(counted.as_ref().and_then(one_is_enough));
        }
        if let Some((rollout, tally)) = counted {
            self.laws.counts(&rollout, &tally, self.now);
            if self.now >= TROUBLED {
                self.give_orders(replica);
            }
        }
        if !planned.due.is_empty() {
            let at = self.now + self.latency().min(LOOK / 2);
            self.at(
                at,
                Happening::Steps {
                    replica,
                    process,
                    planned,
                },
            );
        }
        self.look_soon(replica);
    }

    pub(crate) fn take_steps(&mut self, replica: usize, process: u64, planned: Planned) {
        if self.replicas[replica].process != process {
            return;
        }
        for due in planned.due {
            let text = format!("{:?} {} {:?}", self.now, due.id, due.step);
            self.laws.knows(&planned.known);
            if self.decide(replica, |state| state.apply(Command::Step(Box::new(due))).is_ok()) {
                self.trace(text);
            }
        }
    }

    /// What a rollout waits for a person for is ordered.
    fn give_orders(&mut self, replica: usize) {
        let Some(rollout) = self.replicas[replica].state.moving_of(&config()) else {
            return;
        };
        let order = match &rollout.state {
            State::Paused { .. } => Order::Resume,
            State::Halted { .. } if rollout.policy.on_halt == OnHalt::Stay => Order::Abort {
                reason: "it stays".to_owned(),
            },
            State::Due {
                stage,
                approval: Approval::Open,
            } if rollout.policy.stages[*stage].approval => Order::Promote,
            State::Due { .. }
            | State::Preparing { .. }
            | State::Exposing { .. }
            | State::Baking { .. }
            | State::Halted { .. }
            | State::RollingBack { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => return,
        };
        self.order(replica, order);
    }

    /// A person orders something at random.
    pub(crate) fn order_something(&mut self, replica: usize) {
        let orders = [Order::Pause, Order::Resume, Order::Resume, Order::Promote];
        let number = self.below(orders.len() + 2);
        let abort = Order::Abort {
            reason: "on a whim".to_owned(),
        };
        let order = orders.into_iter().nth(number).unwrap_or(abort);
        self.order(replica, order);
    }

    fn order(&mut self, replica: usize, order: Order) {
        let here = &self.replicas[replica];
        let Some(rollout) = here.state.moving_of(&config()) else {
            return;
        };
        let ordered = Ordered {
            id: rollout.id.clone(),
            order,
            after: None,
            reason: "asked for".to_owned(),
            by: None,
            counts: None,
            at: here.wall(self.now),
        };
        let text = format!("{:?} {:?}", self.now, ordered.order);
        if self.decide(replica, |state| {
            state.apply(Command::Order(Box::new(ordered))).is_ok()
        }) {
            self.trace(text);
        }
        self.laws.began_anew();
    }

    /// A person lets what was left come again.
    pub(crate) fn release(&mut self, replica: usize) {
        let here = &self.replicas[replica];
        let course = here.state.courses.get(&config());
        let Some(id) = course.and_then(|course| Some(course.left.as_ref()?.id.clone())) else {
            return;
        };
        let command = Command::Release {
            id,
            reason: "it is mended".to_owned(),
            by: None,
            at: here.wall(self.now),
        };
        self.laws.released();
        self.decide(replica, |state| state.apply(command).is_ok());
    }

    /// A person goes back to a commit, whether or not everybody had what it has. It never comes to the branch.
    pub(crate) fn roll_back(&mut self, replica: usize) {
        let (admitted, at) = (
            self.replicas[replica].admitted(),
            self.replicas[replica].wall(self.now),
        );
        let Some(tip) = admitted.checked_sub(1) else {
            return;
        };
        let target = self.below(admitted);
        let exposed = self.story.bring_back(target);
        let facts = ConfigFacts {
            version: commit(exposed),
            content: self.story.content(exposed),
        };
        let state = &self.replicas[replica].state;
        // At a first start nobody knows what was stable before.
        let horizon = state.stable(&config()).map(|stable| place(stable.horizon()));
        let is_older = horizon.is_some_and(|horizon| target <= horizon);
        let may_be_anything = is_older || self.wrong == Wrong::GoesAnywhere;
        let decision = Decision {
            rollback: rollback(&commit(target), (&commit(tip), &commit(exposed)), at),
            facts: BTreeMap::from([(config(), facts.clone())]),
            touched: [config()].into(),
            at_once: may_be_anything.then(config).into_iter().collect(),
            taken_back: BTreeMap::new(),
        };
        let is_known = state.way(&config(), Some(&facts)) == Way::AtOnce;
        if is_older || is_known {
            self.laws.goes_back(&facts.content);
        }
        let text = format!("rolled back to {target}");
        if self.decide(replica, |state| {
            state.apply(Command::RollBack(Box::new(decision))).is_ok()
        }) {
            self.trace(text);
        }
    }

    /// When all is quiet nothing moves, and the head is what the tip is.
    pub(crate) fn check_quiet(&self) {
        for replica in &self.replicas {
            let moving = replica.state.moving_of(&config());
            assert!(moving.is_none(), "I9 no-wedge: at the end {moving:?} moves");
            let is_left = replica
                .state
                .courses
                .values()
                .any(|course| course.holding().is_some());
            let is_held = is_left || !replica.state.withheld.is_empty();
            let head = if is_held {
                HeadState::Held
            } else {
                HeadState::Published
            };
            assert_eq!(replica.state.head_state, head);
        }
    }
}

/// What a person asks for.
fn rollback(target: &CommitId, (base, exposed): (&CommitId, &CommitId), at: Timestamp) -> Rollback {
    Rollback {
        id: format!("b-{exposed}"),
        request: format!("request {exposed}"),
        undone: Undone::Restore {
            target: target.clone(),
            config: Some(config()),
            paths: Vec::new(),
        },
        subject: None,
        sight: Sight::default(),
        reason: "it was better".to_owned(),
        requested_by: None,
        confirmed_by: None,
        expected_tip: None,
        mode: RollbackMode::Push,
        insists: false,
        at,
        base: base.clone(),
        exposed: exposed.clone(),
        parent: base.clone(),
        commit: exposed.clone(),
        state: RollbackState::Effective,
        left_alone: BTreeMap::new(),
    }
}

/// The step that a planner takes for which one that is ready is enough.
fn one_is_enough((rollout, tally): &(Rollout, Tally)) -> Option<Due> {
    let is_preparing = matches!(rollout.state, State::Preparing { .. });
    (is_preparing && tally.required_ready > 0).then(|| Due {
        config: config(),
        id: rollout.id.clone(),
        after: rollout.steps,
        step: Step::Activate,
        counts: None,
        at: Timestamp(0),
    })
}
