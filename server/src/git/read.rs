//! Reading the mirror: trees, files, and what they are called, at a commit that is given in full.
//!
//! Invariant: what is read for a commit comes from that commit's objects and nowhere else; sizes are looked at before
//! anything is inflated; links are never followed. A [`Reader`] never looks for packs that came after it, so asking
//! for unknown ids is cheap. What is deliberately absent: caches, which belong to whoever knows what is asked often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gix::objs::tree::EntryKind;
use headwater_wire::{CommitId, RepoPath};

use super::error::{Cause, GitError};
use super::limits::ReadLimits;
use super::object::{ObjectName, to_object_id};
use super::tags::Tags;

/// No commit is larger, in bytes: a larger object that is asked for as a commit is not worth the check of its hash.
const COMMIT_BYTES_MAX: u64 = 1 << 20;

/// Bytes of decoded objects that one walk keeps, so that equal directories are not inflated again and again.
pub(super) const WALK_CACHE_BYTES: usize = 8 << 20;

/// A snapshot of the mirror's objects, cheap to clone and to share between threads. Take a new one after each fetch.
#[derive(Clone)]
pub struct Reader {
    repository: gix::ThreadSafeRepository,
    pub(super) tags: Arc<Tags>,
    dir: Arc<std::path::Path>,
    repacks: Arc<AtomicU64>,
    repacks_at_open: u64,
    damaged: Arc<AtomicBool>,
}

/// What stands at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File {
        /// Name of its content.
        id: ObjectName,
        /// Size in bytes.
        size: u64,
        /// Its bytes, if they were wanted and are within the limit.
        bytes: Option<Arc<[u8]>>,
    },
    /// A symbolic link.
    Symlink {
        /// Name of the blob that holds its target.
        id: ObjectName,
    },
    /// A commit of another repository.
    Submodule {
        /// Name of that commit.
        id: ObjectName,
    },
}

/// What a caller of [`Reader::walk_after`] knows: size and bytes of the file with this path and content.
pub(crate) type Known<'a> = dyn Fn(&[u8], &gix::oid) -> Option<(u64, Option<Arc<[u8]>>)> + 'a;

