//! What every finding code means, why it matters and what to do about it: one table, from which `headwater
//! explain-code`, the page of codes and the rules of a SARIF log are made.
//!
//! Invariant: a code is in the table once, and a test finds every code that the sources can emit in it. To add one,
//! add an [`Explanation`] to the file of its family, keep the order, and write the page anew as the test says. What is
//! deliberately absent: the messages, which stand where the finding is made.

mod floor;
mod guard;
mod limit;
mod lint;
mod manifest;
mod merge;
mod overrides;
mod page;
mod parse;
mod protect;
mod rule;
mod schema;
mod secret;
mod signal;
mod signature;
mod tree;
mod webhook;

use headwater_wire::Severity;

use crate::suggest;

pub use page::{PAGE_PATH, page};

/// All families, in the order of their names.
const FAMILIES: &[Family] = &[
    floor::FAMILY,
    guard::FAMILY,
    limit::FAMILY,
    lint::FAMILY,
    manifest::FAMILY,
    merge::FAMILY,
    overrides::FAMILY,
    parse::FAMILY,
    protect::FAMILY,
    rule::FAMILY,
    schema::FAMILY,
    secret::FAMILY,
    signal::FAMILY,
    signature::FAMILY,
    tree::FAMILY,
    webhook::FAMILY,
];

/// Codes with one beginning.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// What stands before the slash.
    name: &'static str,
    /// What the codes have in common, in a sentence.
    about: &'static str,
    /// Sorted by code.
    codes: &'static [Explanation],
}

/// One code, explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code; one that ends in `/*` stands for all codes that begin like it.
    pub code: &'static str,
    /// The heaviest severity it is reported with.
    pub severity: Severity,
    /// What it says, in a sentence.
    pub meaning: &'static str,
    /// Why it is worth a finding, in sentences.
    pub reason: &'static str,
    /// Where it is found.
    pub example: Example,
    /// What to do about it, in sentences.
    pub remedy: &'static str,
}

/// What a code is found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// Files of a repository, as path and content.
    Files(&'static [(&'static str, &'static str)]),
    /// A JSON Schema, and a TOML document that breaks it, which a manifest brings together.
    Schema(&'static str, &'static str),
    /// In words, where no few files show it.
    Words(&'static str),
}

/// All explanations, sorted by code.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    FAMILIES.iter().flat_map(|family| family.codes)
}

/// The explanation of a code: its own, before one of its kind.
pub fn find(code: &str) -> Option<&'static Explanation> {
    let own = all().find(|explanation| explanation.code == code);
    own.or_else(|| all().find(|explanation| explanation.explains(code)))
}

/// The code that a misspelt one is closest to; the part behind the slash will do.
pub fn closest(code: &str) -> Option<&'static str> {
    let by_name = || {
        let names = all().filter_map(|explanation| explanation.code.split('/').nth(1));
        let near = suggest::closest(code, names)?;
        all().find(|explanation| explanation.code.split('/').nth(1) == Some(near))
    };
    suggest::closest(code, all().map(|explanation| explanation.code))
        .or_else(|| by_name().map(|explanation| explanation.code))
}

impl Explanation {
    /// Whether `code` is this one, or one of its kind.
    pub fn explains(&self, code: &str) -> bool {
        match self.code.strip_suffix('*') {
            Some(beginning) => code.strip_prefix(beginning).is_some_and(|id| !id.is_empty()),
            None => self.code == code,
        }
    }
}

impl Example {
    /// The files of a repository that shows it; none where it takes words.
    pub fn files(&self) -> Vec<(&'static str, &'static str)> {
        match *self {
            Self::Files(files) => files.to_vec(),
            Self::Schema(schema, document) => vec![
                (crate::manifest::PATH, SCHEMA_MANIFEST),
                ("web.schema.json", schema),
                ("web.toml", document),
            ],
            Self::Words(_) => Vec::new(),
        }
    }
}

/// What brings the two parts of [`Example::Schema`] together.
const SCHEMA_MANIFEST: &str = "\
format = 1
[[config]]
name = \"web\"
layers = [\"web.toml\"]
schema = \"web.schema.json\"
";
