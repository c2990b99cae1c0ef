//! Signals that the agent itself hears.
//!
//! With a program, each is passed on to it. SIGHUP also tries again what was refused.

use std::io;
use std::task::Poll;

use headwater_wire::ConfigName;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};
use tracing::info;

use crate::Client;
use crate::agent::supervise::Program;

/// What a signal means to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Stop,
    Retry,
    /// Only the program knows.
    Pass,
    /// Of a write that was too large for its limits, which is told where it happens.
    Nothing,
}

const HEARD: [(SignalKind, Signal, Meaning); 8] = [
    (SignalKind::terminate(), Signal::TERM, Meaning::Stop),
    (SignalKind::interrupt(), Signal::INT, Meaning::Stop),
    (SignalKind::quit(), Signal::QUIT, Meaning::Stop),
    (SignalKind::hangup(), Signal::HUP, Meaning::Retry),
    (SignalKind::user_defined1(), Signal::USR1, Meaning::Pass),
    (SignalKind::user_defined2(), Signal::USR2, Meaning::Pass),
    (SignalKind::window_change(), Signal::WINCH, Meaning::Pass),
    (
        SignalKind::from_raw(Signal::XFSZ.as_raw()),
        Signal::XFSZ,
        Meaning::Nothing,
    ),
];

/// The streams of all of them.
pub(super) struct Signals(Vec<(unix::Signal, Signal, Meaning)>);

impl Signals {
    /// From now on no signal of these ends the process by itself.
    pub(super) fn new() -> io::Result<Self> {
        let open = |(kind, number, meaning)| Ok((signal(kind)?, number, meaning));
        HEARD.into_iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// Acts on signals until one of them means the end.
    pub(super) async fn until_stopped(
        &mut self,
        client: &Client,
        configs: &[ConfigName],
        program: Option<&Program>,
    ) -> Signal {
        loop {
            let (number, meaning) = self.next().await;
            match meaning {
                Meaning::Stop => return number,
                Meaning::Retry => {
                    info!("what was refused is tried again");
                    for config in configs {
                        client.retry(config).await;
                    }
                }
                Meaning::Pass => {}
                Meaning::Nothing => continue,
            }
            if let Some(program) = program {
                program.forward(number);
            }
        }
    }

    /// Waits for a signal that means the end.
    pub(super) async fn stop(&mut self) -> Signal {
        loop {
            let (number, meaning) = self.next().await;
            if meaning == Meaning::Stop {
                return number;
            }
        }
    }

    async fn next(&mut self) -> (Signal, Meaning) {
        std::future::poll_fn(|context| {
            for (stream, number, meaning) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready((*number, *meaning));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// As a shell tells the end by a signal.
pub(super) fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}
