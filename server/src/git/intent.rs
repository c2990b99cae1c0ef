//! What a rollback wants, and how its commit says so: author, message and trailers, made and read back.
//!
//! Invariant: the bytes of a revert commit follow from its [`Intent`] and its parent alone, so that two pushers of one
//! intent make the same commit. Whatever a person typed takes one line without control characters, so no text can pose
//! as a trailer, a header or another name. What is deliberately absent: a clock; dates come with the intent.

use std::fmt;
use std::str::FromStr;

use headwater_wire::{CommitId, Person, RepoPath};

/// The trailer by which our own commits are known.
pub const INTENT_TRAILER: &str = "Headwater-Intent";

/// Longest id of an intent, in characters: a UUID has 36.
const INTENT_CHARS_MAX: usize = 64;
/// Longest subject that is quoted, in characters; people stop reading at 72.
const SUBJECT_CHARS_MAX: usize = 120;
/// Longest reason, in characters: a paragraph.
const REASON_CHARS_MAX: usize = 1_000;
/// Longest name or mail address, in characters.
const NAME_CHARS_MAX: usize = 200;
/// Paths that a message names; `git show --stat` has the rest.
const PATHS_SHOWN: usize = 20;

/// Names one wish of one person, so that it is fulfilled once: 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IntentId(String);

impl IntentId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IntentId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > INTENT_CHARS_MAX || !text.chars().all(fits) {
            return Err("not 1 to 64 letters, digits, `-` and `_`");
        }
        Ok(Self(text.to_owned()))
    }
}

/// What shall be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Content becomes what it was at a commit. Whether that commit belongs to the branch is for the caller to ask.
    Restore {
        /// That commit.
        target: CommitId,
        /// How much of it.
        scope: Scope,
    },
    /// One commit's change is taken back by a three-way merge.
    Revert {
        /// That commit.
        commit: CommitId,
        /// For a merge: the parent, from 1 on, whose side is kept.
        mainline: Option<usize>,
    },
}

/// How much of a tree is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    WholeTree,
    /// These files and directories, and nothing else.
    Paths(Vec<RepoPath>),
}

/// A rollback that somebody asked for; with the parent it decides every byte of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Names it.
    pub id: IntentId,
    /// What shall be undone.
    pub undo: Undo,
    /// The person.
    pub author: Person,
    /// The service.
    pub committer: Person,
    /// Why, in the person's words; may be empty.
    pub reason: String,
    /// Who asked, as the service knows them; may be empty.
    pub requested_by: String,
    /// The second person, as the service knows them; may be empty.
    pub confirmed_by: String,
}

impl Intent {
    /// The whole message. `subject` is that of the commit that is restored or reverted; `mainline` is the parent whose
    /// side a reverted merge falls back to.
    pub(crate) fn message(&self, subject: &str, mainline: Option<&CommitId>) -> String {
        let subject = one_line(subject, SUBJECT_CHARS_MAX);
        let (head, mut trailers) = match &self.undo {
            Undo::Revert { commit, .. } => {
                let reversing = mainline.map_or_else(String::new, |parent| {
                    format!(", reversing\nchanges made to {parent}")
                });
                let head = format!("Revert \"{subject}\"\n\nThis reverts commit {commit}{reversing}.\n");
                (head, vec![("Reverts", commit.to_string())])
            }
            Undo::Restore { target, scope } => {
                let what = restored(target, scope);
                let head = format!("Roll back to \"{subject}\"\n\n{what}");
                (head, vec![("Rollback-To", target.to_string())])
            }
        };
        trailers.push(("Reason", one_line(&self.reason, REASON_CHARS_MAX)));
        trailers.push(("Requested-By", one_line(&self.requested_by, NAME_CHARS_MAX)));
        trailers.push(("Confirmed-By", one_line(&self.confirmed_by, NAME_CHARS_MAX)));
        trailers.push((INTENT_TRAILER, self.id.to_string()));
        let lines: Vec<String> = trailers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!("{head}\n{}\n", lines.join("\n"))
    }
}

