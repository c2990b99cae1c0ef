//! Several addresses of one service: which one is asked now, and which one next.
//!
//! Invariant: all who share a [`Servers`] ask the same address, and only the watch moves it, since only the watch has a
//! connection that tells whether an address lives. What is deliberately absent: probing addresses that are not used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::RepoApi;
use crate::backoff::{Backoff, RETRY_AFTER_MAX};

/// Over how long clients of a failed address spread before they come to the next one.
const HAND_OVER: Duration = Duration::from_millis(250);

/// The repository at each address of a service, in the order they are tried. Clones share the one that is current.
#[derive(Debug, Clone)]
pub struct Servers {
    repos: Arc<[RepoApi]>,
    current: Arc<AtomicUsize>,
}

impl Servers {
    /// One address or more, all of the same service and repository.
    pub fn new(first: RepoApi, others: impl IntoIterator<Item = RepoApi>) -> Self {
        Self {
            repos: std::iter::once(first).chain(others).collect(),
            current: Arc::default(),
        }
    }

    /// The first address, which stands for the service whichever one is in use.
    pub(crate) fn first(&self) -> RepoApi {
        self.at(0)
    }

    /// The address in use.
    pub fn current(&self) -> RepoApi {
        self.at(self.index())
    }

    fn at(&self, index: usize) -> RepoApi {
        #[expect(
            clippy::expect_used,
            reason = "there is at least one address, and the index is one of them"
        )]
        self.repos
            .get(index)
            .or(self.repos.first())
            .cloned()
            .expect("an address")
    }

    pub(crate) fn index(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    pub(crate) fn move_to(&self, index: usize) {
        self.current.store(index, Ordering::Relaxed);
    }

    pub(crate) fn rotation(&self) -> Rotation {
        Rotation {
            rest_until: vec![None; self.repos.len()],
            tried: 0,
        }
    }
}

impl From<RepoApi> for Servers {
    fn from(repo: RepoApi) -> Self {
        Self::new(repo, [])
    }
}

/// Which address comes after a failure, and when: pure.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    /// Until when each address asked to be left alone.
    rest_until: Vec<Option<Instant>>,
    /// Addresses that failed since the last good answer or pause.
    tried: usize,
}

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextTry {
    pub(crate) index: usize,
    pub(crate) pause: Duration,
}

impl Rotation {
    /// An address works: a new round begins.
    pub(crate) fn answered(&mut self) {
        self.tried = 0;
    }

    /// The address at `failed` is left, and asked to be left alone for `rest`. The other addresses are tried before
    /// there is a pause; the pause grows with each round and not with each address.
    pub(crate) fn leave(
        &mut self,
        failed: usize,
        rest: Option<Duration>,
        backoff: &mut Backoff,
        now: Instant,
    ) -> NextTry {
        let count = self.rest_until.len();
        if let Some(slot) = self.rest_until.get_mut(failed) {
            *slot = rest.map(|rest| now + rest.min(RETRY_AFTER_MAX));
        }
        self.tried += 1;
        let ring: Vec<(usize, Instant)> = (1..=count)
            .map(|step| (failed + step) % count)
            .map(|index| (index, self.ready_at(index, now)))
            .collect();
        let next = ring
            .iter()
            .find(|(index, ready)| *index != failed && *ready <= now);
        if let Some((index, _)) = next.filter(|_| self.tried < count) {
            let pause = backoff.spread(HAND_OVER);
            return NextTry { index: *index, pause };
        }
        self.tried = 0;
        let soonest = ring.into_iter().min_by_key(|(_, ready)| *ready);
        let (index, ready) = soonest.unwrap_or((failed, now));
        NextTry {
            index,
            pause: ready - now + backoff.next_delay(None),
        }
    }

    fn ready_at(&self, index: usize, now: Instant) -> Instant {
        let rest = self.rest_until.get(index).copied().flatten();
        rest.map_or(now, |rest| rest.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;
    use crate::backoff::Jitter;

    fn rotation(count: usize) -> (Rotation, Backoff, Instant) {
        let rotation = Rotation {
            rest_until: vec![None; count],
            tried: 0,
        };
        (rotation, Backoff::new(Jitter::seeded(1)), Instant::now())
    }

    #[test]
    fn each_address_is_tried_once_before_the_pause_which_grows_by_the_round() {
        let (mut rotation, mut backoff, now) = rotation(3);
        let mut at = 0;
        let mut visited = Vec::new();
        let mut ceiling = Duration::from_millis(500);
        for _ in 0..5 {
            for _ in 0..2 {
                let attempt = rotation.leave(at, None, &mut backoff, now);
                assert!(attempt.pause < HAND_OVER);
                at = attempt.index;
                visited.push(at);
            }
            let attempt = rotation.leave(at, None, &mut backoff, now);
            assert!(attempt.pause < ceiling, "{attempt:?}");
            ceiling *= 2;
            at = attempt.index;
            visited.push(at);
        }
        assert_eq!(visited, [1, 2, 0].repeat(5));
    }

    #[test]
    fn an_address_that_asked_to_be_left_alone_is_left_alone_while_there_are_others() {
        let (mut rotation, mut backoff, now) = rotation(2);
        let minute = Some(Duration::from_mins(1));
        assert_eq!(rotation.leave(0, minute, &mut backoff, now).index, 1);
        for _ in 0..5 {
            let attempt = rotation.leave(1, None, &mut backoff, now);
            assert_eq!(attempt.index, 1);
            assert!(attempt.pause < Duration::from_mins(1));
        }
        let attempt = rotation.leave(1, Some(Duration::from_mins(3)), &mut backoff, now);
        assert_eq!(attempt.index, 0);
        assert!(attempt.pause >= Duration::from_mins(1));
    }

    #[test]
    fn an_only_address_rests_as_long_as_it_asked_but_never_for_days() {
        let (mut rotation, mut backoff, now) = rotation(1);
        let attempt = rotation.leave(0, Some(Duration::from_secs(7)), &mut backoff, now);
        assert!((7_000..7_500).contains(&attempt.pause.as_millis()), "{attempt:?}");
        let attempt = rotation.leave(0, Some(Duration::from_hours(48)), &mut backoff, now);
        assert!(attempt.pause < RETRY_AFTER_MAX + Duration::from_secs(1));
    }

    #[test]
    fn who_shares_the_addresses_asks_the_one_that_is_current() {
        let repo = |port| {
            let api = Api::builder(&format!("http://127.0.0.1:{port}")).build().unwrap();
            api.in_repo(&"default".parse().unwrap())
        };
        let servers = Servers::new(repo(1), [repo(2)]);
        let reader = servers.clone();
        servers.move_to(1);
        assert_eq!(reader.current().server(), "http://127.0.0.1:2");
    }
}
