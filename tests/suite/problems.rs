//! Every error is a problem with a stable code, a detail and a hint, and no request, however hostile, is answered by
//! a fault of ours.

use headwater_tests::http::{Ask, raw};
use headwater_tests::origin::TestOrigin;
use headwater_tests::scrub::scrub;
use headwater_tests::server::{Stopped, TestServer};
use headwater_wire::CommitId;
use serde_json::json;

fn served() -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[
            ("app.json", Some("{\"v\": 1}")),
            ("list.json", Some("[1]")),
            ("odd.json", Some("{,}")),
        ],
        "one",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    (origin, server, first)
}

/// Status, code, detail and hint, as a person reads them.
fn told(reply: &headwater_tests::http::Reply) -> String {
    let code = reply.code();
    let body = reply.json();
    assert_eq!(
        reply.header("x-request-id"),
        body["request_id"].as_str(),
        "{body}"
    );
    assert_eq!(reply.must("cache-control"), "no-store");
    let line = |key: &str| body[key].as_str().unwrap_or("-").to_owned();
    scrub(&format!(
        "{} {code}: {}: {}\n  hint: {}",
        reply.status,
        line("title"),
        line("detail"),
        line("hint")
    ))
}

#[expect(
    clippy::too_many_lines,
    reason = "a table of problems with what is said of each"
)]
#[test]
fn every_problem_tells_what_is_wrong_and_what_to_do() {
    let (origin, server, first) = served();
    let repo = "/v1/repos/default";
    let bad = origin.commit(&[("app.json", Some("{\"v\": }"))], "bad");
    server.until_head(&bad, "rejected");
    let get = |target: &str| told(&server.get(target));
    let all = [
        get("/v1/nothing"),
        get("/v1/repos/none"),
        get("/v1/repos/NONE"),
        told(&server.ask(&Ask::new("DELETE", repo))),
        get(&format!("{repo}/configs/ap")),
        get(&format!("{repo}/configs/zzzzzzzzz")),
        get(&format!("{repo}/configs/odd")),
        get(&format!("{repo}/configs/a/../b")),
        get(&format!("{repo}/configs/app?pointer=/none")),
        get(&format!("{repo}/configs/app?pointer=none")),
        get(&format!("{repo}/configs/app?format=ini")),
        get(&format!("{repo}/configs/list?format=toml")),
        get(&format!("{repo}/configs/app?wait=1000")),
        get(&format!("{repo}/configs/app?instance=a/b")),
        get(&format!("{repo}/configs/app?label.=x")),
        get(&format!("{repo}/configs/app?min_version=main")),
        get(&format!(
            "{repo}/configs/app?min_version={}&wait=1",
            "d".repeat(40)
        )),
        get(&format!("{repo}/commits/none")),
        get(&format!("{repo}/commits/{}", "d".repeat(40))),
        get(&format!("{repo}/commits/abc/files/app.json")),
        get(&format!("{repo}/commits/{bad}/files/app.json")),
        get(&format!("{repo}/commits/{first}/files/none.json")),
        get(&format!("{repo}/commits?limit=0")),
        get(&format!("{repo}/diff")),
        get(&format!("{repo}/events")),
        told(&server.post(
            &format!("{repo}/accept"),
            &json!({"head": first.as_str(), "reason": "x"}),
        )),
        told(&server.post(
            &format!("{repo}/accept"),
            &json!({"head": first.as_str(), "reason": ""}),
        )),
        told(&server.post(&format!("{repo}/accept"), &json!({"head": "abc", "reason": "x"}))),
        told(&server.post(&format!("{repo}/checks"), &json!({}))),
        told(&server.ask(&Ask::new("POST", &format!("{repo}/checks")).body("text/html", b"x"))),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    404 not_found: there is nothing at this address: there is nothing at `/v1/nothing`
      hint: the API begins at /v1/repos
    404 repo_not_found: no such repository: this service follows no repository `none`
      hint: GET /v1/repos lists the repositories
    404 repo_not_found: no such repository: this service follows no repository `NONE`
      hint: GET /v1/repos lists the repositories
    405 method_not_allowed: this address does not take that method: `/v1/repos/default` does not take DELETE
      hint: the `allow` header names the methods it takes
    404 config_not_found: no such config: there is no config `ap` at [commit 1]
      hint: did you mean `app`?
    404 config_not_found: no such config: there is no config `zzzzzzzzz` at [commit 1]
      hint: GET /v1/repos/{repo}/configs lists the configs of the tip
    409 config_unreadable: the config cannot be read: `odd` cannot be read: `odd.json` does not parse
      hint: its bytes are at …/commits/{commit}/files/odd.json; GET …/commits/{rev} has the findings
    400 bad_request: the request is not valid: not a config name: `a/../b`
      hint: a config name is a path such as `payments/prod`
    404 pointer_not_found: no such value: the document has no value at `/none`
      hint: GET …/explain/{config} lists every pointer of the document
    400 bad_request: the request is not valid: not a JSON pointer: `none`
      hint: a JSON pointer begins with `/`, such as `/db/pool_size` (RFC 6901)
    400 bad_request: the request is not valid: no such format: `ini`
      hint: one of `json`, `toml`, `yaml`
    406 not_renderable: the document cannot be written in that format: a TOML document is an object, and this one is a list
      hint: ask for `format=json`
    400 bad_request: the request is not valid: not a wait: `1000`
      hint: whole seconds, from 1 to 300
    400 bad_request: the request is not valid: not an instance id: `a/b`
      hint: an instance id has letters, digits, `.`, `_`, `:`, `-`, at most 128, and is not `.` or `..`
    400 bad_request: the request is not valid: not a label: ``
      hint: at most 64 labels, each `label.KEY=VALUE` with up to 256 bytes
    400 bad_request: the request is not valid: not a full commit id: `main`
      hint: `min_version` takes a full commit id
    504 not_published: the version is not published yet: neither [commit 1] nor a descendant was published in time
      hint: GET /v1/repos/{repo} tells whether the head was rejected
    404 revision_not_found: no such revision: no such revision: `none`
      hint: a hash, a unique beginning of one, the followed branch, a tag, `HEAD`, each with `~N` or `^`
    404 commit_not_here: no such commit on the followed branch: the followed branch does not reach [commit 1]
      hint: push it to the followed branch; if it was pushed just now, try again in a second
    400 bad_request: the request is not valid: not a full commit id: `abc`
      hint: give the full hash; GET /v1/repos/{repo}/commits/{rev} resolves a shorter one, a branch or a tag
    409 commit_rejected: the commit was rejected: [commit 1] failed admission and is not served
      hint: mend what the findings name and push again; the last good commit keeps serving
    404 file_not_found: no such file: no such file in `[commit 1]`: `none.json`
      hint: `git ls-tree -r COMMIT` lists the files of a commit
    400 bad_request: the request is not valid: not a limit: `0`
      hint: a whole number from 1 to 100
    400 bad_request: the request is not valid: `from` is missing
      hint: say `?from=REV&to=REV`, each a hash, a unique beginning of one, the branch or a tag
    400 bad_request: the request is not valid: a stream needs to know what to watch
      hint: name 1 to 256 configs: `?config=payments/prod&config=feature-flags`
    409 nothing_held: nothing is held back: nothing is held back
      hint: GET /v1/repos/{repo}/holds lists what waits for a person
    400 bad_request: the request is not valid: the reason is missing or too long
      hint: say why in 1 to 1024 bytes; it is kept for the audit
    400 bad_request: the request is not valid: the body cannot be read: not a full commit id: `abc`, at line 1 column 13
      hint: send {"head": "<full hash>", "reason": "…"}
    400 bad_request: the request is not valid: the body cannot be read: `rev` is missing, at line 1 column 2
      hint: send {"rev": "HEAD"}, or a tar of files
    415 unsupported_media_type: unsupported media type: `text/html` is not taken here
      hint: send {"rev": "…"} as application/json, or a tar of files as application/x-tar
    "#);
}

#[test]
fn a_rejected_commit_is_told_with_its_findings() {
    let (origin, server, _) = served();
    let bad = origin.commit(&[("app.json", Some("{\n  \"v\": }"))], "bad");
    server.until_head(&bad, "rejected");
    let body = server
        .get(&format!("/v1/repos/default/commits/{bad}/configs/app"))
        .expect(409)
        .json();
    let findings = body["findings"].as_array().expect("findings");
    let at = |finding: &serde_json::Value| finding["path"] == "app.json" && finding["line"] == 2;
    assert!(findings.iter().any(at), "{findings:#?}");
    assert_eq!(body["findings"], server.repo()["findings"]);
}

#[test]
fn what_is_not_ready_says_why() {
    let origin = TestOrigin::new();
    let server = TestServer::of(&origin);
    server.until_source("empty_repository");
    let reply = server.get("/v1/repos/default/configs/app").expect(503);
    assert!(reply.header("retry-after").is_some());
    insta::assert_snapshot!(told(&reply), @"
    503 not_ready: nothing is published yet: `default` has no published commit yet: the upstream has no commit yet
      hint: GET /v1/repos/{repo} tells the state of the source
    ");
    for target in [
        "configs",
        "commits",
        "commits/HEAD",
        "events?config=a",
        "explain/a",
        "diff?from=HEAD",
    ] {
        assert_eq!(
            server.get(&format!("/v1/repos/default/{target}")).code(),
            "not_ready",
            "{target}"
        );
    }
    let commit = "d".repeat(40);
    for target in [
        format!("commits/{commit}"),
        format!("commits/{commit}/files/a"),
        format!("commits/{commit}/configs/a"),
    ] {
        let reply = server.get(&format!("/v1/repos/default/{target}"));
        assert!(reply.status == 503 || reply.status == 404, "{reply:?}");
        reply.code();
    }
}

#[test]
fn a_file_larger_than_what_is_handed_out_is_refused() {
    let origin = TestOrigin::new();
    let text = "x".repeat(65 << 20);
    let first = origin.commit(&[("big.txt", Some(&text)), ("app.json", Some("{}"))], "big");
    let server = Stopped::of(&origin.path_url())
        .each(|repo| repo.mirror_limits.object_bytes_max = 128 << 20)
        .start();
    server.until_tip(&first);
    let reply = server
        .get(&format!("/v1/repos/default/commits/{first}/files/big.txt"))
        .expect(413);
    assert_eq!(reply.code(), "too_large");
}

#[test]
fn a_file_larger_than_what_is_fetched_is_a_named_state_and_the_last_good_commit_stays() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let server = Stopped::of(&origin.path_url())
        .each(|repo| repo.mirror_limits.object_bytes_max = 1 << 20)
        .start();
    server.until_tip(&first);
    let text = "x".repeat(2 << 20);
    origin.commit(&[("big.txt", Some(&text))], "big");
    let repo = server.until("named", |repo| repo["source_state"] == "too_large");
    insta::assert_snapshot!(format!("{}\n{}", repo["error"], repo["hint"]), @r#"
    "a file of the branch is larger than what is fetched, in bytes: 1048576"
    "take the file out of the commits that are not published yet, and force-push; a commit that removes it is not enough, since history is fetched too; docs/operations.md shows how to find it"
    "#);
    assert_eq!(
        server.config("app", None).expect(200).json()["version"],
        first.as_str()
    );
    origin.force_reset("main", &first);
    let next = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "without it");
    server.until_tip(&next);
}

/// Ways to say `..`, `.git`, NUL and other things that must not mean what they say.
fn traversals() -> Vec<String> {
    let parts = [
        "..",
        "%2e%2e",
        "%2E%2e",
        "%252e%252e",
        "..%00",
        "..%2f",
        "..%5c",
        "..\\",
        "....//",
        "%c0%ae%c0%ae",
        "%e0%80%ae",
        "..;",
        ".%2e",
        ".git",
        ".GIT",
        "%2egit",
        ".git%20",
        "git~1",
        "%00",
        "a%00b",
        "%0a",
        "%0d%0aX: y",
        "%7f",
        ".",
        "",
        "%2f",
        "%5c",
        "~root",
        "%ff%fe",
        "%F0%28%8C%28",
        "con",
        "a:b",
        "*",
        "%25",
        "%",
        "%zz",
        "%u002e",
    ];
    let mut all = Vec::new();
    for part in parts {
        all.push(part.to_owned());
        all.push(format!("{part}/{part}/etc/passwd"));
        all.push(format!("dir/{part}/app.json"));
        all.push(format!("app.json/{part}"));
        all.push(format!("{part}%2f{part}%2fetc%2fpasswd"));
    }
    all
}

#[test]
fn no_spelling_of_a_path_leaves_the_tree_or_breaks_the_service() {
    let (_origin, server, first) = served();
    let repo = "/v1/repos/default";
    for path in traversals() {
        for target in [
            format!("{repo}/commits/{first}/files/{path}"),
            format!("{repo}/commits/{first}/configs/{path}"),
            format!("{repo}/commits/{path}/files/app.json"),
            format!("{repo}/commits/{path}"),
            format!("{repo}/configs/{path}"),
            format!("{repo}/explain/{path}"),
            format!("/v1/repos/{path}"),
            format!("/v1/repos/{path}/configs/app"),
            format!("{repo}/diff?from={path}"),
            format!("{repo}/events?config={path}"),
            format!("{repo}/commits?config={path}"),
            format!("{repo}/configs/app?pointer={path}"),
            format!("{repo}/configs/app?instance={path}"),
        ] {
            let reply = server.get(&target);
            assert!(!reply.text().contains("root:"), "{target}: {reply:?}");
            assert!(reply.status < 500, "{target}: {reply:?}");
            // What is no address at all is refused by the protocol, without a word.
            if reply.status >= 400 && reply.header("x-request-id").is_some() {
                reply.code();
            }
        }
    }
    assert_eq!(server.config("app", None).expect(200).json()["document"]["v"], 1);
}

#[test]
fn hostile_requests_are_refused_and_hurt_nobody_else() {
    let (_origin, server, _) = served();
    let labels: Vec<String> = (0..1_000).map(|number| format!("label.k{number}=v")).collect();
    let app = "/v1/repos/default/configs/app";
    assert_eq!(
        server
            .get(&format!("{app}?{}", labels.join("&")))
            .expect(400)
            .code(),
        "bad_request"
    );
    assert_eq!(
        server
            .get(&format!("{app}?label.a={}", "x".repeat(300)))
            .expect(400)
            .code(),
        "bad_request"
    );
    assert_eq!(
        server.get(&format!("{app}?label.a=%ff%fe")).expect(400).code(),
        "bad_request"
    );
    assert_eq!(
        server.get(&format!("{app}?%ff=1")).expect(400).code(),
        "bad_request"
    );
    server.get(&format!("{app}?x={}", "y".repeat(30_000))).expect(200);
    for status in [
        server.get(&format!("{app}?x={}", "y".repeat(200_000))).status,
        server.get(&format!("/{}", "y".repeat(200_000))).status,
        server
            .ask(&Ask::get(app).header("x-huge", &"y".repeat(200_000)))
            .status,
    ] {
        assert!((400..500).contains(&status), "{status}");
    }
    for method in [
        "BREW", "PATCH", "PUT", "TRACE", "OPTIONS", "DELETE", "POST", "PROPFIND", "get",
    ] {
        let reply = server.ask(&Ask::new(method, app));
        assert_eq!(reply.status, 405, "{method}: {reply:?}");
        assert_eq!(reply.code(), "method_not_allowed");
        assert!(reply.must("allow").contains("GET"), "{reply:?}");
    }
    let post = |body: &[u8]| {
        server.ask(&Ask::new("POST", "/v1/repos/default/accept").body("application/json", body))
    };
    assert_eq!(post(&vec![b' '; 8 << 20]).expect(413).code(), "too_large");
    assert_eq!(post(&[0xff, 0xfe, 0]).expect(400).code(), "bad_request");
    let deep = "[".repeat(100_000);
    assert_eq!(post(deep.as_bytes()).expect(400).code(), "bad_request");
    let tokens = vec![format!("\"{}.1.0123456789abcdef\"", "e".repeat(40)); 400].join(", ");
    let reply = server.config("app", Some(&tokens));
    assert!(reply.status == 200 || reply.status == 503, "{reply:?}");
    server.config("app", None).expect(200);
}

#[test]
fn bytes_that_are_no_request_are_answered_or_dropped() {
    let (_origin, server, _) = served();
    let big = vec![b'A'; 300_000];
    let cases: [&[u8]; 9] = [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\nconnection: close\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v1/repos/default/accept HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &big,
    ];
    for case in cases {
        let answer = String::from_utf8_lossy(&raw(server.addr(), case)).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    server.config("app", None).expect(200);
}

#[test]
fn answers_say_nothing_of_this_machine() {
    let (_origin, server, first) = served();
    let dir = server.data_dir().display().to_string();
    for target in [
        "/v1/repos/default".to_owned(),
        "/v1/repos/default/configs/none".to_owned(),
        format!("/v1/repos/default/commits/{first}"),
        "/readyz".to_owned(),
    ] {
        let reply = server.get(&target);
        assert!(!reply.text().contains(&dir), "{}", reply.text());
    }
}

#[test]
fn every_code_has_a_status_a_title_and_is_said_in_lower_case() {
    for code in headwater_wire::ProblemCode::ALL {
        assert!((400..600).contains(&code.status()), "{code}");
        assert!(!code.title().is_empty());
        assert!(
            code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{code}"
        );
    }
}

#[test]
fn a_page_of_another_site_changes_nothing_through_a_browser() {
    let (_origin, server, first) = served();
    let form = |path: &str, name: &str, value: &str| {
        let body = br#"{"to": "HEAD~1", "head": "x", "reason": "none"}"#;
        // What a page can send without asking first: a form of plain text.
        let ask = Ask::new("POST", path)
            .header(name, value)
            .body("text/plain", body);
        server.ask(&ask).code()
    };
    let calls = [
        "rollbacks",
        "rollouts/r-1/abort",
        "accept",
        "holds/1/release",
        "checks",
    ]
    .map(|call| format!("/v1/repos/default/{call}"));
    for call in calls.iter().map(String::as_str).chain(["/hooks/any"]) {
        assert_eq!(
            form(call, "origin", "http://evil.example"),
            "origin_not_allowed",
            "{call}"
        );
        assert_eq!(
            form(call, "sec-fetch-site", "cross-site"),
            "origin_not_allowed",
            "{call}"
        );
        // Where a browser is too old to say whose page it is, what the body says that it is keeps it out.
        for (name, value) in [("sec-fetch-site", "same-origin"), ("accept", "*/*")] {
            let code = form(call, name, value);
            let refused = ["unsupported_media_type", "hook_not_found"];
            assert!(refused.contains(&code.as_str()), "{call}: {code}");
        }
    }
    for media_type in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ] {
        let ask = Ask::new("POST", "/v1/repos/default/accept").body(media_type, b"{}");
        assert_eq!(server.ask(&ask).expect(415).code(), "unsupported_media_type");
    }
    let silent = Ask::new("POST", "/v1/repos/default/accept");
    let refused = server.ask(&silent).expect(415).json();
    assert_eq!(refused["detail"], "the request does not say what its body is");
    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.x+json",
    ] {
        let ask = Ask::new("POST", "/v1/repos/default/accept").body(media_type, b"{}");
        assert_eq!(server.ask(&ask).expect(400).code(), "bad_request", "{media_type}");
    }
    let report = Ask::new("PUT", "/v1/repos/default/instances/a")
        .header("origin", "null")
        .body("application/json", br#"{"incarnation": 1, "seq": 1}"#);
    assert_eq!(server.ask(&report).code(), "origin_not_allowed");
    // What only reads is not told to the page by its browser, and is left alone.
    let read = Ask::get("/v1/repos/default/configs").header("origin", "http://evil.example");
    assert_eq!(server.ask(&read).json()["tip"], first.as_str());
}

#[test]
fn under_a_name_that_nobody_set_nothing_is_answered_but_the_probes() {
    let (origin, server, _) = served();
    let named = |server: &TestServer, host: &str, target: &str| {
        server.ask(&Ask::get(target).header("host", host)).status
    };
    let rebound = "rebound.example:7171";
    for target in [
        "/",
        "/v1/repos",
        "/v1/repos/default/configs/app",
        "/v1/repos/default/events?config=app",
        "/v1/repos/default/socket?config=app",
        "/metrics",
        "/nowhere",
    ] {
        assert_eq!(named(&server, rebound, target), 421, "{target}");
    }
    assert_eq!(named(&server, rebound, "/livez"), 200);
    // To the browser it is a page of this very service.
    let order = Ask::new("POST", "/v1/repos/default/rollbacks")
        .header("host", rebound)
        .header("origin", "http://rebound.example:7171")
        .header("sec-fetch-site", "same-origin")
        .body("application/json", br#"{"to": "HEAD~1", "reason": "none"}"#);
    let refused = server.ask(&order).expect(421);
    assert_eq!(refused.code(), "host_not_allowed");
    assert!(
        refused.json()["hint"]
            .as_str()
            .unwrap()
            .contains("`allowed_hosts`")
    );
    for host in ["127.0.0.1:7171", "192.0.2.7", "[::1]:7171", "localhost"] {
        assert_eq!(named(&server, host, "/v1/repos"), 200, "{host}");
    }
    drop(server);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| {
            settings.allowed_hosts = vec!["config.example".to_owned()];
            settings.public_url = Some("https://public.example/headwater".to_owned());
        })
        .start();
    assert_eq!(named(&server, "Config.Example:8080", "/v1/repos"), 200);
    assert_eq!(named(&server, "public.example", "/v1/repos"), 200);
    assert_eq!(named(&server, rebound, "/v1/repos"), 421);
}
