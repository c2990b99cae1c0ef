//! What a commit would touch, before it is exposed.
//!
//! Invariant: nothing is exposed, and nothing but a verdict is worked out. Of what is proposed, only what was judged
//! already is told.

use axum::extract::{Path, RawQuery, State};
use headwater_wire::CommitId;

use super::extract::{self, Pairs};
use super::problem::{Result, bad_request};
use super::state::App;
use super::{answer, commits, history};

/// `GET /v1/repos/{repo}/plan?rev=`.
pub(super) async fn plan(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let rev = pairs.get("rev").filter(|rev| !rev.is_empty()).ok_or_else(|| {
        bad_request(
            "`rev` is missing",
            "name a commit, a branch or a tag: `?rev=HEAD`",
        )
    })?;
    let proposed = rev
        .parse::<CommitId>()
        .ok()
        .and_then(|head| repo.outward.proposals()?.view(&head));
    if let Some(plan) = proposed.and_then(|proposal| proposal.plan.clone()) {
        return Ok(answer::view(&plan));
    }
    let commit = history::resolve(repo, rev).await?;
    commits::reachable(repo, &commit).await?;
    let judged = repo.judged(&commit).await?;
    Ok(answer::view(&repo.plan(judged).await?))
}
