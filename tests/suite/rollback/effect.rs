//! What instances are told, and what the branch gets.

use std::time::Duration;

use headwater_tests::git_http::{Fault, GitHttp};
use headwater_tests::http::Ask;

use super::*;

#[test]
fn going_back_three_commits_is_one_commit_that_everybody_hears_of_once() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 4);
    let server = writing(&origin).start();
    server.until_tip(&commits[3]);
    let events = server.events("config=app");
    events.until_version(&commits[3]);

    let answer = roll_back(&server, &to("HEAD~3"));
    assert_eq!(answer["state"], "pushed");
    let commit = text(&answer["commit"]).to_owned();
    assert_serves(&server, 1);
    assert_eq!(origin.head("main").unwrap().as_str(), commit);
    assert_eq!(tree(&origin, &commit), tree(&origin, commits[0].as_str()));
    assert_eq!(length(&origin), 5);
    let trailers = origin.git(&["log", "-1", "--format=%an %ae%n%cn%n%(trailers:only)", "main"]);
    let id = text(&answer["id"]);
    let expected = format!(
        "Ada ada@example.test\nHeadwater\nRollback-To: {}\nReason: it broke\nRequested-By: Ada <ada@example.test>\n\
         Headwater-Intent: {id}",
        commits[0]
    );
    assert_eq!(trailers.trim(), expected);

    server.until_tip(&commit.parse().unwrap());
    assert_eq!(holds(&server), Vec::<Value>::new());
    let again = roll_back(&server, &to("HEAD~3"));
    assert_eq!(
        (&again["id"], &again["commit"]),
        (&answer["id"], &answer["commit"])
    );
    assert_eq!(length(&origin), 5);

    let next = set(&origin, 9);
    let told = events.until_version(&next);
    let changes: Vec<&str> = told
        .iter()
        .filter(|event| event.name == "version")
        .map(|event| text(&event.data["change"]))
        .collect();
    assert_eq!(changes, ["initial", "rollback", "forward"]);
}

#[test]
fn with_the_upstream_gone_the_effect_is_at_once_and_the_commit_follows() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let token = server.config("app", None).must("etag").to_owned();
    let away = Away::send(&origin);
    server.until_source("not_found");

    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(answer["state"], "git_pending");
    assert!(answer["why"].is_string() && answer["hint"].is_string());
    let id = text(&answer["id"]);
    let reply = server.config("app", Some(&token)).expect(200);
    assert_eq!(reply.must("headwater-change"), "rollback");
    assert_eq!(reply.json()["document"]["v"], 1);
    let repo = server.repo();
    assert_eq!(repo["head_state"], "held");
    // That the upstream is gone hides nothing of it.
    let error = text(&repo["error"]);
    assert!(error.contains("holds 1 config at earlier content"), "{error}");
    assert!(
        error.contains(&format!("rollback {id} is not in Git yet")),
        "{error}"
    );
    let held = holds(&server);
    assert_eq!(
        (held.len(), &held[0]["kind"], &held[0]["configs"]),
        (1, &json!("rollback"), &json!(["app"]))
    );

    // What instances run can be read by its commit, although no branch has it.
    let version = text(&reply.json()["version"]).to_owned();
    let by_commit = server.get(&format!("/v1/repos/default/commits/{version}/configs/app"));
    assert_eq!(by_commit.expect(200).json()["document"]["v"], 1);

    let server = server.restart();
    assert_serves_again(&server, 1);
    let held_token = server.config("app", None).must("etag").to_owned();
    drop(away);
    let pushed = until_state(&server, id, "pushed");
    let commit: CommitId = text(&pushed["commit"]).parse().unwrap();
    server.until_tip(&commit);
    assert_eq!(length(&origin), 3);
    server.config("app", Some(&held_token)).expect(304);
    assert_eq!(holds(&server), Vec::<Value>::new());
}

#[test]
fn one_config_goes_back_alone() {
    let origin = TestOrigin::new();
    history(&origin, 1);
    origin.commit(&[("other.json", Some("{\"v\": 1}"))], "other");
    let last = origin.commit(
        &[
            ("app.json", Some("{\"v\": 2}")),
            ("other.json", Some("{\"v\": 2}")),
        ],
        "both",
    );
    let server = writing(&origin).start();
    server.until_tip(&last);
    let answer = roll_back(
        &server,
        &json!({"to": "HEAD~1", "config": "app", "reason": "alone"}),
    );
    assert_eq!(answer["config"], "app");
    assert_serves(&server, 1);
    assert_eq!(server.config("other", None).json()["document"]["v"], 2);
    assert_eq!(
        origin.git(&["diff", "--name-only", "main~1", "main"]).trim(),
        "app.json"
    );
    let none = json!({"to": "HEAD~1", "config": "nothing", "reason": "alone"});
    assert_eq!(
        server.post(ROLLBACKS, &none).expect(404).code(),
        "config_not_found"
    );
}

