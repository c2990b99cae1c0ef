//! Raises fences that were overtaken: the target stays, its generation moves above what an instance has seen.
//!
//! Invariant: one write, at most once a second, for all that were asked for meanwhile, so that neither two replicas
//! between which instances move nor a liar can keep the disk and the watchers busy.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Command, Effect};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Pipeline;
use crate::repo::Repo;

/// Time between two raises.
const RAISE_PAUSE: Duration = Duration::from_secs(1);

/// Waits until a fence is to be raised and may be. Cancel-safe: what was asked stays.
pub(super) async fn due(repo: &Repo, last: Option<Instant>) {
    repo.fences.any().await;
    if let Some(last) = last {
        tokio::time::sleep_until(last + RAISE_PAUSE).await;
    }
}

impl Pipeline {
    /// Raises what was asked for, keeps it, and wakes those whom it concerns.
    pub(super) async fn raise(&mut self) {
        self.last_raise = Some(Instant::now());
        let mut state = self.repo.board.read().state.clone();
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
