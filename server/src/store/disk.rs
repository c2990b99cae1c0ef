//! The store of decisions in one file, for one process.
//!
//! Invariant: a change is one transaction of the database, with an fsync before it is answered. Beside the file lies
//! another small one that says how far this machine has seen it: a file that comes back older is noticed, unless both
//! were put back together.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use tokio::sync::watch;
use tracing::warn;

use super::file::META;
use super::hard::{
    Change, Effect, HardStore, Held, Image, Lease, Leases, OPERATIONS_MAX, OpId, Outcome, Record, Records,
    Regression, Revision, Tables, Witness, begin_term, perform,
};
use super::{StoreError, file};

/// A record is its revision, in eight bytes, and its value.
pub(super) const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const OPERATIONS: TableDefinition<'_, &str, u64> = TableDefinition::new("operations");
const OPERATION_ORDER: TableDefinition<'_, u64, &str> = TableDefinition::new("operation_order");
const TERMS: TableDefinition<'_, &str, u64> = TableDefinition::new("terms");
const LOGS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("logs");
const REVISION: &str = "revision";
/// Tells this file from every other one.
const IDENTITY: &str = "identity";

/// Bytes of the mark: two numbers of 16 hexadecimal digits, a space and a newline.
const MARK_BYTES: usize = 34;

/// A store of decisions in one file.
#[derive(Debug)]
pub(super) struct DiskStore {
    database: Database,
    leases: Leases,
    newest: watch::Sender<Revision>,
    mark: Mutex<Mark>,
}

/// How far this machine has seen the file.
#[derive(Debug)]
struct Mark {
    file: File,
    identity: u64,
    seen: Revision,
}

impl DiskStore {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = file::open(path)?;
        let write = database.begin_write()?;
        for table in [OPERATIONS, TERMS] {
            write.open_table(table)?;
        }
        write.open_table(RECORDS)?;
        write.open_table(OPERATION_ORDER)?;
        write.open_table(LOGS)?;
        let found = write.open_table(META)?.get(IDENTITY)?.map(|value| value.value());
        let identity = found.unwrap_or_else(rand::random);
        write.open_table(META)?.insert(IDENTITY, identity)?;
        let revision = Writing(&write).revision()?;
        write.commit()?;
        Ok(Self {
            mark: Mutex::new(Mark::open(&path.with_extension("seen"), identity, revision)?),
            newest: watch::Sender::new(revision),
            leases: Leases::default(),
            database,
        })
    }

    /// Makes a store of an image, under an identity of its own: what was seen of the one it was taken from is nothing
    /// to it.
    pub(super) fn found(path: &Path, image: &Image) -> Result<(), StoreError> {
        let store = Self::open(path)?;
        let write = store.database.begin_write()?;
        let mut tables = Writing(&write);
        tables.advance(image.revision)?;
        for (role, term) in &image.terms {
            tables.set_term(role, *term)?;
        }
        for (op, revision) in &image.operations {
            tables.remember(op, *revision)?;
        }
        for (key, value) in &image.records {
            let bytes = record(value.revision, &value.value);
            write
                .open_table(RECORDS)?
                .insert(key.as_str(), bytes.as_slice())?;
        }
        for (scope, number, entry) in &image.logs {
            write
                .open_table(LOGS)?
                .insert((scope.as_str(), *number), entry.as_slice())?;
        }
        write.commit()?;
        Ok(())
    }

    /// How far it is, to be noted elsewhere.
    pub(super) fn witness(&self) -> Witness {
        Witness {
            identity: self.mark.lock().unwrap_or_else(PoisonError::into_inner).identity,
            revision: self.newest.borrow().0,
        }
    }

    /// Somewhere it was noted how far it was; what was noted of another store is nothing to it.
    pub(super) fn hear(&self, witness: Witness) {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if mark.identity == witness.identity {
            mark.saw(Revision(witness.revision));
        }
    }

    /// The database, for what is kept beside the decisions and can be worked out again.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// One record.
    pub(super) fn get(&self, key: &str) -> Result<Option<Record>, StoreError> {
        let records = self.database.begin_read()?.open_table(RECORDS)?;
        Ok(records.get(key)?.map(|bytes| read_record(bytes.value())))
    }

    /// Runs a transaction, and keeps it if it moved the revision.
    fn write<T>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(regression) = self.regression() {
            return Err(StoreError::Regressed(regression));
        }
        let write = self.database.begin_write()?;
        let mut tables = Writing(&write);
        let before = tables.revision()?;
        let done = work(&mut tables)?;
        let revision = tables.revision()?;
        if revision == before {
            write.abort()?;
            return Ok(done);
        }
        write.commit()?;
        self.saw(revision);
        Ok(done)
    }

    /// The revision is news before it is a mark, so that it is never taken for one that was lost.
    fn saw(&self, revision: Revision) {
        self.newest.send_if_modified(|newest| {
            let is_news = *newest < revision;
            *newest = revision.max(*newest);
            is_news
        });
        self.mark
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .saw(revision);
    }
}

