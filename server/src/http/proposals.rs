//! What is proposed for the followed branch: a verdict with its findings, and nothing of the files.

use axum::extract::{Path, State};
use headwater_wire::{CommitId, Problem, ProblemCode};

use super::problem::{Answer, Result};
use super::state::App;
use super::{answer, extract};

/// `GET /v1/repos/{repo}/proposals/{commit}`: of what has this newest commit.
pub(super) async fn one(State(app): State<App>, Path((repo, commit)): Path<(String, String)>) -> Result {
    let (repo, commit) = (&extract::repo(&app, &repo)?, extract::commit(&commit)?);
    let kept = repo
        .outward
        .proposals()
        .and_then(|proposals| proposals.view(&commit));
    kept.map(|view| answer::view(&*view))
        .ok_or_else(|| proposal_not_found(&commit))
}

fn proposal_not_found(commit: &CommitId) -> Answer {
    Problem::new(
        ProblemCode::ProposalNotFound,
        format!(
            "nothing that was judged as a proposal for the followed branch has this newest commit: {commit}"
        ),
    )
    .hint("a pull request that is open is judged again after a restart; what was merged is among the commits")
    .into()
}
