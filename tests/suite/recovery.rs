//! P9: whatever happens to the upstream, the disk or the process is a named state; the last good commit is served
//! through it, and it ends by itself.

use std::time::Duration;

use headwater_tests::git_http::{Fault, FaultOn, GitHttp};
use headwater_tests::hostile::{Hostile, Script};
use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::served::Served;
use headwater_tests::server::{Stopped, TestServer, corrupt_packs};
use headwater_tests::sshd::skipped;
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::CommitId;

const PROGRAM: &str = env!("CARGO_BIN_EXE_served");

pub(super) fn set(origin: &TestOrigin, value: u32) -> CommitId {
    origin.commit(
        &[("app.json", Some(&format!("{{\"v\": {value}}}")))],
        &format!("v = {value}"),
    )
}

/// Asserts that the value of the config is served.
#[track_caller]
pub(super) fn assert_serves(server: &TestServer, value: u32) {
    let reply = server.config("app", None).expect(200);
    assert_eq!(reply.json()["document"]["v"], value);
}

pub(super) fn generation(server: &TestServer) -> u64 {
    server.config("app", None).expect(200).json()["generation"]
        .as_u64()
        .expect("a number")
}

#[test]
fn an_upstream_that_is_gone_is_named_and_found_again() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let away = origin.root().join("away");
    std::fs::rename(origin.path(), &away).expect("a renamed origin");
    let repo = server.until_source("not_found");
    assert!(repo["error"].is_string() && repo["hint"].is_string());
    server.until("stale", |repo| repo["stale"] == true);
    assert_eq!(
        server.config("app", None).expect(200).must("headwater-stale"),
        "true"
    );
    std::fs::rename(&away, origin.path()).expect("a renamed origin");
    let second = set(&origin, 2);
    server.until_tip(&second);
    let repo = server.until("fresh", |repo| {
        repo["stale"] == false && repo["source_state"] == "ok"
    });
    assert_eq!(repo.get("error"), None);
}

#[test]
fn each_way_an_upstream_fails_over_http_is_a_named_state_and_ends_by_itself() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let upstream = GitHttp::plain(origin.root());
    let server = Stopped::of(&upstream.url()).impatient().each(|repo| {
        repo.mirror_limits.list = Duration::from_secs(3);
        repo.mirror_limits.fetch = Duration::from_secs(3);
        repo.mirror_limits.idle = Duration::from_secs(1);
    });
    let server = server.start();
    server.until_tip(&first);
    for (fault, expected) in [
        (Fault::Status(503), "unreachable"),
        (Fault::Status(401), "auth_required"),
        (Fault::Status(403), "auth_failed"),
        (Fault::Status(404), "not_found"),
        (Fault::Silent, "timed_out"),
        (Fault::Truncate(10), "bad_answer"),
    ] {
        upstream.fail_with(fault.clone());
        let repo = server.until(&format!("{fault:?}"), |repo| repo["source_state"] != "ok");
        let also = ["unreachable", "timed_out", "bad_answer"];
        let state = repo["source_state"].as_str().expect("a state");
        assert!(
            state == expected || (also.contains(&expected) && also.contains(&state)),
            "{fault:?}: {repo}"
        );
        assert!(repo["error"].is_string() && repo["hint"].is_string(), "{repo}");
        assert_serves(&server, 1);
        upstream.fail_with(Fault::None);
        server.until_source("ok");
    }
    // A fetch that breaks in the middle leaves the last good commit, and the next one succeeds.
    upstream.fail_on(FaultOn::Fetch, Fault::Truncate(30));
    let second = set(&origin, 2);
    server.until("failed", |repo| repo["source_state"] != "ok");
    assert_serves(&server, 1);
    upstream.fail_with(Fault::None);
    server.until_tip(&second);
}

