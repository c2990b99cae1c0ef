//! A config that somebody touches on a schedule, so that a broken path shows although nobody changes anything else.
//!
//! The way from a commit to a program has parts that are only seen to be broken when they are needed: a job's right to
//! push, the forge, the network, this service, the watches. The canary is an ordinary config of the repository; what
//! commits to it is none of ours (`deploy/canary/` has a job for forges), so that all of the way is tried.
//!
//! Invariant: nothing here decides. It says how old the canary's content is: as old as its commit says, and at least as
//! old as it was seen here, by a clock that never steps. So a path that breaks while nobody runs is told of after the
//! next start, and a commit of tomorrow hides nothing. A canary that the tip does not have is said at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_core::Uptime;
use headwater_wire::{CommitId, ConfigCounts, ConfigName, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::http::fleet_view;
use crate::publish::Published;
use crate::repo::Repo;
use crate::settings::CanarySettings;

/// How many times its interval a canary may take: a job that runs on a schedule may be late by most of one.
const PATIENCE: u32 = 2;
/// What to do about a canary that is not there.
pub(crate) const MISSING_HINT: &str = "correct `canary` in the settings, or commit the config that it names; until then no broken path is noticed";

/// What was seen of the canary of one repository.
#[derive(Debug, Default)]
pub(crate) struct Canary(Mutex<Option<Seen>>);

/// The content that is stable, and since when it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    version: Option<CommitId>,
    since: Uptime,
    /// What its commit says.
    committed_at: Option<Timestamp>,
}

/// How the canary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CanaryView {
    /// What is expected.
    pub settings: CanarySettings,
    /// How old its content is, or for how long there has been none.
    pub age: Duration,
    /// Whether the tip has such a config.
    pub is_there: bool,
    /// Whether there is a tip.
    pub is_published: bool,
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

    /// Whether there is nothing that could be touched, although something is published.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_published && !self.is_there
    }

    /// Whether its content has had the time to come everywhere, and has not.
    pub(crate) fn has_not_arrived(&self) -> bool {
        self.late > 0 && self.age > self.settings.every
    }
}

impl Canary {
    /// Looks what is stable now. Gives the version if it is another than before.
    fn look(&self, published: &Published, settings: &CanarySettings, now: Uptime) -> Option<CommitId> {
        let target = published.state.targets.get(&settings.config);
        let version = target.map(|target| target.version.clone());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|seen| seen.version == version) {
            return None;
        }
        *seen = Some(Seen {
            version: version.clone(),
            since: now,
            committed_at: None,
        });
        version
    }

    /// Notes when a version was committed, unless there is another by now.
    fn date(&self, version: &CommitId, committed_at: Timestamp) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen
            .as_mut()
            .filter(|seen| seen.version.as_ref() == Some(version))
        {
            seen.committed_at = Some(committed_at);
        }
    }

    fn seen(&self) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the canary whenever something is published, until told to stop.
pub(crate) async fn follow(repo: Arc<Repo>, stop: CancellationToken) {
    let mut board = repo.board.watch_published();
    let mut was_missing = None;
    loop {
        let published = board.borrow_and_update().clone();
        if let Some(settings) = &repo.settings().canary {
            let changed = repo.canary.look(&published, settings, repo.moment().uptime);
            if let Some(version) = changed {
                date(&repo, version).await;
            }
        }
        let is_missing = missing(&repo, &published);
        if was_missing != is_missing {
            if let Some(config) = &is_missing {
                let name = repo.name();
                warn!(repo = %name, %config, hint = MISSING_HINT, "the tip of {name} has no canary `{config}`");
            }
            was_missing = is_missing;
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// The canary that the settings name and the tip does not have.
pub(crate) fn missing(repo: &Repo, published: &Published) -> Option<ConfigName> {
    let config = repo.settings().canary.as_ref()?.config.clone();
    (published.snapshot.is_some() && !published.has(&config)).then_some(config)
}

/// Looks up when a version was committed. Where that cannot be read, it is as old as it was seen here.
async fn date(repo: &Repo, version: CommitId) {
    let wanted = version.clone();
    let info = repo.read(move |reader| Ok(reader.commit(&wanted)?)).await;
    if let Ok(info) = info {
        repo.canary.date(&version, info.committer.at);
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
    let moment = repo.moment();
    let seen_ms = moment.uptime.ms_since(seen.since);
    let said_ms = seen.committed_at.map_or(0, |at| moment.at.ms_since(at));
    Some(CanaryView {
        age: Duration::from_millis(seen_ms.max(u64::try_from(said_ms).unwrap_or(0))),
        is_there: seen.version.is_some(),
        is_published: repo.board.read().snapshot.is_some(),
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
            is_published: true,
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
        canary.date(&"a".repeat(40).parse().unwrap(), Timestamp(1));
        assert_eq!(
            canary.seen().unwrap().committed_at,
            None,
            "it is the time of another"
        );
        assert_eq!(canary.seen().unwrap().version, None);
    }
}
