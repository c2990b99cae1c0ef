//! Repositories: list, one, what is held back, and taking a rewritten history.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use headwater_core::{Wanted, Word};
use headwater_wire::{AcceptRequest, CommitId, OrderKind, RepoList, RepoView};
use tokio::sync::oneshot;

use super::body::JsonBody;
use super::problem::{Result, bad_request};
use super::state::App;
use super::{answer, auth, extract, orders, views, wish};
use crate::auth::Identity;
use crate::clock;
use crate::pipeline::Request;
use crate::repo::{Repo, RepoError};

/// Longest reason, in bytes: a sentence or two, which is kept with the decision.
const REASON_BYTES_MAX: usize = 1_024;

/// `GET /v1/repos`.
pub(super) async fn list(State(app): State<App>) -> Result {
    let now = clock::now();
    let repos = app
        .repos()
        .values()
        .map(|repo| views::repo(repo, &repo.board.read(), now))
        .collect();
    Ok(answer::view(&RepoList { repos }))
}

/// `GET /v1/repos/{repo}`.
pub(super) async fn one(State(app): State<App>, Path(repo): Path<String>) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    Ok(answer::view(&views::repo(repo, &repo.board.read(), clock::now())))
}

/// `GET /v1/repos/{repo}/holds`.
pub(super) async fn holds(State(app): State<App>, Path(repo): Path<String>) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    Ok(answer::view(&views::holds(&repo.board.read())))
}

/// `POST /v1/repos/{repo}/accept`: answers the repository's state once the decision is kept.
pub(super) async fn accept(
    State(app): State<App>,
    Path(repo): Path<String>,
    identity: Option<Extension<Identity>>,
    body: JsonBody,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let form = "send {\"head\": \"<full hash>\", \"reason\": \"…\"}";
    let request: AcceptRequest = body.read(("the body", form))?;
    let reason = reason(&request.reason)?;
    let by = wish::requested_by(request.requested_by.as_deref())?;
    let by = auth::signed(identity.as_deref(), by);
    if let Some(giver) = orders::second_person(&app, OrderKind::Accept, identity.as_deref())? {
        let wanted = Wanted::Accept { head: request.head };
        let waits = orders::give(repo, giver.of(wanted, (&reason, &by)), None).await;
        return Ok(orders::waits(&waits.map_err(orders::refused)?));
    }
    Ok(answer::view(&take(repo, request.head, (reason, by), None).await?))
}

/// Has a rewritten history taken, by the word of a second person where it waited for one.
pub(super) async fn take(
    repo: &Arc<Repo>,
    head: CommitId,
    (reason, by): (String, Option<String>),
    word: Option<Word>,
) -> Result<RepoView> {
    let (reply, answer) = oneshot::channel();
    repo.send(Request::Accept {
        head,
        reason,
        by,
        word,
        reply,
    })?;
    answer.await.map_err(|_| RepoError::Ended)??;
    Ok(views::repo(repo, &repo.board.read(), clock::now()))
}

/// Why somebody decides something.
pub(super) fn reason(text: &str) -> Result<String> {
    let reason = text.trim().to_owned();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let hint = format!("say why in 1 to {REASON_BYTES_MAX} bytes; it is kept for the audit");
        return Err(bad_request("the reason is missing or too long", hint));
    }
    Ok(reason)
}
