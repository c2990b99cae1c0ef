//! What readers of one repository see, and how watchers are woken.
//!
//! Invariant: readers always see one whole [`Published`] value. It is replaced first, and only then are watchers
//! woken, so whoever is woken reads at least what woke him; a watcher marks its channel as seen before it reads, so
//! no wake is lost. A wake carries no data but its time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use headwater_core::rollout::Directive;
use headwater_core::{RepoState, Target, Token};
use headwater_validators::{Config, Effective};
use headwater_wire::{
    CommitId, ConfigName, Finding, Generation, HeadState, InstanceId, Phase, SourceState, StatusEvent,
    Timestamp,
};
use tokio::sync::watch;

use crate::judge::Judged;

/// Findings of a rejected head shown in status answers and events; all of them are in the commit's own answer.
pub(crate) const STATUS_FINDINGS_MAX: usize = 10;

/// Rendered bodies are kept for generations that are not older than the one asked for by more than this. The stages of one
/// rollout are told under numbers that are close to each other.
const GENERATIONS_KEPT: u64 = 64;

/// Names in the map of channels below which nothing is swept.
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

/// Content that is ready to be handed out.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The newest admitted commit.
    pub commit: CommitId,
    /// Its verdict and documents.
    pub judged: Arc<Judged>,
    /// What is stable of every config, which may come from another commit.
    pub configs: BTreeMap<ConfigName, Arc<Exposed>>,
    /// What rollouts that move bring, of those configs that they move.
    pub moving: BTreeMap<ConfigName, Arc<Exposed>>,
}

/// Configs of admitted commits other than the tip, by the commits that they are handed out of.
pub(crate) type Stock = BTreeMap<(CommitId, ConfigName), Config>;

/// What one asker should hold of a config.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The content.
    pub exposed: Arc<Exposed>,
    /// Fence number under which he is told.
    pub generation: Generation,
    /// Whether he is to run it, or only to get ready for it.
    pub phase: Phase,
}

/// Names an instance and its labels, if somebody says who he is.
pub(crate) type Who<'a> = Option<(&'a InstanceId, &'a BTreeMap<String, String>)>;

/// One config as it is handed out.
#[derive(Debug)]
pub(crate) struct Exposed {
    /// Version and fence number.
    pub target: Target,
    /// The admitted commit that it comes from.
    pub source: CommitId,
    /// Base document and variants.
    pub config: Config,
    /// Rendered snapshot bodies of the current tip, by digest of the document: one buffer for all who read it.
    bodies: RwLock<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    tip: Option<CommitId>,
    rendered: BTreeMap<(String, Generation, bool), Bytes>,
}

impl Published {
    /// What an asker should hold of a config; `None` if there is no such config.
    pub(crate) fn told(&self, config: &ConfigName, who: Who<'_>) -> Option<Told> {
        let snapshot = self.snapshot.as_ref()?;
        let directive = self.state.directive(config, who)?;
        let (all, phase) = match directive {
            Directive::Baseline(_) => (&snapshot.configs, Phase::Active),
            Directive::Prepare(_) => (&snapshot.moving, Phase::Prepare),
            Directive::Target(_) => (&snapshot.moving, Phase::Active),
        };
        Some(Told {
            exposed: all.get(config)?.clone(),
            generation: directive.generation(),
            phase,
        })
    }

