//! P2: a commit that failed admission is never offered; the last good one keeps serving until the fix is pushed.

use headwater_tests::http::Ask;
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::{Stopped, TestServer};
use headwater_wire::CommitId;
use serde_json::Value;

const MANIFEST: &str = "format = 1\n\n[[config]]\nname = \"app\"\nlayers = [\"app.{toml,json,yaml}\"]\nschema = \"app.schema.json\"\n";
const SCHEMA: &str =
    r#"{"type": "object", "properties": {"port": {"type": "integer"}}, "additionalProperties": false}"#;

/// A good commit of one config with a schema.
fn good(origin: &TestOrigin) -> CommitId {
    origin.commit(
        &[
            ("headwater.toml", Some(MANIFEST)),
            ("app.schema.json", Some(SCHEMA)),
            ("app.toml", Some("port = 1\n")),
        ],
        "good",
    )
}

/// Pushes `edits` onto a good commit and asserts everything the contract says of a rejection and of its fix.
fn assert_rejects(edits: &[(&str, Option<&str>)], expected: (&str, u64, u64)) -> Vec<Value> {
    let origin = TestOrigin::new();
    let good = good(&origin);
    let server = TestServer::of(&origin);
    server.until_tip(&good);
    let events = server.events("config=app");
    events.until_version(&good);
    let bad = origin.commit(edits, "bad");
    let repo = server.until_head(&bad, "rejected");
    assert_eq!(repo["tip"], good.as_str());
    assert_eq!(repo["source_state"], "ok");
    let findings = repo["findings"].as_array().expect("findings").clone();
    let (path, line, column) = expected;
    let at =
        |finding: &Value| finding["path"] == path && finding["line"] == line && finding["column"] == column;
    assert!(
        findings.iter().any(at),
        "nothing at {path}:{line}:{column}: {findings:#?}"
    );
    assert_still_serves(&server, &good, &bad);

    let told = events.until("one status event", |events| {
        events.iter().any(|event| event.name == "status")
    });
    let after: Vec<_> = told.iter().skip_while(|event| event.name != "status").collect();
    assert_eq!(after.len(), 1, "{after:#?}");
    assert_eq!(after[0].data["head_state"], "rejected");
    assert_eq!(after[0].data["head"], bad.as_str());
    assert_eq!(after[0].data["findings"], Value::Array(findings.clone()));

    let undo: Vec<(&str, Option<&str>)> = edits.iter().map(|(path, _)| (*path, restored(path))).collect();
    let mut fix = undo;
    fix.push(("app.toml", Some("port = 2\n")));
    let fixed = origin.commit(&fix, "fix");
    server.until_tip(&fixed);
    let told = events.until_version(&fixed);
    let versions: Vec<_> = told.iter().filter(|event| event.name == "version").collect();
    assert_eq!(versions.len(), 2, "{versions:#?}");
    assert_eq!(versions[1].data["document"]["port"], 2);
    // The rejected commit stays rejected now that it is history.
    let reply = server
        .get(&format!("/v1/repos/default/commits/{bad}/configs/app"))
        .expect(409);
    assert_eq!(reply.code(), "commit_rejected");
    findings
}

fn restored(path: &str) -> Option<&'static str> {
    match path {
        "headwater.toml" => Some(MANIFEST),
        "app.schema.json" => Some(SCHEMA),
        _ => None,
    }
}

fn assert_still_serves(server: &TestServer, good: &CommitId, bad: &CommitId) {
    let reply = server.config("app", None).expect(200);
    assert_eq!(reply.json()["version"], good.as_str());
    assert_eq!(reply.must("headwater-head-state"), "rejected");
    assert_eq!(reply.must("headwater-tip"), good.as_str());
    for rest in ["configs/app", "files/app.toml"] {
        let refused = server
            .get(&format!("/v1/repos/default/commits/{bad}/{rest}"))
            .expect(409);
        assert_eq!(refused.code(), "commit_rejected");
        assert!(
            !refused.json()["findings"]
                .as_array()
                .expect("findings")
                .is_empty()
        );
    }
    let commit = server
        .get(&format!("/v1/repos/default/commits/{bad}"))
        .expect(200)
        .json();
    assert_eq!(commit["verdict"]["state"], "rejected");
    let held = server.config("app", Some(reply.must("etag"))).expect(304);
    assert_eq!(held.must("headwater-head-state"), "rejected");
}

