//! The port of the store that must lose nothing: small, and linearizable.
//!
//! Invariant: a change is made whole or not at all, and durably before it is answered; every change has a revision
//! above all before it. Whoever gets no answer asks for the operation by its id, and whoever says it twice is answered
//! the same: never is anything repeated blindly. Holders of a role are told apart by a term that never comes twice, so
//! that one who was away for too long can change nothing. What is deliberately absent: what instances report, which
//! may be lost, and the clock on the wall: leases run on the monotonic one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::StoreError;

/// Operations that are remembered, so that an answer that was lost can be had again.
pub const OPERATIONS_MAX: usize = 10_000;

/// Number of a change; each is above all before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// Names a change, so that it is made once however often it is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(String);

impl OpId {
    /// An id that nobody else uses.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The id of this text, as it was written down by who wants to know what became of it.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What must be so for a change to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// There is no record of this key.
    Absent(String),
    /// The record of this key is as it was at this revision.
    At(String, Revision),
    /// Nobody has taken this role since this term began.
    Term(String, u64),
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Writes a record.
    Put(String, Vec<u8>),
    /// Removes a record.
    Delete(String),
    /// Adds an entry to the end of a log.
    Append(String, Vec<u8>),
}

/// A change, all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Names it.
    pub op: OpId,
    /// What must be so.
    pub preconditions: Vec<Precondition>,
    /// What it does.
    pub effects: Vec<Effect>,
}

/// What became of a change. An error is neither: ask by [`HardStore::lookup`], or say the same change again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is made, and durable.
    Committed(Revision),
    /// Nothing changed: this is not so.
    Conflict(Precondition),
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was written.
    pub revision: Revision,
    /// What was written.
    pub value: Vec<u8>,
}

/// Records by key, as they were together at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The newest change that is in it.
    pub revision: Revision,
    /// The records.
    pub records: BTreeMap<String, Record>,
}

/// A role that is held for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The role.
    pub role: String,
    /// Number of this holding; above those of all before it, for ever.
    pub term: u64,
}

/// Somebody else holds the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub holder: String,
}

/// Everything in a store but who holds what: as it was at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The newest change that is in it.
    pub revision: Revision,
    /// The records.
    pub records: BTreeMap<String, Record>,
    /// Entries of logs: scope, number, and what was written.
    pub logs: Vec<(String, u64, Vec<u8>)>,
    /// The newest term of each role.
    pub terms: BTreeMap<String, u64>,
    /// Operations that are remembered, the oldest first.
    pub operations: Vec<(OpId, Revision)>,
}

/// How far a store was, noted at a place that is not put back together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Tells the store from every other one.
    pub identity: u64,
    /// A revision that it had.
    pub revision: u64,
}

/// The store is an older copy of itself: what was decided since is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regression {
    /// The newest revision that this machine has seen of it.
    pub seen: Revision,
    /// The newest one that it has.
    pub found: Revision,
}

/// A store of decisions. All calls block, on a disk or on a network.
pub trait HardStore: Send + Sync {
    /// The records whose keys begin with `prefix`, as they are now.
    fn read(&self, prefix: &str) -> Result<Records, StoreError>;

    /// Makes a change.
    fn commit(&self, change: &Change) -> Result<Outcome, StoreError>;

    /// The revision at which an operation was made, if it was.
    fn lookup(&self, op: &OpId) -> Result<Option<Revision>, StoreError>;

