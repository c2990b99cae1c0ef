//! The last known good on disk: what a program runs when the service cannot be asked.
//!
//! Invariant: whatever happens between two saves, a kill or a full disk included, the next start finds the state before
//! a save or the state after it, with every document it names, and nothing found on disk stops a start. What is
//! deliberately absent: deciding what is worth keeping, which is the engine's work, and any waiting beyond the disk's
//! own; all calls block, and are made where that is allowed.

mod disk;
mod key;
mod life;
mod state;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use headwater_render::digest;
use headwater_wire::Digest;

use crate::engine::{SavedState, Target};

pub use key::CacheKey;
pub use life::{Incarnation, Life};
pub use trouble::{CacheError, CacheTrouble};

/// Largest document, in bytes: what an answer of the server may hold at most.
const CONTENT_BYTES_MAX: u64 = 16 << 20;
/// Largest state file, in bytes; a real one has a few hundred.
const STATE_BYTES_MAX: u64 = 1 << 20;

const STATE_FILE: &str = "state.json";
const ASIDE_FILE: &str = "state.set-aside.json";
const LOCK_FILE: &str = "lock";
const CONTENT_DIR: &str = "content";

/// The kept state of one config for one instance, in a directory of its own.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    entry: PathBuf,
    key: CacheKey,
    owned: Mutex<Option<File>>,
}

/// What an earlier life of the program left.
#[derive(Debug, Default)]
pub struct Restored {
    /// The state; it names only documents that are below, each of which is what its digest says.
    pub state: SavedState,
    /// The documents.
    pub documents: BTreeMap<Digest, Arc<str>>,
    /// What could not be used, and why; each is worth a line in the log, and none is a reason not to start.
    pub trouble: Vec<CacheTrouble>,
}

impl Cache {
    /// Opens the directory of `key` below `dir`, which is made if it is not there, and reads what it holds.
    pub fn open(dir: &Path, key: CacheKey) -> (Self, Restored) {
        let entry = dir.join(key.directory());
        let cache = Self {
            root: dir.to_owned(),
            entry,
            key,
            owned: Mutex::new(None),
        };
        let mut restored = Restored::default();
        match cache.own() {
            Ok(lock) => *cache.lock() = Some(lock),
            Err(CacheError::InUse { path }) => restored.trouble.push(CacheTrouble::InUse { path }),
            Err(error) => restored.trouble.push(CacheTrouble::NotWritable(Box::new(error))),
        }
        cache.restore(&mut restored);
        (cache, restored)
    }

    /// Where this cache keeps its files.
    pub fn path(&self) -> &Path {
        &self.entry
    }

    /// Replaces the state. `contents` are the documents that it names and that may not be on disk yet, in their
    /// canonical rendering; documents that it no longer names are removed afterwards.
    ///
    /// A cache that another process had when it was opened is taken over once that process is gone. Its fence may
    /// have moved meanwhile, and a fence never falls, so the higher one is kept.
    pub fn save(&self, state: &SavedState, contents: &[(&Digest, &str)]) -> Result<(), CacheError> {
        let mut owned = self.lock();
        let mut state = state::bounded(state);
        if owned.is_none() {
            *owned = Some(self.own()?);
            let theirs = self.read_state().ok().flatten().unwrap_or_default();
            state::raise_fence(&mut state, theirs.fence);
        }
        for (digest, text) in contents {
            self.keep(digest, text)?;
        }
        let named = state::named(&state);
        for digest in &named {
            self.must_exist(digest)?;
        }
        let text = state::encode(&state, &self.key);
        disk::write_whole(&self.entry, STATE_FILE, text.as_bytes()).map_err(CacheError::io(&self.entry))?;
        // What is left behind costs space until the next save, and nothing else.
        drop(disk::sweep(&self.content_dir(), &file_names(&named)));
        Ok(())
    }

