//! One run of a shell command: `--check` and `--on-change`.
//!
//! Invariant: a run ends within its deadline, with everything it started if it has to be killed; its output is kept to
//! the last few KiB. What is deliberately absent: a terminal, standard input, and any word of the document in the
//! command line.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use headwater_wire::{CommitId, ConfigName, Digest};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Most output that is kept, in bytes; what a person needs of it stands at its end.
const OUTPUT_BYTES_MAX: usize = 16 << 10;
/// Lines of the output that are told where a run failed.
const LINES_TOLD_MAX: usize = 5;
/// Longest line that is told, in characters.
const LINE_CHARS_MAX: usize = 300;
/// How long output is read after the shell has ended: a process in the background may hold it open for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// A command line and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    /// What a person calls it. The command line itself is not told, since it may hold what only this machine knows.
    pub(crate) option: &'static str,
    pub(crate) command: String,
    pub(crate) deadline: Duration,
}

/// What a run is about; each is a variable of its environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    /// `HEADWATER_FILE`.
    pub(crate) file: Option<PathBuf>,
    /// `HEADWATER_DIR`.
    pub(crate) dir: Option<PathBuf>,
    /// `HEADWATER_CONFIG`; several are separated by a space.
    pub(crate) configs: Vec<ConfigName>,
    /// `HEADWATER_VERSION`; of several configs, the one of the first.
    pub(crate) version: Option<CommitId>,
    /// `HEADWATER_DIGEST`.
    pub(crate) digest: Option<Digest>,
}

/// Why a run is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("cannot start `sh`")]
    Start(#[source] io::Error),
    #[error("`{option}` {ending}{output}")]
    Failed {
        option: &'static str,
        ending: Ending,
        output: Tail,
    },
    #[error("`{option}` did not end within {} s{output}", deadline.as_secs_f32())]
    TimedOut {
        option: &'static str,
        deadline: Duration,
        output: Tail,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending(pub(crate) ExitStatus);

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::unix::process::ExitStatusExt as _;
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "ended with exit code {code}"),
            (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (None, None) => f.write_str("ended in an unknown way"),
        }
    }
}

/// The end of what a run printed.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(OUTPUT_BYTES_MAX);
        self.0.drain(..excess);
    }

    /// The last lines, without control characters.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let clean = |line: &str| -> String {
            let visible = line.trim_end().chars().filter(|c| !c.is_control());
            visible.take(LINE_CHARS_MAX).collect()
        };
        let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.is_empty()).collect();
        let skipped = lines.len().saturating_sub(LINES_TOLD_MAX);
        lines.into_iter().skip(skipped).collect()
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        if lines.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", lines.join(" | "))
    }
}

impl Hook {
    /// Runs the command by `sh -c`. What it printed is the answer.
    pub(crate) async fn run(&self, subject: &Subject) -> Result<Tail, CommandError> {
        let (mut child, printed) = self.start(subject).map_err(CommandError::Start)?;
        let group = Group::of(&child);
        let mut output = Tail::default();
        let ended = timeout(self.deadline, wait(&mut child, printed, &mut output)).await;
        match ended {
            Ok(Ok(status)) if status.success() => {
                // What it left in the background is meant to stay.
                group.spare();
                Ok(output)
            }
            Ok(Ok(status)) => Err(CommandError::Failed {
                option: self.option,
                ending: Ending(status),
                output,
            }),
            Ok(Err(error)) => Err(CommandError::Start(error)),
            Err(_) => {
                drop(group);
                // The shell is dead; this only collects it.
                child.wait().await.ok();
                Err(CommandError::TimedOut {
                    option: self.option,
                    deadline: self.deadline,
                    output,
                })
            }
        }
    }

    /// What it prints comes through one pipe, so that its two outputs keep their order.
    fn start(&self, subject: &Subject) -> io::Result<(Child, Receiver)> {
        let (printed, writer) = io::pipe()?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(&self.command)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            // The token is for the agent alone.
            .env_remove("HEADWATER_TOKEN")
            .kill_on_drop(true);
        let names: Vec<&str> = subject.configs.iter().map(ConfigName::as_str).collect();
        command.env("HEADWATER_CONFIG", names.join(" "));
        let variables = [
            (
                "HEADWATER_FILE",
                subject.file.as_ref().map(|path| path.as_os_str().to_owned()),
            ),
            (
                "HEADWATER_DIR",
                subject.dir.as_ref().map(|path| path.as_os_str().to_owned()),
            ),
            (
                "HEADWATER_VERSION",
                subject.version.as_ref().map(|id| id.as_str().into()),
            ),
            (
                "HEADWATER_DIGEST",
                subject.digest.as_ref().map(|digest| digest.as_str().into()),
            ),
        ];
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn()?;
        Ok((child, Receiver::from_owned_fd(printed.into())?))
    }
}

