//! What the process costs, under the names that every Prometheus client uses for it, so that ready dashboards fit.
//!
//! Where `/proc` cannot be read, nothing is told rather than something wrong.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Registers memory, descriptors and threads.
pub(super) fn register(registry: &mut Registry) {
    let own = registry.sub_registry_with_prefix("process");
    if let Some(memory) = resident_bytes() {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(memory);
        own.register_with_unit("resident_memory", "Memory in use", Unit::Bytes, gauge);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(open.count()).unwrap_or(i64::MAX));
        own.register("open_fds", "Open file descriptors", gauge);
    }
    if let Some(threads) = status_number("Threads:") {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(threads);
        own.register("threads", "Threads", gauge);
    }
}

fn resident_bytes() -> Option<u64> {
    // The kernel says it in kB, by which it means 1,024 bytes.
    Some(status_number("VmRSS:")? * 1_024)
}

/// A number of `/proc/self/status`.
fn status_number(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
