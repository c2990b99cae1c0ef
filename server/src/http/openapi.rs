//! `GET /openapi.json`: what this API is, for the tools of others.
//!
//! Invariant: the document is a file that lies beside this one; `tests/suite/openapi.rs` holds it against the route table,
//! every message of the wire and the answers of a running service.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

/// The description.
const DOCUMENT: &str = include_str!("openapi.json");

/// Answers it.
pub(super) async fn document() -> Response {
    let media_type = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, media_type)], DOCUMENT).into_response()
}
