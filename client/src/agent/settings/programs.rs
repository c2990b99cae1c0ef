//! The flags about commands, signals and the program.

use std::time::Duration;

use super::parse::duration;
use super::{Draft, Stay, clip};
use crate::agent::command::Hook;
use crate::agent::options::Options;
use crate::agent::signal::NamedSignal;
use crate::agent::supervise::{OnChange, ProgramSpec};
use crate::agent::switch::PidFile;

impl Draft {
    pub(super) fn hooks(&mut self, options: &Options) -> (Option<Hook>, Option<Hook>) {
        let deadline = self
            .duration("--command-timeout", &options.command_timeout)
            .unwrap_or_default();
        let mut hook = |option: &'static str, command: &Option<String>| {
            let command = command.clone()?;
            if command.trim().is_empty() {
                self.mistake(format!("`{option}` is empty"), "leave it out, or give a command");
            }
            Some(Hook {
                option,
                command,
                deadline,
            })
        };
        (
            hook("--check", &options.check),
            hook("--on-change", &options.on_change),
        )
    }

    fn signal(&mut self, options: &Options) -> Option<NamedSignal> {
        let text = options.signal.as_ref()?;
        self.parsed(
            "--signal",
            text,
            text.parse(),
            "write it as for `kill`, such as HUP",
        )
    }

    pub(super) fn pid_file(&mut self, options: &Options) -> Option<PidFile> {
        match (&options.signal, &options.pid_file) {
            (Some(_), None) if options.program.is_empty() => {
                self.mistake(
                    "`--signal` has nobody to go to",
                    "name the process with `--pid-file`, or the program after `--`",
                );
                None
            }
            (None, Some(_)) => {
                self.mistake("`--pid-file` has no signal", "add `--signal HUP`");
                None
            }
            (Some(_), Some(_)) if !options.program.is_empty() => {
                self.mistake(
                    "`--pid-file` and a program are both given",
                    "leave out `--pid-file`: the agent knows the process it started",
                );
                None
            }
            (_, Some(path)) => Some(PidFile {
                path: path.clone(),
                signal: self.signal(options)?,
            }),
            (_, None) => None,
        }
    }

    pub(super) fn on_change_program(&mut self, options: &Options) -> OnChange {
        if options.program.is_empty() {
            if options.on_change_program.is_some() {
                self.mistake(
                    "`--on-change-program` is about a program, and none is given",
                    "name it after `--`",
                );
            }
            return OnChange::Restart;
        }
        let signal = self.signal(options);
        let policy = options.on_change_program.as_deref();
        if matches!(policy, Some("restart" | "nothing")) && options.signal.is_some() {
            self.mistake(
                "`--signal` is given, and `--on-change-program` says to send none",
                "leave one of them out",
            );
        }
        match policy {
            Some("restart") => OnChange::Restart,
            Some("nothing") => OnChange::Nothing,
            Some("signal") => OnChange::Signal(signal.unwrap_or(NamedSignal::HUP)),
            None => signal.map_or(OnChange::Restart, OnChange::Signal),
            Some(other) => {
                self.mistake(
                    format!("`--on-change-program` cannot be `{}`", clip(other)),
                    "it is one of restart, signal, nothing",
                );
                OnChange::Restart
            }
        }
    }

    pub(super) fn program(&mut self, options: &Options, on_change: OnChange) -> Option<ProgramSpec> {
        let stop_grace = self.duration("--stop-grace", &options.stop_grace);
        let (program, args) = options.program.split_first()?;
        if options.once {
            self.mistake("a program and `--once` are both given", "leave one of them out");
        }
        Some(ProgramSpec {
            program: program.clone(),
            args: args.to_vec(),
            on_change,
            stop_grace: stop_grace?,
            // Where the files really are is known once the directory is open.
            dir: None,
        })
    }

    /// Without a program there is nothing here that could crash, so that a restart of the agent alone soon counts for
    /// nothing. What is written once is good when it is written.
    pub(super) fn probation(&mut self, options: &Options) -> Option<Duration> {
        let given = match &options.probation {
            Some(text) => self.duration("--probation", text)?,
            None if options.program.is_empty() => Duration::from_secs(5),
            None => Duration::from_mins(1),
        };
        Some(if options.once { Duration::ZERO } else { given })
    }

    pub(super) fn stay(&mut self, options: &Options) -> Option<Stay> {
        let timeout = self.duration("--timeout", &options.timeout)?;
        Some(if options.once {
            Stay::Once { timeout }
        } else {
            Stay::UntilStopped
        })
    }

    pub(super) fn duration(&mut self, flag: &str, text: &str) -> Option<Duration> {
        self.parsed(
            flag,
            text,
            duration(text),
            "write a number and a unit, such as 500ms, 10s or 5m",
        )
    }
}
