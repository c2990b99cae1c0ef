//! Five hundred programs that live on the client library, on one machine: who sees a version, when, and who never does.
//!
//! Each notes what it was asked to get ready for and what it switched to, so that nothing is read off what it says of
//! itself. Heartbeats are slow enough that two shared cores answer all of them; nothing here depends on a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::{StreamExt, stream};
use headwater_client::{Candidate, Client, Deadlines, Handle};
use serde::Deserialize;

use super::clients::run;
use super::*;

const INSTANCES: usize = 500;
/// The first so many are the first stage.
const CANARIES: usize = 20;
/// So many start at the same time.
const AT_ONCE: usize = 25;
/// Longest wait for five hundred to have come somewhere, on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_mins(5);

const CANARIES_FIRST: &str = r#"format = 1
[[config]]
name = "app"
layers = ["app.json"]
rollout = "careful"
[rollout.careful]
kind = "staged"
stages = [{ labels = { canary = "true" }, bake = "1s" }, { percent = 50, bake = "1s" }, { percent = 100, bake = "1s" }]
abort = { failed = 1 }
on_halt = { roll_back_after = "1s" }
"#;

#[derive(Debug, Clone, Deserialize)]
struct Served {
    v: u32,
}

/// What an instance did with a value, and when.
#[derive(Debug, Clone, Copy)]
struct Deed {
    instance: usize,
    value: u32,
    did: Did,
    at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    GotReady,
    Switched,
}

/// What all of them did.
#[derive(Debug, Clone, Default)]
struct Deeds(Arc<Mutex<Vec<Deed>>>);

impl Deeds {
    fn note(&self, instance: usize, value: u32, did: Did) {
        let deed = Deed {
            instance,
            value,
            did,
            at: Instant::now(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    /// Who did it with a value, in order.
    fn of(&self, value: u32, did: Did) -> Vec<Deed> {
        let deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = deeds.iter().filter(|deed| (deed.value, deed.did) == (value, did));
        found.copied().collect()
    }
}

struct Crowd {
    handles: Vec<Handle<Served>>,
    deeds: Deeds,
}

impl Crowd {
    /// All of them, each with a value. `refuses` says which instance cannot run which value.
    async fn gather(server: &TestServer, caches: &Path, refuses: fn(usize, u32) -> bool) -> Self {
        let deeds = Deeds::default();
        let address = format!("http://{}", server.addr());
        let started = (0..INSTANCES).map(|number| start(number, &address, caches, (refuses, deeds.clone())));
        let handles = stream::iter(started).buffered(AT_ONCE).collect().await;
        Self { handles, deeds }
    }

    fn all_run(&self, value: u32) -> bool {
        self.handles.iter().all(|handle| handle.load().v == value)
    }
}

async fn start(
    number: usize,
    address: &str,
    caches: &Path,
    (refuses, deeds): (fn(usize, u32) -> bool, Deeds),
) -> Handle<Served> {
    let deadlines = Deadlines {
        connect: PATIENCE,
        answer: PATIENCE,
        body_idle: PATIENCE,
        ..Deadlines::default()
    };
    let client = Client::builder(address)
        .instance(&format!("i-{number:03}"))
        .label("canary", if number < CANARIES { "true" } else { "false" })
        .cache_dir(caches.join(number.to_string()))
        .probation(Duration::from_millis(300))
        .patience(PATIENCE)
        .deadlines(deadlines)
        .start()
        .await
        .unwrap();
    let asked = deeds.clone();
    let open = client
        .config::<Served>("app")
        .prepare(move |candidate: Candidate<Served>| {
            asked.note(number, candidate.value.v, Did::GotReady);
            let is_too_much = refuses(number, candidate.value.v);
            std::future::ready(if is_too_much { Err("too much") } else { Ok(()) })
        })
        .activate(move |candidate: Candidate<Served>| {
            deeds.note(number, candidate.value.v, Did::Switched);
            std::future::ready(Ok::<(), String>(()))
        });
    open.open().await.unwrap()
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let reached = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, reached).await;
    assert!(ended.is_ok(), "never: {what}");
}

/// A server that hears heartbeats as often as two shared cores can answer them.
fn serve(origin: &TestOrigin) -> TestServer {
    let stopped = Stopped::of(&origin.path_url());
    stopped
        .with(|settings| settings.fleet.heartbeat = Duration::from_secs(4))
        .start()
}

#[test]
#[ignore = "five hundred programs need the machine to themselves: `.ci/test` runs this alone"]
fn one_refusal_among_five_hundred_ends_in_its_stage_and_nobody_else_ever_hears_of_the_version() {
    let (origin, _) = origin(CANARIES_FIRST);
    let server = serve(&origin);
    let caches = tempfile::tempdir().unwrap();
    run(async {
        let crowd = Crowd::gather(&server, caches.path(), |number, value| (number, value) == (7, 2)).await;
        let bad = set(&origin, 2);
        until("the way back", || rollout(&server)["state"] == "rolled_back").await;
        until("all run what ran before", || crowd.all_run(1)).await;
        // It is on the branch, and stays away: neither the next look at it nor a commit beside it brings it back.
        server.until_head(&bad, "held");
        let beside = origin.commit(&[("README.md", Some("hello"))], "a word");
        server.until_head(&beside, "held");
        assert_eq!(crate::rollback::holds(&server).len(), 1);
        set(&origin, 3);
        until("all run what comes after it", || crowd.all_run(3)).await;
        let heard = crowd.deeds.of(2, Did::GotReady);
        let outside = heard.iter().filter(|deed| deed.instance >= CANARIES);
        assert_eq!(outside.count(), 0, "nobody outside the stage was told");
        let switched = crowd.deeds.of(2, Did::Switched);
        assert!(switched.iter().all(|deed| deed.instance != 7), "it refused");
        println!("{} of {CANARIES} had switched before it stopped", switched.len());
    });
}

#[test]
#[ignore = "five hundred programs need the machine to themselves: `.ci/test` runs this alone"]
fn in_two_phases_none_of_five_hundred_switches_before_all_are_ready() {
    let (origin, _) = origin(TWO_PHASE);
    let server = serve(&origin);
    let caches = tempfile::tempdir().unwrap();
    run(async {
        let crowd = Crowd::gather(&server, caches.path(), |_, _| false).await;
        set(&origin, 2);
        until("all switch", || crowd.all_run(2)).await;
        let at = |did| {
            let mut at: Vec<Instant> = crowd.deeds.of(2, did).iter().map(|deed| deed.at).collect();
            at.sort();
            at
        };
        let (ready, switched) = (at(Did::GotReady), at(Did::Switched));
        assert_eq!((ready.len(), switched.len()), (INSTANCES, INSTANCES));
        assert!(
            ready.last() < switched.first(),
            "somebody switched before all were ready"
        );
        let after = |nth: usize| switched[nth].duration_since(switched[0]).as_millis();
        println!(
            "after the first of {INSTANCES} had switched, half of them had within {} ms, and the last within {} ms",
            after(INSTANCES / 2),
            after(INSTANCES - 1)
        );
        until("its end", || rollout(&server)["state"] == "done").await;
    });
}
