//! The mirror of one upstream: the one writer of a bare repository, and snapshots for its readers.
//!
//! Everything here is synchronous, bounded in time and size, and blind to the user's own Git and SSH configuration.
//! Never call it from an async task directly: `fetch` and `list` may block for as long as their limits say.
//! The flow is `list` → `fetch` (objects only, checked) → judge → `adopt` (our own ref) → `reader`; deleting the
//! mirror's directory is safe at any time the process is not running. Going back is `write_revert` (objects only) →
//! `push` to the upstream; the commit then comes in by the same flow as any other. What is only proposed, and what is
//! written for the upstream alone, stays out of the mirror: it is kept in an [`annex`], from where pushes start, too.
//!
//! Invariant: no ref of ours points to an incomplete commit, and no object that was published is dropped. What is
//! deliberately absent: a work tree, the upstream's refs, and any ref of ours that a push moves.

pub mod annex;
mod check;
pub mod cleanup;
pub mod error;
pub mod fetch;
pub mod history;
mod http;
pub mod intent;
pub mod limits;
pub mod list;
pub mod local;
pub mod maintain;
mod metered;
pub mod notes;
pub mod object;
mod process;
pub mod proposal;
pub mod push;
pub mod quarantine;
pub mod read;
mod refs;
pub mod resolve;
pub mod revert;
mod scratch;
mod session;
mod sign;
pub(crate) mod signature;
pub mod stop;
pub mod store;
mod tags;
pub mod upstream;
mod words;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use error::{Cause, GitError};
use limits::MirrorLimits;
use read::Reader;
use session::SessionSettings;
use stop::Stop;
use store::{Layout, MirrorHealth, ObjectFormat};
use tags::Tags;
use upstream::Upstream;

/// A mirror on disk and the upstream it follows. There is one per directory; a lock sees to that.
#[derive(Debug)]
pub struct Mirror {
    layout: Layout,
    upstream: Upstream,
    limits: MirrorLimits,
    health: MirrorHealth,
    tags: Arc<Tags>,
    reader: Reader,
    repacks: Arc<AtomicU64>,
    /// Raised by a reader that missed something; lowered when a look at the recorded heads finds nothing wrong.
    damaged: Arc<AtomicBool>,
    git_missing: bool,
    /// Held as long as the mirror lives.
    _lock: File,
}

impl Mirror {
    /// Opens the mirror in `dir`, making it if needed. What a crash left is removed; a mirror whose recorded heads
    /// cannot be read is set aside and an empty one takes its place, which [`Mirror::health`] tells.
    pub fn open(dir: &Path, upstream: Upstream, limits: MirrorLimits) -> Result<Self, GitError> {
        let (layout, lock) = Layout::claim(dir, &limits)?;
        let health = layout.prepare(&limits)?;
        let tags = Arc::new(Tags::load(&layout.tags, limits.tags_max));
        let (repacks, damaged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let reader = Reader::new(layout.open()?, Arc::clone(&tags), &layout.dir, &repacks, &damaged);
        Ok(Self {
            layout,
            upstream,
            limits,
            health,
            tags,
            reader,
            repacks,
            damaged,
            git_missing: false,
            _lock: lock,
        })
    }

    /// How the mirror was found when it was opened.
    pub fn health(&self) -> &MirrorHealth {
        &self.health
    }

    /// The upstream it follows.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// A snapshot of what is here now. Take it after `fetch`; the one before does not see what the fetch brought.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Number of packs on disk, for a gauge.
    pub fn packs(&self) -> Result<usize, GitError> {
        self.layout.pack_files(".pack").map(|packs| packs.len())
    }

    /// Sets the repository aside and starts with an empty one: the remedy of [`GitError::MirrorBroken`]. Readers taken
    /// before keep what they have open; commits they have not read yet may be gone for them.
    pub fn rebuild(&mut self, why: &GitError) -> Result<(), GitError> {
        self.layout.replace(ObjectFormat::Sha1)?;
        self.damaged.store(false, Ordering::Release);
        self.health = MirrorHealth::Rebuilt {
            why: Cause::ours(&why.one_line()),
        };
        self.repacks.fetch_add(1, Ordering::AcqRel);
        self.refresh_reader()
    }

    /// Lists the tags again. Fetching does this by itself; tags are a convenience, so a failure keeps the old ones.
    pub fn refresh_tags(&mut self, stop: &Stop) {
        let refspec = ["+refs/tags/*:refs/headwater/tags/*".to_owned()];
        let Ok(refs) = self.remote_refs(&refspec, stop) else {
            return;
        };
        let tags = Tags::from_listing(&refs, &self.reader, self.limits.tags_max);
        if tags != *self.tags {
            // Tags that could not be written are listed again at the next fetch.
            tags.store(&self.layout.tags).ok();
            self.tags = Arc::new(tags);
            self.reader.tags = Arc::clone(&self.tags);
        }
    }

    fn refresh_reader(&mut self) -> Result<(), GitError> {
        self.reader = Reader::new(
            self.layout.open()?,
            Arc::clone(&self.tags),
            &self.layout.dir,
            &self.repacks,
            &self.damaged,
        );
        Ok(())
    }

    fn session_settings(&self) -> SessionSettings<'_> {
        SessionSettings {
            upstream: &self.upstream,
            limits: &self.limits,
            home: &self.layout.home,
        }
    }
}
