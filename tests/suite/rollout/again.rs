//! What stood still, or went back and was not known to be back, comes to its end.

use super::*;

fn abort(server: &TestServer, id: &str) {
    let request = json!({"reason": "errors since noon"});
    server
        .post(&format!("{ROLLOUTS}/{id}/abort"), &request)
        .expect(200);
}

#[test]
fn what_stood_still_for_a_rewritten_history_goes_on_with_one_that_has_its_content() {
    let (origin, first) = origin(&slow());
    let server = quick(&origin).start();
    let (mut programs, _, view) = people::baking(&origin, &server);
    origin.force_reset("main", &first);
    let again = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "the same, and no secret");
    server.until_head(&again, "held");
    until(server.addr(), &mut programs, "it stands still", |_| {
        rollout(&server)["state"] == "halted"
    });
    // The reset alone may have been seen before the commit on top of it.
    let why = rollout(&server)["why"].as_str().unwrap().to_owned();
    assert!(why.starts_with("the history was rewritten, and "), "{why}");
    let request = json!({"head": again.as_str(), "reason": "the secret is out"});
    server.post("/v1/repos/default/accept", &request).expect(200);
    until(server.addr(), &mut programs, "it bakes again", |_| {
        rollout(&server)["state"] == "baking"
    });
    assert_eq!(rollout(&server)["id"], view["id"]);
    assert_eq!(running(&programs), BTreeMap::from([(1, 2), (2, 1)]));
    assert_eq!(anonymous(&server), 1);
}

#[test]
fn who_never_says_that_he_is_back_leaves_it_incomplete_until_he_does() {
    let keys = "kind = \"staged\"\ndeadlines = { roll_back = \"1s\" }";
    let (origin, _) = origin(&slow().replace("kind = \"staged\"", keys));
    let server = quick(&origin).start();
    let (mut programs, _, view) = people::baking(&origin, &server);
    let id = view["id"].as_str().unwrap();
    let (mut silent, mut others): (Vec<_>, Vec<_>) =
        programs.drain(..).partition(|program| program.value() == Some(2));
    abort(&server, id);
    let state = || server.get(&format!("{ROLLOUTS}/{id}")).expect(200).json();
    until(server.addr(), &mut others, "it is given up", |_| {
        state()["state"] == "incomplete"
    });
    let next = state()["next"].as_str().unwrap().to_owned();
    assert!(
        next.starts_with("look at the 1 instance that did not say so"),
        "{next}"
    );
    others.append(&mut silent);
    until(server.addr(), &mut others, "all are back", |_| {
        state()["state"] == "rolled_back"
    });
    assert!(all_run(1)(&others));
}
