//! One rollback: how far it came, and what it holds.

use askama::Template;
use headwater_wire::RollbackView;

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::preview::Alone;
use super::rollouts::{Back, config_links};
use super::show::{Page, live_block};
use super::words::Link;

/// The page.
#[derive(Template)]
#[template(path = "rollback.html", blocks = ["live"])]
pub(super) struct Rollback {
    frame: Frame,
    back: Back,
    commit: Link,
    url: Option<String>,
    holds: Vec<Link>,
    left_alone: Vec<Alone>,
    why: Option<String>,
    hint: Option<String>,
    unlisted: Option<String>,
}

impl Page for Rollback {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("rollbacks").part(asked.param("id"));
        let view: RollbackView = asked.api.get(address).await?;
        let links = asked.links();
        let title = format!("Rollback {}", view.id);
        Ok(Self {
            frame: Frame::load(asked, Section::Rollouts, title).await?,
            back: Back::of(asked, &view),
            commit: Link::commit(&links, &view.commit),
            // It is of the forge; anything but a web address is no link.
            url: view
                .url
                .filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            holds: config_links(&links, &view.holds),
            left_alone: Alone::all(&links, &view.left_alone),
            why: view.why,
            hint: view.hint,
            unlisted: view.unlisted,
        })
    }

    live_block!();
}