/// Why a file could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Nothing at the path.
    #[error("no such file in `{commit}`: `{path}`")]
    FileNotFound {
        /// The commit.
        commit: CommitId,
        /// The path.
        path: RepoPath,
    },
    /// A directory, symbolic link or submodule.
    #[error("not a file in `{commit}`: `{path}`")]
    NotAFile {
        /// The commit.
        commit: CommitId,
        /// The path.
        path: RepoPath,
    },
    /// Larger than asked for.
    #[error("the file is larger than {max} bytes: {size}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// The mirror could not be read.
    #[error("cannot read the mirror")]
    Git(#[from] GitError),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(
        repository: gix::ThreadSafeRepository,
        tags: Arc<Tags>,
        dir: &std::path::Path,
        repacks: &Arc<AtomicU64>,
        damaged: &Arc<AtomicBool>,
    ) -> Self {
        let repacks_at_open = repacks.load(Ordering::Acquire);
        // gix lists the packs at the first lookup; a lookup that fails makes it look at all of them now.
        let repo = repository.to_thread_local();
        repo.has_object(gix::ObjectId::null(repo.object_hash()));
        Self {
            repository,
            tags,
            dir: dir.into(),
            repacks: Arc::clone(repacks),
            repacks_at_open,
            damaged: Arc::clone(damaged),
        }
    }

    /// Calls `visit` with the raw path of each entry that is no directory, in the order of Git. Bytes are read where
    /// `wants` says so and the file is within the limit. Stops at the limits of entries, depth and total bytes.
    pub fn walk(
        &self,
        commit: &CommitId,
        limits: &ReadLimits,
        wants: &dyn Fn(&RepoPath) -> bool,
        visit: &mut dyn FnMut(&[u8], Found),
    ) -> Result<(), GitError> {
        self.walk_after(commit, limits, (wants, &|_, _| None), visit)
    }

    /// The same, where the caller may know a file by its path and the name of its content: then no object is touched. He
    /// must give what would be read.
    pub(crate) fn walk_after(
        &self,
        commit: &CommitId,
        limits: &ReadLimits,
        (wants, known): (&dyn Fn(&RepoPath) -> bool, &Known<'_>),
        visit: &mut dyn FnMut(&[u8], Found),
    ) -> Result<(), GitError> {
        let repo = self.local();
        let tree = self.tree_of(&repo, commit)?;
        Walk {
            reader: self,
            repo: &repo,
            commit,
            limits,
            entries: 0,
            bytes: 0,
            wants,
            known,
            visit,
        }
        .run(tree)
    }

    /// The bytes of a file, exactly as `git show COMMIT:PATH` gives them.
    pub fn blob(&self, commit: &CommitId, path: &RepoPath, max: u64) -> Result<Vec<u8>, ReadError> {
        let repo = self.local();
        let not_found = || ReadError::FileNotFound {
            commit: commit.clone(),
            path: path.clone(),
        };
        let mut id = self.tree_of(&repo, commit)?;
        let mut kind = EntryKind::Tree;
        for component in path.components() {
            if kind != EntryKind::Tree {
                return Err(not_found());
            }
            let tree = repo.find_tree(id).map_err(|error| self.broken(&error))?;
            let entry = tree.find_entry(component).ok_or_else(not_found)?;
            (id, kind) = (entry.object_id(), entry.mode().kind());
        }
        match kind {
            EntryKind::Blob | EntryKind::BlobExecutable => {}
            EntryKind::Tree | EntryKind::Link | EntryKind::Commit => {
                return Err(ReadError::NotAFile {
                    commit: commit.clone(),
                    path: path.clone(),
                });
            }
        }
        let size = repo.find_header(id).map_err(|error| self.broken(&error))?.size();
        if size > max {
            return Err(ReadError::TooLarge { size, max });
        }
        let mut blob = repo.find_blob(id).map_err(|error| self.broken(&error))?;
        Ok(blob.take_data())
    }

    /// Whether the commit is in the mirror. The disk is not searched again for an unknown one.
    pub fn contains(&self, commit: &CommitId) -> bool {
        let repo = self.local();
        let Ok(id) = to_object_id(&repo, commit) else {
            return false;
        };
        let is_sound = match repo.try_find_header(id) {
            Ok(Some(header)) if header.kind() == gix::objs::Kind::Commit => return true,
            Ok(Some(header)) => header.size() > COMMIT_BYTES_MAX || hashes_to(&repo, id),
            Ok(None) => true,
            Err(_) => false,
        };
        if !is_sound {
            self.damaged.store(true, Ordering::Release);
        }
        false
    }

    /// What an object is called that is in the mirror and is no commit.
    pub fn other_kind(&self, id: &CommitId) -> Option<&'static str> {
        let repo = self.local();
        let header = repo.try_find_header(to_object_id(&repo, id).ok()?).ok()??;
        kind_name(header.kind())
    }

    /// Whether a reader of this mirror found something that is there and cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// A handle for this thread. Only after a repack, which moves objects, may it look at the disk again.
    pub(super) fn local(&self) -> gix::Repository {
        let mut repo = self.repository.to_thread_local();
        if self.repacks.load(Ordering::Acquire) == self.repacks_at_open {
            repo.objects.refresh_never();
        }
        repo
    }

    /// A handle for a walk over many commits or trees.
    pub(super) fn walking(&self) -> gix::Repository {
        let mut repo = self.local();
        repo.object_cache_size(WALK_CACHE_BYTES);
        repo
    }

    /// The tree of a commit that is here.
    pub(super) fn tree_of(
        &self,
        repo: &gix::Repository,
        commit: &CommitId,
    ) -> Result<gix::ObjectId, GitError> {
        let id = known(repo, commit)?;
        let commit = repo.find_commit(id).map_err(|error| self.broken(&error))?;
        commit
            .tree_id()
            .map(gix::Id::detach)
            .map_err(|error| self.broken(&error))
    }

    /// An object that must be here is not, or cannot be decoded. The mirror is told, so that it looks at itself.
    pub(super) fn broken(&self, error: &gix::Error) -> GitError {
        self.damaged.store(true, Ordering::Release);
        GitError::MirrorBroken {
            dir: self.dir.to_path_buf(),
            cause: Cause::gix(error, &[]),
        }
    }
}

/// The object id of a commit that is here.
pub(super) fn known(repo: &gix::Repository, commit: &CommitId) -> Result<gix::ObjectId, GitError> {
    let id = to_object_id(repo, commit)?;
    if is_commit(repo, id) {
        Ok(id)
    } else {
        Err(GitError::UnknownCommit {
            commit: commit.clone(),
        })
    }
}

pub(super) fn is_commit(repo: &gix::Repository, id: gix::ObjectId) -> bool {
    repo.try_find_header(id)
        .ok()
        .flatten()
        .is_some_and(|header| header.kind() == gix::objs::Kind::Commit)
}

