use std::collections::BTreeMap;

use axum::extract::RawQuery;
use headwater_wire::{
    Assigned, ConfigReport, Drift, FailPhase, InstancePage, InstanceReport, InstanceView, Liveness, Ran,
    ReportError, ReportState, Running, Standing, ValueSource,
};

use super::*;

fn config(digit: char, state: ReportState) -> ConfigReport {
    ConfigReport {
        running: Some(Running {
            version: commit_id(digit),
            digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        }),
        generation: headwater_wire::Generation(7),
        state,
        error: None,
        prepared: None,
        source: ValueSource::Server,
    }
}

fn view(name: &str, configs: &[(&str, ConfigReport)]) -> InstanceView {
    InstanceView {
        instance: name.parse().unwrap(),
        reported_at: ago(12),
        liveness: Liveness::Live,
        silent_ms: 12_000,
        standings: BTreeMap::new(),
        history: BTreeMap::new(),
        report: InstanceReport {
            incarnation: 3,
            seq: 9,
            configs: configs
                .iter()
                .map(|(name, config)| (name.parse().unwrap(), config.clone()))
                .collect(),
            ..InstanceReport::default()
        },
    }
}

fn failed() -> ConfigReport {
    ConfigReport {
        error: Some(ReportError {
            phase: FailPhase::Validate,
            message: "pool.max is \u{1b}[2J 0".into(),
        }),
        source: ValueSource::LastKnownGood,
        ..config('b', ReportState::Failed)
    }
}

/// It has run what it should, and nobody knows whether it still does.
fn silent() -> InstanceView {
    InstanceView {
        liveness: Liveness::Lost,
        silent_ms: 360_000,
        standings: [(
            "payments/prod".parse().unwrap(),
            Standing {
                assigned: Some(assigned('b')),
                drift: Some(Drift::Divergent),
                restarts: 2,
            },
        )]
        .into(),
        ..view(
            "payments-3",
            &[("payments/prod", config('a', ReportState::Confirmed))],
        )
    }
}

fn assigned(digit: char) -> Assigned {
    Assigned {
        version: commit_id(digit),
        digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        generation: headwater_wire::Generation(8),
    }
}

/// Two pages, the first of which has nothing that matches.
fn server() -> String {
    async fn page(RawQuery(query): RawQuery) -> String {
        let query = query.unwrap_or_default();
        let page = if query.contains("after=") {
            let nothing = ConfigReport {
                running: None,
                ..config('a', ReportState::Pending)
            };
            InstancePage {
                instances: vec![
                    view(
                        "payments-1",
                        &[
                            ("payments/prod", config('a', ReportState::Confirmed)),
                            ("web", nothing),
                        ],
                    ),
                    view("payments-2", &[("payments/prod", failed())]),
                    silent(),
                    view("idle", &[]),
                ],
                next: None,
            }
        } else {
            InstancePage {
                instances: Vec::new(),
                next: Some("a".parse().unwrap()),
            }
        };
        serde_json::to_string(&page).unwrap()
    }
    one_repo(Router::new().route("/v1/repos/default/instances", get(page)))
}

