//! What the operator of the service asks of it as a whole.

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use headwater_wire::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tracing::{error, info};

use super::problem::{Answer, Result};
use super::state::App;
use crate::clock;
use crate::repo::RepoError;
use crate::task;

/// Longest time to copy the decisions, which are few.
const COPY_DEADLINE: Duration = Duration::from_mins(1);

/// `GET /v1/admin/backup`: the decisions of all repositories, as they are together at one moment.
pub(super) async fn backup(State(app): State<App>) -> Result {
    let store = app.store().clone();
    let copied = task::blocking(COPY_DEADLINE, move || store.backup(clock::now())).await;
    let text = copied.map_err(RepoError::from)?.map_err(|failed| {
        error!(error = %failed, "the decisions could not be copied: {failed}");
        Answer::from(Problem::new(ProblemCode::Internal, failed.to_string()).hint(failed.hint()))
    })?;
    info!(bytes = text.len(), "a backup of the decisions was taken");
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}
