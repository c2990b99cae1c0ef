//! Hides secrets from everything that is for eyes: findings, source lines, differences, explanations.
//!
//! Invariant: what [`super::leaf`] calls a secret is hidden, so what a finding is about is never shown beside it; and of
//! other values what is a token of a known format but for the letters round it. References and ciphertext are no secrets
//! and stay. What is deliberately absent: the documents that programs get, which hold what was committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_render::Format;
use headwater_wire::{Finding, RepoPath};
use serde_json::Value;

use super::leaf::{self, Ciphertext, Leaf, Place, Role};
use super::{formats, names, scan, sops};
use crate::document::lines::LineIndex;
use crate::document::{MergeKeys, Node, ParseOptions, Range, parse};
use crate::limits::Limits;
use crate::manifest;
use crate::manifest::model::Manifest;
use crate::manifest::secrets::{self, Secrets};
use crate::pattern::Pattern;
use crate::pointer;
use crate::tree::{ConfigTree, Entry};

/// What is shown in the place of a value; it does not tell how long the value is.
pub(crate) const HIDDEN: &str = "••••••";

/// What is shown in the place of one character of a file, so that columns stay what they are.
const DOT: &str = "•";

/// Which values are not for eyes, by the manifest of one tree, and perhaps of the one before it. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mask {
    own: Arc<Policy>,
    /// What was hidden in the tree that this one is measured against, and is here too.
    before: Option<Arc<Policy>>,
}

/// What one manifest says.
#[derive(Debug, Default, PartialEq)]
struct Policy {
    secrets: Secrets,
    /// Files that describe configs and are none, unless they are layers.
    schemas: Vec<Pattern>,
    layers: Vec<Pattern>,
}

impl Mask {
    /// By the manifest of a tree; one that cannot be used says what it can, and what it does not say has its default.
    pub fn of(tree: &ConfigTree) -> Self {
        let manifest = match tree.entry(manifest::PATH) {
            Some((_, Entry::File(file))) => file.bytes.as_deref(),
            Some((_, Entry::Symlink | Entry::Submodule)) | None => None,
        };
        Self::of_manifest(manifest)
    }

    /// As [`Mask::of`], from the bytes of the manifest alone.
    pub fn of_manifest(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else {
            return Self::default();
        };
        match manifest::load(bytes, &Limits::default()) {
            Ok(manifest) => Self::new(&manifest),
            Err(_) => Self::by(Policy {
                secrets: secrets::read_alone(bytes),
                ..Policy::default()
            }),
        }
    }

    pub(crate) fn new(manifest: &Manifest) -> Self {
        let configs = manifest.configs.iter();
        let schemas = configs.clone().filter_map(|entry| entry.schema.as_ref());
        let layers = configs.flat_map(|entry| {
            let of_variants = entry.variants.iter().flat_map(|variant| &variant.layers);
            entry.layers.iter().chain(of_variants)
        });
        Self::by(Policy {
            secrets: manifest.secrets.clone(),
            schemas: schemas.map(|schema| schema.value.clone()).collect(),
            layers: layers.map(|layer| layer.value.clone()).collect(),
        })
    }

    fn by(policy: Policy) -> Self {
        Self {
            own: Arc::new(policy),
            before: None,
        }
    }

    /// Hides what the manifest before this one hides too: its old values are shown beside the new ones, and a commit
    /// that calls something no secret any more is no reason to show it.
    pub(crate) fn and(self, before: &Self) -> Self {
        let differs = !self.says_the_same(before);
        Self {
            before: differs.then(|| Arc::clone(&before.own)),
            ..self
        }
    }

    /// By the tree's own manifest alone.
    pub(crate) fn alone(&self) -> Self {
        Self {
            own: Arc::clone(&self.own),
            before: None,
        }
    }

