//! The history of one key: who changed it, when, from what to what.

use askama::Template;

use super::api::Told;
use super::asked::Asked;
use super::changes::{self, Step, Value};
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
    rejected: Vec<Link>,
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
    older: Option<String>,
    newest: Option<String>,
}

impl Page for Key {
    async fn load(asked: &Asked) -> Told<Self> {
        // The API says what is wrong with a name.
        let address = asked.v1().part("explain").path(asked.param("config"));
        let view: headwater_wire::ExplainView = asked.api.get(address).await?;
        let pointer = asked.query("pointer").unwrap_or_default();
        let (variant, before) = (asked.query("variant"), asked.query("before"));
        let steps = changes::steps(asked, &view.config, variant, before).await?;
        let links = asked.links();
        let here = || {
            let page = links.page("keys").path(view.config.as_str());
            page.query("pointer", pointer).maybe("variant", variant)
        };
        let mut frame = Frame::load(asked, Section::Configs, format!("History of {pointer}")).await?;
        frame.follows = false;
        Ok(Self {
            frame,
            pointer: pointer.to_owned(),
            config: Link::new(links.config(&view.config), view.config.to_string()),
            looked_at: steps.newest_first.len(),
            older: steps
                .older
                .as_ref()
                .map(|older| here().query("before", older.as_str()).into_text()),
            newest: before.map(|_| here().into_text()),
            rows: steps
                .newest_first
                .iter()
                .filter_map(|step| row(asked, pointer, step))
                .collect(),
        })
    }

    live_block!();
}

fn row(asked: &Asked, pointer: &str, step: &Step) -> Option<Row> {
    let (commit, links) = (&step.commit, asked.links());
    let of_it = step
        .changes
        .iter()
        .filter(|change| changes::is_of(change, pointer));
    let values: Vec<Value> = of_it.map(Value::of).collect();
    (!values.is_empty()).then(|| Row {
        commit: Link::commit(&links, &commit.commit),
        subject: subject(&commit.message),
        author: commit.author.name.clone(),
        at: When::new(asked.now, commit.committer.at),
        values,
        rejected: step
            .rejected
            .iter()
            .map(|commit| {
                Link::new(
                    links.commit(&commit.commit),
                    format!("{} by {}", commit.commit.short(), commit.author.name),
                )
            })
            .collect(),
    })
}
