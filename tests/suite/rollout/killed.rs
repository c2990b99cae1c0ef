//! The service ends in the middle, and goes on where it was.

use super::*;

#[test]
fn a_restart_in_the_middle_takes_nobody_back_and_goes_on() {
    let (origin, _) = origin(STAGED);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let server = server.restart();
    until(server.addr(), &mut programs, "all have it", all_run(2));
    for program in &programs {
        let values: Vec<i64> = program.told.iter().map(|(value, _)| *value).collect();
        let mut sorted = values.clone();
        sorted.sort_unstable();
        assert_eq!(values, sorted, "{} was taken back", program.id);
    }
    until(server.addr(), &mut programs, "what is stable has moved", |_| {
        anonymous(&server) == 2
    });
}

#[test]
fn what_is_got_ready_for_is_decided_once_whether_or_not_the_service_lives() {
    let (origin, _) = origin(TWO_PHASE);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    let (early, _) = programs.split_at_mut(2);
    until(server.addr(), early, "two are ready", |programs| {
        programs.iter().all(Program::is_ready)
    });
    let server = server.restart();
    until(server.addr(), &mut programs, "all switched", all_run(2));
    for program in &programs {
        assert_eq!(program.asked, [2], "{} was asked once", program.id);
    }
}

#[test]
fn a_stage_that_bakes_goes_on_baking_after_a_restart() {
    let (origin, _) = origin(&STAGED.replacen("1s", "4s", 1));
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let started = std::time::Instant::now();
    until(server.addr(), &mut programs, "it bakes", |_| {
        started.elapsed() > Duration::from_secs(2)
    });
    let server = server.restart();
    until(server.addr(), &mut programs, "all have it", all_run(2));
}
