//! What is held back, and what ends that.

use headwater_server::forge::ForgeKind;

use super::*;
use crate::webhooks::{SECRET, hook, push_of};

#[test]
fn what_was_bad_stays_out_through_restart_poll_hook_and_touched_neighbours_until_other_content_comes() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin)
        .each(|repo| repo.forge_repo = Some("acme/config".to_owned()))
        .with(|all| all.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])])
        .start();
    server.until_tip(&commits[1]);
    refuse_pushes(&origin);
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(answer["state"], "git_pending");
    push_of(&commits[1]).to(&server).expect(202);
    let looked = server.repo()["synced_at"].clone();
    server.until("another listing", |repo| repo["synced_at"] != looked);
    assert_serves(&server, 1);

    let beside = origin.commit(&[("other.json", Some("{\"v\": 7}"))], "beside");
    server.until_head(&beside, "held");
    assert_serves(&server, 1);
    assert_eq!(
        server.config("other", None).expect(200).json()["document"]["v"],
        7
    );
    let server = server.restart();
    server.until_head(&beside, "held");
    assert_serves_again(&server, 1);
    // By its own hash the bad content is what it is.
    let by_commit = server
        .get(&format!("/v1/repos/default/commits/{beside}/configs/app"))
        .expect(200);
    assert_eq!(
        (
            by_commit.json()["document"]["v"].clone(),
            by_commit.must("headwater-version")
        ),
        (json!(2), commits[1].as_str())
    );

    let token = server.config("app", None).must("etag").to_owned();
    let mended = set(&origin, 3);
    server.until_tip(&mended);
    let reply = server.config("app", Some(&token)).expect(200);
    assert_eq!(reply.must("headwater-change"), "forward");
    assert_eq!(reply.json()["document"]["v"], 3);
    let state = server.get(&format!("{ROLLBACKS}/{}", text(&answer["id"]))).json();
    assert_eq!(state["state"], "superseded");
    assert_eq!(origin.head("main").unwrap(), mended);
}

#[test]
fn another_wording_of_what_was_bad_is_as_bad_also_after_a_restart() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let spaced = origin.commit(&[("app.json", Some("{ \"v\":\n  2 }\n"))], "a space");
    server.until_head(&spaced, "held");
    assert_serves(&server, 1);
    let server = server.restart();
    assert_serves_again(&server, 1);
    let again = origin.commit(&[("app.json", Some("{\"v\": 2 }"))], "another space");
    server.until_head(&again, "held");
    assert_serves(&server, 1);
    assert_eq!(holds(&server)[0]["id"], json!(id));

    // Another wording of what is exposed is what was decided, and news to nobody.
    let token = server.config("app", None).must("etag").to_owned();
    let back = origin.commit(&[("app.json", Some("{ \"v\": 1 }"))], "back by hand");
    server.until_tip(&back);
    server.config("app", Some(&token)).expect(304);
    assert_eq!(until_state(&server, &id, "pushed")["commit"], back.as_str());
    assert_eq!(holds(&server), Vec::<Value>::new());
}

/// Two configs, one with a variant: `shared` is the other config's, too.
const LAYERED: &str = r#"format = 1
[[config]]
name = "app"
layers = ["app.toml", "shared.toml"]
  [[config.variant]]
  name = "canary"
  when = { canary = "true" }
  layers = ["canary.toml?"]
[[config]]
name = "other"
layers = ["shared.toml"]
"#;

#[test]
fn only_a_commit_that_changes_what_was_taken_back_ends_the_hold() {
    let origin = TestOrigin::new();
    let commit = |file: &str, text: &str| origin.commit(&[(file, Some(text))], file);
    commit("headwater.toml", LAYERED);
    commit("shared.toml", "note = \"\"\n");
    commit("canary.toml", "color = \"blue\"\n");
    commit("app.toml", "pool = 1\n[log]\nlevel = \"info\"\n");
    let bad = commit("app.toml", "pool = 3\n[log]\nlevel = \"debug\"\n");
    let server = writing(&origin).start();
    server.until_tip(&bad);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let assert_held = |head: &CommitId, why: &str| {
        server.until_head(head, "held");
        let document = server.config("app", None).expect(200).json()["document"].clone();
        assert_eq!(document["pool"], 1, "{why}");
    };
    assert_held(&commit("canary.toml", "color = \"green\"\n"), "a variant alone");
    assert_held(&commit("shared.toml", "note = \"hello\"\n"), "a shared layer");
    assert_held(
        &commit("app.toml", "pool = 3.0\n[log]\nlevel = \"debug\"\n"),
        "a spelling",
    );
    assert_held(&commit("canary.toml", "pool = 2\n"), "mended for some alone");
    let mended = commit("app.toml", "pool = 2\n[log]\nlevel = \"debug\"\n");
    server.until_head(&mended, "published");
    let document = server.config("app", None).expect(200).json()["document"].clone();
    assert_eq!(document["pool"], 2);
    let state = server.get(&format!("{ROLLBACKS}/{id}")).json();
    assert_eq!(state["state"], "superseded");
}

