//! Where a command writes, and in which colours.
//!
//! Invariant: without a terminal not one escape sequence is written. What is deliberately absent: the streams of the
//! process, which only `mod.rs` names.

use std::io::{self, Write};

use serde::Serialize;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// No.
    Plain,
    /// As escape sequences.
    Ansi,
}

/// What a text means; the colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Normal,
    /// As it should be.
    Good,
    /// A fault.
    Bad,
    /// Worth a look.
    Warning,
    /// A help.
    Hint,
    /// What the line is about.
    Strong,
    /// An aside.
    Dim,
}

impl Paint {
    /// The text in the colour of its tone.
    pub(crate) fn apply(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Plain, _) | (Self::Ansi, Tone::Normal) => return text.to_owned(),
            (Self::Ansi, Tone::Good) => "32",
            (Self::Ansi, Tone::Bad) => "1;31",
            (Self::Ansi, Tone::Warning) => "33",
            (Self::Ansi, Tone::Hint) => "36",
            (Self::Ansi, Tone::Strong) => "1",
            (Self::Ansi, Tone::Dim) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A stream with its colours.
pub(crate) struct Out<'a> {
    writer: &'a mut dyn Write,
    paint: Paint,
}

impl<'a> Out<'a> {
    pub(crate) fn new(writer: &'a mut dyn Write, paint: Paint) -> Self {
        Self { writer, paint }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// One line, without the spaces at its end that aligned columns leave.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.writer.write_all(text.as_ref().trim_end().as_bytes())?;
        self.writer.write_all(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// One JSON document, indented.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.writer, value)?;
        self.writer.write_all(b"\n")
    }

    /// One JSON document on one line, told at once, for readers that follow.
    pub(crate) fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut *self.writer, value)?;
        self.writer.write_all(b"\n")?;
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_escape_sequences_only_where_they_are_wanted() {
        assert_eq!(Paint::Plain.apply(Tone::Bad, "x"), "x");
        assert_eq!(Paint::Ansi.apply(Tone::Bad, "x"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(Paint::Ansi.apply(Tone::Normal, "x"), "x");
    }
}
