//! The lane beside the library: whatever is sent, both answer the same bytes.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::Caller;
use crate::http::connection::Origin;
use crate::http::peer::{Patience, Slot};
use crate::metrics::ConnectionMetrics;

/// Long enough for a busy machine to answer whoever behaves, and short enough to be waited for.
const SHORT: Duration = Duration::from_millis(500);
/// Longer than anything takes that is not to be cut.
const LONG: Duration = Duration::from_mins(2);
/// Ends every connection that has not ended before.
const FAREWELL: &[u8] = b"GET /other HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
/// Large enough for every head and answer here.
const ROOM: usize = 256 << 10;

/// Who serves.
#[derive(Debug, Clone, Copy)]
enum Way {
    Lane,
    Library,
}

/// A service, its connections, and what tells it to end.
struct House {
    router: Router,
    graceful: GracefulShutdown,
    draining: CancellationToken,
    metrics: ConnectionMetrics,
    patience: Duration,
}

impl House {
    fn new(router: Router) -> Self {
        Self {
            router,
            graceful: GracefulShutdown::new(),
            draining: CancellationToken::new(),
            metrics: ConnectionMetrics::default(),
            patience: LONG,
        }
    }

    fn connection(&self) -> Connection {
        Connection {
            router: self.router.clone(),
            origin: Origin {
                caller: Caller(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                presented: None,
            },
            watcher: self.graceful.watcher(),
            draining: self.draining.clone(),
        }
    }

    fn peer<S>(&self, stream: S) -> Peer<S> {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let patience = Patience {
            head: self.patience,
            write: self.patience,
        };
        Peer::new(stream, Slot::new((permit, None), &self.metrics), patience)
    }

    fn open(&self, way: Way, room: usize) -> DuplexStream {
        let (near, far) = tokio::io::duplex(room);
        match way {
            Way::Lane => enter(self.peer(far), self.connection()),
            Way::Library => self.connection().serve(self.peer(far)),
        }
        near
    }

    /// All that is answered to these pieces and a farewell, without the date.
    async fn answers(&self, way: Way, pieces: &[&[u8]]) -> String {
        let mut stream = self.open(way, ROOM);
        for piece in pieces.iter().copied().chain([FAREWELL]) {
            if stream.write_all(piece).await.is_err() {
                // Who has heard enough has hung up.
                break;
            }
            yield_now().await;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let lines = answer.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date: ")).collect()
    }

    async fn until_empty(&self) {
        while self.metrics.open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What a request looks like to a route.
async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>().copied();
    let body = axum::body::to_bytes(body, ROOM).await.unwrap_or_default();
    let (method, uri, version) = (parts.method, parts.uri, parts.version);
    format!(
        "{method} {uri} {version:?} {:?} {caller:?} {body:?}",
        parts.headers
    )
}

/// A stream of pieces that come one after the other.
async fn pieces() -> Body {
    let pieces =
        ["one", "", "two", "three"].map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())));
    Body::from_stream(stream::unfold(pieces.into_iter(), |mut rest| async move {
        yield_now().await;
        rest.next().map(|piece| (piece, rest))
    }))
}

fn house() -> House {
    House::new(
        Router::new()
            .route("/v1/repos/r/events", get(pieces))
            .route("/v1/repos/{repo}/events", get(echo))
            .route("/v1/repos/{repo}/configs/{*config}", get(echo))
            .route(
                "/v1/repos/{repo}/configs/none",
                get(|| async { http::StatusCode::NOT_MODIFIED }),
            )
            .route("/v1/repos/{repo}/configs/empty", get(|| async {}))
            .route("/other", post(echo).get(echo)),
    )
}

const EVENTS: &str = "GET /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n";
const POLL: &str = "GET /v1/repos/r/configs/a/b?wait=5&x=%20 HTTP/1.1\r\nhost: h\r\n";

fn watches() -> Vec<String> {
    let one = |text: &str| format!("{text}\r\n");
    vec![
        one(EVENTS),
        one(POLL),
        one(
            "GET /v1/repos/q/events?config=a&config=b HTTP/1.1\r\nHost:h\r\nX-A:  b c \r\nx-a: \r\nLast-Event-ID: \"\u{e9}\"\r\n",
        ),
        one("GET /v1/repos/r/configs/none?wait=1 HTTP/1.1\r\nhost: h\r\n"),
        one("GET /v1/repos/r/configs/empty?wait=1 HTTP/1.1\r\nhost: h\r\n"),
        one("GET /v1/repos/r/other/configs/?wait=1 HTTP/1.1\r\nhost: h\r\n"),
        one("GET /v1/repos/r/configs/a?wait=1%zz HTTP/1.1\r\nhost: h\r\n"),
        one(&format!("{EVENTS}connection: close\r\n")),
        one(&format!("{POLL}Connection: Keep-Alive, Close\r\n")),
        one(&format!(
            "{POLL}connection: keep-alive\r\nconnection: keep-alive\r\n"
        )),
    ]
}

