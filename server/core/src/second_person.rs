//! Orders that wait for a second person: kept as they were given, carried out once, or never.
//!
//! Invariant: an order that waits has changed nothing. It ends once, by another person's word, by the word of whoever
//! gave it, or by time; and it is carried out only on what it was given for. Bounded. What is deliberately absent: which
//! orders need a second person, which the settings say, and carrying them out, which is done as without one.

use std::collections::BTreeMap;

use headwater_wire::{
    CommitId, ConfigName, Digest, OrderKind, OrderState, RollbackMode, RolloutOrder, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::command::Refusal;
use crate::control::RepoState;
use crate::rollback::{RollbackState, Undone};
use crate::rollout::{Rollout, State};

/// Orders of one repository that wait at once.
pub const ORDERS_MAX: usize = 64;
/// Of these, by one person, so that nobody keeps all others from giving theirs.
pub const ORDERS_OF_ONE_MAX: usize = 16;
/// Orders that are remembered after they ended.
const ENDED_MAX: usize = 50;

/// The orders of one repository that need, or needed, a second person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Those that wait, oldest first. One whose time is over waits no more, whether or not it was taken out.
    #[serde(default)]
    pub waiting: Vec<WaitingOrder>,
    /// Those that ended, oldest first.
    #[serde(default)]
    pub ended: Vec<EndedOrder>,
}

/// An order that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingOrder {
    /// Names it.
    pub id: String,
    /// What is ordered.
    pub wanted: Wanted,
    /// Who gave it, by the name that lets him in.
    pub given_by: String,
    /// The same as it is written into what is decided: with what was typed beside it.
    #[serde(default)]
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// From when on it waits no more.
    pub until: Timestamp,
}

/// What is ordered, and of what: as it was looked up when the order was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Wanted {
    /// Something of a rollout.
    Rollout {
        /// The rollout.
        rollout: String,
        /// What.
        order: RolloutOrder,
        /// After how many of its steps it is meant, if that matters.
        #[serde(default)]
        after: Option<u64>,
        /// Whether it had gone back and was incomplete: then to abort it means another thing.
        #[serde(default)]
        incomplete: bool,
    },
    /// Going back.
    Rollback {
        /// What is undone.
        undone: Undone,
        /// The revision that was named, as a person typed it.
        rev: String,
        /// First line of the message of the commit that it names.
        subject: String,
        /// The head that it is meant for.
        tip: CommitId,
        /// Whether its commit may come on top of no other one, either.
        #[serde(default)]
        strict: bool,
        /// How it comes to the branch.
        mode: RollbackMode,
        /// The person insists, although the content does not validate.
        #[serde(default)]
        insists: bool,
    },
    /// Taking a rewritten history.
    Accept {
        /// Its head.
        head: CommitId,
    },
    /// Lifting what is held back.
    Release {
        /// The rollback or rollout.
        hold: String,
        /// What its configs would get.
        #[serde(default)]
        exposes: BTreeMap<ConfigName, Option<Digest>>,
    },
}

/// An order that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedOrder {
    /// The order.
    pub order: WaitingOrder,
    /// How it ended.
    pub how: OrderState,
    /// Who ended it, if anybody did.
    #[serde(default)]
    pub by: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The rollback that came of it.
    #[serde(default)]
    pub rollback: Option<String>,
}

/// What somebody says of an order that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The order.
    pub order: String,
    /// Who, by the name that lets him in.
    pub name: String,
    /// The same as it is written into what is decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Orders {
    /// Whether there never was any.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ended.is_empty()
    }

    /// Those that wait, oldest first.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &WaitingOrder> {
        self.waiting.iter().filter(move |order| order.until > now)
    }

    /// Those that ended, newest first.
    pub fn ended(&self, now: Timestamp) -> impl Iterator<Item = EndedOrder> {
        let run_out = self.waiting.iter().rev().filter(move |order| order.until <= now);
        let run_out = run_out.cloned().map(EndedOrder::run_out);
        run_out.chain(self.ended.iter().rev().cloned())
    }

    /// Those whose time is over end.
    fn run_out(&mut self, now: Timestamp) {
        let (over, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|order| order.until <= now);
        self.waiting = waiting;
        let over: Vec<WaitingOrder> = over;
        over.into_iter()
            .map(EndedOrder::run_out)
            .for_each(|order| self.remember(order));
    }

    fn remember(&mut self, order: EndedOrder) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.remove(0);
        }
        self.ended.push(order);
    }

    fn find(&self, id: &str, now: Timestamp) -> Result<&WaitingOrder, Refusal> {
        if let Some(order) = self.waiting(now).find(|order| order.id == id) {
            return Ok(order);
        }
        Err(match self.ended(now).find(|ended| ended.order.id == id) {
            Some(ended) => Refusal::OrderEnded(Box::new(ended)),
            None => Refusal::NoSuchOrder(id.to_owned()),
        })
    }

    fn end(&mut self, word: &Word, how: OrderState, rollback: Option<String>) {
        let Some(at) = self.waiting.iter().position(|order| order.id == word.order) else {
            return;
        };
        let order = self.waiting.remove(at);
        self.remember(EndedOrder {
            order,
            how,
            by: Some(word.by.clone()),
            reason: Some(word.reason.clone()),
            at: word.at,
            rollback,
        });
    }

    /// The store is an older copy of itself: which of them were carried out since, nobody knows.
    pub(crate) fn drop_all(&mut self, at: Timestamp) {
        for order in std::mem::take(&mut self.waiting) {
            self.remember(EndedOrder {
                how: OrderState::Dropped,
                at,
                ..EndedOrder::run_out(order)
            });
        }
    }
}

