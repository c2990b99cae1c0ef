//! `headwater-agent` against a real server: files, commands, refusals, restarts.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use headwater_tests::http::Ask;
use headwater_tests::scrub::scrub;
use headwater_tests::wait::{wait_for, wait_until};
use serde_json::Value;

use crate::agent_bench::{Bench, value_in};
use crate::command::Running;

/// What a commit that was checked by `--check` has to do: say `good`, or nothing bad at least.
const NOT_BAD: &str = "! grep -q bad \"$HEADWATER_FILE\" || { echo \"that is bad\" >&2; exit 1; }";

#[test]
fn the_files_of_a_commit_come_and_change_together_and_are_told_once() {
    let bench = Bench::start();
    let _agent = bench.run(&[
        "--on-change",
        "echo \"$HEADWATER_CONFIG $(cat config/a.json config/b/c.json | grep -c value)\" >>told",
    ]);
    bench.until_both("1");
    bench.both("2");
    bench.until_both("2");
    let third = bench.both("3");
    bench.until_both("3");
    bench.until_report("a", |report| {
        report["state"] == "applied" && report["running"]["version"] == third.as_str()
    });
    assert_eq!(bench.lines("told"), ["a b/c 2", "a b/c 2", "a b/c 2"]);
}

#[test]
fn a_version_that_the_check_refuses_is_reported_and_the_next_good_one_is_taken() {
    let bench = Bench::start();
    let mut agent = bench.run(&["--check", NOT_BAD]);
    bench.until_both("1");
    bench.commit(&[("a.json", "{\"value\": \"bad\"}")]);
    let report = bench.until_report("a", |report| report["state"] == "failed");
    assert_eq!(report["error"]["phase"], "prepare");
    assert_eq!(
        report["error"]["message"],
        "`--check` ended with exit code 1: that is bad"
    );
    assert_eq!(bench.value("a.json").as_deref(), Some("1"));
    let line = agent.err_line("does not take");
    assert!(
        line.contains("`--check` ended with exit code 1: that is bad"),
        "{line}"
    );
    bench.both("2");
    bench.until_both("2");
    assert_eq!(bench.leftovers().len(), 1, "only the version before");
}

#[test]
fn a_command_that_fails_brings_the_files_of_before_back() {
    let bench = Bench::start();
    let command =
        "echo \"$HEADWATER_VERSION $(cat config/a.json | tr -d ' \\n')\" >>told; ! grep -q bad config/a.json";
    let _agent = bench.run(&["--on-change", command]);
    bench.until_both("1");
    bench.both("bad");
    let report = bench.until_report("a", |report| report["state"] == "failed");
    assert_eq!(report["error"]["phase"], "activate");
    assert_eq!(report["error"]["message"], "`--on-change` ended with exit code 1");
    bench.until_both("1");
    let lines = bench.until_lines("told", 3);
    let values: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        values,
        ["{\"value\":\"1\"}", "{\"value\":\"bad\"}", "{\"value\":\"1\"}"]
    );
    let versions: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(versions[0], versions[2]);
}

#[test]
fn a_signal_tries_again_what_was_refused() {
    let bench = Bench::start();
    let agent = bench.run(&[
        "--check",
        "test -e allowed || ! grep -q later \"$HEADWATER_FILE\"",
    ]);
    bench.until_both("1");
    bench.both("later");
    bench.until_report("a", |report| report["state"] == "failed");
    bench.until_report("b/c", |report| report["state"] == "failed");
    fs::write(bench.path("allowed"), "").unwrap();
    agent.signal("-HUP");
    bench.until_both("later");
}

#[test]
fn what_was_good_is_there_without_a_server_and_the_server_is_found_again() {
    let mut bench = Bench::start();
    let mut agent = bench.run(&["--probation", "50ms"]);
    bench.until_both("1");
    bench.until_report("a", |report| report["state"] == "confirmed");
    bench.until_report("b/c", |report| report["state"] == "confirmed");
    bench.down();
    agent.err_line("no news from the server");
    agent.signal("-TERM");
    assert_eq!(agent.end().code(), Some(0));
    fs::remove_dir_all(bench.path("config")).unwrap();

    let mut agent = bench.run(&[]);
    bench.until_both("1");
    agent.err_line("from the last known good");
    bench.up();
    bench.both("2");
    bench.until_both("2");
    drop(agent);
}