/// Reads everything the child prints until it has ended.
async fn wait(child: &mut Child, printed: Receiver, output: &mut Tail) -> io::Result<ExitStatus> {
    let mut printed = Source(Some(printed));
    let mut ended = None;
    loop {
        // Cancel-safe: reads lose nothing, and waiting for a child can be repeated.
        tokio::select! {
            bytes = printed.read() => output.push(&bytes),
            status = child.wait(), if ended.is_none() => {
                ended = Some((status?, tokio::time::Instant::now() + OUTPUT_GRACE));
            }
            () = grace(ended.as_ref().map(|(_, until)| *until)) => {
                return ended.map(|(status, _)| status).ok_or_else(|| io::ErrorKind::Other.into());
            }
        }
        if let Some((status, _)) = ended
            && printed.0.is_none()
        {
            return Ok(status);
        }
    }
}

async fn grace(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// A pipe until its end; then it waits for ever.
struct Source<R>(Option<R>);

impl<R: AsyncRead + Unpin> Source<R> {
    async fn read(&mut self) -> Vec<u8> {
        let Some(pipe) = &mut self.0 else {
            return std::future::pending().await;
        };
        let mut bytes = vec![0; 4_096];
        match pipe.read(&mut bytes).await {
            Ok(count) if count > 0 => {
                bytes.truncate(count);
                bytes
            }
            Ok(_) | Err(_) => {
                self.0 = None;
                Vec::new()
            }
        }
    }
}

/// The processes of a run; they are killed when this is dropped, also where the agent itself stops.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // They may have ended meanwhile.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(command: &str) -> Hook {
        Hook {
            option: "--check",
            command: command.to_owned(),
            deadline: Duration::from_secs(30),
        }
    }

    async fn error(command: &str) -> String {
        hook(command)
            .run(&Subject::default())
            .await
            .unwrap_err()
            .to_string()
    }

    #[tokio::test]
    async fn a_run_knows_what_it_is_about() {
        let subject = Subject {
            file: Some("/etc/app/a b.json".into()),
            dir: Some("/etc/app".into()),
            configs: vec!["payments/prod".parse().unwrap(), "flags".parse().unwrap()],
            version: Some("a".repeat(40).parse().unwrap()),
            digest: None,
        };
        let command = r#"echo "$HEADWATER_FILE|$HEADWATER_DIR|$HEADWATER_CONFIG|$HEADWATER_VERSION|${HEADWATER_DIGEST-none}""#;
        let output = hook(command).run(&subject).await.unwrap();
        insta::assert_snapshot!(output.lines().join("\n"), @"/etc/app/a b.json|/etc/app|payments/prod flags|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|none");
    }

    #[tokio::test]
    async fn a_failure_is_told_with_its_last_lines() {
        insta::assert_snapshot!(
            error("seq 100; echo 'port: \u{1b}[31mout of range' >&2; exit 3").await,
            @"`--check` ended with exit code 3: 97 | 98 | 99 | 100 | port: [31mout of range"
        );
        insta::assert_snapshot!(error("kill -9 $$").await, @"`--check` was ended by signal 9");
    }

    #[tokio::test]
    async fn output_without_end_is_bounded() {
        let endless = Hook {
            option: "--check",
            command: "while :; do echo 0123456789; done".to_owned(),
            deadline: Duration::from_millis(200),
        };
        let Err(CommandError::TimedOut { output, .. }) = endless.run(&Subject::default()).await else {
            panic!("it has no end");
        };
        assert!(output.0.len() <= OUTPUT_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_run_past_its_deadline_is_killed_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let slow = Hook {
            option: "--check",
            command: format!(
                "sleep 1000 & echo $! >{}; echo half-way; wait",
                pid_file.display()
            ),
            deadline: Duration::from_millis(300),
        };
        let error = slow.run(&Subject::default()).await.unwrap_err().to_string();
        assert!(error.contains("did not end within 0.3 s: half-way"), "{error}");
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_process_in_the_background_does_not_hold_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let command = format!("sleep 1000 & echo $! >{}", pid_file.display());
        hook(&command).run(&Subject::default()).await.unwrap();
        let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
}
