//! Rollouts: what moves, what became of what moved, and what people order.
//!
//! Invariant: an order is answered when it is kept, with the rollout as it is then, or refused with what can be ordered
//! instead.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use headwater_core::Refusal;
use headwater_core::rollout::{Order, OrderRefused, Rollout};
use headwater_validators::{closest, printable};
use headwater_wire::{Problem, ProblemCode, RolloutOrder, RolloutOrderRequest, RolloutState, RolloutView};
use tokio::sync::oneshot;

use super::body::JsonBody;
use super::extract::{self, Pairs};
use super::problem::{Answer, Result, bad_request, not_found};
use super::repos::reason;
use super::state::App;
use super::{answer, auth, wish};
use crate::auth::Identity;
use crate::pipeline::{OrderError, Request};
use crate::repo::{Repo, RepoError};
use crate::rollouts::views::{Steps, Wanted};

/// What the body of an order looks like.
const ORDER_FORM: &str = "send {\"reason\": \"…\"}";
/// Rollouts that are named to who named none.
const NAMED_MAX: usize = 3;

/// `GET /v1/repos/{repo}/rollouts?config=&state=&timeline=`.
pub(super) async fn list(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let wanted = Wanted {
        config: pairs.get("config").map(extract::config).transpose()?,
        state: pairs.get("state").map(state).transpose()?,
        steps: match pairs.parsed("timeline", "`true` or `false`")? {
            Some(true) => Steps::Told,
            Some(false) | None => Steps::LeftOut,
        },
    };
    Ok(answer::view(&repo.rollout_list(wanted).await?))
}

/// `GET /v1/repos/{repo}/rollouts/{id}`.
pub(super) async fn one(State(app): State<App>, Path((repo, id)): Path<(String, String)>) -> Result {
    let repo = extract::repo(&app, &repo)?;
    Ok(answer::view(&view(&repo, id).await?))
}

/// `POST /v1/repos/{repo}/rollouts/{id}/{promote,pause,resume,abort}`.
pub(super) async fn order(
    State(app): State<App>,
    Path((repo, id, order)): Path<(String, String, String)>,
    identity: Option<Extension<Identity>>,
    uri: http::Uri,
    body: JsonBody,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let order = RolloutOrder::read(&order).unwrap_or(RolloutOrder::Other);
    let request: RolloutOrderRequest = body.read(("the body", ORDER_FORM))?;
    let reason = one_line(reason(&request.reason)?)?;
    let by = wish::requested_by(request.requested_by.as_deref())?;
    let by = auth::signed(identity.as_deref(), by);
    let Some(meant) = meant(order, &reason) else {
        return Err(not_found(uri).await);
    };
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Order {
        id: id.clone(),
        order: meant,
        after: request.expected_steps,
        reason,
        by,
        reply,
    })?;
    match answer.await.map_err(|_| RepoError::Ended)? {
        Ok(rollout) => Ok(answer::view(&view(&repo, rollout.id).await?)),
        Err(OrderError::Refused(Refusal::OrderRefused(refused))) => {
            Err(order_refused(&view(&repo, id).await?, order, &refused))
        }
        Err(OrderError::Refused(Refusal::MovedOn)) => Err(gone_on(&view(&repo, id).await?)),
        // It has no steps that were kept, so the pipeline does not know it.
        Err(OrderError::Refused(Refusal::NoSuchRollout(_))) => Err(no_steps(&view(&repo, id).await?)),
        Err(OrderError::Refused(refusal)) => {
            let problem = Problem::new(ProblemCode::Overloaded, refusal.to_string());
            Err(problem.hint("look at it as it is now, then order again").into())
        }
        Err(OrderError::Kept(error)) => Err(error.into()),
    }
}

/// The decision that is meant by a word, if we know it.
fn meant(order: RolloutOrder, reason: &str) -> Option<Order> {
    match order {
        RolloutOrder::Promote => Some(Order::Promote),
        RolloutOrder::Pause => Some(Order::Pause),
        RolloutOrder::Resume => Some(Order::Resume),
        RolloutOrder::Abort => Some(Order::Abort {
            reason: reason.to_owned(),
        }),
        RolloutOrder::Other => None,
    }
}

async fn view(repo: &Arc<Repo>, id: String) -> Result<RolloutView> {
    match repo.rollout_view(id.clone()).await? {
        Some(view) => Ok(view),
        None => Err(rollout_not_found(repo, &id)),
    }
}

fn rollout_not_found(repo: &Repo, id: &str) -> Answer {
    let published = repo.board.read();
    let state = &published.state;
    let known: Vec<&Rollout> = state.moving().chain(state.ended.iter().rev()).collect();
    let hint = match closest(id, known.iter().map(|rollout| rollout.id.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => newest(&known),
    };
    let detail = format!("there is no rollout `{}`", id.escape_debug());
    Problem::new(ProblemCode::RolloutNotFound, detail)
        .hint(hint)
        .into()
}

/// Some of the rollouts that there are, for who named none of them.
fn newest(known: &[&Rollout]) -> String {
    if known.is_empty() {
        return "none has begun here, or all are forgotten; a config that is moved at once has none"
            .to_owned();
    }
    let named = known
        .iter()
        .take(NAMED_MAX)
        .map(|rollout| format!("`{}` of {}", rollout.id, rollout.config));
    let named: Vec<String> = named.collect();
    format!(
        "the newest are {}; GET /v1/repos/{{repo}}/rollouts lists them",
        named.join(", ")
    )
}

/// The order does not fit; what does is named.
fn order_refused(view: &RolloutView, order: RolloutOrder, refused: &OrderRefused) -> Answer {
    let fitting: Vec<String> = view
        .orders
        .iter()
        .map(|order| format!("`{}`", order.as_str()))
        .collect();
    let hint = if fitting.is_empty() {
        "nothing can be ordered of it any more; to go back, roll back".to_owned()
    } else {
        let meanwhile = if *refused == OrderRefused::BeginsByItself {
            format!("; {}", view.next)
        } else {
            String::new()
        };
        format!("it takes {} now{meanwhile}", fitting.join(", "))
    };
    let detail = format!("cannot {} rollout {}: {refused}", order.as_str(), view.id);
    Problem::new(ProblemCode::RolloutRefused, detail)
        .hint(hint)
        .into()
}

/// It was seen as it is not any more, and nobody has decided about what it is now.
fn gone_on(view: &RolloutView) -> Answer {
    let detail = format!("rollout {} has gone on since it was looked at", view.id);
    let hint = format!(
        "look at it as it is now ({}), then order again if it is still meant",
        view.next
    );
    Problem::new(ProblemCode::RolloutRefused, detail)
        .hint(hint)
        .into()
}

fn no_steps(view: &RolloutView) -> Answer {
    let detail = format!(
        "`{}` was moved at once, and nothing of that can be ordered",
        view.config
    );
    Problem::new(ProblemCode::RolloutRefused, detail)
        .hint("to go back, roll back")
        .into()
}

fn state(word: &str) -> Result<RolloutState> {
    RolloutState::read(word).ok_or_else(|| {
        let words: Vec<String> = RolloutState::ALL
            .iter()
            .map(|state| format!("`{}`", state.as_str()))
            .collect();
        bad_request(
            format!("no such state: `{}`", word.escape_debug()),
            format!("one of {}", words.join(", ")),
        )
    })
}

/// It stands in lists and commit statuses.
fn one_line(reason: String) -> Result<String> {
    if printable(&reason) == reason {
        return Ok(reason);
    }
    Err(bad_request(
        "the reason is no plain line of text",
        "say why in one line",
    ))
}
