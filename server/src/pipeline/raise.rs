//! Raises fences that were overtaken: the target stays, its generation moves above what an instance has seen.
//!
//! Invariant: one write for all that were asked for meanwhile, at most once a second and less often the longer it goes
//! on, so that neither two replicas between which instances move nor a liar can keep the disk and the watchers busy.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Command, Effect};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Pipeline;
use crate::repo::Repo;

/// Shortest time between two raises.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest time between two raises: about one heartbeat of the instance that waits for it.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// When the next raise may be. Each one wakes everybody who watches the config.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// The earliest moment of the next raise.
    fn next(&self) -> Option<Instant> {
        self.last.map(|(at, pause)| at + pause)
    }

    /// A raise happens now: the pause doubles while one follows the other, and begins small again after a quiet time.
    fn took(&mut self, now: Instant) {
        let pause = match self.last {
            Some((at, pause)) if now < at + 2 * pause + PAUSE_MIN => (2 * pause).min(PAUSE_MAX),
            Some(_) | None => PAUSE_MIN,
        };
        self.last = Some((now, pause));
    }
}

/// Waits until a fence is to be raised and may be. Cancel-safe: what was asked stays.
pub(super) async fn due(repo: &Repo, pace: &Pace) {
    repo.fences.any().await;
    if let Some(next) = pace.next() {
        tokio::time::sleep_until(next).await;
    }
}

impl Pipeline {
    /// Raises what was asked for, keeps it, and wakes those whom it concerns.
    pub(super) async fn raise(&mut self) {
        self.raises.took(Instant::now());
        let mut state = self.state_now();
        let mut effects = Vec::new();
        for (config, above) in self.repo.fences.drain() {
            let applied = state.apply(Command::RaiseGeneration { config, above });
            effects.extend(applied.unwrap_or_default());
        }
        if effects.is_empty() {
            return;
        }
        if let Err(error) = self.repo.keep_state(&state).await {
            // The next report of whoever has seen more asks again.
            warn!(%error, "a generation could not be kept, so instances that have seen a higher one wait: {error}");
            return;
        }
        for effect in &effects {
            if let Effect::TargetReissued { config, generation } = effect {
                info!(%config, generation = generation.0, "told {config} again as generation {generation}: an instance has seen as many");
            }
        }
        self.show(|published| {
            let snapshot = published.snapshot.as_ref();
            published.snapshot = snapshot.map(|snapshot| Arc::new(snapshot.retargeted(&state)));
            published.state = state;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_become_rare_while_they_follow_each_other_and_quick_after_a_quiet_time() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pace.took(now);
            let next = pace.next().unwrap();
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        now += 3 * PAUSE_MAX;
        pace.took(now);
        assert_eq!(pace.next(), Some(now + PAUSE_MIN));
    }
}
