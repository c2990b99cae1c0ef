//! One run of the agent: in which order its parts start and end.
//!
//! Invariant: files first, then the program; at the end the program first, then the client, so that an end in order is
//! not taken for a crash. What is deliberately absent: decisions about versions, which are the library's.

mod keeper;
mod logs;
mod once;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::board::Board;
use super::desk::AgentDesk;
use super::files::{Directory, FileError, SingleFile, Target};
use super::options::Options;
use super::settings::{Environment, Place, Settings, Stay, TransportWord, settings};
use super::supervise::Program;
use super::switch::{Notify, Supervised, SwitchSpec, chain};
use super::{init, listen, switch};
use crate::{Client, CrashSign, SetupError, TransportChoice};
use keeper::{Keeper, judge_crash, on_the_way, watch_client};
use signals::Signals;

/// What the agent calls itself where instances are listed.
pub(crate) const PROGRAM: &str = concat!("headwater-agent/", env!("CARGO_PKG_VERSION"));

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

/// The program `headwater-agent`.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // A closed pipe has nobody to tell.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let settings = match settings(&options, &environment()) {
        Ok(settings) => settings,
        Err(mistakes) => {
            let mut err = io::stderr().lock();
            for mistake in mistakes {
                // As above.
                writeln!(err, "error: {mistake}").ok();
            }
            return ExitCode::from(USAGE);
        }
    };
    if init::is_needed() {
        return init::run().unwrap_or(ExitCode::FAILURE);
    }
    logs::start(settings.log_format, settings.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(run(settings));
            // A hook or a look-up that hangs must not hold the end.
            runtime.shutdown_timeout(Duration::from_millis(100));
            ExitCode::from(code)
        }
        Err(error) => {
            error!(%error, "cannot start: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn environment() -> Environment {
    let path = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(Into::into)
    };
    Environment {
        token: std::env::var("HEADWATER_TOKEN")
            .ok()
            .filter(|token| !token.is_empty()),
        host_name: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
        state_directory: path("STATE_DIRECTORY"),
        xdg_state_home: path("XDG_STATE_HOME"),
        home: path("HOME"),
        is_root: rustix::process::geteuid().is_root(),
    }
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Files(#[from] FileError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cannot listen on `{addr}`")]
    Listen {
        addr: std::net::SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("cannot make `{}`", path.display())]
    CacheDir {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
}

impl StartError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Files(error) => error.hint(),
            Self::Setup(error) => error.hint(),
            Self::Listen { .. } => "is another agent running? choose another port with `--listen`",
            Self::Signals(_) => "this is a fault of the system; look at its limits",
            Self::CacheDir { .. } => "name a directory that the agent can write to with `--cache-dir`",
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Setup(_) => USAGE,
            Self::Files(_) | Self::Listen { .. } | Self::Signals(_) | Self::CacheDir { .. } => FAILED,
        }
    }
}

async fn run(settings: Settings) -> u8 {
    let started = Agent::start(settings).await;
    match started {
        Ok(mut agent) => match agent.keeper.settings.stay {
            // Cancel-safe: what was begun is swept at the next start.
            Stay::Once { timeout } => {
                let code = tokio::select! {
                    code = once::run(&agent.keeper, timeout) => code,
                    signal = agent.signals.stop() => signals::exit_code(signal),
                };
                agent.keeper.client.stop().await;
                code
            }
            Stay::UntilStopped => agent.stay().await,
        },
        Err(error) => {
            let text = chain(&error);
            error!("{text}; {}", error.hint());
            error.code()
        }
    }
}

/// Everything that runs.
struct Agent {
    keeper: Keeper,
    board: watch::Receiver<Arc<Board>>,
    program: Option<(Program, JoinHandle<u8>)>,
    signals: Signals,
    listener: Option<TcpListener>,
}

