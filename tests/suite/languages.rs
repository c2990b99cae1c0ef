//! The examples of docs/clients.md, taken from the page and run: what a reader copies is what is tested.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use headwater_server::settings::Settings;
use headwater_tests::docs::{blocks, page};
use headwater_tests::origin::TestOrigin;
use headwater_tests::program::Program;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::sshd::skipped;
use headwater_tests::wait::wait_for;
use headwater_wire::CommitId;
use serde_json::Value;

const INSTANCE: &str = "example-1";

/// The only fenced block of a language.
fn example(language: &str) -> String {
    let mut blocks = blocks(&page("docs/clients.md"), language);
    assert_eq!(blocks.len(), 1, "one `{language}` example");
    blocks.remove(0)
}

/// Where a program is; CI has all of them.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "`.ci/install` installs `{program}`"
        );
        skipped(&format!("no {program} is installed"));
    }
    found
}

/// One example, as the tests run it again and again.
struct Example {
    files: tempfile::TempDir,
    program: PathBuf,
    /// What to run by the program, if it is an interpreter.
    script: Option<&'static str>,
}

impl Example {
    /// The example in a language, if what runs it is installed.
    fn of(language: &str, interpreter: &str, script: &'static str) -> Option<Self> {
        let program = find(interpreter)?;
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join(script), example(language)).unwrap();
        Some(Self {
            files,
            program,
            script: Some(script),
        })
    }

    fn start(&self, server: SocketAddr) -> Program {
        let cache = self.files.path().join("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args(self.script.map(|script| self.files.path().join(script)))
            .env("HEADWATER_SERVER", format!("http://{server}"))
            .env("INSTANCE", INSTANCE)
            .env("CACHE_DIR", cache)
            .env("PROBATION", "1")
            .env("TMPDIR", self.files.path());
        Program::start(command)
    }
}

fn pool(origin: &TestOrigin, max: u32) -> CommitId {
    // A float that many a writer would write otherwise, and a key that could be taken for a part of the envelope.
    let text = format!("pool = {{ max = {max} }}\nfactor = 1.0\n\"document\\\":\" = 'ü,\"sources\":['\n");
    origin.commit(&[("payments/prod.toml", Some(&text))], "pool")
}

