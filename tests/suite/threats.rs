//! The page of threats is true: each test that it names is there. And what no other file of the suite tried.

use std::collections::BTreeSet;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;

use crate::auth::House;
use crate::command::{WorkTree, program};
use crate::watch::set;

/// The first word of a test's name, and where its modules begin.
const ROOMS: [(&str, &str); 9] = [
    ("suite", "tests/suite"),
    ("simulation", "tests/simulation"),
    ("server", "server/src"),
    ("core", "server/core/src"),
    ("validators", "validators/src"),
    ("wire", "wire/src"),
    ("rollout", "server/core/tests/rollout"),
    ("hostile", "validators/tests/hostile.rs"),
    ("canary", "validators/tests/canary.rs"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files that a module may be in; the tests of a file stand in it or beside it.
fn files_of(modules: &[&str]) -> Option<Vec<PathBuf>> {
    let (room, inner) = modules.split_first()?;
    let (_, place) = ROOMS.iter().find(|(name, _)| name == room)?;
    let place = root().join(place);
    if place.is_file() {
        return inner.is_empty().then(|| vec![place]);
    }
    let mut found = Vec::new();
    for depth in [inner.len(), inner.len().checked_sub(1)?] {
        // A module that stands in the file of the one above it is one of tests, and no other.
        if depth < inner.len() && inner.last() != Some(&"tests") {
            continue;
        }
        let path = inner
            .iter()
            .take(depth)
            .fold(place.clone(), |path, part| path.join(part));
        found.push(path.with_extension("rs"));
        found.push(path.join("mod.rs"));
    }
    Some(found)
}

/// The functions of a text that are tests.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            found.extend(rest.split_once('(').map(|(name, _)| name));
            is_test = false;
        }
    }
    found
}

fn is_there(test: &str) -> bool {
    let parts: Vec<&str> = test.split("::").collect();
    let Some((name, modules)) = parts.split_last() else {
        return false;
    };
    let files = files_of(modules).unwrap_or_default();
    let mut texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.any(|text| tests_in(&text).contains(name))
}

/// Rows of a page whose tables have a column of tests: the threat, and the names in its last cell.
fn rows(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line == "| threat | what we do | tests |" {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("|---") {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let [threat, _, tests] = cells[..] else {
                panic!("a row has three cells: {line}");
            };
            rows.push((threat.trim(), tests.split('`').skip(1).step_by(2).collect()));
        }
    }
    rows
}

#[test]
fn every_threat_names_tests_that_there_are() {
    let page = read("docs/threats.md");
    let rows = rows(&page);
    assert!(
        rows.len() > 30,
        "the tables are not where they were: {}",
        rows.len()
    );
    let mut missing = Vec::new();
    for (threat, tests) in rows {
        assert!(!tests.is_empty(), "no test shows what is done about: {threat}");
        missing.extend(tests.into_iter().filter(|test| !is_there(test)));
    }
    assert!(
        missing.is_empty(),
        "there are no such tests:\n{}",
        missing.join("\n")
    );
    for page in ["SECURITY.md", "docs/security.md"] {
        assert!(read(page).contains("threats.md"), "{page} does not lead there");
    }
}

#[test]
fn a_test_that_is_none_is_not_taken_for_one() {
    assert!(is_there(
        "suite::threats::a_test_that_is_none_is_not_taken_for_one"
    ));
    assert!(!is_there("suite::threats::is_there"));
    assert!(!is_there("suite::auth::a_test_that_is_none_is_not_taken_for_one"));
    assert!(!is_there(
        "server::nowhere::tests::a_test_that_is_none_is_not_taken_for_one"
    ));
    assert!(!is_there("a_test_that_is_none_is_not_taken_for_one"));
}

/// Addresses that would have `git`, `ssh` or a shell make a file, if one of them took them as they are.
const PROGRAMS: [&str; 16] = [
    "--upload-pack=touch ran",
    "-utouch ran",
    "ext::sh -c touch% ran",
    "EXT::sh -c touch% ran",
    "ext::sh -c 'touch ran'",
    "fd::17/x",
    "ssh://-oProxyCommand=touch ran/x",
    "ssh://-oProxyCommand=touch${IFS}ran/x",
    "ssh://git@-oProxyCommand=touch%20ran/x",
    "-oProxyCommand=touch${IFS}ran:x",
    "git@host.invalid:--upload-pack=touch${IFS}ran",
    "git@$(touch${IFS}ran):x",
    "git://127.0.0.1/x",
    "ftp://127.0.0.1/x",
    "dict://127.0.0.1:1/x",
    "https://127.0.0.1:1/x\n[core]\nsshCommand=touch ran",
];

