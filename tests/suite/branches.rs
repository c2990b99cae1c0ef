//! What becomes of a branch that is rewritten, deleted, renamed, replaced or not there yet.

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use super::recovery::{assert_serves, generation, set};

#[test]
fn a_rewritten_branch_is_held_until_a_person_accepts_the_head_he_has_seen() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    origin.force_reset("main", &first);
    let third = set(&origin, 3);
    let repo = server.until_head(&third, "held");
    assert_eq!(repo["tip"], second.as_str());
    wait_until("named", || server.repo()["source_state"] == "history_rewritten");
    assert_serves(&server, 2);
    let holds = server.get("/v1/repos/default/holds").expect(200).json();
    assert_eq!(holds["holds"][0]["head"], third.as_str());
    assert_eq!(holds["holds"][0]["tip"], second.as_str());

    let accept = |head: &CommitId, reason: &str| {
        server.post(
            "/v1/repos/default/accept",
            &json!({"head": head.as_str(), "reason": reason}),
        )
    };
    let wrong = accept(&second, "it looks fine").expect(409);
    assert_eq!(wrong.code(), "head_moved");
    assert_eq!(wrong.json()["actual"], third.as_str());
    assert_eq!(accept(&third, "").expect(400).code(), "bad_request");
    assert_eq!(accept(&third, "  \n").expect(400).code(), "bad_request");
    assert_eq!(
        accept(&third, &"x".repeat(2_000)).expect(400).code(),
        "bad_request"
    );
    assert_serves(&server, 2);
    let before = generation(&server);
    accept(&third, "the secret was removed from history").expect(200);
    server.until_tip(&third);
    assert_serves(&server, 3);
    assert!(generation(&server) > before);
    accept(&third, "said twice").expect(200);
    assert_eq!(
        accept(&second, "nothing is held").expect(409).code(),
        "nothing_held"
    );
    assert_eq!(server.get("/v1/repos/default/holds").json(), json!({"holds": []}));
    server.until_source("ok");
    // It stays accepted over a restart, and the branch is followed from there.
    let server = server.restart();
    let fourth = set(&origin, 4);
    server.until_tip(&fourth);
}

#[test]
fn a_hold_survives_a_restart() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    origin.force_reset("main", &first);
    server.until_head(&first, "held");
    let server = server.restart();
    assert_eq!(server.until_head(&first, "held")["tip"], second.as_str());
    wait_until("serving", || server.config("app", None).status == 200);
    assert_serves(&server, 2);
}

#[test]
fn a_branch_that_is_put_back_clears_the_hold() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    origin.force_reset("main", &first);
    server.until_head(&first, "held");
    origin.force_reset("main", &second);
    server.until_tip(&second);
    server.until_source("ok");
    assert_eq!(server.get("/v1/repos/default/holds").json(), json!({"holds": []}));
    let third = set(&origin, 3);
    server.until_tip(&third);
}

#[test]
fn a_held_branch_that_moves_on_is_held_at_its_new_head() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    origin.force_reset("main", &first);
    let third = set(&origin, 3);
    server.until_head(&third, "held");
    let fourth = set(&origin, 4);
    server.until_head(&fourth, "held");
    let stale = server
        .post(
            "/v1/repos/default/accept",
            &json!({"head": third.as_str(), "reason": "late"}),
        )
        .expect(409);
    assert_eq!(stale.json()["actual"], fourth.as_str());
}

#[test]
fn with_the_follow_policy_a_rewritten_branch_is_followed_at_once() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = Stopped::of(&origin.path_url())
        .each(|repo| repo.rewritten_history = headwater_core::RewrittenHistory::Follow)
        .start();
    server.until_tip(&second);
    let held = server.config("app", None).must("etag").to_owned();
    origin.force_reset("main", &first);
    let third = set(&origin, 3);
    server.until_tip(&third);
    assert_eq!(
        server
            .config("app", Some(&held))
            .expect(200)
            .must("headwater-change"),
        "forced"
    );
    // A rewritten head that is bad exposes the newest good one of the new line, never a bad one.
    origin.force_reset("main", &first);
    let bad = origin.commit(&[("headwater.toml", Some("format = \"x\""))], "bad");
    let repo = server.until_head(&bad, "rejected");
    assert!(
        repo["tip"] == first.as_str() || repo["tip"] == third.as_str(),
        "{repo}"
    );
}

