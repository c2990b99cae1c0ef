//! What a commit costs that changes little, and how many verdicts are worked out at once.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_command");
const MISDEED: &str = env!("CARGO_BIN_EXE_misdeed");

const MANIFEST: &str = "format = 1\n[[config]]\nname = \"{s}\"\nlayers = [\"svc/{s}.toml\"]\nschema = \"s.schema.json\"\nrules = [\"step\"]\n[rule.step]\nat = \"/pool\"\nmax_factor = 2.0\n";
const SCHEMA: &str = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"pool": {"type": "integer"}, "note": {"type": "string"}}}"#;

const SERVICES: usize = 60;

fn document(service: usize, pool: &str) -> String {
    // The name of a secret is a warning, which every verdict has.
    let secret = if service == 7 {
        "password = \"hunter2\"\n"
    } else {
        ""
    };
    format!("pool = {pool}\n{secret}note = \"{}\"\n", "x".repeat(500))
}

/// A repository with many services under one schema.
fn upstream() -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let mut files = vec![
        ("headwater.toml".to_owned(), MANIFEST.to_owned()),
        ("s.schema.json".to_owned(), SCHEMA.to_owned()),
    ];
    files.extend((0..SERVICES).map(|service| (format!("svc/s{service}.toml"), document(service, "2"))));
    let edits: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), Some(text.as_str())))
        .collect();
    let commit = origin.commit(&edits, "first");
    (origin, commit)
}

fn change(origin: &TestOrigin, service: usize, text: &str) -> CommitId {
    origin.commit(&[(&format!("svc/s{service}.toml"), Some(text))], "a change")
}

fn program(place: &Path, words: &str) -> PathBuf {
    let script = place.join("program");
    std::fs::write(&script, format!("#!/bin/sh\ncd '{}'\n{words}\n", place.display())).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    script
}

/// A program that writes down how many bytes each child was sent.
fn weighing(place: &Path) -> (PathBuf, impl Fn() -> Vec<usize> + use<>) {
    let words = format!(
        "/usr/bin/tee input | '{PROGRAM}' \"$@\"\ncode=$?\n/usr/bin/wc -c < input >> sizes\nexit $code"
    );
    let sizes = place.join("sizes");
    let read = move || {
        let text = std::fs::read_to_string(&sizes).unwrap_or_default();
        text.lines().map(|line| line.trim().parse().unwrap()).collect()
    };
    (program(place, &words), read)
}

fn service(origin: &TestOrigin, program: impl Into<PathBuf>) -> TestServer {
    Stopped::of(&origin.path_url())
        .with(|settings| settings.verdict_program = Some(program.into()))
        .start()
}

fn findings(server: &TestServer, commit: &CommitId) -> Value {
    let target = format!("/v1/repos/default/commits/{commit}");
    server.get(&target).expect(200).json()["verdict"]["findings"].clone()
}

#[test]
fn a_child_is_sent_what_a_commit_changed_and_everything_where_something_is_wrong() {
    let (origin, first) = upstream();
    let place = tempfile::tempdir().unwrap();
    let (script, sizes) = weighing(place.path());
    let server = service(&origin, script);
    server.until_tip(&first);
    server.until_tip(&change(&origin, 3, &document(3, "4")));
    server.until_tip(&origin.commit(&[("svc/new.toml", Some("pool = 1\n"))], "one more"));
    // One that comes as another goes may be the same under another name.
    server.until_tip(&origin.commit(
        &[("svc/newer.toml", Some("pool = 1\n")), ("svc/s9.toml", None)],
        "another",
    ));
    let bad = change(&origin, 4, &document(4, "true"));
    server.until_head(&bad, "rejected");
    let sizes = sizes();
    let (whole, changed) = (sizes[1], 8_000);
    assert!(whole > 500 * SERVICES, "{sizes:?}");
    let kinds: Vec<&str> = sizes
        .iter()
        .skip(1)
        .map(|size| if *size < changed { "changes" } else { "everything" })
        .collect();
    // The first commit, the next three, and the bad one, of which all findings are wanted.
    assert_eq!(
        kinds,
        [
            "everything",
            "changes",
            "changes",
            "everything",
            "changes",
            "everything"
        ],
        "{sizes:?}"
    );
}

