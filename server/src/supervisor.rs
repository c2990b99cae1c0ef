//! Start order, shutdown order, and nothing else.
//!
//! Start: store, repositories from disk, listener, upstreams. Stop: no new connections, `goaway` to streams, open
//! requests finish within the drain deadline, then the pipelines end; each step leaves the disk valid.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Fleet, KeptInstance, RepoState, Uptime};
use headwater_wire::{HeadState, RepoName, SourceState};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::alerts::Alerts;
use crate::auth::Gate;
use crate::canary;
use crate::forge::outbound::Outbound;
use crate::http::{App, Hosts};
use crate::judge::{Purpose, Questions, Rules};
use crate::limits::Limits;
use crate::listeners::{Listeners, places};
use crate::notes;
use crate::outward::Outward;
use crate::pipeline::Pipeline;
use crate::pipeline::git_thread::{GitThread, Place};
use crate::publish::{Board, Published};
use crate::repo::{REQUESTS_MAX, Repo};
use crate::rollouts::{driver, noted};
use crate::sandbox::{self, FilterNeed, Program, Queue, Turn};
use crate::settings::{RepoSettings, Settings};
use crate::signals::{Signals, poll};
use crate::soft_sink::SoftSink;
use crate::start_error::StartError;
use crate::store::soft::{self, Kept};
use crate::store::{self, Store, StoreError};
use crate::trace::{self, Traces};
use crate::webhooks::Webhooks;

/// Longest wait for the pipelines when the process stops.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Runs the service on `listeners` until `shutdown` completes.
pub async fn run(
    settings: Settings,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    // Nobody holds the other end, so there is never a reload.
    let (_, reloads) = mpsc::channel(1);
    run_with_reloads(settings, listeners, shutdown, reloads).await
}

/// What handlers are given, with no repository yet.
fn app(
    settings: &Settings,
    store: &Arc<Store>,
    (gate, traces): (Arc<Gate>, Traces),
    draining: &CancellationToken,
) -> App {
    let limits = Limits::new(settings.caller_limits, places(settings));
    App::new(store.clone(), (gate, traces, limits), draining.clone())
}

/// The same, taking other settings whenever `reloads` brings some.
pub async fn run_with_reloads(
    settings: Settings,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
    mut reloads: mpsc::Receiver<Settings>,
) -> Result<(), StartError> {
    let dir = settings.data_dir.clone();
    store::create_dir(&dir).map_err(|source| StartError::DataDir { dir, source })?;
    let store = Arc::new(Store::open(&settings.data_dir)?);
    probe(&settings).await?;
    let draining = CancellationToken::new();
    let traces = Traces::start(settings.telemetry.as_ref());
    let gate = gate(&settings)?;
    let app = app(&settings, &store, (gate.clone(), traces.clone()), &draining);
    let kept = soft::load(&settings.data_dir);
    let soft_sink = SoftSink::new(&settings.data_dir, store.clone(), app.clone());
    let open = listeners.into().open(&settings, &app)?;
    let certificates = open.certificates();
    let signals = Signals::new(&settings.signals);
    let mut house = House {
        settings,
        queue: Queue::default(),
        store,
        kept,
        app,
        draining,
        running: BTreeMap::new(),
        outbound: Outbound::default(),
        signals: Arc::new(signals),
        alerts: Alerts::default(),
        pipelines: JoinSet::new(),
    };
    house.furnish()?;
    let keeping = CancellationToken::new();
    let keeper = tokio::spawn(soft_sink.run(keeping.clone()));
    let watching = house.draining.clone();
    tokio::spawn(async move { gate.follow(watching).await });
    for tls in &certificates {
        tokio::spawn(tls.clone().follow(house.draining.clone()));
    }
    open.tell(house.running.len());
    let server = tokio::spawn(open.serve(house.draining.clone()));
    let mut shutdown = pin!(shutdown);
    loop {
        // Cancel-safe: both arms only wait; a closed channel brings no more reloads.
        tokio::select! {
            () = &mut shutdown => break,
            Some(settings) = reloads.recv() => {
                house.reload(settings);
                for tls in &certificates {
                    tls.look().await;
                }
            }
        }
    }
    info!("stopping: no new connections, open requests may finish");
    house.draining.cancel();
    if server.await.is_err() {
        warn!("the accept loop ended in a panic");
    }
    house.close().await;
    keeping.cancel();
    if tokio::time::timeout(CLOSE_DEADLINE, keeper).await.is_err() {
        warn!("what instances said was not kept in time");
    }
    traces.close().await;
    info!("stopped");
    Ok(())
}

