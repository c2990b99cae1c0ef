//! Reports of state: which one counts, what it is answered, and that a program which only reports is a complete client.

use std::time::Duration;

use headwater_client::{Api, InstancesQuery};
use headwater_server::settings::FleetSettings;
use headwater_server::store::backup;
use headwater_tests::git_http::{Fault, GitHttp};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;
use headwater_wire::{
    CommitId, ConfigName, ConfigReport, InstanceReport, ReportAnswerWith, ReportState, StateWanted,
    VersionEventWith,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::watch::{served, set};

const INSTANCES: &str = "/v1/repos/default/instances";

fn put_text(server: &TestServer, instance: &str, body: &str) -> Reply {
    server.ask(&Ask::new("PUT", &format!("{INSTANCES}/{instance}")).body("application/json", body.as_bytes()))
}

fn put(server: &TestServer, instance: &str, report: &Value) -> Reply {
    put_text(server, instance, &report.to_string())
}

fn reported(server: &TestServer, instance: &str, report: &Value) -> Value {
    put(server, instance, report).expect(200).json()
}

fn report((incarnation, seq): (u64, u64), configs: &Value) -> Value {
    json!({"incarnation": incarnation, "seq": seq, "client": "test/1", "configs": configs})
}

/// Reports until the assignment has this generation: on a busy machine it may take more than one heartbeat.
fn until_generation(server: &TestServer, generation: u64, config: &Value) -> Value {
    let mut seq = 0;
    wait_for(&format!("told of generation {generation}"), || {
        seq += 1;
        let answer = reported(server, "i", &report((1, seq), &json!({"app": config})));
        let assignment = answer["assignments"][0].clone();
        (assignment["generation"] == generation).then_some(assignment)
    })
}

/// A program that knows nothing but the PUT.
struct Program<'a> {
    server: &'a TestServer,
    seq: u64,
    /// What it runs: version, digest, document.
    running: Option<(Value, Value, Value)>,
    generation: u64,
}

impl<'a> Program<'a> {
    fn new(server: &'a TestServer) -> Self {
        Self {
            server,
            seq: 0,
            running: None,
            generation: 0,
        }
    }

    fn state(&self) -> Value {
        let running = self.running.as_ref();
        let running = running.map(|(version, digest, _)| json!({"version": version, "digest": digest}));
        let state = if running.is_some() { "confirmed" } else { "pending" };
        let mut config = json!({"generation": self.generation, "state": state});
        if let Some(running) = running {
            config["running"] = running;
        }
        config
    }

    /// One report, and what follows from its answer. Gives the assignment, if there was one.
    fn turn(&mut self) -> Option<Value> {
        self.seq += 1;
        let answer = reported(
            self.server,
            "program",
            &report((1, self.seq), &json!({"app": self.state()})),
        );
        let assignment = answer["assignments"].as_array().unwrap().first().cloned()?;
        let generation = assignment["generation"].as_u64().unwrap();
        if generation > self.generation {
            self.generation = generation;
            if let Some(document) = assignment.get("document") {
                self.running = Some((
                    assignment["version"].clone(),
                    assignment["digest"].clone(),
                    document.clone(),
                ));
            }
        }
        Some(assignment)
    }

    fn value(&self) -> Option<i64> {
        self.running
            .as_ref()
            .and_then(|(_, _, document)| document["v"].as_i64())
    }

    fn until(&mut self, value: i64) -> Value {
        wait_for(&format!("the program runs {value}"), || {
            let assignment = self.turn();
            (self.value() == Some(value)).then_some(assignment).flatten()
        })
    }
}

