//! How the commit comes to a branch that moved, is protected, or takes nothing from us.

use std::time::Duration;

use headwater_tests::git_http::{Fault, FaultOn, GitHttp};
use headwater_tests::origin::CommitSpec;

use super::*;

#[test]
fn a_branch_that_moved_meanwhile_keeps_what_came_in() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let away = Away::send(&origin);
    server.until_source("not_found");
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let token = server.config("app", None).must("etag").to_owned();
    drop(away);
    // It may be quicker than this commit, which then comes on top of the rollback.
    origin.commit(&[("other.json", Some("{\"v\": 7}"))], "beside");
    let pushed = until_state(&server, &id, "pushed");
    server.until("both", |repo| {
        repo["head_state"] == "published" && repo["configs"] == 2
    });
    assert!(origin.git_ok(&["merge-base", "--is-ancestor", text(&pushed["commit"]), "main"]));
    assert_eq!(origin.git(&["show", "main:app.json"]).trim(), "{\"v\": 1}");
    assert_eq!(origin.git(&["show", "main:other.json"]).trim(), "{\"v\": 7}");
    server.config("app", Some(&token)).expect(304);
    server.config("other", None).expect(200);
}

#[test]
fn a_rollback_built_anew_is_the_same_content_to_who_holds_it() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let events = server.events("config=app");
    events.until_version(&commits[1]);
    refuse_pushes(&origin);
    let answer = roll_back(&server, &to("HEAD~1"));
    let first = text(&answer["commit"]).to_owned();
    events.until_version(&first);
    let token = server.config("app", None).must("etag").to_owned();
    let beside = origin.commit(&[("other.json", Some("{\"v\": 7}"))], "beside");
    server.until_head(&beside, "held");
    take_pushes(&origin);
    let pushed = until_state(&server, text(&answer["id"]), "pushed");
    let commit: CommitId = text(&pushed["commit"]).parse().unwrap();
    assert_ne!(commit.as_str(), first);
    server.until_tip(&commit);
    let changed = origin.git(&["diff", "--name-only", "main~1", "main"]);
    assert_eq!(changed.trim(), "app.json");
    server.config("app", Some(&token)).expect(304);
    let next = set(&origin, 9);
    let versions = events
        .until_version(&next)
        .into_iter()
        .filter(|event| event.name == "version");
    assert_eq!(versions.count(), 3);
}

#[test]
fn a_protected_branch_gets_a_pull_request_whose_merge_is_recognised() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let (forge, _dir, stopped) = with_forge(&origin);
    forge.protect(&origin, "main");
    let server = stopped.start();
    server.until_tip(&commits[1]);
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(answer["state"], "proposed");
    assert_eq!(answer["url"], "https://forge.example.test/pull/1");
    assert_serves(&server, 1);
    assert_eq!(origin.head("main").unwrap(), commits[1]);
    let branch = format!("headwater/rollback-{}", text(&answer["id"]));
    assert_eq!(origin.head(&branch).unwrap().as_str(), text(&answer["commit"]));
    let pulls = forge.pulls();
    assert_eq!((pulls.len(), &pulls[0]["head"]["ref"]), (1, &json!(branch)));
    assert!(text(&pulls[0]["body"]).contains("Reason: it broke"));

    let token = server.config("app", None).must("etag").to_owned();
    let server = server.restart();
    server.until_head(&commits[1], "held");
    assert_eq!(forge.pulls().len(), 1);
    origin.git(&["update-ref", "refs/heads/main", text(&answer["commit"])]);
    server.until_tip(&text(&answer["commit"]).parse().unwrap());
    until_state(&server, text(&answer["id"]), "pushed");
    server.config("app", Some(&token)).expect(304);
}

#[test]
fn without_a_forge_a_protected_branch_leaves_git_pending_and_the_effect_holds() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    TestForge::start("unused").protect(&origin, "main");
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(answer["state"], "git_pending");
    assert!(text(&answer["why"]).contains("protected"), "{answer}");
    assert_serves(&server, 1);
    std::fs::remove_file(origin.path().join("hooks/update")).unwrap();
    let pushed = until_state(&server, text(&answer["id"]), "pushed");
    server.until_tip(&text(&pushed["commit"]).parse().unwrap());
}

