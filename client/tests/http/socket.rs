//! A watch over a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use headwater_client::{TransportChoice, Watch, WatchRequest};
use headwater_wire::{InstanceReport, SocketUp};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::events::{HEAD, version};
use crate::report::{answer, for_an_instance, report};
use crate::server::{A, Step, scripted, send, serve};
use crate::watch::{first_lines, problem, words};

fn over_a_socket() -> WatchRequest {
    WatchRequest {
        choice: TransportChoice::Socket,
        ..for_an_instance()
    }
}

/// What a server says or does on a socket.
#[derive(Debug, Clone)]
enum Act {
    Say(String),
    Ping,
    Pause(u64),
    /// Answers the next report.
    Answer,
    /// Takes the next report and breaks off.
    Drop,
    Hang,
}

fn say(event: &str, data: &Value) -> Act {
    Act::Say(json!({"event": event, "id": "x", "data": data}).to_string())
}

/// The data of a version event.
fn told(token: &str) -> Value {
    let event = version(token, A);
    let (_, data) = event.split_once("data: ").unwrap();
    serde_json::from_str(data.trim()).unwrap()
}

#[derive(Clone)]
struct Script {
    acts: Arc<Vec<Act>>,
    log: mpsc::Sender<String>,
}

impl Script {
    fn log(&self, line: String) {
        self.log.try_send(line).unwrap();
    }
}

async fn upgrade(State(script): State<Script>, RawQuery(query): RawQuery, up: WebSocketUpgrade) -> Response {
    script.log(format!("socket {}", query.unwrap()));
    up.on_upgrade(move |socket| act(socket, script))
}

