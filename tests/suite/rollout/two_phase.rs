//! Two phases: nobody switches before all are ready, and who cannot get ready keeps all from switching.

use super::*;

#[test]
fn nobody_switches_before_all_are_ready() {
    let (origin, first) = origin(TWO_PHASE);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let second = set(&origin, 2);
    // The third does not report, so it is not ready.
    let (early, late) = programs.split_at_mut(2);
    until(server.addr(), early, "two are ready", |programs| {
        programs.iter().all(Program::is_ready)
    });
    assert_eq!(running(early), BTreeMap::from([(1, 2)]));
    let asked = server
        .get("/v1/repos/default/configs/app?instance=i-1")
        .expect(200);
    let token = asked.must("etag").to_owned();
    let body = asked.json();
    assert_eq!(
        (&body["phase"], &body["version"]),
        (&json!("prepare"), &json!(second.as_str()))
    );
    let bare = server
        .get("/v1/repos/default/configs/app?instance=i-1&format=json")
        .expect(200);
    assert_eq!(bare.json(), json!({"v": 1}), "a bare value is what is to be run");
    assert_eq!(anonymous(&server), 1);
    let ask = Ask::get("/v1/repos/default/configs/app?instance=i-1&wait=60").header("if-none-match", &token);
    let addr = server.addr();
    let switched = std::thread::spawn(move || ask.send(addr));
    late[0].turn(server.addr());
    until(server.addr(), &mut programs, "all switched", all_run(2));
    let body = switched.join().unwrap().expect(200).json();
    assert_eq!(
        (&body["phase"], &body["version"]),
        (&json!("active"), &json!(second.as_str()))
    );
    let asked: Vec<usize> = programs.iter().map(|program| program.asked.len()).collect();
    assert_eq!(asked, [1, 1, 1]);
    until(server.addr(), &mut programs, "what is stable has moved", |_| {
        anonymous(&server) == 2
    });
    assert_ne!(first, second);
}

#[test]
fn one_that_cannot_get_ready_keeps_all_at_what_they_run() {
    let (origin, _) = origin(TWO_PHASE);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    programs[1].refuses = Some(2);
    let second = set(&origin, 2);
    until(
        server.addr(),
        &mut programs,
        "all were told to stay",
        told_to_stay,
    );
    assert!(programs.iter().all(|program| program.asked == [2]));
    assert_eq!(running(&programs), BTreeMap::from([(1, 3)]));
    let changes: Vec<&str> = programs
        .iter()
        .map(|program| program.told.last().unwrap().1.as_str())
        .collect();
    assert_eq!(changes, ["rerender"; 3], "they run it, and are told again");
    let list = server
        .get(&format!("{ROLLOUTS}?state=aborted"))
        .expect(200)
        .json();
    let view = &list["rollouts"][0];
    assert_eq!(
        view["why"],
        "1 of 3 instances refused to get ready: i-2 (validate)"
    );
    assert_eq!(
        view["failures"],
        json!([{"instance": "i-2", "how": "validate", "message": "no"}])
    );
    let repo = server.repo();
    assert_eq!(
        (&repo["tip"], &repo["head_state"]),
        (&json!(second.as_str()), &json!("held"))
    );
    let third = set(&origin, 3);
    until(
        server.addr(),
        &mut programs,
        "other content comes through",
        all_run(3),
    );
    server.until_tip(&third);
}