#[test]
fn more_writes_than_allowed_within_a_minute_wait() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).each(|repo| repo.write.per_minute = 1).start();
    server.until_tip(&commits[2]);
    let first = roll_back(&server, &to("HEAD~1"));
    server.until_tip(&text(&first["commit"]).parse().unwrap());
    let second = roll_back(&server, &to(commits[0].as_str()));
    assert_eq!(
        (&second["state"], &second["why"]),
        (
            &json!("git_pending"),
            &json!("all writes of this minute are used up")
        )
    );
    assert_serves(&server, 1);
    assert_eq!(origin.head("main").unwrap().as_str(), text(&first["commit"]));
}

#[test]
fn a_branch_that_moved_unseen_is_looked_at_first_and_the_tip_is_named_to_who_expected_another() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin)
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    server.until_tip(&commits[1]);
    let beside = origin.commit(&[("other.json", Some("{\"v\": 7}"))], "beside");
    let expecting =
        json!({"to": commits[0].as_str(), "expected_tip": commits[1].as_str(), "reason": "it broke"});
    let refused = server.post(ROLLBACKS, &expecting).expect(409);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["actual"]),
        ("tip_moved", &json!(beside.as_str()))
    );
    assert_serves(&server, 2);

    let unseen = origin.commit(&[("third.json", Some("{\"v\": 8}"))], "beside again");
    let answer = roll_back(&server, &to(commits[0].as_str()));
    assert_eq!(answer["state"], "pushed", "{answer}");
    assert_serves(&server, 1);
    let parent = origin.git(&["rev-parse", &format!("{}^", text(&answer["commit"]))]);
    assert_eq!(parent.trim(), unseen.as_str());
    assert_eq!(tree(&origin, "main"), tree(&origin, commits[0].as_str()));
}

#[test]
fn revisions_are_counted_from_where_the_branch_is_and_not_from_where_it_was_seen() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin)
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    server.until_tip(&commits[1]);
    let events = server.events("config=app");
    events.until_version(&commits[1]);
    set(&origin, 3);
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(
        (&answer["state"], &answer["to"], &answer["subject"]),
        (&json!("pushed"), &json!(commits[1].as_str()), &json!("v = 2"))
    );
    assert!(
        answer["as_of"].is_string() && answer["unlisted"].is_null(),
        "{answer}"
    );
    assert_serves(&server, 2);

    // What was the newest commit that anybody knew is no longer the newest.
    let bad = set(&origin, 4);
    let answer = roll_back(&server, &to(text(&answer["commit"])));
    assert_eq!(answer["state"], "pushed", "{answer}");
    assert_eq!(length(&origin), 6);
    assert!(origin.git_ok(&["merge-base", "--is-ancestor", bad.as_str(), "main"]));
    assert_serves(&server, 2);
}

#[test]
fn while_the_upstream_is_away_it_is_said_as_of_when_the_branch_is_known() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let away = Away::send(&origin);
    server.until_source("not_found");
    let refused = server.post(ROLLBACKS, &to("HEAD")).expect(409);
    assert_eq!(refused.code(), "nothing_to_do");
    let hint = text(&refused.json()["hint"]).to_owned();
    assert!(
        hint.contains("the upstream could not be asked, and the branch was last seen"),
        "{hint}"
    );
    let answer = roll_back(&server, &to("HEAD~1"));
    assert!(
        answer["unlisted"].is_string() && answer["as_of"].is_string(),
        "{answer}"
    );
    assert!(text(&answer["as_of"]) < text(&answer["at"]));
    drop(away);
}

#[test]
fn a_tag_that_was_pushed_a_moment_ago_is_found() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin)
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    server.until_tip(&commits[1]);
    origin.tag("good", &commits[0]);
    assert_eq!(roll_back(&server, &to("good"))["to"], commits[0].as_str());
}

