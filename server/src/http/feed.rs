//! What one watcher is told: the same comparison as the long poll, as it happens. Event streams and sockets are two
//! encodings of it.
//!
//! Invariant: a feed holds no queue. It looks at the newest state when its reader has taken the last item, so a slow
//! reader skips versions and costs nothing; per config at most one `version` stands between two looks.

use std::collections::VecDeque;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant as Moment};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::Stream;
use headwater_core::{Answer as Compared, Token};
use headwater_validators::Effective;
use headwater_wire::{
    BookmarkEvent, ChangeKind, ConfigName, Generation, GoawayEvent, HeadState, StatusEvent, VersionEventWith,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, Sleep};

use super::auth;
use super::extract::Asker;
use super::look::{Seen, look_until_known};
use super::problem::Result;
use super::wanted::Wanted;
use super::watch::told;
use crate::auth::Identity;
use crate::hub::{Rung, Seat};
use crate::line::{Line, Said};
use crate::publish::{Manner, Published, Saying, Standing, Told};
use crate::repo::Repo;

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
    /// An event.
    Event(Arc<Line>),
    /// Nothing changed for a while.
    Beat,
    /// How long to wait before the next connect, in ms.
    Retry(u64),
}

/// One watched config.
struct Watched {
    config: ConfigName,
    /// What the client was told last, or said it holds.
    held: Option<Arc<Token>>,
    /// Generation under which it holds it: a higher one is told, although the content is the same.
    generation: Option<Generation>,
    /// It was told that the config is gone.
    told_removed: bool,
}

/// Everything one watcher is told, in order. It ends by itself, and never fails.
pub(super) struct Feed {
    repo: Arc<Repo>,
    asker: Asker,
    inline_bytes_max: usize,
    watched: Box<[Watched]>,
    seat: Seat,
    /// How the repository stood when the client heard of it last.
    standing: Arc<Standing>,
    identity: Option<Identity>,
    ready: VecDeque<Item>,
    /// What rang and is not looked at yet: configs from this place on.
    rung: Option<(Rung, usize)>,
    /// A look that the mirror or the upstream is asked for, which is rare, so it takes room only then.
    looking: Option<BoxFuture<'static, (usize, Result<Seen>)>>,
    timer: Pin<Box<Sleep>>,
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

