//! The long poll, and the table "when the client's version is not the target", through real HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::TestServer;
use headwater_wire::CommitId;

pub(super) const APP: &str = "/v1/repos/default/configs/app";

/// A server and an origin whose `app.json` says `{"v": 1}`.
pub(super) fn served() -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    (origin, server, first)
}

pub(super) fn set(origin: &TestOrigin, value: u32) -> CommitId {
    origin.commit(
        &[("app.json", Some(&format!("{{\"v\": {value}}}")))],
        &format!("v = {value}"),
    )
}

pub(super) fn token(server: &TestServer) -> String {
    server.config("app", None).expect(200).must("etag").to_owned()
}

/// Asks with a wait, on another thread, so that the test can go on.
pub(super) fn waiting(server: &TestServer, target: &str, token: &str) -> std::thread::JoinHandle<Reply> {
    let (ask, addr) = (Ask::get(target).header("if-none-match", token), server.addr());
    std::thread::spawn(move || ask.send(addr))
}

#[test]
fn a_push_wakes_who_waits_and_tells_what_kind_of_change_it_is() {
    let (origin, server, _) = served();
    let asked = waiting(&server, &format!("{APP}?wait=300"), &token(&server));
    let second = set(&origin, 2);
    let reply = asked.join().expect("an answer").expect(200);
    assert_eq!(reply.json()["version"], second.as_str());
    assert_eq!(reply.json()["document"]["v"], 2);
    assert_eq!(reply.must("headwater-change"), "forward");
    assert_eq!(reply.must("headwater-version"), second.as_str());
}

#[test]
fn the_body_of_a_watch_is_the_body_of_a_plain_get() {
    let (origin, server, _) = served();
    let asked = waiting(&server, &format!("{APP}?wait=300&format=toml"), &token(&server));
    let whole = waiting(&server, &format!("{APP}?wait=300"), &token(&server));
    let second = set(&origin, 2);
    server.until_tip(&second);
    let plain = server.config("app", None);
    let watched = whole.join().expect("an answer");
    assert_eq!(watched.body, plain.body);
    assert_eq!(watched.header("etag"), plain.header("etag"));
    drop(asked.join());
}

#[test]
fn content_that_comes_back_is_a_version_of_its_own_and_named_a_rollback() {
    let (origin, server, first) = served();
    let mut versions = vec![first.clone()];
    let mut held = token(&server);
    for (value, change) in [(2, "forward"), (1, "rollback")] {
        let asked = waiting(&server, &format!("{APP}?wait=300"), &held);
        let commit = set(&origin, value);
        let reply = asked.join().expect("an answer").expect(200);
        assert_eq!(reply.must("headwater-change"), change);
        assert_eq!(reply.must("headwater-version"), commit.as_str());
        assert_eq!(
            server
                .config("app", Some(reply.must("etag")))
                .expect(304)
                .must("headwater-change"),
            change
        );
        held = reply.must("etag").to_owned();
        versions.push(commit);
    }
    let digests: Vec<_> = versions
        .iter()
        .map(|commit| {
            server
                .get(&format!("/v1/repos/default/commits/{commit}/configs/app"))
                .json()["digest"]
                .clone()
        })
        .collect();
    assert_eq!(digests[0], digests[2]);
    assert_ne!(versions[0], versions[2]);
}

#[test]
fn a_commit_that_touches_no_file_of_mine_wakes_nobody_but_moves_the_tip() {
    let (origin, server, first) = served();
    let held = token(&server);
    let answered = AtomicBool::new(false);
    let (ask, addr) = (
        Ask::get(&format!("{APP}?wait=300")).header("if-none-match", &held),
        server.addr(),
    );
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let reply = ask.send(addr);
            answered.store(true, Ordering::Release);
            reply
        });
        let other = origin.commit(
            &[("other.json", Some("{}")), ("README.md", Some("text"))],
            "not mine",
        );
        server.until_tip(&other);
        let unchanged = server.config("app", Some(&held)).expect(304);
        assert_eq!(unchanged.must("headwater-tip"), other.as_str());
        assert_eq!(unchanged.must("headwater-version"), first.as_str());
        assert_eq!(unchanged.must("etag"), held);
        assert!(
            !answered.load(Ordering::Acquire),
            "a commit of others woke the watcher"
        );
        let mine = set(&origin, 2);
        assert_eq!(
            asked.join().expect("an answer").must("headwater-version"),
            mine.as_str()
        );
    });
}

