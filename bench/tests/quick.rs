//! Every mode of the benchmark works; what it measures is not looked at, but for the bounds of the mode `hostile`.

use std::process::Command;

use serde_json::Value;

/// The rows of a mode in its quick profile.
fn rows(args: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_headwater-bench"))
        .args(args)
        .args(["--quick", "--json"])
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["what"].as_str()).collect()
}

#[test]
fn reads_are_measured_beside_their_floor() {
    let rows = rows(&["read", "--connections", "4"]);
    let expected = [
        "floor: canned",
        "bare HTTP library",
        "by commit",
        "current",
        "not modified",
    ];
    assert_eq!(names(&rows), expected);
    assert!(
        rows.iter().all(|row| row["per_s"].as_f64() > Some(0.0)),
        "{rows:?}"
    );
}

#[test]
fn watchers_by_event_stream_are_measured_beside_their_floor() {
    let rows = rows(&["watch", "--rounds", "2"]);
    assert_eq!(names(&rows), ["floor: bare loop", "event stream"]);
    assert!(
        rows.iter().all(|row| row["last_ms"].as_f64() > Some(0.0)),
        "{rows:?}"
    );
}

#[test]
fn watchers_by_long_poll_are_measured_beside_their_floor() {
    let rows = rows(&["watch", "--long-poll", "--rounds", "2"]);
    assert_eq!(names(&rows), ["floor: bare loop", "long poll"]);
}

#[test]
fn starts_and_commits_are_measured_beside_git_in_each_size() {
    let rows = rows(&["commit", "--files", "20,150", "--configs", "60"]);
    let of = |files: u32| {
        let kinds = [
            "cold start",
            "start after a kill",
            "one file changed",
            "10 files changed",
        ];
        kinds.map(|kind| format!("{files} files: {kind}"))
    };
    assert_eq!(names(&rows), [of(20), of(150)].concat());
    let positive = |row: &Value, name: &str| row[name].as_f64() > Some(0.0);
    assert!(
        rows.iter()
            .all(|row| positive(row, "median_ms") && positive(row, "floor_git_ms")),
        "{rows:?}"
    );
    // One verdict a commit, and none for what was judged before it was killed.
    let verdicts = rows.iter().map(|row| row["verdicts"].as_f64());
    assert!(
        verdicts.eq([1.0, 0.0, 1.0, 1.0].repeat(2).into_iter().map(Some)),
        "{rows:?}"
    );
}

#[test]
fn a_push_is_followed_until_every_instance_has_reported_it() {
    let rows = rows(&["end-to-end", "--instances", "5", "--rounds", "2"]);
    let expected = [
        "floor: git push alone",
        "pushed",
        "delivery taken",
        "first instance switched",
        "half of them switched",
        "95 of 100 switched",
        "all switched",
        "all reported",
    ];
    assert_eq!(names(&rows), expected);
    // All but the floor are moments of one way.
    let at: Vec<f64> = rows
        .iter()
        .skip(1)
        .filter_map(|row| row["p99_ms"].as_f64())
        .collect();
    assert!(at.len() == 7 && at[0] > 0.0 && at[2..].is_sorted(), "{rows:?}");
}

#[test]
fn reads_in_a_program_are_measured_beside_a_bare_pointer() {
    let rows = rows(&["load"]);
    let expected = [
        "floor: ArcSwap::load",
        "Handle::load",
        "Reader::load",
        "RwLock<Arc>, cloned",
    ];
    assert_eq!(names(&rows), expected);
}

#[test]
fn everybody_is_answered_after_a_change_and_after_a_kill() {
    let rows = rows(&["herd", "--rounds", "2"]);
    let expected = [
        "after a change: bare loop",
        "after a change: service",
        "after a kill: bare loop",
        "after a kill: service",
        "after a kill: client library",
    ];
    assert_eq!(names(&rows), expected);
    assert!(rows.iter().all(|row| row["errors"] == 0.0), "{rows:?}");
}

#[test]
fn nothing_grows_without_bound_while_clients_come_and_go() {
    let rows = rows(&["soak"]);
    let expected = [
        "memory, MiB",
        "descriptors",
        "threads",
        "connections",
        "watches",
        "packs",
        "data, MiB",
    ];
    assert_eq!(names(&rows), expected);
    assert!(
        rows.iter().all(|row| row["pushes"].as_f64() > Some(0.0)),
        "{rows:?}"
    );
}

/// The calm and the attacks, all of whose bounds hold.
fn beside(attacks: &[&str]) -> Vec<Value> {
    let only = attacks.iter().flat_map(|attack| ["--only", attack]);
    let rows = rows(&std::iter::once("hostile").chain(only).collect::<Vec<_>>());
    assert_eq!(rows.len(), 1 + attacks.len(), "{rows:?}");
    assert!(rows.iter().all(|row| row["failed"] == 0.0), "{rows:?}");
    rows
}

#[test]
fn those_who_behave_are_served_beside_connections_that_say_nothing_or_too_little() {
    let rows = beside(&["slowloris", "half-open", "unread"]);
    assert_eq!(
        names(&rows),
        [
            "calm",
            "slowloris",
            "half-open connections",
            "watchers that never read"
        ]
    );
    assert!(
        rows.iter().skip(1).all(|row| row["made"].as_f64() > Some(0.0)),
        "{rows:?}"
    );
}

#[test]
fn those_who_behave_are_served_beside_floods_of_reports_and_deliveries() {
    let rows = beside(&["reports", "names", "webhooks"]);
    assert_eq!(
        names(&rows),
        [
            "calm",
            "bogus reports",
            "reports under new names",
            "webhook flood"
        ]
    );
    assert!(
        rows.iter().skip(1).all(|row| row["made"].as_f64() >= Some(300.0)),
        "{rows:?}"
    );
}

#[test]
fn those_who_behave_are_served_beside_deliveries_without_an_end_and_upstreams_that_lie() {
    let rows = beside(&["unfinished", "upstream"]);
    assert_eq!(
        names(&rows),
        ["calm", "webhooks without an end", "upstreams of 3 M refs"]
    );
}

#[test]
fn more_watchers_than_open_files_are_refused_with_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_headwater-bench"))
        .args(["watch", "--quick", "--watchers", "4000000000"])
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ulimit -n"), "{said}");
}
