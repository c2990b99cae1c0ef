//! Programs that live on the service: `Client` and `Handle` against a real server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use headwater_client::{Client, ClientBuilder, ClientStatus, Handle, OpenError, Transport, TransportChoice};
use headwater_tests::hostile::{Hostile, Script};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;
use headwater_wire::{ConfigName, FailPhase, ReportState, ValueSource};
use serde::Deserialize;

const PROBATION: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Pool {
    min: u32,
    max: u32,
}

fn check(pool: &Pool) -> Result<(), String> {
    if pool.min <= pool.max {
        Ok(())
    } else {
        Err(format!("min {} is above max {}", pool.min, pool.max))
    }
}

fn pool(origin: &TestOrigin, min: u32, max: u32) -> headwater_wire::CommitId {
    let text = format!("min = {min}\nmax = {max}\n");
    origin.commit(&[("pool.toml", Some(&text))], "pool")
}

fn config() -> ConfigName {
    "pool".parse().unwrap()
}

fn builder(server: &TestServer, cache: &Path) -> ClientBuilder {
    Client::builder(&format!("http://{}", server.addr()))
        .instance("i-1")
        .label("region", "eu")
        .cache_dir(cache)
        .probation(PROBATION)
        .patience(Duration::from_secs(20))
}

async fn open(client: &Client) -> Handle<Pool> {
    client.config::<Pool>("pool").check(check).open().await.unwrap()
}

async fn until(client: &Client, wanted: impl Fn(&ClientStatus) -> bool) -> Arc<ClientStatus> {
    let reached = client.wait_until(|status| wanted(status));
    let ended = tokio::time::timeout(Duration::from_mins(1), reached).await;
    let Ok(Some(status)) = ended else {
        panic!("never reached: {:?}", client.status())
    };
    status
}

async fn until_state(client: &Client, state: ReportState) -> Arc<ClientStatus> {
    until(client, |status| {
        status
            .configs
            .get(&config())
            .is_some_and(|report| report.state == state)
    })
    .await
}

async fn until_max(handle: &Handle<Pool>, max: u32) {
    until(handle.client(), |_| handle.load().max == max).await;
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
fn a_value_is_typed_follows_its_config_and_says_its_version() {
    let origin = TestOrigin::new();
    let first = pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = open(&client).await;
        assert_eq!(*handle.load(), Pool { min: 1, max: 10 });
        assert_eq!(handle.load().version(), Some(&first));
        assert_eq!(handle.load().source(), ValueSource::Server);
        let mut changes = handle.changes();
        let second = pool(&origin, 1, 20);
        let change = changes.next().await.unwrap();
        assert_eq!((change.old.value().max, change.new.value().max), (10, 20));
        assert_eq!(change.version(), Some(&second));
        assert_eq!(handle.load().max, 20);
    });
}

#[test]
fn a_value_that_fails_the_programs_check_is_refused_reported_and_followed_by_the_next_good_one() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = open(&client).await;
        pool(&origin, 5, 2);
        let status = until_state(&client, ReportState::Failed).await;
        let error = status.configs[&config()].error.clone().unwrap();
        assert_eq!(
            (error.phase, error.message.as_str()),
            (FailPhase::Validate, "min 5 is above max 2")
        );
        assert_eq!(*handle.load(), Pool { min: 1, max: 10 });
        let seen = wait_for("the report of the failure", || {
            let view = server.get("/v1/repos/default/instances/i-1").json();
            (view["configs"]["pool"]["state"] == "failed").then_some(view)
        });
        assert_eq!(
            seen["configs"]["pool"]["error"]["message"],
            "min 5 is above max 2"
        );
        assert_eq!(seen["labels"]["region"], "eu");

        origin.commit(
            &[("pool.toml", Some("min = 'x'\nmax = 3\n"))],
            "not even a number",
        );
        let status = until(&client, |status| {
            let error = status.configs[&config()].error.as_ref();
            error.is_some_and(|error| error.message.contains("`/min`"))
        })
        .await;
        assert_eq!(status.configs[&config()].state, ReportState::Failed);

        pool(&origin, 1, 30);
        until_max(&handle, 30).await;
        until_state(&client, ReportState::Confirmed).await;
    });
}

