//! `headwater explain`: which file and line set each value.

use std::io;

use clap::Args;
use headwater_client::ExplainQuery;
use headwater_wire::{ConfigName, ExplainEntry, ExplainView};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, label, pointer, revision};
use super::out::{Out, Tone};
use super::text::{Cell, clean, columns, place, value};

const EXAMPLES: &str = "\
Examples:
  headwater explain payments/prod
  headwater explain payments/prod /pool
  headwater explain payments/prod /pool/max --at v1.4 --label region=eu-west";

/// Show which file and line set each value
///
/// A config is merged from layers, and later layers win. For each value this prints the place that won and the
/// places it overrides, nearest first.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// Name of the config, such as payments/prod
    config: ConfigName,
    /// Only the values at or below this JSON pointer
    #[arg(value_parser = pointer)]
    pointer: Option<String>,
    /// At this revision instead of now: a commit id, a tag, the followed branch or `HEAD~1`
    #[arg(long, value_name = "REV", value_parser = revision)]
    at: Option<String>,
    /// Label which chooses the variant; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Explain {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let query = ExplainQuery {
            pointer: self.pointer.clone(),
            at: self.at.clone(),
            labels: self.labels.iter().cloned().collect(),
        };
        let view = session.repo().await?.explain(&self.config, &query).await?;
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => print(&view, out)?,
        }
        Ok(Exit::Fine)
    }
}

pub(super) fn print(view: &ExplainView, out: &mut Out<'_>) -> io::Result<()> {
    let variant = view
        .variant
        .as_deref()
        .map(|variant| format!(", variant {}", clean(variant)))
        .unwrap_or_default();
    let layers: Vec<String> = view.layers.iter().map(|layer| clean(layer)).collect();
    let about = format!(
        "{} at {}{variant}: {}",
        clean(view.config.as_str()),
        view.commit.short(),
        layers.join(" < ")
    );
    out.line(out.paint().apply(Tone::Dim, &about))?;
    let rows: Vec<Vec<Cell>> = view.entries.iter().map(row).collect();
    for line in columns(&rows, out.paint()) {
        out.line(line)?;
    }
    if view.entries.is_empty() {
        out.line("no values")
    } else {
        Ok(())
    }
}

fn row(entry: &ExplainEntry) -> Vec<Cell> {
    let overridden: Vec<String> = entry.overrides.iter().map(place).collect();
    let overrides = if overridden.is_empty() {
        String::new()
    } else {
        format!(" (overrides {})", overridden.join(", "))
    };
    vec![
        (
            Tone::Strong,
            format!("{} = {}", clean(&entry.pointer), value(&entry.value)),
        ),
        (Tone::Normal, format!("{}{overrides}", place(&entry.origin))),
    ]
}
