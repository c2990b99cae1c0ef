//! A program that the agent runs: started with its files, restarted, signalled, given up.

use std::fs;
use std::process::Command;

use headwater_tests::wait::wait_until;

use crate::agent_bench::Bench;
use crate::command::Running;

/// Writes a line with the value it finds at its start, and stays.
const PROGRAM: &str = "echo \"start $(tr -d '{}\" \\n' <config/a.json)\" >>lives; trap 'exit 0' TERM; \
                       trap 'echo hup >>lives' HUP; while :; do sleep 0.02; done";

fn supervised(bench: &Bench, args: &[&str], script: &str) -> Running {
    Running::start(bench.agent().args(args).args(["--", "sh", "-c", script]))
}

#[test]
fn a_program_starts_with_its_files_and_is_restarted_with_new_ones() {
    let bench = Bench::start();
    let mut agent = supervised(&bench, &[], PROGRAM);
    bench.until_lines("lives", 1);
    bench.both("2");
    assert_eq!(bench.until_lines("lives", 2), ["start value:1", "start value:2"]);
    agent.signal("-TERM");
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn a_program_that_can_read_again_is_signalled() {
    let bench = Bench::start();
    let mut agent = supervised(&bench, &["--signal", "HUP"], PROGRAM);
    bench.until_lines("lives", 1);
    bench.both("2");
    assert_eq!(bench.until_lines("lives", 2), ["start value:1", "hup"]);
    agent.signal("-TERM");
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn the_exit_code_of_the_program_is_that_of_the_agent() {
    let bench = Bench::start();
    for (script, code) in [
        ("exit 0", 0),
        ("sleep 0.3; exit 7", 7),
        ("sleep 0.3; kill -KILL $$", 137),
    ] {
        // Once it has proved itself, its end is its own business.
        let mut agent = supervised(&bench, &["--probation", "50ms"], script);
        assert_eq!(agent.end().code(), Some(code), "{script}");
    }
}

#[test]
fn a_program_that_dies_of_each_new_version_comes_up_a_third_time_with_the_last_good_one() {
    let bench = Bench::start();
    let script = "value=$(tr -d '{}\" \\n' <config/a.json); echo \"$value\" >>lives; \
                  case $value in *bad) sleep 0.1; exit 9;; esac; \
                  trap 'exit 0' TERM; while :; do sleep 0.02; done";
    let mut agent = supervised(&bench, &["--probation", "2s"], script);
    bench.until_report("a", |report| report["state"] == "confirmed");
    bench.until_report("b/c", |report| report["state"] == "confirmed");
    bench.commit(&[("a.json", "{\"value\": \"bad\"}")]);
    let lives = bench.until_lines("lives", 4);
    assert_eq!(lives, ["value:1", "value:bad", "value:bad", "value:1"]);
    let report = bench.until_report("a", |report| report["source"] == "last_known_good");
    assert_eq!(report["state"], "failed");
    assert_eq!(report["error"]["phase"], "crash");
    bench.commit(&[("a.json", "{\"value\": \"2\"}")]);
    assert_eq!(bench.until_lines("lives", 5)[4], "value:2");
    agent.signal("-TERM");
    assert_eq!(agent.end().code(), Some(0));
}

#[test]
fn an_agent_that_is_killed_and_started_again_does_not_hold_that_against_a_version() {
    let bench = Bench::start();
    // It ends with the agent, however that ends.
    let script =
        "echo \"$(tr -d '{}\" \\n' <config/a.json)\" >>lives; while kill -0 $PPID; do sleep 0.02; done";
    let mut agent = supervised(&bench, &["--probation", "50ms"], script);
    bench.until_report("a", |report| report["state"] == "confirmed");
    bench.until_report("b/c", |report| report["state"] == "confirmed");
    agent.signal("-TERM");
    agent.end();
    bench.commit(&[("a.json", "{\"value\": \"2\"}")]);
    for life in 2..6 {
        let mut agent = supervised(&bench, &["--probation", "1h"], script);
        assert_eq!(bench.until_lines("lives", life)[life - 1], "value:2");
        bench.until_report("a", |report| report["state"] == "applied");
        agent.signal("-KILL");
        agent.end();
    }
}

#[test]
fn a_program_that_dies_of_the_only_version_there_is_is_started_with_it_by_the_next_agent() {
    let mut bench = Bench::start();
    let script = "echo start >>lives; sleep 0.1; exit 9";
    let mut agent = supervised(&bench, &[], script);
    assert_eq!(agent.end().code(), Some(9));
    let lives = bench.lines("lives").len();
    bench.down();
    let mut agent = supervised(&bench, &[], script);
    assert_eq!(agent.end().code(), Some(9));
    assert!(bench.lines("lives").len() > lives);
}

#[test]
fn a_program_never_sees_the_token() {
    let bench = Bench::start();
    let mut command = bench.agent();
    command.env("HEADWATER_TOKEN", "hunter2");
    let mut agent =
        Running::start(command.args(["--on-change", "env >>seen", "--", "sh", "-c", "env >>seen"]));
    assert_eq!(agent.end().code(), Some(0));
    let seen = fs::read_to_string(bench.path("seen")).unwrap();
    assert!(seen.contains("HEADWATER_DIR="));
    assert!(!seen.contains("hunter2"), "{seen}");
}

/// Where the system lets us make a namespace of processes, the agent is process 1 of it, as in a container.
#[test]
fn as_the_first_process_of_a_container_it_collects_the_dead_and_keeps_the_exit_code() {
    let can = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        // The law is the same without it; only the system does not let us show it.
        return;
    }
    let bench = Bench::start();
    let agent = bench.agent();
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(agent.get_program())
        .args(agent.get_args())
        .current_dir(bench.path(""));
    // An orphan that ends at once becomes a zombie of process 1 unless that collects it.
    let script = "(sleep 0.05 &) ; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ') Z ' >zombies; exit 7";
    let mut agent = Running::start(command.args(["--probation", "50ms", "--", "sh", "-c", script]));
    assert_eq!(agent.end().code(), Some(7));
    wait_until("the count", || !bench.lines("zombies").is_empty());
    assert_eq!(bench.lines("zombies"), ["0"]);
}
