//! How a program asks for a config: its type, its own check, its hooks, its default.
//!
//! Invariant: `open` ends: with a value, with the program's default, or with an error that says why there is none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use headwater_wire::{ConfigName, FailPhase, IdError, ReportError};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::driver::Command;
use crate::engine::{NoValue, Spare};
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
    #[error("no value for `{config}`: the server was not reached and there is no last known good of this server, repository and instance{}", because(.detail.as_deref()))]
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
    /// The server was reached and does not hand the config out, and nothing usable is on disk.
    #[error("no value for `{config}`: the server says no{}", because(.detail.as_deref()))]
    Denied {
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
                "check the address; a cache directory that survives restarts lets it start without the server"
            }
            Self::NotFound { .. } => "look at the name; `GET …/configs` lists the configs of a repository",
            Self::Denied { .. } => {
                "do what the server asks for: another token, repository or name, or a correction in Git"
            }
            Self::Refused { error, .. } => refused(error.phase),
            Self::Stopped => "start another client",
        }
    }
}

/// What to do about a value that was refused there.
fn refused(phase: FailPhase) -> &'static str {
    match phase {
        FailPhase::Validate => "correct the value in Git, or the type and the check in the program",
        FailPhase::Verify => "something between the server and here changes answers; look for a proxy",
        FailPhase::Prepare | FailPhase::Activate => {
            "mend what it names, in Git or on this machine, and start again"
        }
        FailPhase::Crash | FailPhase::Health => {
            "look at what the program said before; then correct it or the value"
        }
        FailPhase::Fence | FailPhase::Fetch | FailPhase::Other => "look at the log of the server",
    }
}

/// Collects what guards a config; see [`Client::config`].
pub struct ConfigBuilder<T> {
    client: Client,
    name: String,
    guards: Guards<T>,
    default: Option<T>,
    spare: Spare,
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
            spare: Spare::Nothing,
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
        self.spare = Spare::Default;
        self
    }

    /// Keeps the config open while there is no value for it. Unlike a default it is nothing to run.
    #[cfg(feature = "agent")]
    #[must_use]
    pub(crate) fn placeholder(mut self, value: T) -> Self {
        self.default = Some(value);
        self
    }

    /// Waits for the first value: the server's, else the last known good, else the default.
    pub async fn open(self) -> Result<Handle<T>, OpenError> {
        let config: ConfigName = self.name.parse()?;
        let slot = Arc::new(TypedSlot::new(
            config.clone(),
            self.guards,
            self.default,
            self.spare,
        ));
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
            Err((NoValue::Denied, detail)) => Err(OpenError::Denied { config, detail }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &OpenError) -> String {
        format!("{error}\n  hint: {}", error.hint())
    }

    #[test]
    fn an_error_says_why_there_is_no_value_and_what_to_do() {
        let config: ConfigName = "a".parse().unwrap();
        let refused = |phase, message: &str| OpenError::Refused {
            config: config.clone(),
            error: ReportError {
                phase,
                message: message.to_owned(),
            },
        };
        let errors = [
            OpenError::AlreadyOpen(config.clone()),
            OpenError::Unreachable {
                config: config.clone(),
                detail: Some("cannot reach the server at `http://c:7171`".to_owned()),
            },
            OpenError::NotFound {
                config: config.clone(),
                detail: None,
            },
            OpenError::Denied {
                config: config.clone(),
                detail: Some("the config `a` cannot be read".to_owned()),
            },
            refused(FailPhase::Validate, "min 5 is above max 2"),
            refused(FailPhase::Verify, "the document is another one"),
            refused(FailPhase::Prepare, "`--check` ended with exit code 1"),
            refused(FailPhase::Activate, "cannot write `/etc/app`"),
            refused(FailPhase::Crash, "the program ended 2 times on probation"),
            OpenError::Stopped,
        ];
        let told: Vec<String> = errors.iter().map(told).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        `a` is open already
          hint: clone the handle that you have
        no value for `a`: the server was not reached and there is no last known good of this server, repository and instance (cannot reach the server at `http://c:7171`)
          hint: check the address; a cache directory that survives restarts lets it start without the server
        no value for `a`: the server has no such config
          hint: look at the name; `GET …/configs` lists the configs of a repository
        no value for `a`: the server says no (the config `a` cannot be read)
          hint: do what the server asks for: another token, repository or name, or a correction in Git
        no value for `a`: refused in phase validate: min 5 is above max 2
          hint: correct the value in Git, or the type and the check in the program
        no value for `a`: refused in phase verify: the document is another one
          hint: something between the server and here changes answers; look for a proxy
        no value for `a`: refused in phase prepare: `--check` ended with exit code 1
          hint: mend what it names, in Git or on this machine, and start again
        no value for `a`: refused in phase activate: cannot write `/etc/app`
          hint: mend what it names, in Git or on this machine, and start again
        no value for `a`: refused in phase crash: the program ended 2 times on probation
          hint: look at what the program said before; then correct it or the value
        the client was stopped
          hint: start another client
        ");
    }
}
