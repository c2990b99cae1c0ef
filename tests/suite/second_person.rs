//! Orders that need a second person: they wait, and take effect by another person's word alone, once, and only on what
//! they were given for.

use std::time::Duration;

use headwater_server::settings::Settings;
use headwater_tests::http::{Ask, Reply};
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::{CommitId, OrderKind};
use serde_json::{Value, json};

use crate::auth::House;
use crate::command::{program, told};
use crate::people::{log_in, page};
use crate::watch::set;

const ORDERS: &str = "/v1/repos/default/orders";
const ROLLBACKS: &str = "/v1/repos/default/rollbacks";

/// Ann has two tokens, one of them with her address as its name; Bob has one.
const PEOPLE: &[(&str, &[&str])] = &[
    ("ann", &["--role", "operator"]),
    ("ann@example.org", &["--role", "operator"]),
    ("bob", &["--role", "operator"]),
];

/// Every order needs a second person.
fn careful(settings: &mut Settings) {
    settings.orders.second_person = OrderKind::ALL.iter().copied().collect();
    for repo in &mut settings.repos {
        repo.write.allowed = true;
    }
}

fn house() -> House {
    House::set(PEOPLE, careful)
}

fn post(house: &House, who: &str, target: &str, body: &Value) -> Reply {
    let ask = Ask::new("POST", target);
    house.ask(who, ask.body("application/json", body.to_string().as_bytes()))
}

