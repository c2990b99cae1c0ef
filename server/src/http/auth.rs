//! Whether whoever asks may: the one place that looks, before any handler.
//!
//! Invariant: what is answered without a token tells nothing, and what is open for a token (a wait, a stream, a socket)
//! ends with it. Handlers look at one thing only, which the address does not say: what a report is about.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use headwater_wire::{
    ConfigName, Finding, InstanceId, InstanceReport, Problem, ProblemCode, RepoName, StatusEvent,
};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::caller::Caller;
use super::door::Door;
use super::problem::{Answer, Result};
use super::state::App;
use crate::auth::{Bound, Came, Identity, Need, Proved, Refused, is_grave, need};
use crate::clock;
use crate::dashboard::accept;
use crate::repo::Repo;
use crate::tls::Presented;

/// Lets a request through to its handler, with [`Identity`] in its extensions, or says why not.
pub(super) async fn guard(
    State((app, door)): State<(App, Door)>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(door);
    // An address that no route has tells nothing.
    let Some(route) = request.extensions().get::<MatchedPath>().cloned() else {
        return next.run(request).await;
    };
    let needed = need(request.method(), route.as_str());
    let lets = needed.map_or(Ok(()), |(need, _)| door.lets(need));
    if app.gate().stands_open() {
        return match lets {
            Ok(()) => next.run(request).await,
            Err(elsewhere) => elsewhere.into_response(),
        };
    }
    if let Some((Need::Nothing, _)) = needed {
        return next.run(request).await;
    }
    let identity = match who(&app, request.headers(), request.extensions()).await {
        Ok(identity) => identity,
        Err(refused) => return unknown(&app, &request, refused),
    };
    // To nobody but who is known.
    if let Err(elsewhere) = lets {
        return of(elsewhere.into_response(), identity);
    }
    let (mut parts, body) = request.into_parts();
    if let Err(refused) = allow(&identity, needed, &mut parts).await {
        return of(refused.into_response(), identity);
    }
    if route.as_str().starts_with("/v1/") && asks_again(&app, route.as_str(), &mut parts).await {
        return of(old_proof(), identity);
    }
    let ended = identity.ended().clone();
    parts.extensions.insert(identity.clone());
    let answered = ended
        .run_until_cancelled(next.run(Request::from_parts(parts, body)))
        .await;
    match answered {
        Some(response) => of(until(response, ended), identity),
        None => challenge(Refused::Unknown),
    }
}

