//! A repository that is already here, as whoever runs the program works in it: found from a directory and only read.
//!
//! Invariant: commits are read by the same [`Reader`] as those of a mirror, so one path leads from a commit to its
//! tree. Nothing is written, no program is started, and no file of the work tree is opened here. What is deliberately
//! absent: filters of `.gitattributes`, since what counts is what Git has stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use gix::bstr::ByteSlice;
use gix::index::entry::{Flags, Mode, Stage};
use headwater_wire::{CommitId, RepoPath};

use super::cleanup::Cleanup;
use super::error::Cause;
use super::limits::{OBJECT_BYTES_MAX, ReadLimits};
use super::object::to_commit_id;
use super::quarantine::ObjectDirs;
use super::read::{Found, Reader, is_commit};
use super::tags::Tags;

/// Unmerged paths that are named; who has more looks at `git status`.
const UNMERGED_SHOWN: usize = 3;

/// Why a repository on this machine could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LocalError {
    /// There is one, and it cannot be opened.
    #[error("cannot open the Git repository of `{}`", dir.display())]
    Open {
        /// Where it was looked for.
        dir: PathBuf,
        /// What is wrong.
        #[source]
        cause: Cause,
    },
    /// The text names no commit.
    #[error("no such revision: `{rev}`")]
    Revision {
        /// What was asked for.
        rev: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The index cannot be read.
    #[error("cannot read the index")]
    Index(#[source] Cause),
    /// A merge is not finished, so the index is no tree.
    #[error("the index has unmerged paths: {}", paths.join(", "))]
    Unmerged {
        /// Some of them.
        paths: Vec<String>,
    },
    /// The index holds directories in place of their files.
    #[error("the index is sparse")]
    Sparse,
    /// More than a commit may hold.
    #[error("the tree has more than {max} {what}")]
    TooLarge {
        /// What is too much.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// An object could not be read.
    #[error("cannot read the repository")]
    Object(#[source] Cause),
}

impl LocalError {
    /// What a person can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } | Self::Object(_) => "run `git fsck` there",
            Self::Revision { .. } => {
                "give a commit id, a branch, a tag or a form such as `HEAD~1`; see `git log`"
            }
            Self::Index(_) => "run `git status` there",
            Self::Unmerged { .. } => "resolve the conflicts and `git add` the files first",
            Self::Sparse => "run `git sparse-checkout reapply --no-sparse-index` first",
            Self::TooLarge { .. } => "make the tree smaller",
        }
    }
}

/// A repository with or without a work tree.
pub struct LocalRepository {
    shared: gix::ThreadSafeRepository,
    top: Option<PathBuf>,
    /// Joins the objects of the repository with those of a push that waits for its hooks.
    _joined: Option<tempfile::TempDir>,
}

/// Whether a path that Git is asked about is a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A file or link.
    File,
    /// A directory.
    Directory,
}

/// What the index says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// A file or link.
    File,
    /// A commit of another repository.
    Submodule,
}

