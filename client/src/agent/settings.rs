//! From flags and environment to settings that fit together.
//!
//! Invariant: settings that were made can be run with; all mistakes are told at once, each with what to do. What is
//! deliberately absent: opening anything but the files of the token and of the certificates.

mod files;
mod parse;
mod programs;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_wire::{ConfigName, InstanceId, RepoName};
use tracing::Level;

use super::command::Hook;
use super::files::{Access, Layout};
use super::format::FileFormat;
use super::options::Options;
use super::supervise::ProgramSpec;
use super::switch::PidFile;
use crate::BearerToken;
use crate::identity::ClientIdentity;
use parse::{instance_of, level, log_format};

/// Where a server listens that was started without options.
const SERVER_DEFAULT: &str = "http://127.0.0.1:7171";
/// Largest file of a token or of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a person has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  hint: {}", self.message, self.hint)
    }
}

/// What of the environment is not a flag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) token: Option<String>,
    pub(crate) host_name: String,
    pub(crate) state_directory: Option<PathBuf>,
    pub(crate) xdg_state_home: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) is_root: bool,
}

/// How changes are heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportWord {
    Auto,
    Socket,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Where files go.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Directory(PathBuf, Layout),
    Single(PathBuf, ConfigName),
    Nowhere,
}

/// Whether the agent stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    UntilStopped,
    Once { timeout: Duration },
}

/// Everything a run needs to know. Its `Debug` shows no credential.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<String>,
    pub(crate) repo: RepoName,
    pub(crate) instance: InstanceId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) token: Option<BearerToken>,
    pub(crate) ca_pem: Option<Vec<u8>>,
    /// Certificate to show.
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) transport: TransportWord,
    pub(crate) configs: Vec<ConfigName>,
    pub(crate) place: Place,
    pub(crate) format: FileFormat,
    pub(crate) access: Access,
    pub(crate) check: Option<Hook>,
    pub(crate) on_change: Option<Hook>,
    pub(crate) pid_file: Option<PidFile>,
    pub(crate) program: Option<ProgramSpec>,
    pub(crate) probation: Duration,
    pub(crate) stay: Stay,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) cache_dir: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: Level,
}

/// Settings, or everything that is wrong with the flags.
pub(crate) fn settings(options: &Options, environment: &Environment) -> Result<Settings, Vec<Mistake>> {
    let mut draft = Draft::default();
    let settings = draft.settings(options, environment);
    match settings {
        Some(settings) if draft.mistakes.is_empty() => Ok(settings),
        Some(_) | None => Err(draft.mistakes),
    }
}

#[derive(Default)]
struct Draft {
    mistakes: Vec<Mistake>,
}

impl Draft {
    fn mistake(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake {
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// The value of a flag, or a mistake that names the flag.
    fn parsed<T, E: fmt::Display>(
        &mut self,
        flag: &str,
        text: &str,
        result: Result<T, E>,
        hint: &str,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(format!("`{flag}` cannot be `{}`: {error}", clip(text)), hint);
                None
            }
        }
    }

    /// Each part is judged even if another one is wrong already.
    fn settings(&mut self, options: &Options, environment: &Environment) -> Option<Settings> {
        let servers = self.servers(options);
        let repo = self.parsed(
            "--repo",
            &options.repo,
            options.repo.parse(),
            "it is the name of a repository of the server, such as `default`",
        );
        let instance = self.instance(options, environment);
        let labels = self.labels(&options.labels);
        let token = self.token(options, environment);
        let ca_pem = self.file("--ca-file", options.ca_file.as_deref());
        let identity = self.identity(options);
        let transport = self.transport(&options.transport);
        let configs = self.configs(&options.configs, &options.repo);
        let format = self.format(options);
        let place = self.place(options, &configs, format.as_ref());
        let access = self.access(options);
        let (check, on_change) = self.hooks(options);
        let on_change_program = self.on_change_program(options);
        let pid_file = self.pid_file(options);
        let program = self.program(options, on_change_program);
        let probation = self.probation(options);
        let stay = self.stay(options);
        let listen = self.listen(options);
        let cache_dir = self.cache_dir(options, environment);
        let log_format = self.parsed(
            "--log-format",
            &options.log_format,
            log_format(&options.log_format),
            "",
        );
        let log_level = self.parsed("--log-level", &options.log_level, level(&options.log_level), "");
        Some(Settings {
            servers,
            repo: repo?,
            instance: instance?,
            labels,
            token,
            ca_pem,
            identity,
            transport: transport?,
            configs,
            place: place?,
            format: format?,
            access,
            check,
            on_change,
            pid_file,
            program,
            probation: probation?,
            stay: stay?,
            listen,
            cache_dir: cache_dir?,
            log_format: log_format?,
            log_level: log_level?,
        })
    }

