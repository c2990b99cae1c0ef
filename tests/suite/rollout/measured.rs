//! What a commit is measured against while not everybody holds what the tip has.

use super::*;
use crate::guards::{error, found, verdict};

/// A value that may double in one step, and a rollout with this first stage.
fn doubling(stage: &str) -> String {
    let manifest = STAGED.replacen("rollout = ", "rules = [\"step\"]\nrollout = ", 1);
    let manifest = manifest.replacen("{ count = 1, bake = \"1s\" }", stage, 1);
    format!("{manifest}[rule.step]\nat = \"/v\"\nmax_factor = 2\noverride = \"trailer\"\n")
}

/// All programs run 10, and 20 is on the branch.
fn on_its_way(stage: &str) -> (TestOrigin, TestServer, Vec<Program>, CommitId) {
    let (origin, _) = origin(&doubling(stage));
    set(&origin, 10);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(10));
    let twenty = set(&origin, 20);
    server.until_tip(&twenty);
    (origin, server, programs, twenty)
}

fn say(origin: &TestOrigin, value: u32, message: &str) -> CommitId {
    origin.commit(&[("app.json", Some(&format!("{{\"v\": {value}}}")))], message)
}

fn order(server: &TestServer, order: &str) {
    let id = rollout(server)["id"].as_str().unwrap().to_owned();
    let path = format!("{ROLLOUTS}/{id}/{order}");
    server.post(&path, &json!({"reason": "because"})).expect(200);
}

fn state(server: &TestServer) -> Value {
    rollout(server)["state"].clone()
}

#[test]
fn a_step_is_measured_from_what_instances_hold_and_again_when_they_hold_something_else() {
    let (origin, server, mut programs, twenty) = on_its_way("{ count = 1, bake = \"1s\", approval = true }");
    until(server.addr(), &mut programs, "it waits", |_| {
        state(&server) == "awaiting_approval"
    });
    let id = rollout(&server)["id"].as_str().unwrap().to_owned();
    // Somebody else's change is nobody's step.
    let beside = origin.commit(&[("notes.json", Some("{}"))], "beside it");
    server.until_tip(&beside);
    assert_eq!(found(&server, &beside), []);
    for message in ["double again", "now!\n\nHeadwater-Urgency: emergency"] {
        let forty = say(&origin, 40, message);
        server.until_head(&forty, "rejected");
        assert_eq!(found(&server, &forty), error("rule/step"));
        let finding = verdict(&server, &forty)["findings"][0].clone();
        assert_eq!(
            finding["message"],
            "this value may not change by more than 2× in one step: `10` → `40`"
        );
        let hint = finding["hint"].as_str().unwrap();
        assert!(hint.contains(&format!("while rollout `{id}` moves")), "{hint}");
        say(&origin, 20, "not yet");
    }
    let tar = |value: u32| {
        let files = [
            ("headwater.toml", doubling("{ count = 1, bake = \"1s\" }")),
            ("app.json", format!("{{\"v\": {value}}}")),
        ];
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, text)| (*path, text.as_bytes()))
            .collect();
        let body = crate::checks::tar(&files);
        let ask = Ask::new("POST", "/v1/repos/default/checks").body("application/x-tar", &body);
        server.ask(&ask).expect(200).json()["verdict"].clone()
    };
    assert_eq!((tar(20), tar(40)), (json!("admitted"), json!("rejected")));
    let forty = say(&origin, 40, "and now without another push");
    server.until_head(&forty, "rejected");
    let server = server.restart();
    order(&server, "promote");
    until(server.addr(), &mut programs, "20 is everybody's", all_run(20));
    until(server.addr(), &mut programs, "40 is judged again", |_| {
        server.repo()["tip"] == forty.as_str()
    });
    assert_eq!(found(&server, &forty), []);
    assert!(twenty != forty && programs.iter().all(|program| !program.was_told(40)));
}

#[test]
fn what_was_gone_back_from_is_no_old_value_and_what_was_allowed_on_the_way_is_allowed() {
    let (origin, server, mut programs, _) = on_its_way("{ count = 1, bake = \"1h\" }");
    until(server.addr(), &mut programs, "one has it", one_has(20));
    let forty = say(&origin, 40, "double again");
    server.until_head(&forty, "rejected");
    // Who allows the step allows it from wherever instances are, and the next one stands on that.
    let allowed = say(&origin, 40, "launch\n\nHeadwater-Allow: step launch day");
    server.until_tip(&allowed);
    assert_eq!(
        found(&server, &allowed),
        [("rule/step".to_owned(), "info".to_owned())]
    );
    let after = say(&origin, 41, "a little more");
    server.until_tip(&after);
    let back = say(&origin, 20, "back to what moves\n\nHeadwater-Allow: step calm");
    server.until_tip(&back);
    order(&server, "abort");
    until(server.addr(), &mut programs, "all are back", all_run(10));
    until(server.addr(), &mut programs, "it is over", |_| {
        state(&server) == "rolled_back"
    });
    let up = say(&origin, 25, "from 20 it would be little");
    server.until_head(&up, "rejected");
    let finding = verdict(&server, &up)["findings"][0].clone();
    assert_eq!(
        finding["message"],
        "this value may not change by more than 2× in one step: `10` → `25`"
    );
    assert!(
        finding["hint"]
            .as_str()
            .unwrap()
            .contains("went back; go on from there")
    );
    let down = say(&origin, 5, "nobody holds 20 any more");
    server.until_tip(&down);
    assert_eq!(found(&server, &down), []);
}
