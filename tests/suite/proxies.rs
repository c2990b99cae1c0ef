//! A client behind a stock nginx: one that lets a stream through, and one that holds it back and cuts it off.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_client::{Client, ClientBuilder, Deadlines, Handle, Transport};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::sshd::skipped;
use headwater_tests::wait::wait_for;
use serde::Deserialize;

/// What an upstream may be silent for, instead of the minute of an nginx that was told nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// In proportion to that.
const LONG_POLL: Duration = Duration::from_secs(2);

/// A running nginx in front of one server.
struct Nginx {
    child: Child,
    addr: SocketAddr,
    _files: tempfile::TempDir,
}

impl Nginx {
    /// None where it is not installed.
    fn before(upstream: SocketAddr, more: &str) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            assert!(std::env::var_os("CI").is_none(), "`.ci/install` installs nginx");
            skipped("no nginx is installed");
            return None;
        };
        let files = tempfile::tempdir().unwrap();
        // Somebody else may take the port before nginx does; then another one is tried.
        (0..5)
            .find_map(|_| {
                let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                let text = settings(files.path(), addr, upstream, more);
                std::fs::write(files.path().join("nginx.conf"), text).unwrap();
                let mut child = spawn(program, files.path());
                let is_up = wait_for("nginx to listen or to end", || {
                    let ended = child.try_wait().unwrap().is_some();
                    (ended || TcpStream::connect(addr).is_ok()).then_some(!ended)
                });
                is_up.then_some((child, addr))
            })
            .map_or_else(
                || {
                    let log = std::fs::read_to_string(files.path().join("error.log"));
                    panic!("nginx does not start: {log:?}")
                },
                Some,
            )
            .map(|(child, addr)| Self {
                child,
                addr,
                _files: files,
            })
    }

    fn client(&self) -> ClientBuilder {
        Client::builder(&format!("http://{}", self.addr))
            .instance("i-1")
            .patience(Duration::from_secs(20)) // a start behind a proxy must not need it, but the machine may be busy
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One process that stays in the foreground, so that its end is the end of all.
fn spawn(program: &str, dir: &Path) -> Child {
    Command::new(program)
        .arg("-p")
        .arg(dir)
        .arg("-e")
        .arg(dir.join("error.log"))
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx starts")
}

fn settings(dir: &Path, addr: SocketAddr, upstream: SocketAddr, more: &str) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {dir}/{name};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nevents {{}}\nhttp {{\n    access_log off;\n{temporary}\
        \x20   server {{\n        listen {addr};\n        location / {{\n            proxy_pass http://{upstream};\n\
        \x20           {more}\n        }}\n    }}\n}}\n"
    )
}

#[derive(Debug, Deserialize)]
struct Pool {
    max: u32,
}

fn pool(origin: &TestOrigin, max: u32) {
    let text = format!("max = {max}\n");
    origin.commit(&[("pool.toml", Some(&text))], "pool");
}

async fn until_transport(client: &Client, transport: Transport) {
    let reached = client.wait_until(|status| status.transport == Some(transport));
    let waited = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(waited.is_ok(), "never {transport:?}: {:?}", client.status());
}

/// Commits, and says how long it took until the program ran it.
async fn follow(origin: &TestOrigin, handle: &Handle<Pool>, max: u32) -> Duration {
    pool(origin, max);
    let committed = Instant::now();
    let client = handle.client();
    let reached = client.wait_until(|_| handle.load().max == max);
    let waited = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(waited.is_ok(), "never {max}: {:?}", client.status());
    committed.elapsed()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[test]
fn a_stream_comes_through_a_stock_nginx() {
    let origin = TestOrigin::new();
    pool(&origin, 1);
    let server = TestServer::of(&origin);
    let Some(nginx) = Nginx::before(server.addr(), "") else {
        return;
    };
    run(async {
        let client = nginx.client().start().await.unwrap();
        let handle = client.config::<Pool>("pool").open().await.unwrap();
        until_transport(&client, Transport::Stream).await;
        for max in 2..6 {
            let took = follow(&origin, &handle, max).await;
            assert!(took < Deadlines::default().answer, "held back for {took:?}");
        }
        assert_eq!(client.status().transport, Some(Transport::Stream));
    });
}

#[test]
fn behind_an_nginx_that_buffers_and_cuts_a_program_stays_current_within_one_long_poll() {
    let origin = TestOrigin::new();
    pool(&origin, 1);
    let server = TestServer::of(&origin);
    let cuts = format!(
        "proxy_ignore_headers X-Accel-Buffering; proxy_read_timeout {}s;",
        READ_TIMEOUT.as_secs()
    );
    let Some(nginx) = Nginx::before(server.addr(), &cuts) else {
        return;
    };
    let deadlines = Deadlines {
        answer: Duration::from_secs(2),
        long_poll: LONG_POLL,
        ..Deadlines::default()
    };
    run(async {
        // To begin with, nothing is known, and the stream does not even open: the value comes all the same.
        let client = nginx.client().deadlines(deadlines).start().await.unwrap();
        let handle = client.config::<Pool>("pool").open().await.unwrap();
        // Before it has found out, each new try of a stream begins with a compare.
        follow(&origin, &handle, 2).await;
        until_transport(&client, Transport::LongPoll).await;
        for max in 3..8 {
            let took = follow(&origin, &handle, max).await;
            assert!(took < READ_TIMEOUT + LONG_POLL, "held back for {took:?}");
        }
        // Quiet for longer than nginx allows: the polls end before it cuts them, so nothing is given up.
        let quiet = Instant::now();
        let cut = client.wait_until(|status| status.transport != Some(Transport::LongPoll));
        let cut = tokio::time::timeout(2 * READ_TIMEOUT, cut).await;
        assert!(
            cut.is_err(),
            "cut after {:?}: {:?}",
            quiet.elapsed(),
            client.status()
        );
        assert!(follow(&origin, &handle, 8).await < READ_TIMEOUT + LONG_POLL);
    });
}
