//! Where the trace of a commit goes on after it was published: who was woken, who says that he runs it, and when all did.
//!
//! Invariant: what a commit costs here is bounded, however many instances there are. Of each commit the first few wakes
//! and the first few words of instances are spans, and one more spans the way to the last of them. Commits are remembered
//! by their own id, which is what a config's version is, so a word that comes hours later, or in the fifth stage of a
//! rollout, still joins the trace of the commit.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use headwater_core::Arrivals;
use headwater_core::rollout::Rollout;
use headwater_wire::{CommitId, ConfigName, InstanceId, RepoName, ReportState};
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Traces, origin, span, take_one};
use crate::cache::Cache;
use crate::clock;
use crate::repo::Repo;

/// Commits whose traces can be gone on with.
const COMMITS_MAX: usize = 1_024;
/// Wakes of one commit that are spans.
const WAKES_MAX: u32 = 50;
/// Words of instances about one commit that are spans.
const ACKS_MAX: u32 = 50;
/// Configs with a version that may not have come everywhere, and are counted.
const COUNTED_MAX: usize = 64;
/// Shortest time between two counts of the instances of what arrives.
const COUNT_PAUSE: Duration = Duration::from_secs(1);

/// The commits of one repository whose traces can be gone on with.
#[derive(Debug)]
pub(crate) struct Flights {
    traces: Traces,
    repo: RepoName,
    by_commit: Cache<CommitId, Arc<Flight>>,
    /// What somebody said to run since it was counted last.
    arrived: Mutex<BTreeSet<(ConfigName, CommitId)>>,
    /// What came everywhere.
    everywhere: Cache<(ConfigName, CommitId), ()>,
    news: Notify,
}

/// One commit.
#[derive(Debug)]
struct Flight {
    origin: SpanContext,
    since: SystemTime,
    wakes_left: AtomicU32,
    acks_left: AtomicU32,
}

/// An instance's word about a version.
#[derive(Debug)]
pub(crate) struct Ack<'a> {
    /// Who says so.
    pub instance: &'a InstanceId,
    /// Of which config.
    pub config: &'a ConfigName,
    /// Which version.
    pub version: CommitId,
    /// What became of it.
    pub state: ReportState,
}

impl Flights {
    /// None yet.
    pub(crate) fn new(traces: Traces, repo: RepoName) -> Self {
        Self {
            traces,
            repo,
            by_commit: Cache::new(COMMITS_MAX),
            arrived: Mutex::default(),
            everywhere: Cache::new(COMMITS_MAX),
            news: Notify::new(),
        }
    }

    /// What becomes of this commit belongs to the trace that stands here, unless it belongs to an earlier one.
    pub(crate) fn begin(&self, commit: &CommitId) {
        if !self.traces.is_on() {
            return;
        }
        if let Some(origin) = origin() {
            let flight = Flight {
                origin,
                since: clock::exact(),
                wakes_left: AtomicU32::new(WAKES_MAX),
                acks_left: AtomicU32::new(ACKS_MAX),
            };
            self.by_commit.put_new(commit.clone(), Arc::new(flight));
        }
    }

    /// The trace of a commit.
    pub(crate) fn origin(&self, commit: &CommitId) -> Option<SpanContext> {
        Some(self.find(commit)?.origin.clone())
    }

    fn find(&self, commit: &CommitId) -> Option<Arc<Flight>> {
        self.traces.is_on().then(|| self.by_commit.get(commit))?
    }

    /// Somebody who waited is told of a version, `changed` after it could be.
    pub(crate) fn woke(
        &self,
        (config, version): (&ConfigName, &CommitId),
        instance: Option<&InstanceId>,
        changed: Instant,
    ) {
        let Some(flight) = self.find(version).filter(|flight| take_one(&flight.wakes_left)) else {
            return;
        };
        let began = clock::exact() - changed.elapsed();
        let wake = self.about(SpanBuilder::from_name("wake"), config, instance);
        self.put(&flight, wake.with_kind(SpanKind::Producer).with_start_time(began));
    }

