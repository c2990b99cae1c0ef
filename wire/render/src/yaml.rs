//! YAML text of a value, in block style.
//!
//! Invariant: a reader of YAML 1.1 and one of YAML 1.2 find the same value. So every text is quoted unless it is plainly
//! a word, and floats are written with a point and a signed exponent. What is deliberately absent: anchors, folded
//! lines and comments.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use super::{json, sorted};

/// Longest key that may stand before its colon on one line; YAML's own limit is 1,024 characters.
const IMPLICIT_KEY_BYTES_MAX: usize = 1_000;

/// The document with a line break at the end.
pub(super) fn block(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// Writes a value whose first line starts where the text ends now, at column `indent`.
fn write(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                start_line(out, index, indent);
                out.push_str("- ");
                write(out, item, indent + 2);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, member)) in sorted(map).into_iter().enumerate() {
                start_line(out, index, indent);
                write_key(out, key, indent);
                if is_block(member) {
                    out.push('\n');
                    indent_line(out, indent + 2);
                } else {
                    out.push(' ');
                }
                write(out, member, indent + 2);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn write_key(out: &mut String, key: &str, indent: usize) {
    let written = text(key);
    if written.len() <= IMPLICIT_KEY_BYTES_MAX {
        out.push_str(&written);
    } else {
        out.push_str("? ");
        out.push_str(&written);
        out.push('\n');
        indent_line(out, indent);
    }
    out.push(':');
}

fn start_line(out: &mut String, index: usize, indent: usize) {
    if index > 0 {
        indent_line(out, indent);
    }
}

fn indent_line(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A value that fits on its line: scalars, and lists and objects without content.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(value) => text(value),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// YAML 1.1 wants a point in a float and a sign in its exponent, or it is text.
fn number(number: &Number) -> String {
    let written = json::number(number);
    let Some((mantissa, exponent)) = written.split_once('e') else {
        return written;
    };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// A text, quoted unless every reader takes it for text as it is.
fn text(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A letter first, then letters, digits, `_`, `-`, `.`, `/` and single spaces; and no word that some YAML reads as
/// something else.
fn is_plain(text: &str) -> bool {
    let is_word_character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_word_character)
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !is_reserved(text)
}

fn is_reserved(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "yes", "on", "true", "n", "no", "off", "false", "null", "nan", "inf",
    ];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Double quotes, with every character escaped that a reader may drop, fold or refuse.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if needs_escape(c) => {
                let _infallible = match u32::from(c) {
                    code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                    code @ 0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Controls, line separators, byte order marks, directional overrides and non-characters.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}