#[test]
fn once_writes_and_says_by_its_exit_code_what_became_of_it() {
    let mut bench = Bench::start();
    assert_eq!(bench.once(&["--check", "exit 1"]), 1);
    assert_eq!(bench.value("a.json"), None);
    assert_eq!(bench.once(&["--file", "x"]), 2);
    // It is there, and says no.
    assert_eq!(bench.once(&["--repo", "elsewhere"]), 1);
    assert_eq!(bench.once(&[]), 0);
    bench.until_both("1");
    bench.down();
    fs::remove_dir_all(bench.path("config")).unwrap();
    // As often as a pod is restarted: what an init container wrote is no crash loop.
    for _ in 0..3 {
        assert_eq!(bench.once(&["--timeout", "1s"]), 0);
        bench.until_both("1");
    }
    fs::remove_dir_all(bench.path("cache")).unwrap();
    assert_eq!(bench.once(&["--timeout", "1s"]), 3);
}

#[test]
fn once_is_content_with_the_last_known_good_and_says_so() {
    let bench = Bench::start();
    assert_eq!(bench.once(&[]), 0);
    bench.commit(&[("a.json", "{\"value\": \"bad\"}")]);
    let output = bench
        .agent()
        .args(["--once", "--check", NOT_BAD])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    bench.until_both("1");
    let told = String::from_utf8(output.stderr).unwrap();
    let last = told.lines().last().unwrap();
    assert!(
        last.ends_with("all files are written, but `a` as last known good and not as newest"),
        "{told}"
    );
}

#[test]
fn a_file_that_is_too_large_for_its_limits_is_an_error_and_no_end() {
    let bench = Bench::start();
    bench.both(&"x".repeat(10_000));
    let agent = bench.agent();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(agent.get_program())
        .args(agent.get_args())
        .arg("--once")
        .current_dir(bench.path(""));
    let output = limited.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("a cannot take"), "{told}");
    assert!(!told.contains("tries again"), "{told}");
}

#[test]
fn once_waits_for_a_server_that_is_still_starting() {
    let mut bench = Bench::start();
    bench.down();
    let mut agent = Running::start(bench.agent().args(["--once", "--timeout", "60s"]));
    agent.err_line("keeping");
    bench.up();
    assert_eq!(agent.end().code(), Some(0));
    bench.until_both("1");
}

#[test]
fn one_file_may_be_any_format() {
    let bench = Bench::start();
    bench.commit(&[("app.toml", "[pool]\nmax = 10\nhost = \"a b\"\n")]);
    for (file, expected) in [
        ("out/app.toml", "[pool]\nhost = \"a b\"\nmax = 10\n"),
        ("out/app.yaml", "pool:\n  host: a b\n  max: 10\n"),
        ("out/app.env", "POOL_HOST=\"a b\"\nPOOL_MAX=10\n"),
        ("out/app.properties", "pool.host=a b\npool.max=10\n"),
    ] {
        let status = bench
            .bare()
            .args(["--config", "app", "--file", file, "--once", "--mode", "0640"])
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::read_to_string(bench.path(file)).unwrap(), expected, "{file}");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(bench.path(file)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o640);
    }
}

#[test]
fn programs_may_ask_by_http_instead() {
    let bench = Bench::start();
    let mut agent = Running::start(bench.bare().args(["--config", "a", "--listen", "127.0.0.1:0"]));
    let line = agent.err_line("answering at http://");
    let addr = line.rsplit("http://").next().unwrap().trim().parse().unwrap();
    wait_until("a value", || Ask::get("/readyz").send(addr).status == 200);
    let reply = Ask::get("/v1/configs/a?pointer=/value").send(addr);
    assert_eq!(reply.json(), Value::from("1"));
    let status = Ask::get("/status").send(addr).json();
    assert_eq!(status["configs"]["a"]["state"], "applied");
    assert_eq!(status["instance"], "web-1");
    bench.both("2");
    wait_until("the change", || {
        Ask::get("/v1/configs/a?pointer=/value").send(addr).json() == "2"
    });
}

