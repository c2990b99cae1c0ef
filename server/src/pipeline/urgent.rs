//! Requests that may not wait for an upstream that does not answer.
//!
//! Invariant: counted, so that one that was taken interrupts nothing afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many of them wait.
#[derive(Debug, Default)]
pub(crate) struct Urgent {
    waiting: AtomicUsize,
    news: Notify,
}

impl Urgent {
    /// One is on its way.
    pub(crate) fn begin(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.news.notify_one();
    }

    /// One was taken, or did not come through.
    pub(crate) fn end(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Completes while one waits. Cancel-safe.
    pub(crate) async fn any(&self) {
        while self.waiting.load(Ordering::Acquire) == 0 {
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_that_was_taken_interrupts_nothing_any_more() {
        let urgent = Urgent::default();
        assert!(urgent.any().now_or_never().is_none());
        urgent.begin();
        assert!(urgent.any().now_or_never().is_some());
        urgent.end();
        assert!(urgent.any().now_or_never().is_none());
    }
}