impl LocalRepository {
    /// The repository that `dir` is in, if it is in one; `objects` are read as if they were in it.
    ///
    /// It is trusted whoever owns it: all that is done is to read objects, the index and ignore rules, and a
    /// pipeline's checkout often belongs to somebody else.
    pub fn discover(dir: &Path, objects: &ObjectDirs) -> Result<Option<Self>, LocalError> {
        let search = gix::discover::upwards::Options {
            trust: gix::discover::upwards::TrustPolicy::Assume(gix::sec::Trust::Full),
            ..gix::discover::upwards::Options::default()
        };
        let trust = gix::sec::trust::Mapping {
            full: options(),
            reduced: options(),
        };
        match gix::ThreadSafeRepository::discover_opts(dir, search, trust) {
            Ok(mut shared) => {
                let top = shared.to_thread_local().workdir().map(Path::to_path_buf);
                let joined = objects.join(&mut shared).map_err(|error| LocalError::Open {
                    dir: dir.to_owned(),
                    cause: Cause::ours(&error.to_string()),
                })?;
                Ok(Some(Self {
                    shared,
                    top,
                    _joined: joined,
                }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(LocalError::Open {
                dir: dir.to_owned(),
                cause: Cause::gix(&error, &[]),
            }),
        }
    }

    /// The top of its work tree; a bare repository has none.
    pub fn top(&self) -> Option<&Path> {
        self.top.as_deref()
    }

    /// Reads commits.
    pub fn reader(&self) -> Reader {
        let dir = self.top.as_deref().unwrap_or(Path::new("."));
        let (repacks, damaged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        Reader::new(
            self.shared.clone(),
            Arc::new(Tags::default()),
            dir,
            &repacks,
            &damaged,
        )
    }

    /// How Git cleans up the message of a commit here.
    pub fn cleanup(&self) -> Cleanup {
        let repo = self.shared.to_thread_local();
        let config = repo.config_snapshot();
        let value = |key: &str| config.string(key).map(|value| value.to_string());
        let comment = value("core.commentString").or_else(|| value("core.commentChar"));
        Cleanup::of_configuration(value("commit.cleanup").as_deref(), comment.as_deref())
    }

    /// Mail address of the person who commits here, as Git's configuration has it; empty if it says none.
    pub fn author_email(&self) -> String {
        let repo = self.shared.to_thread_local();
        let config = repo.config_snapshot();
        let said = config
            .string("author.email")
            .or_else(|| config.string("user.email"));
        said.map(|email| email.to_string()).unwrap_or_default()
    }

    /// The commit that `HEAD` names; none if nothing was committed yet.
    pub fn head(&self) -> Result<Option<CommitId>, LocalError> {
        let repo = self.shared.to_thread_local();
        let head = repo
            .head()
            .map_err(|error| LocalError::Object(Cause::gix(&error, &[])))?;
        if head.is_unborn() {
            return Ok(None);
        }
        self.resolve("HEAD").map(Some)
    }

    /// The commit that `rev` names, in the language of `git rev-parse`, since it is the person's own repository.
    pub fn resolve(&self, rev: &str) -> Result<CommitId, LocalError> {
        let repo = self.shared.to_thread_local();
        let failed = |cause: Cause| LocalError::Revision {
            rev: Cause::ours(rev).to_string(),
            cause,
        };
        let found = repo
            .rev_parse_single(rev)
            .map_err(|error| failed(Cause::gix(&error, &[])))?;
        let object = found.object().map_err(|error| failed(Cause::gix(&error, &[])))?;
        let commit = object.peel_to_kind(gix::objs::Kind::Commit);
        commit
            .map(|commit| to_commit_id(commit.id))
            .map_err(|error| failed(Cause::gix(&error, &[])))
    }

    /// The first parent of a commit, and whether this clone has it; none at a root.
    pub fn first_parent(&self, commit: &CommitId) -> Result<Option<(CommitId, Presence)>, LocalError> {
        let repo = self.shared.to_thread_local();
        let broken = |error: &gix::Error| LocalError::Object(Cause::gix(error, &[]));
        let id = super::object::to_object_id(&repo, commit)
            .map_err(|error| LocalError::Object(Cause::ours(&error.to_string())))?;
        let object = repo.find_commit(id).map_err(|error| broken(&error))?;
        let parent = object.parent_ids().next().map(gix::Id::detach);
        Ok(parent.map(|parent| {
            let presence = if is_commit(&repo, parent) {
                Presence::Here
            } else {
                Presence::Missing
            };
            (to_commit_id(parent), presence)
        }))
    }

    /// Calls `visit` with each entry of the index, as [`Reader::walk`] does with those of a commit. `file` names another
    /// index, as Git does for hooks.
    pub fn walk_index(
        &self,
        file: Option<&Path>,
        limits: &ReadLimits,
        wants: &dyn Fn(&RepoPath) -> bool,
        visit: &mut dyn FnMut(&[u8], Found),
    ) -> Result<(), LocalError> {
        let repo = self.shared.to_thread_local();
        let index = index(&repo, file)?;
        refuse_unmerged(&index)?;
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        for entry in index
            .entries()
            .iter()
            .filter(|entry| !entry.flags.contains(Flags::INTENT_TO_ADD))
        {
            entries += 1;
            if entries > limits.entries_max {
                return Err(LocalError::TooLarge {
                    what: "entries",
                    max: limits.entries_max,
                });
            }
            let path = entry.path(&index);
            let found = match entry.mode {
                Mode::DIR => return Err(LocalError::Sparse),
                Mode::COMMIT => Found::Submodule { id: entry.id.into() },
                Mode::SYMLINK => Found::Symlink { id: entry.id.into() },
                _ => file_entry(&repo, (path, entry.id), limits, wants)?,
            };
            if let Found::File {
                size, bytes: Some(_), ..
            } = &found
            {
                bytes = bytes.saturating_add(*size);
                if bytes > limits.total_bytes_max {
                    return Err(LocalError::TooLarge {
                        what: "bytes",
                        max: limits.total_bytes_max,
                    });
                }
            }
            visit(path, found);
        }
        Ok(())
    }

    /// Paths that Git tracks, with what they are, sorted as bytes.
    pub fn tracked(&self) -> Result<std::collections::BTreeMap<Vec<u8>, Tracked>, LocalError> {
        let repo = self.shared.to_thread_local();
        let index = index(&repo, None)?;
        let entries = index.entries().iter().filter(|entry| entry.mode != Mode::DIR);
        Ok(entries
            .map(|entry| {
                let tracked = if entry.mode == Mode::COMMIT {
                    Tracked::Submodule
                } else {
                    Tracked::File
                };
                (entry.path(&index).to_vec(), tracked)
            })
            .collect())
    }

    /// A function that tells whether Git ignores a path below the top: by `.gitignore`, `info/exclude` and the
    /// person's own ignore file. Whether a directory above it is ignored is for the caller to know.
    pub fn ignore_rules(&self) -> Result<impl FnMut(&[u8], PathKind) -> bool + use<>, LocalError> {
        let repo = self.shared.to_thread_local();
        let empty = gix::index::State::new(repo.object_hash());
        let source = gix::worktree::stack::state::ignore::Source::WorktreeThenIdMappingIfNotSkipped;
        let stack = repo.excludes(&empty, None, source);
        let mut stack = stack
            .map_err(|error| LocalError::Object(Cause::gix(&error, &[])))?
            .detach();
        let objects = repo.objects.clone();
        Ok(move |path: &[u8], kind| {
            let mode = match kind {
                PathKind::File => Mode::FILE,
                PathKind::Directory => Mode::DIR,
            };
            // A `.gitignore` that cannot be read ignores nothing: too much is checked then, and never too little.
            stack
                .at_path(path.as_bstr(), Some(mode), &objects)
                .is_ok_and(|at| at.is_excluded())
        })
    }
}

/// Whether a commit is in a clone, which may be shallow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Here,
    /// Its child is, and it is not.
    Missing,
}

impl std::fmt::Debug for LocalRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalRepository")
            .field("top", &self.top)
            .finish_non_exhaustive()
    }
}

/// As closed as a mirror's, except that the person's own configuration says where more ignore rules are.
fn options() -> gix::open::Options {
    let mut permissions = gix::open::Permissions::isolated();
    permissions.config.user = true;
    permissions.config.git = true;
    permissions.env.home = gix::sec::Permission::Allow;
    permissions.env.xdg_config_home = gix::sec::Permission::Allow;
    gix::open::Options::isolated()
        .permissions(permissions)
        .config_overrides([
            format!("gitoxide.objects.allocLimit={OBJECT_BYTES_MAX}"),
            "core.useReplaceRefs=false".to_owned(),
        ])
}

/// The index; an empty one where nothing was ever added.
fn index(repo: &gix::Repository, file: Option<&Path>) -> Result<gix::index::File, LocalError> {
    let path = file.map_or_else(|| repo.index_path(), Path::to_path_buf);
    if !path.exists() {
        return Ok(gix::index::File::from_state(
            gix::index::State::new(repo.object_hash()),
            path,
        ));
    }
    gix::index::File::at(
        path,
        repo.object_hash(),
        false,
        gix::index::decode::Options::default(),
    )
    .map_err(|error| LocalError::Index(Cause::chain(&error, &[])))
}

fn refuse_unmerged(index: &gix::index::File) -> Result<(), LocalError> {
    let mut paths: Vec<String> = index
        .entries()
        .iter()
        .filter(|entry| entry.stage() != Stage::Unconflicted)
        .map(|entry| format!("`{}`", Cause::ours(&entry.path(index).to_str_lossy())))
        .collect();
    paths.dedup();
    paths.truncate(UNMERGED_SHOWN);
    if paths.is_empty() {
        Ok(())
    } else {
        Err(LocalError::Unmerged { paths })
    }
}

fn file_entry(
    repo: &gix::Repository,
    (path, id): (&gix::bstr::BStr, gix::ObjectId),
    limits: &ReadLimits,
    wants: &dyn Fn(&RepoPath) -> bool,
) -> Result<Found, LocalError> {
    let broken = |error: gix::Error| LocalError::Object(Cause::gix(&error, &[]));
    let size = repo.find_header(id).map_err(broken)?.size();
    let parsed = path.to_str().ok().and_then(|text| text.parse::<RepoPath>().ok());
    let wanted = size <= limits.file_bytes_max && parsed.is_some_and(|path| wants(&path));
    let bytes = if wanted {
        Some(Arc::from(repo.find_blob(id).map_err(broken)?.take_data()))
    } else {
        None
    };
    Ok(Found::File {
        id: id.into(),
        size,
        bytes,
    })
}
