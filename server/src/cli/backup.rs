//! `headwater backup` and `headwater restore`: the decisions of a service in one file, and the way back.

use std::path::PathBuf;

use clap::Args;

use super::Environment;
use super::failure::{Exit, Failure};
use super::options::{ServerOptions, Session};
use super::out::Out;
use crate::store::backup::{self, Overwrite};

const BACKUP_EXAMPLES: &str = "\
Examples:
  headwater backup /backup/headwater.jsonl
  headwater backup /backup/headwater.jsonl --server https://config.example.org
  headwater backup /backup/headwater.jsonl --data-dir ./headwater-data";

/// Write a copy of what a service has decided
///
/// Which rollbacks, holds and acceptances there are, and which numbers were given out: what cannot be worked out again
/// from Git. A running service is asked for it, and goes on meanwhile. With --data-dir, the directory of one that does
/// not run is read.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct Backup {
    /// File to write; one that is there is replaced
    file: PathBuf,
    /// Data directory of a service that does not run, instead of asking one
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Backup {
    pub(super) async fn run(
        &self,
        before: &ServerOptions,
        environment: &Environment,
        out: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let text = if let Some(dir) = &self.data_dir {
            backup::copy(dir, (environment.now)())?
        } else {
            let session = Session::open(&self.server.or(before), environment)?;
            session.api.backup().await?.to_vec()
        };
        backup::put(&text, &self.file)?;
        out.line(format!(
            "{} bytes written to `{}`",
            text.len(),
            self.file.display()
        ))?;
        Ok(Exit::Fine)
    }
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  headwater restore /backup/headwater.jsonl --data-dir ./headwater-data
  headwater restore /backup/headwater.jsonl --data-dir ./headwater-data --force";

/// Put a copy of what a service has decided back
///
/// The service must not run. What it decided since the copy was made is lost, so it begins above every number that it
/// may have given out, and what was being moved goes back. Mirrors and verdicts are made again from the upstream.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct Restore {
    /// File that `headwater backup` wrote
    file: PathBuf,
    /// Data directory of the service
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Put it back although there are decisions, which are kept beside it
    #[arg(long)]
    force: bool,
}

impl Restore {
    pub(super) fn run(&self, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let text = std::fs::read(&self.file).map_err(|source| Failure::File {
            path: self.file.clone(),
            source,
        })?;
        let overwrite = if self.force {
            Overwrite::SetAside
        } else {
            Overwrite::Refuse
        };
        let restored = backup::restore(&text, &self.data_dir, overwrite)?;
        let repos = restored.repos.join(", ");
        out.line(format!(
            "restored the decisions of {repos}, as of {}",
            restored.taken_at
        ))?;
        if let Some(aside) = &restored.aside {
            out.line(format!("what was there before is now `{}`", aside.display()))?;
        }
        out.line("")?;
        for line in NEXT {
            out.line(*line)?;
        }
        Ok(Exit::Fine)
    }
}

const NEXT: &[&str] = &[
    "when the service starts:",
    "  every number begins above all that were given out, so instances take what they are told",
    "  rollouts that were moving when the copy was made go back to what was stable",
    "  rollbacks, acceptances and releases since then must be repeated",
];
