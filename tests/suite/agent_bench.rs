//! What the suites of the agent share: an upstream, a server behind an address that stays, and the agent as a process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headwater_tests::origin::TestOrigin;
use headwater_tests::relay::Relay;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::CommitId;
use serde_json::Value;

use crate::command::Running;

/// An upstream, a server that may be stopped, and a directory for agents.
pub(crate) struct Bench {
    pub(crate) origin: TestOrigin,
    server: Option<TestServer>,
    stopped: Option<Stopped>,
    relay: Relay,
    dir: tempfile::TempDir,
}

impl Bench {
    /// A running server with `a` and `b/c` at 1.
    pub(crate) fn start() -> Self {
        let origin = TestOrigin::new();
        let mut bench = Self {
            stopped: Some(Stopped::of(&origin.path_url())),
            server: None,
            relay: Relay::start(),
            dir: tempfile::tempdir().unwrap(),
            origin,
        };
        bench.up();
        bench.both("1");
        bench
    }

    /// Starts the server.
    pub(crate) fn up(&mut self) {
        let server = self.stopped.take().unwrap().start();
        self.relay.lead_to(Some(server.addr()));
        self.server = Some(server);
    }

    /// Stops the server.
    pub(crate) fn down(&mut self) {
        self.relay.lead_to(None);
        self.stopped = Some(self.server.take().unwrap().stop());
    }

    pub(crate) fn server(&self) -> &TestServer {
        self.server.as_ref().unwrap()
    }

    /// Commits both configs with a value, and waits until it is published.
    pub(crate) fn both(&self, value: &str) -> CommitId {
        let document = format!("{{\"value\": \"{value}\"}}");
        self.commit(&[("a.json", &document), ("b/c.json", &document)])
    }

    /// Commits files, and waits until they are published.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        let edits: Vec<(&str, Option<&str>)> =
            files.iter().map(|(path, text)| (*path, Some(*text))).collect();
        let commit = self.origin.commit(&edits, "change");
        self.server().until_tip(&commit);
        commit
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The agent without a program or a place, as instance `web-1`.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
        command
            .env_clear()
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .args([
                "--server",
                &self.relay.url(),
                "--instance",
                "web-1",
                "--log-format",
                "text",
            ])
            .arg("--cache-dir")
            .arg(self.path("cache"));
        command
    }

    /// The agent with both configs in `config`.
    pub(crate) fn agent(&self) -> Command {
        let mut command = self.bare();
        command.args(["--config", "a", "--config", "b/c", "--dir", "config"]);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Running {
        Running::start(self.agent().args(args))
    }

    /// The exit code of `--once`.
    pub(crate) fn once(&self, args: &[&str]) -> i32 {
        let output = self.agent().arg("--once").args(args).output().unwrap();
        output.status.code().unwrap()
    }

    /// `value` in a file of `config`.
    pub(crate) fn value(&self, file: &str) -> Option<String> {
        value_in(&self.path("config").join(file))
    }

    /// Waits until both files have a value.
    #[track_caller]
    pub(crate) fn until_both(&self, value: &str) {
        wait_until(&format!("both files at {value}"), || {
            ["a.json", "b/c.json"]
                .iter()
                .all(|file| self.value(file).as_deref() == Some(value))
        });
    }

    /// Lines of a file that programs of a test write.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn until_lines(&self, name: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} lines in {name}"), || {
            Some(self.lines(name)).filter(|lines| lines.len() >= count)
        })
    }

    /// Waits for what the agent reports of a config.
    #[track_caller]
    pub(crate) fn until_report(&self, config: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait_for(&format!("a report of {config}"), || {
            let reply = self.server().get("/v1/repos/default/instances/web-1");
            if reply.status != 200 {
                return None;
            }
            last = reply.json()["configs"][config].clone();
            is(&last).then(|| last.clone())
        })
    }

    /// A link that points nowhere, or a version that nobody uses, would be what a crash left.
    pub(crate) fn leftovers(&self) -> BTreeSet<String> {
        let root = self.path("config");
        let current = std::fs::read_link(root.join("..data")).ok();
        let entries = std::fs::read_dir(&root).unwrap().flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name.starts_with("..hw-") && Some(Path::new(name)) != current.as_deref())
            .collect()
    }
}

pub(crate) fn value_in(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    Some(document["value"].as_str()?.to_owned())
}
