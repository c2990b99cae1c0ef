//! One config: its effective document, key by key, and who set each of them.
//!
//! Who set a key is told from the newest commits of its history, as far as they are looked at; where that ends it says
//! so, and does not guess.

use askama::Template;
use headwater_wire::{ConfigList, ExplainEntry, ExplainView};

use super::api::Told;
use super::asked::Asked;
use super::changes::{self, Step};
use super::frame::{Frame, Section};
use super::show::{Page, live_block};
use super::words::{Link, When, place, value};

/// One key.
struct Row {
    pointer: Link,
    value: String,
    place: String,
    overrides: String,
    by: Option<By>,
}

/// Who set it.
struct By {
    commit: Link,
    author: String,
    at: When,
}

/// The page.
#[derive(Template)]
#[template(path = "config.html", blocks = ["live"])]
pub(super) struct Config {
    frame: Frame,
    name: String,
    commit: Link,
    variant: String,
    layers: Vec<String>,
    rows: Vec<Row>,
    looked_at: usize,
    is_cut: bool,
    action: String,
    label: String,
    history: String,
    instances: String,
    back: Option<Link>,
}

impl Page for Config {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("explain").path(asked.param("config"));
        let mut address = address.maybe("at", asked.query("at"));
        let label = asked.query("label").unwrap_or_default();
        if let Some((key, value)) = label.split_once('=') {
            address = address.query(&format!("label.{key}"), value);
        }
        let view: ExplainView = asked.api.get(address).await?;
        let steps = changes::steps(asked, &view.config, view.variant.as_deref(), None).await?;
        let list: ConfigList = asked.api.get(asked.v1().part("configs")).await?;
        let item = list.configs.iter().find(|item| item.name == view.config);
        let back_to = item.and_then(|item| item.back_to.as_ref());
        let links = asked.links();
        let name = view.config.as_str();
        let mut frame = Frame::load(asked, Section::Configs, format!("Config {name}")).await?;
        frame.follows = false;
        Ok(Self {
            frame,
            name: name.to_owned(),
            commit: Link::commit(&links, &view.commit),
            variant: view.variant.clone().unwrap_or_default(),
            layers: view.layers.clone(),
            rows: view
                .entries
                .iter()
                .map(|entry| row(asked, &view, entry, &steps.newest_first))
                .collect(),
            looked_at: steps.newest_first.len(),
            is_cut: steps.older.is_some(),
            action: links.config(&view.config),
            label: label.to_owned(),
            history: links.page("commits").query("config", name).into_text(),
            instances: links.page("instances").query("config", name).into_text(),
            back: back_to.map(|version| {
                let page = links.page("rollback").query("to", version.as_str());
                let page = page.query("config", name);
                Link::new(page.into_text(), version.short().to_owned())
            }),
        })
    }

    live_block!();
}

fn row(asked: &Asked, view: &ExplainView, entry: &ExplainEntry, steps: &[Step]) -> Row {
    let links = asked.links();
    let mut newest_first = steps.iter();
    let set = newest_first.find(|step| {
        let mut changes = step.changes.iter();
        changes.any(|change| changes::is_of(change, &entry.pointer))
    });
    let key = links.page("keys").path(view.config.as_str());
    let key = key
        .query("pointer", &entry.pointer)
        .maybe("variant", view.variant.as_deref());
    let overrides: Vec<String> = entry.overrides.iter().map(|origin| place(Some(origin))).collect();
    Row {
        pointer: Link::new(key.into_text(), entry.pointer.clone()),
        value: value(&entry.value),
        place: place(Some(&entry.origin)),
        overrides: overrides.join(", "),
        by: set.map(|step| By {
            commit: Link::commit(&links, &step.commit.commit),
            author: step.commit.author.name.clone(),
            at: When::new(asked.now, step.commit.committer.at),
        }),
    }
}
