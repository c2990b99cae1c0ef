//! The command and the server say the same of the same commit.

use std::time::{Duration, Instant};

use headwater_client::{Api, RepoApi};
use headwater_tests::origin::TestOrigin;
use headwater_wire::{CheckView, CommitId, HeadState};

use crate::command::{PATIENCE, Running, WorkTree, program};

/// A server as a process, and a client of it.
struct Served {
    _process: Running,
    _data: WorkTree,
    repo: RepoApi,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    fn start(origin: &TestOrigin) -> Self {
        let data = WorkTree::plain();
        let mut command = program(data.path());
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--poll-interval",
            "1s",
            "--log",
            "error",
        ]);
        command.arg("--repo").arg(origin.path());
        let mut process = Running::start(&mut command);
        let line = process.line("listening on ");
        let server = line.trim_start_matches("listening on ").to_owned();
        let api = Api::builder(&server).build().expect("a client");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            _process: process,
            _data: data,
            repo: api.in_repo(&"default".parse().unwrap()),
            runtime,
        }
    }

    /// Waits until the server has decided about the commit.
    fn decided(&self, commit: &CommitId) {
        let until = Instant::now() + PATIENCE;
        loop {
            let view = self.runtime.block_on(self.repo.view());
            if let Ok(view) = view
                && view.head.as_ref() == Some(commit)
                && view.head_state != HeadState::Validating
            {
                return;
            }
            assert!(Instant::now() < until, "{commit} is not decided");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn verdict(&self, commit: &CommitId) -> CheckView {
        self.runtime
            .block_on(self.repo.check(commit.as_str()))
            .expect("a verdict")
    }
}

fn command_verdict(origin: &TestOrigin, commit: &CommitId) -> CheckView {
    let output = program(&origin.path())
        .args(["check", commit.as_str(), "--format", "json"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Commits each change after the server has decided about the one before.
fn assert_same_verdicts(changes: &[&[(&str, Option<&str>)]]) {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("README.md", Some("one"))], "first");
    let served = Served::start(&origin);
    served.decided(&first);
    for (index, change) in changes.iter().enumerate() {
        let commit = origin.commit(change, &format!("change {index}"));
        served.decided(&commit);
        assert_eq!(
            command_verdict(&origin, &commit),
            served.verdict(&commit),
            "change {index}"
        );
    }
}

#[test]
fn with_a_manifest() {
    let manifest = "format = 1\n[[config]]\nname = \"{s}\"\nlayers = [\"s/{s}.yaml\", \"env.toml?\"]\nschema = \"schema.json?\"\n";
    assert_same_verdicts(&[
        &[
            ("headwater.toml", Some(manifest)),
            ("s/a.yaml", Some("port: 1\n")),
        ],
        &[("s/b.yaml", Some("port: 1\nport: 2\n"))],
        &[("s/b.yaml", Some("port: 1\n")), ("env.toml", Some("port = 1\n"))],
        &[(
            "schema.json",
            Some("{\"properties\": {\"port\": {\"minimum\": 2}}}"),
        )],
        &[(
            "schema.json",
            Some("{\"properties\": {\"port\": {\"minimum\": \"2\"}}}"),
        )],
        &[
            ("schema.json", None),
            ("headwater.toml", Some("format = 1\nunknown = 2\n[[config]]\n")),
        ],
        &[("headwater.toml", Some(manifest))],
    ]);
}

#[test]
fn without_a_manifest() {
    assert_same_verdicts(&[
        &[("a.yaml", Some("x: 1\n")), ("never.json", Some("{"))],
        &[("a.yaml", Some("x: [\n"))],
        // The head before was rejected, so this one is judged against the good one before it.
        &[("c.yaml", Some("x: 1\n"))],
        &[("c.toml", Some("x = 1\n"))],
        &[("a.yaml", None)],
        &[("a.yaml", Some("x: [\n"))],
        &[("a.yaml", Some("x: 1\n"))],
    ]);
}
