//! A config that somebody touches on a schedule, so that a broken path shows although nobody changes anything else.
//!
//! The way from a commit to a program has parts that are only seen to be broken when they are needed: a job's right to
//! push, the forge, the network, this service, the watches. The canary is an ordinary config of the repository; what
//! commits to it is none of ours (`deploy/canary/` has a job for forges), so that all of the way is tried.
//!
//! Invariant: nothing here decides. It remembers since when the canary's content is what it is, by a clock that never
//! steps, and says what is late. After a restart it counts from there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::Uptime;
use headwater_wire::{CommitId, ConfigCounts};
use tokio_util::sync::CancellationToken;

use crate::http::fleet_view;
use crate::publish::Published;
use crate::repo::Repo;
use crate::settings::CanarySettings;

/// How many times its interval a canary may take: a job that runs on a schedule may be late by most of one.
const PATIENCE: u32 = 2;

/// What was seen of the canary of one repository.
#[derive(Debug, Default)]
pub(crate) struct Canary(Mutex<Option<Seen>>);

/// The content that is stable, and since when it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    version: Option<CommitId>,
    since: Uptime,
}

/// How the canary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CanaryView {
    /// What is expected.
    pub settings: CanarySettings,
    /// For how long its content is what it is, or for how long there has been none.
    pub age: Duration,
    /// Whether the tip has such a config.
    pub is_there: bool,
    /// Instances that have it and do not run what they should, or were not heard of.
    pub late: u64,
    /// Instances that have it.
    pub instances: u64,
}

impl CanaryView {
    /// Whether nobody has touched it for too long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.age > self.settings.every * PATIENCE
    }

    /// Whether its content has had the time to come everywhere, and has not.
    pub(crate) fn has_not_arrived(&self) -> bool {
        self.late > 0 && self.age > self.settings.every
    }
}

impl Canary {
    /// Looks what is stable now.
    fn look(&self, published: &Published, settings: &CanarySettings, now: Uptime) {
        let target = published.state.targets.get(&settings.config);
        let version = target.map(|target| target.version.clone());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_none_or(|seen| seen.version != version) {
            *seen = Some(Seen { version, since: now });
        }
    }

    fn seen(&self) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the canary whenever something is published, until told to stop.
pub(crate) async fn follow(repo: Arc<Repo>, stop: CancellationToken) {
    let mut board = repo.board.watch_published();
    loop {
        let published = board.borrow_and_update().clone();
        if let Some(settings) = &repo.settings().canary {
            repo.canary.look(&published, settings, repo.moment().uptime);
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// How the canary of a repository is; nothing where none is set, or nothing was published yet.
pub(crate) fn view(repo: &Arc<Repo>) -> Option<CanaryView> {
    let settings = repo.settings().canary.clone()?;
    let seen = repo.canary.seen()?;
    let fleet = fleet_view(repo, std::slice::from_ref(&settings.config));
    let counts = fleet.configs.get(&settings.config).cloned().unwrap_or_default();
    let ConfigCounts {
        instances,
        divergent,
        stale,
        lost,
        ..
    } = counts;
    Some(CanaryView {
        age: Duration::from_millis(repo.moment().uptime.ms_since(seen.since)),
        is_there: seen.version.is_some(),
        late: divergent + stale + lost,
        instances,
        settings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(age_s: u64, late: u64) -> CanaryView {
        CanaryView {
            settings: CanarySettings {
                config: "ops/canary".parse().unwrap(),
                every: Duration::from_mins(10),
            },
            age: Duration::from_secs(age_s),
            is_there: true,
            late,
            instances: 3,
        }
    }

    #[test]
    fn a_canary_is_overdue_after_twice_its_interval() {
        assert!(!view(20 * 60, 0).is_overdue());
        assert!(view(20 * 60 + 1, 0).is_overdue());
    }

    #[test]
    fn whoever_does_not_run_it_has_one_interval_to_get_there() {
        assert!(!view(60, 1).has_not_arrived());
        assert!(view(11 * 60, 1).has_not_arrived());
        assert!(!view(11 * 60, 0).has_not_arrived());
    }

    #[test]
    fn content_that_goes_away_or_changes_begins_to_age_anew() {
        let (canary, settings) = (Canary::default(), view(0, 0).settings);
        let published = Published::default();
        canary.look(&published, &settings, Uptime(5));
        canary.look(&published, &settings, Uptime(9));
        assert_eq!(canary.seen().unwrap().since, Uptime(5));
        assert_eq!(canary.seen().unwrap().version, None);
    }
}
