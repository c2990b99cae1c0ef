//! What a watch knows and says, whichever transport is up.
//!
//! Invariant: a request names the newest version that was told, whether or not it is applied by now. To apply it, or to
//! try again, is the caller's; if an older one were named, a replica that lags could take him back over what is still on
//! its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{
    BookmarkEvent, ChangeKind, ConfigName, Generation, SnapshotBody, StatusEvent, VersionEvent,
};
use tokio::sync::{mpsc, watch};

use super::{Transport, WatchEvent, WatchRequest};
use crate::answer::{ConfigAnswer, Fetched, Standing, Token};
use crate::error::ApiError;
use crate::events::{Event, Frame};
use crate::pulse::Pulse;
use crate::query::{ConfigQuery, EventsQuery};

/// Why following stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody listens any more.
    CallerGone,
    /// It is time to try another transport.
    Climb,
    /// The server ended it in order.
    Away {
        leave: Leave,
        retry_after: Option<Duration>,
    },
    /// It ended, and nothing was said.
    Ended,
    /// Something broke.
    Broken(ApiError),
}

/// Whether to come back to the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Stay,
    Leave,
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Broken(error)
    }
}

/// The version of a config that was told last.
#[derive(Debug, Clone)]
struct Told {
    token: Token,
    /// Unknown for what was held from the start.
    generation: Option<Generation>,
}

pub(super) struct Session {
    pub(super) request: WatchRequest,
    pub(super) pulse: Arc<Pulse>,
    pub(super) up: watch::Sender<Option<Transport>>,
    /// Whether the server has ever taken the request; until then a refusal is an answer and not a fault.
    pub(super) answered: bool,
    /// What `retry:` said.
    pub(super) retry: Option<Duration>,
    told: BTreeMap<ConfigName, Told>,
    last_event_id: Option<String>,
    sender: mpsc::Sender<WatchEvent>,
}

impl Session {
    pub(super) fn new(
        request: WatchRequest,
        sender: mpsc::Sender<WatchEvent>,
        up: watch::Sender<Option<Transport>>,
        pulse: Arc<Pulse>,
    ) -> Self {
        let held = request.configs.iter().filter_map(|config| {
            let token = request.held.get(config).cloned()?;
            let told = Told {
                token,
                generation: None,
            };
            Some((config.clone(), told))
        });
        Self {
            told: held.collect(),
            request,
            pulse,
            up,
            answered: false,
            retry: None,
            last_event_id: None,
            sender,
        }
    }

    pub(super) async fn tell(&self, event: WatchEvent) -> Result<(), Stop> {
        self.sender.send(event).await.map_err(|_| Stop::CallerGone)
    }

    pub(super) async fn connected(&mut self, transport: Transport) -> Result<(), Stop> {
        self.answered = true;
        self.up.send_replace(Some(transport));
        self.tell(WatchEvent::Connected(transport)).await
    }

    pub(super) async fn disconnected(
        &mut self,
        error: Option<ApiError>,
        retry_in: Duration,
    ) -> Result<(), Stop> {
        self.up.send_replace(None);
        let heard_at = self.pulse.last();
        self.tell(WatchEvent::Disconnected {
            error,
            retry_in,
            heard_at,
        })
        .await
    }

    /// What was held or told, and so needs a compare after a gap.
    pub(super) fn to_compare(&self) -> Vec<ConfigName> {
        self.told.keys().cloned().collect()
    }

    /// The request for one config.
    pub(super) fn query(&self, config: &ConfigName, wait: Option<Duration>) -> ConfigQuery {
        ConfigQuery {
            instance: self.request.instance.clone(),
            labels: self.request.labels.clone(),
            wait,
            if_none_match: self.told.get(config).map(|told| told.token.clone()),
            ..ConfigQuery::default()
        }
    }

    /// The request for a stream. A stream resumes one config by its token; of several it tells each one, and what was
    /// told before is dropped here.
    pub(super) fn events_query(&self) -> EventsQuery {
        let resume = match self.request.configs.as_slice() {
            [config] => {
                let token = self.query(config, None).if_none_match;
                token.map(|token| token.to_string())
            }
            _ => self.last_event_id.clone(),
        };
        EventsQuery {
            configs: self.request.configs.clone(),
            instance: self.request.instance.clone(),
            labels: self.request.labels.clone(),
            inline: self.request.inline,
            last_event_id: resume,
        }
    }

    /// What a stream or socket tells.
    pub(super) async fn frame(&mut self, frame: Frame) -> Result<(), Stop> {
        if let Some(id) = frame.id {
            self.last_event_id = Some(id);
        }
        match frame.event {
            Event::Version(version) => self.version(version).await,
            Event::Bookmark(bookmark) => self.tell(WatchEvent::Bookmark(bookmark)).await,
            Event::Status(status) => self.status(status).await,
            Event::Goaway(goaway) => {
                // A connection that is merely old comes back to where it was.
                let leave = if goaway.reason == "age" {
                    Leave::Stay
                } else {
                    Leave::Leave
                };
                let retry_after = Some(Duration::from_millis(goaway.retry_after_ms));
                Err(Stop::Away { leave, retry_after })
            }
            Event::Retry(retry) => {
                self.retry = Some(retry);
                Ok(())
            }
            Event::Other(_) => Ok(()),
        }
    }

    async fn status(&mut self, status: Box<StatusEvent>) -> Result<(), Stop> {
        // Should it come back with what it held, that is news.
        self.told.retain(|config, _| !status.removed.contains(config));
        self.tell(WatchEvent::Status(status)).await
    }

    /// Tells a version unless it was told last. The same one with a higher fence is told: it may have been assigned
    /// again to somebody who had refused the fence before.
    async fn version(&mut self, version: Box<VersionEvent>) -> Result<(), Stop> {
        let told = Told {
            token: Token::new(&version.token),
            generation: Some(version.generation),
        };
        let before = self.told.insert(version.config.clone(), told.clone());
        let same = before.is_some_and(|before| {
            before.token == told.token
                && before
                    .generation
                    .is_none_or(|before| version.generation <= before)
        });
        if same {
            return Ok(());
        }
        self.tell(WatchEvent::Version(version)).await
    }

    /// What a request for one config was answered.
    pub(super) async fn fetched(&mut self, config: &ConfigName, fetched: Fetched) -> Result<(), Stop> {
        self.pulse.beat();
        match fetched {
            Fetched::Modified(answer) => self.modified(&answer).await,
            Fetched::NotModified(Standing {
                token: Some(token),
                tip: Some(tip),
                ..
            }) => {
                let bookmark = BookmarkEvent {
                    config: config.clone(),
                    token: token.to_string(),
                    tip,
                };
                self.tell(WatchEvent::Bookmark(bookmark)).await
            }
            Fetched::NotModified(_) => Ok(()),
        }
    }

    async fn modified(&mut self, answer: &ConfigAnswer) -> Result<(), Stop> {
        let version = version_event(&answer.standing, answer.snapshot()?);
        self.version(Box::new(version)).await
    }
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
