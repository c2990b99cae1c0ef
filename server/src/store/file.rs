//! The file of the store: opened by one process at a time, in a layout that this release knows.
//!
//! Invariant: a file of a newer layout is left alone, and one that cannot be read is set aside, never written over.

use std::path::Path;
use std::time::Duration;

use redb::{Database, ReadableTable, TableDefinition};
use tracing::error;

use super::StoreError;
use super::disk::{RECORDS, record};
use super::hard::Revision;

/// Layout of the records. A file of a newer layout is refused: an older program would lose what it does not know.
/// Since 2, repositories are records among others.
pub(super) const FORMAT: u64 = 2;

/// How often and how long to wait for the lock of the file.
const LOCK_TRIES: u32 = 20;
const LOCK_RETRY: Duration = Duration::from_millis(25);

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const REPOS_OF_FORMAT_1: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("repos");

/// Opens or creates the file. One that is damaged is set aside.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    match open_whole(path) {
        Err(StoreError::Storage(source)) if is_damage(&source) => {
            set_aside(path, &source);
            open_file(path)
        }
        other => other,
    }
}

/// Opens the file and reads all of it once, so that damage shows now and not in the middle of a decision. The
/// database answers some kinds of damage by a panic, which says the same.
fn open_whole(path: &Path) -> Result<Database, StoreError> {
    let opened = std::panic::catch_unwind(|| {
        let mut database = open_file(path)?;
        database.check_integrity()?;
        Ok(database)
    });
    opened.unwrap_or_else(|_| {
        let error = redb::Error::Corrupted("reading it ended in a panic".to_owned());
        Err(StoreError::Storage(Box::new(error)))
    })
}

/// A child that is just being started holds every lock of its parent until it runs its own program: that is a
/// moment, and no other service.
fn own(path: &Path) -> Result<Database, StoreError> {
    for _ in 0..LOCK_TRIES {
        match Database::create(path) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => std::thread::sleep(LOCK_RETRY),
            opened => return Ok(opened?),
        }
    }
    Err(StoreError::InUse(path.to_owned()))
}

fn open_file(path: &Path) -> Result<Database, StoreError> {
    let database = own(path)?;
    let write = database.begin_write()?;
    let found = write.open_table(META)?.get("format")?.map(|value| value.value());
    match found {
        Some(found) if found > FORMAT => {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
            });
        }
        Some(1) => take_repos(&write)?,
        Some(_) | None => {}
    }
    write.open_table(META)?.insert("format", FORMAT)?;
    write.commit()?;
    Ok(database)
}

/// What repositories were in the layout before this one.
fn take_repos(write: &redb::WriteTransaction) -> Result<(), StoreError> {
    let repos = write.open_table(REPOS_OF_FORMAT_1)?;
    let mut records = write.open_table(RECORDS)?;
    for entry in repos.iter()? {
        let (repo, state) = entry?;
        let key = super::repo_key(repo.value());
        records.insert(key.as_str(), record(Revision(0), state.value()).as_slice())?;
    }
    drop(repos);
    write.delete_table(REPOS_OF_FORMAT_1)?;
    Ok(())
}

/// Whether the file itself is broken, as opposed to the disk being full or not writable.
fn is_damage(error: &redb::Error) -> bool {
    if let redb::Error::Io(io) = error {
        return matches!(
            io.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        );
    }
    matches!(
        error,
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::RepairAborted
    )
}

/// Renames a broken file, so that a person can look at it and the service can start.
fn set_aside(path: &Path, reason: &redb::Error) {
    let aside = path.with_extension("redb.broken");
    error!(
        path = %path.display(), aside = %aside.display(), error = %reason,
        "the store is broken and was set aside; decisions are worked out again from Git, acceptances must be repeated"
    );
    if let Err(error) = std::fs::rename(path, &aside) {
        error!(%error, "the broken store could not be set aside");
    }
}
