//! What happens to every text that a page shows.
//!
//! Invariant: no text leaves its place in a page, hides what it is or turns the direction of writing, whoever wrote it:
//! the templates have no other way to show one. Lines and tabs stay, for texts that are shown as they were written.

use std::fmt::{self, Write};

use askama::filters::Escaper;
use headwater_validators::is_unprintable;

/// The escaper of all templates; `askama.toml` names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '<' => dest.write_str("&lt;")?,
                '>' => dest.write_str("&gt;")?,
                '&' => dest.write_str("&amp;")?,
                '"' => dest.write_str("&quot;")?,
                '\'' => dest.write_str("&#39;")?,
                '\n' | '\t' => dest.write_char(c)?,
                c if is_unprintable(c) => write!(dest, "{}", c.escape_default())?,
                c => dest.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_control_and_marks_of_direction_are_shown_and_not_obeyed() {
        let mut shown = String::new();
        let text = "<b onclick=\"x\">'&\u{202e}\u{1b}\u{0}\u{feff}ü\n";
        Html.write_escaped_str(&mut shown, text).unwrap();
        assert_eq!(
            shown,
            "&lt;b onclick=&quot;x&quot;&gt;&#39;&amp;\\u{202e}\\u{1b}\\u{0}\\u{feff}ü\n"
        );
    }
}