#[test]
fn no_address_of_an_upstream_runs_a_program() {
    for url in PROGRAMS {
        let place = WorkTree::plain();
        // As one word, so that what begins with a dash is the value of the option and no option.
        let output = program(place.path())
            .args(["serve", "--listen", "127.0.0.1:0", &format!("--repo={url}")])
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{url:?}: {said}");
        assert!(said.contains("the address "), "{url:?}: {said}");
        assert!(!place.join("ran").exists(), "{url:?} ran");
        assert!(!place.join("headwater-data").exists(), "{url:?} was begun with");
    }
    // Of these nothing is refused before they are tried: a directory of this machine may have any name.
    for url in [
        "./$(touch ran)",
        "./`touch ran`",
        "./x;touch ran",
        "file:///x;touch ran",
        "./|touch ran",
    ] {
        let place = WorkTree::plain();
        let mut running = crate::command::Running::start(program(place.path()).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--repo",
            url,
            "--log-format",
            "text",
        ]));
        running.line("listening on");
        running.err_line("default");
        running.signal("-TERM");
        running.end();
        assert!(!place.join("ran").exists(), "{url:?} ran");
    }
}

/// Sends a request and reads its answer, and leaves the connection open.
fn on(connection: &mut BufReader<TcpStream>, target: &str, token: Option<&str>) -> (u16, String) {
    use std::io::BufRead as _;
    let mut head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n");
    if let Some(token) = token {
        head += &format!("authorization: Bearer {token}\r\n");
    }
    head += "\r\n";
    connection.get_mut().write_all(head.as_bytes()).unwrap();
    let (mut status, mut length) = (0, 0);
    for number in 0.. {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if number == 0 {
            status = line.split(' ').nth(1).unwrap().parse().unwrap();
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

#[test]
fn each_request_of_one_connection_is_judged_by_its_own_token() {
    let house = House::with(&[("bound", &["--role", "instance", "--config", "other/*"])]);
    let token = |name| Some(house.tokens[name].as_str());
    let stream = TcpStream::connect(house.server.addr()).unwrap();
    let mut connection = BufReader::new(stream);
    let config = "/v1/repos/default/configs/app";
    for _ in 0..3 {
        assert_eq!(on(&mut connection, config, None).0, 401);
        assert_eq!(on(&mut connection, config, token("instance")).0, 200);
        assert_eq!(on(&mut connection, config, None).0, 401);
        assert_eq!(on(&mut connection, config, token("bound")).0, 403);
        assert_eq!(
            on(&mut connection, "/v1/repos/default/commits", token("reader")).0,
            200
        );
        assert_eq!(
            on(&mut connection, "/v1/repos/default/commits", token("instance")).0,
            403
        );
        assert_eq!(on(&mut connection, config, Some("hw_wrong")).0, 401);
    }
}

#[test]
fn what_a_client_sends_chooses_no_place() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap().to_string();
    let plain = server.get("/v1/repos/default/configs/app").expect(200).json();
    let hostile = [
        format!("http://{address}/"),
        format!("{address}/x"),
        format!("//{address}/x"),
        format!("@{address}"),
        "../../../../etc/passwd".to_owned(),
        "{env}".to_owned(),
        "${env:HOME}".to_owned(),
    ];
    let headers = [
        "x-forwarded-host",
        "x-forwarded-for",
        "x-forwarded-user",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-config-token",
        "x-project-id",
        "x-http-method-override",
        "referer",
        "cookie",
    ];
    for text in &hostile {
        for header in headers {
            let ask = Ask::get("/v1/repos/default/configs/app").header(header, text);
            let told = server.ask(&ask).expect(200).json();
            assert_eq!(told["document"], plain["document"], "{header}: {text}");
        }
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for query in [
            "label.env",
            "label.host",
            "instance",
            "url",
            "repo",
            "profile",
            "branch",
        ] {
            let reply = server.get(&format!("/v1/repos/default/configs/app?{query}={encoded}"));
            assert!(matches!(reply.status, 200 | 400), "{query}={text}: {reply:?}");
            if reply.status == 200 {
                assert_eq!(reply.json()["document"], plain["document"], "{query}: {text}");
            }
        }
    }
    let nobody = elsewhere.accept().map(|(_, peer)| peer).unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn no_page_may_be_framed_by_another() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    for page in [
        "",
        "commits",
        "configs",
        "rollouts",
        "instances",
        "audit",
        "sources",
        "nowhere",
    ] {
        let target = format!("/repos/default/{page}");
        let ask = Ask::get(target.trim_end_matches('/')).header("accept", "text/html");
        let reply = server.ask(&ask);
        let policy = reply.must("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}: {policy}");
        assert!(
            policy.contains("base-uri 'none'") && !policy.contains("unsafe-inline"),
            "{target}: {policy}"
        );
        assert_eq!(reply.must("x-content-type-options"), "nosniff", "{target}");
    }
}

#[test]
fn every_dependency_is_of_the_registry_and_has_its_hash() {
    let lock = read("Cargo.lock");
    let mut seen = 0;
    for package in lock.split("[[package]]").skip(1) {
        let Some(source) = package.lines().find(|line| line.starts_with("source = ")) else {
            // One of ours, of this very tree.
            assert!(package.contains("name = \"headwater"), "{package}");
            continue;
        };
        assert_eq!(
            source,
            "source = \"registry+https://github.com/rust-lang/crates.io-index\""
        );
        assert!(package.contains("checksum = \""), "{package}");
        seen += 1;
    }
    assert!(seen > 100, "only {seen} dependencies were read");
    assert!(read(".ci/run").contains("cargo deny --offline --locked check bans licenses sources"));
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
}
