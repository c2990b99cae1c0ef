//! Why a benchmark gave no figures, as a sentence for the person who started it.

use std::fmt;
use std::io;

/// What went wrong, with what to do where there is something.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that is told in these words.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Says what was tried when it failed.
pub(crate) fn while_doing(what: &str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure(format!("{what}: {error}"))
}
