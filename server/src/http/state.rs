//! The handles that handlers are given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use headwater_wire::RepoName;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::host::Hosts;
use crate::auth::Gate;
use crate::hooks::Hooks;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::repo::Repo;
use crate::settings::OrderSettings;
use crate::store::Store;
use crate::trace::Traces;

/// Everything a handler may use; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    repos: ArcSwap<BTreeMap<RepoName, Arc<Repo>>>,
    hooks: ArcSwap<Hooks>,
    hosts: ArcSwap<Hosts>,
    orders: ArcSwap<OrderSettings>,
    store: Arc<Store>,
    gate: Arc<Gate>,
    metrics: Metrics,
    traces: Traces,
    limits: Limits,
    draining: CancellationToken,
    /// Memory for the bodies of checks, in MiB.
    checks: Semaphore,
    /// Open sockets, which a stop waits for.
    sockets: TaskTracker,
    /// Beginning of all request ids of this process, so that ids of two processes differ.
    id_prefix: String,
    requests: AtomicU64,
}

impl App {
    /// No repositories yet; streams end when `draining` is cancelled.
    pub(crate) fn new(
        store: Arc<Store>,
        (gate, traces, limits): (Arc<Gate>, Traces, Limits),
        draining: CancellationToken,
    ) -> Self {
        let id_prefix = format!("{:08x}", rand::random::<u32>());
        Self(Arc::new(Inner {
            repos: ArcSwap::default(),
            hooks: ArcSwap::default(),
            hosts: ArcSwap::default(),
            orders: ArcSwap::default(),
            store,
            gate,
            metrics: Metrics::default(),
            traces,
            limits,
            draining,
            checks: Semaphore::new(super::checks::BODIES_MIB_MAX as usize),
            sockets: TaskTracker::new(),
            id_prefix,
            requests: AtomicU64::new(0),
        }))
    }

    /// All repositories, by name.
    pub(crate) fn repos(&self) -> Arc<BTreeMap<RepoName, Arc<Repo>>> {
        self.0.repos.load_full()
    }

    /// Answers for these repositories from now on.
    pub(crate) fn set_repos(&self, repos: BTreeMap<RepoName, Arc<Repo>>) {
        self.0.repos.store(Arc::new(repos));
    }

    /// All webhooks.
    pub(crate) fn hooks(&self) -> Arc<Hooks> {
        self.0.hooks.load_full()
    }

    /// Takes these webhooks from now on.
    pub(crate) fn set_hooks(&self, hooks: Hooks) {
        self.0.hooks.store(Arc::new(hooks));
    }

    /// Under which names the service answers.
    pub(super) fn hosts(&self) -> Arc<Hosts> {
        self.0.hosts.load_full()
    }

    /// Answers under these names from now on.
    pub(crate) fn set_hosts(&self, hosts: Hosts) {
        self.0.hosts.store(Arc::new(hosts));
    }

    /// What is asked of people before grave orders.
    pub(super) fn orders(&self) -> Arc<OrderSettings> {
        self.0.orders.load_full()
    }

    /// Asks this of people from now on.
    pub(crate) fn set_orders(&self, orders: OrderSettings) {
        self.0.gate.ask_again_after(orders.reauth_after);
        self.0.orders.store(Arc::new(orders));
    }

    /// What was decided.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// Who is let in.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }

    /// What the process counts of itself.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What one caller may have at once.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Where spans go.
    pub(crate) fn traces(&self) -> &Traces {
        &self.0.traces
    }

    /// Cancelled when the process stops taking requests.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// Memory for the bodies of checks, in MiB.
    pub(super) fn checks(&self) -> &Semaphore {
        &self.0.checks
    }

    /// The tasks of open sockets.
    pub(crate) fn sockets(&self) -> &TaskTracker {
        &self.0.sockets
    }

    /// A name for one request: counted, not random, since it is made for every one.
    pub(crate) fn next_request_id(&self) -> String {
        format!(
            "{}-{}",
            self.0.id_prefix,
            self.0.requests.fetch_add(1, Ordering::Relaxed)
        )
    }
}