#[test]
fn broken_toml_is_rejected_at_its_line_and_column() {
    assert_rejects(&[("app.toml", Some("port = 1\nname = \n"))], ("app.toml", 2, 8));
}

#[test]
fn broken_json_is_rejected_at_its_line_and_column() {
    assert_rejects(
        &[
            ("app.toml", None),
            ("app.json", Some("{\n  \"port\": 1,\n  oops\n}\n")),
        ],
        ("app.json", 3, 3),
    );
}

#[test]
fn broken_yaml_is_rejected_at_its_line_and_column() {
    let findings = assert_rejects(
        &[("app.toml", None), ("app.yaml", Some("port: 1\nport: 2\n"))],
        ("app.yaml", 2, 1),
    );
    assert_eq!(findings.len(), 1);
}

#[test]
fn a_breach_of_the_schema_is_rejected_where_the_value_stands() {
    assert_rejects(&[("app.toml", Some("\nport = \"eighty\"\n"))], ("app.toml", 2, 8));
}

#[test]
fn a_broken_manifest_is_rejected_and_the_old_one_is_not_used_for_the_new_tree() {
    assert_rejects(
        &[
            ("headwater.toml", Some("format = 1\nconfigs = 3\n")),
            ("app.toml", Some("port = 9\n")),
        ],
        ("headwater.toml", 2, 1),
    );
}

#[test]
fn a_broken_schema_is_rejected_where_it_is_broken() {
    assert_rejects(
        &[("app.schema.json", Some("{\"type\": \"objekt\"}"))],
        ("app.schema.json", 1, 10),
    );
}

#[test]
fn a_push_of_many_commits_exposes_the_newest_good_one_and_rejects_the_head() {
    let origin = TestOrigin::new();
    let first = good(&origin);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let server = server.stop();
    let bad = origin.commit(&[("app.toml", Some("port = "))], "bad");
    let better = origin.commit(&[("app.toml", Some("port = 2\n"))], "better");
    let worst = origin.commit(&[("app.toml", Some("port = = 3"))], "worst");
    let server = server.start();
    let repo = server.until_head(&worst, "rejected");
    assert_eq!(repo["tip"], better.as_str());
    let state = |commit: &CommitId| {
        server
            .get(&format!("/v1/repos/default/commits/{commit}"))
            .expect(200)
            .json()["verdict"]["state"]
            .clone()
    };
    assert_eq!(state(&bad), "rejected");
    assert_eq!(state(&better), "admitted");
    assert_eq!(state(&worst), "rejected");
}

#[test]
fn a_first_start_on_a_rejected_head_serves_the_newest_good_commit() {
    let origin = TestOrigin::new();
    let first = good(&origin);
    let bad = origin.commit(&[("app.toml", Some("port = "))], "bad");
    let server = TestServer::of(&origin);
    assert_eq!(server.until_head(&bad, "rejected")["tip"], first.as_str());
    assert_eq!(
        server.config("app", None).expect(200).json()["version"],
        first.as_str()
    );
}

#[test]
fn a_repository_without_any_good_commit_says_so_and_serves_nothing() {
    let origin = TestOrigin::new();
    let bad = origin.commit(&[("headwater.toml", Some("format = \"one\"\n"))], "bad");
    let server = TestServer::of(&origin);
    let repo = server.until_head(&bad, "rejected");
    assert_eq!(repo["tip"], Value::Null);
    let hint = "mend what the findings name and push again; nothing is served until a commit is good";
    assert_eq!(repo["hint"], hint);
    let read = server.get(&format!("/v1/repos/default/commits/{bad}/configs/app"));
    assert_eq!(read.expect(409).json()["hint"], hint);
    let reply = server.config("app", None).expect(503);
    assert_eq!(reply.code(), "not_ready");
    headwater_tests::wait::wait_until("a known reason", || server.get("/readyz").status == 200);
}

