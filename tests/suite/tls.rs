//! The service over encrypted connections: who is let in, what is told, and how certificates are renewed.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use headwater_server::settings::{ClientCertificates, TlsSettings};
use headwater_tests::authority::{Authority, Signed};
use headwater_tests::http::{Ask, raw};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::CommitId;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

use crate::command::{program, told};
use crate::watch::set;

/// Watches that are held while certificates are replaced, if the environment does not say how many.
const HELD: usize = 100;

/// A service with certificates, and what a client needs to reach it.
struct House {
    origin: TestOrigin,
    dir: tempfile::TempDir,
    authority: Authority,
    server: TestServer,
}

impl House {
    fn new() -> Self {
        Self::with(&["localhost", "127.0.0.1"], |_, _| ClientCertificates::Off)
    }

    /// With a certificate for these names, and this said of clients.
    fn with(names: &[&str], clients: impl FnOnce(&Path, &Authority) -> ClientCertificates) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let authority = Authority::new();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).expect("a file");
        let (cert_file, key_file) = authority.signs_host(names).put(dir.path(), "server");
        let tls = TlsSettings {
            cert_file,
            key_file,
            clients: clients(dir.path(), &authority),
        };
        let tokens = dir.path().join("tokens.toml");
        let origin = TestOrigin::new();
        set(&origin, 1);
        let server = Stopped::of(&origin.path_url())
            .with(|settings| {
                settings.tls = Some(tls);
                settings.tokens_file = tokens.exists().then_some(tokens);
            })
            .start();
        Self {
            origin,
            dir,
            authority,
            server,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// A command of `headwater` that speaks to it; the authority is known unless it is not to be.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.args(args);
        command.env(
            "HEADWATER_SERVER",
            format!("https://localhost:{}", self.addr().port()),
        );
        command.env("HEADWATER_CA_FILE", "ca.pem");
        command
    }

    /// What a command says; errors as people read them.
    fn run(&self, args: &[&str]) -> String {
        told(&mut self.command(args))
    }

    /// Waits until a command succeeds, as it does once the service has published.
    #[track_caller]
    fn until(&self, args: &[&str]) -> String {
        let mut last = String::new();
        wait_for("the command to succeed", || {
            last = self.run(args);
            last.starts_with("exit 0").then(|| last.clone())
        })
    }

    /// Sends a commit, and the command that shows it is there.
    fn publish(&self, value: u32) -> CommitId {
        let commit = set(&self.origin, value);
        self.until(&["get", "app", "--min-version", commit.as_str()]);
        commit
    }

    /// An encrypted connection, and what the service shows of itself on it.
    fn connect(&self) -> (Encrypted, Vec<u8>) {
        connect(self.addr(), &self.authority)
    }
}

/// An encrypted connection.
pub(crate) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// An encrypted connection to a service whose certificate an authority signed, and what it shows of itself on it.
pub(crate) fn connect(addr: SocketAddr, authority: &Authority) -> (Encrypted, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem().as_bytes();
    let authorities = tokio_rustls::rustls::pki_types::pem::PemObject::pem_slice_iter(pem);
    for authority in authorities {
        roots
            .add(authority.expect("a certificate"))
            .expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(addr).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_mins(2)))
        .expect("a timeout");
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).expect("a handshake");
    }
    let shown = tls.peer_certificates().expect("a certificate")[0].to_vec();
    (StreamOwned::new(tls, stream), shown)
}

#[test]
fn a_client_that_knows_the_authority_reads_watches_and_orders_as_without() {
    let house = House::new();
    assert!(house.until(&["get", "app", "/v"]).ends_with("1\n"));
    let second = house.publish(2);
    let watched = house.run(&["watch", "app", "--count", "1"]);
    assert!(
        watched.starts_with("exit 0") && watched.contains(second.short()),
        "{watched}"
    );
    let status = house.run(&["status"]);
    assert!(status.starts_with("exit 0"), "{status}");
}

#[test]
fn a_program_follows_over_an_encrypted_socket() {
    let house = House::new();
    house.until(&["get", "app"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = headwater_client::Client::builder(&format!("https://localhost:{}", house.addr().port()))
            .repo("default")
            .instance("web-1")
            .ca_pem(Some(house.authority.pem().as_bytes().to_vec()))
            .start()
            .await
            .expect("a client");
        let app: headwater_client::Handle<serde_json::Value> =
            client.config("app").open().await.expect("a value");
        assert_eq!(app.load()["v"], 1);
        set(&house.origin, 2);
        // The threads of the runtime go on while this one waits.
        wait_until("the second value", || app.load()["v"] == 2);
        // Reports go the same way.
        wait_until("the instance is known", || {
            house.run(&["instances"]).contains("web-1")
        });
    });
}

