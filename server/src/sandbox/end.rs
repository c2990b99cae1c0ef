//! How a child ended that gave no verdict, and what that says of the commit.
//!
//! Invariant: an end that would come again is a verdict and is remembered; one that somebody else caused is not.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use headwater_wire::{Finding, Severity};
use rustix::process::Signal;

use super::confine::{MemoryBytes, Terms};

/// What to look for in a commit that takes too much.
const HINT_LARGE: &str = "look for very large or deeply recursive documents and schemas in this commit";

/// What Rust's library says before it ends a process for want of memory, and of stack.
const OUT_OF_MEMORY: &str = "memory allocation of ";
const OUT_OF_STACK: &str = "has overflowed its stack";

/// How a verdict ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    /// It took longer than it may.
    #[error("the verdict took longer than {}", said(*.0))]
    Deadline(Duration),
    /// It worked longer than it may.
    #[error("the verdict took more than {0} s of processor time")]
    Processor(u64),
    /// It wanted more memory than it may have.
    #[error("the verdict took more than {0} bytes of memory")]
    Memory(MemoryBytes),
    /// It went too deep.
    #[error("the verdict went too deep and overflowed its stack")]
    Stack,
    /// The filter of system calls ended it.
    #[error("the verdict was ended because it tried to reach a file, the network or another process")]
    Forbidden,
    /// Somebody killed it, and it was not the service.
    #[error("the verdict was killed from outside, twice")]
    Killed,
    /// A fault of the validators.
    #[error("the validators failed on this commit: {0}")]
    Crashed(String),
}

impl End {
    /// Reads how a child ended from its exit and from what it said last.
    pub(super) fn of(status: ExitStatus, said: &str, terms: Terms) -> Self {
        let crashed = || Self::Crashed(status.to_string());
        let Some(signal) = status.signal() else {
            return crashed();
        };
        let is = |known: Signal| signal == known.as_raw();
        if is(Signal::SYS) {
            Self::Forbidden
        } else if is(Signal::XCPU) {
            Self::Processor(terms.cpu_seconds)
        } else if is(Signal::KILL) {
            Self::Killed
        } else if said.contains(OUT_OF_STACK) {
            Self::Stack
        } else if said.contains(OUT_OF_MEMORY) {
            Self::Memory(terms.confinement.memory_bytes_max)
        } else {
            crashed()
        }
    }

    /// Whether it says as much of the machine as of the commit, so that it may be otherwise the next time.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Killed => true,
            Self::Deadline(_)
            | Self::Processor(_)
            | Self::Memory(_)
            | Self::Stack
            | Self::Forbidden
            | Self::Crashed(_) => false,
        }
    }

    /// The same as a finding, for which no file can be blamed.
    pub(crate) fn finding(&self) -> Finding {
        Finding::of_all(self.code(), Severity::Error, self.to_string()).hint(self.hint())
    }

    /// Code of the finding.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Deadline(_) | Self::Processor(_) => "limit/deadline",
            Self::Memory(_) => "limit/memory",
            Self::Stack => "limit/stack",
            Self::Forbidden => "limit/forbidden",
            Self::Killed => Self::CODE_PASSING,
            Self::Crashed(_) => "limit/crash",
        }
    }

    /// Code of the finding that is not remembered over a restart.
    pub(crate) const CODE_PASSING: &str = "limit/killed";

    fn hint(&self) -> &'static str {
        match self {
            Self::Deadline(_) | Self::Processor(_) | Self::Memory(_) | Self::Stack => HINT_LARGE,
            Self::Forbidden => {
                "no file of a commit should be able to cause this: find out who made it, and report it as a fault of \
                 Headwater"
            }
            Self::Killed => {
                "most often the machine or the container ran out of memory: give it more, or set \
                 `verdict_bytes_max` lower; the next push and the next start try again"
            }
            Self::Crashed(_) => {
                "this is a fault of Headwater: report it with this commit, and undo the commit"
            }
        }
    }
}

/// A deadline in the largest unit that says it exactly.
fn said(deadline: Duration) -> String {
    if deadline.subsec_millis() == 0 {
        format!("{} s", deadline.as_secs())
    } else {
        format!("{} ms", deadline.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::super::confine::Confinement;
    use super::*;

    #[test]
    fn every_end_says_what_happened_and_what_to_do() {
        let terms = Terms {
            confinement: Confinement::default(),
            cpu_seconds: 31,
        };
        let signalled =
            |signal: Signal, said: &str| End::of(ExitStatus::from_raw(signal.as_raw()), said, terms);
        let ends = [
            End::Deadline(Duration::from_secs(30)),
            signalled(Signal::XCPU, ""),
            signalled(Signal::ABORT, "memory allocation of 9 bytes failed\n"),
            signalled(Signal::ABORT, "thread 'verdict' has overflowed its stack\n"),
            signalled(Signal::SYS, ""),
            signalled(Signal::KILL, ""),
            signalled(Signal::SEGV, ""),
            End::of(ExitStatus::from_raw(101 << 8), "", terms),
        ];
        let told: Vec<String> = ends
            .iter()
            .map(|end| format!("{}: {end}\n  {}", end.code(), end.hint()))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        limit/deadline: the verdict took longer than 30 s
          look for very large or deeply recursive documents and schemas in this commit
        limit/deadline: the verdict took more than 31 s of processor time
          look for very large or deeply recursive documents and schemas in this commit
        limit/memory: the verdict took more than 2147483648 bytes of memory
          look for very large or deeply recursive documents and schemas in this commit
        limit/stack: the verdict went too deep and overflowed its stack
          look for very large or deeply recursive documents and schemas in this commit
        limit/forbidden: the verdict was ended because it tried to reach a file, the network or another process
          no file of a commit should be able to cause this: find out who made it, and report it as a fault of Headwater
        limit/killed: the verdict was killed from outside, twice
          most often the machine or the container ran out of memory: give it more, or set `verdict_bytes_max` lower; the next push and the next start try again
        limit/crash: the validators failed on this commit: signal: 11 (SIGSEGV)
          this is a fault of Headwater: report it with this commit, and undo the commit
        limit/crash: the validators failed on this commit: exit status: 101
          this is a fault of Headwater: report it with this commit, and undo the commit
        ");
    }
}
