//! One followed repository: the handle that the HTTP rooms hold.
//!
//! Invariant: everything a request needs is read through this handle, and nothing a request does here reaches the
//! upstream, except the one forced listing of [`Repo::listing`].

mod relations;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use headwater_core::{Fleet, Moment, Relation, Uptime};
use headwater_validators::Inputs;
use headwater_wire::{
    BranchName, CommitId, ConfigName, Generation, InstanceId, RepoName, Timestamp, VerdictState,
};
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::besides;
use crate::cache::Cache;
use crate::canary::Canary;
use crate::clock;
use crate::earlier::Earlier;
use crate::fence::Fences;
use crate::git::error::GitError;
use crate::git::read::{ReadError, Reader};
use crate::judge::{Judged, Purpose, Rules, judge};
use crate::measure::Measure;
use crate::metrics::RepoMetrics;
use crate::outward::Outward;
use crate::pipeline::bell::Bell;
use crate::pipeline::urgent::Urgent;
use crate::pipeline::{Force, Fresh, Posted, Request, versions};
use crate::publish::{Board, Published};
use crate::rollouts::Rollouts;
use crate::sandbox::{SandboxError, Turn};
use crate::seldom::Seldom;
use crate::settings::RepoSettings;
use crate::store::{Store, StoreFailure, VerdictRecord};
use crate::task::{self, BlockingError};
use crate::trace::{Flights, Traces};
use crate::tree::{self, Contents};