impl Agent {
    async fn start(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::new().map_err(StartError::Signals)?;
        std::fs::create_dir_all(&settings.cache_dir).map_err(|source| StartError::CacheDir {
            path: settings.cache_dir.clone(),
            source,
        })?;
        let target = target(&settings)?;
        let listener = match settings.listen {
            Some(addr) => {
                let bound = TcpListener::bind(addr).await;
                Some(bound.map_err(|source| StartError::Listen { addr, source })?)
            }
            None => None,
        };
        say_start(&settings, listener.as_ref());
        let client = client(&settings).await?;
        let program = settings.program.clone().map(|mut spec| {
            spec.dir = target.root().map(std::path::Path::to_owned);
            let client = client.clone();
            Program::supervise(spec, Arc::new(move |_| judge_crash(&client)))
        });
        let notify = Notify {
            on_change: settings.on_change.clone(),
            pid_file: settings.pid_file.clone(),
            program: program
                .as_ref()
                .map(|(program, _)| Supervised::new(program.clone())),
        };
        let spec = SwitchSpec {
            configs: settings.configs.iter().cloned().collect(),
            format: settings.format.clone(),
            check: settings.check.clone(),
            notify,
            on_the_way: on_the_way(&client),
            state_dir: settings.cache_dir.clone(),
        };
        let (switcher, board) = switch::start(spec, target)?;
        Ok(Self {
            keeper: Keeper {
                settings,
                client,
                switcher,
            },
            board,
            program,
            signals,
            listener,
        })
    }

    /// Keeps everything up to date until it is told to stop, or its program ends.
    async fn stay(self) -> u8 {
        let Self {
            keeper,
            board,
            program,
            mut signals,
            listener,
        } = self;
        let (client, settings) = (keeper.client.clone(), &keeper.settings);
        let watched = tokio::spawn(watch_client(client.clone(), keeper.switcher.clone()));
        if let Some(listener) = listener {
            let desk = Arc::new(AgentDesk {
                client: client.clone(),
                repo: settings.repo.clone(),
                instance: settings.instance.clone(),
                configs: settings.configs.clone(),
                board: board.clone(),
            });
            tokio::spawn(listen::serve(listener, board, desk));
        }
        let (program, mut ended) = program.unzip();
        // Cancel-safe: each arm is given up for good when another one ends.
        let code = tokio::select! {
            never = keeper.keep() => match never {},
            code = program_end(&mut ended) => code,
            signal = signals.until_stopped(&client, &settings.configs, program.as_ref()) => {
                info!("ending, as it was told to");
                stop(program.as_ref(), &mut ended, signal).await
            }
        };
        watched.abort();
        client.stop().await;
        code
    }
}

async fn stop(
    program: Option<&Program>,
    ended: &mut Option<JoinHandle<u8>>,
    signal: rustix::process::Signal,
) -> u8 {
    let Some(program) = program else { return 0 };
    program.stop(signal).await;
    program_end(ended).await
}

async fn program_end(ended: &mut Option<JoinHandle<u8>>) -> u8 {
    match ended {
        Some(task) => task.await.unwrap_or(FAILED),
        None => std::future::pending().await,
    }
}

fn target(settings: &Settings) -> Result<Target, FileError> {
    let access = settings.access;
    Ok(match &settings.place {
        Place::Directory(dir, layout) => Target::Directory(Directory::open(dir, layout.clone(), access)?),
        Place::Single(path, config) => Target::Single(SingleFile::open(path, config.clone(), access)?),
        Place::Nowhere => Target::Nowhere,
    })
}

async fn client(settings: &Settings) -> Result<Client, SetupError> {
    let mut servers = settings.servers.iter();
    let first = servers.next().map(String::as_str).unwrap_or_default();
    let mut builder = Client::builder(first)
        .repo(settings.repo.as_str())
        .instance(settings.instance.as_str())
        .program(PROGRAM)
        .token(settings.token.clone())
        .ca_pem(settings.ca_pem.clone())
        .client_identity(settings.identity.clone())
        .cache_dir(&settings.cache_dir)
        .probation(settings.probation)
        .crash_sign(CrashSign::Word)
        .transport(match settings.transport {
            TransportWord::Auto => TransportChoice::Auto,
            TransportWord::Socket => TransportChoice::Socket,
        });
    for server in servers {
        builder = builder.server(server);
    }
    for (key, value) in &settings.labels {
        builder = builder.label(key, value);
    }
    if let Stay::Once { timeout } = settings.stay {
        builder = builder.patience(timeout);
    }
    builder.start().await
}

fn say_start(settings: &Settings, listener: Option<&TcpListener>) {
    let names: Vec<String> = settings
        .configs
        .iter()
        .map(|config| format!("`{config}`"))
        .collect();
    let place = match &settings.place {
        Place::Directory(dir, _) => format!(" in `{}`", dir.display()),
        Place::Single(path, _) => format!(" in `{}`", path.display()),
        Place::Nowhere => String::new(),
    };
    let servers = settings.servers.join("`, `");
    info!(
        "keeping {}{place} as instance `{}` of `{servers}`",
        names.join(", "),
        settings.instance
    );
    if let Some(addr) = listener.and_then(|listener| listener.local_addr().ok()) {
        info!("answering at http://{addr}");
    }
}
