//! Findings that the tests of the renderers share.

use headwater_wire::{Finding, Severity, Span};

pub(super) fn span(line: u32, column: u32, end_line: u32, end_column: u32) -> Span {
    Span {
        line,
        column,
        end_line,
        end_column,
    }
}

/// One of each kind.
pub(super) fn findings() -> Vec<Finding> {
    let web = "web".parse().unwrap();
    vec![
        Finding::new(
            "limit/findings",
            Severity::Info,
            ("headwater.toml", Span::START),
            "findings that are not shown: `7`",
        ),
        Finding::new(
            "schema/type",
            Severity::Error,
            ("services/web.toml", span(2, 8, 2, 12)),
            "expected an integer, found a string: `80`",
        )
        .pointer("/port")
        .config(&web)
        .related("services/base.toml", span(1, 8, 1, 10), "overrides this value")
        .hint("remove the quotes"),
        Finding::new(
            "merge/type-change",
            Severity::Warning,
            ("services/web.toml", span(4, 1, 9, 2)),
            "100 % of it",
        )
        .pointer("/pool"),
    ]
}

/// One for which no file can be blamed.
pub(super) fn of_all() -> Finding {
    Finding::of_all(
        "limit/deadline",
        Severity::Error,
        "the verdict took longer than 30 s",
    )
    .hint("look closely")
}

/// One whose every text tries to be something else.
pub(super) fn hostile() -> Finding {
    let text = "a\r\n::error::b ]]> <c> & \"d\" \u{1b}[31m \u{202e}e \u{0} 100%, f: g";
    let path = "a b/ü,:%\u{1b}\u{202e}\n::error::.toml";
    Finding::new("rule/x]]>", Severity::Error, (path, span(1, 1, 1, 1)), text)
        .pointer(text)
        .hint(text)
        .related(path, span(2, 1, 2, 2), text)
}
