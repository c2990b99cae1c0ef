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
