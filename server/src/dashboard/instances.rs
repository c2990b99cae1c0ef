//! Instances: who reports what, filtered and page by page.

use askama::Template;
use headwater_wire::{InstancePage, InstanceView, ProblemCode};

use super::api::{Address, Told};
use super::asked::{Asked, Links};
use super::frame::{Frame, Section};
use super::instance::is_same_content;
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, When};

/// Instances of one page.
const PAGE: &str = "50";

/// Filters that the API knows and that have few words.
const CHOICES: [(&str, &str, &[&str]); 3] = [
    (
        "state",
        "State",
        &["pending", "prepared", "applied", "confirmed", "failed", "unknown"],
    ),
    ("liveness", "Liveness", &["live", "stale", "lost", "gone"]),
    ("drift", "Drift", &["in_sync", "divergent", "pinned"]),
];

/// Filters that take any text.
const TEXTS: [(&str, &str, &str); 4] = [
    ("instance", "Instance", "exact id"),
    ("config", "Config", "payments/prod"),
    ("version", "Runs version", "commit"),
    ("label", "Label", "region=eu*"),
];

/// One thing to choose from.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// Word in the query.
    pub word: &'static str,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// A filter with few words.
#[derive(Debug, Clone)]
pub(super) struct Select {
    /// Name in the query.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What there is to choose from.
    pub choices: Vec<Choice>,
}

/// A filter that takes any text.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Name in the query.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// An example.
    pub example: &'static str,
    /// What was asked for.
    pub value: String,
}

/// One config of one instance.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Names the row, so that it stays the same row when the page is told anew.
    pub id: String,
    /// Instance.
    pub instance: Link,
    /// Its labels.
    pub labels: String,
    /// Config.
    pub config: Link,
    /// Version that it runs.
    pub runs: Option<Link>,
    /// Version that it should run.
    pub should: Option<Link>,
    /// How far it is.
    pub state: Sign,
    /// Whether it runs what it should.
    pub drift: Sign,
    /// When it reported.
    pub reported: When,
    /// What went wrong.
    pub note: String,
}

/// A page of instances, and how to ask for others.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Where the filters are sent.
    pub action: String,
    /// Filters with few words.
    pub selects: Vec<Select>,
    /// Filters that take any text.
    pub fields: Vec<Field>,
    /// Whether any filter is set.
    pub filtered: bool,
    /// Rows of the page.
    pub rows: Vec<Row>,
    /// The first page, if this is another one.
    pub first: Option<String>,
    /// The next page.
    pub next: Option<String>,
}

impl Table {
    /// Asks for the page that is meant.
    pub(super) async fn load(asked: &Asked) -> Told<Self> {
        let page = read(asked).await?;
        let links = asked.links();
        let action = links.page("instances");
        let config = asked.query("config");
        let rows = page.instances.iter().flat_map(|view| rows(asked, &links, view));
        let rows = rows.filter(|row| config.is_none_or(|config| row.config.text == config));
        let more = |after: &str| filters(asked, action.clone()).query("after", after).into_text();
        Ok(Self {
            action: action.clone().into_text(),
            selects: selects(asked),
            fields: fields(asked),
            filtered: names().any(|name| asked.query(name).is_some()),
            rows: rows.collect(),
            first: asked
                .query("after")
                .map(|_| filters(asked, action.clone()).into_text()),
            next: page.next.as_ref().map(|after| more(after.as_str())),
        })
    }
}

async fn read(asked: &Asked) -> Told<InstancePage> {
    let address = asked.v1().part("instances");
    if let Some(instance) = asked.query("instance") {
        let found = asked.api.get::<InstanceView>(address.part(instance)).await;
        let instances = match found {
            Ok(view) => vec![view],
            Err(problem) if problem.code == ProblemCode::InstanceNotFound => Vec::new(),
            Err(problem) => return Err(problem),
        };
        return Ok(InstancePage {
            instances,
            next: None,
        });
    }
    let mut address = address.query("limit", PAGE).maybe("after", asked.query("after"));
    for name in names().filter(|name| *name != "label") {
        address = address.maybe(name, asked.query(name));
    }
    if let Some((key, value)) = asked.query("label").map(label) {
        address = address.query(&format!("label.{key}"), value);
    }
    asked.api.get(address).await
}

/// `region=eu*` as a key and a value; a key alone asks whether there is any.
fn label(text: &str) -> (&str, &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, "*"));
    (key.trim(), value.trim())
}

fn names() -> impl Iterator<Item = &'static str> {
    let choices = CHOICES.iter().map(|(name, ..)| *name);
    choices.chain(TEXTS.iter().map(|(name, ..)| *name))
}

fn filters(asked: &Asked, address: Address) -> Address {
    names().fold(address, |address, name| address.maybe(name, asked.query(name)))
}

fn selects(asked: &Asked) -> Vec<Select> {
    let select = |(name, title, words): &(&'static str, &'static str, &'static [&'static str])| Select {
        name,
        title,
        choices: words
            .iter()
            .map(|word| Choice {
                word,
                chosen: asked.query(name) == Some(word),
            })
            .collect(),
    };
    CHOICES.iter().map(select).collect()
}

fn fields(asked: &Asked) -> Vec<Field> {
    let field = |(name, title, example): &(&'static str, &'static str, &'static str)| Field {
        name,
        title,
        example,
        value: asked.query(name).unwrap_or_default().to_owned(),
    };
    TEXTS.iter().map(field).collect()
}

fn rows(asked: &Asked, links: &Links, view: &InstanceView) -> Vec<Row> {
    let labels = labels(view);
    let row = |(config, report): (&headwater_wire::ConfigName, &headwater_wire::ConfigReport)| {
        let standing = view.standings.get(config);
        let assigned = standing.and_then(|standing| standing.assigned.as_ref());
        let error = report.error.as_ref();
        Row {
            id: format!("{}/{config}", view.instance),
            instance: Link::new(links.instance(&view.instance), view.instance.to_string()),
            labels: labels.clone(),
            config: Link::new(links.config(config), config.to_string()),
            runs: report
                .running
                .as_ref()
                .map(|running| Link::commit(links, &running.version)),
            should: assigned.map(|assigned| Link::commit(links, &assigned.version)),
            state: sign::report(view, report.state),
            drift: sign::drift(view.liveness, standing.and_then(|standing| standing.drift)),
            reported: When::new(asked.now, view.reported_at),
            note: match error {
                Some(error) => format!("{}: {}", error.phase.as_str(), error.message),
                None if is_same_content(standing, report.running.as_ref()) => {
                    "the same content under another hash".to_owned()
                }
                None => String::new(),
            },
        }
    };
    view.report.configs.iter().map(row).collect()
}

/// `zone=a, region=eu`.
pub(super) fn labels(view: &InstanceView) -> String {
    let labels = view.report.labels.iter();
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(", ")
}

/// The page.
#[derive(Template)]
#[template(path = "instances.html", blocks = ["live"])]
pub(super) struct Instances {
    frame: Frame,
    table: Table,
}

impl Page for Instances {
    async fn load(asked: &Asked) -> Told<Self> {
        Ok(Self {
            frame: Frame::load(asked, Section::Instances, "Instances").await?,
            table: Table::load(asked).await?,
        })
    }

    live_block!();
}
