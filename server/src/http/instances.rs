//! Instances: what each reports, one at a time, listed and counted.
//!
//! Invariant: the fleet is never held over a wait, and a listing looks at a bounded part of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use headwater_core::rollout::Selector;
use headwater_core::{Fleet, InstanceFilter, Left, Reported, fleet_counts};
use headwater_wire::{
    Assigned, ConfigName, Drift, FleetView, InstanceId, InstancePage, InstanceView, Liveness, Phase, Problem,
    ProblemCode, StateWanted, Timestamp,
};
use http::{HeaderMap, StatusCode};
use tracing::info;

use super::body::{JsonBody, NotJson};
use super::door::Door;
use super::extract::{self, INSTANCE_HINT, Pairs};
use super::problem::{Answer, Result, bad_request};
use super::state::App;
use super::{answer, auth, history, reports};
use crate::auth::Identity;
use crate::limits::Holder;
use crate::publish::Published;
use crate::repo::{Repo, RepoError};
use crate::task;

/// Instances of one page where no limit is said.
const LIMIT_DEFAULT: usize = 100;
/// Most instances of one page.
const LIMIT_MAX: usize = 1_000;
/// Longest time to count a fleet; a full one takes a fraction of a second for each config.
const COUNT_DEADLINE: Duration = Duration::from_secs(20);

/// `PUT /v1/repos/{repo}/instances/{instance}`.
pub(super) async fn report(
    State(app): State<App>,
    Path((repo, instance)): Path<(String, String)>,
    (identity, holder): (Option<Extension<Identity>>, Option<Extension<Holder>>),
    headers: HeaderMap,
    body: std::result::Result<JsonBody, NotJson>,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let instance: InstanceId = extract::id(&instance, INSTANCE_HINT)?;
    reports::refuse_flood(app.limits(), holder.as_deref())?;
    let body = body.map_err(unread)?;
    let report = reports::read(&body)?;
    auth::may_report(identity.as_deref(), &repo, (&instance, &report))?;
    app.limits().report_of(repo.name(), &instance)?;
    let taking = reports::take(&repo, &instance, report);
    let caller = app.traces().caller(&headers);
    Ok(answer::view(&repo.traces.under(caller, taking).await?))
}

/// A report that is no JSON, or did not come whole.
fn unread(why: NotJson) -> Answer {
    let rejection = match why {
        NotJson::Other(answer) => return answer,
        NotJson::Unread(rejection) => rejection,
    };
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        let limit = reports::REPORT_BYTES_MAX;
        return Problem::new(
            ProblemCode::TooLarge,
            format!("a report has at most {limit} bytes"),
        )
        .hint("report fewer configs, or shorter messages")
        .into();
    }
    bad_request("the body did not come whole", "send the report again")
}

