//! The command line: what can be typed, and how a command ends.
//!
//! Invariant: everything is printed through `Out`, answers to standard output and everything about the run itself to
//! standard error; the exit code is 0 fine, 1 findings or a refused request, 2 wrong usage, 3 server unreachable.
//! What is deliberately absent: the commands, one file each, and whatever they decide.

mod accept;
mod backup;
mod check;
mod completions;
mod configs;
mod demo;
mod diff;
mod explain;
mod explain_code;
mod failure;
mod findings;
mod get;
mod git;
mod holds;
mod init;
mod instance;
mod instances;
mod log;
mod options;
mod order;
mod orders;
pub(crate) mod out;
mod plan;
pub(crate) mod progress;
mod reader;
mod rollback;
mod rollouts;
mod sample;
mod schema;
mod serve;
mod status;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod token;
mod watch;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use headwater_wire::{RolloutOrder, Timestamp};

use failure::{Exit, Failure};
use options::{ServerOptions, Session};
use out::{Out, Paint};

use crate::git::quarantine::ObjectDirs;
use crate::sandbox;

/// Widest help text; longer lines are hard to read.
const HELP_WIDTH_MAX: usize = 100;

const AFTER_HELP: &str = "\
Every command that asks a server takes --server (or HEADWATER_SERVER), --repo, --output, and a token from \
HEADWATER_TOKEN or --token-file. Exit codes: 0 fine, 1 findings or a refused request, 2 wrong usage, 3 server \
unreachable.

Examples:
  headwater demo                                     # try it on this machine
  headwater serve --repo ../config                   # follow a repository of one's own
  headwater check                                    # the verdict, before pushing
  headwater get payments/prod /pool/max
  headwater watch payments/prod --output json";

/// Configuration from Git: judged, published, watched
///
/// A config version is a commit, a change is a pull request, a rollback is a revert commit. The first six commands
/// need no server; the others ask a running one, and what they show is also in its HTTP API.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Demo(demo::Demo),
    Init(init::Init),
    Check(check::Check),
    ExplainCode(explain_code::ExplainCode),
    Schema(schema::Schema),
    #[command(flatten)]
    Ask(Ask),
    Restore(backup::Restore),
    Token(token::Token),
    Completions(completions::Completions),
}

/// Commands that ask a server.
#[derive(Debug, Subcommand)]
enum Ask {
    Status(status::Status),
    Configs(configs::Configs),
    Get(get::Get),
    Watch(watch::Watch),
    Log(log::Log),
    Diff(diff::Diff),
    Explain(explain::Explain),
    Instances(instances::Instances),
    Plan(plan::Plan),
    Rollouts(rollouts::Rollouts),
    /// Let the next stage of a rollout begin
    ///
    /// The stage that waits for a person begins, or the open one is not waited for: what is left of its bake, and
    /// instances that do not run it yet. No freeze ends by it, a rollout that has stopped is resumed first, and instances
    /// that get ready cannot be skipped.
    Promote(order::Order),
    /// Stop a rollout, and let it stay as it is
    ///
    /// Nobody new gets the content, and those who have it keep it.
    Pause(order::Order),
    /// Let a rollout go on that was paused, or has halted
    ///
    /// Its deadlines and quiet times begin anew.
    Resume(order::Order),
    /// Turn everybody back to what they held before a rollout
    ///
    /// At once, and without Git. What it brought is held back until the branch has other content, or a person releases
    /// it. Where the server may write, a revert commit follows.
    Abort(order::Order),
    Accept(accept::Accept),
    Rollback(rollback::Rollback),
    Holds(holds::Holds),
    Release(holds::Release),
    Orders(orders::Orders),
    /// Confirm an order of another person, and have it carried out
    ///
    /// Look at it first: it is carried out as it was given, by your word and under both names. What has moved since is
    /// refused. Whoever gave an order cannot confirm it.
    Confirm(orders::Say),
    /// Withdraw an order that you gave and that waits for a second person
    Withdraw(orders::Say),
    Backup(backup::Backup),
}

