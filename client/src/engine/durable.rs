//! What must be on disk before the next step, and which of it is.
//!
//! Invariant: one write at a time, and the newest state wins: states in between are never written. Whoever waits for
//! a state waits for its number.

/// Number of a state to be written.
pub type SaveId = u64;

/// Writes asked for, under way and done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Durable {
    wanted: SaveId,
    writing: Option<SaveId>,
    done: SaveId,
}

impl Durable {
    /// The state changed: the number to wait for.
    pub(super) fn want(&mut self) -> SaveId {
        self.wanted += 1;
        self.wanted
    }

    /// The number to write now, if there is news and nothing is being written.
    pub(super) fn start(&mut self) -> Option<SaveId> {
        if self.writing.is_some() || self.wanted == self.done {
            return None;
        }
        self.writing = Some(self.wanted);
        self.writing
    }

    /// A write ended.
    pub(super) fn ended(&mut self, id: SaveId) {
        if self.writing == Some(id) {
            self.writing = None;
            self.done = id;
        }
    }

    pub(super) fn has(&self, id: SaveId) -> bool {
        self.done >= id
    }

    pub(super) fn is_settled(&self) -> bool {
        self.done == self.wanted
    }
}
