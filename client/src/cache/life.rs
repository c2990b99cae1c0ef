//! The number of a process's life, which orders its reports after those of every life before.
//!
//! Invariant: a life is greater than every earlier one that was kept, whatever the clock says, and it is kept before
//! anybody hears of it. Without a disk the clock alone decides; the answer to the first report then tells if an
//! earlier life counted further.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use headwater_render::{canonical, digest};
use headwater_wire::{InstanceId, RepoName, Timestamp};
use serde::{Deserialize, Serialize};

use super::key::directory;
use super::trouble::{CacheError, CacheTrouble};
use super::{LOCK_FILE, disk};

const LIFE_FILE: &str = "life.json";
/// Largest file of a life, in bytes.
const LIFE_BYTES_MAX: u64 = 4_096;
/// How often and how long to wait for another process that begins at the same moment; it needs a few ms.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Number of a life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// A life that has begun.
#[derive(Debug)]
pub struct Life {
    /// Its number.
    pub incarnation: Incarnation,
    /// Why it could not be kept, if it could not.
    pub trouble: Option<CacheTrouble>,
}

#[derive(Debug, Serialize)]
struct LifeKey<'a> {
    server: &'a str,
    repo: &'a RepoName,
    instance: &'a InstanceId,
}

#[derive(Debug, Serialize, Deserialize)]
struct LifeFile {
    incarnation: u64,
    digest: String,
}

impl Life {
    /// Begins a life of `instance`, and keeps its number below `dir`. To begin again above a number that the server
    /// knows, give that as `now`.
    pub fn begin(
        dir: Option<&Path>,
        server: &str,
        repo: &RepoName,
        instance: &InstanceId,
        now: Timestamp,
    ) -> Self {
        let now = u64::try_from(now.0).unwrap_or(0);
        let key = LifeKey {
            server,
            repo,
            instance,
        };
        let Some(dir) = dir else {
            return Self {
                incarnation: Incarnation(now),
                trouble: None,
            };
        };
        let entry = dir.join(directory(&format!("life-{instance}"), &key));
        let (number, trouble) = match next(dir, &entry, now) {
            Ok(kept) => kept,
            Err(error) => (now, Some(CacheTrouble::NotWritable(Box::new(error)))),
        };
        Self {
            incarnation: Incarnation(number),
            trouble,
        }
    }
}

fn next(dir: &Path, entry: &Path, now: u64) -> Result<(u64, Option<CacheTrouble>), CacheError> {
    disk::make_dirs(dir, entry).map_err(CacheError::io(entry))?;
    let lock = wait_for_lock(&entry.join(LOCK_FILE));
    let path = entry.join(LIFE_FILE);
    let (earlier, trouble) = match disk::read(&path, LIFE_BYTES_MAX) {
        Ok(bytes) => match decode(&bytes) {
            Some(earlier) => (earlier.saturating_add(1), None),
            None => (
                0,
                Some(CacheTrouble::Broken {
                    path,
                    what: "it is not what its digest says",
                }),
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (0, None),
        Err(error) => (0, Some(CacheTrouble::from_read(path, LIFE_BYTES_MAX, error))),
    };
    let number = now.max(earlier);
    let kept = lock.and_then(|lock| {
        disk::write_whole(entry, LIFE_FILE, encode(number).as_bytes()).map_err(CacheError::io(entry))?;
        drop(lock);
        Ok(())
    });
    let not_kept = kept.err().map(|error| CacheTrouble::NotWritable(Box::new(error)));
    Ok((number, not_kept.or(trouble)))
}

fn wait_for_lock(path: &Path) -> Result<std::fs::File, CacheError> {
    for _ in 0..LOCK_TRIES {
        match disk::try_lock(path).map_err(CacheError::io(path))? {
            Some(file) => return Ok(file),
            None => sleep(LOCK_PAUSE),
        }
    }
    Err(CacheError::InUse {
        path: path.to_owned(),
    })
}

fn encode(incarnation: u64) -> String {
    let digest = digest(&incarnation.to_string());
    canonical(&serde_json::json!({ "incarnation": incarnation, "digest": digest }))
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let file: LifeFile = serde_json::from_slice(bytes).ok()?;
    (digest(&file.incarnation.to_string()).as_str() == file.digest).then_some(file.incarnation)
}
