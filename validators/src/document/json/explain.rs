//! What is wrong with a JSON document, in words for its author.
//!
//! Invariant: a sentence names what stands in the file, and a hint what to write instead. What is deliberately absent:
//! any decision; the document is refused already.

use jsonc_parser::ParseStringErrorKind as StringKind;
use jsonc_parser::errors::{ParseError, ParseErrorKind as Kind};

use super::super::build::{Build, excerpt};
use super::super::{Fault, Range};
use super::CODE;

/// What `jsonc-parser` did not like.
#[expect(clippy::wildcard_enum_match_arm, reason = "`grammar` looks at the rest")]
pub(super) fn syntax(build: &Build<'_>, error: &ParseError) -> Fault {
    let at = error.range();
    let rest = build.slice(at.start..build.text().len());
    let first = build.range(at.start..at.start + 1);
    let token = build.range(at.start..at.end.max(at.start));
    if matches!(error.kind(), Kind::NestingDepthExceeded) {
        return build.too_deep(first);
    }
    if rest.starts_with('#') {
        return no_comments(first);
    }
    let written = build.slice(at.start..at.end);
    match error.kind() {
        Kind::CommentsNotAllowed => no_comments(token),
        Kind::UnterminatedObject | Kind::UnterminatedArray | Kind::UnterminatedCommentBlock => {
            let fault = fault(
                first,
                format!(
                    "this is never closed: `{}`",
                    excerpt(written.get(..1).unwrap_or_default())
                ),
            );
            fault.hint("add the closing bracket")
        }
        Kind::String(kind) => string(token, first, kind, written),
        kind => grammar(kind, token, written),
    }
}

/// What only `serde_json` did not like; its position is the byte behind what it has read.
pub(super) fn refusal(build: &Build<'_>, error: &serde_json::Error) -> Fault {
    let line_start = match error.line().checked_sub(2) {
        Some(breaks) => build
            .text()
            .match_indices('\n')
            .nth(breaks)
            .map_or(0, |(at, _)| at + 1),
        None => 0,
    };
    // A raw line break inside a string is told as column 0 of the next line.
    let at = (line_start + error.column()).saturating_sub(1);
    let range = build.range(at..at + 1);
    let sentence = error.to_string();
    if sentence.starts_with("control character") {
        return fault(
            range,
            format!(
                "control character in a string: `{}`",
                excerpt(build.slice_of(range))
            ),
        )
        .hint("write it as an escape: `\\n` for a line break, `\\t` for a tab");
    }
    if sentence.starts_with("recursion limit") {
        return build.too_deep(range);
    }
    let message = sentence
        .rsplit_once(" at line ")
        .map_or(sentence.as_str(), |(message, _)| message);
    fault(
        range,
        format!("{message}, found: `{}`", excerpt(build.slice_of(range))),
    )
    .hint("between values JSON has spaces, tabs and line breaks only")
}

fn fault(range: Range, message: impl Into<String>) -> Fault {
    Fault::new(CODE, range, message)
}

fn no_comments(range: Range) -> Fault {
    fault(range, "JSON has no comments")
        .hint("delete it, or keep the document as TOML or YAML, which have comments")
}

fn string(token: Range, first: Range, kind: &StringKind, written: &str) -> Fault {
    let escape = excerpt(written);
    match kind {
        StringKind::UnterminatedStringLiteral => {
            fault(first, "string is never closed").hint("add the closing `\"`")
        }
        StringKind::InvalidUnicodeEscapeSequence(_) => {
            fault(token, format!("escape is half of a character: `{escape}`"))
                .hint("write the character itself, or both halves, such as `\\ud83d\\ude00`")
        }
        StringKind::ExpectedFourHexDigits | StringKind::ExpectedTwoHexDigits => {
            fault(token, format!("escape needs four hexadecimal digits: `{escape}`"))
                .hint("write `\\u00e9`, for example")
        }
        StringKind::InvalidEscape
        | StringKind::InvalidEscapeInDoubleQuoteString
        | StringKind::InvalidEscapeInSingleQuoteString => fault(token, format!("unknown escape: `{escape}`"))
            .hint("write `\\\\` for a backslash; the others are `\\\" \\/ \\b \\f \\n \\r \\t \\uXXXX`"),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "for the rest the text itself says most"
)]
fn grammar(kind: &Kind, token: Range, written: &str) -> Fault {
    let found = excerpt(written);
    let (message, hint) = match kind {
        Kind::TrailingCommasNotAllowed => ("comma before a closing bracket".to_owned(), "delete the comma"),
        Kind::SingleQuotedStringsNotAllowed => (
            "single quotes around a string".to_owned(),
            "use double quotes: `\"`",
        ),
        Kind::ExpectedStringObjectProperty => (
            format!("key needs double quotes: `{found}`"),
            "write `\"key\": value`",
        ),
        Kind::ExpectedComma => (
            "expected a comma or a closing bracket".to_owned(),
            "put a comma between two values",
        ),
        Kind::ExpectedColonAfterObjectKey => (
            "expected a colon after the key".to_owned(),
            "write `\"key\": value`",
        ),
        Kind::ExpectedObjectValue => ("value is missing".to_owned(), "write a value after the colon"),
        Kind::MultipleRootJsonValues => (
            format!("text behind the end of the document: `{found}`"),
            "a file holds one value; look for a bracket too many",
        ),
        Kind::BareDecimalPointNumbersNotAllowed => (
            format!("number needs a digit on both sides of its point: `{found}`"),
            "write `0.5` or `5.0`",
        ),
        Kind::UnaryPlusNumbersNotAllowed => ("number with a plus sign".to_owned(), "delete the `+`"),
        Kind::HexadecimalNumbersNotAllowed => ("hexadecimal number".to_owned(), "write it in decimal digits"),
        Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral => {
            ("number is cut off".to_owned(), "write its digits")
        }
        _ => (format!("unexpected text: `{found}`"), word_hint(written)),
    };
    fault(token, message).hint(hint)
}

/// What the author of an unexpected word most likely knows it from.
fn word_hint(written: &str) -> &'static str {
    match written {
        "True" | "False" | "TRUE" | "FALSE" | "yes" | "no" | "on" | "off" => "JSON writes `true` and `false`",
        "None" | "nil" | "Null" | "NULL" | "undefined" => "JSON writes `null`",
        "NaN" | "Infinity" | "inf" | "nan" => "JSON has no infinity and no not-a-number; leave the key out",
        "}" | "]" => "a value may be missing before it, or a bracket of another kind is open",
        "," => "a value is missing before the comma",
        _ => "a value is a string in double quotes, a number, `true`, `false`, `null`, a list or an object",
    }
}
