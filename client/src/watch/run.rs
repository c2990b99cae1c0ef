//! The loop of a watch: a turn on the transport in use, then what its end means.
//!
//! Invariant: every turn ends in an event, a pause or another transport, so the loop cannot spin; what is wrong with a
//! transport and what is wrong with a server are told apart, and only the second one moves the address.

use std::sync::Arc;
use std::time::Duration;

use headwater_wire::ConfigName;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::ladder::{Ladder, PROVEN, Seen};
use super::report::Uplink;
use super::session::{Leave, Session, Stop};
use super::{Transport, WatchEvent, WatchRequest};
use crate::api::RepoApi;
use crate::backoff::{Backoff, Jitter};
use crate::error::{ApiError, Stage};
use crate::events::Heard;
use crate::pulse::Pulse;
use crate::query::EventsQuery;
use crate::servers::{NextTry, Rotation, Servers};

/// Life after which a connection counts as good, so that one which always ends at once is not taken up at once again.
const SETTLED: Duration = Duration::from_secs(10);

/// How long the first connection may take to open before the values are asked for plainly; well below the patience of
/// a start.
const FIRST_OPENING: Duration = Duration::from_secs(1);

pub(super) struct Watcher {
    pub(super) session: Session,
    pub(super) ladder: Ladder,
    pub(super) uplink: watch::Sender<Uplink>,
    pub(super) backoff: Backoff,
    servers: Servers,
    rotation: Rotation,
}

