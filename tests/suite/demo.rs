//! `headwater demo`, as a newcomer runs it: a process, a clone, and the commands it prints.

use std::path::Path;
use std::process::Command;

use headwater_tests::origin::git;

use crate::command::{Running, WorkTree, headwater, program, told};

/// Runs a command line that the demo printed, in a shell with fixed dates and no settings.
fn shell(line: &str) {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).env_clear();
    for (key, value) in git().get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    let output = command.output().expect("sh runs");
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A demo whose three instances hold something, and the three commands it offers.
fn started(dir: &Path, args: &[&str]) -> (Running, Vec<String>) {
    let mut demo = Running::start(
        program(dir)
            .arg("demo")
            .args(["--listen", "127.0.0.1:0"])
            .args(args),
    );
    demo.line("# Ctrl-C ends the demo");
    for instance in ["payments-1", "payments-2", "payments-3"] {
        let first = demo.seen().lines().find(|line| line.contains(instance));
        assert!(
            first.is_some_and(|line| line.contains("initial")),
            "{}",
            demo.seen()
        );
    }
    let commands = demo
        .seen()
        .lines()
        .filter(|line| line.starts_with("  cd "))
        .map(|line| line.trim().to_owned());
    let commands: Vec<String> = commands.collect();
    assert_eq!(commands.len(), 3, "{}", demo.seen());
    (demo, commands)
}

/// The next line of each instance, in the order of their names.
fn three(demo: &mut Running, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = (0..3).map(|_| demo.line(text)).collect();
    lines.sort_by_key(|line| {
        line.find("payments-")
            .map(|at| line.chars().skip(at).collect::<String>())
    });
    for (line, instance) in lines.iter().zip(["payments-1", "payments-2", "payments-3"]) {
        assert!(line.contains(instance), "{line}");
    }
    lines
}

#[test]
fn a_change_arrives_a_mistake_does_not_and_a_rollback_goes_back() {
    let place = WorkTree::plain();
    let (mut demo, commands) = started(place.path(), &["--dir", "here"]);
    let canary = demo
        .seen()
        .lines()
        .find(|line| line.contains("payments-3"))
        .unwrap()
        .to_owned();
    assert!(canary.contains("/refunds/mode = \"instant\""), "{canary}");

    shell(&commands[0]);
    three(&mut demo, "forward");
    assert_eq!(
        demo.seen().matches("/pool/max 40 → 50").count(),
        3,
        "{}",
        demo.seen()
    );

    shell(&commands[1]);
    demo.line("every instance keeps what it has");
    demo.line("services/payments/prod.toml:1:16: error[schema/maximum]");

    shell(&commands[2]);
    three(&mut demo, "rollback");
    assert_eq!(
        demo.seen().matches("/pool/max 50 → 40").count(),
        3,
        "{}",
        demo.seen()
    );
    demo.line("the head is published");

    // The clone has the commit that went back, and goes on from there.
    shell(&commands[0]);
    three(&mut demo, "/pool/max 40 → 50");

    demo.signal("-INT");
    assert_eq!(demo.end().code(), Some(0), "{}", demo.seen());
}

#[test]
fn a_named_directory_is_kept_and_taken_up_again() {
    let place = WorkTree::plain();
    let (mut demo, commands) = started(place.path(), &["--dir", "here"]);
    shell(&commands[0]);
    three(&mut demo, "/pool/max 40 → 50");
    demo.signal("-TERM");
    assert_eq!(demo.end().code(), Some(0));
    assert!(demo.seen().ends_with(&format!(
        "kept in {}\n",
        place.join("here").canonicalize().unwrap().display()
    )));

    let (mut again, _) = started(place.path(), &["--dir", "here"]);
    assert_eq!(
        again.seen().matches("/pool/max = 50").count(),
        3,
        "{}",
        again.seen()
    );
    again.signal("-INT");
    assert_eq!(again.end().code(), Some(0));
}

#[test]
fn a_temporary_directory_is_gone_at_the_end() {
    let temporary = WorkTree::plain();
    let mut demo = program(temporary.path());
    demo.env("TMPDIR", temporary.path())
        .args(["demo", "--listen", "127.0.0.1:0"]);
    let mut demo = Running::start(&mut demo);
    demo.line("# Ctrl-C ends the demo");
    let entries = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(entries(), 1);
    demo.signal("-INT");
    assert_eq!(demo.end().code(), Some(0));
    assert_eq!(entries(), 0);
}

#[test]
fn where_the_usual_port_is_taken_a_free_one_is_used_and_told() {
    // Whether this test can take the port or somebody else has it already, it is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:7171");
    let place = WorkTree::plain();
    let mut demo = Running::start(program(place.path()).args(["demo", "--dir", "here"]));
    demo.err_line("port 7171 is taken");
    let line = demo.line("API ");
    assert!(!line.contains(":7171/"), "{line}");
    drop(taken);
}

#[test]
fn a_port_that_was_named_is_the_only_one_that_will_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = WorkTree::plain();
    let said = headwater(place.path(), &["demo", "--dir", "here", "--listen", &address])
        .replace(&address, "ADDRESS");
    assert!(
        said.starts_with("exit 1\n") && said.contains("error: cannot listen on `ADDRESS`"),
        "{said}"
    );
}

#[test]
fn what_a_demo_cannot_do_is_said_with_a_way_out() {
    let place = WorkTree::plain();
    place.write("mine/thesis.txt", "years of work");
    insta::assert_snapshot!(place.headwater(&["demo", "--dir", "mine"]).replace(&place.path().canonicalize().unwrap().display().to_string(), "PLACE"), @"
    exit 1
    --- standard error
    error: the directory is not empty: `PLACE/mine`
    hint: name a new directory; nothing is ever written over
    ");
    place.git(&["init", "-q", "--bare", "half/upstream.git"]);
    insta::assert_snapshot!(place.headwater(&["demo", "--dir", "half"]).replace(&place.path().canonicalize().unwrap().display().to_string(), "PLACE"), @"
    exit 1
    --- standard error
    error: a demo was begun and not finished in `PLACE/half`
    hint: remove the directory, or name another one
    ");
    insta::assert_snapshot!(place.headwater(&["demo", "--listen", "0.0.0.0:0"]), @"
    exit 2
    --- standard error
    error: a demo is for this machine alone and does not listen on `0.0.0.0:0`
    hint: name a port of 127.0.0.1, or use `headwater serve`
    ");
    insta::assert_snapshot!(told(program(place.path()).env("PATH", "/nonexistent").arg("demo")), @"
    exit 1
    --- standard error
    error: the demo needs `git`, which is not installed
    hint: install it; `headwater serve` alone needs it only for paths and ssh
    ");
}
