//! What one watcher is told: the same comparison as the long poll, as it happens. Event streams and sockets are two
//! encodings of it.
//!
//! Invariant: a feed holds no queue. It looks at the newest state when its reader has taken the last item, so a slow
//! reader skips versions and costs nothing; per config at most one `version` stands between two looks.

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, FutureExt};
use futures_util::stream::{self, Stream};
use headwater_core::{Answer as Compared, Freshness, Token};
use headwater_validators::Effective;
use headwater_wire::{
    BookmarkEvent, ChangeKind, ConfigName, Generation, GoawayEvent, HeadState, StatusEvent, VersionEventWith,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::auth;
use super::extract::{self, Asker, Pairs};
use super::problem::{Result, bad_request};
use super::state::App;
use super::watch::{FRESH_DEADLINE, replica_behind, told};
use crate::auth::Identity;
use crate::pipeline::Fresh;
use crate::publish::{Published, Told, Wake};
use crate::repo::Repo;

/// Documents up to this many bytes are told with the event.
pub(super) const INLINE_BYTES_DEFAULT: usize = 4 << 10;
/// The same where the client asks for it by `inline=1`.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// Configs one feed may name.
const CONFIGS_MAX: usize = 256;
/// Mean time between two signs of life, which keep proxies and watchdogs content.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Mean time between two bookmarks.
const BOOKMARK: Duration = Duration::from_secs(30);
/// Mean age at which a watcher is asked to come back, so that connections spread over replicas again.
const AGE: Duration = Duration::from_mins(30);
/// Longest time over which clients are asked to spread when the process stops.
const GOAWAY_SPREAD_MS: u64 = 3_000;

/// One thing to tell.
#[derive(Debug)]
pub(super) enum Item {
    /// An event; its data is one line, since JSON holds no line break.
    Event {
        /// Its name.
        name: &'static str,
        /// Its id, where it has one.
        id: Option<String>,
        /// What is told.
        data: Box<RawValue>,
    },
    /// Nothing changed for a while.
    Beat,
    /// How long to wait before the next connect, in ms.
    Retry(u64),
}

/// What a watcher asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Repository.
    pub repo: Arc<Repo>,
    /// Who asks.
    pub asker: Asker,
    configs: Vec<ConfigName>,
    inline_bytes_max: usize,
    held: Option<String>,
    identity: Option<Identity>,
}

impl Wanted {
    /// The same, for the holder of a token.
    pub(super) fn of(self, identity: Option<Identity>) -> Self {
        Self { identity, ..self }
    }

    /// Reads the query; `last_event_id` is what the client holds, and wins over `have`.
    pub(super) fn read(
        app: &App,
        repo: &str,
        query: Option<&str>,
        last_event_id: Option<&str>,
    ) -> Result<Self> {
        let repo = extract::repo(app, repo)?;
        let pairs = Pairs::read(query)?;
        let mut configs: Vec<ConfigName> = Vec::new();
        for config in pairs.all("config").map(extract::config) {
            let config = config?;
            if !configs.contains(&config) && configs.len() <= CONFIGS_MAX {
                configs.push(config);
            }
        }
        if configs.is_empty() || configs.len() > CONFIGS_MAX {
            let hint =
                format!("name 1 to {CONFIGS_MAX} configs: `?config=payments/prod&config=feature-flags`");
            return Err(bad_request("a stream needs to know what to watch", hint));
        }
        let inline_bytes_max = if pairs.get("inline") == Some("1") {
            INLINE_BYTES_MAX
        } else {
            INLINE_BYTES_DEFAULT
        };
        let held = last_event_id.or(pairs.get("have")).map(str::to_owned);
        Ok(Self {
            asker: Asker::known_to(&repo, &pairs)?,
            repo,
            configs,
            inline_bytes_max,
            held,
            identity: None,
        })
    }
}

/// One watched config.
struct Watched {
    config: ConfigName,
    wake: watch::Receiver<Wake>,
    /// When what wakes it now changed, until it is told.
    woken: Wake,
    /// What the client was told last, or said it holds.
    held: Option<Token>,
    /// Generation under which it holds it: a higher one is told, although the content is the same.
    generation: Option<Generation>,
    /// It was told that the config is gone.
    told_removed: bool,
}