/// Whom a request comes from. A page asks the API for whoever asked it, whom this layer has let in before.
async fn who(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> std::result::Result<Identity, Refused> {
    if let Some(asked) = extensions.get::<Identity>() {
        let holds = asked.holds(clock::now()).then(|| asked.clone());
        return holds.ok_or(Refused::Unknown);
    }
    let presented = extensions.get::<Arc<Presented>>();
    let came = Came {
        peer: extensions.get::<Caller>().map(|caller| caller.0),
        presented: presented.map(AsRef::as_ref),
    };
    app.gate().who(headers, came).await
}

/// An answer with whom it is for: a page of what went wrong says who looks at it.
fn of(mut response: Response, identity: Identity) -> Response {
    response.extensions_mut().insert(identity);
    response
}

/// Lets a stream go on for as long as the token does. Other answers are complete within a deadline.
fn until(response: Response, ended: tokio_util::sync::CancellationToken) -> Response {
    use futures_util::StreamExt as _;
    let media_type = response.headers().get(CONTENT_TYPE);
    if media_type.is_none_or(|media_type| !media_type.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = body.into_data_stream().take_until(ended.cancelled_owned());
    Response::from_parts(parts, Body::from_stream(body))
}

/// A browser is sent to where it can say who it is, a program is told.
fn unknown(app: &App, request: &Request, refused: Refused) -> Response {
    let headers = request.headers();
    let opens_page = accept::reads_pages(headers) && !accept::follows(headers);
    let can_log_in = app.gate().takes_tokens() && refused.can_log_in();
    if request.method() != Method::GET || !opens_page || !can_log_in {
        return challenge(refused);
    }
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let next = utf8_percent_encode(here, NON_ALPHANUMERIC);
    Redirect::to(&format!("/login?next={next}")).into_response()
}

/// Whether a grave order comes by a session whose proof is old. A form of ours takes the proof first.
async fn asks_again(app: &App, route: &str, parts: &mut Parts) -> bool {
    if parts.extensions.get::<Proved>().is_some() || app.gate().asks_again(&parts.headers).is_none() {
        return false;
    }
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let mut params = params.iter().flatten();
    let order = params.find(|(name, _)| *name == "order").map(|(_, order)| order);
    is_grave(&parts.method, route, order)
}

fn old_proof() -> Response {
    unauthenticated(
        Problem::new(
            ProblemCode::Unauthenticated,
            "it is long ago that this session proved who orders",
        )
        .hint("order at the dashboard, which asks once more, or send `authorization: Bearer TOKEN` with the order"),
    )
}

fn challenge(refused: Refused) -> Response {
    if refused.is_known() {
        return forbidden(refused.to_string(), refused.hint()).into_response();
    }
    unauthenticated(Problem::new(ProblemCode::Unauthenticated, refused.to_string()).hint(refused.hint()))
}

fn unauthenticated(problem: Problem) -> Response {
    let mut response = Answer::from(problem).into_response();
    response.headers_mut().insert(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"headwater\""),
    );
    response
}

fn forbidden(detail: impl Into<String>, hint: impl Into<String>) -> Answer {
    Problem::new(ProblemCode::Forbidden, detail).hint(hint).into()
}

/// Whether an identity may do what a route does with what the address names.
async fn allow(identity: &Identity, needed: Option<(Need, Bound)>, parts: &mut Parts) -> Result<()> {
    let Some((need, bound)) = needed else {
        return Err(forbidden(
            "no token may do that",
            "see docs/api.md for what this address takes",
        ));
    };
    if !identity.role().may(need) {
        return Err(too_little(identity, need));
    }
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|error| forbidden(error.to_string(), "percent-encode paths as UTF-8"))?;
    let param = |wanted: &str| {
        params
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    // What is no name at all is left to the handler, which says so.
    if let Some(repo) = param("repo").and_then(|repo| repo.parse::<RepoName>().ok())
        && !identity.scope().takes_repo(&repo)
    {
        return Err(elsewhere(identity, &format!("the repository `{repo}`")));
    }
    if !identity.scope().has_configs() {
        return Ok(());
    }
    match bound {
        Bound::Free | Bound::Handler => Ok(()),
        Bound::Path => config(identity, param("config").unwrap_or_default()),
        Bound::Query => {
            let query = parts.uri.query().unwrap_or_default();
            let pairs = form_urlencoded::parse(query.as_bytes());
            let named: Vec<_> = pairs.filter(|(name, _)| name == "config").collect();
            if named.is_empty() {
                return Err(elsewhere(identity, "all configs"));
            }
            named.iter().try_for_each(|(_, name)| config(identity, name))
        }
        Bound::All => Err(elsewhere(identity, "all configs")),
    }
}

fn too_little(identity: &Identity, need: Need) -> Answer {
    let (name, role) = (identity.name(), identity.role());
    forbidden(
        format!("`{name}` has the role `{role}`"),
        format!("ask with a token for the role `{}`", need.least()),
    )
}

fn config(identity: &Identity, name: &str) -> Result<()> {
    match name.parse::<ConfigName>() {
        Ok(config) if !identity.scope().takes_config(&config) => {
            Err(elsewhere(identity, &format!("the config `{config}`")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn elsewhere(identity: &Identity, what: &str) -> Answer {
    forbidden(
        format!("`{}` is a token for something else than {what}", identity.name()),
        "ask with a token that is bound to it, or to nothing",
    )
}

/// Whether an identity may speak for an instance: by its name, and by what it is known to have, so that nobody replaces
/// what the instance of another has said.
fn speaks_for(identity: &Identity, repo: &Repo, instance: &InstanceId) -> Result<()> {
    let scope = identity.scope();
    let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
    let known = fleet.get(instance).map(|known| &known.report);
    let is_anothers = known.is_some_and(|known| {
        scope.lacking(&known.labels).is_some()
            || known.configs.keys().any(|config| !scope.takes_config(config))
    });
    if is_anothers || !scope.takes_instance(instance) {
        return Err(elsewhere(identity, &format!("the instance `{instance}`")));
    }
    Ok(())
}

/// What is told of the repository: to the holder of a token that is bound to configs, nothing of others.
pub(super) fn told(identity: Option<&Identity>, status: &StatusEvent) -> StatusEvent {
    let mut told = status.clone();
    if let Some(scope) = identity.map(Identity::scope)
        && !is_told_all(identity)
    {
        let is_own = |finding: &Finding| {
            finding
                .config
                .as_ref()
                .is_some_and(|config| scope.takes_config(config))
        };
        told.findings.retain(is_own);
        told.reason = told.reason.filter(|_| status.stale);
    }
    told
}

/// Whether somebody is told everything of the repository.
pub(super) fn is_told_all(identity: Option<&Identity>) -> bool {
    !identity.is_some_and(|identity| identity.scope().has_configs())
}

/// Whether an identity may say what a report says.
pub(super) fn may_report(
    identity: Option<&Identity>,
    repo: &Repo,
    (instance, report): (&InstanceId, &InstanceReport),
) -> Result<()> {
    let Some(bound) = identity else { return Ok(()) };
    speaks_for(bound, repo, instance)?;
    if let Some((key, value)) = bound.scope().lacking(&report.labels) {
        let detail = format!(
            "`{}` is a token for instances with the label `{key}={value}`",
            bound.name()
        );
        return Err(forbidden(detail, "report that label, or with another token"));
    }
    let mut configs = report.configs.keys();
    match configs.find(|config| !bound.scope().takes_config(config)) {
        Some(config) => Err(elsewhere(bound, &format!("the config `{config}`"))),
        None => Ok(()),
    }
}

/// Whether an identity may report at all, where the address does not say that it will.
pub(super) fn refuse_role(identity: Option<&Identity>) -> Result<()> {
    match identity {
        Some(identity) if !identity.role().may(Need::Report) => Err(too_little(identity, Need::Report)),
        Some(_) | None => Ok(()),
    }
}

/// Whether an identity may say that an instance has ended: of one life, or (without its number) for good, which is an order.
pub(super) fn may_end(
    (identity, door): (Option<&Identity>, Door),
    repo: &Repo,
    (instance, life): (&InstanceId, Option<u64>),
) -> Result<()> {
    if let Some(identity) = identity {
        speaks_for(identity, repo, instance)?;
        if life.is_none() && !identity.role().may(Need::Order) {
            let detail = "an instance is forgotten for good by a person alone";
            return Err(forbidden(detail, "say `?incarnation=` of the life that ends"));
        }
    }
    life.map_or_else(|| door.lets(Need::Order), |_| Ok(()))
}

/// Who gave an order: whoever the token is of, and the name that was typed beside it.
pub(super) fn signed(identity: Option<&Identity>, typed: Option<String>) -> Option<String> {
    let Some(identity) = identity else { return typed };
    // What an issuer calls somebody may have the marks of an address, which a commit's author has once.
    let name = identity.name().replace('<', "‹").replace('>', "›");
    Some(match typed {
        Some(typed) if typed != name => match typed.split_once('<') {
            Some((person, address)) => format!("{} ({name}) <{address}", person.trim_end()),
            None => format!("{typed} ({name})"),
        },
        Some(_) | None => name,
    })
}
