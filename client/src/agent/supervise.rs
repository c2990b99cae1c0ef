//! The program that the agent runs: started, told of changes, restarted, stopped.
//!
//! Invariant: at most one life of the program at a time, in a process group of its own; the agent ends with its exit
//! code, or 128 and the signal's number. What is deliberately absent: a policy for a program that ends for reasons of
//! its own, which is the business of whatever started the agent.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::command::Ending;
use super::signal::NamedSignal;

/// Orders that may wait: signals, changes and the end; there are never many of them.
const ORDERS_LEN: usize = 32;
/// First pause before a program that crashed is started again; it doubles with each crash. Long enough for the last known
/// good version to be in place before the third start.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Exit code of a program that cannot be started, as of a shell.
const CANNOT_START: u8 = 127;

/// What is run, and how it hears of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramSpec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) on_change: OnChange,
    /// Between SIGTERM and SIGKILL.
    pub(crate) stop_grace: Duration,
    /// `HEADWATER_DIR` of the program.
    pub(crate) dir: Option<PathBuf>,
}

/// What happens to the program when its files have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnChange {
    Restart,
    Signal(NamedSignal),
    /// It watches its files itself.
    Nothing,
}

/// What to do about a program that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterCrash {
    /// Its files are on probation and may be the reason: start it again.
    Restart,
    /// It ran well with these files before; the agent ends as the program did.
    GiveUp,
}

/// Told of each crash, and decides.
pub(crate) type OnCrash = Arc<dyn Fn(Ending) -> AfterCrash + Send + Sync>;

enum Order {
    Changed(oneshot::Sender<()>),
    Forward(Signal),
    Stop(Signal),
}

/// The handle of the program. It is not started before the first change.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    orders: mpsc::Sender<Order>,
}

impl Program {
    /// The handle, and the task whose result is the exit code of the agent.
    pub(crate) fn supervise(spec: ProgramSpec, on_crash: OnCrash) -> (Self, JoinHandle<u8>) {
        let (orders, received) = mpsc::channel(ORDERS_LEN);
        let supervisor = Supervisor {
            spec,
            on_crash,
            orders: received,
            child: None,
            restart_at: None,
            crashes: 0,
        };
        (Self { orders }, tokio::spawn(supervisor.run()))
    }

    /// Starts the program, or lets it know that its files are others. Whether it is still there.
    pub(crate) async fn changed(&self) -> bool {
        let (done, answer) = oneshot::channel();
        self.orders.send(Order::Changed(done)).await.is_ok() && answer.await.is_ok()
    }

    /// Passes a signal on to the program, if it runs.
    pub(crate) fn forward(&self, signal: Signal) {
        // Full means that it has signals to answer already.
        self.orders.try_send(Order::Forward(signal)).ok();
    }

    /// Ends the program, first with this signal. The task's result tells when it has ended.
    pub(crate) async fn stop(&self, signal: Signal) {
        // It may have ended by itself.
        self.orders.send(Order::Stop(signal)).await.ok();
    }
}

struct Supervisor {
    spec: ProgramSpec,
    on_crash: OnCrash,
    orders: mpsc::Receiver<Order>,
    child: Option<Child>,
    restart_at: Option<Instant>,
    crashes: u32,
}

impl Supervisor {
    async fn run(mut self) -> u8 {
        loop {
            // Cancel-safe: waiting for a child can be repeated, and a received order is handled at once.
            let code = tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => Some(self.stop(Signal::TERM).await),
                },
                status = ended(&mut self.child) => self.judge(status),
                () = due(self.restart_at) => self.start(),
            };
            if let Some(code) = code {
                return code;
            }
        }
    }

    /// The exit code, once there is nothing left to run.
    async fn obey(&mut self, order: Order) -> Option<u8> {
        match order {
            Order::Changed(done) => {
                let code = self.change().await;
                if code.is_none() {
                    // Who asked may have stopped waiting.
                    done.send(()).ok();
                }
                code
            }
            Order::Forward(signal) => {
                self.signal(signal);
                None
            }
            Order::Stop(signal) => Some(self.stop(signal).await),
        }
    }

    async fn change(&mut self) -> Option<u8> {
        match (self.spec.on_change, &self.child) {
            (OnChange::Nothing, Some(_)) => None,
            (OnChange::Signal(signal), Some(_)) => {
                info!(signal = signal.name(), "the program is sent {}", signal.name());
                self.signal(signal.signal());
                None
            }
            (OnChange::Restart, Some(_)) => {
                info!("the program is restarted with its new files");
                self.end(Signal::TERM).await;
                self.start()
            }
            (OnChange::Restart | OnChange::Signal(_) | OnChange::Nothing, None) => self.start(),
        }
    }

    fn start(&mut self) -> Option<u8> {
        self.restart_at = None;
        let name = self.spec.program.to_string_lossy();
        match spawn(&self.spec) {
            Ok(child) => {
                info!(pid = child.id(), "`{name}` is started");
                self.child = Some(child);
                None
            }
            Err(cause) => {
                error!(error = %cause, "cannot start `{name}`: {cause}");
                Some(CANNOT_START)
            }
        }
    }

    /// What follows from an end that nobody asked for.
    fn judge(&mut self, status: io::Result<ExitStatus>) -> Option<u8> {
        self.child = None;
        let status = match status {
            Ok(status) => status,
            Err(cause) => {
                error!(error = %cause, "the program cannot be waited for: {cause}");
                return Some(CANNOT_START);
            }
        };
        let ending = Ending(status);
        if status.success() {
            info!("the program {ending}");
            return Some(0);
        }
        match (self.on_crash)(ending) {
            AfterCrash::GiveUp => {
                warn!("the program {ending}, and so does the agent");
                Some(code(status))
            }
            AfterCrash::Restart => {
                let pause = BACKOFF_FIRST
                    .saturating_mul(1 << self.crashes.min(6))
                    .min(BACKOFF_MAX);
                self.crashes = self.crashes.saturating_add(1);
                warn!(
                    "the program {ending} while its files were on probation; it is started again in {} s",
                    pause.as_secs_f32()
                );
                self.restart_at = Some(Instant::now() + pause);
                None
            }
        }
    }

    async fn stop(&mut self, signal: Signal) -> u8 {
        self.end(signal).await.map_or(0, code)
    }

    /// Ends the running life: the signal first, and what is left of its group after the grace.
    async fn end(&mut self, signal: Signal) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        let pid = pid(&child);
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            kill_process(pid, signal).ok();
        }
        let ended = timeout(self.spec.stop_grace, child.wait()).await;
        if ended.is_err() {
            let grace = self.spec.stop_grace.as_secs();
            warn!("the program did not end within {grace} s and is killed");
        }
        if let Some(pid) = pid {
            // Nobody may be left, which is as it should be.
            kill_process_group(pid, Signal::KILL).ok();
        }
        match ended {
            Ok(status) => status.ok(),
            Err(_) => child.wait().await.ok(),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(pid) {
            // It may have ended meanwhile.
            kill_process(pid, signal).ok();
        }
    }
}

