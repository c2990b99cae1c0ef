//! Who follows which page: each page is made once, for all who follow it.
//!
//! Invariant: a page is made while somebody follows it, by one task, which ends with its last follower. A page is looked
//! at twice a second at most, and may take a small part of the time only; few are looked at at once, so that pages that
//! are hard to make wait for each other, and reports for none of them. Followers and pages are bounded, in all and for
//! each address, and whoever opened a page is charged with it. Whoever reads slowly finds the newest part, and keeps no
//! other. That a moment lies longer back is no news: it is told again seldom.

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::TokenDigest;
use crate::http::Caller;
use crate::metrics::PageMetrics;

/// Followers in all: what each costs is a connection and a place in a list.
const FOLLOWERS_MAX: usize = 1_024;
/// Followers of one address, behind which there may be a whole office.
const FOLLOWERS_OF_ONE_MAX: usize = 256;
/// Pages that are followed, each of which is made again and again.
const SUBJECTS_MAX: usize = 128;
/// Those of them that one address has opened.
const SUBJECTS_OF_ONE_MAX: usize = 48;
/// Pages that are looked at at once: the processors are there for those who report.
const LOOKS_AT_ONCE: usize = 2;
/// Longest time of a look; after that the part stays as it was told.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);
/// Shortest time between two looks at a page.
const PAUSE: Duration = Duration::from_millis(500);
/// How many times longer than a look the pause after it is.
const PAUSE_FACTOR: u32 = 10;
/// How long a part is left as it is if nothing but the age of moments is another.
const AGES_PAUSE: Duration = Duration::from_secs(10);

/// What is followed: a page, as those see it who may see the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Path and query.
    pub here: String,
    /// What the API is asked with.
    pub authorization: Option<HeaderValue>,
    /// The session that it is asked in.
    pub session: Option<TokenDigest>,
    /// Who was let in, of whom there may be nothing in what is sent but to the proxy that says so.
    pub who: Option<usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// For anybody.
    #[error("too many pages are followed at once; this one shows what is so whenever it is loaded")]
    ForAll,
    /// For one address.
    #[error("too many pages are followed from this address; this one shows what is so whenever it is loaded")]
    ForOne,
}

/// Everybody who follows a page.
#[derive(Debug, Clone)]
pub(in crate::dashboard) struct Crowd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Mutex<Places>,
    looks: Semaphore,
    metrics: PageMetrics,
    draining: CancellationToken,
}

#[derive(Debug, Default)]
struct Places {
    followers: BTreeMap<IpAddr, usize>,
    subjects: BTreeMap<Subject, Followed>,
}

/// The part of a page as it was told last; nothing before the first look.
type Part = watch::Sender<Option<Bytes>>;

#[derive(Debug)]
struct Followed {
    part: Arc<Part>,
    opened_by: IpAddr,
}

impl Crowd {
    /// Nobody yet; all is over once `draining` is cancelled.
    pub(in crate::dashboard) fn new(metrics: PageMetrics, draining: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            places: Mutex::default(),
            looks: Semaphore::new(LOOKS_AT_ONCE),
            metrics,
            draining,
        }))
    }

    /// One more who follows a page, which is made by `look` if nobody else does.
    pub(super) fn join<F>(
        &self,
        subject: Subject,
        caller: Option<Caller>,
        look: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Follower, Full>
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let network = caller.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Caller::network);
        let mut places = self.0.places();
        if let Err(full) = places.admit(&subject, network) {
            drop(places);
            self.0.metrics.refused.inc();
            return Err(full);
        }
        *places.followers.entry(network).or_default() += 1;
        self.0.metrics.followers.inc();
        let parts = match places.subjects.get(&subject) {
            Some(followed) => subscribe(&followed.part),
            None => self.open(&mut places, subject, network, look),
        };
        drop(places);
        Ok(Follower {
            parts,
            crowd: self.0.clone(),
            network,
        })
    }

    fn open<F>(
        &self,
        places: &mut Places,
        subject: Subject,
        opened_by: IpAddr,
        look: impl Fn() -> F + Send + Sync + 'static,
    ) -> watch::Receiver<Option<Bytes>>
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let (part, parts) = watch::channel(None);
        let part = Arc::new(part);
        let followed = Followed {
            part: part.clone(),
            opened_by,
        };
        places.subjects.insert(subject.clone(), followed);
        self.0.metrics.subjects.inc();
        let task = Task {
            crowd: self.0.clone(),
            subject,
            part,
        };
        tokio::spawn(task.run(look));
        parts
    }
}

