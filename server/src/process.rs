//! The service as a process: its threads, its listener, its signals.
//!
//! SIGTERM and SIGINT end it with a drain; a second one ends it at once. SIGHUP reads the settings again and takes
//! what can be taken while running.

use std::future::Future;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::warn;

use crate::listeners::{Addresses, Listeners};
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::supervisor;
use crate::telemetry::{self, Logs};

/// Stack of the service's threads, in bytes: more than the threads of verdicts have (`sandbox`).
pub(crate) const THREAD_STACK_BYTES: usize = 4 << 20;

/// Why the process ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The threads could not be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The address for administration cannot be listened on.
    #[error("cannot listen on `{address}` for administration")]
    ListenForAdmin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The service could not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ProcessError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Runtime(_) => "raise the limit of processes for this user",
            Self::Listen { .. } => "another process may listen there; say another --listen",
            Self::ListenForAdmin { .. } => {
                "another process may listen there; name another `listen` in `[admin]`"
            }
            Self::Start(error) => error.hint(),
        }
    }
}

/// Serves until a signal ends it. `reload` reads the settings again; `listening` is told the addresses, which matter
/// where port 0 was asked for.
pub fn serve(
    settings: Settings,
    reload: impl Fn() -> Option<Settings> + Send + 'static,
    listening: impl FnOnce(Addresses),
) -> Result<(), ProcessError> {
    let logs = telemetry::start(settings.log_format, &settings.log_filter);
    leave_no_core();
    for (message, hint) in settings.warnings() {
        warn!(hint, "{message}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()
        .map_err(ProcessError::Runtime)?;
    let result = runtime.block_on(async {
        let listeners = bound(&settings).await?;
        // Before anybody is told: whoever reads the address may send a signal at once.
        let shutdown = shutdown().map_err(ProcessError::Runtime)?;
        let hangup = signal(SignalKind::hangup()).map_err(ProcessError::Runtime)?;
        listening(listeners.addresses().map_err(ProcessError::Runtime)?);
        let (sender, reloads) = mpsc::channel(1);
        tokio::spawn(read_again(hangup, reload, logs, sender));
        supervisor::run_with_reloads(settings, listeners, shutdown, reloads).await?;
        Ok(())
    });
    // A Git call that is stuck must not keep the process; the mirror is swept at the next start.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// The listeners that the settings name.
async fn bound(settings: &Settings) -> Result<Listeners, ProcessError> {
    let address = settings.listen;
    let main = TcpListener::bind(address).await;
    let main = Listeners::from(main.map_err(|source| ProcessError::Listen { address, source })?);
    let Some(admin) = &settings.admin else {
        return Ok(main);
    };
    let address = admin.listen;
    let admin = TcpListener::bind(address).await;
    let admin = admin.map_err(|source| ProcessError::ListenForAdmin { address, source })?;
    Ok(main.with_admin(admin))
}

/// Tokens, keys and values are in the memory of a process that dies, and are not to be in a file for it.
fn leave_no_core() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warn!(
            hint = "set `LimitCORE=0` for the service, or `ulimit -c 0`",
            "a core of this process may be written, with the secrets in it: {error}"
        );
    }
}

/// Completes at the first SIGTERM or SIGINT. Handlers are in place when this returns.
fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        // Cancel-safe: both arms only wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("a second signal: ending at once");
            #[expect(
                clippy::exit,
                reason = "the operator asked twice; nothing on disk needs us to finish"
            )]
            std::process::exit(1);
        });
    })
}

/// Reads the settings again at every SIGHUP and hands them on; settings with mistakes change nothing.
async fn read_again(
    mut hangup: Signal,
    reload: impl Fn() -> Option<Settings>,
    logs: Logs,
    reloads: mpsc::Sender<Settings>,
) {
    while hangup.recv().await.is_some() {
        let Some(settings) = reload() else {
            warn!("SIGHUP: the settings have mistakes; the running ones stay");
            continue;
        };
        logs.set_filter(&settings.log_filter);
        if reloads.send(settings).await.is_err() {
            return;
        }
    }
}
