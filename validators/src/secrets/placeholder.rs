//! Texts that stand where a secret will be: templates, and samples out of documentation.

use std::collections::BTreeSet;

/// Parts of a text that nobody's secret has, in lower case.
const SAMPLE_WORDS: &[&str] = &[
    "example",
    "placeholder",
    "redacted",
    "changeme",
    "change_me",
    "change-me",
    "replaceme",
    "replace_me",
    "replace-me",
    "your_",
    "your-",
    "dummy",
    "xxxx",
    "****",
    "....",
    "••••",
];

/// Whole texts that name the thing instead of being it, in lower case.
const NAMES: &[&str] = &[
    "password", "passwd", "pass", "pwd", "pw", "secret", "token", "none", "null", "todo", "tbd",
];

/// Fewer different bytes than this in a longer text are a filler such as `00000000` or `ababababab`.
const DIFFERENT_BYTES_MIN: usize = 4;

/// Whether a text that has the format of a secret is none.
pub(super) fn is_sample(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let has = |word: &str| lower.windows(word.len()).any(|window| window == word.as_bytes());
    let different: BTreeSet<u8> = lower.iter().copied().collect();
    let is_filler = lower.len() >= 2 * DIFFERENT_BYTES_MIN && different.len() < DIFFERENT_BYTES_MIN;
    is_filler
        || is_template(text)
        || NAMES.iter().any(|name| name.as_bytes() == lower)
        || SAMPLE_WORDS.iter().any(|word| has(word))
}

/// Whether so many characters of base 64 stand side by side.
pub(super) fn has_run(text: &[u8], length: usize) -> bool {
    let is_other = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    text.split(is_other).any(|run| run.len() >= length)
}

/// Whether something is put in later: `${X}`, `$X`, `{{ x }}`, `{x}`, `<x>`, `%X%`, `%(x)s`, `%s`, `@x@`, `#{x}`.
fn is_template(text: &[u8]) -> bool {
    let between = |open: &[u8], close: &[u8]| {
        let start = text.windows(open.len()).position(|window| window == open);
        start.is_some_and(|start| {
            let rest = text.get(start + open.len()..).unwrap_or_default();
            rest.windows(close.len()).any(|window| window == close)
        })
    };
    let is_variable = text.strip_prefix(b"$").is_some_and(|name| {
        !name.is_empty()
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    });
    let whole = |mark: u8| text.len() > 2 && text.first() == Some(&mark) && text.last() == Some(&mark);
    between(b"{", b"}")
        || between(b"<", b">")
        || between(b"%(", b")")
        || is_variable
        || whole(b'%')
        || whole(b'@')
        || text == b"%s"
}

#[cfg(test)]
mod tests {
    use super::is_sample;

    #[test]
    fn templates_and_samples_are_no_secrets() {
        for text in [
            "${X}",
            "$DB_PASSWORD",
            "{{ x }}",
            "a{x}b",
            "<token>",
            "%PW%",
            "%(pw)s",
            "%s",
            "@pw@",
            "password",
            "0000000000",
            "abababababab",
            "your-key-here",
            "CHANGEME",
            "AKIAIOSFODNN7EXAMPLE",
        ] {
            assert!(is_sample(text.as_bytes()), "{text}");
        }
        for text in ["s3cr3t", "hunter2", "pa$$w0rd", "100%sure", "a", "correct-horse"] {
            assert!(!is_sample(text.as_bytes()), "{text}");
        }
    }
}
