//! What every adapter of the port must keep, each law on each of them.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StoreError;
use super::disk::DiskStore;
use super::hard::{Change, Effect, HardStore, Held, OpId, Outcome, Precondition, Record, Revision};
use super::memory::{Disk, MemoryStore};

const TTL: Duration = Duration::from_secs(30);

/// An engine that can be stopped, copied and put back.
trait Engine {
    type Store: HardStore;
    fn new() -> Self;
    fn open(&self) -> Self::Store;
    fn copy(&mut self);
    fn restore(&self);
}

struct InMemory(Disk, Disk);

impl Engine for InMemory {
    type Store = MemoryStore;

    fn new() -> Self {
        Self(Disk::default(), Disk::default())
    }

    fn open(&self) -> MemoryStore {
        MemoryStore::open(self.0.clone())
    }

    fn copy(&mut self) {
        self.1 = self.0.copy();
    }

    fn restore(&self) {
        self.0.restore(&self.1);
    }
}

struct OnDisk(tempfile::TempDir);

impl OnDisk {
    fn file(&self) -> PathBuf {
        self.0.path().join("decisions.redb")
    }
}

impl Engine for OnDisk {
    type Store = DiskStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> DiskStore {
        DiskStore::open(&self.file()).unwrap()
    }

    fn copy(&mut self) {
        std::fs::copy(self.file(), self.0.path().join("copy")).unwrap();
    }

    fn restore(&self) {
        std::fs::copy(self.0.path().join("copy"), self.file()).unwrap();
    }
}

macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $law() { super::$law::<super::InMemory>(); })*
        }
        mod disk {
            $(#[test] fn $law() { super::$law::<super::OnDisk>(); })*
        }
    };
}

laws!(
    a_change_is_made_whole_or_not_at_all,
    an_operation_said_twice_is_made_once_and_answered_the_same,
    an_answer_that_was_lost_can_be_had_after_a_restart,
    of_racing_writers_each_success_counts_once,
    a_reading_is_of_one_moment,
    a_record_is_as_it_was_only_at_its_revision,
    a_log_keeps_its_order_and_is_read_in_parts,
    who_looks_seldom_sees_the_newest_and_misses_nothing,
    a_role_has_one_holder_until_its_time_is_over,
    who_was_away_for_too_long_can_change_nothing,
    a_term_never_comes_twice,
    a_clock_that_is_behind_frees_no_role,
    an_older_copy_is_noticed_and_takes_nothing_until_somebody_goes_on_with_it,
    an_image_is_everything_of_one_moment,
);

fn change(preconditions: Vec<Precondition>, effects: Vec<Effect>) -> Change {
    Change {
        op: OpId::random(),
        preconditions,
        effects,
    }
}

fn put(key: &str, value: &str) -> Effect {
    Effect::Put(key.to_owned(), value.as_bytes().to_vec())
}

fn commit(store: &impl HardStore, preconditions: Vec<Precondition>, effects: Vec<Effect>) -> Outcome {
    store.commit(&change(preconditions, effects)).unwrap()
}

fn committed(outcome: &Outcome) -> Revision {
    match outcome {
        Outcome::Committed(revision) => *revision,
        Outcome::Conflict(precondition) => panic!("conflict: {precondition:?}"),
    }
}

fn get(store: &impl HardStore, key: &str) -> Option<Record> {
    store.read(key).unwrap().records.remove(key)
}

fn number(record: Option<&Record>) -> u64 {
    let text = record.map(|record| String::from_utf8(record.value.clone()).unwrap());
    text.map_or(0, |text| text.parse().unwrap())
}

/// The precondition that nobody has changed what was read.
fn unchanged(key: &str, record: Option<&Record>) -> Precondition {
    match record {
        Some(record) => Precondition::At(key.to_owned(), record.revision),
        None => Precondition::Absent(key.to_owned()),
    }
}

fn a_change_is_made_whole_or_not_at_all<E: Engine>() {
    let store = E::new().open();
    commit(&store, vec![], vec![put("a", "1")]);
    let refused = Precondition::Absent("a".to_owned());
    let effects = vec![put("b", "1"), Effect::Append("log".to_owned(), vec![1])];
    let outcome = commit(&store, vec![refused.clone()], effects.clone());
    assert_eq!(outcome, Outcome::Conflict(refused));
    assert_eq!(get(&store, "b"), None);
    assert_eq!(store.log("log", 0, 10).unwrap(), []);
    let delete = Effect::Delete("a".to_owned());
    let revision = committed(&commit(&store, vec![], [effects, vec![delete]].concat()));
    assert_eq!(
        (get(&store, "a"), get(&store, "b").unwrap().revision),
        (None, revision)
    );
}