impl Watcher {
    pub(super) fn new(
        servers: &Servers,
        request: WatchRequest,
        (sender, up): (mpsc::Sender<WatchEvent>, watch::Sender<Option<Transport>>),
        (uplink, pulse): (watch::Sender<Uplink>, &Arc<Pulse>),
    ) -> Self {
        let jitter = Jitter::seeded(request.seed);
        Self {
            ladder: Ladder::new(request.choice, jitter.clone()),
            backoff: Backoff::new(jitter),
            session: Session::new(request, sender, up, Arc::clone(pulse)),
            uplink,
            rotation: servers.rotation(),
            servers: servers.clone(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.ladder.climb(Instant::now());
            let before = self.ladder.transport();
            let stop = match before {
                Transport::Socket => self.follow_socket().await,
                Transport::Stream => self.follow_stream().await,
                Transport::LongPoll => self.long_poll().await,
                Transport::Poll => self.poll().await,
            };
            let (error, attempt) = match stop {
                Ok(()) | Err(Stop::Climb) => continue,
                Err(Stop::CallerGone) => return,
                // The transport does not exist here, which is no fault of the server.
                Err(Stop::Broken(error)) if is_absent(&error) && self.ladder.transport() != before => {
                    continue;
                }
                Err(Stop::Broken(error)) if error.is_permanent() && !self.session.answered => {
                    // If nobody listens, there is nobody to tell.
                    self.session.tell(WatchEvent::Refused(error)).await.ok();
                    return;
                }
                Err(Stop::Broken(error)) => {
                    let attempt = self.after_fault(&error);
                    (Some(error), attempt)
                }
                Err(Stop::Ended) => (None, self.stay(self.session.retry)),
                Err(Stop::Away {
                    leave: Leave::Stay,
                    retry_after,
                }) => (None, self.stay(retry_after)),
                Err(Stop::Away {
                    leave: Leave::Leave,
                    retry_after,
                }) => (None, self.leave(retry_after)),
            };
            self.servers.move_to(attempt.index);
            if self.session.disconnected(error, attempt.pause).await.is_err() {
                return;
            }
            sleep(attempt.pause).await;
        }
    }

    /// The address that is asked now.
    pub(super) fn repo(&self) -> RepoApi {
        self.servers.current()
    }

    fn after_fault(&mut self, error: &ApiError) -> NextTry {
        let retry_after = error.retry_after();
        if is_of_the_address(error) {
            self.leave(retry_after.or(self.session.retry))
        } else {
            self.stay(retry_after.or(self.session.retry))
        }
    }

    fn leave(&mut self, rest: Option<Duration>) -> NextTry {
        let failed = self.servers.index();
        self.rotation
            .leave(failed, rest, &mut self.backoff, Instant::now())
    }

    fn stay(&mut self, retry_after: Option<Duration>) -> NextTry {
        NextTry {
            index: self.servers.index(),
            pause: self.backoff.next_delay(retry_after),
        }
    }

    /// The server does its work: the next failure is a first one.
    pub(super) fn works(&mut self) {
        self.backoff.reset();
        self.rotation.answered();
    }

    /// Asks once for each config that is held whether it still is what to hold.
    pub(super) async fn compare(&mut self) -> Result<(), Stop> {
        for config in self.session.to_compare() {
            match self.ask(&config).await {
                // The config is gone; the stream's status event tells so.
                Err(Stop::Broken(error)) if self.session.answered && error.is_permanent() => {}
                asked => asked?,
            }
        }
        Ok(())
    }

    /// Opens a connection by `open`. If the very first one does not come to be soon, something in between may hold it
    /// back, and a program that starts has no time for that: it is given its values by plain requests, and then the
    /// connection is opened anew, so that it goes on from these.
    pub(super) async fn opened<T>(
        &mut self,
        open: impl AsyncFn(RepoApi, EventsQuery) -> Result<T, ApiError>,
    ) -> Result<Result<T, ApiError>, Stop> {
        if !self.session.answered {
            let opening = open(self.repo(), self.session.events_query());
            if let Ok(opened) = timeout(FIRST_OPENING, opening).await {
                return Ok(opened);
            }
            for config in self.session.request.configs.clone() {
                self.ask(&config).await?;
            }
            self.session.answered = true;
        }
        Ok(open(self.repo(), self.session.events_query()).await)
    }

    /// One plain request for a config.
    pub(super) async fn ask(&mut self, config: &ConfigName) -> Result<(), Stop> {
        let query = self.session.query(config, None);
        let fetched = self.repo().config(config, &query).await?;
        self.session.fetched(config, fetched).await
    }

    /// A connection could not be opened, right after the server had answered a plain request.
    pub(super) fn saw_no_opening(&mut self, error: &ApiError) {
        let seen = if is_absent(error) {
            Seen::Absent
        } else if is_held_back(error) {
            Seen::HeldBack
        } else {
            return;
        };
        self.ladder.saw(seen, Instant::now());
    }

    /// A connection ended after it had been open since `opened`.
    pub(super) fn saw_the_end(&mut self, stop: &Stop, heard: Heard, opened: Instant) {
        let now = Instant::now();
        match stop {
            Stop::CallerGone | Stop::Climb => {}
            Stop::Away { .. } => self.ladder.saw(Seen::Good, now),
            Stop::Ended | Stop::Broken(_) if heard == Heard::Nothing => self.ladder.saw(Seen::HeldBack, now),
            Stop::Ended | Stop::Broken(_) => self.ladder.saw(Seen::Cut(now - opened), now),
        }
    }

    /// A connection is alive, and has been open since `opened`.
    pub(super) fn alive(&mut self, opened: Instant) {
        if opened.elapsed() >= SETTLED {
            self.works();
        }
        if opened.elapsed() >= PROVEN {
            self.ladder.saw(Seen::Good, Instant::now());
        }
    }
}

/// Waits until it is time to try a better transport; for ever at the best one.
pub(super) async fn until(climb_at: Option<Instant>) {
    match climb_at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether another address may do better.
fn is_of_the_address(error: &ApiError) -> bool {
    match error {
        ApiError::Problem { problem, .. } => problem.status >= 500,
        ApiError::Unreachable { .. }
        | ApiError::Untrusted { .. }
        | ApiError::TimedOut { .. }
        | ApiError::CutOff { .. }
        | ApiError::Status { .. }
        | ApiError::Malformed { .. } => true,
        ApiError::TooLarge { .. }
        | ApiError::Stream { .. }
        | ApiError::NotAStream { .. }
        | ApiError::Request(_) => false,
    }
}

/// Whether the request was taken and the connection did not come to be: the mark of something in between.
fn is_held_back(error: &ApiError) -> bool {
    match error {
        ApiError::TimedOut { stage, .. } => *stage == Stage::Answer,
        ApiError::CutOff { .. } | ApiError::Malformed { .. } | ApiError::Status { .. } => true,
        ApiError::Problem { .. }
        | ApiError::Unreachable { .. }
        | ApiError::Untrusted { .. }
        | ApiError::TooLarge { .. }
        | ApiError::Stream { .. }
        | ApiError::NotAStream { .. }
        | ApiError::Request(_) => false,
    }
}

/// Whether the server, or something in front of it, has no such transport.
fn is_absent(error: &ApiError) -> bool {
    let status = match error {
        ApiError::NotAStream { .. } => return true,
        ApiError::Problem { problem, .. } => {
            use headwater_wire::ProblemCode::{MethodNotAllowed, NotFound};
            return problem.status == 426 || matches!(problem.code, NotFound | MethodNotAllowed);
        }
        ApiError::Status { status, .. } => *status,
        ApiError::Unreachable { .. }
        | ApiError::Untrusted { .. }
        | ApiError::TimedOut { .. }
        | ApiError::CutOff { .. }
        | ApiError::Malformed { .. }
        | ApiError::TooLarge { .. }
        | ApiError::Stream { .. }
        | ApiError::Request(_) => return false,
    };
    matches!(status, 200..=299 | 400 | 403 | 404 | 405 | 406 | 426 | 501)
}