    /// Whether the manifests of two trees call the same secret.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.own == other.own
    }

    fn policies(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(&*self.own).chain(self.before.as_deref())
    }

    /// The value at a JSON pointer of a document, for eyes.
    pub fn value(&self, pointer: &str, value: &Value) -> Value {
        let mut tokens = pointer::tokens(pointer).unwrap_or_default();
        self.below(&mut tokens, value)
    }

    /// The text of a file, for eyes: as many characters and lines, so that every place in it stays what it is.
    pub fn text(&self, path: &str, bytes: &[u8]) -> Vec<u8> {
        dotted(bytes, self.ranges(path, bytes))
    }

    /// Takes out of findings in a file what they quote from a place that is hidden in it.
    pub(crate) fn faults(&self, path: &str, bytes: &[u8], findings: &mut [Finding]) {
        let clean = self.text(path, bytes);
        let (raw, clean) = (LineIndex::new(bytes), LineIndex::new(&clean));
        for finding in findings {
            let (Some(raw), Some(clean)) = (raw.line(finding.span.line), clean.line(finding.span.line))
            else {
                continue;
            };
            let is_word = |literal: &str| literal.chars().any(char::is_alphanumeric);
            let is_hidden =
                |literal: &str| is_word(literal) && raw.contains(literal) && !clean.contains(literal);
            finding.message = requoted(&finding.message, is_hidden);
            finding.hint = finding.hint.take().map(|hint| requoted(&hint, is_hidden));
        }
    }

    /// Adds the text of every value of a document that is not shown as it is.
    pub(crate) fn texts(&self, document: &Value, found: &mut BTreeSet<String>) {
        self.texts_below(&mut Vec::new(), document, found);
    }

    fn texts_below(&self, tokens: &mut Vec<String>, value: &Value, found: &mut BTreeSet<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(items) => {
                let item = |(index, value): (usize, _)| (index.to_string(), value);
                items.iter().enumerate().map(item).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                if self.leaf(tokens, value) != *value {
                    found.insert(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
                return;
            }
        };
        for (token, child) in children {
            tokens.push(token);
            self.texts_below(tokens, child, found);
            tokens.pop();
        }
    }

    /// What the tree's own manifest says.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.own.secrets
    }

    fn below(&self, tokens: &mut Vec<String>, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| {
                    tokens.push(key.clone());
                    let value = self.below(tokens, value);
                    tokens.pop();
                    (formats::redact(key).into_owned(), value)
                };
                Value::Object(members.iter().map(member).collect())
            }
            Value::Array(items) => {
                let item = |(index, value): (usize, &Value)| {
                    tokens.push(index.to_string());
                    let value = self.below(tokens, value);
                    tokens.pop();
                    value
                };
                Value::Array(items.iter().enumerate().map(item).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.leaf(tokens, value),
        }
    }

    fn leaf(&self, tokens: &[String], value: &Value) -> Value {
        let shown = |value: Value, policy: &Policy| policy.leaf(tokens, &value);
        self.policies().fold(value.clone(), shown)
    }

    fn ranges(&self, path: &str, bytes: &[u8]) -> Vec<Range> {
        let options = ParseOptions {
            merge_keys: MergeKeys::Expand,
            ..ParseOptions::default()
        };
        let format = path.parse::<RepoPath>().ok().and_then(|path| Format::of(&path));
        let root = format.and_then(|format| parse(format, bytes, &options).ok());
        let root = root.map(|mut root| {
            sops::strip(&mut root);
            root
        });
        let ranges = |policy: &Policy| match &root {
            Some(root) => policy.ranges((path, bytes), root),
            None => policy.guess(bytes),
        };
        self.policies().flat_map(ranges).collect()
    }

    /// What a file is for, by its name and the tree's own manifest.
    pub(super) fn role(&self, path: &str) -> Role {
        self.own.role(path)
    }
}

impl Policy {
    fn leaf(&self, tokens: &[String], value: &Value) -> Value {
        let secrets = &self.secrets;
        let place = Place {
            tokens,
            role: Role::Config,
            ciphertext: Ciphertext::Usable,
        };
        let is_secret = Leaf::of_json(value).is_some_and(|leaf| leaf::judge(secrets, &place, leaf).is_some());
        match value {
            _ if !secrets.exceptions(tokens).is_empty() => value.clone(),
            _ if is_secret => HIDDEN.into(),
            Value::String(text) => formats::redact(text).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.clone()
            }
        }
    }

    fn ranges(&self, (path, bytes): (&str, &[u8]), root: &Node) -> Vec<Range> {
        let file = scan::File {
            role: self.role(path),
            bytes,
            root: Some(root),
            ciphertext: Ciphertext::Usable,
        };
        let scan = scan::scan(&self.secrets, file);
        let is_allowed = |range: &Range| {
            let overlaps = |allowed: &Range| allowed.start < range.end && range.start < allowed.end;
            scan.allowed.iter().any(overlaps)
        };
        let glued = formats::glued(bytes).into_iter().map(|found| range(found.range));
        let found = scan.found.iter().map(|found| found.range);
        found.chain(glued.filter(|range| !is_allowed(range))).collect()
    }

    /// What a file is for, by its name and the manifest.
    fn role(&self, path: &str) -> Role {
        let Self { schemas, layers, .. } = self;
        let is_one = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.captures(path).is_some());
        let describes =
            path == manifest::PATH || (is_schema_by_name(path) || is_one(schemas)) && !is_one(layers);
        if describes {
            Role::Description
        } else {
            Role::Config
        }
    }

    /// What may be secret in a file that cannot be parsed: the rest of each line behind a key that is a secret's name or
    /// ends a path, and every known format.
    fn guess(&self, bytes: &[u8]) -> Vec<Range> {
        let is_named = |key: &str| {
            names::is_suspicious(key) || self.secrets.paths.iter().any(|path| path.could_end_in(key))
        };
        let mut ranges: Vec<Range> = formats::glued(bytes)
            .into_iter()
            .map(|found| range(found.range))
            .collect();
        let mut start = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let value = value_behind(line, is_named);
            ranges.extend(value.map(|at| range(start + at..start + line.len())));
            start += line.len();
        }
        ranges
    }
}

