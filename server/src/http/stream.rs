//! Server-Sent Events: the same comparison as the long poll, told as it happens.
//!
//! Invariant: a stream holds no queue. It looks at the newest state when its reader has taken the last event, so a
//! slow reader skips versions and costs nothing; per config at most one `version` stands between two looks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::{self, FutureExt};
use futures_util::stream;
use headwater_core::{Answer as Compared, Freshness, Token};
use headwater_validators::Effective;
use headwater_wire::{
    BookmarkEvent, ChangeKind, ConfigName, GoawayEvent, HeadState, Phase, StatusEvent, VersionEvent,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::extract::{self, Asker, Pairs};
use super::problem::{Result, bad_request};
use super::state::App;
use super::watch::{FRESH_DEADLINE, exposed, replica_behind};
use crate::pipeline::Fresh;
use crate::publish::{Exposed, Published};
use crate::repo::Repo;

/// Documents up to this many bytes are told with the event.
const INLINE_BYTES_DEFAULT: usize = 4 << 10;
/// The same where the client asks for it by `inline=1`.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// Configs one stream may name.
const CONFIGS_MAX: usize = 256;
/// Mean time between two comments, which keep proxies and watchdogs content.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Mean time between two bookmarks.
const BOOKMARK: Duration = Duration::from_secs(30);
/// Mean age at which a stream is asked to come back, so that connections spread over replicas again.
const AGE: Duration = Duration::from_mins(30);
/// Longest time over which clients are asked to spread when the process stops.
const GOAWAY_SPREAD_MS: u64 = 3_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/repos/{repo}/events?config=A&config=B&instance=ID`.
pub(super) async fn events(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let mut configs: Vec<ConfigName> = Vec::new();
    for config in pairs.all("config").map(extract::config) {
        let config = config?;
        if !configs.contains(&config) && configs.len() <= CONFIGS_MAX {
            configs.push(config);
        }
    }
    if configs.is_empty() || configs.len() > CONFIGS_MAX {
        let hint = format!("name 1 to {CONFIGS_MAX} configs: `?config=payments/prod&config=feature-flags`");
        return Err(bad_request("a stream needs to know what to watch", hint));
    }
    let inline = if pairs.get("inline") == Some("1") {
        INLINE_BYTES_MAX
    } else {
        INLINE_BYTES_DEFAULT
    };
    let held = headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let held = held.or_else(|| pairs.get("have").map(str::to_owned));
    let mut feed = Feed::new(repo, (configs, Asker::read(&pairs)?), inline);
    feed.open(held.as_deref()).await?;
    Ok(respond(feed))
}

fn respond(feed: Feed) -> Response {
    let frames = stream::unfold(feed, |mut feed| async move {
        let frame = feed.next().await?;
        Some((Ok::<Bytes, Infallible>(frame), feed))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// One watched config of a stream.
struct Watched {
    config: ConfigName,
    wake: watch::Receiver<u64>,
    /// What the client was told last, or said it holds.
    held: Option<Token>,
    /// It was told that the config is gone.
    told_removed: bool,
}

/// One stream.
struct Feed {
    repo: Arc<Repo>,
    asker: Asker,
    inline_bytes_max: usize,
    watched: Vec<Watched>,
    status: watch::Receiver<Arc<StatusEvent>>,
    ready: VecDeque<Bytes>,
    heartbeat_at: Instant,
    bookmark_at: Instant,
    ends_at: Instant,
    ended: bool,
}

impl Feed {
    fn new(repo: Arc<Repo>, (configs, asker): (Vec<ConfigName>, Asker), inline_bytes_max: usize) -> Self {
        let watch = |config: ConfigName| Watched {
            wake: repo.board.watch_config(&config),
            config,
            held: None,
            told_removed: false,
        };
        let watched = configs.into_iter().map(watch).collect();
        let status = repo.board.watch_status();
        let now = Instant::now();
        Self {
            asker,
            inline_bytes_max,
            watched,
            status,
            ready: VecDeque::new(),
            heartbeat_at: now + spread(HEARTBEAT, 0.2),
            bookmark_at: now + spread(BOOKMARK, 0.2),
            ends_at: now + spread(AGE, 0.1),
            ended: false,
            repo,
        }
    }

    /// Compares once before the answer begins, so that what is wrong with the request can still be said by a status.
    async fn open(&mut self, held: Option<&str>) -> Result<()> {
        let published = self.repo.board.read();
        let mut refused = None;
        let mut any = false;
        for watched in &self.watched {
            match exposed(&self.repo, &published, &watched.config) {
                Ok(_) => any = true,
                Err(problem) => refused = Some(problem),
            }
        }
        if let (Some(problem), false) = (refused, any) {
            return Err(problem);
        }
        let token = held.and_then(Token::read);
        let unreadable = held.is_some() && token.is_none();
        self.ready.push_back(Bytes::from(format!(
            "retry: {}\n\n",
            1_000 + rand::random_range(0..1_000_u64)
        )));
        for index in 0..self.watched.len() {
            self.resume(index, token.as_ref());
            self.look(
                index,
                if unreadable {
                    ChangeKind::UnknownBase
                } else {
                    ChangeKind::Initial
                },
            )
            .await?;
        }
        let status = self.status.borrow_and_update().clone();
        if status.head_state != HeadState::Published || status.stale {
            self.ready.push_back(frame("status", None, &*status));
        }
        Ok(())
    }

    /// What the client says it holds counts for the config it belongs to: the only one, or the one whose target it is.
    fn resume(&mut self, index: usize, token: Option<&Token>) {
        let single = self.watched.len() == 1;
        let Some(token) = token else { return };
        let published = self.repo.board.read();
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        let target = exposed(&self.repo, &published, &watched.config)
            .ok()
            .map(|exposed| exposed.token(exposed.config.select(&self.asker.labels)));
        if single || target.as_ref() == Some(token) {
            watched.held = Some(token.clone());
        }
    }

    /// The next bytes of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits for the next thing to tell, and puts it into `ready`.
    async fn wait(&mut self) {
        let timer = self.heartbeat_at.min(self.bookmark_at).min(self.ends_at);
        // Cancel-safe: all arms only wait; what they announce is read afterwards.
        tokio::select! {
            () = self.repo.draining().clone().cancelled_owned() => self.leave("shutdown"),
            index = any_changed(&mut self.watched) => {
                if self.look(index, ChangeKind::Initial).await.is_err() {
                    // The upstream cannot be asked: nothing is told on a guess, and the client keeps what it holds.
                    self.leave("replica_behind");
                }
            }
            _ = self.status.changed() => {
                let status = self.status.borrow_and_update().clone();
                self.ready.push_back(frame("status", None, &*status));
            }
            () = tokio::time::sleep_until(timer) => self.tick(),
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.ends_at {
            self.leave("age");
        } else if now >= self.bookmark_at {
            self.bookmark_at = now + spread(BOOKMARK, 0.2);
            self.heartbeat_at = now + spread(HEARTBEAT, 0.2);
            self.bookmarks();
        } else {
            self.heartbeat_at = now + spread(HEARTBEAT, 0.2);
            self.ready.push_back(Bytes::from_static(b":\n\n"));
        }
    }

    fn bookmarks(&mut self) {
        let published = self.repo.board.read();
        let Some(tip) = &published.state.tip else { return };
        for watched in &self.watched {
            let Some(held) = &watched.held else { continue };
            let token = held.to_string();
            let event = BookmarkEvent {
                config: watched.config.clone(),
                token: token.clone(),
                tip: tip.clone(),
            };
            self.ready.push_back(frame("bookmark", Some(&token), &event));
        }
    }

    fn leave(&mut self, reason: &str) {
        let retry_after_ms = rand::random_range(0..=GOAWAY_SPREAD_MS);
        let event = GoawayEvent {
            reason: reason.to_owned(),
            retry_after_ms,
        };
        self.ready
            .push_back(Bytes::from(format!("retry: {retry_after_ms}\n\n")));
        self.ready.push_back(frame("goaway", None, &event));
        self.ended = true;
    }

    /// Compares one config with what the client was told, and tells the difference.
    async fn look(&mut self, index: usize, without_token: ChangeKind) -> Result<()> {
        let mut freshness = Freshness::NotAsked;
        loop {
            let Some(watched) = self.watched.get_mut(index) else {
                return Ok(());
            };
            watched.wake.borrow_and_update();
            let published = self.repo.board.read();
            let Ok(exposed) = exposed(&self.repo, &published, &watched.config).cloned() else {
                self.tell_removed(index);
                return Ok(());
            };
            watched.told_removed = false;
            let effective = exposed.config.select(&self.asker.labels);
            let token = exposed.token(effective);
            let held = watched.held.clone();
            match self
                .repo
                .compare(held.as_ref(), &exposed, &token, freshness)
                .await?
            {
                Compared::UpToDate | Compared::Hold => return Ok(()),
                Compared::Target(change) => {
                    let change = if held.is_none() { without_token } else { change };
                    self.tell_version(index, &published, (&exposed, effective), change);
                    return Ok(());
                }
                Compared::AskUpstream => {
                    freshness = match self.repo.fresh_listing(FRESH_DEADLINE).await? {
                        Fresh::Listed => Freshness::Fresh,
                        Fresh::Failed => Freshness::Failed,
                    };
                }
                Compared::ReplicaBehind => return Err(replica_behind(&published)),
            }
        }
    }

    fn tell_version(
        &mut self,
        index: usize,
        published: &Published,
        (exposed, effective): (&Exposed, &Effective),
        change: ChangeKind,
    ) {
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        let token = exposed.token(effective);
        let canonical = effective.canonical();
        let inline = canonical.len() <= self.inline_bytes_max;
        let event = VersionEvent {
            config: watched.config.clone(),
            token: token.to_string(),
            version: exposed.target.version.clone(),
            tip: published
                .state
                .tip
                .clone()
                .unwrap_or_else(|| exposed.target.version.clone()),
            change,
            phase: Phase::Active,
            generation: exposed.target.generation,
            digest: effective.digest().clone(),
            size: u64::try_from(canonical.len()).unwrap_or(u64::MAX),
            document: inline.then(|| effective.document().clone()),
        };
        self.ready.push_back(frame("version", Some(&event.token), &event));
        watched.held = Some(token);
    }

    fn tell_removed(&mut self, index: usize) {
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        if std::mem::replace(&mut watched.told_removed, true) {
            return;
        }
        watched.held = None;
        let status = self.status.borrow().clone();
        let event = StatusEvent {
            removed: vec![watched.config.clone()],
            ..(*status).clone()
        };
        self.ready.push_back(frame("status", None, &event));
    }
}

/// Waits until the target of any watched config changed, and says which.
async fn any_changed(watched: &mut [Watched]) -> usize {
    let changes = watched.iter_mut().map(|watched| watched.wake.changed().boxed());
    let (result, index, _) = future::select_all(changes).await;
    if result.is_err() {
        // The board is gone: the process is stopping, and the drain ends the stream.
        future::pending::<()>().await;
    }
    index
}

/// One event. `data` is one line, since JSON holds no line break.
fn frame<T: Serialize>(name: &str, id: Option<&str>, data: &T) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(match id {
        Some(id) => format!("event: {name}\nid: {id}\ndata: {data}\n\n"),
        None => format!("event: {name}\ndata: {data}\n\n"),
    })
}

/// A duration at random around `mean`, by `share` of it.
fn spread(mean: Duration, share: f64) -> Duration {
    mean.mul_f64(1.0 - share + 2.0 * share * rand::random::<f64>())
}
