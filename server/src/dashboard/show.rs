//! One page shown: whole to a browser that asks for it, again and again to one that follows it.
//!
//! Invariant: both are the same function of what the API answers. A page that cannot be shown says why and what to do,
//! in the API's own words and under its status.

use std::future::Future;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use headwater_wire::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;

use super::accept;
use super::api::{Api, Told};
use super::asked::Asked;
use super::frame::Frame;
use super::live::{self, Crowd};
use super::words::Link;
use crate::auth::{Gate, Identity, session_of};
use crate::http::{Caller, Door};
use crate::metrics::PageMetrics;

/// Nothing is run, styled, loaded, sent or framed but by this service itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What all pages are answered from.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    routes: Router,
    /// Who is let in, and who must prove once more who he is.
    pub(super) gate: Arc<Gate>,
    /// The listener that they are asked at.
    door: Door,
    /// Who follows pages.
    pub(super) crowd: Crowd,
}

impl Desk {
    /// Pages answered from `routes`, which follow until `draining`.
    pub(crate) fn new(
        (routes, gate, door): (Router, Arc<Gate>, Door),
        metrics: PageMetrics,
        draining: CancellationToken,
    ) -> Self {
        Self {
            routes,
            gate,
            door,
            crowd: Crowd::new(metrics, draining),
        }
    }

    /// A request that no page was found for; it may name a repository all the same.
    pub(super) fn asked_outside(&self, uri: &Uri, headers: &HeaderMap) -> Asked {
        let named = uri.path().strip_prefix("/repos/");
        let named = named.and_then(|rest| rest.split('/').next());
        let named = named.map(|repo| percent_decode_str(repo).decode_utf8_lossy().into_owned());
        let params = named.map(|repo| ("repo".to_owned(), repo));
        self.asked_with(params.into_iter().collect(), (uri, headers), None)
    }

    fn asked_with(
        &self,
        params: Vec<(String, String)>,
        (uri, headers): (&Uri, &HeaderMap),
        who: Option<Identity>,
    ) -> Asked {
        let api = Api::new(self.routes.clone(), headers, who.clone());
        let in_session = session_of(headers).is_some();
        Asked::new((api, self.door), (in_session, who), uri, params)
    }
}

/// A request with what came with it, and with whom the guard found to send it.
impl FromRequestParts<Desk> for Asked {
    type Rejection = RawPathParamsRejection;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, desk).await?;
        let params = params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let who = parts.extensions.get::<Identity>().cloned();
        Ok(desk.asked_with(params.collect(), (&parts.uri, &parts.headers), who))
    }
}

/// A page: loaded from the API, then shown.
pub(super) trait Page: Template + Send + Sync + 'static {
    /// Asks the API for what the page shows.
    fn load(asked: &Asked) -> impl Future<Output = Told<Self>> + Send
    where
        Self: Sized;

    /// The part of the page that follows what happens.
    fn live(&self) -> askama::Result<String>;
}

/// Implements [`Page::live`] by the template's block of that name.
macro_rules! live_block {
    () => {
        fn live(&self) -> askama::Result<String> {
            self.as_live().render()
        }
    };
}
pub(super) use live_block;

/// `GET` of a page.
pub(super) async fn show<P: Page>(
    State(desk): State<Desk>,
    asked: Asked,
    headers: HeaderMap,
    caller: Option<Extension<Caller>>,
) -> Response {
    if accept::follows(&headers) {
        return live::follow::<P>(&desk, asked, &headers, caller.map(|Extension(caller)| caller));
    }
    match P::load(&asked).await {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => failed(&asked, *problem).await,
    }
}

/// `GET` of a page that there is not.
pub(super) async fn nothing(asked: Asked, uri: Uri) -> Response {
    let problem = Problem::new(
        ProblemCode::NotFound,
        format!("there is no page at `{}`", uri.path()),
    );
    failed(&asked, problem).await
}

/// A page, with the headers of all pages.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    let Ok(text) = page.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // Its own forms say whose page they are of.
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (VARY, HeaderValue::from_static("accept")),
    ];
    (status, headers, text).into_response()
}

/// What went wrong, as a page.
#[derive(Template)]
#[template(path = "problem.html", blocks = ["live"])]
pub(super) struct Failed {
    frame: Frame,
    problem: Problem,
    /// Where to go on.
    way: Link,
}

/// Which page of the repository helps who asked for what there is not.
const WAYS: [(ProblemCode, &str, &str); 7] = [
    (ProblemCode::CommitNotHere, "commits", "the commits there are"),
    (ProblemCode::RevisionNotFound, "commits", "the commits there are"),
    (ProblemCode::ConfigNotFound, "configs", "the configs there are"),
    (ProblemCode::PointerNotFound, "configs", "the configs there are"),
    (
        ProblemCode::InstanceNotFound,
        "instances",
        "the instances there are",
    ),
    (ProblemCode::RolloutNotFound, "rollouts", "the rollouts there are"),
    (
        ProblemCode::RollbackNotFound,
        "rollouts",
        "the rollbacks there are",
    ),
];

/// What says why a page has nothing to show of a whole repository.
const SOURCES: [ProblemCode; 3] = [
    ProblemCode::RepoNotFound,
    ProblemCode::NotReady,
    ProblemCode::MirrorBroken,
];

/// Where to go on after a problem.
fn way(asked: &Asked, problem: &Problem) -> Link {
    let found = WAYS.iter().find(|(code, ..)| *code == problem.code);
    match found {
        Some((_, page, text)) => Link::new(asked.links().page(page).into_text(), (*text).to_owned()),
        None if SOURCES.contains(&problem.code) => Link::new(
            "/sources".to_owned(),
            "the repositories, and how each is".to_owned(),
        ),
        None if asked.repo().is_empty() => Link::new("/".to_owned(), "the first page".to_owned()),
        None => Link::new(asked.links().root().into_text(), "the fleet".to_owned()),
    }
}

impl Failed {
    /// The page of a problem.
    pub(super) async fn of(asked: &Asked, mut problem: Problem) -> Self {
        let frame = Frame::of_problem(asked, &problem).await;
        let way = way(asked, &problem);
        // A way for programs is none for people, who are shown theirs.
        problem.hint = problem
            .hint
            .filter(|hint| !hint.starts_with("GET ") && !hint.contains("/v1/"));
        Self { frame, problem, way }
    }

    /// What of it stands in the place of the part that cannot be shown.
    pub(super) fn live(&self) -> askama::Result<String> {
        self.as_live().render()
    }
}

/// The page of a problem, under its status.
pub(super) async fn failed(asked: &Asked, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(status, &Failed::of(asked, problem).await)
}