fn spawn(spec: &ProgramSpec) -> io::Result<Child> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .process_group(0)
        // The token is for the agent alone.
        .env_remove("HEADWATER_TOKEN")
        .kill_on_drop(true);
    if let Some(dir) = &spec.dir {
        command.env("HEADWATER_DIR", dir);
    }
    command.spawn()
}

async fn ended(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}

/// The exit code as a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signalled).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn spec(script: &str, on_change: OnChange) -> ProgramSpec {
        ProgramSpec {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            on_change,
            stop_grace: Duration::from_secs(30),
            dir: None,
        }
    }

    fn supervise(script: &str, on_change: OnChange) -> (Program, JoinHandle<u8>) {
        Program::supervise(spec(script, on_change), Arc::new(|_| AfterCrash::GiveUp))
    }

    async fn until(what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is() {
            assert!(Instant::now() < deadline, "it never came to this: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn the_exit_code_of_the_program_is_kept() {
        for (script, expected) in [
            ("exit 0", 0),
            ("exit 7", 7),
            ("kill -9 $$", 137),
            ("kill -TERM $$", 143),
        ] {
            let (program, code) = supervise(script, OnChange::Restart);
            program.changed().await;
            assert_eq!(code.await.unwrap(), expected, "{script}");
        }
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_ends_the_agent_as_in_a_shell() {
        let mut missing = spec("", OnChange::Restart);
        missing.program = "/nonexistent/program".into();
        let (program, code) = Program::supervise(missing, Arc::new(|_| AfterCrash::GiveUp));
        assert!(!program.changed().await);
        assert_eq!(code.await.unwrap(), 127);
    }

    #[tokio::test]
    async fn a_change_restarts_or_signals_or_does_nothing() {
        let script = "trap 'echo hup >>\"$0\"' HUP; echo start >>\"$0\"; while :; do sleep 0.01; done";
        let cases = [
            (OnChange::Restart, vec!["start", "start"]),
            (OnChange::Signal(NamedSignal::HUP), vec!["start", "hup"]),
            (OnChange::Nothing, vec!["start", "hup"]),
        ];
        for (on_change, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("log");
            let mut spec = spec(script, on_change);
            spec.args.push(log.clone().into());
            let (program, code) = Program::supervise(spec, Arc::new(|_| AfterCrash::GiveUp));
            assert!(program.changed().await);
            until("started", || lines(&log).len() == 1).await;
            assert!(program.changed().await);
            if on_change == OnChange::Nothing {
                program.forward(Signal::HUP);
            }
            until("told", || lines(&log).len() == 2).await;
            assert_eq!(lines(&log), expected);
            program.stop(Signal::KILL).await;
            assert_eq!(code.await.unwrap(), 137);
        }
    }

    #[tokio::test]
    async fn a_program_that_will_not_end_is_killed_after_its_grace() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut spec = spec(
            "trap '' TERM; echo start >>\"$0\"; while :; do sleep 0.01; done",
            OnChange::Restart,
        );
        spec.args.push(log.clone().into());
        spec.stop_grace = Duration::from_millis(50);
        let (program, code) = Program::supervise(spec, Arc::new(|_| AfterCrash::GiveUp));
        program.changed().await;
        until("started", || lines(&log).len() == 1).await;
        program.stop(Signal::TERM).await;
        assert_eq!(code.await.unwrap(), 137);
    }

    #[tokio::test]
    async fn a_crash_on_probation_is_told_and_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut spec = spec(
            "echo start >>\"$0\"; [ $(wc -l <\"$0\") = 3 ] || exit 9",
            OnChange::Restart,
        );
        spec.args.push(log.clone().into());
        let (told, mut crashes) = mpsc::channel(8);
        let on_crash = move |ending: Ending| {
            told.try_send(ending.to_string()).unwrap();
            AfterCrash::Restart
        };
        let (program, code) = Program::supervise(spec, Arc::new(on_crash));
        program.changed().await;
        assert_eq!(code.await.unwrap(), 0);
        assert_eq!(lines(&log).len(), 3);
        for _ in 0..2 {
            assert_eq!(crashes.recv().await.unwrap(), "ended with exit code 9");
        }
    }
}