/// Files of certificates that the environment names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// `HEADWATER_CA_FILE`.
    ca_file: Option<PathBuf>,
    /// `HEADWATER_CLIENT_CERT`.
    client_cert: Option<PathBuf>,
    /// `HEADWATER_CLIENT_KEY`.
    client_key: Option<PathBuf>,
}

/// What a run takes from outside besides its arguments, so that a test can give it.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// `HEADWATER_SERVER`. Not read by clap, which would let it win over an option before the command.
    server: Option<String>,
    /// `HEADWATER_TOKEN`.
    token: Option<String>,
    /// Whom to trust, and who this is by certificate.
    trust: Trust,
    /// All variables of the service's settings.
    variables: Vec<(String, String)>,
    /// `GIT_INDEX_FILE`, which Git sets for hooks where the index of a commit is not the usual one.
    git_index_file: Option<PathBuf>,
    /// Where Git keeps the objects of a push that waits for its hooks.
    git_objects: ObjectDirs,
    /// `GIT_AUTHOR_EMAIL`, which Git sets for hooks.
    git_author_email: Option<String>,
    /// This program, whose children work out verdicts.
    verdict_program: Option<PathBuf>,
    /// Colours of standard output.
    out_paint: Paint,
    /// Colours of standard error.
    err_paint: Paint,
    /// The clock.
    now: fn() -> Timestamp,
    /// Seed of the jitter between two attempts.
    seed: u64,
}

impl Environment {
    fn of_process() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let paint = |terminal| {
            if terminal && !plain {
                Paint::Ansi
            } else {
                Paint::Plain
            }
        };
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        Self {
            server: variable("HEADWATER_SERVER"),
            token: variable("HEADWATER_TOKEN"),
            trust: Trust {
                ca_file: variable("HEADWATER_CA_FILE").map(PathBuf::from),
                client_cert: variable("HEADWATER_CLIENT_CERT").map(PathBuf::from),
                client_key: variable("HEADWATER_CLIENT_KEY").map(PathBuf::from),
            },
            variables: settings_variables(),
            git_index_file: std::env::var_os("GIT_INDEX_FILE").map(PathBuf::from),
            git_objects: ObjectDirs::new(
                std::env::var_os("GIT_OBJECT_DIRECTORY").as_deref(),
                std::env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").as_deref(),
            ),
            git_author_email: variable("GIT_AUTHOR_EMAIL"),
            verdict_program: serve::own_program(),
            out_paint: paint(io::stdout().is_terminal()),
            err_paint: paint(io::stderr().is_terminal()),
            now: crate::clock::now,
            seed: rand::random(),
        }
    }
}

/// Variables that may be settings; one that is not UTF-8 is none of ours.
fn settings_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("HEADWATER_") || name.starts_with("OTEL_"))
        .collect()
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == sandbox::ARGUMENT)
    {
        return sandbox::child();
    }
    // Neither stream is locked, since a server started from here logs from other threads.
    let mut out = BufWriter::new(io::stdout());
    let code = run(
        std::env::args_os(),
        &Environment::of_process(),
        &mut out,
        &mut io::stderr(),
    );
    ExitCode::from(code)
}

/// Runs the program; gives the exit code.
fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let mut out = Out::new(out, environment.out_paint);
    let mut err = Out::new(err, environment.err_paint);
    let command = Cli::command().max_term_width(HELP_WIDTH_MAX);
    let cli = command
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let ended = match cli {
        Ok(cli) => start(cli, environment, &mut out, &mut err),
        Err(error) => usage(&error, &mut out, &mut err),
    };
    let ended = ended.and_then(|exit| out.flush().map(|()| exit).map_err(Failure::from));
    match ended {
        Ok(exit) => exit.code(),
        Err(failure) => {
            // Where standard error is gone too, the code alone has to tell.
            failure.print(&mut err).and_then(|()| err.flush()).ok();
            failure.code()
        }
    }
}

