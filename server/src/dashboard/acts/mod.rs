//! What people do: a form that says what will happen and asks why, then the API's own order, then the page of what came
//! of it.
//!
//! Invariant: nothing happens by a `GET`. A form is taken only from a page of this service, which the layer round all
//! routes sees to, and only with the token that this very browser was given with it. What is refused is shown above the
//! same form, with what was typed. What goes forward says which state it was shown for (`expected_tip`, `expected_steps`),
//! so that a form that was open for long, or is sent twice, does no other thing than it says. Before what is grave, a
//! session whose proof is old is asked for the token in the same form; the API refuses it otherwise.

mod accept;
mod hold;
mod order;
mod rollback;
mod second_person;

use std::future::Future;

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use headwater_wire::{Problem, ProblemCode};
use http::{HeaderMap, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) use accept::Accept;
pub(super) use hold::Release;
pub(super) use order::Order;
pub(super) use rollback::GoBack;
pub(super) use second_person::{Confirm as ConfirmOrder, Withdraw};

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::pledge::{self, new_token, token_of};
use super::preview::Preview;
use super::show::{self, Desk};
use crate::auth::{Again, NEXT_BYTES_MAX};

/// Something people do.
pub(super) trait Act: Send + 'static {
    /// What will happen.
    fn describe(asked: &Asked, fields: &Fields) -> impl Future<Output = Told<Wish>> + Send;

    /// Whether it is grave, so that who has been logged in for long proves once more who he is.
    fn is_grave(asked: &Asked) -> bool;

    /// Makes it happen, and tells the address of what came of it.
    fn perform(asked: &Asked, fields: &Fields) -> impl Future<Output = Told<String>> + Send;
}

/// What a form asks to confirm.
pub(super) struct Wish {
    /// Menu entry it belongs to.
    pub section: Section,
    /// What it is, in a few words.
    pub title: String,
    /// What will happen, sentence by sentence.
    pub says: Vec<String>,
    /// What the button says.
    pub button: String,
    /// Where the form is sent.
    pub action: String,
    /// Where to go instead.
    pub back: String,
    /// What is sent along.
    pub hidden: Vec<(&'static str, String)>,
    /// What it changes, and for whom.
    pub preview: Option<Preview>,
}

impl Wish {
    /// Why it would be refused as things are, where that is known.
    fn refusal(&self) -> Option<&Problem> {
        self.preview.as_ref()?.end.as_ref().err()
    }

    /// Whether there is a form to be sent.
    fn can_be_sent(&self) -> bool {
        self.refusal().is_none()
    }
}

/// The fields of a form, or of the query that opens one.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The same as text of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Why; the API says that it must not be empty.
    pub(super) fn reason(&self) -> String {
        self.owned("reason").unwrap_or_default()
    }
}

/// The field with the token that proves who orders.
const PROOF: &str = "proof";

/// What a form is shown with.
struct Sent {
    fields: Fields,
    /// What ties it to the browser.
    token: Option<String>,
    again: Option<Again>,
}

/// The page of a form.
#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    frame: Frame,
    wish: Wish,
    token: String,
    reason: String,
    by: String,
    problem: Option<Problem>,
    /// How he proves who he is, where he must.
    again: Option<Again>,
    /// The address of this form with what was typed, as a part of another address.
    here: String,
}

/// `GET` of a form.
pub(super) async fn form<A: Act>(
    State(desk): State<Desk>,
    asked: Asked,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let fields = Fields::read(uri.query().unwrap_or_default().as_bytes());
    let sent = Sent {
        fields,
        token: token_of(&headers),
        again: again::<A>(&desk, &asked, &headers),
    };
    confirm::<A>(&asked, sent, None).await
}

/// `POST` of a form.
pub(super) async fn act<A: Act>(
    State(desk): State<Desk>,
    asked: Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::read(&body);
    let done = if pledge::is_kept(&headers, fields.get("token")) {
        ordered::<A>(&desk, &asked, (&fields, &headers)).await
    } else {
        Err(Box::new(not_our_form()))
    };
    match done {
        Ok(page) => Redirect::to(&page).into_response(),
        Err(problem) => {
            let sent = Sent {
                fields,
                token: token_of(&headers),
                again: again::<A>(&desk, &asked, &headers),
            };
            confirm::<A>(&asked, sent, Some(*problem)).await
        }
    }
}

