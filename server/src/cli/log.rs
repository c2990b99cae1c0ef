//! `headwater log`: the history with verdicts.

use std::io;

use clap::Args;
use headwater_client::CommitsQuery;
use headwater_core::count;
use headwater_wire::{CommitId, CommitPage, CommitView, ConfigName, Timestamp, VerdictState};

use super::configs::refuse_unknown;
use super::failure::{Exit, Failure};
use super::findings;
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{Cell, age, clean, clip, columns};

/// Longest author's name that is shown whole.
const AUTHOR_CHARS: usize = 20;
/// Longest subject that is shown whole.
const SUBJECT_CHARS: usize = 60;
/// Configs that are named; the others are counted.
const CONFIGS_NAMED: usize = 3;

const EXAMPLES: &str = "\
Examples:
  headwater log
  headwater log payments/prod --limit 5
  headwater log --findings";

/// Show the history with verdicts
///
/// One line a commit, newest first: the verdict (✓ admitted, ✗ rejected, · not judged), the commit, its author and
/// age, its subject, and the configs it changed. With a config, only the commits that changed it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Log {
    /// Only commits that changed this config
    config: Option<ConfigName>,
    /// At most so many commits
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Only commits older than this one
    #[arg(long, value_name = "COMMIT")]
    before: Option<CommitId>,
    /// Print also what was found in each commit
    #[arg(long)]
    findings: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Log {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let query = CommitsQuery {
            config: self.config.clone(),
            limit: Some(self.limit),
            before: self.before.clone(),
        };
        let repo = session.repo().await?;
        let page = repo.commits(&query).await?;
        if let (Some(config), [], None, None) =
            (&self.config, page.commits.as_slice(), &page.next, &self.before)
        {
            refuse_unknown(&repo, config).await?;
        }
        match session.output {
            Output::Json => out.json(&page)?,
            Output::Text => self.print(&page, (session.now)(), out)?,
        }
        Ok(Exit::Fine)
    }

    pub(super) fn print(&self, page: &CommitPage, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
        let rows: Vec<Vec<Cell>> = page.commits.iter().map(|commit| row(commit, now)).collect();
        for (line, commit) in columns(&rows, out.paint()).iter().zip(&page.commits) {
            out.line(line)?;
            if self.findings {
                findings::print(&commit.verdict.findings, "    ", out)?;
            }
        }
        match &page.next {
            Some(next) => {
                let more = format!("older: --before {next}");
                out.line(out.paint().apply(Tone::Dim, &more))
            }
            None if page.commits.is_empty() => out.line("no commits"),
            None => Ok(()),
        }
    }
}

fn row(commit: &CommitView, now: Timestamp) -> Vec<Cell> {
    let (tone, mark) = match commit.verdict.state {
        VerdictState::Admitted => (Tone::Good, "✓"),
        VerdictState::Rejected => (Tone::Bad, "✗"),
        VerdictState::Unjudged => (Tone::Dim, "·"),
        VerdictState::Other => (Tone::Warning, "?"),
    };
    let subject = commit.message.lines().next().unwrap_or_default();
    vec![
        (tone, mark.to_owned()),
        (Tone::Strong, commit.commit.short().to_owned()),
        (Tone::Normal, clip(&clean(&commit.author.name), AUTHOR_CHARS)),
        (Tone::Dim, age(now, commit.author.at)),
        (Tone::Normal, clip(&clean(subject), SUBJECT_CHARS)),
        (Tone::Dim, consequences(commit)),
    ]
}

/// What the commit meant: configs changed, errors found, outcome in the fleet.
fn consequences(commit: &CommitView) -> String {
    let names = &commit.configs_changed;
    let mut parts: Vec<String> = names
        .iter()
        .take(CONFIGS_NAMED)
        .map(|name| clean(name.as_str()))
        .collect();
    if names.len() > CONFIGS_NAMED {
        parts.push(format!("+{}", names.len() - CONFIGS_NAMED));
    }
    let errors = commit
        .verdict
        .findings
        .iter()
        .filter(|finding| finding.is_error())
        .count();
    let mut said = if parts.is_empty() {
        Vec::new()
    } else {
        vec![format!("[{}]", parts.join(", "))]
    };
    if errors > 0 {
        said.push(format!("({})", count(errors, "error")));
    }
    said.extend(commit.outcome.as_deref().map(clean));
    said.join(" ")
}
