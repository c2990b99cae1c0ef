//! Which instances a listing shows.
//!
//! Invariant: what is said of a config holds for one and the same config. Who was not heard of lately is not shown
//! among those that run something well, whatever it said last.

use headwater_wire::{
    CommitId, ConfigName, ConfigReport, Drift, InstanceView, Liveness, ReportState, StateWanted,
};

use super::Reported;
use crate::rollout::Selector;

/// Which instances a listing shows. What is said of a config must hold for one and the same config.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// Those that report this config.
    pub config: Option<ConfigName>,
    /// Those where a config is in this state.
    pub state: Option<StateWanted>,
    /// Those that run this version.
    pub version: Option<CommitId>,
    /// Those where this is so of what they run.
    pub drift: Option<Drift>,
    /// Those that were heard of like this. Without it, those that are gone are not shown.
    pub liveness: Option<Liveness>,
    /// Those that have all these labels.
    pub labels: Selector,
}

impl InstanceFilter {
    /// Whether an instance may be shown, by what costs nothing to look at.
    pub(super) fn may_match(&self, reported: &Reported, liveness: Liveness) -> bool {
        let is_here = match self.liveness {
            Some(wanted) => liveness == wanted,
            None => liveness != Liveness::Gone,
        };
        let configs = &reported.report.configs;
        let has_config = self
            .config
            .as_ref()
            .is_none_or(|config| configs.contains_key(config));
        is_here && has_config && self.labels.takes(&reported.report.labels)
    }

    /// Whether one that may be shown is.
    pub(super) fn matches(&self, view: &InstanceView) -> bool {
        let configs = &view.report.configs;
        match &self.config {
            Some(name) => configs
                .get(name)
                .is_some_and(|config| self.fits(view, name, config)),
            None if self.asks_of_a_config() => {
                let mut configs = configs.iter();
                configs.any(|(name, config)| self.fits(view, name, config))
            }
            None => true,
        }
    }

    fn asks_of_a_config(&self) -> bool {
        self.state.is_some() || self.version.is_some() || self.drift.is_some()
    }

    fn fits(&self, view: &InstanceView, name: &ConfigName, config: &ConfigReport) -> bool {
        let running = config.running.as_ref().map(|running| &running.version);
        let version = self.version.as_ref();
        let drift = view.standings.get(name).and_then(|standing| standing.drift);
        self.state
            .is_none_or(|state| is_in(state, view.liveness, config.state))
            && version.is_none_or(|version| running == Some(version))
            && self.drift.is_none_or(|wanted| drift == Some(wanted))
    }
}

fn is_in(wanted: StateWanted, liveness: Liveness, state: ReportState) -> bool {
    let is_unknown = matches!(liveness, Liveness::Stale | Liveness::Lost);
    match wanted {
        StateWanted::Unknown => is_unknown,
        StateWanted::Reported(ReportState::Applied | ReportState::Confirmed) if is_unknown => false,
        StateWanted::Reported(wanted) => state == wanted,
    }
}
