//! A verdict without publishing: the same words as admission, for a revision and for files that are not pushed yet.

use std::io::Write as _;
use std::net::TcpStream;

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::wait::wait_for;
use headwater_wire::CommitId;
use serde_json::json;

const CHECKS: &str = "/v1/repos/default/checks";

fn served() -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    (origin, server, first)
}

/// A tar of regular files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        bytes.extend(header(path, content.len(), b'0'));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1_024]);
    bytes
}

fn header(path: &str, size: usize, kind: u8) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| {
        for (slot, byte) in block.iter_mut().skip(at).zip(text.bytes()) {
            *slot = byte;
        }
    };
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(257, "ustar\x0000");
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (slot, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *slot = byte;
    }
    block
}

fn send(server: &TestServer, body: &[u8]) -> headwater_tests::http::Reply {
    server.ask(&Ask::new("POST", CHECKS).body("application/x-tar", body))
}

#[test]
fn a_revision_gets_the_verdict_that_admission_gave_it() {
    let (origin, server, _) = served();
    let bad = origin.commit(&[("app.json", Some("{\n  oops\n}"))], "bad");
    server.until_head(&bad, "rejected");
    let check = |rev: &str| server.post(CHECKS, &json!({"rev": rev})).expect(200).json();
    let verdict = check("HEAD");
    assert_eq!(verdict["version"], 1);
    assert_eq!(verdict["verdict"], "rejected");
    let findings = verdict["findings"].as_array().expect("findings");
    let at = |finding: &serde_json::Value| finding["path"] == "app.json" && finding["line"] == 2;
    assert!(findings.iter().any(at), "{findings:#?}");
    assert_eq!(check("HEAD~1")["verdict"], "admitted");
    let commit = server.get(&format!("/v1/repos/default/commits/{bad}")).json();
    assert_eq!(commit["verdict"]["findings"], verdict["findings"]);
}

#[test]
fn files_that_are_not_pushed_get_the_verdict_they_would_get() {
    let (_origin, server, first) = served();
    let good = send(
        &server,
        &tar(&[("./app.json", b"{\"v\": 2}"), ("other.yaml", b"a: 1\n")]),
    )
    .expect(200)
    .json();
    assert_eq!(good["verdict"], "admitted");
    let bad = send(&server, &tar(&[("app.json", b"{\"v\": }")]))
        .expect(200)
        .json();
    assert_eq!(bad["verdict"], "rejected");
    assert_eq!(bad["findings"][0]["path"], "app.json");
    let schema = tar(&[
        (
            "headwater.toml",
            b"format = 1\n[[config]]\nname = \"app\"\nlayers = [\"app.json\"]\nschema = \"s.json\"\n",
        ),
        ("s.json", b"{\"required\": [\"port\"]}"),
        ("app.json", b"{}"),
    ]);
    assert_eq!(send(&server, &schema).expect(200).json()["verdict"], "rejected");
    // Nothing was published, and nothing was written.
    assert_eq!(server.repo()["tip"], first.as_str());
}

#[test]
fn a_tar_that_would_leave_its_directory_or_hold_links_writes_nothing_and_follows_nothing() {
    let (_origin, server, _) = served();
    for path in [
        "../../tmp/evil.json",
        "/etc/evil.json",
        "a/../../evil.json",
        ".git/config.json",
        "a\\b.json",
    ] {
        let reply = send(&server, &tar(&[(path, b"{}"), ("app.json", b"{}")]));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    let mut link = header("link.json", 0, b'2').to_vec();
    link.extend([0; 1_024]);
    let findings = send(&server, &link).expect(200).json()["findings"].clone();
    assert_eq!(findings[0]["path"], "link.json");
    assert!(!std::path::Path::new("/tmp/evil.json").exists());
}

#[test]
fn what_is_no_tar_and_no_json_is_refused_with_a_hint() {
    let (_origin, server, _) = served();
    assert_eq!(send(&server, &[7; 2_000]).expect(400).code(), "bad_request");
    assert_eq!(
        send(&server, &header("cut.json", 1 << 20, b'0'))
            .expect(400)
            .code(),
        "bad_request"
    );
    let other = server
        .ask(&Ask::new("POST", CHECKS).body("application/zip", b"PK"))
        .expect(415);
    assert_eq!(other.code(), "unsupported_media_type");
    for body in ["", "{", "[]", "{\"rev\": 1}", "\u{0}"] {
        let reply = server
            .ask(&Ask::new("POST", CHECKS).body("application/json", body.as_bytes()))
            .expect(400);
        assert_eq!(reply.code(), "bad_request", "{body:?}");
    }
    assert_eq!(
        server.post(CHECKS, &json!({"rev": "none"})).expect(404).code(),
        "revision_not_found"
    );
    assert_eq!(
        server
            .post(CHECKS, &json!({"rev": "e".repeat(40)}))
            .expect(404)
            .code(),
        "commit_not_here"
    );
}

#[test]
fn a_repository_of_some_megabytes_can_be_checked_and_a_huge_one_is_refused() {
    let (_origin, server, _) = served();
    let file = format!("{{\"text\": \"{}\"}}", "x".repeat(900_000));
    let names: Vec<String> = (0..6).map(|number| format!("f{number}.json")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), file.as_bytes()))
        .collect();
    assert_eq!(
        send(&server, &tar(&files)).expect(200).json()["verdict"],
        "admitted"
    );
    let reply = send(&server, &vec![0; 80 << 20]).expect(413);
    assert_eq!(reply.code(), "too_large");
}

#[test]
fn an_empty_tar_is_an_empty_tree() {
    let (_origin, server, _) = served();
    assert_eq!(send(&server, &tar(&[])).expect(200).json()["findings"], json!([]));
}

#[test]
fn bodies_that_never_come_take_no_more_memory_than_there_is_for_checks_and_give_it_back() {
    let (_origin, server, _) = served();
    let small = || server.post(CHECKS, &json!({"rev": "HEAD"}));
    let head = format!(
        "POST {CHECKS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-tar\r\ncontent-length: {}\r\n\r\n",
        64 << 20
    );
    let mut promised = Vec::new();
    // One after the other, so that a small check has given back its place before the next large one comes.
    let refused = wait_for("no room", || {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        promised.push(stream);
        Some(small()).filter(|reply| reply.status == 503)
    });
    assert_eq!(refused.code(), "overloaded");
    // Everybody else is served meanwhile.
    server.config("app", None).expect(200);
    drop(promised);
    wait_for("room again", || (small().status == 200).then_some(()));
}