#[test]
fn with_the_server_down_a_program_starts_on_the_last_known_good_and_says_so() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        open(&client).await;
        until_state(&client, ReportState::Confirmed).await;
        client.stop().await;
        let down = builder(&server, cache.path());
        let stopped = tokio::task::block_in_place(|| server.stop());

        let client = down.start().await.unwrap();
        let handle = open(&client).await;
        assert_eq!(handle.load().max, 10);
        assert_eq!(handle.load().source(), ValueSource::LastKnownGood);

        let other = tempfile::tempdir().unwrap();
        let nobody = Client::builder("http://127.0.0.1:1")
            .cache_dir(other.path())
            .start()
            .await
            .unwrap();
        let refused = nobody.config::<Pool>("pool").open().await.unwrap_err();
        assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
        let default = Pool { min: 0, max: 1 };
        let handle = nobody
            .config("pool")
            .default_value(default.clone())
            .open()
            .await
            .unwrap();
        assert_eq!(
            (&*handle.load(), handle.load().source()),
            (&default, ValueSource::Default)
        );
        drop(stopped);
    });
}

#[test]
fn a_config_that_is_not_there_and_a_value_that_is_no_good_are_told_apart_at_the_start() {
    let origin = TestOrigin::new();
    pool(&origin, 5, 2);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let missing = client.config::<Pool>("pol").open().await.unwrap_err();
        assert!(matches!(missing, OpenError::NotFound { .. }), "{missing}");
        let refused = client
            .config::<Pool>("pool")
            .check(check)
            .open()
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no value for `pool`: refused in phase validate: min 5 is above max 2"
        );
        // Asked for without the check, it is as good as any.
        let handle = client.config::<Pool>("pool").open().await.unwrap();
        assert_eq!(handle.load().min, 5);
        let twice = client.config::<Pool>("pool").open().await.unwrap_err();
        assert_eq!(twice, OpenError::AlreadyOpen(config()));
    });
}

#[test]
fn a_server_that_does_not_hand_a_config_out_is_told_apart_from_one_that_is_away() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        // A repository that the service does not follow.
        let elsewhere = builder(&server, cache.path()).repo("elsewhere");
        let client = elsewhere.start().await.unwrap();
        let denied = client.config::<Pool>("pool").open().await.unwrap_err();
        assert!(matches!(denied, OpenError::Denied { .. }), "{denied}");
        assert!(
            denied.to_string().contains("follows no repository `elsewhere`"),
            "{denied}"
        );
        client.stop().await;
        // A gateway that wants to know who asks.
        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        let gateway = Hostile::start(Script::Raw(answer.to_vec()));
        let client = Client::builder(&gateway.url())
            .instance("i-1")
            .start()
            .await
            .unwrap();
        let denied = client.config::<Pool>("pool").open().await.unwrap_err();
        assert!(matches!(denied, OpenError::Denied { .. }), "{denied}");
    });
}

#[test]
fn a_config_that_runs_on_its_default_keeps_no_other_one_waiting() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    server.until("the first commit", |repo| repo["tip"].is_string());
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let default = Pool { min: 0, max: 1 };
        let missing = client
            .config("missing")
            .default_value(default)
            .open()
            .await
            .unwrap();
        assert_eq!(missing.load().source(), ValueSource::Default);
        let handle = open(&client).await;
        assert_eq!(handle.load().source(), ValueSource::Server);
    });
}

