use axum::extract::RawQuery;
use headwater_wire::{
    ConfigReport, FailPhase, InstancePage, InstanceReport, InstanceView, ReportError, ReportState, Running,
    ValueSource,
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
    INSTANCE    CONFIG         STATE      RUNS        GENERATION  REPORTED
    payments-1  payments/prod  confirmed  aaaaaaaaaa  7           12 s ago
    payments-1  web            pending    nothing     7           12 s ago
    payments-2  payments/prod  failed     bbbbbbbbbb  7           12 s ago  validate: pool.max is \u{1b}[2J 0 (last known good)
    idle        none                                              12 s ago
    ");
}

#[test]
fn of_one_config_only_its_lines_are_shown() {
    insta::assert_snapshot!(headwater(&server(), &["instances", "--config", "web"]), @r"
    exit 0
    INSTANCE    CONFIG  STATE    RUNS     GENERATION  REPORTED
    payments-1  web     pending  nothing  7           12 s ago
    idle        none                                  12 s ago
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
    ];
    insta::assert_snapshot!(headwater(&server, &args), @r"
    exit 0
    no instances
    ");
    insta::assert_snapshot!(asked.lock().unwrap(), @r"
    config=a%2Fb&state=failed&version=abc&label.region=eu%20west&limit=1000
    ");
}

#[test]
fn a_state_that_does_not_exist_is_wrong_usage() {
    insta::assert_snapshot!(headwater("http://127.0.0.1:9", &["instances", "--state", "dreaming"]), @r"
    exit 2
    --- standard error
    error: invalid value 'dreaming' for '--state <STATE>': one of `pending`, `prepared`, `applied`, `confirmed`, `failed`

    For more information, try '--help'.
    ");
}