#[test]
fn a_deleted_branch_keeps_the_last_good_commit_says_stale_and_comes_back_by_itself() {
    let origin = TestOrigin::new();
    origin.commit_on("other", &[("app.json", Some("{\"v\": 99}"))], "other");
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url()).branch("main").start();
    server.until_tip(&first);
    origin.delete_branch("main");
    let repo = server.until_source("branch_missing");
    assert_eq!(repo["stale"], true);
    assert_eq!(repo["tip"], first.as_str());
    assert!(repo["hint"].as_str().expect("a hint").contains("push the branch"));
    let reply = server.config("app", None).expect(200);
    assert_eq!(reply.json()["document"]["v"], 1);
    assert_eq!(reply.must("headwater-stale"), "true");
    origin.force_reset("main", &first);
    let second = set(&origin, 2);
    server.until_tip(&second);
    server.until_source("ok");
    assert_eq!(server.config("app", None).header("headwater-stale"), None);
}

#[test]
fn an_empty_repository_is_a_state_and_its_first_commit_is_seen() {
    let origin = TestOrigin::new();
    let server = TestServer::of(&origin);
    let repo = server.until_source("empty_repository");
    assert_eq!(repo["head_state"], "none", "nothing is being judged");
    assert_eq!(repo["tip"], Value::Null);
    assert_eq!(server.config("app", None).expect(503).code(), "not_ready");
    server.get("/readyz").expect(200);
    let first = set(&origin, 1);
    server.until_tip(&first);
    assert_serves(&server, 1);
}

#[test]
fn a_named_branch_that_does_not_exist_yet_is_waited_for() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let server = Stopped::of(&origin.path_url()).branch("release/1.0").start();
    let repo = server.until_source("branch_missing");
    assert_eq!(repo["branch"], "release/1.0");
    assert_eq!(server.config("app", None).expect(503).code(), "not_ready");
    let first = origin.commit_on("release/1.0", &[("app.json", Some("{\"v\": 10}"))], "release");
    server.until_tip(&first);
    assert_serves(&server, 10);
}

#[test]
fn a_renamed_default_branch_is_followed_under_its_new_name() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    assert_eq!(server.until_tip(&first)["branch"], "main");
    origin.git(&["branch", "-m", "main", "trunk"]);
    origin.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    server.until("renamed", |repo| repo["branch"] == "trunk");
    let second = origin.commit_on("trunk", &[("app.json", Some("{\"v\": 2}"))], "two");
    server.until_tip(&second);
    server.until_source("ok");
}

#[test]
fn an_upstream_that_was_replaced_by_an_unrelated_one_is_held() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let other = TestOrigin::new();
    let foreign = other.commit(&[("app.json", Some("{\"v\": 666}"))], "another repository");
    std::fs::rename(origin.path(), origin.root().join("away")).expect("a renamed origin");
    std::fs::rename(other.path(), origin.path()).expect("a replaced origin");
    assert_eq!(server.until_head(&foreign, "held")["tip"], first.as_str());
    assert_serves(&server, 1);
}

#[test]
fn a_rewritten_branch_is_accepted_although_the_mirror_with_the_old_tip_is_gone() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    let stopped = server.stop();
    std::fs::remove_dir_all(stopped.mirror_dir()).unwrap();
    origin.force_reset("main", &first);
    let third = set(&origin, 3);
    let server = stopped.start();
    server.until_head(&third, "held");
    let body = json!({ "head": third.as_str(), "reason": "the old line is gone" }).to_string();
    server
        .ask(&Ask::new("POST", "/v1/repos/default/accept").body("application/json", body.as_bytes()))
        .expect(200);
    server.until_tip(&third);
    assert_serves(&server, 3);
}
