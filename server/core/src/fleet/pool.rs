//! Values that many hold alike, held once.
//!
//! Invariant: what nobody holds any more is let go before there is more of it than of what is held. A value is found by
//! what it is, so whoever holds one need not say that it is done with it.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Values below which nothing is swept.
const SWEPT_FROM: usize = 1_024;

/// Values that are held.
#[derive(Debug)]
pub(super) struct Pool<T> {
    held: BTreeSet<Arc<T>>,
    swept_at: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            held: BTreeSet::new(),
            swept_at: 0,
        }
    }
}

impl<T: Ord + Clone> Pool<T> {
    /// The value that is held and equals this one.
    pub(super) fn shared(&mut self, value: &T) -> Arc<T> {
        if let Some(known) = self.held.get(value) {
            return known.clone();
        }
        if self.held.len() >= SWEPT_FROM.max(2 * self.swept_at) {
            self.held.retain(|value| Arc::strong_count(value) > 1);
            self.swept_at = self.held.len();
        }
        let shared = Arc::new(value.clone());
        self.held.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_is_held_once_and_what_nobody_holds_is_let_go() {
        let mut pool = Pool::default();
        let first = pool.shared(&0);
        assert!(Arc::ptr_eq(&first, &pool.shared(&0)));
        for value in 1..10 * SWEPT_FROM {
            pool.shared(&value);
        }
        assert!(pool.held.len() <= SWEPT_FROM);
        assert!(Arc::ptr_eq(&first, &pool.shared(&0)));
    }
}
