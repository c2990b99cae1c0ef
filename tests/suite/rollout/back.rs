//! The way back: instances at once, then a commit on the branch, then the hold; and a person who steps in.

use super::*;
use crate::rollback::{ROLLBACKS, holds, length, until_state};

#[test]
fn a_two_phase_rollout_that_was_refused_is_taken_back_in_git_too() {
    let (origin, _) = origin(TWO_PHASE);
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    programs[1].refuses = Some(2);
    set(&origin, 2);
    until(
        server.addr(),
        &mut programs,
        "the branch has the way back",
        |_| length(&origin) == 3,
    );
    let list = server.get(ROLLBACKS).expect(200).json();
    let rollback = &list["rollbacks"][0];
    let reason = rollback["reason"].as_str().unwrap();
    assert!(reason.contains("refused to get ready"), "{reason}");
    until_state(&server, rollback["id"].as_str().unwrap(), "pushed");
    let head = origin.head("main").unwrap();
    server.until_tip(&head);
    assert_eq!(origin.git(&["show", "main:app.json"]).trim(), "{\"v\": 1}");
    let message = origin.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains("refused to get ready"), "{message}");
    until(server.addr(), &mut programs, "all run what they ran", all_run(1));
    assert!(programs.iter().all(|program| !program.was_told(2)));
    assert!(holds(&server).is_empty());
    // The commit is another version of what they run, under the same number, so nobody is told it.
    until(server.addr(), &mut programs, "all count as running it", |_| {
        let list = server.get(&format!("{ROLLOUTS}?config=app")).expect(200).json();
        let at_once = list["rollouts"].as_array().unwrap().iter();
        let mut at_once = at_once.filter(|view| view["policy"]["kind"] == "immediate");
        at_once.any(|view| view["state"] == "done" && view["counts"]["confirmed"] == 3)
    });
}

/// Somebody mends a value while what he mends is still being moved: going back from that must not undo the mend.
#[test]
fn what_was_mended_on_the_branch_meanwhile_comes_and_is_not_undone() {
    let (origin, _) = origin(&slow());
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 20);
    until(server.addr(), &mut programs, "one has it", one_has(20));
    let mend = set(&origin, 15);
    server.until_tip(&mend);
    let id = rollout(&server)["id"].as_str().unwrap().to_owned();
    let body = json!({"reason": "too large"});
    server.post(&format!("{ROLLOUTS}/{id}/abort"), &body).expect(200);
    until(server.addr(), &mut programs, "the mend comes", one_has(15));
    assert_eq!(origin.head("main").unwrap(), mend, "nobody undid it");
    assert_eq!(server.get(ROLLBACKS).expect(200).json()["rollbacks"], json!([]));

    // What still has the value that was gone back from goes back with it.
    let id = rollout(&server)["id"].as_str().unwrap().to_owned();
    let unmended = origin.commit(&[("app.json", Some("{\"v\": 15, \"w\": 1}"))], "one more key");
    server.until_tip(&unmended);
    server.post(&format!("{ROLLOUTS}/{id}/abort"), &body).expect(200);
    until(server.addr(), &mut programs, "all are back", all_run(1));
    until(
        server.addr(),
        &mut programs,
        "the branch has the way back",
        |_| origin.git(&["show", "main:app.json"]).trim() == "{\"v\": 1}",
    );
}

#[test]
fn where_the_service_may_not_write_what_was_refused_stays_away_all_the_same() {
    let (origin, _) = origin(TWO_PHASE);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    programs[1].refuses = Some(2);
    let bad = set(&origin, 2);
    until(
        server.addr(),
        &mut programs,
        "all were told to stay",
        told_to_stay,
    );
    server.until_head(&bad, "held");
    programs[1].refuses = None;
    let unrelated = origin.commit(&[("README.md", Some("hello"))], "a word");
    server.until_head(&unrelated, "held");
    let started = std::time::Instant::now();
    until(server.addr(), &mut programs, "time passed", |_| {
        started.elapsed() > Duration::from_secs(3)
    });
    assert!(
        programs
            .iter()
            .all(|program| program.asked == [2] && !program.was_told(2))
    );
    let held = holds(&server);
    assert_eq!((held.len(), &held[0]["kind"]), (1, &json!("rollout")));
    let release = format!(
        "/v1/repos/default/holds/{}/release",
        held[0]["id"].as_str().unwrap()
    );
    server.post(&release, &json!({"reason": "mended"})).expect(200);
    until(server.addr(), &mut programs, "it comes again", all_run(2));
    assert!(holds(&server).is_empty());
}

