//! The newest report of an instance, as it is held in memory.
//!
//! Invariant: it says what was reported. Instances of one kind say nearly the same, so labels and where an instance
//! stands are held once for all that say them alike: a full fleet would otherwise be mostly equal maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::{ConfigName, ConfigReport, InstanceReport};

use super::pool::{Pool, freed};
use super::weight::Weigh;

/// An [`InstanceReport`] that shares with others what they say alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldReport {
    /// Life of the process.
    pub incarnation: u64,
    /// Counts the reports of this life.
    pub seq: u64,
    /// Labels, which choose variants and stages.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Name and release of the reporting program.
    pub client: Arc<String>,
    /// The configs it holds or should hold.
    pub configs: Arc<BTreeMap<ConfigName, ConfigReport>>,
}

/// What the reports of a fleet share.
#[derive(Debug, Default)]
pub(super) struct Pools {
    labels: Pool<BTreeMap<String, String>>,
    clients: Pool<String>,
    configs: Pool<BTreeMap<ConfigName, ConfigReport>>,
}

impl Pools {
    /// Holds a report that follows `before`, with which it most likely shares everything.
    pub(super) fn hold(&mut self, report: &InstanceReport, before: Option<&HeldReport>) -> HeldReport {
        HeldReport {
            incarnation: report.incarnation,
            seq: report.seq,
            labels: held(
                &report.labels,
                before.map(|before| &before.labels),
                &mut self.labels,
            ),
            client: held(
                &report.client,
                before.map(|before| &before.client),
                &mut self.clients,
            ),
            configs: held(
                &report.configs,
                before.map(|before| &before.configs),
                &mut self.configs,
            ),
        }
    }

    /// Nobody will ask for it again.
    pub(super) fn let_go(&mut self, report: &HeldReport) {
        self.labels.let_go(&report.labels);
        self.clients.let_go(&report.client);
        self.configs.let_go(&report.configs);
    }

    /// Lets go what nobody holds any more.
    pub(super) fn sweep(&mut self) {
        self.labels.sweep();
        self.clients.sweep();
        self.configs.sweep();
    }

    /// What is held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.labels.bytes() + self.clients.bytes() + self.configs.bytes()
    }

    /// What it would take to hold this one too, in bytes.
    pub(super) fn added(&self, report: &InstanceReport) -> usize {
        self.labels.added(&report.labels)
            + self.clients.added(&report.client)
            + self.configs.added(&report.configs)
    }
}

fn held<T: Ord + Clone + Weigh>(value: &T, before: Option<&Arc<T>>, pool: &mut Pool<T>) -> Arc<T> {
    match before {
        Some(before) if **before == *value => before.clone(),
        Some(_) | None => pool.shared(value),
    }
}

impl HeldReport {
    /// The report, as it is told.
    pub fn told(&self) -> InstanceReport {
        InstanceReport {
            incarnation: self.incarnation,
            seq: self.seq,
            labels: BTreeMap::clone(&self.labels),
            client: String::clone(&self.client),
            configs: BTreeMap::clone(&self.configs),
        }
    }

    /// What would be free without it, in bytes.
    pub(super) fn freed(&self) -> usize {
        freed(&self.labels) + freed(&self.client) + freed(&self.configs)
    }
}
