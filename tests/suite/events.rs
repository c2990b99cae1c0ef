//! Server-Sent Events: what is told, once, to whom, and how a stream ends.

use std::time::Duration;

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::sse::Events;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

fn two() -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[("a.json", Some("{\"v\": 1}")), ("b.json", Some("{\"v\": 1}"))],
        "one",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    (origin, server, first)
}

#[test]
fn a_stream_begins_with_the_version_to_hold_and_tells_the_next_one() {
    let (origin, server, first) = two();
    let events = server.events("config=a");
    assert_eq!(events.reply.must("content-type"), "text/event-stream");
    assert_eq!(events.reply.must("cache-control"), "no-store, no-transform");
    assert_eq!(events.reply.must("x-accel-buffering"), "no");
    events.until_version(&first);
    let second = origin.commit(&[("a.json", Some("{\"v\": 2}"))], "two");
    events.until_version(&second);
    let versions = events.named("version");
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[0].data["change"], "initial");
    assert_eq!(versions[1].data["change"], "forward");
    assert_eq!(versions[1].data["document"], json!({"v": 2}));
    assert_eq!(versions[1].id.as_deref(), versions[1].data["token"].as_str());
    let etag = server.config("a", None).must("etag").to_owned();
    assert_eq!(versions[1].id.as_deref(), Some(etag.trim_matches('"')));
    assert!(events.retries()[0] >= 1_000);
}

#[test]
fn a_stream_that_comes_back_is_told_only_what_it_does_not_hold() {
    let (origin, server, first) = two();
    let events = server.events("config=a");
    events.until_version(&first);
    let id = events.named("version")[0].id.clone().expect("an id");
    drop(events);
    let ask = Ask::get("/v1/repos/default/events?config=a").header("last-event-id", &id);
    let resumed = Events::open(server.addr(), &ask);
    let second = origin.commit(&[("a.json", Some("{\"v\": 2}"))], "two");
    let told = resumed.until_version(&second);
    assert_eq!(told.iter().filter(|event| event.name == "version").count(), 1);
    assert_eq!(told[0].data["change"], "forward");
    // The same by the query, for readers that cannot set a header.
    let events = server.events(&format!("config=a&have={id}"));
    let told = events.until_version(&second);
    assert_eq!(told[0].data["change"], "forward");
}

#[test]
fn a_stream_with_an_id_that_is_not_ours_gets_everything_as_of_an_unknown_base() {
    let (_origin, server, first) = two();
    let ask = Ask::get("/v1/repos/default/events?config=a").header("last-event-id", "12345");
    let told = Events::open(server.addr(), &ask).until_version(&first);
    assert_eq!(told[0].data["change"], "unknown-base");
}

