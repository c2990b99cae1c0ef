//! What went wrong before any page was reached, shown as a page to whoever reads pages.
//!
//! Invariant: status, headers and words are those of the problem; only its form is another. What programs call is
//! answered to everybody as the API says.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use headwater_wire::Problem;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::accept::reads_pages;
use super::asked::Asked;
use super::show::{Desk, failed};
use crate::auth::Identity;

/// Where programs call.
const OF_PROGRAMS: [&str; 2] = ["/v1/", "/hooks/"];

/// Longest problem that is read, in bytes: one names findings and paths.
const PROBLEM_BYTES_MAX: usize = 4 << 20;

/// A layer round all routes that shows problems to people.
pub(crate) async fn explain(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_called = OF_PROGRAMS.iter().any(|prefix| path.starts_with(prefix));
    if is_called || !reads_pages(request.headers()) {
        return next.run(request).await;
    }
    let asked = desk.asked_outside(request.uri(), request.headers());
    let response = next.run(request).await;
    let media_type = response.headers().get(CONTENT_TYPE);
    if media_type.map(HeaderValue::as_bytes) != Some(b"application/problem+json") {
        return response;
    }
    let who = response.extensions().get::<Identity>().cloned();
    shown(&asked.by(who), response).await
}

async fn shown(asked: &Asked, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let Ok(problem) = serde_json::from_slice::<Problem>(&body) else {
        return Response::from_parts(parts, body.into());
    };
    let page = failed(asked, problem).await;
    let (of_page, text) = page.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(of_page.headers);
    Response::from_parts(parts, text)
}
