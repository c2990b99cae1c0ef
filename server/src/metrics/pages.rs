//! What pages cost that are followed.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counted by the dashboard, as it happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageMetrics {
    /// Who follows a page now.
    pub(crate) followers: Gauge,
    /// Pages that are followed now.
    pub(crate) subjects: Gauge,
    /// How often one of them was made.
    pub(crate) looks: Counter,
    /// Who found no place.
    pub(crate) refused: Counter,
}

impl PageMetrics {
    /// Registers all of them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "dashboard_followers",
            "Browsers that follow a page of the dashboard",
            self.followers.clone(),
        );
        registry.register(
            "dashboard_pages",
            "Pages of the dashboard that somebody follows",
            self.subjects.clone(),
        );
        registry.register(
            "dashboard_renderings",
            "How often a followed page was made, once for all who follow it",
            self.looks.clone(),
        );
        registry.register(
            "dashboard_refused",
            "Browsers that found no place to follow a page",
            self.refused.clone(),
        );
    }
}
