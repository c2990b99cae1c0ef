//! Which server to ask, as whom, about which repository; and the session that follows from it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use headwater_client::{Api, ClientIdentity, RepoApi};
use headwater_wire::{ProblemCode, RepoName, Timestamp};

use super::Environment;
use super::failure::Failure;

/// Where a server listens that was started without options.
const SERVER_DEFAULT: &str = "http://127.0.0.1:7171";
/// Repository taken where there are several: the name of a server started with `--repo` alone.
pub(crate) const REPO_DEFAULT: &str = "default";
/// Largest file of a token or of certificates, in bytes; all authorities of a system together are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// As the API answers, for programs.
    Json,
}

/// Options of every command that asks a server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerOptions {
    #[arg(long, value_name = "URL")]
    #[arg(help = "Address of the server [env: HEADWATER_SERVER] [default: http://127.0.0.1:7171]")]
    server: Option<String>,
    /// Repository [default: the only one of the server, or `default`]
    #[arg(long, value_name = "NAME")]
    repo: Option<RepoName>,
    #[arg(
        long,
        value_name = "FILE",
        help = "File that holds the token, instead of HEADWATER_TOKEN"
    )]
    token_file: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "PEM file of the authorities to trust, instead of those of the system [env: HEADWATER_CA_FILE]"
    )]
    ca_file: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "PEM file of a certificate to show to the server [env: HEADWATER_CLIENT_CERT]"
    )]
    client_cert: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "PEM file of its key, if it is another [env: HEADWATER_CLIENT_KEY]"
    )]
    client_key: Option<PathBuf>,
    /// How to print the answer [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    output: Option<Output>,
}

impl ServerOptions {
    /// These options, and the others' where these say nothing.
    pub(crate) fn or(&self, others: &Self) -> Self {
        Self {
            server: self.server.clone().or_else(|| others.server.clone()),
            repo: self.repo.clone().or_else(|| others.repo.clone()),
            token_file: self.token_file.clone().or_else(|| others.token_file.clone()),
            ca_file: self.ca_file.clone().or_else(|| others.ca_file.clone()),
            client_cert: self.client_cert.clone().or_else(|| others.client_cert.clone()),
            client_key: self.client_key.clone().or_else(|| others.client_key.clone()),
            output: self.output.or(others.output),
        }
    }
}

impl ServerOptions {
    /// Options that stand before a command which asks no server would be ignored, and `--repo` means something else
    /// there.
    pub(crate) fn refuse_any(&self, command: &str) -> Result<(), Failure> {
        let given = [
            ("--server", self.server.is_some()),
            ("--repo", self.repo.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--ca-file", self.ca_file.is_some()),
            ("--client-cert", self.client_cert.is_some()),
            ("--client-key", self.client_key.is_some()),
            ("--output", self.output.is_some()),
        ];
        let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) else {
            return Ok(());
        };
        let hint = match (*option, command) {
            ("--repo", "serve") => {
                "to follow a repository, write `headwater serve --repo URL_OR_PATH`".to_owned()
            }
            ("--output", "check") => "write `headwater check --format json`".to_owned(),
            _ => format!("leave it out; see `headwater {command} --help`"),
        };
        Err(Failure::Usage {
            message: format!("`{option}` before `{command}` is about a server, and `{command}` asks none"),
            hint,
        })
    }
}

/// A server to ask, and how to tell what it says.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) api: Api,
    pub(crate) output: Output,
    pub(crate) now: fn() -> Timestamp,
    pub(crate) seed: u64,
    repo: Option<RepoName>,
}