#[test]
fn a_report_is_remembered_shown_and_answered_with_what_to_hold() {
    let (_origin, server, first) = served();
    let body = json!({
        "incarnation": 7, "seq": 1, "client": "test/1", "labels": {"region": "eu"},
        "configs": {"app": {"generation": 0, "state": "pending"}},
    });
    let answer = reported(&server, "i-1", &body);
    assert_eq!(answer["accepted"], true);
    assert_eq!((&answer["incarnation"], &answer["seq"]), (&json!(7), &json!(1)));
    assert_eq!(answer["heartbeat_ms"], 30_000);
    let assignment = &answer["assignments"][0];
    assert_eq!(assignment["config"], "app");
    assert_eq!(assignment["version"], first.as_str());
    assert_eq!(assignment["change"], "initial");
    assert_eq!(assignment["document"], json!({"v": 1}));
    let shown = server.get(&format!("{INSTANCES}/i-1")).expect(200).json();
    assert_eq!(shown["instance"], "i-1");
    assert_eq!(shown["labels"], json!({"region": "eu"}));
    assert_eq!(shown["configs"]["app"]["state"], "pending");
    assert!(shown["reported_at"].is_string());
    assert_eq!(
        server.get(&format!("{INSTANCES}/i-2")).expect(404).code(),
        "instance_not_found"
    );
}

#[test]
fn who_runs_what_it_should_is_told_so_without_the_document() {
    let (_origin, server, _) = served();
    let mut program = Program::new(&server);
    program.until(1);
    let assignment = program.turn().unwrap();
    assert!(assignment.get("document").is_none(), "{assignment}");
    assert_eq!(assignment["generation"], program.generation);
}

#[test]
fn a_program_that_only_reports_follows_a_change_and_a_rollback() {
    let (origin, server, _) = served();
    let mut program = Program::new(&server);
    assert_eq!(program.until(1)["change"], "initial");
    set(&origin, 2);
    assert_eq!(program.until(2)["change"], "forward");
    set(&origin, 1);
    assert_eq!(program.until(1)["change"], "rollback");
    set(&origin, 3);
    assert_eq!(program.until(3)["change"], "forward");
}

#[test]
fn an_older_report_that_comes_late_changes_nothing_and_is_told_so() {
    let (_origin, server, _) = served();
    let state = |state: &str| json!({"app": {"generation": 0, "state": state}});
    reported(&server, "i", &report((5, 9), &state("applied")));
    // What it said; that it was heard once more is no change of that.
    let shown = || {
        let view = one(&server, "i");
        ["reported_at", "incarnation", "seq", "client", "configs"].map(|field| view[field].clone())
    };
    let before = shown();
    for older in [(5, 8), (4, 100)] {
        let answer = reported(&server, "i", &report(older, &state("failed")));
        assert_eq!(answer["accepted"], false);
        assert_eq!((&answer["incarnation"], &answer["seq"]), (&json!(5), &json!(9)));
    }
    // The same one again is the same.
    let answer = reported(&server, "i", &report((5, 9), &state("applied")));
    assert_eq!(answer["accepted"], true);
    assert_eq!(shown(), before);
    // A new life counts from one.
    let answer = reported(&server, "i", &report((6, 1), &state("pending")));
    assert_eq!((&answer["accepted"], &answer["seq"]), (&json!(true), &json!(1)));
    assert_eq!(one(&server, "i")["configs"]["app"]["state"], "pending");
}

#[test]
fn a_config_that_the_tip_does_not_have_is_named_as_unknown() {
    let (origin, server, _) = served();
    let both =
        json!({"app": {"generation": 0, "state": "pending"}, "gone": {"generation": 3, "state": "applied"}});
    let answer = reported(&server, "i", &report((1, 1), &both));
    assert_eq!(answer["unknown"], json!(["gone"]));
    assert_eq!(answer["assignments"].as_array().unwrap().len(), 1);
    let third = origin.commit(&[("gone.json", Some("{}"))], "now it is there");
    server.until_tip(&third);
    let answer = reported(&server, "i", &report((1, 2), &both));
    assert!(answer.get("unknown").is_none());
    assert_eq!(answer["assignments"].as_array().unwrap().len(), 2);
}

