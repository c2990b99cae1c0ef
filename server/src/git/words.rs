//! What the upstream says on its error band while it sends a pack.
//!
//! Invariant: only failures are kept, and only the first of them. What is deliberately absent: progress, which nobody
//! watches.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use gix::progress::{Count, Id, MessageLevel, NestedProgress, Progress, Step, StepShared, UNKNOWN, Unit};

/// Most bytes kept of what the upstream says.
const WORDS_BYTES_MAX: usize = 4 << 10;

/// Collects words. Children share them, but each counts for itself, since gix decides by these counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct RemoteWords {
    words: Arc<Mutex<String>>,
    step: StepShared,
}

impl RemoteWords {
    /// What was said so far.
    pub(crate) fn said(&self) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        (!words.trim().is_empty()).then(|| words.clone())
    }
}

impl Count for RemoteWords {
    fn set(&self, step: Step) {
        self.step.store(step, Ordering::Relaxed);
    }

    fn step(&self) -> Step {
        self.step.load(Ordering::Relaxed)
    }

    fn inc_by(&self, step: Step) {
        self.step.fetch_add(step, Ordering::Relaxed);
    }

    fn counter(&self) -> StepShared {
        Arc::clone(&self.step)
    }
}

impl Progress for RemoteWords {
    fn init(&mut self, _max: Option<Step>, _unit: Option<Unit>) {}

    fn set_name(&mut self, _name: String) {}

    fn name(&self) -> Option<String> {
        None
    }

    fn id(&self) -> Id {
        UNKNOWN
    }

    fn message(&self, level: MessageLevel, message: String) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if level == MessageLevel::Failure && words.len() < WORDS_BYTES_MAX {
            words.extend(message.chars().take(WORDS_BYTES_MAX));
        }
    }
}

impl NestedProgress for RemoteWords {
    type SubProgress = Self;

    fn add_child(&mut self, _name: impl Into<String>) -> Self {
        Self {
            words: Arc::clone(&self.words),
            step: StepShared::default(),
        }
    }

    fn add_child_with_id(&mut self, _name: impl Into<String>, _id: Id) -> Self {
        Self {
            words: Arc::clone(&self.words),
            step: StepShared::default(),
        }
    }
}
