//! What webhooks do to a pipeline: they ring, and it lists; and whether they can be relied on.
//!
//! Invariant: a ring carries a hint and no truth, rings coalesce into the newest, and a bell is never full. Polling
//! goes on beside it and is the measure: when it finds what no hook had announced, hooks are silent, which is said
//! and slows nothing down.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_wire::{DeliveryView, HookOutcome, RepoName, Timestamp};
use opentelemetry::trace::SpanContext;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Pipeline;
use super::trigger::{Chase, Seen, stretched};
use crate::clock;
use crate::forge::Expected;
use crate::trace;

/// The bell of one repository.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct State {
    ring: Option<Ring>,
    trust: Trust,
    verified: Option<DeliveryView>,
    refused: Option<DeliveryView>,
}

/// A delivery that has not been acted on.
#[derive(Debug)]
struct Ring {
    at: Instant,
    expected: Expected,
    /// The trace of the delivery.
    origin: Option<SpanContext>,
}

/// Whether hooks announce what polling finds.
#[derive(Debug, Default)]
struct Trust {
    /// Whether any hook is set for this repository, and how long it may be later than polling.
    grace: Option<Duration>,
    heard_at: Option<Instant>,
    /// A change that polling found and no hook has announced yet.
    unannounced: Option<Instant>,
    silent_since: Option<Timestamp>,
}

impl Trust {
    /// A hook announced something.
    fn hear(&mut self, now: Instant) {
        self.heard_at = Some(now);
        self.unannounced = None;
        self.silent_since = None;
    }

    /// Polling found a change.
    fn find(&mut self, now: Instant) {
        let Some(grace) = self.grace else { return };
        let was_announced = self
            .heard_at
            .is_some_and(|heard| now.duration_since(heard) <= grace);
        if !was_announced {
            self.unannounced.get_or_insert(now);
        }
    }

    /// Whether hooks have just become silent: a change was found, and no hook came to tell of it.
    fn falls_silent(&mut self, now: Instant, today: Timestamp) -> bool {
        let Some((grace, found)) = self.grace.zip(self.unannounced) else {
            return false;
        };
        if self.silent_since.is_some() || now.duration_since(found) < grace {
            return false;
        }
        self.silent_since = Some(today);
        true
    }

    /// Whether polling may be slower because of them.
    fn is_well(&self) -> bool {
        self.grace.is_some()
            && self.heard_at.is_some()
            && self.unannounced.is_none()
            && self.silent_since.is_none()
    }
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether hooks are set for this repository, and if so, how long one may be later than polling before it counts
    /// as missing. Without any, nothing is expected of them. Says whether polling has to be quicker from now on.
    #[must_use]
    pub(crate) fn expect(&self, grace: Option<Duration>) -> bool {
        let mut state = self.state();
        let was_well = state.trust.is_well();
        if grace.is_none() {
            state.trust = Trust::default();
        }
        state.trust.grace = grace;
        was_well && !state.trust.is_well()
    }

    /// A verified delivery says that the branch followed was pushed.
    pub(crate) fn ring(&self, expected: Expected) {
        let now = Instant::now();
        let mut state = self.state();
        state.trust.hear(now);
        state.ring = Some(Ring {
            at: now,
            expected,
            origin: trace::origin(),
        });
        drop(state);
        self.rung.notify_one();
    }

    /// Completes when it was rung since the last time. Cancel-safe: a ring that is not answered is told again.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// The poll interval to use instead of `set`: longer while hooks are quicker than polling.
    pub(crate) fn stretch(&self, set: Duration) -> Duration {
        if self.state().trust.is_well() {
            stretched(set)
        } else {
            set
        }
    }

    /// Remembers a delivery for whoever asks what came. Anybody can send one that is refused, so such a one takes no
    /// other's place.
    pub(crate) fn remember(&self, delivery: DeliveryView) {
        let mut state = self.state();
        let place = if delivery.outcome == HookOutcome::Refused {
            &mut state.refused
        } else {
            &mut state.verified
        };
        *place = Some(delivery);
    }

    /// The newest deliveries, verified and refused.
    pub(crate) fn deliveries(&self) -> Vec<DeliveryView> {
        let state = self.state();
        let newest = state.verified.iter().chain(&state.refused);
        newest.cloned().collect()
    }