#[test]
fn invented_configs_are_named_as_unknown_and_not_remembered() {
    let (_origin, server, first) = served();
    let invented = |letter: char| {
        let config = json!({"generation": 0, "state": "failed", "error": {"phase": "fetch", "message": "x".repeat(500)}});
        let mut configs: serde_json::Map<String, Value> = (0..255)
            .map(|n| (format!("{letter}/{n}"), config.clone()))
            .collect();
        configs.extend(
            runs(&server, &first, "confirmed", None)
                .as_object()
                .unwrap()
                .clone(),
        );
        Value::Object(configs)
    };
    reported(
        &server,
        "honest",
        &report((1, 1), &runs(&server, &first, "confirmed", None)),
    );
    for (instance, letter, remembered) in [("a", 'a', 5), ("b", 'b', 5)] {
        let answer = reported(&server, instance, &report((1, 1), &invented(letter)));
        assert_eq!(answer["unknown"].as_array().unwrap().len(), 255);
        let shown = one(&server, instance);
        assert_eq!(
            shown["configs"].as_object().unwrap().len(),
            remembered,
            "{instance}"
        );
        assert_eq!(shown["configs"]["app"]["state"], "confirmed");
    }
    let counts = server.get("/v1/repos/default/fleet").expect(200).json();
    assert_eq!(counts["configs"]["app"]["instances"], 3);
}

#[test]
fn while_nothing_is_published_a_report_is_taken_and_nothing_is_assigned() {
    let origin = TestOrigin::new();
    let server = TestServer::of(&origin);
    server.until_source("empty_repository");
    let answer = reported(
        &server,
        "i",
        &report((1, 1), &json!({"app": {"generation": 4, "state": "confirmed"}})),
    );
    assert_eq!(answer["accepted"], true);
    assert_eq!(answer["assignments"], json!([]));
    assert!(answer.get("unknown").is_none(), "nobody knows yet: {answer}");
}

#[test]
fn what_is_no_report_is_refused_with_what_is_wrong() {
    let (_origin, server, _) = served();
    let target = format!("{INSTANCES}/i");
    let code = |body: &str| put_text(&server, "i", body).expect(400).code();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"incarnation\": 1}",
        "{\"incarnation\": -1, \"seq\": 1}",
        "{\"incarnation\": 1, \"seq\": 1, \"configs\": {\"../x\": {\"state\": \"pending\"}}}",
        "{\"incarnation\": 1, \"seq\": 1, \"configs\": {\"a\": {}}}",
        "{\"incarnation\": 1, \"seq\": 1, \"configs\": {\"a\": {\"state\": \"applied\", \"running\": {\"version\": \"HEAD\", \"digest\": \"sha256:0\"}}}}",
        "{\"incarnation\": 1, \"seq\": 1, \"labels\": {\"\": \"x\"}}",
        "{\"incarnation\": 1, \"seq\": 1, \"labels\": {\"a\": \"\\u0007\"}}",
        "{\"incarnation\": 9007199254740992, \"seq\": 1}",
        "{\"incarnation\": 1, \"seq\": 1, \"configs\": {\"a\": {\"state\": \"applied\", \"generation\": 18446744073709551615}}}",
    ] {
        assert_eq!(code(body), "bad_request", "{body}");
    }
    let list = put_text(&server, "i", "[]").expect(400).json();
    assert_eq!(
        list["detail"],
        "the report cannot be read: it is a list, and should be an object"
    );
    assert_eq!(code(&"[".repeat(100_000)), "bad_request");
    let configs: serde_json::Map<String, Value> = (0..257)
        .map(|n| (format!("c{n}"), json!({"state": "pending"})))
        .collect();
    assert_eq!(
        code(&report((1, 1), &Value::Object(configs)).to_string()),
        "bad_request"
    );
    let large = json!({"incarnation": 1, "seq": 1, "client": "x".repeat(300_000)}).to_string();
    assert_eq!(put_text(&server, "i", &large).expect(413).code(), "too_large");
    let form = Ask::new("PUT", &target).body("application/x-www-form-urlencoded", b"a=b");
    assert_eq!(server.ask(&form).expect(415).code(), "unsupported_media_type");
    let good = report((1, 1), &json!({})).to_string();
    assert_eq!(
        put_text(&server, "a%2Fb", &good).expect(400).code(),
        "bad_request"
    );
    for instance in ["i".repeat(129), ".".to_owned(), "..".to_owned()] {
        assert_eq!(
            put_text(&server, &instance, &good).expect(400).code(),
            "bad_request"
        );
    }
    assert_eq!(
        server.ask(&Ask::new("POST", &target)).expect(405).code(),
        "method_not_allowed"
    );
    let other = Ask::new("PUT", "/v1/repos/none/instances/i").body("application/json", good.as_bytes());
    assert_eq!(server.ask(&other).expect(404).code(), "repo_not_found");
    assert_eq!(server.get(&target).expect(404).code(), "instance_not_found");
}

