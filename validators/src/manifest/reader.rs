//! Reads typed values out of the manifest's tree and writes down everything that is wrong on the way.
//!
//! Invariant: reading never stops early. A value that is wrong is a finding and then absent, so that all mistakes of
//! a manifest are reported at once.

use std::collections::BTreeMap;

use globset::Glob;
use headwater_wire::{Finding, HookName, Severity};

use super::PATH;
use super::model::Spanned;
use crate::document::lines::LineIndex;
use crate::document::{Node, Range, Value};
use crate::pattern::path_glob;
use crate::{duration, suggest};

/// Longest time that a manifest may speak of, in ms: a longer one is a slip of the keyboard.
pub(super) const TIME_MAX_MS: u64 = 366 * 86_400_000;

/// The manifest's lines, and what was found in it so far.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    index: LineIndex<'a>,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            index: LineIndex::new(bytes),
            findings: Vec::new(),
        }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// What is probably not meant, and keeps no manifest from being used.
    pub(super) fn warning(
        &mut self,
        range: Range,
        code: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding =
            Finding::new(code, Severity::Warning, (PATH, self.index.span(range)), message).hint(hint);
        self.findings.push(finding);
    }

    pub(super) fn error(
        &mut self,
        range: Range,
        code: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let finding = Finding::new(code, Severity::Error, (PATH, self.index.span(range)), message).hint(hint);
        self.findings.push(finding);
    }

    /// The place of a part of a text, if the text stands in the manifest as it is; else the place of the whole.
    pub(super) fn inside(&self, text: &Spanned<String>, part: Range) -> Range {
        let offset = |range: Range| {
            usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
        };
        let written = offset(text.range).and_then(|(start, end)| self.bytes.get(start..end));
        let at = written.and_then(|written| {
            let found = written
                .windows(text.value.len().max(1))
                .position(|bytes| bytes == text.value.as_bytes());
            found.and_then(|found| u32::try_from(found).ok())
        });
        at.map_or(text.range, |at| Range {
            start: text.range.start + at + part.start,
            end: text.range.start + at + part.end,
        })
    }

    /// Checks that `node` is a table with no key besides `known`. `what` names it in messages, such as `[defaults]`.
    pub(super) fn table(&mut self, node: &Node, what: &str, known: &[&str]) {
        if self.object(node, what) {
            for member in node.members() {
                if !known.contains(&&*member.key) {
                    let message = format!("unknown key in {what}: `{}`", member.key);
                    self.error(
                        member.key_range,
                        "manifest/unknown-key",
                        message,
                        suggest::hint(&member.key, known),
                    );
                }
            }
        }
    }

    /// Checks that `node` is a table, whatever its keys.
    pub(super) fn object(&mut self, node: &Node, what: &str) -> bool {
        let is_object = matches!(node.value, Value::Obj(_));
        if !is_object {
            self.wrong_type(node, what, "a table");
        }
        is_object
    }

    pub(super) fn string(&mut self, table: &Node, key: &str) -> Option<Spanned<String>> {
        let node = table.get(key)?;
        self.text(node, key)
    }

    /// As [`Reader::string`]; its absence is a finding at `owner`.
    pub(super) fn required_string(
        &mut self,
        table: &Node,
        key: &str,
        owner: (Range, &str),
    ) -> Option<Spanned<String>> {
        if table.get(key).is_none() {
            self.missing(owner, key);
        }
        self.string(table, key)
    }

    pub(super) fn missing(&mut self, (range, what): (Range, &str), key: &str) {
        self.error(
            range,
            "manifest/missing-key",
            format!("{what} has no `{key}`"),
            format!("add `{key} = …`"),
        );
    }

    /// A list of strings; absent is empty.
    pub(super) fn strings(&mut self, table: &Node, key: &str) -> Vec<Spanned<String>> {
        let items = self.list(table, key).iter();
        items.filter_map(|item| self.text(item, key)).collect()
    }

    /// A list; absent is empty.
    pub(super) fn list<'n>(&mut self, table: &'n Node, key: &str) -> &'n [Node] {
        let Some(node) = table.get(key) else { return &[] };
        if !matches!(node.value, Value::Arr(_)) {
            self.wrong_type(node, &format!("`{key}`"), "a list");
        }
        node.items()
    }

    /// A table of strings; absent is empty.
    pub(super) fn string_map(&mut self, table: &Node, key: &str) -> BTreeMap<String, Spanned<String>> {
        let Some(node) = table.get(key) else {
            return BTreeMap::new();
        };
        if !self.object(node, &format!("`{key}`")) {
            return BTreeMap::new();
        }
        let pair = |member: &crate::document::Member| {
            self.text(&member.value, &member.key)
                .map(|value| (member.key.to_string(), value))
        };
        node.members().iter().filter_map(pair).collect()
    }

    pub(super) fn boolean(&mut self, table: &Node, key: &str) -> Option<bool> {
        let node = table.get(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong_type(node, &format!("`{key}`"), "`true` or `false`");
        None
    }

    /// A key whose only value is `true`.
    pub(super) fn flag(&mut self, table: &Node, key: &str) -> Option<()> {
        let is_set = self.boolean(table, key)?;
        if !is_set && let Some(node) = table.get(key) {
            let message = format!("`{key}` cannot be `false`");
            self.error(
                node.range,
                "manifest/value",
                message,
                "write `true`, or remove it",
            );
        }
        is_set.then_some(())
    }

    /// A number of at least `least`.
    pub(super) fn number(&mut self, table: &Node, key: &str, least: f64) -> Option<f64> {
        let node = table.get(key)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bound of this size is not meant to the last digit"
        )]
        let number = match node.value {
            Value::Int(number) => number as f64,
            Value::Float(number) => number,
            Value::Null | Value::Bool(_) | Value::Str(_) | Value::Arr(_) | Value::Obj(_) => {
                self.wrong_type(node, &format!("`{key}`"), "a number");
                return None;
            }
        };
        if number < least {
            let message = format!("`{key}` is out of range: `{number}`");
            self.error(
                node.range,
                "manifest/value",
                message,
                format!("write {least} or more"),
            );
            return None;
        }
        Some(number)
    }

    /// A glob in which `*` does not cross `/`.
    pub(super) fn glob(&mut self, text: &Spanned<String>, example: &str) -> Option<Glob> {
        match path_glob(&text.value) {
            Ok(glob) => Some(glob),
            Err(error) => {
                let message = format!("{error}: `{}`", text.value);
                let hint = format!("write a glob such as `{example}`");
                self.error(text.range, "manifest/pattern", message, hint);
                None
            }
        }
    }

    /// A string, or a list of them.
    pub(super) fn words(&mut self, node: &Node, what: &str, expected: &str) -> Option<Vec<Spanned<String>>> {
        if !matches!(node.value, Value::Arr(_) | Value::Str(_)) {
            self.wrong_type(node, what, expected);
            return None;
        }
        let nodes = if node.as_str().is_some() {
            std::slice::from_ref(node)
        } else {
            node.items()
        };
        Some(
            nodes
                .iter()
                .filter_map(|node| self.text(node, what.trim_matches('`')))
                .collect(),
        )
    }

    /// An integer within `allowed`.
    pub(super) fn integer(
        &mut self,
        table: &Node,
        key: &str,
        allowed: std::ops::RangeInclusive<i64>,
    ) -> Option<Spanned<i64>> {
        let node = table.get(key)?;
        let Value::Int(value) = node.value else {
            self.wrong_type(node, &format!("`{key}`"), "an integer");
            return None;
        };
        if allowed.contains(&value) {
            return Some(Spanned {
                value,
                range: node.range,
            });
        }
        let hint = match (*allowed.start(), *allowed.end()) {
            (low, i64::MAX) => format!("write {low} or more"),
            (low, high) => format!("write a number from {low} to {high}"),
        };
        self.error(
            node.range,
            "manifest/value",
            format!("`{key}` is out of range: `{value}`"),
            hint,
        );
        None
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, table: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(table, key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{key}` has no such value: `{}`", text.value);
            self.error(
                text.range,
                "manifest/value",
                message,
                suggest::hint(&text.value, &names),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A length of time such as `10m` or `1h30m`, in milliseconds; none is longer than a year.
    pub(super) fn duration_ms(&mut self, table: &Node, key: &str) -> Option<u64> {
        let text = self.string(table, key)?;
        let parsed = duration::parse_ms(&text.value);
        if parsed.is_none() {
            let message = format!("`{key}` is no length of time: `{}`", text.value);
            self.error(
                text.range,
                "manifest/value",
                message,
                "write numbers with units, such as `90s`, `10m` or `1h30m`",
            );
        }
        if parsed > Some(TIME_MAX_MS) {
            let message = format!("`{key}` is longer than a year: `{}`", text.value);
            let hint = "write a time that somebody will wait for, such as `7d`";
            self.error(text.range, "manifest/value", message, hint);
        }
        parsed
    }

    /// A length of time that is not nothing.
    pub(super) fn some_time_ms(&mut self, table: &Node, key: &str) -> Option<u64> {
        let parsed = self.duration_ms(table, key);
        if parsed == Some(0)
            && let Some(node) = table.get(key)
        {
            let message = format!("`{key}` leaves no time at all");
            self.error(
                node.range,
                "manifest/value",
                message,
                "write a longer time, such as `5m`",
            );
        }
        parsed
    }

    /// A name under which the server's settings may know what is asked.
    pub(super) fn setting_name(&mut self, table: &Node, key: &str) -> Option<String> {
        let text = self.string(table, key)?;
        if text.value.parse::<HookName>().is_err() {
            let message = format!(
                "`{key}` is no name that the server's settings can have: `{}`",
                text.value
            );
            let hint = "write lower-case letters, digits, `.`, `_` and `-`";
            self.error(text.range, "manifest/value", message, hint);
        }
        Some(text.value)
    }

    pub(super) fn wrong_type(&mut self, node: &Node, what: &str, expected: &str) {
        let message = format!("{what} must be {expected}, found {}", node.value.type_name());
        self.error(node.range, "manifest/type", message, format!("write {expected}"));
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<Spanned<String>> {
        if let Some(text) = node.as_str() {
            return Some(Spanned {
                value: text.to_owned(),
                range: node.range,
            });
        }
        self.wrong_type(node, &format!("`{what}`"), "a string");
        None
    }
}
