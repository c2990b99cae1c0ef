use std::sync::Mutex;

use super::*;

fn stream(events: &str) -> String {
    let body: Arc<str> = events.into();
    let answer = move || async move { ([("content-type", "text/event-stream")], body.to_string()) };
    one_repo(Router::new().route("/v1/repos/default/events", get(answer)))
}

fn events() -> String {
    let status = headwater_wire::StatusEvent {
        head: Some(commit_id('c')),
        head_state: HeadState::Rejected,
        stale: true,
        reason: Some("1 error".into()),
        findings: vec![finding()],
        removed: vec!["old".parse().unwrap()],
    };
    let bookmark = headwater_wire::BookmarkEvent {
        config: "payments/prod".parse().unwrap(),
        token: "t1".into(),
        tip: commit_id('d'),
    };
    let version = |token: &str, commit, change| headwater_wire::VersionEvent {
        config: "payments/prod".parse().unwrap(),
        token: token.into(),
        version: commit,
        tip: commit_id('e'),
        change,
        phase: headwater_wire::Phase::Active,
        generation: headwater_wire::Generation(4),
        digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        size: 214,
        document: None,
    };
    let one = version("t1", commit_id('a'), headwater_wire::ChangeKind::Initial);
    let two = version("t2", commit_id('b'), headwater_wire::ChangeKind::Rollback);
    let told = |name: &str, json: String| format!("event: {name}\ndata: {json}\n\n");
    [
        told("version", serde_json::to_string(&one).unwrap()),
        told("bookmark", serde_json::to_string(&bookmark).unwrap()),
        told("status", serde_json::to_string(&status).unwrap()),
        told("version", serde_json::to_string(&two).unwrap()),
    ]
    .concat()
}

#[test]
fn each_event_is_a_line() {
    insta::assert_snapshot!(headwater(&stream(&events()), &["watch", "payments/prod", "--count", "2"]), @r#"
    exit 0
    08:00:00Z  payments/prod  initial  aaaaaaaaaa  tip eeeeeeeeee  generation 4  214 B
    08:00:00Z  status  head cccccccccc rejected, stale: 1 error; no longer there: old
        services/payments/base.toml:12:7: error[schema/type]: `pool.max` must be an integer, not `"ten"`
          at `/pool/max` of `payments/prod`
          see schemas/payments.schema.json:4:20: the type is set here
          hint: write the number without quotes
    08:00:00Z  payments/prod  rollback  bbbbbbbbbb  tip eeeeeeeeee  generation 4  214 B
    "#);
}

#[test]
fn json_is_one_object_a_line() {
    let args = [
        "watch",
        "payments/prod",
        "--count",
        "2",
        "--bookmarks",
        "--output",
        "json",
    ];
    let told = headwater(&stream(&events()), &args);
    let lines: Vec<serde_json::Value> = told
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["connected", "version", "bookmark", "status", "version"]);
    assert_eq!(lines[4]["change"], "rollback");
}

#[test]
fn a_stream_that_ends_is_noted_apart_from_the_events_and_comes_back() {
    let all = events();
    let (first, last) = all.split_once("event: bookmark").unwrap();
    let last = format!("event: version{}", last.rsplit_once("event: version").unwrap().1);
    let streams = Arc::new(Mutex::new(vec![last, first.to_owned()]));
    let answer = move || async move {
        let body = streams.lock().unwrap().pop().unwrap();
        ([("content-type", "text/event-stream")], body)
    };
    let unchanged = get(async || StatusCode::NOT_MODIFIED);
    let server = one_repo(
        Router::new()
            .route("/v1/repos/default/events", get(answer))
            .route("/v1/repos/default/configs/payments/prod", unchanged),
    );
    insta::assert_snapshot!(headwater(&server, &["watch", "payments/prod", "--count", "2"]), @r"
    exit 0
    08:00:00Z  payments/prod  initial  aaaaaaaaaa  tip eeeeeeeeee  generation 4  214 B
    08:00:00Z  payments/prod  rollback  bbbbbbbbbb  tip eeeeeeeeee  generation 4  214 B
    --- standard error
    note: the stream ended; trying again in 0.3 s
    ");
}

#[test]
fn a_config_that_is_not_there_ends_the_watch() {
    let problem = Problem::new(ProblemCode::ConfigNotFound, "no config `x`")
        .hint("see `GET /v1/repos/default/configs`");
    let server = one_repo(refusing("/v1/repos/default/events", &problem));
    insta::assert_snapshot!(headwater(&server, &["watch", "x"]), @r"
    exit 1
    --- standard error
    error: no config `x`
    hint: see `GET /v1/repos/default/configs`
    ");
}