#[test]
fn a_verdict_that_takes_something_over_is_the_one_that_takes_nothing_over() {
    let (origin, first) = upstream();
    let service = service(&origin, PROGRAM);
    service.until_tip(&first);
    let good = change(&origin, 3, &document(3, "4"));
    service.until_tip(&good);
    // Warnings of files that did not change are told again.
    assert_eq!(findings(&service, &good)[0]["code"], "secret/name");
    let config = service.config("s3", None).expect(200).json();
    assert_eq!(config["document"]["pool"], 4, "{config}");
    // Old values are those of what is exposed.
    let bad = change(&origin, 3, &document(3, "9"));
    service.until_head(&bad, "rejected");
    let told = findings(&service, &bad);
    // Another service, which has seen nothing of this before, says the same of the same step.
    let other = Stopped::of(&origin.path_url());
    origin.force_reset("main", &good);
    let other = other.start();
    other.until_tip(&good);
    origin.force_reset("main", &bad);
    other.until_head(&bad, "rejected");
    assert_eq!(told, findings(&other, &bad));
    assert!(told.to_string().contains("rule/step"), "{told}");
}

#[test]
fn what_a_child_says_of_a_part_is_not_believed() {
    let (origin, first) = upstream();
    // This one admits whatever it is asked about.
    let server = service(&origin, MISDEED);
    server.until_tip(&first);
    server.until_tip(&change(&origin, 3, &document(3, "4")));
    let bad = change(&origin, 4, &document(4, "true"));
    server.until_head(&bad, "rejected");
    assert!(findings(&server, &bad).to_string().contains("schema/type"));
}

#[test]
fn what_takes_too_much_is_ended_although_little_changed() {
    let (origin, first) = upstream();
    let server = service(&origin, MISDEED);
    server.until_tip(&first);
    let bad = change(&origin, 5, "pool = 2\nmisdeed = \"panic\"\n");
    server.until_head(&bad, "rejected");
    assert_eq!(findings(&server, &bad)[0]["code"], "limit/crash");
}

#[test]
fn a_crowd_of_checks_takes_not_all_places_and_a_push_is_published_beside_it() {
    let (origin, first) = upstream();
    let place = tempfile::tempdir().unwrap();
    // Children of checks wait for the gate; what they are sent tells them.
    let words = format!(
        "/usr/bin/head -c 4000000 > input.$$\nif /bin/grep -q crowd input.$$; then\n  echo started >> crowd\n  while [ ! -e gate ]; do /bin/sleep 0.01; done\nfi\nexec '{PROGRAM}' \"$@\" < input.$$"
    );
    let server = service(&origin, program(place.path(), &words));
    server.until_tip(&first);
    let places = thread::available_parallelism()
        .map_or(2, NonZeroUsize::get)
        .max(2);
    let crowd = || {
        let text = std::fs::read_to_string(place.path().join("crowd")).unwrap_or_default();
        text.lines().count()
    };
    let mut text = String::new();
    writeln!(text, "name = \"crowd\"").unwrap();
    let body = tar_of("a.toml", text.as_bytes());
    let addr = server.addr();
    let checks: Vec<_> = (0..places + 2)
        .map(|_| {
            let body = body.clone();
            thread::spawn(move || {
                let ask = Ask::new("POST", "/v1/repos/default/checks").body("application/x-tar", &body);
                ask.send(addr).status
            })
        })
        .collect();
    wait_until("as many checks as there are places for them", || {
        crowd() == places - 1
    });
    server.until_tip(&change(&origin, 3, &document(3, "4")));
    assert_eq!(crowd(), places - 1);
    std::fs::write(place.path().join("gate"), "").unwrap();
    for check in checks {
        assert_eq!(check.join().unwrap(), 200);
    }
    assert_eq!(crowd(), places + 2);
}

fn tar_of(path: &str, text: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, text).unwrap();
    tar.into_inner().unwrap()
}
