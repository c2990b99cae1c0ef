//! What is wrong with a TOML document, in words for its author.
//!
//! Invariant: a sentence names what stands in the file, and a hint what to write instead; what the parser says in words
//! this does not know is passed on. What is deliberately absent: any decision; the document is refused already.

use toml::de::Error;

use super::super::build::{Build, duplicate_key, excerpt};
use super::super::{Fault, Range};
use super::{CODE, keys};

/// What the parser did not like.
pub(super) fn syntax(build: &mut Build<'_>, errors: &[&Error]) {
    let places = errors
        .iter()
        .filter(|error| is_about_a_key(error))
        .filter_map(|error| error.span());
    let first_uses = keys::first_uses(build, places.map(|span| span.start).collect());
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let first = first_uses.get(&span.start).copied();
        let fault = one(
            build.range(span.clone()),
            build.slice(span),
            error.message(),
            first,
        );
        build.fault(fault);
    }
}

const DUPLICATE: &str = "duplicate key";
const NO_TABLE: &str = "cannot extend value of type ";

fn is_about_a_key(error: &Error) -> bool {
    error.message() == DUPLICATE || error.message().starts_with(NO_TABLE)
}

fn one(range: Range, written: &str, said: &str, first: Option<Range>) -> Fault {
    if said == DUPLICATE {
        return duplicate_key(written, range, first);
    }
    if let Some(kind) = said.strip_prefix(NO_TABLE) {
        let kind = kind.strip_suffix(" with a dotted key").unwrap_or(kind);
        let fault = fault(
            range,
            format!("key already holds a value of type {kind}: `{}`", excerpt(written)),
        )
        .hint("rename one of the two, or write all of it in one place");
        return match first {
            Some(first) => fault.related(first, "first written here"),
            None => fault,
        };
    }
    word(range, written, said)
        .or_else(|| sentence(range, written, said))
        .unwrap_or_else(|| fault(range, said))
}

fn fault(range: Range, message: impl Into<String>) -> Fault {
    Fault::new(CODE, range, message)
}

/// A bare word where a value is expected.
fn word(range: Range, written: &str, said: &str) -> Option<Fault> {
    const STARTS: [&str; 3] = [
        "string values must be quoted",
        "invalid boolean",
        "invalid float, expected `",
    ];
    let starts_like_a_word =
        written.starts_with(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.'));
    if !STARTS.iter().any(|start| said.starts_with(start)) {
        return None;
    }
    let found = excerpt(written);
    Some(match written.to_ascii_lowercase().as_str() {
        "" => fault(range, "value is missing").hint("write a value after the `=`, or delete the key"),
        "true" | "false" => fault(range, format!("not a truth value: `{found}`")).hint("use lower case"),
        "yes" | "no" | "on" | "off" => fault(range, format!("not a value: `{found}`"))
            .hint("TOML writes `true` and `false`; quote it if it is text"),
        "null" | "nil" | "none" => {
            fault(range, format!("TOML has no null: `{found}`")).hint("leave the key out")
        }
        _ if starts_like_a_word => {
            fault(range, format!("text needs quotes: `{found}`")).hint("put the whole value in quotes")
        }
        _ => fault(range, format!("not a number or a date: `{found}`"))
            .hint("quote it if it is text, and put each key on a line of its own"),
    })
}

/// Starts of what the parser says, what we say, and what to do. `{}` is what stands in the file.
const SENTENCES: [(&str, &str, &str); 21] = [
    (
        "unexpected key or value, expected newline",
        "unexpected text after the value",
        "put each key on a line of its own",
    ),
    ("key with no value", "key has no value", "write `key = value`"),
    ("extra `=`", "a second `=`", "write `key = value`"),
    (
        "unquoted keys cannot be empty",
        "key is missing",
        "write a name, in quotes if it is empty",
    ),
    (
        "invalid key-value pair, expected key",
        "expected a key",
        "write `key = value`",
    ),
    (
        "invalid literal string",
        "string is not closed",
        "add the closing `'`",
    ),
    (
        "invalid basic string, expected `\"`",
        "string is not closed",
        "add the closing `\"`",
    ),
    (
        "invalid multi-line literal string",
        "string is not closed",
        "add the closing `'''`",
    ),
    (
        "invalid multi-line basic string",
        "string is not closed",
        "add the closing `\"\"\"`",
    ),
    (
        "missing escaped value",
        "unknown escape",
        "write `\\\\` for a backslash, or use single quotes, which know no escapes",
    ),
    (
        "too few unicode value digits",
        "escape has too few digits",
        "write `\\\\` for a backslash, or use single quotes, which know no escapes",
    ),
    (
        "unexpected leading zero",
        "number starts with a zero",
        "delete the zero, or quote the value if it is text",
    ),
    ("unclosed table", "header is not closed", "add the closing `]`"),
    (
        "unclosed array table",
        "header is not closed",
        "add the closing `]]`",
    ),
    ("unclosed array", "list is not closed", "add the closing `]`"),
    (
        "unclosed inline table",
        "table is not closed",
        "add the closing `}`",
    ),
    (
        "missing comma between array elements",
        "expected a comma or `]`",
        "put a comma between two values, or close the list",
    ),
    (
        "missing comma between key-value pairs",
        "expected a comma or `}`",
        "put a comma between two keys, or close the table",
    ),
    (
        "invalid mantissa",
        "number needs a digit before its point",
        "write `0.5`",
    ),
    (
        "invalid fraction",
        "number needs a digit after its point",
        "write `5.0`",
    ),
    (
        "carriage return must be followed by newline",
        "carriage return without a line feed",
        "save the file with `\\n` or `\\r\\n` line ends",
    ),
];

fn sentence(range: Range, written: &str, said: &str) -> Option<Fault> {
    if said.starts_with("invalid unquoted key") {
        return Some(bare_key(range, written));
    }
    let (_, message, hint) = SENTENCES.iter().find(|(start, _, _)| said.starts_with(start))?;
    Some(fault(range, *message).hint(*hint))
}

fn bare_key(range: Range, written: &str) -> Fault {
    let found = excerpt(written);
    match written {
        ":" => fault(range, "key and value are separated by `=`, found: `:`").hint("write `key = value`"),
        _ if written.starts_with("//") => fault(range, "not a comment: `//`").hint("comments start with `#`"),
        _ => fault(range, format!("key needs quotes: `{found}`"))
            .hint("without quotes a key holds ASCII letters, digits, `-` and `_`"),
    }
}
