//! Killed as by `kill -9`, at each step from the request to the commit on the branch.
//!
//! The steps are those after which something else is on a disk. Where one of them has to be held open, the upstream
//! holds it, so that the program has no places for tests.

use headwater_tests::http::Ask;
use headwater_tests::served::Served;

use super::*;

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_served");
/// A hook that says that it was reached by a push to a branch, and goes on when it is told to. Notes pass.
pub(super) const WAITS: &str =
    "grep refs/heads/ >/dev/null || exit 0; touch reached; while [ ! -e go ]; do sleep 0.02; done";

/// A service that writes, as a process.
pub(super) fn served(origin: &TestOrigin, data: &tempfile::TempDir) -> Served {
    Served::start_writing(PROGRAM, &origin.path_url(), data.path(), &[])
}

pub(super) fn value(served: &Served) -> Value {
    Ask::get("/v1/repos/default/configs/app")
        .send(served.addr())
        .expect(200)
        .json()["document"]["v"]
        .clone()
}

/// Asks for a rollback of a process that may not live to answer.
pub(super) fn ask(served: &Served) -> std::thread::JoinHandle<()> {
    let addr = served.addr();
    std::thread::spawn(move || {
        let body = to("HEAD~1").to_string();
        let ask = Ask::new("POST", ROLLBACKS).body("application/json", body.as_bytes());
        drop(ask.open(addr));
    })
}

pub(super) fn until_served(process: &Served) {
    let ask = Ask::get("/v1/repos/default/configs/app");
    wait_until("served", || ask.send(process.addr()).status == 200);
}

/// After the restart: the restored content is served from the first answer on, and the branch gets the commit once.
#[track_caller]
fn assert_finishes(origin: &TestOrigin, process: &Served, bad: &CommitId, go_on: impl FnOnce()) {
    until_served(process);
    assert_eq!(value(process), 1);
    go_on();
    process.until("landed", |repo| {
        repo["head_state"] == "published" && repo["tip"] != bad.as_str()
    });
    assert_eq!(value(process), 1);
    assert_eq!(length(origin), 3);
    let list = Ask::get(ROLLBACKS).send(process.addr()).expect(200).json();
    let rollbacks = list["rollbacks"].as_array().unwrap();
    assert_eq!((rollbacks.len(), &rollbacks[0]["state"]), (1, &json!("pushed")));
    let holds = Ask::get("/v1/repos/default/holds").send(process.addr()).json();
    assert_eq!(holds, json!({"holds": []}));
}

/// A process that serves the second of two commits.
fn started(origin: &TestOrigin, data: &tempfile::TempDir) -> (Served, CommitId) {
    let bad = history(origin, 2).remove(1);
    let process = served(origin, data);
    process.until("published", |repo| repo["tip"] == bad.as_str());
    (process, bad)
}

#[test]
fn between_the_request_and_the_decision_nothing_or_everything_has_happened() {
    // Wherever these moments fall, whoever asks again gets one rollback.
    for moment in 0..8 {
        let origin = TestOrigin::new();
        let data = tempfile::tempdir().unwrap();
        let (process, bad) = started(&origin, &data);
        let asked = ask(&process);
        for _ in 0..moment {
            process.repo();
        }
        process.kill();
        asked.join().unwrap();
        let process = served(&origin, &data);
        until_served(&process);
        let body = to("HEAD~1").to_string();
        let again = Ask::new("POST", ROLLBACKS).body("application/json", body.as_bytes());
        again.send(process.addr()).expect(201);
        assert_finishes(&origin, &process, &bad, || {});
    }
}

#[test]
fn after_the_decision_and_before_anything_was_sent() {
    let origin = TestOrigin::new();
    let data = tempfile::tempdir().unwrap();
    let (process, bad) = started(&origin, &data);
    let away = Away::send(&origin);
    let asked = ask(&process);
    wait_until("the effect", || value(&process) == 1);
    process.kill();
    asked.join().unwrap();
    let process = served(&origin, &data);
    assert_finishes(&origin, &process, &bad, || drop(away));
}

