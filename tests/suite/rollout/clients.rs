//! The same with programs that live on the client library.

use headwater_client::{Client, Handle};
use serde::Deserialize;

use super::*;

/// Real programs need a moment to connect and to write down what they run.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Value {
    v: i64,
}

/// A program, and what it has run, in order.
struct Live {
    handle: Handle<Value>,
    _client: Client,
    _cache: tempfile::TempDir,
}

impl Live {
    /// It refuses to run a value.
    async fn start(server: &TestServer, id: &str, refuses: i64) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let client = Client::builder(&format!("http://{}", server.addr()))
            .instance(id)
            .cache_dir(cache.path())
            .probation(Duration::from_millis(100))
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        let check = move |value: &Value| {
            if value.v == refuses {
                Err(format!("{refuses} is too much"))
            } else {
                Ok(())
            }
        };
        let handle = client.config::<Value>("app").check(check).open().await.unwrap();
        Self {
            handle,
            _client: client,
            _cache: cache,
        }
    }

    fn value(&self) -> i64 {
        self.handle.load().v
    }
}

pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let reached = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(ended.is_ok(), "never: {what}");
}

/// Three that refuse the third value, once all of them run the second.
async fn on_the_second(origin: &TestOrigin, server: &TestServer) -> Vec<Live> {
    let mut lives = Vec::new();
    for id in ["i-1", "i-2", "i-3"] {
        lives.push(Live::start(server, id, 3).await);
    }
    set(origin, 2);
    until("all run the second", || values(&lives) == [2, 2, 2]).await;
    until("it is stable", || anonymous(server) == 2).await;
    lives
}

fn values(lives: &[Live]) -> Vec<i64> {
    lives.iter().map(Live::value).collect()
}

#[test]
fn live_programs_are_moved_in_stages_and_one_that_refuses_keeps_the_others_where_they_are() {
    let (origin, _) = origin(STAGED);
    let server = quick(&origin).start();
    run(async {
        let lives = on_the_second(&origin, &server).await;
        let bad = set(&origin, 3);
        let reports = || {
            let all = server
                .get("/v1/repos/default/instances?state=failed")
                .expect(200)
                .json();
            all["instances"].as_array().unwrap().len()
        };
        until("one refuses", || reports() == 1).await;
        server.until_tip(&bad);
        until("it has stopped", || rollout(&server)["state"] == "halted").await;
        assert_eq!(reports(), 1, "nobody else was told");
        assert_eq!(values(&lives), [2, 2, 2]);
        set(&origin, 4);
        until("all run what comes after it", || values(&lives) == [4, 4, 4]).await;
    });
}

#[test]
fn live_programs_get_ready_and_switch_together() {
    let (origin, _) = origin(TWO_PHASE);
    let server = quick(&origin).start();
    run(async {
        let lives = on_the_second(&origin, &server).await;
        let bad = set(&origin, 3);
        server.until_head(&bad, "held");
        assert_eq!(values(&lives), [2, 2, 2], "nobody switched to what some refuse");
        set(&origin, 4);
        until("all run what comes after it", || values(&lives) == [4, 4, 4]).await;
    });
}
