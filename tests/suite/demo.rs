//! `headwater demo`, as a newcomer runs it: a process, a clone, and the commands it prints.

use std::path::Path;
use std::process::Command;

use headwater_tests::origin::git;
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::command::{Running, WorkTree, headwater, program, told};

/// What a command line says that the demo printed, in a shell with fixed dates and no settings.
fn shell(line: &str) -> String {
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
        "{line}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The names of the instances.
const NAMES: [&str; 3] = ["payments-1", "payments-2", "payments-3"];

/// What a demo offers to try.
struct Offered {
    /// Moves in stages.
    stages: String,
    /// Lists rollouts.
    rollouts: String,
    /// Is refused by the canary.
    refused: String,
    /// Turns back what was refused.
    abort: String,
    /// Moves everybody at once.
    together: String,
    /// Is rejected.
    broken: String,
    /// Goes back to the beginning.
    back: String,
}

/// A demo whose three instances hold something, and what it offers.
fn started(dir: &Path, args: &[&str]) -> (Running, Offered) {
    let mut demo = Running::start(
        program(dir)
            .arg("demo")
            .args(["--listen", "127.0.0.1:0"])
            .args(args),
    );
    demo.line("# Ctrl-C ends the demo");
    for config in ["payments/prod", "feature-flags"] {
        for instance in NAMES {
            let is_first = |line: &&str| line.contains(instance) && line.contains(config);
            let first = demo.seen().lines().find(is_first);
            assert!(
                first.is_some_and(|line| line.contains("starts")),
                "{}",
                demo.seen()
            );
        }
    }
    let commands = demo
        .seen()
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("  #"))
        .map(|line| line.trim().to_owned());
    let commands: Vec<String> = commands.collect();
    let Ok([stages, rollouts, refused, abort, together, broken, back]) = <[String; 7]>::try_from(commands)
    else {
        panic!("{}", demo.seen());
    };
    let offered = Offered {
        stages,
        rollouts,
        refused,
        abort,
        together,
        broken,
        back,
    };
    (demo, offered)
}

/// The next line of each instance, in the order of their names.
fn three(demo: &mut Running, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = (0..3).map(|_| demo.line(text)).collect();
    lines.sort_by_key(|line| {
        line.find("payments-")
            .map(|at| line.chars().skip(at).collect::<String>())
    });
    for (line, instance) in lines.iter().zip(NAMES) {
        assert!(line.contains(instance), "{line}");
    }
    lines
}

/// The rollouts of a config, newest first, once the newest is in a state.
fn rollouts(offered: &Offered, config: &str, state: &str) -> Value {
    let command = format!("{} {config} --output json", offered.rollouts);
    wait_for(&format!("{config} is {state}"), || {
        let list: Value = serde_json::from_str(&shell(&command)).expect("JSON");
        let rollouts = list["rollouts"].clone();
        (rollouts[0]["state"] == state).then_some(rollouts)
    })
}

#[test]
fn a_change_moves_from_the_canary_to_all_and_ends_done() {
    let place = WorkTree::plain();
    let (mut demo, offered) = started(place.path(), &["--dir", "here"]);
    let canary = demo.seen().lines().find(|line| line.contains("payments-3"));
    assert!(
        canary.is_some_and(|line| line.contains("/refunds/mode = \"instant\"")),
        "{}",
        demo.seen()
    );

    shell(&offered.stages);
    let moved = three(&mut demo, "/pool/max 40 → 45");
    assert!(
        moved.iter().all(|line| line.contains("payments/prod  runs ")),
        "{moved:?}"
    );
    let is_move = |line: &&str| line.contains("/pool/max 40 → 45");
    let first = demo.seen().lines().find(is_move).expect("it moved");
    assert!(first.contains("payments-3"), "the canary is first: {first}");
    let rollout = &rollouts(&offered, "payments/prod", "done")[0];
    assert_eq!(
        (&rollout["stages_total"], &rollout["counts"]["members"]),
        (&json!(2), &json!(3))
    );

    demo.signal("-INT");
    assert_eq!(demo.end().code(), Some(0), "{}", demo.seen());
}