#[test]
fn words_from_the_future_are_taken_and_texts_are_made_harmless() {
    let (_origin, server, _) = served();
    let body = json!({
        "incarnation": 1, "seq": 1, "from_the_future": {}, "client": "a\u{1b}[31m\nb",
        "configs": {"app": {
            "state": "dreaming", "generation": 0, "source": "a dream",
            "error": {"phase": "asleep", "message": format!("x\u{1b}]0;\u{7}\n{}", "ü".repeat(20_000))},
        }},
    });
    reported(&server, "i", &body);
    let shown = server.get(&format!("{INSTANCES}/i")).expect(200).json();
    assert_eq!(shown["configs"]["app"]["state"], "other");
    let message = shown["configs"]["app"]["error"]["message"].as_str().unwrap();
    assert!(message.len() <= 1_024 && message.ends_with('…'));
    assert!(!message.chars().any(char::is_control));
    assert_eq!(shown["client"], "a [31m b");
}

#[test]
fn instances_are_listed_by_what_they_say() {
    let (origin, server, first) = served();
    let second = set(&origin, 2);
    server.until_tip(&second);
    let digest = format!("sha256:{}", "0".repeat(64));
    let config = |version: &str, state: &str| json!({"state": state, "generation": 1, "running": {"version": version, "digest": digest}});
    let put = |name: &str, region: &str, config: Value| {
        let mut body = report((1, 1), &json!({"app": config}));
        body["labels"] = json!({"region": region});
        reported(&server, name, &body);
    };
    put("a", "eu", config(first.as_str(), "confirmed"));
    put("b", "eu", config(second.as_str(), "failed"));
    put("c", "us", config(second.as_str(), "confirmed"));
    let listed = |query: &str| -> Vec<String> {
        let page = server.get(&format!("{INSTANCES}?{query}")).expect(200).json();
        let instances = page["instances"].as_array().unwrap().iter();
        instances
            .map(|view| view["instance"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(""), ["a", "b", "c"]);
    assert_eq!(listed("config=app&state=failed"), ["b"]);
    assert_eq!(listed("config=other"), Vec::<String>::new());
    assert_eq!(listed(&format!("version={second}")), ["b", "c"]);
    assert_eq!(listed(&format!("version={}", first.short())), ["a"]);
    assert_eq!(listed("label.region=eu&state=confirmed"), ["a"]);
    let page = server.get(&format!("{INSTANCES}?limit=2")).expect(200).json();
    assert_eq!(page["next"], "b");
    let page = server
        .get(&format!("{INSTANCES}?limit=2&after=b"))
        .expect(200)
        .json();
    assert_eq!(page["instances"].as_array().unwrap().len(), 1);
    assert!(page.get("next").is_none());
    for (query, code) in [
        ("state=dreaming", "bad_request"),
        ("limit=0", "bad_request"),
        ("limit=1001", "bad_request"),
        ("after=a/b", "bad_request"),
        ("config=../x", "bad_request"),
        ("version=none", "revision_not_found"),
    ] {
        assert_eq!(
            server.get(&format!("{INSTANCES}?{query}")).code(),
            code,
            "{query}"
        );
    }
}

fn one(server: &TestServer, instance: &str) -> Value {
    server.get(&format!("{INSTANCES}/{instance}")).expect(200).json()
}

fn ids(server: &TestServer, query: &str) -> Vec<String> {
    let page = server.get(&format!("{INSTANCES}?{query}")).expect(200).json();
    let instances = page["instances"].as_array().unwrap().iter();
    instances
        .map(|view| view["instance"].as_str().unwrap().to_owned())
        .collect()
}

/// Says that it runs what is served, or a made-up digest of it.
fn runs(server: &TestServer, version: &CommitId, state: &str, digest: Option<&str>) -> Value {
    let body = server.config("app", None).expect(200).json();
    let digest = digest.map_or(body["digest"].clone(), Value::from);
    json!({"app": {"state": state, "generation": body["generation"], "running": {"version": version, "digest": digest}}})
}

#[test]
fn progress_liveness_and_drift_are_told_apart() {
    let (_origin, server, first) = served();
    let other = format!("sha256:{}", "0".repeat(64));
    let put = |name: &str, configs: &Value| reported(&server, name, &report((1, 1), configs));
    put("good", &runs(&server, &first, "confirmed", None));
    put("other", &runs(&server, &first, "confirmed", Some(&other)));
    let mut pinned = runs(&server, &first, "applied", None);
    pinned["app"]["source"] = json!("pinned");
    put("pinned", &pinned);
    let drift = |name: &str| one(&server, name)["standings"]["app"]["drift"].clone();
    assert_eq!(
        (drift("good"), drift("other"), drift("pinned")),
        (json!("in_sync"), json!("divergent"), json!("pinned"))
    );
    let good = one(&server, "good");
    assert_eq!(
        (&good["liveness"], &good["configs"]["app"]["state"]),
        (&json!("live"), &json!("confirmed"))
    );
    assert_eq!(good["standings"]["app"]["assigned"]["version"], first.as_str());
    assert_eq!(ids(&server, "drift=divergent"), ["other"]);
    assert_eq!(ids(&server, "state=confirmed"), ["good", "other"]);
    assert_eq!(ids(&server, "state=unknown"), Vec::<String>::new());
    let counts = server
        .get("/v1/repos/default/fleet?config=app")
        .expect(200)
        .json();
    assert_eq!(
        counts,
        json!({"instances": 3, "configs": {"app": {
            "instances": 3, "live": 3, "stale": 0, "lost": 0, "in_sync": 1, "divergent": 1, "pinned": 1,
            "versions": [{"version": first, "states": {"confirmed": 2, "applied": 1}, "unknown": 0}],
        }}})
    );
    for query in ["drift=sideways", "liveness=undead", "label.a={", "state=dreaming"] {
        assert_eq!(
            server.get(&format!("{INSTANCES}?{query}")).expect(400).code(),
            "bad_request",
            "{query}"
        );
    }
}

#[test]
fn who_says_nothing_becomes_unknown_and_is_no_success_any_more() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| {
            settings.fleet = FleetSettings {
                heartbeat: Duration::from_millis(100),
                lost_after: Duration::from_millis(600),
            };
        })
        .start();
    server.until_tip(&first);
    let answer = reported(
        &server,
        "i",
        &report((1, 1), &runs(&server, &first, "confirmed", None)),
    );
    assert_eq!(answer["heartbeat_ms"], 100);
    wait_for("it is lost", || {
        (one(&server, "i")["liveness"] == "lost").then_some(())
    });
    assert_eq!(ids(&server, "state=unknown"), ["i"]);
    assert_eq!(ids(&server, "state=confirmed"), Vec::<String>::new());
    let counts = server.get("/v1/repos/default/fleet").expect(200).json();
    let version = &counts["configs"]["app"]["versions"][0];
    assert_eq!((&version["unknown"], &version["states"]), (&json!(1), &json!({})));
    assert_eq!(counts["configs"]["app"]["in_sync"], 0);
}