#[test]
fn a_peer_that_accepts_and_stays_silent_is_timed_out_and_holds_up_no_reader_and_no_stop() {
    let liar = Hostile::start(Script::Silent);
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&liar.url())
        .and("good", &origin.path_url())
        .impatient()
        .each(|repo| {
            if repo.name.as_str() == "good" {
                repo.mirror_limits = headwater_server::git::limits::MirrorLimits::default();
            }
        });
    let server = server.start();
    server.until_source("timed_out");
    // Asked before anything else is waited for, since the pauses between two tries grow.
    let connections = liar.connections();
    wait_until("asked again", || liar.connections() > connections);
    wait_until("the other one is served", || {
        server.get("/v1/repos/good").json()["tip"] == first.as_str()
    });
    server.get("/readyz").expect(200);
}

#[test]
fn a_restart_while_the_upstream_is_down_serves_the_last_good_commit_and_says_stale() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let stopped = server.stop();
    let away = origin.root().join("away");
    std::fs::rename(origin.path(), &away).expect("a renamed origin");
    let server = stopped.start();
    let reply = wait_for("served", || {
        Some(server.config("app", None)).filter(|reply| reply.status == 200)
    });
    assert_eq!(reply.must("headwater-stale"), "true");
    assert_eq!(reply.json()["version"], first.as_str());
    let repo = server.until_source("not_found");
    assert_eq!(repo["tip"], first.as_str());
    assert_eq!(repo["stale"], true);
    server.get("/readyz").expect(200);
    server
        .get(&format!("/v1/repos/default/commits/{first}/files/app.json"))
        .expect(200);
    std::fs::rename(&away, origin.path()).expect("a renamed origin");
    let second = set(&origin, 2);
    server.until_tip(&second);
}

#[test]
fn a_restart_with_a_rejected_head_serves_the_last_good_commit_and_still_says_why() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let bad = origin.commit(&[("app.json", Some("{,}"))], "bad");
    let server = TestServer::of(&origin);
    // The first start sees both at once: nothing was good in an exposed commit, so push another bad one afterwards.
    server.until("decided", |repo| {
        repo["head"] == bad.as_str() && repo["head_state"] != "validating"
    });
    let good = set(&origin, 3);
    server.until_tip(&good);
    let worse = origin.commit(&[("app.json", Some("{,,}"))], "worse");
    server.until_head(&worse, "rejected");
    let stopped = server.stop();
    std::fs::rename(origin.path(), origin.root().join("away")).expect("a renamed origin");
    let server = stopped.start();
    let repo = server.until_source("not_found");
    assert_eq!(repo["head"], worse.as_str());
    assert_eq!(repo["head_state"], "rejected");
    assert!(!repo["findings"].as_array().expect("findings").is_empty());
    assert_serves(&server, 3);
    assert_ne!(first, good);
}

#[test]
fn the_generation_never_falls_over_restarts_and_lost_directories() {
    let origin = TestOrigin::new();
    let mut server = Stopped::of(&origin.path_url()).start();
    let mut last = 0;
    for (value, loss) in [
        (1, ""),
        (2, "mirrors"),
        (3, "decisions.redb"),
        (4, ""),
        (5, "everything"),
        (6, ""),
    ] {
        let commit = set(&origin, value);
        server.until_tip(&commit);
        let now = generation(&server);
        assert!(now > last, "{now} after {last}");
        last = now;
        let halted = server.stop();
        let gone = match loss {
            "everything" => halted.data_dir(),
            part => halted.data_dir().join(part),
        };
        if !loss.is_empty() {
            if gone.is_dir() {
                std::fs::remove_dir_all(&gone).expect("a lost directory");
            } else {
                std::fs::remove_file(&gone).expect("a lost file");
            }
        }
        server = halted.start();
        let again = wait_for("served", || {
            let reply = server.config("app", None);
            (reply.status == 200).then(|| reply.json()["generation"].as_u64().expect("a number"))
        });
        assert!(again >= last, "{again} after {last}, without {loss}");
    }
}

