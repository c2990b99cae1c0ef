//! A bare upstream repository in a temporary directory, driven by the real `git` without any setting of the user.
//!
//! Invariant: dates are fixed (one minute per commit from a constant on), so equal calls give equal ids on every
//! machine. `git` is also the oracle that tests compare with. What is deliberately absent: a work tree.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

use headwater_wire::CommitId;

/// Seconds since the epoch of the first commit.
pub const FIRST_COMMIT_AT: i64 = 1_700_000_000;

/// An upstream under test; it is deleted when dropped.
#[derive(Debug)]
pub struct TestOrigin {
    dir: tempfile::TempDir,
    clock: AtomicI64,
}

/// One file of a commit: its path and its new content, `None` to delete it.
pub type Edit<'a> = (&'a str, Option<&'a str>);

/// A commit in full; [`TestOrigin::commit`] is the short form.
#[derive(Debug, Clone)]
pub struct CommitSpec<'a> {
    /// Branch that moves to the commit.
    pub branch: &'a str,
    /// First parent; `None` for a root commit.
    pub parent: Option<CommitId>,
    /// Further parents.
    pub merged: Vec<CommitId>,
    /// Mode (`100644`, `120000`, …), path and content; no content deletes. The content of `160000` is a commit id.
    pub entries: Vec<(&'a str, &'a str, Option<&'a [u8]>)>,
    /// Message.
    pub message: &'a str,
    /// Committer's clock, in seconds; `None` takes the origin's own.
    pub at: Option<i64>,
}

impl TestOrigin {
    /// An empty repository whose `HEAD` names `main`.
    pub fn new() -> Self {
        Self::with_format("sha1")
    }

    /// The same with another object format.
    pub fn with_format(format: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let origin = Self {
            dir,
            clock: AtomicI64::new(FIRST_COMMIT_AT),
        };
        let format = format!("--object-format={format}");
        run(git()
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(format)
            .arg(origin.path()));
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        origin
    }