fn until_runs(program: &mut Program, version: &CommitId, max: u32, from: &str) {
    let line = program.until(&format!("{version} runs"), |line| {
        line.starts_with(&format!("version={version} "))
    });
    let says = |text: &str| line.contains(text);
    assert!(
        says(&format!("max={max} ")) || says(&format!(r#""max":{max}}}"#)),
        "{line}"
    );
    assert!(line.ends_with(&format!("from={from}")), "{line}");
}

/// Waits until the server lists the instance with this version in one of these states.
fn until_listed(server: &TestServer, version: &CommitId, states: &[&str]) -> Value {
    wait_for(&format!("{version} listed as one of {states:?}"), || {
        let listing = server.get("/v1/repos/default/instances").json();
        let instance = listing["instances"].as_array()?.first()?.clone();
        let report = &instance["configs"]["payments/prod"];
        let is_wanted = report["running"]["version"] == version.as_str()
            && states.iter().any(|state| report["state"] == *state);
        assert_eq!(instance["instance"], INSTANCE);
        is_wanted.then(|| report.clone())
    })
}

/// The first value, a change, a value it refuses, a restart of the server, all reported; and no version twice. The last
/// one is in a state of `until` in the end.
fn lives(example: &Example, origin: &TestOrigin, until: &[&str]) -> (TestServer, CommitId) {
    let first = pool(origin, 10);
    let asks_often = |settings: &mut Settings| settings.fleet.heartbeat = Duration::from_secs(1);
    let server = Stopped::of(&origin.path_url()).with(asks_often).start();
    let addr = server.addr();
    let mut program = example.start(addr);
    until_runs(&mut program, &first, 10, "server");
    until_listed(&server, &first, &["applied", "confirmed"]);

    let second = pool(origin, 20);
    until_runs(&mut program, &second, 20, "server");
    pool(origin, 0);
    let report = until_listed(&server, &second, &["failed"]);
    assert_eq!(report["error"]["phase"], "validate", "{report}");

    let stopped = server.stop();
    let third = pool(origin, 30);
    let server = stopped.start_at(addr);
    until_runs(&mut program, &third, 30, "server");
    until_listed(&server, &third, until);
    reports_as_often_as_it_is_asked(&server);
    let printed = program.printed();
    assert_eq!(printed.len(), 3, "each version once: {printed:?}");
    (server, third)
}

/// The usual heartbeat is thirty times as long, and no example waits for less than twenty of its seconds.
fn reports_as_often_as_it_is_asked(server: &TestServer) {
    let seq = || {
        let listing = server.get("/v1/repos/default/instances").json();
        listing["instances"][0]["seq"].as_u64().unwrap()
    };
    let (first, began) = (seq(), Instant::now());
    wait_for("two more reports", || (seq() >= first + 2).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// Started while the server is down, it runs what it had confirmed, and goes on from there once the server is back.
fn starts_alone(example: &Example, origin: &TestOrigin, server: TestServer, confirmed: &CommitId) {
    let addr = server.addr();
    let stopped = server.stop();
    let mut program = example.start(addr);
    until_runs(&mut program, confirmed, 30, "last_known_good");
    let server = stopped.start_at(addr);
    let fourth = pool(origin, 40);
    until_runs(&mut program, &fourth, 40, "server");
    until_listed(&server, &fourth, &["applied", "confirmed"]);
    program.terminate();
    until_gone(&server);
}

/// Waits until the instance has said that it ends.
fn until_gone(server: &TestServer) {
    wait_for("its last word", || {
        let gone = server.get("/v1/repos/default/instances?liveness=gone").json();
        (gone["instances"][0]["instance"] == INSTANCE).then_some(())
    });
}

fn lives_and_starts_alone(example: &Example) {
    let origin = TestOrigin::new();
    let (server, confirmed) = lives(example, &origin, &["confirmed"]);
    starts_alone(example, &origin, server, &confirmed);
}

#[test]
fn the_shell_example_follows_refuses_reports_and_starts_alone() {
    let tools = ["curl", "sha256sum", "awk"].map(find);
    let example = Example::of("sh", "sh", "follow.sh");
    if let (true, Some(example)) = (tools.iter().all(Option::is_some), example) {
        lives_and_starts_alone(&example);
    }
}

#[test]
fn the_python_example_follows_refuses_reports_and_starts_alone() {
    if let Some(example) = Example::of("python", "python3", "follow.py") {
        lives_and_starts_alone(&example);
    }
}

#[test]
fn the_node_example_follows_refuses_reports_and_starts_alone() {
    if let Some(example) = Example::of("js", "node", "follow.mjs") {
        lives_and_starts_alone(&example);
    }
}

#[test]
fn the_rust_example_is_the_program_that_is_built_and_it_follows_refuses_and_reports() {
    let source = include_str!("../src/bin/pool.rs");
    let (_, program) = source.split_once("page\")]\n\n").unwrap();
    assert_eq!(
        example("rust"),
        program,
        "docs/clients.md and tests/src/bin/pool.rs"
    );
    let example = Example {
        files: tempfile::tempdir().unwrap(),
        program: env!("CARGO_BIN_EXE_pool").into(),
        script: None,
    };
    let origin = TestOrigin::new();
    // Its minute of probation is not waited for; `client` has what comes after.
    let (server, running) = lives(&example, &origin, &["applied"]);
    let mut program = example.start(server.addr());
    program.until("a value", |line| line.starts_with(&format!("version={running} ")));
    assert!(program.terminate().success(), "it ends in order");
    until_gone(&server);
}
