//! Connections, whatever is spoken over them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many there are, may be, and were turned away; all copies count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionMetrics {
    open: Gauge,
    max: Gauge,
    refused: Counter,
}

impl ConnectionMetrics {
    pub(crate) fn opened(&self) {
        self.open.inc();
    }

    pub(crate) fn closed(&self) {
        self.open.dec();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// So many may be open at once.
    pub(crate) fn may_be(&self, max: usize) {
        self.max.set(i64::try_from(max).unwrap_or(i64::MAX));
    }

    /// Those that are open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> i64 {
        self.open.get()
    }

    /// Those that were turned away.
    #[cfg(test)]
    pub(crate) fn turned_away(&self) -> u64 {
        self.refused.get()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections that are open", self.open.clone());
        registry.register(
            "connections_max",
            "Connections that may be open; more are turned away",
            self.max.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that were turned away because too many were open",
            self.refused.clone(),
        );
    }
}