    /// An instance says what became of a version with it. Its own context, if it sent one, is linked.
    pub(crate) fn acked(&self, ack: &Ack<'_>) {
        let Some(flight) = self.find(&ack.version) else {
            return;
        };
        if ack.state != ReportState::Failed {
            self.count_soon(ack.config, &ack.version);
        }
        if !take_one(&flight.acks_left) {
            return;
        }
        let mut built = self.about(SpanBuilder::from_name("ack"), ack.config, Some(ack.instance));
        if let Some(attributes) = &mut built.attributes {
            attributes.push(KeyValue::new("headwater.report.state", ack.state.as_str()));
        }
        let links = origin().map(|caller| Link::new(caller, Vec::new(), 0));
        let built = built
            .with_kind(SpanKind::Consumer)
            .with_start_time(flight.since)
            .with_links(links.into_iter().collect());
        let context = self.traces.begin(Some(flight.origin.clone()), built);
        if let Some(context) = context {
            if ack.state == ReportState::Failed {
                context.span().set_status(Status::error(""));
            }
            context.span().end();
        }
    }

    /// A rollout went a step on: in the trace of its commit, or in that of whoever ordered it.
    pub(crate) fn stepped(&self, rollout: &Rollout, step: &str) {
        let Some(flight) = self.find(&rollout.target.version) else {
            return;
        };
        let mut built = self.about(SpanBuilder::from_name("rollout step"), &rollout.config, None);
        if let Some(attributes) = &mut built.attributes {
            attributes.push(KeyValue::new("headwater.rollout.id", rollout.id.clone()));
            attributes.push(KeyValue::new("headwater.rollout.step", step.to_owned()));
        }
        match origin() {
            Some(ordered) => {
                let link = Link::new(flight.origin.clone(), Vec::new(), 0);
                end(self.traces.begin(Some(ordered), built.with_links(vec![link])));
            }
            None => self.put(&flight, built),
        }
    }

    fn put(&self, flight: &Flight, built: SpanBuilder) {
        end(self.traces.begin(Some(flight.origin.clone()), built));
    }

    fn about(&self, built: SpanBuilder, config: &ConfigName, instance: Option<&InstanceId>) -> SpanBuilder {
        let repo = KeyValue::new("headwater.repo", self.repo.to_string());
        let config = KeyValue::new("headwater.config", config.to_string());
        let instance = instance.map(|instance| KeyValue::new("headwater.instance", instance.to_string()));
        built.with_attributes([repo, config].into_iter().chain(instance))
    }

    fn count_soon(&self, config: &ConfigName, version: &CommitId) {
        let key = (config.clone(), version.clone());
        if self.everywhere.get(&key).is_some() {
            return;
        }
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if arrived.len() < COUNTED_MAX {
            arrived.insert(key);
        }
        drop(arrived);
        self.news.notify_one();
    }

    fn take_arrived(&self) -> BTreeSet<(ConfigName, CommitId)> {
        std::mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the way of a version when every instance that has the config came to it.
    fn counted(&self, (config, version): (ConfigName, CommitId), arrivals: &Arrivals) {
        let Some(flight) = self.find(&version) else {
            return;
        };
        let Some(last) = arrivals.at.last() else { return };
        if arrivals.at.len() as u64 != arrivals.instances {
            return;
        }
        let mut built = self.about(span("propagate"), &config, None);
        if let Some(attributes) = &mut built.attributes {
            let instances = i64::try_from(arrivals.instances).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("headwater.instances", instances));
        }
        let built = built.with_start_time(flight.since);
        if let Some(context) = self.traces.begin(Some(flight.origin.clone()), built) {
            context
                .span()
                .end_with_timestamp(clock::exactly(*last).max(flight.since));
        }
        self.everywhere.put((config, version), ());
    }
}

/// Ends a span that says all there is to say.
fn end(begun: Option<Context>) {
    if let Some(context) = begun {
        context.span().end();
    }
}

/// Looks what has come everywhere, until told to stop. Ends at once where nothing is traced.
pub(crate) async fn follow(repo: Arc<Repo>, stop: CancellationToken) {
    if !repo.traces.is_on() {
        return;
    }
    loop {
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            () = repo.flights.news.notified() => {}
        }
        for (config, version) in repo.flights.take_arrived() {
            let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
            let arrivals = fleet.arrivals(&config, &version, repo.moment().uptime);
            drop(fleet);
            repo.flights.counted((config, version), &arrivals);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COUNT_PAUSE) => {}
        }
    }
}