fn an_operation_said_twice_is_made_once_and_answered_the_same<E: Engine>() {
    let store = E::new().open();
    let first = change(
        vec![Precondition::Absent("a".to_owned())],
        vec![put("a", "1"), Effect::Append("log".to_owned(), vec![1])],
    );
    let outcome = store.commit(&first).unwrap();
    commit(&store, vec![], vec![put("a", "2")]);
    assert_eq!(store.commit(&first).unwrap(), outcome);
    assert_eq!(number(get(&store, "a").as_ref()), 2);
    assert_eq!(store.log("log", 0, 10).unwrap().len(), 1);
}

fn an_answer_that_was_lost_can_be_had_after_a_restart<E: Engine>() {
    let engine = E::new();
    let (made, never) = (
        change(vec![], vec![put("a", "1")]),
        change(vec![], vec![put("a", "2")]),
    );
    let outcome = engine.open().commit(&made).unwrap();
    let store = engine.open();
    assert_eq!(store.lookup(&made.op).unwrap(), Some(committed(&outcome)));
    assert_eq!(store.lookup(&never.op).unwrap(), None);
    assert_eq!(store.commit(&made).unwrap(), outcome);
}

fn of_racing_writers_each_success_counts_once<E: Engine>()
where
    E::Store: 'static,
{
    const WRITERS: u64 = 4;
    const TRIES: u64 = 25;
    let store = Arc::new(E::new().open());
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                let mut revisions = Vec::new();
                for _ in 0..TRIES {
                    let before = get(&*store, "counter");
                    let next = (number(before.as_ref()) + 1).to_string();
                    let condition = unchanged("counter", before.as_ref());
                    if let Outcome::Committed(revision) =
                        commit(&*store, vec![condition], vec![put("counter", &next)])
                    {
                        revisions.push(revision);
                    }
                }
                revisions
            })
        })
        .collect();
    let mut revisions: Vec<Revision> = writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect();
    assert_eq!(number(get(&*store, "counter").as_ref()), revisions.len() as u64);
    let count = revisions.len();
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len(), count, "no two changes have one revision");
}

fn a_reading_is_of_one_moment<E: Engine>()
where
    E::Store: 'static,
{
    let store = Arc::new(E::new().open());
    commit(&*store, vec![], vec![put("pair.a", "0"), put("pair.b", "0")]);
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for round in 1..50 {
                let value = round.to_string();
                commit(
                    &*store,
                    vec![],
                    vec![put("pair.a", &value), put("pair.b", &value)],
                );
            }
        })
    };
    for _ in 0..200 {
        let read = store.read("pair.").unwrap();
        let (a, b) = (&read.records["pair.a"], &read.records["pair.b"]);
        assert_eq!(a, b);
        assert_eq!(a.revision, read.revision);
    }
    writer.join().unwrap();
}

fn a_record_is_as_it_was_only_at_its_revision<E: Engine>() {
    let store = E::new().open();
    let first = committed(&commit(&store, vec![], vec![put("a", "1")]));
    committed(&commit(&store, vec![], vec![Effect::Delete("a".to_owned())]));
    commit(&store, vec![], vec![put("a", "1")]);
    let stale = Precondition::At("a".to_owned(), first);
    let outcome = commit(&store, vec![stale.clone()], vec![put("a", "2")]);
    assert_eq!(
        outcome,
        Outcome::Conflict(stale),
        "the same value is not the same record"
    );
    commit(&store, vec![], vec![put("ab", "1"), put("b", "1")]);
    let keys: Vec<String> = store.read("a").unwrap().records.into_keys().collect();
    assert_eq!(keys, ["a", "ab"]);
}

