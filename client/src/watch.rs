//! A watch that stays up: an event stream that comes back, and a long poll where streams do not get through.
//!
//! Invariant: a caller hears each version of a config once, and after every gap one compare makes up for what the
//! gap may have swallowed. The compare stands *before* the new stream, so that it can never tell something older
//! than the stream already told. What is deliberately absent: fetching documents, applying and reporting them.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_wire::{
    BookmarkEvent, ChangeKind, ConfigName, InstanceId, ProblemCode, SnapshotBody, StatusEvent, VersionEvent,
};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::answer::{ConfigAnswer, Fetched, Standing, Token};
use crate::api::RepoApi;
use crate::backoff::{Backoff, Jitter, Pace};
use crate::error::ApiError;
use crate::events::{Event, EventStream, Frame, Heard};
use crate::query::{ConfigQuery, EventsQuery, Inline, Labels};

/// Events a caller may be behind before the stream is no longer read.
const MAILBOX_LEN: usize = 64;
/// Hold of one long poll. Proxies often cut at 60 s.
const POLL_WAIT: Duration = Duration::from_secs(50);
/// How long to poll before the stream is tried again.
const POLL_FOR: Duration = Duration::from_mins(10);
/// Streams without a byte after which something in between is believed to hold streams back.
const SILENT_STREAMS_MAX: u32 = 2;
/// Life after which a stream counts as good, so that one which always ends at once is not taken up at once again.
const SETTLED: Duration = Duration::from_secs(10);
/// Pause before a config that is refused, because it is gone, is asked for again.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// How events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Server-Sent Events.
    Stream,
    /// One request that the server holds, again and again.
    LongPoll,
}

/// What to watch, and for whom.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// Configs; at least one.
    pub configs: Vec<ConfigName>,
    /// Who watches.
    pub instance: Option<InstanceId>,
    /// Labels of who watches.
    pub labels: Labels,
    /// Whether events carry documents.
    pub inline: Inline,
    /// What is held already; its versions are not told again.
    pub held: BTreeMap<ConfigName, Token>,
    /// Seed of the jitter: different for each process, so that they do not come back together.
    pub seed: u64,
}

/// What a watch tells its caller.
#[derive(Debug)]
pub enum WatchEvent {
    /// The server answered, for the first time or again.
    Connected(Transport),
    /// What to hold now.
    Version(Box<VersionEvent>),
    /// Nothing changed.
    Bookmark(BookmarkEvent),
    /// Something about the repository that changes no content.
    Status(Box<StatusEvent>),
    /// The connection is gone and will be tried again.
    Disconnected {
        /// Why, if it did not end in order.
        error: Option<ApiError>,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// The server refused the very first request; this is the last event.
    Refused(ApiError),
}

/// A running watch. Dropping it stops it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    task: AbortHandle,
}

impl Watch {
    /// Starts watching on the current runtime.
    pub fn start(repo: RepoApi, request: WatchRequest) -> Self {
        let (sender, events) = mpsc::channel(MAILBOX_LEN);
        let watcher = Watcher {
            repo,
            held: request.held.clone(),
            backoff: Backoff::new(Jitter::seeded(request.seed)),
            request,
            sender,
            transport: Transport::Stream,
            answered: false,
            silent_streams: 0,
            last_event_id: None,
            retry: None,
        };
        let task = tokio::spawn(watcher.run()).abort_handle();
        Self { events, task }
    }

