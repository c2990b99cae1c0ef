//! Objects we make: in memory until they are wanted, then on disk and flushed.
//!
//! Invariant: an attempt that comes to nothing (a conflict, nothing to do) leaves no object behind; no ref points to
//! what is made here, so a crash half-way leaves at most objects that nobody names. What is deliberately absent: packs;
//! a revert has a handful of objects, and maintenance folds loose ones into packs.

use std::fs::File;

use gix::objs::{Kind, Write as _};

use super::Mirror;
use super::error::GitError;
use super::read::WALK_CACHE_BYTES;
use super::store::sync_dir;

/// Larger files are merged like binary ones, whole: a diff of two such files may take minutes.
const MERGED_BYTES_MAX: &str = "8m";

impl Mirror {
    /// A handle on the mirror's objects that writes to memory.
    pub(super) fn scratch(&self) -> Result<gix::Repository, GitError> {
        let mut repo = self.layout.open()?.to_thread_local().with_object_memory();
        repo.object_cache_size(WALK_CACHE_BYTES);
        let mut config = repo.config_snapshot_mut();
        config
            .set_raw_value("core.bigFileThreshold", MERGED_BYTES_MAX)
            .map_err(|error| self.layout.broken(&error))?;
        config.commit().map_err(|error| self.layout.broken(&error))?;
        Ok(repo)
    }

    /// Writes what was made in memory to disk and flushes it, contents before what names them.
    pub(super) fn persist(&self, repo: &mut gix::Repository) -> Result<(), GitError> {
        let Some(made) = repo.objects.take_object_memory() else {
            return Ok(());
        };
        let io = |error: std::io::Error| self.layout.io(&error);
        let mut objects: Vec<_> = made.iter().collect();
        objects.sort_by_key(|(id, (kind, _))| (rank(*kind), **id));
        for (id, (kind, bytes)) in objects {
            repo.objects
                .write_buf(*kind, bytes)
                .map_err(|error| self.layout.broken(&error))?;
            let hex = id.to_hex().to_string();
            let (dir, name) = hex.split_at(2);
            let dir = self.layout.repository.join("objects").join(dir);
            File::open(dir.join(name))
                .and_then(|file| file.sync_all())
                .map_err(io)?;
            sync_dir(&dir).map_err(io)?;
        }
        let objects = self.layout.repository.join("objects");
        sync_dir(&objects).map_err(io)
    }
}

fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Blob => 0,
        Kind::Tree => 1,
        Kind::Commit => 2,
        Kind::Tag => 3,
    }
}
