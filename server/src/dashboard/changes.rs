//! What differs between two commits, and what one config's keys went through.

use headwater_wire::{
    Change, CommitId, CommitPage, CommitView, ConfigDiff, ConfigName, DiffView, ExplainView, FileDiff,
    ProblemCode, VerdictState,
};

use super::api::Told;
use super::asked::{Asked, Links};
use super::words::{Link, place, value_or_none};

/// Commits of a config's history that are looked at for who set its keys.
const COMMITS_MAX: &str = "20";

/// One value that differs.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// JSON pointer.
    pub pointer: String,
    /// Value before.
    pub old: String,
    /// Value after.
    pub new: String,
    /// Where the one before was set.
    pub old_place: String,
    /// Where the one after is set.
    pub new_place: String,
}

impl Value {
    /// A changed value.
    pub(super) fn of(change: &Change) -> Self {
        Self {
            pointer: change.pointer.clone(),
            old: value_or_none(change.old.as_ref()),
            new: value_or_none(change.new.as_ref()),
            old_place: place(change.old_origin.as_ref()),
            new_place: place(change.new_origin.as_ref()),
        }
    }
}

/// What of one config differs.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    /// Config.
    pub config: Link,
    /// Variant, if it is not the base document.
    pub variant: String,
    /// Whether it was added, removed or modified.
    pub kind: String,
    /// Values that differ.
    pub values: Vec<Value>,
}

impl Changed {
    /// The difference of one config.
    pub(super) fn of(links: &Links, diff: &ConfigDiff) -> Self {
        Self {
            config: Link::new(links.config(&diff.config), diff.config.to_string()),
            variant: diff.variant.clone().unwrap_or_default(),
            kind: diff.kind.clone(),
            values: diff.changes.iter().map(Value::of).collect(),
        }
    }
}

/// One line of a file that differs.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// `add`, `del`, `hunk` or nothing.
    pub class: &'static str,
    /// Text, with its sign.
    pub text: String,
}

/// What of one file differs.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Path.
    pub path: String,
    /// Whether it was added, removed or modified.
    pub kind: String,
    /// Its lines; none of what is binary or too large.
    pub lines: Vec<Line>,
}

impl File {
    /// The difference of one file.
    pub(super) fn of(file: &FileDiff) -> Self {
        let text = file.text.as_deref().unwrap_or_default();
        let lines = text.lines().map(|line| Line {
            class: class(line),
            text: line.to_owned(),
        });
        Self {
            path: file.path.clone(),
            kind: file.kind.clone(),
            lines: lines.collect(),
        }
    }
}

fn class(line: &str) -> &'static str {
    match line.chars().next() {
        Some('@') => "hunk",
        _ if line.starts_with("--- ") || line.starts_with("+++ ") => "hunk",
        Some('+') => "add",
        Some('-') => "del",
        Some(_) | None => "",
    }
}

/// A line of a file after a commit, as its difference shows it: with secrets hidden. None where the difference does not
/// reach so far.
pub(super) fn line_after(files: &[FileDiff], path: &str, line: u32) -> Option<String> {
    let file = files.iter().find(|file| file.path == path)?;
    let mut number = 0_u32;
    for text in file.text.as_deref()?.lines() {
        match text.chars().next() {
            Some('@') => number = begins_at(text)?,
            Some('+' | ' ') if number > 0 => {
                if number == line {
                    return Some(text.chars().skip(1).collect());
                }
                number += 1;
            }
            Some(_) | None => {}
        }
    }
    None
}

