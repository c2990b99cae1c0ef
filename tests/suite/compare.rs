//! What a client that names what it holds is answered: the table of the contract, through real servers.

use std::time::{Duration, Instant};

use headwater_tests::git_http::{Fault, GitHttp};
use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_until;
use serde_json::json;

use super::watch::{APP, served, set, token, waiting};

/// A token for another version with a document that nobody ever had.
fn token_of(commit: &str) -> String {
    format!("\"{commit}.1.0123456789abcdef\"")
}

/// A server behind real HTTP, so that listings can be counted and made to fail; it polls once an hour.
fn rarely_polled(origin: &TestOrigin) -> (GitHttp, TestServer) {
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url())
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    server.until_source("ok");
    (upstream, server)
}

/// Number of listings that arrived so far: each begins with one `GET` of the advertisement.
fn listings(upstream: &GitHttp) -> usize {
    upstream
        .seen()
        .iter()
        .filter(|seen| seen.line.starts_with("GET"))
        .count()
}

#[test]
fn an_unknown_version_is_answered_after_exactly_one_forced_listing() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let (upstream, server) = rarely_polled(&origin);
    let before = listings(&upstream);
    let reply = server.config("app", Some(&token_of(&"e".repeat(40)))).expect(200);
    assert_eq!(reply.must("headwater-change"), "unknown-base");
    assert_eq!(reply.json()["document"]["v"], 1);
    assert_eq!(listings(&upstream), before + 1);
}

#[test]
fn a_version_that_this_replica_has_not_seen_yet_is_fetched_and_then_compared() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let (upstream, server) = rarely_polled(&origin);
    let second = set(&origin, 2);
    let early = TestServer::of(&origin);
    early.until_tip(&second);
    let newer = token(&early);
    let before = listings(&upstream);
    server.config("app", Some(&newer)).expect(304);
    assert_eq!(server.repo()["tip"], second.as_str());
    assert!(listings(&upstream) > before);
}

#[test]
fn an_unknown_version_is_told_to_wait_while_the_upstream_is_down() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let (upstream, server) = rarely_polled(&origin);
    upstream.fail_with(Fault::Status(503));
    for target in [APP.to_owned(), format!("{APP}?wait=5")] {
        let ask = Ask::get(&target).header("if-none-match", &token_of(&"e".repeat(40)));
        let reply = server.ask(&ask).expect(503);
        assert_eq!(reply.code(), "replica_behind");
        assert!(reply.must("retry-after").parse::<u32>().expect("seconds") >= 1);
        assert_eq!(reply.json()["actual"], first.as_str());
    }
    // Who holds nothing, or an ancestor, is served all the same.
    server.config("app", None).expect(200);
}

#[test]
fn a_commit_that_may_have_been_pushed_is_not_denied_while_the_upstream_is_down() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let (upstream, server) = rarely_polled(&origin);
    let second = set(&origin, 2);
    upstream.fail_with(Fault::Status(503));
    for rest in ["configs/app", "files/app.json"] {
        let reply = server
            .get(&format!("/v1/repos/default/commits/{second}/{rest}"))
            .expect(503);
        assert_eq!(reply.code(), "replica_behind");
        assert!(reply.header("retry-after").is_some());
    }
    upstream.fail_with(Fault::None);
    let is_here = || {
        server
            .get(&format!("/v1/repos/default/commits/{second}/configs/app"))
            .status
            == 200
    };
    wait_until("served", is_here);
}

#[test]
fn after_an_accepted_rewrite_who_holds_the_old_line_is_told_that_he_was_forced() {
    let (origin, server, first) = served();
    let old = set(&origin, 2);
    server.until_tip(&old);
    let held = token(&server);
    let asked = waiting(&server, &format!("{APP}?wait=300"), &held);
    origin.force_reset("main", &first);
    let new = set(&origin, 3);
    server.until_head(&new, "held");
    // While it is held nothing moves.
    server.config("app", Some(&held)).expect(304);
    server
        .post(
            "/v1/repos/default/accept",
            &json!({"head": new.as_str(), "reason": "the old line had a secret in it"}),
        )
        .expect(200);
    let reply = asked.join().expect("an answer").expect(200);
    assert_eq!(reply.must("headwater-change"), "forced");
    assert_eq!(reply.json()["version"], new.as_str());
    // Who holds an ancestor of both lines just moves forward.
    let common = server
        .get(&format!("/v1/repos/default/commits/{first}/configs/app"))
        .expect(200);
    let reply = server.config("app", Some(common.must("etag"))).expect(200);
    assert_eq!(reply.must("headwater-change"), "forward");
}

