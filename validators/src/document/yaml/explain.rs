//! What is wrong with a YAML document, in words for its author.
//!
//! Invariant: a sentence says what the line looks like to a reader of YAML, and a hint what to write instead. What is
//! deliberately absent: any decision; the document is refused already.

use granit_parser::{ErrorKind as Kind, ScanError};

use super::super::Fault;
use super::super::build::{Build, excerpt};
use super::CODE;

/// What the parser did not like; it stops at the first thing.
pub(super) fn syntax(build: &Build<'_>, error: &ScanError) -> Fault {
    let at = error.marker().byte_offset().unwrap_or(0);
    let range = build.range(at..at + 1);
    if matches!(error.kind(), Kind::RecursionLimitExceeded) {
        return build.too_deep(range);
    }
    let found = build.slice_of(range);
    match words(error.kind()).or_else(|| more_words(error.kind())) {
        Some((message, hint)) => Fault::new(CODE, range, message.replace("{}", &excerpt(found))).hint(hint),
        None => Fault::new(CODE, range, error.kind().to_string()),
    }
}

const INDENT: &str = "indent this line like the keys beside it";
const CLOSE: &str = "close the bracket, and indent every line of it, the closing one too";
const TAB: &str = "indent with spaces";
const COLON: &str = "write `key: value` with a space after the colon; quote a value that holds `: `";

/// Mistakes of layout, keys and brackets.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has its own words for the rest"
)]
fn words(kind: &Kind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement | Kind::MappingKeyNotAllowed => (
            "a key cannot stand here",
            "check the indentation of this line; quote a value that holds `: `",
        ),
        Kind::ExpectedBlockMappingKey => ("expected a key, as in the lines above", INDENT),
        Kind::ExpectedBlockSequenceEntry => (
            "expected `- `, as in the lines above",
            "a list and keys cannot share one indentation",
        ),
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => {
            ("line is neither a key nor part of a value", COLON)
        }
        Kind::InvalidMappingValueWhitespace => ("no space after a colon", COLON),
        Kind::BlockSequenceEntryNotAllowed | Kind::BlockEntryInFlowCollection => (
            "a list entry cannot stand here",
            "start each `- ` on a line of its own; inside `[ ]` separate by commas",
        ),
        Kind::InvalidBlockEntryWhitespace => ("no space after a `-`", "write `- value`"),
        Kind::TabInIndentation
        | Kind::TabInBlockIndentation
        | Kind::TabNotAllowed
        | Kind::TabAtBlockScalarStart => ("tab in the indentation", TAB),
        Kind::TabInPlainScalar => (
            "tab inside an unquoted value",
            "indent with spaces, or quote the value",
        ),
        Kind::InvalidIndentation | Kind::InvalidFlowScalarIndent => (
            "line inside brackets is not indented",
            "indent every line of a value in brackets, the closing one too",
        ),
        Kind::UnclosedFlowCollection { .. }
        | Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping => ("bracket is never closed: `{}`", CLOSE),
        Kind::MismatchedFlowCollectionEnd { .. } => ("bracket is closed by one of another kind: `{}`", CLOSE),
        Kind::MisplacedFlowCollectionEnd => (
            "closing bracket without an opening one: `{}`",
            "delete it, or quote the value",
        ),
        Kind::ExpectedFlowMappingSeparator => ("expected a comma or `}`", "put a comma between two keys"),
        Kind::ExpectedFlowSequenceSeparator => ("expected a comma or `]`", "put a comma between two values"),
        Kind::ExpectedNodeContent => ("value is missing", "write a value, or `null`"),
        _ => return None,
    })
}

/// Mistakes of values: quotes, blocks, references and directives.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has its own words for the rest"
)]
fn more_words(kind: &Kind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        Kind::UnexpectedCharacter { .. } => (
            "unquoted value starts with a reserved character: `{}`",
            "put the value in quotes",
        ),
        Kind::PlainScalarStartsWithDashFlowIndicator => {
            ("unquoted value starts with `-` and a bracket", "put it in quotes")
        }
        Kind::UnclosedQuotedScalar => ("string is never closed", "add the closing quote"),
        Kind::InvalidQuotedScalarIndent => (
            "string is not closed before this line",
            "close the quote, or indent the lines that continue the string",
        ),
        Kind::DocumentIndicatorInQuotedScalar => {
            ("string is not closed before this line", "add the closing quote")
        }
        Kind::InvalidTrailingSingleQuotedScalar => (
            "text after the closing quote",
            "write `''` for a quote inside single quotes",
        ),
        Kind::InvalidTrailingDoubleQuotedScalar => (
            "text after the closing quote",
            "write `\\\"` for a quote inside double quotes",
        ),
        Kind::UnknownQuotedScalarEscape => (
            "string has an unknown escape",
            "write `\\\\` for a backslash, or use single quotes, which know no escapes",
        ),
        Kind::InvalidQuotedScalarHexEscape | Kind::InvalidUnicodeEscape => (
            "string has an escape without its digits",
            "write `\\xe9` or `\\u00e9`, for example",
        ),
        Kind::InvalidBlockScalarHeader => (
            "text after `|` or `>`",
            "start the text on the next line, indented",
        ),
        Kind::InvalidBlockScalarIndent => (
            "line of a text block is indented less than its first",
            "indent it like the first",
        ),
        Kind::UnknownAnchor => (
            "alias refers to no anchor before it",
            "write `&name` at the value that `*name` repeats",
        ),
        Kind::CommentNotSeparated => (
            "no space before a comment",
            "write a space before the `#`, or quote the value",
        ),
        Kind::CommentInterceptedScalar => (
            "comment inside a value of several lines",
            "move the comment above the value",
        ),
        Kind::UndeclaredTagHandle => (
            "tag is not known",
            "delete the tag, or quote a value that starts with `!`",
        ),
        Kind::BomInsideDocument => (
            "byte order mark inside the document",
            "delete it; it does not show in most editors",
        ),
        Kind::UnsupportedYamlMajorVersion => {
            ("not a version of YAML that is known", "delete the `%YAML` line")
        }
        _ => return None,
    })
}