#[test]
fn what_the_canary_refuses_goes_back_and_nobody_else_ever_sees_it() {
    let place = WorkTree::plain();
    let (mut demo, offered) = started(place.path(), &["--dir", "here"]);
    shell(&offered.refused);
    let refused = demo.line("refuses");
    assert!(
        refused.contains("payments-3") && refused.contains("/pool/max 50: this machine takes 45 at most"),
        "{refused}"
    );
    let halted = &rollouts(&offered, "payments/prod", "halted")[0];
    assert_eq!(halted["counts"]["failed"], 1, "{halted}");
    assert!(shell(&offered.abort).contains("on request: The canary refuses it"));
    rollouts(&offered, "payments/prod", "rolled_back");

    // Once the way back is in Git nothing is held back, and what comes next builds on that commit.
    wait_for("the way back is in Git", || {
        let files = place.git(&[
            "-C",
            "here/upstream.git",
            "show",
            "main:services/payments/prod.toml",
        ]);
        files.contains("max = 40").then_some(())
    });
    let holds = offered.rollouts.replace(" rollouts ", " holds ");
    wait_for("nothing is held back", || {
        let list: Value = serde_json::from_str(&shell(&format!("{holds} --output json"))).expect("JSON");
        (list["holds"] == json!([])).then_some(())
    });
    shell(&offered.stages);
    three(&mut demo, "/pool/max 40 → 45");
    assert!(!demo.seen().contains("→ 50"), "{}", demo.seen());
}

#[test]
fn a_flag_is_switched_by_all_once_all_are_ready_and_by_nobody_if_one_refuses() {
    let place = WorkTree::plain();
    let (mut demo, offered) = started(place.path(), &["--dir", "here"]);
    shell(&offered.together);
    three(&mut demo, "ready");
    three(&mut demo, "/flags/new-checkout/percent 25 → 50");
    rollouts(&offered, "feature-flags", "done");

    let beyond = offered
        .together
        .replace("percent: 25/percent: 50", "percent: 50/percent: 60");
    shell(&beyond);
    let refused = demo.line("refuses");
    assert!(refused.contains("payments-2"), "{refused}");
    rollouts(&offered, "feature-flags", "aborted");
    assert!(!demo.seen().contains("→ 60"), "{}", demo.seen());
}

#[test]
fn a_mistake_does_not_arrive_and_a_rollback_goes_back() {
    let place = WorkTree::plain();
    let (mut demo, offered) = started(place.path(), &["--dir", "here"]);
    shell(&offered.stages);
    three(&mut demo, "/pool/max 40 → 45");

    shell(&offered.broken);
    demo.line("every instance keeps what it has");
    demo.line("services/payments/prod.toml:1:16: error[schema/maximum]");

    shell(&offered.back);
    three(&mut demo, "/pool/max 45 → 40");
    demo.line("the head is published");

    // The clone has the commit that went back, and goes on from there.
    shell(&offered.stages);
    three(&mut demo, "/pool/max 40 → 45");
}

#[test]
fn a_named_directory_is_kept_and_taken_up_again() {
    let place = WorkTree::plain();
    let (mut demo, offered) = started(place.path(), &["--dir", "here"]);
    shell(&offered.stages);
    three(&mut demo, "/pool/max 40 → 45");
    rollouts(&offered, "payments/prod", "done");
    demo.signal("-TERM");
    assert_eq!(demo.end().code(), Some(0));
    assert!(demo.seen().ends_with(&format!(
        "kept in {}\n",
        place.join("here").canonicalize().unwrap().display()
    )));

    let (mut again, _) = started(place.path(), &["--dir", "here"]);
    assert_eq!(
        again.seen().matches("/pool/max = 45").count(),
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
