//! What one caller may have at once, of requests: the layer that counts them, and what is answered beyond.
//!
//! Invariant: a request is counted until its answer begins, and a long poll as the watch that it is; streams and sockets are
//! counted by their handlers, for as long as they are open. What anybody may ask without saying who he is (probes,
//! webhooks, the login) has limits of its own and is not counted here.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headwater_wire::{Problem, ProblemCode};

use super::caller::Caller;
use super::layers;
use super::problem::Answer;
use super::state::App;
use crate::auth::{Identity, Need, need};
use crate::limits::{Holder, Limit, Reached};

/// The only route that waits when it is asked to.
const LONG_POLL: &str = "/v1/repos/{repo}/configs/{*config}";
/// Routes whose handlers count the watch that they open, which is no request beside.
const OPENED: [&str; 2] = ["/v1/repos/{repo}/events", "/v1/repos/{repo}/socket"];

/// Counts a request as its caller's, with [`Holder`] in its extensions, or says that he has too many.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // What a page asks in this process without a name was counted as the request for the page.
    let Some(holder) = holder(&request) else {
        return next.run(request).await;
    };
    let route = request.extensions().get::<MatchedPath>();
    let is_counted = route.is_some_and(|route| {
        let needed = need(request.method(), route.as_str());
        !matches!(needed, Some((Need::Nothing, _)))
    });
    if !is_counted {
        return next.run(request).await;
    }
    let is_watch = route.is_some_and(|route| route.as_str() == LONG_POLL) && layers::waits(&request);
    let opens = route.is_some_and(|route| OPENED.contains(&route.as_str()));
    let taken = if opens {
        Ok(None)
    } else if is_watch {
        app.limits().watch(&holder)
    } else {
        app.limits().request(&holder)
    };
    match taken {
        Ok(share) => {
            request.extensions_mut().insert(holder);
            let response = next.run(request).await;
            drop(share);
            response
        }
        Err(reached) => Answer::from(reached).into_response(),
    }
}

fn holder(request: &Request) -> Option<Holder> {
    let extensions = request.extensions();
    let named = extensions.get::<Identity>();
    let named = named.map(|identity| Holder::Named(identity.name().into()));
    named.or_else(|| {
        extensions
            .get::<Caller>()
            .map(|caller| Holder::At(caller.network()))
    })
}

/// What is said to who has reached a limit.
pub(super) fn problem(reached: Reached) -> Problem {
    let Reached { limit, max, wait } = reached;
    let (detail, hint) = match limit {
        Limit::Connections => (
            format!("this address has {max} connections open, and may have no more"),
            "keep one connection for many requests; behind a proxy or NAT that many share",
        ),
        Limit::Watches => (
            format!(
                "{max} streams, sockets and long polls are open for this token, certificate or address, and there may be no more"
            ),
            "watch several configs by one stream, end those that nobody reads, or give programs tokens of their own; for a large fleet",
        ),
        Limit::Requests => (
            format!(
                "no more than {max} at once of the requests of one token, certificate or address are answered"
            ),
            "wait for answers before asking more, or give programs tokens of their own; for a large fleet",
        ),
        Limit::Reports => (
            format!(
                "more than {max} reports came within a minute with this token or certificate, or from this address"
            ),
            "report changes, and heartbeats as seldom as `heartbeat_ms` says; for a large fleet",
        ),
        Limit::ReportsOfInstance => (
            format!("more than {max} reports of this instance came within a minute"),
            "report changes, and heartbeats as seldom as `heartbeat_ms` says; look for two programs with one instance id; otherwise",
        ),
    };
    let key = limit.key();
    Problem::new(ProblemCode::TooManyRequests, detail)
        .hint(format!(
            "{hint}, whoever runs this service raises `{key}` in `[limits]`"
        ))
        .retry_after(wait)
}

impl From<Reached> for Answer {
    fn from(reached: Reached) -> Self {
        problem(reached).into()
    }
}
