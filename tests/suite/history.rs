//! Who changed what, what became of it, what differs, and which layer set a value.

use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::TestServer;
use headwater_wire::CommitId;
use serde_json::{Value, json};

const MANIFEST: &str = r#"format = 1
[[config]]
name = "app/{env}"
bind = { env = ["dev", "prod"] }
layers = ["base.toml", "{env}.toml?"]
"#;

/// Five commits, one of them bad.
fn history() -> (TestOrigin, TestServer, Vec<CommitId>) {
    let origin = TestOrigin::new();
    let commits = vec![
        origin.commit(
            &[
                ("headwater.toml", Some(MANIFEST)),
                (
                    "base.toml",
                    Some("name = \"app\"\n[db]\npool = 5\nhost = \"a\"\n"),
                ),
                ("prod.toml", Some("[db]\npool = 50\n")),
            ],
            "first\n\nwith a body and ünïcode",
        ),
        origin.commit(&[("README.md", Some("text\n"))], "no config of anybody"),
        origin.commit(
            &[("prod.toml", Some("[db]\npool = 60\nport = 1\n"))],
            "prod alone",
        ),
        origin.commit(&[("base.toml", Some("name = \n"))], "bad"),
        origin.commit(
            &[("base.toml", Some("name = \"app\"\n[db]\npool = 6\n"))],
            "both, and mended",
        ),
    ];
    let server = TestServer::of(&origin);
    server.until_tip(&commits[4]);
    (origin, server, commits)
}

