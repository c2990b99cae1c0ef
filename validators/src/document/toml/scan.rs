//! What a TOML document's tokens tell before a tree is built from them.
//!
//! Invariant: a document that passes nests at most twice as deep as the limit (a list of tables is two levels behind
//! one key), so that building and dropping the parser's own tree cannot exhaust the stack; the limit itself is checked
//! on the tree. What is deliberately absent: values.

use toml_parser::decoder::Encoding;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};
use toml_parser::{ParseError, Source};

use super::super::build::{Build, Stop};
use super::super::{Fault, TomlVersion};
use super::CODE;

/// The tokens, grouped as far as TOML's grammar does; what is wrong with them is for the parser to tell.
pub(super) fn events(build: &Build<'_>) -> Vec<Event> {
    let source = Source::new(build.text());
    let tokens = source.lex().into_vec();
    let mut events = Vec::with_capacity(tokens.len());
    // One level more than allowed, so that the level too many is seen here.
    let limit = u32::try_from(build.options().depth).unwrap_or(u32::MAX);
    let mut ignored: Option<ParseError> = None;
    parse_document(
        &tokens,
        &mut RecursionGuard::new(&mut events, limit),
        &mut ignored,
    );
    events
}

/// Checks the nesting of lists, inline tables, dotted keys and headers, and that the syntax is not too new.
pub(super) fn check(build: &mut Build<'_>) -> Result<(), Stop> {
    let mut nesting = Nesting::default();
    for event in events(build) {
        let span = event.span();
        let range = build.range(span.start()..span.end());
        if build.options().toml == TomlVersion::V1_0
            && let Some(what) = nesting.newer_syntax(&event, build.slice(span.start()..span.end()))
            && !build.is_full()
        {
            let fault = Fault::new(
                CODE,
                range,
                format!("{what} came with TOML 1.1, and this repository keeps to 1.0"),
            );
            build.fault(fault.hint("write it the old way, or set `toml = \"1.1\"` in headwater.toml"));
        }
        nesting.see(event.kind());
        build.check_depth(nesting.depth(), range)?;
    }
    Ok(())
}

/// Where the document is at one token.
#[derive(Debug, Default)]
struct Nesting {
    is_header: bool,
    /// Keys of the header in force.
    header: usize,
    /// Keys of the dotted key that is being read, or whose value is.
    path: usize,
    /// Whether the last key was followed by a dot.
    is_dotted: bool,
    open: Vec<Open>,
    /// Levels of all that is open.
    levels: usize,
}

/// A list or inline table that is open.
#[derive(Debug)]
struct Open {
    levels: usize,
    is_table: bool,
    /// Whether the last token that matters was a comma.
    after_comma: bool,
    /// Whether a line break in it was seen.
    is_broken: bool,
}

impl Nesting {
    fn depth(&self) -> usize {
        1 + self.header + self.levels + self.path.saturating_sub(1)
    }

    fn see(&mut self, kind: EventKind) {
        match kind {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                *self = Self {
                    is_header: true,
                    ..Self::default()
                }
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => self.is_header = false,
            EventKind::SimpleKey if self.is_header => self.header += 1,
            EventKind::SimpleKey => {
                self.path = if self.is_dotted { self.path + 1 } else { 1 };
                self.is_dotted = false;
            }
            EventKind::KeySep => self.is_dotted = true,
            EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                let levels = self.path.max(1);
                let is_table = kind == EventKind::InlineTableOpen;
                self.open.push(Open {
                    levels,
                    is_table,
                    after_comma: false,
                    is_broken: false,
                });
                self.levels += levels;
                (self.path, self.is_dotted) = (0, false);
            }
            EventKind::ArrayClose | EventKind::InlineTableClose => {
                self.levels -= self.open.pop().map_or(0, |open| open.levels);
                self.path = 0;
            }
            EventKind::ValueSep => self.path = 0,
            EventKind::KeyValSep
            | EventKind::Scalar
            | EventKind::Whitespace
            | EventKind::Comment
            | EventKind::Newline
            | EventKind::Error => {}
        }
    }

    /// What in the next token TOML 1.0 does not have; each inline table is told once for its line breaks.
    fn newer_syntax(&mut self, event: &Event, text: &str) -> Option<&'static str> {
        let table = self.open.last_mut().filter(|open| open.is_table);
        match event.kind() {
            EventKind::Newline | EventKind::Comment => {
                let table = table.filter(|table| !table.is_broken)?;
                table.is_broken = true;
                Some("a line break in an inline table")
            }
            EventKind::ValueSep => {
                table?.after_comma = true;
                None
            }
            EventKind::InlineTableClose => table?
                .after_comma
                .then_some("a comma after the last key of an inline table"),
            EventKind::SimpleKey | EventKind::Scalar => {
                if let Some(table) = table {
                    table.after_comma = false;
                }
                newer_scalar(event.encoding(), text)
            }
            EventKind::StdTableOpen
            | EventKind::StdTableClose
            | EventKind::ArrayTableOpen
            | EventKind::ArrayTableClose
            | EventKind::ArrayOpen
            | EventKind::ArrayClose
            | EventKind::InlineTableOpen
            | EventKind::KeySep
            | EventKind::KeyValSep
            | EventKind::Whitespace
            | EventKind::Error => None,
        }
    }
}

fn newer_scalar(encoding: Option<Encoding>, text: &str) -> Option<&'static str> {
    match encoding {
        Some(Encoding::BasicString | Encoding::MlBasicString) => {
            has_newer_escape(text).then_some("an escape `\\e` or `\\x`")
        }
        Some(Encoding::LiteralString | Encoding::MlLiteralString) => None,
        None => is_time_without_seconds(text).then_some("a time without seconds"),
    }
}

fn has_newer_escape(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && matches!(characters.next(), Some('e' | 'x')) {
            return true;
        }
    }
    false
}

/// Whether the first `HH:MM` goes on with anything but `:SS`. A bare key has no colon, so this is a time.
fn is_time_without_seconds(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(_, rest)| rest.as_bytes().get(2) != Some(&b':'))
}
