//! JSON pointers (RFC 6901) as text, and patterns of them.

use globset::{Glob, GlobMatcher};

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

/// Which pointers are meant: `/db/password`, `/pools/*/max` (any key or index), `**/*_token` (at any depth).
///
/// Tokens are escaped as in a pointer. In a token, `*` stands for any run of characters and nothing else is special; a
/// token `**` stands for any number of tokens, none included.
#[derive(Debug, Clone)]
pub(crate) struct PointerPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
enum Segment {
    AnyDepth,
    Literal(String),
    Glob(GlobMatcher),
}

impl Segment {
    fn matches(&self, token: &str) -> bool {
        match self {
            Self::AnyDepth => true,
            Self::Literal(text) => text == token,
            Self::Glob(glob) => glob.is_match(token),
        }
    }
}

impl PartialEq for PointerPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PointerPattern {
    /// Reads a pattern, or says what is wrong with it: message and hint.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, String)> {
        let rest = text
            .strip_prefix('/')
            .or_else(|| text.starts_with("**").then_some(text));
        let Some(rest) = rest else {
            let message = format!("a pattern of pointers starts with `/` or `**`: `{text}`");
            return Err((
                message,
                format!("write `**/{text}`, or `/{text}` for the top level alone"),
            ));
        };
        let segments: Option<Vec<_>> = rest.split('/').map(segment).collect();
        let segments = segments.ok_or_else(|| {
            let message = format!("no pattern of pointers: `{text}`");
            let hint = "`**` stands alone between slashes; `~` in a key is written `~0`, `/` is written `~1`";
            (message, hint.to_owned())
        })?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names this very pointer.
    pub(crate) fn matches<T: AsRef<str>>(&self, tokens: &[T]) -> bool {
        let last = tokens
            .iter()
            .fold(self.start(), |states, token| self.step(&states, token.as_ref()));
        last.last().copied().unwrap_or(false)
    }

    /// Whether it names this pointer or one above it.
    pub(crate) fn covers<T: AsRef<str>>(&self, tokens: &[T]) -> bool {
        let mut states = self.start();
        let mut is_covered = states.last().copied().unwrap_or(false);
        for token in tokens {
            states = self.step(&states, token.as_ref());
            is_covered |= states.last().copied().unwrap_or(false);
        }
        is_covered
    }

    /// The last segment, if it is no `**`: whether a key of this name could be meant.
    pub(crate) fn could_end_in(&self, key: &str) -> bool {
        match self.segments.last() {
            Some(Segment::AnyDepth) | None => false,
            Some(segment) => segment.matches(key),
        }
    }

    /// How many segments can be behind us; the number of states is that of segments and one, so no pattern is slow.
    fn start(&self) -> Vec<bool> {
        let mut states = vec![false; self.segments.len() + 1];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        self.skip_any_depth(&mut states);
        states
    }

    fn step(&self, states: &[bool], token: &str) -> Vec<bool> {
        let mut next = vec![false; states.len()];
        for (at, segment) in self.segments.iter().enumerate() {
            if !states.get(at).copied().unwrap_or(false) || !segment.matches(token) {
                continue;
            }
            let to = if matches!(segment, Segment::AnyDepth) {
                at
            } else {
                at + 1
            };
            if let Some(state) = next.get_mut(to) {
                *state = true;
            }
        }
        self.skip_any_depth(&mut next);
        next
    }

    fn skip_any_depth(&self, states: &mut [bool]) {
        for (at, segment) in self.segments.iter().enumerate() {
            let is_here = states.get(at).copied().unwrap_or(false);
            if let (true, Segment::AnyDepth, Some(next)) = (is_here, segment, states.get_mut(at + 1)) {
                *next = true;
            }
        }
    }
}

fn segment(text: &str) -> Option<Segment> {
    if text == "**" {
        return Some(Segment::AnyDepth);
    }
    let bare = text.replace("~0", "").replace("~1", "");
    if text.contains("**") || bare.contains('~') {
        return None;
    }
    let token = text.replace("~1", "/").replace("~0", "~");
    if !token.contains('*') {
        return Some(Segment::Literal(token));
    }
    let parts: Vec<String> = token.split('*').map(globset::escape).collect();
    let glob = Glob::new(&parts.join("*")).ok()?;
    Some(Segment::Glob(glob.compile_matcher()))
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

    fn names(pattern: &str, pointer: &str) -> bool {
        let pattern = PointerPattern::parse(pattern).unwrap();
        pattern.matches(&tokens(pointer).unwrap())
    }

    #[test]
    fn a_star_is_any_key_or_index_and_part_of_a_key() {
        assert!(names("/pools/*/max", "/pools/0/max"));
        assert!(names("/pools/*/max", "/pools/a~1b/max"));
        assert!(names("/*_token", "/auth_token"));
        assert!(names("/a~1b[{?", "/a~1b[{?"));
        assert!(!names("/pools/*/max", "/pools/max"));
        assert!(!names("/pools/*/max", "/pools/a/b/max"));
        assert!(!names("/*_token", "/x/auth_token"));
    }

    #[test]
    fn two_stars_are_any_depth() {
        for pointer in ["/password", "/db/password", "/a/0/b/password"] {
            assert!(names("**/password", pointer), "{pointer}");
        }
        assert!(names("/a/**/b/**", "/a/b"));
        assert!(names("/a/**/b/**", "/a/x/b/y/z"));
        assert!(!names("**/password", "/password/old"));
        assert!(!names("/a/**/b", "/b"));
    }

    #[test]
    fn what_is_below_is_covered_and_what_is_above_is_not() {
        let pattern = PointerPattern::parse("/db/*").unwrap();
        assert!(pattern.covers(&["db", "password"]));
        assert!(pattern.covers(&["db", "password", "old", "0"]));
        assert!(!pattern.covers(&["db"]));
        assert!(!pattern.covers::<&str>(&[]));
    }

    #[test]
    fn many_double_stars_take_no_longer() {
        let pattern = PointerPattern::parse("**/a/".repeat(40).trim_end_matches('/')).unwrap();
        assert!(!pattern.matches(&["a"; 39]));
        assert!(pattern.matches(&["a"; 64]));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["password", "", "/a**b", "/a~2", "a/b"] {
            assert!(PointerPattern::parse(text).is_err(), "{text}");
        }
    }
}
