//! `headwater completions`: what a shell needs to complete the other commands.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;
use super::failure::{Exit, Failure};
use super::out::Out;

const EXAMPLES: &str = "\
Examples:
  headwater completions bash > /etc/bash_completion.d/headwater
  headwater completions zsh > \"${fpath[1]}/_headwater\"
  headwater completions fish > ~/.config/fish/completions/headwater.fish";

/// Print the completions of a shell
///
/// Write them where the shell looks for them, and start it again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut Out<'_>) -> Result<Exit, Failure> {
        // Written to memory first: the generator panics where a write fails, and a pipe may be closed.
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "headwater", &mut script);
        out.raw(&script)?;
        Ok(Exit::Fine)
    }
}
