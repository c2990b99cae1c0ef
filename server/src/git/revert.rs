//! Revert commits: going back by going forward, so that Git stays the audit log.
//!
//! Invariant: objects are written, no ref is moved; whoever wants the commit on the upstream pushes it. A restore
//! cannot conflict and touches nothing outside of its scope; a revert that conflicts writes nothing. Renames are not
//! guessed: a file that was moved since is a conflict that a person sees. What is deliberately absent: merge drivers of
//! `.gitattributes`, a work tree, and any question whether the result is valid.

use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::merge::blob::builtin_driver::text::Labels;
use gix::merge::tree::TreatAsUnresolved;
use gix::objs::tree::EntryKind;
use headwater_wire::{CommitId, RepoPath};

use super::Mirror;
use super::error::{Cause, GitError, Remedy};
use super::history::tree_diff;
use super::intent::{Intent, IntentId, Scope, Undo, intent_of, signature};
use super::object::to_commit_id;
use super::read::{Reader, known};
use super::sign;
use super::stop::Stop;

/// Paths that an error names.
const PATHS_SHOWN: usize = 50;

/// A commit that is in the mirror and nowhere else yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The commit.
    pub commit: CommitId,
    /// What it was built on: what the upstream must still have when it is pushed.
    pub parent: CommitId,
    /// Commits whose content it takes up, which spare the push what the upstream has.
    pub sources: Vec<CommitId>,
}

/// Whether the commit carries a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// None.
    Unsigned,
    /// One by this SSH key, without a passphrase.
    SshKey(PathBuf),
}

/// Why there is no revert commit; each variant has exactly one remedy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevertError {
    /// The tree would not change.
    #[error("nothing to do: `{parent}` has that content already")]
    NothingToDo {
        /// Where it was looked.
        parent: CommitId,
    },
    /// What shall be taken back was changed again since.
    #[error("cannot revert `{commit}`, later commits changed the same: {}", shown(paths))]
    Conflict {
        /// The commit.
        commit: CommitId,
        /// Some of the paths, sorted; escaped where they are no plain text.
        paths: Vec<String>,
    },
    /// Restoring a path would remove or replace others that were not asked for.
    #[error("cannot restore these paths alone, others are in the way: {}", shown(paths))]
    Obstructed {
        /// Some of those others, sorted; escaped where they are no plain text.
        paths: Vec<String>,
    },
    /// A merge, and nobody said which side is kept; or no merge, and somebody did; or no such parent.
    #[error("{}", mainline_fault(commit, parents, *mainline))]
    Mainline {
        /// The commit.
        commit: CommitId,
        /// Its parents, the first of which is the branch that was merged into.
        parents: Vec<CommitId>,
        /// What was asked for.
        mainline: Option<usize>,
    },
    /// A directory that would change has names that no program of Git would write.
    #[error("cannot write the tree, since it has a name that Git forbids")]
    ForbiddenName(#[source] Cause),
    /// The mirror, a setting or a program.
    #[error("cannot write the commit")]
    Git(#[from] GitError),
}

impl RevertError {
    /// What has to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NothingToDo { .. }
            | Self::Conflict { .. }
            | Self::Obstructed { .. }
            | Self::ForbiddenName(_)
            | Self::Mainline { .. } => Remedy::FixInput,
            Self::Git(error) => error.remedy(),
        }
    }

    /// What a person can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NothingToDo { .. } => "nothing; if clients hold other content, look at `headwater status`",
            Self::Conflict { .. } => {
                "go back to a commit as a whole (`--to`), or revert the later commits first"
            }
            Self::Obstructed { .. } => "restore the whole tree, or name the other paths, too",
            Self::ForbiddenName(_) => "restore the whole tree, or remove the entry by a commit",
            Self::Mainline { parents, .. } if parents.len() < 2 => "leave `--mainline` out",
            Self::Mainline { .. } => {
                "say `--mainline N` with the parent whose side is kept; 1 is the branch that was merged into"
            }
            Self::Git(error) => error.hint(),
        }
    }
}

