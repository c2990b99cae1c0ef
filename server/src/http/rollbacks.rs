//! Going back, and lifting what that holds back.
//!
//! Invariant: whatever can be wrong with a request is said before anything happens. The answer comes when instances
//! are told and Git has answered, or after a short wait without Git's answer. A plan goes the same way up to the decision.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use headwater_core::{RepoState, Rollback, RollbackState, Undone};
use headwater_wire::{
    Problem, ProblemCode, ReleaseRequest, ReleasedView, RollbackList, RollbackRequest, RollbackStage,
    RollbackView,
};
use http::StatusCode;
use tokio::sync::oneshot;

use super::body::JsonBody;
use super::extract::Pairs;
use super::problem::{Answer, Result};
use super::repos::reason;
use super::state::App;
use super::wish::Look;
use super::{answer, auth, extract, views, wish};
use crate::auth::Identity;
use crate::pipeline::Request;
use crate::repo::{Repo, RepoError};
use crate::rollback_plan::left_alone;
use crate::settings::WriteSettings;

/// How long an answer waits for Git's. With the listing before it it is within what our own clients wait for an answer.
const GIT_WAIT: Duration = Duration::from_secs(5);
/// What the bodies look like.
const ROLLBACK_FORM: &str = "send {\"to\": \"HEAD~1\", \"reason\": \"…\"}";
const RELEASE_FORM: &str = "send {\"reason\": \"…\"}";

