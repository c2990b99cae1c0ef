//! Where a person with a browser says who he is: with a token, for a session.
//!
//! Invariant: the token is in the form that sends it and nowhere else. The form is taken only from the browser that it
//! was given to, so that no other site logs anybody in as somebody else. A page is gone on to only on this service.

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::assets::{self, Addresses};
use super::{pledge, show};
use crate::auth::{Secure, Session};
use crate::http::App;

/// What is said to a browser that sends a form which it was not given.
const NOT_OUR_FORM: &str = "the form is not one that this browser was given: send it once more; the browser must take cookies of this service";

/// The page of the form.
#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    assets: Addresses,
    next: String,
    form: String,
    /// Issuers to log in at.
    providers: Vec<Provider>,
    refused: Option<Refusal>,
}

/// An issuer to log in at.
struct Provider {
    name: String,
    address: String,
}

/// What went wrong, and what to do.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// Status of the page.
    pub status: StatusCode,
    /// What went wrong.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// What to do who has no token that is good.
const ASK_FOR_A_TOKEN: &str =
    "Ask whoever runs this service for a token: `headwater token create` makes one.";

/// `GET /login?next=`.
pub(crate) async fn form(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Response {
    if app.gate().stands_open() {
        return Redirect::to("/").into_response();
    }
    let next = field(uri.query().unwrap_or_default().as_bytes(), "next");
    page(&app, &headers, (next, None))
}

/// `POST /login`.
pub(crate) async fn log_in(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let (token, next) = (field(&body, "token").unwrap_or_default(), field(&body, "next"));
    if !pledge::is_kept(&headers, field(&body, "form").as_deref()) {
        let refusal = Refusal::of(StatusCode::FORBIDDEN, NOT_OUR_FORM, ASK_FOR_A_TOKEN);
        return page(&app, &headers, (next, Some(refusal)));
    }
    match app.gate().log_in(&token).await {
        Ok((session, identity)) => {
            tracing::info!(token = identity.name(), "`{}` has logged in", identity.name());
            with_cookie(Redirect::to(&ours(next)), &session.cookie(secure(&headers)))
        }
        Err(refused) => {
            let refusal = Refusal::of(StatusCode::UNAUTHORIZED, &refused.to_string(), ASK_FOR_A_TOKEN);
            page(&app, &headers, (next, Some(refusal)))
        }
    }
}

/// `POST /logout`.
pub(crate) async fn log_out(State(app): State<App>, headers: HeaderMap) -> Response {
    app.gate().log_out(&headers);
    with_cookie(Redirect::to("/login"), &Session::farewell())
}

pub(super) fn with_cookie(response: impl IntoResponse, cookie: &str) -> Response {
    let mut response = response.into_response();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

impl Refusal {
    /// With its status and both sentences.
    pub(super) fn of(status: StatusCode, why: &str, hint: &str) -> Self {
        Self {
            status,
            why: why.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

/// The page of the form, with what went wrong before.
pub(super) fn page(
    app: &App,
    headers: &HeaderMap,
    (next, refused): (Option<String>, Option<Refusal>),
) -> Response {
    let form = pledge::token_of(headers).unwrap_or_else(pledge::new_token);
    let next = ours(next);
    let provider = |name: &str| Provider {
        name: name.to_owned(),
        address: format!(
            "/login/{name}?next={}",
            utf8_percent_encode(&next, NON_ALPHANUMERIC)
        ),
    };
    let status = refused.as_ref().map_or(StatusCode::OK, |refused| refused.status);
    let page = Login {
        assets: assets::addresses(),
        form: form.clone(),
        providers: app.gate().logins().map(provider).collect(),
        next,
        refused,
    };
    pledge::with_cookie(show::html(status, &page), &form)
}

pub(super) fn field(text: &[u8], name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(text);
    fields
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A page of this service: an address that begins with two slashes, or a backslash, is one of another.
pub(super) fn ours(next: Option<String>) -> String {
    let is_ours = |next: &String| {
        let mut chars = next.chars();
        chars.next() == Some('/')
            && !matches!(chars.next(), Some('/' | '\\'))
            && !next.contains(char::is_control)
    };
    next.filter(is_ours).unwrap_or_else(|| "/".to_owned())
}

/// Whether the browser speaks to us, or to the proxy before us, encrypted: it says so of the page that the form is on.
fn secure(headers: &HeaderMap) -> Secure {
    let origin = headers
        .get(http::header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| origin.starts_with("https://")) {
        Secure::Https
    } else {
        Secure::ClearText
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_sent_on_to_pages_of_this_service_alone() {
        let on = |next: &str| ours(Some(next.to_owned()));
        assert_eq!(on("/repos/main?x=1"), "/repos/main?x=1");
        for elsewhere in [
            "//evil.example/",
            "/\\evil.example",
            "https://evil.example",
            "",
            "repos",
            "/a\r\nset-cookie: x",
        ] {
            assert_eq!(on(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