    /// A document that is kept, if it is there and is what its digest says.
    pub fn content(&self, digest: &Digest) -> Option<Arc<str>> {
        self.read_content(digest).ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<File>> {
        // The file is only held: a panic elsewhere cannot have left it half changed.
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the directories and takes the lock; whoever has it is the only one who writes here.
    fn own(&self) -> Result<File, CacheError> {
        let made = disk::make_dirs(&self.root, &self.entry).and_then(|()| {
            let content = self.content_dir();
            disk::make_dirs(&self.entry, &content)
        });
        made.map_err(CacheError::io(&self.entry))?;
        let path = self.entry.join(LOCK_FILE);
        match disk::try_lock(&path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(CacheError::InUse { path }),
            Err(source) => Err(CacheError::Io { path, source }),
        }
    }

    /// Reads once more if the process that has the cache replaced a document between two reads.
    fn restore(&self, restored: &mut Restored) {
        let owned = self.lock().is_some();
        let before = restored.trouble.len();
        self.restore_once(restored);
        if !owned && restored.trouble.len() > before {
            restored.trouble.truncate(before);
            self.restore_once(restored);
        }
    }

    fn restore_once(&self, restored: &mut Restored) {
        match self.read_state() {
            Ok(None) => {}
            Ok(Some(state)) => {
                restored.state = state;
                self.restore_contents(restored);
            }
            Err(trouble) => {
                self.set_aside();
                restored.trouble.push(trouble);
            }
        }
    }

    fn restore_contents(&self, restored: &mut Restored) {
        let Restored {
            state,
            documents,
            trouble,
        } = restored;
        for digest in state::named(state) {
            match self.read_content(digest) {
                Ok(text) => {
                    documents.insert(digest.clone(), text);
                }
                Err(error) => trouble.push(error),
            }
        }
        let lost = |target: &Target| !documents.contains_key(&target.digest);
        state.confirmed.take_if(|target| lost(target));
        state.trial.take_if(|trial| lost(&trial.target));
        state.prepared.take_if(|target| lost(target));
    }

    fn read_state(&self) -> Result<Option<SavedState>, CacheTrouble> {
        let path = self.entry.join(STATE_FILE);
        match disk::read(&path, STATE_BYTES_MAX) {
            Ok(bytes) => state::decode(&bytes, &self.key, &path).map(Some),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(CacheTrouble::from_read(path, STATE_BYTES_MAX, error)),
        }
    }

    /// Keeps a state that cannot be used for a person to look at, out of the way of the next save.
    fn set_aside(&self) {
        if self.lock().is_some() {
            // If it cannot be moved, the next save replaces it.
            drop(disk::rename(&self.entry, STATE_FILE, ASIDE_FILE));
        }
    }

    fn read_content(&self, wanted: &Digest) -> Result<Arc<str>, CacheTrouble> {
        let path = self.content_dir().join(file_name(wanted));
        let bytes = disk::read(&path, CONTENT_BYTES_MAX)
            .map_err(|error| CacheTrouble::from_read(path.clone(), CONTENT_BYTES_MAX, error))?;
        let text = String::from_utf8(bytes)
            .ok()
            .filter(|text| digest(text) == *wanted);
        let broken = || CacheTrouble::Broken {
            path,
            what: "it is not what its digest says",
        };
        text.map(Into::into).ok_or_else(broken)
    }

    fn keep(&self, digest: &Digest, text: &str) -> Result<(), CacheError> {
        if text.len() as u64 > CONTENT_BYTES_MAX {
            return Err(CacheError::TooLarge {
                limit: CONTENT_BYTES_MAX,
            });
        }
        if headwater_render::digest(text) != *digest {
            return Err(CacheError::WrongDigest {
                digest: digest.clone(),
            });
        }
        if self.content(digest).is_some() {
            return Ok(());
        }
        let dir = self.content_dir();
        disk::write_whole(&dir, &file_name(digest), text.as_bytes()).map_err(CacheError::io(&dir))
    }

    fn must_exist(&self, digest: &Digest) -> Result<(), CacheError> {
        if self.content_dir().join(file_name(digest)).is_file() {
            Ok(())
        } else {
            Err(CacheError::NotKept {
                digest: digest.clone(),
            })
        }
    }

    fn content_dir(&self) -> PathBuf {
        self.entry.join(CONTENT_DIR)
    }
}

fn file_name(digest: &Digest) -> String {
    format!("{}.json", digest.hex())
}

fn file_names(digests: &BTreeSet<&Digest>) -> BTreeSet<String> {
    digests.iter().map(|digest| file_name(digest)).collect()
}

#[cfg(test)]
mod tests;
