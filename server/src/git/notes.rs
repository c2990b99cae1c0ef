//! What became of commits, told where `git log --notes=headwater` shows it.
//!
//! Invariant: text is only ever appended, other people's notes and files in the tree stay, and a text that a note holds
//! already is not written again, so a call may be repeated after any failure. The upstream's ref is the only one there
//! is: the mirror has none, so nothing here can get out of step. What is deliberately absent: editing and removing.

use std::collections::BTreeMap;

use gix::note::plumbing::State;
use headwater_wire::{CommitId, Person};

use super::Mirror;
use super::error::GitError;
use super::intent::signature;
use super::object::{to_commit_id, to_object_id};
use super::push::{Landing, PushError, PushRef, PushRequest, WriteAccess};
use super::stop::Stop;

/// How often the notes are written anew when somebody else was faster.
const TRIES: u32 = 3;
/// Longest text of one append, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Notes from this size on, in bytes, are not appended to: nobody reads a longer one, and it is read whole.
const NOTE_BYTES_MAX: u64 = 1 << 20;

/// Text for the note of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteText {
    /// The commit; it need not be in the mirror.
    pub commit: CommitId,
    /// Lines of text.
    pub text: String,
}

/// What became of notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Where the notes are now; `None` if there are none.
    pub tip: Option<CommitId>,
    /// How many notes have new text by this call.
    pub appended: usize,
    /// Commits whose note is too long, or whose id names nothing here.
    pub skipped: Vec<CommitId>,
}

/// A notes commit that is not pushed yet, and what it says.
struct Draft {
    commit: Option<gix::ObjectId>,
    appended: usize,
    skipped: Vec<CommitId>,
}

