//! What is remembered of one config of one instance beside its newest report.
//!
//! Invariant: restarts are counted since the newest directive that the instance was given, so that what it did before
//! is never laid at the door of new content, and a crash between being told and saying so is. What is deliberately
//! absent: the content, and what the instance should hold.

use headwater_wire::{ConfigReport, Generation};

use super::history::{Archive, Heard, History};

/// One config of one instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    /// Number of the newest directive that it was given, as far as is known.
    pub told: Generation,
    /// How often it began anew since then.
    pub restarts: u32,
    /// What it ran.
    pub history: History,
}

impl Seat {
    /// A new life of the instance has begun.
    pub(super) fn restart(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
    }

    /// It was given a directive; an older one, or the same again, is no news.
    pub(super) fn give(&mut self, generation: Generation) {
        if generation > self.told {
            self.told = generation;
            self.restarts = 0;
        }
    }

    /// It has said where it stands. A directive that it has seen was given to it, by whomever.
    pub(super) fn hear(&mut self, report: &ConfigReport, heard: Heard, archive: &mut Archive) {
        self.give(report.generation);
        self.history.note(report, heard, archive);
    }
}
