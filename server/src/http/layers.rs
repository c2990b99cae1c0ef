//! What happens around every request, outermost first: a request id, a caught panic, a deadline for everything that
//! is no watch, one log line, no answer under a name that nobody set, who asks and by
//! which listener, whether he has too much, and no effect for pages of other sites.
//!
//! Why this order: the id must be on every answer, a panic's included; the deadline must not cut a watch, which has
//! its own.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use headwater_validators::redact;
use headwater_wire::{Problem, ProblemCode};
use http::header::{CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::time::Instant;
use tracing::{Instrument, debug, debug_span, error};

use super::door::Door;
use super::problem::{Answer, Told};
use super::state::App;
use super::traced;
use crate::auth::Secure;

/// Longest time of a request that is no watch. A cold read of a very large repository takes a few seconds.
const REQUEST_DEADLINE: Duration = Duration::from_mins(1);

/// Longest wait of a watch plus its forced listing; past this, something is stuck.
const WATCH_DEADLINE: Duration = Duration::from_mins(6);

/// A browser that came by https once comes by nothing else for a year (RFC 6797). Other names of the domain are not ours to
/// speak for.
const HTTPS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What to do when a deadline has passed.
pub(super) const TOO_LONG: &str =
    "send it again; if it stays, the network is slow or the service is overloaded";

/// Wraps all routes.
pub(super) fn wrap(routes: Router<App>, (app, door): (App, Door)) -> Router<App> {
    let guarded = routes
        .layer(from_fn(super::origin::guard))
        .layer(from_fn_with_state(app.clone(), super::limits::guard))
        .layer(from_fn_with_state((app.clone(), door), super::auth::guard))
        .layer(from_fn_with_state(app.clone(), super::host::guard));
    guarded.layer(from_fn_with_state((app, door), around))
}

/// Whether a request may wait for news.
pub(super) fn waits(request: &Request) -> bool {
    let query = request.uri().query();
    query.is_some_and(|query| query.contains("wait=") || query.contains("min_version="))
        || request.headers().contains_key("prefer")
}

async fn around(State((app, door)): State<(App, Door)>, request: Request, next: Next) -> Response {
    let id = app.next_request_id();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let deadline = if waits(&request) {
        WATCH_DEADLINE
    } else {
        REQUEST_DEADLINE
    };
    let started = Instant::now();
    let span = debug_span!("request", request.id = %id);
    let trace = traced::of_order(&app, &request, route.as_ref());
    let run = std::panic::AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span)
        .with_context(trace.clone().unwrap_or_else(Context::current));
    let response = match tokio::time::timeout(deadline, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            error!(request.id = %id, %method, path = %redact(&path), "a handler panicked; please report this with the lines above");
            Answer::from(Problem::new(
                ProblemCode::Internal,
                "the request could not be finished",
            ))
            .into_response()
        }
        Err(_) => {
            let problem = Problem::new(ProblemCode::DeadlineExceeded, "the request took too long");
            Answer::from(problem.hint(TOO_LONG)).into_response()
        }
    };
    let (route, status) = (
        route.as_ref().map(MatchedPath::as_str),
        response.status().as_u16(),
    );
    app.metrics().answered(&method, route, status);
    if let Some(trace) = trace {
        traced::end(&trace, status);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    // Somebody may have written a token where a name belongs.
    debug!(request.id = %id, %method, path = %redact(&path), status, duration_ms, "answered");
    finish(response, &id, app.hosts().known_by(door))
}

/// What the framework refused before a handler saw it, in the words of the API. A probe that is not ready is an answer
/// of ours and no problem.
fn untold(status: StatusCode) -> Option<Problem> {
    let (code, detail, hint) = match status {
        StatusCode::BAD_REQUEST => (
            ProblemCode::BadRequest,
            "the address cannot be read",
            "percent-encode paths as UTF-8",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            ProblemCode::TooLarge,
            "the body is larger than this call takes",
            "send less; `headwater check` judges a large tree where it lies",
        ),
        _ => return None,
    };
    Some(Problem::new(code, detail).hint(hint))
}

/// Whether an answer is for people, who are told what went wrong in its own words.
fn is_page(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE);
    media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"))
}

/// Puts the request id on the answer, and into the body of a problem.
fn finish(mut response: Response, id: &str, reached: Secure) -> Response {
    if response.extensions().get::<Told>().is_none()
        && !is_page(&response)
        && let Some(problem) = untold(response.status())
    {
        response = Answer::from(problem).into_response();
    }
    if let Some(Told(mut problem)) = response.extensions_mut().remove::<Told>() {
        problem.request_id = Some(id.to_owned());
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        *response.body_mut() = body.into();
    }
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if reached == Secure::Https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ALONE);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
    response
}
