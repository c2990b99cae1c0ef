//! What going back may give everybody: content that everybody had, and nothing that a rollout has still to release.

use super::*;
use crate::rollout::{Program, all_run, one_has, quick, rollout, slow, three, until};

/// The same as `slow`, with a config that is moved at once beside it.
fn manifest() -> String {
    format!(
        "{}[[config]]\nname = \"other\"\nlayers = [\"other.json\"]\n",
        slow()
    )
}

/// `app` and `other` at 1, all of `programs` run it, and then `app` at 2 reaches one of them.
fn moving() -> (TestOrigin, TestServer, Vec<Program>, Vec<CommitId>) {
    let (origin, first) = crate::rollout::origin(&manifest());
    let other = origin.commit(&[("other.json", Some("{\"v\": 1}"))], "other");
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let second = set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    (origin, server, programs, vec![first, other, second])
}

fn exposed(programs: &[Program]) -> usize {
    programs.iter().filter(|program| program.was_told(2)).count()
}

fn other(server: &TestServer) -> Value {
    server.config("other", None).expect(200).json()["document"]["v"].clone()
}

#[test]
fn going_back_from_an_unrelated_commit_leaves_what_moves_to_its_rollout() {
    let (origin, server, mut programs, _) = moving();
    let unrelated = origin.commit(&[("other.json", Some("{\"v\": 2}"))], "unrelated");
    server.until_tip(&unrelated);
    let before = rollout(&server);
    // Whoever asks first what it would do is told just that, and nothing happens by it.
    let planned = server
        .get(&format!("{ROLLBACKS}/plan?to=HEAD~1"))
        .expect(200)
        .json();
    let changes = &planned["configs"][0]["changes"][0]["changes"][0];
    assert_eq!(
        (&planned["configs"][0]["config"], &changes["old"], &changes["new"]),
        (&json!("other"), &json!(2), &json!(1)),
        "{planned}"
    );
    assert_eq!((other(&server), length(&origin)), (json!(2), 4));
    let page = server
        .get(&format!("/repos/default/rollback?to={}", text(&planned["to"])))
        .expect(200)
        .text();
    assert!(page.contains("</a> is left alone: rollout <a"), "{page}");
    let answer = roll_back(&server, &to("HEAD~1"));
    assert_eq!(other(&server), 1);
    assert_eq!(answer["left_alone"], planned["left_alone"]);
    assert_eq!(answer["to"], planned["to"]);
    assert_eq!(
        answer["left_alone"],
        json!([{"config": "app", "rollout": before["id"]}])
    );
    server.until_tip(&text(&answer["commit"]).parse().unwrap());
    let after = rollout(&server);
    assert_eq!((&after["id"], &after["stage"]), (&before["id"], &before["stage"]));
    for program in &mut programs {
        program.turn(server.addr());
    }
    assert_eq!(
        (exposed(&programs), crate::rollout::anonymous(&server)),
        (1, json!(1))
    );
}

#[test]
fn what_waits_behind_a_rollout_that_going_back_ends_is_named() {
    let (origin, server, _programs, commits) = moving();
    let third = set(&origin, 3);
    server.until_tip(&third);
    let first = commits[1].as_str();
    let planned = server
        .get(&format!("{ROLLBACKS}/plan?to={first}"))
        .expect(200)
        .json();
    assert_eq!(planned["configs"][0]["gives_up"], third.as_str(), "{planned}");
    assert!(
        text(&planned["summary"]).contains(&format!("gives up {}", third.short())),
        "{planned}"
    );
}

