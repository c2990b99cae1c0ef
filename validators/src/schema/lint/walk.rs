//! From keyword to keyword through one schema file.
//!
//! Invariant: no schema is looked at twice, and the work is about linear in the file, whatever it holds. What is
//! deliberately absent: values of `const`, `enum`, `default` and `examples`, which are no schemas.

use std::collections::BTreeSet;

use headwater_wire::Severity;
use serde_json::{Value as Json, json};

use super::super::compile::configured;
use super::super::store::decode;
use super::super::{Dialect, Formats, formats};
use super::keywords::{self, Effect, FOREIGN, Holds, Keyword, NOTES};
use super::{Linter, Said, Sentences};
use crate::document::{Member, Node, Range, Value};
use crate::pointer;
use crate::suggest;

/// Most sentences about one file; a commit shows a hundred findings.
const SENTENCES_MAX: usize = 200;

/// Most schemas of one file that only references lead to; each is looked up from the top.
const LOOKED_UP_MAX: usize = 1_000;

/// The walk through one file.
pub(super) struct Walk<'a> {
    linter: &'a mut Linter,
    /// Pointers of the schemas that were looked at.
    seen: BTreeSet<String>,
    /// Pointers that references name and that were not looked up yet.
    waiting: Vec<String>,
    /// Where the walk is.
    pointer: String,
    said: Sentences,
}

impl<'a> Walk<'a> {
    pub(super) fn new(linter: &'a mut Linter) -> Self {
        let waiting = linter.targets.iter().cloned().collect();
        Self {
            linter,
            seen: BTreeSet::new(),
            waiting,
            pointer: String::new(),
            said: Sentences::new(),
        }
    }

    pub(super) fn finish(self) -> Sentences {
        self.said
    }

    /// Schemas that are found by references alone.
    pub(super) fn targets(&mut self, root: &Node, dialect: Dialect) {
        let mut looked_up = 0;
        while let Some(target) = self.waiting.pop() {
            if self.seen.contains(&target) || looked_up >= LOOKED_UP_MAX {
                continue;
            }
            looked_up += 1;
            if let Some(node) = root.at(&target) {
                self.pointer = target;
                self.schema(node, dialect);
            }
        }
    }

    pub(super) fn schema(&mut self, node: &Node, dialect: Dialect) {
        if node.members().is_empty() || !self.seen.insert(self.pointer.clone()) {
            return;
        }
        let embedded = node.get("$schema").and_then(Node::as_str);
        let Some(dialect) = embedded.map_or(Some(dialect), Dialect::of_uri) else {
            return;
        };
        if let Some(reference) = node.get("$ref").and_then(Node::as_str) {
            self.refer(reference);
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

    fn refer(&mut self, reference: &str) {
        let fragment = reference.split_once('#').map(|(_, fragment)| decode(fragment));
        if let Some(pointer) = fragment.filter(|fragment| fragment.starts_with('/'))
            && self.linter.targets.insert(pointer.clone())
        {
            self.waiting.push(pointer);
        }
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
            || self.is_full()
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
        let closed = node.get("additionalProperties");
        let is_closed = closed.is_some_and(|closed| closed.value == Value::Bool(false));
        let Some(required) = node.get("required").filter(|_| is_closed) else {
            return;
        };
        let properties = node.get("properties").map(Node::members).unwrap_or_default();
        let known: BTreeSet<&str> = properties.iter().map(|member| &*member.key).collect();
        let patterns = self.patterns(node);
        let outer = self.pointer.len();
        for (at, item) in required.items().iter().enumerate() {
            let is_allowed = |name: &str| {
                let fits = patterns
                    .as_ref()
                    .is_some_and(|patterns| patterns.is_valid(&json!({ name: null })));
                fits || known.contains(name)
            };
            let Some(name) = item.as_str().filter(|name| !is_allowed(name)) else {
                continue;
            };
            if self.is_full() {
                return;
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

    /// What accepts the names that a pattern allows: asked of the schema crate, so that a pattern means what it means
    /// there.
    fn patterns(&self, node: &Node) -> Option<jsonschema::Validator> {
        let patterns = node.get("patternProperties")?.members().iter();
        let patterns: serde_json::Map<String, Json> = patterns
            .map(|member| (member.key.to_string(), json!({})))
            .collect();
        let schema = json!({ "patternProperties": patterns, "additionalProperties": false });
        configured(&schema, self.linter.options).build(&schema).ok()
    }

    /// Whether enough was said of one file; looking for the word that was meant costs time.
    fn is_full(&self) -> bool {
        self.said.len() >= SENTENCES_MAX
    }

    pub(super) fn say_no_dialect(&mut self, dialect: Dialect) {
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