impl Mark {
    /// What was seen of another file is nothing to this one.
    fn open(path: &Path, identity: u64, revision: Revision) -> Result<Self, StoreError> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(redb::StorageError::Io)?;
        let mut text = String::new();
        // One that cannot be read says nothing.
        let is_read = file.read_to_string(&mut text).is_ok();
        let numbers = text.trim_end().split_once(' ').filter(|_| is_read);
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let seen = numbers.filter(|(of, _)| number(of) == Some(identity));
        let seen = seen.and_then(|(_, seen)| number(seen)).unwrap_or_default();
        let mut mark = Self {
            file,
            identity,
            seen: Revision(seen),
        };
        mark.saw(revision);
        Ok(mark)
    }

    /// Written without an fsync: it may fall behind the file and never goes before it, so it is a bound that holds.
    fn saw(&mut self, revision: Revision) {
        if revision < self.seen {
            return;
        }
        self.seen = revision;
        let mark = format!("{:016x} {:016x}\n", self.identity, revision.0);
        debug_assert_eq!(mark.len(), MARK_BYTES);
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(mark.as_bytes()));
        if let Err(error) = written {
            warn!(%error, "it could not be noted how far the store was seen: {error}");
        }
    }
}

impl HardStore for DiskStore {
    fn read(&self, prefix: &str) -> Result<Records, StoreError> {
        let read = self.database.begin_read()?;
        let table = read.open_table(RECORDS)?;
        let mut found = Records {
            revision: Revision(
                read.open_table(META)?
                    .get(REVISION)?
                    .map_or(0, |value| value.value()),
            ),
            ..Records::default()
        };
        for entry in table.range(prefix..)? {
            let (key, bytes) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found
                .records
                .insert(key.value().to_owned(), read_record(bytes.value()));
        }
        Ok(found)
    }

    fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        self.write(|tables| perform(tables, change))
    }

    fn lookup(&self, op: &OpId) -> Result<Option<Revision>, StoreError> {
        let operations = self.database.begin_read()?.open_table(OPERATIONS)?;
        Ok(operations.get(op.as_str())?.map(|value| Revision(value.value())))
    }

    fn log(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let logs = self.database.begin_read()?.open_table(LOGS)?;
        let rest = logs.range((scope, after.saturating_add(1))..=(scope, u64::MAX))?;
        let mut entries = Vec::new();
        for entry in rest.take(limit) {
            let (key, bytes) = entry?;
            entries.push((key.value().1, bytes.value().to_owned()));
        }
        Ok(entries)
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    fn acquire(
        &self,
        role: &str,
        holder: &str,
        ttl: Duration,
        now: Instant,
    ) -> Result<Result<Lease, Held>, StoreError> {
        let next_term = || self.write(|tables| begin_term(tables, role));
        self.leases.acquire(role, holder, (ttl, now), next_term)
    }

    fn renew(&self, lease: &Lease, ttl: Duration, now: Instant) -> Result<bool, StoreError> {
        Ok(self.leases.renew(lease, ttl, now))
    }

    fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.release(lease);
        Ok(())
    }

    fn regression(&self) -> Option<Regression> {
        let seen = self.mark.lock().unwrap_or_else(PoisonError::into_inner).seen;
        let found = *self.newest.borrow();
        (found < seen).then_some(Regression { seen, found })
    }

    fn refound(&self, effects: &[Effect]) -> Result<(), StoreError> {
        let seen = self.mark.lock().unwrap_or_else(PoisonError::into_inner).seen;
        let write = self.database.begin_write()?;
        let mut tables = Writing(&write);
        let revision = Revision(tables.revision()?.max(seen).0 + 1);
        tables.advance(revision)?;
        effects
            .iter()
            .try_for_each(|effect| tables.take(effect, revision))?;
        write.commit()?;
        self.saw(revision);
        Ok(())
    }

    fn image(&self) -> Result<Image, StoreError> {
        let read = self.database.begin_read()?;
        let revision = read.open_table(META)?.get(REVISION)?;
        let mut image = Image {
            revision: Revision(revision.map_or(0, |value| value.value())),
            ..Image::default()
        };
        for entry in read.open_table(RECORDS)?.iter()? {
            let (key, bytes) = entry?;
            image
                .records
                .insert(key.value().to_owned(), read_record(bytes.value()));
        }
        for entry in read.open_table(LOGS)?.iter()? {
            let (key, bytes) = entry?;
            let (scope, number) = key.value();
            image
                .logs
                .push((scope.to_owned(), number, bytes.value().to_owned()));
        }
        for entry in read.open_table(TERMS)?.iter()? {
            let (role, term) = entry?;
            image.terms.insert(role.value().to_owned(), term.value());
        }
        for entry in read.open_table(OPERATION_ORDER)?.iter()? {
            let (revision, op) = entry?;
            image
                .operations
                .push((OpId::of(op.value()), Revision(revision.value())));
        }
        Ok(image)
    }
}

