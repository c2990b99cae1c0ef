//! An upstream that takes a push and does not answer: nothing but the push waits for it.

use std::time::{Duration, Instant};

use headwater_tests::git_http::{Fault, FaultOn, GitHttp};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::served::Served;

use super::commands::said;
use super::killed::{PROGRAM, WAITS, served, until_served, value};
use super::*;

/// Longer than any test: whoever waits for the push never comes on.
const FOR_EVER: Duration = Duration::from_hours(1);
/// Far below it, and above what a slow machine needs for the rest.
const SOON: Duration = Duration::from_secs(25);

fn patient(origin: &TestOrigin) -> Stopped {
    writing(origin).each(|repo| repo.mirror_limits.push = FOR_EVER)
}

/// Asks for a rollback, from another thread.
fn asked(server: &TestServer, request: &Value) -> std::thread::JoinHandle<Reply> {
    let (addr, body) = (server.addr(), request.to_string());
    let ask = Ask::new("POST", ROLLBACKS).body("application/json", body.as_bytes());
    std::thread::spawn(move || ask.send(addr))
}

fn until_reached(origin: &TestOrigin) {
    wait_until("the hook", || origin.path().join("reached").exists());
}

fn let_go(origin: &TestOrigin) {
    std::fs::write(origin.path().join("go"), "").unwrap();
}

fn beside(origin: &TestOrigin, value: u32) -> CommitId {
    origin.commit(&[("other.json", Some(&format!("{{\"v\": {value}}}")))], "beside")
}

#[track_caller]
fn assert_published_beside(server: &TestServer, commit: &CommitId, value: u32) {
    server.until_head(commit, "held");
    assert_eq!(
        server.config("other", None).expect(200).json()["document"]["v"],
        value
    );
    assert_serves(server, 1);
}

/// How many commits of the branch are of rollbacks.
fn rollbacks_of(origin: &TestOrigin) -> usize {
    let found = origin.git(&["log", "--format=%H", "--grep=^Headwater-Intent: ", "main"]);
    found.lines().count()
}

#[test]
fn what_comes_to_the_branch_another_way_is_published_while_a_push_hangs() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    let server = patient(&origin).start();
    server.until_tip(&commits[1]);
    origin.hook("pre-receive", WAITS);
    let answer = asked(&server, &to("HEAD~1"));
    until_reached(&origin);
    for value in 1..4 {
        assert_published_beside(&server, &beside(&origin, value), value);
    }
    let answer = answer.join().unwrap().expect(201).json();
    assert_eq!(answer["state"], "git_pending");
    assert_eq!(rollbacks_of(&origin), 0);

    let_go(&origin);
    let pushed = until_state(&server, text(&answer["id"]), "pushed");
    server.until_tip(&text(&pushed["commit"]).parse().unwrap());
    assert_eq!((rollbacks_of(&origin), length(&origin)), (1, 6));
    assert_eq!(origin.git(&["show", "main:other.json"]).trim(), "{\"v\": 3}");
    assert_serves(&server, 1);
}

#[test]
fn a_proxy_that_never_answers_a_push_holds_up_nothing_else() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    origin.allow_push();
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url()).each(|repo| {
        repo.write.allowed = true;
        repo.mirror_limits.push = FOR_EVER;
    });
    let server = server.start();
    server.until_tip(&commits[1]);
    upstream.fail_on(FaultOn::Push, Fault::Silent);
    let answer = asked(&server, &to("HEAD~1"));
    let pushes = |seen: &GitHttp| {
        seen.seen()
            .iter()
            .any(|seen| seen.line.ends_with("/git-receive-pack"))
    };
    wait_until("the push", || pushes(&upstream));
    assert_published_beside(&server, &beside(&origin, 1), 1);
    answer.join().unwrap().expect(201);

    // Whoever starts anew does not wait for the push of before either.
    let server = server.restart();
    assert_serves_again(&server, 1);
    assert_published_beside(&server, &beside(&origin, 2), 2);
}

