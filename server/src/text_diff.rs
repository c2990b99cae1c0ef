//! The difference of two texts, line by line, in the form that every tool reads.
//!
//! Invariant: compared is what is there, shown is what may be shown. A secret that was replaced is a changed line, though
//! both of its sides look the same.

use std::fmt::Write as _;
use std::time::Duration;

use headwater_validators::Mask;
use similar::{ChangeTag, DiffableStr, TextDiff};

/// Longest time for the text of one file: a difference of two unlike files is quadratic at worst.
const DEADLINE: Duration = Duration::from_millis(500);

/// Lines shown round a change.
const CONTEXT_LINES: usize = 3;

/// One side of a difference.
#[derive(Debug)]
pub(crate) struct Side {
    /// How the file is named in the header.
    pub(crate) header: String,
    pub(crate) text: String,
}

/// The unified difference of two texts of the file at `path`; empty if they are equal. What any of the masks hides is
/// hidden on both sides.
pub(crate) fn unified(path: &str, old: &Side, new: &Side, masks: &[Mask]) -> String {
    let (old_shown, new_shown) = (shown(path, &old.text, masks), shown(path, &new.text, masks));
    let (old_lines, new_lines) = (old_shown.tokenize_lines(), new_shown.tokenize_lines());
    let diff = TextDiff::configure()
        .timeout(DEADLINE)
        .diff_lines(old.text.as_str(), new.text.as_str());
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        if text.is_empty() {
            text = format!("--- {}\n+++ {}\n", old.header, new.header);
        }
        // Writing into a `String` cannot fail.
        writeln!(text, "{}", hunk.header()).ok();
        for change in hunk.iter_changes() {
            let line = match change.tag() {
                ChangeTag::Insert => change.new_index().and_then(|at| new_lines.get(at)),
                ChangeTag::Delete | ChangeTag::Equal => change.old_index().and_then(|at| old_lines.get(at)),
            };
            write!(text, "{}{}", change.tag(), line.copied().unwrap_or_default()).ok();
            if change.missing_newline() {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

/// A text for eyes; its lines are those of the text.
fn shown(path: &str, text: &str, masks: &[Mask]) -> String {
    let bytes = masks
        .iter()
        .fold(text.as_bytes().to_vec(), |bytes, mask| mask.text(path, &bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str) -> String {
        let manifest: &[u8] = b"format = 1\n[secrets]\npaths = [\"/db/pin\"]\n";
        let side = |header: &str, text: &str| Side {
            header: header.to_owned(),
            text: text.to_owned(),
        };
        let masks = [Mask::of_manifest(None), Mask::of_manifest(Some(manifest))];
        unified("a.yaml", &side("a/a.yaml", old), &side("b/a.yaml", new), &masks)
    }

    #[test]
    fn a_changed_secret_is_a_changed_line_that_shows_neither_of_its_values() {
        let text = diff(
            "a: 1\ndb:\n  pin: 4711\n  port: 1\n",
            "a: 1\ndb:\n  pin: 4712\n  port: 1",
        );
        insta::assert_snapshot!(text, @r"
        --- a/a.yaml
        +++ b/a.yaml
        @@ -1,4 +1,4 @@
         a: 1
         db:
        -  pin: ••••
        -  port: 1
        +  pin: ••••
        +  port: 1
        \ No newline at end of file
        ");
    }

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(diff("password: hunter2\n", "password: hunter2\n"), "");
    }
}
