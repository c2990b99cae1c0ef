//! What is checked: a directory, a commit or the index; and the history it is judged against.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_validators::{ConfigTree, Limits, Verdict};
use headwater_wire::{CheckView, CommitId, Finding, VerdictState};

use super::directory::{self, GitScope};
use super::memory::Memory;
use super::past::{Ids, Past};
use super::{Checked, baseline};
use crate::cli::Environment;
use crate::cli::failure::Failure;
use crate::git::error::{Cause, GitError};
use crate::git::local::{LocalError, LocalRepository};
use crate::git::quarantine::ObjectDirs;
use crate::judge;
use crate::tree::{self, Contents, MANIFEST, read_limits};

/// What is checked, found but not read.
pub(super) enum Subject {
    /// Files on disk.
    Directory {
        root: PathBuf,
        /// The repository whose top the directory is.
        repository: Option<LocalRepository>,
        /// How Git sees the files, if it sees them.
        scope: Option<GitScope>,
    },
    /// A commit.
    Commit {
        repository: LocalRepository,
        commit: CommitId,
    },
    /// The index.
    Index {
        repository: LocalRepository,
        file: Option<PathBuf>,
    },
}

/// A tree that was read, or the words for one that is too large.
#[derive(PartialEq, Eq)]
pub(super) enum Read {
    Tree(ConfigTree),
    TooLarge(String),
}