#[test]
fn a_version_depends_on_history_and_not_on_when_the_server_looked() {
    let origin = TestOrigin::new();
    let mut last = set(&origin, 1);
    let early = TestServer::of(&origin);
    early.until_tip(&last);
    let steps: [&[(&str, Option<&str>)]; 7] = [
        &[("other.json", Some("{\"o\": 1}"))],
        &[("app.json", Some("{\"v\": 2}"))],
        &[("app.json", None)],
        &[("app.json", Some("{\"v\": 2}")), ("third.toml", Some("x = 1\n"))],
        &[("other.json", Some("{,}"))],
        &[("README.md", Some("text"))],
        &[("other.json", Some("{\"o\": 1}"))],
    ];
    for (number, edits) in steps.iter().enumerate() {
        last = origin.commit(edits, &format!("step {number}"));
        let head = last.clone();
        early.until("decided", |repo| {
            repo["head"] == head.as_str() && repo["head_state"] != "validating"
        });
    }
    let main = last.clone();
    origin.force_reset("side", &main);
    let side = origin.commit_on("side", &[("third.toml", Some("x = 2\n"))], "side");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(main),
        merged: vec![side],
        entries: vec![("100644", "third.toml", Some(b"x = 2\n"))],
        message: "merge",
        at: None,
    });
    early.until_tip(&merge);
    let newcomer = TestServer::of(&origin);
    newcomer.until_tip(&merge);
    let versions = |server: &TestServer| -> Vec<_> {
        let body = server.get("/v1/repos/default/configs").expect(200).json();
        let configs = body["configs"].as_array().expect("configs").clone();
        configs
            .into_iter()
            .map(|config| {
                (
                    config["name"].clone(),
                    config["version"].clone(),
                    config["digest"].clone(),
                )
            })
            .collect()
    };
    assert_eq!(versions(&early), versions(&newcomer));
    assert_eq!(token(&early), token(&newcomer));
}

#[test]
fn a_watch_ends_with_a_304_in_the_last_fifth_of_its_wait() {
    let (_origin, server, _) = served();
    let held = token(&server);
    let starts: Vec<_> = (0..12)
        .map(|_| (Instant::now(), waiting(&server, &format!("{APP}?wait=2"), &held)))
        .collect();
    let mut spent = Vec::new();
    for (start, asked) in starts {
        asked.join().expect("an answer").expect(304);
        spent.push(start.elapsed());
    }
    // The upper bound is loose, because the machine may be busy; the lower one is the promise.
    assert!(
        spent.iter().all(|spent| *spent >= Duration::from_millis(1_600)),
        "{spent:?}"
    );
}

#[test]
fn who_prefers_to_wait_waits_and_the_query_wins_over_the_preference() {
    let (_origin, server, _) = served();
    let held = token(&server);
    let start = Instant::now();
    let ask = Ask::get(APP)
        .header("if-none-match", &held)
        .header("prefer", "respond-async, wait=1");
    server.ask(&ask).expect(304);
    assert!(start.elapsed() >= Duration::from_millis(800));
    let start = Instant::now();
    let ask = Ask::get(&format!("{APP}?wait=0"))
        .header("if-none-match", &held)
        .header("prefer", "wait=200");
    server.ask(&ask).expect(304);
    assert!(start.elapsed() < Duration::from_secs(100));
}

#[test]
fn a_wait_that_is_no_number_of_seconds_is_refused() {
    let (_origin, server, _) = served();
    for bad in [
        "-1",
        "301",
        "1.5",
        "x",
        "",
        "1s",
        "99999999999999999999",
        "%00",
        "+5",
    ] {
        let reply = server.get(&format!("{APP}?wait={bad}")).expect(400);
        assert_eq!(reply.code(), "bad_request", "{bad}");
    }
    let reply = server
        .ask(&Ask::get(APP).header("prefer", "wait=soon"))
        .expect(400);
    assert_eq!(reply.code(), "bad_request");
}

#[test]
fn without_a_token_a_watch_answers_at_once() {
    let (_origin, server, first) = served();
    let reply = server.get(&format!("{APP}?wait=300")).expect(200);
    assert_eq!(reply.must("headwater-change"), "initial");
    assert_eq!(reply.must("headwater-version"), first.as_str());
}

#[test]
fn a_token_is_taken_bare_quoted_weak_and_among_others() {
    let (_origin, server, _) = served();
    let quoted = token(&server);
    let bare = quoted.trim_matches('"');
    for held in [
        quoted.clone(),
        bare.to_owned(),
        format!("W/{quoted}"),
        format!("\"not-ours\", {quoted}"),
        format!("{quoted}, \"not-ours\""),
        format!("W/\"x\",W/{quoted}"),
    ] {
        server.config("app", Some(&held)).expect(304);
    }
    let two = Ask::get(APP)
        .header("if-none-match", "\"x\"")
        .header("if-none-match", &quoted);
    server.ask(&two).expect(304);
}

