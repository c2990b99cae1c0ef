//! Orders that wait for a second person: kept if they could be carried out, and ended in the write that carries them out.
//!
//! Invariant: what waits has changed nothing. An order and the word that confirms it are kept in one write, so that it is
//! carried out once, whoever confirms it at the same time and wherever a process dies.

use headwater_core::{Command, Ordered, Refusal, RepoState, WaitingOrder, Wanted, Word};
use headwater_wire::CommitId;
use tracing::info;

use super::Pipeline;
use super::request::OrderError;
use super::rollback::{RollbackError, Wish};
use crate::clock;
use crate::rollouts::meant;

impl Pipeline {
    /// Keeps an order until a second person confirms it. It is refused as it would be without one.
    pub(super) async fn give(
        &self,
        mut order: WaitingOrder,
        wish: Option<Box<Wish>>,
    ) -> Result<WaitingOrder, OrderError> {
        let mut state = self.state_now();
        if let Some(wish) = wish {
            let base = self.foresee(*wish).await?.rollback.base;
            if let Wanted::Rollback { tip, .. } = &mut order.wanted {
                *tip = base;
            }
        }
        if let Some(command) = command(&order) {
            state.clone().apply(command)?;
        }
        if let Some(waits) = state.waits_already(&order) {
            return Ok(waits.clone());
        }
        let id = order.id.clone();
        state.apply(Command::Give(Box::new(order)))?;
        self.keep_orders(&state).await?;
        let order = state.orders.waiting.iter().find(|order| order.id == id);
        let order = order.cloned().ok_or_else(|| Refusal::NoSuchOrder(id.clone()))?;
        info!(
            order = id,
            by = order.given_by,
            kind = order.wanted.kind().as_str(),
            reason = order.reason,
            "`{}` ordered {}, which waits for a second person as {id}",
            order.given_by,
            order.wanted.kind().as_str()
        );
        Ok(order)
    }

    /// Takes an order back that waits.
    pub(super) async fn withdraw(&self, word: Word) -> Result<(), OrderError> {
        let mut state = self.state_now();
        let (order, by) = (word.order.clone(), word.by.clone());
        state.apply(Command::Withdraw(Box::new(word)))?;
        self.keep_orders(&state).await?;
        info!(order, by, "`{by}` withdrew order {order}");
        Ok(())
    }

    /// Keeps a state in which nothing changed but what waits.
    async fn keep_orders(&self, state: &RepoState) -> Result<(), RollbackError> {
        self.repo.keep_state(state).await?;
        self.show(|published| published.state = state.clone());
        Ok(())
    }
}

/// The command that would carry an order out, where the state alone says whether it fits.
fn command(order: &WaitingOrder) -> Option<Command> {
    let (reason, by, at) = (order.reason.clone(), order.by.clone(), clock::now());
    match &order.wanted {
        Wanted::Rollout {
            rollout,
            order: wanted,
            after,
            ..
        } => Some(Command::Order(Box::new(Ordered {
            id: rollout.clone(),
            order: meant(*wanted, &reason)?,
            after: *after,
            reason,
            by,
            counts: None,
            at,
        }))),
        Wanted::Accept { head } => Some(Command::Accept {
            head: head.clone(),
            reason,
            by,
            at,
        }),
        Wanted::Release { hold, .. } => Some(Command::Release {
            id: hold.clone(),
            reason,
            by,
            at,
        }),
        Wanted::Rollback { .. } => None,
    }
}

/// Whether the order that a second person speaks of waits still, for him, and for what there is now.
pub(super) fn may_be_confirmed(state: &RepoState, word: Option<&Word>) -> Result<(), Refusal> {
    match word {
        Some(word) => state.confirmable(&word.order, &word.name, word.at).map(|_| ()),
        None => Ok(()),
    }
}

/// The head that a rollback was meant for that waited for a second person.
pub(super) fn meant_tip<'a>(state: &'a RepoState, word: Option<&Word>) -> Option<&'a CommitId> {
    let id = &word?.order;
    let order = state.orders.waiting.iter().find(|order| order.id == *id)?;
    match &order.wanted {
        Wanted::Rollback { tip, .. } => Some(tip),
        Wanted::Rollout { .. } | Wanted::Accept { .. } | Wanted::Release { .. } => None,
    }
}

/// Ends the order that was just carried out in this state, if it was one that waited.
pub(super) fn confirm(
    state: &mut RepoState,
    word: Option<Word>,
    rollback: Option<String>,
) -> Result<(), Refusal> {
    let Some(word) = word else { return Ok(()) };
    let word = Box::new(word);
    state.apply(Command::Confirm { word, rollback }).map(|_| ())
}
