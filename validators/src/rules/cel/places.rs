//! Where the parts of an expression stand.
//!
//! The parser points at one word or sign for each: the dot of a field, the bracket of a call. A reader of an error wants
//! the whole part. Invariant: a range lies on borders of characters.

use cel::common::ast::SourceInfo;

use crate::document::Range;

/// The places of one expression.
pub(super) struct Places<'s> {
    text: &'s str,
    tokens: &'s SourceInfo,
}

impl<'s> Places<'s> {
    pub(super) fn new(text: &'s str, tokens: &'s SourceInfo) -> Self {
        Self { text, tokens }
    }

    /// Where the word or sign stands that the parser made something of.
    pub(super) fn token(&self, id: u64) -> Range {
        let (start, last) = self.tokens.offset_for(id).unwrap_or_default();
        Range {
            start,
            end: last.saturating_add(1),
        }
    }

    /// With the bracket that closes it.
    pub(super) fn closed(&self, range: Range) -> Range {
        [")", "]", "}"]
            .into_iter()
            .find_map(|bracket| self.find(range.end, bracket))
            .map_or(range, |bracket| union(range, bracket))
    }

    /// The name of a field, which follows its dot.
    pub(super) fn field(&self, dot: Range, name: &str) -> Range {
        self.find(dot.end, name).unwrap_or(dot)
    }

    /// The name of a function, which the bracket that the parser points at follows.
    pub(super) fn name_of_call(&self, bracket: Range, name: &str) -> Range {
        let end = usize::try_from(bracket.start).unwrap_or(usize::MAX);
        let before = self.text.get(..end).unwrap_or_default();
        let named = before.trim_end().strip_suffix(name);
        named.map_or(bracket, |before| range_of(before.len(), name))
    }

    /// Where a word starts that only white space separates from `from`.
    fn find(&self, from: u32, word: &str) -> Option<Range> {
        let from = usize::try_from(from).ok()?;
        let rest = self.text.get(from..)?;
        let start = from + rest.len() - rest.trim_start().len();
        self.text
            .get(start..)?
            .starts_with(word)
            .then(|| range_of(start, word))
    }
}

/// From the start of the first to the end of the last.
pub(super) fn union(a: Range, b: Range) -> Range {
    Range {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    }
}

fn range_of(start: usize, word: &str) -> Range {
    let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Range {
        start: bytes(start),
        end: bytes(start + word.len()),
    }
}
