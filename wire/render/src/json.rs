//! JSON text of a value.
//!
//! Invariant: written here and not by a library, since the digest of every document hangs on each byte. What is
//! deliberately absent: any choice but that of white space.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use super::sorted;

/// No white space at all.
pub(super) fn compact(value: &Value) -> String {
    let mut writer = Writer {
        out: String::new(),
        layout: Layout::Compact,
    };
    writer.value(value, 0);
    writer.out
}

/// Two spaces a level and a line break at the end.
pub(super) fn pretty(value: &Value) -> String {
    let mut writer = Writer {
        out: String::new(),
        layout: Layout::Pretty,
    };
    writer.value(value, 0);
    writer.out.push('\n');
    writer.out
}

/// A number: integers plain, floats in their shortest form that reads back the same, which always has a point or an
/// exponent.
pub(super) fn number(number: &Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(integer), _, _) => integer.to_string(),
        (None, Some(integer), _) => integer.to_string(),
        (None, None, Some(float)) => format!("{float:?}"),
        (None, None, None) => number.to_string(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Compact,
    Pretty,
}

struct Writer {
    out: String,
    layout: Layout,
}

impl Writer {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(value) => self.out.push_str(&number(value)),
            Value::String(text) => self.quoted(text),
            Value::Array(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Object(map) if map.is_empty() => self.out.push_str("{}"),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, level + 1);
                    self.value(item, level + 1);
                }
                self.close(']', level);
            }
            Value::Object(map) => {
                self.out.push('{');
                for (index, (key, member)) in sorted(map).into_iter().enumerate() {
                    self.separate(index, level + 1);
                    self.quoted(key);
                    self.out.push_str(match self.layout {
                        Layout::Compact => ":",
                        Layout::Pretty => ": ",
                    });
                    self.value(member, level + 1);
                }
                self.close('}', level);
            }
        }
    }

    fn separate(&mut self, index: usize, level: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.break_line(level);
    }

    fn close(&mut self, bracket: char, level: usize) {
        self.break_line(level);
        self.out.push(bracket);
    }

    fn break_line(&mut self, level: usize) {
        match self.layout {
            Layout::Compact => {}
            Layout::Pretty => {
                self.out.push('\n');
                self.out.extend(std::iter::repeat_n("  ", level));
            }
        }
    }

    /// Escapes what RFC 8259 says must be, in its short form where there is one, and nothing else.
    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' => {
                    let _infallible = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}
