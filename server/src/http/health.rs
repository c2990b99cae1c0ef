//! Probes, and a word to whoever opens the address in a browser.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::state::App;
use crate::publish::Published;
use headwater_wire::SourceState;

/// Whether one repository can be answered for.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    repos: Vec<RepoReadiness>,
}

#[derive(Serialize)]
struct RepoReadiness {
    name: String,
    ready: bool,
    reason: String,
}

/// `GET /livez`: the process answers. It says nothing of the upstream, so an outage there restarts nobody.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every repository has a published commit, or a known reason why not.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let repos: Vec<RepoReadiness> = app
        .repos()
        .values()
        .map(|repo| {
            let (ready, reason) = readiness(&repo.board.read());
            RepoReadiness {
                name: repo.name().to_string(),
                ready,
                reason,
            }
        })
        .collect();
    let ready = repos.iter().all(|repo| repo.ready) && !app.draining().is_cancelled();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::to_vec(&Readiness { ready, repos }).unwrap_or_default();
    (
        status,
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body,
    )
        .into_response()
}

fn readiness(published: &Published) -> (bool, String) {
    if published.snapshot.is_some() {
        return (true, "published".to_owned());
    }
    match published.source.state {
        SourceState::Starting => (false, "the upstream was not asked yet".to_owned()),
        SourceState::Ok => (true, published.state.head_state.as_str().to_owned()),
        other @ (SourceState::EmptyRepository
        | SourceState::BranchMissing
        | SourceState::Unreachable
        | SourceState::TimedOut
        | SourceState::AuthRequired
        | SourceState::AuthFailed
        | SourceState::NotFound
        | SourceState::BadAnswer
        | SourceState::TooLarge
        | SourceState::HistoryRewritten
        | SourceState::MirrorBroken
        | SourceState::StorageFull
        | SourceState::Other) => (true, other.as_str().to_owned()),
    }
}

/// `GET /`.
pub(super) async fn index(State(app): State<App>, headers: HeaderMap) -> Response {
    crate::dashboard::index(&headers, app.repos().keys())
}
