//! Traces: one from what announced a commit to the instances that run it, and nothing that waits for a collector.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use headwater_server::forge::ForgeKind;
use headwater_server::secret::Secret;
use headwater_server::settings::{AlertKind, AlertSettings, EventKind, TraceSettings};
use headwater_tests::collector::{Collector, SeenSpan};
use headwater_tests::http::Ask;
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::watch::set;
use crate::webhooks::{SECRET, hook, push_of};

const DELIVERY: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const DELIVERY_SPAN: &str = "00f067aa0ba902b7";
const PROGRAM: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent(trace: &str) -> String {
    format!("00-{trace}-{DELIVERY_SPAN}-01")
}

/// A server that only a webhook makes look, with its traces sent to `endpoint`.
fn traced(origin: &TestOrigin, endpoint: String) -> Stopped {
    let telemetry = TraceSettings {
        endpoint,
        service_name: "headwater-under-test".to_owned(),
        sample_ratio: 1.0,
    };
    Stopped::of(&origin.path_url())
        .each(|repo| {
            repo.poll_interval = Duration::from_hours(1);
            repo.forge_repo = Some("acme/config".to_owned());
        })
        .with(|settings| {
            settings.telemetry = Some(telemetry);
            settings.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])];
        })
}

fn report(server: &TestServer, seq: u64, configs: &Value) -> Value {
    let body = json!({"incarnation": 1, "seq": seq, "client": "test/1", "configs": configs}).to_string();
    let ask = Ask::new("PUT", "/v1/repos/default/instances/i-1")
        .header("traceparent", &parent(PROGRAM))
        .body("application/json", body.as_bytes());
    server.ask(&ask).expect(200).json()["assignments"][0].clone()
}

/// The only span of a trace with a name.
#[track_caller]
fn one<'a>(spans: &'a [SeenSpan], trace: &str, name: &str) -> &'a SeenSpan {
    let of_trace: Vec<&SeenSpan> = spans.iter().filter(|span| span.trace == trace).collect();
    let named: Vec<&&SeenSpan> = of_trace.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "`{name}` among {of_trace:#?}");
    named[0]
}

#[test]
fn one_trace_leads_from_a_webhook_to_the_instance_that_runs_what_it_told_of() {
    let (origin, collector) = (TestOrigin::new(), Collector::start());
    let first = set(&origin, 1);
    let server = traced(&origin, collector.url()).start();
    server.until_tip(&first);
    report(&server, 1, &json!({"app": {"state": "pending"}}));
    let watcher = server.events("config=app&instance=i-1");
    watcher.until_version(&first);

    let second = set(&origin, 2);
    let delivery = push_of(&second).ask().header("traceparent", &parent(DELIVERY));
    server.ask(&delivery).expect(202);
    watcher.until_version(&second);
    let told = report(&server, 2, &json!({"app": {"state": "pending"}}));
    let running = json!({"version": told["version"], "digest": told["digest"]});
    let confirmed = json!({"running": running, "state": "confirmed", "generation": told["generation"]});
    report(&server, 3, &json!({"app": confirmed}));
    report(&server, 4, &json!({"app": confirmed}));
    // What is sent with a parent that is none begins a trace of its own.
    let order = Ask::new("POST", "/v1/repos/default/rollouts/none/promote")
        .header("traceparent", &parent(&DELIVERY.to_uppercase()))
        .header("tracestate", &"x".repeat(10_000))
        .body("application/json", b"{\"reason\": \"none\"}");
    assert!(server.ask(&order).status >= 400);
    wait_for("the way to be over", || {
        let spans = collector.spans();
        spans
            .iter()
            .any(|span| span.trace == DELIVERY && span.name == "propagate")
            .then_some(())
    });
    server.stop();

    let spans = collector.spans();
    let delivered = one(&spans, DELIVERY, "POST /hooks/{hook}");
    assert_eq!(delivered.parent, DELIVERY_SPAN);
    assert_eq!(delivered.attributes["http.response.status_code"], "202");
    let commit = one(&spans, DELIVERY, "commit");
    assert_eq!(commit.parent, delivered.id);
    assert_eq!(commit.service, "headwater-under-test");
    assert_eq!(commit.attributes["vcs.ref.head.revision"], second.as_str());
    assert_eq!(commit.attributes["headwater.trigger"], "webhook");
    assert_eq!(commit.attributes["headwater.head_state"], "published");
    for step in ["list", "fetch", "validate", "publish", "wake", "ack", "propagate"] {
        let span = one(&spans, DELIVERY, step);
        assert_eq!(span.parent, commit.id, "{step}");
        assert!(!span.failed, "{step}");
    }
    let ack = one(&spans, DELIVERY, "ack");
    assert_eq!(ack.links, [PROGRAM]);
    assert_eq!(ack.attributes["headwater.instance"], "i-1");
    let order = "POST /v1/repos/{repo}/rollouts/{id}/{order}";
    let order = spans.iter().find(|span| span.name == order).expect("the order");
    assert_eq!(order.parent, "");
    assert!(
        spans.iter().all(|span| span.trace != PROGRAM),
        "a report begins nothing"
    );
    let path = origin.path().display().to_string();
    let said = format!("{spans:?}");
    assert!(!said.contains(SECRET) && !said.contains(&path), "{said}");
}

#[test]
fn who_is_called_because_of_a_commit_is_told_its_trace() {
    let (origin, collector, oracle) = (TestOrigin::new(), Collector::start(), Oracle::start());
    let first = set(&origin, 1);
    let alert = AlertSettings {
        name: "people".to_owned(),
        url: Secret::new(oracle.url()),
        kind: AlertKind::Webhook {
            secret: Secret::new(SECRET),
        },
        ca_file: None,
        repos: Vec::new(),
        events: [EventKind::Rejected].into(),
        stuck_after: Duration::from_hours(1),
    };
    let server = traced(&origin, collector.url())
        .with(|settings| settings.alerts = vec![alert])
        .start();
    server.until_tip(&first);
    let broken = origin.commit(&[("app.json", Some("{"))], "break it");

    let delivery = push_of(&broken).ask().header("traceparent", &parent(DELIVERY));
    server.ask(&delivery).expect(202);

    let asked = wait_for("somebody to be told", || oracle.asked().into_iter().next());
    server.stop();
    let spans = collector.spans();
    let commit = one(&spans, DELIVERY, "commit");
    assert_eq!(commit.attributes["headwater.head_state"], "rejected");
    let verdict = one(&spans, DELIVERY, "validate")
        .attributes
        .get("headwater.verdict");
    assert_eq!(verdict.map(String::as_str), Some("invalid"), "{spans:#?}");
    let sent_along = format!("00-{DELIVERY}-{}-01", commit.id);
    assert_eq!(asked.traceparent, Some(sent_along));
}

#[test]
fn a_collector_that_never_answers_holds_nothing_up() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    let server = traced(&origin, endpoint).start();
    server.until_tip(&first);
    let second = set(&origin, 2);
    server.ask(&push_of(&second).ask()).expect(202);
    server.until_tip(&second);

    let began = Instant::now();
    server.stop();

    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}
