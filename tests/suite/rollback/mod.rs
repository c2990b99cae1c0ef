//! Going back: instances first, Git afterwards, and what was bad does not come back by itself.

mod branch;
mod commands;
mod effect;
mod hanging;
mod holds;
mod killed;
mod refused;
mod released;

use std::path::PathBuf;

use headwater_tests::forge::{TestForge, gitea};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::recovery::{assert_serves, set};

pub(super) const ROLLBACKS: &str = "/v1/repos/default/rollbacks";

pub(super) fn writing(origin: &TestOrigin) -> Stopped {
    Stopped::of(&origin.path_url()).each(|repo| repo.write.allowed = true)
}

/// Commits `v` = 1, 2, … in turn, and gives their ids.
pub(super) fn history(origin: &TestOrigin, length: u32) -> Vec<CommitId> {
    (1..=length).map(|value| set(origin, value)).collect()
}

pub(super) fn to(rev: &str) -> Value {
    json!({"to": rev, "reason": "it broke", "requested_by": "Ada <ada@example.test>"})
}

/// What an answer says that did not wait for Git's: on a busy machine a push takes longer than an answer may.
pub(super) const UNHEARD: &str = "the upstream has not answered yet";

/// Goes back, and says how it stands once Git has answered.
#[track_caller]
pub(super) fn roll_back(server: &TestServer, request: &Value) -> Value {
    let answer = roll_back_unheard(server, request);
    if answer["why"] != UNHEARD {
        return answer;
    }
    let view = format!("{ROLLBACKS}/{}", text(&answer["id"]));
    wait_for("an answer of Git's", || {
        Some(server.get(&view).expect(200).json()).filter(|view| view["why"] != UNHEARD)
    })
}

/// The same where Git has nothing to say.
#[track_caller]
pub(super) fn roll_back_unheard(server: &TestServer, request: &Value) -> Value {
    server.post(ROLLBACKS, request).expect(201).json()
}

#[track_caller]
pub(super) fn until_state(server: &TestServer, id: &str, state: &str) -> Value {
    let mut last = Value::Null;
    wait_for(&format!("rollback {state}, last {last}"), || {
        last = server.get(&format!("{ROLLBACKS}/{id}")).expect(200).json();
        (last["state"] == state).then(|| last.clone())
    })
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn tree(origin: &TestOrigin, commit: &str) -> String {
    origin.git(&["rev-parse", &format!("{commit}^{{tree}}")])
}

/// The upstream is away until this is dropped.
pub(super) struct Away {
    here: PathBuf,
    there: PathBuf,
}

impl Away {
    pub(super) fn send(origin: &TestOrigin) -> Self {
        let (here, there) = (origin.path(), origin.root().join("away"));
        std::fs::rename(&here, &there).unwrap();
        Self { here, there }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        std::fs::rename(&self.there, &self.here).unwrap();
    }
}

pub(super) fn holds(server: &TestServer) -> Vec<Value> {
    let list = server.get("/v1/repos/default/holds").expect(200).json();
    list["holds"].as_array().cloned().unwrap_or_default()
}

/// Waits until something is served again after a start, and asserts what.
#[track_caller]
pub(super) fn assert_serves_again(server: &TestServer, value: u32) {
    wait_until("served again", || server.config("app", None).status == 200);
    assert_serves(server, value);
}

/// How many commits the branch has.
pub(super) fn length(origin: &TestOrigin) -> usize {
    let count = origin.git(&["rev-list", "--count", "main"]);
    count.trim().parse().unwrap()
}

/// Nobody may push; `git` itself still commits.
pub(super) fn refuse_pushes(origin: &TestOrigin) {
    origin.hook("pre-receive", "echo 'closed for the night' >&2; exit 1");
}

pub(super) fn take_pushes(origin: &TestOrigin) {
    std::fs::remove_file(origin.path().join("hooks/pre-receive")).unwrap();
}

/// A forge that holds the origin, and its settings.
pub(super) fn with_forge(origin: &TestOrigin) -> (TestForge, tempfile::TempDir, Stopped) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let forge = TestForge::start("secret");
    let settings = gitea(forge.api_url("/api/v1"), file);
    let stopped = writing(origin).with(|all| all.forges = vec![settings]);
    (forge, dir, stopped)
}
