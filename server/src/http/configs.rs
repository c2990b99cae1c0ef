//! The list of configs at the tip.

use axum::extract::{Path, State};

use super::problem::{Result, not_ready};
use super::state::App;
use super::{answer, extract, views};

/// `GET /v1/repos/{repo}/configs`.
pub(super) async fn list(State(app): State<App>, Path(repo): Path<String>) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let published = repo.board.read();
    let list = views::configs(&published)
        .ok_or_else(|| not_ready(repo.name(), published.source.error.as_deref()))?;
    Ok(answer::view(&list))
}