impl Mirror {
    /// Appends to the notes of commits and pushes them, as `committer`. If somebody else was faster, theirs are read and
    /// ours appended to them.
    pub fn append_notes(
        &mut self,
        access: &WriteAccess,
        notes: &[NoteText],
        committer: &Person,
        stop: &Stop,
    ) -> Result<Noted, PushError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let base = self.receive_ref(&access.upstream, &PushRef::Notes.to_string(), stop);
            let base = base.map_err(|error| PushError::before(&PushRef::Notes, error))?;
            let draft = self.draft_notes(base.as_ref(), notes, committer)?;
            let Some(commit) = draft.commit.map(to_commit_id) else {
                return Ok(draft.noted(base));
            };
            let request = PushRequest {
                target: PushRef::Notes,
                commit: commit.clone(),
                expected: base,
                sources: Vec::new(),
            };
            match self.push(access, &request, stop) {
                Ok(_) => return Ok(draft.noted(Some(commit))),
                Err(PushError::LeaseLost { .. } | PushError::Busy { .. }) if tries < TRIES => {}
                Err(error @ PushError::Unknown { .. }) => {
                    match self.landed(access, &PushRef::Notes, &commit, stop)? {
                        Landing::Landed { tip } => return Ok(draft.noted(Some(tip))),
                        Landing::NotLanded { .. } if tries < TRIES => {}
                        Landing::NotLanded { .. } => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the notes commit on top of `base`, unless all texts are there.
    fn draft_notes(
        &mut self,
        base: Option<&CommitId>,
        notes: &[NoteText],
        committer: &Person,
    ) -> Result<Draft, GitError> {
        let mut repo = self.scratch()?;
        let base = base.map(|commit| to_object_id(&repo, commit)).transpose()?;
        let mut skipped = Vec::new();
        let mut texts: BTreeMap<gix::ObjectId, Vec<String>> = BTreeMap::new();
        for note in notes {
            match to_object_id(&repo, &note.commit) {
                Ok(id) => texts.entry(id).or_default().push(cleaned(&note.text)),
                Err(_) => skipped.push(note.commit.clone()),
            }
        }
        let written = write_notes(&repo, base, &texts, committer, &mut skipped);
        let (commit, appended) = written.map_err(|error| self.layout.broken(&error))?;
        if commit.is_some() {
            self.persist(&mut repo)?;
            self.refresh_reader()?;
        }
        Ok(Draft {
            commit,
            appended,
            skipped,
        })
    }
}

impl Draft {
    fn noted(self, tip: Option<CommitId>) -> Noted {
        Noted {
            tip,
            appended: self.appended,
            skipped: self.skipped,
        }
    }
}

fn write_notes(
    repo: &gix::Repository,
    base: Option<gix::ObjectId>,
    texts: &BTreeMap<gix::ObjectId, Vec<String>>,
    committer: &Person,
    skipped: &mut Vec<CommitId>,
) -> gix::Result<(Option<gix::ObjectId>, usize)> {
    let tree = match base {
        Some(base) => repo.find_commit(base)?.tree_id()?.detach(),
        None => repo.write_object(gix::objs::Tree::empty())?.detach(),
    };
    let mut state = State::new(tree, &repo.objects)?;
    let mut appended = 0;
    for (commit, texts) in texts {
        let old = match state.get(commit, &repo.objects)? {
            None => Vec::new(),
            Some(id) if repo.find_header(id)?.size() < NOTE_BYTES_MAX => repo.find_blob(id)?.take_data(),
            Some(_) => {
                skipped.push(to_commit_id(*commit));
                continue;
            }
        };
        let mut new = old.clone();
        for text in texts {
            append(&mut new, text);
        }
        if new != old {
            let blob = repo.write_blob(&new)?.detach();
            state.edit(*commit, Some(blob), &repo.objects)?;
            appended += 1;
        }
    }
    if appended == 0 {
        return Ok((None, 0));
    }
    let commit = gix::objs::Commit {
        tree: state.write(&repo.objects)?,
        parents: base.into_iter().collect(),
        author: signature(committer),
        committer: signature(committer),
        encoding: None,
        message: format!("Note what became of {appended} commits\n").into(),
        extra_headers: Vec::new(),
    };
    Ok((Some(repo.write_object(&commit)?.detach()), appended))
}

/// Appends a paragraph, as `git notes append` does, unless it is there.
fn append(note: &mut Vec<u8>, text: &str) {
    let paragraph = text.as_bytes();
    let is_there = |at: usize| {
        let before = note.get(..at).unwrap_or_default();
        let after = note.get(at + paragraph.len()..).unwrap_or_default();
        (before.is_empty() || before.ends_with(b"\n\n")) && (after.is_empty() || after.starts_with(b"\n"))
    };
    let known = note
        .windows(paragraph.len().max(1))
        .enumerate()
        .any(|(at, window)| window == paragraph && is_there(at));
    if paragraph.is_empty() || known {
        return;
    }
    if !note.is_empty() {
        if !note.ends_with(b"\n") {
            note.push(b'\n');
        }
        note.push(b'\n');
    }
    note.extend_from_slice(paragraph);
}

/// Lines without control characters, without blank ones at the ends, with a newline behind the last.
fn cleaned(text: &str) -> String {
    let mut clean = String::new();
    for line in text.trim().lines() {
        let line = line
            .chars()
            .map(|c| if c.is_control() && c != '\t' { ' ' } else { c });
        let line: String = line.collect();
        if clean.len() + line.len() > TEXT_BYTES_MAX {
            break;
        }
        clean.push_str(line.trim_end());
        clean.push('\n');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(note: &str, text: &str) -> String {
        let mut note = note.as_bytes().to_vec();
        append(&mut note, &cleaned(text));
        String::from_utf8(note).unwrap()
    }

    #[test]
    fn a_text_becomes_a_paragraph_of_its_own_once() {
        assert_eq!(appended("", "a\0b\r\nc"), "a b\nc\n");
        assert_eq!(appended("old", "new"), "old\n\nnew\n");
        assert_eq!(appended("old\n\nnew\n", "new"), "old\n\nnew\n");
        assert_eq!(appended("new\n\nold\n", " new \n"), "new\n\nold\n");
        assert_eq!(appended("renew\n", "new"), "renew\n\nnew\n");
        assert_eq!(appended("new\nmore\n", "new"), "new\nmore\n\nnew\n");
        assert_eq!(appended("old\n", " \n "), "old\n");
    }
}