fn say(house: &House, who: &str, id: &str, word: &str) -> Reply {
    let target = format!("{ORDERS}/{id}/{word}");
    post(house, who, &target, &json!({"reason": "I looked at it"}))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An order that waits, and its id.
#[track_caller]
fn waits(reply: Reply) -> (String, Value) {
    let view = reply.expect(202).json();
    assert_eq!(view["state"], "waiting", "{view}");
    (text(&view["id"]).to_owned(), view)
}

fn orders(house: &House) -> Value {
    house.get("reader", ORDERS).expect(200).json()
}

fn until_tip(house: &House, commit: &CommitId) {
    wait_for("the commit", || {
        let repo = house.get("reader", "/v1/repos/default").json();
        (repo["tip"] == commit.as_str()).then_some(())
    });
}

fn value(house: &House) -> Value {
    let config = house.get("reader", "/v1/repos/default/configs/app");
    config.expect(200).json()["document"]["v"].clone()
}

/// A second commit, which Ann wants to be gone back from.
fn bad(house: &House) -> (CommitId, String, Value) {
    let second = set(&house.origin, 2);
    until_tip(house, &second);
    let back = json!({"to": "HEAD~1", "reason": "it broke"});
    let (id, view) = waits(post(house, "ann", ROLLBACKS, &back));
    (second, id, view)
}

#[test]
fn a_rollback_changes_nothing_until_another_person_confirms_it_and_is_under_both_names() {
    let house = house();
    let (second, id, view) = bad(&house);
    assert_eq!(
        (
            &view["order"],
            &view["given_by"],
            &view["reason"],
            &view["expected_tip"]
        ),
        (
            &json!("rollback"),
            &json!("ann"),
            &json!("it broke"),
            &json!(second.as_str())
        )
    );
    assert_eq!(value(&house), 2);
    assert_eq!(orders(&house)["orders"][0], view);
    let again = post(
        &house,
        "ann",
        ROLLBACKS,
        &json!({"to": "HEAD~1", "reason": "it broke"}),
    );
    assert_eq!(waits(again).0, id, "the same order said again is one");

    let done = say(&house, "bob", &id, "confirm").expect(200).json();
    assert_eq!(value(&house), 1);
    assert_eq!(
        (&done["order"]["state"], &done["order"]["ended"]["by"]),
        (&json!("confirmed"), &json!("bob"))
    );
    let rollback = &done["rollback"];
    assert_eq!(
        (
            &rollback["requested_by"],
            &rollback["confirmed_by"],
            &rollback["reason"]
        ),
        (&json!("ann"), &json!("bob"), &json!("it broke"))
    );
    let message = wait_for("the commit in Git", || {
        let told = house.origin.git(&["log", "-1", "--format=%an%n%B", "main"]);
        told.contains("Headwater-Intent").then_some(told)
    });
    assert!(message.starts_with("ann\n"), "{message}");
    assert!(
        message.contains("Requested-By: ann\nConfirmed-By: bob\n"),
        "{message}"
    );
    let twice = say(&house, "bob", &id, "confirm").expect(409);
    assert_eq!(twice.code(), "order_ended");
    assert!(twice.text().contains("was confirmed by bob"), "{}", twice.text());
}

#[test]
fn nobody_confirms_his_own_order_by_another_token_or_in_a_session() {
    let house = house();
    let (_, id, _) = bad(&house);
    for who in ["ann", "ann@example.org"] {
        let refused = say(&house, who, &id, "confirm").expect(403);
        assert_eq!(refused.code(), "other_person_needed");
        let session = log_in(&house, who);
        let ask = Ask::new("POST", &format!("{ORDERS}/{id}/confirm")).header("cookie", &session);
        let body = json!({"reason": "I am quick", "requested_by": "Bob"}).to_string();
        let refused = house.server.ask(&ask.body("application/json", body.as_bytes()));
        assert_eq!(refused.expect(403).code(), "other_person_needed");
    }
    let reader = say(&house, "reader", &id, "confirm").expect(403);
    assert_eq!(
        reader.code(),
        "forbidden",
        "who may not give it may not confirm it"
    );
    assert_eq!(value(&house), 2);
}

#[test]
fn an_order_of_somebody_whose_token_was_taken_back_is_carried_out_by_nobody() {
    let house = house();
    let (_, id, _) = bad(&house);
    assert!(house.run(&["revoke", "ann"]).starts_with("exit 0"));
    wait_until("that she is let in no more", || {
        house.get("ann", "/v1/repos/default").status == 401
    });
    let refused = say(&house, "bob", &id, "confirm").expect(409);
    assert_eq!(refused.code(), "order_outdated");
    assert!(
        refused
            .text()
            .contains("`ann` gave this order, and may not order any more"),
        "{}",
        refused.text()
    );
    assert_eq!(value(&house), 2);
}

#[test]
fn what_waits_needs_a_person_and_is_told_by_the_name_that_let_its_giver_in() {
    let house = house();
    let second = set(&house.origin, 2);
    until_tip(&house, &second);
    let status = || {
        let mut command = program(house.dir.path());
        command.args(["status", "--exit-code"]);
        command.env("HEADWATER_SERVER", format!("http://{}", house.server.addr()));
        told(command.env("HEADWATER_TOKEN", &house.tokens["reader"]))
    };
    // A machine that is busy may list late, and then the source is stale for a moment.
    wait_until("that nothing needs a person", || status().starts_with("exit 0\n"));
    // What he types is his, and so it stands behind who he is.
    let back = json!({"to": "HEAD~1", "reason": "it broke", "requested_by": "bob, confirmed by ann"});
    let (id, _) = waits(post(&house, "ann", ROLLBACKS, &back));
    let said = status();
    assert!(said.starts_with("exit 1\n"), "{said}");
    let lines = said.lines().skip_while(|line| !line.contains("second person"));
    let lines = lines.map(|line| line.replace(&id, "o-1").replace(second.short(), "NOW"));
    let lines: Vec<String> = lines.collect();
    assert!(
        lines[0].starts_with("  order o-1 waits for a second person: goes back to "),
        "{said}"
    );
    assert_eq!(
        lines[1],
        "    given by ann, who signs as bob, confirmed by ann (ann); another person runs `headwater confirm o-1 --reason …`"
    );
}

#[test]
fn who_gave_an_order_withdraws_it_and_nobody_else_does() {
    let house = house();
    let (_, id, _) = bad(&house);
    let others = say(&house, "bob", &id, "withdraw").expect(403);
    assert_eq!(others.code(), "other_person_needed");
    let ended = say(&house, "ann", &id, "withdraw").expect(200).json();
    assert_eq!(ended["state"], "withdrawn");
    assert_eq!(
        say(&house, "bob", &id, "confirm").expect(409).code(),
        "order_ended"
    );
    let list = orders(&house);
    assert_eq!(list["orders"], json!([]));
    assert_eq!(list["ended"][0]["ended"]["reason"], "I looked at it");
    assert_eq!(
        say(&house, "bob", "o-none", "confirm").expect(404).code(),
        "order_not_found"
    );
    assert_eq!(value(&house), 2);
}

#[test]
fn an_order_that_nobody_confirms_runs_out() {
    let house = House::set(PEOPLE, |settings| {
        careful(settings);
        settings.orders.second_person_within = Duration::from_millis(1);
    });
    let (_, id, _) = bad(&house);
    wait_for("it to run out", || {
        (orders(&house)["ended"][0]["state"] == "run_out").then_some(())
    });
    let late = say(&house, "bob", &id, "confirm").expect(409);
    assert!(late.text().contains("has run out"), "{}", late.text());
    assert_eq!(value(&house), 2);
}

#[test]
fn what_moved_meanwhile_makes_a_confirmation_refused_and_nothing_happens() {
    let house = house();
    let (_, id, _) = bad(&house);
    let third = set(&house.origin, 3);
    until_tip(&house, &third);
    let refused = say(&house, "bob", &id, "confirm").expect(409);
    assert_eq!(
        (refused.code(), refused.json()["actual"].clone()),
        ("tip_moved".into(), json!(third.as_str()))
    );
    assert_eq!(value(&house), 3);
    assert_eq!(
        orders(&house)["orders"].as_array().map(Vec::len),
        Some(1),
        "it waits still"
    );
}

#[test]
fn what_would_be_refused_without_a_second_person_is_refused_at_once() {
    let house = house();
    for (target, body, status) in [
        (ROLLBACKS, json!({"to": "HEAD~9", "reason": "x"}), 404),
        (ROLLBACKS, json!({"to": "HEAD", "reason": ""}), 400),
        (
            "/v1/repos/default/holds/none/release",
            json!({"reason": "x"}),
            409,
        ),
        (
            "/v1/repos/default/rollouts/r-9/abort",
            json!({"reason": "x"}),
            404,
        ),
        (
            "/v1/repos/default/accept",
            json!({"head": "0".repeat(40), "reason": "x"}),
            409,
        ),
    ] {
        let refused = post(&house, "ann", target, &body);
        assert_eq!(refused.status, status, "{target}: {}", refused.text());
    }
    assert_eq!(orders(&house)["orders"], json!([]));
}

#[test]
fn of_many_who_confirm_at_once_one_does() {
    let house = house();
    let (_, id, _) = bad(&house);
    let (house, id) = (&house, &id);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all = ["bob", "operator", "admin", "bob"]
            .map(|who| scope.spawn(move || say(house, who, id, "confirm").status));
        all.map(|one| one.join().expect("an answer")).into()
    });
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(done, 1, "{statuses:?}");
    let list = house.get("reader", ROLLBACKS).expect(200).json();
    assert_eq!(list["rollbacks"].as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn an_order_waits_over_a_restart_and_is_confirmed_afterwards() {
    let mut house = house();
    let (_, id, view) = bad(&house);
    let stopped = std::mem::replace(
        &mut house.server,
        headwater_tests::server::TestServer::of(&headwater_tests::origin::TestOrigin::new()),
    );
    house.server = stopped.restart();
    wait_for("a service that is ready", || {
        let config = house.get("reader", "/v1/repos/default/configs/app");
        (config.status == 200).then_some(())
    });
    assert_eq!(value(&house), 2);
    assert_eq!(orders(&house)["orders"][0], view);
    wait_for("a confirmation", || {
        let reply = say(&house, "bob", &id, "confirm");
        (reply.status == 200).then_some(())
    });
    assert_eq!(value(&house), 1);
}

#[test]
fn what_is_held_back_is_released_under_both_names() {
    let house = House::set(PEOPLE, |settings| {
        careful(settings);
        settings.orders.second_person = [OrderKind::Release].into();
    });
    let second = set(&house.origin, 2);
    until_tip(&house, &second);
    house.origin.hook("pre-receive", "#!/bin/sh\nexit 1\n");
    let back = json!({"to": "HEAD~1", "reason": "it broke"});
    let rollback = post(&house, "ann", ROLLBACKS, &back).expect(201).json();
    let hold = text(&rollback["id"]).to_owned();
    let release = format!("/v1/repos/default/holds/{hold}/release");
    let (id, view) = waits(post(&house, "ann", &release, &json!({"reason": "it was not it"})));
    assert_eq!((&view["order"], &view["hold"]), (&json!("release"), &json!(hold)));
    assert_eq!(value(&house), 1);
    let done = say(&house, "bob", &id, "confirm").expect(200).json();
    assert_eq!(done["holds"]["holds"], json!([]));
    assert_eq!(value(&house), 2);
    let view = house
        .get("reader", &format!("{ROLLBACKS}/{hold}"))
        .expect(200)
        .json();
    assert_eq!(
        (&view["released"]["by"], &view["released"]["confirmed_by"]),
        (&json!("ann"), &json!("bob")),
        "{view}"
    );
}

#[test]
fn a_rewritten_history_is_taken_under_both_names() {
    let house = house();
    let first: CommitId = text(&house.get("reader", "/v1/repos/default").json()["tip"])
        .parse()
        .unwrap();
    let second = set(&house.origin, 2);
    until_tip(&house, &second);
    house.origin.force_reset("main", &first);
    let other = set(&house.origin, 7);
    wait_for("the rewritten head", || {
        let repo = house.get("reader", "/v1/repos/default").json();
        (repo["head"] == other.as_str() && repo["head_state"] == "held").then_some(())
    });
    let accept = json!({"head": other.as_str(), "reason": "we meant it"});
    let (id, _) = waits(post(&house, "ann", "/v1/repos/default/accept", &accept));
    assert_eq!(value(&house), 2);
    let done = say(&house, "bob", &id, "confirm").expect(200).json();
    assert_eq!(
        (
            &done["repo"]["accepted"]["by"],
            &done["repo"]["accepted"]["confirmed_by"]
        ),
        (&json!("ann"), &json!("bob"))
    );
    until_tip(&house, &other);
}

/// A rollout that waits for a person from its first stage on.
const APPROVED: &str = "\
format = 1
[[config]]
name = \"app\"
layers = [\"app.json\"]
rollout = \"asked\"
[rollout.asked]
kind = \"staged\"
stages = [{ count = 1, approval = true, bake = \"1h\" }, { percent = 100, bake = \"1s\" }]
";

#[test]
fn a_rollout_is_moved_and_stopped_by_two_and_its_history_names_both() {
    let house = house();
    let edits = [
        ("headwater.toml", Some(APPROVED)),
        ("app.json", Some("{\"v\": 1}")),
    ];
    let manifest = house.origin.commit(&edits, "a manifest");
    until_tip(&house, &manifest);
    let second = set(&house.origin, 2);
    until_tip(&house, &second);
    let rollouts = "/v1/repos/default/rollouts";
    let rollout = wait_for("a rollout that waits", || {
        let list = house
            .get("reader", &format!("{rollouts}?timeline=true"))
            .expect(200)
            .json();
        let found = list["rollouts"][0].clone();
        (found["state"] == "awaiting_approval").then_some(found)
    });
    let of = |order: &str| format!("{rollouts}/{}/{order}", text(&rollout["id"]));
    let (promote, view) = waits(post(
        &house,
        "ann",
        &of("promote"),
        &json!({"reason": "it is well"}),
    ));
    let steps = rollout["steps"].as_u64().unwrap_or_default();
    assert_eq!(view["expected_steps"], json!(steps), "{view}");
    let (pause, _) = waits(post(
        &house,
        "ann",
        &of("pause"),
        &json!({"reason": "have a look"}),
    ));
    let paused = say(&house, "bob", &pause, "confirm").expect(200).json();
    let last = paused["rollout"]["timeline"]
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .unwrap_or_default();
    assert_eq!(
        (&last["step"], &last["by"], &last["confirmed_by"]),
        (&json!("pause"), &json!("ann"), &json!("bob")),
        "{paused}"
    );
    // It was meant for what it was then.
    let outdated = say(&house, "bob", &promote, "confirm").expect(409);
    assert_eq!(outdated.code(), "order_outdated");
    let (abort, _) = waits(post(&house, "bob", &of("abort"), &json!({"reason": "no"})));
    let aborted = say(&house, "ann", &abort, "confirm").expect(200).json();
    let timeline = aborted["rollout"]["timeline"].to_string();
    assert!(
        timeline.contains("\"by\":\"bob\"") && timeline.contains("\"confirmed_by\":\"ann\""),
        "{timeline}"
    );
}

#[test]
fn where_nobody_is_asked_who_he_is_no_order_that_needs_a_second_person_is_taken() {
    let origin = headwater_tests::origin::TestOrigin::new();
    let first = set(&origin, 1);
    let server = headwater_tests::server::Stopped::of(&origin.path_url())
        .with(careful)
        .start();
    server.until_tip(&first);
    let second = set(&origin, 2);
    server.until_tip(&second);
    let refused = server
        .post(ROLLBACKS, &json!({"to": "HEAD~1", "reason": "x"}))
        .expect(403);
    assert!(
        refused.text().contains("nobody is asked who he is"),
        "{}",
        refused.text()
    );
}

/// A form of the dashboard, sent by who has logged in.
fn send(house: &House, session: &str, target: &str, fields: &[(&str, &str)]) -> Reply {
    let token = "0123456789abcdef0123456789abcdef";
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("token", token).extend_pairs(fields);
    let cookies = format!("{session}; headwater-form={token}");
    let ask = Ask::new("POST", target)
        .header("accept", "text/html")
        .header("cookie", &cookies);
    house
        .server
        .ask(&ask.body("application/x-www-form-urlencoded", body.finish().as_bytes()))
}

#[test]
fn at_the_dashboard_one_orders_and_another_confirms_what_he_reads() {
    let house = house();
    let second = set(&house.origin, 2);
    until_tip(&house, &second);
    let first =
        text(&house.get("reader", "/v1/repos/default/commits?limit=5").json()["commits"][1]["commit"])
            .to_owned();
    let (ann, bob) = (log_in(&house, "ann"), log_in(&house, "bob"));
    let hostile = "<script>alert(1)</script> \" onload=x";
    let fields = [("to", first.as_str()), ("reason", hostile)];
    let sent = send(&house, &ann, "/repos/default/rollbacks", &fields).expect(303);
    let order = sent.must("location").to_owned();
    assert!(order.starts_with("/repos/default/orders/o-"), "{order}");

    for target in ["/repos/default", "/repos/default/rollouts", &order] {
        let shown = page(&house, &bob, target).expect(200).text();
        assert!(
            shown.contains("ann") && shown.contains("goes back to"),
            "{target}: {shown}"
        );
        assert!(
            shown.contains("&#60;script&#62;") || shown.contains("&lt;script&gt;"),
            "{target}: {shown}"
        );
        assert!(!shown.contains("<script>alert"), "{target}: {shown}");
    }
    let hers = page(&house, &ann, &order).expect(200).text();
    assert!(
        hers.contains("/withdraw\"") && !hers.contains("/confirm\""),
        "{hers}"
    );
    let his = page(&house, &bob, &order).expect(200).text();
    assert!(
        his.contains("/confirm\"") && !his.contains("/withdraw\""),
        "{his}"
    );
    let readers = log_in(&house, "reader");
    let readers = page(&house, &readers, &order).expect(200).text();
    assert!(
        !readers.contains("/confirm\"") && !readers.contains("/withdraw\""),
        "{readers}"
    );

    let confirm = format!("{order}/confirm");
    page(&house, &ann, &confirm).expect(403);
    let own = send(&house, &ann, &confirm, &[("reason", "me")]);
    assert_eq!(own.status, 403, "{}", own.text());
    let form = page(&house, &bob, &confirm).expect(200).text();
    assert!(
        form.contains("<form class=\"confirm\"") && !form.contains("<script>alert"),
        "{form}"
    );
    let done = send(&house, &bob, &confirm, &[("reason", "I looked")]).expect(303);
    assert!(done.must("location").starts_with("/repos/default/rollbacks/"));
    assert_eq!(value(&house), 1);
    let audit = page(&house, &bob, "/repos/default/audit").expect(200).text();
    assert!(audit.contains("ann, confirmed by bob"), "{audit}");
    let ended = page(&house, &bob, &order).expect(200).text();
    assert!(
        ended.contains("confirmed by bob") && !ended.contains("/confirm\""),
        "{ended}"
    );
}

#[test]
fn who_confirms_in_an_old_session_proves_who_he_is_first() {
    let house = House::set(PEOPLE, |settings| {
        careful(settings);
        settings.orders.reauth_after = Some(Duration::ZERO);
    });
    let (_, id, _) = bad(&house);
    let bob = log_in(&house, "bob");
    let confirm = format!("/repos/default/orders/{id}/confirm");
    let bare = send(&house, &bob, &confirm, &[("reason", "I looked")])
        .expect(401)
        .text();
    assert!(bare.contains("name=\"proof\""), "{bare}");
    let ask = Ask::new("POST", &format!("{ORDERS}/{id}/confirm")).header("cookie", &bob);
    house
        .server
        .ask(&ask.body("application/json", b"{\"reason\": \"x\"}"))
        .expect(401);
    let others = send(
        &house,
        &bob,
        &confirm,
        &[("reason", "x"), ("proof", &house.tokens["ann"])],
    );
    assert_eq!(others.status, 401, "{}", others.text());
    assert_eq!(value(&house), 2);
    send(
        &house,
        &bob,
        &confirm,
        &[("reason", "x"), ("proof", &house.tokens["bob"])],
    )
    .expect(303);
    assert_eq!(value(&house), 1);
}