#[test]
fn who_holds_the_new_line_while_it_is_held_back_here_is_not_taken_back() {
    let (origin, server, first) = served();
    let old = set(&origin, 2);
    server.until_tip(&old);
    origin.force_reset("main", &first);
    let new = set(&origin, 3);
    server.until_head(&new, "held");
    let other = TestServer::of(&origin);
    other.until_tip(&new);
    server.config("app", Some(&token(&other))).expect(304);
}

#[test]
fn a_client_that_is_newer_than_this_replica_waits_until_the_replica_has_caught_up() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let behind = TestServer::of(&origin);
    behind.until_tip(&first);
    let held = token(&behind);
    // The next head is rejected here and there, and one that follows is good: a client that holds the rejected
    // head's content can only have it from a judge who was kinder; it is held, not taken back.
    let bad = origin.commit(&[("app.json", Some("{,}"))], "bad");
    behind.until_head(&bad, "rejected");
    behind.config("app", Some(&token_of(bad.as_str()))).expect(304);
    let asked = waiting(&behind, &format!("{APP}?wait=300"), &token_of(bad.as_str()));
    let good = set(&origin, 5);
    let reply = asked.join().expect("an answer").expect(200);
    assert_eq!(reply.json()["version"], good.as_str());
    assert_eq!(reply.must("headwater-change"), "forward");
    assert_eq!(
        behind
            .config("app", Some(&held))
            .expect(200)
            .must("headwater-change"),
        "forward"
    );
}

#[test]
fn no_request_reaches_the_upstream_unless_it_names_something_unknown() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let second = set(&origin, 2);
    let (upstream, server) = rarely_polled(&origin);
    let held = token(&server);
    let before = upstream.seen().len();
    let repo = "/v1/repos/default";
    for _ in 0..20 {
        for target in [
            "/".to_owned(),
            "/livez".to_owned(),
            "/readyz".to_owned(),
            "/v1/repos".to_owned(),
            repo.to_owned(),
            format!("{repo}/configs"),
            APP.to_owned(),
            format!("{APP}?pointer=/v"),
            format!("{APP}?min_version={second}"),
            format!("{repo}/configs/none"),
            format!("{repo}/commits"),
            format!("{repo}/commits?config=app"),
            format!("{repo}/commits/main"),
            format!("{repo}/commits/HEAD~1"),
            format!("{repo}/commits/none"),
            format!("{repo}/commits/{second}"),
            format!("{repo}/commits/{second}/configs/app"),
            format!("{repo}/commits/{second}/files/app.json"),
            format!("{repo}/commits/{second}/files/none"),
            format!("{repo}/diff?from=HEAD~1"),
            format!("{repo}/explain/app"),
            format!("{repo}/holds"),
        ] {
            server.get(&target);
        }
        server.config("app", Some(&held)).expect(304);
        server.config("app", Some("\"not-ours\"")).expect(200);
        server
            .post(&format!("{repo}/checks"), &json!({"rev": "HEAD"}))
            .expect(200);
        server
            .post(
                &format!("{repo}/accept"),
                &json!({"head": second.as_str(), "reason": "none"}),
            )
            .expect(409);
    }
    let _stream = server.events("config=app");
    assert_eq!(upstream.seen().len(), before, "{:?}", &upstream.seen()[before..]);
}

#[test]
fn many_requests_for_unknown_versions_share_few_listings() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let (upstream, server) = rarely_polled(&origin);
    let before = listings(&upstream);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..30 {
            let server = &server;
            scope.spawn(move || {
                let reply = server.config("app", Some(&token_of(&format!("{number:040x}"))));
                assert!(reply.status == 200 || reply.status == 503, "{reply:?}");
            });
        }
    });
    // One every two seconds at most, and one that was already due.
    let allowed = 2 + usize::try_from(start.elapsed().as_secs() / 2).expect("seconds");
    assert!(
        listings(&upstream) - before <= allowed,
        "{} listings",
        listings(&upstream) - before
    );
}