/// Everything one watcher is told, in order.
pub(super) struct Feed {
    repo: Arc<Repo>,
    asker: Asker,
    inline_bytes_max: usize,
    watched: Vec<Watched>,
    status: watch::Receiver<Arc<StatusEvent>>,
    identity: Option<Identity>,
    ready: VecDeque<Item>,
    heartbeat_at: Instant,
    bookmark_at: Instant,
    ends_at: Instant,
    ended: bool,
}

impl Feed {
    /// Compares once, so that what is wrong with the request can still be said by a status.
    pub(super) async fn open(wanted: Wanted) -> Result<Self> {
        let held = wanted.held.clone();
        let mut feed = Self::new(wanted);
        feed.begin(held.as_deref()).await?;
        Ok(feed)
    }

    /// The items as a stream. Waiting for the next one is cancel-safe, since the stream keeps what it began.
    pub(super) fn items(self) -> impl Stream<Item = Item> {
        stream::unfold(self, |mut feed| async move {
            let item = feed.next().await?;
            Some((item, feed))
        })
    }

    fn new(wanted: Wanted) -> Self {
        let Wanted {
            repo,
            asker,
            configs,
            inline_bytes_max,
            identity,
            ..
        } = wanted;
        let watch = |config: ConfigName| Watched {
            wake: repo.board.watch_config(&config),
            woken: None,
            config,
            held: None,
            generation: None,
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
            identity,
            ready: VecDeque::new(),
            heartbeat_at: now + spread(HEARTBEAT, 0.2),
            bookmark_at: now + spread(BOOKMARK, 0.2),
            ends_at: now + spread(AGE, 0.1),
            ended: false,
            repo,
        }
    }

