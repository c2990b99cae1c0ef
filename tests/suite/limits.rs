//! What one caller may have: who is over a limit is told so and counted, and another is unharmed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use headwater_server::forge::ForgeKind;
use headwater_server::settings::LimitSettings;
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::socket::Socket;
use headwater_tests::wait::{wait_for, wait_until};
use serde_json::json;

use crate::watch::set;
use crate::webhooks::{SECRET, hook, push_of};

fn limited(limits: LimitSettings) -> (TestOrigin, TestServer) {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.caller_limits = limits)
        .start();
    server.until_tip(&first);
    (origin, server)
}

fn report(server: &TestServer, instance: &str, seq: u64) -> Reply {
    let body = json!({"incarnation": 1, "seq": seq, "configs": {"app": {"state": "pending"}}}).to_string();
    let target = format!("/v1/repos/default/instances/{instance}");
    server.ask(&Ask::new("PUT", &target).body("application/json", body.as_bytes()))
}

/// What was refused by a limit, as the metrics have it.
fn refused(server: &TestServer, limit: &str) -> bool {
    let page = server.get("/metrics").expect(200).text();
    let series = format!("headwater_limited_total{{limit=\"{limit}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.is_some_and(|count| count != "0")
}

/// A problem that says what to do and when to come back.
#[track_caller]
fn told(reply: &Reply, key: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (429, "too_many_requests"));
    assert!(reply.must("retry-after").parse::<u64>().expect("seconds") >= 1);
    let hint = reply.json()["hint"].as_str().expect("a hint").to_owned();
    assert!(hint.contains(key), "{hint}");
}

#[test]
fn an_instance_that_reports_without_end_is_told_when_to_come_back_and_another_is_heard() {
    let (_origin, server) = limited(LimitSettings {
        reports_per_instance_max: Some(2),
        ..LimitSettings::default()
    });
    report(&server, "i-1", 1).expect(200);
    report(&server, "i-1", 2).expect(200);
    told(&report(&server, "i-1", 3), "reports_per_instance_max");
    report(&server, "i-2", 1).expect(200);
    assert!(refused(&server, "reports_per_instance_max"));
    assert!(!refused(&server, "reports_per_token_max"));
}

#[test]
fn a_caller_that_reports_without_end_is_told_when_to_come_back_and_may_still_read() {
    let (_origin, server) = limited(LimitSettings {
        reports_per_token_max: Some(1),
        ..LimitSettings::default()
    });
    report(&server, "i-1", 1).expect(200);
    let reply = report(&server, "i-2", 1);
    told(&reply, "reports_per_token_max");
    assert!(reply.json()["retry_after_ms"].as_u64().expect("a wait") > 1_000);
    server.get("/v1/repos/default/configs/app").expect(200);
}

#[test]
fn a_caller_with_all_of_its_watches_is_refused_one_more_until_it_ends_one() {
    let (_origin, server) = limited(LimitSettings {
        watches_per_token_max: Some(2),
        ..LimitSettings::default()
    });
    let socket = Socket::open(server.addr(), "config=app");
    let stream = server.events("config=app");
    let events = "/v1/repos/default/events?config=app";
    told(&server.get(events), "watches_per_token_max");
    told(
        &server.get("/v1/repos/default/configs/app?wait=1"),
        "watches_per_token_max",
    );
    // What is no watch is answered, and who comes from elsewhere has his own.
    server.get("/v1/repos/default/configs/app").expect(200);
    assert_eq!(status_from([127, 0, 0, 2], server.addr(), events), 200);
    assert!(refused(&server, "watches_per_token_max"));
    drop((socket, stream));
    wait_for("a place for one more", || {
        let reply = server.get("/v1/repos/default/configs/app?wait=1");
        (reply.status == 200).then_some(())
    });
}

#[test]
fn a_crowd_that_opens_streams_at_once_is_no_crowd_of_requests() {
    let (_origin, server) = limited(LimitSettings {
        requests_per_token_max: Some(1),
        ..LimitSettings::default()
    });
    let events = "/v1/repos/default/events?config=app";
    let opened: Vec<u16> = std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| status_from([127, 0, 0, 5], server.addr(), events)))
            .collect();
        crowd
            .into_iter()
            .map(|one| one.join().expect("a status"))
            .collect()
    });
    assert_eq!(opened, [200; 16]);
}

#[test]
fn an_address_with_all_of_its_connections_is_told_so_and_another_is_served() {
    let (_origin, server) = limited(LimitSettings {
        connections_per_address_max: Some(2),
        ..LimitSettings::default()
    });
    let target = "/v1/repos/default/configs/app";
    let held: Vec<_> = wait_for("two connections that are held", || {
        let held: Vec<_> = (0..2).map(|_| connected([127, 0, 0, 3], server.addr())).collect();
        (status_from([127, 0, 0, 3], server.addr(), target) == 429).then_some(held)
    });
    assert_eq!(status_from([127, 0, 0, 2], server.addr(), target), 200);
    drop(held);
    wait_for("a place for one more", || {
        (status_from([127, 0, 0, 3], server.addr(), target) == 200).then_some(())
    });
    assert!(refused(&server, "connections_per_address_max"));
}

#[test]
fn who_begins_deliveries_and_does_not_finish_them_keeps_no_other_sender_out() {
    let origin = TestOrigin::new();
    let first = set(&origin, 1);
    let server = Stopped::of(&origin.path_url())
        .with(|settings| settings.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])])
        .start();
    server.until_tip(&first);
    let begun = b"POST /hooks/github HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    let held: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = connected([127, 0, 0, 4], server.addr());
            stream.write_all(begun).expect("a request that begins");
            stream
        })
        .collect();
    let is_answered = |stream: &&TcpStream| {
        stream.set_nonblocking(true).expect("a stream that does not wait");
        stream.peek(&mut [0]).is_ok()
    };
    wait_until("all but the share of that address to be turned away", || {
        held.iter().filter(is_answered).count() >= held.len() - 8
    });
    // What it tells is known already, and it is taken.
    assert_eq!(push_of(&first).to(&server).status, 200);
    drop(held);
}

/// A connection from another address of this machine.
fn connected(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((from, 0))).expect("an address");
        socket.connect(to).await.expect("a connection")
    });
    let stream = stream.into_std().expect("a stream");
    stream.set_nonblocking(false).expect("a stream that waits");
    stream
}

/// The status that a request from there is answered with.
fn status_from(from: [u8; 4], to: SocketAddr, target: &str) -> u16 {
    let mut stream = connected(from, to);
    // Who is turned away may be so before it has written.
    stream.write_all(&Ask::get(target).bytes()).ok();
    status(&mut stream)
}

/// The status of the answer that comes next; 0 if there is none.
fn status(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    if stream.read_exact(&mut line).is_err() {
        return 0;
    }
    let text = String::from_utf8_lossy(&line);
    let status = text.rsplit(' ').next().and_then(|status| status.parse().ok());
    status.unwrap_or_default()
}
