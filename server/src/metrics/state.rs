//! What the state says at the moment of asking: sources, heads, rollouts, instances, how full what has a limit is.
//!
//! Invariant: it is read from the views that the API answers with, so a graph and an answer cannot disagree. A state
//! that nothing is in is told as 0, so that an alert on it has something to look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use headwater_core::INSTANCES_MAX;
use headwater_wire::{FleetView, HeadState, RepoView, ReportState, RolloutState, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::OfRepo;
use crate::http::{App, fleet_view, git_pending, repo_view};
use crate::publish::Published;
use crate::repo::{REQUESTS_MAX, Repo};
use crate::{canary, clock};

/// A repository and a word of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    repo: String,
    state: &'static str,
}

/// The version that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBuild {
    version: &'static str,
}

/// A repository at one moment.
struct Seen {
    name: String,
    repo: Arc<Repo>,
    published: Arc<Published>,
    view: RepoView,
    fleet: FleetView,
}

type Counted = Family<OfState, Gauge>;

/// Registers what the state says now.
pub(super) fn register(registry: &mut Registry, app: &App) {
    let now = clock::now();
    let seen: Vec<Seen> = app.repos().values().map(|repo| Seen::of(repo, now)).collect();
    let build = Family::<OfBuild, Gauge>::default();
    let version = env!("CARGO_PKG_VERSION");
    build.get_or_create(&OfBuild { version }).set(1);
    registry.register("build_info", "The version that runs", build);
    sources(registry, &seen, now);
    heads(registry, &seen);
    rollouts(registry, &seen, now);
    instances(registry, &seen);
    canaries(registry, &seen);
    fill(registry, &seen);
}

impl Seen {
    fn of(repo: &Arc<Repo>, now: Timestamp) -> Self {
        let published = repo.board.read();
        Self {
            name: repo.name().to_string(),
            view: repo_view(repo, &published, now),
            fleet: fleet_view(repo, &[]),
            repo: repo.clone(),
            published,
        }
    }

    fn labels(&self) -> OfRepo {
        OfRepo {
            repo: self.name.clone(),
        }
    }

    fn in_state(&self, state: &'static str) -> OfState {
        OfState {
            repo: self.name.clone(),
            state,
        }
    }
}

fn sources(registry: &mut Registry, seen: &[Seen], now: Timestamp) {
    let (stale, states) = (Family::<OfRepo, Gauge>::default(), Counted::default());
    let age = Family::<OfRepo, Gauge<f64, AtomicU64>>::default();
    for one in seen {
        stale.get_or_create(&one.labels()).set(i64::from(one.view.stale));
        states
            .get_or_create(&one.in_state(one.view.source_state.as_str()))
            .set(1);
        if let Some(synced_at) = one.view.synced_at {
            let age_ms = i32::try_from(now.ms_since(synced_at)).unwrap_or(i32::MAX);
            age.get_or_create(&one.labels()).set(f64::from(age_ms) / 1_000.0);
        }
    }
    let help = "How long ago the upstream was last listed; absent until it was";
    registry.register_with_unit("source_age", help, Unit::Seconds, age);
    let help = "1 while what is served may be older than the branch";
    registry.register("source_stale", help, stale);
    let help = "1 for the state that the upstream is in; `ok` is well";
    registry.register("source_state", help, states);
}

fn heads(registry: &mut Registry, seen: &[Seen]) {
    let (heads, configs) = (Counted::default(), Family::<OfRepo, Gauge>::default());
    let (holds, pending) = (
        Family::<OfRepo, Gauge>::default(),
        Family::<OfRepo, Gauge>::default(),
    );
    let states = [
        HeadState::None,
        HeadState::Published,
        HeadState::Validating,
        HeadState::Rejected,
        HeadState::Held,
    ];
    for one in seen {
        for state in states {
            let is_it = i64::from(one.view.head_state == state);
            heads.get_or_create(&one.in_state(state.as_str())).set(is_it);
        }
        let state = &one.published.state;
        let waiting = state
            .rollbacks
            .iter()
            .filter(|rollback| git_pending(rollback).is_some());
        configs.get_or_create(&one.labels()).set(whole(one.view.configs));
        holds
            .get_or_create(&one.labels())
            .set(whole(state.withheld.len()));
        pending.get_or_create(&one.labels()).set(whole(waiting.count()));
    }
    let help = "1 for what became of the newest commit of the branch";
    registry.register("head_state", help, heads);
    registry.register("configs", "Configs of the tip", configs);
    let help = "Configs whose content in the branch is held back";
    registry.register("withheld_configs", help, holds);
    let help = "Rollbacks in effect that are not in Git yet";
    registry.register("rollbacks_pending", help, pending);
}