#[test]
fn a_push_without_an_answer_says_so_and_what_to_do_and_is_one_commit_in_the_end() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 2);
    origin.allow_push();
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url()).each(|repo| {
        repo.write.allowed = true;
        // Enough for a slow machine to come as far as the push itself.
        repo.mirror_limits.push = Duration::from_secs(4);
    });
    let server = server.start();
    server.until_tip(&commits[1]);
    upstream.fail_on(FaultOn::Push, Fault::Silent);
    let begun = Instant::now();
    let answer = roll_back_unheard(&server, &to("HEAD~1"));
    assert!(begun.elapsed() < SOON);
    assert_eq!(answer["state"], "git_pending");
    assert_serves(&server, 1);
    let timed = |text: &str| {
        let digits = |word: &str| word.len() >= 4 && word.bytes().all(|b| b.is_ascii_digit());
        text.split(' ')
            .map(|word| if digits(word) { "[time]" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let why = || until_state(&server, text(&answer["id"]), "git_pending")["why"].clone();
    wait_until("a reason", || text(&why()).contains("moved"));
    insta::assert_snapshot!(timed(text(&why())), @"it is not known whether `refs/heads/main` was moved: the upstream did not answer in time while pushing: [time] ms");
    let status = said(&server, &["status"]);
    let (_, told) = status.split_once("  error").unwrap();
    insta::assert_snapshot!(timed(told.trim_start()), @"
    rollback ID holds 1 config at earlier content: it broke; rollback ID is not in Git yet: it is not known whether `refs/heads/main` was moved: the upstream did not answer in time while pushing: [time] ms
      hint     `headwater holds` tells what is held back, why, and how that ends; look at the hooks of the upstream, and at a proxy in between; whether it arrived is looked at before it is tried again by itself
    ");

    upstream.fail_with(Fault::None);
    let pushed = until_state(&server, text(&answer["id"]), "pushed");
    server.until_tip(&text(&pushed["commit"]).parse().unwrap());
    assert_eq!((rollbacks_of(&origin), length(&origin)), (1, 3));
    assert_eq!(server.repo()["error"], Value::Null);
}

#[test]
fn a_later_rollback_does_not_wait_for_the_push_of_the_one_it_replaces() {
    let origin = TestOrigin::new();
    let commits = history(&origin, 3);
    let server = patient(&origin).start();
    server.until_tip(&commits[2]);
    origin.hook("pre-receive", WAITS);
    let first = asked(&server, &to(commits[0].as_str()));
    until_reached(&origin);
    origin.hook("pre-receive", "exit 0");
    let second = roll_back_unheard(&server, &to(commits[1].as_str()));
    // The push of the first one still waits; on a busy machine the answer comes before that of Git.
    until_state(&server, text(&second["id"]), "pushed");
    assert_serves(&server, 2);
    let first = first.join().unwrap().expect(201).json();
    until_state(&server, text(&first["id"]), "superseded");
    let_go(&origin);
    server.until_tip(&text(&second["commit"]).parse().unwrap());
}

#[test]
fn a_later_rollback_comes_on_top_of_one_whose_push_arrived_without_an_answer() {
    for scope in [json!({}), json!({"config": "app"})] {
        let origin = TestOrigin::new();
        let commits = history(&origin, 3);
        let server = patient(&origin).start();
        server.until_tip(&commits[2]);
        // The branch has it, and nobody says so.
        origin.hook("post-receive", WAITS);
        let first = asked(&server, &to(commits[0].as_str()));
        until_reached(&origin);
        std::fs::remove_file(origin.path().join("hooks/post-receive")).unwrap();
        let mut later = to(commits[1].as_str());
        later
            .as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        let second = roll_back_unheard(&server, &later);
        let pushed = until_state(&server, text(&second["id"]), "pushed");
        first.join().unwrap().expect(201);
        let_go(&origin);
        server.until_tip(&text(&pushed["commit"]).parse().unwrap());
        assert_serves(&server, 2);
        assert_eq!((rollbacks_of(&origin), length(&origin)), (2, 5));
        assert_eq!(tree(&origin, "main"), tree(&origin, commits[1].as_str()));
    }
}

#[test]
fn killed_while_a_push_hangs_it_follows_the_branch_again_and_the_rollback_is_one_commit() {
    let origin = TestOrigin::new();
    let data = tempfile::tempdir().unwrap();
    let bad = history(&origin, 2).remove(1);
    let process = served(&origin, &data);
    process.until("published", |repo| repo["tip"] == bad.as_str());
    origin.hook("pre-receive", WAITS);
    let asked = killed::ask(&process);
    until_reached(&origin);
    process.kill();
    asked.join().unwrap();

    let process = served(&origin, &data);
    until_served(&process);
    let commit = beside(&origin, 1);
    process.until("what came meanwhile", |repo| {
        repo["head"] == commit.as_str() && repo["head_state"] == "held" && repo["configs"] == 2
    });
    assert_eq!(value(&process), 1);
    let_go(&origin);
    process.until("landed", |repo| repo["head_state"] == "published");
    assert_eq!(value(&process), 1);
    assert_eq!((rollbacks_of(&origin), length(&origin)), (1, 4));
}

#[test]
fn a_stop_does_not_wait_for_a_push_that_hangs() {
    let origin = TestOrigin::new();
    origin.allow_push();
    let bad = history(&origin, 2).remove(1);
    let upstream = GitHttp::plain(origin.root());
    for url in [origin.path_url(), upstream.url()] {
        let data = tempfile::tempdir().unwrap();
        let process = Served::start_writing(PROGRAM, &url, data.path(), &[]);
        process.until("published", |repo| repo["tip"] == bad.as_str());
        origin.hook("pre-receive", WAITS);
        let asked = killed::ask(&process);
        until_reached(&origin);
        let begun = Instant::now();
        process.signal("TERM");
        assert!(process.wait().success());
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        asked.join().unwrap();
        std::fs::remove_file(origin.path().join("reached")).unwrap();
    }
    assert_eq!(rollbacks_of(&origin), 0);
    let_go(&origin);
}
