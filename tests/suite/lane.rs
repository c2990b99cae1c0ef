//! The watch lane in the whole service: who watches is answered there as by the HTTP library, which serves everything else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use headwater_tests::http::{Ask, Reply};
use headwater_tests::server::TestServer;
use headwater_tests::wait::{PATIENCE, wait_until};

use crate::auth::House;
use crate::watch::{APP, served, set, token};

/// What has the library answer: the lane takes no request that says how long it is.
const ELSEWHERE: (&str, &str) = ("content-length", "0");
const EVENTS: &str = "/v1/repos/default/events?config=app";
/// Headers that differ from one answer to the next.
const OF_THE_MOMENT: [&str; 3] = ["date", "x-request-id", "headwater-synced-at"];

/// Status, headers and body, without what differs from one answer to the next.
fn lasting(reply: Reply) -> Reply {
    let mut headers = reply.headers;
    headers.retain(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
    let mut body = reply.body;
    if let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(&body)
        && let Some(object) = json.as_object_mut()
        && object.remove("request_id").is_some()
    {
        body = json.to_string().into_bytes();
    }
    if headers.iter().any(|(name, _)| name == "content-length") && body.starts_with(b"{") {
        // An id may have a digit more than the one before.
        headers.retain(|(name, _)| name != "content-length" || reply.status == 200);
    }
    Reply {
        status: reply.status,
        headers,
        body,
    }
}

/// The head alone, of a stream that does not end.
fn head(server: &TestServer, ask: &Ask) -> Reply {
    let (_, status, headers) = ask.open(server.addr()).expect("an answer");
    lasting(Reply {
        status,
        headers,
        body: Vec::new(),
    })
}

#[test]
fn status_headers_and_body_are_the_same_whoever_answers() {
    let house = House::with(&[("elsewhere", &["--role", "instance", "--config", "other"])]);
    let bearer = |who: &str| format!("Bearer {}", house.tokens[who]);
    let long_poll = format!("{APP}?wait=60");
    let (reader, elsewhere) = (bearer("reader"), bearer("elsewhere"));
    let held = house.get("reader", APP).must("etag").to_owned();
    let mut cases = vec![
        (EVENTS, vec![]),
        (EVENTS, vec![("authorization", "Bearer hw_wrong")]),
        (EVENTS, vec![("authorization", "Basic eDp5")]),
        (EVENTS, vec![("accept", "text/html")]),
        (EVENTS, vec![("authorization", elsewhere.as_str())]),
        (long_poll.as_str(), vec![]),
    ];
    for target in [
        long_poll.as_str(),
        "/v1/repos/none/events?config=app",
        "/v1/repos/default/events?config=none",
        "/v1/repos/default/events",
        "/v1/repos/default/events?config=%ff",
        "/v1/repos/%ff/events?config=app",
        "/v1/repos/default/none/events",
        "/v1/repos/default/configs/none?wait=60",
        "/v1/repos/default/configs/app?wait=soon",
        "/v1/repos/default/configs/app?wait=60&format=toml",
        "/v1/repos/default/configs/app?wait=60&pointer=/none",
    ] {
        cases.push((target, vec![("authorization", reader.as_str())]));
    }
    cases.push((
        EVENTS,
        vec![("authorization", &reader), ("host", "rebound.example")],
    ));
    cases.push((
        &long_poll,
        vec![("authorization", &reader), ("if-none-match", "\"other\"")],
    ));
    cases.push((
        "/v1/repos/default/configs/app?wait=0",
        vec![("authorization", &reader), ("if-none-match", &held)],
    ));
    for (target, headers) in cases {
        let ask = headers
            .iter()
            .fold(Ask::get(target), |ask, (name, value)| ask.header(name, value));
        let lane = lasting(house.server.ask(&ask));
        let library = lasting(house.server.ask(&ask.header(ELSEWHERE.0, ELSEWHERE.1)));
        assert_eq!(lane, library, "{target} with {headers:?}");
    }
    let ask = Ask::get(EVENTS).header("authorization", &reader);
    let lane = head(&house.server, &ask);
    let library = head(&house.server, &ask.header(ELSEWHERE.0, ELSEWHERE.1));
    assert_eq!((lane.status, &lane), (200, &library));
}

/// A connection that is kept for many requests.
struct Kept(TcpStream);

impl Kept {
    fn to(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.addr()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    fn send(&mut self, requests: &[(&str, &str)]) {
        let text: String = requests
            .iter()
            .map(|(target, more)| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n"))
            .collect();
        self.0.write_all(text.as_bytes()).expect("a request that is sent");
    }

    /// The next answer: its head in lower case, and its body.
    fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
        self.0.read_exact(&mut body).expect("a body");
        (head, String::from_utf8_lossy(&body).into_owned())
    }
}

fn etag(head: &str) -> String {
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    format!("if-none-match: {}\r\n", tag.expect("an entity tag"))
}

#[test]
fn one_connection_watches_again_and_again_and_reads_in_between() {
    let (origin, server, _) = served();
    let mut kept = Kept::to(&server);
    let long_poll = format!("{APP}?wait=300");
    let mut condition = format!("if-none-match: {}\r\n", token(&server));
    for value in 2..5 {
        kept.send(&[(&long_poll, &condition)]);
        set(&origin, value);
        let (head, body) = kept.answer();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(body.contains(&format!("\"v\":{value}")), "{body}");
        condition = etag(&head);
    }
    // From the first read on the library has the connection, and answers watches as well.
    kept.send(&[(APP, "")]);
    assert!(kept.answer().1.contains("\"v\":4"));
    kept.send(&[(&long_poll, &condition)]);
    set(&origin, 5);
    assert!(kept.answer().1.contains("\"v\":5"));
}

#[test]
fn what_is_asked_behind_a_watch_is_answered_after_it() {
    let (origin, server, _) = served();
    let mut kept = Kept::to(&server);
    let condition = format!("if-none-match: {}\r\n", token(&server));
    kept.send(&[
        (&format!("{APP}?wait=300"), &condition),
        ("/livez", ""),
        (APP, ""),
    ]);
    set(&origin, 2);
    assert!(kept.answer().1.contains("\"v\":2"));
    assert!(kept.answer().0.starts_with("http/1.1 200 "));
    assert!(kept.answer().1.contains("\"v\":2"));
}

#[test]
fn a_stop_answers_who_waits_and_ends_his_connection() {
    let (_origin, server, _) = served();
    let mut kept = Kept::to(&server);
    let condition = format!("if-none-match: {}\r\n", token(&server));
    kept.send(&[(&format!("{APP}?wait=300"), &condition)]);
    wait_until("that somebody waits", || waiting(&server) == 1);
    drop(server.stop());
    let (head, _) = kept.answer();
    assert!(head.starts_with("http/1.1 304 "), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(kept.0.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn who_is_gone_without_having_read_is_let_go() {
    let (_origin, server, _) = served();
    let streams: Vec<_> = (0..20)
        .map(|_| {
            let mut kept = Kept::to(&server);
            kept.send(&[(EVENTS, "")]);
            kept
        })
        .collect();
    wait_until("that all wait", || waiting(&server) == 20);
    // What was not read makes a reset of the end.
    drop(streams);
    wait_until("that nobody waits", || waiting(&server) == 0);
}

/// How many wait, as the metrics have it.
fn waiting(server: &TestServer) -> usize {
    let page = server.get("/metrics").expect(200).text();
    let series = "headwater_watches{repo=\"default\"} ";
    let count = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.parse().ok());
    count.unwrap_or_default()
}
