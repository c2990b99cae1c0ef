//! What the three parsers share while they build a tree: the text, the limits and the faults found so far.
//!
//! Invariant: every range this makes lies inside the document, on character borders; nothing is allocated for a
//! value before its cost is charged. What is deliberately absent: any syntax.

use std::sync::Arc;

use super::{DEPTH_MAX, DOCUMENT_BYTES_MAX, FAULTS_MAX, Fault, Node, ParseOptions, Range};

/// How many characters of a value a message shows.
const EXCERPT_CHARS: usize = 40;

/// The byte order mark that some editors write in front of UTF-8.
const BOM: &str = "\u{feff}";

/// Reading ended early; the reason is already among the faults.
#[derive(Debug)]
pub(super) struct Stop;

/// One document being read.
#[derive(Debug)]
pub(super) struct Build<'a> {
    /// The text without its byte order mark; offsets of the parsers count from its start.
    text: &'a str,
    /// Bytes of the mark that was skipped.
    skipped: usize,
    options: ParseOptions,
    faults: Vec<Fault>,
    nodes: usize,
    scalar_bytes: usize,
}

impl<'a> Build<'a> {
    /// A document that is UTF-8 and not too long.
    pub(super) fn new(bytes: &'a [u8], options: &ParseOptions) -> Result<Self, Fault> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let message = format!(
                "document is longer than {DOCUMENT_BYTES_MAX} bytes: `{}`",
                bytes.len()
            );
            return Err(Fault::new("parse/budget", Range::default(), message).hint("split the document"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
        let text = whole.strip_prefix(BOM).unwrap_or(whole);
        if text.starts_with(BOM) {
            // The parsers skip a mark too, so a second one would pass them unseen.
            let fault = Fault::new(
                "parse/encoding",
                Range { start: 3, end: 6 },
                "two byte order marks",
            );
            return Err(fault.hint("delete both"));
        }
        let options = ParseOptions {
            depth: options.depth.min(DEPTH_MAX),
            ..*options
        };
        let skipped = whole.len() - text.len();
        Ok(Self {
            text,
            skipped,
            options,
            faults: Vec::new(),
            nodes: 0,
            scalar_bytes: 0,
        })
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn options(&self) -> &ParseOptions {
        &self.options
    }

    /// The range in the file of `start..end` in the text, moved outwards to whole characters.
    pub(super) fn range(&self, span: std::ops::Range<usize>) -> Range {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self
            .text
            .ceil_char_boundary(span.end.min(self.text.len()))
            .max(start);
        Range {
            start: self.file_offset(start),
            end: self.file_offset(end),
        }
    }

    /// The text at `span`, or nothing where it is no text.
    pub(super) fn slice(&self, span: std::ops::Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or("")
    }

    /// The text of a range that this made.
    pub(super) fn slice_of(&self, range: Range) -> &'a str {
        let offset = |at: u32| {
            usize::try_from(at)
                .unwrap_or(usize::MAX)
                .saturating_sub(self.skipped)
        };
        self.slice(offset(range.start)..offset(range.end))
    }

    fn file_offset(&self, offset: usize) -> u32 {
        u32::try_from(offset + self.skipped).unwrap_or(u32::MAX)
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Notes the fault and ends the reading.
    pub(super) fn stop<T>(&mut self, fault: Fault) -> Result<T, Stop> {
        self.faults.push(fault);
        Err(Stop)
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Whether a fault touches the range.
    pub(super) fn has_fault_in(&self, range: Range) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.range.start <= range.end && range.start <= fault.range.end)
    }

    /// Whether so much is wrong that nobody needs to hear of more.
    pub(super) fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// Takes `count` values from the budget.
    pub(super) fn charge_nodes(&mut self, count: usize, range: Range) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(count);
        if self.nodes <= self.options.nodes {
            return Ok(());
        }
        let message = format!(
            "document has too many values; the limit is {}",
            self.options.nodes
        );
        self.stop(
            Fault::new("parse/budget", range, message)
                .hint("split the document; an alias counts like a copy"),
        )
    }

    /// Takes `bytes` of text from the budget.
    pub(super) fn charge_text(&mut self, bytes: usize, range: Range) -> Result<(), Stop> {
        self.scalar_bytes = self.scalar_bytes.saturating_add(bytes);
        if self.scalar_bytes <= self.options.scalar_bytes {
            return Ok(());
        }
        let message = format!(
            "document has too much text; the limit is {} bytes",
            self.options.scalar_bytes
        );
        self.stop(
            Fault::new("parse/budget", range, message)
                .hint("split the document; an alias counts like a copy"),
        )
    }

    /// Checks that a list or object may stand at `depth`, the root being 1.
    pub(super) fn check_depth(&mut self, depth: usize, range: Range) -> Result<(), Stop> {
        if depth <= self.options.depth {
            return Ok(());
        }
        let fault = self.too_deep(range);
        self.stop(fault)
    }

    /// The fault of nesting deeper than the limit.
    pub(super) fn too_deep(&self, range: Range) -> Fault {
        let message = format!("nesting is too deep; the limit is {}", self.options.depth);
        Fault::new("parse/depth", range, message).hint("flatten the document")
    }

    /// A text, charged.
    pub(super) fn shared_text(&mut self, text: &str, range: Range) -> Result<Arc<str>, Stop> {
        self.charge_text(text.len(), range)?;
        Ok(text.into())
    }

    /// The tree, unless anything was wrong.
    pub(super) fn finish(mut self, tree: Result<Node, Stop>) -> Result<Node, Vec<Fault>> {
        match tree {
            Ok(node) if self.faults.is_empty() => Ok(node),
            Ok(_) | Err(Stop) => {
                self.faults
                    .sort_by(|a, b| (a.range, a.code, &a.message).cmp(&(b.range, b.code, &b.message)));
                self.faults.dedup();
                self.faults.truncate(FAULTS_MAX);
                Err(self.faults)
            }
        }
    }
}

/// A fault of two equal keys, which shows both.
pub(super) fn duplicate_key(key: &str, range: Range, first: Option<Range>) -> Fault {
    let fault = Fault::new(
        "parse/duplicate-key",
        range,
        format!("key is written twice: `{}`", excerpt(key)),
    )
    .hint("keep one of the two");
    match first {
        Some(first) => fault.related(first, "first written here"),
        None => fault,
    }
}

/// A short, printable form of a text for a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(EXCERPT_CHARS).flat_map(printable).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(c: char) -> Vec<char> {
    let is_odd_space = c.is_whitespace() && c != ' ';
    if c.is_control()
        || is_odd_space
        || matches!(c, '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Fault {
    let start = error.valid_up_to();
    let end = start + error.error_len().unwrap_or(bytes.len() - start);
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let range = Range {
        start: offset(start),
        end: offset(end),
    };
    let byte = bytes.get(start).copied().unwrap_or_default();
    let hint = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        "this looks like UTF-16; save the file as UTF-8"
    } else {
        "save the file as UTF-8"
    };
    Fault::new(
        "parse/encoding",
        range,
        format!("document is not UTF-8, at the byte `0x{byte:02x}`"),
    )
    .hint(hint)
}