#[test]
fn an_instance_that_ends_is_gone_and_a_newer_life_of_it_is_not() {
    let (_origin, server, first) = served();
    let confirmed = runs(&server, &first, "confirmed", None);
    let leave = |query: &str| server.ask(&Ask::new("DELETE", &format!("{INSTANCES}/i{query}")));
    assert_eq!(leave("").expect(404).code(), "instance_not_found");
    reported(&server, "i", &report((5, 1), &confirmed));
    assert_eq!(leave("?incarnation=4").expect(409).code(), "instance_replaced");
    assert_eq!(leave("?incarnation=soon").expect(400).code(), "bad_request");
    leave("?incarnation=5").expect(204);
    leave("?incarnation=5").expect(204);
    assert_eq!(ids(&server, ""), Vec::<String>::new());
    assert_eq!(ids(&server, "liveness=gone"), ["i"]);
    assert_eq!(
        one(&server, "i")["history"]["app"][0]["running"]["version"],
        first.as_str()
    );
    assert_eq!(
        reported(&server, "i", &report((5, 2), &confirmed))["accepted"],
        false
    );
    assert_eq!(
        reported(&server, "i", &report((6, 1), &confirmed))["accepted"],
        true
    );
    assert_eq!(ids(&server, ""), ["i"]);
    assert_eq!(one(&server, "i")["standings"]["app"]["restarts"], 0);
}

