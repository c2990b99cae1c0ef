//! Rollouts against a real server: only members of an open stage see what is new, what goes wrong stops it, and what was
//! gone back from does not come back by itself.
//!
//! The instances here are programs that know nothing but the report: what they are told is what the test looks at.

mod again;
mod back;
mod budget;
mod clients;
mod crowd;
mod killed;
mod kills;
mod measured;
mod people;
mod stages;
mod two_phase;

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;
use headwater_wire::CommitId;
use serde_json::{Value, json};

/// One instance first, then everybody. Nothing is waited for that a test does not wait for itself.
pub(super) const STAGED: &str = "\
format = 1
[[config]]
name = \"app\"
layers = [\"app.json\"]
rollout = \"careful\"
[rollout.careful]
kind = \"staged\"
stages = [{ count = 1, bake = \"1s\" }, { percent = 100, bake = \"1s\" }]
";

/// The same, and the first stage takes as long as a test does.
pub(super) fn slow() -> String {
    STAGED.replacen("1s", "1h", 1)
}

/// All get ready, and then all switch.
pub(super) const TWO_PHASE: &str = "\
format = 1
[[config]]
name = \"app\"
layers = [\"app.json\"]
rollout = \"together\"
[rollout.together]
kind = \"two-phase\"
stages = [{ percent = 100, bake = \"1s\" }]
";

/// A manifest and a first value.
pub(super) fn origin(manifest: &str) -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let files = [
        ("headwater.toml", Some(manifest)),
        ("app.json", Some("{\"v\": 1}")),
    ];
    let first = origin.commit(&files, "v = 1");
    (origin, first)
}

/// A server that asks for reports so often that nobody waits long for it to know who is there.
pub(super) fn quick(origin: &TestOrigin) -> Stopped {
    Stopped::of(&origin.path_url()).with(|settings| settings.fleet.heartbeat = Duration::from_secs(1))
}

pub(super) fn set(origin: &TestOrigin, value: u32) -> CommitId {
    crate::recovery::set(origin, value)
}

/// What somebody reads who does not say who he is.
#[track_caller]
pub(super) fn anonymous(server: &TestServer) -> Value {
    server.config("app", None).expect(200).json()["document"]["v"].clone()
}

/// A program that knows nothing but the report, and does what it is told.
#[derive(Debug)]
pub(super) struct Program {
    id: String,
    incarnation: u64,
    seq: u64,
    generation: u64,
    running: Option<(Value, Value, i64)>,
    prepared: Option<Value>,
    state: &'static str,
    /// A value that it cannot run.
    pub refuses: Option<i64>,
    /// Values it was told to run, and as what change, in order.
    pub told: Vec<(i64, String)>,
    /// Values it was told to get ready for.
    pub asked: Vec<i64>,
    /// Generations it was told, heeded or not, in order.
    pub generations: Vec<u64>,
}

impl Program {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            incarnation: 1,
            seq: 0,
            generation: 0,
            running: None,
            prepared: None,
            state: "pending",
            refuses: None,
            told: Vec::new(),
            asked: Vec::new(),
            generations: Vec::new(),
        }
    }

    pub(super) fn value(&self) -> Option<i64> {
        self.running.as_ref().map(|(_, _, value)| *value)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == "prepared"
    }

    /// Whether it was ever told to run a value.
    pub(super) fn was_told(&self, value: i64) -> bool {
        self.told.iter().any(|(told, _)| *told == value)
    }

    /// It dies, and comes up again with what it runs.
    pub(super) fn crash(&mut self) {
        self.incarnation += 1;
        self.seq = 0;
    }

    fn report(&mut self) -> Value {
        self.seq += 1;
        let mut config = json!({"generation": self.generation, "state": self.state});
        if let Some((version, digest, _)) = &self.running {
            config["running"] = json!({"version": version, "digest": digest});
        }
        if let Some(prepared) = &self.prepared {
            config["prepared"] = prepared.clone();
        }
        if self.state == "failed" {
            config["error"] = json!({"phase": "validate", "message": "no"});
        }
        json!({"incarnation": self.incarnation, "seq": self.seq, "configs": {"app": config}})
    }

    /// One report, and what follows from its answer.
    pub(super) fn turn(&mut self, addr: std::net::SocketAddr) {
        let ask = Ask::new("PUT", &format!("/v1/repos/default/instances/{}", self.id));
        let body = self.report().to_string();
        let answer = ask.body("application/json", body.as_bytes()).send(addr);
        if answer.status != 200 {
            return;
        }
        if let Some(assignment) = answer.json()["assignments"]
            .as_array()
            .and_then(|all| all.first())
        {
            self.obey(assignment);
        }
    }

    fn obey(&mut self, assignment: &Value) {
        let generation = assignment["generation"].as_u64().unwrap();
        self.generations.push(generation);
        let prepares = assignment["phase"] == "prepare";
        let switches = generation == self.generation && self.prepared.is_some() && !prepares;
        if generation <= self.generation && !switches {
            return;
        }
        self.generation = generation;
        let (version, digest) = (assignment["version"].clone(), assignment["digest"].clone());
        // The document comes only where it is another one than what runs.
        let value = match assignment["document"]["v"].as_i64() {
            Some(value) => value,
            None => self.value().unwrap(),
        };
        if prepares {
            self.asked.push(value);
        } else {
            self.told
                .push((value, assignment["change"].as_str().unwrap().to_owned()));
        }
        if self.refuses == Some(value) {
            (self.state, self.prepared) = ("failed", None);
        } else if prepares {
            (self.state, self.prepared) = ("prepared", Some(version));
        } else {
            (self.state, self.prepared) = ("confirmed", None);
            self.running = Some((version, digest, value));
        }
    }
}

/// Three of them.
pub(super) fn three() -> Vec<Program> {
    ["i-1", "i-2", "i-3"].map(Program::new).into()
}

/// All report, again and again, until it is so.
#[track_caller]
pub(super) fn until(
    addr: std::net::SocketAddr,
    programs: &mut [Program],
    what: &str,
    is: impl Fn(&[Program]) -> bool,
) {
    wait_for(what, || {
        for program in programs.iter_mut() {
            program.turn(addr);
        }
        is(programs).then_some(())
    });
}

/// How many run which value.
pub(super) fn running(programs: &[Program]) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    for value in programs.iter().filter_map(Program::value) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

pub(super) fn all_run(value: i64) -> impl Fn(&[Program]) -> bool {
    move |programs| programs.iter().all(|program| program.value() == Some(value))
}

/// The next commit is out as far as it comes by itself: one of three has it.
pub(super) fn one_has(value: i64) -> impl Fn(&[Program]) -> bool {
    move |programs| programs.iter().any(|program| program.was_told(value))
}

/// All were told once more to run what they run.
pub(super) fn told_to_stay(programs: &[Program]) -> bool {
    let stays = |program: &Program| program.told.len() > 1 && program.told.last().unwrap().0 == 1;
    programs.iter().all(stays)
}

pub(super) const ROLLOUTS: &str = "/v1/repos/default/rollouts";

/// The rollout that stands first in the list: the one that moves, if one does.
#[track_caller]
pub(super) fn rollout(server: &TestServer) -> Value {
    server.get(ROLLOUTS).expect(200).json()["rollouts"][0].clone()
}
