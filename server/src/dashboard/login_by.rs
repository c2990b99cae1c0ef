//! Where a person with a browser logs in at an issuer of the settings: the way there, and the way back.
//!
//! Invariant: what comes back is taken only with what this very browser kept when it left, so that no other site logs anybody
//! in. A page is gone on to only on this service. Nothing that comes back stands in a page, a log or an address that is gone
//! on to. What is deliberately absent: what makes an answer good (`auth::login`).

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use headwater_validators::printable;
use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::assets::{self, Addresses};
use super::login::{Refusal, field, ours, page, with_cookie};
use super::show;
use crate::auth::{LOGIN_MS, LoginRefused, NoUse, Prove, Secure, cookie};
use crate::http::App;

/// Cookie that the browser keeps while it is at the issuer.
pub(crate) const LOGIN_COOKIE: &str = "headwater_login";

/// The page of a browser that has logged in. It goes on by itself and not by a redirect: what another site began is not sent
/// the cookie of the session.
#[derive(Template)]
#[template(path = "logged_in.html")]
struct LoggedIn {
    assets: Addresses,
    name: String,
    next: String,
}

/// `GET /login/{issuer}?next=`; with `prove=anew` whoever it is proves himself, whatever the issuer remembers.
pub(crate) async fn begin(
    State(app): State<App>,
    Path(issuer): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let query = uri.query().unwrap_or_default().as_bytes();
    let next = ours(field(query, "next"));
    let prove = match field(query, "prove").as_deref() {
        Some("anew") => Prove::Anew,
        Some(_) | None => Prove::Somehow,
    };
    match app.gate().begin_login((&issuer, &next), prove, &headers).await {
        Ok(sent) => {
            let seconds = LOGIN_MS / 1_000;
            let kept = format!(
                "{LOGIN_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}",
                sent.sealed
            );
            private(with_cookie(Redirect::to(&sent.address), &kept))
        }
        Err(refused) => page(&app, &headers, (Some(next), Some(refusal(&issuer, &refused)))),
    }
}

/// `GET /login/{issuer}/callback`, where the issuer sends the browser back to.
pub(crate) async fn finish(
    State(app): State<App>,
    Path(issuer): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let kept = cookie(&headers, LOGIN_COOKIE);
    let answer = uri.query().unwrap_or_default().as_bytes();
    let forgotten = format!("{LOGIN_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    match app.gate().finish_login(&issuer, kept, answer).await {
        Ok(done) => {
            let page = LoggedIn {
                assets: assets::addresses(),
                name: done.identity.name().to_owned(),
                next: ours(Some(done.next)),
            };
            // The layer round all routes says `Secure` where browsers come by https.
            let session = done.session.cookie(Secure::ClearText);
            let response = with_cookie(show::html(StatusCode::OK, &page), &session);
            private(with_cookie(response, &forgotten))
        }
        Err(refused) => {
            let response = page(&app, &headers, (None, Some(refusal(&issuer, &refused))));
            private(if refused.is_over() {
                with_cookie(response, &forgotten)
            } else {
                response
            })
        }
    }
}

/// An answer whose address nobody is told, and which is kept nowhere.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // In place of what all pages say: two of them would be one too many.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn refusal(issuer: &str, refused: &LoginRefused) -> Refusal {
    let issuer = printable(issuer);
    let begin_again = "Begin again below. The browser must take cookies of this service.";
    let ask = format!(
        "Ask whoever runs this service: its log says more, and `[issuer.{issuer}]` is where it is set."
    );
    let of = |status, why: &str, hint: &str| Refusal::of(status, why, hint);
    let denied = StatusCode::FORBIDDEN;
    match refused {
        LoginRefused::Unknown => of(
            StatusCode::NOT_FOUND,
            &format!("nobody logs in with `{issuer}` here"),
            "Log in by one of the ways below.",
        ),
        LoginRefused::NotBegun => of(
            denied,
            "this browser has not begun the login that it comes back from, or the service was started anew since",
            begin_again,
        ),
        LoginRefused::Late => of(
            denied,
            "the login took longer than ten minutes, and has ended",
            begin_again,
        ),
        LoginRefused::OtherLogin => of(
            denied,
            "the answer is for another login than the one that this browser began last",
            "Begin again below, in one window. If you did not want to log in, somebody may have sent you a link to log in as \
             somebody else; nothing has come of it.",
        ),
        LoginRefused::OtherIssuer => of(
            denied,
            "the answer is of another provider than the one that this login was begun at",
            begin_again,
        ),
        LoginRefused::Again => of(
            denied,
            "this login was used already; it can be used once",
            begin_again,
        ),
        LoginRefused::Denied(error) => of(
            denied,
            &format!("`{issuer}` has let nobody in: it says `{error}`"),
            "If you declined by mistake, begin again below. Otherwise ask whoever runs that provider whether you may use this \
             service.",
        ),
        LoginRefused::NoCode => of(
            StatusCode::BAD_REQUEST,
            &format!("the answer of `{issuer}` has no code"),
            begin_again,
        ),
        LoginRefused::Issuer(no_use) => of_no_use(&issuer, no_use, &ask),
        LoginRefused::Refused(refused) => of(denied, &refused.to_string(), &ask),
        LoginRefused::SomebodyElse => of(
            denied,
            "somebody else has logged in than whoever was to prove himself",
            "Begin again, as the same person as before.",
        ),
    }
}

fn of_no_use(issuer: &str, no_use: &NoUse, ask: &str) -> Refusal {
    let ask = lower(ask);
    let (status, why, hint) = match no_use {
        NoUse::Silent(_) => (
            StatusCode::BAD_GATEWAY,
            format!("`{issuer}` cannot be asked now"),
            format!("Try again in a moment, or log in with a token. If it stays: {ask}"),
        ),
        NoUse::Refuses(_) => (
            StatusCode::BAD_GATEWAY,
            format!("`{issuer}` does not take what it sent this browser back with"),
            format!("Begin again below. If it stays: {ask}"),
        ),
        NoUse::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "very many people log in just now".to_owned(),
            "Begin again below in a moment.".to_owned(),
        ),
    };
    Refusal { status, why, hint }
}

/// A sentence in the middle of another.
fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
