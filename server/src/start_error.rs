//! Why a service did not start, and what a person can do about it.
//!
//! Invariant: each reason has one remedy.

use std::path::PathBuf;

use crate::auth::TokensError;
use crate::store::StoreError;

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or used.
    #[error("cannot use the data directory `{}`", dir.display())]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Verdicts cannot be confined as the settings require.
    #[error("cannot work out verdicts: {0}")]
    Sandbox(String),
    /// Nobody knows who may ask.
    #[error("{message}")]
    Tokens {
        /// What is wrong with the file.
        message: String,
    },
    /// An issuer's settings cannot be used.
    #[error("{0}")]
    Issuer(String),
    /// Connections cannot be encrypted as the settings require.
    #[error("{0}")]
    Tls(String),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl StartError {
    /// The file of tokens cannot be used.
    pub(crate) fn tokens(error: &TokensError) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        Self::Tokens {
            message: format!("{error}{}", cause.unwrap_or_default()),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::DataDir { .. } => "name a directory that can be written with --data-dir",
            Self::Store(error) => error.hint(),
            Self::Tokens { .. } => {
                "make one with `headwater token create --file FILE`, or leave `tokens_file` out"
            }
            Self::Issuer(_) => "look at its `[issuer.NAME]` and `[grant.NAME]` tables",
            Self::Sandbox(_) => {
                "allow `seccomp` and `prctl` here, or set `sandbox` to `preferred`; see docs/operations.md"
            }
            Self::Tls(_) => "say `headwater serve --check-settings`; docs/security.md has a section on TLS",
            Self::Thread(_) => "raise the limit of processes for this user",
        }
    }
}
