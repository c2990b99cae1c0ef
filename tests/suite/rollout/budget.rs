//! What a policy says of instances that fail late or say nothing, of people who must agree, and of times at which nothing
//! new goes out.

use super::*;
use crate::rollback::{Away, ROLLBACKS, holds, length};

/// The policy of [`STAGED`] with more keys, the first stage as long as a test.
fn slow_and(keys: &str) -> String {
    format!("{}{keys}\n", slow())
}

/// Reports until the rollout is in a state, and gives it.
#[track_caller]
fn until_it_is(server: &TestServer, programs: &mut [Program], state: &str) -> Value {
    until(server.addr(), programs, state, |_| {
        rollout(server)["state"] == state
    });
    rollout(server)
}

/// All run 1, and one of them was told 2: it, and the others.
#[track_caller]
fn one_was_told(origin: &TestOrigin, server: &TestServer) -> (Program, Vec<Program>) {
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let told = programs.iter().position(|program| program.was_told(2)).unwrap();
    let told = programs.remove(told);
    (told, programs)
}

fn none_was_told(programs: &[Program], value: i64) -> bool {
    programs.iter().all(|program| !program.was_told(value))
}

#[test]
fn an_instance_that_says_that_it_runs_it_and_then_dies_again_and_again_stops_it() {
    let (origin, _) = origin(&slow_and("abort = { restarts = 2 }"));
    let server = quick(&origin).start();
    let (mut told, mut others) = one_was_told(&origin, &server);
    told.state = "applied";
    wait_for("it bakes", || {
        told.turn(server.addr());
        for other in &mut others {
            other.turn(server.addr());
        }
        (rollout(&server)["state"] == "baking").then_some(())
    });
    // It is on probation, and dies of what it took.
    told.crash();
    told.turn(server.addr());
    until(server.addr(), &mut others, "a while", |_| true);
    assert_eq!(rollout(&server)["state"], "baking", "one restart is no loop");
    told.crash();
    told.turn(server.addr());
    let view = until_it_is(&server, &mut others, "halted");
    let why = view["why"].as_str().unwrap();
    assert!(why.contains("failed"), "{why}");
    assert_eq!(view["counts"]["failed"], 1);
    assert_eq!(view["failed_names"], json!([told.id]));
    assert!(none_was_told(&others, 2));
    assert_eq!(anonymous(&server), 1);
}

#[test]
fn an_instance_that_falls_silent_is_no_success_and_what_waits_for_it_stops_in_time() {
    for (keys, failed) in [
        ("abort = { unknown_after = \"2s\" }", 1),
        ("deadlines = { expose = \"4s\" }", 0),
    ] {
        let (origin, _) = origin(&slow_and(keys).replacen("1h", "1m", 1));
        let server = quick(&origin).start();
        let (told, mut others) = one_was_told(&origin, &server);
        until(server.addr(), &mut others, "nobody knows of it", |_| {
            let counts = &rollout(&server)["counts"];
            counts["unknown"] == 1 || counts["failed"] == 1
        });
        let view = until_it_is(&server, &mut others, "halted");
        let counts = &view["counts"];
        assert_eq!((&counts["applied"], &counts["confirmed"]), (&json!(0), &json!(0)));
        assert_eq!(
            (&counts["failed"], &counts["unknown"]),
            (&json!(failed), &json!(1 - failed))
        );
        assert!(none_was_told(&others, 2), "{} alone was told", told.id);
    }
}

#[test]
fn what_has_stopped_goes_back_by_itself_though_git_is_away_and_git_learns_it_later() {
    let (origin, _) = origin(&slow_and("on_halt = { roll_back_after = \"2s\" }"));
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    let (mut told, mut others) = one_was_told(&origin, &server);
    let away = Away::send(&origin);
    (told.state, told.refuses) = ("failed", Some(2));
    told.turn(server.addr());
    until_it_is(&server, &mut others, "halted");
    assert_eq!(anonymous(&server), 1);
    others.push(told);
    until(server.addr(), &mut others, "all are back", |programs| {
        programs.last().unwrap().told.last().unwrap() == &(1, "rollback".to_owned())
    });
    until_it_is(&server, &mut others, "rolled_back");
    let list = server.get(ROLLBACKS).expect(200).json();
    assert_eq!(list["rollbacks"].as_array().unwrap().len(), 1, "{list}");
    assert_ne!(list["rollbacks"][0]["state"], "pushed", "{list}");
    drop(away);
    assert_eq!(length(&origin), 2);
    until(server.addr(), &mut others, "the branch has the way back", |_| {
        length(&origin) == 3
    });
    let head = origin.head("main").unwrap();
    server.until_tip(&head);
    assert_eq!(origin.git(&["show", "main:app.json"]).trim(), "{\"v\": 1}");
    assert!(holds(&server).is_empty());
    assert!(none_was_told(&others[..2], 2));
}

#[test]
fn a_stage_that_a_person_must_agree_to_waits_for_the_person() {
    let manifest = STAGED.replace(
        "{ percent = 100, bake = \"1s\" }",
        "{ percent = 100, bake = \"1s\", approval = true }",
    );
    let (origin, _) = origin(&manifest);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    let view = until_it_is(&server, &mut programs, "awaiting_approval");
    assert_eq!(running(&programs), BTreeMap::from([(1, 2), (2, 1)]));
    let server = server.restart();
    until_it_is(&server, &mut programs, "awaiting_approval");
    assert_eq!(running(&programs), BTreeMap::from([(1, 2), (2, 1)]));
    let promote = format!("{ROLLOUTS}/{}/promote", view["id"].as_str().unwrap());
    server
        .post(&promote, &json!({"reason": "it looks well"}))
        .expect(200);
    until(server.addr(), &mut programs, "all have it", all_run(2));
}

#[test]
fn while_nothing_new_may_go_out_what_is_out_can_still_be_taken_back() {
    // No freeze is longer than a year.
    let year = |year: u32| {
        let next = year + 1;
        format!("[[rollout.careful.freeze]]\nfrom = {year}-01-01T00:00:00Z\nuntil = {next}-01-01T00:00:00Z\n")
    };
    let years: String = (2020..2100).map(year).collect();
    let freeze = format!("on_halt = {{ roll_back_after = \"1s\" }}\n{years}");
    let (origin, _) = origin(&slow_and(&freeze));
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    let view = until_it_is(&server, &mut programs, "frozen");
    assert!(none_was_told(&programs, 2));
    let promote = format!("{ROLLOUTS}/{}/promote", view["id"].as_str().unwrap());
    let refused = server
        .post(&promote, &json!({"reason": "now"}))
        .expect(409)
        .json();
    let hint = refused["hint"].as_str().unwrap();
    assert!(hint.contains("nothing new is exposed until 2100-01-01"), "{hint}");
    for program in &mut programs {
        program.refuses = Some(3);
    }
    let message = "mend it\n\nHeadwater-Urgency: emergency\n";
    origin.commit(&[("app.json", Some("{\"v\": 3}"))], message);
    until(server.addr(), &mut programs, "an emergency goes out", one_has(3));
    let told = programs.iter().position(|program| program.was_told(3)).unwrap();
    until(server.addr(), &mut programs, "it is back", |programs| {
        programs[told].told.last().unwrap().0 == 1
    });
    assert!(none_was_told(&programs, 2));
}