#[test]
fn several_tokens_are_answered_for_the_one_that_is_current() {
    let (origin, server, _) = served();
    let old = token(&server);
    let second = set(&origin, 2);
    server.until_tip(&second);
    let new = token(&server);
    server.config("app", Some(&format!("{old}, {new}"))).expect(304);
    server.config("app", Some(&format!("{new}, {old}"))).expect(304);
}

#[test]
fn a_token_that_is_not_ours_gets_the_whole_snapshot_as_of_an_unknown_base() {
    let (_origin, server, _) = served();
    for held in ["\"abc\"", "abc", "W/\"1\"", "\"v1.2.3\"", "\"....\"", "*, x"] {
        let reply = server.config("app", Some(held)).expect(200);
        assert_eq!(reply.must("headwater-change"), "unknown-base", "{held}");
        assert!(reply.json()["document"].is_object());
    }
}

#[test]
fn no_wake_is_lost_when_publishing_races_with_registering() {
    let (origin, server, _) = served();
    let (addr, rounds) = (server.addr(), 60);
    std::thread::scope(|scope| {
        let watchers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(move || {
                    let (mut held, mut last, mut wakes) = (String::new(), 0, 0);
                    while last < rounds {
                        let ask = Ask::get(&format!("{APP}?wait=300"));
                        let ask = if held.is_empty() {
                            ask
                        } else {
                            ask.header("if-none-match", &held)
                        };
                        // A lost wake would make this wait for four minutes, which the client does not.
                        let reply = ask.send(addr).expect(200);
                        let value = reply.json()["document"]["v"].as_u64().expect("a number");
                        assert!(value >= last, "{value} came after {last}");
                        last = value;
                        held = reply.must("etag").to_owned();
                        wakes += 1;
                    }
                    wakes
                })
            })
            .collect();
        for value in 2..=rounds {
            let commit = set(&origin, u32::try_from(value).expect("a small number"));
            if value % 3 == 0 {
                server.until_tip(&commit);
            }
        }
        for watcher in watchers {
            assert!(watcher.join().expect("a watcher that saw the last version") >= rounds / 3);
        }
    });
}

#[test]
fn a_reader_of_his_own_write_waits_until_it_is_published() {
    let (origin, server, first) = served();
    server.get(&format!("{APP}?min_version={first}")).expect(200);
    let second = set(&origin, 2);
    let reply = server
        .get(&format!("{APP}?min_version={second}&wait=100"))
        .expect(200);
    assert_eq!(reply.json()["version"], second.as_str());
    let bad = origin.commit(&[("app.json", Some("{,}"))], "bad");
    let reply = server.get(&format!("{APP}?min_version={bad}&wait=1")).expect(504);
    assert_eq!(reply.code(), "not_published");
    let reply = server
        .get(&format!("{APP}?min_version={}&wait=1", "d".repeat(40)))
        .expect(504);
    assert_eq!(reply.code(), "not_published");
    assert_eq!(
        server.get(&format!("{APP}?min_version=main")).expect(400).code(),
        "bad_request"
    );
}

#[test]
fn a_reader_of_his_own_write_waits_for_a_service_that_has_just_started() {
    let (origin, mut server, first) = served();
    let second = set(&origin, 2);
    server.until_tip(&second);
    // What was published before the stop, what that descends from, and what came to the branch meanwhile.
    for value in [2, 3, 4] {
        let stopped = server.stop();
        let newest = if value == 2 {
            second.clone()
        } else {
            set(&origin, value)
        };
        let wanted = if value == 3 { &first } else { &newest };
        server = stopped.start();
        let reply = server
            .get(&format!("{APP}?min_version={wanted}&wait=100"))
            .expect(200);
        assert!(
            reply.json()["document"]["v"].as_u64() >= Some(2),
            "{}",
            reply.json()
        );
        server.until_tip(&newest);
    }
}

#[test]
fn a_descendant_of_the_version_asked_for_is_as_good() {
    let (origin, server, first) = served();
    let second = set(&origin, 2);
    server.until_tip(&second);
    let reply = server.get(&format!("{APP}?min_version={first}")).expect(200);
    assert_eq!(reply.json()["version"], second.as_str());
}

const VARIANTS: &str = r#"format = 1
[[config]]
name = "app"
layers = ["app.toml"]
  [[config.variant]]
  name = "canary"
  when = { canary = "true" }
  layers = ["canary.toml"]
  [[config.variant]]
  name = "eu"
  when = { region = "eu-*" }
  layers = ["eu.toml"]
"#;

