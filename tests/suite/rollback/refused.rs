//! Requests that do nothing, and say why.

use headwater_tests::http::Reply;
use headwater_tests::origin::CommitSpec;
use headwater_tests::scrub::scrub;

use super::*;

#[test]
fn a_revert_that_conflicts_names_the_paths_and_does_nothing() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).start();
    server.until_tip(&commits[2]);
    let request = json!({"revert": commits[1].as_str(), "reason": "no"});
    let refused = server.post(ROLLBACKS, &request).expect(409);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["paths"]),
        ("revert_conflict", &json!(["app.json"]))
    );
    assert_serves(&server, 3);
    let reverted = roll_back(&server, &json!({"revert": "HEAD", "reason": "yes"}));
    assert_eq!(reverted["state"], "pushed");
    assert_serves(&server, 2);
    assert!(
        origin
            .git(&["log", "-1", "--format=%B", "main"])
            .starts_with("Revert \"v = 3\"")
    );
}

#[test]
fn a_second_person_who_goes_back_by_counting_does_not_bring_back_what_was_bad() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).start();
    server.until_tip(&commits[2]);
    let back = json!({"to": "HEAD~1", "reason": "the first to see it"});
    assert_eq!(roll_back(&server, &back)["state"], "pushed");
    assert_serves(&server, 2);
    for rev in ["HEAD~1", "main~1", "HEAD^"] {
        let again = json!({"to": rev, "reason": "the second to see it"});
        let refused = server.post(ROLLBACKS, &again).expect(409);
        assert_eq!(refused.code(), "rolled_back");
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .ends_with("went away from: the first to see it"),
            "{}",
            refused.json()
        );
        assert_serves(&server, 2);
    }
    // The same request is the same rollback, though its revision names something else by now.
    assert_eq!(roll_back(&server, &back)["state"], "pushed");
    // What is counted past it was not left by anybody, and a hash names on purpose what was.
    roll_back(&server, &json!({"to": "HEAD~3", "reason": "further"}));
    assert_serves(&server, 1);
    roll_back(&server, &to(commits[2].as_str()));
    assert_serves(&server, 3);
}

#[test]
fn a_revert_left_behind_is_not_brought_back_by_counting_either() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).start();
    server.until_tip(&commits[2]);
    roll_back(&server, &json!({"revert": "HEAD", "reason": "it broke"}));
    let refused = server.post(ROLLBACKS, &to("HEAD~1")).expect(409);
    assert_eq!(refused.code(), "rolled_back");
    roll_back(&server, &to("HEAD~3"));
    assert_serves(&server, 1);
}

#[test]
fn content_that_does_not_validate_is_refused_with_its_findings() {
    let origin = TestOrigin::new();
    let manifest = "format = 1\n[[config]]\nname = \"app\"\nlayers = [\"app.toml\"]\n";
    let bad = origin.commit(
        &[("headwater.toml", Some(manifest)), ("app.toml", Some("v = ["))],
        "bad",
    );
    let good = origin.commit(&[("app.toml", Some("v = 2"))], "good");
    let server = writing(&origin).start();
    server.until_tip(&good);
    let refused = server.post(ROLLBACKS, &to(bad.as_str())).expect(409);
    assert_eq!(refused.code(), "commit_rejected");
    assert_eq!(refused.json()["findings"][0]["path"], "app.toml");
    assert_serves(&server, 2);
}

#[test]
fn a_rejected_head_is_nothing_to_go_back_to_although_the_branch_has_it() {
    let origin = TestOrigin::new();
    let good = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&good[1]);
    let bad = origin.commit(&[("app.json", Some("{"))], "bad");
    server.until_head(&bad, "rejected");
    for request in [
        to(bad.as_str()),
        json!({"to": bad.as_str(), "config": "app", "reason": "no"}),
    ] {
        let refused = server.post(ROLLBACKS, &request).expect(409);
        assert_eq!(refused.code(), "commit_rejected");
        assert_eq!(refused.json()["findings"][0]["path"], "app.json");
    }
    assert_serves(&server, 2);
}

