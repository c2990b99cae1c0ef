use headwater_wire::{
    ConfigList, PlanView, PlannedConfig, RolloutCounts, RolloutFailure, RolloutList, RolloutOrder,
    RolloutOrderRequest, RolloutPolicyView, RolloutStageView, RolloutState, RolloutStepView, RolloutView,
};

use super::*;

fn rollout(id: &str, config: &str, state: RolloutState) -> RolloutView {
    RolloutView {
        id: id.to_owned(),
        config: config.parse().unwrap(),
        target: commit_id('b'),
        baseline: Some(commit_id('a')),
        policy: RolloutPolicyView {
            kind: "staged".to_owned(),
            ..RolloutPolicyView::default()
        },
        state,
        stage: 2,
        stages_total: 3,
        why: None,
        since: Some(ago(240)),
        waited_ms: Some(240_000),
        limit_ms: Some(900_000),
        counts: Some(RolloutCounts {
            members: 12,
            applied: 1,
            confirmed: 10,
            unknown: 1,
            fleet: 40,
            ..RolloutCounts::default()
        }),
        failed_names: Vec::new(),
        failures: Vec::new(),
        next: "stage 3 comes in 11 min, if all stays well".to_owned(),
        orders: vec![RolloutOrder::Promote, RolloutOrder::Pause, RolloutOrder::Abort],
        queued: None,
        timeline: Vec::new(),
        steps: 0,
        steps_left_out: 0,
    }
}

fn halted() -> RolloutView {
    RolloutView {
        why: Some("1 of 3 instances failed; it stops at 1".to_owned()),
        stage: 1,
        limit_ms: Some(600_000),
        counts: Some(RolloutCounts {
            members: 3,
            confirmed: 2,
            failed: 1,
            fleet: 40,
            ..RolloutCounts::default()
        }),
        failed_names: vec!["web-7".parse().unwrap()],
        failures: vec![RolloutFailure {
            instance: "web-7".parse().unwrap(),
            how: "validate".to_owned(),
            message: Some("port \u{1b}[2Jout of range".to_owned()),
        }],
        next: "goes back by itself in 6 min; `resume` goes on, `abort` goes back now".to_owned(),
        queued: Some(commit_id('c')),
        timeline: vec![
            RolloutStepView {
                at: ago(600),
                step: "promote".to_owned(),
                stage: Some(1),
                ordered: true,
                by: None,
                confirmed_by: None,
                reason: None,
            },
            RolloutStepView {
                at: ago(240),
                step: "halt".to_owned(),
                stage: Some(1),
                ordered: true,
                by: Some("Ada \u{1b}[2J".to_owned()),
                confirmed_by: None,
                reason: Some("1 of 3 instances failed; it stops at 1".to_owned()),
            },
        ],
        ..rollout("r-57", "web", RolloutState::Halted)
    }
}

fn not_found(id: &str) -> Problem {
    Problem::new(
        ProblemCode::RolloutNotFound,
        format!("there is no rollout `{id}`"),
    )
    .hint("GET /v1/repos/{repo}/rollouts lists them")
}

fn list() -> RolloutList {
    RolloutList {
        rollouts: vec![
            halted(),
            rollout("r-60", "payments/prod", RolloutState::Baking),
            RolloutView {
                since: None,
                waited_ms: None,
                counts: None,
                ..rollout("r-12", "payments/prod", RolloutState::RolledBack)
            },
        ],
        left_out: 2,
    }
}

fn server() -> String {
    one_repo(
        answering("/v1/repos/default/rollouts", &list())
            .merge(answering("/v1/repos/default/rollouts/r-57", &halted()))
            .merge(refusing("/v1/repos/default/rollouts/web", &not_found("web")))
            .merge(refusing("/v1/repos/default/rollouts/r-5", &not_found("r-5"))),
    )
}