/// The tables in a transaction that is being written.
struct Writing<'a>(&'a WriteTransaction);

impl Tables for Writing<'_> {
    fn revision(&self) -> Result<Revision, StoreError> {
        let meta = self.0.open_table(META)?;
        let revision = meta.get(REVISION)?.map_or(0, |value| value.value());
        Ok(Revision(revision))
    }

    fn operation(&self, op: &OpId) -> Result<Option<Revision>, StoreError> {
        let operations = self.0.open_table(OPERATIONS)?;
        let found = operations.get(op.as_str())?.map(|value| Revision(value.value()));
        Ok(found)
    }

    fn record(&self, key: &str) -> Result<Option<Revision>, StoreError> {
        let records = self.0.open_table(RECORDS)?;
        let found = records.get(key)?.map(|bytes| read_record(bytes.value()).revision);
        Ok(found)
    }

    fn term(&self, role: &str) -> Result<u64, StoreError> {
        let terms = self.0.open_table(TERMS)?;
        let term = terms.get(role)?.map_or(0, |value| value.value());
        Ok(term)
    }

    fn advance(&mut self, revision: Revision) -> Result<(), StoreError> {
        self.0.open_table(META)?.insert(REVISION, revision.0)?;
        Ok(())
    }

    fn remember(&mut self, op: &OpId, revision: Revision) -> Result<(), StoreError> {
        let mut operations = self.0.open_table(OPERATIONS)?;
        let mut order = self.0.open_table(OPERATION_ORDER)?;
        operations.insert(op.as_str(), revision.0)?;
        order.insert(revision.0, op.as_str())?;
        while order.len()? > OPERATIONS_MAX as u64 {
            let Some((_, oldest)) = order.pop_first()? else {
                break;
            };
            operations.remove(oldest.value())?;
        }
        Ok(())
    }

    fn take(&mut self, effect: &Effect, revision: Revision) -> Result<(), StoreError> {
        match effect {
            Effect::Put(key, value) => {
                let mut records = self.0.open_table(RECORDS)?;
                records.insert(key.as_str(), record(revision, value).as_slice())?;
            }
            Effect::Delete(key) => {
                self.0.open_table(RECORDS)?.remove(key.as_str())?;
            }
            Effect::Append(scope, entry) => {
                let mut logs = self.0.open_table(LOGS)?;
                let scope = scope.as_str();
                let last = logs
                    .range((scope, 0)..=(scope, u64::MAX))?
                    .next_back()
                    .transpose()?;
                let number = last.map_or(0, |(key, _)| key.value().1) + 1;
                logs.insert((scope, number), entry.as_slice())?;
            }
        }
        Ok(())
    }

    fn set_term(&mut self, role: &str, term: u64) -> Result<(), StoreError> {
        self.0.open_table(TERMS)?.insert(role, term)?;
        Ok(())
    }
}

/// A record as it lies in the file.
pub(super) fn record(revision: Revision, value: &[u8]) -> Vec<u8> {
    let mut bytes = revision.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(value);
    bytes
}

/// A record from the file; what is too short for one is a value that nobody can read.
fn read_record(bytes: &[u8]) -> Record {
    let (revision, value) = bytes.split_first_chunk().unwrap_or((&[0; 8], bytes));
    Record {
        revision: Revision(u64::from_le_bytes(*revision)),
        value: value.to_owned(),
    }
}
