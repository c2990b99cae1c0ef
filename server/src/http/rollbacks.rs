//! Going back, and lifting what that holds back.
//!
//! Invariant: whatever can be wrong with a request is said before anything happens. The answer comes when instances
//! are told and Git has answered, or after a short wait without Git's answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use headwater_core::{RepoState, Rollback, RollbackState, Undone};
use headwater_wire::{
    Problem, ProblemCode, ReleaseRequest, RollbackList, RollbackMode, RollbackRequest, RollbackStage,
    RollbackView,
};
use http::StatusCode;
use tokio::sync::oneshot;

use super::problem::{Answer, Result, bad_request};
use super::repos::reason;
use super::state::App;
use super::{answer, commits, extract, history, views};
use crate::pipeline::Request;
use crate::pipeline::rollback::Wish;
use crate::repo::{Repo, RepoError};
use crate::settings::WriteSettings;

/// How long an answer waits for Git's. With the one below it is within what our own clients wait for an answer.
const GIT_WAIT: Duration = Duration::from_secs(5);
/// How long the upstream may take to say where the branch is, where somebody expects it somewhere.
const LISTING_WAIT: Duration = Duration::from_secs(3);
/// What the bodies look like.
const ROLLBACK_FORM: &str = "send {\"to\": \"HEAD~1\", \"reason\": \"…\"}";
const RELEASE_FORM: &str = "send {\"reason\": \"…\"}";
/// Longest name of who asks, in bytes.
const REQUESTED_BY_BYTES_MAX: usize = 256;

/// `POST /v1/repos/{repo}/rollbacks`.
pub(super) async fn create(State(app): State<App>, Path(repo): Path<String>, body: Bytes) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let request: RollbackRequest = super::body::read(&body, ("the body", ROLLBACK_FORM))?;
    is_allowed(&repo.settings().write, &request)?;
    let wish = wish(repo, &request).await?;
    let (reply, answer) = oneshot::channel();
    let wish = Box::new(wish);
    repo.send_urgent(Request::RollBack { wish, reply })?;
    let rollback = answer.await.map_err(|_| RepoError::Ended)??;
    let view = settled(repo, rollback).await;
    let mut response = answer::view(&view);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
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
    body: Bytes,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let request: ReleaseRequest = super::body::read(&body, ("the body", RELEASE_FORM))?;
    let reason = reason(&request.reason)?;
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Release { id, reason, reply })?;
    answer.await.map_err(|_| RepoError::Ended)??;
    Ok(answer::view(&views::holds(&repo.board.read())))
}

/// What the settings allow.
fn is_allowed(write: &WriteSettings, request: &RollbackRequest) -> Result<()> {
    let refused = |detail: &str| Problem::new(ProblemCode::WriteNotAllowed, detail);
    if !write.allowed {
        let problem = refused("this service only reads the upstream");
        return Err(problem
            .hint("start it with `--allow-write`, or revert by a commit of your own")
            .into());
    }
    if request.force_invalid && !write.invalid_allowed {
        let problem = refused("this service exposes nothing that does not validate");
        return Err(problem
            .hint("leave `force_invalid` out, or set `allow_invalid` for the repository")
            .into());
    }
    Ok(())
}

/// Looks up everything that a request names.
async fn wish(repo: &Arc<Repo>, request: &RollbackRequest) -> Result<Wish> {
    let reason = reason(&request.reason)?;
    let requested_by = request.requested_by.clone();
    if requested_by
        .as_ref()
        .is_some_and(|name| name.len() > REQUESTED_BY_BYTES_MAX)
    {
        let hint = format!("`Name <address>` in at most {REQUESTED_BY_BYTES_MAX} bytes");
        return Err(bad_request("`requested_by` is too long", hint));
    }
    if request.mode == RollbackMode::Other {
        return Err(bad_request("no such mode", "`push` or `propose`"));
    }
    if request.expected_tip.is_some() {
        // Best effort: without an answer, the push finds out.
        repo.fresh_listing(LISTING_WAIT).await?;
    }
    Ok(Wish {
        request: serde_json::to_string(request).unwrap_or_default(),
        undone: undone(repo, request).await?,
        reason,
        requested_by,
        expected_tip: request.expected_tip.clone(),
        mode: request.mode,
        insists: request.force_invalid,
    })
}

async fn undone(repo: &Arc<Repo>, request: &RollbackRequest) -> Result<Undone> {
    let (rev, is_restore) = match (&request.to, &request.revert) {
        (Some(rev), None) => (rev, true),
        (None, Some(rev)) => (rev, false),
        (None, None) | (Some(_), Some(_)) => {
            let hint = "`to` for content that comes back, `revert` for a change that is taken back";
            return Err(bad_request("exactly one of `to` and `revert` is needed", hint));
        }
    };
    if is_restore && request.mainline.is_some() {
        return Err(bad_request("`mainline` is for `revert`", "leave it out"));
    }
    if !is_restore && request.config.is_some() {
        let hint = "take `to` with the commit before it";
        return Err(bad_request("`config` is for `to`", hint));
    }
    let commit = history::resolve(repo, rev).await?;
    commits::reachable(repo, &commit).await?;
    Ok(if is_restore {
        Undone::Restore {
            target: commit,
            config: request.config.clone(),
            paths: Vec::new(),
        }
    } else {
        Undone::Revert {
            commit,
            mainline: request.mainline,
        }
    })
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
    let (mut url, mut why, mut hint) = (None, None, None);
    let reached = match &rollback.state {
        RollbackState::Effective => {
            why = Some("the upstream has not answered yet".to_owned());
            hint = Some("nothing: it is tried again by itself".to_owned());
            RollbackStage::GitPending
        }
        RollbackState::Pushed { .. } => RollbackStage::Pushed,
        RollbackState::Proposed { url: page, .. } => {
            url = Some(page.clone());
            RollbackStage::Proposed
        }
        RollbackState::GitPending {
            why: reason,
            hint: remedy,
        } => {
            (why, hint) = (Some(reason.clone()), Some(remedy.clone()));
            RollbackStage::GitPending
        }
        RollbackState::Superseded { by } => {
            why = Some(format!("{by} was exposed before it came into Git"));
            RollbackStage::Superseded
        }
        RollbackState::Released { reason, .. } => {
            why = Some(reason.clone());
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
        at: rollback.at,
        url,
        holds: held.map(|(config, _)| config.clone()).collect(),
        why,
        hint,
    }
}
