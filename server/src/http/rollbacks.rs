//! Going back, and lifting what that holds back.
//!
//! Invariant: whatever can be wrong with a request is said before anything happens. The answer comes when instances
//! are told and Git has answered, or after a short wait without Git's answer. A plan goes the same way up to the decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use headwater_core::{RepoState, Rollback, RollbackState, Undone, WaitingOrder, Wanted, Word};
use headwater_wire::{
    HoldList, OrderKind, Problem, ProblemCode, ReleaseRequest, ReleasedView, RollbackList, RollbackRequest,
    RollbackStage, RollbackView,
};
use http::StatusCode;
use tokio::sync::oneshot;

use super::body::JsonBody;
use super::extract::Pairs;
use super::problem::{Answer, Result};
use super::repos::reason;
use super::state::App;
use super::wish::Look;
use super::{answer, auth, extract, orders, views, wish};
use crate::auth::Identity;
use crate::pipeline::Request;
use crate::pipeline::rollback::Wish;
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
    may_insist(write, Content::asked(&request))?;
    let wish = wish::look_up(repo, &request, Look::Anew).await?;
    if let Some(giver) = orders::second_person(&app, OrderKind::Rollback, identity.as_deref())? {
        let sight = wish.sight.clone();
        let order = giver.of(wanted(repo, &wish)?, (&wish.reason, &wish.requested_by));
        let waits = orders::give(repo, order, Some(Box::new(wish))).await;
        let waits = waits.map_err(|refused| wish::as_seen(orders::refused(refused), &sight))?;
        return Ok(orders::waits(&waits));
    }
    let mut response = answer::view(&carry_out(repo, wish, None).await?);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// What waits for a second person, of a wish that was looked up. The head that it is meant for is found with the decision.
fn wanted(repo: &Repo, wish: &Wish) -> Result<Wanted> {
    let state = &repo.board.read().state;
    let tip = state.head.clone().or_else(|| state.tip.clone());
    Ok(Wanted::Rollback {
        undone: wish.undone.clone(),
        rev: wish.rev.clone(),
        subject: wish.subject.clone(),
        tip: tip.ok_or(RepoError::NotReady)?,
        strict: wish.expected_tip.is_some(),
        mode: wish.mode,
        insists: wish.insists,
    })
}

/// Has a rollback decided, by the word of a second person where it waited for one, and gives Git a while to answer.
pub(super) async fn carry_out(repo: &Arc<Repo>, wish: Wish, word: Option<Word>) -> Result<RollbackView> {
    let sight = wish.sight.clone();
    let (reply, answer) = oneshot::channel();
    let wish = Box::new(wish);
    repo.send_urgent(Request::RollBack { wish, word, reply })?;
    let decided = answer.await.map_err(|_| RepoError::Ended)?;
    let rollback = decided.map_err(|refused| wish::as_seen(refused.into(), &sight))?;
    Ok(settled(repo, rollback).await)
}

/// The same as a rollback that was given and waited: what was looked up then, with the branch asked again.
pub(super) async fn confirm(
    repo: &Arc<Repo>,
    order: WaitingOrder,
    word: Word,
) -> Result<Option<RollbackView>> {
    let Wanted::Rollback {
        undone,
        rev,
        subject,
        tip,
        strict,
        mode,
        insists,
    } = order.wanted
    else {
        return Ok(None);
    };
    let write = &repo.settings().write;
    is_allowed(write)?;
    may_insist(write, if insists { Content::Any } else { Content::Valid })?;
    let wish = Wish {
        request: format!("{{\"order\":\"{}\"}}", order.id),
        undone,
        rev,
        subject,
        sight: wish::ask(repo).await?,
        reason: order.reason,
        requested_by: order.by,
        confirmed_by: Some(word.by.clone()),
        expected_tip: strict.then_some(tip),
        mode,
        insists,
    };
    carry_out(repo, wish, Some(word)).await.map(Some)
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
    may_insist(write, Content::asked(&request))?;
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
    if let Some(giver) = orders::second_person(&app, OrderKind::Release, identity.as_deref())? {
        let wanted = Wanted::Release {
            hold: id,
            exposes: BTreeMap::new(),
        };
        let waits = orders::give(repo, giver.of(wanted, (&reason, &by)), None).await;
        return Ok(orders::waits(&waits.map_err(orders::refused)?));
    }
    Ok(answer::view(&let_go(repo, id, (reason, by), None).await?))
}

/// Has something released, by the word of a second person where it waited for one.
pub(super) async fn let_go(
    repo: &Arc<Repo>,
    id: String,
    (reason, by): (String, Option<String>),
    word: Option<Word>,
) -> Result<HoldList> {
    let (reply, answer) = oneshot::channel();
    repo.send_urgent(Request::Release {
        id,
        reason,
        by,
        word,
        reply,
    })?;
    answer.await.map_err(|_| RepoError::Ended)??;
    Ok(views::holds(&repo.board.read()))
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

/// Which content is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// What validates.
    Valid,
    /// Also what does not.
    Any,
}

impl Content {
    fn asked(request: &RollbackRequest) -> Self {
        if request.force_invalid {
            Self::Any
        } else {
            Self::Valid
        }
    }
}

/// Whether content that does not validate may be asked for, if it is.
fn may_insist(write: &WriteSettings, content: Content) -> Result<()> {
    if content == Content::Valid || write.invalid_allowed {
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
        RollbackState::Released {
            reason,
            by,
            confirmed_by,
            at,
        } => {
            why = Some(reason.clone());
            released = Some(ReleasedView {
                by: by.clone(),
                confirmed_by: confirmed_by.clone(),
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
        confirmed_by: rollback.confirmed_by.clone(),
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