/// What an object is called that is no commit.
fn kind_name(kind: gix::objs::Kind) -> Option<&'static str> {
    match kind {
        gix::objs::Kind::Tree => Some("directory"),
        gix::objs::Kind::Blob => Some("file"),
        gix::objs::Kind::Tag => Some("tag object"),
        gix::objs::Kind::Commit => None,
    }
}

/// Whether the object's bytes are those its name was made of.
fn hashes_to(repo: &gix::Repository, id: gix::ObjectId) -> bool {
    repo.find_object(id).is_ok_and(|object| {
        gix::objs::compute_hash(id.kind(), object.kind, &object.data).is_ok_and(|actual| actual == id)
    })
}

/// One walk over a tree, iterative, so that depth costs no stack.
struct Walk<'a> {
    reader: &'a Reader,
    repo: &'a gix::Repository,
    commit: &'a CommitId,
    limits: &'a ReadLimits,
    entries: u64,
    bytes: u64,
    wants: &'a dyn Fn(&RepoPath) -> bool,
    known: &'a Known<'a>,
    visit: &'a mut dyn FnMut(&[u8], Found),
}

impl Walk<'_> {
    fn run(&mut self, root: gix::ObjectId) -> Result<(), GitError> {
        let mut pending = vec![(Vec::new(), root, 0_u64)];
        while let Some((prefix, tree, depth)) = pending.pop() {
            let tree = self
                .repo
                .find_tree(tree)
                .map_err(|error| self.reader.broken(&error))?;
            let mut directories = Vec::new();
            for entry in tree.iter() {
                let entry = entry.map_err(|error| self.reader.broken(&error))?;
                self.entries += 1;
                if self.entries > self.limits.entries_max {
                    return Err(self.too_large("entries", self.limits.entries_max));
                }
                let path = joined(&prefix, &unambiguous(entry.filename()));
                let id = entry.object_id();
                match entry.mode().kind() {
                    EntryKind::Tree if depth >= self.limits.depth_max => {
                        return Err(self.too_large("levels of directories", self.limits.depth_max));
                    }
                    EntryKind::Tree => directories.push((path, id, depth + 1)),
                    EntryKind::Link => (self.visit)(&path, Found::Symlink { id: id.into() }),
                    EntryKind::Commit => (self.visit)(&path, Found::Submodule { id: id.into() }),
                    EntryKind::Blob | EntryKind::BlobExecutable => {
                        let file = self.file(&path, id)?;
                        (self.visit)(&path, file);
                    }
                }
            }
            pending.extend(directories.into_iter().rev());
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8], id: gix::ObjectId) -> Result<Found, GitError> {
        if let Some((size, bytes)) = (self.known)(path, &id) {
            if bytes.is_some() {
                self.count(size)?;
            }
            return Ok(Found::File {
                id: id.into(),
                size,
                bytes,
            });
        }
        let size = self
            .repo
            .find_header(id)
            .map_err(|error| self.reader.broken(&error))?
            .size();
        let parsed = std::str::from_utf8(path)
            .ok()
            .and_then(|text| text.parse::<RepoPath>().ok());
        let wanted = size <= self.limits.file_bytes_max && parsed.is_some_and(|path| (self.wants)(&path));
        let mut bytes = None;
        if wanted {
            self.count(size)?;
            let mut blob = self
                .repo
                .find_blob(id)
                .map_err(|error| self.reader.broken(&error))?;
            bytes = Some(Arc::from(blob.take_data()));
        }
        Ok(Found::File {
            id: id.into(),
            size,
            bytes,
        })
    }

    /// Counts bytes against the limit of all files.
    fn count(&mut self, size: u64) -> Result<(), GitError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.total_bytes_max {
            return Err(self.too_large("bytes", self.limits.total_bytes_max));
        }
        Ok(())
    }

    fn too_large(&self, what: &'static str, max: u64) -> GitError {
        GitError::TooLarge {
            commit: self.commit.clone(),
            what,
            max,
        }
    }
}

/// A name with a slash in it would pass for a path of directories. Git refuses it; here it becomes a name that no path
/// can have, so that whoever reads the tree is told.
fn unambiguous(name: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if name.contains(&b'/') {
        name.iter()
            .map(|byte| if *byte == b'/' { 0 } else { *byte })
            .collect()
    } else {
        name.into()
    }
}

pub(crate) fn joined(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    }
}