async fn act(mut socket: WebSocket, script: Script) {
    for act in script.acts.iter() {
        match act {
            Act::Say(text) => socket.send(Message::text(text.clone())).await.unwrap(),
            Act::Ping => socket.send(Message::Ping(Vec::new().into())).await.unwrap(),
            Act::Pause(seconds) => sleep(Duration::from_secs(*seconds)).await,
            Act::Answer | Act::Drop => {
                let SocketUp { report } = next_report(&mut socket).await;
                script.log(format!("report {}", report.seq));
                if matches!(act, Act::Drop) {
                    return;
                }
                let down = json!({"event": "report", "data": answer(&report)});
                socket.send(Message::text(down.to_string())).await.unwrap();
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn next_report(socket: &mut WebSocket) -> SocketUp {
    loop {
        if let Some(Ok(Message::Text(text))) = socket.recv().await {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn put_report(State(script): State<Script>, Json(report): Json<InstanceReport>) -> Response {
    script.log(format!("put {}", report.seq));
    Json(answer(&report)).into_response()
}

async fn start(acts: Vec<Act>) -> (Watch, mpsc::Receiver<String>) {
    let (log, lines) = mpsc::channel(100);
    let script = Script {
        acts: Arc::new(acts),
        log,
    };
    let router = Router::new()
        .route("/v1/repos/default/socket", get(upgrade))
        .route("/v1/repos/default/instances/i-1", put(put_report))
        .route("/v1/repos/default/configs/a", get(http::StatusCode::NOT_MODIFIED))
        .with_state(script);
    (Watch::start(serve(router).await, over_a_socket()), lines)
}

#[tokio::test(start_paused = true)]
async fn events_come_down_and_reports_go_up_on_one_connection() {
    let acts = vec![
        say("version", &told("t1")),
        say("new", &json!(1)),
        Act::Answer,
        Act::Answer,
        Act::Hang,
    ];
    let (mut watch, mut lines) = start(acts).await;
    assert_eq!(words(&mut watch, 2).await, ["socket", "version t1"]);
    assert_eq!(watch.report(report(1)).await.unwrap().seq, 1);
    assert_eq!(watch.report(report(2)).await.unwrap().seq, 2);
    let lines: Vec<String> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
    assert_eq!(lines, ["socket config=a&instance=i-1", "report 1", "report 2"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_the_socket_names_what_is_held() {
    let acts = vec![say("version", &told("t1")), Act::Pause(20)];
    let (mut watch, mut lines) = start(acts).await;
    let heard = words(&mut watch, 4).await;
    assert!(
        heard == ["socket", "version t1", "broken", "socket"] || heard[2] == "ended",
        "{heard:?}"
    );
    assert_eq!(lines.try_recv().unwrap(), "socket config=a&instance=i-1");
    assert_eq!(lines.try_recv().unwrap(), "socket config=a&instance=i-1&have=t1");
}

#[tokio::test(start_paused = true)]
async fn pings_keep_a_socket_and_silence_ends_it_after_40_s() {
    let acts = (0..5)
        .flat_map(|_| [Act::Ping, Act::Pause(35)])
        .chain([Act::Hang])
        .collect();
    let (mut watch, _lines) = start(acts).await;
    assert_eq!(words(&mut watch, 1).await, ["socket"]);
    let started = Instant::now();
    assert_eq!(words(&mut watch, 1).await, ["broken"]);
    assert_eq!(started.elapsed().as_secs(), 4 * 35 + 40);
}

#[tokio::test(start_paused = true)]
async fn a_report_whose_socket_dies_goes_up_as_a_call() {
    let (mut watch, mut lines) = start(vec![Act::Drop]).await;
    assert_eq!(words(&mut watch, 1).await, ["socket"]);
    assert_eq!(watch.report(report(1)).await.unwrap().seq, 1);
    lines.recv().await.unwrap();
    assert_eq!(
        (lines.recv().await.unwrap(), lines.recv().await.unwrap()),
        ("report 1".into(), "put 1".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_that_the_socket_refuses_is_told_with_the_problem() {
    let refusal = json!({"code": "bad_request", "status": 400, "title": "no"});
    let acts = vec![Act::Pause(1), say("problem", &refusal), Act::Hang];
    let (mut watch, _lines) = start(acts).await;
    assert_eq!(words(&mut watch, 1).await, ["socket"]);
    let error = watch.report(report(1)).await.unwrap_err();
    assert!(error.is_permanent(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_goaway_on_a_socket_is_obeyed() {
    let acts = vec![
        say("goaway", &json!({"reason": "age", "retry_after_ms": 7000})),
        Act::Hang,
    ];
    let (mut watch, _lines) = start(acts).await;
    assert_eq!(words(&mut watch, 2).await, ["socket", "ended"]);
    let started = Instant::now();
    assert_eq!(words(&mut watch, 1).await, ["socket"]);
    assert!(
        (7_000..7_600).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn where_no_socket_is_to_be_had_the_watch_goes_on_with_a_stream_at_once() {
    let no_socket = [
        problem(426, "upgrade_required"),
        problem(404, "not_found"),
        send("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"),
        send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"),
    ];
    for step in no_socket {
        let scripts = vec![vec![step], vec![send(HEAD), send(version("t1", A)), Step::Hang]];
        let (repo, mut requests) = scripted(scripts).await;
        let mut watch = Watch::start(repo, over_a_socket());
        let started = Instant::now();
        assert_eq!(words(&mut watch, 2).await, ["stream", "version t1"]);
        assert_eq!(started.elapsed().as_secs(), 0);
        let paths = first_lines(&mut requests);
        assert_eq!(
            paths,
            ["socket?config=a&instance=i-1 ", "events?config=a&instance=i-1 "]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_the_answer_to_ours_is_no_socket() {
    let wrong = send(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: AAAA\r\n\r\n",
    );
    let scripts = vec![
        vec![wrong.clone(), Step::Hang],
        vec![wrong, Step::Hang],
        vec![send(HEAD), Step::Hang],
    ];
    let (repo, _requests) = scripted(scripts).await;
    let mut watch = Watch::start(repo, over_a_socket());
    assert_eq!(words(&mut watch, 3).await, ["broken", "broken", "stream"]);
}
