//! Connections, whatever is spoken over them, by the listener that took them.

use headwater_wire::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::http::Door;

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: &'static str,
}

impl OfListener {
    fn at(door: Door) -> Self {
        Self {
            listener: door.label(),
        }
    }
}

/// What is counted of every listener.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: Family<OfListener, Gauge>,
    max: Family<OfListener, Gauge>,
    refused: Family<OfListener, Counter>,
    expires: Family<OfListener, Gauge>,
    failed: Family<OfListener, Counter>,
}

impl Listeners {
    /// What is counted of the connections of one.
    pub(super) fn connections(&self, door: Door) -> ConnectionMetrics {
        let of = OfListener::at(door);
        ConnectionMetrics {
            open: self.open.get_or_create(&of).clone(),
            max: self.max.get_or_create(&of).clone(),
            refused: self.refused.get_or_create(&of).clone(),
        }
    }

    /// What is counted of its handshakes.
    pub(super) fn tls(&self, door: Door) -> TlsMetrics {
        let of = OfListener::at(door);
        TlsMetrics {
            expires: self.expires.get_or_create(&of).clone(),
            failed: self.failed.get_or_create(&of).clone(),
        }
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
        registry.register(
            "tls_certificate_expires_seconds",
            "When the certificate of a listener ends, as Unix time; 0 without TLS",
            self.expires.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "Handshakes that came to nothing: no TLS, no certificate that counts, too slow",
            self.failed.clone(),
        );
    }
}

/// How many connections there are at a listener, may be, and were turned away; all copies count together.
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
}

/// What is counted of the encrypted connections of a listener; all copies count together.
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
}
