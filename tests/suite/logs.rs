//! What a log says of a hostile repository and its hostile users is inert: an event is a line, and nothing in it moves a
//! cursor, turns the direction of writing or is not seen.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use headwater_tests::http::Ask;
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::wait::wait_for;
use headwater_validators::is_unprintable;
use headwater_wire::CommitId;
use serde_json::{Value, json};

/// A new line that looks like one of ours, a sequence that clears a terminal, one of eight bits, NUL, and marks that turn
/// the direction.
const HOSTILE: &str =
    "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{9b}31m\u{0}\u{202e}\u{2066}\u{feff}\u{2028}y";

/// The same where the ends of lines and NUL cannot be.
const ON_ONE_LINE: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{feff}y";

/// A service whose log goes to a file.
struct Logging {
    child: Child,
    addr: SocketAddr,
}

impl Logging {
    fn start(origin: &TestOrigin, data: &Path, (format, log): (&str, &Path)) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_command"))
            .args(["serve", "--repo", &origin.path_url(), "--data-dir"])
            .arg(data)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--poll-interval",
                "1s",
                "--allow-write",
            ])
            .args(["--log", "info,headwater_server=debug", "--log-format", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let addr = line.trim().rsplit_once("//").unwrap().1.parse().unwrap();
        Self { child, addr }
    }

    fn until_head(&self, head: &CommitId, state: &str) {
        wait_for(&format!("{head} {state}"), || {
            let repo = Ask::get("/v1/repos/default").send(self.addr).json();
            (repo["head"] == head.as_str() && repo["head_state"] == state).then_some(())
        });
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> u16 {
        let ask = Ask::new(method, path).body("application/json", body.to_string().as_bytes());
        ask.send(self.addr).status
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whatever people and programs can say to a service.
fn say_everything(origin: &TestOrigin, service: &Logging) {
    let good = origin.commit(&[("app.json", Some("{\"v\": 1}"))], HOSTILE);
    service.until_head(&good, "published");
    let next = origin.commit(&[("app.json", Some("{\"v\": 2}"))], HOSTILE);
    service.until_head(&next, "published");
    let back = json!({"to": good.as_str(), "reason": HOSTILE});
    service.send("POST", "/v1/repos/default/rollbacks", &back);
    let back = json!({"to": good.as_str(), "reason": ON_ONE_LINE, "requested_by": ON_ONE_LINE});
    service.send("POST", "/v1/repos/default/rollbacks", &back);
    let labels = json!({"region": ON_ONE_LINE});
    let running = json!({"version": good.as_str(), "digest": format!("sha256:{}", "0".repeat(64))});
    let failed = json!({"state": "failed", "running": running, "generation": u64::from(u32::MAX) << 16,
        "error": {"phase": "fence", "message": HOSTILE}});
    let report =
        json!({"incarnation": 1, "seq": 1, "client": HOSTILE, "labels": labels, "configs": {"app": failed}});
    service.send("PUT", "/v1/repos/default/instances/%E2%80%AEi%1B", &report);
    service.send("PUT", "/v1/repos/default/instances/i-1", &report);
    service.send("GET", "/v1/repos/%E2%80%AE%0A%1B/configs", &Value::Null);
    // Of a file without an extension that is read, nothing is said.
    let path = r#""bad\nname\033[2J\302\233\342\200\256.json""#;
    let parent = origin.head("main");
    let broken = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent,
        merged: Vec::new(),
        entries: vec![
            ("100644", path, Some(b"{\"\xe2\x80\xae\": ".as_slice())),
            ("100644", "app.json", Some("{\"v\u{202e}\u{1b}: \n".as_bytes())),
        ],
        message: HOSTILE,
        at: None,
    });
    service.until_head(&broken, "rejected");
}

fn lines(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    for line in &lines {
        assert!(!line.contains(is_unprintable), "{line:?}");
    }
    assert!(
        text.contains("202e"),
        "something hostile is told of, as text: {text}"
    );
    lines
}

#[test]
fn hostile_text_is_inert_in_a_log_of_json() {
    let (origin, dir) = (TestOrigin::new(), tempfile::tempdir().unwrap());
    let log = dir.path().join("log");
    let service = Logging::start(&origin, &dir.path().join("data"), ("json", &log));
    say_everything(&origin, &service);
    drop(service);
    for line in lines(&log) {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string(), "{line}");
    }
}

#[test]
fn hostile_text_is_inert_in_a_log_of_text() {
    let (origin, dir) = (TestOrigin::new(), tempfile::tempdir().unwrap());
    let log = dir.path().join("log");
    let service = Logging::start(&origin, &dir.path().join("data"), ("text", &log));
    say_everything(&origin, &service);
    drop(service);
    for line in lines(&log) {
        let level = line.split_whitespace().nth(1).unwrap_or_default();
        assert!(
            ["DEBUG", "INFO", "WARN", "ERROR"].contains(&level) && !line.starts_with("2026-01-01T00:00:00Z"),
            "{line}"
        );
    }
}
