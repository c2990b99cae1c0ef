//! What becomes of a watch where something in between holds back, cuts or loses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use headwater_client::{Token, Watch, WatchEvent, WatchRequest};
use tokio::time::Instant;

use crate::events::{HEAD, version};
use crate::server::{A, B, Step, scripted, send, serve};
use crate::watch::{first_lines, not_modified, problem, request, snapshot, start, words};

fn pause(seconds: u64) -> Step {
    Step::Pause(Duration::from_secs(seconds))
}

/// A 304 that names what it stands for.
fn unchanged(token: &str) -> Step {
    send(format!(
        "HTTP/1.1 304 Not Modified\r\nconnection: close\r\netag: \"{token}\"\r\nheadwater-tip: {B}\r\n\r\n"
    ))
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_that_holds_back_whole_answers_a_start_has_its_value_at_once_and_the_watch_polls_soon()
{
    let scripts = vec![
        vec![Step::Hang],
        vec![snapshot("t1", A)],
        vec![Step::Hang],
        vec![unchanged("t1")],
        vec![Step::Hang],
        vec![unchanged("t1")],
        vec![Step::Hang],
    ];
    let (mut watch, mut requests) = start(request(), scripts).await;
    let started = Instant::now();
    assert_eq!(words(&mut watch, 1).await, ["version t1"]);
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(
        words(&mut watch, 5).await,
        ["broken", "bookmark t1", "broken", "bookmark t1", "long_poll"]
    );
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    let lines = first_lines(&mut requests);
    assert_eq!(lines[1], "configs/a ");
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_that_cuts_streams_early_the_watch_polls_after_three() {
    let brief = vec![send(HEAD), send(version("t1", A)), pause(20)];
    let compare = || vec![unchanged("t1")];
    let scripts = vec![
        brief.clone(),
        compare(),
        brief.clone(),
        compare(),
        brief,
        compare(),
        vec![pause(45), snapshot("t2", B)],
    ];
    let (mut watch, mut requests) = start(request(), scripts).await;
    let told = words(&mut watch, 11).await;
    assert_eq!(
        told,
        [
            "stream",
            "version t1",
            "ended",
            "bookmark t1",
            "stream",
            "ended",
            "bookmark t1",
            "stream",
            "ended",
            "bookmark t1",
            "long_poll"
        ]
    );
    assert_eq!(words(&mut watch, 1).await, ["version t2"]);
    let lines = first_lines(&mut requests);
    assert_eq!(lines[6], "configs/a?wait=50 if-none-match: \"t1\"");
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_after_a_long_life_is_taken_up_again_as_often_as_it_takes() {
    let alive = [
        send(": here\n"),
        pause(30),
        send(": here\n"),
        pause(30),
        send(": here\n"),
        pause(35),
    ];
    let long: Vec<Step> = [send(HEAD)].into_iter().chain(alive).collect();
    let (mut watch, _requests) = start(request(), vec![long]).await;
    assert_eq!(words(&mut watch, 10).await, ["stream", "ended"].repeat(5));
}

#[tokio::test(start_paused = true)]
async fn where_long_polls_are_cut_too_the_watch_asks_every_half_minute() {
    let cut = || vec![pause(25)];
    let compare = || vec![unchanged("t1")];
    let mut scripts = vec![vec![problem(405, "method_not_allowed")], vec![snapshot("t1", A)]];
    scripts.extend([cut(), compare(), cut(), compare(), cut()]);
    scripts.extend([compare(), compare(), vec![snapshot("t2", B)], vec![Step::Hang]]);
    let (mut watch, mut requests) = start(request(), scripts).await;
    let told = words(&mut watch, 8).await;
    let cut_off = ["broken", "bookmark t1", "long_poll"];
    assert_eq!(
        told,
        [["long_poll", "version t1"].as_slice(), &cut_off, &cut_off].concat()
    );
    assert_eq!(words(&mut watch, 3).await, ["broken", "bookmark t1", "poll"]);
    let started = Instant::now();
    // The second and third answer of plain polling, which come one interval apart each.
    assert_eq!(words(&mut watch, 2).await, ["bookmark t1", "version t2"]);
    assert!(
        (48..=72).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    let lines = first_lines(&mut requests);
    assert_eq!(lines.iter().filter(|line| line.contains("wait=50")).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_ends_with_nothing_new_keeps_the_mode_and_the_stream_is_tried_again_after_a_while() {
    let held = || vec![pause(48), unchanged("t1")];
    let mut scripts = vec![vec![problem(404, "not_found")], vec![snapshot("t1", A)]];
    // 48 s, and then 96 s: the climb is due after 48 to 72 s.
    scripts.extend([held(), held()]);
    scripts.extend([
        vec![unchanged("t1")],
        vec![send(HEAD), send(version("t2", B)), Step::Hang],
    ]);
    let (mut watch, _requests) = start(request(), scripts).await;
    let told = words(&mut watch, 7).await;
    assert_eq!(
        told,
        [
            "long_poll",
            "version t1",
            "bookmark t1",
            "bookmark t1",
            "bookmark t1",
            "stream",
            "version t2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_and_a_sudden_silence_are_survived() {
    let scripts = vec![
        vec![send(HEAD), send(version("t1", A)), pause(100), Step::Reset],
        vec![unchanged("t1")],
        vec![send(HEAD), send(": a byte, then nothing\n"), Step::Hang],
        vec![snapshot("t2", B)],
        vec![send(HEAD), Step::Hang],
    ];
    let (mut watch, _requests) = start(request(), scripts).await;
    assert_eq!(
        words(&mut watch, 5).await,
        ["stream", "version t1", "broken", "bookmark t1", "stream"]
    );
    let started = Instant::now();
    assert_eq!(words(&mut watch, 2).await, ["broken", "version t2"]);
    assert!(
        started.elapsed() < Duration::from_secs(43),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(words(&mut watch, 1).await, ["stream"]);
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_keeps_a_stream_although_no_event_ever_ends() {
    let drip = (0..20).flat_map(|_| [send("x"), pause(35)]);
    let steps = [send(HEAD)].into_iter().chain(drip).collect();
    let (mut watch, _requests) = start(request(), vec![steps]).await;
    assert_eq!(words(&mut watch, 1).await, ["stream"]);
    let started = Instant::now();
    let heard_before = watch.link().heard_at;
    assert_eq!(words(&mut watch, 1).await, ["ended"]);
    assert_eq!(started.elapsed().as_secs(), 20 * 35);
    assert!(watch.link().heard_at > heard_before);
}

#[tokio::test(start_paused = true)]
async fn after_a_suspension_of_a_day_the_watch_comes_back() {
    let scripts = vec![
        vec![send(HEAD), send(version("t1", A)), Step::Hang],
        vec![snapshot("t2", B)],
        vec![send(HEAD), Step::Hang],
    ];
    let (mut watch, _requests) = start(request(), scripts).await;
    assert_eq!(words(&mut watch, 2).await, ["stream", "version t1"]);
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(words(&mut watch, 3).await, ["broken", "version t2", "stream"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_waited_for() {
    let busy = "HTTP/1.1 503 No\r\nretry-after: 20\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let scripts = vec![vec![send(busy)], vec![send(HEAD), Step::Hang]];
    let (mut watch, _requests) = start(request(), scripts).await;
    let started = Instant::now();
    assert_eq!(words(&mut watch, 2).await, ["broken", "stream"]);
    assert!(
        (20_000..20_600).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_bookmarks_alone_and_events_nobody_knows_change_nothing() {
    let bookmark =
        format!("id: t1\nevent: bookmark\ndata: {{\"config\":\"a\",\"token\":\"t1\",\"tip\":\"{A}\"}}\n\n");
    let rounds = (0..10).flat_map(|_| {
        [
            send(bookmark.clone()),
            send("event: new\ndata: {}\n\n"),
            pause(30),
        ]
    });
    let steps = [send(HEAD)]
        .into_iter()
        .chain(rounds)
        .chain([Step::Hang])
        .collect();
    let (mut watch, _requests) = start(request(), vec![steps]).await;
    assert_eq!(words(&mut watch, 1).await, ["stream"]);
    assert_eq!(words(&mut watch, 10).await, ["bookmark t1"; 10]);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_last_is_named_whether_or_not_it_is_applied_by_now() {
    let scripts = vec![
        vec![snapshot("t0", A)],
        vec![send(HEAD), send(version("t1", A))],
        vec![unchanged("t1")],
        vec![send(HEAD), Step::Hang],
    ];
    let held = BTreeMap::from([("a".parse().unwrap(), Token::new("old"))]);
    let (mut watch, mut requests) = start(WatchRequest { held, ..request() }, scripts).await;
    let told = words(&mut watch, 6).await;
    assert_eq!(
        told,
        [
            "version t0",
            "stream",
            "version t1",
            "ended",
            "bookmark t1",
            "stream"
        ]
    );
    assert_eq!(
        first_lines(&mut requests),
        [
            "configs/a if-none-match: \"old\"",
            "events?config=a last-event-id: t0",
            "configs/a if-none-match: \"t1\"",
            "events?config=a last-event-id: t1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_version_with_a_higher_fence_is_told_again() {
    let higher = version("t1", A).replace("\"generation\":1", "\"generation\":2");
    let steps = vec![
        send(HEAD),
        send(version("t1", A)),
        send(version("t1", A)),
        send(higher),
        Step::Hang,
    ];
    let (mut watch, _requests) = start(request(), vec![steps]).await;
    assert_eq!(words(&mut watch, 3).await, ["stream", "version t1", "version t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_says_since_when_nothing_was_heard() {
    let scripts = vec![vec![send(HEAD), send(": byte\n"), Step::Hang]];
    let (mut watch, _requests) = start(request(), scripts).await;
    assert_eq!(words(&mut watch, 1).await, ["stream"]);
    let Some(WatchEvent::Disconnected { heard_at, .. }) = watch.next().await else {
        panic!("it is still connected")
    };
    assert_eq!(heard_at.unwrap().elapsed().as_secs(), 40);
    assert_eq!(watch.link().transport, None);
}

/// A server whose config changes after the compare and before the stream registers; the stream registers first and
/// then compares, as the server does.
fn changes_in_between() -> Router {
    let changed = Arc::new(AtomicBool::new(false));
    let at_compare = Arc::clone(&changed);
    let config = move |headers: HeaderMap| async move {
        at_compare.store(true, Ordering::SeqCst);
        assert_eq!(headers["if-none-match"], "\"t1\"");
        http::StatusCode::NOT_MODIFIED
    };
    let events = move |headers: HeaderMap| async move {
        let held = headers["last-event-id"].to_str().unwrap().to_owned();
        let target = if changed.load(Ordering::SeqCst) {
            "t2"
        } else {
            "t1"
        };
        let told = if held == target {
            String::new()
        } else {
            version(target, B)
        };
        let first = std::iter::once(Ok::<_, std::io::Error>(format!(":\n\n{told}")));
        let body = futures_util::StreamExt::chain(
            futures_util::stream::iter(first),
            futures_util::stream::pending(),
        );
        let body = axum::body::Body::from_stream(body);
        Response::into_response(([("content-type", "text/event-stream")], body).into_response())
    };
    Router::new()
        .route("/v1/repos/default/configs/a", get(config))
        .route("/v1/repos/default/events", get(events))
}

#[tokio::test(start_paused = true)]
async fn an_update_between_the_compare_and_the_registration_is_not_lost() {
    let repo = serve(changes_in_between()).await;
    let held = [("a".parse().unwrap(), Token::new("t1"))].into();
    let mut watch = Watch::start(repo, WatchRequest { held, ..request() });
    assert_eq!(words(&mut watch, 2).await, ["stream", "version t2"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_with_errors_does_not_move_the_mode() {
    let (repo, _requests) = scripted(vec![
        vec![send(HEAD), send(version("t1", A))],
        vec![problem(503, "not_ready")],
        vec![problem(503, "not_ready")],
        vec![problem(503, "not_ready")],
        vec![problem(503, "not_ready")],
        vec![not_modified()],
        vec![send(HEAD), Step::Hang],
    ])
    .await;
    let mut watch = Watch::start(repo, request());
    let told = words(&mut watch, 8).await;
    assert_eq!(
        told[2..],
        ["ended", "broken", "broken", "broken", "broken", "stream"]
    );
}