/// A switch that is killed leaves one version, and so does a reader find one at any time.
#[test]
fn an_agent_that_is_killed_again_and_again_never_leaves_a_mix() {
    let bench = Bench::start();
    let root = bench.path("config");
    let mut looks = 0;
    let mut number = 1;
    for round in 0..8_u64 {
        let mut agent = bench.run(&["--on-change", "true"]);
        agent.err_line("keeping");
        number += 1;
        let commit = bench.origin.commit(
            &["a.json", "b/c.json"]
                .map(|file| (file, Some(format!("{{\"value\": \"{number}\"}}"))))
                .iter()
                .map(|(file, text)| (*file, text.as_deref()))
                .collect::<Vec<_>>(),
            "change",
        );
        let killed_at = Instant::now() + Duration::from_millis(40 * round);
        while Instant::now() < killed_at || root.join("..data").symlink_metadata().is_err() {
            looks += usize::from(is_one_version(&root));
        }
        drop(agent);
        bench.server().until_tip(&commit);
        let (a, c) = (bench.value("a.json"), bench.value("b/c.json"));
        assert_eq!(a, c, "a mix after the kill");
        assert!(a.is_some());
    }
    assert!(looks > 0);
    let _agent = bench.run(&[]);
    bench.until_both(&number.to_string());
}

/// Whoever resolves `..data` once reads one version.
fn is_one_version(root: &std::path::Path) -> bool {
    let Ok(data) = fs::read_link(root.join("..data")) else {
        return false;
    };
    let data = root.join(data);
    let values = [value_in(&data.join("a.json")), value_in(&data.join("b/c.json"))];
    let [Some(a), Some(c)] = values else {
        assert!(!data.exists(), "a version without its files");
        return false;
    };
    assert_eq!(a, c, "a mix");
    true
}

#[test]
fn an_operator_can_follow_what_happens() {
    let bench = Bench::start();
    let mut agent = bench.run(&["--probation", "50ms", "--check", NOT_BAD]);
    agent.err_line("b/c counts");
    bench.commit(&[("a.json", "{\"value\": \"bad\"}")]);
    agent.err_line("does not take");
    agent.signal("-TERM");
    agent.end();
    let told = scrub(&agent.err_seen());
    let mut lines: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, line)| line.trim())
        .collect();
    // The order in which two parts of the agent speak is nobody's promise.
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    INFO a counts [commit 1] as good
    INFO a is at [commit 1] config=a version="[commit 1]"
    INFO b/c counts [commit 1] as good
    INFO b/c is at [commit 1] config=b/c version="[commit 1]"
    INFO ending, as it was told to
    INFO keeping `a`, `b/c` in `config` as instance `web-1` of `http://127.0.0.1:[port]`
    INFO the server is reached, and changes come at once
    WARN a does not take 8a133da064: `--check` ended with exit code 1: that is bad config=a version="[commit 2]"
    "#);
}

#[test]
fn mistakes_are_told_before_anything_is_asked() {
    let bench = Bench::start();
    let output = bench
        .bare()
        .args(["--config", "/a", "--dir", "x", "--mode", "7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    error: `--config` cannot be `/a`: not a config name: `/a`
      hint: a name is a path such as `payments/prod`
    error: `--mode` cannot be `7`: a config file is read and written, not run
      hint: write it as for `chmod`, such as 0640
    ");
}

#[test]
fn a_second_agent_for_the_same_directory_is_refused() {
    let bench = Bench::start();
    let _agent = bench.run(&[]);
    bench.until_both("1");
    let output = bench.agent().arg("--once").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("another agent writes to"), "{told}");
}

/// The agent must stay small: neither the Git library nor the server's framework is in it.
#[test]
fn the_agent_depends_on_nothing_heavy() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "headwater-client",
            "--features",
            "agent",
        ])
        .args(["-e", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        tree.contains("clap v"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for heavy in ["gix", "axum", "jsonschema", "regex", "reqwest"] {
        let found: Vec<&str> = tree.lines().filter(|line| line.starts_with(heavy)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn the_same_content_under_a_newer_name_moves_no_file() {
    let bench = Bench::start();
    let mut agent =
        Running::start(
            bench
                .agent()
                .args(["--on-change", "echo told >>told", "--listen", "127.0.0.1:0"]),
        );
    let line = agent.err_line("answering at http://");
    let addr = line.rsplit("http://").next().unwrap().trim().parse().unwrap();
    bench.until_both("1");
    // The key order is another one, and the content is the same.
    let commit = bench.commit(&[("a.json", "{\n\"value\":   \"1\"}")]);
    wait_for("the newer name", || {
        let reply = Ask::get("/v1/configs/a").send(addr);
        (reply.status == 200 && reply.json()["version"] == commit.as_str()).then_some(())
    });
    assert_eq!(bench.lines("told"), ["told"]);
}
