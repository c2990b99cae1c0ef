//! What the service has decided, kept over a restart: one small file per data directory.
//!
//! Invariant: a decision is on disk before anybody is told of it. Everything here but the generation and a person's
//! acceptances can be worked out again from Git, so a file that cannot be read is set aside and never stops a start.
//! What is deliberately absent: configuration content, which lives in Git alone, and anything a client reports.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::RepoState;
use headwater_wire::{CommitId, Finding, RepoName, Timestamp, VerdictState};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::task::BlockingError;

/// Layout of the records. A file of a newer layout is refused: an older program would lose what it does not know.
const FORMAT: u64 = 1;

/// Verdicts kept per data directory; older ones are worked out again when asked for.
const VERDICTS_MAX: u64 = 20_000;

/// How often and how long to wait for the lock of the file.
const LOCK_TRIES: u32 = 20;
const LOCK_RETRY: Duration = Duration::from_millis(25);

/// Raised when the validators may say something else about the same bytes, so that kept verdicts are not used.
pub(crate) const VALIDATOR_EPOCH: u32 = 2;

const FILE: &str = "decisions.redb";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const REPOS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("repos");
const VERDICTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("verdicts");
const VERDICT_ORDER: TableDefinition<'_, u64, &str> = TableDefinition::new("verdict_order");

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("`{0}` is in use by another process")]
    InUse(PathBuf),
    /// The file was written by a newer release.
    #[error("`{path}` has format {found}, and this release knows formats up to {FORMAT}")]
    Newer {
        /// File.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The file system refused, for example because it is full.
    #[error("cannot use the store")]
    Storage(#[source] Box<redb::Error>),
    /// A record is not what this release writes.
    #[error("a record of the store cannot be read")]
    Record(#[source] serde_json::Error),
}

/// Why a decision could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFailure {
    /// What the store said.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk hangs.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl StoreError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => "stop the other `headwater serve`, or give this one its own --data-dir",
            Self::Newer { .. } => "start the release that wrote it, or give this one its own --data-dir",
            Self::Storage(_) => {
                "free space on the disk of the data directory and check that it can be written"
            }
            Self::Record(_) => "move the data directory away; it is rebuilt from the upstream",
        }
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Storage(Box::new(error.into()))
    }
}

/// A verdict as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerdictRecord {
    /// Decision of the validators.
    pub state: VerdictState,
    /// Findings, sorted.
    pub findings: Vec<Finding>,
    /// When it was worked out.
    pub judged_at: Timestamp,
    /// Which validators worked it out.
    pub validator_epoch: u32,
    /// Limits and deadline it was worked out under.
    #[serde(default)]
    pub rules: String,
}

