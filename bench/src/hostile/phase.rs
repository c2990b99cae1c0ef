//! One stretch of time, calm or beside an attack: what those who behave see, and what the service takes.
//!
//! Invariant: calm and attacked stretches do the same: the same reads, the same publishing, in the same process.

use std::collections::HashSet;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use super::behaved::{Behaved, Samples};
use super::site::Site;
use crate::failure::Failure;
use crate::hook::told_of;
use crate::report::{median, milliseconds, quantile};

/// Pause between the last watcher who is told and the next commit.
const PACE: Duration = Duration::from_millis(500);
/// Longest wait for the last watcher who is told.
const TOLD_DEADLINE: Duration = Duration::from_mins(1);
/// Longest stretch.
const LONGEST: Duration = Duration::from_mins(15);
/// Longest wait for what an attack had open to be closed: no peer is waited for half as long.
const CLOSED_DEADLINE: Duration = Duration::from_mins(1);

/// A service and those who behave.
pub(super) struct Phase {
    pub(super) site: Site,
    pub(super) behaved: Behaved,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) samples: Samples,
    /// From a commit until the last watcher was told of it, for each commit.
    pub(super) told_ms: Vec<f64>,
    /// Watchers who were not told within a minute.
    pub(super) untold: usize,
    /// Deliveries of those who behave that were not taken.
    pub(super) deliveries_refused: u64,
    /// Memory at the end, and at its most, in KiB.
    pub(super) resident_kib: f64,
    pub(super) peak_kib: f64,
    /// Most descriptors that were seen.
    pub(super) descriptors: usize,
    /// What was logged.
    pub(super) log_bytes: u64,
    pub(super) length: Duration,
}

impl Measured {
    /// The time of a read that this many percent do not exceed, in ms.
    pub(super) fn read_ms(&self, percent: usize) -> f64 {
        quantile(&milliseconds(&self.samples.reads), percent)
    }

    /// The usual time until everybody is told of a commit, in ms.
    pub(super) fn told_ms(&self) -> f64 {
        median(&self.told_ms)
    }
}

impl Phase {
    /// Measures for at least `window`, and until `is_over`, which is asked after each commit.
    pub(super) fn measure(
        &mut self,
        window: Duration,
        mut is_over: impl FnMut(&mut Site) -> Result<bool, Failure>,
    ) -> Result<Measured, Failure> {
        drop(self.behaved.samples());
        self.site.service.forget_peak();
        let (started, logged) = (Instant::now(), self.site.log_bytes()?);
        let mut measured = Measured::default();
        loop {
            self.publish(&mut measured)?;
            measured.descriptors = measured.descriptors.max(self.site.service.descriptors()?);
            let over = is_over(&mut self.site)?;
            if measured.untold > 0 || (over && started.elapsed() >= window) {
                break;
            }
            if started.elapsed() > LONGEST {
                return Err(Failure::new("an attack did not come to its end"));
            }
            thread::sleep(PACE);
        }
        measured.samples = self.behaved.samples();
        measured.resident_kib = self.site.service.resident_kib()?;
        measured.peak_kib = self.site.service.peak_kib()?;
        measured.log_bytes = self.site.log_bytes()? - logged;
        measured.length = started.elapsed();
        Ok(measured)
    }

    /// Commits, tells the service as a forge does, and waits until every watcher is told.
    fn publish(&mut self, measured: &mut Measured) -> Result<(), Failure> {
        let commit = self.site.repository.change()?;
        let started = Instant::now();
        let body = told_of(&commit);
        measured.deliveries_refused += u64::from(!self.site.deliver("push", &body));
        let (mut waiting, mut last) = (self.everybody(), started);
        while !waiting.is_empty() {
            let left = TOLD_DEADLINE.saturating_sub(started.elapsed());
            match self.behaved.told.recv_timeout(left) {
                Ok(told) if told.version == commit => {
                    waiting.remove(&told.watcher);
                    last = last.max(told.at);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new("nobody watches any more"));
                }
            }
        }
        measured.untold += waiting.len();
        measured.told_ms.push((last - started).as_secs_f64() * 1e3);
        self.behaved.read_commit(&commit);
        Ok(())
    }

    fn everybody(&self) -> HashSet<u32> {
        (0..self.behaved.numbers.watchers).collect()
    }

    /// Waits until the service has no more than that many descriptors. How many it has if it does not come to that.
    pub(super) fn left_open(&self, descriptors_max: usize) -> Result<Option<usize>, Failure> {
        let started = Instant::now();
        loop {
            let open = self.site.service.descriptors()?;
            if open <= descriptors_max {
                return Ok(None);
            }
            if started.elapsed() > CLOSED_DEADLINE {
                return Ok(Some(open));
            }
            thread::sleep(PACE);
        }
    }
}
