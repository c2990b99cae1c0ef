//! One page shown: whole to a browser that asks for it, again and again to one that follows it.
//!
//! Invariant: both are the same function of what the API answers. A page that cannot be shown says why and what to do,
//! in the API's own words and under its status.

use std::future::Future;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{RawPathParams, State};
use axum::response::{IntoResponse, Response};
use headwater_wire::{Problem, ProblemCode};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::api::{Api, Told};
use super::asked::Asked;
use super::frame::Frame;
use super::live;
use crate::clock;

/// Nothing is run, styled, loaded, sent or framed but by this service itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What all pages are answered from.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    routes: Router,
    /// Places for pages that are followed.
    pub seats: Arc<Semaphore>,
    /// Cancelled when the process stops taking requests.
    pub draining: CancellationToken,
}

impl Desk {
    /// Pages answered from `routes`, which follow until `draining`.
    pub(super) fn new(routes: Router, draining: CancellationToken) -> Self {
        Self {
            routes,
            seats: Arc::new(Semaphore::new(live::SEATS)),
            draining,
        }
    }

    /// A request with what came with it.
    pub(super) fn asked(&self, params: &RawPathParams, uri: &Uri, headers: &HeaderMap) -> Asked {
        let params = params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let api = Api::new(self.routes.clone(), headers);
        Asked::new(api, clock::now(), uri, params.collect())
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
    params: RawPathParams,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = desk.asked(&params, &uri, &headers);
    let follows = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if follows {
        return live::follow::<P>(&desk, asked);
    }
    match P::load(&asked).await {
        Ok(page) => html(StatusCode::OK, &page),
        Err(problem) => failed(&asked, *problem).await,
    }
}

/// `GET` of a page that there is not.
pub(super) async fn nothing(
    State(desk): State<Desk>,
    params: RawPathParams,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let problem = Problem::new(
        ProblemCode::NotFound,
        format!("there is no page at `{}`", uri.path()),
    );
    failed(&desk.asked(&params, &uri, &headers), problem).await
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
}

impl Failed {
    /// The page of a problem.
    pub(super) async fn of(asked: &Asked, problem: Problem) -> Self {
        Self {
            frame: Frame::of_problem(asked, &problem).await,
            problem,
        }
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