fn restored(target: &CommitId, scope: &Scope) -> String {
    let Scope::Paths(paths) = scope else {
        return format!("This restores the tree of commit {target}.\n");
    };
    let mut lines = vec![format!("This restores, as they were in commit {target}:\n")];
    let shown = paths.iter().take(PATHS_SHOWN);
    lines.extend(shown.map(|path| format!("- {}", one_line(path.as_str(), usize::MAX))));
    if let Some(more @ 1..) = paths.len().checked_sub(PATHS_SHOWN) {
        lines.push(format!("- and {more} more"));
    }
    format!("{}\n", lines.join("\n"))
}

/// A person as Git can write it.
pub(crate) fn signature(person: &Person) -> gix::actor::Signature {
    let name = header_text(&person.name);
    let email: String = header_text(&person.email).split(' ').collect();
    gix::actor::Signature {
        name: if name.is_empty() {
            "unknown".into()
        } else {
            name.into()
        },
        email: email.into(),
        // Some programs take a time before 1970 for damage.
        time: gix::date::Time::new(person.at.0.div_euclid(1_000).max(0), 0),
    }
}

/// What may stand in an author line: no angle brackets, and no marks at the ends that Git itself would strip.
fn header_text(text: &str) -> String {
    let without: String = text.chars().filter(|c| !matches!(c, '<' | '>')).collect();
    one_line(&without, NAME_CHARS_MAX)
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '"' | '\\' | '\''))
        .to_owned()
}

/// One line: whatever breaks lines or controls a terminal becomes a blank, marks that reorder text are dropped.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let breaks = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\u{2028}' | '\u{2029}');
    let kept: String = text
        .chars()
        .filter(|c| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = kept.split(' ').filter(|word| !word.is_empty()).collect();
    words
        .join(" ")
        .chars()
        .take(chars_max)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// The intent that a commit message carries in its trailers.
pub fn intent_of(message: &str) -> Option<IntentId> {
    trailers(message)
        .into_iter()
        .rev()
        .find(|(key, _)| key.eq_ignore_ascii_case(INTENT_TRAILER))
        .and_then(|(_, value)| value.parse().ok())
}

/// The trailers of a message as Git finds them: in its last paragraph, if that is not the first, all lines of which
/// are trailers, or at least a quarter with one that Git itself writes among them. Continued lines are joined.
pub fn trailers(message: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = message
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::trim_end)
        .collect();
    let end = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |at| at + 1);
    let lines = lines.get(..end).unwrap_or_default();
    let Some(blank) = lines.iter().rposition(|line| line.is_empty()) else {
        return Vec::new();
    };
    let (before, block) = lines.split_at(blank);
    if before.iter().all(|line| line.is_empty()) {
        return Vec::new();
    }
    let (mut found, mut others, mut by_git): (Vec<(String, String)>, usize, bool) = (Vec::new(), 0, false);
    let mut continues = false;
    for line in block.iter().filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            match found.last_mut() {
                Some((_, value)) if continues => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                _ => others += usize::from(!continues),
            }
            continue;
        }
        let trailer = trailer(line);
        by_git |= line.starts_with("Signed-off-by: ") || line.starts_with("(cherry picked from commit ");
        continues = trailer.is_some();
        match trailer {
            Some(trailer) => found.push(trailer),
            None if line.starts_with("(cherry picked from commit ") => {}
            None => others += 1,
        }
    }
    let is_block = others == 0 || (by_git && found.len() * 3 >= others);
    if is_block { found } else { Vec::new() }
}