#[test]
fn while_the_upstream_thinks_about_the_push_and_after_it_took_it_without_saying_so() {
    for hook in ["pre-receive", "post-receive"] {
        let origin = TestOrigin::new();
        let data = tempfile::tempdir().unwrap();
        let (process, bad) = started(&origin, &data);
        origin.hook(hook, WAITS);
        let asked = ask(&process);
        wait_until("the hook", || origin.path().join("reached").exists());
        process.kill();
        asked.join().unwrap();
        let process = served(&origin, &data);
        let go = origin.path().join("go");
        assert_finishes(&origin, &process, &bad, || std::fs::write(go, "").unwrap());
    }
}

#[test]
fn after_the_push_and_before_the_branch_was_looked_at() {
    let origin = TestOrigin::new();
    let data = tempfile::tempdir().unwrap();
    let (process, bad) = started(&origin, &data);
    // Who pushes is told that it arrived; who lists sees no branch.
    origin.hook("post-receive", "git config uploadpack.hideRefs refs/heads/main");
    let asked = ask(&process);
    process.until("a branch that is not seen", |repo| {
        repo["source_state"] == "branch_missing"
    });
    process.kill();
    asked.join().unwrap();
    std::fs::remove_file(origin.path().join("hooks/post-receive")).unwrap();
    let process = served(&origin, &data);
    assert_finishes(&origin, &process, &bad, || {
        origin.git(&["config", "--unset", "uploadpack.hideRefs"]);
    });
}

/// Where a proposal was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Its branch is there, and nobody has said so.
    Branch,
    /// The pull request is there as well.
    PullRequest,
    /// That is known.
    Noted,
}

#[test]
fn around_a_pull_request_there_is_one_and_its_merge_is_recognised() {
    for cut in [Cut::Branch, Cut::PullRequest, Cut::Noted] {
        let origin = TestOrigin::new();
        let (forge, dir, _) = with_forge(&origin);
        forge.protect(&origin, "main");
        let (data, bad) = (tempfile::tempdir().unwrap(), history(&origin, 2).remove(1));
        let start = || {
            let token = dir.path().join("token").display().to_string();
            let forge = ["--forge", &forge.api_url("/api/v1"), &token].map(str::to_owned);
            Served::start_writing(PROGRAM, &origin.path_url(), data.path(), &forge)
        };
        let process = start();
        process.until("published", |repo| repo["tip"] == bad.as_str());
        if cut != Cut::Noted {
            origin.hook("post-receive", WAITS);
        }
        let asked = ask(&process);
        let branches = || {
            origin.git(&[
                "for-each-ref",
                "--format=%(refname:short)",
                "refs/heads/headwater",
            ])
        };
        wait_until("its branch", || !branches().is_empty());
        if cut == Cut::Noted {
            wait_until("the pull request", || forge.pulls().len() == 1);
            wait_until("noted", || {
                let list = Ask::get(ROLLBACKS).send(process.addr()).json();
                list["rollbacks"][0]["state"] == "proposed"
            });
        }
        process.kill();
        asked.join().unwrap();
        let branch = branches().trim().to_owned();
        std::fs::write(origin.path().join("go"), "").unwrap();
        if cut == Cut::PullRequest {
            open_pull(&forge, &branch);
        }
        let process = start();
        until_served(&process);
        wait_until("proposed", || {
            let list = Ask::get(ROLLBACKS).send(process.addr()).json();
            list["rollbacks"][0]["state"] == "proposed"
        });
        assert_eq!(forge.pulls().len(), 1, "{cut:?}");
        assert_finishes(&origin, &process, &bad, || {
            origin.git(&["update-ref", "refs/heads/main", &branch]);
        });
    }
}

/// Opens the pull request as the process did before it was killed.
fn open_pull(forge: &TestForge, branch: &str) {
    let url: http::Uri = forge.api_url("/api/v1/repos/acme/config/pulls").parse().unwrap();
    let body = json!({"head": branch, "base": "main", "title": "Roll back"}).to_string();
    let addr = url.authority().unwrap().as_str().parse().unwrap();
    Ask::new("POST", url.path())
        .header("authorization", "token secret")
        .body("application/json", body.as_bytes())
        .send(addr)
        .expect(201);
}