#[test]
fn a_hook_that_fails_refuses_a_value_before_or_takes_it_back_after() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle: Handle<Pool> = client
            .config("pool")
            .prepare(|candidate: headwater_client::Candidate<Pool>| async move {
                if candidate.value.max == 11 {
                    Err("no such pool")
                } else {
                    Ok(())
                }
            })
            .activate(|candidate: headwater_client::Candidate<Pool>| async move {
                assert_ne!(candidate.value.max, 13, "a hook that panics has failed");
                if candidate.value.max == 12 {
                    Err("cannot switch")
                } else {
                    Ok(())
                }
            })
            .open()
            .await
            .unwrap();
        for (max, phase) in [
            (11, FailPhase::Prepare),
            (12, FailPhase::Activate),
            (13, FailPhase::Activate),
        ] {
            let version = pool(&origin, 1, max);
            until(&client, |status| {
                let report = &status.configs[&config()];
                report.state == ReportState::Failed
                    && report.error.as_ref().is_some_and(|error| error.phase == phase)
                    && handle.load().version() != Some(&version)
            })
            .await;
            assert_eq!(handle.load().max, 10);
        }
        pool(&origin, 1, 14);
        until_max(&handle, 14).await;
    });
}

#[test]
fn a_listener_that_panics_harms_neither_the_others_nor_the_value() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = open(&client).await;
        let seen = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&seen);
        let _bad = handle.on_change(|_| panic!("a listener of the program"));
        let _good = handle.on_change(move |change| {
            counter.store(u64::from(change.new.value().max), Ordering::SeqCst);
        });
        for max in [20, 30] {
            pool(&origin, 1, max);
            until_max(&handle, max).await;
            while seen.load(Ordering::SeqCst) != u64::from(max) {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn a_server_that_is_killed_and_comes_back_under_load_costs_no_version_and_repeats_none() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 1);
    let mut server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    // The port must be the same after a restart, as it is for a real service.
    let addr = server.addr();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = open(&client).await;
        let mut changes = handle.changes();
        let mut seen = vec![1];
        for round in 0..4 {
            for step in 0..5 {
                pool(&origin, 1, 2 + round * 5 + step);
            }
            let stopped = tokio::task::block_in_place(|| server.stop());
            let newest = 6 + round * 5;
            server = tokio::task::block_in_place(|| stopped.start_at(addr));
            until_max(&handle, newest).await;
            while *seen.last().unwrap() != newest {
                seen.push(changes.next().await.unwrap().new.value().max);
            }
        }
        assert!(seen.is_sorted(), "taken back: {seen:?}");
        let distinct: BTreeSet<u32> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "applied twice: {seen:?}");
        tokio::task::block_in_place(|| drop(server));
    });
}

#[test]
fn a_program_that_dies_after_each_apply_comes_up_on_the_last_known_good_the_third_time() {
    let origin = TestOrigin::new();
    let good = pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = open(&client).await;
        until_state(&client, ReportState::Confirmed).await;
        pool(&origin, 1, 20);
        until_max(&handle, 20).await;
        client.stop().await;
    });
    for life in 1..=3 {
        // A runtime that is dropped takes the client with it, as a process that dies does.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let max = runtime.block_on(async {
            let client = builder(&server, cache.path())
                .probation(Duration::from_mins(1))
                .start()
                .await
                .unwrap();
            let handle = open(&client).await;
            if life == 3 {
                let status = until_state(&client, ReportState::Failed).await;
                let error = status.configs[&config()].error.clone().unwrap();
                assert_eq!(error.phase, FailPhase::Crash);
                assert_eq!(handle.load().version(), Some(&good));
                assert_eq!(handle.load().source(), ValueSource::LastKnownGood);
            }
            handle.load().max
        });
        runtime.shutdown_background();
        assert_eq!(max, if life == 3 { 10 } else { 20 }, "life {life}");
    }
}