/// Judged commits kept in memory beside the tip: history pages, diffs and rollbacks read a few at a time.
const JUDGED_MAX: usize = 32;
/// Declarations and versions of commits, which are small.
const DECLARED_MAX: usize = 512;
/// Commits known to be reachable from the branch.
const REACHABLE_MAX: usize = 16_384;
/// Verdicts that requests may have worked out at once, beside the pipeline's own.
const JUDGING_MAX: usize = 2;
/// Pairs of versions whose relation was worked out: after a change, every watcher asks about the same few.
const RELATIONS_MAX: usize = 4_096;
/// Requests that may wait for the pipeline.
pub(crate) const REQUESTS_MAX: usize = 1_024;
/// Longest time of one read from the mirror. Reads take microseconds; this is for a disk that hangs.
const READ_DEADLINE: Duration = Duration::from_secs(20);

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepoError {
    /// Nothing has been fetched yet.
    #[error("nothing has been fetched yet")]
    NotReady,
    /// What Git or the disk said.
    #[error(transparent)]
    Git(#[from] GitError),
    /// What is wrong with the path asked for.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The process that works out verdicts could not be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A deadline passed, or the work failed.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    /// The pipeline's mailbox is full, or too many verdicts wait.
    #[error("too many requests wait for this repository")]
    Overloaded,
    /// The pipeline has ended: the process is stopping.
    #[error("this repository is no longer followed")]
    Ended,
}

/// A commit, and another one that it stands to in some way.
type Pair = (CommitId, CommitId);

type Declared = Option<Arc<BTreeMap<ConfigName, Inputs>>>;

/// One followed repository.
#[derive(Debug)]
pub(crate) struct Repo {
    name: RepoName,
    /// When this handle was made, by the clock that never steps.
    began: Instant,
    /// What the operator set; a reload replaces it.
    settings: ArcSwap<RepoSettings>,
    /// Cancelled when this repository is no longer answered for.
    draining: CancellationToken,
    /// What readers see.
    pub board: Board,
    /// What instances say they run. Never held over a wait.
    pub fleet: RwLock<Fleet>,
    /// When a report was last said to be refused.
    pub refusals: Seldom,
    /// Fences that were overtaken and wait to be raised.
    pub fences: Fences,
    /// How what moves stands.
    pub rollouts: Rollouts,
    /// Requests that the pipeline puts off everything for.
    pub urgent: Urgent,
    rules: Rules,
    store: Arc<Store>,
    reader: ArcSwapOption<Reader>,
    requests: mpsc::Sender<Posted>,
    bell: Bell,
    judged: Cache<CommitId, Arc<Judged>>,
    /// The newest valid tree of the branch.
    earlier: ArcSwapOption<Earlier>,
    declared: Cache<CommitId, Declared>,
    versions: Cache<CommitId, Arc<BTreeMap<ConfigName, CommitId>>>,
    reachable: Cache<CommitId, ()>,
    judging: Semaphore,
    relations: Cache<Pair, Arc<OnceCell<Relation>>>,
    /// What is said of it to the outside.
    pub outward: Outward,
    /// What was seen of its canary.
    pub canary: Canary,
    /// What it counts as it happens.
    pub metrics: RepoMetrics,
    /// Where spans go.
    pub traces: Traces,
    /// Its commits whose traces are gone on with.
    pub flights: Flights,
}

impl Repo {
    /// A handle whose requests go to the other end of `requests`.
    pub(crate) fn new(
        settings: RepoSettings,
        board: Board,
        (rules, store, outward, fleet): (Rules, Arc<Store>, Outward, Fleet),
        (metrics, draining): (RepoMetrics, CancellationToken),
        (traces, requests): (Traces, mpsc::Sender<Posted>),
    ) -> Self {
        Self {
            name: settings.name.clone(),
            flights: Flights::new(traces.clone(), settings.name.clone()),
            traces,
            began: Instant::now(),
            settings: ArcSwap::from_pointee(settings),
            draining,
            board,
            fleet: RwLock::new(fleet),
            refusals: Seldom::default(),
            fences: Fences::default(),
            rollouts: Rollouts::default(),
            urgent: Urgent::default(),
            rules,
            store,
            reader: ArcSwapOption::empty(),
            requests,
            bell: Bell::default(),
            judged: Cache::new(JUDGED_MAX),
            earlier: ArcSwapOption::empty(),
            declared: Cache::new(DECLARED_MAX),
            versions: Cache::new(DECLARED_MAX),
            reachable: Cache::new(REACHABLE_MAX),
            judging: Semaphore::new(JUDGING_MAX),
            relations: Cache::new(RELATIONS_MAX),
            outward,
            canary: Canary::default(),
            metrics,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &RepoName {
        &self.name
    }

    /// The present moment, by which the silence of instances is measured.
    pub(crate) fn moment(&self) -> Moment {
        let uptime_ms = self.began.elapsed().as_millis();
        Moment {
            at: clock::now(),
            uptime: Uptime(u64::try_from(uptime_ms).unwrap_or(u64::MAX)),
        }
    }

    /// Notes which directives an instance was given, before it can act on them.
    pub(crate) fn told<'a>(
        &self,
        instance: &InstanceId,
        directives: impl Iterator<Item = (&'a ConfigName, Generation)>,
    ) {
        let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
        for (config, generation) in directives {
            fleet.told(instance, config, generation);
            self.metrics.told(config, generation);
        }
    }

    /// What the operator set, as of the last reload.
    pub(crate) fn settings(&self) -> Arc<RepoSettings> {
        self.settings.load_full()
    }

    /// What webhooks ring.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Mean time between two listings now: longer than set while webhooks are well.
    pub(crate) fn poll_interval(&self) -> Duration {
        self.bell.stretch(self.settings().poll_interval)
    }

    /// Takes other settings; the pipeline acts on them at once.
    pub(crate) fn reconfigure(&self, settings: RepoSettings) -> Result<(), RepoError> {
        self.settings.store(Arc::new(settings));
        self.send(Request::Reconfigured)
    }

    /// Lists the upstream at once, however long the pause after failures would be.
    pub(crate) fn retry(&self) -> Result<(), RepoError> {
        self.send(Request::Reconfigured)
    }

    /// Cancelled when this repository is no longer answered for: watches end.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Limits and deadline of verdicts.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Branch followed, once it is known.
    pub(crate) fn branch(&self) -> Option<BranchName> {
        self.board.read().state.branch.clone()
    }

    /// The view of the mirror that requests read; replaced after every fetch, and reading it never waits.
    pub(crate) fn reader(&self) -> Result<Reader, RepoError> {
        self.reader.load().as_deref().cloned().ok_or(RepoError::NotReady)
    }

    /// Replaces the view of the mirror.
    pub(crate) fn set_reader(&self, reader: Reader) {
        self.reader.store(Some(Arc::new(reader)));
    }

    /// Forgets which commits the branch reaches: it was reset, so the answers may differ.
    pub(crate) fn forget_reachable(&self) {
        self.reachable.clear();
    }

    /// Reads from the mirror on a thread for blocking calls.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, RepoError> + Send + 'static,
    ) -> Result<T, RepoError> {
        read_in(&self.reader()?, work).await
    }

    /// Sends a request to the pipeline; a full mailbox is an answer.
    pub(crate) fn send(&self, request: Request) -> Result<(), RepoError> {
        self.requests.try_send(Posted::new(request)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => RepoError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => RepoError::Ended,
        })
    }

    /// How many requests wait for the pipeline.
    pub(crate) fn requests_waiting(&self) -> usize {
        REQUESTS_MAX.saturating_sub(self.requests.capacity())
    }

    /// Sends a request for which the pipeline gives up what it is waiting for.
    pub(crate) fn send_urgent(&self, request: Request) -> Result<(), RepoError> {
        self.urgent.begin();
        self.send(request).inspect_err(|_| self.urgent.end())
    }

    /// Waits for a listing of the upstream that starts after this call. Requests share listings, and forced ones are
    /// at least two seconds apart.
    pub(crate) async fn fresh_listing(&self, deadline: Duration) -> Result<Fresh, RepoError> {
        self.listing(Force::Shared, deadline).await
    }

    /// The same as `force` says.
    pub(crate) async fn listing(&self, force: Force, deadline: Duration) -> Result<Fresh, RepoError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::List { reply, force })?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(fresh)) => Ok(fresh),
            Ok(Err(_)) => Err(RepoError::Ended),
            Err(_) => Ok(Fresh::Failed),
        }
    }

    /// The verdict and documents of a commit: those of the tip, a cached one, or worked out now. A commit that the
    /// pipeline rejected stays rejected.
    pub(crate) async fn judged(&self, commit: &CommitId) -> Result<Arc<Judged>, RepoError> {
        let published = self.board.read();
        if let Some(snapshot) = published
            .snapshot
            .as_ref()
            .filter(|snapshot| snapshot.commit == *commit)
        {
            return Ok(snapshot.judged.clone());
        }
        // One that was measured while instances held something else may be another now.
        let old = besides::name(&published.state.old_contents());
        let is_current = |judged: &Arc<Judged>| judged.old.is_none() || judged.old == old;
        if let Some(judged) = self.judged.get(commit).filter(is_current) {
            return Ok(judged);
        }
        // Few at a time: whoever asks for many old commits waits for himself, and two who ask for one share it.
        let permit = self.judging.acquire().await;
        if let Some(judged) = self.judged.get(commit).filter(is_current) {
            return Ok(judged);
        }
        let judged = Arc::new(self.judge_on_demand(commit, &published).await?);
        drop(permit);
        self.judged.put(commit.clone(), judged.clone());
        Ok(judged)
    }

    async fn judge_on_demand(&self, commit: &CommitId, published: &Published) -> Result<Judged, RepoError> {
        // What was rejected stays rejected, and is not worked out again: it may have cost its whole deadline.
        let kept = self.kept_verdict(commit).await;
        let was_admitted = kept
            .as_ref()
            .is_some_and(|kept| kept.state == VerdictState::Admitted);
        if let Some(kept) = kept.filter(|kept| kept.state == VerdictState::Rejected) {
            return Ok(Judged::rejected(commit, &kept));
        }
        // A commit that the tip does not contain yet is measured against what is exposed now, as the pipeline will. That
        // holds for this moment, so it is not kept: what is exposed may be another commit by the time it is pushed.
        let is_new = !self.tip_contains(commit).await?;
        let snapshot = published.snapshot.as_ref().filter(|_| is_new);
        let measure = match snapshot {
            Some(snapshot) => {
                self.measure(commit, self.against(snapshot, commit).await?)
                    .await?
            }
            None => Measure::default(),
        };
        // What was exposed before is not held to the floor of today.
        let rules = match (was_admitted, is_new) {
            (true, _) => self.rules.without_floor().to(Purpose::Documents),
            (false, true) => self.rules.clone(),
            (false, false) => self.rules.without_floor(),
        };
        let rules = rules.in_turn(Turn::Later);
        let judged = judge(&self.reader()?, commit, &rules, measure).await?;
        if !was_admitted
            && !is_new
            && let Err(error) = self.keep_verdict(&judged, clock::now()).await
        {
            warn!(%error, "a verdict could not be kept: {error}");
        }
        Ok(judged)
    }

    /// The tree that verdicts may take something over from.
    pub(crate) fn earlier(&self) -> Option<Arc<Earlier>> {
        self.earlier.load_full()
    }

    /// Replaces it.
    pub(crate) fn set_earlier(&self, earlier: Earlier) {
        self.earlier.store(Some(Arc::new(earlier)));
    }

    /// Remembers what the pipeline judged.
    pub(crate) fn remember(&self, judged: &Arc<Judged>) {
        self.judged.put(judged.commit.clone(), judged.clone());
    }

    /// The verdict kept of a commit. A store that cannot be read costs a verdict worked out again, no more.
    pub(crate) async fn kept_verdict(&self, commit: &CommitId) -> Option<VerdictRecord> {
        let (store, repo, commit) = (self.store.clone(), self.name().clone(), commit.clone());
        let read = task::blocking(READ_DEADLINE, move || store.verdict(&repo, &commit)).await;
        let kept = read.ok()?.ok()??;
        (!self.rules.outlive(&kept)).then_some(kept)
    }

    /// Keeps a verdict, unless it is a passing one: then the next start tries again.
    pub(crate) async fn keep_verdict(&self, judged: &Judged, at: Timestamp) -> Result<(), StoreFailure> {
        if judged.is_passing() {
            return Ok(());
        }
        let (store, repo) = (self.store.clone(), self.name().clone());
        let (commit, record) = (judged.commit.clone(), judged.record(at, &self.rules));
        let saved = task::blocking(READ_DEADLINE, move || store.save_verdict(&repo, &commit, &record)).await;
        saved.map_err(StoreFailure::from)?.map_err(StoreFailure::from)
    }

    /// Keeps the state; on disk when this returns.
    pub(crate) async fn keep_state(&self, state: &headwater_core::RepoState) -> Result<(), StoreFailure> {
        let (store, repo, state) = (self.store.clone(), self.name().clone(), state.clone());
        let saved = task::blocking(READ_DEADLINE, move || store.save_repo(&repo, &state)).await;
        saved.map_err(StoreFailure::from)?.map_err(StoreFailure::from)
    }

    /// Inputs of every config that a commit declares; `None` if its manifest cannot be read.
    pub(crate) async fn declared(&self, commit: &CommitId) -> Result<Declared, RepoError> {
        if let Some(declared) = self.declared.get(commit) {
            return Ok(declared);
        }
        let (wanted, limits) = (commit.clone(), self.rules.limits.clone());
        let declared = self
            .read(move |reader| {
                let tree = tree::read(reader, &wanted, &limits, Contents::Manifest)?;
                Ok(headwater_validators::declare(&tree, &limits).map(Arc::new))
            })
            .await?;
        self.declared.put(commit.clone(), declared.clone());
        Ok(declared)
    }

    /// Version of every config at a commit.
    pub(crate) async fn versions(
        &self,
        commit: &CommitId,
    ) -> Result<Arc<BTreeMap<ConfigName, CommitId>>, RepoError> {
        if let Some(versions) = self.versions.get(commit) {
            return Ok(versions);
        }
        let declared = self
            .declared(commit)
            .await?
            .map(|declared| (*declared).clone())
            .unwrap_or_default();
        let (wanted, limits) = (commit.clone(), self.rules.limits.clone());
        let found = self
            .read(move |reader| Ok(versions::versions_at(reader, &wanted, declared, None, &limits)?))
            .await?;
        let found = Arc::new(found);
        self.versions.put(commit.clone(), found.clone());
        Ok(found)
    }
}

/// Reads on a thread for blocking calls, from wherever `reader` reads.
pub(crate) async fn read_in<T: Send + 'static>(
    reader: &Reader,
    work: impl FnOnce(&Reader) -> Result<T, RepoError> + Send + 'static,
) -> Result<T, RepoError> {
    let reader = reader.clone();
    task::blocking(READ_DEADLINE, move || work(&reader)).await?
}
