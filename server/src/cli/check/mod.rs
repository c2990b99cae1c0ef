//! `headwater check`: the server's verdict, without a server.
//!
//! Invariant: the verdict comes from the same function as the server's, on the same kind of tree, under the same limits
//! and a deadline; here it is only decided where the tree is read from and how the verdict is shown. What is deliberately
//! absent: publishing.

mod baseline;
mod directory;
mod fix;
mod judging;
mod memory;
mod past;
mod seen;
mod show;
mod subject;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use headwater_validators::ConfigTree;
use headwater_wire::{CheckView, Finding};

use super::Environment;
use super::failure::{Exit, Failure};
use super::out::{Out, Tone};
use crate::settings::{VERDICT_DEADLINE, duration};
use judging::Judging;
use memory::Memory;
use seen::Seen;
use show::Format;
use subject::Subject;

const EXAMPLES: &str = "\
What is read:
  nothing named  all files of the work tree that Git tracks or would add
  DIR            the same of a directory, taken for the top of a config repository;
                 outside of Git, all files below it
  REV            a commit: an id, a branch, a tag or HEAD~1; a bare repository will do
  --staged       what is staged, which is what the next commit will hold

Symbolic links are never followed and filters of .gitattributes are not applied; --staged and REV see exactly what \
Git has stored. Limits are those of a server without settings of its own; what takes too long or too much memory is an \
error, as it is there. Exit codes: 0 no error, 1 an error was found, 2 nothing could be checked.

Examples:
  headwater check
  headwater check HEAD~1 --format json
  headwater check --format sarif > findings.sarif
  headwater check --watch
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
    #[arg(
        long,
        value_name = "FILE",
        requires = "staged",
        conflicts_with = "watch",
        help = "File with the message of the commit, as the hook commit-msg has it: its trailers count"
    )]
    message_file: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = deadline,
        help = "Longest time for a verdict, such as 10s or 2m [default: 30s]"
    )]
    deadline: Option<Duration>,
    /// How to print the verdict: `text`, `json` as the API answers, `sarif`, `github` or `junit`
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    format: Format,
    /// Go on, and judge again whenever files change
    #[arg(long)]
    watch: bool,
    /// First write headwater.toml in the newest format, keeping its comments; nothing else is ever changed
    #[arg(long, conflicts_with = "staged")]
    fix: bool,
}

/// A verdict and what it takes to show it.
struct Checked {
    view: CheckView,
    tree: ConfigTree,
    /// Configs that the tree declares; unknown if its manifest cannot be read.
    configs: Option<usize>,
    /// What the person should know about how it was checked.
    notes: Vec<String>,
}

impl Check {
    pub(super) fn run(
        &self,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let deadline = self.deadline.unwrap_or(VERDICT_DEADLINE);
        let mut judging = Judging::new(environment.verdict_program.clone(), deadline);
        let subject = self.subject(environment)?;
        if self.fix {
            let root = subject.root().ok_or_else(only_files)?;
            fix::run(root, &judging, err)?;
        }
        if self.watch {
            self.refuse_to_watch(&subject)?;
            return watch::run(self, judging, environment, (out, err));
        }
        let seen = subject.see(judging.limits(), &mut Memory::default())?;
        let checked = self.judge(&seen, &mut judging, environment)?;
        checked.tell_notes(err)?;
        show::verdict(&checked, self.format, out)?;
        let failed = checked.view.findings.iter().any(Finding::is_error);
        Ok(if failed { Exit::Findings } else { Exit::Fine })
    }

    fn judge(
        &self,
        seen: &Seen,
        judging: &mut Judging,
        environment: &Environment,
    ) -> Result<Checked, Failure> {
        let author = environment.git_author_email.as_deref();
        seen.judge((self.against.as_deref(), author), judging)
    }

    fn subject(&self, environment: &Environment) -> Result<Subject, Failure> {
        let what = self.what.as_deref();
        if self.staged {
            Subject::staged(what, self.message_file.as_deref(), environment)
        } else {
            Subject::named(what, &environment.git_objects)
        }
    }

    /// A commit never changes, and the other forms are of one verdict.
    fn refuse_to_watch(&self, subject: &Subject) -> Result<(), Failure> {
        if matches!(subject, Subject::Commit { .. }) {
            return Err(Failure::Usage {
                message: "`--watch` is about files, and a commit never changes".to_owned(),
                hint: "leave the revision out to watch the work tree".to_owned(),
            });
        }
        if !matches!(self.format, Format::Text | Format::Json) {
            return Err(Failure::Usage {
                message: "`--watch` tells verdict after verdict, and this format holds one".to_owned(),
                hint: "watch with `--format text` or `json`".to_owned(),
            });
        }
        Ok(())
    }
}

impl Checked {
    fn tell_notes(&self, err: &mut Out<'_>) -> Result<(), Failure> {
        let word = err.paint().apply(Tone::Dim, "note:");
        for note in &self.notes {
            err.line(format!("{word} {note}"))?;
        }
        Ok(())
    }
}

/// A duration in which something can be done.
fn deadline(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("in no time nothing can be judged".to_owned()),
        deadline => Ok(deadline),
    }
}

fn only_files() -> Failure {
    Failure::Usage {
        message: "`--fix` writes files, and a commit or the index is none".to_owned(),
        hint: "leave the revision out to fix the work tree, and stage the file then".to_owned(),
    }
}
