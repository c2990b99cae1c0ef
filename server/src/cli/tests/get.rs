use axum::extract::RawQuery;

use super::*;

fn snapshot() -> SnapshotBody {
    SnapshotBody {
        repo: "default".parse().unwrap(),
        config: "payments/prod".parse().unwrap(),
        version: commit_id('b'),
        tip: commit_id('a'),
        digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        generation: headwater_wire::Generation(4),
        phase: headwater_wire::Phase::Active,
        variant: None,
        document: json!({"pool": {"max": 20}, "name": "payments"}),
        sources: vec!["services/payments/base.toml".into()],
    }
}

fn server() -> String {
    async fn config(RawQuery(query): RawQuery) -> String {
        match query.as_deref() {
            None => serde_json::to_string(&snapshot()).unwrap(),
            Some("pointer=%2Fname&format=json") => "\"payments\"".to_owned(),
            Some("pointer=%2Fpool&format=json") => "{\"max\":20}".to_owned(),
            Some("format=toml") => "name = \"payments\"\n\n[pool]\nmax = 20\n".to_owned(),
            Some(other) => format!("\"unexpected: {other}\""),
        }
    }
    one_repo(Router::new().route("/v1/repos/default/configs/payments/prod", get(config)))
}

#[test]
fn a_config_is_printed_as_its_document() {
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod"]), @r#"
    exit 0
    {
      "name": "payments",
      "pool": {
        "max": 20
      }
    }
    "#);
}

#[test]
fn one_text_is_printed_bare_and_one_table_as_json() {
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod", "/name"]), @r"
    exit 0
    payments
    ");
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod", "/pool"]), @r#"
    exit 0
    {
      "max": 20
    }
    "#);
}

#[test]
fn a_format_is_printed_as_the_server_wrote_it() {
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod", "--format", "toml"]), @r#"
    exit 0
    name = "payments"

    [pool]
    max = 20
    "#);
}

#[test]
fn json_and_the_raw_version_are_for_programs() {
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod", "--output", "json"]), @r#"
    exit 0
    {
      "repo": "default",
      "config": "payments/prod",
      "version": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
      "tip": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
      "generation": 4,
      "phase": "active",
      "document": {
        "name": "payments",
        "pool": {
          "max": 20
        }
      },
      "sources": [
        "services/payments/base.toml"
      ]
    }
    "#);
    insta::assert_snapshot!(headwater(&server(), &["get", "payments/prod", "--raw-version"]), @r"
    exit 0
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    ");
}

#[test]
fn a_revision_is_resolved_first_and_then_read_at_its_commit() {
    let found = log::commit('b', "Raise the pool", VerdictState::Admitted);
    let at_commit = format!(
        "/v1/repos/default/commits/{}/configs/payments/prod",
        commit_id('b')
    );
    let router = Router::new().fallback(move |uri: Uri| async move {
        match uri.path() {
            "/v1/repos/default/commits/release%2F1.2" => serde_json::to_string(&found).unwrap(),
            path if path == at_commit => serde_json::to_string(&snapshot()).unwrap(),
            other => other.to_owned(),
        }
    });
    let told = headwater(
        &serve(router),
        &["get", "payments/prod", "--at", "release/1.2", "--repo", "default"],
    );
    assert!(told.starts_with("exit 0\n{"), "{told}");
}

#[test]
fn a_refusal_is_told_with_its_hint_and_exits_with_1() {
    let problem = Problem::new(ProblemCode::ConfigNotFound, "no config `payments/prd`")
        .hint("did you mean `payments/prod`?");
    let server = one_repo(refusing("/v1/repos/default/configs/payments/prd", &problem));
    insta::assert_snapshot!(headwater(&server, &["get", "payments/prd"]), @r"
    exit 1
    --- standard error
    error: no config `payments/prd`
    hint: did you mean `payments/prod`?
    ");
}

#[test]
fn a_rejected_commit_is_told_with_its_findings() {
    let problem = Problem::new(ProblemCode::CommitRejected, "commit `bbbbbbbbbb` was rejected")
        .findings(vec![finding()])
        .hint("fix it in a new commit");
    let server = one_repo(refusing(
        "/v1/repos/default/commits/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/configs/payments/prod",
        &problem,
    ));
    insta::assert_snapshot!(headwater(&server, &["get", "payments/prod", "--at", commit_id('b').as_str()]), @r#"
    exit 1
    --- standard error
    error: commit `bbbbbbbbbb` was rejected
      services/payments/base.toml:12:7: error[schema/type]: `pool.max` must be an integer, not `"ten"`
        at `/pool/max` of `payments/prod`
        see schemas/payments.schema.json:4:20: the type is set here
        hint: write the number without quotes
    hint: fix it in a new commit
    "#);
}

#[test]
fn a_fault_of_the_server_names_the_request_for_its_log() {
    let problem = Problem {
        request_id: Some("r-1\u{1b}[2J".into()),
        ..Problem::new(ProblemCode::Internal, "it broke")
    };
    let server = one_repo(refusing("/v1/repos/default/configs/a", &problem));
    insta::assert_snapshot!(headwater(&server, &["get", "a"]), @r"
    exit 1
    --- standard error
    error: it broke
    request: r-1\u{1b}[2J
    ");
}
