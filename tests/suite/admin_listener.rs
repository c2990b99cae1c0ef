//! A listener for administration beside the one for everybody: what each takes, from whom, and that neither stands in the
//! other's way.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use headwater_server::settings::{AdminSettings, ClientCertificates, Settings, TlsSettings};
use headwater_tests::authority::Authority;
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::socket::Socket;
use headwater_tests::sse::Events;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::auth::{House, address, routes};
use crate::command::{Running, WorkTree, program, told};
use crate::dashboard::live::Followed;
use crate::tls::{connect, until_version};
use crate::watch::set;

const ORDERS: &str = "Orders are given at the listener for administration.";

/// A listener for administration on a free port of this machine.
fn on_any_port() -> AdminSettings {
    AdminSettings::at(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// A service with both listeners that asks nobody who he is.
fn served(change: impl FnOnce(&mut Settings)) -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.admin = Some(on_any_port()))
        .with(change)
        .start();
    server.until_tip(&first);
    (origin, server, first)
}

/// Reverts may be pushed.
fn may_write(settings: &mut Settings) {
    for repo in &mut settings.repos {
        repo.write.allowed = true;
    }
}

/// An order that is refused by its handler, where it comes that far: there is nothing to accept.
fn order(addr: SocketAddr) -> Reply {
    let body = json!({"head": "0".repeat(40), "reason": "none"}).to_string();
    let ask = Ask::new("POST", "/v1/repos/default/accept");
    ask.body("application/json", body.as_bytes()).send(addr)
}

fn page(addr: SocketAddr, target: &str) -> Reply {
    Ask::get(target).header("accept", "text/html").send(addr)
}

fn body(reply: &mut impl std::io::Read) -> String {
    let mut text = String::new();
    reply.read_to_string(&mut text).expect("a whole answer");
    text
}

const WHO: [Option<&str>; 5] = [
    None,
    Some("instance"),
    Some("reader"),
    Some("operator"),
    Some("admin"),
];

/// Whether each asker of [`WHO`] is sent to the listener for administration, as a row.
fn row(house: &House, addr: SocketAddr, method: &str, route: &str) -> String {
    let asked = WHO.map(|who| {
        let ask = Ask::new(method, &address(route));
        let ask = match who {
            Some(who) => ask.header("authorization", &format!("Bearer {}", house.tokens[who])),
            None => ask,
        };
        let (mut reply, status, _) = ask.open(addr).expect("an answer");
        let is_sent_on = status == 403 && body(&mut reply).contains("\"code\":\"admin_listener\"");
        if is_sent_on { '!' } else { '.' }
    });
    asked.into_iter().collect()
}