impl EndedOrder {
    fn run_out(order: WaitingOrder) -> Self {
        Self {
            at: order.until,
            order,
            how: OrderState::RunOut,
            by: None,
            reason: None,
            rollback: None,
        }
    }
}

impl Wanted {
    /// What it is, in a word.
    pub fn kind(&self) -> OrderKind {
        match self {
            Self::Rollout { order, .. } => match order {
                RolloutOrder::Promote => OrderKind::Promote,
                RolloutOrder::Pause => OrderKind::Pause,
                RolloutOrder::Resume => OrderKind::Resume,
                RolloutOrder::Abort => OrderKind::Abort,
                RolloutOrder::Other => OrderKind::Other,
            },
            Self::Rollback { .. } => OrderKind::Rollback,
            Self::Accept { .. } => OrderKind::Accept,
            Self::Release { .. } => OrderKind::Release,
        }
    }

    /// The same, bound to what it is about as that is now. To stop a rollout or to take it back is meant whatever becomes
    /// of it meanwhile; what goes forward is meant for what was seen.
    fn bound(self, state: &RepoState) -> Self {
        match self {
            Self::Rollout {
                rollout,
                order,
                after,
                ..
            } => {
                let now = state.rollout(&rollout);
                let goes_forward = matches!(order, RolloutOrder::Promote | RolloutOrder::Resume);
                let steps = now.filter(|_| goes_forward).map(|now| now.steps);
                Self::Rollout {
                    after: after.or(steps),
                    incomplete: now.is_some_and(is_incomplete),
                    rollout,
                    order,
                }
            }
            Self::Release { hold, .. } => Self::Release {
                exposes: state.held_from(&hold),
                hold,
            },
            same @ (Self::Rollback { .. } | Self::Accept { .. }) => same,
        }
    }

    /// Whether what it is about is as it was. The head of a branch, and one that is held back, is looked at by whoever
    /// carries it out.
    fn is_as_seen(&self, state: &RepoState) -> bool {
        match self {
            Self::Rollout {
                rollout,
                after,
                incomplete,
                ..
            } => state.rollout(rollout).is_some_and(|now| {
                after.is_none_or(|after| after == now.steps) && is_incomplete(now) == *incomplete
            }),
            Self::Release { hold, exposes } => state.held_from(hold) == *exposes,
            Self::Rollback { .. } | Self::Accept { .. } => true,
        }
    }
}

fn is_incomplete(rollout: &Rollout) -> bool {
    matches!(rollout.state, State::Incomplete { .. })
}

/// Whether two names are, or may be, one person's: by whatever they were let in, in whichever case they are written, and
/// with or without the domain of an address. It errs by taking two people for one.
pub fn is_same_person(one: &str, other: &str) -> bool {
    let (one, other) = (person(one), person(other));
    match (one.split_once('@'), other.split_once('@')) {
        (Some((name, _)), None) => name == other,
        (None, Some((name, _))) => name == one,
        (Some(_), Some(_)) | (None, None) => one == other,
    }
}

/// The name without who vouches for it: an issuer, or a proxy.
fn person(name: &str) -> String {
    let own = name.split_once(':').map_or(name, |(_, own)| own);
    own.trim().to_lowercase()
}

impl RepoState {
    /// Keeps an order until a second person confirms it. The same order of the same person is the one that waits already.
    pub(crate) fn give(&mut self, mut order: WaitingOrder) -> Result<(), Refusal> {
        order.wanted = order.wanted.bound(self);
        self.orders.run_out(order.at);
        if self.waits_already(&order).is_some() {
            return Ok(());
        }
        let waiting = &self.orders.waiting;
        let is_his = |waiting: &&WaitingOrder| is_same_person(&waiting.given_by, &order.given_by);
        if waiting.iter().filter(is_his).count() >= ORDERS_OF_ONE_MAX || waiting.len() >= ORDERS_MAX {
            return Err(Refusal::TooManyOrders);
        }
        self.orders.waiting.push(order);
        Ok(())
    }

