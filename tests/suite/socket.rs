//! The WebSocket: the events of a stream down, reports up, and how it ends.

use std::io::{BufRead, Read, Write};
use std::time::{Duration, Instant};

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::socket::{Socket, mute};
use headwater_tests::wait::wait_until;
use headwater_wire::{SocketDown, VersionEventWith};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tungstenite::Message;

use super::watch::{served, set};

fn report(seq: u64) -> Value {
    json!({"incarnation": 1, "seq": seq, "configs": {"app": {"generation": 0, "state": "pending"}}})
}

#[test]
fn a_socket_begins_with_the_version_to_hold_and_tells_the_next_one() {
    let (origin, server, first) = served();
    let socket = Socket::open(server.addr(), "config=app");
    let told = socket.until_version(&first);
    assert_eq!(told.data["change"], "initial");
    assert_eq!(told.data["document"], json!({"v": 1}));
    let second = set(&origin, 2);
    let told = socket.until_version(&second);
    assert_eq!(told.data["change"], "forward");
    let etag = server.config("app", None).must("etag").to_owned();
    assert_eq!(told.id.as_deref(), Some(etag.trim_matches('"')));
    assert_eq!(socket.named("version").len(), 2);
}

#[test]
fn a_socket_that_says_what_it_holds_is_told_only_what_it_does_not_hold() {
    let (origin, server, first) = served();
    let id = Socket::open(server.addr(), "config=app")
        .until_version(&first)
        .id
        .unwrap();
    let socket = Socket::open(server.addr(), &format!("config=app&have={id}"));
    let second = set(&origin, 2);
    assert_eq!(socket.until_version(&second).data["change"], "forward");
    assert_eq!(socket.named("version").len(), 1);
}

#[test]
fn a_socket_tells_the_documents_as_the_text_that_their_digest_is_of() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some(super::instances::TRICKY))], "tricky");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let told = Socket::open(server.addr(), "config=app").until_version(&first);
    let down: SocketDown<VersionEventWith<Box<RawValue>>> = serde_json::from_str(&told.text).unwrap();
    let document = down.data.document.unwrap();
    assert_eq!(headwater_render::digest(document.get()), down.data.digest);
}