    /// What is served while the head is not, as the end of a sentence.
    pub(crate) fn served_meanwhile(&self) -> &'static str {
        if self.state.tip.is_some() {
            "the last good commit keeps serving"
        } else {
            "nothing is served until a commit is good"
        }
    }

    /// Whether there is such a config, for everybody or for those that a rollout moves.
    pub(crate) fn has(&self, config: &ConfigName) -> bool {
        let snapshot = self.snapshot.as_ref();
        snapshot.is_some_and(|snapshot| {
            snapshot.configs.contains_key(config) || snapshot.moving.contains_key(config)
        })
    }

    /// What is stable of a config, whoever asks.
    pub(crate) fn stable(&self, config: &ConfigName) -> Option<Told> {
        let exposed = self.snapshot.as_ref()?.configs.get(config)?.clone();
        Some(Told {
            generation: exposed.target.generation,
            exposed,
            phase: Phase::Active,
        })
    }

    /// Whether nobody who asks for a config has anything to hear that he did not hear `before`.
    fn tells_the_same(&self, before: &Self, config: &ConfigName) -> bool {
        let stable = |published: &Self| published.snapshot.as_ref()?.configs.get(config).cloned();
        let same_stable = match (stable(before), stable(self)) {
            (Some(old), Some(new)) => old.hands_out_the_same_as(&new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let moving = (before.state.moving_of(config), self.state.moving_of(config));
        same_stable
            && match moving {
                (Some(old), Some(new)) => old.tells_the_same(new),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

impl Told {
    /// What names one of its documents to the client. To be ready for content is another thing than to run it.
    pub(crate) fn token(&self, effective: &Effective) -> Token {
        Token {
            representation: (self.phase == Phase::Prepare).then(|| "prepare".to_owned()),
            ..Token::new(&self.exposed.target.version, effective.digest())
        }
    }
}

impl Snapshot {
    /// What `state` says is handed out: of the tip, `judged`, or out of `stock`. What was rendered of `before` stays where
    /// the content and its target stay. A config whose content is nowhere is left out.
    pub(crate) fn of(state: &RepoState, judged: Arc<Judged>, stock: &Stock, before: Option<&Self>) -> Self {
        let find = |name: &ConfigName, source: &CommitId| {
            if *source == judged.commit {
                return judged.valid.as_ref()?.configs().get(name).cloned();
            }
            stock.get(&(source.clone(), name.clone())).cloned()
        };
        let expose =
            |name: &ConfigName, target: &Target, (source, old): (&CommitId, Option<&Arc<Exposed>>)| {
                let old = old.filter(|old| old.target == *target && old.source == *source);
                if let Some(old) = old {
                    return Some((name.clone(), old.clone()));
                }
                let config = find(name, source)?;
                let exposed = Exposed::new(target.clone(), source.clone(), config);
                Some((name.clone(), Arc::new(exposed)))
            };
        let stable = state.targets.iter().filter_map(|(name, target)| {
            let source = state.source_of(name).unwrap_or(&judged.commit);
            let old = before.and_then(|before| before.configs.get(name));
            expose(name, target, (source, old))
        });
        let moving = state.moving().filter_map(|rollout| {
            let target = state.target_of(rollout)?;
            let old = before.and_then(|before| before.moving.get(&rollout.config));
            expose(&rollout.config, &target, (&rollout.source, old))
        });
        Self {
            configs: stable.collect(),
            moving: moving.collect(),
            commit: judged.commit.clone(),
            judged,
        }
    }

    /// The same content with the targets of `state`, which needs nothing that is not here.
    pub(crate) fn retargeted(&self, state: &RepoState) -> Self {
        Self::of(state, self.judged.clone(), &self.stock(), Some(self))
    }

    /// Everything in it that may go on being handed out when the tip is another commit.
    pub(crate) fn stock(&self) -> Stock {
        let all = self.configs.iter().chain(&self.moving);
        all.map(|(name, exposed)| ((exposed.source.clone(), name.clone()), exposed.config.clone()))
            .collect()
    }
}

impl Exposed {
    /// A config with nothing rendered yet.
    pub(crate) fn new(target: Target, source: CommitId, config: Config) -> Self {
        Self {
            target,
            source,
            config,
            bodies: RwLock::default(),
        }
    }

    /// The rendered body of one of its documents at `tip`, as it is told under a generation and phase, rendered at most
    /// once.
    pub(crate) fn body(
        &self,
        tip: &CommitId,
        (effective, generation, phase): (&Effective, Generation, Phase),
        render: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let key = (
            effective.digest().hex().to_owned(),
            generation,
            phase == Phase::Prepare,
        );
        {
            let bodies = self.bodies.read().unwrap_or_else(PoisonError::into_inner);
            if bodies.tip.as_ref() == Some(tip)
                && let Some(body) = bodies.rendered.get(&key)
            {
                return body.clone();
            }
        }
        let body = render();
        let mut bodies = self.bodies.write().unwrap_or_else(PoisonError::into_inner);
        if bodies.tip.as_ref() != Some(tip) {
            *bodies = Bodies {
                tip: Some(tip.clone()),
                rendered: BTreeMap::new(),
            };
        }
        // Numbers that nobody is told any more take no memory for long.
        bodies
            .rendered
            .retain(|(_, told, _), _| told.0 + GENERATIONS_KEPT > generation.0);
        bodies.rendered.entry(key).or_insert(body).clone()
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
    /// One channel per watched config; an entry lives as long as somebody watches.
    wakes: Mutex<Wakes>,
}

/// When what is told of a config changed; nothing before the first change that somebody waits for.
pub(crate) type Wake = Option<Instant>;

/// Who waits, by config. A name that nobody watches any more is swept before the map doubles, since names come from
/// requests and need not be those of configs.
#[derive(Debug)]
struct Wakes {
    by_config: BTreeMap<ConfigName, watch::Sender<Wake>>,
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
    fn subscribe(&mut self, config: &ConfigName) -> watch::Receiver<Wake> {
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
    pub(crate) fn watch_config(&self, config: &ConfigName) -> watch::Receiver<Wake> {
        self.wakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .subscribe(config)
    }

    /// Configs that somebody waits for, counted per watcher.
    pub(crate) fn watches(&self) -> usize {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        wakes.by_config.values().map(watch::Sender::receiver_count).sum()
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
        if !same_snapshot(before.snapshot.as_ref(), next.snapshot.as_ref())
            || before.state.courses != next.state.courses
        {
            self.wake(&before, &next);
        }
    }

    fn wake(&self, before: &Published, after: &Published) {
        let now = Instant::now();
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        wakes.sweep();
        for (config, wake) in &wakes.by_config {
            if !after.tells_the_same(before, config) {
                wake.send_replace(Some(now));
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
        HeadState::None | HeadState::Published | HeadState::Validating | HeadState::Other => {
            (None, HeadState::Published)
        }
    };
    let findings = match head_state {
        HeadState::Rejected => published
            .head_findings
            .iter()
            .take(STATUS_FINDINGS_MAX)
            .cloned()
            .collect(),
        HeadState::None
        | HeadState::Published
        | HeadState::Validating
        | HeadState::Held
        | HeadState::Other => Vec::new(),
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