    /// The order that waits, where it is the same.
    pub fn waits_already(&self, order: &WaitingOrder) -> Option<&WaitingOrder> {
        let wanted = order.wanted.clone().bound(self);
        self.orders.waiting(order.at).find(|waiting| {
            waiting.wanted == wanted && waiting.given_by == order.given_by && waiting.reason == order.reason
        })
    }

    /// The order that somebody may confirm.
    ///
    /// # Errors
    /// There is none, it has ended, he gave it himself, or what it is about is not any more as it was.
    pub fn confirmable(&self, id: &str, name: &str, now: Timestamp) -> Result<&WaitingOrder, Refusal> {
        let order = self.orders.find(id, now)?;
        if is_same_person(&order.given_by, name) {
            return Err(Refusal::SamePerson(order.given_by.clone()));
        }
        if !order.wanted.is_as_seen(self) {
            return Err(Refusal::NotAsSeen(order.id.clone()));
        }
        Ok(order)
    }

    /// Ends an order that was carried out in this very state, and notes the second person beside the first.
    pub(crate) fn confirm(&mut self, word: &Word, rollback: Option<String>) -> Result<(), Refusal> {
        let order = self.orders.find(&word.order, word.at)?;
        if is_same_person(&order.given_by, &word.name) {
            return Err(Refusal::SamePerson(order.given_by.clone()));
        }
        match order.wanted.clone() {
            Wanted::Rollout { rollout, .. } => self.note_confirmed(&rollout, &word.by),
            Wanted::Release { hold, .. } => {
                self.note_confirmed(&hold, &word.by);
                let mut released = self.rollbacks.iter_mut().filter(|rollback| rollback.id == hold);
                if let Some(RollbackState::Released { confirmed_by, .. }) =
                    released.next().map(|rollback| &mut rollback.state)
                {
                    *confirmed_by = Some(word.by.clone());
                }
            }
            Wanted::Accept { .. } => {
                if let Some(accepted) = &mut self.accepted {
                    accepted.confirmed_by = Some(word.by.clone());
                }
            }
            // A rollback is decided with it, since its commit names both.
            Wanted::Rollback { .. } => {}
        }
        self.orders.end(word, OrderState::Confirmed, rollback);
        self.orders.run_out(word.at);
        Ok(())
    }

    /// Whoever gave an order does not want it any more.
    pub(crate) fn withdraw(&mut self, word: &Word) -> Result<(), Refusal> {
        let order = self.orders.find(&word.order, word.at)?;
        if !is_same_person(&order.given_by, &word.name) {
            return Err(Refusal::NotTheGiver(order.given_by.clone()));
        }
        self.orders.end(word, OrderState::Withdrawn, None);
        self.orders.run_out(word.at);
        Ok(())
    }

    /// What the configs would get that something holds back.
    fn held_from(&self, hold: &str) -> BTreeMap<ConfigName, Option<Digest>> {
        let withheld = self.withheld.iter().filter(|(_, held)| held.id == hold);
        let withheld = withheld.map(|(config, held)| {
            let facts = held.tip.as_ref();
            (config.clone(), facts.map(|facts| facts.content.inputs.clone()))
        });
        let left = self
            .courses
            .iter()
            .filter(|(_, course)| course.left.as_ref().is_some_and(|left| left.id == hold));
        let left = left.map(|(config, course)| {
            let newest = course.newest.as_ref();
            (
                config.clone(),
                newest.map(|newest| newest.facts.content.inputs.clone()),
            )
        });
        withheld.chain(left).collect()
    }

