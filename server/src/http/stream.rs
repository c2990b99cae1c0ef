//! Server-Sent Events: one encoding of a feed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::feed::{Feed, Item};
use super::problem::Result;
use super::state::App;
use super::wanted::Wanted;
use crate::auth::Identity;
use crate::limits::{Holder, Share};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Bytes after which a piece is sent although there is more to tell.
const PIECE_BYTES: usize = 64 << 10;

/// `GET /v1/repos/{repo}/events?config=A&config=B&instance=ID`.
pub(super) async fn events(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    (identity, holder): (Option<Extension<Identity>>, Option<Extension<Holder>>),
    headers: HeaderMap,
) -> Result {
    let held = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let wanted = Wanted::read(&app, &repo, query.as_deref(), held)?;
    let wanted = wanted.of(identity.map(|Extension(identity)| identity));
    let share = match &holder {
        Some(Extension(holder)) => app.limits().watch(holder)?,
        None => None,
    };
    Ok(respond(Feed::open(wanted).await?, share))
}

fn respond(feed: Feed, share: Option<Share<Holder>>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::new(Frames { feed, _share: share })).into_response()
}

/// The bytes of a feed: all that there is to tell at a time is one piece.
pub(super) struct Frames {
    feed: Feed,
    /// The caller's, for as long as the stream is open.
    _share: Option<Share<Holder>>,
}

impl Frames {
    /// The next piece; nothing ends it.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(first) = ready!(self.feed.poll_next_unpin(cx)) else {
            return Poll::Ready(None);
        };
        let first = text(&first);
        // Most often there is one, and it goes as it is to everybody.
        let Poll::Ready(Some(second)) = self.feed.poll_next_unpin(cx) else {
            return Poll::Ready(Some(first));
        };
        let mut piece = BytesMut::from(first);
        piece.extend_from_slice(&text(&second));
        while piece.len() < PIECE_BYTES
            && let Poll::Ready(Some(item)) = self.feed.poll_next_unpin(cx)
        {
            piece.extend_from_slice(&text(&item));
        }
        Poll::Ready(Some(piece.freeze()))
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.poll_piece(cx).map(|piece| Some(Ok(Frame::data(piece?))))
    }
}

/// One item on the line.
fn text(item: &Item) -> Bytes {
    match item {
        Item::Event(line) => line.text.clone(),
        Item::Beat => Bytes::from_static(b":\n\n"),
        Item::Retry(ms) => Bytes::from(format!("retry: {ms}\n\n")),
    }
}
