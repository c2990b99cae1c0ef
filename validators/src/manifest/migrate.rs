//! Rewrites a manifest of an old format into the newest, keeping comments, order and line ends.
//!
//! Invariant: all bytes but those of what is rewritten stay as they are, since the new text is put into the old one and
//! nothing is printed anew; what cannot be understood is left alone. There has only been format 1, so all there is to
//! rewrite is a `format` that is missing or is not written as the number it means. A later format adds its steps here.
//! What is deliberately absent: the file.

use headwater_render::Format;

use super::FORMAT;
use crate::document::{Node, ParseOptions, Value, parse};
use crate::printable::printable;

/// A manifest in the newest format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// All of its text.
    pub text: String,
    /// What was changed, a sentence without a period for each.
    pub changes: Vec<String>,
}

/// The manifest in the newest format; nothing if it is in it already, or cannot be read.
pub fn migrate(bytes: &[u8]) -> Option<Migrated> {
    let root = parse(Format::Toml, bytes, &ParseOptions::default()).ok()?;
    let text = std::str::from_utf8(bytes).ok()?;
    match root.get("format") {
        None => Some(add_format(text)),
        Some(node) => rewrite_format(text, node),
    }
}

/// The line is put in front of the text as it stands, which no parser has to print anew.
fn add_format(text: &str) -> Migrated {
    let (mark, rest) = text
        .strip_prefix('\u{feff}')
        .map_or(("", text), |rest| ("\u{feff}", rest));
    let end = if rest.contains("\r\n") { "\r\n" } else { "\n" };
    Migrated {
        text: format!("{mark}format = {FORMAT}{end}{rest}"),
        changes: vec![format!("added `format = {FORMAT}` as the first line")],
    }
}

/// What a manifest has in the place of `format`, if that is none which this release reads or can rewrite.
pub fn unknown_format(bytes: &[u8]) -> Option<String> {
    let root = parse(Format::Toml, bytes, &ParseOptions::default()).ok()?;
    let node = root.get("format")?;
    if matches!(node.value, Value::Int(FORMAT)) || meant(&node.value).is_some() {
        return None;
    }
    let written = bytes.get(node.range.start as usize..node.range.end as usize)?;
    Some(printable(&String::from_utf8_lossy(written)))
}

fn rewrite_format(text: &str, node: &Node) -> Option<Migrated> {
    let format = meant(&node.value)?;
    let (start, end) = (node.range.start as usize, node.range.end as usize);
    let (before, old, after) = (text.get(..start)?, text.get(start..end)?, text.get(end..)?);
    Some(Migrated {
        text: format!("{before}{format}{after}"),
        changes: vec![format!(
            "wrote `format = {format}` in the place of `format = {}`",
            printable(old)
        )],
    })
}

/// The format that a value means and does not say: `"1"`, `1.0`, or `0`, which never was one.
fn meant(value: &Value) -> Option<i64> {
    let format = match value {
        Value::Int(0) => Some(FORMAT),
        Value::Str(_) | Value::Float(_) => number(value),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Arr(_) | Value::Obj(_) => None,
    };
    format.filter(|format| (1..=FORMAT).contains(format))
}

/// The whole number that is written, in quotes or with a decimal point too.
#[expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a format is a small whole number, and one of these is exact"
)]
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok(),
        Value::Float(number) => {
            let whole = *number as i64;
            (whole as f64 == *number).then_some(whole)
        }
        Value::Null | Value::Bool(_) | Value::Arr(_) | Value::Obj(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated(text: &str) -> Option<String> {
        migrate(text.as_bytes()).map(|migrated| migrated.text)
    }

    #[test]
    fn a_missing_format_becomes_the_first_line_and_nothing_else_changes() {
        let text = "# ours\n\n[defaults]   # all of them\nnull='keep'\n";
        assert_eq!(migrated(text), Some(format!("format = 1\n{text}")));
        assert_eq!(migrated(""), Some("format = 1\n".to_owned()));
        assert_eq!(
            migrated("\u{feff}a = 1\r\n"),
            Some("\u{feff}format = 1\r\na = 1\r\n".to_owned())
        );
    }

    #[test]
    fn a_number_that_is_not_written_as_one_is_rewritten_where_it_stands() {
        let around = |value: &str| {
            format!("# first\nformat   =  {value}   # of the manifest\n\n[limits]\ndepth  = 0x0a\n")
        };
        for old in ["\"1\"", "' 1 '", "1.0", "0"] {
            assert_eq!(migrated(&around(old)), Some(around("1")), "{old}");
        }
        assert_eq!(
            migrate(b"format = \"1\"\n").unwrap().changes,
            ["wrote `format = 1` in the place of `format = \"1\"`"]
        );
    }

    #[test]
    fn what_is_right_newer_or_not_understood_is_left_alone() {
        for text in [
            "format = 1\n",
            "format = 2\n",
            "format = \"2\"\n",
            "format = \"one\"\n",
            "format = true\n",
            "format = [1]\n",
            "format = -1\n",
            "format = \n",
            "[format]\n",
        ] {
            assert_eq!(migrated(text), None, "{text}");
        }
        assert_eq!(migrate(b"format = \"1\" # \xff\n"), None);
    }

    #[test]
    fn a_format_that_nobody_knows_is_named_as_it_is_written() {
        let unknown = |text: &str| unknown_format(text.as_bytes());
        for value in ["2", "\"2\"", "2.0", "\"one\"", "true", "[1]", "-1"] {
            assert_eq!(
                unknown(&format!("format = {value} # new\n")),
                Some(value.to_owned())
            );
        }
        for text in [
            "format = 1\n",
            "format = \"1\"\n",
            "format = 0\n",
            "a = 1\n",
            "format = \n",
        ] {
            assert_eq!(unknown(text), None, "{text}");
        }
    }

    #[test]
    fn line_ends_of_windows_stay() {
        assert_eq!(
            migrated("# a\r\nformat = \"1\"\r\n# b\r\n"),
            Some("# a\r\nformat = 1\r\n# b\r\n".to_owned())
        );
    }
}