    /// The repository's directory.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("origin.git")
    }

    /// The directory above it, for servers that serve a root.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The address to give to a mirror.
    pub fn path_url(&self) -> String {
        self.path().display().to_string()
    }

    /// Commits on `main` and returns the id.
    pub fn commit(&self, edits: &[Edit<'_>], message: &str) -> CommitId {
        self.commit_on("main", edits, message)
    }

    /// Commits on a branch, which is made if needed, as a child of its head.
    pub fn commit_on(&self, branch: &str, edits: &[Edit<'_>], message: &str) -> CommitId {
        let entries = edits
            .iter()
            .map(|(path, text)| ("100644", *path, text.map(str::as_bytes)))
            .collect();
        let parent = self.head(branch);
        self.commit_spec(&CommitSpec {
            branch,
            parent,
            merged: Vec::new(),
            entries,
            message,
            at: None,
        })
    }

    /// Commits exactly as told. It never checks whether the branch is moved backwards.
    pub fn commit_spec(&self, spec: &CommitSpec<'_>) -> CommitId {
        let at = spec
            .at
            .unwrap_or_else(|| self.clock.fetch_add(60, Ordering::Relaxed));
        let mut stream = Vec::new();
        let mut line = format!("commit refs/heads/{}\n", spec.branch);
        writeln!(line, "author A U Thor <author@example.test> {at} +0100").expect("a string takes text");
        writeln!(line, "committer C O Mitter <committer@example.test> {at} +0000")
            .expect("a string takes text");
        stream.extend_from_slice(line.as_bytes());
        data(&mut stream, spec.message.as_bytes());
        if let Some(parent) = &spec.parent {
            stream.extend_from_slice(format!("from {parent}\n").as_bytes());
        }
        for merged in &spec.merged {
            stream.extend_from_slice(format!("merge {merged}\n").as_bytes());
        }
        for (mode, path, content) in &spec.entries {
            match content {
                None => stream.extend_from_slice(format!("D {path}\n").as_bytes()),
                Some(id) if *mode == "160000" => {
                    stream.extend_from_slice(
                        format!("M 160000 {} {path}\n", String::from_utf8_lossy(id)).as_bytes(),
                    );
                }
                Some(content) => {
                    stream.extend_from_slice(format!("M {mode} inline {path}\n").as_bytes());
                    data(&mut stream, content);
                }
            }
        }
        if spec.parent.is_none() && self.head(spec.branch).is_some() {
            self.delete_branch(spec.branch);
        }
        self.git_with_input(
            &[
                "fast-import",
                "--quiet",
                "--force",
                "--date-format=raw-permissive",
            ],
            &stream,
        );
        self.head(spec.branch).expect("the branch was just committed to")
    }

    /// Lets anybody who reaches it over HTTP push.
    pub fn allow_push(&self) {
        self.git(&["config", "http.receivepack", "true"]);
    }

    /// Installs a hook, as a shell script.
    pub fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let dir = self.path().join("hooks");
        std::fs::create_dir_all(&dir).expect("a directory for hooks");
        let file = dir.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a written hook");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("an executable hook");
    }

    /// Where any ref is, if it exists.
    pub fn at(&self, name: &str) -> Option<CommitId> {
        let output = self
            .command(["rev-parse", "--verify", "-q", name])
            .output()
            .expect("git runs");
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }

    /// The head of a branch, if it exists.
    pub fn head(&self, branch: &str) -> Option<CommitId> {
        self.at(&format!("refs/heads/{branch}"))
    }

    /// Points a branch at a commit, forwards or backwards.
    pub fn force_reset(&self, branch: &str, commit: &CommitId) {
        self.git(&["update-ref", &format!("refs/heads/{branch}"), commit.as_str()]);
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, branch: &str) {
        self.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
    }

    /// Makes an annotated tag.
    pub fn tag(&self, name: &str, commit: &CommitId) {
        self.git(&["tag", "-a", "-m", name, name, commit.as_str()]);
    }

    /// What `git` says, without the last newline; it must succeed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = run(&mut self.command(args));
        String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned()
    }

    /// The same as raw bytes.
    pub fn git_bytes(&self, args: &[&str]) -> Vec<u8> {
        run(&mut self.command(args)).stdout
    }

    /// Whether `git` succeeds.
    pub fn git_ok(&self, args: &[&str]) -> bool {
        self.command(args).output().expect("git runs").status.success()
    }

    /// What `git` says when it is given `input`.
    pub fn git_with_input(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("git runs");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input).expect("git reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("git ends");
        checked(output).stdout
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(self.path()).args(args);
        command
    }
}

impl Default for TestOrigin {
    fn default() -> Self {
        Self::new()
    }
}

/// Where `git` is: a program started by its path is not a copy of the tests' memory first, and that is a fifth of their time.
static GIT: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("git"));
    files.find(|file| file.is_file()).expect("git is installed")
});

/// `git` with fixed dates and names and without any setting of the user or the machine.
pub fn git() -> Command {
    let mut command = Command::new(&*GIT);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    for (key, value) in [
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "A U Thor"),
        ("GIT_AUTHOR_EMAIL", "author@example.test"),
        ("GIT_COMMITTER_NAME", "C O Mitter"),
        ("GIT_COMMITTER_EMAIL", "committer@example.test"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
    ] {
        command.env(key, value);
    }
    command
}

fn data(stream: &mut Vec<u8>, bytes: &[u8]) {
    stream.extend_from_slice(format!("data {}\n", bytes.len()).as_bytes());
    stream.extend_from_slice(bytes);
    stream.push(b'\n');
}

fn run(command: &mut Command) -> Output {
    checked(command.output().expect("git runs"))
}

fn checked(output: Output) -> Output {
    assert!(
        output.status.success(),
        "git failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
