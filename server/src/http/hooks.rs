//! `POST /hooks/{hook}`: what a forge tells of a push.
//!
//! Invariant: the order is size, signature, media type, JSON, repository, wake; whoever does not know the secret
//! learns nothing but that, in one sentence for every way of being wrong. The answer does not wait for the upstream.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use headwater_wire::{HookOutcome, Problem, ProblemCode};
use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry::Context;

use super::caller::Caller;
use super::problem::{Answer, Result, bad_request};
use super::state::App;
use super::{answer, traced};
use crate::clock;
use crate::forge::{Message, Unreadable};

/// Largest body of a delivery, in bytes. Lists of commits are the most of it, and nobody here reads them; a push whose
/// delivery is larger is found by polling.
const BODY_BYTES_MAX: usize = 5 << 20;
/// How much of a body that is too large is read and thrown away, in bytes, so that the forge sees the answer rather
/// than a broken connection. The largest that forges send is 25 MB.
const BODY_BYTES_DRAINED: usize = 32 << 20;
/// Longest time a body may take to arrive; forges give up after about ten seconds.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Takes a delivery.
pub(super) async fn deliver(State(app): State<App>, Path(name): Path<String>, request: Request) -> Result {
    let hooks = app.hooks();
    let hook = hooks.find(&name).ok_or_else(|| hook_not_found(&name))?;
    let sender = request
        .extensions()
        .get::<Caller>()
        .map(|caller| caller.network());
    let _slot = hooks.slot(sender).map_err(overloaded)?;
    if app.draining().is_cancelled() {
        return Err(overloaded("the service is stopping"));
    }
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await?;
    let message = Message {
        forge: hook.settings().forge,
        headers: &parts.headers,
        body: &body,
    };
    let Some(verified) = message.verify(&hook.settings().secrets, clock::now()) else {
        hook.note_refused(&app.repos());
        app.metrics().refused(&hook.settings().name);
        return Ok(refused());
    };
    let delivery = verified.parse().map_err(|error| {
        app.metrics().unreadable(&hook.settings().name);
        unreadable(&error)
    })?;
    let trace = traced::of_delivery(&app, &parts.headers);
    let told = {
        let _inside = trace.clone().map(Context::attach);
        hook.take(&delivery, &body, &app.repos())
    };
    app.metrics().delivered(&hook.settings().name, told.outcome);
    let mut response = answer::view(&told);
    if told.outcome == HookOutcome::Accepted {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    if let Some(trace) = trace {
        traced::end(&trace, response.status().as_u16());
    }
    Ok(response)
}

/// The whole body, if it is not too large.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > BODY_BYTES_DRAINED) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(BODY_DEADLINE, collect(body, said.unwrap_or(0))).await;
    collected.map_err(|_| {
        let problem = Problem::new(ProblemCode::DeadlineExceeded, "the body did not arrive in time");
        Answer::from(problem.hint(super::layers::TOO_LONG))
    })?
}

async fn collect(body: Body, said: usize) -> Result<Bytes> {
    let (mut stream, mut bytes, mut size) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| bad_request("the body broke off", "send it again"))?;
        size += chunk.len();
        if size > BODY_BYTES_DRAINED {
            break;
        }
        if size.max(said) <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
    }
    if size > BODY_BYTES_MAX {
        return Err(too_large());
    }
    Ok(bytes.into())
}

/// One answer for a signature that is missing, malformed, or wrong, so that it tells nothing.
fn refused() -> Response {
    let problem = Problem::new(
        ProblemCode::SignatureRefused,
        "the signature is missing or not the one of this hook's secret",
    )
    .hint("set the same secret in the hook's settings at the forge and here");
    let mut response = Answer::from(problem).into_response();
    let scheme = HeaderValue::from_static("Webhook-Signature");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    response
}

fn unreadable(error: &Unreadable) -> Answer {
    match error {
        Unreadable::MediaType(_) => Problem::new(ProblemCode::UnsupportedMediaType, error.to_string())
            .hint("set the content type of the hook to application/json")
            .into(),
        Unreadable::NotAnObject => {
            bad_request(error.to_string(), "the signature is right; look at what signs it")
        }
    }
}

fn hook_not_found(name: &str) -> Answer {
    Problem::new(
        ProblemCode::HookNotFound,
        format!("this service has no hook `{}`", name.escape_debug()),
    )
    .hint("add a `[[hook]]` table to the settings, and send SIGHUP")
    .into()
}

fn too_large() -> Answer {
    Problem::new(
        ProblemCode::TooLarge,
        format!("the delivery is larger than {BODY_BYTES_MAX} bytes"),
    )
    .hint("nothing is lost: polling finds what was pushed")
    .into()
}

fn overloaded(why: &str) -> Answer {
    Problem::new(ProblemCode::Overloaded, why)
        .hint("nothing is lost: polling finds what was pushed")
        .into()
}
