//! What the service counts of itself: the page says what happens, its labels are bounded, and what is shipped to look at
//! it (rules, a dashboard, the table in the docs) names nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use headwater_server::forge::ForgeKind;
use headwater_server::settings::CanarySettings;
use headwater_tests::docs;
use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::sshd::skipped;
use headwater_tests::wait::wait_for;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::watch::{served, set};
use crate::webhooks::{SECRET, hook};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

/// The page, by series; what is not there counts as 0.
struct Page(BTreeMap<String, f64>);

impl Page {
    fn of(server: &TestServer) -> Self {
        Self::read(&server.get("/metrics").expect(200).text())
    }

    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Self(series.collect())
    }

    fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    /// Whole values are compared as text, so that a failure shows what there is.
    fn is(&self, series: &str, value: f64) -> bool {
        (self.value(series) - value).abs() < 1e-9
    }
}

fn until(server: &TestServer, series: &str, value: f64) {
    wait_for(&format!("{series} to be {value}"), || {
        Page::of(server).is(series, value).then_some(())
    });
}

/// Names that the page has a type for, as rules would name them.
fn names(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Every metric in a text that is an expression, or holds some.
fn named_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words
        .filter(|word| word.starts_with("headwater_") || word.starts_with("process_"))
        .map(|word| {
            let word = word.strip_suffix("_bucket").unwrap_or(word);
            word.to_owned()
        })
        .collect()
}

fn report(server: &TestServer, instance: &str, body: &Value) -> Value {
    let path = format!("/v1/repos/default/instances/{instance}");
    let ask = Ask::new("PUT", &path).body("application/json", body.to_string().as_bytes());
    server.ask(&ask).expect(200).json()
}

/// A report of an instance that runs what it was assigned.
fn running(seq: u64, assigned: &Value) -> Value {
    let held = json!({"version": assigned["version"], "digest": assigned["digest"]});
    json!({"incarnation": 1, "seq": seq, "client": "test/1", "configs": {
        "app": {"running": held, "state": "confirmed", "generation": assigned["generation"]},
    }})
}

#[test]
fn what_happens_to_a_commit_is_counted() {
    let (origin, server, _) = served();
    let page = Page::of(&server);
    assert!(page.is("headwater_verdicts_total{repo=\"default\",result=\"valid\"}", 1.0));
    assert!(page.is("headwater_head_state{repo=\"default\",state=\"published\"}", 1.0));
    assert!(page.is("headwater_source_state{repo=\"default\",state=\"ok\"}", 1.0));
    until(&server, "headwater_source_stale{repo=\"default\"}", 0.0);
    assert!(page.value("headwater_configs{repo=\"default\"}") >= 1.0);
    assert!(page.is(
        "headwater_admission_duration_seconds_count{repo=\"default\"}",
        1.0
    ));
    let broken = break_it(&origin);
    server.until_head(&broken, "rejected");
    let page = Page::of(&server);
    assert!(page.is(
        "headwater_verdicts_total{repo=\"default\",result=\"invalid\"}",
        1.0
    ));
    assert!(page.is(
        "headwater_findings_total{repo=\"default\",code=\"parse/json\"}",
        1.0
    ));
    assert!(page.is("headwater_head_state{repo=\"default\",state=\"rejected\"}", 1.0));
    assert!(page.is("headwater_head_state{repo=\"default\",state=\"published\"}", 0.0));
    assert!(page.is("headwater_verdict_duration_seconds_count{repo=\"default\"}", 2.0));
}

#[test]
fn the_way_of_a_value_to_an_instance_is_timed_once() {
    let (origin, server, _) = served();
    let first = report(
        &server,
        "i-1",
        &json!({"incarnation": 1, "seq": 1, "client": "test/1", "configs": {"app": {"state": "pending"}}}),
    );
    let first = first["assignments"][0].clone();
    report(&server, "i-1", &running(2, &first));
    // What it runs first took no way from something else.
    assert!(Page::of(&server).is(
        "headwater_propagation_duration_seconds_count{repo=\"default\"}",
        0.0
    ));
    until(
        &server,
        "headwater_instance_configs{repo=\"default\",state=\"confirmed\"}",
        1.0,
    );
    let second = set(&origin, 2);
    server.until_tip(&second);
    let told = report(&server, "i-1", &running(3, &first));
    let told = told["assignments"][0].clone();
    report(&server, "i-1", &running(4, &told));
    report(&server, "i-1", &running(5, &told));
    let page = Page::of(&server);
    assert!(page.is(
        "headwater_propagation_duration_seconds_count{repo=\"default\"}",
        1.0
    ));
    assert!(page.is("headwater_instances{repo=\"default\"}", 1.0));
    assert!(page.is(
        "headwater_instance_drift{repo=\"default\",state=\"in_sync\"}",
        1.0
    ));
}

