//! What instances report, one at a time and listed.

use std::sync::PoisonError;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use headwater_core::InstanceFilter;
use headwater_wire::{InstanceId, InstancePage, Problem, ProblemCode, ReportState};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::extract::{self, INSTANCE_HINT, Pairs};
use super::problem::{Answer, Result, bad_request};
use super::state::App;
use super::{answer, history, reports};

/// Instances of one page where no limit is said.
const LIMIT_DEFAULT: usize = 100;
/// Most instances of one page.
const LIMIT_MAX: usize = 1_000;

/// `PUT /v1/repos/{repo}/instances/{instance}`.
pub(super) async fn report(
    State(app): State<App>,
    Path((repo, instance)): Path<(String, String)>,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let instance: InstanceId = extract::id(&instance, INSTANCE_HINT)?;
    let media_type = headers
        .get(CONTENT_TYPE)
        .map_or(Ok("application/json"), |value| value.to_str())
        .unwrap_or_default();
    if media_type.split(';').next().unwrap_or_default().trim() != "application/json" {
        let detail = format!("`{}` is not taken here", media_type.escape_debug());
        let problem = Problem::new(ProblemCode::UnsupportedMediaType, detail);
        return Err(problem.hint("send the report as application/json").into());
    }
    let body = body.map_err(unread)?;
    let answer = reports::take(&repo, &instance, reports::read(&body)?).await?;
    Ok(answer::view(&answer))
}

/// A body that did not come whole.
fn unread(rejection: BytesRejection) -> Answer {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        let limit = reports::REPORT_BYTES_MAX;
        return Problem::new(
            ProblemCode::TooLarge,
            format!("a report has at most {limit} bytes"),
        )
        .hint("report fewer configs, or shorter messages")
        .into();
    }
    bad_request("the body did not come whole", "send the report again")
}

/// `GET /v1/repos/{repo}/instances/{instance}`.
pub(super) async fn one(State(app): State<App>, Path((repo, instance)): Path<(String, String)>) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let instance: InstanceId = extract::id(&instance, INSTANCE_HINT)?;
    let found = {
        let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.get(&instance).cloned()
    };
    match found {
        Some(view) => Ok(answer::view(&view)),
        None => Err(instance_not_found(&instance)),
    }
}

fn instance_not_found(instance: &InstanceId) -> Answer {
    Problem::new(
        ProblemCode::InstanceNotFound,
        format!("no instance `{instance}` has reported"),
    )
    .hint("GET …/instances lists those that have; after a restart of the service they report within a heartbeat")
    .into()
}

/// `GET /v1/repos/{repo}/instances?config=&state=&version=&label.k=&limit=&after=`.
pub(super) async fn list(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let limit = limit(&pairs)?;
    let after: Option<InstanceId> = pairs.parsed("after", INSTANCE_HINT)?;
    let version = match pairs.get("version") {
        Some(rev) => Some(history::resolve(&repo, rev).await?),
        None => None,
    };
    let filter = InstanceFilter {
        config: pairs.get("config").map(extract::config).transpose()?,
        state: pairs.get("state").map(state).transpose()?,
        version,
        labels: pairs.labels()?,
    };
    let listing = {
        let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.list(&filter, after.as_ref(), limit)
    };
    let instances = listing.instances.iter().map(|view| (**view).clone()).collect();
    Ok(answer::view(&InstancePage {
        instances,
        next: listing.next,
    }))
}

fn state(word: &str) -> Result<ReportState> {
    ReportState::read(word).ok_or_else(|| {
        bad_request(
            format!("no such state: `{}`", word.escape_debug()),
            "one of `pending`, `prepared`, `applied`, `confirmed`, `failed`",
        )
    })
}

fn limit(pairs: &Pairs) -> Result<usize> {
    let Some(text) = pairs.get("limit") else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        bad_request(
            format!("not a limit: `{}`", text.escape_debug()),
            format!("a number from 1 to {LIMIT_MAX}"),
        )
    })
}
