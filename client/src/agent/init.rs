//! The first process of a container: it passes signals on to the agent and collects the dead.
//!
//! Invariant: as process 1, the agent runs as its own child, so that collecting processes that nobody waits for can never
//! take away the exit code of one that the agent waits for.

use std::env;
use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Signals that are passed on.
const FORWARDED: [(SignalKind, Signal); 6] = [
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::quit(), Signal::QUIT),
    (SignalKind::hangup(), Signal::HUP),
    (SignalKind::user_defined1(), Signal::USR1),
    (SignalKind::user_defined2(), Signal::USR2),
];

/// Whether this process is the first one of its container.
pub(crate) fn is_needed() -> bool {
    getpid().is_init()
}

/// Runs the agent as a child until it ends, and ends as it did.
pub(crate) fn run() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(supervise())
}

async fn supervise() -> io::Result<ExitCode> {
    let mut children = signal(SignalKind::child())?;
    let mut streams = Vec::new();
    for (kind, number) in FORWARDED {
        streams.push((signal(kind)?, number));
    }
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    // It is never waited for by its handle: whoever ends is collected below.
    let agent = Command::new(env::current_exe().unwrap_or_else(|_| name.into()))
        .args(args)
        .spawn()?;
    let agent = i32::try_from(agent.id()).ok().and_then(Pid::from_raw);
    loop {
        if let Some(code) = collect(agent) {
            return Ok(code);
        }
        // Cancel-safe: all arms only wait for a signal.
        tokio::select! {
            _ = children.recv() => {}
            number = any(&mut streams) => {
                if let Some(agent) = agent {
                    // It may be ending.
                    kill_process(agent, number).ok();
                }
            }
        }
    }
}

/// Collects everybody who has ended; the agent's exit code if it was among them.
fn collect(agent: Option<Pid>) -> Option<ExitCode> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == agent {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> ExitCode {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

async fn any(streams: &mut [(tokio::signal::unix::Signal, Signal)]) -> Signal {
    std::future::poll_fn(|context| {
        for (stream, number) in streams.iter_mut() {
            if stream.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*number);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
