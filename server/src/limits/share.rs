//! How many of something each caller has at once.
//!
//! Invariant: what is counted is what there is: a share is given back when it is dropped, and a caller that has none is not
//! remembered, so the table is never larger than what is held.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who has how many.
type Counts<K> = HashMap<K, usize>;

/// Who has how many; all copies count together.
#[derive(Debug)]
pub(crate) struct Shares<K>(Arc<Mutex<Counts<K>>>);

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// One of what a caller has; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Debug + Eq + Hash> {
    counts: Arc<Mutex<Counts<K>>>,
    key: K,
}

impl<K: Clone + Debug + Eq + Hash> Shares<K> {
    /// One more for a caller, who may have `max` of them; none, if he has as many.
    pub(crate) fn take(&self, key: &K, max: usize) -> Option<Share<K>> {
        let mut counts = lock(&self.0);
        let held = counts.get(key).copied().unwrap_or_default();
        if held >= max {
            return None;
        }
        counts.insert(key.clone(), held + 1);
        Some(Share {
            counts: self.0.clone(),
            key: key.clone(),
        })
    }

    #[cfg(test)]
    fn callers(&self) -> usize {
        lock(&self.0).len()
    }
}

impl<K: Debug + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(held) = counts.get_mut(&self.key) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

fn lock<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_all_of_his_share_gets_no_more_until_he_gives_some_back() {
        let shares = Shares::default();
        let held: Vec<_> = (0..2).filter_map(|_| shares.take(&"a", 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(shares.take(&"a", 2).is_none());
        assert!(shares.take(&"b", 2).is_some(), "another is unharmed");
        drop(held);
        assert!(shares.take(&"a", 2).is_some());
    }

    #[test]
    fn who_has_nothing_is_not_remembered() {
        let shares = Shares::default();
        for caller in 0..1_000 {
            let held = (shares.take(&caller, 2), shares.take(&caller, 2));
            assert!(shares.take(&caller, 2).is_none());
            assert_eq!(shares.callers(), 1);
            drop(held);
        }
        assert_eq!(shares.callers(), 0);
    }
}
