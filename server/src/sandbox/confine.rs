//! What the child takes from itself before it reads a byte.
//!
//! Invariant: limits only fall and the filter only tightens, so nothing that the child reads can give it back what it
//! gave up. What is deliberately absent: a limit of processes, which the system counts over all processes of a user;
//! new processes are the filter's concern.

use std::fmt;
use std::io;
use std::str::FromStr;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::filter;

/// Below this not even an empty tree can be judged: the program itself and the stacks of its threads count, too.
const MEMORY_BYTES_MIN: u64 = 128 << 20;

/// What a verdict is held to beside its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement {
    /// Most memory, in bytes of address space.
    pub memory_bytes_max: MemoryBytes,
    /// Whether system calls are filtered.
    pub filter: FilterNeed,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            memory_bytes_max: MemoryBytes(2 << 30),
            filter: FilterNeed::Preferred,
        }
    }
}

/// An amount of memory that is enough to judge something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBytes(u64);

impl fmt::Display for MemoryBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MemoryBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(bytes) if bytes >= MEMORY_BYTES_MIN => Ok(Self(bytes)),
            _ => Err(format!("expected {MEMORY_BYTES_MIN} bytes or more, not `{text}`")),
        }
    }
}

/// Whether system calls of a verdict are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterNeed {
    /// They must be: without a filter nothing is judged.
    Required,
    /// They are wherever the system has filters.
    Preferred,
    /// They are not; the limits alone hold.
    Never,
}

impl FilterNeed {
    /// Its name in the settings.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
            Self::Never => "limits",
        }
    }
}

impl FromStr for FilterNeed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Required, Self::Preferred, Self::Never]
            .into_iter()
            .find(|need| need.as_str() == text)
            .ok_or_else(|| format!("expected `required`, `preferred` or `limits`, not `{text}`"))
    }
}

/// What a child is told on its command line, since it must know before it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) confinement: Confinement,
    pub(super) cpu_seconds: u64,
}

impl Terms {
    pub(super) fn to_arguments(self) -> [String; 3] {
        [
            self.confinement.memory_bytes_max.to_string(),
            self.cpu_seconds.to_string(),
            self.confinement.filter.as_str().to_owned(),
        ]
    }

    pub(super) fn of_arguments(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut next = || arguments.next();
        let (memory, cpu, filter) = (next()?, next()?, next()?);
        Some(Self {
            confinement: Confinement {
                memory_bytes_max: memory.parse().ok()?,
                filter: filter.parse().ok()?,
            },
            cpu_seconds: cpu.parse().ok()?,
        })
    }
}

/// Confines this process. Gives the reason if its system calls are not filtered.
///
/// # Errors
/// It could not be confined as it must be.
pub(super) fn confine(terms: Terms) -> io::Result<Option<String>> {
    volunteer();
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    // What is open stays open: the pipes. Nothing else can be opened, with or without a filter.
    limit(Resource::Nofile, 0, 0)?;
    let memory = terms.confinement.memory_bytes_max.0;
    limit(Resource::As, memory, memory)?;
    // The first of the two ends it by a signal that says why, the second by one that cannot be caught.
    limit(Resource::Cpu, terms.cpu_seconds, terms.cpu_seconds + 1)?;
    // Nobody else may look into the memory that holds the files, or change it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    match (terms.confinement.filter, filter::install) {
        (FilterNeed::Never, _) => Ok(None),
        (need, install) => match install() {
            Ok(()) => Ok(None),
            Err(reason) if need == FilterNeed::Preferred => Ok(Some(reason)),
            Err(reason) => Err(io::Error::other(reason)),
        },
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Where memory runs out, this process is to be ended before any other, and above all before the service.
fn volunteer() {
    // Where there is no such file, nothing is ended by it either.
    std::fs::write("/proc/self/oom_score_adj", "1000").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_on_its_command_line_what_was_meant() {
        let terms = Terms {
            confinement: Confinement {
                memory_bytes_max: MemoryBytes(MEMORY_BYTES_MIN),
                filter: FilterNeed::Required,
            },
            cpu_seconds: 31,
        };
        assert_eq!(Terms::of_arguments(terms.to_arguments().into_iter()), Some(terms));
        for missing in 0..3 {
            let fewer = terms.to_arguments().into_iter().take(missing);
            assert_eq!(Terms::of_arguments(fewer), None);
        }
    }

    #[test]
    fn memory_in_which_nothing_could_be_judged_is_a_mistake() {
        assert_eq!("134217728".parse(), Ok(MemoryBytes(MEMORY_BYTES_MIN)));
        for bad in ["134217727", "0", "-1", "1GiB", ""] {
            let refused = bad.parse::<MemoryBytes>();
            assert_eq!(
                refused,
                Err(format!("expected 134217728 bytes or more, not `{bad}`"))
            );
        }
    }
}
