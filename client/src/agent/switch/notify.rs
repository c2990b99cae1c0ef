//! Who is told that the files are others: a command, a process, the program that the agent runs.

use std::path::PathBuf;

use tracing::{debug, info};

use super::{Cause, Refusal, Written, chain};
use crate::agent::command::{Hook, Subject};
use crate::agent::signal::{Delivery, NamedSignal, signal_by_file};
use crate::agent::supervise::Program;

/// A process whose id stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) path: PathBuf,
    pub(crate) signal: NamedSignal,
}

/// Everybody who is told, in this order.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    pub(crate) on_change: Option<Hook>,
    pub(crate) pid_file: Option<PidFile>,
    pub(crate) program: Option<Supervised>,
}

/// The program that the agent runs.
#[derive(Debug)]
pub(crate) struct Supervised {
    program: Program,
    is_started: bool,
}

impl Supervised {
    pub(crate) fn new(program: Program) -> Self {
        Self {
            program,
            is_started: false,
        }
    }
}

impl Notify {
    /// Runs the command, then signals the process.
    pub(super) async fn commands(&self, subject: &Subject) -> Result<(), Refusal> {
        if let Some(hook) = &self.on_change {
            let output = hook.run(subject).await.map_err(|error| Refusal::value(&error))?;
            debug!("`{}` succeeded: {output:?}", hook.option);
        }
        let Some(PidFile { path, signal }) = &self.pid_file else {
            return Ok(());
        };
        match signal_by_file(path, *signal) {
            Ok(Delivery::Sent(pid)) => {
                info!(pid, "process {pid} is sent {}", signal.name());
                Ok(())
            }
            Ok(Delivery::NotRunning) => {
                info!(
                    "nobody is sent {}: `{}` names no process",
                    signal.name(),
                    path.display()
                );
                Ok(())
            }
            Err(error) => Err(Refusal {
                cause: Cause::Machine,
                message: chain(&error),
            }),
        }
    }

    /// Starts the program, or tells it.
    pub(super) async fn program(&mut self, written: Written) -> Result<(), Refusal> {
        let Some(supervised) = &mut self.program else {
            return Ok(());
        };
        if written == Written::Before && supervised.is_started {
            return Ok(());
        }
        if supervised.program.changed().await {
            supervised.is_started = true;
            Ok(())
        } else {
            Err(Refusal::stopping())
        }
    }
}