/// Prints what clap has to say: help and version are answers, everything else is wrong usage.
fn usage<'a>(error: &clap::Error, out: &mut Out<'a>, err: &mut Out<'a>) -> Result<Exit, Failure> {
    let text = error.render();
    let to = if error.use_stderr() { err } else { out };
    match to.paint() {
        Paint::Ansi => to.raw(text.ansi().to_string().as_bytes())?,
        Paint::Plain => to.raw(text.to_string().as_bytes())?,
    }
    Ok(if error.use_stderr() {
        Exit::WrongUsage
    } else {
        Exit::Fine
    })
}

fn start(cli: Cli, environment: &Environment, out: &mut Out<'_>, err: &mut Out<'_>) -> Result<Exit, Failure> {
    let Cli { server, command } = cli;
    match command {
        Command::Ask(ask) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Failure::Runtime)?;
            runtime.block_on(ask.run(&server, environment, out, err))
        }
        Command::Completions(completions) => completions.run(out),
        Command::ExplainCode(explain_code) => explain_code.run(out),
        Command::Schema(schema) => schema.run(out),
        Command::Serve(serve) => {
            server.refuse_any("serve")?;
            serve.run(environment, out, err)
        }
        Command::Demo(demo) => {
            server.refuse_any("demo")?;
            demo.run(environment, out, err)
        }
        Command::Init(init) => {
            server.refuse_any("init")?;
            init.run(out, err)
        }
        Command::Restore(restore) => {
            server.refuse_any("restore")?;
            restore.run(out)
        }
        Command::Token(token) => {
            server.refuse_any("token")?;
            token.run(environment, out, err)
        }
        Command::Check(check) => {
            server.refuse_any("check")?;
            check.run(environment, out, err)
        }
    }
}

impl Ask {
    /// Options may stand before and behind the command; the latter win.
    async fn run(
        &self,
        before: &ServerOptions,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let open = |options: &ServerOptions| Session::open(&options.or(before), environment);
        match self {
            Self::Status(status) => status.run(&open(&status.server)?, out).await,
            Self::Configs(configs) => configs.run(&open(&configs.server)?, out).await,
            Self::Get(get) => get.run(&open(&get.server)?, out).await,
            Self::Watch(watch) => watch.run(&open(&watch.server)?, out, err).await,
            Self::Log(log) => log.run(&open(&log.server)?, out).await,
            Self::Diff(diff) => diff.run(&open(&diff.server)?, out).await,
            Self::Explain(explain) => explain.run(&open(&explain.server)?, out).await,
            Self::Instances(instances) => instances.run(&open(&instances.server)?, out).await,
            Self::Plan(plan) => plan.run(&open(&plan.server)?, out).await,
            Self::Rollouts(rollouts) => rollouts.run(&open(&rollouts.server)?, out).await,
            Self::Promote(order) => order.run(RolloutOrder::Promote, &open(&order.server)?, out).await,
            Self::Pause(order) => order.run(RolloutOrder::Pause, &open(&order.server)?, out).await,
            Self::Resume(order) => order.run(RolloutOrder::Resume, &open(&order.server)?, out).await,
            Self::Abort(order) => order.run(RolloutOrder::Abort, &open(&order.server)?, out).await,
            Self::Accept(accept) => accept.run(&open(&accept.server)?, out).await,
            Self::Rollback(rollback) => rollback.run(&open(&rollback.server)?, out).await,
            Self::Holds(holds) => holds.run(&open(&holds.server)?, out).await,
            Self::Release(release) => release.run(&open(&release.server)?, out).await,
            Self::Orders(orders) => orders.run(&open(&orders.server)?, out).await,
            Self::Confirm(say) => say.confirm(&open(&say.server)?, out).await,
            Self::Withdraw(say) => say.withdraw(&open(&say.server)?, out).await,
            Self::Backup(backup) => backup.run(before, environment, out).await,
        }
    }
}