#[test]
fn a_stream_of_several_configs_tells_each_of_them_and_only_those_that_changed() {
    let (origin, server, first) = two();
    let events = server.events("config=a&config=b&config=a");
    let told = events.until("both told", |events| events.len() >= 2);
    let names: Vec<&Value> = told.iter().map(|event| &event.data["config"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(told.iter().all(|event| event.data["version"] == first.as_str()));
    let second = origin.commit(&[("b.json", Some("{\"v\": 2}"))], "b");
    events.until_version(&second);
    let third = origin.commit(&[("a.json", Some("{\"v\": 3}"))], "a");
    let told = events.until_version(&third);
    let names: Vec<(&str, &str)> = told
        .iter()
        .map(|event| {
            (
                event.name.as_str(),
                event.data["config"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("version", "a"),
            ("version", "b"),
            ("version", "b"),
            ("version", "a")
        ]
    );
}

#[test]
fn a_document_is_told_with_its_event_up_to_a_size() {
    let origin = TestOrigin::new();
    let text = |bytes: usize| format!("{{\"text\": \"{}\"}}", "x".repeat(bytes));
    let first = origin.commit(
        &[
            ("s.json", Some(&text(4_000))),
            ("m.json", Some(&text(5_000))),
            ("l.json", Some(&text(300_000))),
        ],
        "sizes",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let inlined = |query: &str| {
        let events = server.events(query);
        let told = events.until("three told", |events| events.len() >= 3);
        told.iter()
            .map(|event| event.data["document"].is_object())
            .collect::<Vec<_>>()
    };
    assert_eq!(inlined("config=s&config=m&config=l"), [true, false, false]);
    assert_eq!(
        inlined("config=s&config=m&config=l&inline=1"),
        [true, true, false]
    );
}

#[test]
fn a_config_that_goes_and_comes_back_is_told_as_removed_and_as_new() {
    let (origin, server, first) = two();
    let events = server.events("config=a");
    events.until_version(&first);
    origin.commit(&[("a.json", None)], "gone");
    let told = events.until("told as removed", |events| {
        events.iter().any(|event| event.name == "status")
    });
    let status = told
        .iter()
        .find(|event| event.name == "status")
        .expect("a status");
    assert_eq!(status.data["removed"], json!(["a"]));
    let back = origin.commit(&[("a.json", Some("{\"v\": 1}"))], "back");
    let told = events.until_version(&back);
    assert_eq!(told.last().expect("an event").data["change"], "initial");
    assert_eq!(told.iter().filter(|event| event.name == "status").count(), 1);
}

#[test]
fn a_stream_that_comes_back_while_the_head_is_rejected_is_told_why_at_once() {
    let (origin, server, _) = two();
    let bad = origin.commit(&[("a.json", Some("{,}"))], "bad");
    server.until_head(&bad, "rejected");
    let told = server.events("config=a").until("a status", |events| {
        events.iter().any(|event| event.name == "status")
    });
    let status = told
        .iter()
        .find(|event| event.name == "status")
        .expect("a status");
    assert_eq!(status.data["head"], bad.as_str());
    assert_eq!(status.data["head_state"], "rejected");
    assert!(!status.data["findings"].as_array().expect("findings").is_empty());
}

#[test]
fn a_held_head_and_a_missing_branch_are_told_as_a_status() {
    let (origin, server, first) = two();
    let second = origin.commit(&[("a.json", Some("{\"v\": 2}"))], "two");
    server.until_tip(&second);
    let events = server.events("config=a");
    events.until_version(&second);
    origin.force_reset("main", &first);
    let is_held =
        |event: &headwater_tests::sse::Event| event.name == "status" && event.data["head_state"] == "held";
    events.until("held", |events| events.iter().any(is_held));
    origin.force_reset("main", &second);
    let over = |event: &headwater_tests::sse::Event| {
        event.name == "status" && event.data["head_state"] == "published"
    };
    events.until("over", |events| events.iter().any(over));
    assert_eq!(events.named("version").len(), 1);
}

#[test]
fn a_stop_says_goodbye_to_every_stream_with_a_spread() {
    let (_origin, server, first) = two();
    let streams: Vec<Events> = (0..20).map(|_| server.events("config=a")).collect();
    for stream in &streams {
        stream.until_version(&first);
    }
    drop(server.stop());
    let mut spread = std::collections::BTreeSet::new();
    for stream in &streams {
        wait_until("ended", || stream.ended());
        let goodbye = stream.all().last().cloned().expect("an event");
        assert_eq!(goodbye.name, "goaway");
        assert_eq!(goodbye.data["reason"], "shutdown");
        spread.insert(goodbye.data["retry_after_ms"].as_u64().expect("a number"));
    }
    assert!(spread.len() > 10, "{spread:?}");
}

#[test]
fn a_slow_reader_skips_versions_and_ends_at_the_newest() {
    let origin = TestOrigin::new();
    let text = |number: usize| format!("{{\"n\": {number}, \"text\": \"{}\"}}", "x".repeat(200_000));
    let first = origin.commit(&[("a.json", Some(&text(0)))], "0");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let slow = Ask::get("/v1/repos/default/events?config=a&inline=1");
    let (reader, status, _) = slow.open(server.addr()).expect("an answer");
    assert_eq!(status, 200);
    let pushes = 30;
    let mut last = first;
    for number in 1..=pushes {
        last = origin.commit(&[("a.json", Some(&text(number)))], &number.to_string());
        server.until_tip(&last);
    }
    // Only now does the reader begin to read.
    let mut reader = reader;
    let (mut versions, mut line) = (0, String::new());
    let newest = format!("\"version\":\"{last}\"");
    while !line.contains(&newest) {
        line.clear();
        // On a slow machine the server has had enough by now and has hung up, which costs it nothing either.
        if std::io::BufRead::read_line(&mut reader, &mut line).unwrap_or(0) == 0 {
            break;
        }
        versions += usize::from(line.starts_with("event: version"));
    }
    assert!(
        versions < pushes,
        "{versions} of {pushes} were told, so somebody kept them"
    );
}

#[test]
fn a_quiet_stream_is_kept_alive_by_comments() {
    let (_origin, server, first) = two();
    let events = server.events("config=a");
    events.until_version(&first);
    wait_until("a comment", || events.comments() > 0);
}

#[test]
fn a_quiet_stream_is_told_the_tip_by_bookmarks() {
    let (origin, server, first) = two();
    let events = server.events("config=a");
    events.until_version(&first);
    let other = origin.commit(&[("b.json", Some("{\"v\": 2}"))], "not mine");
    server.until_tip(&other);
    let told = events.until("a bookmark", |events| {
        events.iter().any(|event| event.name == "bookmark")
    });
    let bookmark = told.last().expect("a bookmark");
    assert_eq!(bookmark.data["tip"], other.as_str());
    assert_eq!(bookmark.id, told[0].id);
    assert_eq!(events.named("version").len(), 1);
}

#[test]
fn a_stream_that_names_nothing_or_nothing_known_is_refused() {
    let (_origin, server, _) = two();
    let code = |query: &str| server.get(&format!("/v1/repos/default/events{query}")).code();
    assert_eq!(code(""), "bad_request");
    assert_eq!(code("?config="), "bad_request");
    assert_eq!(code("?config=none"), "config_not_found");
    assert_eq!(code("?config=a&instance=a/b"), "bad_request");
    let many: Vec<String> = (0..257).map(|number| format!("config=c{number}")).collect();
    assert_eq!(code(&format!("?{}", many.join("&"))), "bad_request");
}

#[test]
fn of_several_configs_the_missing_one_is_told_as_removed_and_the_others_are_served() {
    let (origin, server, first) = two();
    let events = server.events("config=none&config=b");
    let told = events.until_version(&first);
    assert_eq!(told[0].data["removed"], json!(["none"]));
    let second = origin.commit(&[("none.json", Some("{}"))], "now it is there");
    let told = events.until_version(&second);
    assert_eq!(told.last().expect("an event").data["config"], "none");
}

#[test]
fn after_a_forced_change_a_stream_is_told_so() {
    let (origin, server, first) = two();
    let second = origin.commit(&[("a.json", Some("{\"v\": 2}"))], "two");
    server.until_tip(&second);
    let events = server.events("config=a");
    events.until_version(&second);
    origin.force_reset("main", &first);
    let third = origin.commit(&[("a.json", Some("{\"v\": 3}"))], "three");
    server.until_head(&third, "held");
    server
        .post(
            "/v1/repos/default/accept",
            &json!({"head": third.as_str(), "reason": "cleaned up"}),
        )
        .expect(200);
    let told = events.until_version(&third);
    let version = told
        .iter()
        .rfind(|event| event.name == "version")
        .expect("a version");
    assert_eq!(version.data["change"], "forced");
}

#[test]
fn a_reader_that_hangs_up_leaves_nothing_behind() {
    let (origin, server, first) = two();
    for _ in 0..50 {
        let events = server.events("config=a");
        events.until_version(&first);
    }
    let second = origin.commit(&[("a.json", Some("{\"v\": 2}"))], "two");
    server.until_tip(&second);
    // Everything still works and a stop does not wait for anybody who is gone.
    let start = std::time::Instant::now();
    drop(server.stop());
    assert!(start.elapsed() < Duration::from_secs(20));
}
