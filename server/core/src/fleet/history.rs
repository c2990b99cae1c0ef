//! What an instance ran, and when.
//!
//! Invariant: an entry says when something was first and last heard, so that silence is never filled with a guess.
//! Everybody together has a limit; at it, each gives its own oldest entry for a new one.

use std::collections::VecDeque;
use std::sync::Arc;

use headwater_wire::{ConfigReport, FailPhase, Ran, ReportState, Running, Timestamp, ValueSource};

use super::pool::Pool;

/// Entries of one config of one instance.
pub const HISTORY_MAX: usize = 32;
/// Entries of all instances of a repository: ten for each of a full fleet, at about a hundred bytes.
pub const HISTORY_TOTAL_MAX: usize = 1_000_000;

/// What one instance ran of one config, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History(VecDeque<Past>);

#[derive(Debug, Clone)]
struct Past {
    from: Timestamp,
    until: Timestamp,
    incarnation: u64,
    running: Option<Arc<Running>>,
    state: ReportState,
    failed: Option<FailPhase>,
    source: ValueSource,
}

/// What all histories of a fleet share.
#[derive(Debug, Default)]
pub(super) struct Archive {
    entries: usize,
    contents: Pool<Running>,
}

/// When something was heard: the last time before, and now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub before: Option<Timestamp>,
    pub now: Timestamp,
    pub incarnation: u64,
}

impl History {
    /// Notes what a report says, if it is not what the one before said.
    pub(super) fn note(&mut self, report: &ConfigReport, heard: Heard, archive: &mut Archive) {
        if self
            .0
            .back()
            .is_some_and(|last| last.is_so(report, heard.incarnation))
        {
            return;
        }
        if let Some(before) = heard.before {
            self.end(before);
        }
        let past = Past {
            from: heard.now,
            until: heard.now,
            incarnation: heard.incarnation,
            running: report
                .running
                .as_ref()
                .map(|running| archive.contents.shared(running)),
            state: report.state,
            failed: report.error.as_ref().map(|error| error.phase),
            source: report.source,
        };
        self.push(past, archive);
    }

    /// It was last heard then.
    pub(super) fn end(&mut self, at: Timestamp) {
        if let Some(last) = self.0.back_mut() {
            last.until = at.max(last.from);
        }
    }

    /// Puts an entry of before back.
    pub(super) fn recall(&mut self, ran: &Ran, archive: &mut Archive) {
        let past = Past {
            from: ran.from,
            until: ran.until,
            incarnation: ran.incarnation,
            running: ran
                .running
                .as_ref()
                .map(|running| archive.contents.shared(running)),
            state: ran.state,
            failed: ran.failed,
            source: ran.source,
        };
        self.push(past, archive);
    }

    fn push(&mut self, past: Past, archive: &mut Archive) {
        let is_full = self.0.len() >= HISTORY_MAX || archive.entries >= HISTORY_TOTAL_MAX;
        if is_full && self.0.pop_front().is_some() {
            archive.entries -= 1;
        }
        if self.0.len() == self.0.capacity() {
            // Most have few entries, and there are as many histories as instances: doubling would hold room for nobody.
            self.0.reserve_exact(1 + self.0.len() / 4);
        }
        self.0.push_back(past);
        archive.entries += 1;
    }

    /// Nobody can ask for it any more.
    pub(super) fn drop_from(self, archive: &mut Archive) {
        archive.entries -= self.0.len();
    }

    /// The entries, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Ran> {
        self.0.iter().rev().map(Past::told)
    }
}

impl Past {
    fn is_so(&self, report: &ConfigReport, incarnation: u64) -> bool {
        let failed = report.error.as_ref().map(|error| error.phase);
        self.incarnation == incarnation
            && (self.state, self.failed, self.source) == (report.state, failed, report.source)
            && self.running.as_deref() == report.running.as_ref()
    }

    fn told(&self) -> Ran {
        Ran {
            from: self.from,
            until: self.until,
            incarnation: self.incarnation,
            running: self.running.as_deref().cloned(),
            state: self.state,
            failed: self.failed,
            source: self.source,
        }
    }
}

impl Archive {
    /// Lets a report name the same content as others by the same text, held once.
    pub(super) fn share(&mut self, running: &mut Running) {
        *running = Running::clone(&self.contents.shared(running));
    }

    /// Entries of all histories.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// One that takes no more.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self {
            entries: HISTORY_TOTAL_MAX,
            ..Self::default()
        }
    }
}
