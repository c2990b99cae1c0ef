//! The directory of a mirror: its lock, its bare repository, what a crash left, and how a broken one is replaced.
//!
//! Layout: `lock` (held while a process owns the mirror), `repository.git`, `home` (an empty HOME for child programs),
//! `tags` (names and commits), `broken` (the last repository that was set aside), `annex`,
//! `annex-notes` and `annex-push` (directories of the same layout, which borrow the objects of this one). Invariant: deleting all of it is always safe, because the upstream
//! has everything. What is deliberately absent: a work tree.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_wire::CommitId;

use super::check;
use super::error::{Cause, GitError, is_storage, is_storage_gix};
use super::limits::MirrorLimits;
use super::object::to_commit_id;
use super::refs;

/// A child of ours between fork and exec, or a process that is just ending, holds the lock for a moment.
const LOCK_TRIES: u32 = 25;
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Whether the mirror on disk could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorHealth {
    /// There was none; an empty one was made.
    Created,
    /// The one on disk is readable.
    Healthy,
    /// The one on disk was set aside and an empty one was made.
    Rebuilt {
        /// What was wrong with it.
        why: Cause,
    },
}

/// Which hash the objects are named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectFormat {
    Sha1,
    Sha256,
}

impl ObjectFormat {
    pub(crate) fn of(commit: &CommitId) -> Self {
        if commit.as_str().len() == 64 {
            Self::Sha256
        } else {
            Self::Sha1
        }
    }
}

/// The places inside a mirror's directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
    pub(crate) repository: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) tags: PathBuf,
    object_bytes_max: u64,
}

