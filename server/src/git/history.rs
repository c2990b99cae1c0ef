//! Commits and their order: who wrote them, which descends from which, what changed between two.
//!
//! Invariant: answers depend on parents only, never on the dates in commits, which may be wrong. Renames are not
//! guessed: a moved file is one that went and one that came. What is deliberately absent: merge bases, which gix gets
//! wrong under skewed dates.

use std::collections::BTreeMap;

use gix::bstr::{BStr, ByteSlice};
use gix::objs::TreeRefIter;
use gix::objs::tree::{EntryKind, EntryMode};
use headwater_wire::{CommitId, Person, Timestamp};

use super::error::GitError;
use super::object::{ObjectName, to_commit_id};
use super::read::{Reader, known};

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub commit: CommitId,
    /// Name of its tree; equal trees have equal content.
    pub tree: ObjectName,
    /// Parents, first parent first.
    pub parents: Vec<CommitId>,
    /// Who wrote it.
    pub author: Person,
    /// Who recorded it.
    pub committer: Person,
    /// Whole message; bytes that are no UTF-8 are replaced, Latin-1 is honoured if the commit says so.
    pub message: String,
}

/// How two commits stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are one.
    Same,
    /// The first is an ancestor of the second.
    Ancestor,
    /// The first is a descendant of the second.
    Descendant,
    /// Neither contains the other.
    Unrelated,
    /// At least one is not here.
    Unknown,
}

/// One path that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedEntry {
    /// Raw path; Git puts no rule on its bytes.
    pub path: Vec<u8>,
    /// Before; absent if it is new.
    pub old: Option<Side>,
    /// After; absent if it is gone.
    pub new: Option<Side>,
}

/// One side of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What it is.
    pub kind: SideKind,
    /// Name of its content.
    pub id: ObjectName,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideKind {
    /// A file.
    File,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link.
    Symlink,
    /// A commit of another repository.
    Submodule,
}

impl Reader {
    /// What the commit says about itself.
    pub fn commit(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        let repo = self.local();
        let id = known(&repo, commit)?;
        let object = repo.find_commit(id).map_err(|error| self.broken(&error))?;
        let decoded = object.decode().map_err(|error| self.broken(&error))?;
        let encoding = Encoding::of(decoded.encoding);
        Ok(CommitInfo {
            commit: commit.clone(),
            tree: decoded.tree().into(),
            parents: decoded.parents().map(to_commit_id).collect(),
            author: person(decoded.author().ok(), encoding),
            committer: person(decoded.committer().ok(), encoding),
            message: text(decoded.message, encoding),
        })
    }

    /// Whether `ancestor` is `descendant` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: &CommitId, descendant: &CommitId) -> Result<bool, GitError> {
        let repo = self.walking();
        let (ancestor, descendant) = (known(&repo, ancestor)?, known(&repo, descendant)?);
        if ancestor == descendant {
            return Ok(true);
        }
        let mut walk = repo
            .rev_walk([ancestor])
            .with_hidden([descendant])
            .all()
            .map_err(|error| self.broken(&error))?;
        match walk.next() {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) => Err(self.broken(&error)),
        }
    }

    /// Whether `commit` belongs to the history that ends in `tip`.
    pub fn reachable(&self, commit: &CommitId, tip: &CommitId) -> Result<bool, GitError> {
        match self.is_ancestor(commit, tip) {
            Err(GitError::UnknownCommit { .. }) => Ok(false),
            other => other,
        }
    }

    /// How the first commit stands to the second.
    pub fn relation(&self, first: &CommitId, second: &CommitId) -> Result<Relation, GitError> {
        if !self.contains(first) || !self.contains(second) {
            return Ok(Relation::Unknown);
        }
        if first == second {
            return Ok(Relation::Same);
        }
        if self.is_ancestor(first, second)? {
            return Ok(Relation::Ancestor);
        }
        let descends = self.is_ancestor(second, first)?;
        Ok(if descends {
            Relation::Descendant
        } else {
            Relation::Unrelated
        })
    }

    /// `from` and its first parents, newest first, without `until` and what lies before it; at most `max`.
    pub fn first_parents(
        &self,
        from: &CommitId,
        until: Option<&CommitId>,
        max: usize,
    ) -> Result<Vec<CommitId>, GitError> {
        let repo = self.local();
        let mut next = Some(known(&repo, from)?);
        let mut found = Vec::new();
        while let Some(id) = next.take().filter(|_| found.len() < max) {
            let commit = to_commit_id(id);
            if until == Some(&commit) {
                break;
            }
            let object = repo.find_commit(id).map_err(|error| self.broken(&error))?;
            next = object.parent_ids().next().map(gix::Id::detach);
            found.push(commit);
        }
        Ok(found)
    }

    /// First parents of `head` that `base` does not contain, newest first, at most `max`.
    pub fn first_parents_beyond(
        &self,
        head: &CommitId,
        base: &CommitId,
        max: usize,
    ) -> Result<Vec<CommitId>, GitError> {
        let mut found = Vec::new();
        for commit in self.first_parents(head, Some(base), max)? {
            // Where `base` came by a merge, the walk passes it by and meets what it was made from.
            if self.is_ancestor(&commit, base)? {
                break;
            }
            found.push(commit);
        }
        Ok(found)
    }

    /// Paths that differ between the trees of two commits, sorted; `None` stands for the empty tree.
    pub fn changed(&self, old: Option<&CommitId>, new: &CommitId) -> Result<Vec<ChangedEntry>, GitError> {
        let repo = self.walking();
        let old = old.map(|commit| self.tree_of(&repo, commit)).transpose()?;
        let new = self.tree_of(&repo, new)?;
        let records = tree_diff(&repo, old, new).map_err(|error| self.broken(&error))?;
        Ok(paired(records))
    }
}

