//! `headwater serve`: the service itself.
//!
//! Invariant: a flag is only another way to write a setting; what a value means and what is wrong with it is decided
//! in `settings`, and all mistakes of file, environment and flags are told together.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use headwater_core::count;
use tracing::warn;

use super::Environment;
use super::failure::{Exit, Failure};
use super::out::{Out, Tone};
use super::text::clean;
use crate::auth::Gate;
use crate::listeners::Addresses;
use crate::process::{self, ProcessError};
use crate::settings::{Flags, KeyHelp, Mistake, Settings, Table, key_help, load};
use crate::start_error::StartError;

/// Follow repositories and serve their configs
///
/// Mirrors each repository, judges every commit and publishes the good ones. A repository is all it needs; everything
/// else has a default. Settings come from a file, then from the environment, then from flags; later ones win. Ends at
/// SIGTERM or Ctrl-C once open requests are finished; SIGHUP reads the settings again and takes what needs no restart.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(crate) struct Serve {
    /// Settings file [default: headwater-server.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Repository to follow: a path, or an address that `git clone` takes
    #[arg(long, value_name = "URL_OR_PATH")]
    repo: Option<String>,
    /// Branch to follow [default: the default branch of the repository]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Directory for mirrors and decisions [default: ./headwater-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port to listen on [default: 127.0.0.1:7171]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// PEM file of the certificate to speak HTTPS with
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Mean time between two looks at a repository, 1s or more [default: 30s]
    #[arg(long, value_name = "TIME")]
    poll_interval: Option<String>,
    /// Allow reverts, and notes of what became of commits, to be pushed to the repository
    #[arg(long)]
    allow_write: bool,
    /// Listen where other machines reach it, although nobody is asked who they are
    #[arg(long)]
    insecure_no_auth: bool,
    /// Level of the log, or a list such as `info,headwater_server::git=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// `text`, `json`, or `auto`: text on a terminal [default: auto]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Print all mistakes in the settings, or that there are none, and end
    #[arg(long)]
    check_settings: bool,
}

const EXAMPLES: &str = "\
Examples:
  headwater serve --repo https://forge.example/acme/config.git
  headwater serve --repo ../config --poll-interval 1s
  headwater serve --settings /etc/headwater/headwater-server.toml --check-settings";

/// Every setting, from the table that also reads them.
fn long_help() -> String {
    let mut text = String::from("Settings, as a key of the file and as a variable:\n");
    keys(&mut text, Table::Server);
    text.push_str("\nIn each [[repo]] table of the file; the variables speak of the only repository:\n");
    keys(&mut text, Table::Repo);
    text.push_str("\nIn each [[hook]] table of the file; the variables speak of the only webhook:\n");
    keys(&mut text, Table::Hook);
    text.push_str("\nIn each [forge.NAME] table of the file; the variables speak of the only forge:\n");
    keys(&mut text, Table::Forge);
    text.push_str("\nIn each [webhook.NAME] table of the file; the variables speak of the only one that rules may ask:\n");
    keys(&mut text, Table::Webhook);
    text.push_str("\nIn each [signal.NAME] table of the file; the variables speak of the only one that rollouts may ask:\n");
    keys(&mut text, Table::Signal);
    text.push_str(
        "\nIn each [alert.NAME] table of the file; the variables speak of the only one who is told:\n",
    );
    keys(&mut text, Table::Alert);
    text.push_str(
        "\nIn each [issuer.NAME] table of the file; the variables speak of the only one whose word counts:\n",
    );
    keys(&mut text, Table::Issuer);
    text.push_str("\nIn each [grant.NAME] table of the file; the variables speak of the only grant:\n");
    keys(&mut text, Table::Grant);
    text.push_str("\nIn the [fleet] table of the file:\n");
    keys(&mut text, Table::Fleet);
    text.push_str(
        "\nIn the [telemetry] table of the file; the `OTEL_…` variables of OpenTelemetry are read, too:\n",
    );
    keys(&mut text, Table::Telemetry);
    text.push_str("\nIn the [tls] table of the file:\n");
    keys(&mut text, Table::Tls);
    text.push_str("\nIn the [admin] table of the file:\n");
    keys(&mut text, Table::Admin);
    text.push_str("\nIn the [limits] table of the file:\n");
    keys(&mut text, Table::Limits);
    text.push_str("\nIn the [proxy_auth] table of the file:\n");
    keys(&mut text, Table::ProxyAuth);
    text.push_str("\nIn the [orders] table of the file:\n");
    keys(&mut text, Table::Orders);
    text.push('\n');
    text.push_str(EXAMPLES);
    text
}