/// Who is let in, as the file of the settings says.
fn gate(settings: &Settings) -> Result<Arc<Gate>, StartError> {
    let gate = Gate::new(settings.tokens_file.as_deref()).map_err(|error| StartError::tokens(&error))?;
    let gate = gate.with_issuers(&settings.issuers);
    let gate = gate.and_then(|gate| gate.with_proxy(settings.proxy_auth.as_ref()));
    gate.map(Arc::new).map_err(StartError::Issuer)
}

/// What verdicts are worked out under, without what only a repository has.
fn rules(settings: &Settings, queue: &Queue) -> Rules {
    Rules {
        queue: queue.clone(),
        turn: Turn::default(),
        limits: settings.limits.clone(),
        deadline: settings.verdict_deadline,
        floor: settings.floor.clone(),
        webhooks: None,
        questions: Questions::Put,
        purpose: Purpose::default(),
        program: settings.verdict_program.as_ref().map(|path| Program {
            path: path.clone(),
            confinement: settings.verdict_confinement,
        }),
    }
}

/// A fleet that remembers the instances that an earlier process heard.
fn recalled(settings: &Settings, kept: Vec<KeptInstance>) -> Fleet {
    let mut fleet = Fleet::new(settings.fleet.into());
    let refused = kept
        .into_iter()
        .find_map(|instance| fleet.recall(instance, Uptime::default()).err());
    if let Some(full) = refused {
        warn!("not all instances of before are remembered: {full}");
    }
    fleet
}

/// Says once how far verdicts are confined on this machine, and does not start if that is not enough.
async fn probe(settings: &Settings) -> Result<(), StartError> {
    let rules = rules(settings, &Queue::default());
    let Some(program) = &rules.program else {
        return Ok(());
    };
    let hint = "docs/operations.md says what a container has to allow";
    match sandbox::probe(program, &rules).await {
        Ok(None) => debug!("verdicts are worked out in confined processes"),
        Ok(Some(reason)) => warn!(
            hint,
            "verdicts are worked out under limits, but their system calls are not filtered: {reason}"
        ),
        Err(error) if settings.verdict_confinement.filter == FilterNeed::Required => {
            return Err(StartError::Sandbox(error.to_string()));
        }
        Err(error) => error!(hint, "no commit can be judged here: {error}"),
    }
    Ok(())
}

/// What runs, and from which settings.
struct House {
    settings: Settings,
    /// Where the verdicts of all repositories wait for their turn.
    queue: Queue,
    store: Arc<Store>,
    /// Instances that an earlier process heard, of repositories that were not started yet.
    kept: Kept,
    app: App,
    draining: CancellationToken,
    running: BTreeMap<RepoName, Running>,
    outbound: Outbound,
    signals: Arc<Signals>,
    alerts: Alerts,
    pipelines: JoinSet<()>,
}

/// One followed repository and the token that ends its pipeline.
struct Running {
    repo: Arc<Repo>,
    stop: CancellationToken,
}