type Record = gix::diff::tree::recorder::Change;

/// Differences of two trees, directories included. The porcelain of gix would load an index each time.
pub(super) fn tree_diff(
    repo: &gix::Repository,
    old: Option<gix::ObjectId>,
    new: gix::ObjectId,
) -> gix::Result<Vec<Record>> {
    let old = old.unwrap_or_else(|| gix::ObjectId::empty_tree(repo.object_hash()));
    if old == new {
        return Ok(Vec::new());
    }
    let (old, new) = (repo.find_tree(old)?, repo.find_tree(new)?);
    let mut recorder = gix::diff::tree::Recorder::default();
    gix::diff::tree(
        TreeRefIter::from_bytes(&old.data, old.id.kind()),
        TreeRefIter::from_bytes(&new.data, new.id.kind()),
        gix::diff::tree::State::default(),
        &repo.objects,
        &mut recorder,
    )
    .map_err(gix::Error::from_error)?;
    Ok(recorder.records)
}

fn paired(records: Vec<Record>) -> Vec<ChangedEntry> {
    let mut by_path: BTreeMap<Vec<u8>, (Option<Side>, Option<Side>)> = BTreeMap::new();
    for record in records {
        let (path, old, new) = match record {
            Record::Addition {
                entry_mode,
                oid,
                path,
                ..
            } => (path, None, side(entry_mode, oid)),
            Record::Deletion {
                entry_mode,
                oid,
                path,
                ..
            } => (path, side(entry_mode, oid), None),
            Record::Modification {
                previous_entry_mode,
                previous_oid,
                entry_mode,
                oid,
                path,
            } => (
                path,
                side(previous_entry_mode, previous_oid),
                side(entry_mode, oid),
            ),
        };
        if old.is_none() && new.is_none() {
            continue;
        }
        let entry = by_path.entry(path.into()).or_default();
        entry.0 = entry.0.take().or(old);
        entry.1 = entry.1.take().or(new);
    }
    by_path
        .into_iter()
        .map(|(path, (old, new))| ChangedEntry { path, old, new })
        .collect()
}

/// `None` for directories, whose changes are the changes below them.
fn side(mode: EntryMode, id: gix::ObjectId) -> Option<Side> {
    let kind = match mode.kind() {
        EntryKind::Tree => return None,
        EntryKind::Blob => SideKind::File,
        EntryKind::BlobExecutable => SideKind::Executable,
        EntryKind::Link => SideKind::Symlink,
        EntryKind::Commit => SideKind::Submodule,
    };
    Some(Side { kind, id: id.into() })
}

/// How the texts of a commit are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
}

impl Encoding {
    /// Anything but Latin-1 is taken as UTF-8.
    fn of(header: Option<&BStr>) -> Self {
        let name = header
            .map(|name| name.to_str_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        match name.as_str() {
            "iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" => Self::Latin1,
            _ => Self::Utf8,
        }
    }
}

/// A signature that cannot be parsed is an odd author, not a broken mirror.
fn person(signature: Option<gix::actor::SignatureRef<'_>>, encoding: Encoding) -> Person {
    let Some(signature) = signature else {
        return Person {
            name: String::new(),
            email: String::new(),
            at: Timestamp::default(),
        };
    };
    let actor = signature.actor().trim();
    Person {
        name: text(actor.name, encoding),
        email: text(actor.email, encoding),
        at: Timestamp::from_seconds(signature.time().map_or(0, |time| time.seconds)),
    }
}

/// Latin-1 maps byte by byte to the first 256 characters.
fn text(bytes: &BStr, encoding: Encoding) -> String {
    if encoding == Encoding::Latin1 && bytes.to_str().is_err() {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    bytes.to_str_lossy().into_owned()
}
