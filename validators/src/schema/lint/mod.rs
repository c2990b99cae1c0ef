//! What is probably a mistake in a schema that compiles all the same.
//!
//! Most mistakes in schemas make them accept more, silently: of 951 public schemas one in ten has keywords beside a
//! `$ref`, 1,627 in all, which its draft ignores. Invariant: a warning means that the schema refuses less, or more,
//! than it says; what only might be unusual is an info or nothing. One sentence is said once for a file, with a few of
//! the other places, so that a habit of an author is one finding. What is deliberately absent: schemas that no config
//! uses, and drafts with a meta-schema of their own, whose keywords nobody here knows.

mod keywords;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use headwater_wire::{Finding, Severity, Span};

use super::{Dialect, SchemaOptions};
use crate::document::lines::LineIndex;
use crate::document::{Node, Range};
use crate::source::Source;
use walk::Walk;

/// Most other places that are shown with a finding.
const RELATED_MAX: usize = 5;

/// How a schema file came to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A config names it.
    Bound,
    /// A reference led to it.
    Referred,
}

/// Looks through schemas that refer to each other, in the order in which one leads to the next.
pub(super) struct Linter {
    options: SchemaOptions,
    /// Draft of the files that name none.
    dialect: Option<Dialect>,
    /// Fragments that are pointers, of all references so far: each names a schema, wherever it is kept.
    targets: BTreeSet<String>,
}

impl Linter {
    pub(super) fn new(options: SchemaOptions) -> Self {
        Self {
            options,
            dialect: Some(options.dialect),
            targets: BTreeSet::new(),
        }
    }

    /// Findings for one file.
    pub(super) fn file(&mut self, source: &Source, used: Use) -> Vec<Finding> {
        let named = source.root.get("$schema").and_then(Node::as_str);
        let dialect = named.map_or(self.dialect, Dialect::of_uri);
        let mut walk = Walk::new(self);
        if let Some(dialect) = dialect {
            if used == Use::Bound && named.is_none() && !source.root.members().is_empty() {
                walk.say_no_dialect(dialect);
            }
            if used == Use::Bound || is_schema(&source.root) {
                walk.schema(&source.root, dialect);
            }
            walk.targets(&source.root, dialect);
        }
        let said = walk.finish();
        if used == Use::Bound {
            self.dialect = dialect;
        }
        self.findings(source, said)
    }

    fn findings(&self, source: &Source, said: Sentences) -> Vec<Finding> {
        let index = LineIndex::new(&*source.bytes);
        // A word that references go through is a place where schemas are kept.
        let is_place = |pointer: &str| {
            let inside = format!("{pointer}/");
            let mut from = self
                .targets
                .range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded));
            from.next().is_some_and(|target| target.starts_with(&inside))
        };
        let told = said
            .into_iter()
            .filter(|((code, _), said)| *code != "lint/unknown-keyword" || !is_place(&said.pointer));
        told.map(|((code, message), said)| said.finding(code, message, (source, &index)))
            .collect()
    }
}

/// Whether a file that a reference led into is a schema as a whole, and not just a place where some are kept.
fn is_schema(root: &Node) -> bool {
    root.members()
        .iter()
        .any(|member| keywords::keyword(&member.key).is_some())
}

/// Sentences by code and words.
type Sentences = BTreeMap<(&'static str, String), Said>;

/// One sentence and where it holds.
struct Said {
    severity: Severity,
    /// None for the file as a whole.
    ranges: Vec<Range>,
    pointer: String,
    hint: String,
}

impl Said {
    fn finding(self, code: &str, message: String, (source, index): (&Source, &LineIndex<'_>)) -> Finding {
        let path = source.path.as_str();
        let mut ranges = self.ranges.into_iter();
        let span = ranges.next().map_or(Span::START, |range| index.span(range));
        let mut finding = Finding::new(code, self.severity, (path, span), message);
        if span != Span::START {
            finding = finding.pointer(self.pointer);
        }
        for range in ranges.by_ref().take(RELATED_MAX) {
            finding = finding.related(path, index.span(range), "here too");
        }
        match ranges.len() {
            0 => finding.hint(self.hint),
            more => finding.hint(format!("{}; the same in {more} more places", self.hint)),
        }
    }
}
