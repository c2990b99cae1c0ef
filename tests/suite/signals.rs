//! Signals of rollouts against a real server: a stage waits for the consent of a service that is asked, and whoever is to
//! be told hears of a no.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_server::secret::Secret;
use headwater_server::settings::{AlertKind, AlertSettings, EventKind, Settings, SignalKind, SignalSettings};
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::guards::{SECRET, signed};
use crate::rollout::{
    Program, ROLLOUTS, STAGED, all_run, one_has, origin, quick, rollout, set, slow, three, until,
};

const PASS: &str = "{\"result\": \"pass\"}";

/// Two stages that each need one yes, and that stay halted after a no.
fn with_signal() -> String {
    let policy = STAGED.replace("kind = \"staged\"", "kind = \"staged\"\non_halt = \"stay\"");
    let signal = "[[rollout.careful.signals]]\nname = \"orders\"\nwebhook = \"oracle\"\npasses_min = 1\n";
    policy + signal
}

/// Lets rollouts ask `oracle`.
fn asking(settings: &mut Settings, oracle: &Oracle) {
    settings.floor.signals = Some(BTreeMap::from([("oracle".to_owned(), "webhook".to_owned())]));
    settings.signals = vec![SignalSettings {
        name: "oracle".to_owned(),
        url: oracle.url(),
        kind: SignalKind::Webhook {
            secret: Secret::new(SECRET),
        },
        ca_file: None,
        deadline: Duration::from_secs(5),
    }];
}

/// Tells `pager` everything.
fn telling(settings: &mut Settings, pager: &Oracle) {
    settings.alerts = vec![AlertSettings {
        name: "pager".to_owned(),
        url: Secret::new(pager.url()),
        kind: AlertKind::Webhook {
            secret: Secret::new(SECRET),
        },
        ca_file: None,
        repos: Vec::new(),
        events: BTreeSet::from(EventKind::ALL),
        stuck_after: Duration::from_hours(1),
    }];
}

/// Three instances that run the first value, and a second one that is on its way.
fn begun(oracle: &Oracle, pager: &Oracle) -> (TestOrigin, TestServer, Vec<Program>, [String; 2]) {
    let (origin, first) = origin(&with_signal());
    let server = quick(&origin)
        .with(|settings| {
            asking(settings, oracle);
            telling(settings, pager);
        })
        .start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    let second = set(&origin, 2);
    (origin, server, programs, [first.to_string(), second.to_string()])
}

#[test]
fn each_stage_ends_with_the_consent_of_its_signal() {
    let (oracle, pager) = (Oracle::start(), Oracle::start());
    oracle.next("200 OK", PASS);
    oracle.next("200 OK", PASS);
    let (_origin, server, mut programs, [first, second]) = begun(&oracle, &pager);
    until(server.addr(), &mut programs, "all have it", all_run(2));
    wait_for("the last stage to be asked about", || {
        for program in &mut programs {
            program.turn(server.addr());
        }
        (oracle.asked().len() == 2).then_some(())
    });
    let stages: Vec<Value> = oracle
        .asked()
        .iter()
        .map(|asked| asked.json()["stage"].clone())
        .collect();
    assert_eq!(stages, [1, 2]);
    let asked = oracle.asked().remove(0);
    assert_eq!(asked.signature, format!("sha256={}", signed(&asked.bytes)));
    let mut body = asked.json();
    assert!(body["rollout"].take().is_string());
    let expected = json!({
        "repo": "default", "config": "app", "rollout": null, "signal": "orders", "stage": 1,
        "version": second, "baseline": first,
    });
    assert_eq!(body, expected);
    assert!(pager.asked().is_empty(), "nothing needs a person");
}

#[test]
fn a_no_stops_the_rollout_in_its_stage_and_somebody_is_told() {
    let (oracle, pager) = (Oracle::start(), Oracle::start());
    oracle.next("200 OK", "{\"result\": \"fail\", \"message\": \"orders fell\"}");
    let (_origin, server, mut programs, _) = begun(&oracle, &pager);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    let told = wait_for("somebody to be told", || {
        for program in &mut programs {
            program.turn(server.addr());
        }
        pager.asked().first().cloned()
    });
    assert_eq!(told.signature, format!("sha256={}", signed(&told.bytes)));
    let body = told.json();
    assert_eq!(
        (&body["event"], &body["state"], &body["config"]),
        (&json!("halted"), &json!("firing"), &json!("app"))
    );
    let summary = body["summary"].as_str().unwrap();
    assert!(
        summary.ends_with("halted in stage 1 of 2: signal `orders` says no: orders fell"),
        "{summary}"
    );
    assert!(
        body["action"].as_str().unwrap().contains("`headwater abort "),
        "{body}"
    );
    assert_eq!(programs.iter().filter(|program| program.was_told(2)).count(), 1);
    assert_eq!(pager.asked().len(), 1, "one happening is told once");
}

#[test]
fn who_does_not_come_back_in_time_is_told_of() {
    let pager = Oracle::start();
    let (origin, _) = origin(&format!("{}deadlines = {{ roll_back = \"1s\" }}\n", slow()));
    let server = quick(&origin).with(|settings| telling(settings, &pager)).start();
    let mut programs = three();
    until(server.addr(), &mut programs, "the first value", all_run(1));
    set(&origin, 2);
    until(server.addr(), &mut programs, "one has it", one_has(2));
    programs.retain(|program| !program.was_told(2));
    let abort = format!("{ROLLOUTS}/{}/abort", rollout(&server)["id"].as_str().unwrap());
    server
        .post(&abort, &json!({"reason": "errors since noon"}))
        .expect(200);
    let told = wait_for("somebody to be told", || {
        for program in &mut programs {
            program.turn(server.addr());
        }
        let asked = pager.asked().into_iter().map(|asked| asked.json());
        asked.into_iter().find(|body| body["event"] == "incomplete")
    });
    let detail = told["detail"].as_str().unwrap();
    assert_eq!(
        (&told["state"], detail),
        (&json!("firing"), "of 1 instance that were told, 1 not back yet")
    );
}

#[test]
fn a_commit_that_is_rejected_is_told() {
    let pager = Oracle::start();
    let (origin, _) = origin(STAGED);
    let server = quick(&origin).with(|settings| telling(settings, &pager)).start();
    let bad = origin.commit(&[("app.json", Some("{"))], "broken");
    server.until_head(&bad, "rejected");
    let told = wait_for("somebody to be told", || pager.asked().first().cloned()).json();
    assert_eq!(
        (&told["event"], &told["id"]),
        (&json!("rejected"), &json!(bad.as_str()))
    );
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .starts_with("1 error; parse/json at app.json:1"),
        "{told}"
    );
}
