//! What is probably a mistake in a schema that compiles all the same.
//!
//! Most mistakes in schemas make them accept more, silently: of 951 public schemas one in ten has keywords beside a
//! `$ref`, 1,627 in all, which its draft ignores. Invariant: a warning means that the schema refuses less, or more,
//! than it says; what only might be unusual is an info or nothing. One sentence is said once for a file, with a few of
//! the other places, so that a habit of an author is one finding. What is deliberately absent: schemas that no config
//! uses, and drafts with a meta-schema of their own, whose keywords nobody here knows.

mod keywords;

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{Finding, Severity, Span};
use serde_json::{Value as Json, json};

use super::compile::configured;
use super::store::decode;
use super::{Dialect, Formats, SchemaOptions, formats};
use crate::document::lines::LineIndex;
use crate::document::{Member, Node, Range, Value};
use crate::pointer;
use crate::source::Source;
use crate::suggest;
use keywords::{Effect, FOREIGN, Holds, Keyword, NOTES};

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
        let mut walk = Walk {
            linter: self,
            seen: BTreeSet::new(),
            pointer: String::new(),
            said: BTreeMap::new(),
        };
        if let Some(dialect) = dialect {
            if used == Use::Bound && named.is_none() && !source.root.members().is_empty() {
                walk.say_no_dialect(dialect);
            }
            if used == Use::Bound || is_schema(&source.root) {
                walk.schema(&source.root, dialect);
            }
            walk.targets(&source.root, dialect);
        }
        let said = walk.said;
        if used == Use::Bound {
            self.dialect = dialect;
        }
        self.findings(source, said)
    }

    fn findings(&self, source: &Source, said: BTreeMap<(&'static str, String), Said>) -> Vec<Finding> {
        let index = LineIndex::new(&*source.bytes);
        let is_place = |pointer: &str| {
            let inside = format!("{pointer}/");
            self.targets.iter().any(|target| target.starts_with(&inside))
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

/// The walk through one file.
struct Walk<'a> {
    linter: &'a mut Linter,
    seen: BTreeSet<Range>,
    pointer: String,
    said: BTreeMap<(&'static str, String), Said>,
}

impl Walk<'_> {
    /// Schemas that are found by references alone.
    fn targets(&mut self, root: &Node, dialect: Dialect) {
        let mut done = BTreeSet::new();
        loop {
            let next: Vec<String> = self.linter.targets.difference(&done).cloned().collect();
            if next.is_empty() {
                return;
            }
            for target in next {
                if let Some(node) = root.at(&target) {
                    self.pointer.clone_from(&target);
                    self.schema(node, dialect);
                }
                done.insert(target);
            }
        }
    }

    fn schema(&mut self, node: &Node, dialect: Dialect) {
        if node.members().is_empty() || !self.seen.insert(node.range) {
            return;
        }
        let embedded = node.get("$schema").and_then(Node::as_str);
        let Some(dialect) = embedded.map_or(Some(dialect), Dialect::of_uri) else {
            return;
        };
        if let Some(reference) = node.get("$ref").and_then(Node::as_str) {
            let fragment = reference.split_once('#').map(|(_, fragment)| decode(fragment));
            self.linter
                .targets
                .extend(fragment.filter(|fragment| fragment.starts_with('/')));
            if dialect <= Dialect::Draft7 {
                self.beside_reference(node, dialect);
                return;
            }
        }
        for member in node.members() {
            self.member(member, dialect);
        }
        self.impossible_required(node);
    }

    fn member(&mut self, member: &Member, dialect: Dialect) {
        let outer = self.pointer.len();
        pointer::push(&mut self.pointer, &member.key);
        match keywords::keyword(&member.key) {
            Some(keyword) if keyword.drafts.contains(&dialect) => {
                self.below(&member.value, keyword.holds, dialect);
                if keyword.name == "format" {
                    self.format(&member.value);
                }
            }
            Some(keyword) => self.other_draft(member, keyword, dialect),
            None => self.unknown(member, dialect),
        }
        self.pointer.truncate(outer);
    }

    /// Goes into the schemas that a keyword holds.
    fn below(&mut self, value: &Node, holds: Holds, dialect: Dialect) {
        match (holds, &value.value) {
            (Holds::Schema | Holds::OneOrMany, Value::Obj(_)) => self.schema(value, dialect),
            (Holds::Schemas | Holds::OneOrMany, Value::Arr(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.child(&at.to_string(), item, dialect);
                }
            }
            (Holds::ByName, Value::Obj(members)) => {
                for member in members {
                    self.child(&member.key, &member.value, dialect);
                }
            }
            _ => {}
        }
    }

    fn child(&mut self, token: &str, node: &Node, dialect: Dialect) {
        let outer = self.pointer.len();
        pointer::push(&mut self.pointer, token);
        self.schema(node, dialect);
        self.pointer.truncate(outer);
    }

    /// Up to draft 7 a reference is all there is of its schema; only what is kept there can be referred to.
    fn beside_reference(&mut self, node: &Node, dialect: Dialect) {
        let mut ignored = Vec::new();
        for member in node.members() {
            let Some(keyword) = keywords::keyword(&member.key) else {
                continue;
            };
            if keyword.effect == Effect::Asserts && keyword.name != "$ref" {
                ignored.push(member);
            } else if keyword.holds == Holds::ByName {
                self.member(member, dialect);
            }
        }
        let Some(first) = ignored.first() else { return };
        let names: Vec<&str> = ignored.iter().map(|member| &*member.key).collect();
        let message = format!(
            "ignored beside `$ref` in {}: {}",
            dialect.name(),
            suggest::list(&names)
        );
        let hint = "put the reference into `allOf`, or name 2019-09 or a newer draft in `$schema`";
        self.say_at_key(first, ("lint/ref-siblings", Severity::Warning), (message, hint));
    }

    fn other_draft(&mut self, member: &Member, keyword: &Keyword, dialect: Dialect) {
        if keyword.effect == Effect::Describes {
            return;
        }
        let (first, last) = (keyword.drafts.start().name(), keyword.drafts.end().name());
        let drafts = if first == last {
            first.to_owned()
        } else {
            format!("{first} to {last}")
        };
        let message = format!(
            "ignored in {}, because it is a keyword of {drafts}: `{}`",
            dialect.name(),
            keyword.name
        );
        let hint = "name a draft that has it in `$schema`, or say it in the words of this one";
        self.say(member, ("lint/other-draft", Severity::Warning), (message, hint));
    }

    fn unknown(&mut self, member: &Member, dialect: Dialect) {
        let key = &*member.key;
        if key.starts_with(['_', '/', '$'])
            || key.starts_with("x-")
            || key.contains(':')
            || NOTES.contains(&key)
        {
            return;
        }
        let foreign = FOREIGN.iter().find(|(name, _)| *name == key);
        let near = suggest::closest(key, keywords::of_draft(dialect).map(|keyword| keyword.name));
        let (severity, hint) = match (foreign, near) {
            (Some((_, hint)), _) => (Severity::Warning, (*hint).to_owned()),
            (None, Some(near)) => (weight(near), format!("did you mean `{near}`?")),
            (None, None) => (
                Severity::Info,
                "a note of your own is told from a typo by a name such as `x-…`".to_owned(),
            ),
        };
        let message = format!("no keyword of {}, so it is ignored: `{key}`", dialect.name());
        self.say(member, ("lint/unknown-keyword", severity), (message, &hint));
    }

    /// Where formats are asserted, an unknown one is a mistake that the schema cannot be used with.
    fn format(&mut self, value: &Node) {
        let Some(name) = value.as_str() else { return };
        if self.linter.options.formats == Formats::Assert || formats::is_known(name) {
            return;
        }
        if let Some(near) = formats::closest(name) {
            let said = (
                format!("no such format: `{name}`"),
                format!("did you mean `{near}`?"),
            );
            self.say_range(
                value.range,
                ("lint/unknown-format", Severity::Info),
                (said.0, &said.1),
            );
        }
    }

    fn impossible_required(&mut self, node: &Node) {
        let is_closed = node
            .get("additionalProperties")
            .is_some_and(|node| node.value == Value::Bool(false));
        let Some(required) = node.get("required").filter(|_| is_closed) else {
            return;
        };
        let properties = node.get("properties").map(Node::members).unwrap_or_default();
        let known: BTreeSet<&str> = properties.iter().map(|member| &*member.key).collect();
        let outer = self.pointer.len();
        for (at, item) in required.items().iter().enumerate() {
            let Some(name) = item.as_str().filter(|name| !known.contains(name)) else {
                continue;
            };
            if self.fits_pattern(node, name) {
                continue;
            }
            pointer::push(&mut self.pointer, "required");
            pointer::push(&mut self.pointer, &at.to_string());
            let message =
                format!("required, and forbidden by `additionalProperties`, so no object fits: `{name}`");
            let hint = suggest::closest(name, known.iter().copied()).map_or_else(
                || "add it to `properties`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.say_range(
                item.range,
                ("lint/impossible-required", Severity::Warning),
                (message, &hint),
            );
            self.pointer.truncate(outer);
        }
    }

    /// Asked of the schema crate, so that a pattern means what it means there.
    fn fits_pattern(&self, node: &Node, name: &str) -> bool {
        let patterns = node
            .get("patternProperties")
            .map(Node::members)
            .unwrap_or_default();
        if patterns.is_empty() {
            return false;
        }
        let patterns: serde_json::Map<String, Json> = patterns
            .iter()
            .map(|member| (member.key.to_string(), json!({})))
            .collect();
        let schema = json!({ "patternProperties": patterns, "additionalProperties": false });
        let built = configured(&schema, self.linter.options).build(&schema);
        built.map_or(true, |schema| schema.is_valid(&json!({ name: null })))
    }

    fn say_no_dialect(&mut self, dialect: Dialect) {
        let said = Said {
            severity: Severity::Info,
            ranges: Vec::new(),
            pointer: String::new(),
            hint: format!(
                "add `\"$schema\": \"{}\"`, so that editors read it alike",
                dialect.uri()
            ),
        };
        let message = format!(
            "names no draft in `$schema`, so the default one holds: `{}`",
            dialect.name()
        );
        self.said.insert(("lint/no-dialect", message), said);
    }

    /// At a keyword of the schema that the pointer is at.
    fn say_at_key(&mut self, member: &Member, kind: (&'static str, Severity), said: (String, &str)) {
        let outer = self.pointer.len();
        pointer::push(&mut self.pointer, &member.key);
        self.say(member, kind, said);
        self.pointer.truncate(outer);
    }

    fn say(&mut self, member: &Member, kind: (&'static str, Severity), said: (String, &str)) {
        self.say_range(member.key_range, kind, said);
    }

    fn say_range(
        &mut self,
        range: Range,
        (code, severity): (&'static str, Severity),
        (message, hint): (String, &str),
    ) {
        let pointer = &self.pointer;
        let said = self.said.entry((code, message)).or_insert_with(|| Said {
            severity,
            ranges: Vec::new(),
            pointer: pointer.clone(),
            hint: hint.to_owned(),
        });
        said.ranges.push(range);
    }
}

/// A misspelt note does no harm.
fn weight(meant: &str) -> Severity {
    match keywords::keyword(meant).map(|keyword| keyword.effect) {
        Some(Effect::Asserts) => Severity::Warning,
        Some(Effect::Describes) | None => Severity::Info,
    }
}
