//! Who may ask for what: every route of the service against every role, what a token is bound to, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use headwater_server::settings::Settings;
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::program::Program;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::socket::Socket;
use headwater_tests::sse::Events;
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::command::{program, told};
use crate::openapi::routes_in;
use crate::watch::set;

/// A service that asks who asks.
pub(crate) struct House {
    pub(crate) origin: TestOrigin,
    pub(crate) server: TestServer,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) tokens: BTreeMap<&'static str, String>,
}

impl House {
    /// With one token of each role that is bound to nothing, and those that `more` asks for.
    pub(crate) fn with(more: &[(&'static str, &[&str])]) -> Self {
        Self::set(more, |_| ())
    }

    /// The same with other settings.
    pub(crate) fn set(more: &[(&'static str, &[&str])], change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut house = Self {
            origin: TestOrigin::new(),
            server: TestServer::of(&TestOrigin::new()),
            dir,
            tokens: BTreeMap::new(),
        };
        for role in ["instance", "reader", "operator", "admin"] {
            house.make(role, &["--role", role]);
        }
        for (name, options) in more {
            house.make(name, options);
        }
        let first = set(&house.origin, 1);
        let file = house.file();
        house.server = Stopped::of(house.origin.path().to_str().expect("a path"))
            .with(|settings| settings.tokens_file = Some(file))
            .with(change)
            .start();
        wait_for("the first commit", || {
            let repo = house.get("reader", "/v1/repos/default");
            (repo.status == 200 && repo.json()["tip"] == first.to_string()).then_some(())
        });
        house
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("tokens.toml")
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        told(
            program(self.dir.path())
                .args(["token"])
                .args(args)
                .args(["--file", "tokens.toml"]),
        )
    }

    /// Makes a token by the command line, as people do.
    fn make(&mut self, name: &'static str, options: &[&str]) {
        let told = self.run(&[&["create", name], options].concat());
        let token = told
            .lines()
            .find(|line| line.starts_with("hw_"))
            .expect("a token")
            .to_owned();
        self.tokens.insert(name, token);
    }

    pub(crate) fn ask(&self, who: &str, ask: Ask) -> Reply {
        let bearer = format!("Bearer {}", self.tokens[who]);
        self.server.ask(&ask.header("authorization", &bearer))
    }

    pub(crate) fn get(&self, who: &str, target: &str) -> Reply {
        self.ask(who, Ask::get(target))
    }

    fn put(&self, who: &str, instance: &str, report: &Value) -> Reply {
        let target = format!("/v1/repos/default/instances/{instance}");
        let body = report.to_string();
        self.ask(
            who,
            Ask::new("PUT", &target).body("application/json", body.as_bytes()),
        )
    }
}

#[test]
fn a_rollback_is_by_the_holder_of_the_token_and_by_the_name_and_address_that_were_typed() {
    let house = House::set(&[], |settings| {
        for repo in &mut settings.repos {
            repo.write.allowed = true;
        }
    });
    let first = house.get("reader", "/v1/repos/default").json()["tip"].clone();
    let second = set(&house.origin, 2);
    wait_for("the second commit", || {
        let repo = house.get("reader", "/v1/repos/default").json();
        (repo["tip"] == second.as_str()).then_some(())
    });
    let ordered = |by: &Value| {
        let body = json!({"to": first, "reason": "it broke", "requested_by": by}).to_string();
        let ask = Ask::new("POST", "/v1/repos/default/rollbacks");
        house.ask("operator", ask.body("application/json", body.as_bytes()))
    };
    let long = format!("Mia <{}@example.org>", "m".repeat(300));
    assert!(
        ordered(&json!(long))
            .expect(400)
            .text()
            .contains("`requested_by` is too long")
    );
    let typed = ordered(&json!("Mia Meier <mia@example.org>")).expect(201).json();
    assert_eq!(
        typed["requested_by"], "Mia Meier (operator) <mia@example.org>",
        "{typed}"
    );
    let author = wait_for("the commit in Git", || {
        let told = house.origin.git(&["log", "-1", "--format=%an <%ae>", "main"]);
        told.contains("operator").then_some(told)
    });
    assert_eq!(author.trim(), "Mia Meier (operator) <mia@example.org>");
}

/// The methods and routes that the router is made of, as its source has them.
pub(crate) fn routes() -> BTreeSet<(String, String)> {
    let files = ["server/src/http/mod.rs", "server/src/dashboard/mod.rs"];
    let routes = files.into_iter().flat_map(routes_in);
    routes
        .map(|(method, route)| (method.to_uppercase(), route))
        .collect()
}

/// An address of a route, of things that there mostly are not: what is refused is refused before anybody looks.
pub(crate) fn address(route: &str) -> String {
    let parts = [
        ("{repo}", "default"),
        ("{*config}", "app"),
        ("{commit}", "0000000000000000000000000000000000000000"),
        ("{rev}", "HEAD"),
        ("{*path}", "app.json"),
        ("{instance}", "i-1"),
        ("{order}", "pause"),
        ("{*rest}", "x"),
    ];
    let named = parts.iter().fold(route.to_owned(), |route, (name, value)| {
        route.replace(name, value)
    });
    let named = named
        .replace("{id}", "r-1")
        .replace("{name}", "x")
        .replace("{hook}", "x")
        .replace("{issuer}", "x");
    let query = if named.ends_with("/events") || named.ends_with("/socket") {
        "?config=app"
    } else {
        ""
    };
    format!("{named}{query}")
}

/// Whether the service knows who asks, and this is not for him; a refusal for another reason comes from the handler.
fn is_forbidden(body: &mut impl std::io::Read) -> bool {
    let mut text = String::new();
    body.read_to_string(&mut text).expect("a whole answer");
    text.contains("\"code\":\"forbidden\"")
}

/// The whole matrix: `+` is let through (whatever becomes of it then), `-` is known and refused, `?` is asked who he is.
#[test]
#[expect(clippy::too_many_lines, reason = "the matrix is all of it")]
fn every_route_lets_through_who_may_and_nobody_else() {
    let house = House::with(&[]);
    let mut table = String::new();
    for (method, route) in routes() {
        let mut row = String::new();
        for who in [
            None,
            Some("instance"),
            Some("reader"),
            Some("operator"),
            Some("admin"),
        ] {
            let ask = Ask::new(&method, &address(&route));
            // A stream does not end by itself, and its head says what is asked here.
            let ask = match who {
                Some(who) => ask.header("authorization", &format!("Bearer {}", house.tokens[who])),
                None => ask,
            };
            let (mut body, status, headers) = ask.open(house.server.addr()).expect("an answer");
            let is_sent_on = headers
                .iter()
                .any(|(name, value)| name == "location" && value.starts_with("/login"));
            row.push(match status {
                401 if !route.starts_with("/hooks") && route != "/login" => '?',
                403 if is_forbidden(&mut body) => '-',
                _ if is_sent_on && route != "/logout" => '?',
                _ => '+',
            });
        }
        writeln!(table, "{row} {method} {route}").expect("a line");
    }
    insta::assert_snapshot!(table, @r"
    ?--++ DELETE /v1/repos/{repo}/instances/{instance}
    ?-+++ GET /
    +++++ GET /assets/{name}
    +++++ GET /livez
    +++++ GET /login
    +++++ GET /login/{issuer}
    +++++ GET /login/{issuer}/callback
    ?-+++ GET /metrics
    +++++ GET /openapi.json
    +++++ GET /readyz
    ?-+++ GET /repos/{repo}
    ?-+++ GET /repos/{repo}/accept
    ?-+++ GET /repos/{repo}/audit
    ?-+++ GET /repos/{repo}/commits
    ?-+++ GET /repos/{repo}/commits/{rev}
    ?-+++ GET /repos/{repo}/configs
    ?-+++ GET /repos/{repo}/configs/{*config}
    ?-+++ GET /repos/{repo}/holds/{id}/release
    ?-+++ GET /repos/{repo}/instances
    ?-+++ GET /repos/{repo}/instances/{instance}
    ?-+++ GET /repos/{repo}/keys/{*config}
    ?-+++ GET /repos/{repo}/orders/{id}
    ?-+++ GET /repos/{repo}/orders/{id}/confirm
    ?-+++ GET /repos/{repo}/orders/{id}/withdraw
    ?-+++ GET /repos/{repo}/rollback
    ?-+++ GET /repos/{repo}/rollbacks
    ?-+++ GET /repos/{repo}/rollbacks/{id}
    ?-+++ GET /repos/{repo}/rollouts
    ?-+++ GET /repos/{repo}/rollouts/{id}
    ?-+++ GET /repos/{repo}/rollouts/{id}/{order}
    ?-+++ GET /repos/{repo}/{*rest}
    ?-+++ GET /sources
    ?---+ GET /v1/admin/backup
    ?-+++ GET /v1/repos
    ?-+++ GET /v1/repos/{repo}
    ?-+++ GET /v1/repos/{repo}/commits
    ?++++ GET /v1/repos/{repo}/commits/{commit}/configs/{*config}
    ?-+++ GET /v1/repos/{repo}/commits/{commit}/files/{*path}
    ?-+++ GET /v1/repos/{repo}/commits/{rev}
    ?-+++ GET /v1/repos/{repo}/configs
    ?++++ GET /v1/repos/{repo}/configs/{*config}
    ?-+++ GET /v1/repos/{repo}/diff
    ?++++ GET /v1/repos/{repo}/events
    ?-+++ GET /v1/repos/{repo}/explain/{*config}
    ?-+++ GET /v1/repos/{repo}/fleet
    ?-+++ GET /v1/repos/{repo}/holds
    ?-+++ GET /v1/repos/{repo}/instances
    ?-+++ GET /v1/repos/{repo}/instances/{instance}
    ?-+++ GET /v1/repos/{repo}/orders
    ?-+++ GET /v1/repos/{repo}/orders/{id}
    ?-+++ GET /v1/repos/{repo}/plan
    ?-+++ GET /v1/repos/{repo}/propagation
    ?-+++ GET /v1/repos/{repo}/proposals/{commit}
    ?-+++ GET /v1/repos/{repo}/rollbacks
    ?-+++ GET /v1/repos/{repo}/rollbacks/plan
    ?-+++ GET /v1/repos/{repo}/rollbacks/{id}
    ?-+++ GET /v1/repos/{repo}/rollouts
    ?-+++ GET /v1/repos/{repo}/rollouts/{id}
    ?++++ GET /v1/repos/{repo}/socket
    +++++ POST /hooks/{hook}
    +++++ POST /login
    +++++ POST /logout
    ?--++ POST /repos/{repo}/accept
    ?--++ POST /repos/{repo}/holds/{id}/release
    ?--++ POST /repos/{repo}/orders/{id}/confirm
    ?--++ POST /repos/{repo}/orders/{id}/withdraw
    ?--++ POST /repos/{repo}/rollbacks
    ?--++ POST /repos/{repo}/rollouts/{id}/{order}
    ?--++ POST /v1/repos/{repo}/accept
    ?-+++ POST /v1/repos/{repo}/checks
    ?--++ POST /v1/repos/{repo}/holds/{id}/release
    ?--++ POST /v1/repos/{repo}/orders/{id}/confirm
    ?--++ POST /v1/repos/{repo}/orders/{id}/withdraw
    ?--++ POST /v1/repos/{repo}/rollbacks
    ?--++ POST /v1/repos/{repo}/rollouts/{id}/{order}
    ?+--- PUT /v1/repos/{repo}/instances/{instance}
    ");
}

#[test]
fn a_token_that_is_bound_sees_and_says_its_own_alone() {
    let house = House::with(&[
        (
            "bound",
            &[
                "--role",
                "instance",
                "--config",
                "app",
                "--instance",
                "app-*",
                "--label",
                "env=prod",
            ],
        ),
        ("elsewhere", &["--role", "reader", "--config", "other/*"]),
        ("other-repo", &["--role", "reader", "--in-repo", "other"]),
    ]);
    house.get("bound", "/v1/repos/default/configs/app").expect(200);
    assert_eq!(
        house
            .get("elsewhere", "/v1/repos/default/configs/app")
            .expect(403)
            .code(),
        "forbidden"
    );
    house.get("elsewhere", "/v1/repos/default/configs").expect(403);
    house
        .get("elsewhere", "/v1/repos/default/events?config=app")
        .expect(403);
    house.get("elsewhere", "/v1/repos/default/events").expect(403);
    house
        .get("elsewhere", "/v1/repos/default/explain/app")
        .expect(403);
    house
        .get("elsewhere", "/v1/repos/default/diff?from=HEAD&to=HEAD")
        .expect(403);
    house.get("other-repo", "/v1/repos/default").expect(403);

    let report = |config: &str, env: &str| json!({"incarnation": 1, "seq": 1, "labels": {"env": env}, "configs": {config: {"state": "idle", "generation": 0}}});
    house.put("bound", "web-1", &report("app", "prod")).expect(403);
    house.put("bound", "app-1", &report("app", "dev")).expect(403);
    house.put("bound", "app-1", &report("web", "prod")).expect(403);
    house.put("bound", "app-1", &report("app", "prod")).expect(200);
    house.put("reader", "app-1", &report("app", "prod")).expect(403);
    let leave = |query: &str| Ask::new("DELETE", &format!("/v1/repos/default/instances/app-1{query}"));
    house.ask("bound", leave("")).expect(403);
    house.ask("bound", leave("?incarnation=1")).expect(204);
    house.ask("operator", leave("")).expect(204);

    // What another's instance said is not replaced, nor is it sent away.
    let others = json!({"incarnation": 1, "seq": 1, "configs": {"app": {"state": "idle", "generation": 0}}});
    house.put("instance", "app-2", &others).expect(200);
    house.put("bound", "app-2", &report("app", "prod")).expect(403);
    let away = Ask::new("DELETE", "/v1/repos/default/instances/app-2?incarnation=1");
    house.ask("bound", away).expect(403);
    house.get("bound", "/v1/repos/default").expect(403);

    let socket = Socket::open_as(
        house.server.addr(),
        "config=app&instance=web-1",
        Some(&house.tokens["bound"]),
    );
    socket.report(&report("app", "prod"));
    assert_eq!(
        socket.until("problem", 1).data["code"],
        "forbidden",
        "a socket is no way round"
    );
}

#[test]
fn what_is_open_for_a_token_ends_when_it_is_taken_back() {
    let house = House::with(&[("gone", &["--role", "instance"])]);
    let addr = house.server.addr();
    let bearer = format!("Bearer {}", house.tokens["gone"]);
    let open = |who: &str| {
        let ask = Ask::get("/v1/repos/default/events?config=app");
        Events::open(
            addr,
            &ask.header("authorization", &format!("Bearer {}", house.tokens[who])),
        )
    };
    let (stream, stays) = (open("gone"), open("instance"));
    let socket = Socket::open_as(addr, "config=app&instance=a", Some(&house.tokens["gone"]));
    let held = house
        .get("gone", "/v1/repos/default/configs/app")
        .expect(200)
        .must("etag")
        .to_owned();
    let wait = Ask::get("/v1/repos/default/configs/app?wait=60");
    let wait = wait
        .header("authorization", &bearer)
        .header("if-none-match", &held);
    let waiting = std::thread::spawn(move || wait.send(addr));
    stays.until("its first event", |events| !events.is_empty());

    assert!(house.run(&["revoke", "gone"]).starts_with("exit 0"));
    wait_for("the stream to end", || stream.ended().then_some(()));
    wait_for("the socket to end", || {
        (socket.closed() == Some(1008)).then_some(())
    });
    assert_eq!(waiting.join().expect("an answer").status, 401);
    house.get("gone", "/v1/repos/default/configs/app").expect(401);
    assert!(!stays.ended(), "others are not disturbed");
    let second = set(&house.origin, 2);
    stays.until_version(&second);
}

#[test]
fn a_watch_on_the_command_line_ends_with_its_token_and_says_why() {
    let house = House::with(&[("gone", &["--role", "reader"])]);
    let mut command = program(house.dir.path());
    command
        .args(["watch", "app", "--server"])
        .arg(format!("http://{}", house.server.addr()))
        .env("HEADWATER_TOKEN", &house.tokens["gone"]);
    let mut watch = Program::start(command);
    watch.until("the first version", |line| line.contains("app"));
    assert!(house.run(&["revoke", "gone"]).starts_with("exit 0"));
    let (code, complained) = watch.ended();
    assert_eq!(code, Some(1));
    assert!(
        complained.iter().any(|line| line.contains("token")),
        "{complained:#?}"
    );
}

#[test]
fn what_is_decided_is_signed_by_whoever_the_token_is_of() {
    let house = House::with(&[("ann@example.org", &["--role", "operator"])]);
    let second = set(&house.origin, 2);
    wait_for("the second commit", || {
        (house.get("reader", "/v1/repos/default").json()["tip"] == second.to_string()).then_some(())
    });
    let body = json!({"to": "HEAD~1", "reason": "too large", "requested_by": "Bob"}).to_string();
    let order = Ask::new("POST", "/v1/repos/default/rollbacks").body("application/json", body.as_bytes());
    let refused = house.ask("ann@example.org", order);
    // This service may not write, which is said to whoever may ask; that Bob did not ask is told where it is recorded.
    assert_eq!(refused.expect(403).code(), "write_not_allowed");
}

#[test]
fn a_service_does_not_start_with_a_file_that_nobody_understands() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("tokens.toml"), "[[token]]\nname = 1\n").expect("a file");
    let mut command = program(dir.path());
    command
        .args(["serve", "--repo", ".", "--listen", "127.0.0.1:0"])
        .env("HEADWATER_TOKENS_FILE", "tokens.toml");
    let told = told(&mut command);
    assert!(
        told.contains("is no file of tokens") && told.contains("headwater token create"),
        "{told}"
    );
}