#[test]
fn a_person_who_rolls_back_ends_what_moves() {
    let (origin, _) = origin(&slow());
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let body = json!({"to": "HEAD~1", "config": "app", "reason": "it broke"});
    server.post(ROLLBACKS, &body).expect(201);
    until(server.addr(), &mut programs, "all are back", all_run(1));
    until(server.addr(), &mut programs, "the branch has it", |_| {
        length(&origin) == 3
    });
    server.until_tip(&origin.head("main").unwrap());
    let told = programs.iter().find(|program| program.was_told(2)).unwrap();
    assert_eq!(told.told.iter().filter(|(value, _)| *value == 2).count(), 1);
    assert_eq!(
        told.told
            .iter()
            .filter(|(value, change)| (*value, change.as_str()) == (1, "rollback"))
            .count(),
        1
    );
}

/// What a program that runs these assignments reports.
fn running(seq: u64, assigned: &[&Value]) -> Value {
    let configs = assigned.iter().map(|assigned| {
        let held = json!({"version": assigned["version"], "digest": assigned["digest"]});
        let report = json!({"running": held, "state": "confirmed", "generation": assigned["generation"]});
        (assigned["config"].as_str().unwrap().to_owned(), report)
    });
    let configs: serde_json::Map<String, Value> = configs.collect();
    json!({"incarnation": 1, "seq": seq, "client": "test/1", "configs": configs})
}

/// Reports, and says what is assigned of `app` and of `other`.
fn assigned(server: &TestServer, report: &Value) -> [Value; 2] {
    let ask = Ask::new("PUT", "/v1/repos/default/instances/i-1");
    let ask = ask.body("application/json", report.to_string().as_bytes());
    let answer = server.ask(&ask).expect(200).json();
    let of = |config: &str| {
        let assignments = answer["assignments"].as_array().unwrap();
        let found = assignments.iter().find(|assigned| assigned["config"] == config);
        found.cloned().unwrap_or_default()
    };
    [of("app"), of("other")]
}

#[test]
fn what_comes_to_the_branch_under_another_version_is_so_only_for_the_configs_that_went_back() {
    let origin = TestOrigin::new();
    let both = [
        ("app.json", Some("{\"v\": 1}")),
        ("other.json", Some("{\"v\": 1}")),
    ];
    let first = origin.commit(&both, "both");
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    server.until_tip(&first);
    let second = set(&origin, 2);
    server.until_tip(&second);
    let pending = json!({"state": "pending"});
    let pending = json!({"incarnation": 1, "seq": 1, "client": "test/1", "configs": {"app": pending, "other": pending}});
    let [app, other] = assigned(&server, &pending);
    assert_eq!(other["version"], first.as_str());
    assigned(&server, &running(2, &[&app, &other]));
    let body = json!({"to": "HEAD~1", "config": "app", "reason": "it broke"});
    server.post(ROLLBACKS, &body).expect(201);
    let [back, _] = assigned(&server, &running(3, &[&app, &other]));
    assert_eq!(back["change"], "rollback");
    wait_for("the way back on the branch", || {
        (length(&origin) == 3).then_some(())
    });
    server.until_tip(&origin.head("main").unwrap());
    let [same, still] = assigned(&server, &running(4, &[&back, &other]));
    assert_eq!(
        (&same["version"], &same["generation"]),
        (&back["version"], &back["generation"])
    );
    assert_eq!(
        (&still["version"], &still["change"]),
        (&other["version"], &other["change"])
    );
    for config in ["app", "other"] {
        let list = server
            .get(&format!("{ROLLOUTS}?config={config}"))
            .expect(200)
            .json();
        let at_once = list["rollouts"].as_array().unwrap().iter();
        let state = at_once
            .map(|view| (&view["state"], &view["counts"]["confirmed"]))
            .next();
        assert_eq!(state, Some((&json!("done"), &json!(1))), "{config}: {list}");
    }
}
