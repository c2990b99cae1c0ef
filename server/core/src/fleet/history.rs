//! What an instance ran, and when.
//!
//! Invariant: an entry says when something was first and last heard, so that silence is never filled with a guess.
//! Everybody together has a limit; at it, each gives its own oldest entry for a new one.

use std::collections::VecDeque;
use std::sync::Arc;

use headwater_wire::{CommitId, ConfigReport, FailPhase, Ran, ReportState, Running, Timestamp, ValueSource};

use super::pool::Pool;
use super::weight::PAST_BYTES;

/// Entries of one config of one instance.
pub const HISTORY_MAX: usize = 32;
/// Entries of all instances of a repository: ten for each of a full fleet, at about a hundred bytes.
pub const HISTORY_TOTAL_MAX: usize = 1_000_000;
/// Bytes that the contents take which histories name: a fleet has run some hundreds, and one that invents them has none of
/// its own past left.
pub const CONTENTS_BYTES_MAX: usize = 32 << 20;

/// What one instance ran of one config, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History(VecDeque<Past>);

/// What an instance ran of a config for a while; a [`Ran`] that shares what it ran with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// When it first said so.
    pub from: Timestamp,
    /// When it last said so.
    pub until: Timestamp,
    /// The life that said so.
    pub incarnation: u64,
    /// What ran, if anything.
    pub running: Option<Arc<Running>>,
    /// What was said of it.
    pub state: ReportState,
    /// Where it failed, if it did.
    pub failed: Option<FailPhase>,
    /// Where the value came from.
    pub source: ValueSource,
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
    pub(super) fn recall(&mut self, past: &Past, archive: &mut Archive) {
        let running = past.running.as_ref();
        let past = Past {
            running: running.map(|running| archive.contents.shared(running)),
            ..past.clone()
        };
        self.push(past, archive);
    }

    fn push(&mut self, past: Past, archive: &mut Archive) {
        if self.0.len() >= HISTORY_MAX || archive.is_full() {
            archive.let_go(self.0.pop_front());
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
        archive.let_go(self.0);
    }

    /// When it came to run a version, in the newest unbroken time that it did.
    pub(super) fn came_to(&self, version: &CommitId) -> Option<Timestamp> {
        let runs = |past: &&Past| {
            let running = past.running.as_deref();
            running.is_some_and(|running| running.version == *version)
        };
        let newest_first = self.0.iter().rev().skip_while(|past| !runs(past));
        newest_first.take_while(runs).last().map(|past| past.from)
    }

    /// The entries, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Past> {
        self.0.iter().rev()
    }
}

impl Past {
    fn is_so(&self, report: &ConfigReport, incarnation: u64) -> bool {
        let failed = report.error.as_ref().map(|error| error.phase);
        self.incarnation == incarnation
            && (self.state, self.failed, self.source) == (report.state, failed, report.source)
            && self.running.as_deref() == report.running.as_ref()
    }

    /// As it is told.
    pub(super) fn told(&self) -> Ran {
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
    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.entries * PAST_BYTES + self.contents.bytes()
    }

    fn is_full(&mut self) -> bool {
        if self.contents.bytes() >= CONTENTS_BYTES_MAX {
            self.contents.sweep();
        }
        self.entries >= HISTORY_TOTAL_MAX || self.contents.bytes() >= CONTENTS_BYTES_MAX
    }

    fn let_go(&mut self, entries: impl IntoIterator<Item = Past>) {
        for past in entries {
            self.entries -= 1;
            if let Some(running) = &past.running {
                self.contents.let_go(running);
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use headwater_wire::Generation;

    use super::*;

    #[test]
    fn contents_that_nobody_else_runs_take_the_place_of_each_other() {
        const HISTORIES: usize = 4_000;
        let mut archive = Archive::default();
        let mut histories = vec![History::default(); HISTORIES];
        for number in 0..40 * HISTORIES {
            let running = Running {
                version: format!("{number:040x}").parse().unwrap(),
                digest: format!("sha256:{number:064x}").parse().unwrap(),
            };
            let report = ConfigReport {
                running: Some(running),
                generation: Generation(1),
                state: ReportState::Applied,
                error: None,
                prepared: None,
                source: ValueSource::Server,
            };
            let heard = Heard {
                before: None,
                now: Timestamp(0),
                incarnation: 1,
            };
            histories[number % HISTORIES].note(&report, heard, &mut archive);
        }
        let bytes = archive.contents.bytes();
        assert!(
            bytes > CONTENTS_BYTES_MAX / 2 && bytes < CONTENTS_BYTES_MAX + 1_024,
            "{bytes}"
        );
        let lens = histories.iter().map(|history| history.0.len());
        assert_eq!(lens.sum::<usize>(), archive.entries);
        for history in histories {
            history.drop_from(&mut archive);
        }
        assert_eq!(archive.bytes(), 0);
    }
}
