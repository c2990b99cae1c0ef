//! `headwater diff`: what changes between two revisions, by value and by line.

use std::io;

use clap::Args;
use headwater_client::{ConfigQuery, DiffQuery};
use headwater_wire::{Change, ConfigDiff, ConfigName, DiffView, FileDiff};
use serde_json::Value;

use super::configs::refuse_unknown;
use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, revision};
use super::out::{Out, Tone};
use super::text::{Cell, clean, clip, columns, place, value};

/// Longest value that is shown whole.
const VALUE_CHARS: usize = 60;

const EXAMPLES: &str = "\
Examples:
  headwater diff v1.4 main
  headwater diff HEAD~1 --config payments/prod
  headwater diff 1a2b3c4d5e 9f8e7d6c5b --values";

/// Show what changes between two revisions
///
/// First the values that differ, by config: old → new, with the file and line that set them. Then the text of the
/// files that differ.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Diff {
    /// Revision to compare from: a commit id, a tag, the followed branch or `HEAD~1`
    #[arg(value_parser = revision)]
    from: String,
    /// Revision to compare to
    #[arg(value_parser = revision, default_value = "HEAD")]
    to: String,
    /// Only this config
    #[arg(long, value_name = "CONFIG")]
    config: Option<ConfigName>,
    /// Print only the values, not the text of the files
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Diff {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let query = DiffQuery {
            from: self.from.clone(),
            to: self.to.clone(),
            config: self.config.clone(),
        };
        let repo = session.repo().await?;
        let view = repo.diff(&query).await?;
        if let (Some(config), [], []) = (&self.config, view.configs.as_slice(), view.files.as_slice()) {
            let query = ConfigQuery::default();
            let is_there = repo.config_at(&view.from, config, &query).await.is_ok()
                || repo.config_at(&view.to, config, &query).await.is_ok();
            if !is_there {
                refuse_unknown(&repo, config).await?;
            }
        }
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => self.print(&view, out)?,
        }
        Ok(Exit::Fine)
    }

    pub(super) fn print(&self, view: &DiffView, out: &mut Out<'_>) -> io::Result<()> {
        out.line(
            out.paint()
                .apply(Tone::Dim, &format!("{}..{}", view.from.short(), view.to.short())),
        )?;
        if view.configs.is_empty() {
            out.line("no value differs")?;
        }
        for config in &view.configs {
            print_config(config, out)?;
        }
        for file in view.files.iter().filter(|_| !self.values) {
            print_file(file, out)?;
        }
        Ok(())
    }
}

/// What differs of one config, below its name.
pub(super) fn print_config(config: &ConfigDiff, out: &mut Out<'_>) -> io::Result<()> {
    let paint = out.paint();
    let variant = config
        .variant
        .as_deref()
        .map(|variant| format!(" (variant {})", clean(variant)));
    let kind = matches!(config.kind.as_str(), "added" | "removed").then(|| format!(" ({})", config.kind));
    let name = paint.apply(Tone::Strong, &clean(config.config.as_str()));
    out.line("")?;
    out.line(format!(
        "{name}{}{}",
        variant.unwrap_or_default(),
        kind.unwrap_or_default()
    ))?;
    let rows: Vec<Vec<Cell>> = config.changes.iter().map(row).collect();
    for line in columns(&rows, paint) {
        out.line(format!("  {line}"))?;
    }
    Ok(())
}

fn row(change: &Change) -> Vec<Cell> {
    let side = |side: &Option<Value>| {
        side.as_ref()
            .map_or_else(|| "(none)".to_owned(), |v| clip(&value(v), VALUE_CHARS))
    };
    // Where a key is gone, the line that had set it is the only one there is.
    let origin = change.new_origin.as_ref().or(change.old_origin.as_ref());
    let pointer = if change.pointer.is_empty() {
        "(whole document)"
    } else {
        &change.pointer
    };
    vec![
        (Tone::Normal, clean(pointer)),
        (Tone::Bad, side(&change.old)),
        (Tone::Dim, "→".to_owned()),
        (Tone::Good, side(&change.new)),
        (Tone::Dim, origin.map(place).unwrap_or_default()),
    ]
}

fn print_file(file: &FileDiff, out: &mut Out<'_>) -> io::Result<()> {
    let paint = out.paint();
    out.line("")?;
    out.line(format!(
        "{} ({})",
        paint.apply(Tone::Strong, &clean(&file.path)),
        clean(&file.kind)
    ))?;
    let Some(text) = &file.text else {
        return out.line("  binary, or too large to compare");
    };
    for line in text.lines() {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('@') => Tone::Hint,
            Some(_) | None => Tone::Normal,
        };
        // A tab is the one control character that a line of a file needs.
        let line = line.split('\t').map(clean).collect::<Vec<_>>().join("\t");
        out.line(paint.apply(tone, &line))?;
    }
    Ok(())
}
