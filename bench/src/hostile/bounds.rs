//! The bounds: what no attack may cost those who behave, and what it may cost the service.
//!
//! Invariant: each bound of memory follows from a limit of the service that the documentation names, and from how strong
//! the attack is; a bound that does not hold is a sentence. What is deliberately absent: bounds of times, but for one
//! that is far beyond what anybody would put up with, since machines are shared.

use super::attack::{Attack, Strength, Tally};
use super::phase::Measured;
use super::site::CONFIG_BYTES;
use crate::crowd::open_files;

/// What the heap may grow by while the same is done as before, and what is measured is not the attack, in MiB.
const SLACK_MIB: f64 = 64.0;
/// A connection: its task, its timers, its first buffer, in KiB.
const CONNECTION_KIB: f64 = 24.0;
/// A head that is not whole: at most 64 KiB, in a buffer that doubles.
const HEAD_KIB: f64 = 128.0;
/// What waits to be written to one who reads nothing, beside two events: the buffer of the HTTP library.
const WRITING_KIB: f64 = 128.0;
/// What all reports take at most, by the fleet's own measure.
const FLEET_MIB: f64 = 256.0;
/// Bodies of deliveries: 32 at once, each at most 5 MiB, in a buffer that doubles.
const BODIES_MIB: f64 = 32.0 * 10.0;
/// A listing is at most 16 MiB on the wire, and parsed some ten times as much; two upstreams lie.
const LISTINGS_MIB: f64 = 2.0 * 16.0 * 11.0;
/// The most bytes of a listing that an upstream gets rid of: the limit, and what sockets hold.
const LISTED_BYTES_MAX: u64 = (16 << 20) + (16 << 20);
/// What one attack may have logged, in MiB.
const LOG_MIB: f64 = 64.0;
/// A read may be slow if it is no slower than this, in ms.
const SLOW_MS: f64 = 1_000.0;
/// Or no slower than so many times what it is in the calm.
const TIMES_CALM: f64 = 100.0;
/// Descriptors that may be open besides those of the calm when an attack is over.
pub(super) const DESCRIPTORS_LEFT: usize = 64;

/// What is held against the bounds.
pub(super) struct Case<'a> {
    pub(super) attack: Attack,
    pub(super) strength: Strength,
    pub(super) calm: &'a Measured,
    pub(super) beside: &'a Measured,
    pub(super) tally: &'a Tally,
    /// What upstreams saw meanwhile.
    pub(super) upstream: Seen,
    /// Descriptors that stayed open, if they were too many.
    pub(super) left_open: Option<usize>,
    /// Whether times are looked at.
    pub(super) quick: bool,
}

/// What upstreams saw during an attack.
#[derive(Debug)]
pub(super) struct Seen {
    /// Listings that true deliveries caused.
    pub(super) listed: u64,
    /// Lies that were told, and the most bytes of one that were taken.
    pub(super) lied: (u64, u64),
    /// States of the sources that lie, if they do.
    pub(super) states: Vec<String>,
}

impl Case<'_> {
    /// By how much memory grew above the calm, in MiB.
    pub(super) fn grown_mib(&self) -> f64 {
        (self.beside.peak_kib - self.calm.resident_kib).max(0.0) / 1_024.0
    }

    /// By how much it may, in MiB.
    pub(super) fn grown_mib_max(&self) -> f64 {
        let all = f64::from(self.strength.processes) * f64::from(self.strength.connections);
        // No more are let in than there are descriptors for.
        let places = open_files().and_then(|files| u32::try_from(files).ok());
        let connections = places.map_or(all, |places| all.min(f64::from(places)));
        let event_kib = f64::from(u32::try_from(CONFIG_BYTES).unwrap_or(u32::MAX)) / 1_024.0 * 2.0;
        let (each_kib, once_mib) = match self.attack {
            Attack::Slowloris => (HEAD_KIB, 0.0),
            Attack::Unread => (WRITING_KIB + 2.0 * event_kib, 0.0),
            Attack::Names => (0.0, FLEET_MIB),
            Attack::Unfinished => (0.0, BODIES_MIB),
            Attack::Upstream => (0.0, LISTINGS_MIB),
            Attack::HalfOpen | Attack::Reports | Attack::Webhooks => (0.0, 0.0),
        };
        SLACK_MIB + once_mib + connections * (CONNECTION_KIB + each_kib) / 1_024.0
    }

    /// Each bound that does not hold, in words.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = self.of_those_who_behave();
        broken.extend(self.of_the_service());
        let name = self.attack.name();
        broken.into_iter().map(|what| format!("{name}: {what}")).collect()
    }

    fn of_those_who_behave(&self) -> Vec<String> {
        let (samples, beside) = (&self.beside.samples, self.beside);
        let mut broken = Vec::new();
        if samples.failed > 0 {
            let first = samples.failure.as_deref().unwrap_or_default();
            broken.push(format!(
                "{} requests of those who behave failed ({first})",
                samples.failed
            ));
        }
        if beside.untold > 0 {
            broken.push(format!(
                "{} watchers were not told within a minute",
                beside.untold
            ));
        }
        if samples.refused > 0 && !self.attack.takes_all_places() {
            let (refused, all) = (samples.refused, samples.newcomers);
            broken.push(format!("{refused} of {all} who came anew were not answered"));
        }
        if beside.deliveries_refused > 0 && !self.attack.keeps_deliveries_out() {
            broken.push(format!(
                "{} true deliveries were refused",
                beside.deliveries_refused
            ));
        }
        let (slow_ms, calm_ms) = (beside.read_ms(99), self.calm.read_ms(99));
        if !self.quick && slow_ms > SLOW_MS && slow_ms > TIMES_CALM * calm_ms {
            broken.push(format!(
                "99 of 100 reads took {slow_ms:.0} ms, and {calm_ms:.1} ms in the calm"
            ));
        }
        broken
    }

    fn of_the_service(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let (grown, grown_max) = (self.grown_mib(), self.grown_mib_max());
        if grown > grown_max {
            broken.push(format!(
                "memory grew by {grown:.0} MiB, and the bound is {grown_max:.0}"
            ));
        }
        if let Some(open) = self.left_open {
            broken.push(format!("{open} descriptors were open a minute after it was over"));
        }
        if let Some(unexpected) = &self.tally.unexpected {
            broken.push(unexpected.clone());
        }
        let log_mib = as_f64(self.beside.log_bytes) / f64::from(1 << 20);
        if log_mib > LOG_MIB {
            broken.push(format!(
                "{log_mib:.0} MiB were logged, and the bound is {LOG_MIB:.0}"
            ));
        }
        // Deliveries cause at most one listing in a second; one more was under way.
        let listed_max = self.beside.length.as_secs() + 2;
        if self.upstream.listed > listed_max {
            broken.push(format!(
                "the upstream was listed {} times in {} s",
                self.upstream.listed,
                self.beside.length.as_secs()
            ));
        }
        if self.attack == Attack::Upstream {
            broken.extend(self.of_lies());
        }
        broken
    }

    fn of_lies(&self) -> Vec<String> {
        let (lied, bytes) = self.upstream.lied;
        let mut broken = Vec::new();
        if lied == 0 {
            broken.push("nobody asked for the refs".to_owned());
        }
        if bytes > LISTED_BYTES_MAX {
            broken.push(format!("{bytes} bytes of refs were taken"));
        }
        for state in self.upstream.states.iter().filter(|state| *state != "bad_answer") {
            broken.push(format!("the source is said to be `{state}`"));
        }
        broken
    }
}

/// A count as a figure; those that are met here are exact.
pub(super) fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