impl Subject {
    /// A directory if there is one of that name, else a revision; without a name, the work tree.
    pub(super) fn named(what: Option<&OsStr>, objects: &ObjectDirs) -> Result<Self, Failure> {
        let Some(what) = what else {
            return Self::work_tree(objects);
        };
        let path = Path::new(what);
        if path.is_dir() {
            return Self::directory(path, objects);
        }
        let neither = |cause: &str| Failure::Usage {
            message: format!(
                "neither a directory nor a revision: `{}`",
                Cause::ours(&what.to_string_lossy())
            ),
            hint: cause.to_owned(),
        };
        if path.symlink_metadata().is_ok() && !is_revision(what, objects) {
            return Err(neither(
                "files are judged together: name the directory at the top, or nothing",
            ));
        }
        let Some(repository) = LocalRepository::discover(Path::new("."), objects)? else {
            return Err(neither(
                "name a directory, or go into a Git repository to name a revision",
            ));
        };
        let rev = what.to_str().ok_or_else(|| neither("a revision is UTF-8"))?;
        match repository.resolve(rev) {
            Ok(commit) => Ok(Self::Commit { repository, commit }),
            Err(LocalError::Revision { .. }) => Err(neither(
                "give a directory, a commit id, a branch, a tag or a form such as `HEAD~1`",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// The index of the repository around a directory.
    pub(super) fn staged(dir: Option<&OsStr>, environment: &Environment) -> Result<Self, Failure> {
        let (objects, file) = (&environment.git_objects, environment.git_index_file.clone());
        let dir = dir.map_or(Path::new("."), Path::new);
        if !dir.is_dir() {
            return Err(Failure::Usage {
                message: format!("not a directory: `{}`", Cause::ours(&dir.to_string_lossy())),
                hint: "`--staged` takes a directory or nothing; leave it out to check a revision".to_owned(),
            });
        }
        match LocalRepository::discover(dir, objects)? {
            Some(repository) if repository.top().is_some() => Ok(Self::Index { repository, file }),
            Some(_) => Err(bare()),
            None => Err(Failure::Usage {
                message: "not in a Git repository".to_owned(),
                hint: "`--staged` reads Git's index; without it the files of a directory are checked"
                    .to_owned(),
            }),
        }
    }

    /// The work tree around the current directory, or that directory itself outside of Git.
    fn work_tree(objects: &ObjectDirs) -> Result<Self, Failure> {
        match LocalRepository::discover(Path::new("."), objects)? {
            None => Ok(Self::Directory {
                root: PathBuf::from("."),
                repository: None,
                scope: None,
            }),
            Some(repository) => match repository.top().map(Path::to_path_buf) {
                Some(root) => Self::top(root, repository),
                None => Err(bare()),
            },
        }
    }

    fn top(root: PathBuf, repository: LocalRepository) -> Result<Self, Failure> {
        let scope = Some(GitScope::new(&repository, Vec::new())?);
        Ok(Self::Directory {
            root,
            repository: Some(repository),
            scope,
        })
    }

    /// A directory that was named. It is the top of what is checked, whether or not Git's top is above it.
    fn directory(dir: &Path, objects: &ObjectDirs) -> Result<Self, Failure> {
        let plain = |scope| Self::Directory {
            root: dir.to_owned(),
            repository: None,
            scope,
        };
        let Some(repository) = LocalRepository::discover(dir, objects)? else {
            return Ok(plain(None));
        };
        let Some(top) = repository.top() else {
            return Err(bare());
        };
        let below = below(top, dir)?;
        if below.is_empty() {
            return Self::top(dir.to_owned(), repository);
        }
        if !dir.join(MANIFEST).exists() && top.join(MANIFEST).exists() {
            return Err(Failure::Usage {
                message: format!("`{}` is a part of a config repository", dir.display()),
                hint: format!(
                    "a part has no verdict of its own; check all of it: `headwater check {}`",
                    top.display()
                ),
            });
        }
        let scope = GitScope::new(&repository, below)?;
        Ok(plain(scope.unless_ignored()))
    }

    /// The directory that is checked, if it is one.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Self::Directory { root, .. } => Some(root),
            Self::Commit { .. } | Self::Index { .. } => None,
        }
    }

    /// Reads it.
    pub(super) fn see(self, limits: &Limits, memory: &mut Memory) -> Result<Seen, Failure> {
        match self {
            Self::Directory {
                root,
                repository,
                scope,
            } => Ok(Seen {
                read: directory::read(&root, scope, limits, memory)?,
                newest: repository
                    .as_ref()
                    .map(LocalRepository::head)
                    .transpose()?
                    .flatten(),
                repository,
                commit: None,
                ids: Ids::OfContent,
            }),
            Self::Commit { repository, commit } => Ok(Seen {
                read: commit_tree(&repository, &commit, limits)?,
                newest: None,
                repository: Some(repository),
                commit: Some(commit),
                ids: Ids::OfGit,
            }),
            Self::Index { repository, file } => {
                let mut tree = ConfigTree::new();
                let mut insert = |path: &[u8], found| tree.insert(path, tree::entry_of(found));
                let read_limits = read_limits(limits);
                let wants = &headwater_validators::wants;
                let read = match repository.walk_index(file.as_deref(), &read_limits, wants, &mut insert) {
                    Ok(()) => Read::Tree(tree),
                    Err(error @ LocalError::TooLarge { .. }) => Read::TooLarge(error.to_string()),
                    Err(error) => return Err(error.into()),
                };
                Ok(Seen {
                    read,
                    newest: repository.head()?,
                    repository: Some(repository),
                    commit: None,
                    ids: Ids::OfGit,
                })
            }
        }
    }
}

/// A tree and where it stands in history.
pub(super) struct Seen {
    read: Read,
    repository: Option<LocalRepository>,
    /// The commit it is the tree of.
    commit: Option<CommitId>,
    /// The commit that one of the tree would come after.
    newest: Option<CommitId>,
    /// Whose names its files have.
    ids: Ids,
}

impl Seen {
    /// Whether its verdict can only be the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.read, &self.commit, &self.newest) == (&other.read, &other.commit, &other.newest)
    }

    /// Judges it.
    pub(super) fn judge(&self, against: Option<&str>, limits: &Limits) -> Result<Checked, Failure> {
        let tree = match &self.read {
            Read::Tree(tree) => tree,
            Read::TooLarge(message) => return Ok(too_large(message.clone())),
        };
        let history = match (&self.repository, against) {
            (Some(repository), Some(rev)) => baseline::History::from(repository, repository.resolve(rev)?),
            (None, Some(_)) => return Err(no_history()),
            (Some(repository), None) => baseline::History::before(repository, self.commit.as_ref())?,
            (None, None) => baseline::History::none(),
        };
        let past = match &self.repository {
            Some(repository) => {
                let commits = (history.newest(), self.commit.as_ref());
                Past::read(&repository.reader(), commits, (tree, self.ids), limits)?
            }
            None => Past::default(),
        };
        let mut verdict = past.judge(tree, limits, &BTreeSet::new());
        let mut note = None;
        if baseline::depends_on_history(&verdict) {
            let exposed = history.exposed(limits)?;
            verdict = past.judge(tree, limits, &exposed.configs);
            note = exposed.note();
        }
        let configs = headwater_validators::declare(tree, limits).map(|declared| declared.len());
        Ok(Checked {
            view: Verdict::view(&verdict),
            tree: tree.clone(),
            configs,
            note,
        })
    }
}

/// The tree of a commit, read as the server reads it.
pub(super) fn commit_tree(
    repository: &LocalRepository,
    commit: &CommitId,
    limits: &Limits,
) -> Result<Read, Failure> {
    match tree::read(&repository.reader(), commit, limits, Contents::Configs) {
        Ok(tree) => Ok(Read::Tree(tree)),
        Err(error @ GitError::TooLarge { .. }) => Ok(Read::TooLarge(error.to_string())),
        Err(error) => Err(LocalError::Object(Cause::ours(&error.one_line())).into()),
    }
}

fn too_large(message: String) -> Checked {
    let finding: Finding = judge::too_large(message);
    let view = CheckView {
        version: 1,
        verdict: VerdictState::Rejected,
        findings: vec![finding],
    };
    Checked {
        view,
        tree: ConfigTree::new(),
        configs: None,
        note: None,
    }
}

fn is_revision(what: &OsStr, objects: &ObjectDirs) -> bool {
    let found = LocalRepository::discover(Path::new("."), objects).ok().flatten();
    found.is_some_and(|repository| what.to_str().is_some_and(|rev| repository.resolve(rev).is_ok()))
}

/// The path from one directory to one below it, in Git's spelling; empty if they are the same.
fn below(top: &Path, dir: &Path) -> Result<Vec<u8>, Failure> {
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|source| Failure::File {
            path: path.to_owned(),
            source,
        })
    };
    let (top, dir) = (real(top)?, real(dir)?);
    let below = dir.strip_prefix(&top).unwrap_or(Path::new(""));
    Ok(below.as_os_str().as_encoded_bytes().to_vec())
}

fn bare() -> Failure {
    Failure::Usage {
        message: "a bare repository has no files and no index to check".to_owned(),
        hint: "name a revision, such as `headwater check HEAD`".to_owned(),
    }
}

fn no_history() -> Failure {
    Failure::Usage {
        message: "`--against` needs the history of a whole repository".to_owned(),
        hint: "leave it out, or check the top of a Git work tree".to_owned(),
    }
}