#[test]
fn rollouts_are_a_line_each_with_a_bar_and_counts() {
    insta::assert_snapshot!(headwater(&server(), &["rollouts"]), @"
    exit 0
    ROLLOUT  CONFIG         VERSION     STATE                                         SINCE      INSTANCES
    r-57     web            bbbbbbbbbb  halted       [........] 1/3, 4 min of 10 min  4 min ago  3 of 40 instances: 2 confirmed, 1 failed
    r-60     payments/prod  bbbbbbbbbb  baking       [###.....] 2/3, 4 min of 15 min  4 min ago  12 of 40 instances: 10 confirmed, 1 applied; 1 unknown
    r-12     payments/prod  bbbbbbbbbb  rolled back  [##......] 2/3
    and 2 more; name a config or a state
    ");
}

#[test]
fn one_rollout_is_told_with_all_that_was_decided() {
    insta::assert_snapshot!(headwater(&server(), &["rollouts", "r-57"]), @r"
    exit 0
    r-57  web
      version    bbbbbbbbbb, from aaaaaaaaaa
      policy     staged
      state      halted  [........] 1/3, 4 min of 10 min
      why        1 of 3 instances failed; it stops at 1
      instances  3 of 40 instances: 2 confirmed, 1 failed
      failed     web-7 (validate): port \u{1b}[2Jout of range
      next       goes back by itself in 6 min; `resume` goes on, `abort` goes back now
      queued     cccccccccc comes after it
        10 min ago  promote stage 1  by somebody, not named
        4 min ago   halt stage 1     by Ada \u{1b}[2J: 1 of 3 instances failed; it stops at 1
    ");
}

#[test]
fn a_word_that_is_no_state_is_wrong_usage_and_the_states_are_named() {
    let told = headwater(&server(), &["rollouts", "--state", "dreaming"]);
    assert!(told.starts_with("exit 2"), "{told}");
    assert!(told.contains("rolling_back"), "{told}");
}

#[test]
fn status_shows_on_one_screen_what_moves_and_what_needs_a_person() {
    insta::assert_snapshot!(headwater(&server(), &["status"]), @"
    exit 0
    default  https://forge.example/acme/config.git (main)
      tip      aaaaaaaaaa
      head     aaaaaaaaaa  published
      source   ok, synced 3 s ago
      configs  12
      r-57  web            bbbbbbbbbb  halted  [........] 1/3, 4 min of 10 min  3 of 40 instances: 2 confirmed, 1 failed
        1 of 3 instances failed; it stops at 1; goes back by itself in 6 min; `resume` goes on, `abort` goes back now; cccccccccc comes after it
      r-60  payments/prod  bbbbbbbbbb  baking  [###.....] 2/3, 4 min of 15 min  12 of 40 instances: 10 confirmed, 1 applied; 1 unknown
        stage 3 comes in 11 min, if all stays well
    ");
    let told = headwater(&server(), &["status", "--exit-code"]);
    assert!(told.starts_with("exit 1"), "{told}");
}

#[test]
fn status_as_json_has_the_rollouts_of_each_repository() {
    let told = headwater(&server(), &["status", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(told.strip_prefix("exit 0\n").unwrap()).unwrap();
    assert_eq!(json["repos"][0]["name"], "default");
    assert_eq!(json["repos"][0]["rollouts"][0]["id"], "r-57");
    assert_eq!(json["repos"][0]["rollouts"].as_array().unwrap().len(), 2);
}

/// A server that takes an order of `r-57`, and says what it was sent.
fn taking(sent: Arc<std::sync::Mutex<String>>) -> String {
    let answer = move |body: String| async move {
        *sent.lock().unwrap() = body;
        serde_json::to_string(&halted()).unwrap()
    };
    let order = Router::new().route("/v1/repos/default/rollouts/r-57/pause", post(answer));
    one_repo(
        order
            .merge(answering("/v1/repos/default/rollouts", &list()))
            .merge(answering("/v1/repos/default/rollouts/r-57", &halted()))
            .merge(refusing("/v1/repos/default/rollouts/web", &not_found("web"))),
    )
}

#[test]
fn an_order_names_a_rollout_or_the_config_that_it_moves() {
    for named in ["r-57", "web"] {
        let sent = Arc::new(std::sync::Mutex::new(String::new()));
        let server = taking(sent.clone());
        let told = headwater(
            &server,
            &["pause", named, "--reason", " odd  ", "--requested-by", "Ada"],
        );
        assert!(told.starts_with("exit 0\nr-57  web\n"), "{told}");
        let request: RolloutOrderRequest = serde_json::from_str(&sent.lock().unwrap()).unwrap();
        assert_eq!(
            (request.reason.as_str(), request.requested_by.as_deref()),
            ("odd", Some("Ada"))
        );
    }
}

#[test]
fn an_order_that_does_not_fit_says_what_does() {
    let problem = Problem::new(
        ProblemCode::RolloutRefused,
        "cannot promote rollout r-57: the rollout is stopped already",
    )
    .hint("it takes `resume`, `abort` now");
    let server = one_repo(
        refusing("/v1/repos/default/rollouts/r-57/promote", &problem)
            .merge(answering("/v1/repos/default/rollouts/r-57", &halted())),
    );
    insta::assert_snapshot!(headwater(&server, &["promote", "r-57", "--reason", "go"]), @"
    exit 1
    --- standard error
    error: cannot promote rollout r-57: the rollout is stopped already
    hint: it takes `resume`, `abort` now
    ");
}

#[test]
fn a_rollout_that_is_not_there_is_refused_with_where_to_look() {
    let configs = ConfigList {
        tip: commit_id('f'),
        configs: Vec::new(),
    };
    let server = one_repo(
        refusing("/v1/repos/default/rollouts/r-5", &not_found("r-5"))
            .merge(answering("/v1/repos/default/rollouts", &RolloutList::default()))
            .merge(answering("/v1/repos/default/configs", &configs)),
    );
    insta::assert_snapshot!(headwater(&server, &["abort", "r-5", "--reason", "x"]), @"
    exit 1
    --- standard error
    error: there is no rollout `r-5`
    hint: `headwater rollouts` lists them
    ");
    let told = headwater(&server, &["rollouts", "r-5"]);
    insta::assert_snapshot!(told, @"
    exit 1
    --- standard error
    error: there is neither a rollout nor a config `r-5`
    hint: `headwater rollouts` lists them; `headwater configs` lists the configs
    ");
}

#[test]
fn a_plan_shows_each_config_and_its_stages() {
    let stage = |percent, members, bake_ms, approval| RolloutStageView {
        percent,
        bake_ms,
        approval,
        members: Some(members),
        ..RolloutStageView::default()
    };
    let plan = PlanView {
        commit: commit_id('b'),
        base: Some(commit_id('a')),
        verdict: VerdictState::Admitted,
        summary: "changes 2 configs, 41 instances; staged in 2 steps, at least 25 min".to_owned(),
        configs: vec![
            PlannedConfig {
                config: "payments/prod".parse().unwrap(),
                kind: "modified".to_owned(),
                instances: 41,
                policy: Some(RolloutPolicyView {
                    kind: "staged".to_owned(),
                    stages: vec![
                        stage(Some(25), 11, 900_000, false),
                        stage(None, 30, 600_000, true),
                    ],
                    ..RolloutPolicyView::default()
                }),
                warning: Some("stage 1 would take nobody".to_owned()),
                carried_by: None,
                waits_for: Some("r-57".to_owned()),
                frozen_until: Some(Timestamp(1_800_000_000_000)),
            },
            PlannedConfig {
                config: "pets/prod".parse().unwrap(),
                kind: "modified".to_owned(),
                instances: 3,
                policy: None,
                warning: None,
                carried_by: Some("r-58".to_owned()),
                waits_for: None,
                frozen_until: None,
            },
            PlannedConfig {
                config: "web".parse().unwrap(),
                kind: "removed".to_owned(),
                instances: 0,
                policy: None,
                warning: None,
                carried_by: None,
                waits_for: None,
                frozen_until: None,
            },
        ],
        instances: 41,
        shortest_ms: 1_500_000,
    };
    let server = one_repo(answering("/v1/repos/default/plan", &plan));
    insta::assert_snapshot!(headwater(&server, &["plan", "HEAD"]), @"
    exit 0
    bbbbbbbbbb  changes 2 configs, 41 instances; staged in 2 steps, at least 25 min
      payments/prod  modified  41 instances  staged
        stage 1      25 %      11 instances  quiet for 15 min
        stage 2      all       30 instances  quiet for 10 min, once promoted
        waits for rollout r-57
        nothing new is exposed until 2027-01-15T08:00:00.000Z
        warning: stage 1 would take nobody
      pets/prod      modified  3 instances
        rollout r-58 brings it already, or lets it wait
      web            removed   0 instances
    ");
}
