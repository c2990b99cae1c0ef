//! Rollouts: what moves, what became of what moved, and what people order.
//!
//! Invariant: an order is answered when it is kept, with the rollout as it is then, or refused with what can be ordered
//! instead.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use headwater_core::rollout::{OrderRefused, Rollout};
use headwater_core::{Refusal, Wanted as Ordered, Word};
use headwater_validators::{closest, printable};
use headwater_wire::{
    OrderKind, Problem, ProblemCode, RolloutOrder, RolloutOrderRequest, RolloutState, RolloutView,
};
use tokio::sync::oneshot;

use super::body::JsonBody;
use super::extract::{self, Pairs};
use super::problem::{Answer, Result, bad_request, not_found};
use super::repos::reason;
use super::state::App;
use super::{answer, auth, orders, wish};
use crate::auth::Identity;
use crate::pipeline::{AcceptError, OrderError, Request};
use crate::repo::{Repo, RepoError};
use crate::rollouts::meant;
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
    if meant(order, &reason).is_none() {
        return Err(not_found(uri).await);
    }
    let given = Given {
        id,
        order,
        after: request.expected_steps,
        reason,
        by,
    };
    if let Some(giver) = orders::second_person(&app, given.kind(), identity.as_deref())? {
        let wanted = Ordered::Rollout {
            rollout: given.id.clone(),
            order,
            after: given.after,
            incomplete: false,
        };
        let waits = orders::give(&repo, giver.of(wanted, (&given.reason, &given.by)), None).await;
        return match waits {
            Ok(waits) => Ok(orders::waits(&waits)),
            Err(error) => Err(refused(&repo, &given, error).await?),
        };
    }
    Ok(answer::view(&carry_out(&repo, given, None).await?))
}

/// An order to a rollout.
#[derive(Debug)]
pub(super) struct Given {
    /// The rollout.
    pub id: String,
    /// What.
    pub order: RolloutOrder,
    /// After how many of its steps, if that matters.
    pub after: Option<u64>,
    /// Why.
    pub reason: String,
    /// Who, if somebody was named.
    pub by: Option<String>,
}

impl Given {
    fn kind(&self) -> OrderKind {
        OrderKind::read(self.order.as_str()).unwrap_or(OrderKind::Other)
    }
}

/// Has an order carried out, by the word of a second person where it waited for one.
pub(super) async fn carry_out(repo: &Arc<Repo>, given: Given, word: Option<Word>) -> Result<RolloutView> {
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Order {
        id: given.id.clone(),
        order: meant(given.order, &given.reason).ok_or_else(unknown_order)?,
        after: given.after,
        reason: given.reason.clone(),
        by: given.by.clone(),
        word,
        reply,
    })?;
    match answer.await.map_err(|_| RepoError::Ended)? {
        Ok(rollout) => view(repo, rollout.id).await,
        Err(error) => Err(refused(repo, &given, error).await?),
    }
}

fn unknown_order() -> Answer {
    bad_request("no such order", "one of `promote`, `pause`, `resume`, `abort`")
}

/// Why an order was not carried out, or not kept until somebody confirms it.
async fn refused(repo: &Arc<Repo>, given: &Given, error: OrderError) -> Result<Answer> {
    let id = given.id.clone();
    Ok(match error {
        OrderError::Refused(Refusal::OrderRefused(refused)) => {
            order_refused(&view(repo, id).await?, given.order, &refused)
        }
        OrderError::Refused(Refusal::MovedOn) => gone_on(&view(repo, id).await?),
        // It has no steps that were kept, so the pipeline does not know it.
        OrderError::Refused(Refusal::NoSuchRollout(_)) => no_steps(&view(repo, id).await?),
        OrderError::Refused(refusal) => AcceptError::Refused(refusal).into(),
        OrderError::Kept(error) => error.into(),
    })
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
pub(super) fn one_line(reason: String) -> Result<String> {
    if printable(&reason) == reason {
        return Ok(reason);
    }
    Err(bad_request(
        "the reason is no plain line of text",
        "say why in one line",
    ))
}
