//! Orders that wait for a second person: which they are, and the word of him who confirms or withdraws one.
//!
//! Invariant: an order is given and confirmed by the same checks, role and bounds; what confirms it is another person's
//! name, and it carries out what was given, or nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use headwater_core::{EndedOrder, Refusal, Undone, WaitingOrder, Wanted, Word};
use headwater_wire::{
    ConfirmedView, OrderEndView, OrderKind, OrderList, OrderState, OrderView, OrderWordRequest, Problem,
    ProblemCode, Timestamp,
};
use http::StatusCode;
use tokio::sync::oneshot;
use tracing::info;

use super::body::JsonBody;
use super::problem::{Answer, Result};
use super::repos::reason;
use super::rollouts::{Given, one_line};
use super::state::App;
use super::{answer, auth, extract, repos, rollbacks, rollouts, wish};
use crate::auth::Identity;
use crate::clock;
use crate::pipeline::rollback::Wish;
use crate::pipeline::{AcceptError, OrderError, Request};
use crate::repo::{Repo, RepoError};

/// What the body of a word looks like.
const WORD_FORM: &str = "send {\"reason\": \"…\"}";

/// Who gives an order that needs a second person.
#[derive(Debug)]
pub(super) struct Giver {
    name: String,
    within: Duration,
}

impl Giver {
    /// The order that is to wait.
    pub(super) fn of(self, wanted: Wanted, (reason, by): (&str, &Option<String>)) -> WaitingOrder {
        let at = clock::now();
        let within = i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        WaitingOrder {
            id: format!("o-{:x}-{:08x}", at.0, rand::random::<u32>()),
            wanted,
            given_by: self.name,
            by: by.clone(),
            reason: reason.to_owned(),
            at,
            until: Timestamp(at.0.saturating_add(within)),
        }
    }
}

/// Who gives an order, if it needs a second person.
///
/// # Errors
/// It does, and nobody knows who gives it.
pub(super) fn second_person(
    app: &App,
    kind: OrderKind,
    identity: Option<&Identity>,
) -> Result<Option<Giver>> {
    let orders = app.orders();
    if !orders.second_person.contains(&kind) {
        return Ok(None);
    }
    let name = known(identity)?.name().to_owned();
    let within = orders.second_person_within;
    Ok(Some(Giver { name, within }))
}

/// Who asks, where two people have to be told apart.
fn known(identity: Option<&Identity>) -> Result<&Identity> {
    identity.ok_or_else(|| {
        let detail = "this order needs a second person, and nobody is asked who he is";
        Problem::new(ProblemCode::Forbidden, detail)
            .hint("whoever runs this service sets `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, and starts it again")
            .into()
    })
}

/// Keeps an order until somebody confirms it.
pub(super) async fn give(
    repo: &Arc<Repo>,
    order: WaitingOrder,
    wish: Option<Box<Wish>>,
) -> std::result::Result<WaitingOrder, OrderError> {
    let (reply, answer) = oneshot::channel();
    let order = Box::new(order);
    let sent = repo.send_urgent(Request::Give { order, wish, reply });
    let ended = |error: RepoError| OrderError::Kept(error.into());
    sent.map_err(ended)?;
    answer.await.map_err(|_| ended(RepoError::Ended))?
}

/// Why an order is not kept that is about no rollout.
pub(super) fn refused(error: OrderError) -> Answer {
    match error {
        OrderError::Refused(refusal) => AcceptError::Refused(refusal).into(),
        OrderError::Kept(error) => error.into(),
    }
}

