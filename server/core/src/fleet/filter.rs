//! Which instances a listing shows.
//!
//! Invariant: what is said of a config holds for one and the same config.

use std::collections::BTreeMap;

use headwater_wire::{CommitId, ConfigName, ConfigReport, InstanceReport, ReportState};

/// Which instances a listing shows. What is said of a config must hold for one and the same config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Those that report this config.
    pub config: Option<ConfigName>,
    /// Those where a config is in this state.
    pub state: Option<ReportState>,
    /// Those that run this version.
    pub version: Option<CommitId>,
    /// Those that have all these labels.
    pub labels: BTreeMap<String, String>,
}

impl InstanceFilter {
    /// Whether an instance with this report is shown.
    pub fn matches(&self, report: &InstanceReport) -> bool {
        let has_labels = self
            .labels
            .iter()
            .all(|(key, value)| report.labels.get(key) == Some(value));
        has_labels && self.matches_a_config(report)
    }

    fn matches_a_config(&self, report: &InstanceReport) -> bool {
        let fits = |config: &ConfigReport| {
            let running = config.running.as_ref().map(|running| &running.version);
            self.state.is_none_or(|state| config.state == state)
                && self
                    .version
                    .as_ref()
                    .is_none_or(|version| running == Some(version))
        };
        match &self.config {
            Some(name) => report.configs.get(name).is_some_and(fits),
            None if self.state.is_none() && self.version.is_none() => true,
            None => report.configs.values().any(fits),
        }
    }
}
