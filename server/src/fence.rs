//! Fences that were overtaken: generations that instances have seen and our targets do not exceed.
//!
//! Invariant: at most one entry per config of the tip, so that no flood of reports fills a mailbox. Only the pipeline
//! raises anything; here stands what it is asked for. Why it is needed at all: `ARCHITECTURE.md` §7.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use headwater_wire::{ConfigName, Generation};
use tokio::sync::Notify;

use crate::seldom::Seldom;

/// What waits to be raised, by config, and above which generation.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    asked: Mutex<BTreeMap<ConfigName, Generation>>,
    news: Notify,
    asked_lately: Seldom,
    absurd_lately: Seldom,
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

    /// Whether it is to be told that somebody makes us raise one.
    pub(crate) fn is_worth_a_word(&self) -> bool {
        self.asked_lately.is_due()
    }

    /// Whether it is to be told that somebody has seen what nobody can have given out.
    pub(crate) fn is_absurdity_worth_a_word(&self) -> bool {
        self.absurd_lately.is_due()
    }
}