fn mainline_fault(commit: &CommitId, parents: &[CommitId], mainline: Option<usize>) -> String {
    let numbered = (1_usize..).zip(parents);
    let numbered: Vec<String> = numbered
        .map(|(number, parent)| format!("{number} is {}", parent.short()))
        .collect();
    let parents_of = numbered.join(", ");
    match (parents, mainline) {
        ([_, _, ..], None) => {
            format!("`{commit}` is a merge, and which parent's side is kept was not said: {parents_of}")
        }
        ([_, _, ..], Some(number)) => format!("`{commit}` has no parent {number}: {parents_of}"),
        ([] | [_], _) => format!("`{commit}` is no merge, so there is no side of it to keep"),
    }
}

fn shown(paths: &[String]) -> String {
    let some: Vec<String> = paths.iter().take(3).map(|path| format!("`{path}`")).collect();
    let more = if paths.len() > 3 { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// What the new commit is made of, before it is written.
struct Draft {
    tree: gix::ObjectId,
    subject: String,
    mainline: Option<CommitId>,
    sources: Vec<CommitId>,
}

impl Mirror {
    /// Writes the commit that fulfils `intent` on top of `parent`. Equal intents and parents give equal commits.
    pub fn write_revert(
        &mut self,
        intent: &Intent,
        parent: &CommitId,
        signing: &Signing,
        stop: &Stop,
    ) -> Result<Written, RevertError> {
        let mut repo = self.scratch()?;
        let broken = |error: &gix::Error| self.unwritten(error);
        let parent_id = known(&repo, parent)?;
        let draft = match &intent.undo {
            Undo::Restore { target, scope } => self.restored(&repo, parent_id, target, scope)?,
            Undo::Revert { commit, mainline } => self.reverted(&repo, parent_id, commit, *mainline)?,
        };
        if draft.tree == tree_of(&repo, parent_id).map_err(|error| broken(&error))? {
            return Err(RevertError::NothingToDo {
                parent: parent.clone(),
            });
        }
        let commit = gix::objs::Commit {
            tree: draft.tree,
            parents: std::iter::once(parent_id).collect(),
            author: signature(&intent.author),
            committer: signature(&intent.committer),
            encoding: None,
            message: intent.message(&draft.subject, draft.mainline.as_ref()).into(),
            extra_headers: Vec::new(),
        };
        let commit = signed(commit, signing, &self.layout.home, stop)?;
        let id = repo
            .write_object(&commit)
            .map_err(|error| broken(&error))?
            .detach();
        self.persist(&mut repo)?;
        self.refresh_reader()?;
        Ok(Written {
            commit: to_commit_id(id),
            parent: parent.clone(),
            sources: draft.sources,
        })
    }

    /// A tree with bad names is the author's fault; anything else is wrong with the mirror.
    fn unwritten(&self, error: &gix::Error) -> RevertError {
        if error.is_validation() {
            RevertError::ForbiddenName(Cause::gix(error, &[]))
        } else {
            RevertError::Git(self.layout.broken(error))
        }
    }

    fn restored(
        &self,
        repo: &gix::Repository,
        parent: gix::ObjectId,
        target: &CommitId,
        scope: &Scope,
    ) -> Result<Draft, RevertError> {
        let broken = |error: &gix::Error| self.unwritten(error);
        let id = known(repo, target)?;
        let tree = match scope {
            Scope::WholeTree => tree_of(repo, id),
            Scope::Paths(paths) => with_paths_of(repo, parent, id, paths),
        };
        let tree = tree.map_err(|error| broken(&error))?;
        if let Scope::Paths(paths) = scope {
            let before = tree_of(repo, parent).map_err(|error| broken(&error))?;
            let lost = outside(repo, before, tree, paths).map_err(|error| broken(&error))?;
            if !lost.is_empty() {
                return Err(RevertError::Obstructed { paths: lost });
            }
        }
        Ok(Draft {
            tree,
            subject: subject_of(repo, id).map_err(|error| broken(&error))?,
            mainline: None,
            sources: vec![target.clone()],
        })
    }

    fn reverted(
        &self,
        repo: &gix::Repository,
        parent: gix::ObjectId,
        commit: &CommitId,
        mainline: Option<usize>,
    ) -> Result<Draft, RevertError> {
        let broken = |error: &gix::Error| self.unwritten(error);
        let id = known(repo, commit)?;
        let object = repo.find_commit(id).map_err(|error| broken(&error))?;
        let parents: Vec<gix::ObjectId> = object.parent_ids().map(gix::Id::detach).collect();
        let kept = match (parents.as_slice(), mainline) {
            ([], None) => None,
            ([only], None) => Some(*only),
            ([_, _, ..], Some(number @ 1..)) if number <= parents.len() => parents.get(number - 1).copied(),
            _ => {
                return Err(RevertError::Mainline {
                    commit: commit.clone(),
                    parents: parents.into_iter().map(to_commit_id).collect(),
                    mainline,
                });
            }
        };
        let empty = gix::ObjectId::empty_tree(repo.object_hash());
        let base = tree_of(repo, id).map_err(|error| broken(&error))?;
        let ours = tree_of(repo, parent).map_err(|error| broken(&error))?;
        let theirs = kept
            .map_or(Ok(empty), |kept| tree_of(repo, kept))
            .map_err(|error| broken(&error))?;
        let merged = merge(repo, base, ours, theirs).map_err(|error| broken(&error))?;
        let tree = merged.map_err(|paths| RevertError::Conflict {
            commit: commit.clone(),
            paths,
        })?;
        let mut sources = vec![commit.clone()];
        sources.extend(kept.map(to_commit_id));
        Ok(Draft {
            tree,
            subject: subject_of(repo, id).map_err(|error| broken(&error))?,
            mainline: kept.filter(|_| parents.len() > 1).map(to_commit_id),
            sources,
        })
    }
}

fn tree_of(repo: &gix::Repository, commit: gix::ObjectId) -> gix::Result<gix::ObjectId> {
    Ok(repo.find_commit(commit)?.tree_id()?.detach())
}

/// First line of the message that is not blank, as `git revert` quotes it.
fn subject_of(repo: &gix::Repository, commit: gix::ObjectId) -> gix::Result<String> {
    let commit = repo.find_commit(commit)?;
    let message = commit.message_raw()?.to_str_lossy().into_owned();
    let first = message.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(first.unwrap_or_default().to_owned())
}

/// The tree of `parent` in which each of `paths` stands as in `target`, or is gone if it is not there.
fn with_paths_of(
    repo: &gix::Repository,
    parent: gix::ObjectId,
    target: gix::ObjectId,
    paths: &[RepoPath],
) -> gix::Result<gix::ObjectId> {
    let source = repo.find_commit(target)?.tree()?;
    let tree = repo.find_commit(parent)?.tree()?;
    let mut editor = tree.edit()?;
    for path in paths {
        match source.lookup_entry_by_path(path.as_str())? {
            Some(entry) => editor.upsert(path.as_str(), entry.mode().kind(), entry.object_id())?,
            None => editor.remove(path.as_str())?,
        };
    }
    Ok(editor.write()?.detach())
}

/// Changed entries that are neither one of `paths` nor below one.
fn outside(
    repo: &gix::Repository,
    before: gix::ObjectId,
    after: gix::ObjectId,
    paths: &[RepoPath],
) -> gix::Result<Vec<String>> {
    use gix::diff::tree::recorder::Change;
    let covered = |changed: &[u8]| {
        paths.iter().any(|path| {
            let rest = changed.strip_prefix(path.as_str().as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
        })
    };
    let mut found = Vec::new();
    for record in tree_diff(repo, Some(before), after)? {
        let (Change::Addition { entry_mode, path, .. }
        | Change::Deletion { entry_mode, path, .. }
        | Change::Modification { entry_mode, path, .. }) = &record;
        if entry_mode.kind() != EntryKind::Tree && !covered(path) {
            found.push(Cause::ours(&path.to_str_lossy()).to_string());
        }
    }
    found.sort();
    found.dedup();
    found.truncate(PATHS_SHOWN);
    Ok(found)
}

/// The merged tree, or the paths that conflict.
fn merge(
    repo: &gix::Repository,
    base: gix::ObjectId,
    ours: gix::ObjectId,
    theirs: gix::ObjectId,
) -> gix::Result<Result<gix::ObjectId, Vec<String>>> {
    let mut options: gix::merge::plumbing::tree::Options = repo.tree_merge_options()?.into();
    options.rewrites = None;
    let mut merged = repo.merge_trees(base, ours, theirs, Labels::default(), options.into())?;
    let paths = unresolved(&merged.conflicts);
    if paths.is_empty() {
        return Ok(Ok(merged.tree.write()?.detach()));
    }
    Ok(Err(paths))
}

/// Some of the paths that a merge leaves to a person, sorted; escaped where they are no plain text.
pub(super) fn unresolved(conflicts: &[gix::merge::tree::Conflict]) -> Vec<String> {
    let how = TreatAsUnresolved::git();
    let mut paths: Vec<String> = conflicts
        .iter()
        .filter(|conflict| conflict.is_unresolved(how))
        .map(|conflict| Cause::ours(&conflict.ours.location().to_str_lossy()).to_string())
        .collect();
    paths.sort();
    paths.dedup();
    paths.truncate(PATHS_SHOWN);
    paths
}

/// The commit with a signature over all of its other bytes, under the header that Git looks at.
fn signed(
    mut commit: gix::objs::Commit,
    signing: &Signing,
    home: &Path,
    stop: &Stop,
) -> Result<gix::objs::Commit, GitError> {
    use gix::objs::WriteTo;
    let Signing::SshKey(key_file) = signing else {
        return Ok(commit);
    };
    let mut payload = Vec::new();
    commit
        .write_to(&mut payload)
        .map_err(|error| GitError::Settings(Cause::ours(&error.to_string())))?;
    let signature = sign::ssh_signature(key_file, &payload, home, stop)?;
    let header = if commit.tree.kind() == gix::hash::Kind::Sha1 {
        "gpgsig"
    } else {
        "gpgsig-sha256"
    };
    commit.extra_headers.push((header.into(), signature.into()));
    Ok(commit)
}

/// Where an intent was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentSearch {
    /// This commit fulfils it.
    Found(CommitId),
    /// No commit back to the known one does.
    Absent,
    /// So many commits were looked at, and the known one was not among them.
    GaveUp {
        /// How many.
        commits: usize,
    },
}

impl Reader {
    /// The intent that a commit carries, if it is one of ours.
    pub fn intent(&self, commit: &CommitId) -> Result<Option<IntentId>, GitError> {
        Ok(intent_of(&self.commit(commit)?.message))
    }

    /// Looks for the commit that fulfils `intent` from `tip` along first parents back to `since`, which itself is not
    /// looked at; at most `max` commits. The head of a branch that was merged on the way counts, too: that is how a
    /// proposed rollback arrives.
    pub fn find_intent(
        &self,
        intent: &IntentId,
        tip: &CommitId,
        since: &CommitId,
        max: usize,
    ) -> Result<IntentSearch, GitError> {
        let commits = self.first_parents(tip, Some(since), max)?;
        for commit in &commits {
            let info = self.commit(commit)?;
            let merged = info.parents.iter().skip(1);
            for candidate in std::iter::once(commit).chain(merged) {
                if self.intent(candidate)?.as_ref() == Some(intent) {
                    return Ok(IntentSearch::Found(candidate.clone()));
                }
            }
        }
        let root_reached = match commits.last() {
            Some(last) => self
                .commit(last)?
                .parents
                .first()
                .is_none_or(|parent| parent == since),
            None => true,
        };
        Ok(if root_reached {
            IntentSearch::Absent
        } else {
            IntentSearch::GaveUp {
                commits: commits.len(),
            }
        })
    }
}