    fn servers(&mut self, options: &Options) -> Vec<String> {
        let given: Vec<&String> = options
            .server
            .iter()
            .filter(|server| !server.is_empty())
            .collect();
        for server in &given {
            if let Err(error) = server.parse::<crate::ServerAddress>() {
                // The error quotes the address only if there is no password in it.
                self.mistake(format!("`--server`: {error}"), error.hint());
            }
        }
        if given.is_empty() {
            return vec![SERVER_DEFAULT.to_owned()];
        }
        given.into_iter().cloned().collect()
    }

    fn instance(&mut self, options: &Options, environment: &Environment) -> Option<InstanceId> {
        const HINT: &str =
            "use letters, digits, `.`, `_`, `:` and `-`, at most 128 of them, and not `.` or `..`";
        if let Some(text) = &options.instance {
            return self.parsed("--instance", text, text.parse(), HINT);
        }
        let instance = instance_of(&environment.host_name);
        if instance.is_none() {
            self.mistake(
                "this machine has no name to call the instance by",
                "give one with `--instance`",
            );
        }
        instance
    }

    fn labels(&mut self, texts: &[String]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for text in texts {
            match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                        self.mistake(format!("label `{key}` is given twice"), "leave one of them out");
                    }
                }
                Some(_) | None => {
                    self.mistake(
                        format!("`--label` cannot be `{}`", clip(text)),
                        "a label is written `KEY=VALUE`",
                    );
                }
            }
        }
        labels
    }

    fn token(&mut self, options: &Options, environment: &Environment) -> Option<BearerToken> {
        let (from, text) = match (&options.token_file, &environment.token) {
            (Some(path), _) => {
                let bytes = self.file("--token-file", Some(path))?;
                (
                    format!("`{}`", path.display()),
                    String::from_utf8_lossy(&bytes).into_owned(),
                )
            }
            (None, Some(token)) => ("`HEADWATER_TOKEN`".to_owned(), token.clone()),
            (None, None) => return None,
        };
        match text.parse() {
            Ok(token) => Some(token),
            Err(error) => {
                self.mistake(
                    format!("cannot use the token from {from}: {error}"),
                    "it must hold the token and nothing else",
                );
                None
            }
        }
    }

    fn file(&mut self, flag: &str, path: Option<&Path>) -> Option<Vec<u8>> {
        use std::io::Read as _;
        let path = path?;
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Some(bytes),
            Err(error) => {
                self.mistake(
                    format!("`{flag}`: cannot read `{}`: {error}", path.display()),
                    "look at the path and its permissions",
                );
                None
            }
        }
    }

    fn identity(&mut self, options: &Options) -> Option<ClientIdentity> {
        let cert = self.file("--client-cert", options.client_cert.as_deref())?;
        let key = match &options.client_key {
            Some(key) => self.file("--client-key", Some(key))?,
            None => cert.clone(),
        };
        Some(ClientIdentity::from_pem(cert, key))
    }

    fn transport(&mut self, text: &str) -> Option<TransportWord> {
        let word = match text {
            "auto" => Ok(TransportWord::Auto),
            "socket" => Ok(TransportWord::Socket),
            _ => Err("not one of auto, socket"),
        };
        self.parsed(
            "--transport",
            text,
            word,
            "leave it out unless one connection must carry everything",
        )
    }

    fn configs(&mut self, texts: &[String], repo: &str) -> Vec<ConfigName> {
        if texts.is_empty() {
            self.mistake(
                "no config is named",
                format!(
                    "name one with `--config payments/prod`; GET /v1/repos/{}/configs lists them",
                    clip(repo)
                ),
            );
        }
        let mut configs: Vec<ConfigName> = Vec::new();
        for text in texts {
            let config = self.parsed(
                "--config",
                text,
                text.parse(),
                "a name is a path such as `payments/prod`",
            );
            match config {
                Some(config) if configs.contains(&config) => {
                    self.mistake(
                        format!("config `{config}` is named twice"),
                        "leave one of them out",
                    );
                }
                Some(config) => configs.push(config),
                None => {}
            }
        }
        configs
    }
}

/// At most 80 characters without control characters, so that a mistake stays one line.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;
