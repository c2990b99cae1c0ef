//! From a document to the program's own type.
//!
//! Invariant: an error names the value by its JSON pointer, as `headwater explain` and the findings do, and never quotes
//! more than a line of it.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

/// Longest message that is reported, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// Reads a document.
pub(crate) fn decode<T: DeserializeOwned>(document: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(document);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        let cause = error.inner().to_string();
        // The place in the text is that of the rendering, which nobody has seen.
        let cause = cause.split(" at line ").next().unwrap_or_default();
        let cause = clip(cause);
        if pointer.is_empty() {
            cause
        } else {
            format!("at `{pointer}`: {cause}")
        }
    })
}

fn segment(segment: &Segment) -> String {
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => "/?".to_owned(),
    }
}

/// One clean line of bounded length.
pub(crate) fn clip(message: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = message.chars().take(MESSAGE_CHARS_MAX).map(clean).collect();
    if message.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pools {
        #[expect(dead_code, reason = "only read from text")]
        pools: Vec<Pool>,
    }

    #[derive(Debug, Deserialize)]
    struct Pool {
        #[expect(dead_code, reason = "only read from text")]
        max: u8,
    }

    #[test]
    fn an_error_names_the_value_by_its_pointer() {
        let error = |text: &str| decode::<Pools>(text).unwrap_err();
        assert_eq!(
            error(r#"{"pools":[{"max":1},{"max":300}]}"#),
            "at `/pools/1/max`: invalid value: integer `300`, expected u8"
        );
        assert_eq!(error("{}"), "missing field `pools`");
        assert_eq!(
            error(r#"{"a/b":1}"#),
            "at `/a~1b`: unknown field `a/b`, expected `pools`"
        );
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let long = format!("a\nb{}", "x".repeat(2_000));
        let clipped = clip(&long);
        assert_eq!(clipped.chars().count(), MESSAGE_CHARS_MAX + 1);
        assert!(!clipped.contains('\n'));
    }
}