#[test]
fn labels_choose_the_variant_and_another_variant_is_another_token() {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[
            ("headwater.toml", Some(VARIANTS)),
            ("app.toml", Some("name = \"base\"\n")),
            ("canary.toml", Some("name = \"canary\"\n")),
            ("eu.toml", Some("name = \"eu\"\n")),
        ],
        "variants",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let name = |query: &str| {
        let reply = server.get(&format!("{APP}?{query}")).expect(200);
        (
            reply.json()["document"]["name"]
                .as_str()
                .expect("a name")
                .to_owned(),
            reply.must("etag").to_owned(),
        )
    };
    assert_eq!(name("").0, "base");
    assert_eq!(name("label.region=us-1").0, "base");
    assert_eq!(name("label.region=eu-west").0, "eu");
    assert_eq!(name("label.canary=true&label.region=eu-west").0, "canary");
    assert_ne!(name("").1, name("label.region=eu-west").1);

    // Who has reported its labels need not say them again.
    assert_eq!(name("instance=i-1").0, "base");
    let labels = r#"{"incarnation": 1, "seq": 1, "labels": {"region": "eu-west"}, "configs": {}}"#;
    let report =
        Ask::new("PUT", "/v1/repos/default/instances/i-1").body("application/json", labels.as_bytes());
    server.ask(&report).expect(200);
    assert_eq!(name("instance=i-1").0, "eu");
    assert_eq!(name("instance=i-1&label.canary=true").0, "canary");
    let moved = Ask::get(&format!("{APP}?label.region=eu-west")).header("if-none-match", &name("").1);
    assert_eq!(
        server.ask(&moved).expect(200).must("headwater-change"),
        "rerender"
    );

    // A change of one variant is a new version of the config, which wakes whoever watches it.
    let (_, held) = name("label.region=eu-west");
    let asked = waiting(&server, &format!("{APP}?wait=300&label.region=eu-west"), &held);
    origin.commit(&[("eu.toml", Some("name = \"eu2\"\n"))], "eu");
    assert_eq!(
        asked.join().expect("an answer").expect(200).json()["document"]["name"],
        "eu2"
    );
}

#[test]
fn one_value_and_every_format_can_be_asked_for() {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[(
            "app.json",
            Some("{\"db\": {\"pool/size\": 5, \"~\": [1, {\"x\": \"y\"}]}}"),
        )],
        "one",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let text = |query: &str| server.get(&format!("{APP}?{query}")).expect(200).text();
    assert_eq!(text("pointer=/db/pool~1size"), "5");
    assert_eq!(text("pointer=/db/~0/1/x"), "\"y\"");
    assert_eq!(text("pointer="), text("pointer"));
    let media = |format: &str| {
        server
            .get(&format!("{APP}?format={format}"))
            .must("content-type")
            .to_owned()
    };
    assert_eq!(media("toml"), "application/toml");
    assert_eq!(media("yaml"), "application/yaml");
    assert_eq!(media("json"), "application/json");
    assert!(text("format=toml").contains("\"pool/size\" = 5"));
    assert_eq!(
        server.get(&format!("{APP}?pointer=/db/none")).expect(404).code(),
        "pointer_not_found"
    );
    assert_eq!(
        server.get(&format!("{APP}?pointer=db")).expect(400).code(),
        "bad_request"
    );
    assert_eq!(
        server.get(&format!("{APP}?format=xml")).expect(400).code(),
        "bad_request"
    );
    assert_eq!(
        server
            .get(&format!("{APP}?format=toml&pointer=/db/pool~1size"))
            .expect(406)
            .code(),
        "not_renderable"
    );
    let held = server.get(&format!("{APP}?format=toml")).must("etag").to_owned();
    server
        .ask(&Ask::get(&format!("{APP}?format=toml")).header("if-none-match", &held))
        .expect(304);
    server
        .ask(&Ask::get(&format!("{APP}?format=yaml")).header("if-none-match", &held))
        .expect(200);
}

#[test]
fn a_config_that_is_removed_while_somebody_waits_is_told_as_gone() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{}")), ("other.json", Some("{}"))], "two");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let asked = waiting(&server, &format!("{APP}?wait=300"), &token(&server));
    origin.commit(&[("app.json", None)], "one is gone");
    assert_eq!(
        asked.join().expect("an answer").expect(404).code(),
        "config_not_found"
    );
}

#[test]
fn a_stop_answers_everybody_who_waits() {
    let (_origin, server, _) = served();
    let held = token(&server);
    let watcher = waiting(&server, &format!("{APP}?wait=300"), &held);
    let writer = waiting(
        &server,
        &format!("{APP}?min_version={}&wait=300", "d".repeat(40)),
        &held,
    );
    // Both are waiting once a third one, which came later, has been answered.
    waiting(&server, &format!("{APP}?wait=1"), &held)
        .join()
        .expect("an answer")
        .expect(304);
    let start = Instant::now();
    drop(server.stop());
    watcher.join().expect("an answer").expect(304);
    let reply = writer.join().expect("an answer").expect(503);
    assert_eq!(reply.code(), "overloaded");
    assert!(start.elapsed() < Duration::from_secs(30));
}