    /// The next event; `None` after [`WatchEvent::Refused`]. Cancel-safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why following stopped.
enum Stop {
    /// Nobody listens any more.
    CallerGone,
    /// The server ended the stream in order.
    Ended { retry_after: Option<Duration> },
    /// Something broke.
    Broken(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Broken(error)
    }
}

struct Watcher {
    repo: RepoApi,
    request: WatchRequest,
    held: BTreeMap<ConfigName, Token>,
    backoff: Backoff,
    sender: mpsc::Sender<WatchEvent>,
    transport: Transport,
    /// Whether the server has ever taken the request; until then a refusal is an answer and not a fault.
    answered: bool,
    silent_streams: u32,
    last_event_id: Option<String>,
    /// What `retry:` said.
    retry: Option<Duration>,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let followed = match self.transport {
                Transport::Stream => self.follow_stream().await,
                Transport::LongPoll => self.poll().await,
            };
            let (error, retry_after) = match followed {
                // The time for polling is over: try the stream, without a pause.
                Ok(()) => continue,
                Err(Stop::CallerGone) => return,
                Err(Stop::Ended { retry_after }) => (None, retry_after.or(self.retry)),
                Err(Stop::Broken(error)) if self.transport == Transport::Stream && is_no_stream(&error) => {
                    self.transport = Transport::LongPoll;
                    continue;
                }
                Err(Stop::Broken(error)) if error.is_permanent() && !self.answered => {
                    // If nobody listens, there is nobody to tell.
                    drop(self.sender.send(WatchEvent::Refused(error)).await);
                    return;
                }
                Err(Stop::Broken(error)) => {
                    let retry_after = error.retry_after().or(self.retry);
                    (Some(error), retry_after)
                }
            };
            let retry_in = self.backoff.next_delay(retry_after);
            if self
                .tell(WatchEvent::Disconnected { error, retry_in })
                .await
                .is_err()
            {
                return;
            }
            sleep(retry_in).await;
        }
    }

    async fn tell(&self, event: WatchEvent) -> Result<(), Stop> {
        self.sender.send(event).await.map_err(|_| Stop::CallerGone)
    }

    async fn connected(&mut self) -> Result<(), Stop> {
        self.answered = true;
        self.tell(WatchEvent::Connected(self.transport)).await
    }

    async fn follow_stream(&mut self) -> Result<(), Stop> {
        self.compare().await?;
        let query = EventsQuery {
            configs: self.request.configs.clone(),
            instance: self.request.instance.clone(),
            labels: self.request.labels.clone(),
            inline: self.request.inline,
            last_event_id: self.last_event_id.clone(),
        };
        let mut stream = self.repo.events(&query).await?;
        self.connected().await?;
        let read = self.read_stream(&mut stream).await;
        if stream.heard() == Heard::Something {
            self.silent_streams = 0;
        } else {
            self.silent_streams += 1;
            if self.silent_streams >= SILENT_STREAMS_MAX {
                self.silent_streams = 0;
                self.transport = Transport::LongPoll;
            }
        }
        read
    }

    async fn read_stream(&mut self, stream: &mut EventStream) -> Result<(), Stop> {
        let started = Instant::now();
        while let Some(Frame { id, event }) = stream.next().await? {
            if started.elapsed() >= SETTLED {
                self.backoff.reset();
            }
            if let Some(id) = id {
                self.last_event_id = Some(id);
            }
            match event {
                Event::Version(version) => self.version(version).await?,
                Event::Bookmark(bookmark) => self.tell(WatchEvent::Bookmark(bookmark)).await?,
                Event::Status(status) => {
                    // Should it come back with what it held, that is news.
                    self.held.retain(|config, _| !status.removed.contains(config));
                    self.tell(WatchEvent::Status(status)).await?;
                }
                Event::Goaway(goaway) => {
                    let retry_after = Some(Duration::from_millis(goaway.retry_after_ms));
                    return Err(Stop::Ended { retry_after });
                }
                Event::Retry(retry) => self.retry = Some(retry),
                Event::Other(_) => {}
            }
        }
        Err(Stop::Ended { retry_after: None })
    }

    /// Tells a version unless it is the one that was told last.
    async fn version(&mut self, version: Box<VersionEvent>) -> Result<(), Stop> {
        let token = Token::new(&version.token);
        if self.held.get(&version.config) == Some(&token) {
            return Ok(());
        }
        self.held.insert(version.config.clone(), token);
        self.tell(WatchEvent::Version(version)).await
    }

    /// Asks once for each config that is held whether it still is what to hold.
    async fn compare(&mut self) -> Result<(), Stop> {
        for (config, token) in self.held.clone() {
            let query = ConfigQuery {
                if_none_match: Some(token),
                ..self.query()
            };
            match self.repo.config(&config, &query).await {
                Ok(Fetched::NotModified(_)) => {}
                Ok(Fetched::Modified(answer)) => self.modified(&answer).await?,
                // The config is gone; the stream's status event tells so.
                Err(error) if self.answered && error.is_permanent() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn modified(&mut self, answer: &ConfigAnswer) -> Result<(), Stop> {
        let version = version_event(&answer.standing, answer.snapshot()?);
        self.version(Box::new(version)).await
    }

    fn query(&self) -> ConfigQuery {
        ConfigQuery {
            instance: self.request.instance.clone(),
            labels: self.request.labels.clone(),
            ..ConfigQuery::default()
        }
    }

    /// Polls all configs side by side, for a while.
    async fn poll(&mut self) -> Result<(), Stop> {
        let until = Instant::now() + POLL_FOR;
        let mut calls = JoinSet::new();
        for config in self.request.configs.clone() {
            calls.spawn(self.long_poll(config, Pace::new(), Duration::ZERO));
        }
        let mut connected = false;
        while let Some(joined) = calls.join_next().await {
            // A call neither panics nor is aborted while the set lives.
            let Ok(Polled {
                config,
                mut pace,
                took,
                outcome,
            }) = joined
            else {
                continue;
            };
            let pause = match outcome {
                Err(error) if self.answered && error.is_permanent() => REFUSED_PAUSE,
                Err(error) => return Err(error.into()),
                Ok(fetched) => {
                    self.backoff.reset();
                    if !connected {
                        connected = true;
                        self.connected().await?;
                    }
                    if let Fetched::Modified(answer) = fetched {
                        self.modified(&answer).await?;
                    }
                    pace.after(took)
                }
            };
            if Instant::now() >= until {
                break;
            }
            calls.spawn(self.long_poll(config, pace, pause));
        }
        self.transport = Transport::Stream;
        Ok(())
    }

    fn long_poll(
        &self,
        config: ConfigName,
        pace: Pace,
        pause: Duration,
    ) -> impl Future<Output = Polled> + Send + 'static {
        let held = self.held.get(&config).cloned();
        let query = ConfigQuery {
            wait: Some(POLL_WAIT),
            if_none_match: held,
            ..self.query()
        };
        let repo = self.repo.clone();
        async move {
            sleep(pause).await;
            let started = Instant::now();
            let outcome = repo.config(&config, &query).await;
            Polled {
                config,
                pace,
                took: started.elapsed(),
                outcome,
            }
        }
    }
}

/// One long poll that came back.
struct Polled {
    config: ConfigName,
    pace: Pace,
    took: Duration,
    outcome: Result<Fetched, ApiError>,
}

/// Whether the server, or something in front of it, has no event streams.
fn is_no_stream(error: &ApiError) -> bool {
    let status = match error {
        ApiError::NotAStream { .. } => return true,
        ApiError::Problem { problem, .. } => {
            return matches!(
                problem.code,
                ProblemCode::NotFound | ProblemCode::MethodNotAllowed
            );
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
    matches!(status, 404 | 405 | 406 | 501)
}

/// The event that a stream would have told for this answer. Without an `ETag`, the digest stands in as the token.
fn version_event(standing: &Standing, snapshot: SnapshotBody) -> VersionEvent {
    let token = standing
        .token
        .as_ref()
        .map_or_else(|| snapshot.digest.to_string(), ToString::to_string);
    let size = serde_json::to_vec(&snapshot.document).map_or(0, |json| json.len() as u64);
    VersionEvent {
        config: snapshot.config,
        token,
        version: snapshot.version,
        tip: snapshot.tip,
        change: standing.change.unwrap_or(ChangeKind::Other),
        phase: snapshot.phase,
        generation: snapshot.generation,
        digest: snapshot.digest,
        size,
        document: Some(snapshot.document),
    }
}
