//! The annexes of a mirror: further repositories in its directory that borrow the mirror's objects, for what must never
//! be served or may take long: what is only proposed, notes that are written for the upstream, and pushing.
//!
//! Invariant: nothing of an annex is in the mirror, whose readers do not know that it exists; so no question to the
//! API can reach it. It has no ref, it is emptied when it has grown or is damaged, and deleting it is safe at any time.
//! Each has its own lock, so that none waits for another or holds up the mirror. What is deliberately absent:
//! maintenance, since emptying does more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_wire::CommitId;

use super::Mirror;
use super::error::GitError;
use super::limits::MirrorLimits;
use super::store::ObjectFormat;

/// Files from which on an annex is emptied: loose objects of merges, a handful for each.
const FILES_MAX: usize = 5_000;
/// Longest time of a fetch: what is proposed builds on what is here.
const FETCH_DEADLINE: Duration = Duration::from_mins(2);

/// What an annex is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wing {
    /// What is proposed for the branch.
    Proposals,
    /// What became of commits.
    Notes,
    /// Commits of rollbacks, which are in the mirror, on their way to the upstream.
    Pushes,
}

impl Wing {
    /// The last part of its directory's name, and of its thread's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposals => "annex",
            Self::Notes => "annex-notes",
            Self::Pushes => "annex-push",
        }
    }
}

/// Where an annex of the mirror in `dir` is.
pub fn dir_of(dir: &Path, wing: Wing) -> PathBuf {
    dir.join(wing.name())
}

/// The limits of an annex, from those of its mirror: what comes may be anybody's.
pub fn limits_of(mirror: &MirrorLimits) -> MirrorLimits {
    MirrorLimits {
        fetch: mirror.fetch.min(FETCH_DEADLINE),
        pack_bytes_max: mirror.pack_bytes_max.min(mirror.annex_bytes_max),
        ..*mirror
    }
}

/// What an annex holds by itself.
#[derive(Debug, Default)]
struct Usage {
    files: usize,
    bytes: u64,
}

impl Mirror {
    /// Does `work` in this annex, whose mirror names its objects as it names `like`. Damage costs what was fetched: the
    /// next work finds an empty annex.
    pub fn in_annex<T>(
        &mut self,
        like: &CommitId,
        work: impl FnOnce(&mut Self) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        self.lean_on_mirror(like)?;
        let result = work(self);
        if let Err(GitError::MirrorBroken { .. } | GitError::UnknownCommit { .. }) = &result {
            self.empty_annex(like)?;
        }
        result
    }

    /// Makes the annex ready: of the mirror's object format, not too large, and with the mirror's objects in reach.
    fn lean_on_mirror(&mut self, like: &CommitId) -> Result<(), GitError> {
        self.match_object_format(like)?;
        let usage = self.usage()?;
        let is_full = usage.files > FILES_MAX || usage.bytes > self.limits.annex_bytes_max;
        if is_full || self.reader.is_damaged() {
            self.empty_annex(like)?;
        }
        let io = |error: std::io::Error| self.layout.io(&error);
        let borrowed = self.layout.dir.parent().unwrap_or(&self.layout.dir);
        let borrowed = borrowed.join("repository.git").join("objects");
        let info = self.layout.repository.join("objects").join("info");
        let entry = format!("{}\n", borrowed.display());
        let file = info.join("alternates");
        if fs::read_to_string(&file).ok().as_ref() != Some(&entry) {
            fs::create_dir_all(&info).map_err(io)?;
            fs::write(&file, entry).map_err(io)?;
        }
        // Also for what the mirror has fetched since.
        self.refresh_reader()
    }

    fn empty_annex(&mut self, like: &CommitId) -> Result<(), GitError> {
        self.layout.reformat(ObjectFormat::of(like))?;
        self.damaged.store(false, Ordering::Release);
        self.repacks.fetch_add(1, Ordering::AcqRel);
        self.refresh_reader()
    }

    fn usage(&self) -> Result<Usage, GitError> {
        let io = |error: std::io::Error| self.layout.io(&error);
        let (mut usage, mut dirs) = (Usage::default(), vec![self.layout.repository.join("objects")]);
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).map_err(io)? {
                let entry = entry.map_err(io)?;
                let metadata = entry.metadata().map_err(io)?;
                if metadata.is_dir() {
                    dirs.push(entry.path());
                } else {
                    usage.files += 1;
                    usage.bytes += metadata.len();
                }
            }
        }
        Ok(usage)
    }
}