#[test]
fn who_cannot_trust_the_certificate_is_told_why_and_what_to_do() {
    let house = House::new();
    let elsewhere = House::with(&["elsewhere.example"], |_, _| ClientCertificates::Off);
    let unknown = told(house.command(&["get", "app"]).env_remove("HEADWATER_CA_FILE"));
    let other_name = elsewhere.run(&["get", "app"]);
    let clear = told(house.command(&["get", "app"]).env(
        "HEADWATER_SERVER",
        format!("http://localhost:{}", house.addr().port()),
    ));
    let said = [unknown, other_name, clear].join("\n");
    let ports = [house.addr().port(), elsewhere.addr().port()];
    let said = ports
        .iter()
        .fold(said, |said, port| said.replace(&port.to_string(), "PORT"));
    insta::assert_snapshot!(said, @r#"
    exit 3
    --- standard error
    error: cannot trust the server at `https://localhost:PORT`
    cause: invalid peer certificate: UnknownIssuer
    hint: give its authority's certificate with `--ca-file`, and ask by a name that its certificate has

    exit 3
    --- standard error
    error: cannot trust the server at `https://localhost:PORT`
    cause: invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for DnsName("elsewhere.example")
    hint: give its authority's certificate with `--ca-file`, and ask by a name that its certificate has

    exit 1
    --- standard error
    error: this port speaks HTTPS, and the request came in clear text
    hint: ask with an address that begins with `https://`
    "#);
}

#[test]
fn a_certificate_that_says_it_is_an_authority_is_told_how_to_be_made() {
    let house = House::new();
    let both = Authority::and_host_in_one(&["localhost"]);
    std::fs::write(house.dir.path().join("ca.pem"), &both.pem).expect("a file");
    both.put(house.dir.path(), "server");
    wait_until("the new certificate is shown", || {
        house
            .run(&["get", "app"])
            .contains("make one with `basicConstraints=CA:FALSE`")
    });
}

#[test]
fn a_request_in_clear_text_is_told_so_and_other_words_get_no_answer() {
    let house = House::new();
    let answer = raw(house.addr(), b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("https"), "{answer}");
    house.until(&["get", "app"]);
}

/// What `curl` says of the way it got there, or that it did not.
fn curl(house: &House, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--cacert"])
        .arg(house.dir.path().join("ca.pem"))
        .args(["--write-out", "%{http_version} %{http_code}"])
        .args(options)
        .arg(format!("https://localhost:{}/livez", house.addr().port()))
        .output()
        .expect("curl runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn both_versions_of_http_are_spoken_and_no_old_version_of_tls() {
    let house = House::new();
    assert_eq!(curl(&house, &["--http2"]), (Some(0), "2 200".to_owned()));
    assert_eq!(curl(&house, &["--http1.1"]), (Some(0), "1.1 200".to_owned()));
    for version in ["1.2", "1.3"] {
        let only = [&format!("--tlsv{version}"), "--tls-max", version];
        assert_eq!(curl(&house, &only).0, Some(0), "TLS {version}");
    }
    let old = ["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    assert_ne!(curl(&house, &old).0, Some(0));
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    /// It may.
    Not,
    /// It must.
    Have,
}

/// A service that asks for certificates, with two programs that its file of tokens knows.
fn asking(must: Must, taken_back: impl FnOnce(&Path, &Authority) -> Option<PathBuf>) -> House {
    House::with(&["localhost"], |dir, authority| {
        let entries = "[[certificate]]\nname = \"payments\"\nrole = \"reader\"\nsan = [\"URI:spiffe://prod/payments/*\"]\n\
                       [[certificate]]\nname = \"ops\"\nrole = \"operator\"\nsan = [\"URI:spiffe://prod/ops\"]\n";
        std::fs::write(dir.join("tokens.toml"), entries).expect("a file");
        ClientCertificates::Asked {
            ca_file: dir.join("ca.pem"),
            crl_file: taken_back(dir, authority),
            is_required: must == Must::Have,
        }
    })
}

/// Runs a command with a client's certificate.
fn as_client(house: &House, signed: &Signed, args: &[&str]) -> String {
    signed.put(house.dir.path(), "client");
    told(
        house
            .command(args)
            .args(["--client-cert", "client.pem", "--client-key", "client.key"]),
    )
}

#[test]
fn a_certificate_lets_in_whom_the_file_says_and_for_what_it_says() {
    let house = asking(Must::Not, |_, _| None);
    let [payments, ops, stranger] = [
        "spiffe://prod/payments/7",
        "spiffe://prod/ops",
        "spiffe://prod/web",
    ]
    .map(|uri| house.authority.signs_program(uri));
    wait_until("somebody reads", || {
        as_client(&house, &payments, &["get", "app"]).starts_with("exit 0")
    });
    let order = ["rollback", "--to", "HEAD", "--reason", "no"];
    let refused = as_client(&house, &payments, &order);
    assert!(refused.contains("has the role `reader`"), "{refused}");
    let ordered = as_client(&house, &ops, &order);
    assert!(!ordered.contains("has the role"), "{ordered}");
    let nobody = house.run(&["get", "app"]);
    assert!(nobody.starts_with("exit 1"), "{nobody}");
    let unknown = as_client(&house, &stranger, &["get", "app"]);
    assert!(unknown.contains("certificate"), "{unknown}");
    // Of another authority: it does not come through the handshake.
    let forged = Authority::new().signs_program("spiffe://prod/ops");
    let forged = as_client(&house, &forged, &["get", "app"]);
    assert!(!forged.starts_with("exit 0"), "{forged}");
}

#[test]
fn a_certificate_that_was_taken_back_lets_nobody_in_and_without_one_nobody_is() {
    let taken_back = std::cell::RefCell::new(None);
    let house = asking(Must::Have, |dir, authority| {
        let gone = authority.signs_program("spiffe://prod/payments/1");
        let list = dir.join("taken-back.pem");
        std::fs::write(&list, authority.takes_back(&[&gone])).expect("a file");
        taken_back.replace(Some(gone));
        Some(list)
    });
    let gone = taken_back.into_inner().expect("a certificate");
    let good = house.authority.signs_program("spiffe://prod/payments/2");
    wait_until("somebody reads", || {
        as_client(&house, &good, &["get", "app"]).starts_with("exit 0")
    });
    assert!(!as_client(&house, &gone, &["get", "app"]).starts_with("exit 0"));
    assert!(!house.run(&["get", "app"]).starts_with("exit 0"));
    // From the next reading of the list on.
    let list = house.authority.takes_back(&[&gone, &good]);
    std::fs::write(house.dir.path().join("taken-back.pem"), list).expect("a file");
    wait_until("nobody comes in any more", || {
        !as_client(&house, &good, &["get", "app"]).starts_with("exit 0")
    });
}

#[test]
fn certificates_are_replaced_under_watches_of_which_none_is_dropped() {
    let held = std::env::var("HEADWATER_HELD_WATCHES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(HELD);
    let house = House::new();
    house.until(&["get", "app"]);
    let watches = (0..held).map(|number| {
        let (mut stream, _) = house.connect();
        let ask = Ask::get(&format!(
            "/v1/repos/default/events?config=app&instance=held-{number}"
        ));
        stream.write_all(&ask.bytes()).expect("a request");
        let mut stream = BufReader::new(stream);
        until_version(&mut stream);
        stream
    });
    let mut watches: Vec<_> = watches.collect();
    let first = house.connect().1;
    house
        .authority
        .signs_host(&["localhost"])
        .put(house.dir.path(), "server");
    wait_until("the new certificate is shown", || house.connect().1 != first);
    let second = house.publish(2);
    for watch in &mut watches {
        assert!(until_version(watch).contains(second.as_str()));
    }
}

/// The next event that tells a version, which must come.
pub(crate) fn until_version(stream: &mut impl std::io::BufRead) -> String {
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).expect("a line");
        assert!(read > 0, "the watch was dropped");
        if line.starts_with("data:") && line.contains("\"version\"") {
            return line;
        }
    }
}

#[test]
fn who_never_speaks_keeps_nobody_waiting() {
    let house = House::new();
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(house.addr()).expect("a connection"))
        .collect();
    let mut half = TcpStream::connect(house.addr()).expect("a connection");
    half.write_all(&[22, 3, 1, 0, 200, 1]).expect("half a handshake");
    house.until(&["get", "app"]);
    // The handshake has its end, too.
    half.set_read_timeout(Some(Duration::from_mins(2)))
        .expect("a timeout");
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).ok();
    drop(silent);
}