#[test]
fn one_config_that_shares_its_files_does_not_take_others_with_it() {
    let origin = TestOrigin::new();
    let manifest = "format = 1\n[[config]]\nname = \"a\"\nlayers = [\"base.toml\", \"a.toml\"]\n\
                    [[config]]\nname = \"b\"\nlayers = [\"base.toml\", \"b.toml\"]\n";
    let files = [("base.toml", "x = 1"), ("a.toml", "a = 1"), ("b.toml", "b = 1")];
    let mut edits = vec![("headwater.toml", Some(manifest))];
    edits.extend(files.map(|(path, text)| (path, Some(text))));
    origin.commit(&edits, "begin");
    let last = origin.commit(&[("base.toml", Some("x = 2"))], "base");
    let server = writing(&origin).start();
    server.until_tip(&last);
    let request = json!({"to": "HEAD~1", "config": "a", "reason": "alone"});
    let refused = server.post(ROLLBACKS, &request).expect(409);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["paths"]),
        ("revert_conflict", &json!(["b"]))
    );
    assert_eq!(origin.head("main").unwrap(), last);
}

/// Asks for all of them at once.
fn at_once(server: &TestServer, requests: [&Value; 2]) -> [Value; 2] {
    std::thread::scope(|scope| {
        let asked = requests.map(|request| scope.spawn(|| roll_back(server, request)));
        asked.map(|asked| asked.join().unwrap())
    })
}

#[test]
fn of_two_rollbacks_at_once_the_later_counts_and_two_that_are_the_same_are_one() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = writing(&origin).start();
    server.until_tip(&commits[2]);
    let (one, other) = (to(commits[0].as_str()), to(commits[1].as_str()));
    let same = at_once(&server, [&one, &one]);
    assert_eq!(same[0]["id"], same[1]["id"]);
    let bad = set(&origin, 4);
    server.until_tip(&bad);

    at_once(&server, [&one, &other]);
    server.until("settled", |repo| repo["head_state"] == "published");
    let list = server.get(ROLLBACKS).json();
    assert_eq!(list["rollbacks"].as_array().unwrap().len(), 3);
    let newest = &list["rollbacks"][0];
    let value = if newest["to"] == commits[0].as_str() { 1 } else { 2 };
    assert_serves(&server, value);
    assert_eq!(newest["state"], "pushed");
    assert!(length(&origin) <= 7, "{}", length(&origin));
}

/// Asks for `app` with a long poll, from another thread.
fn long_poll(server: &TestServer, token: &str) -> std::thread::JoinHandle<headwater_tests::http::Reply> {
    let ask = Ask::get("/v1/repos/default/configs/app?wait=60").header("if-none-match", token);
    let addr = server.addr();
    std::thread::spawn(move || ask.send(addr))
}

#[test]
fn a_long_poll_is_answered_by_the_rollback_and_not_by_its_commit() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = writing(&origin).start();
    server.until_tip(&commits[1]);
    let token = server.config("app", None).must("etag").to_owned();
    let away = Away::send(&origin);
    let asked = long_poll(&server, &token);
    let id = text(&roll_back(&server, &to("HEAD~1"))["id"]).to_owned();
    let told = asked.join().unwrap().expect(200);
    assert_eq!(told.must("headwater-change"), "rollback");

    let asked = long_poll(&server, told.must("etag"));
    drop(away);
    let pushed = until_state(&server, &id, "pushed");
    server.until_tip(&text(&pushed["commit"]).parse().unwrap());
    let next = set(&origin, 9);
    let told = asked.join().unwrap().expect(200);
    assert_eq!(told.must("headwater-change"), "forward");
    assert_eq!(told.must("headwater-version"), next.as_str());
}

#[test]
fn an_upstream_that_never_answers_does_not_hold_up_the_effect() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    origin.allow_push();
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url()).each(|repo| {
        repo.write.allowed = true;
        (repo.mirror_limits.list, repo.mirror_limits.idle) = (Duration::from_secs(8), Duration::from_secs(8));
    });
    let server = server.start();
    server.until_tip(&commits[1]);
    upstream.fail_with(Fault::Silent);
    let asked = upstream.seen().len();
    wait_until("a listing that gets no answer", || upstream.seen().len() > asked);
    let addr = server.addr();
    let body = to("HEAD~1").to_string();
    let ask = Ask::new("POST", ROLLBACKS).body("application/json", body.as_bytes());
    let answer = std::thread::spawn(move || ask.send(addr));
    wait_until("the effect", || {
        server.config("app", None).json()["document"]["v"] == 1
    });
    // The listing was put off: nobody has waited for its end.
    assert_eq!(server.repo()["source_state"], "ok");
    let rollbacks = server.get(ROLLBACKS).expect(200).json();
    assert_eq!(rollbacks["rollbacks"][0]["state"], "git_pending");
    upstream.fail_with(Fault::None);
    answer.join().unwrap().expect(201);
    until_state(&server, text(&rollbacks["rollbacks"][0]["id"]), "pushed");
}
