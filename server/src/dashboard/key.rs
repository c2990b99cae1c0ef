//! The history of one key: who changed it, when, from what to what.

use askama::Template;
use headwater_wire::{Change, CommitView};

use super::api::Told;
use super::asked::Asked;
use super::changes::{self, Value};
use super::frame::{Frame, Section};
use super::show::{Page, live_block};
use super::words::{Link, When, subject};

/// One change.
struct Row {
    commit: Link,
    subject: String,
    author: String,
    at: When,
    values: Vec<Value>,
}

/// The page.
#[derive(Template)]
#[template(path = "key.html", blocks = ["live"])]
pub(super) struct Key {
    frame: Frame,
    pointer: String,
    config: Link,
    rows: Vec<Row>,
    looked_at: usize,
}

impl Page for Key {
    async fn load(asked: &Asked) -> Told<Self> {
        // The API says what is wrong with a name.
        let address = asked.v1().part("explain").path(asked.param("config"));
        let view: headwater_wire::ExplainView = asked.api.get(address).await?;
        let pointer = asked.query("pointer").unwrap_or_default();
        let steps = changes::steps(asked, &view.config, asked.query("variant")).await?;
        let links = asked.links();
        let mut frame = Frame::load(asked, Section::Configs, format!("History of {pointer}")).await?;
        frame.follows = false;
        Ok(Self {
            frame,
            pointer: pointer.to_owned(),
            config: Link::new(links.config(&view.config), view.config.to_string()),
            looked_at: steps.len(),
            rows: steps
                .iter()
                .filter_map(|(commit, changes)| row(asked, pointer, commit, changes))
                .collect(),
        })
    }

    live_block!();
}

fn row(asked: &Asked, pointer: &str, commit: &CommitView, changes: &[Change]) -> Option<Row> {
    let of_it = changes.iter().filter(|change| changes::is_of(change, pointer));
    let values: Vec<Value> = of_it.map(Value::of).collect();
    (!values.is_empty()).then(|| Row {
        commit: Link::commit(&asked.links(), &commit.commit),
        subject: subject(&commit.message),
        author: commit.author.name.clone(),
        at: When::new(asked.now, commit.committer.at),
        values,
    })
}