impl Layout {
    /// Makes the directory and takes its lock.
    pub(crate) fn claim(dir: &Path, limits: &MirrorLimits) -> Result<(Self, File), GitError> {
        let dir = std::path::absolute(dir).map_err(|error| storage(dir, &error))?;
        let layout = Self {
            repository: dir.join("repository.git"),
            home: dir.join("home"),
            tags: dir.join("tags"),
            object_bytes_max: limits.object_bytes_max,
            dir,
        };
        fs::create_dir_all(&layout.home).map_err(|error| storage(&layout.dir, &error))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(layout.dir.join("lock"));
        let lock = lock.map_err(|error| storage(&layout.dir, &error))?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok((layout, lock)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY),
                Err(TryLockError::Error(error)) => return Err(storage(&layout.dir, &error)),
            }
        }
        Err(GitError::LockedByOther { dir: layout.dir })
    }

    /// Makes the repository on disk usable; the lock must be held.
    pub(crate) fn prepare(&self, limits: &MirrorLimits) -> Result<MirrorHealth, GitError> {
        self.remove(&self.dir.join("repository.new"))?;
        if !self.repository.exists() {
            self.create(ObjectFormat::Sha1)?;
            return Ok(MirrorHealth::Created);
        }
        self.sweep()?;
        match self.verify(limits) {
            Ok(()) => Ok(MirrorHealth::Healthy),
            Err(error @ GitError::StorageFull { .. }) => Err(error),
            Err(error) => {
                let why = Cause::ours(&error.one_line());
                self.replace(ObjectFormat::Sha1)?;
                Ok(MirrorHealth::Rebuilt { why })
            }
        }
    }

    /// A fresh handle: it costs 0.1 ms, and one that lives long runs out of slots for packs.
    pub(crate) fn open(&self) -> Result<gix::ThreadSafeRepository, GitError> {
        let options = gix::open::Options::isolated()
            .open_path_as_is(true)
            .with(gix::sec::Trust::Full)
            .strict_config(true)
            .config_overrides([
                format!("gitoxide.objects.allocLimit={}", self.object_bytes_max),
                "gitoxide.credentials.terminalPrompt=false".to_owned(),
                "core.useReplaceRefs=false".to_owned(),
                "core.logAllRefUpdates=false".to_owned(),
            ]);
        gix::ThreadSafeRepository::open_opts(&self.repository, options).map_err(|error| self.broken(&error))
    }

    /// Sets the repository aside, dropping the one set aside before, and starts with an empty one.
    pub(crate) fn replace(&self, format: ObjectFormat) -> Result<(), GitError> {
        let aside = self.dir.join("broken");
        self.remove(&aside)?;
        if self.repository.exists() {
            fs::rename(&self.repository, &aside).map_err(|error| storage(&self.dir, &error))?;
        }
        self.create(format)
    }

    /// Replaces an empty repository by one of another object format.
    pub(crate) fn reformat(&self, format: ObjectFormat) -> Result<(), GitError> {
        self.remove(&self.repository)?;
        self.create(format)
    }

    /// A failure to read what is on disk.
    pub(crate) fn broken(&self, error: &gix::Error) -> GitError {
        let cause = Cause::gix(error, &[]);
        if is_storage_gix(error) {
            return GitError::StorageFull {
                dir: self.dir.clone(),
                cause,
            };
        }
        GitError::MirrorBroken {
            dir: self.dir.clone(),
            cause,
        }
    }

    /// A failure of the file system.
    pub(crate) fn io(&self, error: &std::io::Error) -> GitError {
        if is_storage(error) {
            return storage(&self.dir, error);
        }
        GitError::MirrorBroken {
            dir: self.dir.clone(),
            cause: Cause::ours(&error.to_string()),
        }
    }

    /// Files of `objects/pack` whose name ends so.
    pub(crate) fn pack_files(&self, ending: &str) -> Result<Vec<PathBuf>, GitError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.pack_dir()).map_err(|error| self.io(&error))? {
            let path = entry.map_err(|error| self.io(&error))?.path();
            if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.repository.join("objects").join("pack")
    }

    fn create(&self, format: ObjectFormat) -> Result<(), GitError> {
        let fresh = self.dir.join("repository.new");
        self.remove(&fresh)?;
        let options = gix::create::Options {
            object_hash: (format == ObjectFormat::Sha256).then_some(gix::hash::Kind::Sha256),
            ..gix::create::Options::default()
        };
        gix::ThreadSafeRepository::init_opts(
            &fresh,
            gix::create::Kind::Bare,
            options,
            gix::open::Options::isolated(),
        )
        .map_err(|error| GitError::StorageFull {
            dir: self.dir.clone(),
            cause: Cause::gix(&error, &[]),
        })?;
        fs::rename(&fresh, &self.repository).map_err(|error| storage(&self.dir, &error))?;
        sync_dir(&self.dir).map_err(|error| storage(&self.dir, &error))
    }

    /// Removes what a killed process leaves: locks, temporary files, and packs without an index or with a `.keep`
    /// mark, which were received but never found to be complete.
    fn sweep(&self) -> Result<(), GitError> {
        let mut dirs = vec![self.repository.clone()];
        while let Some(dir) = dirs.pop() {
            // A directory that cannot be listed is found out by the check that follows.
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            let mut debris = Vec::new();
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    dirs.push(entry.path());
                } else if is_debris(&entry.path(), &name) {
                    debris.push(entry.path());
                }
            }
            // Only now, since a pack is told to be debris by the mark beside it.
            for path in debris {
                fs::remove_file(path).map_err(|error| storage(&self.dir, &error))?;
            }
        }
        Ok(())
    }

    /// Reads the tree of every recorded head; what this process will serve first must be there.
    pub(crate) fn verify(&self, limits: &MirrorLimits) -> Result<(), GitError> {
        let repo = self.open()?.to_thread_local();
        for head in refs::recorded_heads(&repo).map_err(|error| self.broken(&error))? {
            let commit = to_commit_id(head);
            check::readable(&repo, &commit, &limits.read).map_err(|error| {
                let cause = Cause::ours(&error.one_line());
                GitError::MirrorBroken {
                    dir: self.dir.clone(),
                    cause,
                }
            })?;
        }
        Ok(())
    }

    fn remove(&self, dir: &Path) -> Result<(), GitError> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(storage(&self.dir, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Flushes the names in a directory to disk.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn is_debris(path: &Path, name: &str) -> bool {
    let ends = |ending: &str| name.as_bytes().ends_with(ending.as_bytes());
    if ends(".lock") || name.starts_with(".tmp") || name.starts_with("tmp_") {
        return true;
    }
    if !path.parent().is_some_and(|dir| dir.ends_with("objects/pack")) {
        return false;
    }
    let beside = |extension: &str| path.with_extension(extension).exists();
    ends(".keep")
        || (ends(".pack") && (beside("keep") || !beside("idx")))
        || (ends(".idx") && (beside("keep") || !beside("pack")))
}

fn storage(dir: &Path, error: &std::io::Error) -> GitError {
    GitError::StorageFull {
        dir: dir.to_owned(),
        cause: Cause::ours(&error.to_string()),
    }
}