#[test]
fn who_goes_back_to_what_was_taken_back_before_is_not_held_up_by_it() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).start();
    server.until_tip(&commits[2]);
    refuse_pushes(&origin);
    // It was neither the third nor the second, after all.
    for value in [1, 2, 1] {
        roll_back(&server, &to(commits[value - 1].as_str()));
        assert_serves(&server, u32::try_from(value).unwrap());
    }
    let bad = origin.commit(&[("app.json", Some("{\"v\": 2.0, \"w\": 7}"))], "by hand");
    server.until_head(&bad, "held");
    assert_serves(&server, 1);
    let good = origin.commit(&[("app.json", Some("{\"v\": 1.0}"))], "by hand");
    server.until_tip(&good);
    assert_eq!(holds(&server), Vec::<Value>::new());
}

#[test]
fn a_person_can_release_what_is_held_back() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let token = server.config("app", None).must("etag").to_owned();
    let path = format!("/v1/repos/default/holds/{id}/release");
    server.post(&path, &json!({"reason": " "})).expect(400);
    let left = server
        .post(&path, &json!({"reason": "it was not the config"}))
        .expect(200);
    assert_eq!(left.json(), json!({"holds": []}));
    let reply = server.config("app", Some(&token)).expect(200);
    assert_eq!(
        (
            reply.json()["document"]["v"].clone(),
            reply.must("headwater-version")
        ),
        (json!(2), commits[1].as_str())
    );
    server.until_tip(&commits[1]);
    assert_eq!(
        server.post(&path, &json!({"reason": "again"})).expect(409).code(),
        "nothing_held"
    );
    assert_eq!(
        until_state(&server, &id, "released")["why"],
        "it was not the config"
    );
}

#[test]
fn one_that_holds_nothing_back_and_is_not_in_git_is_listed_and_can_be_given_up() {
    let origin = TestOrigin::new();
    history(&origin, 1);
    let last = origin.commit(&[("README.md", Some("what this is"))], "not a config");
    let server = writing(&origin).start();
    server.until_tip(&last);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let waiting = holds(&server);
    assert_eq!((waiting.len(), &waiting[0]["id"]), (1, &json!(id)));
    assert_eq!(waiting[0].get("configs"), None);
    let hint = text(&waiting[0]["hint"]).replace(&id, "ID");
    insta::assert_snapshot!(hint, @"
    it holds nothing back, but its commit is not on the branch: cannot push to `refs/heads/main`, a hook of the upstream refused: pre-receive hook declined: closed for the night (hint: do what the hook says, or ask its owner to let the service through); to give it up, run `headwater release ID --reason …`
    ");
    let path = format!("/v1/repos/default/holds/{id}/release");
    let left = server
        .post(&path, &json!({"reason": "it does not matter"}))
        .expect(200);
    assert_eq!(left.json(), json!({"holds": []}));
    until_state(&server, &id, "released");
    server.post(&path, &json!({"reason": "again"})).expect(409);
    assert_eq!(origin.head("main").unwrap(), last);
}

#[test]
fn a_released_rollback_is_not_pushed_any_more() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    refuse_pushes(&origin);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let path = format!("/v1/repos/default/holds/{id}/release");
    server.post(&path, &json!({"reason": "it was good"})).expect(200);
    take_pushes(&origin);
    // Another one finds its way, and the released one does not.
    let other = roll_back(&server, &json!({"to": "HEAD~1", "reason": "it was not"}));
    assert_eq!(other["state"], "pushed");
    assert_eq!(length(&origin), 3);
    until_state(&server, &id, "released");
}

#[test]
fn what_is_exposed_for_a_rollback_outlives_the_mirror() {
    // With another committer it is another commit of the same content.
    for committer in ["Headwater", "Somebody Else"] {
        let origin = TestOrigin::new();
        let commits = history(&origin, 2);
        let server = writing(&origin).start();
        server.until_tip(&commits[1]);
        refuse_pushes(&origin);
        let answer = roll_back(&server, &to("HEAD~1"));
        let token = server.config("app", None).must("etag").to_owned();
        let stopped = server.stop();
        std::fs::remove_dir_all(stopped.mirror_dir()).unwrap();
        let server = stopped
            .each(|repo| repo.write.committer_name = committer.to_owned())
            .start();
        assert_serves_again(&server, 1);
        take_pushes(&origin);
        let pushed = until_state(&server, text(&answer["id"]), "pushed");
        assert_eq!(pushed["commit"] == answer["commit"], committer == "Headwater");
        server.until_tip(&text(&pushed["commit"]).parse().unwrap());
        server.config("app", Some(&token)).expect(304);
        assert_eq!(length(&origin), 3);
    }
}