impl Inner {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Whether there is a place for one more.
    fn admit(&self, subject: &Subject, network: IpAddr) -> Result<(), Full> {
        let is_new = !self.subjects.contains_key(subject);
        let opened = self.subjects.values().filter(|one| one.opened_by == network);
        let own = self.followers.get(&network).copied().unwrap_or_default();
        if own >= FOLLOWERS_OF_ONE_MAX || (is_new && opened.count() >= SUBJECTS_OF_ONE_MAX) {
            return Err(Full::ForOne);
        }
        let all: usize = self.followers.values().sum();
        if all >= FOLLOWERS_MAX || (is_new && self.subjects.len() >= SUBJECTS_MAX) {
            return Err(Full::ForAll);
        }
        Ok(())
    }
}

/// Whoever comes later is told at once what the others were told.
fn subscribe(part: &Part) -> watch::Receiver<Option<Bytes>> {
    let mut parts = part.subscribe();
    if parts.borrow().is_some() {
        parts.mark_changed();
    }
    parts
}

/// One who follows a page; his place is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Follower {
    parts: watch::Receiver<Option<Bytes>>,
    crowd: Arc<Inner>,
    network: IpAddr,
}

impl Follower {
    /// The newest part that he was not told, once there is one; none when the page is no longer told.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.parts.changed().await.ok()?;
        self.parts.borrow_and_update().clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.crowd.metrics.followers.dec();
        let mut places = self.crowd.places();
        if let Some(own) = places.followers.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                places.followers.remove(&self.network);
            }
        }
    }
}

/// What makes a page for those who follow it.
struct Task {
    crowd: Arc<Inner>,
    subject: Subject,
    part: Arc<Part>,
}

impl Task {
    async fn run<F>(self, look: impl Fn() -> F)
    where
        F: Future<Output = Option<String>>,
    {
        let mut told = Told::default();
        loop {
            // Cancel-safe: a look that is given up has changed nothing.
            let took = tokio::select! {
                () = self.crowd.draining.cancelled() => return,
                took = self.look(&look, &mut told) => took,
            };
            let pause = PAUSE.max(took.saturating_mul(PAUSE_FACTOR));
            if self.pause(pause).await.is_break() {
                return;
            }
        }
    }

    /// Looks once, and tells what is new. Returns how long it took.
    async fn look<F>(&self, look: &impl Fn() -> F, told: &mut Told) -> Duration
    where
        F: Future<Output = Option<String>>,
    {
        // It is never closed.
        let turn = self.crowd.looks.acquire().await.ok();
        let started = Instant::now();
        let part = tokio::time::timeout(LOOK_DEADLINE, look()).await;
        let took = started.elapsed();
        self.crowd.metrics.looks.inc();
        if let Ok(Some(part)) = part
            && told.is_news(&part)
        {
            self.part.send_replace(Some(event(&part)));
        }
        // All looks together take half of the time that is theirs.
        tokio::time::sleep(took).await;
        drop(turn);
        took
    }

