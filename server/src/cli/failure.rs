//! How a command ends when it does not end well: exit code, error, cause, hint.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use headwater_client::{ApiError, SetupError, TokenError};

use super::findings;
use super::out::{Out, Tone};
use super::text::clean;
use crate::git::error::Cause;
use crate::git::local::LocalError;
use crate::process::ProcessError;
use crate::store::backup::BackupError;

/// What hints of the API call a call or a member, and what a person types instead. A call comes before those whose
/// beginning it has.
const COMMANDS: &[(&str, &str)] = &[
    (
        "GET /v1/repos/{repo}/commits/{rev} resolves",
        "`git rev-parse` resolves",
    ),
    ("GET /v1/repos/{repo}/configs", "`headwater configs`"),
    ("GET …/instances", "`headwater instances`"),
    ("GET /v1/repos/{repo}/holds", "`headwater holds`"),
    ("GET /v1/repos/{repo}/rollbacks", "`headwater holds`"),
    ("GET /v1/repos/{repo}/rollouts", "`headwater rollouts`"),
    ("GET /v1/repos/{repo} ", "`headwater status` "),
    ("GET /v1/repos ", "`headwater status` "),
    ("`config`", "`--config`"),
    ("`force_invalid`", "`--force-invalid`"),
];

/// A hint of the API as a person at a command line can follow it.
pub(super) fn in_commands(hint: &str) -> String {
    let said = COMMANDS.iter();
    said.fold(hint.to_owned(), |hint, (call, command)| {
        hint.replace(call, command)
    })
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing to say.
    Fine,
    /// The answer itself is bad news.
    Findings,
    /// The command line was not understood.
    WrongUsage,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::WrongUsage => 2,
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server options make no client.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The token cannot be one.
    #[error("cannot use the token from {from}")]
    Token {
        /// Where it came from.
        from: String,
        #[source]
        source: TokenError,
    },
    /// A file named by an option cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The arguments do not fit together, or not the server.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// The request makes no sense in the state the server is in.
    #[error("{message}")]
    Refused { message: String, hint: String },
    /// A file or directory cannot be written.
    #[error("cannot write to `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A Git repository on this machine cannot be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The `git` program cannot be started.
    #[error("cannot start `git`")]
    GitMissing {
        #[source]
        source: io::Error,
    },
    /// The `git` program failed.
    #[error("`git {command}` failed")]
    GitFailed {
        command: String,
        #[source]
        cause: Cause,
    },
    /// Files could not be judged, and that is not their fault.
    #[error("no verdict could be worked out")]
    Verdict(#[source] Cause),
    /// The service could not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A copy of the decisions cannot be read, written or put back.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// No event loop.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Api(error) if error.is_refusal() => 1,
            Self::Api(_) => 3,
            // Who reads the output has seen enough, as `headwater log | head` does.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Refused { .. }
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Write { .. }
            | Self::GitMissing { .. }
            | Self::GitFailed { .. }
            | Self::Backup(_)
            | Self::Process(_) => 1,
            // A repository that cannot be read is not the same as one in which something was found.
            Self::Local(_)
            | Self::Verdict(_)
            | Self::Setup(_)
            | Self::Token { .. }
            | Self::File { .. }
            | Self::Usage { .. } => 2,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Api(error) => error.hint().map(|hint| in_commands(&hint)),
            Self::Setup(error) => Some(error.hint().to_owned()),
            Self::Token { .. } => Some("a token is one word of visible ASCII characters".to_owned()),
            Self::File { .. } => Some("check the path and its permissions".to_owned()),
            Self::Usage { hint, .. } | Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Write { .. } => Some("check the path, its permissions and the room on the disk".to_owned()),
            Self::Local(error) => Some(error.hint().to_owned()),
            Self::GitMissing { .. } => Some("install git, or put it on the PATH".to_owned()),
            Self::GitFailed { .. } => Some("run the same command by hand".to_owned()),
            Self::Process(error) => Some(error.hint().to_owned()),
            Self::Backup(error) => Some(error.hint().to_owned()),
            Self::Verdict(_) | Self::Output(_) | Self::Runtime(_) => None,
        }
    }

    /// Prints what a person needs: error, cause, findings, hint.
    pub(crate) fn print(&self, err: &mut Out<'_>) -> io::Result<()> {
        if self.code() == 0 {
            return Ok(());
        }
        let paint = err.paint();
        let line = |tone, word: &str, text: &str| {
            format!("{} {}", paint.apply(tone, &format!("{word}:")), clean(text))
        };
        err.line(line(Tone::Bad, "error", &self.to_string()))?;
        if let Some(cause) = self.source() {
            err.line(line(Tone::Dim, "cause", &cause.to_string()))?;
        }
        if let Self::Api(ApiError::Problem { problem, .. }) = self {
            findings::print(&problem.findings, "  ", err)?;
            if let Some(id) = problem.request_id.as_ref().filter(|_| problem.status >= 500) {
                err.line(line(Tone::Dim, "request", id))?;
            }
        }
        match self.hint() {
            Some(hint) => err.line(line(Tone::Hint, "hint", &hint)),
            None => Ok(()),
        }
    }
}