/// The first line after of `@@ -1,2 +3,4 @@`.
fn begins_at(hunk: &str) -> Option<u32> {
    let after = hunk.split('+').nth(1)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What differs between two commits.
pub(super) async fn between(asked: &Asked, (from, to): (&str, &str), config: Option<&str>) -> Told<DiffView> {
    let address = asked.v1().part("diff").query("from", from).query("to", to);
    asked.api.get(address.maybe("config", config)).await
}

/// A commit that was admitted, and what came to instances with it.
pub(super) struct Step {
    /// The commit.
    pub commit: CommitView,
    /// Values that differ from the admitted commit before it.
    pub changes: Vec<Change>,
    /// Rejected commits between the two, newest first: what they changed came with this one.
    pub rejected: Vec<CommitView>,
}

/// What a part of the history did to one config.
pub(super) struct Steps {
    /// Newest first.
    pub newest_first: Vec<Step>,
    /// Where the part before it begins, if there is one.
    pub older: Option<CommitId>,
}

/// What the newest commits before `before` did to one config, or the newest of all.
pub(super) async fn steps(
    asked: &Asked,
    config: &ConfigName,
    variant: Option<&str>,
    before: Option<&str>,
) -> Told<Steps> {
    let address = asked.v1().part("commits").query("config", config.as_str());
    let address = address.query("limit", COMMITS_MAX).maybe("before", before);
    let page: CommitPage = asked.api.get(address).await?;
    let is_cut = page.next.is_some();
    let mut parted = parted(page.commits);
    // The oldest of a part is only what the one after it is compared with.
    let oldest = if is_cut && parted.len() > 1 {
        parted.pop()
    } else {
        None
    };
    let mut newest_first = Vec::new();
    for (place, (commit, rejected)) in parted.iter().enumerate() {
        let base = parted.get(place + 1).or(oldest.as_ref());
        let base = base.map(|(base, _)| &base.commit);
        let changes = match base.or(commit.parents.first().filter(|_| is_cut)) {
            Some(base) => {
                let ends = (base.as_str(), commit.commit.as_str());
                let diff = between(asked, ends, Some(config.as_str())).await?;
                of_variant(diff.configs, variant)
            }
            None => all_of(asked, config, &commit.commit).await?,
        };
        newest_first.push(Step {
            commit: commit.clone(),
            changes,
            rejected: rejected.clone(),
        });
    }
    let last = newest_first.last().map(|step| step.commit.commit.clone());
    Ok(Steps {
        older: last.filter(|_| is_cut).or(page.next),
        newest_first,
    })
}

/// The commits that were admitted, each with the rejected ones before it.
fn parted(commits: Vec<CommitView>) -> Vec<(CommitView, Vec<CommitView>)> {
    let mut parted: Vec<(CommitView, Vec<CommitView>)> = Vec::new();
    for commit in commits {
        if commit.verdict.state == VerdictState::Admitted {
            parted.push((commit, Vec::new()));
        } else if let Some((_, rejected)) = parted.last_mut() {
            rejected.push(commit);
        }
    }
    parted
}

/// Everything that the first admitted commit of a config brought: nothing was before it. It is told of the base document,
/// whose keys those of a variant are first.
async fn all_of(asked: &Asked, config: &ConfigName, commit: &CommitId) -> Told<Vec<Change>> {
    let address = asked.v1().part("explain").path(config.as_str());
    let address = address.query("at", commit.as_str());
    let view: ExplainView = match asked.api.get(address).await {
        Ok(view) => view,
        // It took the config away.
        Err(problem) if problem.code == ProblemCode::ConfigNotFound => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let entries = view.entries.into_iter();
    Ok(entries
        .map(|entry| Change {
            pointer: entry.pointer,
            old: None,
            new: Some(entry.value),
            old_origin: None,
            new_origin: Some(entry.origin),
        })
        .collect())
}

fn of_variant(diffs: Vec<ConfigDiff>, variant: Option<&str>) -> Vec<Change> {
    let mut diffs = diffs.into_iter();
    diffs
        .find(|diff| diff.variant.as_deref() == variant)
        .map(|diff| diff.changes)
        .unwrap_or_default()
}

/// Whether a change is one of the value at a pointer: of it, of what is in it, or of what it is in.
pub(super) fn is_of(change: &Change, pointer: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(&change.pointer, pointer) || below(pointer, &change.pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_in_the_difference_and_nowhere_else() {
        let file = FileDiff {
            path: "a.toml".to_owned(),
            kind: "modified".to_owned(),
            text: Some("--- a\n+++ b\n@@ -1,2 +4,3 @@\n one\n-gone\n+two\n+three\n".to_owned()),
        };
        let line = |number| line_after(std::slice::from_ref(&file), "a.toml", number);
        assert_eq!(line(4).as_deref(), Some("one"));
        assert_eq!(line(6).as_deref(), Some("three"));
        assert_eq!((line(3), line(7)), (None, None));
    }

    #[test]
    fn a_key_changes_with_what_is_in_it_and_what_it_is_in() {
        let change = |pointer: &str| Change {
            pointer: pointer.to_owned(),
            old: None,
            new: None,
            old_origin: None,
            new_origin: None,
        };
        assert!(is_of(&change("/db/pool"), "/db/pool"));
        assert!(is_of(&change("/db/pool/max"), "/db/pool"));
        assert!(is_of(&change("/db"), "/db/pool"));
        assert!(!is_of(&change("/db/pools"), "/db/pool"));
    }
}