fn a_log_keeps_its_order_and_is_read_in_parts<E: Engine>() {
    let engine = E::new();
    for entry in 1..=5_u8 {
        let append = |scope: &str| Effect::Append(scope.to_owned(), vec![entry]);
        commit(&engine.open(), vec![], vec![append("one"), append("two")]);
    }
    let store = engine.open();
    let numbers = |after, limit| {
        let entries = store.log("one", after, limit).unwrap();
        entries
            .iter()
            .map(|(number, entry)| (*number, entry[0]))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(0, 2), [(1, 1), (2, 2)]);
    assert_eq!(numbers(2, 10), [(3, 3), (4, 4), (5, 5)]);
    assert_eq!(numbers(5, 10), []);
}

fn who_looks_seldom_sees_the_newest_and_misses_nothing<E: Engine>() {
    let store = E::new().open();
    let mut watch = store.watch();
    let seen = *watch.borrow_and_update();
    for round in 0..60 {
        commit(&store, vec![], vec![put(&format!("key-{}", round % 7), "1")]);
    }
    assert!(watch.has_changed().unwrap());
    let newest = *watch.borrow_and_update();
    let read = store.read("key-").unwrap();
    assert_eq!((read.revision, read.records.len()), (newest, 7));
    assert!(read.records.values().all(|record| record.revision > seen));
    assert!(!watch.has_changed().unwrap());
}

fn a_role_has_one_holder_until_its_time_is_over<E: Engine>() {
    let store = E::new().open();
    let now = Instant::now();
    let lease = store.acquire("driver", "a", TTL, now).unwrap().unwrap();
    let held = store.acquire("driver", "b", TTL, now + TTL / 2).unwrap();
    assert_eq!(
        held,
        Err(Held {
            holder: "a".to_owned()
        })
    );
    assert!(
        store.acquire("pusher", "b", TTL, now).unwrap().is_ok(),
        "roles do not disturb each other"
    );
    assert!(store.renew(&lease, TTL, now + TTL / 2).unwrap());
    assert!(store.acquire("driver", "b", TTL, now + TTL).unwrap().is_err());
    assert!(store.acquire("driver", "b", TTL, now + TTL * 2).unwrap().is_ok());
    assert!(
        !store.renew(&lease, TTL, now + TTL * 2).unwrap(),
        "what is lost is not renewed"
    );
}

fn who_was_away_for_too_long_can_change_nothing<E: Engine>() {
    let store = E::new().open();
    let now = Instant::now();
    let old = store.acquire("driver", "a", TTL, now).unwrap().unwrap();
    let fenced = |term| vec![Precondition::Term("driver".to_owned(), term)];
    committed(&commit(&store, fenced(old.term), vec![put("x", "a")]));
    let new = store.acquire("driver", "b", TTL, now + TTL * 2).unwrap().unwrap();
    let outcome = commit(&store, fenced(old.term), vec![put("x", "late")]);
    assert_eq!(outcome, Outcome::Conflict(fenced(old.term).remove(0)));
    committed(&commit(&store, fenced(new.term), vec![put("x", "b")]));
    store.release(&old).unwrap();
    assert!(
        store.renew(&new, TTL, now + TTL * 2).unwrap(),
        "the old holder gives nothing of the new one away"
    );
}

fn a_term_never_comes_twice<E: Engine>() {
    let mut engine = E::new();
    let now = Instant::now();
    let mut terms = Vec::new();
    for round in 0..6 {
        let store = engine.open();
        if store.regression().is_some() {
            store.refound(&[]).unwrap();
        }
        let lease = store.acquire("driver", "a", TTL, now).unwrap().unwrap();
        terms.push(lease.term);
        if round % 2 == 0 {
            store.release(&lease).unwrap();
            terms.push(store.acquire("driver", "b", TTL, now).unwrap().unwrap().term);
        }
        drop(store);
        match round {
            1 => engine.copy(),
            3 => engine.restore(),
            _ => {}
        }
    }
    assert!(terms.is_sorted_by(|one, next| one < next), "{terms:?}");
}

fn a_clock_that_is_behind_frees_no_role<E: Engine>() {
    let store = E::new().open();
    let behind = Instant::now();
    let now = behind + TTL * 50;
    let lease = store.acquire("driver", "a", TTL, now).unwrap().unwrap();
    assert!(store.acquire("driver", "b", TTL, behind).unwrap().is_err());
    assert!(store.renew(&lease, TTL, now).unwrap());
}

