//! Commits of the followed branch, newest first, rejected ones included.

use askama::Template;
use headwater_wire::{CommitPage, CommitView};

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::picture::Timeline;
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, When, subject};

/// Configs of a commit that are named.
const CONFIGS_MAX: usize = 4;

/// One commit in a line.
pub(super) struct Row {
    /// Its page.
    pub link: Link,
    /// First line of its message.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: When,
    /// What admission decided.
    pub sign: Sign,
    /// Configs that it changed.
    pub configs: Vec<Link>,
    /// How many more.
    pub more: usize,
    /// What became of it.
    pub outcome: String,
}

impl Row {
    /// A commit.
    pub(super) fn of(asked: &Asked, view: &CommitView) -> Self {
        let links = asked.links();
        let configs = view.configs_changed.iter().take(CONFIGS_MAX);
        Self {
            link: Link::commit(&links, &view.commit),
            subject: subject(&view.message),
            author: view.author.name.clone(),
            at: When::new(asked.now, view.committer.at),
            sign: sign::verdict(view.verdict.state),
            configs: configs
                .map(|config| Link::new(links.config(config), config.to_string()))
                .collect(),
            more: view.configs_changed.len().saturating_sub(CONFIGS_MAX),
            outcome: view.outcome.clone().unwrap_or_default(),
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "commits.html", blocks = ["live"])]
pub(super) struct Commits {
    frame: Frame,
    timeline: Timeline,
    rows: Vec<Row>,
    config: String,
    action: String,
    next: Option<String>,
}

impl Page for Commits {
    async fn load(asked: &Asked) -> Told<Self> {
        let config = asked.query("config");
        let address = asked.v1().part("commits").maybe("config", config);
        let address = address.maybe("before", asked.query("before"));
        let page: CommitPage = asked.api.get(address.query("limit", "40")).await?;
        let here = || asked.links().page("commits");
        Ok(Self {
            frame: Frame::load(asked, Section::Commits, "Commits").await?,
            timeline: Timeline::of(&page.commits),
            rows: page.commits.iter().map(|view| Row::of(asked, view)).collect(),
            config: config.unwrap_or_default().to_owned(),
            action: here().into_text(),
            next: page.next.map(|next| {
                let next = here().query("before", next.as_str());
                next.maybe("config", config).into_text()
            }),
        })
    }

    live_block!();
}
