//! Fences that were overtaken: generations that instances have seen and our targets do not exceed.
//!
//! Invariant: at most one entry per config of the tip, so that no flood of reports fills a mailbox. Only the pipeline
//! raises anything; here stands what it is asked for. Why it is needed at all: `ARCHITECTURE.md` §7.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use headwater_wire::{ConfigName, Generation};
use tokio::sync::Notify;

/// What waits to be raised, by config, and above which generation.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    asked: Mutex<BTreeMap<ConfigName, Generation>>,
    news: Notify,
    warned: AtomicBool,
}

impl Fences {
    /// Asks for the target of each config to be told again above the generation named.
    pub(crate) fn ask(&self, overtaken: &[(ConfigName, Generation)]) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for (config, above) in overtaken {
            let entry = asked.entry(config.clone()).or_default();
            *entry = (*entry).max(*above);
        }
        drop(asked);
        self.news.notify_one();
    }

    /// Waits until something was asked for. Cancel-safe: what was asked stays.
    pub(crate) async fn any(&self) {
        loop {
            let is_empty = self
                .asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty();
            if !is_empty {
                return;
            }
            self.news.notified().await;
        }
    }

    /// Everything that was asked for so far.
    pub(crate) fn drain(&self) -> BTreeMap<ConfigName, Generation> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this is the first time that somebody has seen what nobody can have given out.
    pub(crate) fn is_first_absurdity(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}
