//! All secrets of one file: in its values, in its keys, and in what no parser keeps, such as comments.
//!
//! Invariant: a secret is found once, at the value that holds it where there is one. A file that cannot be parsed is
//! searched as text; it is served as raw bytes all the same.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::formats::{self, Match};
use super::leaf::{self, Ciphertext, Kind, Leaf, Place, Role};
use crate::document::{Member, Node, Range, Value};
use crate::manifest::secrets::{Level, Secrets};
use crate::pointer;

/// A file as it is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'n> {
    pub(super) role: Role,
    pub(super) bytes: &'n [u8],
    /// Absent if it cannot be parsed.
    pub(super) root: Option<&'n Node>,
    pub(super) ciphertext: Ciphertext,
}

/// A secret in a file.
#[derive(Debug)]
pub(super) struct Found<'p> {
    pub(super) kind: Kind<'p>,
    pub(super) level: Level,
    pub(super) range: Range,
    /// `None` outside of all values.
    pub(super) pointer: Option<String>,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Scan<'p> {
    /// What no exception allows.
    pub(super) found: Vec<Found<'p>>,
    /// Exceptions that something needs, by index.
    pub(super) used: BTreeSet<usize>,
    /// Where the values and keys are that they allow.
    pub(super) allowed: Vec<Range>,
}

/// Searches a file.
pub(super) fn scan<'p>(policy: &'p Secrets, file: File<'_>) -> Scan<'p> {
    let mut walk = Walk {
        policy,
        file,
        tokens: Vec::new(),
        judged: Vec::new(),
        scan: Scan::default(),
    };
    if let Some(root) = file.root {
        walk.node(root);
    }
    walk.rest();
    walk.scan
}

struct Walk<'p, 'n> {
    policy: &'p Secrets,
    file: File<'n>,
    tokens: Vec<Cow<'n, str>>,
    /// Where keys and texts stand.
    judged: Vec<Range>,
    scan: Scan<'p>,
}

impl<'n> Walk<'_, 'n> {
    fn node(&mut self, node: &'n Node) {
        match &node.value {
            Value::Obj(members) => {
                for member in members {
                    self.tokens.push(Cow::Borrowed(&member.key));
                    self.key(member);
                    self.node(&member.value);
                    self.tokens.pop();
                }
            }
            Value::Arr(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.tokens.push(Cow::Owned(index.to_string()));
                    self.node(item);
                    self.tokens.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => self.leaf(node),
        }
    }

    fn key(&mut self, member: &Member) {
        self.judged.push(member.key_range);
        if let Some(found) = formats::find(member.key.as_bytes()) {
            self.add(
                Kind::Format(found.format),
                self.policy.plaintext,
                member.key_range,
            );
        }
    }

    fn leaf(&mut self, node: &Node) {
        let Some(leaf) = Leaf::of(node) else { return };
        if leaf.text().is_some() {
            self.judged.push(node.range);
        }
        let place = Place {
            tokens: &self.tokens,
            role: self.file.role,
            ciphertext: self.file.ciphertext,
        };
        if let Some((kind, level)) = leaf::judge(self.policy, &place, leaf) {
            self.add(kind, level, node.range);
        }
    }
}

impl<'p> Walk<'p, '_> {
    /// A secret in a value or key, unless an exception allows it.
    fn add(&mut self, kind: Kind<'p>, level: Level, range: Range) {
        let exceptions = self.policy.exceptions(&self.tokens);
        if !exceptions.is_empty() {
            self.scan.used.extend(exceptions);
            self.scan.allowed.push(range);
            return;
        }
        let mut text = String::new();
        for token in &self.tokens {
            pointer::push(&mut text, token);
        }
        self.scan.found.push(Found {
            kind,
            level,
            range,
            pointer: Some(text),
        });
    }

    /// The text between values. What was judged as a value is not judged again: there, an exception may allow it.
    fn rest(&mut self) {
        let found = formats::matches(self.file.bytes);
        if found.is_empty() {
            return;
        }
        self.judged.sort_unstable();
        for Match { format, range } in found {
            let range = Range {
                start: u32::try_from(range.start).unwrap_or(u32::MAX),
                end: u32::try_from(range.end).unwrap_or(u32::MAX),
            };
            let before = self.judged.partition_point(|judged| judged.start < range.end);
            let is_judged = self
                .judged
                .get(..before)
                .and_then(<[Range]>::last)
                .is_some_and(|last| last.end > range.start);
            if !is_judged {
                let (kind, level) = (Kind::Format(format), self.policy.plaintext);
                self.scan.found.push(Found {
                    kind,
                    level,
                    range,
                    pointer: None,
                });
            }
        }
    }
}