#[test]
fn a_watcher_that_waits_is_counted_and_its_wake_is_timed() {
    let (origin, server, _) = served();
    let events = server.events("config=app");
    until(&server, "headwater_watches{repo=\"default\"}", 1.0);
    assert!(Page::of(&server).is("headwater_wake_duration_seconds_count{repo=\"default\"}", 0.0));
    let second = set(&origin, 2);
    events.until_version(&second);
    until(
        &server,
        "headwater_wake_duration_seconds_count{repo=\"default\"}",
        1.0,
    );
    drop(events);
}

fn canary() -> CanarySettings {
    CanarySettings {
        config: "app".parse().unwrap(),
        every: Duration::from_hours(1),
    }
}

/// A server with a canary and a hook, to which a delivery came that it turned away.
fn with_hook() -> (TestOrigin, TestServer) {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let forge = hook("forge", ForgeKind::GitHub, &["default"], &[SECRET]);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.hooks = vec![forge])
        .each(|repo| repo.canary = Some(canary()))
        .start();
    server.until_tip(&first);
    let ask = Ask::new("POST", "/hooks/forge").body("application/json", b"{}");
    server.ask(&ask).expect(401);
    (origin, server)
}

/// Everything that can be told, after something of every kind has happened.
fn told() -> BTreeSet<String> {
    let (origin, server) = with_hook();
    let broken = break_it(&origin);
    server.until_head(&broken, "rejected");
    until(&server, "headwater_source_stale{repo=\"default\"}", 0.0);
    names(&server.get("/metrics").expect(200).text())
}

fn break_it(origin: &TestOrigin) -> CommitId {
    origin.commit(&[("app.json", Some("{\"v\": "))], "break it")
}

#[test]
fn deliveries_are_counted_by_what_became_of_them() {
    let (_origin, server) = with_hook();
    let to_none = Ask::new("POST", "/hooks/other").body("application/json", b"{}");
    server.ask(&to_none).expect(404);
    let page = Page::of(&server);
    assert!(page.is(
        "headwater_webhook_deliveries_total{hook=\"forge\",result=\"refused\"}",
        1.0
    ));
    let of_hooks = page
        .0
        .keys()
        .filter(|series| series.starts_with("headwater_webhook"));
    assert_eq!(
        of_hooks.count(),
        1,
        "nobody makes a series by asking for a hook that there is none of"
    );
}

#[test]
fn a_canary_is_late_until_every_instance_runs_what_was_committed_last() {
    let (origin, server) = with_hook();
    let late = "headwater_canary_late_instances{repo=\"default\"}";
    until(
        &server,
        "headwater_canary_every_seconds{repo=\"default\"}",
        3_600.0,
    );
    assert!(Page::of(&server).is(late, 0.0));
    // As old as its commit, which an upstream of tests made years ago: a restart makes nothing younger.
    let page = Page::of(&server);
    assert!(page.value("headwater_canary_age_seconds{repo=\"default\"}") > 1e6);
    assert!(page.is("headwater_canary_missing{repo=\"default\"}", 0.0));
    let pending =
        json!({"incarnation": 1, "seq": 1, "client": "test/1", "configs": {"app": {"state": "pending"}}});
    let first = report(&server, "i-1", &pending)["assignments"][0].clone();
    until(&server, late, 1.0);
    report(&server, "i-1", &running(2, &first));
    until(&server, late, 0.0);
    let second = set(&origin, 2);
    server.until_tip(&second);
    until(&server, late, 1.0);
}

#[test]
fn a_canary_that_the_tip_does_not_have_is_said_until_it_is_there() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let mut elsewhere = canary();
    elsewhere.config = "ops/canary".parse().unwrap();
    let server = Stopped::of(&origin.path_url())
        .each(|repo| repo.canary = Some(elsewhere.clone()))
        .start();
    server.until_tip(&first);
    let missing = "headwater_canary_missing{repo=\"default\"}";
    until(&server, missing, 1.0);
    assert_eq!(server.repo()["error"], "the tip has no canary `ops/canary`");
    let there = origin.commit(&[("ops/canary.json", Some("{}"))], "a canary");
    let repo = server.until_tip(&there);
    assert_eq!(repo["error"], Value::Null);
    until(&server, missing, 0.0);
}

