//! A tree that was read, where it stands in history, and the verdict that follows.

use std::collections::BTreeMap;

use headwater_validators::{ConfigTree, Entry};
use headwater_wire::{CommitId, Finding, Severity, Span};

use super::judging::{Judging, aside};
use super::past::{Ids, Place, Progress, measured};
use super::subject::Read;
use super::{Checked, baseline};
use crate::cli::failure::Failure;
use crate::git::error::{Cause, GitError};
use crate::git::limits::OBJECT_BYTES_MAX;
use crate::git::local::{LocalError, LocalRepository};
use crate::judge::{self, Outcome};
use crate::measure::Measured;
use crate::tree::{RawEntry, assemble};

/// A tree and where it stands in history.
pub(super) struct Seen {
    read: Read,
    repository: Option<LocalRepository>,
    /// How far the commit is that it is the tree of.
    progress: Progress,
    /// The commit that one of the tree would come after.
    head: Option<CommitId>,
    /// Whose names its files have.
    ids: Ids,
}

impl Seen {
    /// A tree of a repository, if it is in one.
    pub(super) fn new(
        read: Read,
        repository: Option<LocalRepository>,
        (progress, ids): (Progress, Ids),
    ) -> Result<Self, Failure> {
        let head = match (&repository, &progress) {
            (None, _) | (_, Progress::Made(_)) => None,
            (Some(repository), Progress::Worded(_) | Progress::Staged | Progress::Files) => {
                repository.head()?
            }
        };
        Ok(Self {
            read,
            repository,
            progress,
            head,
            ids,
        })
    }

    /// Whether its verdict can only be the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.read, &self.progress, &self.head) == (&other.read, &other.progress, &other.head)
    }

    /// Judges it. `author` is the mail address of whoever will have made the commit, where it is known.
    pub(super) fn judge(
        &self,
        (against, author): (Option<&str>, Option<&str>),
        judging: &mut Judging,
    ) -> Result<Checked, Failure> {
        let entries = match &self.read {
            Read::Tree(entries) => entries,
            Read::TooLarge(message) => return Ok(too_large(message.clone())),
        };
        let history = self.history(against)?;
        let mut measured = self.measured(history.newest(), entries, (author, judging))?;
        let mut outcome = judging.judge(entries, &measured)?;
        let mut notes = Vec::new();
        if baseline::depends_on_history(&outcome) {
            let exposed = history.exposed(judging)?;
            notes.extend(exposed.note());
            measured.measure.exposed = exposed.configs;
            outcome = judging.judge(entries, &measured)?;
        }
        let oversized = oversized(entries);
        if !oversized.is_empty() {
            outcome.reject(oversized);
        }
        if self.progress == Progress::Staged {
            notes.extend(message_note(&outcome));
        }
        notes.extend(judging.note());
        Ok(Checked {
            configs: outcome.declared.as_ref().map(BTreeMap::len),
            view: outcome.view(),
            tree: assemble(entries),
            notes,
        })
    }

    fn history(&self, against: Option<&str>) -> Result<baseline::History<'_>, Failure> {
        let commit = match &self.progress {
            Progress::Made(commit) => Some(commit),
            Progress::Worded(_) | Progress::Staged | Progress::Files => None,
        };
        Ok(match (&self.repository, against) {
            (Some(repository), Some(rev)) => baseline::History::from(repository, repository.resolve(rev)?),
            (None, Some(_)) => return Err(no_history()),
            (Some(repository), None) => baseline::History::before(repository, commit)?,
            (None, None) => baseline::History::none(),
        })
    }

    /// What it is measured against.
    fn measured(
        &self,
        against: Option<&CommitId>,
        entries: &[RawEntry],
        (author, judging): (Option<&str>, &Judging),
    ) -> Result<Measured, Failure> {
        let Some(repository) = &self.repository else {
            return Ok(Measured::default());
        };
        let place = Place {
            against: against.cloned(),
            head: self.head.clone(),
            progress: self.progress.clone(),
            author: author.map_or_else(|| repository.author_email(), str::to_owned),
        };
        let (reader, limits) = (repository.reader(), judging.limits().clone());
        let (entries, ids) = (entries.to_vec(), self.ids);
        let read = move || measured(&reader, &place, (&entries, ids), &limits);
        match aside(judge::READ_DEADLINE, read)? {
            Ok(Ok(measured)) => Ok(measured),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(error) => Err(Failure::Verdict(Cause::chain(&error, &[]))),
        }
    }
}

/// What is said where a rule refuses what is staged: it may be of another mind once there is a message.
fn message_note(outcome: &Outcome) -> Option<String> {
    let is_refusal = |finding: &Finding| finding.is_error() && finding.code.starts_with("rule/");
    outcome.findings.iter().any(is_refusal).then(|| {
        "there is no commit message yet: where a rule looks at it, or lets a trailer allow a step, check in the hook \
         `commit-msg`, with `headwater check --staged --message-file FILE`"
            .to_owned()
    })
}

/// Files that no server fetches, whatever they are for. They are told where they can still be taken out.
fn oversized(entries: &[RawEntry]) -> Vec<Finding> {
    let finding = |(path, entry): &RawEntry| {
        let size = match entry {
            Entry::File(file) if file.size > OBJECT_BYTES_MAX => file.size,
            Entry::File(_) | Entry::Symlink | Entry::Submodule => return None,
        };
        let message = format!("no server fetches a file larger than {OBJECT_BYTES_MAX} bytes: `{size}`");
        let path = String::from_utf8_lossy(path);
        let finding = Finding::new(
            "limit/object-bytes",
            Severity::Error,
            (&path, Span::START),
            message,
        );
        Some(finding.hint(
            "take it out of the commit before it is pushed: once it is on the branch, nothing after it is served",
        ))
    };
    entries.iter().filter_map(finding).collect()
}

fn too_large(message: String) -> Checked {
    let outcome = Outcome::refused(judge::too_large(message));
    Checked {
        view: outcome.view(),
        tree: ConfigTree::new(),
        configs: None,
        notes: Vec::new(),
    }
}

fn unreadable(error: &GitError) -> Failure {
    LocalError::Object(Cause::ours(&error.one_line())).into()
}

fn no_history() -> Failure {
    Failure::Usage {
        message: "`--against` needs the history of a whole repository".to_owned(),
        hint: "leave it out, or check the top of a Git work tree".to_owned(),
    }
}