/// `GET /v1/repos/{repo}/instances/{instance}?at=`.
pub(super) async fn one(
    State(app): State<App>,
    Path((repo, instance)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let instance: InstanceId = extract::id(&instance, INSTANCE_HINT)?;
    let pairs = Pairs::read(query.as_deref())?;
    let at: Option<Timestamp> = pairs.parsed("at", "a time in UTC such as `2026-01-31T14:03:00Z`")?;
    let published = repo.board.read();
    let found = {
        let fleet = read(&repo);
        let view = fleet.view(&instance, repo.moment().uptime, |reported, config| {
            assigned_to(&published, reported, config)
        });
        view.map(|view| InstanceView {
            history: fleet.history(&instance, at),
            ..view
        })
    };
    match found {
        Some(view) => Ok(answer::view(&view)),
        None => Err(instance_not_found(&instance)),
    }
}

/// `DELETE /v1/repos/{repo}/instances/{instance}?incarnation=`: a life says that it ends; without a number, a person
/// has the instance forgotten.
pub(super) async fn leave(
    State(app): State<App>,
    Path((repo, instance)): Path<(String, String)>,
    (identity, Extension(door)): (Option<Extension<Identity>>, Extension<Door>),
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let instance: InstanceId = extract::id(&instance, INSTANCE_HINT)?;
    let pairs = Pairs::read(query.as_deref())?;
    let incarnation: Option<u64> = pairs.parsed("incarnation", "the incarnation of the life that ends")?;
    auth::may_end((identity.as_deref(), door), &repo, (&instance, incarnation))?;
    let Some(incarnation) = incarnation else {
        return forget(&repo, &instance);
    };
    let left = {
        let mut fleet = repo.fleet.write().unwrap_or_else(PoisonError::into_inner);
        fleet.leave(&instance, incarnation, repo.moment())
    };
    match left {
        Left::Gone => Ok(StatusCode::NO_CONTENT.into_response()),
        Left::Unknown => Err(instance_not_found(&instance)),
        Left::Implausible(why) => Err(reports::not_taken(&repo, &instance, why.into())),
        Left::Newer { incarnation } => {
            let detail = format!("incarnation {incarnation} of `{instance}` has reported, and goes on");
            let problem = Problem::new(ProblemCode::InstanceReplaced, detail);
            let hint = "nothing is left to do: the life that ended was replaced before it said so";
            Err(problem.hint(hint).into())
        }
    }
}

fn forget(repo: &Repo, instance: &InstanceId) -> Result {
    let was_known = {
        let mut fleet = repo.fleet.write().unwrap_or_else(PoisonError::into_inner);
        fleet.forget(instance)
    };
    if !was_known {
        return Err(instance_not_found(instance));
    }
    info!(repo = %repo.name(), %instance, "{instance} was forgotten, as somebody asked");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn instance_not_found(instance: &InstanceId) -> Answer {
    Problem::new(
        ProblemCode::InstanceNotFound,
        format!("no instance `{instance}` has reported"),
    )
    .hint("GET …/instances lists those that have")
    .into()
}

/// `GET /v1/repos/{repo}/instances?config=&state=&version=&liveness=&drift=&label.k=&limit=&after=`.
pub(super) async fn list(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let limit = limit(&pairs)?;
    let after: Option<InstanceId> = pairs.parsed("after", INSTANCE_HINT)?;
    let filter = filter(&repo, &pairs).await?;
    let published = repo.board.read();
    let listing = {
        let now = repo.moment().uptime;
        read(&repo).list(&filter, (after.as_ref(), limit), now, |reported, config| {
            assigned_to(&published, reported, config)
        })
    };
    Ok(answer::view(&InstancePage {
        instances: listing.instances,
        next: listing.next,
    }))
}

async fn filter(repo: &Repo, pairs: &Pairs) -> Result<InstanceFilter> {
    let version = match pairs.get("version") {
        Some(rev) => Some(history::resolve(repo, rev).await?),
        None => None,
    };
    let labels = Selector::of(pairs.labels()?);
    if let Some(label) = labels.broken() {
        let hint = "a value is a glob: `*` stands for any text, `{a,b}` for one of several";
        return Err(bad_request(
            format!("not a glob: the value of `label.{label}`"),
            hint,
        ));
    }
    let states = "one of `pending`, `prepared`, `applied`, `confirmed`, `failed`, `unknown`";
    Ok(InstanceFilter {
        config: pairs.get("config").map(extract::config).transpose()?,
        state: word(pairs, "state", StateWanted::read, states)?,
        version,
        drift: word(
            pairs,
            "drift",
            Drift::read,
            "one of `in_sync`, `divergent`, `pinned`",
        )?,
        liveness: word(
            pairs,
            "liveness",
            Liveness::read,
            "one of `live`, `stale`, `lost`, `gone`",
        )?,
        labels,
    })
}

/// A word of a query that has few.
fn word<T>(pairs: &Pairs, key: &str, read: fn(&str) -> Option<T>, words: &str) -> Result<Option<T>> {
    let read = |word: &str| {
        read(word).ok_or_else(|| bad_request(format!("no such {key}: `{}`", word.escape_debug()), words))
    };
    pairs.get(key).map(read).transpose()
}

/// `GET /v1/repos/{repo}/fleet?config=`.
pub(super) async fn fleet(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let named = pairs
        .all("config")
        .map(extract::config)
        .collect::<Result<Vec<_>>>()?;
    let counted = task::blocking(COUNT_DEADLINE, move || counted(&repo, &named)).await;
    let counted = counted.map_err(RepoError::from)?;
    Ok(answer::view(&counted))
}

/// Counts one config after the other, so that reports are taken meanwhile.
pub(crate) fn counted(repo: &Arc<Repo>, named: &[ConfigName]) -> FleetView {
    let published = repo.board.read();
    let (instances, all) = {
        let fleet = read(repo);
        (fleet.len() as u64, fleet.configs().cloned().collect::<Vec<_>>())
    };
    let wanted = all
        .into_iter()
        .filter(|config| named.is_empty() || named.contains(config));
    let count_one = |config: ConfigName| {
        let fleet = read(repo);
        let members = fleet.members(&config, repo.moment().uptime);
        let counts = fleet_counts(members, |member| {
            assigned(&published, &config, (member.instance, member.labels))
        });
        (config, counts)
    };
    FleetView {
        instances,
        configs: wanted.map(count_one).collect(),
    }
}

/// The fleet, for as long as nothing is waited for.
pub(super) fn read(repo: &Repo) -> RwLockReadGuard<'_, Fleet> {
    repo.fleet.read().unwrap_or_else(PoisonError::into_inner)
}

fn assigned_to(published: &Published, reported: &Reported, config: &ConfigName) -> Option<Assigned> {
    assigned(published, config, (&reported.instance, &reported.report.labels))
}

/// What an instance should run of a config now; what it should only be ready for is not that.
fn assigned(
    published: &Published,
    config: &ConfigName,
    (instance, labels): (&InstanceId, &BTreeMap<String, String>),
) -> Option<Assigned> {
    let told = published.told(config, Some((instance, labels)))?;
    let generation = told.generation;
    let runs = match told.phase {
        Phase::Active => told,
        Phase::Prepare | Phase::Other => published.stable(config)?,
    };
    Some(Assigned {
        version: runs.exposed.target.version.clone(),
        digest: runs.exposed.config.select(labels).digest().clone(),
        generation,
    })
}

fn limit(pairs: &Pairs) -> Result<usize> {
    let Some(text) = pairs.get("limit") else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        bad_request(
            format!("not a limit: `{}`", text.escape_debug()),
            format!("a number from 1 to {LIMIT_MAX}"),
        )
    })
}