#[test]
fn requests_that_cannot_be_met_do_nothing() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let reading = TestServer::of(&origin);
    reading.until_tip(&commits[1]);
    for request in [to("HEAD~1"), json!({"to": 7})] {
        let refused: Reply = reading.post(ROLLBACKS, &request).expect(403);
        assert_eq!(refused.code(), "write_not_allowed");
    }
    drop(reading);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let stranger = origin.commit_on("elsewhere", &[("app.json", Some("{}"))], "elsewhere");
    let first = commits[0].as_str();
    for (request, status, code) in [
        (json!({"to": first, "reason": ""}), 400, "bad_request"),
        (json!({"reason": "neither"}), 400, "bad_request"),
        (
            json!({"to": first, "revert": first, "reason": "both"}),
            400,
            "bad_request",
        ),
        (
            json!({"revert": "HEAD", "mainline": 1, "reason": "no merge"}),
            400,
            "bad_request",
        ),
        (
            json!({"to": first, "mode": "sideways", "reason": "mode"}),
            400,
            "bad_request",
        ),
        (json!({"to": "HEAD", "reason": "same"}), 409, "nothing_to_do"),
        (
            json!({"to": "HEAD~9", "reason": "far"}),
            404,
            "revision_not_found",
        ),
        (
            json!({"to": stranger.as_str(), "reason": "not ours"}),
            404,
            "commit_not_here",
        ),
        (
            json!({"to": first, "expected_tip": first, "reason": "moved"}),
            409,
            "tip_moved",
        ),
    ] {
        let reply = server.post(ROLLBACKS, &request).expect(status);
        assert_eq!(reply.code(), code, "{request}");
    }
    let refused = server.post(
        ROLLBACKS,
        &json!({"to": first, "expected_tip": first, "reason": "moved"}),
    );
    assert_eq!(refused.json()["actual"], commits[1].as_str());
    assert_eq!(
        server.get(&format!("{ROLLBACKS}/none")).expect(404).code(),
        "rollback_not_found"
    );
    assert_eq!(origin.head("main").unwrap(), commits[1]);
    assert_eq!(server.get(ROLLBACKS).expect(200).json(), json!({"rollbacks": []}));
}

#[test]
fn who_asks_is_named_in_one_plain_line_or_the_member_is_named() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let long = "a".repeat(257);
    for name in [
        "",
        " ",
        "a\nb",
        "a\u{7}b",
        "<>",
        "<ada@example.test>",
        "Ada <",
        "Ada <a> b",
        "Ada <a<b>>",
        "Ada <a b>",
        ". ",
        "'' <ada@example.test>",
        "a>",
        long.as_str(),
    ] {
        let request = json!({"to": "HEAD~1", "reason": "it broke", "requested_by": name});
        let refused = server.post(ROLLBACKS, &request).expect(400);
        assert!(
            text(&refused.json()["detail"]).starts_with("`requested_by` is "),
            "{name:?}"
        );
    }
    assert_serves(&server, 2);
}

/// Detail and hint of a refusal.
fn told(refused: &Reply) -> String {
    let problem = refused.json();
    scrub(&format!(
        "{}\n{}",
        text(&problem["detail"]),
        text(&problem["hint"])
    ))
}