impl Session {
    /// Reads the files that the options name. Nothing is asked yet.
    pub(crate) fn open(options: &ServerOptions, environment: &Environment) -> Result<Self, Failure> {
        let trust = &environment.trust;
        let ca_file = options.ca_file.as_ref().or(trust.ca_file.as_ref());
        let ca_pem = ca_file.map(|file| read_file(file)).transpose()?;
        let identity = identity(options, environment)?;
        let token = match (&options.token_file, &environment.token) {
            (Some(path), _) => {
                let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
                Some((format!("`{}`", path.display()), text))
            }
            (None, Some(token)) => Some(("`HEADWATER_TOKEN`".to_owned(), token.clone())),
            (None, None) => None,
        };
        let token = token
            .map(|(from, text)| text.parse().map_err(|source| Failure::Token { from, source }))
            .transpose()?;
        let named = options.server.as_deref().or(environment.server.as_deref());
        let server = named.unwrap_or(SERVER_DEFAULT);
        let api = Api::builder(server)
            .token(token)
            .ca_pem(ca_pem)
            .client_identity(identity)
            .build()?;
        Ok(Self {
            api,
            output: options.output.unwrap_or(Output::Text),
            now: environment.now,
            seed: environment.seed,
            repo: options.repo.clone(),
        })
    }

    /// The repository that was named, if one was.
    pub(crate) fn named_repo(&self) -> Option<RepoApi> {
        self.repo.as_ref().map(|name| self.api.in_repo(name))
    }

    /// The repository that was named, or the one that can only be meant.
    pub(crate) async fn repo(&self) -> Result<RepoApi, Failure> {
        if let Some(repo) = self.named_repo() {
            return Ok(repo);
        }
        let repos = match self.api.repos().await {
            Ok(list) => list.repos,
            // A token for programs, or for some configs, sees no list.
            Err(error) if error.code() == Some(ProblemCode::Forbidden) => {
                let name = REPO_DEFAULT.parse().map_err(|_| error)?;
                return Ok(self.api.in_repo(&name));
            }
            Err(error) => return Err(error.into()),
        };
        let names: Vec<&RepoName> = repos.iter().map(|repo| &repo.name).collect();
        match names.as_slice() {
            [] => Err(Failure::Refused {
                message: "the server follows no repository".to_owned(),
                hint:
                    "start it with `headwater serve --repo URL_OR_PATH`, or name repositories in its settings"
                        .to_owned(),
            }),
            [only] => Ok(self.api.in_repo(only)),
            several => match several.iter().find(|name| name.as_str() == REPO_DEFAULT) {
                Some(default) => Ok(self.api.in_repo(default)),
                None => Err(which_repo(several)),
            },
        }
    }
}

fn which_repo(names: &[&RepoName]) -> Failure {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Failure::Usage {
        message: format!("the server follows several repositories: {}", names.join(", ")),
        hint: "choose one with `--repo NAME`".to_owned(),
    }
}

/// The certificate that the options or the variables name.
fn identity(options: &ServerOptions, environment: &Environment) -> Result<Option<ClientIdentity>, Failure> {
    let trust = &environment.trust;
    let cert = options.client_cert.as_ref().or(trust.client_cert.as_ref());
    let key = options.client_key.as_ref().or(trust.client_key.as_ref());
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), key) => {
            let key = read_file(key.unwrap_or(cert))?;
            Ok(Some(ClientIdentity::from_pem(read_file(cert)?, key)))
        }
        (None, Some(_)) => Err(Failure::Usage {
            message: "a key is named, and no certificate that it belongs to".to_owned(),
            hint: "name the certificate with `--client-cert` or `HEADWATER_CLIENT_CERT`".to_owned(),
        }),
    }
}

/// The beginning of a file that an option names, up to 1 MiB.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// `KEY=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("a label is written `KEY=VALUE`"),
    }
}

/// A JSON pointer.
pub(crate) fn pointer(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a JSON pointer begins with a slash, such as `/pool/max`")
    }
}

/// A revision; the server resolves it.
pub(crate) fn revision(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_control() || c == ' ') {
        Err(
            "a revision is a commit id or a unique prefix of one, a tag, the followed branch, or counted from one as in `HEAD~1`",
        )
    } else {
        Ok(text.to_owned())
    }
}