    /// The newest order of a rollout was confirmed.
    fn note_confirmed(&mut self, id: &str, by: &str) {
        let courses = self.courses.values_mut();
        let rollouts = courses.flat_map(|course| course.rollout.iter_mut().chain(&mut course.ended));
        let rollouts = rollouts.chain(&mut self.ended);
        for rollout in rollouts.filter(|rollout| rollout.id == id) {
            let mut newest_first = rollout.timeline.happenings.iter_mut().rev();
            if let Some(newest) = newest_first.find(|happening| happening.ordered) {
                newest.confirmed_by = Some(by.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: usize, given_by: &str, until: i64) -> WaitingOrder {
        WaitingOrder {
            id: format!("o-{id}"),
            wanted: Wanted::Accept {
                head: format!("{id:040x}").parse().unwrap(),
            },
            given_by: given_by.to_owned(),
            by: Some(given_by.to_owned()),
            reason: "because".to_owned(),
            at: Timestamp(0),
            until: Timestamp(until),
        }
    }

    fn word(order: &str, name: &str, at: i64) -> Word {
        Word {
            order: order.to_owned(),
            name: name.to_owned(),
            by: name.to_owned(),
            reason: "I looked".to_owned(),
            at: Timestamp(at),
        }
    }

    #[test]
    fn one_person_is_one_however_he_was_let_in() {
        for name in [
            "ann",
            "Ann",
            "corp:ann",
            "proxy:ANN",
            "ann@example.org",
            "corp:Ann@example.org",
        ] {
            assert!(
                is_same_person("ann", name) && is_same_person(name, "ann"),
                "{name}"
            );
        }
        assert!(is_same_person("proxy:ann@example.org", "Ann@Example.org"));
        for name in ["bob", "annb", "ann2", "corp:bob", "bob@ann"] {
            assert!(
                !is_same_person("ann", name) && !is_same_person(name, "ann"),
                "{name}"
            );
        }
        assert!(!is_same_person("ann@a.example", "ann@b.example"));
    }

    #[test]
    fn an_order_ends_once_by_another_person_alone() {
        let mut state = RepoState::default();
        state.give(order(1, "ann", 10)).unwrap();
        let same = Err(Refusal::SamePerson("ann".to_owned()));
        assert_eq!(state.confirm(&word("o-1", "corp:ANN", 1), None), same);
        assert_eq!(
            state.withdraw(&word("o-1", "bob", 1)),
            Err(Refusal::NotTheGiver("ann".to_owned()))
        );
        state.confirm(&word("o-1", "bob", 1), None).unwrap();
        for again in ["bob", "eve"] {
            let refused = state.confirm(&word("o-1", again, 2), None);
            assert!(matches!(refused, Err(Refusal::OrderEnded(_))), "{refused:?}");
        }
        assert!(matches!(
            state.withdraw(&word("o-1", "ann", 2)),
            Err(Refusal::OrderEnded(_))
        ));
        assert_eq!(
            state.orders.ended(Timestamp(3)).next().unwrap().how,
            OrderState::Confirmed
        );
    }

    #[test]
    fn whose_time_is_over_waits_no_more_whether_or_not_somebody_looked() {
        let mut state = RepoState::default();
        state.give(order(1, "ann", 10)).unwrap();
        assert!(state.confirmable("o-1", "bob", Timestamp(9)).is_ok());
        assert!(state.confirmable("o-1", "bob", Timestamp(10)).is_err());
        assert!(state.confirm(&word("o-1", "bob", 10), None).is_err());
        assert_eq!(state.orders.waiting(Timestamp(10)).count(), 0);
        let ended: Vec<_> = state.orders.ended(Timestamp(10)).collect();
        assert_eq!(
            (ended.len(), ended[0].how, ended[0].at),
            (1, OrderState::RunOut, Timestamp(10))
        );
    }

    #[test]
    fn the_same_order_said_again_is_one_and_nobody_keeps_others_from_giving_theirs() {
        let mut state = RepoState::default();
        for id in 0..ORDERS_OF_ONE_MAX {
            state.give(order(id, "ann", 10)).unwrap();
            let mut again = order(id, "ann", 10);
            "another".clone_into(&mut again.id);
            state.give(again).unwrap();
        }
        assert_eq!(state.orders.waiting.len(), ORDERS_OF_ONE_MAX);
        assert_eq!(state.give(order(99, "corp:Ann", 10)), Err(Refusal::TooManyOrders));
        state.give(order(99, "bob", 10)).unwrap();
        let late = WaitingOrder {
            at: Timestamp(10),
            ..order(100, "ann", 20)
        };
        state.give(late).unwrap();
        assert_eq!(state.orders.waiting.len(), 1, "what has run out makes room");
    }

    #[test]
    fn no_order_waits_in_an_older_copy_of_the_store() {
        let mut state = RepoState::default();
        state.give(order(1, "ann", 10)).unwrap();
        state.orders.drop_all(Timestamp(5));
        assert_eq!(state.orders.waiting(Timestamp(5)).count(), 0);
        assert_eq!(state.orders.ended[0].how, OrderState::Dropped);
    }

    #[test]
    fn what_ended_is_remembered_for_a_while() {
        let mut state = RepoState::default();
        for id in 0..200 {
            state.give(order(id, "ann", 10)).unwrap();
            state.withdraw(&word(&format!("o-{id}"), "ann", 1)).unwrap();
        }
        assert_eq!(state.orders.ended.len(), ENDED_MAX);
        assert_eq!(state.orders.ended(Timestamp(1)).next().unwrap().order.id, "o-199");
    }
}
