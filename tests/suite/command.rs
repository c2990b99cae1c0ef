//! What the suites of the command line share: the program as a process, and work trees for it to stand in.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use headwater_tests::origin::git;
use headwater_wire::CommitId;

/// Longest wait for a line or an end; far above what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The program in a directory, without anything of the environment but the path to other programs.
pub(crate) fn program(dir: &Path) -> Command {
    outside(dir, env!("CARGO_BIN_EXE_command"))
}

/// The same for another program.
pub(crate) fn outside(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.env("HOME", "/nonexistent");
    command
}

/// Exit code, output and errors of one run.
pub(crate) fn headwater(dir: &Path, args: &[&str]) -> String {
    told(program(dir).args(args))
}

/// The same of a prepared command.
pub(crate) fn told(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    let mut told = format!("exit {}\n", output.status.code().expect("an exit code"));
    told.push_str(&String::from_utf8_lossy(&output.stdout));
    if !output.stderr.is_empty() {
        told.push_str("--- standard error\n");
        told.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    told
}

/// A directory with files, in a Git work tree or not.
pub(crate) struct WorkTree {
    dir: tempfile::TempDir,
}

impl WorkTree {
    /// A directory outside of Git.
    pub(crate) fn plain() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A work tree without a commit.
    pub(crate) fn new() -> Self {
        let tree = Self::plain();
        tree.git(&["init", "-q", "-b", "main"]);
        tree
    }

    /// A work tree with one commit.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let tree = Self::new();
        for (path, text) in files {
            tree.write(path, text);
        }
        tree.commit("first");
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = git()
            .current_dir(self.path())
            .args(args)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).parse().expect("a commit id")
    }

    pub(crate) fn headwater(&self, args: &[&str]) -> String {
        headwater(self.path(), args)
    }
}

/// A run that goes on; it is killed when dropped.
pub(crate) struct Running {
    child: Child,
    out: Lines,
    err: Lines,
}

struct Lines {
    receiver: Receiver<String>,
    seen: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = Lines::of(child.stdout.take().expect("piped"));
        let err = Lines::of(child.stderr.take().expect("piped"));
        Self { child, out, err }
    }

    /// The next line on standard output that holds `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let found = self.out.line(text);
        found.unwrap_or_else(|| {
            panic!(
                "no line with `{text}` in:\n{}\nerrors:\n{}",
                self.out.seen,
                self.err.rest()
            )
        })
    }

    /// The next line on standard error that holds `text`.
    pub(crate) fn err_line(&mut self, text: &str) -> String {
        let found = self.err.line(text);
        found.unwrap_or_else(|| panic!("no error line with `{text}` in:\n{}", self.err.seen))
    }

    /// Everything printed so far that was read.
    pub(crate) fn seen(&self) -> &str {
        &self.out.seen
    }

    /// Everything on standard error, to its end.
    pub(crate) fn err_seen(&mut self) -> String {
        self.err.rest().to_owned()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(name)
            .arg(self.child.id().to_string())
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                self.out.rest();
                return status;
            }
            assert!(
                Instant::now() < until,
                "it does not end; it said:\n{}",
                self.out.seen
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Lines {
    fn of(stream: impl std::io::Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            receiver,
            seen: String::new(),
        }
    }

    fn line(&mut self, text: &str) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if line.contains(text) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn rest(&mut self) -> &str {
        while let Ok(line) = self.receiver.recv_timeout(Duration::from_millis(200)) {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        &self.seen
    }
}