#[test]
fn a_forged_report_is_refused_and_a_person_has_an_instance_forgotten() {
    let (_origin, server, first) = served();
    let confirmed = runs(&server, &first, "confirmed", None);
    reported(&server, "i", &report((5, 1), &confirmed));
    for forged in [((1 << 53) - 1, 1), (5, (1 << 53) - 1), (6, (1 << 53) - 1)] {
        let refused = put(&server, "i", &report(forged, &confirmed)).expect(400);
        assert_eq!(refused.code(), "bad_request");
        let hint = refused.json()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("from 1"), "{hint}");
    }
    let goodbye = format!("{INSTANCES}/i?incarnation={}", (1_u64 << 53) - 1);
    let refused = server.ask(&Ask::new("DELETE", &goodbye)).expect(400);
    let hint = refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("from 1"), "{hint}");
    assert_eq!(
        reported(&server, "i", &report((5, 2), &confirmed))["accepted"],
        true
    );
    // What is far ahead and yet believed is what a person takes back.
    reported(&server, "i", &report((1_764_113_511_042, 1), &confirmed));
    assert_eq!(
        reported(&server, "i", &report((5, 3), &confirmed))["accepted"],
        false
    );
    let forget = Ask::new("DELETE", &format!("{INSTANCES}/i"));
    server.ask(&forget).expect(204);
    assert_eq!(server.ask(&forget).expect(404).code(), "instance_not_found");
    assert_eq!(
        reported(&server, "i", &report((5, 4), &confirmed))["accepted"],
        true
    );
    assert_eq!(ids(&server, ""), ["i"]);
}

#[test]
fn a_restart_after_a_long_poll_told_something_new_is_laid_at_its_door() {
    let (origin, server, first) = served();
    let confirmed = runs(&server, &first, "confirmed", None);
    let restarts = || one(&server, "i")["standings"]["app"]["restarts"].clone();
    reported(&server, "i", &report((1, 1), &confirmed));
    reported(&server, "i", &report((2, 1), &confirmed));
    assert_eq!(restarts(), 1);
    server.until_tip(&set(&origin, 2));
    server.get("/v1/repos/default/configs/app?instance=i").expect(200);
    assert_eq!(restarts(), 0);
}