#[test]
fn a_commit_that_changed_the_same_meanwhile_is_left_to_a_person() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let more = origin.commit(
        &[
            ("app.json", Some("{\"v\": 3}")),
            ("other.json", Some("{\"v\": 1}")),
        ],
        "both",
    );
    let server = writing(&origin).start();
    server.until_tip(&more);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to(commits[0].as_str()))["id"]).to_owned();
    origin.commit(&[("other.json", Some("{\"v\": 2}"))], "the same file");
    take_pushes(&origin);
    let view = wait_for("a reason", || {
        let view = server.get(&format!("{ROLLBACKS}/{id}")).json();
        text(&view["why"])
            .contains("the branch has changed the same since")
            .then_some(view)
    });
    assert!(text(&view["why"]).ends_with("`other.json`"), "{view}");
    assert_eq!(view["holds"], json!(["app"]));
    assert_serves(&server, 1);
}

#[test]
fn without_the_right_to_push_the_reason_and_the_remedy_are_told() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    origin.allow_push();
    let upstream = GitHttp::plain(origin.root());
    upstream.fail_on(FaultOn::Push, Fault::Status(403));
    let server = Stopped::of(&upstream.url())
        .each(|repo| repo.write.allowed = true)
        .start();
    server.until_tip(&commits[1]);
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(answer["state"], "git_pending");
    insta::assert_snapshot!(format!("{}\n{}", text(&answer["why"]), text(&answer["hint"])), @"
    these credentials may not write: the upstream refused the credentials: HTTP status 403
    set credentials for writing that may push to this branch
    ");
    assert_serves(&server, 1);
    upstream.fail_on(FaultOn::Push, Fault::None);
    until_state(&server, text(&answer["id"]), "pushed");
}

/// A pull request waits; gives the answer and the token of who holds the restored content.
fn proposed(origin: &TestOrigin, server: &TestServer) -> (Value, String) {
    let answer = roll_back(server, &to("HEAD~1"));
    assert_eq!(answer["state"], "proposed");
    let beside = origin.commit(&[("other.json", Some("{\"v\": 7}"))], "beside");
    server.until_head(&beside, "held");
    let token = server.config("app", None).must("etag").to_owned();
    (answer, token)
}

#[test]
fn a_pull_request_that_a_forge_merges_in_its_own_way_is_recognised_and_wakes_nobody() {
    for squashed in [false, true] {
        let origin = TestOrigin::new();
        let commits = history(&origin, 2);
        let (forge, _dir, stopped) = with_forge(&origin);
        forge.protect(&origin, "main");
        let server = stopped.start();
        server.until_tip(&commits[1]);
        let (answer, token) = proposed(&origin, &server);
        let proposed: CommitId = text(&answer["commit"]).parse().unwrap();
        let merge = origin.commit_spec(&CommitSpec {
            branch: "main",
            parent: origin.head("main"),
            merged: Vec::from_iter((!squashed).then_some(proposed)),
            entries: vec![("100644", "app.json", Some(b"{\"v\": 1}"))],
            message: "Merge pull request #1",
            at: None,
        });
        server.until_tip(&merge);
        until_state(&server, text(&answer["id"]), "pushed");
        assert_eq!(holds(&server), Vec::<Value>::new());
        server.config("app", Some(&token)).expect(304);
    }
}

#[test]
fn what_is_only_to_be_proposed_is_not_pushed() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let (forge, _dir, stopped) = with_forge(&origin);
    let server = stopped.start();
    server.until_tip(&commits[1]);
    let answer = roll_back(
        &server,
        &json!({"to": "HEAD~1", "reason": "slowly", "mode": "propose"}),
    );
    assert_eq!(answer["state"], "proposed");
    assert_eq!(
        (forge.pulls().len(), origin.head("main").unwrap()),
        (1, commits[1].clone())
    );
    assert_serves(&server, 1);
}

#[test]
fn without_a_forge_nothing_can_be_proposed_and_the_effect_holds() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let answer = roll_back(
        &server,
        &json!({"to": "HEAD~1", "reason": "slowly", "mode": "propose"}),
    );
    assert_eq!(
        (&answer["state"], &answer["why"]),
        (
            &json!("git_pending"),
            &json!("there is no forge to open a pull request at")
        )
    );
    assert_serves(&server, 1);
}