impl House {
    /// Starts what the settings name and is not running, ends what they do not name.
    fn furnish(&mut self) -> Result<(), StartError> {
        let wanted: BTreeMap<RepoName, RepoSettings> = self
            .settings
            .repos
            .iter()
            .map(|repo| (repo.name.clone(), repo.clone()))
            .collect();
        self.running.retain(|name, running| {
            let stays = wanted.contains_key(name);
            if !stays {
                info!(repo = %name, "{name} is no longer followed");
                running.repo.draining().cancel();
                running.repo.metrics.forget();
                running.stop.cancel();
            }
            stays
        });
        for (name, repo) in wanted {
            if let Some(running) = self.running.get(&name) {
                if *running.repo.settings() != repo && running.repo.reconfigure(repo).is_err() {
                    warn!(repo = %name, "{name} is too busy to take its settings now; send SIGHUP again");
                }
            } else {
                let (running, pipeline) = self.assemble(repo)?;
                self.pipelines.spawn(pipeline.run(running.stop.clone()));
                self.pipelines
                    .spawn(notes::write(running.repo.clone(), running.stop.clone()));
                self.pipelines
                    .spawn(canary::follow(running.repo.clone(), running.stop.clone()));
                self.pipelines
                    .spawn(noted::follow(running.repo.clone(), running.stop.clone()));
                self.pipelines
                    .spawn(trace::follow(running.repo.clone(), running.stop.clone()));
                self.pipelines
                    .spawn(driver::drive(running.repo.clone(), running.stop.clone()));
                self.pipelines.spawn(poll::run(
                    running.repo.clone(),
                    self.signals.clone(),
                    running.stop.clone(),
                ));
                self.running.insert(name, running);
            }
        }
        let repos = self
            .running
            .iter()
            .map(|(name, running)| (name.clone(), running.repo.clone()));
        self.app.set_repos(repos.collect());
        self.app.set_hosts(Hosts::of(&self.settings));
        self.app.set_orders(self.settings.orders.clone());
        self.app
            .gate()
            .warn_of_few_people(&self.settings.orders, self.running.keys());
        self.hang_bells();
        self.outbound.renew(&self.settings, &self.app.repos());
        self.alerts.renew(&self.settings, &self.app.repos());
        Ok(())
    }

    /// Takes the webhooks of the settings, and lets each repository know whether it may expect any.
    fn hang_bells(&self) {
        let hooks = self.app.hooks().renewed(&self.settings);
        for (name, running) in &self.running {
            let is_told = self.settings.hooks.iter().any(|hook| hook.repos.contains(name));
            let grace = running.repo.settings().hook_grace;
            if running.repo.bell().expect(is_told.then_some(grace)) {
                // A mailbox that is full brings a listing anyway.
                running.repo.retry().ok();
            }
        }
        self.app.set_hooks(hooks);
    }

    /// Takes other settings as far as that goes without a restart, and says what has to wait for one.
    fn reload(&mut self, settings: Settings) {
        let old = &self.settings;
        if *old == settings {
            info!("the settings are unchanged");
            self.retry();
            return;
        }
        let fixed = [
            ("listen", old.listen != settings.listen),
            ("[tls]", old.tls != settings.tls),
            ("[admin]", old.admin != settings.admin),
            ("data_dir", old.data_dir != settings.data_dir),
            ("tokens_file", old.tokens_file != settings.tokens_file),
            ("[issuer.NAME] or [grant.NAME]", old.issuers != settings.issuers),
            ("[proxy_auth]", old.proxy_auth != settings.proxy_auth),
            ("drain_deadline", old.drain_deadline != settings.drain_deadline),
            ("connections_max", old.connections_max != settings.connections_max),
            ("[limits]", old.caller_limits != settings.caller_limits),
            ("log_format", old.log_format != settings.log_format),
            ("[telemetry]", old.telemetry != settings.telemetry),
            ("file_bytes_max or files_max", old.limits != settings.limits),
            (
                "minimum_rollout, minimum_bake, first_stage_percent_max, manifest_owners, [webhook.NAME] or [signal.NAME]",
                (&old.floor, &old.webhooks, &old.signals)
                    != (&settings.floor, &settings.webhooks, &settings.signals),
            ),
            (
                "verdict_deadline",
                old.verdict_deadline != settings.verdict_deadline,
            ),
            ("heartbeat or lost_after", old.fleet != settings.fleet),
            (
                "verdict_bytes_max or sandbox",
                old.verdict_confinement != settings.verdict_confinement,
            ),
        ];
        for (key, _) in fixed.iter().filter(|(_, differs)| *differs) {
            warn!(key, "`{key}` takes effect at the next start");
        }
        self.settings.repos = settings.repos;
        self.settings.hooks = settings.hooks;
        self.settings.forges = settings.forges;
        self.settings.alerts = settings.alerts;
        self.settings.orders = settings.orders;
        self.settings.public_url = settings.public_url;
        self.settings.allowed_hosts = settings.allowed_hosts;
        self.settings.allow_write = settings.allow_write;
        match self.furnish() {
            Ok(()) => {
                info!(repos = self.running.len(), "the settings were reloaded");
                self.retry();
            }
            Err(error) => error!(%error, hint = error.hint(), "a repository could not be started: {error}"),
        }
    }