#[test]
fn content_that_only_canaries_had_is_nobodys_by_a_rollback() {
    let (origin, server, mut programs, commits) = moving();
    let third = set(&origin, 3);
    server.until_tip(&third);
    for request in [
        to(commits[2].as_str()),
        json!({"to": commits[2].as_str(), "config": "app", "reason": "it was good"}),
    ] {
        let refused = server.post(ROLLBACKS, &request).expect(409);
        let config = request["config"]
            .as_str()
            .map_or(String::new(), |config| format!("&config={config}"));
        let plan = format!("{ROLLBACKS}/plan?to={}{config}", commits[2]);
        let planned = server.get(&plan).expect(409).json();
        assert_eq!(planned["detail"], refused.json()["detail"]);
        assert_eq!(
            (refused.code().as_str(), &refused.json()["paths"]),
            ("not_released", &json!(["app"]))
        );
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{}\n{}", text(&refused.json()["detail"]), text(&refused.json()["hint"])), @r"
            what `app` has there was never released to everybody here
            bring it back by a commit of your own, so that its policy releases it; other configs can go back alone
            ");
        }
    }
    for program in &mut programs {
        program.turn(server.addr());
    }
    assert_eq!(
        (exposed(&programs), crate::rollout::anonymous(&server)),
        (1, json!(1))
    );
    assert_eq!(origin.head("main").unwrap(), third);
    // What everybody had is everybody's at once.
    let back = json!({"to": commits[1].as_str(), "config": "app", "reason": "it broke"});
    roll_back(&server, &back);
    until(server.addr(), &mut programs, "all are back", all_run(1));
}

#[test]
fn what_was_released_before_the_service_began_can_be_gone_back_to() {
    let (origin, _) = crate::rollout::origin(&slow());
    let commits = history(&origin, 4);
    let beside = origin.commit(&[("README.md", Some("beside"))], "beside");
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    server.until_tip(&beside);
    roll_back(&server, &to(commits[2].as_str()));
    assert_serves(&server, 3);
    roll_back(
        &server,
        &json!({"to": commits[1].as_str(), "config": "app", "reason": "further"}),
    );
    assert_serves(&server, 2);
    let server = server.restart();
    assert_serves_again(&server, 2);
    // And what was stable after it began: each of the three.
    roll_back(
        &server,
        &json!({"to": commits[3].as_str(), "config": "app", "reason": "it was not that"}),
    );
    assert_serves(&server, 4);
}

#[test]
fn what_a_rejected_head_has_besides_is_not_everybodys_by_going_back_over_one_config() {
    let schema = "{\"properties\": {\"v\": {\"maximum\": 5}}}";
    let manifest = manifest().replacen("[\"app.json\"]", "[\"app.json\"]\nschema = \"s.json\"", 1);
    let (origin, _) = crate::rollout::origin("format = 1\n");
    let good = origin.commit(
        &[
            ("headwater.toml", Some(&manifest)),
            ("s.json", Some(schema)),
            ("other.json", Some("{\"v\": 1}")),
        ],
        "good",
    );
    let server = writing(&origin).start();
    server.until_tip(&good);
    let both = [
        ("app.json", Some("{\"v\": 9}")),
        ("other.json", Some("{\"v\": 2}")),
    ];
    let bad = origin.commit(&both, "one is bad");
    server.until_head(&bad, "rejected");
    refuse_pushes(&origin);
    roll_back(
        &server,
        &json!({"to": good.as_str(), "config": "app", "reason": "it is rejected"}),
    );
    assert_eq!(
        (other(&server), crate::rollout::anonymous(&server)),
        (json!(1), json!(1))
    );
    take_pushes(&origin);
    server.until("the branch is good again", |repo| {
        repo["head_state"] == "published"
    });
    assert_eq!(other(&server), 2);
}

#[test]
fn a_revert_that_makes_content_that_nobody_had_is_left_to_a_commit() {
    let (origin, _) = crate::rollout::origin(&slow());
    let two_lines = |a: u32, b: u32| format!("{{\"v\": {a},\n\n\n\n\n\n\n\"w\": {b}}}");
    let commit = |a, b| origin.commit(&[("app.json", Some(&two_lines(a, b)))], "both");
    commit(1, 1);
    let first = commit(2, 1);
    let second = commit(2, 2);
    origin.allow_push();
    let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
    server.until_tip(&second);
    let mixed = json!({"revert": first.as_str(), "reason": "no"});
    assert_eq!(server.post(ROLLBACKS, &mixed).expect(409).code(), "not_released");
    roll_back(&server, &json!({"revert": second.as_str(), "reason": "no"}));
    assert_eq!(server.config("app", None).json()["document"]["w"], 1);
}
