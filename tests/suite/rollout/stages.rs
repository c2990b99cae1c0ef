//! Stages: who sees what, and that the last one reaches everybody.

use super::*;

#[test]
fn only_the_first_stage_sees_what_is_new_and_then_everybody_does() {
    let (origin, _) = origin(STAGED);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let second = set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    assert_eq!(running(&programs)[&2], 1);
    let first_of_all = programs.iter().position(|program| program.was_told(2)).unwrap();
    let tip = server.repo();
    assert_eq!(tip["tip"], second.as_str(), "the tip is what the branch has");
    until(server.addr(), &mut programs, "all have it", all_run(2));
    let (_, change) = programs[first_of_all].told.last().unwrap();
    assert_ne!(change, "rollback");
    assert_eq!(anonymous(&server), 2);
}

#[test]
fn who_does_not_say_who_he_is_reads_what_is_stable_by_every_way() {
    let (origin, first) = origin(STAGED);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let nobody = server.events("config=app");
    nobody.until_version(&first);
    for program in &mut programs {
        program.refuses = Some(2);
    }
    let second = set(&origin, 2);
    until(server.addr(), &mut programs, "one was told", one_has(2));
    let told = programs.iter().find(|program| program.was_told(2)).unwrap();
    let asked = format!("/v1/repos/default/configs/app?instance={}", told.id);
    let body = server.get(&asked).expect(200).json();
    assert_eq!(
        (&body["version"], &body["document"]["v"]),
        (&json!(second.as_str()), &json!(2))
    );
    assert_eq!(
        (&body["phase"], &body["tip"]),
        (&json!("active"), &json!(second.as_str()))
    );
    let events = server.events(&format!("config=app&instance={}", told.id));
    events.until_version(&second);
    let body = server.config("app", None).expect(200).json();
    assert_eq!(
        (&body["version"], &body["document"]["v"]),
        (&json!(first.as_str()), &json!(1))
    );
    assert_eq!(body["tip"], second.as_str());
    let versions: Vec<_> = nobody.named("version");
    assert_eq!(
        versions.len(),
        1,
        "who watches without a name hears nothing of it"
    );
}

#[test]
fn an_instance_that_refuses_stops_it_within_its_stage() {
    let (origin, _) = origin(STAGED);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    for program in &mut programs {
        program.refuses = Some(2);
    }
    set(&origin, 2);
    until(server.addr(), &mut programs, "one was told", one_has(2));
    // Long enough for the stages that would follow.
    let started = std::time::Instant::now();
    until(server.addr(), &mut programs, "time passed", |_| {
        started.elapsed() > Duration::from_secs(5)
    });
    let told = programs.iter().filter(|program| program.was_told(2)).count();
    assert_eq!(told, 1, "nobody outside of the stage ever saw it");
    assert_eq!(anonymous(&server), 1);
}

#[test]
fn a_commit_with_the_content_from_before_takes_those_back_that_had_the_new_one() {
    let (origin, _) = origin(&slow());
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one was told", one_has(2));
    let reverted = set(&origin, 1);
    server.until_tip(&reverted);
    until(server.addr(), &mut programs, "all are back", |programs| {
        programs.iter().all(|program| program.told.last().unwrap().0 == 1) && all_run(1)(programs)
    });
    let told = programs.iter().find(|program| program.was_told(2)).unwrap();
    let changes: Vec<_> = told
        .told
        .iter()
        .map(|(value, change)| (*value, change.as_str()))
        .collect();
    assert_eq!(changes, [(1, "initial"), (2, "forward"), (1, "rollback")]);
    assert_eq!(anonymous(&server), 1);
}

#[test]
fn a_commit_that_says_that_it_is_an_emergency_does_not_wait_for_what_moves() {
    let (origin, _) = origin(&slow());
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let waits = set(&origin, 3);
    server.until_tip(&waits);
    until(server.addr(), &mut programs, "a while", |_| true);
    assert!(programs.iter().all(|program| !program.was_told(3)));
    let message = "mend it\n\nHeadwater-Urgency: emergency\n";
    origin.commit(&[("app.json", Some("{\"v\": 4}"))], message);
    until(server.addr(), &mut programs, "one has the mend", one_has(4));
    assert_eq!(running(&programs)[&4], 1, "its stages stay");
}