#[test]
fn what_is_no_commit_of_the_branch_is_told_apart() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let stranger = origin.commit_on("elsewhere", &[("app.json", Some("{}"))], "elsewhere");
    let refused = server.post(ROLLBACKS, &to(stranger.as_str())).expect(404);
    insta::assert_snapshot!(told(&refused), @"
    the followed branch does not reach [commit 1]
    only content of the branch can come back: choose a commit that `headwater log` lists, or bring this one to the branch
    ");
    let refused = server
        .post(ROLLBACKS, &to(tree(&origin, "main").trim()))
        .expect(404);
    insta::assert_snapshot!(told(&refused), @"
    [commit 1] is a directory, and no commit
    name a commit of the branch, as `headwater log` lists them
    ");
}

#[test]
fn a_merge_is_reverted_by_who_says_which_side_is_kept() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 1);
    let side = origin.commit_on("side", &[("side.json", Some("{\"v\": 1}"))], "side");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(commits[0].clone()),
        merged: vec![side],
        entries: vec![("100644", "side.json", Some(b"{\"v\": 1}"))],
        message: "merge",
        at: None,
    });
    let server = writing(&origin).start();
    server.until_tip(&merge);
    let revert = |rev: &str, mainline: Option<usize>| {
        let request = json!({"revert": rev, "mainline": mainline, "reason": "no"});
        server.post(ROLLBACKS, &request)
    };
    insta::assert_snapshot!(told(&revert("HEAD", None).expect(400)), @"
    `[commit 1]` is a merge, and which parent's side is kept was not said: 1 is [commit 2], 2 is [commit 3]
    say `--mainline N` with the parent whose side is kept; 1 is the branch that was merged into
    ");
    insta::assert_snapshot!(told(&revert("HEAD", Some(3)).expect(400)), @"
    `[commit 1]` has no parent 3: 1 is [commit 2], 2 is [commit 3]
    say `--mainline N` with the parent whose side is kept; 1 is the branch that was merged into
    ");
    insta::assert_snapshot!(told(&revert("HEAD~1", Some(1)).expect(400)), @"
    `[commit 1]` is no merge, so there is no side of it to keep
    leave `--mainline` out
    ");
    revert("HEAD", Some(1)).expect(201);
    server.config("side", None).expect(404);
}

#[test]
fn who_insists_gets_content_that_does_not_validate_if_the_settings_allow_it() {
    let origin = TestOrigin::new();
    let manifest = "format = 1\n[[config]]\nname = \"app\"\nlayers = [\"app.toml\"]\nschema = \"s.json\"\n";
    let schema = "{\"properties\": {\"v\": {\"maximum\": 5}}}";
    let bad = origin.commit(
        &[
            ("headwater.toml", Some(manifest)),
            ("s.json", Some(schema)),
            ("app.toml", Some("v = 9")),
        ],
        "bad",
    );
    let good = origin.commit(&[("app.toml", Some("v = 2"))], "good");
    let insisting = json!({"to": bad.as_str(), "force_invalid": true, "reason": "we know"});
    let server = writing(&origin).start();
    server.until_tip(&good);
    let refused = server.post(ROLLBACKS, &insisting).expect(403);
    assert_eq!(refused.code(), "write_not_allowed");
    let refused = server.post(ROLLBACKS, &to(bad.as_str())).expect(409);
    assert_eq!(refused.json()["findings"][0]["code"], "schema/maximum");
    drop(server);

    let server = writing(&origin)
        .each(|repo| repo.write.invalid_allowed = true)
        .start();
    server.until_tip(&good);
    let answer = roll_back(&server, &insisting);
    assert_eq!(answer["state"], "pushed");
    let commit = text(&answer["commit"]).parse().unwrap();
    server.until_tip(&commit);
    assert_serves(&server, 9);
    let view = server
        .get(&format!("/v1/repos/default/commits/{commit}"))
        .expect(200)
        .json();
    assert_eq!(
        (
            &view["verdict"]["state"],
            &view["verdict"]["findings"][0]["severity"]
        ),
        (&json!("admitted"), &json!("warning"))
    );
    // A start judges again whatever it serves.
    let server = server.restart();
    assert_serves_again(&server, 9);
}

#[test]
fn a_file_that_cannot_be_read_does_not_take_its_config_away() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 1);
    let broken = origin.commit(&[("app.json", Some("{"))], "broken");
    let mended = set(&origin, 2);
    let server = writing(&origin)
        .each(|repo| repo.write.invalid_allowed = true)
        .start();
    server.until_tip(&mended);
    let refused = server.post(ROLLBACKS, &to(broken.as_str())).expect(409);
    assert_eq!(refused.code(), "commit_rejected");
    let insisting = json!({"to": broken.as_str(), "force_invalid": true, "reason": "we do not know"});
    server.post(ROLLBACKS, &insisting).expect(409);
    assert_serves(&server, 2);
    assert_eq!(roll_back(&server, &to(commits[0].as_str()))["state"], "pushed");
}
