//! What the service has decided, kept over a restart: one small file per data directory.
//!
//! Invariant: a decision is on disk before anybody is told of it. Everything here but the generation and a person's
//! acceptances can be worked out again from Git, so a file that cannot be read is set aside and never stops a start.
//! Decisions that are an older copy are begun anew before anybody is told of them. What is deliberately absent:
//! configuration content, which lives in Git alone. What clients report is beside it, in `soft`.

pub mod backup;
mod disk;
mod file;
pub mod hard;
pub mod memory;
pub(crate) mod soft;

#[cfg(test)]
mod contract;

use std::path::{Path, PathBuf};

use headwater_core::{Command, GENERATION_GAP_MAX, RepoState};
use headwater_wire::{CommitId, Finding, RepoName, Timestamp, VerdictState};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use self::disk::DiskStore;
use self::file::FORMAT;
use self::hard::{Change, Effect, HardStore, OpId, Regression, Witness};
use crate::clock;
use crate::task::BlockingError;

/// Verdicts kept per data directory; older ones are worked out again when asked for.
const VERDICTS_MAX: u64 = 20_000;

/// Raised when the validators may say something else about the same bytes, so that kept verdicts are not used.
pub(crate) const VALIDATOR_EPOCH: u32 = 2;

/// Fence numbers that a copy is taken to miss at most: what is further ahead is raised when an instance says so.
const MISSED_MAX: u64 = GENERATION_GAP_MAX / 2;

const FILE: &str = "decisions.redb";
const REPO_PREFIX: &str = "repo/";
/// Key of the record that says that the file was made of a backup, and was not begun anew yet.
const PUT_BACK: &str = "put_back";

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
    /// The store is an older copy of itself, and takes nothing before somebody says that it goes on.
    #[error("the store is at revision {}, and was at {}", .0.found.0, .0.seen.0)]
    Regressed(Regression),
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
            Self::Regressed(_) => {
                "put the newest copy of the data directory back, or begin anew from this one"
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
    /// Names what instances held besides the tip when it was worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
}

/// The open store. All calls block on the disk; a commit includes an fsync.
#[derive(Debug)]
pub(crate) struct Store {
    disk: DiskStore,
}