/// The answer to an order that waits.
pub(super) fn waits(order: &WaitingOrder) -> Response {
    let mut response = answer::view(&waiting(order));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// `GET /v1/repos/{repo}/orders`.
pub(super) async fn list(State(app): State<App>, Path(repo): Path<String>) -> Result {
    let published = extract::repo(&app, &repo)?.board.read();
    let (orders, now) = (&published.state.orders, clock::now());
    Ok(answer::view(&OrderList {
        orders: orders.waiting(now).map(waiting).collect(),
        ended: orders.ended(now).map(|order| ended(&order)).collect(),
    }))
}

/// `GET /v1/repos/{repo}/orders/{id}`.
pub(super) async fn one(State(app): State<App>, Path((repo, id)): Path<(String, String)>) -> Result {
    let repo = extract::repo(&app, &repo)?;
    Ok(answer::view(&view(&repo, &id)?))
}

fn view(repo: &Repo, id: &str) -> Result<OrderView> {
    let published = repo.board.read();
    let (orders, now) = (&published.state.orders, clock::now());
    if let Some(order) = orders.waiting(now).find(|order| order.id == id) {
        return Ok(waiting(order));
    }
    let found = orders.ended(now).find(|order| order.order.id == id);
    let none = || AcceptError::Refused(Refusal::NoSuchOrder(id.escape_debug().to_string()));
    Ok(ended(&found.ok_or_else(none)?))
}

/// `POST /v1/repos/{repo}/orders/{id}/confirm`: carries out what waited, as it was given.
pub(super) async fn confirm(
    State(app): State<App>,
    Path((repo, id)): Path<(String, String)>,
    identity: Option<Extension<Identity>>,
    body: JsonBody,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let word = word(id.clone(), identity.as_deref(), &body)?;
    let by = word.by.clone();
    let order = {
        let published = repo.board.read();
        let found = published.state.confirmable(&word.order, &word.name, word.at);
        found.map_err(AcceptError::Refused)?.clone()
    };
    // Whoever's token was taken back orders nothing any more, also not what he said before.
    if !app.gate().may_still_order(&order.given_by, repo.name()) {
        return Err(giver_is_gone(&order.given_by));
    }
    let mut came_of_it = (None, None, None, None);
    let said = (order.reason.clone(), order.by.clone());
    match order.wanted.clone() {
        Wanted::Rollback { .. } => came_of_it.0 = rollbacks::confirm(&repo, order, word).await?.map(Box::new),
        Wanted::Rollout {
            rollout,
            order: wanted,
            after,
            ..
        } => {
            let (reason, by) = said;
            let given = Given {
                id: rollout,
                order: wanted,
                after,
                reason,
                by,
            };
            came_of_it.1 = Some(Box::new(rollouts::carry_out(&repo, given, Some(word)).await?));
        }
        Wanted::Accept { head } => {
            came_of_it.2 = Some(Box::new(repos::take(&repo, head, said, Some(word)).await?));
        }
        Wanted::Release { hold, .. } => {
            came_of_it.3 = Some(rollbacks::let_go(&repo, hold, said, Some(word)).await?);
        }
    }
    let (rollback, rollout, taken, holds) = came_of_it;
    // Only now: what is not kept was not confirmed.
    info!(order = id, by, "`{by}` confirmed order {id}");
    Ok(answer::view(&ConfirmedView {
        order: view(&repo, &id)?,
        rollback,
        rollout,
        repo: taken,
        holds,
    }))
}

fn giver_is_gone(name: &str) -> Answer {
    let detail = format!("`{name}` gave this order, and may not order any more");
    Problem::new(ProblemCode::OrderOutdated, detail)
        .hint("nothing has happened, and it runs out by itself; whoever means it still gives it himself")
        .into()
}

/// `POST /v1/repos/{repo}/orders/{id}/withdraw`.
pub(super) async fn withdraw(
    State(app): State<App>,
    Path((repo, id)): Path<(String, String)>,
    identity: Option<Extension<Identity>>,
    body: JsonBody,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let word = word(id.clone(), identity.as_deref(), &body)?;
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Withdraw { word, reply })?;
    let done = answer.await.map_err(|_| RepoError::Ended)?;
    done.map_err(refused)?;
    Ok(answer::view(&view(&repo, &id)?))
}

fn word(order: String, identity: Option<&Identity>, body: &JsonBody) -> Result<Word> {
    let request: OrderWordRequest = body.read(("the body", WORD_FORM))?;
    let reason = one_line(reason(&request.reason)?)?;
    let typed = wish::requested_by(request.requested_by.as_deref())?;
    let known = known(identity)?;
    let name = known.name().to_owned();
    Ok(Word {
        order,
        by: auth::signed(Some(known), typed).unwrap_or_else(|| name.clone()),
        name,
        reason,
        at: clock::now(),
    })
}

fn waiting(order: &WaitingOrder) -> OrderView {
    let mut view = OrderView {
        id: order.id.clone(),
        order: order.wanted.kind(),
        state: OrderState::Waiting,
        what: what(&order.wanted),
        given_by: order.given_by.clone(),
        requested_by: order.by.clone(),
        reason: order.reason.clone(),
        at: order.at,
        until: order.until,
        rollout: None,
        expected_steps: None,
        to: None,
        revert: None,
        config: None,
        expected_tip: None,
        head: None,
        hold: None,
        ended: None,
    };
    match &order.wanted {
        Wanted::Rollout { rollout, after, .. } => {
            view.rollout = Some(rollout.clone());
            view.expected_steps = *after;
        }
        Wanted::Rollback { undone, tip, .. } => {
            view.expected_tip = Some(tip.clone());
            match undone {
                Undone::Restore { target, config, .. } => {
                    view.to = Some(target.clone());
                    view.config.clone_from(config);
                }
                Undone::Revert { commit, .. } => view.revert = Some(commit.clone()),
            }
        }
        Wanted::Accept { head } => view.head = Some(head.clone()),
        Wanted::Release { hold, .. } => view.hold = Some(hold.clone()),
    }
    view
}

fn ended(ended: &EndedOrder) -> OrderView {
    OrderView {
        state: ended.how,
        ended: Some(OrderEndView {
            by: ended.by.clone(),
            reason: ended.reason.clone(),
            at: ended.at,
            rollback: ended.rollback.clone(),
        }),
        ..waiting(&ended.order)
    }
}

/// What happens when it is confirmed: `goes back to 51aa03e of payments/prod`.
fn what(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Rollout { rollout, order, .. } => format!("{}s rollout {rollout}", order.as_str()),
        Wanted::Rollback { undone, tip, .. } => {
            let does = match undone {
                Undone::Restore { target, config, .. } => {
                    let of = config.as_ref().map(|config| format!(" of {config}"));
                    format!("goes back to {}{}", target.short(), of.unwrap_or_default())
                }
                Undone::Revert { commit, .. } => format!("takes {} back", commit.short()),
            };
            format!("{does}, from {}", tip.short())
        }
        Wanted::Accept { head } => format!("takes the rewritten history at {}", head.short()),
        Wanted::Release { hold, .. } => format!("releases what {hold} holds back"),
    }
}