#[test]
fn a_mirror_that_was_deleted_while_stopped_is_fetched_again() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let stopped = server.stop();
    std::fs::remove_dir_all(stopped.mirror_dir()).expect("a deleted mirror");
    let server = stopped.start();
    wait_until("served", || server.config("app", None).status == 200);
    assert_serves(&server, 1);
    let second = set(&origin, 2);
    server.until_tip(&second);
    server
        .get(&format!("/v1/repos/default/commits/{first}/files/app.json"))
        .expect(200);
}

#[test]
fn a_mirror_that_was_deleted_while_stopped_and_an_upstream_that_is_down_is_a_named_state() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let stopped = server.stop();
    std::fs::remove_dir_all(stopped.mirror_dir()).expect("a deleted mirror");
    let away = origin.root().join("away");
    std::fs::rename(origin.path(), &away).expect("a renamed origin");
    let server = stopped.start();
    server.until_source("not_found");
    assert_eq!(server.config("app", None).expect(503).code(), "not_ready");
    std::fs::rename(&away, origin.path()).expect("a renamed origin");
    wait_until("served", || server.config("app", None).status == 200);
    assert_serves(&server, 1);
}

#[test]
fn a_mirror_that_is_damaged_while_running_is_rebuilt_when_somebody_reads_from_it() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    assert!(corrupt_packs(&server.mirror_dir()) > 0);
    // What is exposed is in memory and goes on.
    assert_serves(&server, 2);
    let target = format!("/v1/repos/default/commits/{first}/files/app.json");
    wait_until("readable again", || {
        let reply = server.get(&target);
        assert!(reply.status == 200 || reply.status >= 500, "{reply:?}");
        assert!(reply.status != 200 || reply.text() == "{\"v\": 1}", "{reply:?}");
        reply.status == 200
    });
    let third = set(&origin, 3);
    server.until_tip(&third);
}

#[test]
fn a_mirror_that_is_damaged_while_running_is_rebuilt_by_the_next_push() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    assert!(corrupt_packs(&server.mirror_dir()) > 0);
    let second = set(&origin, 2);
    server.until_tip(&second);
    assert_serves(&server, 2);
    wait_until("readable again", || {
        server
            .get(&format!("/v1/repos/default/commits/{first}/files/app.json"))
            .status
            == 200
    });
}

#[test]
fn a_mirror_that_is_damaged_while_stopped_is_rebuilt_at_the_start() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let second = set(&origin, 2);
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    let stopped = server.stop();
    assert!(corrupt_packs(&stopped.mirror_dir()) > 0);
    let server = stopped.start();
    wait_until("served", || server.config("app", None).status == 200);
    assert_serves(&server, 2);
    wait_until("readable again", || {
        server
            .get(&format!("/v1/repos/default/commits/{first}/files/app.json"))
            .status
            == 200
    });
    let third = set(&origin, 3);
    server.until_tip(&third);
}

#[test]
fn a_data_directory_that_is_deleted_while_running_is_made_again() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    // Moved away first: a removal in place races with a service that writes into what is being removed.
    let gone = server.data_dir().join("mirrors.gone");
    std::fs::rename(server.data_dir().join("mirrors"), &gone).expect("a directory that is away");
    std::fs::remove_dir_all(&gone).expect("a deleted directory");
    assert_serves(&server, 1);
    let second = set(&origin, 2);
    server.until_tip(&second);
    assert_serves(&server, 2);
    wait_until("readable again", || {
        server
            .get(&format!("/v1/repos/default/commits/{first}/files/app.json"))
            .status
            == 200
    });
}

