//! What the service holds, sampled; lines through the second half; and how steep they may be.
//!
//! Invariant: a bound is of growth by pushes, since what must not be kept is kept for each push or for each who came with it.
//! What a push may leave for good is its history.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::ask::Numbers;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::report::Row;

const KIB: f64 = 1_024.0;

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Memory,
    Descriptors,
    Threads,
    Connections,
    Watches,
    Packs,
    Data,
}

impl Measure {
    /// All of them, in the order in which a sample has them.
    pub(super) const ALL: [Self; 7] = [
        Self::Memory,
        Self::Descriptors,
        Self::Threads,
        Self::Connections,
        Self::Watches,
        Self::Packs,
        Self::Data,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory, MiB",
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
            Self::Connections => "connections",
            Self::Watches => "watches",
            Self::Packs => "packs",
            Self::Data => "data, MiB",
        }
    }

    /// What it may rise by in a stretch: always, and for each push.
    fn rise_max(self) -> (f64, f64) {
        match self {
            // The allocator's own unrest; and a listed commit with its findings and its place in caches.
            Self::Memory => (24.0, 16.0 / KIB),
            // Connections that come and go while it is looked; nothing that stays.
            Self::Descriptors | Self::Connections | Self::Watches => (48.0, 0.0),
            Self::Threads => (16.0, 0.0),
            // Packs are put together when there are this many.
            Self::Packs => (64.0, 0.0),
            // A commit, its trees and blobs, each in a file of a block or in a pack with its index; and the store's pages.
            Self::Data => (16.0, 64.0 / KIB),
        }
    }
}

/// What it was at one moment.
struct Sample {
    at: Duration,
    pushes: u32,
    values: [f64; Measure::ALL.len()],
}

/// Places and values, which a line is fitted through.
type Points = Vec<(f64, f64)>;

/// All samples.
#[derive(Default)]
pub(super) struct Course {
    samples: Vec<Sample>,
}

impl Course {
    /// Takes a sample.
    pub(super) fn sample(
        &mut self,
        service: &Deployment<'_>,
        (started, pushes): (Instant, u32),
    ) -> Result<(), Failure> {
        let served = service.served()?;
        let numbers = Numbers::of(served.address)?;
        let (packs, bytes) = stored(&service.data_dir());
        let values = Measure::ALL.map(|measure| match measure {
            Measure::Memory => served.resident_kib().unwrap_or_default() / KIB,
            Measure::Descriptors => numbers.sum("process_open_fds"),
            Measure::Threads => numbers.sum("process_threads"),
            Measure::Connections => numbers.sum("headwater_connections"),
            Measure::Watches => numbers.sum("headwater_watches"),
            Measure::Packs => packs,
            Measure::Data => bytes / KIB / KIB,
        });
        self.samples.push(Sample {
            at: started.elapsed(),
            pushes,
            values,
        });
        Ok(())
    }

    /// How long ago the last was taken.
    pub(super) fn age(&self, started: Instant) -> Duration {
        let last = self.samples.last().map_or(Duration::ZERO, |sample| sample.at);
        started.elapsed().saturating_sub(last)
    }

    /// The last sample, in words.
    pub(super) fn last(&self) -> String {
        let values = self
            .samples
            .last()
            .map(|sample| sample.values)
            .unwrap_or_default();
        let named = Measure::ALL.iter().zip(values);
        let words: Vec<String> = named
            .map(|(measure, value)| format!("{} {value:.1}", measure.name()))
            .collect();
        words.join(", ")
    }

    fn of(&self, measure: Measure) -> impl Iterator<Item = f64> + '_ {
        let place = Measure::ALL.iter().position(|one| *one == measure);
        self.samples
            .iter()
            .filter_map(move |sample| sample.values.get(place?).copied())
    }

    /// The second half of the time: samples by pushes, and by hours.
    fn half(&self, measure: Measure) -> (Points, Points) {
        let end = self.samples.last().map_or(Duration::ZERO, |sample| sample.at);
        let late = self.samples.iter().zip(self.of(measure));
        let late = late.filter(|(sample, _)| sample.at * 2 >= end);
        late.map(|(sample, value)| {
            let hours = sample.at.as_secs_f64() / 3_600.0;
            ((f64::from(sample.pushes), value), (hours, value))
        })
        .unzip()
    }

    /// What the line through the second half rises by within it, and what it may.
    fn rise(&self, measure: Measure) -> (f64, f64) {
        let (points, _) = self.half(measure);
        let pushes = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
        let (always, each) = measure.rise_max();
        (slope(&points) * pushes, always + each * pushes)
    }

    /// What is printed of it.
    pub(super) fn row(&self, measure: Measure) -> Row {
        let values: Vec<f64> = self.of(measure).collect();
        let (by_pushes, by_hours) = self.half(measure);
        let (rise, rise_max) = self.rise(measure);
        Row {
            what: measure.name().to_owned(),
            figures: vec![
                ("first", values.first().copied().unwrap_or_default()),
                ("last", values.last().copied().unwrap_or_default()),
                ("most", values.iter().copied().fold(0.0, f64::max)),
                ("per_1000_pushes", slope(&by_pushes) * 1e3),
                ("per_hour", slope(&by_hours)),
                ("rise", rise),
                ("rise_max", rise_max),
                (
                    "pushes",
                    self.samples.last().map_or(0.0, |sample| f64::from(sample.pushes)),
                ),
            ],
        }
    }

    /// A sentence, if it rises by more than it may.
    pub(super) fn broken(&self, measure: Measure) -> Option<String> {
        let (rise, rise_max) = self.rise(measure);
        let name = measure.name();
        (rise > rise_max)
            .then(|| format!("{name}: rises by {rise:.1} in the second half, and may by {rise_max:.1}"))
    }
}

/// The slope of the line that fits best; zero of fewer than two points, and where all have one place.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.iter().map(|_| 1.0).sum::<f64>();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

/// Packs below a directory, and bytes of all files. What goes away while it is looked counts for nothing.
fn stored(dir: &Path) -> (f64, f64) {
    let (mut packs, mut bytes) = (0.0, 0.0);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else {
            continue;
        };
        if about.is_dir() {
            let below = stored(&entry.path());
            packs += below.0;
            bytes += below.1;
        } else {
            packs += f64::from(u8::from(
                entry.path().extension().is_some_and(|end| end == "pack"),
            ));
            // A data directory is far from the size where this would lose a byte.
            bytes += u32::try_from(about.len()).map_or(f64::from(u32::MAX), f64::from);
        }
    }
    (packs, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course of samples with one push a second, of which memory is what is given.
    fn course(memory: impl Fn(u32) -> f64) -> Course {
        let samples = (0..100).map(|second| Sample {
            at: Duration::from_secs(second.into()),
            pushes: second * 100,
            values: [memory(second), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        });
        Course {
            samples: samples.collect(),
        }
    }

    #[test]
    fn what_fills_in_the_first_half_and_then_rests_is_no_growth() {
        let filled = course(|second| f64::from(second.min(40)) * 10.0);
        assert_eq!(filled.broken(Measure::Memory), None);
        assert_eq!(filled.rise(Measure::Memory).0.to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn what_goes_on_growing_is_told_with_its_bound() {
        let leaking = course(|second| f64::from(second) * 10.0);
        assert_eq!(
            leaking.broken(Measure::Memory).as_deref(),
            Some("memory, MiB: rises by 490.0 in the second half, and may by 100.6")
        );
        assert_eq!(leaking.broken(Measure::Packs), None);
    }
}