/// Where the value of the first key that is named so begins in a line of any format.
fn value_behind(line: &[u8], is_named: impl Fn(&str) -> bool) -> Option<usize> {
    let mut key = Vec::new();
    let mut has_ended = false;
    for (at, &byte) in line.iter().enumerate() {
        match byte {
            b'=' | b':' if is_named(&String::from_utf8_lossy(&key)) => return Some(at + 1),
            b'"' | b'\'' => {}
            b' ' | b'\t' => has_ended = true,
            _ => {
                let goes_on = byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'-' | b'_');
                if has_ended || !goes_on {
                    key.clear();
                }
                if goes_on {
                    key.push(byte);
                }
                has_ended = false;
            }
        }
    }
    None
}

/// A sentence without those of its literals in back-ticks that are hidden.
pub(crate) fn requoted(text: &str, is_hidden: impl Fn(&str) -> bool) -> String {
    let parts = text.split('`').enumerate();
    let clean = parts.map(|(at, part)| {
        if at % 2 == 1 && !part.is_empty() && is_hidden(part) {
            HIDDEN
        } else {
            part
        }
    });
    clean.collect::<Vec<_>>().join("`")
}

/// A schema is one by its name: `x.schema.json`.
pub(crate) fn is_schema_by_name(path: &str) -> bool {
    path.parse::<RepoPath>()
        .is_ok_and(|path| path.without_extension().ends_with(".schema"))
}

fn range(range: std::ops::Range<usize>) -> Range {
    let offset = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
    Range {
        start: offset(range.start),
        end: offset(range.end),
    }
}

/// The bytes with a dot for each character of the ranges; quotes round a value stay, line breaks and spaces too.
fn dotted(bytes: &[u8], mut ranges: Vec<Range>) -> Vec<u8> {
    ranges.sort_unstable();
    let mut clean = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in ranges {
        let inner = unquoted(bytes, range);
        let start = inner.start.max(from);
        clean.extend_from_slice(bytes.get(from..start).unwrap_or_default());
        let secret = bytes.get(start..inner.end).unwrap_or_default();
        for &byte in secret {
            match byte {
                b'\n' | b'\r' | b' ' | b'\t' => clean.push(byte),
                0b1000_0000..=0b1011_1111 => {}
                _ => clean.extend_from_slice(DOT.as_bytes()),
            }
        }
        from = start.max(inner.end.min(bytes.len()));
    }
    clean.extend_from_slice(bytes.get(from..).unwrap_or_default());
    clean
}

fn unquoted(bytes: &[u8], range: Range) -> std::ops::Range<usize> {
    let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let (mut start, mut end) = (offset(range.start), offset(range.end));
    while let Some([quote @ (b'"' | b'\''), .., last]) = bytes.get(start..end)
        && quote == last
    {
        (start, end) = (start + 1, end - 1);
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, text: &str) -> String {
        String::from_utf8(Mask::default().text(path, text.as_bytes())).unwrap()
    }

    #[test]
    fn quotes_and_everything_beside_a_secret_stay() {
        let shown = text("a.toml", "password = \"hünter2\" # why\nport = 1\n");
        assert_eq!(shown, "password = \"•••••••\" # why\nport = 1\n");
    }

    #[test]
    fn in_a_file_that_cannot_be_parsed_the_rest_of_a_line_behind_a_name_is_hidden() {
        for line in [
            "password = x y",
            "\"db_password\" : [x",
            "{a: 1, apiKey: x",
            "a.token=x",
            "- secret:\tx",
        ] {
            let shown = text("a.toml", &format!("= broken\n{line}\nport = 1\n"));
            assert!(!shown.contains('x') && shown.ends_with("\nport = 1\n"), "{shown}");
        }
        assert_eq!(
            text("a.toml", "= token of x\ntoken url = x\n"),
            "= token of x\ntoken url = x\n"
        );
    }

    #[test]
    fn a_hostile_line_takes_no_longer_than_another() {
        let spaces = " ".repeat(1 << 20);
        assert_eq!(text("a.toml", &format!("= {spaces}a")), format!("= {spaces}a"));
        let keys = "-----BEGIN X PRIVATE KEY-----a://b:".repeat(1 << 14);
        assert_eq!(text("a.toml", &keys), keys);
    }

    #[test]
    fn a_value_keeps_its_shape_and_what_is_no_secret() {
        let document = serde_json::json!({"db": {"password": ["hunter2", "vault:x"], "port": 1}});
        let shown = Mask::default().value("", &document);
        assert_eq!(
            shown,
            serde_json::json!({"db": {"password": ["••••••", "vault:x"], "port": 1}})
        );
        assert_eq!(Mask::default().value("/db/password/0", &"hunter2".into()), HIDDEN);
    }
}