fn others() -> Vec<String> {
    let of = |more: &str| format!("{POLL}{more}");
    let mut cases: Vec<String> = [
        "content-length: 0\r\n\r\n",
        "content-length: 4\r\n\r\nbody",
        "content-length: 4\r\ncontent-length: 4\r\n\r\nbody",
        "content-length: 4\r\ncontent-length: 5\r\n\r\nbody!",
        "content-length: +4\r\n\r\nbody",
        "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "transfer-encoding: identity\r\n\r\n",
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "expect: 100-continue\r\n\r\n",
        "expect: 100-continue\r\ncontent-length: 4\r\n\r\nbody",
        "upgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "connection: x-a\r\nx-a: b\r\n\r\n",
        "te: trailers\r\n\r\n",
        "x-a: b\r\n  folded\r\n\r\n",
        "x-a : b\r\n\r\n",
        "x-a\r\n\r\n",
        ": b\r\n\r\n",
        "x-a: b\0c\r\n\r\n",
        "x-a: b\rc\r\n\r\n",
        "x-a: b\n\r\n",
        "x-a: b\n\n",
        "host: other\r\n\r\n",
    ]
    .map(of)
    .to_vec();
    cases.extend(
        [
            "GET /v1/repos/r/events HTTP/1.1\r\n\r\n",
            "GET /v1/repos/r/events HTTP/1.0\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events HTTP/1.2\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events HTTP/2.0\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events\r\n\r\n",
            "GET  /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events  HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events?a b HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events#a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/events?\u{e9} HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET http://h/v1/repos/r/events HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /v1/repos/r/configs/a HTTP/1.1\r\nhost: h\r\n\r\n",
            "get /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n\r\n",
            "HEAD /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n\r\n",
            "POST /other HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody",
            "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n",
            "\r\nGET /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n\r\n",
            "G",
            "GET /v1/repos/r/events HTTP/1.1\r\nhost: h\r\n",
            "\u{16}\u{3}\u{1}",
            "",
        ]
        .map(str::to_owned),
    );
    let header = |number: usize| format!("x-{number}: {number}\r\n");
    for count in [40, 120] {
        let many: String = (0..count).map(header).collect();
        cases.push(of(&format!("{many}\r\n")));
    }
    for bytes in [9 << 10, 70 << 10] {
        cases.push(of(&format!("x-a: {}\r\n\r\n", "b".repeat(bytes))));
        cases.push(format!(
            "GET /v1/repos/q/events?{} HTTP/1.1\r\nhost: h\r\n\r\n",
            "c".repeat(bytes)
        ));
    }
    cases
}

async fn assert_same(house: &House, pieces: &[&[u8]]) {
    let lane = house.answers(Way::Lane, pieces).await;
    let library = house.answers(Way::Library, pieces).await;
    let sent = String::from_utf8_lossy(&pieces.concat()).into_owned();
    assert_eq!(lane, library, "to {sent:?}");
}

fn is_watch(text: &str) -> bool {
    matches!(head::read(text.as_bytes(), 0), Head::Watch(_))
}

#[tokio::test]
async fn whatever_is_asked_the_lane_answers_as_the_library_does() {
    let house = house();
    let (watches, others) = (watches(), others());
    assert_eq!(watches.iter().find(|text| !is_watch(text)), None);
    assert_eq!(others.iter().find(|text| is_watch(text)), None);
    let cases = watches.iter().chain(&others);
    join_all(cases.map(|text| async { assert_same(&house, &[text.as_bytes()]).await })).await;
}

#[tokio::test]
async fn what_comes_byte_by_byte_is_answered_as_what_comes_at_once() {
    let house = &house();
    let cases = watches().into_iter().chain(others());
    let cases: Vec<_> = cases.filter(|text| text.len() < 1_000).collect();
    let same = cases.iter().map(|text| async move {
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_same(house, &bytes).await;
        let lane = house.answers(Way::Lane, &bytes).await;
        assert_eq!(
            lane,
            house.answers(Way::Lane, &[text.as_bytes()]).await,
            "to {text:?}"
        );
    });
    join_all(same).await;
}

