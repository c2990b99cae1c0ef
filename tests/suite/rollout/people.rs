//! What people read of a rollout, what they order, and what is told of its commit.

use headwater_tests::http::Reply;

use super::*;
use crate::forge::{KINDS, Spoken};
use crate::notes::{shown, with_notes};

fn order(server: &TestServer, id: &str, order: &str, reason: &str) -> Reply {
    let request = json!({"reason": reason, "requested_by": "Ada <ada@example.test>"});
    server.post(&format!("{ROLLOUTS}/{id}/{order}"), &request)
}

#[track_caller]
fn summary(server: &TestServer, rev: &str) -> String {
    let plan = server
        .get(&format!("/v1/repos/default/plan?rev={rev}"))
        .expect(200);
    plan.json()["summary"].as_str().unwrap().to_owned()
}

/// Three programs run 1, and one of them runs 2 for as long as the test wants.
pub(super) fn baking(origin: &TestOrigin, server: &TestServer) -> (Vec<Program>, CommitId, Value) {
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let second = set(origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    until(server.addr(), &mut programs, "it bakes", |_| {
        rollout(server)["state"] == "baking"
    });
    let view = rollout(server);
    (programs, second, view)
}

#[test]
fn a_rollout_is_seen_paused_resumed_and_promoted_and_its_commit_tells_the_outcome() {
    let (origin, first) = origin(&slow());
    let server = quick(&origin).start();
    let (mut programs, second, view) = baking(&origin, &server);
    assert_eq!(
        (&view["config"], &view["target"], &view["baseline"]),
        (&json!("app"), &json!(second.as_str()), &json!(first.as_str()))
    );
    assert_eq!((&view["stage"], &view["stages_total"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&view["counts"]["members"], &view["counts"]["fleet"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(view["policy"]["kind"], "staged");
    let id = view["id"].as_str().unwrap();

    let paused = order(&server, id, "pause", "have a look").expect(200).json();
    assert_eq!(paused["state"], "paused");
    let last = paused["timeline"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["step"], &last["by"], &last["reason"]),
        (
            &json!("pause"),
            &json!("Ada <ada@example.test>"),
            &json!("have a look")
        )
    );
    let refused = order(&server, id, "promote", "now").expect(409);
    assert_eq!(refused.code(), "rollout_refused");
    assert_eq!(refused.json()["hint"], "it takes `resume`, `abort` now");

    order(&server, id, "resume", "all is well").expect(200);
    order(&server, id, "promote", "no need to wait").expect(200);
    until(server.addr(), &mut programs, "all have it", all_run(2));
    let one = format!("{ROLLOUTS}/{id}");
    until(server.addr(), &mut programs, "it is done", |_| {
        server.get(&one).expect(200).json()["state"] == "done"
    });
    let commit = server
        .get(&format!("/v1/repos/default/commits/{second}"))
        .expect(200)
        .json();
    assert_eq!(commit["outcome"], "app done, 3 of 3 instances run it");
    let over = order(&server, id, "abort", "too late").expect(409);
    assert_eq!(over.code(), "rollout_refused");
}

#[test]
fn a_rollout_that_is_aborted_turns_everybody_back_and_says_who_wanted_it() {
    let (origin, _) = origin(&slow());
    let server = quick(&origin).start();
    let (mut programs, second, view) = baking(&origin, &server);
    let id = view["id"].as_str().unwrap();
    let answer = order(&server, id, "abort", "errors since noon")
        .expect(200)
        .json();
    assert_eq!(
        (&answer["state"], &answer["why"]),
        (&json!("rolling_back"), &json!("on request: errors since noon"))
    );
    until(server.addr(), &mut programs, "all are back", all_run(1));
    let one = format!("{ROLLOUTS}/{id}");
    until(server.addr(), &mut programs, "it is over", |_| {
        server.get(&one).expect(200).json()["state"] == "rolled_back"
    });
    let commit = server
        .get(&format!("/v1/repos/default/commits/{second}"))
        .expect(200)
        .json();
    assert_eq!(
        commit["outcome"],
        "app rolled back: on request: errors since noon"
    );
    let halted = server
        .get(&format!("{ROLLOUTS}?state=rolled_back&config=app"))
        .expect(200)
        .json();
    assert_eq!(halted["rollouts"].as_array().unwrap().len(), 1);
}

#[test]
fn an_order_without_a_reason_or_of_nothing_is_refused() {
    let (origin, _) = origin(&slow());
    let server = quick(&origin).start();
    let (_, _, view) = baking(&origin, &server);
    let id = view["id"].as_str().unwrap();
    for reason in ["", "two\nlines", &"x".repeat(1_025)] {
        assert_eq!(
            order(&server, id, "pause", reason).expect(400).code(),
            "bad_request"
        );
    }
    let unknown = order(&server, &format!("{id}0"), "pause", "x").expect(404);
    assert_eq!(unknown.code(), "rollout_not_found");
    assert_eq!(unknown.json()["hint"], format!("did you mean `{id}`?"));
    let unknown = order(&server, "r-999", "pause", "x").expect(404);
    assert_eq!(
        unknown.json()["hint"],
        format!("the newest are `{id}` of app; GET /v1/repos/{{repo}}/rollouts lists them")
    );
    assert_eq!(order(&server, id, "dance", "x").expect(404).code(), "not_found");
    assert_eq!(
        server
            .get(&format!("{ROLLOUTS}?state=dreaming"))
            .expect(400)
            .code(),
        "bad_request"
    );
}

#[test]
fn a_config_that_is_moved_at_once_is_told_of_too_and_takes_no_order() {
    let manifest = "format = 1\n[[config]]\nname = \"app\"\nlayers = [\"app.json\"]\n";
    let (origin, first) = origin(manifest);
    let server = quick(&origin).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    until(server.addr(), &mut programs, "all say so", |_| {
        newest_of(&server)["counts"]["confirmed"] == 3
    });
    let view = newest_of(&server);
    assert_eq!(
        (&view["state"], &view["policy"]["kind"], &view["target"]),
        (&json!("done"), &json!("immediate"), &json!(first.as_str()))
    );
    let all = server.get(ROLLOUTS).expect(200).json();
    assert_eq!(all["rollouts"], json!([]), "nobody has to look at it");
    let refused = order(&server, view["id"].as_str().unwrap(), "abort", "x").expect(409);
    assert_eq!(refused.code(), "rollout_refused");
}

#[track_caller]
fn newest_of(server: &TestServer) -> Value {
    server.get(&format!("{ROLLOUTS}?config=app")).expect(200).json()["rollouts"][0].clone()
}

#[test]
fn a_plan_says_whom_a_commit_would_touch() {
    let (origin, first) = origin(&slow());
    let server = quick(&origin).start();
    let (_, _, view) = baking(&origin, &server);
    let id = view["id"].as_str().unwrap();
    assert_eq!(
        summary(&server, "HEAD"),
        format!("changes nothing more: rollout {id} brings `app` already, or lets it wait")
    );
    let back = summary(&server, first.as_str());
    assert!(
        back.starts_with("changes 1 config, 3 instances; staged in 2 steps, at least "),
        "{back}"
    );
    let plan = server
        .get(&format!("/v1/repos/default/plan?rev={first}"))
        .expect(200)
        .json();
    let stages = &plan["configs"][0]["policy"]["stages"];
    assert_eq!(
        (&stages[0]["members"], &stages[1]["members"]),
        (&json!(1), &json!(2))
    );
    let third = set(&origin, 3);
    server.until_tip(&third);
    let queued = summary(&server, "HEAD");
    assert!(queued.starts_with("changes nothing more: rollout r-"), "{queued}");
    for rev in ["", "?rev="] {
        let refused = server.get(&format!("/v1/repos/default/plan{rev}")).expect(400);
        assert_eq!(refused.json()["detail"], "`rev` is missing");
    }
}

#[test]
fn the_forge_and_the_notes_tell_what_became_of_the_commit() {
    let spoken = Spoken::with(KINDS[1]);
    let (origin, _) = origin(&slow());
    let server = with_notes(spoken.server(&origin), &origin);
    let server = server
        .with(|settings| settings.fleet.heartbeat = Duration::from_secs(1))
        .start();
    let (mut programs, second, view) = baking(&origin, &server);
    let told = || {
        let statuses = spoken.forge.statuses().into_iter();
        let ours = statuses.filter(|status| status.body["context"] == "headwater/rollout");
        ours.map(|status| (status.body["state"].clone(), status.body["description"].clone()))
            .next_back()
    };
    wait_for("it is pending", || told().filter(|(state, _)| state == "pending"));
    order(
        &server,
        view["id"].as_str().unwrap(),
        "promote",
        "no need to wait",
    )
    .expect(200);
    until(server.addr(), &mut programs, "all have it", all_run(2));
    until(server.addr(), &mut programs, "the forge knows", |_| {
        told() == Some((json!("success"), json!("app done, 3 of 3 instances run it")))
    });
    let note = wait_for("the note is written", || {
        shown(&origin, &second).filter(|note| note.contains("Headwater-Outcome"))
    });
    let id = view["id"].as_str().unwrap();
    assert!(
        note.contains(&format!("Headwater-Rollout: app {id} begin, 2")),
        "{note}"
    );
    let promoted = "by Ada <ada@example.test>: no need to wait";
    assert!(note.contains(promoted), "{note}");
    assert!(
        note.contains(&format!("Headwater-Outcome: app {id} done")),
        "{note}"
    );
}
