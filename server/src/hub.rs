//! Who waits for news of a repository, and how all of them are woken.
//!
//! Invariant: whoever takes a [`Seat`] and then reads what is published misses nothing: a change that comes after the
//! read marks his seat, and the mark stays until he takes it. Waiting costs no work: no timer, no channel and no queue for
//! each of those who wait. Whom a change does not concern is not woken. What is deliberately absent: what changed; whoever
//! is woken reads the newest state.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use headwater_wire::ConfigName;
use slab::Slab;

/// Bells that are rung in one go. Those who were woken by then get on before the next ones are, so that the first of many
/// does not wait until all have been woken.
const RUNG_AT_ONCE: usize = 256;
/// Names of configs below which nothing is swept.
const SWEPT_FROM: usize = 64;
/// The mark that the state of the repository changed.
const STATUS: u64 = 1 << 63;
/// The mark of all configs of a seat from this one on: a seat of more has one for the rest.
const LAST_CONFIG: usize = 62;

/// All who wait.
#[derive(Debug)]
pub(crate) struct Hub {
    began: Instant,
    lists: Mutex<Lists>,
}

#[derive(Debug)]
struct Lists {
    /// Whoever waits for a config, with the mark that stands for it at his seat. A name that nobody waits for any more is
    /// swept before the map doubles, since names come from requests and need not be those of configs.
    by_config: BTreeMap<ConfigName, List>,
    /// Whoever waits for the state of the repository.
    status: List,
    sweep_at: usize,
}

type List = Arc<Mutex<Slab<(u64, Arc<Bell>)>>>;

/// What wakes one of them.
#[derive(Debug, Default)]
struct Bell {
    waker: AtomicWaker,
    marks: AtomicU64,
    /// When the first change of a config came that is not taken yet, in nanoseconds since the hub began; 0 is never.
    at: AtomicU64,
}

/// One who waits; he leaves by being dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    bell: Arc<Bell>,
    began: Instant,
    places: Box<[(List, usize)]>,
}

/// What happened since it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    marks: u64,
    /// When the first config changed.
    pub changed: Option<Instant>,
}

impl Rung {
    /// Whether the config in that place of the seat changed.
    pub(crate) fn is_about(self, place: usize) -> bool {
        self.marks & mark_of(place) != 0
    }

    /// Whether the state of the repository changed.
    pub(crate) fn is_about_status(self) -> bool {
        self.marks & STATUS != 0
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            lists: Mutex::new(Lists {
                by_config: BTreeMap::new(),
                status: List::default(),
                sweep_at: SWEPT_FROM,
            }),
        }
    }
}

impl Hub {
    /// A seat for whoever waits for these configs, and for the state of the repository if he wants to hear of it. What
    /// is published after this call rings there.
    pub(crate) fn seat<'a>(
        &self,
        configs: impl IntoIterator<Item = &'a ConfigName>,
        status: Option<()>,
    ) -> Seat {
        let bell = Arc::new(Bell::default());
        let mut lists = lock(&self.lists);
        let mut places = Vec::new();
        let mut take = |list: List, mark: u64| {
            let place = lock(&list).insert((mark, bell.clone()));
            places.push((list, place));
        };
        for (place, config) in configs.into_iter().enumerate() {
            take(lists.of(config), mark_of(place));
        }
        if status.is_some() {
            take(lists.status.clone(), STATUS);
        }
        drop(lists);
        Seat {
            bell,
            began: self.began,
            places: places.into(),
        }
    }

    /// Rings for all who wait for a config that `changed` is true of.
    pub(crate) fn ring(&self, changed: impl Fn(&ConfigName) -> bool) {
        let at = since(self.began);
        let concerned: Vec<List> = {
            let mut lists = lock(&self.lists);
            lists.sweep();
            let concerned = lists.by_config.iter().filter(|(config, _)| changed(config));
            concerned.map(|(_, list)| list.clone()).collect()
        };
        for list in concerned {
            walk(list, at);
        }
    }

    /// Rings for all who wait for the state of the repository.
    pub(crate) fn ring_status(&self) {
        walk(lock(&self.lists).status.clone(), 0);
    }

    /// How many wait for configs, each counted once for every one.
    pub(crate) fn waiting(&self) -> usize {
        let lists = lock(&self.lists);
        lists.by_config.values().map(|list| lock(list).len()).sum()
    }
}

impl Lists {
    fn of(&mut self, config: &ConfigName) -> List {
        if let Some(list) = self.by_config.get(config) {
            return list.clone();
        }
        if self.by_config.len() >= self.sweep_at {
            self.sweep();
        }
        self.by_config.entry(config.clone()).or_default().clone()
    }

    fn sweep(&mut self) {
        self.by_config.retain(|_, list| {
            let mut list = lock(list);
            // A list that was long once does not stay so.
            if list.capacity() > SWEPT_FROM && list.len() < list.capacity() / 4 {
                list.shrink_to_fit();
            }
            !list.is_empty()
        });
        self.sweep_at = SWEPT_FROM.max(self.by_config.len() * 2);
    }
}

/// Rings all bells of a list, beginning anywhere, so that nobody is always the last. Those after the first few are rung by
/// a task, which lets those that were woken go first.
fn walk(list: List, at: u64) {
    let count = lock(&list).len();
    if count <= RUNG_AT_ONCE {
        ring_range(&list, 0..usize::MAX, at);
        return;
    }
    // Places are numbers below this one; those that are taken from now on hear of what is published by reading it.
    let end = lock(&list).capacity();
    let begin = rand::random_range(0..end);
    tokio::spawn(async move {
        for range in [begin..end, 0..begin] {
            for from in range.clone().step_by(RUNG_AT_ONCE) {
                ring_range(&list, from..range.end.min(from + RUNG_AT_ONCE), at);
                tokio::task::yield_now().await;
            }
        }
    });
}

