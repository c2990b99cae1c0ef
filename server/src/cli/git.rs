//! The `git` program, for what a person would do by hand: making a repository, cloning, committing, pushing.
//!
//! Invariant: it is told where to work by its directory alone, so variables that a hook inherits cannot send it
//! elsewhere. What is deliberately absent: reading, which needs no program.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::failure::Failure;

/// Variables of a Git process above us that would make another repository, index or object store be used.
const INHERITED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
];

/// Whose settings `git` follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Configuration {
    /// Those of the person.
    Personal,
    /// None, so that it behaves the same on every machine.
    Isolated,
}

/// `git` in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Git<'a> {
    pub(super) dir: &'a Path,
    pub(super) configuration: Configuration,
}

impl Git<'_> {
    /// Whether the program can be started.
    pub(super) fn is_installed() -> bool {
        let found = Command::new("git")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_ok_and(|status| status.success())
    }

    /// Runs it; that it succeeds is the answer.
    pub(super) fn run(&self, args: &[&str]) -> Result<(), Failure> {
        let output = self
            .output(args)
            .map_err(|source| Failure::GitMissing { source })?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no reason given");
        Err(Failure::GitFailed {
            command: args.join(" "),
            cause: crate::git::error::Cause::ours(last),
        })
    }

    /// Whether it succeeds.
    pub(super) fn succeeds(&self, args: &[&str]) -> bool {
        self.output(args).is_ok_and(|output| output.status.success())
    }

    fn output(&self, args: &[&str]) -> io::Result<Output> {
        let mut command = Command::new("git");
        for variable in INHERITED {
            command.env_remove(variable);
        }
        if self.configuration == Configuration::Isolated {
            command
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null");
        }
        command
            .current_dir(self.dir)
            .env("GIT_TERMINAL_PROMPT", "0")
            .args(args)
            .stdin(Stdio::null())
            .output()
    }
}