#[test]
fn readers_in_a_loop_never_see_a_mix_and_never_nothing() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 1);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&server, cache.path()).start().await.unwrap();
        let handle = client.config::<Pool>("pool").open().await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (handle, stop) = (handle.clone(), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut reader = handle.reader();
                    while !stop.load(Ordering::Relaxed) {
                        let now = handle.load();
                        assert_eq!(now.min, now.max, "two versions in one value");
                        let now = reader.load();
                        assert_eq!(now.min, now.max, "two versions in one value");
                    }
                })
            })
            .collect();
        for n in 2..8 {
            pool(&origin, n, n);
            until_max(&handle, n).await;
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn dropping_the_last_handle_ends_everything() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = Stopped::of(&origin.path_url()).start();
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let handle = {
            let client = builder(&server, cache.path()).start().await.unwrap();
            open(&client).await
        };
        pool(&origin, 1, 20);
        until_max(&handle, 20).await;
        drop(handle);
        // Nobody holds the cache any more.
        let client = builder(&server, cache.path()).start().await.unwrap();
        open(&client).await;
        until_state(&client, ReportState::Confirmed).await;
        until(&client, |status| status.trouble.is_empty()).await;
    });
}

fn instance(server: &TestServer) -> serde_json::Value {
    server.get("/v1/repos/default/instances/i-1").expect(200).json()
}

#[test]
fn a_program_that_ends_in_order_says_so_and_its_next_start_is_no_restart_after_a_crash() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        for life in 0..4 {
            let client = builder(&server, cache.path()).start().await.unwrap();
            let handle = open(&client).await;
            until_state(&client, ReportState::Confirmed).await;
            wait_for("its report", || {
                (instance(&server)["liveness"] == "live").then_some(())
            });
            assert_eq!(instance(&server)["standings"]["pool"]["restarts"], 0);
            // Where a program only lets go of what it had, this takes its time.
            if life % 2 == 0 {
                client.stop().await;
                assert_eq!(instance(&server)["liveness"], "gone");
            }
            drop((client, handle));
            let is_gone = || instance(&server)["liveness"] == "gone";
            tokio::task::block_in_place(|| wait_for("its last word", || is_gone().then_some(())));
        }
    });
}

#[test]
fn one_socket_carries_versions_down_and_reports_up() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let server = TestServer::of(&origin);
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let socket = builder(&server, cache.path()).transport(TransportChoice::Socket);
        let client = socket.start().await.unwrap();
        let handle = open(&client).await;
        until(&client, |status| status.transport == Some(Transport::Socket)).await;
        let second = pool(&origin, 1, 20);
        until_max(&handle, 20).await;
        until_state(&client, ReportState::Confirmed).await;
        wait_for("the report over the socket", || {
            let view = server.get("/v1/repos/default/instances/i-1").json();
            let pool = &view["configs"]["pool"];
            (pool["running"]["version"] == second.as_str() && pool["state"] == "confirmed").then_some(())
        });
        assert_eq!(client.status().transport, Some(Transport::Socket));
    });
}

#[test]
fn when_one_replica_goes_the_next_one_is_followed_and_a_lagging_one_takes_nobody_back() {
    let origin = TestOrigin::new();
    pool(&origin, 1, 10);
    let first = TestServer::of(&origin);
    // This replica looks at the upstream once and then not for an hour.
    let lagging = Stopped::of(&origin.path_url())
        .each(|repo| repo.poll_interval = Duration::from_hours(1))
        .start();
    for server in [&first, &lagging] {
        server.until("the first commit", |repo| repo["tip"].is_string());
    }
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = builder(&first, cache.path())
            .server(&format!("http://{}", lagging.addr()))
            .start()
            .await
            .unwrap();
        let handle = open(&client).await;
        let newest = pool(&origin, 1, 20);
        until_max(&handle, 20).await;
        tokio::task::block_in_place(|| drop(first));
        // The question of somebody who holds more makes the replica look again; it never answers with less.
        wait_for("the report at the other replica", || {
            let view = lagging.get("/v1/repos/default/instances/i-1").json();
            (view["configs"]["pool"]["running"]["version"] == newest.as_str()).then_some(())
        });
        lagging.until_tip(&newest);
        assert_eq!(handle.load().version(), Some(&newest));
    });
}