    async fn begin(&mut self, held: Option<&str>) -> Result<()> {
        let published = self.repo.board.read();
        let mut refused = None;
        let mut any = false;
        for watched in &self.watched {
            match told(&self.repo, &published, &watched.config, self.asker.who()) {
                Ok(_) => any = true,
                Err(problem) => refused = Some(problem),
            }
        }
        if let (Some(problem), false) = (refused, any) {
            return Err(problem);
        }
        let token = held.and_then(Token::read);
        let unreadable = held.is_some() && token.is_none();
        self.ready
            .push_back(Item::Retry(1_000 + rand::random_range(0..1_000_u64)));
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
        let status = auth::told(self.identity.as_ref(), &self.status.borrow_and_update());
        if status.head_state != HeadState::Published || status.stale {
            self.tell("status", None, &status);
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
        let target = told(&self.repo, &published, &watched.config, self.asker.who())
            .ok()
            .map(|told| told.token(told.exposed.config.select(&self.asker.labels)));
        if single || target.as_ref() == Some(token) {
            watched.held = Some(token.clone());
        }
    }

    /// The next item; `None` ends the feed.
    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
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
                if let Some(watched) = self.watched.get_mut(index) {
                    watched.woken = *watched.wake.borrow();
                }
                if self.look(index, ChangeKind::Initial).await.is_err() {
                    // The upstream cannot be asked: nothing is told on a guess, and the client keeps what it holds.
                    self.leave("replica_behind");
                }
            }
            _ = self.status.changed() => {
                let status = auth::told(self.identity.as_ref(), &self.status.borrow_and_update());
                self.tell("status", None, &status);
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
            self.ready.push_back(Item::Beat);
        }
    }

    fn bookmarks(&mut self) {
        let published = self.repo.board.read();
        let Some(tip) = &published.state.tip else { return };
        let mut events = Vec::new();
        for watched in &self.watched {
            let Some(held) = &watched.held else { continue };
            let token = held.to_string();
            let event = BookmarkEvent {
                config: watched.config.clone(),
                token: token.clone(),
                tip: tip.clone(),
            };
            events.push((token, event));
        }
        for (token, event) in events {
            self.tell("bookmark", Some(token), &event);
        }
    }

    fn leave(&mut self, reason: &str) {
        let retry_after_ms = rand::random_range(0..=GOAWAY_SPREAD_MS);
        let event = GoawayEvent {
            reason: reason.to_owned(),
            retry_after_ms,
        };
        self.ready.push_back(Item::Retry(retry_after_ms));
        self.tell("goaway", None, &event);
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
            let Ok(told) = told(&self.repo, &published, &watched.config, self.asker.who()) else {
                self.tell_removed(index);
                return Ok(());
            };
            watched.told_removed = false;
            let effective = told.exposed.config.select(&self.asker.labels);
            let token = told.token(effective);
            let (held, config) = (watched.held.clone(), watched.config.clone());
            match self
                .repo
                .compare(held.as_ref(), (&config, &told), &token, freshness)
                .await?
            {
                Compared::UpToDate => {
                    let before = watched_generation(self.watched.get_mut(index), told.generation);
                    if before < told.generation {
                        self.tell_version(index, &published, (&told, effective), ChangeKind::Rerender);
                    }
                    return Ok(());
                }
                Compared::Hold => return Ok(()),
                Compared::Target(change) => {
                    let change = if held.is_none() { without_token } else { change };
                    self.tell_version(index, &published, (&told, effective), change);
                    if let Some(changed) = self
                        .watched
                        .get_mut(index)
                        .and_then(|watched| watched.woken.take())
                    {
                        let version = (&config, &told.exposed.target.version);
                        self.repo.metrics.woke(changed);
                        self.repo
                            .flights
                            .woke(version, self.asker.instance.as_ref(), changed);
                    }
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
        (told, effective): (&Told, &Effective),
        change: ChangeKind,
    ) {
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        let token = told.token(effective);
        let inline = effective.canonical().len() <= self.inline_bytes_max;
        let document = inline.then(|| raw(effective)).flatten();
        let event = version_event(&watched.config, published, (told, effective), change, document);
        watched.generation = Some(event.generation);
        let id = token.to_string();
        watched.held = Some(token);
        if let Some(instance) = &self.asker.instance {
            self.repo
                .told(instance, iter::once((&event.config, event.generation)));
        }
        self.tell("version", Some(id), &event);
    }

    fn tell_removed(&mut self, index: usize) {
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        if std::mem::replace(&mut watched.told_removed, true) {
            return;
        }
        watched.held = None;
        watched.generation = None;
        let event = StatusEvent {
            removed: vec![watched.config.clone()],
            ..auth::told(self.identity.as_ref(), &self.status.borrow())
        };
        self.tell("status", None, &event);
    }

    fn tell<T: Serialize>(&mut self, name: &'static str, id: Option<String>, data: &T) {
        let data = to_raw_value(data).unwrap_or_default();
        self.ready.push_back(Item::Event { name, id, data });
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

/// The generation under which a watched config is held; what was not known before is as of now.
fn watched_generation(watched: Option<&mut Watched>, now: Generation) -> Generation {
    watched.map_or(now, |watched| *watched.generation.get_or_insert(now))
}

/// What is told of one config.
pub(super) fn version_event<D>(
    config: &ConfigName,
    published: &Published,
    (told, effective): (&Told, &Effective),
    change: ChangeKind,
    document: Option<D>,
) -> VersionEventWith<D> {
    let target = &told.exposed.target;
    VersionEventWith {
        config: config.clone(),
        token: told.token(effective).to_string(),
        version: target.version.clone(),
        tip: published
            .state
            .tip
            .clone()
            .unwrap_or_else(|| target.version.clone()),
        change,
        phase: told.phase,
        generation: told.generation,
        digest: effective.digest().clone(),
        size: u64::try_from(effective.canonical().len()).unwrap_or(u64::MAX),
        document,
    }
}

/// The document as the text that its digest is of.
pub(super) fn raw(effective: &Effective) -> Option<&RawValue> {
    serde_json::from_str(effective.canonical()).ok()
}

/// A duration at random around `mean`, by `share` of it.
pub(super) fn spread(mean: Duration, share: f64) -> Duration {
    mean.mul_f64(1.0 - share + 2.0 * share * rand::random::<f64>())
}
