//! Requests that are spans: what a person orders, and what a webhook tells.
//!
//! Invariant: a request that anybody may send as often as he likes is no span: reads, watches, reports and what no secret
//! has signed. Attributes are those of OpenTelemetry's conventions for HTTP, and the address is the one of the route
//! table.

use axum::extract::{MatchedPath, Request};
use http::{HeaderMap, Method};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::state::App;
use crate::trace;

/// Begins the span of a request that orders something.
pub(super) fn of_order(app: &App, request: &Request, route: Option<&MatchedPath>) -> Option<Context> {
    let route = route.map(MatchedPath::as_str).filter(|_| app.traces().is_on())?;
    let is_order =
        request.method() == Method::POST && route.starts_with("/v1/repos/") && !route.ends_with("/checks");
    is_order.then(|| begin(app, request.headers(), (request.method().as_str(), route)))?
}

/// Begins the span of a webhook's delivery, whose signature is right.
pub(super) fn of_delivery(app: &App, headers: &HeaderMap) -> Option<Context> {
    begin(app, headers, ("POST", "/hooks/{hook}"))
}

fn begin(app: &App, headers: &HeaderMap, (method, route): (&str, &str)) -> Option<Context> {
    // A page asks the API in the same process, and is a caller as well.
    let caller = app.traces().caller(headers).or_else(trace::origin);
    let span = SpanBuilder::from_name(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
        ]);
    app.traces().begin(caller, span)
}

/// Ends the span of a request that was answered.
pub(super) fn end(trace: &Context, status: u16) {
    let span = trace.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
    span.end();
}
