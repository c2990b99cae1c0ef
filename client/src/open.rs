//! How a program asks for a config: its type, its own check, its hooks, its default.
//!
//! Invariant: `open` ends: with a value, with the program's default, or with an error that says why there is none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use headwater_wire::{ConfigName, IdError, ReportError};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::driver::Command;
use crate::engine::NoValue;
use crate::handle::Handle;
use crate::slot::{Candidate, Guards, TypedSlot};

/// Longest run of one hook if not said.
const HOOK_DEADLINE: Duration = Duration::from_secs(30);

/// Why there is no value to begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] IdError),
    /// This client has it open already.
    #[error("`{0}` is open already")]
    AlreadyOpen(ConfigName),
    /// No server was reached, and nothing usable is on disk.
    #[error("no value for `{config}`: the server was not reached and there is no last known good{}", because(.detail.as_deref()))]
    Unreachable {
        /// Config.
        config: ConfigName,
        /// What was last heard of the server.
        detail: Option<String>,
    },
    /// The server has no such config, and nothing usable is on disk.
    #[error("no value for `{config}`: the server has no such config{}", because(.detail.as_deref()))]
    NotFound {
        /// Config.
        config: ConfigName,
        /// What the server said.
        detail: Option<String>,
    },
    /// What the server has was refused, and nothing usable is on disk.
    #[error("no value for `{config}`: refused in phase {}: {}", .error.phase.as_str(), .error.message)]
    Refused {
        /// Config.
        config: ConfigName,
        /// Where and why.
        error: ReportError,
    },
    /// The client was stopped.
    #[error("the client was stopped")]
    Stopped,
}

fn because(detail: Option<&str>) -> String {
    detail.map(|detail| format!(" ({detail})")).unwrap_or_default()
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(_) => "a config name is a path such as `payments/prod`",
            Self::AlreadyOpen(_) => "clone the handle that you have",
            Self::Unreachable { .. } => {
                "check the address; to start without the server give a `cache_dir` that survives restarts, or a `default`"
            }
            Self::NotFound { .. } => "`GET /v1/repos/{repo}/configs` lists the configs",
            Self::Refused { .. } => "correct the value in Git, or the type and the check in the program",
            Self::Stopped => "start another client",
        }
    }
}

/// Collects what guards a config; see [`Client::config`].
pub struct ConfigBuilder<T> {
    client: Client,
    name: String,
    guards: Guards<T>,
    default: Option<T>,
}

impl<T> fmt::Debug for ConfigBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> ConfigBuilder<T> {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        Self {
            client,
            name: name.to_owned(),
            guards: Guards {
                checks: Vec::new(),
                prepare: None,
                activate: None,
                hook_deadline: HOOK_DEADLINE,
            },
            default: None,
        }
    }

    /// The program's own check. What it refuses is never seen by a reader, and is reported with the reason.
    #[must_use]
    pub fn check<E: fmt::Display>(
        mut self,
        check: impl Fn(&T) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let check = move |value: &T| check(value).map_err(|error| error.to_string());
        self.guards.checks.push(Arc::new(check));
        self
    }

    /// Runs before a value is switched to: open the connections it names, warm what it needs. An error refuses it.
    #[must_use]
    pub fn prepare<F, E>(mut self, hook: impl Fn(Candidate<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.guards.prepare = Some(Arc::new(move |candidate| {
            hook(candidate)
                .map(|done| done.map_err(|error| error.to_string()))
                .boxed()
        }));
        self
    }

    /// Runs right after the switch. If it fails the value before stands again, so the hook must leave its own things
    /// as they were.
    #[must_use]
    pub fn activate<F, E>(mut self, hook: impl Fn(Candidate<T>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.guards.activate = Some(Arc::new(move |candidate| {
            hook(candidate)
                .map(|done| done.map_err(|error| error.to_string()))
                .boxed()
        }));
        self
    }

    /// Longest run of the check and of each hook; 30 s if not said.
    #[must_use]
    pub fn hook_deadline(mut self, deadline: Duration) -> Self {
        self.guards.hook_deadline = deadline;
        self
    }

    /// What to run while there is neither an answer of the server nor a last known good.
    #[must_use]
    pub fn default_value(mut self, value: T) -> Self {
        self.default = Some(value);
        self
    }

    /// Waits for the first value: the server's, else the last known good, else the default.
    pub async fn open(self) -> Result<Handle<T>, OpenError> {
        let config: ConfigName = self.name.parse()?;
        let slot = Arc::new(TypedSlot::new(config.clone(), self.guards, self.default));
        let (reply, opened) = oneshot::channel();
        let command = Command::Open {
            config: config.clone(),
            slot: slot.clone(),
            reply,
        };
        if !self.client.send(command).await {
            return Err(OpenError::Stopped);
        }
        opened.await.map_err(|_| OpenError::Stopped)??;
        // Should the caller give up waiting, nobody wants the config any more.
        let close = CloseUnlessOpen(Some((self.client.clone(), config.clone())));
        match slot.first().await {
            Ok(cell) => {
                close.keep();
                Ok(Handle::new(config, cell, self.client))
            }
            Err((NoValue::Unreachable, detail)) => Err(OpenError::Unreachable { config, detail }),
            Err((NoValue::NotFound, detail)) => Err(OpenError::NotFound { config, detail }),
            Err((NoValue::Refused(error), _)) => Err(OpenError::Refused { config, error }),
        }
    }
}

struct CloseUnlessOpen(Option<(Client, ConfigName)>);

impl CloseUnlessOpen {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseUnlessOpen {
    fn drop(&mut self) {
        if let Some((client, config)) = self.0.take() {
            client.post(Command::Close(config));
        }
    }
}