    /// Waits for the next look; not longer than anybody is there.
    async fn pause(&self, pause: Duration) -> ControlFlow<()> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            // Cancel-safe: all arms only wait.
            tokio::select! {
                () = self.crowd.draining.cancelled() => return ControlFlow::Break(()),
                () = &mut over => return ControlFlow::Continue(()),
                () = self.part.closed() => {
                    if self.end().is_break() {
                        return ControlFlow::Break(());
                    }
                }
            }
        }
    }

    /// Ends if nobody has come meanwhile.
    fn end(&self) -> ControlFlow<()> {
        let mut places = self.crowd.places();
        if self.part.receiver_count() > 0 {
            return ControlFlow::Continue(());
        }
        self.leave(&mut places);
        ControlFlow::Break(())
    }

    /// Whoever comes later opens the page anew.
    fn leave(&self, places: &mut Places) {
        let followed = places.subjects.get(&self.subject);
        if followed.is_some_and(|followed| Arc::ptr_eq(&followed.part, &self.part)) {
            places.subjects.remove(&self.subject);
            self.crowd.metrics.subjects.dec();
        }
    }
}

impl Drop for Task {
    /// Also where a look panics: who follows must not wait for nobody.
    fn drop(&mut self) {
        let mut places = self.crowd.places();
        self.leave(&mut places);
    }
}

/// What was told last.
#[derive(Debug, Default)]
struct Told(Option<(u64, Instant)>);

impl Told {
    /// Whether a part is to be told; if so, it counts as told.
    fn is_news(&mut self, part: &str) -> bool {
        let shown = fingerprint(part);
        let is_news = self
            .0
            .is_none_or(|(told, at)| told != shown || at.elapsed() >= AGES_PAUSE);
        if is_news {
            self.0 = Some((shown, Instant::now()));
        }
        is_news
    }
}

