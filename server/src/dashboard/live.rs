//! A page that is followed: its moving part, told again whenever it has become another.
//!
//! Invariant: what is told is the whole part as it is now, so whoever missed something misses nothing. A page is looked
//! at a few times a second at most, and a look may take a small part of the time only, so that a page that is hard to
//! make does not keep the service busy. Pages that are followed at once are bounded; who comes later has a page that
//! stands still and says so.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::asked::Asked;
use super::show::{Desk, Failed, Page};
use crate::clock;

/// Pages that are followed at once.
pub(super) const SEATS: usize = 256;
/// Shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How many times longer than a look the pause after it is.
const PAUSE_FACTOR: u32 = 10;
/// Longest silence: proxies end what is silent for longer.
const BEAT: Duration = Duration::from_secs(15);

/// One page that is followed.
struct Following {
    asked: Asked,
    draining: CancellationToken,
    /// Given back when nobody follows any more.
    _seat: OwnedSemaphorePermit,
    /// What was told last.
    told: Option<u64>,
    told_at: Instant,
    pause: Duration,
}

/// Answers with a stream of the page's moving part.
pub(super) fn follow<P: Page>(desk: &Desk, asked: Asked) -> Response {
    let Ok(seat) = desk.seats.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "30")]).into_response();
    };
    let following = Following {
        asked,
        draining: desk.draining.clone(),
        _seat: seat,
        told: None,
        told_at: Instant::now(),
        pause: Duration::ZERO,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next::<P>().await?;
        Some((Ok::<Bytes, Infallible>(event), following))
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

impl Following {
    /// The next event; none once the service stops.
    async fn next<P: Page>(&mut self) -> Option<Bytes> {
        loop {
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = self.draining.cancelled() => return None,
                () = tokio::time::sleep(self.pause) => {}
            }
            let started = Instant::now();
            let part = self.look::<P>().await?;
            self.pause = PAUSE.max(started.elapsed().saturating_mul(PAUSE_FACTOR));
            let mut hasher = DefaultHasher::new();
            part.hash(&mut hasher);
            let now = Some(hasher.finish());
            if self.told != now {
                (self.told, self.told_at) = (now, Instant::now());
                return Some(event(&part));
            }
            if self.told_at.elapsed() >= BEAT {
                self.told_at = Instant::now();
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }

    async fn look<P: Page>(&mut self) -> Option<String> {
        self.asked.now = clock::now();
        match P::load(&self.asked).await {
            Ok(page) => page.live().ok(),
            Err(problem) => Failed::of(&self.asked, *problem).await.live().ok(),
        }
    }
}

/// The part on the line: each of its lines is one of the event.
fn event(part: &str) -> Bytes {
    let mut event = String::with_capacity(part.len() + part.len() / 8);
    for line in part.lines() {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    Bytes::from(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_several_lines_is_one_event() {
        assert_eq!(event("<p>\na</p>"), Bytes::from("data: <p>\ndata: a</p>\n\n"));
    }
}