fn ring_range(list: &List, range: std::ops::Range<usize>, at: u64) {
    let list = lock(list);
    let range = range.start..range.end.min(list.capacity());
    for (mark, bell) in range.filter_map(|place| list.get(place)) {
        bell.ring(*mark, at);
    }
}

impl Bell {
    fn ring(&self, mark: u64, at: u64) {
        if at != 0 {
            // The first change that was not heard of counts.
            self.at
                .compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed)
                .ok();
        }
        self.marks.fetch_or(mark, Ordering::Release);
        self.waker.wake();
    }
}

impl Seat {
    /// Wakes this task when something happens from now on. What has happened is there to [`take`](Self::take).
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.bell.waker.register(cx.waker());
    }

    /// What happened since it was last taken, if anything did.
    pub(crate) fn take(&self) -> Option<Rung> {
        let marks = self.bell.marks.swap(0, Ordering::Acquire);
        let at = self.bell.at.swap(0, Ordering::Relaxed);
        let changed = (at != 0).then(|| self.began + Duration::from_nanos(at));
        (marks != 0).then_some(Rung { marks, changed })
    }

    /// Waits until something happens. Cancel-safe: what was not taken stays.
    pub(crate) async fn rung(&self) -> Rung {
        poll_fn(|cx| {
            self.listen(cx);
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for (list, place) in &self.places {
            lock(list).try_remove(*place);
        }
    }
}

fn mark_of(place: usize) -> u64 {
    1 << place.min(LAST_CONFIG)
}

/// Nanoseconds since `began`, and never 0.
fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn config(number: usize) -> ConfigName {
        format!("c{number}").parse().unwrap()
    }

    fn rung(seat: &Seat) -> Option<Rung> {
        seat.rung().now_or_never()
    }

    #[test]
    fn who_took_a_seat_hears_of_what_comes_after_and_only_once() {
        let hub = Hub::default();
        let seat = hub.seat([&config(0), &config(1)], Some(()));
        assert_eq!(rung(&seat), None);
        hub.ring(|name| *name == config(1));
        let heard = rung(&seat).unwrap();
        assert!(heard.is_about(1) && !heard.is_about(0) && !heard.is_about_status());
        assert!(heard.changed.is_some());
        assert_eq!(rung(&seat), None);
        hub.ring_status();
        let heard = rung(&seat).unwrap();
        assert!(heard.is_about_status() && !heard.is_about(1));
        assert_eq!(heard.changed, None);
    }

    #[test]
    fn changes_that_were_not_taken_are_one_and_began_with_the_first() {
        let hub = Hub::default();
        let seat = hub.seat([&config(0), &config(1)], None);
        let before = Instant::now();
        hub.ring(|name| *name == config(0));
        let between = Instant::now();
        hub.ring(|_| true);
        let heard = rung(&seat).unwrap();
        assert!(heard.is_about(0) && heard.is_about(1));
        assert!(
            heard
                .changed
                .is_some_and(|changed| changed >= before && changed <= between)
        );
    }

    #[test]
    fn whom_a_change_does_not_concern_is_not_woken() {
        let hub = Hub::default();
        let seat = hub.seat([&config(0)], None);
        hub.ring(|name| *name == config(1));
        hub.ring_status();
        assert_eq!(rung(&seat), None);
    }

    #[test]
    fn a_seat_of_very_many_configs_hears_of_each() {
        let hub = Hub::default();
        let configs: Vec<_> = (0..200).map(config).collect();
        let seat = hub.seat(&configs, None);
        for place in [0, 61, 62, 63, 64, 199] {
            hub.ring(|name| *name == config(place));
            assert!(rung(&seat).unwrap().is_about(place), "{place}");
        }
    }

    #[test]
    fn names_that_nobody_waits_for_any_more_take_no_memory() {
        let hub = Hub::default();
        let kept = hub.seat([&config(0)], None);
        for number in 1..10_000 {
            drop(hub.seat([&config(number)], Some(())));
        }
        let lists = lock(&hub.lists);
        assert!(lists.by_config.len() <= SWEPT_FROM);
        assert!(lock(&lists.status).capacity() <= SWEPT_FROM);
        drop((lists, kept));
    }

    #[test]
    fn many_that_wait_are_kept() {
        let hub = Hub::default();
        let seats: Vec<_> = (0..1_000)
            .map(|number| hub.seat([&config(number)], None))
            .collect();
        assert_eq!(hub.waiting(), seats.len());
        drop(seats);
        assert_eq!(hub.waiting(), 0);
    }

    #[tokio::test]
    async fn each_of_very_many_is_woken_although_others_come_and_go_meanwhile() {
        let hub = Arc::new(Hub::default());
        let seats: Vec<_> = (0..5_000).map(|_| hub.seat([&config(0)], None)).collect();
        let waiting = seats.into_iter().map(|seat| {
            tokio::spawn(async move {
                seat.rung().await;
            })
        });
        let waiting: Vec<_> = waiting.collect();
        let passing = hub.clone();
        let passers = tokio::spawn(async move {
            for _ in 0..2_000 {
                drop(passing.seat([&config(0)], None));
                tokio::task::yield_now().await;
            }
        });
        tokio::task::yield_now().await;
        hub.ring(|_| true);
        for one in waiting {
            one.await.unwrap();
        }
        passers.await.unwrap();
        assert_eq!(hub.waiting(), 0);
    }
}
