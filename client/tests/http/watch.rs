use std::time::Duration;

use headwater_client::{RepoApi, Token, Watch, WatchEvent, WatchRequest};

use crate::events::{HEAD, version};
use crate::server::{A, B, DIGEST, Step, scripted, send};

pub(crate) fn request() -> WatchRequest {
    WatchRequest {
        configs: vec!["a".parse().unwrap()],
        seed: 1,
        ..WatchRequest::default()
    }
}

/// An answer that holds a snapshot of `a`; the connection is closed after it, so that each call is one script.
pub(crate) fn snapshot(token: &str, commit: &str) -> Step {
    let body = format!(
        r#"{{"repo":"default","config":"a","version":"{commit}","tip":"{commit}","digest":"{DIGEST}","generation":1,"phase":"active","document":{{}},"sources":[]}}"#
    );
    let head = "HTTP/1.1 200 OK\r\nheadwater-change: forward\r\nconnection: close\r\n";
    send(format!(
        "{head}etag: \"{token}\"\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) fn not_modified() -> Step {
    send("HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n")
}

pub(crate) fn problem(status: u16, code: &str) -> Step {
    let body = format!(r#"{{"code":"{code}","status":{status},"title":"no"}}"#);
    send(format!(
        "HTTP/1.1 {status} No\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) async fn start(
    request: WatchRequest,
    scripts: Vec<Vec<Step>>,
) -> (Watch, tokio::sync::mpsc::Receiver<String>) {
    let (repo, requests): (RepoApi, _) = scripted(scripts).await;
    (Watch::start(repo, request), requests)
}

/// The next `count` events, each as a word.
pub(crate) async fn words(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(match watch.next().await {
            None => "end".to_owned(),
            Some(WatchEvent::Connected(transport)) => transport.as_str().to_owned(),
            Some(WatchEvent::Version(version)) => format!("version {}", version.token),
            Some(WatchEvent::Bookmark(bookmark)) => format!("bookmark {}", bookmark.token),
            Some(WatchEvent::Status(_)) => "status".to_owned(),
            Some(WatchEvent::Disconnected { error, .. }) if error.is_some() => "broken".to_owned(),
            Some(WatchEvent::Disconnected { .. }) => "ended".to_owned(),
            Some(WatchEvent::Refused(_)) => "refused".to_owned(),
        });
    }
    words
}

pub(crate) fn first_lines(requests: &mut tokio::sync::mpsc::Receiver<String>) -> Vec<String> {
    std::iter::from_fn(|| requests.try_recv().ok())
        .map(|request| {
            let id = request
                .lines()
                .find(|line| line.starts_with("last-event-id") || line.starts_with("if-none-match"));
            let path = request
                .split(' ')
                .nth(1)
                .unwrap()
                .replace("/v1/repos/default/", "");
            format!("{path} {}", id.unwrap_or(""))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_one_compare_comes_first_and_no_version_is_told_twice() {
    let scripts = vec![
        vec![send(HEAD), send(version("t1", A))],
        vec![snapshot("t2", B)],
        vec![
            send(HEAD),
            send(version("t2", B)),
            send(version("t3", A)),
            Step::Hang,
        ],
    ];
    let (mut watch, mut requests) = start(request(), scripts).await;
    assert_eq!(
        words(&mut watch, 6).await,
        [
            "stream",
            "version t1",
            "ended",
            "version t2",
            "stream",
            "version t3"
        ]
    );
    assert_eq!(
        first_lines(&mut requests),
        [
            "events?config=a ",
            "configs/a if-none-match: \"t1\"",
            "events?config=a last-event-id: t2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_held_from_the_start_is_compared_and_not_told() {
    let scripts = vec![
        vec![not_modified()],
        vec![
            send(HEAD),
            send(version("t1", A)),
            send(version("t2", B)),
            Step::Hang,
        ],
    ];
    let held = [("a".parse().unwrap(), Token::new("\"t1\""))].into();
    let (mut watch, _requests) = start(WatchRequest { held, ..request() }, scripts).await;
    assert_eq!(words(&mut watch, 2).await, ["stream", "version t2"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_the_first_answer_ends_the_watch() {
    let (mut watch, _requests) = start(request(), vec![vec![problem(404, "config_not_found")]]).await;
    assert_eq!(words(&mut watch, 2).await, ["refused", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_first_answer_is_tried_again() {
    let scripts = vec![
        vec![send(HEAD)],
        vec![problem(404, "repo_not_found")],
        vec![send(HEAD), send(version("t1", A)), Step::Hang],
    ];
    let (mut watch, _requests) = start(request(), scripts).await;
    assert_eq!(
        words(&mut watch, 5).await,
        ["stream", "ended", "broken", "stream", "version t1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_goaway_is_obeyed() {
    let goaway = "event: goaway\ndata: {\"reason\":\"shutdown\",\"retry_after_ms\":7000}\n\n";
    let scripts = vec![
        vec![send(HEAD), send(goaway), Step::Hang],
        vec![send(HEAD), Step::Hang],
    ];
    let (mut watch, _requests) = start(request(), scripts).await;
    assert_eq!(words(&mut watch, 2).await, ["stream", "ended"]);
    let started = tokio::time::Instant::now();
    assert_eq!(words(&mut watch, 1).await, ["stream"]);
    assert!(
        (7_000..7_600).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_replaced_and_after_two_the_watch_polls() {
    let silent = vec![send(HEAD), Step::Hang];
    let scripts = vec![
        silent.clone(),
        silent,
        vec![snapshot("t1", A)],
        vec![Step::Pause(Duration::from_secs(50)), snapshot("t2", B)],
    ];
    let (mut watch, mut requests) = start(request(), scripts).await;
    assert_eq!(
        words(&mut watch, 7).await,
        [
            "stream",
            "broken",
            "stream",
            "broken",
            "long_poll",
            "version t1",
            "version t2"
        ]
    );
    assert_eq!(
        first_lines(&mut requests),
        [
            "events?config=a ",
            "events?config=a ",
            "configs/a?wait=50 ",
            "configs/a?wait=50 if-none-match: \"t1\""
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_streams_the_watch_polls_at_a_pace() {
    let page =
        send("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let mut scripts = vec![vec![page]];
    scripts.extend(["t1", "t2", "t3", "t4", "t5"].map(|token| vec![snapshot(token, A)]));
    let (mut watch, _requests) = start(request(), scripts).await;
    let started = tokio::time::Instant::now();
    assert_eq!(
        words(&mut watch, 4).await,
        ["long_poll", "version t1", "version t2", "version t3"]
    );
    assert_eq!(started.elapsed().as_secs(), 0);
    assert_eq!(words(&mut watch, 2).await, ["version t4", "version t5"]);
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_watch_stops_its_connection() {
    let (watch, mut requests) = start(request(), vec![vec![send(HEAD)]]).await;
    assert!(requests.recv().await.is_some());
    drop(watch);
    tokio::time::advance(Duration::from_mins(10)).await;
    assert!(requests.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_ends_at_once_is_taken_up_slower_and_slower() {
    let brief = vec![send(HEAD), send("event: new\ndata: x\n\n")];
    let (mut watch, _requests) = start(request(), vec![brief]).await;
    let mut delays = Vec::new();
    while delays.len() < 12 {
        if let Some(WatchEvent::Disconnected { retry_in, .. }) = watch.next().await {
            delays.push(retry_in);
        }
    }
    assert!(
        delays.iter().sum::<Duration>() > Duration::from_mins(1),
        "{delays:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_config_that_was_gone_and_comes_back_is_told_again() {
    let gone = "event: status\ndata: {\"head_state\":\"published\",\"stale\":false,\"removed\":[\"a\"]}\n\n";
    let steps = vec![
        send(HEAD),
        send(version("t1", A)),
        send(gone),
        send(version("t1", A)),
        Step::Hang,
    ];
    let (mut watch, _requests) = start(request(), vec![steps]).await;
    assert_eq!(
        words(&mut watch, 4).await,
        ["stream", "version t1", "status", "version t1"]
    );
}
