//! The places of a demo: a bare upstream, a clone of it, and the server's data.
//!
//! Invariant: an upstream that has a commit is complete; one that has none is what a demo left that was cut off, and
//! is not built upon. A temporary directory is gone at the end, a named one stays and is taken up again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::git::{Configuration, Git};
use crate::cli::init::refuse_unless_empty;
use crate::cli::out::Out;
use crate::cli::sample;
use crate::cli::text::clean;

/// The bare repository.
const UPSTREAM: &str = "upstream.git";
/// The clone to push from.
const CLONE: &str = "config";
/// Mirror and decisions of the server.
const DATA: &str = "data";

/// An opened demo.
pub(super) struct Site {
    dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Site {
    /// Makes the repositories, or takes up those of before.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Failure> {
        if !Git::is_installed() {
            return Err(Failure::Refused {
                message: "the demo needs `git`, which is not installed".to_owned(),
                hint: "install it; `headwater serve` alone needs it only for paths and ssh".to_owned(),
            });
        }
        let Some(named) = dir else {
            let made = tempfile::Builder::new().prefix("headwater-demo-").tempdir();
            let temporary = made.map_err(|source| Failure::Write {
                path: std::env::temp_dir(),
                source,
            })?;
            let site = Self {
                dir: temporary.path().to_owned(),
                temporary: Some(temporary),
            };
            site.build()?;
            return Ok(site);
        };
        fs::create_dir_all(named).map_err(|source| Failure::Write {
            path: named.to_owned(),
            source,
        })?;
        let dir = fs::canonicalize(named).map_err(|source| Failure::File {
            path: named.to_owned(),
            source,
        })?;
        let site = Self { dir, temporary: None };
        if site.upstream().exists() {
            site.take_up()?;
        } else {
            refuse_unless_empty(&site.dir)?;
            site.build()?;
        }
        Ok(site)
    }

    /// The bare repository that is served.
    pub(super) fn upstream(&self) -> PathBuf {
        self.dir.join(UPSTREAM)
    }

    /// The clone.
    pub(super) fn clone_dir(&self) -> PathBuf {
        self.dir.join(CLONE)
    }

    /// The server's directory.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join(DATA)
    }

    /// Removes a temporary directory, or says where the demo is kept.
    pub(super) fn close(self, out: &mut Out<'_>) -> Result<(), Failure> {
        let dir = clean(&self.dir.display().to_string());
        match self.temporary {
            Some(temporary) => temporary.close().map_err(|source| Failure::Write {
                path: self.dir,
                source,
            }),
            None => Ok(out.line(format!("kept in {dir}"))?),
        }
    }

    /// Commits in the clone and pushes last, so that a commit in the upstream means that all is done.
    fn build(&self) -> Result<(), Failure> {
        let above = git(&self.dir);
        above.run(&["init", "-q", "--bare", "-b", "main", UPSTREAM])?;
        above.run(&["clone", "-q", UPSTREAM, CLONE])?;
        let dir = self.clone_dir();
        sample::write(&dir).map_err(|source| Failure::Write {
            path: dir.clone(),
            source,
        })?;
        let clone = git(&dir);
        // Whoever pushes from here may be nobody to Git yet, or may have to unlock a key for each signature.
        clone.run(&["config", "user.name", "Config Author"])?;
        clone.run(&["config", "user.email", "author@demo.example"])?;
        clone.run(&["config", "commit.gpgsign", "false"])?;
        clone.run(&["checkout", "-q", "-B", "main"])?;
        clone.run(&["add", "-A"])?;
        clone.run(&["commit", "-q", "-m", "Begin with the sample configuration"])?;
        clone.run(&["push", "-q", "-u", "origin", "main"])
    }

    fn take_up(&self) -> Result<(), Failure> {
        let is_complete = git(&self.upstream()).succeeds(&["rev-parse", "-q", "--verify", "HEAD^{commit}"]);
        if is_complete && self.clone_dir().is_dir() {
            return Ok(());
        }
        Err(Failure::Refused {
            message: format!(
                "a demo was begun and not finished in `{}`",
                clean(&self.dir.display().to_string())
            ),
            hint: "remove the directory, or name another one".to_owned(),
        })
    }
}

fn git(dir: &Path) -> Git<'_> {
    Git {
        dir,
        configuration: Configuration::Isolated,
    }
}
