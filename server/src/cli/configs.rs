//! `headwater configs`: the configs of a repository, one on a line; and what is said of one that is not among them.

use std::collections::BTreeSet;
use std::io;

use clap::Args;
use headwater_client::RepoApi;
use headwater_validators::closest;
use headwater_wire::{ConfigItem, ConfigList, ConfigName, HoldList};
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{Cell, clean, columns};

/// Characters of a digest that are shown in a table.
const DIGEST_CHARS: usize = 10;

const EXAMPLES: &str = "\
Examples:
  headwater configs
  headwater configs --repo edge
  headwater configs --output json | jq -r '.configs[].name'";

/// List the configs of a repository
///
/// One line for each config of the newest admitted commit: its name, the commit at which its content became what it is,
/// the beginning of its digest, its generation, whether a rollback holds back what the branch has for it, and its
/// variants.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Configs {
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// The list as it is printed for programs: the API's, with a state for each config.
#[derive(Serialize)]
struct Listing<'a> {
    tip: &'a str,
    configs: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    item: &'a ConfigItem,
    state: State,
}

/// What is offered of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// What the newest admitted commit has.
    Published,
    /// What a rollback went back to.
    Held,
}

impl State {
    fn cell(self) -> Cell {
        match self {
            Self::Published => (Tone::Good, "published".to_owned()),
            Self::Held => (Tone::Warning, "held".to_owned()),
        }
    }
}

impl Configs {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let (list, holds) = (repo.configs().await?, repo.holds().await?);
        let held = held(&holds);
        let lines = list.configs.iter().map(|item| Line {
            item,
            state: if held.contains(&item.name) {
                State::Held
            } else {
                State::Published
            },
        });
        let listing = Listing {
            tip: list.tip.as_str(),
            configs: lines.collect(),
        };
        match session.output {
            Output::Json => out.json(&listing)?,
            Output::Text => print(&listing, out)?,
        }
        Ok(Exit::Fine)
    }
}

/// Configs whose newest content is held back; a rewritten history holds back a head, and no config of it.
fn held(holds: &HoldList) -> BTreeSet<&ConfigName> {
    holds.holds.iter().flat_map(|hold| &hold.configs).collect()
}

fn print(listing: &Listing<'_>, out: &mut Out<'_>) -> io::Result<()> {
    if listing.configs.is_empty() {
        return out.line("no configs");
    }
    let titles = ["CONFIG", "VERSION", "DIGEST", "GENERATION", "STATE", "VARIANTS"];
    let mut table = vec![titles.map(|title| (Tone::Dim, title.to_owned())).to_vec()];
    table.extend(listing.configs.iter().map(row));
    columns(&table, out.paint())
        .iter()
        .try_for_each(|line| out.line(line))
}

fn row(Line { item, state }: &Line<'_>) -> Vec<Cell> {
    let variants: Vec<String> = item.variants.iter().map(|name| clean(name)).collect();
    vec![
        (Tone::Strong, clean(item.name.as_str())),
        (Tone::Normal, item.version.short().to_owned()),
        (Tone::Dim, item.digest.hex().chars().take(DIGEST_CHARS).collect()),
        (Tone::Dim, item.generation.to_string()),
        state.cell(),
        (Tone::Normal, variants.join(", ")),
    ]
}

/// Whether a config that an empty answer was about is one of the repository.
///
/// # Errors
/// It is not, and the hint says which one may be meant.
pub(super) async fn refuse_unknown(repo: &RepoApi, config: &ConfigName) -> Result<(), Failure> {
    // Where no list is to be had, nothing is known of any.
    let Ok(ConfigList { tip, configs }) = repo.configs().await else {
        return Ok(());
    };
    if configs.iter().any(|item| item.name == *config) {
        return Ok(());
    }
    let names = configs.iter().map(|item| item.name.as_str());
    let hint = match closest(config.as_str(), names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => LIST_HINT.to_owned(),
    };
    Err(Failure::Refused {
        message: format!("there is no config `{config}` at {}", tip.short()),
        hint,
    })
}

/// How all configs are found.
const LIST_HINT: &str = "`headwater configs` lists the configs";
