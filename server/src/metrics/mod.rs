//! What the service counts of itself, for Prometheus.
//!
//! Invariant: labels are bounded. A value of one is a name from the settings, a word from a fixed list or an address
//! of the route table, never a config, an instance or anything else that comes from a repository or a client; and no
//! value is a secret. What can be read off the state is read when somebody asks (`state`, `process`), so it cannot
//! drift from what the API says; only what is over by then is counted as it happens (`repo`).

mod connections;
mod limits;
mod pages;
mod process;
mod repo;
mod state;

use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_wire::{HookName, HookOutcome, RepoName};
use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub(crate) use connections::{ConnectionMetrics, TlsMetrics};
pub(crate) use limits::LimitMetrics;
pub(crate) use pages::PageMetrics;
pub(crate) use repo::RepoMetrics;

use crate::http::{App, Door};
use crate::task::{self, BlockingError};
use crate::trace::Tally;

/// Longest time to read what the state says. Counting a full fleet takes a fraction of a second for each config.
const READ_DEADLINE: Duration = Duration::from_secs(20);

/// The two texts that scrapers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRepo {
    repo: String,
}

/// One hook and what became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHook {
    hook: String,
    result: &'static str,
}

/// One address, how it was asked, and the class of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: &'static str,
    route: String,
    status: u16,
}

/// Everything that is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Family<OfRequest, Counter>,
    deliveries: Family<OfHook, Counter>,
    listeners: connections::Listeners,
    repos: repo::Families,
    pages: PageMetrics,
}

impl Metrics {
    /// What one repository counts.
    pub(crate) fn of(&self, repo: &RepoName) -> RepoMetrics {
        self.repos.of(repo)
    }

    /// What is counted of the connections of a listener.
    pub(crate) fn connections(&self, door: Door) -> ConnectionMetrics {
        self.listeners.connections(door)
    }

    /// What is counted of its encrypted connections.
    pub(crate) fn tls(&self, door: Door) -> TlsMetrics {
        self.listeners.tls(door)
    }

    /// What pages count that are followed.
    pub(crate) fn pages(&self) -> &PageMetrics {
        &self.pages
    }

    /// A request was answered.
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: u16) {
        let of = OfRequest {
            method: word_of(method),
            route: route.unwrap_or("none").to_owned(),
            status,
        };
        self.requests.get_or_create(&of).inc();
    }

    /// A delivery of a webhook was read.
    pub(crate) fn delivered(&self, hook: &HookName, outcome: HookOutcome) {
        let result = match outcome {
            HookOutcome::Accepted => "accepted",
            HookOutcome::Pong => "pong",
            HookOutcome::Ignored => "ignored",
            HookOutcome::Refused => "refused",
            HookOutcome::Other => "other",
        };
        self.delivery(hook, result);
    }

    /// A delivery was turned away: its signature is missing or wrong.
    pub(crate) fn refused(&self, hook: &HookName) {
        self.delivery(hook, "refused");
    }

    /// A delivery cannot be understood, although its signature is right.
    pub(crate) fn unreadable(&self, hook: &HookName) {
        self.delivery(hook, "unreadable");
    }

    fn delivery(&self, hook: &HookName, result: &'static str) {
        let of = OfHook {
            hook: hook.to_string(),
            result,
        };
        self.deliveries.get_or_create(&of).inc();
    }

    /// All of it as text.
    pub(crate) async fn render(app: &App, format: Format) -> Result<String, BlockingError> {
        let app = app.clone();
        task::blocking(READ_DEADLINE, move || {
            let registry = registry(&app);
            let mut text = String::new();
            // Writing to a string does not fail.
            match format {
                Format::Prometheus => prometheus_text::encode(&mut text, &registry).ok(),
                Format::OpenMetrics => text::encode(&mut text, &registry).ok(),
            };
            text
        })
        .await
    }
}

/// What is counted, and what the state says now.
fn registry(app: &App) -> Registry {
    let mut registry = Registry::default();
    process::register(&mut registry);
    let own = registry.sub_registry_with_prefix("headwater");
    let counted = app.metrics();
    own.register(
        "requests",
        "Requests that were answered, by address, method and status",
        counted.requests.clone(),
    );
    own.register(
        "webhook_deliveries",
        "Deliveries of webhooks, by hook and what became of them",
        counted.deliveries.clone(),
    );
    counted.listeners.register(own);
    app.limits().metrics().register(own);
    counted.repos.register(own);
    spans(own, &app.traces().tally());
    counted.pages.register(own);
    state::register(own, app);
    registry
}

/// Spans that became something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSpans {
    result: &'static str,
}

/// What became of the spans of traces; all 0 where none are made.
fn spans(registry: &mut Registry, tally: &Tally) {
    let ended = Family::<OfSpans, Counter>::default();
    for (result, count) in [
        ("sent", &tally.sent),
        ("failed", &tally.failed),
        ("dropped", &tally.dropped),
    ] {
        let counter = ended.get_or_create(&OfSpans { result });
        counter.inc_by(count.load(Ordering::Relaxed));
    }
    let help = "Spans of traces: the collector has them, could not be given them, or they did not fit into the queue";
    registry.register("trace_spans", help, ended);
    let waiting = Gauge::<i64>::default();
    waiting.set(i64::try_from(tally.waiting.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
    registry.register("trace_spans_waiting", "Spans that wait to be sent", waiting);
}

/// A method as a label; what nobody here answers is one word.
fn word_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Bounds, in seconds, of what takes from a millisecond to the patience of a person.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// Bounds, in seconds, of what ends when a program has acted: at once, or after a restart, a stage, a night.
const SECONDS_LONG: [f64; 13] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0,
];

fn short_histogram() -> Histogram {
    Histogram::new(SECONDS)
}

fn long_histogram() -> Histogram {
    Histogram::new(SECONDS_LONG)
}
