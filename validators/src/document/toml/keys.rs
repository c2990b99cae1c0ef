//! Where a TOML key was written first, for the fault of writing it twice.
//!
//! Invariant: only looks; a wrong answer would mislead, so none is given unless both places spell the same full path.
//! What is deliberately absent: values.

use std::collections::{HashMap, HashSet};

use toml_parser::parser::EventKind;

use super::super::Range;
use super::super::build::Build;
use super::scan;

/// For each key that is written at one of these bytes, the first place of the same key, where that is another one.
pub(super) fn first_uses(build: &Build<'_>, mut places: HashSet<usize>) -> HashMap<usize, Range> {
    let mut paths = Paths::default();
    let mut first: HashMap<String, Range> = HashMap::new();
    let mut found = HashMap::new();
    let events = if places.is_empty() {
        Vec::new()
    } else {
        scan::events(build)
    };
    for event in events {
        let span = event.span();
        let start = span.start();
        let range = build.range(start..span.end());
        paths.see(event.kind(), start, build.slice_of(range));
        if event.kind() == EventKind::SimpleKey {
            let earlier = *first.entry(paths.path.clone()).or_insert(range);
            if places.remove(&start) && earlier != range {
                found.insert(start, earlier);
            }
            if places.is_empty() {
                break;
            }
        }
    }
    found
}

/// The full path at one token.
#[derive(Debug, Default)]
struct Paths {
    /// Elements of each list of tables so far.
    elements: HashMap<String, usize>,
    header: Option<EventKind>,
    /// Path of the table in force.
    table: String,
    /// Paths of the lists and inline tables that are open, each with what surrounded it.
    open: Vec<String>,
    path: String,
    is_dotted: bool,
}

impl Paths {
    fn see(&mut self, kind: EventKind, start: usize, text: &str) {
        match kind {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                let elements = std::mem::take(&mut self.elements);
                *self = Self {
                    elements,
                    header: Some(kind),
                    ..Self::default()
                };
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => self.close_header(),
            EventKind::SimpleKey => self.key(text),
            EventKind::KeySep => self.is_dotted = true,
            EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                self.open
                    .push(std::mem::replace(&mut self.table, format!("\0{start}")));
            }
            EventKind::ArrayClose | EventKind::InlineTableClose => {
                if let Some(outer) = self.open.pop() {
                    self.table = outer;
                }
            }
            EventKind::KeyValSep
            | EventKind::ValueSep
            | EventKind::Scalar
            | EventKind::Whitespace
            | EventKind::Comment
            | EventKind::Newline
            | EventKind::Error => {}
        }
    }

    fn key(&mut self, text: &str) {
        let base = if self.is_dotted {
            std::mem::take(&mut self.path)
        } else {
            self.table.clone()
        };
        // A key of a list of tables goes on in its newest element.
        let element = self
            .elements
            .get(&base)
            .filter(|_| self.is_dotted)
            .map_or(String::new(), |n| format!("\0{n}"));
        self.path = format!("{base}{element}\0{}", text.trim_matches(['"', '\'']));
        self.is_dotted = false;
    }

    fn close_header(&mut self) {
        self.table.clone_from(&self.path);
        if self.header == Some(EventKind::ArrayTableOpen) {
            let count = self.elements.entry(self.path.clone()).or_insert(0);
            *count += 1;
            self.table = format!("{}\0{count}", self.path);
        }
        self.header = None;
    }
}
