//! `headwater schema`: JSON Schemas for editors.

use clap::{Args, ValueEnum};
use headwater_validators::MANIFEST_SCHEMA;

use super::failure::{Exit, Failure};
use super::out::Out;

const EXAMPLES: &str = "\
An editor with a language server for TOML (such as Taplo) completes and checks headwater.toml with it, if the first \
line of that file names it: `#:schema ./.headwater.schema.json`.

Examples:
  headwater schema manifest > .headwater.schema.json";

/// Print a JSON Schema for an editor
///
/// The schema knows keys, types and choices. What depends on the files of the repository, only `headwater check` can
/// say.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Schema {
    /// What to describe: `manifest`, which is headwater.toml
    #[arg(value_enum, hide_possible_values = true)]
    what: Described,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Described {
    /// `headwater.toml`.
    Manifest,
}

impl Schema {
    pub(super) fn run(&self, out: &mut Out<'_>) -> Result<Exit, Failure> {
        match self.what {
            Described::Manifest => out.raw(MANIFEST_SCHEMA.as_bytes())?,
        }
        Ok(Exit::Fine)
    }
}
