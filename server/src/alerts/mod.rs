//! Tells people what needs one of them: rollouts that halted, went back or wait, commits that were rejected, upstreams
//! that are not seen.
//!
//! Invariant: nothing that decides or publishes waits for an alert, or knows that there are any. What is told follows
//! from what is published and counted now, so nothing is lost while one who is told is down.

mod dialect;
pub(crate) mod event;
mod ledger;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::rollout::Policy;
use headwater_core::span;
use headwater_wire::{CommitId, RepoName, RolloutState, RolloutView};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::canary;
use crate::publish::Published;
use crate::repo::Repo;
use crate::rollouts::views::Standing;
use crate::settings::{AlertKind, AlertSettings, Settings};
use crate::trace;
use event::{Event, failing, of_canary, of_head, of_rollout, of_source, stuck, waits_for_a_person};
use ledger::Ledger;
use target::Queue;

/// Time between two looks where nothing is published meanwhile.
const LOOK: Duration = Duration::from_secs(15);
/// Time after which an Alertmanager is told again what still holds, in ms: it forgets it otherwise.
const AGAIN_MS: i64 = 5 * 60 * 1_000;

/// All who are told. Dropping it ends that.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    running: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    settings: AlertSettings,
    public_url: Option<String>,
    repos: Vec<Arc<Repo>>,
    _stop: DropGuard,
}

impl Alerts {
    /// Tells those of these settings, and no longer others.
    pub(crate) fn renew(&mut self, settings: &Settings, repos: &BTreeMap<RepoName, Arc<Repo>>) {
        let mut before = std::mem::take(&mut self.running);
        for alert in &settings.alerts {
            let is_meant = |name: &RepoName| alert.repos.is_empty() || alert.repos.contains(name);
            let meant: Vec<Arc<Repo>> = repos
                .iter()
                .filter(|(name, _)| is_meant(name))
                .map(|(_, repo)| repo.clone())
                .collect();
            let same = |running: &Running| {
                running.settings == *alert
                    && running.public_url == settings.public_url
                    && running.repos.len() == meant.len()
                    && running
                        .repos
                        .iter()
                        .zip(&meant)
                        .all(|(old, new)| Arc::ptr_eq(old, new))
            };
            let kept = before.remove(&alert.name).filter(same);
            let running = kept.unwrap_or_else(|| start(alert, settings.public_url.clone(), meant));
            self.running.insert(alert.name.clone(), running);
        }
    }
}

fn start(settings: &AlertSettings, public_url: Option<String>, repos: Vec<Arc<Repo>>) -> Running {
    let stop = CancellationToken::new();
    let queue = target::start(settings, public_url.clone(), target::PAUSE, stop.clone());
    for repo in &repos {
        let watcher = Watcher {
            repo: repo.clone(),
            settings: settings.clone(),
            queue: queue.clone(),
            ledger: Ledger::default(),
            waiting: BTreeMap::new(),
            counted: Standing::default(),
        };
        tokio::spawn(watcher.run(stop.clone()));
    }
    Running {
        settings: settings.clone(),
        public_url,
        repos,
        _stop: stop.drop_guard(),
    }
}

/// Since when rollouts wait for a person, in ms, by rollout, what for and the number of steps before.
type Waiting = BTreeMap<(String, RolloutState, u64), u64>;

/// Watches one repository for one who is told.
struct Watcher {
    repo: Arc<Repo>,
    settings: AlertSettings,
    queue: Queue,
    ledger: Ledger,
    waiting: Waiting,
    /// What was counted last: a count that fails is no sign that all is well.
    counted: Standing,
}

impl Watcher {
    async fn run(mut self, stop: CancellationToken) {
        let mut board = self.repo.board.watch_published();
        let mut again_at_ms = 0;
        loop {
            let published = board.borrow_and_update().clone();
            let now = self.repo.moment();
            let now_ms = now.uptime.0;
            let standing = self.standing(&published, now_ms).await;
            for message in self.ledger.look(standing, now) {
                let origin = commit_of(&published, &message.event)
                    .and_then(|commit| self.repo.flights.origin(&commit));
                trace::beside(origin, async { self.queue.put(message) }).await;
            }
            if matches!(self.settings.kind, AlertKind::Alertmanager { .. }) && now_ms >= again_at_ms {
                again_at_ms = now_ms.saturating_add(AGAIN_MS.unsigned_abs());
                self.ledger
                    .again()
                    .into_iter()
                    .for_each(|message| self.queue.put(message));
            }
            // Cancel-safe: all of them only wait.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
                changed = board.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What has to be said now, of what one wants to be told.
    async fn standing(&mut self, published: &Arc<Published>, now_ms: u64) -> Vec<Event> {
        let name = &self.repo.settings().name;
        match self.repo.standing().await {
            Ok(counted) => self.counted = counted,
            Err(error) => warn!(%error, "rollouts and instances could not be counted for alerts: {error}"),
        }
        let Standing {
            rollouts,
            outstanding,
        } = &self.counted;
        let mut standing: Vec<Event> = of_head(name, published).into_iter().collect();
        standing.extend(of_source(name, published));
        standing.extend(canary::view(&self.repo).and_then(|view| of_canary(name, &view)));
        standing.extend(rollouts.iter().filter_map(|(view, _)| of_rollout(name, view)));
        standing.extend(stuck_ones(
            name,
            rollouts,
            (&mut self.waiting, now_ms),
            self.settings.stuck_after,
        ));
        let failing = |view| failing(name, view, failures_allowed(published, view));
        standing.extend(outstanding.iter().filter_map(failing));
        standing.retain(|event| self.settings.events.contains(&event.kind));
        standing
    }
}

/// The commit that a happening is about.
fn commit_of(published: &Published, event: &Event) -> Option<CommitId> {
    match published.state.rollout(&event.id) {
        Some(rollout) => Some(rollout.target.version.clone()),
        None => event.id.parse().ok(),
    }
}

/// How many instances may fail by the policy of a config, as the tip says it.
fn failures_allowed(published: &Published, view: &RolloutView) -> u64 {
    let policy = published.snapshot.as_ref().and_then(|snapshot| {
        let tree = snapshot.judged.valid.as_ref()?;
        let exposed = snapshot.configs.get(&view.config)?;
        Some(Policy::of_config(tree, &exposed.config))
    });
    policy.unwrap_or_else(Policy::immediate).budget.failed
}

/// Those that wait for a person for longer than may be.
fn stuck_ones(
    repo: &RepoName,
    views: &[(RolloutView, u64)],
    (waiting, now_ms): (&mut Waiting, u64),
    stuck_after: Duration,
) -> Vec<Event> {
    let waits = views.iter().filter(|(view, _)| waits_for_a_person(view));
    let before = std::mem::take(waiting);
    let mut stuck_ones = Vec::new();
    for (view, steps) in waits {
        let key = (view.id.clone(), view.state, *steps);
        let since_ms = before.get(&key).copied().unwrap_or(now_ms);
        waiting.insert(key, since_ms);
        let waited_ms = now_ms.saturating_sub(since_ms);
        if u128::from(waited_ms) >= stuck_after.as_millis() {
            stuck_ones.push(stuck(repo, view, &span(waited_ms)));
        }
    }
    stuck_ones
}

#[cfg(test)]
mod tests;
