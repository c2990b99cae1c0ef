//! The public API, asked from inside the process.
//!
//! Invariant: a page has no other source. What the API does not tell a page cannot show, what it refuses a page cannot
//! do, and who asks is who asks the page: whom the guard has let in, and the headers that say so, are handed on.

use std::fmt::Write;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use headwater_wire::{Problem, ProblemCode};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::auth::{Identity, Proved};

/// Everything except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest answer that is read, in bytes: the API bounds its own, and this is above all of them.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Who asks, in the words of his browser.
const HANDED_ON: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HOST,
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];

/// What the API answers, or why it does not.
pub(super) type Told<T> = Result<T, Box<Problem>>;

/// An address below which every part that came from outside is percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    text: String,
    has_query: bool,
}

impl Address {
    /// An address of ours.
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            has_query: false,
        }
    }

    /// The same with one more part of the path.
    pub(super) fn part(mut self, part: &str) -> Self {
        // A `String` takes everything.
        write!(self.text, "/{}", utf8_percent_encode(part, RESERVED)).ok();
        self
    }

    /// The same with a name that has slashes of its own.
    pub(super) fn path(self, path: &str) -> Self {
        path.split('/').fold(self, Self::part)
    }

    /// The same with one more pair in the query.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        let mark = if self.has_query { '&' } else { '?' };
        let (name, value) = (
            utf8_percent_encode(name, RESERVED),
            utf8_percent_encode(value, RESERVED),
        );
        write!(self.text, "{mark}{name}={value}").ok();
        self.has_query = true;
        self
    }

    /// The same with a pair, if it has a value.
    pub(super) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The API, for one who asks.
#[derive(Debug, Clone)]
pub(super) struct Api {
    routes: Router,
    headers: HeaderMap,
    /// Whom the layer round the page has let in.
    who: Option<Identity>,
    /// That who asks has just proved who he is, if he has.
    proved: Option<Proved>,
}

impl Api {
    /// The API for whoever sent these headers, and was let in as `who`.
    pub(super) fn new(routes: Router, sent: &HeaderMap, who: Option<Identity>) -> Self {
        let mut headers = HeaderMap::new();
        for name in HANDED_ON {
            if let Some(value) = sent.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        Self {
            routes,
            headers,
            who,
            proved: None,
        }
    }

    /// The same for somebody who was let in.
    pub(super) fn of(self, who: Option<Identity>) -> Self {
        Self { who, ..self }
    }

    /// The same for one who has just proved who he is.
    pub(super) fn proved(self, proved: Proved) -> Self {
        Self {
            proved: Some(proved),
            ..self
        }
    }

    /// A view.
    pub(super) async fn get<T: DeserializeOwned>(&self, address: Address) -> Told<T> {
        self.ask(Method::GET, address, Body::empty()).await
    }

    /// An order, and its answer.
    pub(super) async fn post<T: DeserializeOwned>(&self, address: Address, body: &impl Serialize) -> Told<T> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.ask(Method::POST, address, Body::from(body)).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, address: Address, body: Body) -> Told<T> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = address.text.parse().map_err(|_| not_an_address())?;
        *request.headers_mut() = self.headers.clone();
        if let Some(who) = &self.who {
            request.extensions_mut().insert(who.clone());
        }
        request
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Some(proved) = self.proved {
            request.extensions_mut().insert(proved);
        }
        let Ok(response) = self.routes.clone().oneshot(request).await;
        read(response).await
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Told<T> {
    let status = response.status();
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
    let body = body.map_err(|error| unreadable(&error.to_string()))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| unreadable(&error.to_string()));
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(Box::new(problem)),
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

fn unreadable(why: &str) -> Box<Problem> {
    let detail = format!("the API's answer cannot be shown: {why}");
    Box::new(Problem::new(ProblemCode::Internal, detail))
}

fn not_an_address() -> Box<Problem> {
    let problem = Problem::new(ProblemCode::BadRequest, "the address cannot be read");
    Box::new(problem.hint("go on from the first page"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place_in_an_address() {
        let address = Address::new("/v1/repos")
            .part("a/../b?c")
            .path("x y/prod")
            .query("label.k", "a&b=c#d")
            .maybe("after", Some(""))
            .maybe("config", Some("ü"));
        assert_eq!(
            address.into_text(),
            "/v1/repos/a%2F..%2Fb%3Fc/x%20y/prod?label.k=a%26b%3Dc%23d&config=%C3%BC"
        );
    }
}