/// Gives the order, as one who has just proved who he is if he must.
async fn ordered<A: Act>(
    desk: &Desk,
    asked: &Asked,
    (fields, headers): (&Fields, &HeaderMap),
) -> Told<String> {
    let token = match again::<A>(desk, asked, headers) {
        None => return A::perform(asked, fields).await,
        Some(Again::Token) => fields.get(PROOF),
        Some(Again::Issuer(_)) => None,
    };
    let Some(token) = token else {
        return Err(Box::new(not_proved(
            "it is long ago that you proved who you are".to_owned(),
        )));
    };
    let proved = desk.gate.prove(headers, token).await;
    let proved = proved.map_err(|refused| Box::new(not_proved(refused.to_string())))?;
    let mut asked = asked.clone();
    asked.api = asked.api.proved(proved);
    A::perform(&asked, fields).await
}

/// How who asks must prove who he is, if he must.
fn again<A: Act>(desk: &Desk, asked: &Asked, headers: &HeaderMap) -> Option<Again> {
    A::is_grave(asked)
        .then(|| desk.gate.asks_again(headers))
        .flatten()
}

fn not_proved(why: String) -> Problem {
    Problem::new(ProblemCode::Unauthenticated, why)
        .hint("nothing has happened; prove who you are below, or log out and in again")
}

fn not_our_form() -> Problem {
    Problem::new(
        ProblemCode::OriginNotAllowed,
        "the form is not one that this browser was given",
    )
    .hint("look at it again and send it once more; the browser must take cookies of this service")
}

/// The form, with what went wrong if it was sent before.
async fn confirm<A: Act>(
    asked: &Asked,
    Sent { fields, token, again }: Sent,
    problem: Option<Problem>,
) -> Response {
    let page = page::<A>(asked, &fields, problem.clone()).await;
    let (page, token) = match page {
        Ok(page) => (page, token.unwrap_or_else(new_token)),
        // What refused the order says more than what the form cannot show any more.
        Err(cannot) => return show::failed(asked, problem.unwrap_or(*cannot)).await,
    };
    let refused = problem.as_ref().or(page.wish.refusal());
    let status = refused.map_or(Ok(StatusCode::OK), |problem| StatusCode::from_u16(problem.status));
    let page = Confirm {
        token: token.clone(),
        again,
        ..page
    };
    let response = show::html(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &page);
    pledge::with_cookie(response, &token)
}

async fn page<A: Act>(asked: &Asked, fields: &Fields, problem: Option<Problem>) -> Told<Confirm> {
    let wish = A::describe(asked, fields).await?;
    let mut frame = Frame::load(asked, wish.section, wish.title.clone()).await?;
    frame.follows = false;
    let here = here(&wish, fields);
    Ok(Confirm {
        frame,
        wish,
        token: String::new(),
        reason: fields.reason(),
        by: fields.owned("by").unwrap_or_default(),
        problem,
        again: None,
        here,
    })
}

/// The address of a form with what was typed, as a part of another address. The state that it was shown for is left out:
/// whoever comes back is shown the one of then.
fn here(wish: &Wish, fields: &Fields) -> String {
    let hidden = wish.hidden.iter().map(|(name, value)| (*name, value.as_str()));
    let hidden = hidden.filter(|(name, _)| !name.starts_with("expected_"));
    let typed = ["reason", "by"].map(|name| Some((name, fields.get(name)?)));
    let address = |typed: &[Option<(&str, &str)>]| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .extend_pairs(hidden.clone())
            .extend_pairs(typed.iter().flatten());
        format!("{}?{}", wish.action, query.finish())
    };
    let whole = address(&typed);
    // Of a longer one nothing would be left: better to come back to the form without the words.
    let here = if whole.len() > NEXT_BYTES_MAX {
        address(&[])
    } else {
        whole
    };
    utf8_percent_encode(&here, NON_ALPHANUMERIC).to_string()
}
