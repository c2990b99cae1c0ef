//! Lines and columns of a document, the way an editor counts them.
//!
//! Invariant: total. Any offset of any bytes has a place, and no text is cut inside a character. Lines end at `\n` or
//! `\r\n`, columns count characters (a tab is one, a byte order mark none), both from 1. What is deliberately absent:
//! the width of a character on a screen, which only a renderer can know.

use headwater_wire::Span;

use super::Range;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Bytes between two counts of characters. A minified document is one line of a megabyte; without the counts, each
/// column in it would cost a walk over the line.
const BLOCK_BYTES: usize = 1_024;

/// Where each line of a document starts.
#[derive(Debug, Clone)]
pub struct LineIndex<'a> {
    bytes: &'a [u8],
    /// Offsets of the first byte of each line; the first line starts behind the byte order mark.
    starts: Vec<usize>,
    /// Characters that begin before each block.
    counts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    /// Finds the lines; a document that is not UTF-8 has lines too, so that the fault can be shown.
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Self {
        let bytes = text.as_ref();
        let first = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        let breaks = bytes
            .iter()
            .enumerate()
            .filter(|&(_, &byte)| byte == b'\n')
            .map(|(at, _)| at + 1);
        let blocks = bytes.chunks(BLOCK_BYTES).scan(0, |sum, block| {
            let before = *sum;
            *sum += characters(block);
            Some(before)
        });
        Self {
            bytes,
            starts: std::iter::once(first).chain(breaks).collect(),
            counts: blocks.collect(),
        }
    }

    /// Lines and columns of a range.
    pub fn span(&self, range: Range) -> Span {
        let (line, column) = self.position(range.start);
        let (end_line, end_column) = self.position(range.end.max(range.start));
        Span {
            line,
            column,
            end_line,
            end_column,
        }
    }

    /// 1-based line and column of a byte; an offset behind the end is the end.
    pub fn position(&self, offset: u32) -> (u32, u32) {
        let offset = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let line = self
            .starts
            .partition_point(|&start| start <= offset)
            .saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = self.bytes.get(start..offset).unwrap_or_default();
        let is_inside_crlf = before.ends_with(b"\r") && self.bytes.get(offset) == Some(&b'\n');
        let before = if is_inside_crlf {
            before.get(..before.len() - 1).unwrap_or(before)
        } else {
            before
        };
        (one_based(line), one_based(self.characters(before, start, offset)))
    }

    /// How many lines there are; a file that ends with a line break has no line behind it, an empty file has one.
    pub fn len(&self) -> usize {
        let ends_with_break = self.starts.len() > 1 && self.starts.last() == Some(&self.bytes.len());
        self.starts.len() - usize::from(ends_with_break)
    }

    /// Never: even an empty file has a first line.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Text of a 1-based line without its line break and byte order mark.
    pub fn line(&self, line: u32) -> Option<&'a str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self
            .starts
            .get(index + 1)
            .map_or(self.bytes.len(), |next| next - 1);
        let text = self.bytes.get(start..end)?;
        std::str::from_utf8(text.strip_suffix(b"\r").unwrap_or(text)).ok()
    }

    /// Whole characters in `before`; an offset inside a character is at that character, not behind it.
    fn characters(&self, before: &[u8], start: usize, offset: usize) -> usize {
        let count = self.characters_until(start + before.len()) - self.characters_until(start);
        let cuts_a_character =
            offset > start && self.bytes.get(offset).is_some_and(|&byte| is_continuation(byte));
        count.saturating_sub(usize::from(cuts_a_character))
    }

    /// Characters that begin before `offset`.
    fn characters_until(&self, offset: usize) -> usize {
        let block = (offset / BLOCK_BYTES).min(self.counts.len().saturating_sub(1));
        let counted = self.counts.get(block).copied().unwrap_or(0);
        counted + characters(self.bytes.get(block * BLOCK_BYTES..offset).unwrap_or_default())
    }
}

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| !is_continuation(byte)).count()
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn one_based(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1))
}
