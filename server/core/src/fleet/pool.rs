//! Values that many hold alike, held once.
//!
//! Invariant: what nobody holds any more is let go: at once by whoever says that it is done with it, and otherwise
//! before there is more of it than of what is held. What all of them take is known at any time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::weight::Weigh;

/// Bytes below which nothing is swept.
const SWEPT_FROM: usize = 1 << 20;

/// Values that are held.
#[derive(Debug)]
pub(super) struct Pool<T> {
    held: BTreeSet<Arc<T>>,
    bytes: usize,
    swept_at: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            held: BTreeSet::new(),
            bytes: 0,
            swept_at: 0,
        }
    }
}

impl<T: Ord + Clone + Weigh> Pool<T> {
    /// The value that is held and equals this one.
    pub(super) fn shared(&mut self, value: &T) -> Arc<T> {
        if let Some(known) = self.held.get(value) {
            return known.clone();
        }
        if self.bytes >= SWEPT_FROM.max(2 * self.swept_at) {
            self.sweep();
        }
        let shared = Arc::new(value.clone());
        self.bytes += value.weight();
        self.held.insert(shared.clone());
        shared
    }

    /// Its holder is done with it, and drops it next.
    pub(super) fn let_go(&mut self, value: &Arc<T>) {
        if is_last(value) && self.held.remove(value) {
            self.bytes -= value.weight();
        }
    }

    /// Lets go what nobody holds, though nobody said so: it was in use elsewhere at the time.
    pub(super) fn sweep(&mut self) {
        self.held.retain(|value| Arc::strong_count(value) > 1);
        self.bytes = self.held.iter().map(|value| value.weight()).sum();
        self.swept_at = self.bytes;
    }

    /// What all of them take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it would take to hold this one too.
    pub(super) fn added(&self, value: &T) -> usize {
        if self.held.contains(value) {
            0
        } else {
            value.weight()
        }
    }
}

/// What would be free if its holder were done with it.
pub(super) fn freed<T: Weigh>(value: &Arc<T>) -> usize {
    if is_last(value) { value.weight() } else { 0 }
}

/// Whether nobody has it but one holder and the pool.
fn is_last<T>(value: &Arc<T>) -> bool {
    Arc::strong_count(value) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> String {
        format!("{number:0100}")
    }

    #[test]
    fn what_is_equal_is_held_once_and_let_go_with_its_last_holder() {
        let mut pool = Pool::default();
        let first = pool.shared(&text(0));
        let again = pool.shared(&text(0));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((pool.bytes(), pool.added(&text(0))), (text(0).weight(), 0));
        pool.let_go(&again);
        drop(again);
        assert_eq!(
            (pool.bytes(), freed(&first)),
            (text(0).weight(), text(0).weight())
        );
        pool.let_go(&first);
        assert_eq!((pool.bytes(), pool.added(&text(0))), (0, text(0).weight()));
    }

    #[test]
    fn what_nobody_holds_any_more_and_nobody_said_so_is_swept() {
        let mut pool = Pool::default();
        let first = pool.shared(&text(0));
        for number in 1..100_000 {
            pool.shared(&text(number));
        }
        assert!(pool.bytes() <= SWEPT_FROM + text(0).weight());
        assert!(Arc::ptr_eq(&first, &pool.shared(&text(0))));
        pool.sweep();
        assert_eq!(pool.bytes(), text(0).weight());
    }
}
