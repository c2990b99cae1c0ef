//! What people do: a form that says what will happen and asks why, then the API's own order, then the page of what came
//! of it.
//!
//! Invariant: nothing happens by a `GET`. A form is taken only from a page of this service, which the layer round all
//! routes sees to, and only with the token that this very browser was given with it. What is refused is shown above the
//! same form, with what was typed. What goes forward says which state it was shown for (`expected_tip`, `expected_steps`),
//! so that a form that was open for long, or is sent twice, does no other thing than it says.

mod accept;
mod hold;
mod order;
mod rollback;

use std::future::Future;

use askama::Template;
use axum::body::Bytes;
use axum::response::{IntoResponse, Redirect, Response};
use headwater_wire::{Problem, ProblemCode};
use http::{HeaderMap, StatusCode, Uri};

pub(super) use accept::Accept;
pub(super) use hold::Release;
pub(super) use order::Order;
pub(super) use rollback::GoBack;

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::pledge::{self, new_token, token_of};
use super::preview::Preview;
use super::show;

/// Something people do.
pub(super) trait Act: Send + 'static {
    /// What will happen.
    fn describe(asked: &Asked, fields: &Fields) -> impl Future<Output = Told<Wish>> + Send;

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
}

/// `GET` of a form.
pub(super) async fn form<A: Act>(asked: Asked, uri: Uri, headers: HeaderMap) -> Response {
    let fields = Fields::read(uri.query().unwrap_or_default().as_bytes());
    confirm::<A>(&asked, &fields, token_of(&headers), None).await
}

/// `POST` of a form.
pub(super) async fn act<A: Act>(asked: Asked, headers: HeaderMap, body: Bytes) -> Response {
    let (fields, token) = (Fields::read(&body), token_of(&headers));
    let done = if pledge::is_kept(&headers, fields.get("token")) {
        A::perform(&asked, &fields).await
    } else {
        Err(Box::new(not_our_form()))
    };
    match done {
        Ok(page) => Redirect::to(&page).into_response(),
        Err(problem) => confirm::<A>(&asked, &fields, token, Some(*problem)).await,
    }
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
    fields: &Fields,
    token: Option<String>,
    problem: Option<Problem>,
) -> Response {
    let page = page::<A>(asked, fields, problem.clone()).await;
    let (page, token) = match page {
        Ok(page) => (page, token.unwrap_or_else(new_token)),
        // What refused the order says more than what the form cannot show any more.
        Err(cannot) => return show::failed(asked, problem.unwrap_or(*cannot)).await,
    };
    let refused = problem.as_ref().or(page.wish.refusal());
    let status = refused.map_or(Ok(StatusCode::OK), |problem| StatusCode::from_u16(problem.status));
    let page = Confirm {
        token: token.clone(),
        ..page
    };
    let response = show::html(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &page);
    pledge::with_cookie(response, &token)
}

async fn page<A: Act>(asked: &Asked, fields: &Fields, problem: Option<Problem>) -> Told<Confirm> {
    let wish = A::describe(asked, fields).await?;
    let mut frame = Frame::load(asked, wish.section, wish.title.clone()).await?;
    frame.follows = false;
    Ok(Confirm {
        frame,
        wish,
        token: String::new(),
        reason: fields.reason(),
        by: fields.owned("by").unwrap_or_default(),
        problem,
    })
}