#[test]
fn a_store_full_of_garbage_is_set_aside_and_everything_but_acceptances_is_worked_out_again() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let mut stopped = server.stop();
    let file = stopped.data_dir().join("decisions.redb");
    let good = std::fs::read(&file).expect("a store");
    let garbage: Vec<u8> = good.iter().map(|byte| byte ^ 0xa5).collect();
    let half = good.get(..good.len() / 2).expect("a half").to_vec();
    let holed: Vec<u8> = good
        .iter()
        .enumerate()
        .map(|(at, byte)| if at > 4_096 { byte ^ 0xff } else { *byte })
        .collect();
    for damaged in [garbage, half, holed, b"short".to_vec(), Vec::new()] {
        std::fs::write(&file, &damaged).expect("a damaged store");
        let server = stopped.start();
        wait_until("served", || server.config("app", None).status == 200);
        assert_serves(&server, 1);
        server.until_tip(&first);
        stopped = server.stop();
    }
}

#[test]
fn a_process_killed_again_and_again_in_the_middle_of_fetches_is_healthy_afterwards() {
    let origin = TestOrigin::new();
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut floor = 0;
    let filler: Vec<(String, String)> = (0..60)
        .map(|number| {
            (
                format!("filler/{number}.json"),
                format!("{{\"n\": \"{}\"}}", "y".repeat(3_000)),
            )
        })
        .collect();
    for round in 0..8_u32 {
        let text: Vec<(String, String)> = filler
            .iter()
            .map(|(path, text)| (path.clone(), text.replace('y', &round.to_string())))
            .collect();
        let mut edits: Vec<(&str, Option<&str>)> = text
            .iter()
            .map(|(path, text)| (path.as_str(), Some(text.as_str())))
            .collect();
        let app = format!("{{\"v\": {round}}}");
        edits.push(("app.json", Some(&app)));
        let commit = origin.commit(&edits, "much");
        let served = Served::start(PROGRAM, &origin.path_url(), data.path());
        // Killed at another place each time: at once, while it fetches, while it judges, when it is done.
        if round % 4 == 3 {
            served.until("published", |repo| repo["tip"] == commit.as_str());
        } else {
            wait_until("somewhere in a fetch", || {
                let mirror = data.path().join("mirrors/default/repository.git/objects/pack");
                let packs = std::fs::read_dir(mirror).map_or(0, Iterator::count);
                packs > usize::try_from(round).expect("a small number")
                    || served.repo()["tip"] == commit.as_str()
            });
        }
        let reply = Ask::get("/v1/repos/default/configs/app").send(served.addr());
        if reply.status == 200 {
            let now = reply.json()["generation"].as_u64().expect("a number");
            assert!(now >= floor, "{now} after {floor}");
            floor = now;
        }
        served.kill();
    }
    let last = set(&origin, 100);
    let served = Served::start(PROGRAM, &origin.path_url(), data.path());
    served.until("published", |repo| repo["tip"] == last.as_str());
    for commit in origin.git(&["rev-list", "main"]).lines() {
        let target = format!("/v1/repos/default/commits/{commit}/files/app.json");
        let shown = origin.git_bytes(&["show", &format!("{commit}:app.json")]);
        assert_eq!(Ask::get(&target).send(served.addr()).expect(200).body, shown);
    }
}

#[test]
fn a_terminated_process_says_goodbye_and_ends_well() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let data = tempfile::tempdir().expect("a temporary directory");
    let served = Served::start(PROGRAM, &origin.path_url(), data.path());
    served.until("published", |repo| repo["tip"] == first.as_str());
    let events =
        headwater_tests::sse::Events::open(served.addr(), &Ask::get("/v1/repos/default/events?config=app"));
    events.until_version(&first);
    served.signal("HUP");
    assert_eq!(served.repo()["tip"], first.as_str());
    served.signal("TERM");
    events.until("goodbye", |events| {
        events.iter().any(|event| event.name == "goaway")
    });
    assert!(served.wait().success());
}

#[test]
fn a_second_process_on_one_data_directory_is_refused() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let data = tempfile::tempdir().expect("a temporary directory");
    let served = Served::start(PROGRAM, &origin.path_url(), data.path());
    served.until("published", |repo| repo["tip"] == first.as_str());
    let second = Served::start(PROGRAM, &origin.path_url(), data.path());
    assert!(!second.wait().success());
    assert_eq!(served.repo()["tip"], first.as_str());
}

