//! Orders that wait for a second person: on the pages where people look, and one by itself.
//!
//! Invariant: a page that many follow is the same for all of them, so what somebody may say of an order is offered on the
//! page of that order alone, which is made for him: never a confirmation to whoever gave it.

use askama::Template;
use headwater_core::is_same_person;
use headwater_wire::{OrderList, OrderState, OrderView};

use super::api::Told;
use super::asked::{Asked, Orders};
use super::frame::{Frame, Section};
use super::show::{Page, live_block};
use super::words::{Link, When, spaced};

/// One order in a few lines.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// Its page.
    pub link: Link,
    /// What happens when it is confirmed.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: When,
    /// When it runs out.
    pub until: String,
}

impl Waiting {
    /// An order.
    fn of(asked: &Asked, view: &OrderView) -> Self {
        Self {
            link: Link::new(asked.links().order(&view.id), view.id.clone()),
            what: view.what.clone(),
            reason: view.reason.clone(),
            by: view.giver(),
            at: When::new(asked.now, view.at),
            until: view.until.to_string(),
        }
    }

    /// Those that wait.
    pub(super) async fn all(asked: &Asked) -> Told<Vec<Self>> {
        let list: OrderList = asked.api.get(asked.v1().part("orders")).await?;
        Ok(list.orders.iter().map(|view| Self::of(asked, view)).collect())
    }
}

/// Whether who asks gave an order himself.
pub(super) fn is_giver(asked: &Asked, view: &OrderView) -> bool {
    let who = asked.who.as_ref();
    who.is_some_and(|who| is_same_person(who.name(), &view.given_by))
}

/// The page of one.
#[derive(Template)]
#[template(path = "order.html", blocks = ["live"])]
pub(super) struct Order {
    frame: Frame,
    given: Waiting,
    state: String,
    waits: bool,
    ended: Option<String>,
    /// What who asks may say of it.
    act: Option<Link>,
}

impl Page for Order {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("orders").part(asked.param("id"));
        let view: OrderView = asked.api.get(address).await?;
        let waits = view.state == OrderState::Waiting;
        let (word, says) = if is_giver(asked, &view) {
            ("withdraw", "withdraw it")
        } else {
            ("confirm", "confirm it")
        };
        let page = asked.links().page("orders").part(&view.id).part(word);
        let may_say = waits && asked.orders() == Orders::Offered && asked.who.is_some();
        let ended = view.ended.as_ref().map(|ended| {
            let by = ended.by.as_ref().map(|by| format!(" by {by}"));
            let why = ended.reason.as_ref().map(|why| format!(": {why}"));
            format!(
                "{}{}{}",
                spaced(view.state.as_str()),
                by.unwrap_or_default(),
                why.unwrap_or_default()
            )
        });
        let mut frame = Frame::load(asked, Section::Rollouts, format!("Order {}", view.id)).await?;
        // It is made for who looks at it.
        frame.follows = false;
        Ok(Self {
            frame,
            given: Waiting::of(asked, &view),
            state: spaced(view.state.as_str()),
            waits,
            ended,
            act: may_say.then(|| Link::new(page.into_text(), says.to_owned())),
        })
    }

    live_block!();
}
