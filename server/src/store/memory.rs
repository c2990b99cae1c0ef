//! The store of decisions in memory: for tests and for worlds that are only thought.
//!
//! Invariant: it behaves as the one on disk does; the contract suite runs on both. Its disk is a value that can outlive
//! it, be copied, and be put back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::StoreError;
use super::hard::{
    Change, Effect, HardStore, Held, Image, Lease, Leases, OPERATIONS_MAX, OpId, Outcome, Record, Records,
    Regression, Revision, Tables, begin_term, perform,
};

/// What a store in memory keeps.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Kept>>);

#[derive(Debug, Clone, Default)]
struct Kept {
    revision: Revision,
    records: BTreeMap<String, Record>,
    operations: BTreeMap<OpId, Revision>,
    order: BTreeMap<Revision, OpId>,
    terms: BTreeMap<String, u64>,
    logs: BTreeMap<String, Vec<Vec<u8>>>,
    /// The newest revision that was seen, which a copy that is put back does not take along.
    seen: Revision,
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy that knows nothing of what comes.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Puts an earlier copy back.
    pub fn restore(&self, copy: &Self) {
        let mut kept = self.lock();
        *kept = Kept {
            seen: kept.seen,
            ..copy.lock().clone()
        };
    }
}

/// A store of decisions in memory.
#[derive(Debug)]
pub struct MemoryStore {
    disk: Disk,
    leases: Leases,
    newest: watch::Sender<Revision>,
}

impl MemoryStore {
    /// A store on a disk, as it is.
    pub fn open(disk: Disk) -> Self {
        let newest = watch::Sender::new(disk.lock().revision);
        Self {
            disk,
            leases: Leases::default(),
            newest,
        }
    }

    fn saw(&self, kept: &mut Kept) {
        kept.seen = kept.revision;
        self.newest.send_replace(kept.revision);
    }
}

impl HardStore for MemoryStore {
    fn read(&self, prefix: &str) -> Result<Records, StoreError> {
        let kept = self.disk.lock();
        let records = kept.records.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(Records {
            revision: kept.revision,
            records: records
                .map(|(key, record)| (key.clone(), record.clone()))
                .collect(),
        })
    }

    fn commit(&self, change: &Change) -> Result<Outcome, StoreError> {
        if let Some(regression) = self.regression() {
            return Err(StoreError::Regressed(regression));
        }
        let mut kept = self.disk.lock();
        let outcome = perform(&mut *kept, change)?;
        self.saw(&mut kept);
        Ok(outcome)
    }

    fn lookup(&self, op: &OpId) -> Result<Option<Revision>, StoreError> {
        self.disk.lock().operation(op)
    }

    fn log(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let kept = self.disk.lock();
        let entries = (1..).zip(kept.logs.get(scope).into_iter().flatten());
        let rest = entries.skip_while(|(number, _)| *number <= after);
        Ok(rest
            .take(limit)
            .map(|(number, entry)| (number, entry.clone()))
            .collect())
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
        self.leases.acquire(role, holder, (ttl, now), || {
            if let Some(regression) = self.regression() {
                return Err(StoreError::Regressed(regression));
            }
            let mut kept = self.disk.lock();
            let term = begin_term(&mut *kept, role)?;
            self.saw(&mut kept);
            Ok(term)
        })
    }

    fn renew(&self, lease: &Lease, ttl: Duration, now: Instant) -> Result<bool, StoreError> {
        Ok(self.leases.renew(lease, ttl, now))
    }

    fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.release(lease);
        Ok(())
    }

    fn regression(&self) -> Option<Regression> {
        let kept = self.disk.lock();
        let (seen, found) = (kept.seen, kept.revision);
        (found < seen).then_some(Regression { seen, found })
    }

    fn refound(&self, effects: &[Effect]) -> Result<(), StoreError> {
        let mut kept = self.disk.lock();
        kept.revision = Revision(kept.revision.max(kept.seen).0 + 1);
        let revision = kept.revision;
        effects
            .iter()
            .try_for_each(|effect| kept.take(effect, revision))?;
        self.saw(&mut kept);
        Ok(())
    }

    fn image(&self) -> Result<Image, StoreError> {
        let kept = self.disk.lock();
        let numbered = |(scope, entries): (&String, &Vec<Vec<u8>>)| {
            let entries = (1..).zip(entries.clone());
            let scope = scope.clone();
            entries
                .map(move |(number, entry)| (scope.clone(), number, entry))
                .collect::<Vec<_>>()
        };
        let operations = kept.order.iter();
        Ok(Image {
            revision: kept.revision,
            records: kept.records.clone(),
            logs: kept.logs.iter().flat_map(numbered).collect(),
            terms: kept.terms.clone(),
            operations: operations.map(|(revision, op)| (op.clone(), *revision)).collect(),
        })
    }
}

impl Tables for Kept {
    fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.revision)
    }

    fn operation(&self, op: &OpId) -> Result<Option<Revision>, StoreError> {
        Ok(self.operations.get(op).copied())
    }

    fn record(&self, key: &str) -> Result<Option<Revision>, StoreError> {
        Ok(self.records.get(key).map(|record| record.revision))
    }

    fn term(&self, role: &str) -> Result<u64, StoreError> {
        Ok(self.terms.get(role).copied().unwrap_or_default())
    }

    fn advance(&mut self, revision: Revision) -> Result<(), StoreError> {
        self.revision = revision;
        Ok(())
    }

    fn set_term(&mut self, role: &str, term: u64) -> Result<(), StoreError> {
        self.terms.insert(role.to_owned(), term);
        Ok(())
    }

    fn remember(&mut self, op: &OpId, revision: Revision) -> Result<(), StoreError> {
        self.operations.insert(op.clone(), revision);
        self.order.insert(revision, op.clone());
        while self.order.len() > OPERATIONS_MAX {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.operations.remove(&oldest);
        }
        Ok(())
    }

    fn take(&mut self, effect: &Effect, revision: Revision) -> Result<(), StoreError> {
        match effect {
            Effect::Put(key, value) => {
                let value = value.clone();
                self.records.insert(key.clone(), Record { revision, value });
            }
            Effect::Delete(key) => drop(self.records.remove(key)),
            Effect::Append(scope, entry) => self.logs.entry(scope.clone()).or_default().push(entry.clone()),
        }
        Ok(())
    }
}