#[test]
fn reports_go_up_and_their_answers_come_down_in_order() {
    let (origin, server, first) = served();
    let socket = Socket::open(server.addr(), "config=app&instance=i-1");
    socket.until_version(&first);
    for seq in 1..=100 {
        socket.report(&report(seq));
    }
    socket.until("report", 100);
    let seqs: Vec<u64> = socket
        .named("report")
        .iter()
        .map(|told| told.data["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    let answer = socket.until("report", 100);
    assert_eq!(answer.data["assignments"][0]["version"], first.as_str());
    let shown = server.get("/v1/repos/default/instances/i-1").expect(200).json();
    assert_eq!(shown["seq"], 100);
    // The feed goes on beside.
    let second = set(&origin, 2);
    socket.until_version(&second);
}

#[test]
fn a_message_that_cannot_be_taken_is_answered_and_the_socket_stays() {
    let (origin, server, first) = served();
    let socket = Socket::open(server.addr(), "config=app&instance=i-1");
    socket.until_version(&first);
    let mut problems = 0;
    let mut refused = |message: Message, code: &str| {
        socket.send(message);
        problems += 1;
        let told = socket.until("problem", problems);
        assert_eq!(told.data["code"], code);
        assert!(told.data["hint"].is_string());
    };
    refused(Message::text("{"), "bad_request");
    refused(Message::text("{\"report\": {\"incarnation\": 1}}"), "bad_request");
    refused(Message::binary(vec![0_u8; 10]), "bad_request");
    refused(Message::text(" ".repeat(300_000)), "too_large");
    let many: serde_json::Map<String, Value> = (0..257)
        .map(|n| (format!("c{n}"), json!({"state": "pending"})))
        .collect();
    let many = json!({"report": {"incarnation": 1, "seq": 1, "configs": many}});
    refused(Message::text(many.to_string()), "bad_request");
    socket.report(&report(1));
    assert_eq!(socket.until("report", 1).data["accepted"], true);
    let second = set(&origin, 2);
    socket.until_version(&second);
    // A message that is larger than anything we would read ends it.
    socket.say(&" ".repeat(2_000_000));
    wait_until("ended", || socket.ended());
}

#[test]
fn what_is_no_message_ends_the_socket_with_the_code_of_that() {
    let (_origin, server, _) = served();
    // Frames of a client, whose mask is 0; the last one only says how long it will be.
    let frames: [(&[u8], u16); 5] = [
        (&[0x81, 0x01, b'a'], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0], 1009),
    ];
    for (frame, code) in frames {
        let mut socket = mute(server.addr(), "config=app&instance=i-1");
        socket.get_mut().write_all(frame).unwrap();
        let mut told = Vec::new();
        // A reset after the goodbye is as good as an end.
        socket.read_to_end(&mut told).ok();
        assert_eq!(goodbye(&told), Some(code), "{frame:x?}");
    }
}

/// The code of the close frame at the end of what a server said.
fn goodbye(mut told: &[u8]) -> Option<u16> {
    while let [head, length, rest @ ..] = told {
        let (length, rest) = match (*length, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (length, rest) => (usize::from(length), rest),
        };
        if *head == 0x88 {
            return Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        }
        told = rest.get(length..)?;
    }
    None
}

#[test]
fn a_socket_of_no_instance_cannot_report() {
    let (_origin, server, first) = served();
    let socket = Socket::open(server.addr(), "config=app");
    socket.until_version(&first);
    socket.report(&report(1));
    assert_eq!(socket.until("problem", 1).data["code"], "bad_request");
}

#[test]
fn who_has_seen_a_higher_generation_is_told_one_above_it_on_the_same_socket() {
    let (_origin, server, first) = served();
    let socket = Socket::open(server.addr(), "config=app&instance=i-1");
    socket.until_version(&first);
    let ahead = json!({"app": {"generation": 90, "state": "pending"}});
    let report = |seq: u64| json!({"incarnation": 1, "seq": seq, "configs": ahead});
    socket.report(&report(1));
    let told = socket.until("version", 2);
    socket.report(&report(2));
    let answer = socket.until("report", 2);
    assert_eq!(answer.data["assignments"][0]["generation"], 91);
    assert_eq!(told.data["generation"], 91);
    assert_eq!(told.data["version"], first.as_str());
}

#[test]
fn what_is_wrong_with_the_request_is_said_before_the_upgrade() {
    let (_origin, server, _) = served();
    let upgrade = |query: &str| {
        Ask::get(&format!("/v1/repos/default/socket{query}"))
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let code = |ask: &Ask| server.ask(ask).code();
    assert_eq!(code(&upgrade("")), "bad_request");
    assert_eq!(code(&upgrade("?config=app&instance=a/b")), "bad_request");
    let plain = server.get("/v1/repos/default/socket?config=app").expect(426);
    assert_eq!(plain.code(), "upgrade_required");
    assert_eq!(plain.must("upgrade"), "websocket");
    let (status, code) = answered(&server, "config=none", "");
    assert_eq!((status, code.as_str()), (404, "config_not_found"));
    let (status, code) = answered(&server, "config=app", "origin: http://evil.example\r\n");
    assert_eq!((status, code.as_str()), (403, "origin_not_allowed"));
}

/// What a good upgrade with one more header is answered.
fn answered(server: &TestServer, query: &str, header: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
    let head = format!(
        "GET /v1/repos/default/socket?{query} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         {header}sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.addr()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = std::io::BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    let mut status = None;
    loop {
        text.clear();
        reader.read_line(&mut text).unwrap();
        let line = text.trim_end().to_ascii_lowercase();
        status = status.or_else(|| line.split(' ').nth(1).map(|code| code.parse::<u16>().unwrap()));
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status.unwrap(), body["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_stop_says_goodbye_to_every_socket_and_closes_it() {
    let (_origin, server, first) = served();
    let sockets: Vec<Socket> = (0..20)
        .map(|_| Socket::open(server.addr(), "config=app&instance=i"))
        .collect();
    for socket in &sockets {
        socket.until_version(&first);
    }
    drop(server.stop());
    for socket in &sockets {
        wait_until("ended", || socket.ended());
        let goodbye = socket.all().last().cloned().expect("a message");
        assert_eq!(goodbye.event, "goaway");
        assert_eq!(goodbye.data["reason"], "shutdown");
        assert!(goodbye.data["retry_after_ms"].is_u64());
        assert_eq!(socket.closed(), Some(1001));
    }
}

#[test]
fn a_peer_that_answers_pings_stays_and_one_that_does_not_is_dropped() {
    let (origin, server, first) = served();
    let start = Instant::now();
    let there = Socket::open(server.addr(), "config=app");
    let mut silent = mute(server.addr(), "config=app");
    let mut rest = Vec::new();
    // A reset is as good as an end.
    silent.read_to_end(&mut rest).ok();
    let lasted = start.elapsed();
    assert!(lasted > Duration::from_secs(35), "dropped after {lasted:?}");
    assert!(there.pings() >= 2);
    assert!(!there.ended());
    there.until("bookmark", 1);
    there.until_version(&first);
    let second = set(&origin, 2);
    there.until_version(&second);
}

/// Sockets of the server that are not closed on its side, as the system counts them.
fn open_sockets(server: &TestServer) -> usize {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    let port = format!(":{:04X}", server.addr().port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let open = table.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state) = (fields.get(1), fields.get(3));
        local.is_some_and(|local| local.ends_with(&port))
            && state.is_some_and(|state| *state != TIME_WAIT && *state != LISTEN)
    });
    open.count()
}

#[test]
fn a_thousand_sockets_that_come_and_go_leave_nothing_behind() {
    let (origin, server, first) = served();
    let watcher = Socket::open(server.addr(), "config=app");
    watcher.until_version(&first);
    let mut peak = 0;
    for _ in 0..20 {
        let sockets: Vec<_> = (0..50)
            .map(|_| mute(server.addr(), "config=app&instance=i"))
            .collect();
        peak = peak.max(open_sockets(&server));
        drop(sockets);
    }
    assert!(peak > 50, "{peak} were open at once");
    wait_until("one is left", || open_sockets(&server) == 1);
    let second = set(&origin, 2);
    watcher.until_version(&second);
    drop(watcher);
    wait_until("none is left", || open_sockets(&server) == 0);
}

#[test]
fn a_slow_socket_skips_versions_and_ends_at_the_newest() {
    let origin = TestOrigin::new();
    let text = |number: usize| format!("{{\"n\": {number}, \"text\": \"{}\"}}", "x".repeat(200_000));
    let first = origin.commit(&[("a.json", Some(&text(0)))], "0");
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let mut slow = mute(server.addr(), "config=a&inline=1");
    let pushes = 30;
    let mut last = first;
    for number in 1..=pushes {
        last = origin.commit(&[("a.json", Some(&text(number)))], &number.to_string());
        server.until_tip(&last);
    }
    // Only now does the reader begin to read. Messages are not masked, so their text stands in the bytes.
    let has = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .filter(|part| *part == text.as_bytes())
            .count()
    };
    let newest = format!("\"version\":\"{last}\"");
    let (mut seen, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = slow.read(&mut chunk).unwrap_or(0);
        let from = seen.len().saturating_sub(newest.len());
        seen.extend_from_slice(&chunk[..read]);
        // On a slow machine the server has had enough by now and has hung up, which costs it nothing either.
        if read == 0 || has(&seen[from..], &newest) > 0 {
            break;
        }
    }
    let versions = has(&seen, "\"event\":\"version\"");
    assert!(
        versions < pushes,
        "{versions} of {pushes} were told, so somebody kept them"
    );
}
