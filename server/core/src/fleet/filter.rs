//! Which instances a listing shows.
//!
//! Invariant: what is said of a config holds for one and the same config. Who was not heard of lately is not shown
//! among those that run something well, whatever it said last.

use std::collections::BTreeMap;

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
        let report = &reported.report;
        is_here
            && self.labels.takes(&report.labels)
            && self.any_config(&report.configs, |_, config| self.fits(liveness, config))
    }

    /// Whether one that may be shown is.
    pub(super) fn matches(&self, view: &InstanceView) -> bool {
        let drift = |name: &ConfigName| view.standings.get(name).and_then(|standing| standing.drift);
        self.any_config(&view.report.configs, |name, config| {
            self.fits(view.liveness, config) && self.drift.is_none_or(|wanted| drift(name) == Some(wanted))
        })
    }

    /// Whether a config that is asked for fits, if anything is asked of one.
    fn any_config(
        &self,
        configs: &BTreeMap<ConfigName, ConfigReport>,
        fits: impl Fn(&ConfigName, &ConfigReport) -> bool,
    ) -> bool {
        let is_asked = self.state.is_some() || self.version.is_some() || self.drift.is_some();
        match &self.config {
            Some(name) => configs.get(name).is_some_and(|config| fits(name, config)),
            None => !is_asked || configs.iter().any(|(name, config)| fits(name, config)),
        }
    }

    fn fits(&self, liveness: Liveness, config: &ConfigReport) -> bool {
        let running = config.running.as_ref().map(|running| &running.version);
        let version = self.version.as_ref();
        self.state
            .is_none_or(|state| is_in(state, liveness, config.state))
            && version.is_none_or(|version| running == Some(version))
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