    /// Entries of a log behind number `after`, in order; the first has number 1.
    fn log(&self, scope: &str, after: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError>;

    /// The newest revision, as it becomes known. It may skip some and never waits for a reader, so a reader reads
    /// anew whenever it moved.
    fn watch(&self) -> watch::Receiver<Revision>;

    /// Takes a role for `ttl` from `now` on, or says who has it. `now` is read before anything else is done.
    fn acquire(
        &self,
        role: &str,
        holder: &str,
        ttl: Duration,
        now: Instant,
    ) -> Result<Result<Lease, Held>, StoreError>;

    /// Goes on holding a role until `ttl` from `now` on. Says whether it was still held.
    fn renew(&self, lease: &Lease, ttl: Duration, now: Instant) -> Result<bool, StoreError>;

    /// Gives a role back before its time.
    fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Whether it has gone back behind what this machine has seen. As long as it has, nothing can be changed.
    fn regression(&self) -> Option<Regression>;

    /// A person, or a service that knows how to begin anew, goes on with the older copy: from a revision above all
    /// that were seen, and with these effects from the first moment on.
    fn refound(&self, effects: &[Effect]) -> Result<(), StoreError>;

    /// Everything, as it is now.
    fn image(&self) -> Result<Image, StoreError>;
}

/// The tables of an adapter within one transaction.
pub(super) trait Tables {
    fn revision(&self) -> Result<Revision, StoreError>;
    fn operation(&self, op: &OpId) -> Result<Option<Revision>, StoreError>;
    fn record(&self, key: &str) -> Result<Option<Revision>, StoreError>;
    fn term(&self, role: &str) -> Result<u64, StoreError>;
    fn advance(&mut self, revision: Revision) -> Result<(), StoreError>;
    fn remember(&mut self, op: &OpId, revision: Revision) -> Result<(), StoreError>;
    fn take(&mut self, effect: &Effect, revision: Revision) -> Result<(), StoreError>;
    fn set_term(&mut self, role: &str, term: u64) -> Result<(), StoreError>;
}

/// Makes a change in a transaction, which is the caller's to keep if it was committed, and to drop if not.
pub(super) fn perform(tables: &mut impl Tables, change: &Change) -> Result<Outcome, StoreError> {
    if let Some(revision) = tables.operation(&change.op)? {
        return Ok(Outcome::Committed(revision));
    }
    for precondition in &change.preconditions {
        let holds = match precondition {
            Precondition::Absent(key) => tables.record(key)?.is_none(),
            Precondition::At(key, revision) => tables.record(key)? == Some(*revision),
            Precondition::Term(role, term) => tables.term(role)? == *term,
        };
        if !holds {
            return Ok(Outcome::Conflict(precondition.clone()));
        }
    }
    let revision = next(tables)?;
    tables.remember(&change.op, revision)?;
    for effect in &change.effects {
        tables.take(effect, revision)?;
    }
    Ok(Outcome::Committed(revision))
}

/// Begins a term. Terms are revisions, so that one never comes twice, not even after a copy was put back.
pub(super) fn begin_term(tables: &mut impl Tables, role: &str) -> Result<u64, StoreError> {
    let term = next(tables)?.0;
    tables.set_term(role, term)?;
    Ok(term)
}

fn next(tables: &mut impl Tables) -> Result<Revision, StoreError> {
    let revision = Revision(tables.revision()?.0 + 1);
    tables.advance(revision)?;
    Ok(revision)
}

/// Who holds which role until when, for an engine that one process has to itself: with the process, all holders end.
/// The terms are the engine's, and durable.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<BTreeMap<String, Holding>>);

#[derive(Debug)]
struct Holding {
    holder: String,
    term: u64,
    until: Instant,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `next_term` makes a term and keeps it; it is asked only if the role is free.
    pub(super) fn acquire(
        &self,
        role: &str,
        holder: &str,
        (ttl, now): (Duration, Instant),
        next_term: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<Result<Lease, Held>, StoreError> {
        let mut held = self.lock();
        if let Some(holding) = held.get(role).filter(|holding| holding.until > now) {
            let holder = holding.holder.clone();
            return Ok(Err(Held { holder }));
        }
        let term = next_term()?;
        let holding = Holding {
            holder: holder.to_owned(),
            term,
            until: now + ttl,
        };
        held.insert(role.to_owned(), holding);
        Ok(Ok(Lease {
            role: role.to_owned(),
            term,
        }))
    }

    pub(super) fn renew(&self, lease: &Lease, ttl: Duration, now: Instant) -> bool {
        let mut held = self.lock();
        let holding = held.get_mut(&lease.role);
        let Some(holding) = holding.filter(|holding| holding.term == lease.term && holding.until > now)
        else {
            return false;
        };
        holding.until = now + ttl;
        true
    }

    pub(super) fn release(&self, lease: &Lease) {
        self.lock()
            .retain(|role, holding| *role != lease.role || holding.term != lease.term);
    }
}
