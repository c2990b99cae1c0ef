//! What readers of one repository see, and how watchers are woken.
//!
//! Invariant: readers always see one whole [`Published`] value. It is replaced first, and only then are watchers
//! woken, so whoever is woken reads at least what woke him; a watcher marks its channel as seen before it reads, so
//! no wake is lost. A wake carries no data.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use headwater_core::{RepoState, Target, Token};
use headwater_validators::{Config, Effective};
use headwater_wire::{CommitId, ConfigName, Finding, HeadState, SourceState, StatusEvent, Timestamp};
use tokio::sync::watch;

use crate::judge::Judged;

/// Findings of a rejected head shown in status answers and events; all of them are in the commit's own answer.
pub(crate) const STATUS_FINDINGS_MAX: usize = 10;

/// Names in the map of wake counters below which nothing is swept.
const WAKES_SWEPT_FROM: usize = 64;

/// Everything readers see of one repository, replaced as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    /// What was decided.
    pub state: RepoState,
    /// What is known of the upstream.
    pub source: SourceStatus,
    /// Content of the tip; absent until a commit was admitted.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Error findings of the head, if it was rejected.
    pub head_findings: Arc<[Finding]>,
}

/// What is known of the upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceStatus {
    /// State after the last attempt.
    pub state: SourceState,
    /// End of the last successful listing.
    pub synced_at: Option<Timestamp>,
    /// Whether the last successful listing is too long ago.
    pub stale: bool,
    /// Why the state is not `ok`, in one line.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Content of one admitted commit, ready to be handed out.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The commit.
    pub commit: CommitId,
    /// Its verdict and documents.
    pub judged: Arc<Judged>,
    /// Its configs with their targets.
    pub configs: BTreeMap<ConfigName, Arc<Exposed>>,
}

/// One config as it is handed out.
#[derive(Debug)]
pub(crate) struct Exposed {
    /// Version and fence number.
    pub target: Target,
    /// Base document and variants.
    pub config: Config,
    /// Rendered snapshot bodies of the current tip, by digest of the document: one buffer for all who read it.
    bodies: RwLock<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    tip: Option<CommitId>,
    by_digest: BTreeMap<String, Bytes>,
}

impl Snapshot {
    /// The same content with the targets of `state`; what was rendered stays where the target stays.
    pub(crate) fn retargeted(&self, state: &RepoState) -> Self {
        let configs = self.configs.iter().map(|(name, exposed)| {
            let target = state
                .targets
                .get(name)
                .filter(|target| **target != exposed.target);
            let exposed = match target {
                None => exposed.clone(),
                Some(target) => Arc::new(Exposed::new(target.clone(), exposed.config.clone())),
            };
            (name.clone(), exposed)
        });
        Self {
            commit: self.commit.clone(),
            judged: self.judged.clone(),
            configs: configs.collect(),
        }
    }
}

impl Exposed {
    /// A config with nothing rendered yet.
    pub(crate) fn new(target: Target, config: Config) -> Self {
        Self {
            target,
            config,
            bodies: RwLock::default(),
        }
    }

    /// Token of one of its documents.
    pub(crate) fn token(&self, effective: &Effective) -> Token {
        Token::new(&self.target.version, effective.digest())
    }

    /// The rendered body of one of its documents at `tip`, rendered at most once.
    pub(crate) fn body(
        &self,
        tip: &CommitId,
        effective: &Effective,
        render: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let digest = effective.digest().hex();
        {
            let bodies = self.bodies.read().unwrap_or_else(PoisonError::into_inner);
            if bodies.tip.as_ref() == Some(tip)
                && let Some(body) = bodies.by_digest.get(digest)
            {
                return body.clone();
            }
        }
        let body = render();
        let mut bodies = self.bodies.write().unwrap_or_else(PoisonError::into_inner);
        if bodies.tip.as_ref() != Some(tip) {
            *bodies = Bodies {
                tip: Some(tip.clone()),
                by_digest: BTreeMap::new(),
            };
        }
        bodies.by_digest.entry(digest.to_owned()).or_insert(body).clone()
    }

    /// Whether an instance that holds one has nothing to hear of the other, for any labels. A higher generation is
    /// news although the version is the same: somebody has seen more than ours, and waits for one above it. Under one
    /// generation only a rollback's commit becomes another version, and its content is the same.
    fn hands_out_the_same_as(&self, other: &Self) -> bool {
        self.target.generation == other.target.generation
            && self
                .config
                .effectives()
                .map(Effective::digest)
                .eq(other.config.effectives().map(Effective::digest))
    }
}

/// The value readers see, and the channels that wake watchers.
#[derive(Debug)]
pub(crate) struct Board {
    published: watch::Sender<Arc<Published>>,
    status: watch::Sender<Arc<StatusEvent>>,
    /// One wake counter per watched config; an entry lives as long as somebody watches.
    wakes: Mutex<Wakes>,
}