/// A repository that knows nothing of Headwater.
fn foreign(origin: &TestOrigin) -> CommitId {
    let big = format!("{{\"blob\": \"{}\"}}", "x".repeat(3 << 20));
    let module = "1111111111111111111111111111111111111111";
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: None,
        merged: Vec::new(),
        entries: vec![
            ("100644", "README.md", Some(b"# no config\n")),
            ("100644", "tsconfig.json", Some(b"// comments\n{\"a\": 1,}\n")),
            ("100644", "chart/values.yaml", Some(b"replicas: 3\n")),
            (
                "100644",
                "chart/templates/deploy.yaml",
                Some(b"{{ if .Values.x }}\na: {{ .Values.y }}\n{{ end }}\n"),
            ),
            ("120000", "current.json", Some(b"../../etc/passwd")),
            ("160000", "vendor", Some(module.as_bytes())),
            ("100644", "model.json", Some(lfs.as_bytes())),
            ("100644", "big.json", Some(big.as_bytes())),
            ("100644", "a.json", Some(b"{\"from\": \"json\"}")),
            ("100644", "a.yaml", Some(b"from: yaml\n")),
            ("100644", "good.toml", Some(b"v = 1\n")),
            ("100644", "multi.yaml", Some(b"a: 1\n---\nb: 2\n")),
            ("100644", "empty.yaml", Some(b"")),
            ("100644", ".github/workflows/ci.yml", Some(b"on: push\n")),
        ],
        message: "foreign",
        at: None,
    })
}

#[test]
fn a_repository_without_a_manifest_full_of_other_files_is_served_all_the_same() {
    let origin = TestOrigin::new();
    let commit = foreign(&origin);
    let server = TestServer::of(&origin);
    server.until_tip(&commit);
    assert_eq!(server.config("good", None).expect(200).json()["document"]["v"], 1);
    assert_eq!(
        server.config("chart/values", None).expect(200).json()["document"]["replicas"],
        3
    );
    let unreadable = server.config("tsconfig", None).expect(409);
    assert_eq!(unreadable.code(), "config_unreadable");
    let raw = server
        .get(&format!("/v1/repos/default/commits/{commit}/files/tsconfig.json"))
        .expect(200);
    assert_eq!(raw.text(), "// comments\n{\"a\": 1,}\n");
    let big = server
        .get(&format!("/v1/repos/default/commits/{commit}/files/big.json"))
        .expect(200);
    assert_eq!(
        big.body,
        origin.git_bytes(&["show", &format!("{commit}:big.json")])
    );

    let view = server
        .get(&format!("/v1/repos/default/commits/{commit}"))
        .expect(200)
        .json();
    assert_eq!(view["verdict"]["state"], "admitted");
    let findings = view["verdict"]["findings"].as_array().expect("findings");
    for path in [
        "tsconfig.json",
        "chart/templates/deploy.yaml",
        "model.json",
        "big.json",
        "current.json",
    ] {
        assert!(
            findings.iter().any(|finding| finding["path"] == path),
            "nothing told of {path}: {findings:#?}"
        );
    }
    let twins = findings
        .iter()
        .any(|finding| finding["path"] == "a.json" || finding["path"] == "a.yaml");
    assert!(twins, "nothing told of two files with one name: {findings:#?}");
}

#[test]
fn in_a_repository_without_a_manifest_a_config_that_was_good_and_breaks_rejects() {
    let origin = TestOrigin::new();
    let first = foreign(&origin);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let bad = origin.commit(&[("good.toml", Some("v = \n"))], "breaks a good one");
    assert_eq!(server.until_head(&bad, "rejected")["tip"], first.as_str());
    assert_eq!(server.config("good", None).expect(200).json()["document"]["v"], 1);
    let fixed = origin.commit(
        &[("good.toml", Some("v = 2\n")), ("new.json", Some("{,}"))],
        "fix, and a new odd file",
    );
    server.until_tip(&fixed);
    assert_eq!(server.config("good", None).expect(200).json()["document"]["v"], 2);
}