/// Of all addresses: `!` is told that orders are given elsewhere, by who asks (nobody known, instance, reader, operator, admin).
#[test]
fn the_listener_for_everybody_gives_no_orders_whoever_asks_and_the_other_gives_all() {
    let house = House::set(&[], |settings| settings.admin = Some(on_any_port()));
    let (main, admin) = (house.server.addr(), house.server.admin());
    let mut table = String::new();
    for (method, route) in routes() {
        assert_eq!(row(&house, admin, &method, &route), ".....", "{method} {route}");
        let row = row(&house, main, &method, &route);
        if row.contains('!') {
            writeln!(table, "{row} {method} {route}").expect("a line");
        }
    }
    insta::assert_snapshot!(table, @r"
    ...!! DELETE /v1/repos/{repo}/instances/{instance}
    .!!!! GET /v1/admin/backup
    .!!!! POST /repos/{repo}/accept
    .!!!! POST /repos/{repo}/holds/{id}/release
    .!!!! POST /repos/{repo}/orders/{id}/confirm
    .!!!! POST /repos/{repo}/orders/{id}/withdraw
    .!!!! POST /repos/{repo}/rollbacks
    .!!!! POST /repos/{repo}/rollouts/{id}/{order}
    .!!!! POST /v1/repos/{repo}/accept
    .!!!! POST /v1/repos/{repo}/holds/{id}/release
    .!!!! POST /v1/repos/{repo}/orders/{id}/confirm
    .!!!! POST /v1/repos/{repo}/orders/{id}/withdraw
    .!!!! POST /v1/repos/{repo}/rollbacks
    .!!!! POST /v1/repos/{repo}/rollouts/{id}/{order}
    ");
    // Who is not known is asked who he is, and learns nothing else.
    let unknown = order(main).expect(401);
    assert_eq!(unknown.code(), "unauthenticated");
    assert!(!unknown.text().contains("administration"), "{}", unknown.text());
    // A question about what would be told is none that is answered.
    let backup = Ask::new("HEAD", "/v1/admin/backup");
    let bearer = format!("Bearer {}", house.tokens["admin"]);
    assert_eq!(backup.header("authorization", &bearer).send(main).status, 403);
}

#[test]
fn where_nobody_is_asked_who_he_is_orders_are_given_at_one_listener_all_the_same() {
    let (_origin, server, _) = served(|_| ());
    let refused = order(server.addr()).expect(403);
    let told = refused.text();
    assert!(!told.contains(&server.admin().port().to_string()), "{told}");
    let told = refused.json();
    insta::assert_snapshot!(
        format!("{}\n{}\n{}\n{}", told["code"], told["title"], told["detail"], told["hint"]),
        @r#"
    "admin_listener"
    "orders are given at another listener"
    "this listener gives no orders, whoever asks"
    "ask at the service's listener for administration; whoever runs the service knows where that is"
    "#
    );
    assert_ne!(order(server.admin()).code(), "admin_listener");
    // An instance is forgotten by a person alone; that its life has ended, a program says anywhere.
    let instance = "/v1/repos/default/instances/i-1";
    let forget = Ask::new("DELETE", instance);
    assert_eq!(forget.send(server.addr()).code(), "admin_listener");
    assert_eq!(forget.send(server.admin()).code(), "instance_not_found");
    let ended = Ask::new("DELETE", &format!("{instance}?incarnation=1"));
    assert_eq!(ended.send(server.addr()).code(), "instance_not_found");
}

#[test]
fn an_order_at_the_listener_for_administration_is_done() {
    let (origin, server, first) = served(may_write);
    let second = set(&origin, 2);
    server.until_tip(&second);
    let body = json!({"to": first.as_str(), "reason": "it broke"}).to_string();
    let ask = Ask::new("POST", "/v1/repos/default/rollbacks").body("application/json", body.as_bytes());
    assert_eq!(ask.send(server.addr()).expect(403).code(), "admin_listener");
    ask.send(server.admin()).expect(201);
    wait_until("the old value", || {
        server.config("app", None).json()["document"]["v"] == 1
    });
}

fn report(seq: u64) -> Value {
    json!({"incarnation": 1, "seq": seq, "configs": {"app": {"state": "pending"}}})
}

#[test]
fn reads_watches_and_reports_go_on_at_both() {
    let (origin, server, _) = served(|_| ());
    let doors = [("main", server.addr()), ("admin", server.admin())];
    let open: Vec<_> = doors
        .iter()
        .map(|(name, addr)| {
            Ask::get("/v1/repos/default/configs/app").send(*addr).expect(200);
            let body = report(1).to_string();
            Ask::new("PUT", &format!("/v1/repos/default/instances/by-{name}"))
                .body("application/json", body.as_bytes())
                .send(*addr)
                .expect(200);
            let stream = Events::open(*addr, &Ask::get("/v1/repos/default/events?config=app"));
            let socket = Socket::open(*addr, &format!("config=app&instance=socket-{name}"));
            socket.report(&report(1));
            (stream, socket)
        })
        .collect();
    let second = set(&origin, 2);
    for (stream, socket) in &open {
        stream.until_version(&second);
        socket.until_version(&second);
    }
    wait_until("everybody is known at both", || {
        doors.iter().all(|(_, addr)| {
            let list = Ask::get("/v1/repos/default/instances").send(*addr).text();
            ["by-main", "by-admin", "socket-main", "socket-admin"]
                .iter()
                .all(|name| list.contains(name))
        })
    });
}

#[test]
fn a_page_offers_orders_where_they_are_given_and_says_so_once_elsewhere() {
    let (origin, server, first) = served(may_write);
    let second = set(&origin, 2);
    server.until_tip(&second);
    let commit = format!("/repos/default/commits/{first}");
    let form = format!("/repos/default/rollback?to={first}");
    let config = "/repos/default/configs/app";
    for target in [commit.as_str(), form.as_str(), config, "/repos/default"] {
        let elsewhere = page(server.addr(), target).text();
        assert_eq!(elsewhere.matches(ORDERS).count(), 1, "{target}: {elsewhere}");
        let mut offers = ["class=\"act ", "class=\"act\""].into_iter();
        assert!(
            !offers.any(|offer| elsewhere.contains(offer)),
            "{target}: {elsewhere}"
        );
        assert!(
            !elsewhere.contains("<form class=\"confirm\""),
            "{target}: {elsewhere}"
        );
        let here = page(server.admin(), target).text();
        assert!(!here.contains(ORDERS), "{target}: {here}");
    }
    assert!(page(server.admin(), &commit).text().contains("take it back…"));
    assert!(page(server.admin(), config).text().contains("go back to"));
    assert!(
        page(server.admin(), &form)
            .text()
            .contains("<form class=\"confirm\"")
    );
    // Also the part that follows what happens is made for each of them.
    let moving = |addr| Followed::at(addr, &commit).next().expect("a part");
    let (elsewhere, here) = (moving(server.addr()), moving(server.admin()));
    assert!(here.contains("take it back…"), "{here}");
    assert!(!elsewhere.contains("take it back…"), "{elsewhere}");
}

#[test]
fn a_form_that_is_sent_to_the_listener_for_everybody_is_refused_as_a_page() {
    let (_origin, server, _) = served(|_| ());
    let sent = Ask::new("POST", "/repos/default/accept")
        .header("accept", "text/html")
        .body("application/x-www-form-urlencoded", b"reason=x");
    let refused = sent.send(server.addr()).expect(403).text();
    assert!(refused.contains("this listener gives no orders"), "{refused}");
    assert!(refused.contains("listener for administration"), "{refused}");
    let elsewhere = sent.send(server.admin()).text();
    assert!(!elsewhere.contains("gives no orders"), "{elsewhere}");
}

#[test]
fn a_person_logs_in_at_both_and_is_told_his_role_before_the_place() {
    let house = House::set(&[], |settings| settings.admin = Some(on_any_port()));
    let shown = |who: &str, addr| {
        let bearer = format!("Bearer {}", house.tokens[who]);
        let ask = Ask::get("/repos/default").header("accept", "text/html");
        ask.header("authorization", &bearer).send(addr).expect(200).text()
    };
    let (main, admin) = (house.server.addr(), house.server.admin());
    assert!(shown("operator", main).contains(ORDERS));
    assert!(!shown("operator", admin).contains(ORDERS));
    for addr in [main, admin] {
        let reader = shown("reader", addr);
        assert!(
            reader.contains("You may read") && !reader.contains(ORDERS),
            "{reader}"
        );
        assert!(page(addr, "/login").expect(200).text().contains("name=\"token\""));
    }
}

/// What metrics say of a series.
fn metric(addr: SocketAddr, series: &str) -> Option<String> {
    let text = Ask::get("/metrics").send(addr).expect(200).text();
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    value.map(|value| value.trim().to_owned())
}

#[test]
fn a_listener_for_everybody_that_is_full_leaves_operators_theirs() {
    let (_origin, server, _) = served(|settings| {
        settings.connections_max = Some(4);
        settings.caller_limits.connections_per_address_max = Some(4);
    });
    let watch = Ask::get("/v1/repos/default/events?config=app");
    let mut held = Vec::new();
    wait_until("all places are taken", || {
        let (stream, status, _) = watch.open(server.addr()).expect("an answer");
        held.extend((status == 200).then_some(stream));
        held.len() == 4
    });
    let (_, status, _) = watch.open(server.addr()).expect("an answer");
    assert!([429, 503].contains(&status), "{status}");
    assert_ne!(order(server.admin()).code(), "admin_listener");
    assert_eq!(Ask::get("/v1/repos/default").send(server.admin()).status, 200);
    let open = metric(server.admin(), "headwater_connections{listener=\"main\"}");
    assert_eq!(open.as_deref(), Some("4"));
    let may = metric(server.admin(), "headwater_connections_max{listener=\"admin\"}");
    assert_eq!(may.as_deref(), Some("128"));
    assert!(metric(server.admin(), "headwater_connections{listener=\"admin\"}").is_some());
}

#[test]
fn a_listener_for_administration_that_is_full_leaves_everybody_theirs() {
    let (_origin, server, _) = served(|settings| {
        settings.admin = Some(AdminSettings {
            connections_max: 2,
            ..on_any_port()
        });
    });
    let target = "/v1/repos/default/events?config=app";
    let mut held = Vec::new();
    wait_until("the listener for administration is full", || {
        let (stream, status, _) = Ask::get(target).open(server.admin()).expect("an answer");
        held.push(stream);
        status == 503
    });
    Ask::get("/v1/repos/default").send(server.addr()).expect(200);
    let refused = metric(
        server.addr(),
        "headwater_connections_refused_total{listener=\"admin\"}",
    );
    assert_eq!(refused.as_deref(), Some("1"));
}

/// Nobody is let in without a certificate of the authority in `dir`.
fn required(dir: &Path) -> ClientCertificates {
    ClientCertificates::Asked {
        ca_file: dir.join("ca.pem"),
        crl_file: None,
        is_required: true,
    }
}

/// Certificates for a listener for administration, with this said of clients.
fn encrypted(dir: &Path, authority: &Authority, clients: ClientCertificates) -> TlsSettings {
    std::fs::write(dir.join("ca.pem"), authority.pem()).expect("a file");
    let (cert_file, key_file) = authority.signs_host(&["localhost"]).put(dir, "admin");
    TlsSettings {
        cert_file,
        key_file,
        clients,
    }
}

#[test]
fn certificates_are_demanded_of_operators_alone() {
    let (dir, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
    let tls = encrypted(dir.path(), &authority, required(dir.path()));
    let (_origin, server, _) = served(|settings| {
        settings.admin = Some(AdminSettings {
            tls: Some(tls),
            ..on_any_port()
        });
    });
    authority
        .signs_program("spiffe://prod/ops")
        .put(dir.path(), "client");
    let ask = |address: String, options: &[&str]| {
        let mut command = program(dir.path());
        command.args(["rollback", "--to", "HEAD", "--reason", "it broke"]);
        command.args(options).env("HEADWATER_SERVER", address);
        told(command.env("HEADWATER_CA_FILE", "ca.pem"))
    };
    let admin = format!("https://localhost:{}", server.admin().port());
    let client = ["--client-cert", "client.pem", "--client-key", "client.key"];
    let nobody = ask(admin.clone(), &[]);
    assert!(nobody.starts_with("exit 3"), "{nobody}");
    let known = ask(admin, &client);
    assert!(
        known.contains("may not write") || known.contains("allow-write") || known.contains("nothing to do"),
        "{known}"
    );
    // The one for everybody has neither certificates nor orders.
    Ask::get("/v1/repos/default/configs/app")
        .send(server.addr())
        .expect(200);
    let elsewhere = ask(format!("http://{}", server.addr()), &[]);
    insta::assert_snapshot!(elsewhere, @r"
    exit 1
    --- standard error
    error: this listener gives no orders, whoever asks
    hint: ask at the service's listener for administration; whoever runs the service knows where that is
    ");
}

#[test]
fn certificates_of_the_listener_for_administration_are_replaced_and_no_watch_is_dropped() {
    let (dir, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
    let tls = encrypted(dir.path(), &authority, ClientCertificates::Off);
    let (origin, server, _) = served(|settings| {
        settings.admin = Some(AdminSettings {
            tls: Some(tls),
            ..on_any_port()
        });
    });
    let (mut stream, first) = connect(server.admin(), &authority);
    let ask = Ask::get("/v1/repos/default/events?config=app");
    stream.write_all(&ask.bytes()).expect("a request");
    let mut watch = BufReader::new(stream);
    until_version(&mut watch);
    authority.signs_host(&["localhost"]).put(dir.path(), "admin");
    wait_until("the new certificate is shown", || {
        connect(server.admin(), &authority).1 != first
    });
    let second = set(&origin, 2);
    assert!(until_version(&mut watch).contains(second.as_str()));
    let ends = metric(
        server.addr(),
        "headwater_tls_certificate_expires_seconds{listener=\"admin\"}",
    );
    assert!(ends.is_some_and(|ends| ends != "0"));
}

#[test]
fn both_listeners_drain_when_the_service_stops() {
    let (_origin, server, _) = served(|_| ());
    let target = "/v1/repos/default/events?config=app";
    let streams = [server.addr(), server.admin()].map(|addr| Events::open(addr, &Ask::get(target)));
    for stream in &streams {
        stream.until("a beginning", |events| !events.is_empty());
    }
    drop(server.stop());
    for stream in &streams {
        stream.until("a goodbye", |events| {
            events.iter().any(|event| event.name == "goaway")
        });
        wait_until("the end", || stream.ended());
    }
}

#[test]
fn cookies_are_as_safe_as_the_listener_that_sets_them() {
    let (dir, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
    let tls = encrypted(dir.path(), &authority, ClientCertificates::Off);
    let house = House::set(&[], |settings| {
        settings.admin = Some(AdminSettings {
            tls: Some(tls),
            ..on_any_port()
        });
    });
    let main = page(house.server.addr(), "/login");
    assert!(main.must("set-cookie").starts_with("headwater-form="));
    let (mut stream, _) = connect(house.server.admin(), &authority);
    let ask = Ask::get("/login")
        .header("accept", "text/html")
        .header("connection", "close");
    stream.write_all(&ask.bytes()).expect("a request");
    let mut answer = String::new();
    // Some ends are not told in TLS.
    std::io::Read::read_to_string(&mut stream, &mut answer).ok();
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains("set-cookie: __host-headwater-form="), "{answer}");
    // The name has a port without TLS, which a browser must still reach.
    assert!(!answer.contains("strict-transport-security"), "{answer}");
}

/// What a check of settings says.
fn checked(settings: &str) -> String {
    let place = WorkTree::plain();
    let repo = "[[repo]]\nurl = \"/nowhere\"\n";
    place.write("s.toml", &format!("{settings}\n{repo}"));
    place.headwater(&["serve", "--settings", "s.toml", "--check-settings"])
}

#[test]
fn mistakes_of_its_settings_are_told() {
    let same =
        checked("listen = \"127.0.0.1:7171\"\n[admin]\nlisten = \"127.0.0.1:7171\"\nconnections_max = 0");
    let open = checked("[admin]\nlisten = \"0.0.0.0:9443\"");
    let silent = checked("[admin]\ncert_file = \"a.pem\"");
    let clients =
        checked("[admin]\nlisten = \"nowhere\"\nclient_certificates = \"required\"\nclientca = \"x\"");
    insta::assert_snapshot!([same, open, silent, clients].join("\n"), @r"
    exit 1
    --- standard error
    error: settings: `connections_max` of `[admin]` is 0, so nobody could give an order
      hint: leave it out, or name how many connections there may be
    error: settings: `listen` of `[admin]` is the address of the other listener: `127.0.0.1:7171`
      hint: name another port for it, and let no one but those who order reach that
    2 mistakes in the settings

    exit 1
    --- standard error
    error: settings: listening on `0.0.0.0:9443` would let other machines in, and nobody would be asked who they are
      hint: set `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, listen on 127.0.0.1 behind a proxy that authenticates, or say --insecure-no-auth
    1 mistake in the settings

    exit 1
    --- standard error
    error: settings: `[admin]` has no `listen`, so there is no listener for administration
      hint: name its address in `[admin]`, such as `127.0.0.1:9443`, or leave the table out
    error: settings: `cert_file` of `[admin]` is set without `key_file`
      hint: name the file of the certificate's key in `[admin]`
    2 mistakes in the settings

    exit 1
    --- standard error
    error: s.toml:2: `listen`: expected an address and port such as `127.0.0.1:9443`
    error: s.toml:4: there is no setting `clientca`
      hint: see `headwater serve --help` for the settings there are
    error: settings: `client_certificates` of `[admin]` is set without `client_ca_file`
      hint: name a file of the authorities that sign certificates of clients
    error: settings: certificates of clients are asked for by `[admin]` without TLS; those of `[tls]` are not its own
      hint: set `cert_file` and `key_file` in `[admin]`
    4 mistakes in the settings
    ");
}

#[test]
fn clear_text_for_other_machines_is_warned_of_also_behind_a_proxy_that_encrypts_for_everybody() {
    let settings = "insecure_no_auth = true\npublic_url = \"https://config.example\"\nlisten = \"0.0.0.0:7171\"\n\
                    [admin]\nlisten = \"0.0.0.0:9443\"";
    insta::assert_snapshot!(checked(settings), @r"
    exit 0
    settings are good
    --- standard error
    warning: connections to `0.0.0.0:9443` are not encrypted: who is on the way reads configs and tokens
      hint: set `cert_file` and `key_file` in `[admin]`; those of `[tls]` are not its own
    ");
    // Of this machine alone it may be; so may two free ports.
    insta::assert_snapshot!(checked("listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\""), @r"
    exit 0
    settings are good
    ");
}

#[test]
fn both_addresses_are_said_at_the_start_and_one_that_is_taken_is_named() {
    let (place, origin) = (WorkTree::plain(), TestOrigin::new());
    set(&origin, 1);
    let serve = |admin: &str| {
        let mut command = program(place.path());
        command.env("HEADWATER_ADMIN_LISTEN", admin);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--repo"])
            .arg(origin.path());
        command
    };
    let mut served = Running::start(&mut serve("127.0.0.1:0"));
    let main = served.line("listening on http://127.0.0.1:");
    let admin = served.line("admin listener on http://127.0.0.1:");
    let addr = |line: &str| -> SocketAddr {
        let (_, addr) = line.trim().rsplit_once("//").expect("an address");
        addr.parse().expect("an address")
    };
    assert_eq!(order(addr(&main)).code(), "admin_listener");
    assert_ne!(order(addr(&admin)).code(), "admin_listener");
    served.signal("-TERM");
    assert_eq!(served.end().code(), Some(0));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|addr| (addr.to_string(), taken))
        .expect("a port");
    insta::assert_snapshot!(told(&mut serve(&taken.0)).replace(&taken.0, "ADDRESS"), @r"
    exit 1
    --- standard error
    error: cannot listen on `ADDRESS` for administration
    cause: Address already in use (os error 98)
    hint: another process may listen there; name another `listen` in `[admin]`
    ");
}