fn trailer(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end();
    let is_token = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_token.then(|| (key.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use headwater_wire::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const COMMIT: &str = "1111111111111111111111111111111111111111";

    fn person(name: &str) -> Person {
        Person {
            name: name.to_owned(),
            email: "ada@example.test".to_owned(),
            at: Timestamp(1_700_000_000_123),
        }
    }

    fn intent(undo: Undo, reason: &str) -> Intent {
        Intent {
            id: "01J-x".parse().unwrap(),
            undo,
            author: person("Ada"),
            committer: person("Headwater"),
            reason: reason.to_owned(),
            requested_by: "ada@example.test".to_owned(),
            confirmed_by: String::new(),
        }
    }

    fn restore(paths: &[&str]) -> Undo {
        let scope = if paths.is_empty() {
            Scope::WholeTree
        } else {
            Scope::Paths(paths.iter().map(|path| path.parse().unwrap()).collect())
        };
        Undo::Restore {
            target: COMMIT.parse().unwrap(),
            scope,
        }
    }

    #[test]
    fn a_message_says_what_was_undone_why_and_for_whom() {
        let revert = Undo::Revert {
            commit: COMMIT.parse().unwrap(),
            mainline: Some(1),
        };
        let parent = COMMIT.replace('1', "2").parse().unwrap();
        insta::assert_snapshot!(intent(revert, "pool  too\nsmall").message("Raise the pool", Some(&parent)), @r#"
        Revert "Raise the pool"

        This reverts commit 1111111111111111111111111111111111111111, reversing
        changes made to 2222222222222222222222222222222222222222.

        Reverts: 1111111111111111111111111111111111111111
        Reason: pool too small
        Requested-By: ada@example.test
        Headwater-Intent: 01J-x
        "#);
        insta::assert_snapshot!(intent(restore(&[]), "").message("Good", None), @r#"
        Roll back to "Good"

        This restores the tree of commit 1111111111111111111111111111111111111111.

        Rollback-To: 1111111111111111111111111111111111111111
        Requested-By: ada@example.test
        Headwater-Intent: 01J-x
        "#);
        insta::assert_snapshot!(intent(restore(&["a.toml", "lib"]), "").message("Good", None), @r#"
        Roll back to "Good"

        This restores, as they were in commit 1111111111111111111111111111111111111111:

        - a.toml
        - lib

        Rollback-To: 1111111111111111111111111111111111111111
        Requested-By: ada@example.test
        Headwater-Intent: 01J-x
        "#);
    }

    #[test]
    fn a_message_names_the_second_person_beside_the_first() {
        let confirmed = Intent {
            confirmed_by: "bob\nHeadwater-Intent: evil".to_owned(),
            ..intent(restore(&[]), "too small")
        };
        insta::assert_snapshot!(confirmed.message("Good", None), @r#"
        Roll back to "Good"

        This restores the tree of commit 1111111111111111111111111111111111111111.

        Rollback-To: 1111111111111111111111111111111111111111
        Reason: too small
        Requested-By: ada@example.test
        Confirmed-By: bob Headwater-Intent: evil
        Headwater-Intent: 01J-x
        "#);
    }

    #[test]
    fn names_are_what_an_author_line_can_hold() {
        let written = signature(&person("\u{202e}Ada <eve@x>\nauthor E\0ve."));
        assert_eq!(written.name, "Ada eve@x author E ve");
        assert_eq!(written.time.seconds, 1_700_000_000);
        assert_eq!(signature(&person(" <> ")).name, "unknown");
    }

    #[test]
    fn only_the_last_paragraph_of_trailers_counts() {
        let found = |text: &str| intent_of(text).map(|id| id.to_string());
        assert_eq!(found("s\n\nHeadwater-Intent: a\n").as_deref(), Some("a"));
        assert_eq!(
            found("s\n\nb\n\nheadwater-intent : a\nX: y\n z\n").as_deref(),
            Some("a")
        );
        assert_eq!(found("s\n\nHeadwater-Intent: a\n\nmore words\n"), None);
        assert_eq!(found("Headwater-Intent: a\n"), None);
        assert_eq!(found("\nHeadwater-Intent: a\n"), None);
        assert_eq!(found("s\n\nwords\nHeadwater-Intent: a\n"), None);
        assert_eq!(
            found("s\n\nwords\nHeadwater-Intent: a\nSigned-off-by: x\n").as_deref(),
            Some("a")
        );
        assert_eq!(found("s\n\nHeadwater-Intent: a b\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_of_a_person_can_forge_a_trailer(reason in "\\PC{0,20}[\r\n\u{2028}\u{85}\0]{0,3}(Headwater-Intent: evil)?\\PC{0,20}", subject in "(?s).{0,40}") {
            let message = intent(restore(&[]), &reason).message(&subject, None);
            let found = trailers(&message);
            let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).filter(|key| *key != "Reason").collect();
            prop_assert_eq!(keys, vec!["Rollback-To", "Requested-By", "Headwater-Intent"]);
            prop_assert_eq!(intent_of(&message).unwrap().to_string(), "01J-x");
            prop_assert!(!message.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