#[test]
fn readers_that_hang_up_leave_no_descriptor_behind() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let data = tempfile::tempdir().expect("a temporary directory");
    let served = Served::start(PROGRAM, &origin.path_url(), data.path());
    served.until("published", |repo| repo["tip"] == first.as_str());
    let held = Ask::get("/v1/repos/default/configs/app")
        .send(served.addr())
        .must("etag")
        .to_owned();
    let quiet = served.descriptors();
    let open: Vec<_> = (0..100)
        .map(|_| {
            use std::io::Write as _;
            let ask = Ask::get("/v1/repos/default/configs/app?wait=300").header("if-none-match", &held);
            let mut stream = std::net::TcpStream::connect(served.addr()).expect("a connection");
            stream.write_all(&ask.bytes()).expect("a request");
            stream
        })
        .collect();
    // A listing may have had some of its own open when it was quiet.
    wait_until("a hundred wait", || served.descriptors() >= quiet + 90);
    drop(open);
    wait_until("all are gone", || served.descriptors() <= quiet + 10);
}

#[test]
fn a_full_disk_is_a_named_state_and_ends_when_there_is_room_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skipped("a small file system cannot be mounted here");
        return;
    }
    let _unmount = Unmount(dir.path().to_owned());
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.data_dir = dir.path().join("data"))
        .start();
    server.until_tip(&first);
    let filler = dir.path().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[1; 4_096]).is_ok() {}
    let blob: String = (0..200_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let second = origin.commit(
        &[("app.json", Some("{\"v\": 2}")), ("noise.txt", Some(&blob))],
        "two",
    );
    let repo = server.until("named", |repo| repo["source_state"] != "ok");
    assert_eq!(repo["source_state"], "storage_full", "{repo}");
    assert!(repo["hint"].is_string());
    assert_serves(&server, 1);
    drop(file);
    std::fs::remove_file(&filler).expect("room");
    server.until_tip(&second);
    server.until_source("ok");
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // Lazily: the server may still have files open.
        std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status()
            .ok();
    }
}

#[test]
fn what_was_admitted_is_served_after_a_restart_with_lower_limits() {
    let origin = TestOrigin::new();
    let long = format!("{{\"v\": \"{}\"}}", "x".repeat(1_200_000));
    let first = origin.commit(
        &[
            (
                "headwater.toml",
                Some("format = 1\n[limits]\nfile_bytes = 4000000\n"),
            ),
            ("app.json", Some(&long)),
        ],
        "long",
    );
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.limits.file_bytes = 4 << 20)
        .start();
    server.until_tip(&first);
    let server = server
        .stop()
        .with(|settings| settings.limits.file_bytes = 1 << 20)
        .start();
    server.until_tip(&first);
    wait_until("it is served", || {
        server.get("/v1/repos/default/configs/app").status == 200
    });
}

#[test]
fn a_commit_that_was_too_large_is_judged_again_once_there_is_more_room() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let long = format!("{{\"v\": \"{}\"}}", "x".repeat(1_200_000));
    let second = origin.commit(&[("app.json", Some(&long))], "long");
    server.until_head(&second, "rejected");
    let server = server
        .stop()
        .with(|settings| settings.limits.file_bytes = 4 << 20)
        .start();
    let third = origin.commit(&[("other.json", Some("{}"))], "anything");
    server.until_tip(&third);
    assert_eq!(
        server.config("app", None).expect(200).json()["version"],
        second.as_str()
    );
}

#[test]
fn a_process_that_dies_leaves_no_core_with_its_secrets() {
    let origin = TestOrigin::new();
    set(&origin, 1);
    let data = tempfile::tempdir().expect("a temporary directory");
    let served = Served::start(PROGRAM, &origin.path_url(), data.path());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(4..6), Some(&["0", "0"][..]), "{limits}");
}
