//! A commit message as Git will keep it, from the file that a person writes it in.
//!
//! Invariant: what Git takes out is taken out: the lines that its editor's file explains itself with, everything below
//! the scissors, and blank space at the ends. What is deliberately absent: `--cleanup` of the command line, which no hook
//! is told of.

/// What Git writes above a diff that it only shows.
const SCISSORS: &str = "------------------------ >8 ------------------------";
/// What begins a comment unless somebody said otherwise.
const COMMENT: &str = "#";
/// What Git chooses from where it is to choose by itself.
const COMMENTS_CHOSEN: [&str; 10] = ["#", ";", "@", "!", "$", "%", "^", "&", "|", ":"];

/// How much of a message is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Comments and blank space.
    Strip,
    /// Blank space.
    Whitespace,
    /// Nothing but what is below the scissors.
    Verbatim,
}

/// How Git cleans a message up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    mode: Mode,
    /// What begins a comment; none is chosen by Git, for each message.
    comment: Option<String>,
}

impl Cleanup {
    /// By the values of `commit.cleanup`, and of `core.commentString` or `core.commentChar`.
    pub(super) fn of_configuration(cleanup: Option<&str>, comment: Option<&str>) -> Self {
        Self {
            mode: match cleanup {
                Some("verbatim") => Mode::Verbatim,
                Some("whitespace" | "scissors") => Mode::Whitespace,
                Some(_) | None => Mode::Strip,
            },
            comment: match comment {
                Some("auto") => None,
                Some(comment) if !comment.is_empty() => Some(comment.to_owned()),
                Some(_) | None => Some(COMMENT.to_owned()),
            },
        }
    }

    /// The message that a commit will have.
    pub fn apply(&self, text: &str) -> String {
        let comment = self.comment.as_deref().unwrap_or_else(|| chosen(text));
        let scissors = format!("{comment} {SCISSORS}");
        let lines = text
            .split_inclusive('\n')
            .take_while(|line| line.trim_end_matches('\n') != scissors);
        match self.mode {
            Mode::Verbatim => lines.collect(),
            Mode::Whitespace => without_blanks(lines),
            Mode::Strip => without_blanks(lines.filter(|line| !line.starts_with(comment))),
        }
    }
}

/// What Git chose to begin a comment with: its explanations end the file.
fn chosen(text: &str) -> &'static str {
    let last = text
        .lines()
        .rev()
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    COMMENTS_CHOSEN
        .into_iter()
        .find(|comment| last.starts_with(comment))
        .unwrap_or(COMMENT)
}

/// The lines without blank ones at the beginning and the end, with one where there are several, and no space behind.
fn without_blanks<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let (mut kept, mut is_apart) = (String::new(), false);
    for line in lines {
        let line = line.trim_end_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() {
            is_apart = !kept.is_empty();
            continue;
        }
        if is_apart {
            kept.push('\n');
            is_apart = false;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(cleanup: &str, comment: &str, text: &str) -> String {
        Cleanup::of_configuration(Some(cleanup), Some(comment)).apply(text)
    }

    #[test]
    fn what_the_editor_shows_is_no_part_of_the_message() {
        let text = "\n# note\nSubject  \n\n\n#\nBody\n\nKey: value\t\n\n# Please enter\n# ------------------------ >8 \
                    ------------------------\n# Do not modify\ndiff --git a/a b/a\n+Key: other\n";
        assert_eq!(cleaned("strip", "#", text), "Subject\n\nBody\n\nKey: value\n");
        assert_eq!(
            cleaned("scissors", "#", text),
            "# note\nSubject\n\n#\nBody\n\nKey: value\n\n# Please enter\n"
        );
        assert_eq!(cleaned("verbatim", "#", "a \n\n# b\n\n"), "a \n\n# b\n\n");
    }

    #[test]
    fn what_begins_a_comment_is_what_was_set_or_what_git_chose() {
        assert_eq!(cleaned("default", "//", "# a\n//b\n"), "# a\n");
        assert_eq!(cleaned("default", "auto", "# a\n\n; Please enter\n;\n"), "# a\n");
        assert_eq!(cleaned("default", "auto", "a\n"), "a\n");
        assert_eq!(cleaned("default", "", "# a\n"), "");
    }
}
