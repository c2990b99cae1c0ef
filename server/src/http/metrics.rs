//! `GET /metrics`: what the service counts of itself, in the text that Prometheus and `OpenMetrics` scrapers take.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::problem::{Answer, Result};
use super::state::App;
use crate::metrics::{Format, Metrics};
use crate::repo::RepoError;

/// Answers in `OpenMetrics` if the scraper says that it takes it, else in the older text, which everybody takes.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result {
    let accepts = |accept: &HeaderValue| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("application/openmetrics-text"))
    };
    let (format, media_type) = if headers.get_all(ACCEPT).iter().any(accepts) {
        (
            Format::OpenMetrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )
    } else {
        (Format::Prometheus, "text/plain; version=0.0.4; charset=utf-8")
    };
    let text = Metrics::render(&app, format)
        .await
        .map_err(RepoError::from)
        .map_err(Answer::from)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok(Response::into_response((headers, text).into_response()))
}