#[test]
fn nothing_that_a_client_or_a_repository_names_becomes_a_label() {
    let (origin, server, _) = served();
    origin.commit(&[("app.json", Some("{\"canary-key\": "))], "canary-message");
    report(
        &server,
        "canary-instance",
        &json!({"incarnation": 1, "seq": 1, "client": "canary-client",
        "labels": {"canary-label": "canary-value"}, "configs": {"canary-config": {"state": "pending"}, "app": {"state": "pending"}}}),
    );
    server.get("/canary-path?canary=1");
    server.get("/v1/repos/canary-repo/configs/canary-config");
    server.ask(&Ask::new("CANARY", "/v1/repos"));
    until(
        &server,
        "headwater_head_state{repo=\"default\",state=\"rejected\"}",
        1.0,
    );
    let text = server.get("/metrics").expect(200).text();
    assert!(!text.to_lowercase().contains("canary"), "{text}");
    assert!(
        text.contains("headwater_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1"),
        "{text}"
    );
    assert!(text.contains("method=\"other\""), "{text}");
}

#[test]
fn a_scraper_is_answered_in_the_text_that_it_takes() {
    let (_origin, server, _) = served();
    let old = server.get("/metrics").expect(200);
    assert_eq!(
        old.must("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let new = server
        .ask(&Ask::get("/metrics").header("accept", accept))
        .expect(200);
    assert_eq!(
        new.must("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(new.text().ends_with("# EOF\n"));
}

#[test]
fn the_docs_name_every_number_and_no_other() {
    let page = docs::page("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: BTreeSet<String> = rows
        .filter_map(|row| row.split(['`', '{']).next())
        .filter(|name| name.starts_with("headwater_") || name.starts_with("process_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, told());
}

#[test]
fn rules_and_dashboard_name_only_numbers_that_there_are() {
    let mut told = told();
    let rules = docs::page("deploy/prometheus/headwater.rules.yml");
    let dashboard = docs::page("deploy/grafana/headwater.json");
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let expressions: Vec<&str> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(expressions.len() > 10);
    // The text of a rule is a sentence as well; only what looks like a metric is one.
    told.insert("headwater_".to_owned());
    for text in expressions.into_iter().chain([rules.as_str()]) {
        let unknown: Vec<String> = named_in(text).difference(&told).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "in {text}");
    }
}

/// A program of Prometheus; none where it is not installed.
fn program(name: &str) -> Option<Command> {
    if Command::new(name).arg("--version").output().is_ok() {
        return Some(Command::new(name));
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "`.ci/install` installs prometheus"
    );
    skipped("no prometheus is installed");
    None
}

#[test]
fn promtool_takes_the_page_and_the_rules() {
    let Some(mut promtool) = program("promtool") else {
        return;
    };
    let (_origin, server, _) = served();
    let page = server.get("/metrics").expect(200).text();
    let mut check = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut promtool = Command::new("promtool");
    let said = promtool
        .args(["check", "rules", "deploy/prometheus/headwater.rules.yml"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// A running Prometheus that scrapes one server.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _files: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(server: &TestServer) -> Option<Self> {
        let mut command = program("prometheus")?;
        let files = tempfile::tempdir().unwrap();
        let settings = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: headwater\n    static_configs: [{{ targets: ['{}'] }}]\n",
            root().join("deploy/prometheus/headwater.rules.yml").display(),
            server.addr()
        );
        let file = files.path().join("prometheus.yml");
        std::fs::write(&file, settings).unwrap();
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                files.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            child,
            addr,
            _files: files,
        })
    }

    /// What an expression is now; nothing while it is not up.
    fn query(&self, expression: &str) -> Option<Value> {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let ask = Ask::get(&format!("/api/v1/query?query={query}"));
        std::net::TcpStream::connect_timeout(&self.addr, Duration::from_secs(1)).ok()?;
        Some(ask.send(self.addr).json()["data"]["result"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_real_prometheus_scrapes_the_service_and_its_rules_see_a_rejected_head() {
    let (origin, server, _) = served();
    let Some(prometheus) = Prometheus::scraping(&server) else {
        return;
    };
    let broken = break_it(&origin);
    server.until_head(&broken, "rejected");
    wait_for("an alert that waits for its time", || {
        let pending = prometheus.query("ALERTS{alertname=\"HeadwaterHeadRejected\"}")?;
        (pending[0]["metric"]["repo"] == "default").then_some(())
    });
    let up = prometheus.query("up{job=\"headwater\"}").unwrap();
    assert_eq!(up[0]["value"][1], "1");
}