    fn new(wanted: Wanted) -> Self {
        let Wanted {
            repo,
            asker,
            configs,
            inline_bytes_max,
            identity,
            ..
        } = wanted;
        let seat = repo.board.wait_for_all(&configs);
        let standing = repo.board.standing();
        let watch = |config: ConfigName| Watched {
            config,
            held: None,
            generation: None,
            told_removed: false,
        };
        let now = Instant::now();
        let heartbeat_at = now + spread(HEARTBEAT, 0.2);
        Self {
            asker,
            inline_bytes_max,
            watched: configs.into_iter().map(watch).collect(),
            seat,
            standing,
            identity,
            ready: VecDeque::new(),
            rung: None,
            looking: None,
            timer: Box::pin(tokio::time::sleep_until(heartbeat_at)),
            heartbeat_at,
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
        let without_token = if held.is_some() && token.is_none() {
            ChangeKind::UnknownBase
        } else {
            ChangeKind::Initial
        };
        self.ready
            .push_back(Item::Retry(1_000 + rand::random_range(0..1_000_u64)));
        for place in 0..self.watched.len() {
            self.resume(place, token.as_ref());
            let seen = match self.look_now(place) {
                Some(seen) => seen,
                None => self.look_longer(place).await.1?,
            };
            self.note((place, without_token), seen, None);
        }
        self.standing = self.repo.board.standing();
        let event = &self.standing.event;
        if event.head_state != HeadState::Published || event.stale {
            self.tell_standing();
        }
        Ok(())
    }

    /// What the client says it holds counts for the config it belongs to: the only one, or the one whose target it is.
    fn resume(&mut self, place: usize, token: Option<&Token>) {
        let single = self.watched.len() == 1;
        let Some(token) = token else { return };
        let published = self.repo.board.read();
        let Some(watched) = self.watched.get_mut(place) else {
            return;
        };
        let target = told(&self.repo, &published, &watched.config, self.asker.who())
            .ok()
            .map(|told| told.token(told.exposed.config.select(&self.asker.labels)));
        if single || target.as_ref() == Some(token) {
            watched.held = Some(Arc::new(token.clone()));
        }
    }

    /// The next item; nothing ends the feed.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.seat.listen(cx);
        loop {
            if let Some(item) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    // An idle watcher keeps no room for what it was told.
                    self.ready = VecDeque::new();
                }
                return Poll::Ready(Some(item));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if self.repo.draining().is_cancelled() {
                self.leave("shutdown");
            } else if let Some(looking) = &mut self.looking {
                let (place, seen) = ready!(looking.as_mut().poll(cx));
                self.looking = None;
                self.look_back(place, seen);
            } else if self.rung.is_some() {
                self.look_on();
            } else if let Some(rung) = self.seat.take() {
                self.rung = Some((rung, 0));
                if rung.is_about_status() {
                    self.look_at_standing();
                }
            } else {
                ready!(self.timer.as_mut().poll(cx));
                self.tick();
                let next = self.heartbeat_at.min(self.bookmark_at).min(self.ends_at);
                self.timer.as_mut().reset(next);
            }
        }
    }

    /// Looks at the next config that rang.
    fn look_on(&mut self) {
        let Some((rung, from)) = self.rung else { return };
        let next = (from..self.watched.len()).find(|place| rung.is_about(*place));
        let Some(place) = next else {
            self.rung = None;
            return;
        };
        self.rung = Some((rung, place + 1));
        match self.look_now(place) {
            Some(seen) => self.note((place, ChangeKind::Initial), seen, rung.changed),
            None => self.looking = Some(self.look_longer(place).boxed()),
        }
    }

    fn look_back(&mut self, place: usize, seen: Result<Seen>) {
        let changed = self.rung.and_then(|(rung, _)| rung.changed);
        match seen {
            Ok(seen) => self.note((place, ChangeKind::Initial), seen, changed),
            // The upstream cannot be asked: nothing is told on a guess, and the client keeps what it holds.
            Err(_) => self.leave("replica_behind"),
        }
    }

    /// Compares one config with what the client was told, if all that it takes for that is known.
    fn look_now(&self, place: usize) -> Option<Seen> {
        let watched = self.watched.get(place)?;
        let published = self.repo.board.read();
        let Ok(told) = told(&self.repo, &published, &watched.config, self.asker.who()) else {
            return Some(Seen {
                published,
                told: None,
            });
        };
        let token = told.token(told.exposed.config.select(&self.asker.labels));
        let compared = self
            .repo
            .compare_now(watched.held.as_deref(), (&watched.config, &told), &token)?;
        match compared {
            Compared::AskUpstream => None,
            Compared::UpToDate | Compared::Hold | Compared::Target(_) | Compared::ReplicaBehind => {
                Some(Seen {
                    published,
                    told: Some((told, compared)),
                })
            }
        }
    }

    /// The same, and asks the mirror and the upstream for what is not known.
    fn look_longer(&self, place: usize) -> impl Future<Output = (usize, Result<Seen>)> + Send + use<> {
        let (repo, asker) = (self.repo.clone(), self.asker.clone());
        let watched = self.watched.get(place);
        let watched = watched.map(|watched| (watched.config.clone(), watched.held.clone()));
        async move {
            let seen = match watched {
                Some((config, held)) => look_until_known(&repo, &asker, &config, held.as_deref()).await,
                None => Ok(Seen {
                    published: repo.board.read(),
                    told: None,
                }),
            };
            (place, seen)
        }
    }

    /// Tells the difference that a look found.
    fn note(&mut self, (place, without_token): (usize, ChangeKind), seen: Seen, changed: Option<Moment>) {
        let Some((told, compared)) = seen.told else {
            self.tell_removed(place);
            return;
        };
        let Some(watched) = self.watched.get_mut(place) else {
            return;
        };
        watched.told_removed = false;
        match compared {
            Compared::UpToDate => {
                let before = *watched.generation.get_or_insert(told.generation);
                if before < told.generation {
                    self.tell_version(place, &seen.published, &told, ChangeKind::Rerender);
                }
            }
            Compared::Target(change) => {
                let change = if watched.held.is_none() {
                    without_token
                } else {
                    change
                };
                self.tell_version(place, &seen.published, &told, change);
                self.count(place, &told, changed);
            }
            // What can only be said after asking was asked for.
            Compared::Hold | Compared::AskUpstream | Compared::ReplicaBehind => {}
        }
    }

    /// Counts that a change was told, and how long after it came.
    fn count(&self, place: usize, told: &Told, changed: Option<Moment>) {
        let (Some(changed), Some(watched)) = (changed, self.watched.get(place)) else {
            return;
        };
        self.repo.metrics.woke(changed);
        let version = (&watched.config, &told.exposed.target.version);
        self.repo
            .flights
            .woke(version, self.asker.instance.as_ref(), changed);
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

    fn tell_version(&mut self, place: usize, published: &Published, told: &Told, change: ChangeKind) {
        let Some(watched) = self.watched.get_mut(place) else {
            return;
        };
        let effective = told.exposed.config.select(&self.asker.labels);
        let manner = Manner {
            generation: told.generation,
            phase: told.phase,
            change,
            inline: effective.canonical().len() <= self.inline_bytes_max,
        };
        let target = &told.exposed.target;
        let saying = Saying {
            tip: published.state.tip.as_ref().unwrap_or(&target.version),
            digest: effective.digest(),
            manner,
        };
        let said = told.exposed.said(saying, || {
            let document = manner.inline.then(|| raw(effective)).flatten();
            let event = version_event(&watched.config, published, (told, effective), change, document);
            let token = told.token(effective);
            Said {
                line: Arc::new(Line::new("version", Some(token.to_string()), &event)),
                token: Arc::new(token),
            }
        });
        watched.generation = Some(told.generation);
        watched.held = Some(said.token.clone());
        if let Some(instance) = &self.asker.instance {
            self.repo
                .told(instance, iter::once((&watched.config, told.generation)));
        }
        self.ready.push_back(Item::Event(said.line.clone()));
    }

    fn tell_removed(&mut self, place: usize) {
        let Some(watched) = self.watched.get_mut(place) else {
            return;
        };
        if std::mem::replace(&mut watched.told_removed, true) {
            return;
        }
        watched.held = None;
        watched.generation = None;
        let event = StatusEvent {
            removed: vec![watched.config.clone()],
            ..auth::told(self.identity.as_ref(), &self.repo.board.standing().event)
        };
        self.tell("status", None, &event);
    }

    /// Tells how the repository stands, if the client has not heard of it.
    fn look_at_standing(&mut self) {
        let standing = self.repo.board.standing();
        if !Arc::ptr_eq(&standing, &self.standing) {
            self.standing = standing;
            self.tell_standing();
        }
    }

    /// Tells how the repository stands, as far as it is the asker's.
    fn tell_standing(&mut self) {
        if auth::is_told_all(self.identity.as_ref()) {
            self.ready.push_back(Item::Event(self.standing.line.clone()));
        } else {
            let told = auth::told(self.identity.as_ref(), &self.standing.event);
            self.tell("status", None, &told);
        }
    }

    fn tell<T: Serialize>(&mut self, name: &'static str, id: Option<String>, data: &T) {
        self.ready
            .push_back(Item::Event(Arc::new(Line::new(name, id, data))));
    }
}

impl Stream for Feed {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll_item(cx)
    }
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
