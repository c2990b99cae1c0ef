//! The repository that the service under test follows: one config, made and changed by the `git` program.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::failure::{Failure, while_doing};

/// Name of the only config.
pub(crate) const CONFIG: &str = "app";

/// A repository in a directory of its own.
pub(crate) struct Repository {
    dir: PathBuf,
    bytes: usize,
    changes: u64,
}

impl Repository {
    /// A new one below `dir`, whose config has about that many bytes.
    pub(crate) fn create(dir: &Path, bytes: usize) -> Result<Self, Failure> {
        let dir = dir.join("upstream");
        fs::create_dir(&dir)?;
        let repository = Self {
            dir,
            bytes,
            changes: 0,
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repository)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.dir.to_string_lossy().into_owned()
    }

    /// Changes the config and commits that. The full id of the commit.
    pub(crate) fn change(&mut self) -> Result<String, Failure> {
        self.changes += 1;
        let filler = "x".repeat(self.bytes);
        let text = format!("{{\"change\": {}, \"filler\": \"{filler}\"}}\n", self.changes);
        fs::write(self.dir.join(format!("{CONFIG}.json")), text)?;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", "Change the config"])?;
        self.tip()
    }

    /// The full id of the newest commit.
    pub(crate) fn tip(&self) -> Result<String, Failure> {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Everything of the newest commit, as Git sends it.
    pub(crate) fn pack(&self) -> Result<Vec<u8>, Failure> {
        let objects = self.git(&["rev-list", "--objects", "--no-object-names", "HEAD"])?;
        self.run(&["pack-objects", "--quiet", "--stdout"], &objects)
    }

    /// Pushes what there is to another repository.
    pub(crate) fn push(&self, url: &str) -> Result<(), Failure> {
        self.git(&["push", "--quiet", url, "main"]).map(drop)
    }

    fn git(&self, args: &[&str]) -> Result<String, Failure> {
        said(&self.dir, args)
    }

    /// What `git` prints when it reads `input`.
    fn run(&self, args: &[&str], input: &str) -> Result<Vec<u8>, Failure> {
        git(&self.dir, args, input.as_bytes())
    }
}

/// A bare repository without commits at `dir`.
pub(crate) fn bare(dir: &Path) -> Result<(), Failure> {
    fs::create_dir(dir)?;
    said(dir, &["init", "--quiet", "--bare", "--initial-branch=main"]).map(drop)
}

/// The line that `git` prints in a directory.
pub(crate) fn said(dir: &Path, args: &[&str]) -> Result<String, Failure> {
    let said = git(dir, args, b"")?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// What `git` prints in a directory when it reads `input`.
pub(crate) fn git(dir: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut child = Command::new("git")
        .args(["-c", "user.name=Bench", "-c", "user.email=bench@localhost"])
        .args(["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(while_doing("`git` cannot be started; install it"))?;
    let stdin = child.stdin.take();
    // Written beside the reading: what is asked for may be more than a pipe holds, and so may the answers.
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // One that ends before it has read everything says itself why.
            stdin.map(|mut stdin| stdin.write_all(input).ok());
        });
        child.wait_with_output()
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "`git {}` failed: {}",
            args.join(" "),
            said.trim()
        )));
    }
    Ok(output.stdout)
}