fn rollouts(registry: &mut Registry, seen: &[Seen], now: Timestamp) {
    let moving = Counted::default();
    for one in seen {
        let mut counts: BTreeMap<&'static str, i64> = RolloutState::ALL
            .iter()
            .filter(|state| !state.is_final())
            .map(|state| (state.as_str(), 0))
            .collect();
        for rollout in one.published.state.moving() {
            *counts.entry(rollout.view(None, now).state.as_str()).or_default() += 1;
        }
        for (state, count) in counts {
            moving.get_or_create(&one.in_state(state)).set(count);
        }
    }
    registry.register("rollouts", "Rollouts that are not over, by state", moving);
}

fn instances(registry: &mut Registry, seen: &[Seen]) {
    let (all, states, drift) = (
        Family::<OfRepo, Gauge>::default(),
        Counted::default(),
        Counted::default(),
    );
    for one in seen {
        all.get_or_create(&one.labels()).set(count(one.fleet.instances));
        let known = [
            ReportState::Pending,
            ReportState::Prepared,
            ReportState::Applied,
            ReportState::Confirmed,
            ReportState::Failed,
        ];
        for state in known {
            let versions = one.fleet.configs.values().flat_map(|config| &config.versions);
            let sum: u64 = versions.filter_map(|version| version.states.get(&state)).sum();
            states
                .get_or_create(&one.in_state(state.as_str()))
                .set(count(sum));
        }
        let sum = |part: fn(&headwater_wire::ConfigCounts) -> u64| {
            count(one.fleet.configs.values().map(part).sum())
        };
        states
            .get_or_create(&one.in_state("unknown"))
            .set(sum(|config| config.stale + config.lost));
        for (word, part) in [
            ("in_sync", sum(|config| config.in_sync)),
            ("divergent", sum(|config| config.divergent)),
            ("pinned", sum(|config| config.pinned)),
        ] {
            drift.get_or_create(&one.in_state(word)).set(part);
        }
    }
    registry.register("instances", "Instances that are remembered", all);
    let help = "Configs of instances, by what each says of it; `unknown` was not heard of lately";
    registry.register("instance_configs", help, states);
    let help = "Configs of live instances, by whether they run what they should";
    registry.register("instance_drift", help, drift);
}

/// Nothing of a repository that has none.
fn canaries(registry: &mut Registry, seen: &[Seen]) {
    let seconds = Family::<OfRepo, Gauge<f64, AtomicU64>>::default;
    let (age, every) = (seconds(), seconds());
    let (late, missing) = (
        Family::<OfRepo, Gauge>::default(),
        Family::<OfRepo, Gauge>::default(),
    );
    for one in seen {
        let Some(view) = canary::view(&one.repo) else {
            continue;
        };
        let of = one.labels();
        age.get_or_create(&of).set(view.age.as_secs_f64());
        every.get_or_create(&of).set(view.settings.every.as_secs_f64());
        late.get_or_create(&of).set(count(view.late));
        missing.get_or_create(&of).set(i64::from(view.is_missing()));
    }
    let help = "1 while the tip has no such config, so that no broken path is noticed";
    registry.register("canary_missing", help, missing);
    let help = "How old the content of the canary is: by its commit, and at least as it was seen here";
    registry.register_with_unit("canary_age", help, Unit::Seconds, age);
    let help = "How often it should become another";
    registry.register_with_unit("canary_every", help, Unit::Seconds, every);
    let help = "Instances that have the canary and do not run what they should, or were not heard of";
    registry.register("canary_late_instances", help, late);
}

fn fill(registry: &mut Registry, seen: &[Seen]) {
    type Value = fn(&Repo) -> usize;
    let gauges: [(&str, &str, Value); 4] = [
        (
            "watches",
            "Configs that somebody waits for news of, counted per watcher",
            |repo| repo.board.watches(),
        ),
        (
            "mailbox_requests",
            "Requests that wait for the repository's pipeline",
            Repo::requests_waiting,
        ),
        (
            "mailbox_requests_max",
            "Requests that may wait; beyond, they are refused",
            |_| REQUESTS_MAX,
        ),
        ("instances_max", "Instances that are remembered at most", |_| {
            INSTANCES_MAX
        }),
    ];
    for (name, help, value) in gauges {
        let family = Family::<OfRepo, Gauge>::default();
        for one in seen {
            family.get_or_create(&one.labels()).set(whole(value(&one.repo)));
        }
        registry.register(name, help, family);
    }
}

fn whole(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
