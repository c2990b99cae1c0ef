//! Connections, whatever is spoken over them.

use headwater_wire::Timestamp;
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

/// What is counted of encrypted connections; all copies count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsMetrics {
    /// Unix time in seconds; 0 where nothing is encrypted.
    expires: Gauge,
    failed: Counter,
}

impl TlsMetrics {
    /// The certificate that is shown ends then.
    pub(crate) fn expires(&self, at: Timestamp) {
        self.expires.set(at.0.div_euclid(1_000));
    }

    /// A handshake came to nothing.
    pub(crate) fn failed(&self) {
        self.failed.inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_certificate_expires_seconds",
            "When the certificate of the service ends, as Unix time; 0 without TLS",
            self.expires.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "Handshakes that came to nothing: no TLS, no certificate that counts, too slow",
            self.failed.clone(),
        );
    }
}