/// `POST /v1/repos/{repo}/rollbacks`.
pub(super) async fn create(
    State(app): State<App>,
    Path(repo): Path<String>,
    identity: Option<Extension<Identity>>,
    body: JsonBody,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let write = &repo.settings().write;
    is_allowed(write)?;
    let mut request: RollbackRequest = body.read(("the body", ROLLBACK_FORM))?;
    let by = wish::requested_by(request.requested_by.as_deref())?;
    request.requested_by = auth::signed(identity.as_deref(), by);
    may_insist(write, &request)?;
    let wish = wish::look_up(repo, &request, Look::Anew).await?;
    let sight = wish.sight.clone();
    let (reply, answer) = oneshot::channel();
    let wish = Box::new(wish);
    repo.send_urgent(Request::RollBack { wish, reply })?;
    let decided = answer.await.map_err(|_| RepoError::Ended)?;
    let rollback = decided.map_err(|refused| wish::as_seen(refused.into(), &sight))?;
    let view = settled(repo, rollback).await;
    let mut response = answer::view(&view);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET /v1/repos/{repo}/rollbacks/plan?to=|revert=`: what going back would do, or why it would be refused.
pub(super) async fn plan(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let write = &repo.settings().write;
    is_allowed(write)?;
    let request = planned(&Pairs::read(query.as_deref())?)?;
    may_insist(write, &request)?;
    let wish = Box::new(wish::look_up(repo, &request, Look::AsKnown).await?);
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Foresee { wish, reply })?;
    let foreseen = answer.await.map_err(|_| RepoError::Ended)??;
    Ok(answer::view(&repo.rollback_plan(foreseen).await?))
}

/// The rollback that a query asks about.
fn planned(pairs: &Pairs) -> Result<RollbackRequest> {
    let owned = |name: &str| pairs.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(RollbackRequest {
        to: owned("to"),
        revert: owned("revert"),
        mainline: pairs.parsed("mainline", "the number of a parent, from 1 on")?,
        config: pairs.get("config").map(extract::config).transpose()?,
        reason: "to see what it would do".to_owned(),
        expected_tip: pairs.parsed("expected_tip", "a full hash")?,
        force_invalid: pairs
            .parsed("force_invalid", "`true` or `false`")?
            .unwrap_or_default(),
        ..RollbackRequest::default()
    })
}

/// `GET /v1/repos/{repo}/rollbacks`.
pub(super) async fn list(State(app): State<App>, Path(repo): Path<String>) -> Result {
    let published = extract::repo(&app, &repo)?.board.read();
    let state = &published.state;
    let newest_first = state.rollbacks.iter().rev();
    let rollbacks = newest_first.map(|rollback| view(state, rollback)).collect();
    Ok(answer::view(&RollbackList { rollbacks }))
}

/// `GET /v1/repos/{repo}/rollbacks/{id}`.
pub(super) async fn one(State(app): State<App>, Path((repo, id)): Path<(String, String)>) -> Result {
    let published = extract::repo(&app, &repo)?.board.read();
    let state = &published.state;
    let rollback = state.rollback(&id).ok_or_else(|| {
        let detail = format!("there is no rollback `{}`", id.escape_debug());
        Answer::from(
            Problem::new(ProblemCode::RollbackNotFound, detail)
                .hint("GET /v1/repos/{repo}/rollbacks lists them"),
        )
    })?;
    Ok(answer::view(&view(state, rollback)))
}

/// `POST /v1/repos/{repo}/holds/{id}/release`: answers what is still held back.
pub(super) async fn release(
    State(app): State<App>,
    Path((repo, id)): Path<(String, String)>,
    identity: Option<Extension<Identity>>,
    body: JsonBody,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let request: ReleaseRequest = body.read(("the body", RELEASE_FORM))?;
    let reason = reason(&request.reason)?;
    let by = wish::requested_by(request.requested_by.as_deref())?;
    let by = auth::signed(identity.as_deref(), by);
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Release {
        id,
        reason,
        by,
        reply,
    })?;
    answer.await.map_err(|_| RepoError::Ended)??;
    Ok(answer::view(&views::holds(&repo.board.read())))
}

/// Whether anybody may go back here. It comes before everything else: who may not is not taught how to ask.
fn is_allowed(write: &WriteSettings) -> Result<()> {
    if write.allowed {
        return Ok(());
    }
    Err(Problem::new(
        ProblemCode::WriteNotAllowed,
        "this service only reads the upstream",
    )
    .hint("start it with `--allow-write`, or revert by a commit of your own")
    .into())
}

/// Whether content that does not validate may be asked for, if it is.
fn may_insist(write: &WriteSettings, request: &RollbackRequest) -> Result<()> {
    if !request.force_invalid || write.invalid_allowed {
        return Ok(());
    }
    Err(Problem::new(
        ProblemCode::WriteNotAllowed,
        "this service exposes nothing that does not validate",
    )
    .hint("leave `force_invalid` out, or set `allow_invalid` for the repository")
    .into())
}

/// The rollback once Git has answered, and what it pushed was published, or as it is after a while.
async fn settled(repo: &Repo, rollback: Rollback) -> RollbackView {
    let mut news = repo.board.watch_published();
    let until = tokio::time::Instant::now() + GIT_WAIT;
    loop {
        let published = news.borrow_and_update().clone();
        let now = published.state.rollback(&rollback.id).unwrap_or(&rollback);
        let is_landing = now.is_pushed() && published.state.holds_back(&now.id);
        if now.state != RollbackState::Effective && !is_landing {
            return view(&published.state, now);
        }
        // Cancel-safe: all three only wait.
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return view(&published.state, now) },
            () = repo.draining().cancelled() => return view(&published.state, now),
            () = tokio::time::sleep_until(until) => return view(&published.state, now),
        }
    }
}

fn view(state: &RepoState, rollback: &Rollback) -> RollbackView {
    let (to, config, revert) = match &rollback.undone {
        Undone::Restore { target, config, .. } => (Some(target.clone()), config.clone(), None),
        Undone::Revert { commit, .. } => (None, None, Some(commit.clone())),
    };
    let held = state.withheld.iter().filter(|(_, held)| held.id == rollback.id);
    let (mut why, mut hint) = views::git_pending(rollback).unzip();
    let (mut url, mut released) = (None, None);
    let reached = match &rollback.state {
        RollbackState::Effective | RollbackState::GitPending { .. } => RollbackStage::GitPending,
        RollbackState::Pushed { .. } => RollbackStage::Pushed,
        RollbackState::Proposed { url: page, .. } => {
            url = Some(page.clone());
            RollbackStage::Proposed
        }
        RollbackState::Superseded { by } => {
            why = Some(format!("{by} was exposed before it came into Git"));
            hint = Some(
                "look at what came in with `headwater log`, then go back again if it is bad, too".to_owned(),
            );
            RollbackStage::Superseded
        }
        RollbackState::Released { reason, by, at } => {
            why = Some(reason.clone());
            released = Some(ReleasedView {
                by: by.clone(),
                at: *at,
            });
            RollbackStage::Released
        }
    };
    RollbackView {
        id: rollback.id.clone(),
        state: reached,
        commit: rollback.commit.clone(),
        to,
        revert,
        config,
        reason: rollback.reason.clone(),
        requested_by: rollback.requested_by.clone(),
        rollout: rollback.rollout().map(str::to_owned),
        subject: rollback.subject.clone(),
        as_of: rollback.sight.as_of,
        unlisted: rollback.sight.unlisted.clone(),
        at: rollback.at,
        url,
        holds: held.map(|(config, _)| config.clone()).collect(),
        left_alone: left_alone(rollback),
        released,
        why,
        hint,
    }
}
