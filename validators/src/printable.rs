//! Text from outside as a person may see it: nothing in it moves a cursor, begins a line or hides what it is.

/// A text on one line, with escapes in the place of control characters and of marks that are not seen or turn the
/// direction of writing.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Whether a character is not seen, or does something to those around it.
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Characters that make a text look like another one on a terminal or in a review.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[31mb\nc\u{202e}d\u{9b}\u{feff}ü"),
            "a\\u{1b}[31mb\\nc\\u{202e}d\\u{9b}\\u{feff}ü"
        );
    }
}
