//! Settings that change while the service runs.

use std::net::SocketAddr;
use std::time::Duration;

use headwater_server::settings::Settings;
use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::Stopped;
use headwater_tests::sse::Events;
use headwater_tests::wait::wait_until;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A running service that takes other settings.
struct Reloading {
    runtime: tokio::runtime::Runtime,
    addr: SocketAddr,
    reloads: mpsc::Sender<Settings>,
    stop: Option<oneshot::Sender<()>>,
}

impl Reloading {
    fn start(settings: Settings) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let (reloads, received) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let shutdown = async {
                stopped.await.ok();
            };
            headwater_server::run_with_reloads(settings, listener, shutdown, received)
                .await
                .unwrap();
        });
        Self {
            runtime,
            addr,
            reloads,
            stop: Some(stop),
        }
    }

    fn reload(&self, settings: Settings) {
        self.runtime.block_on(self.reloads.send(settings)).unwrap();
    }

    fn status(&self, target: &str) -> u16 {
        Ask::get(target).send(self.addr).status
    }

    fn wait_for(&self, target: &str, status: u16) {
        wait_until(target, || self.status(target) == status);
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }
}

fn origin(value: u32) -> TestOrigin {
    let origin = TestOrigin::new();
    origin.commit(&[("a.toml", Some(&format!("x = {value}\n")))], "begin");
    origin
}

#[test]
fn a_repository_that_is_added_is_followed_and_one_that_is_removed_says_goodbye() {
    let (first, second) = (origin(1), origin(2));
    let one = Stopped::of(&first.path_url());
    let both = one.clone().and("second", &second.path_url());
    let only_second = both.clone().with(|settings| drop(settings.repos.remove(0)));
    let server = Reloading::start(one.settings().clone());
    server.wait_for("/v1/repos/default/configs/a", 200);
    assert_eq!(server.status("/v1/repos/second"), 404);
    let watched = Events::open(server.addr, &Ask::get("/v1/repos/default/events?config=a"));

    server.reload(both.settings().clone());
    server.wait_for("/v1/repos/second/configs/a", 200);

    server.reload(only_second.settings().clone());
    server.wait_for("/v1/repos/default", 404);
    let counted = Ask::get("/metrics").send(server.addr).text();
    assert!(counted.contains("repo=\"second\""), "{counted}");
    assert!(!counted.contains("repo=\"default\""), "{counted}");
    watched.until("goaway", |events| {
        events.iter().any(|event| event.name == "goaway")
    });
    assert_eq!(server.status("/v1/repos/second/configs/a"), 200);
}

#[test]
fn a_repository_whose_address_changes_keeps_serving_until_the_other_history_is_accepted() {
    let (old, new) = (origin(1), origin(2));
    let before = Stopped::of(&old.path_url());
    let server = Reloading::start(before.settings().clone());
    server.wait_for("/v1/repos/default/configs/a", 200);

    let mut after = before.settings().clone();
    after.repos[0].upstream.url = new.path_url().parse().unwrap();
    server.reload(after);

    wait_until("held", || {
        Ask::get("/v1/repos/default").send(server.addr).json()["head_state"] == "held"
    });
    let body = Ask::get("/v1/repos/default/configs/a").send(server.addr).json();
    assert_eq!(body["document"]["x"], 1);
}

#[test]
fn a_hook_that_is_added_is_taken_and_one_that_is_removed_is_not() {
    use headwater_server::forge::ForgeKind;
    use headwater_server::secret::Secret;
    use headwater_server::settings::HookSettings;
    let origin = origin(1);
    let without = Stopped::of(&origin.path_url());
    let with = without.clone().with(|settings| {
        settings.hooks.push(HookSettings {
            name: "forge".parse().unwrap(),
            forge: ForgeKind::GitLab,
            repos: vec!["default".parse().unwrap()],
            secrets: vec![Secret::new("the secret of this test")],
        });
    });
    let delivery = Ask::new("POST", "/hooks/forge")
        .header("x-gitlab-token", "the secret of this test")
        .body(
            "application/json",
            br#"{"object_kind": "push", "ref": "refs/heads/main"}"#,
        );
    let server = Reloading::start(without.settings().clone());
    server.wait_for("/v1/repos/default/configs/a", 200);
    let status = || delivery.send(server.addr).status;
    assert_eq!(status(), 404);

    server.reload(with.settings().clone());
    wait_until("taken", || status() == 202);

    server.reload(without.settings().clone());
    wait_until("gone", || status() == 404);
}

#[test]
fn a_shorter_poll_interval_takes_effect_at_once() {
    let origin = origin(1);
    let slow = Stopped::of(&origin.path_url()).each(|repo| repo.poll_interval = Duration::from_hours(1));
    let fast = slow
        .clone()
        .each(|repo| repo.poll_interval = Duration::from_millis(40));
    let server = Reloading::start(slow.settings().clone());
    server.wait_for("/v1/repos/default/configs/a", 200);
    let changed = origin.commit(&[("a.toml", Some("x = 5\n"))], "change");

    server.reload(fast.settings().clone());

    wait_until("the change", || {
        Ask::get("/v1/repos/default").send(server.addr).json()["tip"] == changed.as_str()
    });
}
