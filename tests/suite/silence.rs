//! A network that drops everything without a word, both ways: a client behind a router that stops forwarding.
//!
//! Client, router and server each have a network namespace of their own, which only root can make; elsewhere the tests
//! say so and pass. The server's namespace holds a second client, the witness, which says what has been published while
//! nothing gets through.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use headwater_tests::origin::TestOrigin;
use headwater_tests::program::Program;
use headwater_tests::served::Served;
use headwater_tests::sshd::skipped;
use headwater_tests::wait::wait_until;

/// Within which a client must be back once packets get through again.
const BACK_WITHIN: Duration = Duration::from_secs(40);
/// Silence after which the stream is given up. Half of the usual, and still more than the server is ever silent.
const STREAM_IDLE: u64 = 20;
const SERVER: &str = "10.91.2.2:7171";

/// Three networks in a row; they are gone when this is dropped.
struct Networks {
    client: String,
    router: String,
    server: String,
}

impl Networks {
    /// None where they cannot be made.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |role| format!("headwater-{}-{count}-{role}", std::process::id());
        let networks = Self {
            client: name("client"),
            router: name("router"),
            server: name("server"),
        };
        let made = networks.names().iter().all(|name| tried(&["netns", "add", name]));
        if !made || !networks.connect() {
            skipped("network namespaces cannot be made here; that takes root and iproute2");
            return None;
        }
        Some(networks)
    }

    fn names(&self) -> [&str; 3] {
        [&self.client, &self.router, &self.server]
    }

    fn connect(&self) -> bool {
        let router = self.router.as_str();
        let sides = [
            (self.client.as_str(), "left", 1),
            (self.server.as_str(), "right", 2),
        ];
        let connected = sides.iter().all(|(end, link, net)| {
            let (near, far) = (format!("10.91.{net}.1"), format!("10.91.{net}.2/24"));
            let near_net = format!("{near}/24");
            tried(&[
                "-n", router, "link", "add", link, "type", "veth", "peer", "name", "eth", "netns", end,
            ]) && tried(&["-n", router, "addr", "add", &near_net, "dev", link])
                && tried(&["-n", end, "addr", "add", &far, "dev", "eth"])
                && tried(&["-n", router, "link", "set", link, "up"])
                && tried(&["-n", end, "link", "set", "lo", "up"])
                && tried(&["-n", end, "link", "set", "eth", "up"])
                && tried(&["-n", end, "route", "add", "default", "via", &near])
        });
        connected && self.forward("1")
    }

    /// A router that does not forward drops what is not its own and answers nothing.
    fn forward(&self, on: &str) -> bool {
        let script = format!("echo {on} > /proc/sys/net/ipv4/ip_forward");
        let status = Command::new("ip")
            .args(["netns", "exec", &self.router, "sh", "-c", &script])
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn cut(&self) {
        assert!(self.forward("0"), "the router stops forwarding");
    }

    fn heal(&self) -> Instant {
        assert!(self.forward("1"), "the router forwards again");
        Instant::now()
    }

    fn serve(&self, origin: &TestOrigin, data: &Path) -> Served {
        let mut command = inside(&self.server, env!("CARGO_BIN_EXE_served"));
        command
            .arg(origin.path_url())
            .arg(data)
            .args(["--listen", SERVER]);
        Served::start_by(command)
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in self.names() {
            tried(&["netns", "del", name]);
        }
    }
}

fn inside(network: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network, program]);
    command
}

/// A program that lives on the service, in a network.
fn read(network: &str, instance: &str) -> Program {
    let mut command = inside(network, env!("CARGO_BIN_EXE_reader"));
    let server = format!("http://{SERVER}");
    command.args([&server, "app", instance, &STREAM_IDLE.to_string()]);
    Program::start(command)
}

/// Whether `ip` did so.
fn tried(args: &[&str]) -> bool {
    let output = Command::new("ip").args(args).output();
    output.is_ok_and(|output| output.status.success())
}

fn commit(origin: &TestOrigin, n: u64) {
    let text = format!("n = {n}\n");
    origin.commit(&[("app.toml", Some(&text))], "next");
}

/// The numbers that a reader has run, in order.
fn values(reader: &Program) -> Vec<u64> {
    let lines = reader.printed();
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("value "));
    numbers
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

fn until_value(reader: &mut Program, n: u64) {
    let wanted = format!("value {n} ");
    reader.until(&wanted, |line| line.starts_with(&wanted));
}

/// How often it has had a stream.
fn streams(reader: &Program) -> usize {
    let lines = reader.printed();
    lines.iter().filter(|line| *line == "transport stream").count()
}

/// Commits each number and waits until it has been published.
fn publish(origin: &TestOrigin, witness: &mut Program, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        commit(origin, n);
        until_value(witness, n);
    }
}

/// No update lost, none applied twice, none backwards.
fn assert_in_order(reader: &Program, newest: u64) {
    let seen = values(reader);
    assert!(
        seen.is_sorted_by(|one, next| one < next),
        "taken back or twice: {seen:?}"
    );
    assert_eq!(seen.last(), Some(&newest), "lost: {seen:?}");
}

#[test]
fn what_happens_while_packets_are_dropped_arrives_once_and_in_order_when_they_are_not() {
    let Some(networks) = Networks::new() else { return };
    let (origin, data) = (TestOrigin::new(), tempfile::tempdir().unwrap());
    commit(&origin, 1);
    let _server = networks.serve(&origin, &data.path().join("data"));
    let mut witness = read(&networks.server, "witness");
    let mut reader = read(&networks.client, "reader");
    until_value(&mut witness, 1);
    until_value(&mut reader, 1);
    reader.until("a stream", |line| line == "transport stream");
    let mut newest = 1;
    for _ in 0..3 {
        networks.cut();
        publish(&origin, &mut witness, newest + 1..=newest + 4);
        assert_eq!(values(&reader).last(), Some(&newest), "nothing gets through");
        newest += 4;
        let healed = networks.heal();
        until_value(&mut reader, newest);
        assert!(healed.elapsed() < BACK_WITHIN, "{:?}", healed.elapsed());
    }
    assert_in_order(&reader, newest);
}

#[test]
fn a_client_that_has_given_up_a_silent_connection_is_back_within_40_s_of_the_first_packet() {
    let Some(networks) = Networks::new() else { return };
    let (origin, data) = (TestOrigin::new(), tempfile::tempdir().unwrap());
    commit(&origin, 1);
    let _server = networks.serve(&origin, &data.path().join("data"));
    let mut witness = read(&networks.server, "witness");
    let mut reader = read(&networks.client, "reader");
    until_value(&mut witness, 1);
    until_value(&mut reader, 1);
    reader.until("a stream", |line| line == "transport stream");

    networks.cut();
    let cut = Instant::now();
    publish(&origin, &mut witness, 2..=5);
    reader.until("the watchdog", |line| line == "transport none");
    let noticed = cut.elapsed();
    publish(&origin, &mut witness, 6..=8);
    assert_eq!(values(&reader), [1], "nothing gets through");

    let given_up = streams(&reader);
    let healed = networks.heal();
    until_value(&mut reader, 8);
    let current = healed.elapsed();
    wait_until("a stream again", || streams(&reader) > given_up);
    let back = healed.elapsed();
    println!("noticed after {noticed:?}, current {current:?} and streaming {back:?} after the first packet");
    assert!(back < BACK_WITHIN, "{back:?}");
    publish(&origin, &mut witness, 9..=9);
    until_value(&mut reader, 9);
    assert_in_order(&reader, 9);
}