fn ids(page: &Value) -> Vec<String> {
    let commits = page["commits"].as_array().expect("commits");
    commits
        .iter()
        .map(|commit| commit["commit"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn history_tells_the_newest_first_with_author_message_and_the_configs_changed() {
    let (_origin, server, commits) = history();
    let page = server.get("/v1/repos/default/commits").expect(200).json();
    let newest_first: Vec<&str> = commits.iter().rev().map(CommitId::as_str).collect();
    assert_eq!(ids(&page), newest_first);
    assert_eq!(page.get("next"), None);
    let changed: Vec<&Value> = page["commits"]
        .as_array()
        .expect("commits")
        .iter()
        .map(|commit| &commit["configs_changed"])
        .collect();
    let both = json!(["app/dev", "app/prod"]);
    assert_eq!(changed, [&both, &both, &json!(["app/prod"]), &json!([]), &both]);
    let first = &page["commits"][4];
    assert_eq!(first["author"]["name"], "A U Thor");
    assert_eq!(first["committer"]["email"], "committer@example.test");
    assert_eq!(
        first["message"].as_str().expect("a message").trim_end(),
        "first\n\nwith a body and ünïcode"
    );
    assert_eq!(first["parents"], json!([]));
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_repeat() {
    let (_origin, server, commits) = history();
    for limit in 1..=6 {
        let (mut seen, mut before) = (Vec::new(), String::new());
        loop {
            let page = server
                .get(&format!("/v1/repos/default/commits?limit={limit}{before}"))
                .expect(200)
                .json();
            assert!(ids(&page).len() <= limit);
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            before = format!("&before={next}");
        }
        let newest_first: Vec<String> = commits.iter().rev().map(ToString::to_string).collect();
        assert_eq!(seen, newest_first, "with {limit} on a page");
    }
}

#[test]
fn the_history_of_one_config_leaves_out_what_did_not_touch_it() {
    let (_origin, server, commits) = history();
    let page = |query: &str| {
        ids(&server
            .get(&format!("/v1/repos/default/commits?{query}"))
            .expect(200)
            .json())
    };
    let names = |wanted: &[usize]| {
        wanted
            .iter()
            .map(|at| commits[*at].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(page("config=app/dev"), names(&[4, 3, 0]));
    assert_eq!(page("config=app/prod"), names(&[4, 3, 2, 0]));
    assert_eq!(page("config=none"), names(&[]));
    assert_eq!(
        page(&format!("config=app/dev&before={}", commits[3])),
        names(&[0])
    );
}

#[test]
fn a_page_that_cannot_be_is_refused() {
    let (_origin, server, commits) = history();
    let code = |query: &str| server.get(&format!("/v1/repos/default/commits?{query}")).code();
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=-1",
        "before=abc",
        "before=main",
        "config=../x",
    ] {
        assert_eq!(code(bad), "bad_request", "{bad}");
    }
    assert_eq!(code(&format!("before={}", "e".repeat(40))), "commit_not_here");
    let root = &commits[0];
    assert_eq!(
        ids(&server
            .get(&format!("/v1/repos/default/commits?before={root}"))
            .json()),
        Vec::<String>::new()
    );
}

#[test]
fn a_commit_is_found_by_hash_prefix_branch_tag_and_steps_back() {
    let (origin, server, commits) = history();
    origin.tag("v1.0", &commits[0]);
    let last = origin.commit(&[("README.md", Some("more\n"))], "so that tags are listed again");
    server.until_tip(&last);
    let find = |rev: &str| {
        let reply = server
            .get(&format!("/v1/repos/default/commits/{rev}"))
            .expect(200);
        reply.json()["commit"].as_str().expect("an id").to_owned()
    };
    let short = commits[2].as_str().get(..9).expect("nine digits");
    for (rev, commit) in [
        (commits[2].as_str(), &commits[2]),
        (short, &commits[2]),
        ("main", &last),
        ("HEAD", &last),
        ("HEAD~1", &commits[4]),
        ("main~5", &commits[0]),
        ("HEAD%5E", &commits[4]),
        ("v1.0", &commits[0]),
    ] {
        assert_eq!(find(rev), commit.as_str(), "{rev}");
    }
    let code = |rev: &str| {
        server
            .get(&format!("/v1/repos/default/commits/{rev}"))
            .expect(404)
            .code()
    };
    for rev in [
        "none",
        "HEAD~99",
        "v2.0",
        "abcdef0",
        "--upload-pack=x",
        "HEAD:base.toml",
        "@%7B1%7D",
    ] {
        assert_eq!(code(rev), "revision_not_found", "{rev}");
    }
    let tip = find("HEAD");
    let upper = tip.to_uppercase();
    let reply = server.get(&format!("/v1/repos/default/commits/{upper}"));
    assert!(reply.status == 200 || reply.status == 404, "{reply:?}");
}

#[test]
fn a_difference_names_the_keys_with_the_lines_that_set_them() {
    let (_origin, server, commits) = history();
    let target = format!("/v1/repos/default/diff?from={}&to={}", commits[0], commits[4]);
    let diff = server.get(&target).expect(200).json();
    let prod = diff["configs"]
        .as_array()
        .expect("configs")
        .iter()
        .find(|config| config["config"] == "app/prod");
    let prod = prod.expect("a difference of prod");
    assert_eq!(prod["kind"], "modified");
    let change = |pointer: &str| {
        let changes = prod["changes"].as_array().expect("changes");
        changes
            .iter()
            .find(|change| change["pointer"] == pointer)
            .cloned()
            .unwrap_or_default()
    };
    let pool = change("/db/pool");
    assert_eq!((&pool["old"], &pool["new"]), (&json!(50), &json!(60)));
    assert_eq!(
        pool["old_origin"],
        json!({"path": "prod.toml", "line": 2, "column": 1})
    );
    assert_eq!(
        pool["new_origin"],
        json!({"path": "prod.toml", "line": 2, "column": 1})
    );
    assert_eq!(change("/db/port")["new"], 1);
    assert_eq!(change("/db/host")["old"], "a");
    assert_eq!(change("/name"), Value::Null);
    let files: Vec<&Value> = diff["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(files, ["README.md", "base.toml", "prod.toml"]);
    let text = diff["files"][2]["text"].as_str().expect("a text");
    assert!(text.contains("-pool = 50\n+pool = 60\n"), "{text}");
}

#[test]
fn a_difference_can_be_asked_of_one_config_and_against_the_newest() {
    let (_origin, server, commits) = history();
    let diff = server
        .get(&format!(
            "/v1/repos/default/diff?from={}&config=app/dev",
            commits[0]
        ))
        .expect(200)
        .json();
    assert_eq!(diff["to"], commits[4].as_str());
    let names: Vec<&Value> = diff["configs"]
        .as_array()
        .expect("configs")
        .iter()
        .map(|config| &config["config"])
        .collect();
    assert_eq!(names, ["app/dev"]);
    let files: Vec<&Value> = diff["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(files, ["base.toml"]);
    let same = server
        .get("/v1/repos/default/diff?from=HEAD&to=HEAD")
        .expect(200)
        .json();
    assert_eq!((&same["configs"], &same["files"]), (&json!([]), &json!([])));
    assert_eq!(
        server.get("/v1/repos/default/diff").expect(400).code(),
        "bad_request"
    );
    assert_eq!(
        server.get("/v1/repos/default/diff?from=none").expect(404).code(),
        "revision_not_found"
    );
}

#[test]
fn a_difference_with_a_rejected_commit_shows_its_files_and_invents_no_removals() {
    let (_origin, server, commits) = history();
    let diff = server
        .get(&format!(
            "/v1/repos/default/diff?from={}&to={}",
            commits[2], commits[3]
        ))
        .expect(200)
        .json();
    assert_eq!(diff["configs"], json!([]));
    assert_eq!(diff["files"][0]["path"], "base.toml");
}

#[test]
fn an_explanation_names_the_layer_of_every_value_and_what_it_overrides() {
    let (_origin, server, commits) = history();
    let explain = |query: &str| {
        server
            .get(&format!("/v1/repos/default/explain/app/prod{query}"))
            .expect(200)
            .json()
    };
    let view = explain("");
    assert_eq!(view["layers"], json!(["base.toml", "prod.toml"]));
    let entry = |view: &Value, pointer: &str| {
        let entries = view["entries"].as_array().expect("entries");
        entries
            .iter()
            .find(|entry| entry["pointer"] == pointer)
            .cloned()
            .expect("an entry")
    };
    let pool = entry(&view, "/db/pool");
    assert_eq!(pool["value"], 60);
    assert_eq!(
        pool["origin"],
        json!({"path": "prod.toml", "line": 2, "column": 1})
    );
    assert_eq!(
        pool["overrides"],
        json!([{"path": "base.toml", "line": 3, "column": 1}])
    );
    assert_eq!(entry(&view, "/name")["origin"]["path"], "base.toml");
    let one = explain("?pointer=/db/pool");
    assert_eq!(one["entries"].as_array().expect("entries").len(), 1);
    let old = explain(&format!("?at={}", commits[0]));
    assert_eq!(entry(&old, "/db/pool")["value"], 50);
    let code = |target: &str| server.get(&format!("/v1/repos/default/explain/{target}")).code();
    assert_eq!(code("none"), "config_not_found");
    assert_eq!(code("app/prod?at=none"), "revision_not_found");
    assert_eq!(code(&format!("app/prod?at={}", commits[3])), "commit_rejected");
    assert_eq!(code("app/prod?pointer=/none"), "pointer_not_found");
    assert_eq!(code("app/prod?pointer=db"), "bad_request");
}

#[test]
fn a_merge_is_one_step_of_the_history_that_is_followed() {
    let origin = TestOrigin::new();
    let base = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "base");
    origin.force_reset("side", &base);
    origin.commit_on("side", &[("side.json", Some("{\"v\": 1}"))], "side 1");
    let side = origin.commit_on("side", &[("side.json", Some("{\"v\": 2}"))], "side 2");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(base.clone()),
        merged: vec![side.clone()],
        entries: vec![("100644", "side.json", Some(b"{\"v\": 2}"))],
        message: "merge",
        at: None,
    });
    let server = TestServer::of(&origin);
    server.until_tip(&merge);
    let page = server.get("/v1/repos/default/commits").expect(200).json();
    assert_eq!(ids(&page), [merge.as_str(), base.as_str()]);
    assert_eq!(
        page["commits"][0]["parents"],
        json!([base.as_str(), side.as_str()])
    );
    assert_eq!(page["commits"][0]["configs_changed"], json!(["side"]));
}

#[test]
fn a_tag_that_is_pushed_after_its_commit_is_found_and_one_that_moved_is_found_where_it_is() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{}"))], "one");
    let second = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "two");
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    origin.tag("v1", &first);
    headwater_tests::wait::wait_until("the tag", || {
        server.get("/v1/repos/default/commits/v1").json()["commit"] == first.as_str()
    });

    origin.git(&["tag", "-f", "v1", second.as_str()]);

    headwater_tests::wait::wait_until("the tag where it is now", || {
        server.get("/v1/repos/default/commits/v1").json()["commit"] == second.as_str()
    });
    assert_eq!(
        server.get("/v1/repos/default/commits/v2").expect(404).code(),
        "revision_not_found"
    );
}