#[test]
fn each_config_of_each_instance_is_a_line() {
    insta::assert_snapshot!(headwater(&server(), &["instances"]), @r"
    exit 0
    INSTANCE    CONFIG         STATE      RUNS        DRIFT      GENERATION  HEARD
    payments-1  payments/prod  confirmed  aaaaaaaaaa  -          7           12 s ago
    payments-1  web            pending    nothing     -          7           12 s ago
    payments-2  payments/prod  failed     bbbbbbbbbb  -          7           12 s ago         validate: pool.max is \u{1b}[2J 0 (last known good)
    payments-3  payments/prod  unknown    aaaaaaaaaa  divergent  7           6 min ago, lost  said last: confirmed
    idle        none                                                         12 s ago
    ");
}

#[test]
fn of_one_config_only_its_lines_are_shown() {
    insta::assert_snapshot!(headwater(&server(), &["instances", "--config", "web"]), @r"
    exit 0
    INSTANCE    CONFIG  STATE    RUNS     DRIFT  GENERATION  HEARD
    payments-1  web     pending  nothing  -      7           12 s ago
    idle        none                                         12 s ago
    ");
}

#[test]
fn what_is_asked_for_is_asked_of_the_server() {
    let asked = Arc::new(std::sync::Mutex::new(String::new()));
    let seen = Arc::clone(&asked);
    let page = move |RawQuery(query): RawQuery| async move {
        *seen.lock().unwrap() = query.unwrap_or_default();
        "{\"instances\": []}"
    };
    let server = one_repo(Router::new().route("/v1/repos/default/instances", get(page)));
    let args = [
        "instances",
        "--config",
        "a/b",
        "--state",
        "failed",
        "--version",
        "abc",
        "--label",
        "region=eu west",
        "--liveness",
        "lost",
        "--drift",
        "divergent",
    ];
    insta::assert_snapshot!(headwater(&server, &args), @r"
    exit 0
    no instances
    ");
    insta::assert_snapshot!(asked.lock().unwrap(), @"config=a%2Fb&state=failed&version=abc&liveness=lost&drift=divergent&label.region=eu%20west&limit=1000");
}

#[test]
fn a_state_that_does_not_exist_is_wrong_usage() {
    insta::assert_snapshot!(headwater("http://127.0.0.1:9", &["instances", "--state", "dreaming"]), @r"
    exit 2
    --- standard error
    error: invalid value 'dreaming' for '--state <STATE>': one of `pending`, `prepared`, `applied`, `confirmed`, `failed`, `unknown`

    For more information, try '--help'.
    ");
}

fn ran(digit: char, (from, until): (&str, &str), state: ReportState) -> Ran {
    Ran {
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        incarnation: 3,
        running: config(digit, state).running,
        state,
        failed: None,
        source: ValueSource::Server,
    }
}

fn one() -> String {
    async fn answer(RawQuery(query): RawQuery) -> String {
        let at = query.unwrap_or_default();
        let a = ran(
            'a',
            ("2026-01-31T13:00:00Z", "2026-01-31T14:00:00Z"),
            ReportState::Confirmed,
        );
        let b = Ran {
            failed: Some(FailPhase::Crash),
            running: None,
            source: ValueSource::Default,
            ..ran(
                'b',
                ("2026-01-31T14:10:00Z", "2026-01-31T14:20:00Z"),
                ReportState::Failed,
            )
        };
        let history = match at.as_str() {
            "" => vec![b, a],
            "at=2026-01-31T12%3A00%3A00.000Z" => vec![],
            _ => vec![a],
        };
        let history = history
            .is_empty()
            .then(BTreeMap::new)
            .unwrap_or_else(|| [("payments/prod".parse().unwrap(), history)].into());
        let mut view = InstanceView { history, ..silent() };
        view.report.labels = [("region".to_owned(), "eu".to_owned())].into();
        view.report.client = "pool/1.2".to_owned();
        serde_json::to_string(&view).unwrap()
    }
    let forgotten = async |RawQuery(query): RawQuery| {
        assert_eq!(query.as_deref().unwrap_or_default(), "");
        StatusCode::NO_CONTENT
    };
    let one = get(answer).delete(forgotten);
    one_repo(Router::new().route("/v1/repos/default/instances/{instance}", one))
}

#[test]
fn one_instance_is_shown_with_what_it_ran() {
    insta::assert_snapshot!(headwater(&one(), &["instances", "payments-3"]), @r"
    exit 0
    payments-3  6 min ago, lost
      client: pool/1.2
      labels: region=eu
      payments/prod should run bbbbbbbbbb (generation 8), and has begun anew 2 times since it was told

    CONFIG         FROM                  LAST HEARD            RAN                STATE          LIFE
    payments/prod  2026-01-31 14:10:00Z  2026-01-31 14:20:00Z  nothing (default)  failed: crash  3
    payments/prod  2026-01-31 13:00:00Z  2026-01-31 14:00:00Z  aaaaaaaaaa         confirmed      3
    ");
}

#[test]
fn what_it_ran_at_a_time_is_told_by_when_it_was_heard() {
    let at = |time: &str| headwater(&one(), &["instances", "payments-3", "--at", time]);
    insta::assert_snapshot!(at("2026-01-31T13:59:00Z"), @r"
    exit 0
    payments/prod: ran aaaaaaaaaa at 2026-01-31 13:59:00Z (confirmed)
      who set a value there: headwater explain payments/prod /KEY --at aaaaaaaaaa
    ");
    insta::assert_snapshot!(at("2026-01-31T14:03:00Z"), @r"
    exit 0
    payments/prod: ran aaaaaaaaaa when it was last heard before that, at 2026-01-31 14:00:00Z (confirmed)
      who set a value there: headwater explain payments/prod /KEY --at aaaaaaaaaa
    ");
    insta::assert_snapshot!(at("2026-01-31T12:00:00Z"), @r"
    exit 0
    nothing is known of what `payments-3` ran at 2026-01-31 12:00:00Z: its history begins later
    ");
}

#[test]
fn an_instance_is_forgotten() {
    insta::assert_snapshot!(headwater(&one(), &["instances", "payments-3", "--forget"]), @r"
    exit 0
    `payments-3` is forgotten: its next report counts as its first
    ");
    insta::assert_snapshot!(headwater(&one(), &["instances", "payments-3", "--forget", "--output", "json"]), @r#"
    exit 0
    {
      "forgotten": "payments-3"
    }
    "#);
}

#[test]
fn a_time_is_asked_of_one_instance_only() {
    insta::assert_snapshot!(headwater("http://127.0.0.1:9", &["instances", "--at", "14:03"]), @r"
    exit 2
    --- standard error
    error: the following required arguments were not provided:
      <INSTANCE>

    Usage: headwater instances --at <TIME> <INSTANCE>

    For more information, try '--help'.
    ");
}
