//! A bounded map from something immutable, such as a commit, to what was worked out from it.
//!
//! Invariant: never more than `capacity` entries; the one that was used longest ago goes first. What is deliberately
//! absent: expiry, since what depends on a commit alone never becomes wrong.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The map. Values are cheap to clone.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    capacity: usize,
    entries: Mutex<Entries<K, V>>,
}

#[derive(Debug)]
struct Entries<K, V> {
    clock: u64,
    by_key: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// An empty map.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::new(Entries {
                clock: 0,
                by_key: HashMap::new(),
            }),
        }
    }

    /// The value, which counts as used now.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let clock = entries.clock;
        let (used, value) = entries.by_key.get_mut(key)?;
        *used = clock;
        Some(value.clone())
    }

    /// Stores a value; past the capacity, the oldest eighth goes at once, so that a full map costs little per entry.
    pub(crate) fn put(&self, key: K, value: V) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let clock = entries.clock;
        entries.by_key.insert(key, (clock, value));
        if entries.by_key.len() > self.capacity {
            let mut ages: Vec<u64> = entries.by_key.values().map(|(used, _)| *used).collect();
            ages.sort_unstable();
            let cut = ages.get(self.capacity.div_ceil(8)).copied().unwrap_or(clock);
            entries.by_key.retain(|_, (used, _)| *used >= cut);
        }
    }

    /// Stores a value and says whether the key was not there. A key that was there counts as used now.
    pub(crate) fn put_new(&self, key: K, value: V) -> bool {
        if self.get(&key).is_some() {
            return false;
        }
        // Between the two, another thread may have put the same: then both were new at once.
        self.put(key, value);
        true
    }

    /// Drops one.
    pub(crate) fn remove(&self, key: &K) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_key
            .remove(key);
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_key
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::new(16);
        for key in 0..1_000 {
            cache.put(key, key);
            assert!(cache.entries.lock().unwrap().by_key.len() <= 16);
        }
        assert_eq!(cache.get(&999), Some(999));
        assert_eq!(cache.get(&0), None);
    }

    #[test]
    fn what_is_used_stays() {
        let cache = Cache::new(8);
        cache.put("tip", 0);
        for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
            assert_eq!(cache.get(&"tip"), Some(0));
            cache.put(key, 1);
        }
        assert_eq!(cache.get(&"tip"), Some(0));
    }
}