fn an_older_copy_is_noticed_and_takes_nothing_until_somebody_goes_on_with_it<E: Engine>() {
    let mut engine = E::new();
    commit(&engine.open(), vec![], vec![put("a", "old")]);
    engine.copy();
    let last = committed(&commit(&engine.open(), vec![], vec![put("a", "new")]));
    assert_eq!(engine.open().regression(), None);
    engine.restore();
    let store = engine.open();
    let regression = store.regression().unwrap();
    assert!(regression.seen == last && regression.found < last);
    let refused = store.commit(&change(vec![], vec![put("a", "newer")]));
    assert!(matches!(refused, Err(StoreError::Regressed(_))));
    assert!(matches!(
        store.acquire("driver", "a", TTL, Instant::now()),
        Err(StoreError::Regressed(_))
    ));
    assert_eq!(get(&store, "a").unwrap().value, b"old", "it can be read");
    store.refound(&[put("mark", "restored")]).unwrap();
    assert_eq!(get(&store, "mark").unwrap().value, b"restored");
    assert!(committed(&commit(&store, vec![], vec![put("a", "newer")])) > last);
    drop(store);
    assert_eq!(engine.open().regression(), None);
}

fn an_image_is_everything_of_one_moment<E: Engine>() {
    let store = E::new().open();
    let append = |entry: &str| Effect::Append("rollouts".to_owned(), entry.as_bytes().to_vec());
    let first = change(vec![], vec![put("a", "1"), append("begun")]);
    let begun = committed(&store.commit(&first).unwrap());
    let lease = store
        .acquire("driver", "a", TTL, Instant::now())
        .unwrap()
        .unwrap();
    let second = change(vec![], vec![put("b", "2"), append("done")]);
    let done = committed(&store.commit(&second).unwrap());
    let image = store.image().unwrap();
    commit(&store, vec![], vec![put("a", "later")]);
    assert_eq!(image.revision, done);
    let record = |revision, value: &str| Record {
        revision,
        value: value.as_bytes().to_vec(),
    };
    let records = [("a", record(begun, "1")), ("b", record(done, "2"))];
    assert_eq!(
        image.records,
        records.map(|(key, record)| (key.to_owned(), record)).into()
    );
    let entry = |number, text: &str| ("rollouts".to_owned(), number, text.as_bytes().to_vec());
    assert_eq!(image.logs, [entry(1, "begun"), entry(2, "done")]);
    assert_eq!(image.terms, [("driver".to_owned(), lease.term)].into());
    assert_eq!(image.operations, [(first.op, begun), (second.op, done)]);
}

/// The directory in which the process that is killed writes; without it, that test is nothing.
const VICTIM: &str = "HEADWATER_TEST_STORE";

/// Runs only in the process that the next test kills.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else {
        return;
    };
    let store = DiskStore::open(&PathBuf::from(dir).join("decisions.redb")).unwrap();
    for round in 1_u64.. {
        let value = round.to_string();
        let change = change(
            vec![],
            vec![
                put("a", &value),
                put("b", &value),
                Effect::Append("log".to_owned(), value.into_bytes()),
            ],
        );
        println!("begun {}", change.op.as_str());
        store.commit(&change).unwrap();
        println!("done {}", change.op.as_str());
    }
}

#[test]
fn a_process_that_is_killed_leaves_what_it_answered_and_no_half_change() {
    for pause in [3, 20, 57] {
        let engine = OnDisk::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "store::contract::writes_until_it_is_killed",
                "--exact",
                "--nocapture",
            ])
            .env(VICTIM, engine.0.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut said: Vec<String> = lines.by_ref().take(pause).collect();
        child.kill().unwrap();
        said.extend(lines);
        child.wait().unwrap();
        let store = engine.open();
        let done = said
            .iter()
            .filter_map(|line| line.split_once("done "))
            .map(|(_, op)| op.to_owned());
        let done: Vec<String> = done.collect();
        for op in &done {
            assert!(
                store.lookup(&OpId::of(op)).unwrap().is_some(),
                "{op} was answered"
            );
        }
        let (a, b) = (
            number(get(&store, "a").as_ref()),
            number(get(&store, "b").as_ref()),
        );
        let log = store.log("log", 0, usize::MAX).unwrap();
        assert_eq!((a, b), (b, log.len() as u64));
        assert!(
            (done.len() as u64..=done.len() as u64 + 1).contains(&a),
            "at most one change has no answer"
        );
        assert_eq!(store.regression(), None);
    }
}
