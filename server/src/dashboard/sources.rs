//! Sources: where content comes from, and whether it does.

use askama::Template;
use headwater_wire::{RepoList, RepoView};

use super::api::{Address, Told};
use super::asked::{Asked, Links};
use super::frame::{Frame, Section, State};
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, When};

/// One repository.
struct Row {
    link: Link,
    url: String,
    branch: String,
    state: State,
    configs: usize,
    hooks: Option<When>,
    deliveries: Vec<Delivery>,
}

/// A webhook delivery.
struct Delivery {
    at: When,
    hook: String,
    forge: String,
    sign: Sign,
    reason: String,
}

/// The page.
#[derive(Template)]
#[template(path = "sources.html", blocks = ["live"])]
pub(super) struct Sources {
    frame: Frame,
    rows: Vec<Row>,
}

impl Page for Sources {
    async fn load(asked: &Asked) -> Told<Self> {
        let list: RepoList = asked.api.get(Address::new("/v1/repos")).await?;
        Ok(Self {
            frame: Frame::load(asked, Section::Sources, "Sources").await?,
            rows: list.repos.iter().map(|repo| row(asked, repo)).collect(),
        })
    }

    live_block!();
}

fn row(asked: &Asked, repo: &RepoView) -> Row {
    Row {
        link: Link::new(Links::to(&repo.name).root().into_text(), repo.name.to_string()),
        url: repo.url.clone(),
        branch: repo.branch.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: State::of(asked, repo),
        configs: repo.configs,
        hooks: repo.hook_silence.map(|since| When::new(asked.now, since)),
        deliveries: repo
            .deliveries
            .iter()
            .map(|delivery| Delivery {
                at: When::new(asked.now, delivery.at),
                hook: delivery.hook.to_string(),
                forge: delivery.forge.clone(),
                sign: sign::delivery(delivery.outcome),
                reason: delivery.reason.clone().unwrap_or_default(),
            })
            .collect(),
    }
}
