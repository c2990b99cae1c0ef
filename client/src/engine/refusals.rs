//! Content that was refused, and why.
//!
//! Invariant: what is refused is not tried again unless told, so that one bad value costs one try and not a loop.
//! Only crashes outlive the process: a new release of the program may well accept what the old one could not read.

use std::collections::VecDeque;

use headwater_wire::{Digest, FailPhase, ReportError};

/// Refused contents that are remembered; the oldest is forgotten.
const REFUSALS_MAX: usize = 16;

/// Refused contents, oldest first.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<(Digest, ReportError)>);

impl Refusals {
    /// What earlier lives died of.
    pub(super) fn crashed(digests: Vec<Digest>) -> Self {
        let mut refusals = Self::default();
        for digest in digests {
            let message = "the program ended again and again while it was on probation".to_owned();
            let phase = FailPhase::Crash;
            refusals.add(digest, ReportError { phase, message });
        }
        refusals
    }

    pub(super) fn add(&mut self, digest: Digest, error: ReportError) {
        self.forget(&digest);
        if self.0.len() >= REFUSALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((digest, error));
    }

    pub(super) fn forget(&mut self, digest: &Digest) {
        self.0.retain(|(refused, _)| refused != digest);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Digest) -> bool) {
        self.0.retain(|(refused, _)| keep(refused));
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<&ReportError> {
        self.0
            .iter()
            .find(|(refused, _)| refused == digest)
            .map(|(_, error)| error)
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.get(digest).is_some()
    }

    pub(super) fn newest_crash(&self) -> Option<&ReportError> {
        self.0
            .iter()
            .rev()
            .map(|(_, error)| error)
            .find(|error| error.phase == FailPhase::Crash)
    }

    pub(super) fn crashes(&self) -> Vec<Digest> {
        let crashes = self.0.iter().filter(|(_, error)| error.phase == FailPhase::Crash);
        crashes.map(|(digest, _)| digest.clone()).collect()
    }
}
