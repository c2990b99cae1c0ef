//! What is checked: a directory, a commit or the index.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_validators::Limits;
use headwater_wire::CommitId;

use super::directory::{self, GitScope};
use super::memory::Memory;
use super::past::{Ids, Progress};
use super::seen::Seen;
use crate::cli::Environment;
use crate::cli::failure::Failure;
use crate::cli::options::read_file;
use crate::git::error::{Cause, GitError};
use crate::git::local::{LocalError, LocalRepository};
use crate::git::quarantine::ObjectDirs;
use crate::tree::{self, Contents, MANIFEST, RawEntry, read_limits};

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
        /// The message of the commit that it will be.
        message: Option<String>,
    },
}

/// A tree that was read, or the words for one that is too large.
#[derive(PartialEq, Eq)]
pub(super) enum Read {
    Tree(Vec<RawEntry>),
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
    pub(super) fn staged(
        dir: Option<&OsStr>,
        message_file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let (objects, file) = (&environment.git_objects, environment.git_index_file.clone());
        let dir = dir.map_or(Path::new("."), Path::new);
        if !dir.is_dir() {
            return Err(Failure::Usage {
                message: format!("not a directory: `{}`", Cause::ours(&dir.to_string_lossy())),
                hint: "`--staged` takes a directory or nothing; leave it out to check a revision".to_owned(),
            });
        }
        match LocalRepository::discover(dir, objects)? {
            Some(repository) if repository.top().is_some() => Ok(Self::Index {
                message: message_file.map(|path| message(&repository, path)).transpose()?,
                repository,
                file,
            }),
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
            } => {
                let read = directory::read(&root, scope, limits, memory)?;
                Seen::new(read, repository, (Progress::Files, Ids::OfContent))
            }
            Self::Commit { repository, commit } => {
                let read = commit_tree(&repository, &commit, limits)?;
                Seen::new(read, Some(repository), (Progress::Made(commit), Ids::OfGit))
            }
            Self::Index {
                repository,
                file,
                message,
            } => {
                let read = staged_tree(&repository, file.as_deref(), limits)?;
                let progress = message.map_or(Progress::Staged, Progress::Worded);
                Seen::new(read, Some(repository), (progress, Ids::OfGit))
            }
        }
    }
}

/// The tree of a commit, read as the server reads it.
pub(super) fn commit_tree(
    repository: &LocalRepository,
    commit: &CommitId,
    limits: &Limits,
) -> Result<Read, Failure> {
    match tree::read_raw(&repository.reader(), commit, limits, Contents::Configs) {
        Ok(entries) => Ok(Read::Tree(entries)),
        Err(error @ GitError::TooLarge { .. }) => Ok(Read::TooLarge(error.to_string())),
        Err(error) => Err(LocalError::Object(Cause::ours(&error.one_line())).into()),
    }
}

/// The tree that a commit of the index would have.
fn staged_tree(repository: &LocalRepository, file: Option<&Path>, limits: &Limits) -> Result<Read, Failure> {
    let mut entries = Vec::new();
    let mut visit = |path: &[u8], found| entries.push((path.to_vec(), tree::entry_of(found)));
    let wants = &headwater_validators::wants;
    match repository.walk_index(file, &read_limits(limits), wants, &mut visit) {
        Ok(()) => Ok(Read::Tree(entries)),
        Err(error @ LocalError::TooLarge { .. }) => Ok(Read::TooLarge(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// A message as Git will keep it.
fn message(repository: &LocalRepository, path: &Path) -> Result<String, Failure> {
    let bytes = read_file(path)?;
    Ok(repository.cleanup().apply(&String::from_utf8_lossy(&bytes)))
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