fn keys(text: &mut String, table: Table) {
    for KeyHelp {
        name,
        variable,
        default,
        help,
        ..
    } in key_help().iter().filter(|key| key.table == table)
    {
        let default = if default.is_empty() {
            String::new()
        } else {
            format!("  [default: {default}]")
        };
        // Writing to a string cannot fail.
        write!(text, "  {name:<18} {variable}{default}\n      {help}\n").ok();
    }
}

impl Serve {
    pub(super) fn run(
        self,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let (flags, variables) = (self.flags(), environment.variables.clone());
        let settings = match read(&flags, &variables) {
            Ok(settings) => settings,
            Err(mistakes) => {
                tell(&mistakes, err)?;
                return Ok(if self.check_settings {
                    Exit::Findings
                } else {
                    Exit::WrongUsage
                });
            }
        };
        if self.check_settings {
            // Nothing would start without it, and nothing else reads it.
            Gate::new(settings.tokens_file.as_deref())
                .map_err(|error| ProcessError::Start(StartError::tokens(&error)))?;
            for (message, hint) in settings.warnings() {
                let paint = err.paint();
                err.line(format!(
                    "{} {}",
                    paint.apply(Tone::Bad, "warning:"),
                    clean(&message)
                ))?;
                err.line(format!("  {} {}", paint.apply(Tone::Hint, "hint:"), clean(hint)))?;
            }
            out.line("settings are good")?;
            return Ok(Exit::Fine);
        }
        let scheme = |is_encrypted: bool| if is_encrypted { "https" } else { "http" };
        let of_main = scheme(settings.tls.is_some());
        let of_admin = scheme(settings.admin.as_ref().is_some_and(|admin| admin.tls.is_some()));
        let mut told = Ok(());
        process::serve(
            settings,
            move || reload(&flags, &variables),
            |Addresses { main, admin }| {
                let lines = [
                    Some(format!("listening on {of_main}://{main}")),
                    admin.map(|admin| format!("admin listener on {of_admin}://{admin}")),
                ];
                told = lines
                    .into_iter()
                    .flatten()
                    .try_for_each(|line| out.line(line))
                    .and_then(|()| out.flush());
            },
        )?;
        // Whoever started it may have closed the output; that was no reason to stop serving.
        told.ok();
        Ok(Exit::Fine)
    }

    /// What was said on the command line, as settings.
    fn flags(&self) -> Flags {
        let on = |is_set: bool| is_set.then(|| "true".to_owned());
        let values = [
            ("--repo", "url", self.repo.clone()),
            ("--branch", "branch", self.branch.clone()),
            ("--data-dir", "data_dir", self.data_dir.clone()),
            ("--listen", "listen", self.listen.clone()),
            ("--tls-cert", "cert_file", self.tls_cert.clone()),
            ("--tls-key", "key_file", self.tls_key.clone()),
            ("--poll-interval", "poll_interval", self.poll_interval.clone()),
            ("--allow-write", "allow_write", on(self.allow_write)),
            (
                "--insecure-no-auth",
                "insecure_no_auth",
                on(self.insecure_no_auth),
            ),
            ("--log", "log", self.log.clone()),
            ("--log-format", "log_format", self.log_format.clone()),
        ];
        Flags {
            file: self.settings.clone(),
            values: values
                .into_iter()
                .filter_map(|(flag, key, text)| Some((flag, key, text?)))
                .collect(),
        }
    }
}

/// The settings, and what only a process has: a program to work out verdicts in.
fn read(flags: &Flags, variables: &[(String, String)]) -> Result<Settings, Vec<Mistake>> {
    let mut settings = load(flags, variables)?;
    settings.verdict_program = own_program();
    Ok(settings)
}

/// This very program, even if another version was put into its place since it started. Where it cannot be named,
/// verdicts are worked out without a child.
pub(super) fn own_program() -> Option<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        Some(running)
    } else {
        std::env::current_exe().ok()
    }
}

fn tell(mistakes: &[Mistake], err: &mut Out<'_>) -> std::io::Result<()> {
    let paint = err.paint();
    for mistake in mistakes {
        let place = paint.apply(Tone::Strong, &format!("{}:", clean(&mistake.place.to_string())));
        err.line(format!(
            "{} {place} {}",
            paint.apply(Tone::Bad, "error:"),
            clean(&mistake.message)
        ))?;
        if let Some(hint) = &mistake.hint {
            err.line(format!("  {} {}", paint.apply(Tone::Hint, "hint:"), clean(hint)))?;
        }
    }
    err.line(format!("{} in the settings", count(mistakes.len(), "mistake")))
}

/// Reads the settings again; mistakes go to the log, since nobody may be at the terminal any more.
fn reload(flags: &Flags, variables: &[(String, String)]) -> Option<Settings> {
    match read(flags, variables) {
        Ok(settings) => Some(settings),
        Err(mistakes) => {
            for mistake in mistakes {
                warn!(hint = mistake.hint, "{}: {}", mistake.place, mistake.message);
            }
            None
        }
    }
}