#[test]
fn what_it_ran_at_a_time_is_answered() {
    let (origin, server, first) = served();
    reported(
        &server,
        "i",
        &report((1, 1), &runs(&server, &first, "confirmed", None)),
    );
    let second = set(&origin, 2);
    server.until_tip(&second);
    reported(
        &server,
        "i",
        &report((1, 2), &runs(&server, &second, "applied", None)),
    );
    let history = one(&server, "i")["history"]["app"].clone();
    let versions = |history: &Value| -> Vec<String> {
        let entries = history.as_array().unwrap().iter();
        entries
            .map(|ran| ran["running"]["version"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(versions(&history), [second.as_str(), first.as_str()]);
    let at = |time: &str| one(&server, &format!("i?at={time}"))["history"].clone();
    assert_eq!(
        versions(&at(history[1]["until"].as_str().unwrap())["app"]),
        [first.as_str()]
    );
    assert_eq!(
        versions(&at(history[0]["from"].as_str().unwrap())["app"]),
        [second.as_str()]
    );
    assert_eq!(at("2020-01-01T00:00:00Z"), Value::Null);
    let bad = server.get(&format!("{INSTANCES}/i?at=yesterday")).expect(400);
    assert_eq!(bad.code(), "bad_request");
}

#[test]
fn instances_are_remembered_over_a_restart_and_stale_until_they_are_heard() {
    let (_origin, server, first) = served();
    let confirmed = runs(&server, &first, "confirmed", None);
    reported(&server, "i", &report((5, 7), &confirmed));
    let server = server.restart();
    let known = one(&server, "i");
    assert_eq!((&known["liveness"], &known["seq"]), (&json!("stale"), &json!(7)));
    assert_eq!(ids(&server, "state=unknown"), ["i"]);
    assert_eq!(
        reported(&server, "i", &report((5, 6), &confirmed))["accepted"],
        false
    );
    reported(&server, "i", &report((5, 8), &confirmed));
    assert_eq!(one(&server, "i")["liveness"], "live");
    assert_eq!(one(&server, "i")["history"]["app"].as_array().unwrap().len(), 1);
    // What cannot be read is set aside, and nobody is known.
    let stopped = server.stop();
    let file = stopped.data_dir().join("instances.snapshot");
    std::fs::write(&file, "nonsense").unwrap();
    let server = stopped.start();
    assert_eq!(
        server.get(&format!("{INSTANCES}/i")).expect(404).code(),
        "instance_not_found"
    );
    assert!(file.with_extension("snapshot.aside").exists());
}

#[test]
fn a_backup_of_a_running_service_is_put_back_above_everything_it_told_since() {
    let (origin, server, first) = served();
    let backup = server.get("/v1/admin/backup").expect(200);
    let generation = |server: &TestServer| {
        server.config("app", None).expect(200).json()["generation"]
            .as_u64()
            .unwrap()
    };
    let second = set(&origin, 2);
    server.until_tip(&second);
    let told = generation(&server);
    let stopped = server.stop();
    let file = stopped.data_dir().join("copy");
    std::fs::write(&file, backup.text()).unwrap();
    let overwrite = backup::Overwrite::SetAside;
    let restored = backup::restore(&std::fs::read(&file).unwrap(), &stopped.data_dir(), overwrite).unwrap();
    assert_eq!(restored.repos, ["default"]);
    let server = stopped.start();
    server.until_tip(&second);
    assert!(
        generation(&server) >= told,
        "{} is below {told}",
        generation(&server)
    );
    assert_ne!(first, second);
}

#[test]
fn a_replica_that_lags_leaves_out_what_it_cannot_be_sure_of() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url())
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    server.until_source("ok");
    let second = set(&origin, 2);
    let early = TestServer::of(&origin);
    early.until_tip(&second);
    let mut program = Program::new(&early);
    program.until(2);
    // The same program comes to a replica that has not seen the second commit, and cannot ask.
    upstream.fail_with(Fault::Status(503));
    program.server = &server;
    assert_eq!(program.turn(), None);
    assert_eq!(program.value(), Some(2));
    let shown = server.get(&format!("{INSTANCES}/program")).expect(200).json();
    assert_eq!(shown["configs"]["app"]["running"]["version"], second.as_str());
    // Once it can ask, it has seen it.
    upstream.fail_with(Fault::None);
    let assignment = wait_for("an assignment", || program.turn());
    assert_eq!(assignment["version"], second.as_str());
}

#[test]
fn who_has_seen_a_higher_generation_is_told_one_above_it_also_after_the_data_is_lost() {
    let (origin, server, first) = served();
    let seen = |generation: u64| json!({"generation": generation, "state": "pending"});
    let assignment = until_generation(&server, 701, &seen(700));
    assert_eq!(assignment["version"], first.as_str());
    // It is kept over a restart, and what comes next is above it.
    let server = server.restart();
    let second = set(&origin, 2);
    server.until_tip(&second);
    let body = server.config("app", None).expect(200).json();
    assert_eq!(body["generation"], 702);
    // With a new data directory the numbers begin low, and watchers are told again.
    drop(server);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    let events = server.events("config=app");
    let told = events.until_version(&second);
    assert!(told[0].data["generation"].as_u64().unwrap() < 700);
    until_generation(&server, 703, &seen(702));
    let told = events.until("told again", |events| events.len() >= 2);
    assert_eq!(told[1].data["generation"], 703);
    assert_eq!(told[1].data["version"], second.as_str());
    assert_eq!(told[1].data["change"], "rerender");
    assert_eq!(server.config("app", None).expect(200).json()["generation"], 703);
}

#[test]
fn who_refused_a_directive_of_a_number_it_knew_is_told_one_above_it() {
    let (_origin, server, first) = served();
    let generation = server.config("app", None).expect(200).json()["generation"]
        .as_u64()
        .unwrap();
    let refused = json!({
        "generation": generation, "state": "applied",
        "error": {"phase": "fence", "message": "another version had that number"},
    });
    let assignment = until_generation(&server, generation + 1, &refused);
    assert_eq!(assignment["version"], first.as_str());
}

#[test]
fn a_generation_that_nobody_can_have_given_out_is_not_followed() {
    let (_origin, server, _) = served();
    let before = server.config("app", None).expect(200).json()["generation"].clone();
    let absurd = json!({"app": {"generation": 9_007_199_254_740_991_u64, "state": "pending"}});
    let answer = reported(&server, "i", &report((1, 1), &absurd));
    assert_eq!(answer["assignments"][0]["generation"], before);
    assert_eq!(
        server.config("app", None).expect(200).json()["generation"],
        before
    );
}

/// A document in which a second writer would find something to write differently.
pub(super) const TRICKY: &str = "{\"z\": 1.0, \"a\": [1e3, 0.1, 9007199254740993, -0.0], \"ü\": \"\\u00e9\\n\\/\", \"m\": {\"b\": null, \"a\": {}}}";

#[test]
fn a_document_is_told_everywhere_as_the_text_that_its_digest_is_of() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some(TRICKY))], "tricky");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let check = |text: &str, digest: &str, from: &str| {
        assert_eq!(
            headwater_render::digest(text).to_string(),
            digest,
            "{from}: {text}"
        );
    };
    for read in ["configs/app".to_owned(), format!("commits/{first}/configs/app")] {
        let reply = server.get(&format!("/v1/repos/default/{read}")).expect(200);
        let text = reply.text();
        let body: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap();
        check(
            body["document"].get(),
            body["digest"].get().trim_matches('"'),
            &read,
        );
    }
    let pending = report((1, 1), &json!({"app": {"generation": 0, "state": "pending"}}));
    let text = put(&server, "i", &pending).expect(200).text();
    let answer: ReportAnswerWith<Box<RawValue>> = serde_json::from_str(&text).unwrap();
    let assignment = &answer.assignments[0];
    check(
        assignment.document.as_ref().unwrap().get(),
        assignment.digest.as_str(),
        "PUT",
    );
    let (mut reader, _, _) = Ask::get("/v1/repos/default/events?config=app")
        .open(server.addr())
        .unwrap();
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    }
    let event: VersionEventWith<Box<RawValue>> =
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    check(event.document.unwrap().get(), event.digest.as_str(), "events");
}