/// The wake counters. A name that nobody watches any more is swept before the map doubles, since names come from
/// requests and need not be those of configs.
#[derive(Debug)]
struct Wakes {
    by_config: BTreeMap<ConfigName, watch::Sender<u64>>,
    sweep_at: usize,
}

impl Default for Wakes {
    fn default() -> Self {
        Self {
            by_config: BTreeMap::new(),
            sweep_at: WAKES_SWEPT_FROM,
        }
    }
}

impl Wakes {
    fn subscribe(&mut self, config: &ConfigName) -> watch::Receiver<u64> {
        if self.by_config.len() >= self.sweep_at {
            self.sweep();
        }
        self.by_config.entry(config.clone()).or_default().subscribe()
    }

    fn sweep(&mut self) {
        self.by_config.retain(|_, wake| wake.receiver_count() > 0);
        self.sweep_at = WAKES_SWEPT_FROM.max(self.by_config.len() * 2);
    }
}

impl Board {
    /// A board that shows `published`.
    pub(crate) fn new(published: Published) -> Self {
        let status = status_of(&published);
        Self {
            published: watch::Sender::new(Arc::new(published)),
            status: watch::Sender::new(Arc::new(status)),
            wakes: Mutex::default(),
        }
    }

    /// The value now.
    pub(crate) fn read(&self) -> Arc<Published> {
        self.published.borrow().clone()
    }

    /// Wakes at every new value, for those who wait for a tip.
    pub(crate) fn watch_published(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// Wakes when the head's fate or the upstream's staleness changes.
    pub(crate) fn watch_status(&self) -> watch::Receiver<Arc<StatusEvent>> {
        self.status.subscribe()
    }

    /// Wakes when what instances of `config` should hold changes. The channel counts as seen from here on, so read
    /// the value after this call.
    pub(crate) fn watch_config(&self, config: &ConfigName) -> watch::Receiver<u64> {
        self.wakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .subscribe(config)
    }

    /// Replaces the value, then wakes those whom the difference concerns.
    pub(crate) fn publish(&self, next: Published) {
        let next = Arc::new(next);
        let before = self.published.send_replace(next.clone());
        let status = status_of(&next);
        self.status.send_if_modified(|current| {
            let changed = **current != status;
            if changed {
                *current = Arc::new(status);
            }
            changed
        });
        if !same_snapshot(before.snapshot.as_ref(), next.snapshot.as_ref()) {
            self.wake(before.snapshot.as_deref(), next.snapshot.as_deref());
        }
    }

    fn wake(&self, before: Option<&Snapshot>, after: Option<&Snapshot>) {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        wakes.sweep();
        for (config, wake) in &wakes.by_config {
            let old = before.and_then(|snapshot| snapshot.configs.get(config));
            let new = after.and_then(|snapshot| snapshot.configs.get(config));
            let same = match (old, new) {
                (Some(old), Some(new)) => old.hands_out_the_same_as(new),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !same {
                wake.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }
}

fn same_snapshot(a: Option<&Arc<Snapshot>>, b: Option<&Arc<Snapshot>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What the `status` event says of this value. A head that is being judged is no news: it is told when decided.
fn status_of(published: &Published) -> StatusEvent {
    let state = &published.state;
    let (head, head_state) = match state.head_state {
        HeadState::Rejected | HeadState::Held => (state.head.clone(), state.head_state),
        HeadState::Published | HeadState::Validating | HeadState::Other => (None, HeadState::Published),
    };
    let findings = match head_state {
        HeadState::Rejected => published
            .head_findings
            .iter()
            .take(STATUS_FINDINGS_MAX)
            .cloned()
            .collect(),
        HeadState::Published | HeadState::Validating | HeadState::Held | HeadState::Other => Vec::new(),
    };
    let source = published.source.state;
    // A head that was accepted a moment ago is no reason any more; the end of the round will say that all is well.
    let outlived = source == SourceState::HistoryRewritten && state.hold.is_none();
    let well = matches!(source, SourceState::Ok | SourceState::Starting) || outlived;
    let reason = (!well).then(|| source.as_str().to_owned());
    StatusEvent {
        head,
        head_state,
        stale: published.source.stale,
        reason,
        findings,
        removed: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(number: usize) -> ConfigName {
        format!("c{number}").parse().unwrap()
    }

    #[test]
    fn names_that_nobody_watches_any_more_take_no_memory() {
        let board = Board::new(Published::default());
        let watched = board.watch_config(&config(0));
        for number in 1..10_000 {
            drop(board.watch_config(&config(number)));
        }
        assert!(board.wakes.lock().unwrap().by_config.len() <= WAKES_SWEPT_FROM);
        drop(watched);
    }

    #[test]
    fn many_live_watchers_are_kept() {
        let board = Board::new(Published::default());
        let live: Vec<_> = (0..1_000)
            .map(|number| board.watch_config(&config(number)))
            .collect();
        assert_eq!(board.wakes.lock().unwrap().by_config.len(), live.len());
    }
}
