//! How many children there are at once, and whose turn it is.
//!
//! Invariant: what may be published finds a place that nothing else can take, so that a crowd of pull requests and
//! checks cannot hold up a commit of the branch. Among equals who came first goes first. Full is an answer.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Fewest children at once: one for what may be published, one for everything else.
const PLACES_MIN: usize = 2;

/// Most verdicts that wait for a place besides those on what may be published; each holds its files in memory.
const WAITING_MAX: usize = 64;

/// Whose verdict it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A commit's that is exposed if it is good.
    #[default]
    First,
    /// Something's that is only proposed or asked about.
    Later,
}

/// The places for children of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Places>);

#[derive(Debug)]
struct Places {
    all: Semaphore,
    /// One fewer: those that are not kept for what may be published.
    shared: Semaphore,
    waiting: AtomicUsize,
}

/// A place, until it is dropped.
pub(crate) struct Place<'a> {
    _one: SemaphorePermit<'a>,
    _shared: Option<SemaphorePermit<'a>>,
}

/// There are as many that wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many verdicts wait for their turn")]
pub(crate) struct Crowded;

impl Default for Queue {
    /// As many places as there are processors: more would only share them.
    fn default() -> Self {
        Self::with_places(thread::available_parallelism().map_or(PLACES_MIN, NonZeroUsize::get))
    }
}

impl Queue {
    fn with_places(places: usize) -> Self {
        let places = places.max(PLACES_MIN);
        Self(Arc::new(Places {
            all: Semaphore::new(places),
            shared: Semaphore::new(places - 1),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self, turn: Turn) -> Result<Place<'_>, Crowded> {
        let shared = match turn {
            Turn::First => None,
            Turn::Later => Some(self.wait_for_shared().await?),
        };
        // Nobody closes a semaphore here.
        let one = self.0.all.acquire().await.map_err(|_| Crowded)?;
        Ok(Place {
            _one: one,
            _shared: shared,
        })
    }

    async fn wait_for_shared(&self) -> Result<SemaphorePermit<'_>, Crowded> {
        if let Ok(permit) = self.0.shared.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::among(&self.0.waiting).ok_or(Crowded)?;
        self.0.shared.acquire().await.map_err(|_| Crowded)
    }
}

/// One that waits, however its waiting ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize) -> Option<Self> {
        let one = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < WAITING_MAX).then_some(one)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// What is there without waiting.
    fn now<T>(work: impl Future<Output = T>) -> Option<T> {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_may_be_published_finds_a_place_however_many_checks_there_are() {
        let queue = Queue::with_places(3);
        let checks: Vec<_> = (0..2)
            .map(|_| now(queue.enter(Turn::Later)).unwrap().unwrap())
            .collect();
        assert!(now(queue.enter(Turn::Later)).is_none());
        let first = now(queue.enter(Turn::First)).unwrap().unwrap();
        assert!(now(queue.enter(Turn::First)).is_none());
        drop(first);
        assert!(now(queue.enter(Turn::Later)).is_none());
        drop(checks);
        assert!(now(queue.enter(Turn::Later)).is_some());
    }

    #[test]
    fn there_are_never_more_children_than_places() {
        let queue = Queue::with_places(2);
        let places: Vec<_> = [Turn::First, Turn::First]
            .map(|turn| now(queue.enter(turn)).unwrap().unwrap())
            .into();
        assert!(now(queue.enter(Turn::First)).is_none());
        assert!(now(queue.enter(Turn::Later)).is_none());
        drop(places);
        assert!(now(queue.enter(Turn::Later)).is_some());
    }

    #[test]
    fn a_crowd_is_sent_away_and_whoever_gives_up_makes_room() {
        let queue = Queue::with_places(2);
        let place = now(queue.enter(Turn::Later)).unwrap().unwrap();
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(queue.enter(Turn::Later)))
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(
            now(queue.enter(Turn::Later)).map(Result::err),
            Some(Some(Crowded))
        );
        waiting.pop();
        assert!(now(queue.enter(Turn::Later)).is_none());
        drop(place);
        assert!(matches!(
            waiting[0].as_mut().poll(&mut context),
            Poll::Ready(Ok(_))
        ));
    }
}
