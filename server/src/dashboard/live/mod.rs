//! A page that is followed: its moving part, told again whenever it has become another.
//!
//! Invariant: what is told is the whole part as it is now, so whoever missed something misses nothing, and whoever reads
//! slowly is told the newest and holds nobody back. A part is made once for all who follow the page (`crowd`), and not at
//! all where nobody does. Who finds no place has a page that stands still and says so.

mod crowd;

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

pub(super) use crowd::Crowd;

use super::asked::Asked;
use super::show::{Desk, Failed, Page};
use crate::auth::{Identity, session_of};
use crate::clock;
use crate::http::Caller;
use crowd::{Follower, Full, Subject};

/// Longest silence: proxies end what is silent for longer.
const BEAT: Duration = Duration::from_secs(15);

/// Answers with a stream of the page's moving part.
pub(super) fn follow<P: Page>(
    desk: &Desk,
    asked: Asked,
    headers: &HeaderMap,
    caller: Option<Caller>,
) -> Response {
    let subject = Subject {
        here: asked.here.clone(),
        authorization: headers.get(AUTHORIZATION).cloned(),
        session: session_of(headers),
        who: asked.who.as_ref().map(Identity::mark),
    };
    let look = move || {
        let asked = asked.at(clock::now());
        async move { part::<P>(&asked).await }
    };
    match desk.crowd.join(subject, caller, look) {
        Ok(follower) => told(follower),
        Err(full) => refused(full),
    }
}

/// What stands in the moving part now.
async fn part<P: Page>(asked: &Asked) -> Option<String> {
    match P::load(asked).await {
        Ok(page) => page.live().ok(),
        Err(problem) => Failed::of(asked, *problem).await.live().ok(),
    }
}

fn told(follower: Follower) -> Response {
    let events = stream::unfold(follower, |mut follower| async move {
        let event = match tokio::time::timeout(BEAT, follower.next()).await {
            Ok(part) => part?,
            Err(_silent) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok::<Bytes, Infallible>(event), follower))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::from_stream(events)).into_response()
}

fn refused(full: Full) -> Response {
    let status = match full {
        Full::ForAll => StatusCode::SERVICE_UNAVAILABLE,
        Full::ForOne => StatusCode::TOO_MANY_REQUESTS,
    };
    (status, [(RETRY_AFTER, "30")], full.to_string()).into_response()
}
