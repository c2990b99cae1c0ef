//! Server-Sent Events: one encoding of a feed.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::feed::{Feed, Item, Wanted};
use super::problem::Result;
use super::state::App;
use crate::auth::Identity;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/repos/{repo}/events?config=A&config=B&instance=ID`.
pub(super) async fn events(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    identity: Option<Extension<Identity>>,
    headers: HeaderMap,
) -> Result {
    let held = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let wanted = Wanted::read(&app, &repo, query.as_deref(), held)?;
    let wanted = wanted.of(identity.map(|Extension(identity)| identity));
    Ok(respond(Feed::open(wanted).await?))
}

fn respond(feed: Feed) -> Response {
    let frames = feed.items().map(|item| Ok::<Bytes, Infallible>(frame(&item)));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// One item on the line.
fn frame(item: &Item) -> Bytes {
    match item {
        Item::Event {
            name,
            id: Some(id),
            data,
        } => Bytes::from(format!("event: {name}\nid: {id}\ndata: {data}\n\n")),
        Item::Event { name, id: None, data } => Bytes::from(format!("event: {name}\ndata: {data}\n\n")),
        Item::Beat => Bytes::from_static(b":\n\n"),
        Item::Retry(ms) => Bytes::from(format!("retry: {ms}\n\n")),
    }
}