#[tokio::test]
async fn requests_that_are_sent_behind_each_other_are_answered_in_turn_whoever_answers() {
    let house = house();
    let other = "POST /other HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody";
    let (events, poll) = (format!("{EVENTS}\r\n"), format!("{POLL}\r\n"));
    let smuggled = format!("{POLL}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{poll}");
    let cases = [
        [poll.as_str(), &poll, &poll].concat(),
        [events.as_str(), &poll, &events].concat(),
        [poll.as_str(), other, &events, other].concat(),
        [other, &poll, &events].concat(),
        [poll.as_str(), &smuggled].concat(),
        [poll.as_str(), "body that nobody announced\r\n\r\n", &poll].concat(),
        [
            poll.as_str(),
            &format!("{EVENTS}connection: close\r\n\r\n"),
            &poll,
        ]
        .concat(),
        poll.repeat(200),
    ];
    join_all(cases.iter().map(|text| async {
        assert_same(&house, &[text.as_bytes()]).await;
        for at in [1, 20, poll.len() - 1, poll.len(), poll.len() + 1] {
            let (begin, rest) = text.as_bytes().split_at(at);
            assert_same(&house, &[begin, rest]).await;
        }
    }))
    .await;
}

/// A house with one route, which waits for ever, and how many wait there.
fn waiting() -> (House, Arc<Semaphore>) {
    let waits = Arc::new(Semaphore::new(1));
    let shared = waits.clone();
    let wait = move || async move {
        let _permit = shared.acquire_owned().await;
        std::future::pending::<()>().await;
    };
    (
        House::new(Router::new().route("/v1/repos/r/events", get(wait))),
        waits,
    )
}

#[tokio::test]
async fn who_hangs_up_or_says_no_more_ends_what_he_waited_for() {
    for hang_up in [true, false] {
        let (house, waits) = waiting();
        let mut stream = house.open(Way::Lane, ROOM);
        stream
            .write_all(format!("{EVENTS}\r\n").as_bytes())
            .await
            .unwrap();
        while waits.available_permits() > 0 {
            yield_now().await;
        }
        if hang_up {
            drop(stream);
        } else {
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        }
        house.until_empty().await;
        assert_eq!(waits.available_permits(), 1);
    }
}

#[tokio::test]
async fn who_asks_further_while_he_waits_is_neither_heard_nor_kept_in_memory() {
    let (house, _waits) = waiting();
    let mut stream = house.open(Way::Lane, 1_024);
    stream
        .write_all(format!("{EVENTS}\r\n").as_bytes())
        .await
        .unwrap();
    let flood = async {
        let mut taken = 0;
        while stream.write_all(&[b'x'; 1_024]).await.is_ok() {
            taken += 1_024;
            assert!(taken <= 16 << 10, "more is kept than any request has");
        }
    };
    // Nobody takes more: what is written then waits.
    assert!(tokio::time::timeout(SHORT, flood).await.is_err());
    assert_eq!(house.metrics.open(), 1);
}

#[tokio::test]
async fn who_reads_nothing_is_cut_and_holds_no_more_than_a_piece() {
    let endless = || async {
        let piece = Bytes::from(vec![b'x'; 1_000]);
        Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(piece.clone())))
    };
    let mut house = House::new(Router::new().route("/v1/repos/r/events", get(endless)));
    house.patience = SHORT;
    let mut stream = house.open(Way::Lane, 4_096);
    stream
        .write_all(format!("{EVENTS}\r\n").as_bytes())
        .await
        .unwrap();
    house.until_empty().await;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert!(read.len() <= 4_096);
}

#[tokio::test]
async fn when_the_process_ends_who_waits_is_waited_for_and_who_says_nothing_is_not() {
    let draining = CancellationToken::new();
    let ends = draining.clone();
    let until_end = move || {
        let ends = ends.clone();
        async move {
            ends.cancelled().await;
            "the end"
        }
    };
    let mut house = House::new(Router::new().route("/v1/repos/r/events", get(until_end)));
    house.draining = draining;
    let mut waits = house.open(Way::Lane, ROOM);
    waits.write_all(format!("{EVENTS}\r\n").as_bytes()).await.unwrap();
    let mut silent = house.open(Way::Lane, ROOM);
    while house.metrics.open() < 2 {
        yield_now().await;
    }
    let draining = house.draining.clone();
    // The request is taken before anything else happens on this thread.
    for _ in 0..10 {
        yield_now().await;
    }
    draining.cancel();
    house.graceful.shutdown().await;
    let mut told = String::new();
    waits.read_to_string(&mut told).await.unwrap();
    assert!(
        told.contains("connection: close\r\n") && told.ends_with("the end"),
        "{told}"
    );
    assert_eq!(silent.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_watch_weighs_little_while_it_waits() {
    let house = house();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (peer, connection) = (house.peer(stream), house.connection());
    let kept = Box::new(Kept { peer, connection });
    let bytes = size_of_val(&*kept) + size_of_val(&rounds(kept));
    assert!(bytes <= 640, "{bytes} bytes");
}
