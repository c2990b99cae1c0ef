use std::sync::Mutex;

use super::*;

/// Holds the head until it was looked at, and twice more.
fn server() -> String {
    let held = RepoView {
        head: Some(commit_id('b')),
        head_state: HeadState::Held,
        ..repo("default")
    };
    let published = RepoView {
        tip: Some(commit_id('b')),
        head: Some(commit_id('b')),
        ..repo("default")
    };
    let kept = serde_json::to_string(&held).unwrap();
    let states = Arc::new(Mutex::new(vec![published, held.clone(), held]));
    let view = move || async move { serde_json::to_string(&states.lock().unwrap().pop().unwrap()).unwrap() };
    let accept = move |body: String| async move {
        let sent: headwater_wire::AcceptRequest = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (sent.head, sent.reason.as_str()),
            (commit_id('b'), "secrets removed")
        );
        kept
    };
    one_repo(
        Router::new()
            .route("/v1/repos/default", get(view))
            .route("/v1/repos/default/accept", post(accept)),
    )
}

#[test]
fn a_head_may_be_named_by_its_first_digits_and_is_shown_once_it_is_published() {
    insta::assert_snapshot!(headwater(&server(), &["accept", "bbbbbbbbbb", "--reason", " secrets removed "]), @r"
    exit 0
    accepted bbbbbbbbbb
    default  https://forge.example/acme/config.git (main)
      tip      bbbbbbbbbb
      head     bbbbbbbbbb  published
      source   ok, synced 3 s ago
      configs  12
    ");
}

#[test]
fn another_head_than_the_one_that_is_there_is_refused() {
    insta::assert_snapshot!(headwater(&server(), &["accept", "cccccccccc", "--reason", "x"]), @r"
    exit 1
    --- standard error
    error: the head is not `cccccccccc` but bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    hint: review it, then repeat with `headwater accept bbbbbbbbbb`
    ");
}

#[test]
fn what_is_no_commit_and_an_empty_reason_are_wrong_usage() {
    insta::assert_snapshot!(headwater(&server(), &["accept", "main", "--reason", "x"]), @r"
    exit 2
    --- standard error
    error: not a commit: `main`
    hint: give the head's id as `headwater status` shows it, or all of it
    ");
    insta::assert_snapshot!(headwater(&server(), &["accept", "bbbbbbbbbb", "--reason", " "]), @r"
    exit 2
    --- standard error
    error: the reason is empty
    hint: say why the rewritten history is taken; whoever asks later will be glad
    ");
}

#[test]
fn a_head_that_moved_meanwhile_is_named() {
    let problem = Problem::new(ProblemCode::HeadMoved, "the head is `dddddddddd` now")
        .hint("review it, then accept that one");
    let server = one_repo(refusing("/v1/repos/default/accept", &problem));
    insta::assert_snapshot!(headwater(&server, &["accept", commit_id('b').as_str(), "--reason", "x"]), @r"
    exit 1
    --- standard error
    error: the head is `dddddddddd` now
    hint: review it, then accept that one
    ");
}
