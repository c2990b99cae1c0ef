//! Why a call failed, told apart by what the caller can do about it.
//!
//! Invariant: no variant holds a credential; the cause is a `source` and never part of the text.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use headwater_wire::{Problem, ProblemCode};

use crate::sse::SseError;

/// What was waited for when a deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection.
    Connect,
    /// The first line of the answer.
    Answer,
    /// The rest of the answer.
    Body,
    /// Any byte of an event stream.
    Stream,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Answer => "no answer",
            Self::Body => "the answer did not end",
            Self::Stream => "nothing was heard on the stream",
        })
    }
}

/// A call that did not give what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection: refused, no route, no such host.
    #[error("cannot reach the server at `{server}`")]
    Unreachable {
        /// Address without credentials.
        server: String,
        /// What the system said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server's certificate was not accepted, or it does not speak TLS.
    #[error("cannot trust the server at `{server}`")]
    Untrusted {
        /// Address without credentials.
        server: String,
        /// What TLS said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A deadline passed.
    #[error("{stage} within {} from `{server}`", seconds(.waited))]
    TimedOut {
        /// Address without credentials.
        server: String,
        /// What was waited for.
        stage: Stage,
        /// The deadline.
        waited: Duration,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to `{server}` broke off")]
    CutOff {
        /// Address without credentials.
        server: String,
        /// What the connection said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Headwater refused the request.
    #[error("{}", sentence(.problem))]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// When it said to come back.
        retry_after: Option<Duration>,
    },
    /// An error or a redirect that is not Headwater's: a proxy, or another program.
    #[error("`{server}` answered with status {status}, and not as Headwater does")]
    Status {
        /// Address without credentials.
        server: String,
        /// HTTP status.
        status: u16,
        /// Where a redirect pointed; it is not followed, since it could carry the token elsewhere.
        location: Option<String>,
        /// When it said to come back.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the call gives.
    #[error("the answer of `{server}` cannot be read as {expected}")]
    Malformed {
        /// Address without credentials.
        server: String,
        /// What was expected, with its article.
        expected: &'static str,
        /// Why it is not that.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer larger than the client takes.
    #[error("the answer of `{server}` is larger than {limit} bytes")]
    TooLarge {
        /// Address without credentials.
        server: String,
        /// The limit.
        limit: usize,
    },
    /// An event larger than the client takes.
    #[error("cannot read the event stream of `{server}`")]
    Stream {
        /// Address without credentials.
        server: String,
        /// Why.
        #[source]
        source: SseError,
    },
    /// Something between client and server turned the stream into another kind of answer.
    #[error("`{server}` answered no event stream but `{content_type}`")]
    NotAStream {
        /// Address without credentials.
        server: String,
        /// What it is instead.
        content_type: String,
    },
    /// The request itself cannot be written.
    #[error("cannot write the request")]
    Request(#[from] http::Error),
}

impl ApiError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "is the server running? name another one with `--server` or `HEADWATER_SERVER`".to_owned()
            }
            // `openssl req -x509` makes such a one if it is not told otherwise.
            Self::Untrusted { source, .. } if source.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate says that it is an authority, not a server; make one with `basicConstraints=CA:FALSE`"
                    .to_owned()
            }
            Self::Untrusted { source, .. } if source.to_string().contains("fatal alert") => {
                "the server does not take this client's certificate (`--client-cert`), or asks for one"
                    .to_owned()
            }
            Self::Untrusted { .. } => {
                "give its authority's certificate with `--ca-file`, and ask by a name that its certificate has"
                    .to_owned()
            }
            Self::TimedOut {
                stage: Stage::Connect | Stage::Answer,
                ..
            } => "check the address and the network between; the server may also be overloaded".to_owned(),
            Self::TimedOut {
                stage: Stage::Body | Stage::Stream,
                ..
            }
            | Self::CutOff { .. } => {
                "try again; if it stays, look for a proxy that cuts or holds back answers".to_owned()
            }
            Self::Problem { problem, .. } => return problem.hint.clone(),
            Self::Status {
                location: Some(location),
                ..
            } => {
                format!("redirects are not followed; if you trust it, use the address it names: {location}")
            }
            Self::Status { .. } | Self::Malformed { .. } | Self::NotAStream { .. } => {
                "is this the address of a Headwater server, or of a proxy or another program?".to_owned()
            }
            Self::TooLarge { .. } => "ask for one value with a pointer, or for fewer at a time".to_owned(),
            Self::Stream { .. } => {
                "leave out `inline`, so that documents are fetched apart from the stream".to_owned()
            }
            Self::Request(_) => "this is a fault of the client; please report it".to_owned(),
        })
    }

    /// Whether Headwater itself said no; everything else means that it was not reached, or not understood.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Problem { .. })
    }

    /// Whether something in front of the server wants to know who asks, and turns us away.
    pub(crate) fn is_turned_away(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 401 | 403,
                ..
            }
        )
    }

    /// Whether the same request can only fail again: the request is wrong, or not allowed.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => {
                (400..500).contains(&problem.status) && !matches!(problem.status, 408 | 425 | 429)
            }
            Self::Request(_) => true,
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::TimedOut { .. }
            | Self::CutOff { .. }
            | Self::Status { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Stream { .. }
            | Self::NotAStream { .. } => false,
        }
    }

    /// The code of Headwater's refusal, if it is one.
    pub fn code(&self) -> Option<ProblemCode> {
        if let Self::Problem { problem, .. } = self {
            Some(problem.code)
        } else {
            None
        }
    }

    /// When the other side said to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Problem { retry_after, .. } | Self::Status { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn one_line(error: &ApiError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line.push_str(": ");
        line.push_str(&source.to_string());
        cause = source.source();
    }
    line
}

fn sentence(problem: &Problem) -> &str {
    problem.detail.as_deref().unwrap_or(&problem.title)
}

fn seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
