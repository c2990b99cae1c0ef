//! `headwater check`: the server's verdict, without a server.
//!
//! Invariant: the verdict comes from the same function as the server's, on the same kind of tree; here it is only
//! decided where the tree is read from and how the verdict is shown. What is deliberately absent: publishing.

mod baseline;
mod directory;
mod past;
mod subject;

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use headwater_validators::{ConfigTree, Limits, report};
use headwater_wire::{CheckView, Finding, VerdictState};

use super::Environment;
use super::failure::{Exit, Failure};
use super::out::{Out, Paint, Tone};
use super::text::count;
use subject::Subject;

const EXAMPLES: &str = "\
What is read:
  nothing named  all files of the work tree that Git tracks or would add
  DIR            the same of a directory, taken for the top of a config repository;
                 outside of Git, all files below it
  REV            a commit: an id, a branch, a tag or HEAD~1; a bare repository will do
  --staged       what is staged, which is what the next commit will hold

Symbolic links are never followed and filters of .gitattributes are not applied; --staged and REV see exactly what \
Git has stored. Limits are those of a server without settings of its own. Exit codes: 0 no error, 1 an error was \
found, 2 nothing could be checked.

Examples:
  headwater check
  headwater check HEAD~1 --format json
  headwater check main --against v1.4
  printf '#!/bin/sh\\nexec headwater check --staged\\n' > .git/hooks/pre-commit
  chmod +x .git/hooks/pre-commit";

/// Judge files as the server would, without a server
///
/// Prints every finding with its place and says whether the server would admit the commit: the same verdict in the
/// same words. Errors make the command exit with 1, so that it can stand in a hook or in a pipeline.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// A directory, or else a revision of the repository around the current directory
    #[arg(value_name = "DIR|REV")]
    what: Option<OsString>,
    /// Judge what is staged instead of the files of the work tree
    #[arg(long)]
    staged: bool,
    #[arg(
        long,
        value_name = "REV",
        help = "Commit taken for the one that is served now [default: HEAD; for a REV, its first parent]"
    )]
    against: Option<String>,
    /// How to print the verdict: `text`, or `json` as the API answers
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    format: Format,
}

/// How a verdict is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the lines of the sources.
    Text,
    /// As the API answers, for programs.
    Json,
}

/// A verdict and what it takes to show it.
struct Checked {
    view: CheckView,
    tree: ConfigTree,
    /// Configs that the tree declares; unknown if its manifest cannot be read.
    configs: Option<usize>,
    /// Something the person should know about how it was checked.
    note: Option<String>,
}

impl Check {
    pub(super) fn run(
        &self,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let subject = if self.staged {
            Subject::staged(self.what.as_deref(), environment.git_index_file.clone())?
        } else {
            Subject::named(self.what.as_deref())?
        };
        let checked = subject.check(self.against.as_deref(), &Limits::default())?;
        if let Some(note) = &checked.note {
            err.line(format!("{} {note}", err.paint().apply(Tone::Dim, "note:")))?;
        }
        match self.format {
            Format::Json => out.json(&checked.view)?,
            Format::Text => print(&checked, out)?,
        }
        let failed = checked.view.findings.iter().any(Finding::is_error);
        Ok(if failed { Exit::Findings } else { Exit::Fine })
    }
}

fn print(checked: &Checked, out: &mut Out<'_>) -> Result<(), Failure> {
    let style = match out.paint() {
        Paint::Plain => report::Style::Plain,
        Paint::Ansi => report::Style::Styled,
    };
    let sources = report::Sources::of(&checked.tree);
    for finding in &checked.view.findings {
        out.line(report::one(finding, style, &sources))?;
        out.line("")?;
    }
    out.line(summary(checked, out.paint()))?;
    Ok(())
}

fn summary(checked: &Checked, paint: Paint) -> String {
    let CheckView {
        verdict, findings, ..
    } = &checked.view;
    let configs = checked
        .configs
        .map(|configs| format!(" in {}", count(configs, "config")))
        .unwrap_or_default();
    let (tone, fate) = match verdict {
        VerdictState::Admitted if findings.iter().any(Finding::is_error) => (
            Tone::Warning,
            "the commit would be admitted, without what cannot be read",
        ),
        VerdictState::Admitted => (Tone::Good, "the commit would be admitted"),
        VerdictState::Rejected | VerdictState::Unjudged | VerdictState::Other => {
            (Tone::Bad, "the commit would be rejected")
        }
    };
    format!(
        "{}{configs}: {}",
        report::summary(findings),
        paint.apply(tone, fate)
    )
}
