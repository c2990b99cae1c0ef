//! JSON pointers (RFC 6901), as text.

/// The unescaped tokens of a pointer; `None` if the text is no pointer.
pub(crate) fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    Some(
        rest.split('/')
            .map(|token| token.replace("~1", "/").replace("~0", "~"))
            .collect(),
    )
}

/// The pointer of these tokens.
pub(crate) fn text(tokens: &[String]) -> String {
    let mut pointer = String::new();
    for token in tokens {
        push(&mut pointer, token);
    }
    pointer
}

/// Appends one token, escaped.
pub(crate) fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_a_round_trip() {
        let mut pointer = String::new();
        for token in ["a/b", "~", "", "~1", "ü"] {
            push(&mut pointer, token);
        }
        assert_eq!(pointer, "/a~1b/~0//~01/ü");
        assert_eq!(tokens(&pointer).unwrap(), ["a/b", "~", "", "~1", "ü"]);
        assert_eq!(tokens("a"), None);
    }
}
