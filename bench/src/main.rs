//! `headwater-bench`: what the service costs, beside what the same would cost at least.
//!
//! Invariant: each figure stands beside its floor, measured in the same run and in turns with it, since machines are
//! shared and only ratios within one run count. The service under test is the real one: this program started again as
//! `headwater serve`, or another build by `--server`. What is deliberately absent: any threshold of time or of speed. Only
//! the modes `hostile` and `soak` have bounds, of what a peer can do to others and of what grows, and their end says whether
//! they held.

mod ask;
mod child;
mod commit;
mod crowd;
mod deployment;
mod end_to_end;
mod failure;
mod floor;
mod herd;
mod history;
mod hook;
mod hostile;
mod instances;
mod load;
mod read;
mod report;
mod repository;
mod soak;
mod twin;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use headwater_server::{cli, sandbox};

use crate::failure::Failure;

const AFTER_HELP: &str = "\
Each mode measures its floor in the same run: the least work that gives the same answer. Compare ratios, never
milliseconds of two runs. Build with --release; a development build measures itself.

Examples:
  headwater-bench read
  headwater-bench watch --watchers 9000
  headwater-bench watch --long-poll --json
  headwater-bench commit --files 1000,10000,100000   # what a large repository costs
  headwater-bench end-to-end --instances 1000        # from the push to the last program
  headwater-bench load                               # a read in a program
  headwater-bench herd                               # everybody at once, after a change and after a restart
  headwater-bench soak --for 10m                     # a day in minutes; fails if something grows
  headwater-bench hostile                            # beside those who mean harm; fails if a bound does not hold
  headwater-bench read --quick                       # only whether it works";

/// Measure what the service costs
///
/// Starts the service and its floors as processes of their own on loopback, each on the first processor if there are
/// two and `taskset` is installed, and asks them from this process. Everything it starts ends with it.
#[derive(Debug, Parser)]
#[command(name = "headwater-bench", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

/// What all modes take.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Only see whether it works: small numbers, figures that mean nothing
    #[arg(long)]
    quick: bool,
    /// Print one JSON object per line instead of a table
    #[arg(long)]
    json: bool,
    /// Rounds, of which the median is printed [default: 10, quick: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Another build of `headwater` to measure [default: this one]
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

impl Options {
    /// How often each thing is measured.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 10 })
    }
}

#[derive(Debug, Subcommand)]
enum Mode {
    Read(read::Read),
    Watch(watch::Watch),
    Commit(commit::Commit),
    EndToEnd(end_to_end::EndToEnd),
    Load(load::Load),
    Herd(herd::Herd),
    Soak(soak::Soak),
    Hostile(hostile::Hostile),
    /// A floor or a twin, as a process of its own.
    #[command(hide = true)]
    Serving {
        what: child::Serving,
        /// Bytes of an answer.
        bytes: usize,
    },
    /// Those who mean harm, as a process of its own.
    #[command(hide = true)]
    Attacking(hostile::Order),
}

#[expect(clippy::print_stderr, reason = "a program that says what went wrong")]
fn main() -> ExitCode {
    // The service, the children that work out its verdicts, and what makes tokens are this program too.
    let first = std::env::args().nth(1);
    if first.is_some_and(|first| first == "serve" || first == "token" || first == sandbox::ARGUMENT) {
        return cli::main();
    }
    match run(Cli::parse().mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Read(read) => read.run(),
        Mode::Watch(watch) => watch.run(),
        Mode::Commit(commit) => commit.run(),
        Mode::EndToEnd(way) => way.run(),
        Mode::Load(load) => load.run(),
        Mode::Herd(herd) => herd.run(),
        Mode::Soak(soak) => soak.run(),
        Mode::Hostile(hostile) => hostile.run(),
        Mode::Attacking(order) => order.run(),
        Mode::Serving { what, bytes } => match what {
            child::Serving::Canned => floor::canned(bytes),
            child::Serving::Push => floor::push(bytes),
            child::Serving::Herd => floor::herd(bytes),
            child::Serving::Twin => twin::serve(bytes),
        },
    }
}
