//! What readers of one repository see, and how watchers are woken.
//!
//! Invariant: readers always see one whole [`Published`] value. It is replaced first, and only then are watchers
//! woken, so whoever is woken reads at least what woke him; a watcher takes its seat before it reads, so no wake is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use headwater_core::rollout::Directive;
use headwater_core::{RepoState, Target, Token};
use headwater_validators::{Config, Effective};
use headwater_wire::{
    ChangeKind, CommitId, ConfigName, Digest, Finding, Generation, HeadState, InstanceId, Phase, SourceState,
    StatusEvent, Timestamp,
};
use tokio::sync::watch;

use crate::hub::{Hub, Seat};
use crate::judge::Judged;
use crate::line::{Line, Said};

/// Findings of a rejected head shown in status answers and events; all of them are in the commit's own answer.
pub(crate) const STATUS_FINDINGS_MAX: usize = 10;

/// Rendered bodies are kept for generations that are not older than the one asked for by more than this. The stages of one
/// rollout are told under numbers that are close to each other.
const GENERATIONS_KEPT: u64 = 64;

/// Events that are kept for one config: those of its variants, of how they came about, with and without the document.
const SAID_MAX: usize = 64;
/// The same in bytes: large documents are told to those who ask for them, and kept for a few at a time.
const SAID_BYTES_MAX: usize = 1 << 20;

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
    /// What was told of it last, likewise.
    said: RwLock<Vec<Kept>>,
}

#[derive(Debug, Default)]
struct Bodies {
    tip: Option<CommitId>,
    rendered: BTreeMap<(String, Generation, bool), Bytes>,
}

/// Everything that makes one event about a config another one than the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saying<'a> {
    /// Newest admitted commit.
    pub tip: &'a CommitId,
    /// Digest of the document.
    pub digest: &'a Digest,
    /// How it is told.
    pub manner: Manner,
}

/// How one document is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Fence number under which it is told.
    pub generation: Generation,
    /// Whether it is to be run, or only to be got ready for.
    pub phase: Phase,
    /// How it came about.
    pub change: ChangeKind,
    /// Whether the document is told, too.
    pub inline: bool,
}

/// An event that was told.
#[derive(Debug)]
struct Kept {
    tip: CommitId,
    digest: Digest,
    manner: Manner,
    said: Arc<Said>,
}

impl Kept {
    fn says(&self, saying: Saying<'_>) -> bool {
        self.manner == saying.manner && self.digest == *saying.digest && self.tip == *saying.tip
    }
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
            said: RwLock::default(),
        }
    }

    /// The event that tells so of it, made at most once.
    pub(crate) fn said(&self, saying: Saying<'_>, make: impl FnOnce() -> Said) -> Arc<Said> {
        let find = |all: &[Kept]| {
            let kept = all.iter().find(|kept| kept.says(saying));
            kept.map(|kept| kept.said.clone())
        };
        if let Some(said) = find(&self.said.read().unwrap_or_else(PoisonError::into_inner)) {
            return said;
        }
        let mut all = self.said.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = find(&all) {
            return said;
        }
        let said = Arc::new(make());
        // Nobody is told any more of a tip that another one has followed.
        all.retain(|kept| kept.tip == *saying.tip);
        let bytes = |said: &Said| said.line.text.len();
        let kept: usize = all.iter().map(|kept| bytes(&kept.said)).sum();
        if all.len() >= SAID_MAX || kept + bytes(&said) > SAID_BYTES_MAX {
            all.clear();
        }
        all.push(Kept {
            tip: saying.tip.clone(),
            digest: saying.digest.clone(),
            manner: saying.manner,
            said: said.clone(),
        });
        said
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

/// The value readers see, and who waits for the next one.
#[derive(Debug)]
pub(crate) struct Board {
    published: watch::Sender<Arc<Published>>,
    status: RwLock<Arc<Standing>>,
    hub: Hub,
}

/// The state of the repository as it is told.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What is told.
    pub event: StatusEvent,
    /// The same, for those who are told all of it.
    pub line: Arc<Line>,
}

impl Standing {
    fn of(published: &Published) -> Self {
        let event = status_of(published);
        Self {
            line: Arc::new(Line::new("status", None, &event)),
            event,
        }
    }
}

impl Board {
    /// A board that shows `published`.
    pub(crate) fn new(published: Published) -> Self {
        let status = Standing::of(&published);
        Self {
            published: watch::Sender::new(Arc::new(published)),
            status: RwLock::new(Arc::new(status)),
            hub: Hub::default(),
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

    /// The head's fate and the upstream's staleness, as they are told.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A seat for whoever waits for what instances of a config should hold. Read the value after this call.
    pub(crate) fn wait_for(&self, config: &ConfigName) -> Seat {
        self.hub.seat([config], None)
    }

    /// The same for several configs, and for the state of the repository.
    pub(crate) fn wait_for_all<'a>(&self, configs: impl IntoIterator<Item = &'a ConfigName>) -> Seat {
        self.hub.seat(configs, Some(()))
    }

    /// Wakes all who wait for the state of the repository: it is not answered for any more.
    pub(crate) fn ring_out(&self) {
        self.hub.ring_status();
    }

    /// Configs that somebody waits for, counted per watcher.
    pub(crate) fn watches(&self) -> usize {
        self.hub.waiting()
    }

    /// Replaces the value, then wakes those whom the difference concerns.
    pub(crate) fn publish(&self, next: Published) {
        let next = Arc::new(next);
        let before = self.published.send_replace(next.clone());
        let standing = Standing::of(&next);
        if self.standing().event != standing.event {
            *self.status.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(standing);
            self.hub.ring_status();
        }
        if !same_snapshot(before.snapshot.as_ref(), next.snapshot.as_ref())
            || before.state.courses != next.state.courses
        {
            self.hub.ring(|config| !next.tells_the_same(&before, config));
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