#[test]
fn a_merge_whose_first_parent_is_not_the_tip_is_judged_against_what_is_exposed() {
    let origin = TestOrigin::new();
    let base = origin.commit(
        &[("old.json", Some("{\"v\": 1}")), ("odd.json", Some("{,}"))],
        "base",
    );
    let tip = origin.commit(
        &[("odd.json", Some("{\"v\": 1}"))],
        "mends the odd file, so it is a config now",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&tip);
    // Another line, on which the odd file is still odd, becomes the first parent.
    origin.force_reset("line", &base);
    let line = origin.commit_on("line", &[("old.json", Some("{\"v\": 2}"))], "line");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(line),
        merged: vec![tip.clone()],
        entries: vec![("100644", "odd.json", Some(b"{,}"))],
        message: "merge the wrong way round, and break the file again",
        at: None,
    });
    assert_eq!(server.until_head(&merge, "rejected")["tip"], tip.as_str());
    assert_eq!(server.config("odd", None).expect(200).json()["document"]["v"], 1);
}

#[test]
fn a_commit_that_was_admitted_once_is_not_judged_again_by_a_later_merge() {
    let origin = TestOrigin::new();
    let base = origin.commit(
        &[("old.json", Some("{\"v\": 1}")), ("odd.json", Some("{,}"))],
        "base",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&base);
    let tip = origin.commit(&[("odd.json", Some("{\"v\": 1}"))], "tip");
    server.until_tip(&tip);
    origin.force_reset("line", &base);
    let line = origin.commit_on("line", &[("old.json", Some("{\"v\": 2}"))], "line");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(line),
        merged: vec![tip],
        entries: vec![("100644", "odd.json", Some(b"{\"v\": 1}"))],
        message: "merge the wrong way round",
        at: None,
    });
    server.until_tip(&merge);
    // It was served, so it is served for ever.
    server
        .get(&format!("/v1/repos/default/commits/{base}/configs/old"))
        .expect(200);
}

#[test]
fn a_head_that_is_being_judged_is_not_served_by_its_hash() {
    let origin = TestOrigin::new();
    let mut edits: Vec<(String, String)> = (0..1_500)
        .map(|number| {
            (
                format!("many/{number}.json"),
                format!("{{\"number\": {number}, \"text\": \"{}\"}}", "x".repeat(600)),
            )
        })
        .collect();
    let commit = |edits: &[(String, String)], message: &str| {
        let edits: Vec<(&str, Option<&str>)> = edits
            .iter()
            .map(|(path, text)| (path.as_str(), Some(text.as_str())))
            .collect();
        origin.commit(&edits, message)
    };
    let first = commit(&edits, "good");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    for (_, text) in &mut edits {
        text.insert(1, ' ');
    }
    edits[0].1 = "{,}".to_owned();
    let bad = commit(&edits, "bad");
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let mut asked = Vec::new();
        headwater_tests::wait::wait_until("rejected", || {
            let (server, bad) = (&server, &bad);
            asked.push(scope.spawn(move || {
                server
                    .get(&format!("/v1/repos/default/commits/{bad}/files/many/1.json"))
                    .status
            }));
            server.repo()["head_state"] == "rejected"
        });
        seen.extend(asked.into_iter().map(|asked| asked.join().expect("an answer")));
    });
    assert!(
        seen.iter().all(|status| *status == 409 || *status == 404),
        "{seen:?}"
    );
}

#[test]
fn a_commit_with_more_files_than_allowed_is_rejected_and_does_not_stop_the_service() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.limits.files = 10)
        .start();
    server.until_tip(&first);
    let many: Vec<String> = (0..50).map(|number| format!("many/{number}.json")).collect();
    let edits: Vec<(&str, Option<&str>)> = many.iter().map(|path| (path.as_str(), Some("{}"))).collect();
    let bad = origin.commit(&edits, "too many");
    let repo = server.until_head(&bad, "rejected");
    assert_eq!(repo["tip"], first.as_str());
    let edits: Vec<(&str, Option<&str>)> = many.iter().map(|path| (path.as_str(), None)).collect();
    let fixed = origin.commit(&edits, "fewer again");
    server.until_tip(&fixed);
}

#[test]
fn a_branch_and_a_tag_of_one_name_are_not_confused() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let second = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "two");
    origin.tag("main", &first);
    let server = Stopped::of(&origin.path_url()).branch("main").start();
    server.until_tip(&second);
    let reply = server.ask(&Ask::get("/v1/repos/default/configs/app")).expect(200);
    assert_eq!(reply.json()["document"]["v"], 2);
}