#[test]
fn the_client_library_reports_and_lists() {
    let (_origin, server, first) = served();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let calls = async {
        let api = Api::builder(&format!("http://{}", server.addr()))
            .build()
            .unwrap();
        let repo = api.in_repo(&"default".parse().unwrap());
        let instance: headwater_wire::InstanceId = "i-1".parse().unwrap();
        let report = InstanceReport {
            incarnation: 1,
            seq: 1,
            configs: std::iter::once(("app".parse().unwrap(), pending())).collect(),
            ..InstanceReport::default()
        };
        let answer = repo.report(&instance, &report).await.unwrap();
        assert!(answer.accepted);
        assert_eq!(answer.assignments[0].version, first);
        let view = repo.instance(&instance, None).await.unwrap();
        assert_eq!(view.report, report);
        let query = InstancesQuery {
            config: Some("app".parse().unwrap()),
            state: Some(StateWanted::Reported(ReportState::Pending)),
            ..InstancesQuery::default()
        };
        let page = repo.instances(&query).await.unwrap();
        assert_eq!(
            view.history[&"app".parse::<ConfigName>().unwrap()][0].state,
            ReportState::Pending
        );
        assert_eq!((page.instances.len(), page.next), (1, None));
        assert_eq!(
            (&page.instances[0].instance, &page.instances[0].report),
            (&instance, &report)
        );
        let missing = repo.instance(&"i-2".parse().unwrap(), None).await.unwrap_err();
        assert!(missing.to_string().contains("no instance `i-2`"), "{missing}");
    };
    runtime.block_on(calls);
}

fn pending() -> ConfigReport {
    ConfigReport {
        running: None,
        generation: headwater_wire::Generation(0),
        state: ReportState::Pending,
        error: None,
        prepared: None,
        source: headwater_wire::ValueSource::Server,
    }
}
