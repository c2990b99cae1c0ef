use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::agent::switch::change;

struct TestDesk {
    retried: mpsc::Sender<String>,
}

impl Desk for TestDesk {
    fn status(&self) -> Value {
        json!({"configs": {}})
    }

    fn retry(&self, config: &ConfigName) -> bool {
        self.retried.try_send(config.to_string()).unwrap();
        config.as_str() == "a"
    }

    fn missing(&self) -> Vec<ConfigName> {
        vec!["late/one".parse().unwrap()]
    }
}

struct Bench {
    addr: SocketAddr,
    board: watch::Sender<Arc<Board>>,
    retried: mpsc::Receiver<String>,
}

impl Bench {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (retried_sender, retried) = mpsc::channel(8);
        let board = watch::Sender::new(Arc::new(Board::default()));
        let desk = Arc::new(TestDesk {
            retried: retried_sender,
        });
        tokio::spawn(serve(listener, board.subscribe(), desk));
        let bench = Self { addr, board, retried };
        bench.show('1', json!({"pool": {"max": 10}, "two words": "x y"}));
        bench
    }

    fn show(&self, version: char, document: Value) {
        let changes = vec![change("a", version, document)];
        self.board
            .send_modify(|board| *board = Arc::new(board.with(changes)));
    }

    async fn send(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{head}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let lines: Vec<&str> = answer
            .lines()
            .filter(|line| !line.starts_with("date: ") && !line.starts_with("connection: "))
            .collect();
        lines.join("\n")
    }

    async fn get(&self, target: &str) -> String {
        self.send(&format!("GET {target} HTTP/1.1\r\nhost: localhost"))
            .await
    }

    /// Only what stands behind the head.
    async fn body(&self, target: &str) -> String {
        let answer = self.get(target).await;
        answer.split_once("\n\n").unwrap().1.to_owned()
    }
}

#[tokio::test]
async fn a_config_is_answered_with_its_version_and_a_tag() {
    let bench = Bench::start().await;
    insta::assert_snapshot!(bench.get("/v1/configs/a").await, @r#"
    HTTP/1.1 200 OK
    cache-control: no-store
    x-content-type-options: nosniff
    content-type: application/json
    etag: "1111111111-ac1bf4b818b3c7573b83"
    headwater-version: 1111111111111111111111111111111111111111
    content-length: 218

    {"config":"a","digest":"sha256:ac1bf4b818b3c7573b83c709e33d0c35bf84637dcabfe8a6819e6146101e74c1","document":{"pool":{"max":10},"two words":"x y"},"source":"server","version":"1111111111111111111111111111111111111111"}
    "#);
}

#[tokio::test]
async fn a_value_or_another_format_is_answered_bare() {
    let bench = Bench::start().await;
    assert_eq!(bench.body("/v1/configs/a?pointer=/pool/max").await, "10");
    assert_eq!(bench.body("/v1/configs/a?pointer=/two%20words").await, "\"x y\"");
    assert_eq!(
        bench.body("/v1/configs/a?format=env").await,
        "POOL_MAX=10\nTWO_WORDS=\"x y\""
    );
    assert_eq!(
        bench.body("/v1/configs/a?format=toml&pointer=/pool").await,
        "max = 10"
    );
    assert!(bench.body("/v1/configs").await.contains("\"name\":\"a\""));
}

#[tokio::test]
async fn a_caller_who_waits_hears_of_the_change() {
    let bench = Bench::start().await;
    let first = bench.get("/v1/configs/a").await;
    let etag = first
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let held = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {etag}");
    assert!(
        bench
            .send(&held("/v1/configs/a"))
            .await
            .starts_with("HTTP/1.1 304")
    );
    assert!(
        bench
            .send(&held("/v1/configs/a?wait=1"))
            .await
            .starts_with("HTTP/1.1 304")
    );
    let waiting = held("/v1/configs/a?wait=60&pointer=/pool/max");
    let (answer, ()) = tokio::join!(bench.send(&waiting), async {
        tokio::task::yield_now().await;
        bench.show('2', json!({"pool": {"max": 20}}));
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("20"), "{answer}");
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_what_to_do() {
    let bench = Bench::start().await;
    let mut told = Vec::new();
    for target in [
        "/nothing",
        "/v1/configs/unknown",
        "/v1/configs/late/one",
        "/v1/configs/a?pointer=/none",
        "/v1/configs/a?pointer=none",
        "/v1/configs/a?wait=0",
        "/v1/configs/a?color=red",
        "/v1/configs/a?format=xml",
        "/v1/configs/..%2fetc",
        "/readyz",
    ] {
        told.push(bench.body(target).await);
    }
    told.push(
        bench
            .send("DELETE /v1/configs/a HTTP/1.1\r\nhost: localhost")
            .await
            .lines()
            .last()
            .unwrap()
            .to_owned(),
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"code":"no_such_address","hint":"there are /v1/configs, /v1/configs/{config}, /status, /livez and /readyz","status":404,"title":"there is nothing at this address"}
    {"code":"config_not_found","hint":"name it with `--config` when the agent is started","status":404,"title":"this agent has no config `unknown`"}
    {"code":"no_value","hint":"/status says what the agent waits for","status":503,"title":"config `late/one` has no value yet"}
    {"code":"pointer_not_found","hint":"leave out `pointer` to see the whole document","status":404,"title":"there is no value at `/none`"}
    {"code":"invalid_parameter","hint":"see docs/agent.md","status":400,"title":"a JSON pointer begins with a slash, such as `/pool/max`"}
    {"code":"invalid_parameter","hint":"see docs/agent.md","status":400,"title":"`wait` is a number of seconds, 1 to 300"}
    {"code":"invalid_parameter","hint":"see docs/agent.md","status":400,"title":"the parameters are `wait`, `pointer` and `format`"}
    {"code":"invalid_parameter","hint":"see docs/agent.md","status":400,"title":"not one of toml, json, yaml, env, properties"}
    {"code":"no_such_address","hint":"there are /v1/configs, /v1/configs/{config}, /status, /livez and /readyz","status":404,"title":"there is nothing at this address"}
    {"code":"no_value","hint":"/status says what the agent waits for","status":503,"title":"no value yet for `late/one`"}
    {"code":"method_not_allowed","hint":"use GET, or POST to /v1/configs/{config}/retry","status":405,"title":"this method is not allowed here"}
    "#);
}

#[tokio::test]
async fn a_retry_is_passed_on_and_pages_cannot_ask_for_it() {
    let mut bench = Bench::start().await;
    let post = "POST /v1/configs/a/retry HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0";
    assert!(bench.send(post).await.starts_with("HTTP/1.1 202"));
    assert_eq!(bench.retried.try_recv().unwrap(), "a");
    let page = format!("{post}\r\norigin: https://evil.example");
    assert!(bench.send(&page).await.starts_with("HTTP/1.1 403"));
    let rebound = post.replace("localhost", "evil.example");
    assert!(bench.send(&rebound).await.starts_with("HTTP/1.1 421"));
    assert!(bench.retried.try_recv().is_err());
}

#[tokio::test]
async fn the_probes_answer() {
    let bench = Bench::start().await;
    assert_eq!(bench.body("/livez").await, "ok");
    assert_eq!(bench.body("/status").await, "{\"configs\":{}}");
}