impl Store {
    /// Opens or creates the store of a data directory.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let disk = DiskStore::open(&data_dir.join(FILE))?;
        if let Some(witness) = soft::witness(data_dir) {
            disk.hear(witness);
        }
        let put_back = disk.get(PUT_BACK)?;
        let regression = disk.regression();
        if let Some(Regression { seen, found }) = regression {
            error!(
                seen = seen.0,
                found = found.0,
                "the store is an older copy of itself; rollbacks, acceptances and releases since then must be repeated"
            );
        } else if put_back.is_some() {
            warn!("the decisions are those of a backup; what moved when it was taken goes back");
        }
        if put_back.is_some() || regression.is_some() {
            disk.refound(&restored(&disk)?)?;
        }
        Ok(Self { disk })
    }

    /// How far the decisions are, to be noted where it is not put back together with them.
    pub(crate) fn witness(&self) -> Witness {
        self.disk.witness()
    }

    /// A copy of the decisions, as text, of one moment. Verdicts are not in it.
    pub(crate) fn backup(&self, now: Timestamp) -> Result<Vec<u8>, StoreError> {
        backup::write(&self.disk.image()?, now)
    }

    /// State of a repository, if there is one.
    pub(crate) fn repo(&self, repo: &RepoName) -> Result<Option<RepoState>, StoreError> {
        let Some(record) = self.disk.get(&repo_key(repo.as_str()))? else {
            return Ok(None);
        };
        match serde_json::from_slice(&record.value) {
            Ok(state) => Ok(Some(state)),
            Err(error) => {
                warn!(repo = %repo, %error, "the kept state of {repo} cannot be read; it is worked out again from Git");
                Ok(None)
            }
        }
    }

    /// Keeps the state of a repository; on disk when this returns. It is whole, and its repository has one writer, so
    /// nothing need be so before.
    pub(crate) fn save_repo(&self, repo: &RepoName, state: &RepoState) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(state).map_err(StoreError::Record)?;
        self.disk.commit(&Change {
            op: OpId::random(),
            preconditions: Vec::new(),
            effects: vec![Effect::Put(repo_key(repo.as_str()), bytes)],
        })?;
        Ok(())
    }

    /// The kept verdict of a commit, if these validators worked it out.
    pub(crate) fn verdict(
        &self,
        repo: &RepoName,
        commit: &CommitId,
    ) -> Result<Option<VerdictRecord>, StoreError> {
        let table = self.disk.database().begin_read()?.open_table(VERDICTS)?;
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
        let write = self.disk.database().begin_write()?;
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

/// What follows for the repositories of a copy: what moves in them goes back. How many numbers were given out since the
/// copy cannot be told by how much was decided, since one decision may skip many.
fn restored(disk: &DiskStore) -> Result<Vec<Effect>, StoreError> {
    let kept = disk.read(REPO_PREFIX)?;
    let mut effects = vec![Effect::Delete(PUT_BACK.to_owned())];
    for (key, record) in kept.records {
        // One that cannot be read is worked out again from Git.
        let Ok(mut state) = serde_json::from_slice::<RepoState>(&record.value) else {
            continue;
        };
        let at = clock::now();
        state
            .apply(Command::Restored {
                missed: MISSED_MAX,
                at,
            })
            .ok();
        let bytes = serde_json::to_vec(&state).map_err(StoreError::Record)?;
        effects.push(Effect::Put(key, bytes));
    }
    Ok(effects)
}

fn verdict_key(repo: &RepoName, commit: &CommitId) -> String {
    format!("{repo}/{commit}")
}

/// Key of the record of a repository's state.
fn repo_key(repo: &str) -> String {
    format!("{REPO_PREFIX}{repo}")
}

/// Makes the data directory and what is above it, for the service's own user alone. One that is there stays as it is.
pub(crate) fn create_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
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
            old: None,
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_data_directory_is_for_the_services_own_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("var/headwater");
        create_dir(&made).unwrap();
        create_dir(&made).unwrap();
        assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
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
        let write = store.disk.database().begin_write().unwrap();
        write
            .open_table(file::META)
            .unwrap()
            .insert("format", FORMAT + 1)
            .unwrap();
        write.commit().unwrap();
        drop(store);
        assert!(matches!(
            Store::open(dir.path()),
            Err(StoreError::Newer { found: 3, .. })
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

    #[test]
    fn repositories_of_the_layout_before_are_taken_over() {
        const REPOS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("repos");
        let dir = tempfile::tempdir().unwrap();
        let state = RepoState {
            tip: Some(commit(7)),
            ..RepoState::default()
        };
        let database = redb::Database::create(dir.path().join(FILE)).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(file::META).unwrap().insert("format", 1).unwrap();
        let bytes = serde_json::to_vec(&state).unwrap();
        let insert = |name: &str| {
            let mut table = write.open_table(REPOS).unwrap();
            drop(table.insert(name, bytes.as_slice()).unwrap());
        };
        insert("default");
        write.commit().unwrap();
        drop(database);
        for _ in 0..2 {
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(store.repo(&repo()).unwrap(), Some(state.clone()));
        }
    }

    #[test]
    fn an_older_copy_goes_on_above_everything_that_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (file, copy) = (dir.path().join(FILE), dir.path().join("copy"));
        Store::open(dir.path())
            .unwrap()
            .save_repo(&repo(), &RepoState::default())
            .unwrap();
        std::fs::copy(&file, &copy).unwrap();
        let state = RepoState {
            tip: Some(commit(7)),
            ..RepoState::default()
        };
        Store::open(dir.path())
            .unwrap()
            .save_repo(&repo(), &state)
            .unwrap();
        std::fs::rename(&copy, &file).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let found = store.repo(&repo()).unwrap().unwrap();
        assert_eq!(found.tip, None);
        assert!(
            found.generation > RepoState::default().generation,
            "its numbers are not those that were given out"
        );
        store.save_repo(&repo(), &state).unwrap();
        assert!(store.disk.get(&repo_key("default")).unwrap().unwrap().revision > hard::Revision(2));
    }

    fn saved(dir: &Path, state: &RepoState) {
        Store::open(dir).unwrap().save_repo(&repo(), state).unwrap();
    }

    /// The newest number that was given out; a store that is begun anew raises it.
    fn generation(dir: &Path) -> u64 {
        let state = Store::open(dir).unwrap().repo(&repo()).unwrap();
        state.unwrap().generation.0
    }

    /// Notes in the file of instances how far the decisions are.
    fn noted(dir: &Path) {
        let witness = Store::open(dir).unwrap().witness();
        soft::Writing::begin(dir, witness).unwrap().end().unwrap();
    }

    #[test]
    fn an_older_copy_is_noticed_although_its_mark_was_put_back_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let both = ["decisions.redb", "decisions.seen"];
        saved(dir.path(), &RepoState::default());
        noted(dir.path());
        for file in both {
            std::fs::copy(dir.path().join(file), dir.path().join(format!("{file}.copy"))).unwrap();
        }
        saved(dir.path(), &RepoState::default());
        noted(dir.path());
        for file in both {
            std::fs::rename(dir.path().join(format!("{file}.copy")), dir.path().join(file)).unwrap();
        }
        assert!(
            generation(dir.path()) > 0,
            "its numbers are not those that were given out"
        );
        let seen = Store::open(dir.path()).unwrap().witness();
        assert_eq!(
            Store::open(dir.path()).unwrap().witness(),
            seen,
            "it began anew only once"
        );
    }

    #[test]
    fn a_store_that_nobody_put_back_is_not_taken_for_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            saved(dir.path(), &RepoState::default());
            noted(dir.path());
            assert_eq!(generation(dir.path()), 0);
        }
        // Another store in its place has nothing to do with what was noted.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        saved(dir.path(), &RepoState::default());
        assert_eq!(generation(dir.path()), 0);
    }
}