    /// Since when hooks are silent.
    pub(crate) fn silence(&self) -> Option<Timestamp> {
        self.state().trust.silent_since
    }

    /// Says once that hooks are silent, when it is certain.
    pub(super) fn tell_silence(&self, repo: &RepoName) {
        let falls_silent = self.state().trust.falls_silent(Instant::now(), clock::now());
        if falls_silent {
            warn!(
                hint = "look at the deliveries in the hook's page at the forge; polling goes on at its usual pace",
                "polling found a change of {repo} that no webhook had announced"
            );
        }
    }
}

impl Pipeline {
    /// Begins to look for what the last delivery announced.
    pub(super) fn answer_bell(&mut self) {
        let ring = self.repo.bell().state().ring.take();
        if let Some(Ring { at, expected, origin }) = ring {
            debug!(?expected, "a webhook announced a push");
            let chase = Chase::new(at, expected, self.seen.clone(), self.chased_at);
            self.chase = Some(chase.within(origin));
        }
    }

    /// When the listing that a delivery asks for is due.
    pub(super) fn announced(&self) -> Instant {
        let due = self.chase.as_ref().and_then(Chase::due);
        due.unwrap_or_else(|| Instant::now() + Duration::from_hours(24))
    }

    /// Compares a listing that started at `started` with what hooks said. `now` is what it showed, and
    /// `before` what the one before it did; neither, if it failed.
    pub(super) fn compare_with_hooks(&mut self, started: Instant, before: Option<Seen>, now: Option<Seen>) {
        let Some(seen) = now else {
            self.chase_on(started);
            return;
        };
        self.repo.bell().tell_silence(self.repo.name());
        if self.chase.is_none() && before.is_some_and(|before| before != seen) {
            self.repo.bell().state().trust.find(Instant::now());
        }
        if self
            .chase
            .as_ref()
            .is_some_and(|chase| chase.is_answered_by(&seen))
        {
            self.chased_at = Some(started);
            self.chase = None;
        } else {
            self.chase_on(started);
        }
    }

    /// Counts a listing that did not show what was announced; gives up after the last.
    fn chase_on(&mut self, started: Instant) {
        let Some(chase) = &mut self.chase else { return };
        self.chased_at = Some(started);
        chase.listed(started);
        if chase.due().is_none() {
            info!("the upstream does not show what a webhook announced; polling goes on");
            self.chase = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_mins(1);

    fn trust() -> Trust {
        Trust {
            grace: Some(GRACE),
            ..Trust::default()
        }
    }

    #[test]
    fn hooks_are_trusted_once_they_announced_something() {
        let now = Instant::now();
        let mut trust = trust();
        assert!(!trust.is_well());
        trust.hear(now);
        assert!(trust.is_well());
        trust.find(now + GRACE);
        assert!(trust.is_well(), "it was announced a minute ago");
    }

    #[test]
    fn a_change_that_nobody_announces_makes_hooks_silent_until_the_next_one() {
        let now = Instant::now();
        let mut trust = trust();
        trust.hear(now);
        let found = now + 2 * GRACE;
        trust.find(found);
        assert!(
            !trust.is_well(),
            "at once, since the next change would be late, too"
        );
        assert!(!trust.falls_silent(found + GRACE / 2, Timestamp(1)));
        assert!(trust.falls_silent(found + GRACE, Timestamp(1)));
        assert!(
            !trust.falls_silent(found + 2 * GRACE, Timestamp(2)),
            "it is said once"
        );
        assert_eq!(trust.silent_since, Some(Timestamp(1)));
        trust.hear(found + 3 * GRACE);
        assert!(trust.is_well());
        assert_eq!(trust.silent_since, None);
    }

    #[test]
    fn a_hook_that_comes_a_little_later_than_polling_is_not_silent() {
        let now = Instant::now();
        let mut trust = trust();
        trust.find(now);
        trust.hear(now + GRACE / 2);
        assert!(!trust.falls_silent(now + 2 * GRACE, Timestamp(1)));
        assert!(trust.is_well());
    }

    #[test]
    fn where_no_hook_is_set_none_is_missed() {
        let now = Instant::now();
        let mut trust = Trust::default();
        trust.find(now);
        assert!(!trust.falls_silent(now + 2 * GRACE, Timestamp(1)));
        assert!(!trust.is_well());
    }
}