/// The open store. All calls block on the disk; a commit includes an fsync.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Opens or creates the store of a data directory.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        match Self::open_whole(&path) {
            Err(StoreError::Storage(source)) if is_damage(&source) => {
                set_aside(&path, &source);
                Self::open_file(&path)
            }
            other => other,
        }
    }

    /// Opens the file and reads all of it once, so that damage shows now and not in the middle of a decision. The
    /// database answers some kinds of damage by a panic, which says the same.
    fn open_whole(path: &Path) -> Result<Self, StoreError> {
        let opened = std::panic::catch_unwind(|| {
            let mut store = Self::open_file(path)?;
            store.database.check_integrity()?;
            Ok(store)
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

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        let database = Self::own(path)?;
        let write = database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let found = meta.get("format")?.map(|value| value.value());
            match found {
                Some(found) if found > FORMAT => {
                    return Err(StoreError::Newer {
                        path: path.to_owned(),
                        found,
                    });
                }
                Some(_) => {}
                None => drop(meta.insert("format", FORMAT)?),
            }
            write.open_table(REPOS)?;
            write.open_table(VERDICTS)?;
            write.open_table(VERDICT_ORDER)?;
        }
        write.commit()?;
        Ok(Self { database })
    }

    /// State of a repository, if there is one.
    pub(crate) fn repo(&self, repo: &RepoName) -> Result<Option<RepoState>, StoreError> {
        let table = self.database.begin_read()?.open_table(REPOS)?;
        let Some(bytes) = table.get(repo.as_str())? else {
            return Ok(None);
        };
        match serde_json::from_slice(bytes.value()) {
            Ok(state) => Ok(Some(state)),
            Err(error) => {
                warn!(repo = %repo, %error, "the kept state of {repo} cannot be read; it is worked out again from Git");
                Ok(None)
            }
        }
    }

    /// Keeps the state of a repository; on disk when this returns.
    pub(crate) fn save_repo(&self, repo: &RepoName, state: &RepoState) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(state).map_err(StoreError::Record)?;
        let write = self.database.begin_write()?;
        write.open_table(REPOS)?.insert(repo.as_str(), bytes.as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// The kept verdict of a commit, if these validators worked it out.
    pub(crate) fn verdict(
        &self,
        repo: &RepoName,
        commit: &CommitId,
    ) -> Result<Option<VerdictRecord>, StoreError> {
        let table = self.database.begin_read()?.open_table(VERDICTS)?;
        let Some(bytes) = table.get(verdict_key(repo, commit).as_str())? else {
            return Ok(None);
        };
        let record: Option<VerdictRecord> = serde_json::from_slice(bytes.value()).ok();
        Ok(record.filter(|record| record.validator_epoch == VALIDATOR_EPOCH))
    }

    /// Keeps a verdict, and drops the oldest ones past the limit.
    pub(crate) fn save_verdict(
        &self,
        repo: &RepoName,
        commit: &CommitId,
        record: &VerdictRecord,
    ) -> Result<(), StoreError> {
        let key = verdict_key(repo, commit);
        let bytes = serde_json::to_vec(record).map_err(StoreError::Record)?;
        let write = self.database.begin_write()?;
        {
            let mut verdicts = write.open_table(VERDICTS)?;
            let mut order = write.open_table(VERDICT_ORDER)?;
            let is_new = verdicts.insert(key.as_str(), bytes.as_slice())?.is_none();
            if is_new {
                let next = order.last()?.map_or(0, |(last, _)| last.value() + 1);
                order.insert(next, key.as_str())?;
            }
            while order.len()? > VERDICTS_MAX {
                let Some((_, oldest)) = order.pop_first()? else {
                    break;
                };
                verdicts.remove(oldest.value())?;
            }
        }
        write.commit()?;
        Ok(())
    }
}

fn verdict_key(repo: &RepoName, commit: &CommitId) -> String {
    format!("{repo}/{commit}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> RepoName {
        "default".parse().unwrap()
    }

    fn commit(number: u64) -> CommitId {
        format!("{number:040x}").parse().unwrap()
    }

    fn record() -> VerdictRecord {
        VerdictRecord {
            state: VerdictState::Admitted,
            findings: Vec::new(),
            judged_at: Timestamp(1),
            validator_epoch: VALIDATOR_EPOCH,
            rules: String::new(),
        }
    }

    #[test]
    fn what_was_saved_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let state = RepoState {
            tip: Some(commit(7)),
            ..RepoState::default()
        };
        Store::open(dir.path())
            .unwrap()
            .save_repo(&repo(), &state)
            .unwrap();
        assert_eq!(
            Store::open(dir.path()).unwrap().repo(&repo()).unwrap(),
            Some(state)
        );
    }

    #[test]
    fn a_second_opener_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
        drop(first);
    }

    #[test]
    fn a_broken_file_is_set_aside_and_the_start_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        std::fs::write(
            dir.path().join(FILE),
            b"this is not a store, whatever its name says",
        )
        .unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.repo(&repo()).unwrap(), None);
        assert!(dir.path().join("decisions.redb.broken").exists());
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let write = store.database.begin_write().unwrap();
        write
            .open_table(META)
            .unwrap()
            .insert("format", FORMAT + 1)
            .unwrap();
        write.commit().unwrap();
        drop(store);
        assert!(matches!(
            Store::open(dir.path()),
            Err(StoreError::Newer { found: 2, .. })
        ));
    }

    #[test]
    fn a_verdict_of_other_validators_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let old = VerdictRecord {
            validator_epoch: VALIDATOR_EPOCH + 1,
            ..record()
        };
        store.save_verdict(&repo(), &commit(1), &old).unwrap();
        assert_eq!(store.verdict(&repo(), &commit(1)).unwrap(), None);
        store.save_verdict(&repo(), &commit(1), &record()).unwrap();
        assert_eq!(store.verdict(&repo(), &commit(1)).unwrap(), Some(record()));
    }
}
