//! Verdicts in a process that can be killed: what it may do, what its end says, what is remembered of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_server::sandbox::FilterNeed;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_wire::CommitId;
use serde_json::Value;

const MISDEED: &str = env!("CARGO_BIN_EXE_misdeed");
const PROGRAM: &str = env!("CARGO_BIN_EXE_command");

/// A service whose verdicts are worked out by children of `program`.
fn service(origin: &TestOrigin, program: impl Into<PathBuf>) -> Stopped {
    Stopped::of(&origin.path_url()).with(|settings| {
        settings.verdict_program = Some(program.into());
        settings.verdict_confinement.memory_bytes_max = "268435456".parse().expect("an amount");
        settings.verdict_confinement.filter = FilterNeed::Required;
    })
}

fn push_misdeed(origin: &TestOrigin, misdeed: &str) -> CommitId {
    let text = format!("misdeed = \"{misdeed}\"\n");
    origin.commit(&[("app.toml", Some(&text))], misdeed)
}

/// The one finding of a head that is rejected, as code, message and hint.
fn refusal(server: &TestServer, head: &CommitId) -> String {
    // After a restart the state is there before the findings are read.
    let has_findings = |repo: &Value| {
        repo["findings"]
            .as_array()
            .is_some_and(|findings| !findings.is_empty())
    };
    let repo = server.until("a rejected head with its findings", |repo| {
        repo["head"] == head.as_str() && repo["head_state"] == "rejected" && has_findings(repo)
    });
    let findings = repo["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let text = |key: &str| findings[0][key].as_str().unwrap_or_default().to_owned();
    format!("{}: {}\n  {}", text("code"), text("message"), text("hint"))
}

#[test]
fn a_verdict_that_reaches_for_more_than_its_files_is_ended_and_says_so() {
    let origin = TestOrigin::new();
    let good = push_misdeed(&origin, "none");
    let server = service(&origin, MISDEED).start();
    server.until_tip(&good);
    for misdeed in [
        "write a file",
        "connect",
        "start a program",
        "become a program",
        "signal a process",
    ] {
        let head = push_misdeed(&origin, misdeed);
        let told = refusal(&server, &head);
        assert!(told.starts_with("limit/forbidden: "), "{misdeed}: {told}");
    }
    assert_eq!(server.repo()["tip"], good.as_str());
}

#[test]
fn a_verdict_that_takes_too_much_is_ended_and_says_of_what() {
    let origin = TestOrigin::new();
    push_misdeed(&origin, "none");
    let server =
        service(&origin, MISDEED).with(|settings| settings.verdict_deadline = Duration::from_secs(5));
    let server = server.start();
    let told: Vec<String> = ["hoard memory", "go too deep", "panic", "spin"]
        .iter()
        .map(|misdeed| refusal(&server, &push_misdeed(&origin, misdeed)))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    limit/memory: the verdict took more than 268435456 bytes of memory
      look for very large or deeply recursive documents and schemas in this commit
    limit/stack: the verdict went too deep and overflowed its stack
      look for very large or deeply recursive documents and schemas in this commit
    limit/crash: the validators failed on this commit: exit status: 101
      this is a fault of Headwater: report it with this commit, and undo the commit
    limit/deadline: the verdict took longer than 5 s
      look for very large or deeply recursive documents and schemas in this commit
    ");
}

#[test]
fn a_verdict_may_start_threads_and_is_refused_a_file_without_being_ended() {
    let origin = TestOrigin::new();
    push_misdeed(&origin, "none");
    let server = service(&origin, MISDEED).start();
    for harmless in ["start threads", "read a file"] {
        server.until_tip(&push_misdeed(&origin, harmless));
    }
}

#[test]
fn without_a_filter_files_and_connections_stay_out_of_reach() {
    let origin = TestOrigin::new();
    push_misdeed(&origin, "none");
    let server = service(&origin, MISDEED)
        .with(|settings| settings.verdict_confinement.filter = FilterNeed::Never)
        .start();
    server.until_tip(&push_misdeed(&origin, "read a file"));
    for misdeed in ["write a file", "connect"] {
        let told = refusal(&server, &push_misdeed(&origin, misdeed));
        assert!(told.starts_with("limit/crash: "), "{misdeed}: {told}");
    }
}

/// A program that writes a line for each time it is started, then does `what`; the shell's words.
fn counting(place: &Path, what: &str) -> (PathBuf, impl Fn() -> usize + use<>) {
    let (script, count) = (place.join("program"), place.join("count"));
    let text = format!("#!/bin/sh\necho started >> '{}'\n{what}\n", count.display());
    std::fs::write(&script, text).expect("a script");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("an executable");
    let read = move || {
        std::fs::read_to_string(&count)
            .unwrap_or_default()
            .lines()
            .count()
    };
    (script, read)
}

#[test]
fn a_verdict_that_took_too_much_is_remembered_over_a_restart() {
    let (origin, place) = (TestOrigin::new(), tempfile::tempdir().expect("a place"));
    let (script, started) = counting(place.path(), &format!("exec '{MISDEED}' \"$@\""));
    let good = push_misdeed(&origin, "none");
    let server = service(&origin, script).start();
    server.until_tip(&good);
    let bad = push_misdeed(&origin, "hoard memory");
    refusal(&server, &bad);
    // The look at the start, the good commit, the bad one: once each.
    assert_eq!(started(), 3);
    let server = server.restart();
    let told = refusal(&server, &bad);
    assert!(told.starts_with("limit/memory: "), "{told}");
    server.until_source("ok");
    let next = push_misdeed(&origin, "go too deep");
    refusal(&server, &next);
    // The look at the start, and the new commit: the one before is not tried again.
    assert_eq!(started(), 5);
    // More memory is another question.
    let roomier = server.stop().with(|settings| {
        settings.verdict_confinement.memory_bytes_max = "300000000".parse().expect("an amount");
    });
    refusal(&roomier.start(), &next);
    assert!(started() > 6, "{}", started());
}

#[test]
fn a_verdict_that_somebody_else_killed_is_tried_once_more() {
    let (origin, place) = (TestOrigin::new(), tempfile::tempdir().expect("a place"));
    let commit = push_misdeed(&origin, "none");
    let once =
        format!("case $(wc -l < \"${{0%program}}count\") in 2) kill -9 $$ ;; esac\nexec '{PROGRAM}' \"$@\"");
    let (script, started) = counting(place.path(), &once);
    let server = service(&origin, script).start();
    server.until_tip(&commit);
    // The look at the start, the one that was killed, and the one after it.
    assert_eq!(started(), 3);
}

#[test]
fn a_verdict_that_is_killed_again_and_again_rejects_until_the_next_start() {
    let (origin, place) = (TestOrigin::new(), tempfile::tempdir().expect("a place"));
    let good = push_misdeed(&origin, "none");
    let later =
        format!("test $(wc -l < \"${{0%program}}count\") -lt 3 || kill -9 $$\nexec '{PROGRAM}' \"$@\"");
    let (script, started) = counting(place.path(), &later);
    let server = service(&origin, script).start();
    server.until_tip(&good);
    let commit = push_misdeed(&origin, "connect");
    insta::assert_snapshot!(refusal(&server, &commit), @"
    limit/killed: the verdict was killed from outside, twice
      most often the machine or the container ran out of memory: give it more, or set `verdict_bytes_max` lower; the next push and the next start try again
    ");
    // The look at the start, the good commit, and twice the one that was killed.
    assert_eq!(started(), 4);
    let server = server
        .stop()
        .with(|settings| settings.verdict_program = Some(PROGRAM.into()))
        .start();
    server.until_tip(&commit);
}
