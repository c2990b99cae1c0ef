//! About what things take in memory.
//!
//! Invariant: a weight is rather too great than too small, and follows from the value alone. The figures are those of
//! `benches/fleet.rs`: what a full fleet weighs is what the process grows by.

use std::collections::BTreeMap;
use std::mem::size_of;

use headwater_wire::{ConfigName, ConfigReport, InstanceReport, Running};

/// What one allocation takes beside its content.
const ALLOCATION: usize = 32;
/// Maps are at worst half full.
const MAP_SLACK: usize = 2;

/// An instance, beside what it says and what is remembered of its configs.
pub(super) const ENTRY_BYTES: usize = 512;
/// One config of an instance, beside what is said of it.
pub(super) const SEAT_BYTES: usize = 160;
/// A config that instances have, beside its seats.
pub(super) const CONFIG_BYTES: usize = 1_024;
/// One entry of a history, beside its content.
pub(super) const PAST_BYTES: usize = 96;

/// About what a value takes in memory, in bytes.
pub(super) trait Weigh {
    fn weight(&self) -> usize;
}

fn text(text: &str) -> usize {
    ALLOCATION + text.len()
}

impl Weigh for String {
    fn weight(&self) -> usize {
        ALLOCATION + size_of::<Self>() + text(self)
    }
}

impl Weigh for Running {
    fn weight(&self) -> usize {
        ALLOCATION + size_of::<Self>() + text(self.version.as_str()) + text(self.digest.as_str())
    }
}

impl Weigh for BTreeMap<String, String> {
    fn weight(&self) -> usize {
        let pairs = self.iter();
        let pairs =
            pairs.map(|(key, value)| MAP_SLACK * size_of::<(String, String)>() + text(key) + text(value));
        ALLOCATION + size_of::<Self>() + pairs.sum::<usize>()
    }
}

impl Weigh for BTreeMap<ConfigName, ConfigReport> {
    fn weight(&self) -> usize {
        let configs = self.iter();
        let configs = configs.map(|(name, config)| {
            let running = config.running.as_ref().map_or(0, Weigh::weight);
            let prepared = config
                .prepared
                .as_ref()
                .map_or(0, |version| text(version.as_str()));
            let error = config.error.as_ref().map_or(0, |error| text(&error.message));
            MAP_SLACK * size_of::<(ConfigName, ConfigReport)>()
                + text(name.as_str())
                + running
                + prepared
                + error
        });
        ALLOCATION + size_of::<Self>() + configs.sum::<usize>()
    }
}

/// What an instance takes at most whose report shares nothing with another one.
pub(super) fn alone(report: &InstanceReport) -> usize {
    entry(report.configs.len())
        + report.configs.len() * CONFIG_BYTES
        + report.labels.weight()
        + report.client.weight()
        + report.configs.weight()
}

/// What an instance takes beside what it says.
pub(super) fn entry(seats: usize) -> usize {
    ENTRY_BYTES + seats * SEAT_BYTES
}
