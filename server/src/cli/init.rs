//! `headwater init`: a config repository to begin with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Exit, Failure};
use super::git::{Configuration, Git};
use super::out::{Out, Tone};
use super::sample;
use super::text::{Cell, clean, columns};

/// Message of the first commit.
const MESSAGE: &str = "Begin with the sample configuration of Headwater";

const EXAMPLES: &str = "\
Examples:
  headwater init config
  headwater check config
  headwater serve --repo config";

/// Make a config repository to begin with
///
/// Writes a small repository that shows layers, environments, a variant and schemas, and makes its first commit. Its
/// README.md says how to change a value and what happens then. Only an empty or new directory is taken.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Directory to make
    dir: PathBuf,
}

impl Init {
    pub(super) fn run(&self, out: &mut Out<'_>, err: &mut Out<'_>) -> Result<Exit, Failure> {
        refuse_unless_empty(&self.dir)?;
        let failed = |source| Failure::Write {
            path: self.dir.clone(),
            source,
        };
        fs::create_dir_all(&self.dir).map_err(failed)?;
        sample::write(&self.dir).map_err(failed)?;
        let dir = clean(&self.dir.display().to_string());
        if !Git::is_installed() {
            err.line("note: `git` is not installed, so nothing was committed")?;
            out.line(format!("wrote a config repository to `{dir}`"))?;
            return Ok(Exit::Fine);
        }
        commit(&self.dir, err)?;
        out.line(format!("made a config repository in `{dir}`"))?;
        out.line("")?;
        let next = [
            (format!("cat {dir}/README.md"), "how to change a value"),
            (format!("headwater check {dir}"), "the verdict"),
            (format!("headwater serve --repo {dir}"), "serve it"),
        ];
        let rows: Vec<Vec<Cell>> = next
            .into_iter()
            .map(|(command, what)| vec![(Tone::Strong, command), (Tone::Dim, format!("# {what}"))])
            .collect();
        for line in columns(&rows, out.paint()) {
            out.line(format!("  {line}"))?;
        }
        Ok(Exit::Fine)
    }
}

/// An empty or a new directory is taken; everything else is somebody's work.
pub(super) fn refuse_unless_empty(dir: &Path) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(source) => {
            return Err(Failure::File {
                path: dir.to_owned(),
                source,
            });
        }
    };
    if is_empty {
        return Ok(());
    }
    Err(Failure::Refused {
        message: format!(
            "the directory is not empty: `{}`",
            clean(&dir.display().to_string())
        ),
        hint: "name a new directory; nothing is ever written over".to_owned(),
    })
}

/// The first commit, in the person's own name if Git knows it.
fn commit(dir: &Path, err: &mut Out<'_>) -> Result<(), Failure> {
    let git = Git {
        dir,
        configuration: Configuration::Personal,
    };
    git.run(&["init", "-q", "-b", "main"])?;
    git.run(&["add", "-A"])?;
    let mut args = vec!["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"];
    if !git.succeeds(&["var", "GIT_COMMITTER_IDENT"]) {
        err.line("note: Git does not know your name, so the first commit is by `headwater init`")?;
        args.extend([
            "-c",
            "user.name=headwater init",
            "-c",
            "user.email=headwater@localhost",
        ]);
    }
    args.extend(["commit", "-q", "-m", MESSAGE]);
    git.run(&args)
}
