//! Signals by the names people use, and sending them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::process::{Pid, Signal, kill_process};

/// Longest file that can hold a process id, in bytes.
const PID_BYTES_MAX: usize = 64;

/// A signal that a program may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedSignal {
    name: &'static str,
    signal: Signal,
}

const SIGNALS: [(&str, Signal); 9] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("WINCH", Signal::WINCH),
    ("CONT", Signal::CONT),
    ("ALRM", Signal::ALARM),
];

impl NamedSignal {
    pub(crate) const HUP: Self = Self {
        name: "HUP",
        signal: Signal::HUP,
    };

    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    pub(crate) fn signal(self) -> Signal {
        self.signal
    }
}

impl FromStr for NamedSignal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        SIGNALS
            .iter()
            .find(|(name, _)| *name == bare)
            .map(|(name, signal)| Self {
                name,
                signal: *signal,
            })
            .ok_or("not one of HUP, INT, QUIT, TERM, USR1, USR2, WINCH, CONT, ALRM")
    }
}

/// Why a program was not signalled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignalError {
    #[error("cannot read the process id in `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` holds no process id", .0.display())]
    NoId(PathBuf),
    #[error("cannot send {signal} to process {pid}")]
    Refused {
        signal: &'static str,
        pid: i32,
        #[source]
        source: io::Error,
    },
}

/// Whether there was anybody to signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Sent(i32),
    /// No process: it finds the new files when it starts.
    NotRunning,
}

/// Signals the process whose id stands in a file.
pub(crate) fn signal_by_file(path: &Path, signal: NamedSignal) -> Result<Delivery, SignalError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Delivery::NotRunning),
        Err(source) => {
            return Err(SignalError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    let no_id = || SignalError::NoId(path.to_owned());
    // Zero and below mean groups of processes, and 1 is never the program.
    let pid: i32 = Some(text.trim())
        .filter(|text| text.len() <= PID_BYTES_MAX)
        .and_then(|text| text.lines().next()?.trim().parse().ok())
        .filter(|pid| *pid > 1)
        .ok_or_else(no_id)?;
    let process = Pid::from_raw(pid).ok_or_else(no_id)?;
    match kill_process(process, signal.signal) {
        Ok(()) => Ok(Delivery::Sent(pid)),
        Err(rustix::io::Errno::SRCH) => Ok(Delivery::NotRunning),
        Err(error) => Err(SignalError::Refused {
            signal: signal.name,
            pid,
            source: error.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_the_names_that_kill_takes() {
        assert_eq!("HUP".parse(), Ok(NamedSignal::HUP));
        assert_eq!("sighup".parse(), Ok(NamedSignal::HUP));
        assert!("KILL".parse::<NamedSignal>().is_err());
    }

    #[test]
    fn a_program_that_does_not_run_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert_eq!(
            signal_by_file(&path, NamedSignal::HUP).unwrap(),
            Delivery::NotRunning
        );
    }

    #[test]
    fn a_file_that_would_signal_a_whole_group_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for text in ["", "0", "-1", "1", "x", "99999999999999"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(
                signal_by_file(&path, NamedSignal::HUP),
                Err(SignalError::NoId(_))
            ));
        }
    }
}