    /// Lists those upstreams at once that could not be reached: whoever sends SIGHUP may have mended what was wrong.
    fn retry(&self) {
        for running in self.running.values() {
            if running.repo.board.read().source.state != SourceState::Ok {
                // A mailbox that is full brings a listing anyway.
                running.repo.retry().ok();
            }
        }
    }

    fn assemble(&mut self, repo: RepoSettings) -> Result<(Running, Pipeline), StartError> {
        let webhooks = Webhooks::new(repo.name.clone(), &self.settings.webhooks);
        let rules = Rules {
            webhooks: Some(Arc::new(webhooks)),
            ..rules(&self.settings, &self.queue)
        };
        let mut state = kept_state(&self.store, &repo.name, &rules)?;
        // From here on time passes in what moves; what passed while no process ran does not count.
        state.pass_until(Uptime::default());
        let place = Place {
            dir: self.settings.data_dir.join("mirrors").join(repo.name.as_str()),
            upstream: repo.upstream.clone(),
            limits: repo.mirror_limits,
        };
        let outward = Outward::of(&place.dir);
        let git_thread = GitThread::start(repo.name.as_str(), place).map_err(StartError::Thread)?;
        let (requests, mailbox) = mpsc::channel(REQUESTS_MAX);
        let board = Board::new(Published {
            state,
            ..Published::default()
        });
        let draining = self.draining.child_token();
        let kept = self.kept.remove(&repo.name).unwrap_or_default();
        let metrics = self.app.metrics().of(&repo.name);
        let repo = Arc::new(Repo::new(
            repo,
            board,
            (rules, self.store.clone(), outward, recalled(&self.settings, kept)),
            (metrics, draining),
            (self.app.traces().clone(), requests),
        ));
        let (ending, ended) = (repo.clone(), repo.draining().clone());
        tokio::spawn(async move {
            ended.cancelled_owned().await;
            ending.board.ring_out();
        });
        let running = Running {
            repo: repo.clone(),
            stop: CancellationToken::new(),
        };
        Ok((running, Pipeline::new(repo, git_thread, mailbox)))
    }

    /// Lets the pipelines end; a Git call that is stuck is left behind after a few seconds, since the mirror is swept
    /// at the next start.
    async fn close(mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        let all = async { while self.pipelines.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_DEADLINE, all).await.is_err() {
            warn!("a repository's pipeline did not end in time");
        }
    }
}

/// The state of before. A head that was being judged when the process ended is judged anew, and so is one whose
/// rejection was not kept, or was one of other settings.
fn kept_state(store: &Store, repo: &RepoName, rules: &Rules) -> Result<RepoState, StoreError> {
    let mut state = store.repo(repo)?.unwrap_or_default();
    let rejected = state
        .head
        .as_ref()
        .filter(|_| state.head_state == HeadState::Rejected);
    let is_outlived = match rejected {
        Some(head) => store.verdict(repo, head)?.is_none_or(|kept| rules.outlive(&kept)),
        None => false,
    };
    if state.head_state == HeadState::Validating || is_outlived {
        state.head = None;
        state.head_state = HeadState::None;
    }
    Ok(state)
}