/// A part without its moments, which are another in every look.
fn fingerprint(part: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for piece in part.split("<time ") {
        let after = piece.split_once("</time>").map_or(piece, |(_, after)| after);
        after.hash(&mut hasher);
    }
    hasher.finish()
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::BoxFuture;

    use super::*;

    /// A page that shows a number, and is made as often as the test lets it.
    #[derive(Debug, Clone)]
    struct Shown {
        number: Arc<AtomicU64>,
        looks: Arc<AtomicU64>,
        turns: Arc<Semaphore>,
    }

    impl Shown {
        fn new() -> Self {
            Self {
                number: Arc::default(),
                looks: Arc::default(),
                turns: Arc::new(Semaphore::new(0)),
            }
        }

        /// Shows another number in one more look.
        fn set(&self, number: u64) {
            self.number.store(number, Ordering::Relaxed);
            self.turns.add_permits(1);
        }

        fn look(&self) -> impl Fn() -> BoxFuture<'static, Option<String>> + Send + Sync + 'static {
            let shown = self.clone();
            move || Box::pin(shown.clone().shown())
        }

        async fn shown(self) -> Option<String> {
            self.turns.acquire().await.ok()?.forget();
            self.looks.fetch_add(1, Ordering::Relaxed);
            Some(format!("<p>\n{}", self.number.load(Ordering::Relaxed)))
        }

        fn looks(&self) -> u64 {
            self.looks.load(Ordering::Relaxed)
        }
    }

    fn crowd() -> Crowd {
        Crowd::new(PageMetrics::default(), CancellationToken::new())
    }

    fn page(here: &str) -> Subject {
        Subject {
            here: here.to_owned(),
            authorization: None,
            session: None,
            who: None,
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a caller is known or not, and both are tried"
    )]
    fn from(address: &str) -> Option<Caller> {
        Some(Caller(address.parse().unwrap()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is compared with")]
    fn said(number: u64) -> Option<Bytes> {
        Some(Bytes::from(format!("data: <p>\ndata: {number}\n\n")))
    }

    #[tokio::test]
    async fn a_hundred_followers_are_told_a_change_by_one_look_and_the_same_bytes() {
        let (crowd, shown) = (crowd(), Shown::new());
        let join = |_| crowd.join(page("/"), from("10.0.0.1"), shown.look()).unwrap();
        let mut all: Vec<Follower> = (0..100).map(join).collect();
        for number in 0..3 {
            shown.set(number);
            let mut told = Vec::new();
            for follower in &mut all {
                told.push(follower.next().await.unwrap());
            }
            assert_eq!(told.first().cloned(), said(number));
            assert!(told.iter().all(|part| part.as_ptr() == told[0].as_ptr()));
            assert_eq!(shown.looks(), number + 1);
        }
    }

    #[tokio::test]
    async fn who_reads_slowly_finds_the_newest_and_holds_nobody_back() {
        let (crowd, shown) = (crowd(), Shown::new());
        let join = || crowd.join(page("/"), from("10.0.0.1"), shown.look()).unwrap();
        let (mut quick, mut slow) = (join(), join());
        for number in 0..5 {
            shown.set(number);
            assert_eq!(quick.next().await, said(number));
        }
        assert_eq!(slow.next().await, said(4));
        assert!(!slow.parts.has_changed().unwrap());
    }

    #[tokio::test]
    async fn nothing_is_made_for_nobody_and_whoever_comes_later_is_told_at_once() {
        let (crowd, shown) = (crowd(), Shown::new());
        let join = || crowd.join(page("/"), from("10.0.0.1"), shown.look()).unwrap();
        let mut first = join();
        shown.set(0);
        first.next().await;
        let mut second = join();
        assert_eq!((second.next().await, shown.looks()), (said(0), 1));
        drop((first, second));
        while crowd.0.metrics.subjects.get() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((crowd.0.metrics.followers.get(), shown.looks()), (0, 1));
        let mut later = join();
        shown.set(2);
        assert_eq!((later.next().await, shown.looks()), (said(2), 2));
    }

    #[tokio::test]
    async fn one_address_takes_the_places_of_no_other() {
        let (crowd, shown) = (crowd(), Shown::new());
        let join = |here: &str, address: &str| crowd.join(page(here), from(address), shown.look());
        let mut kept: Vec<Follower> = (0..SUBJECTS_OF_ONE_MAX)
            .map(|number| join(&format!("/{number}"), "2001:db8::1").unwrap())
            .collect();
        assert_eq!(join("/more", "2001:db8::2").unwrap_err(), Full::ForOne);
        kept.push(join("/0", "2001:db8::2").unwrap());
        kept.push(join("/more", "2001:db8:1::1").unwrap());
        while let Ok(follower) = join("/0", "10.0.0.1") {
            kept.push(follower);
        }
        assert_eq!(kept.len(), SUBJECTS_OF_ONE_MAX + 2 + FOLLOWERS_OF_ONE_MAX);
        kept.push(join("/0", "10.0.0.2").unwrap());
        for last in 3..10 {
            while let Ok(follower) = join("/0", &format!("10.0.0.{last}")) {
                kept.push(follower);
            }
        }
        assert_eq!(kept.len(), FOLLOWERS_MAX);
        assert_eq!(join("/0", "10.0.1.1").unwrap_err(), Full::ForAll);
        kept.pop();
        assert!(join("/0", "10.0.1.1").is_ok());
    }

    #[tokio::test]
    async fn a_look_that_panics_or_a_service_that_stops_leaves_nobody_waiting() {
        let crowd = crowd();
        let broken = || async { panic!("as a fault of ours would") };
        let mut follower = crowd.join(page("/"), None, broken).unwrap();
        assert_eq!(follower.next().await, None);
        let shown = Shown::new();
        let mut follower = crowd.join(page("/"), None, shown.look()).unwrap();
        shown.set(0);
        assert_eq!(follower.next().await, said(0));
        crowd.0.draining.cancel();
        assert_eq!(follower.next().await, None);
    }

    #[test]
    fn that_a_moment_lies_longer_back_is_no_news() {
        let aged = |ago: &str| format!("<p>a <time datetime=\"x\">{ago}</time> b</p>");
        assert_eq!(fingerprint(&aged("3 s ago")), fingerprint(&aged("4 s ago")));
        assert_ne!(fingerprint(&aged("3 s ago")), fingerprint("<p>a b</p><p>c</p>"));
    }

    #[test]
    fn a_part_of_several_lines_is_one_event() {
        assert_eq!(event("<p>\na</p>"), Bytes::from("data: <p>\ndata: a</p>\n\n"));
    }
}
