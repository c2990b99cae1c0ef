//! Child programs: `git` and `ssh`, started without any setting of the user and ended without fail.
//!
//! Invariant: a child runs in its own process group, with a cleared environment, and is reaped before the handle is
//! gone; the watchdog of the operation kills the group at the deadline. What it says on its error stream is kept, up
//! to a limit, and never reaches our own. What is deliberately absent: a shell.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use super::error::{Cause, GitError};
use super::stop::Shared;

/// Most bytes kept of a child's error stream: the words of `ssh` and `git` are at its start.
const STDERR_BYTES_MAX: usize = 16 << 10;
/// How long a child that was told to end (its pipes are closed) may take before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How often the end of a child is looked for.
const REAP_INTERVAL: Duration = Duration::from_millis(5);

/// A running child.
pub(crate) struct Program {
    child: Child,
    stderr: Receiver<Vec<u8>>,
    work: Arc<Shared>,
    reaped: Option<ExitStatus>,
}

/// What a child left.
pub(crate) struct Ended {
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stderr: String,
}

/// A command for `program` that sees nothing of our environment but where programs are.
pub(crate) fn hermetic(program: &str, home: &Path) -> Command {
    let mut command = Command::new(place(program));
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_PROTOCOL", "version=2")
        .current_dir("/");
    command
}

/// Where `program` is. By a bare name beside a cleared environment the standard library starts a child with `fork`, which
/// copies the tables of all the memory of the service and stops its threads meanwhile; by a path it does so with `posix_spawn`.
fn place(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| {
            file.is_absolute()
                && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
                && file.is_file()
        })
        // It is not there: the start will say so.
        .unwrap_or_else(|| program.into())
}

/// `-c key=value` for Git: the repository at `path` is trusted because the operator named it.
pub(crate) fn trusting(path: &Path) -> [std::ffi::OsString; 2] {
    let mut setting = std::ffi::OsString::from("safe.directory=");
    setting.push(path);
    [OsStr::new("-c").to_owned(), setting]
}

impl Program {
    /// Starts `command` in its own process group, under the watchdog of `work`.
    pub(crate) fn start(
        mut command: Command,
        name: &'static str,
        work: &Arc<Shared>,
    ) -> Result<Self, GitError> {
        work.verdict()?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return GitError::ProgramMissing { program: name };
            }
            GitError::Unreachable(Cause::ours(&format!("cannot start `{name}`: {error}")))
        })?;
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        work.set_group(pid);
        let stderr = collect(child.stderr.take());
        Ok(Self {
            child,
            stderr,
            work: Arc::clone(work),
            reaped: None,
        })
    }

    /// The two ends of the conversation.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdout, ChildStdin)> {
        Some((self.child.stdout.take()?, self.child.stdin.take()?))
    }

    /// Waits for the end of a child that works on its own, until the deadline.
    pub(crate) fn run(mut self) -> Ended {
        drop(self.child.stdin.take());
        drop(self.child.stdout.take());
        while !self.has_ended() && self.work.verdict().is_ok() {
            self.wait_for(Duration::from_millis(100));
        }
        self.end()
    }

    /// Ends a child whose pipes are closed: it has a moment to say why, then it is killed.
    pub(crate) fn end(mut self) -> Ended {
        if self.work.verdict().is_ok() {
            self.wait_for(GRACE);
        }
        self.kill();
        let stderr = self.stderr.recv_timeout(GRACE).unwrap_or_default();
        Ended {
            status: self.reaped,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    fn wait_for(&mut self, limit: Duration) {
        let mut waited = Duration::ZERO;
        while !self.has_ended() && waited < limit {
            std::thread::sleep(REAP_INTERVAL);
            waited += REAP_INTERVAL;
        }
    }

    /// Looks without reaping: until the leader is reaped its id, and so the group's, cannot be given to another.
    fn has_ended(&self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return true;
        };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), look), Ok(None))
    }

    /// Kills the whole group, also grandchildren that outlive an orderly leader, then reaps the leader.
    fn kill(&mut self) {
        if self.reaped.is_none() {
            self.work.kill_group();
            self.work.set_group(None);
            self.reaped = self.child.wait().ok();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads all of `stderr` on a thread, so that the child never blocks on it, and keeps the beginning.
fn collect(stderr: Option<std::process::ChildStderr>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    let Some(mut stderr) = stderr else { return receiver };
    let reader = move || {
        let mut kept = Vec::new();
        let mut buffer = [0_u8; 4_096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            let room = STDERR_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(buffer.get(..read.min(room)).unwrap_or_default());
        }
        // Nobody listens if the child was given up; the words are then not needed.
        sender.send(kept).ok();
    };
    // Without a thread the words of the child are lost, nothing else.
    drop(
        std::thread::Builder::new()
            .name("git-stderr".to_owned())
            .spawn(reader),
    );
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_by_its_path_and_one_that_is_missing_by_its_name() {
        let git = hermetic("git", Path::new("/"));
        assert!(Path::new(git.get_program()).is_absolute());
        let missing = hermetic("no-such-program", Path::new("/"));
        assert_eq!(missing.get_program(), "no-such-program");
    }
}
