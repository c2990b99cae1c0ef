//! Limits of one caller that were reached.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::limits::Limit;

/// One limit, by the key that sets it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    limit: &'static str,
}

/// How often each was reached; all copies count together.
#[derive(Debug, Clone)]
pub(crate) struct LimitMetrics(Family<OfLimit, Counter>);

impl Default for LimitMetrics {
    fn default() -> Self {
        let reached = Family::default();
        // Also what was never reached is on the page, so that a rule about it has something to look at.
        for limit in Limit::ALL {
            drop(reached.get_or_create(&OfLimit { limit: limit.key() }));
        }
        Self(reached)
    }
}

impl LimitMetrics {
    pub(crate) fn reached(&self, limit: Limit) {
        self.0.get_or_create(&OfLimit { limit: limit.key() }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "limited",
            "Connections, watches, requests and reports that were refused because one caller had too many, by limit",
            self.0.clone(),
        );
    }
}
