//! One attacker: a process with an address of its own on loopback, and connections that do no good.
//!
//! Invariant: it goes on until its standard input ends, opens again whatever was closed, and says at the end what it
//! did. What is deliberately absent: any haste where the peer turns it away, so that it costs the machine little.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::attack::Attack;
use super::flood::Ammunition;
use crate::crowd::{answer, fits};
use crate::failure::Failure;
use crate::repository::CONFIG;

/// Said once all connections were tried.
pub(super) const BEGUN: &str = "begun";
/// Said once as many requests were sent as there should be.
pub(super) const ENOUGH: &str = "enough";

/// Connections that are made at the same time: a listener takes some 1,000 before it drops them.
const CONNECTING_MAX: usize = 64;
/// Longest time for one connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Pause before what was closed is opened again.
const REST: Duration = Duration::from_secs(1);
/// Pause between two bytes of a head.
const BYTE_PAUSE: Duration = Duration::from_millis(500);
/// Bytes of a head that are sent in one go by every second one: nearly as much as the service takes.
const FAT_HEAD_BYTES: usize = 60 << 10;
/// What who never reads has room for in his kernel, in bytes; it makes of it what is least.
const RECEIVE_BYTES: u32 = 1_024;
/// Bytes of a body that are announced, and that are sent.
const BODY_BYTES: (usize, usize) = (5 << 20, 4 << 20);
/// Requests that are sent before the first of them is answered.
const PIPELINED: usize = 16;

/// What one attacker does.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    attack: Attack,
    /// Of the service.
    address: SocketAddr,
    connections: u32,
    /// Requests to send at least.
    requests: u32,
    /// Which of several attackers it is.
    number: u8,
}

#[derive(Default)]
struct Tally {
    made: u64,
    answers: BTreeMap<String, u64>,
    unexpected: Option<String>,
}

/// What all connections of an attacker share.
struct Attacker {
    order: Order,
    source: Ipv4Addr,
    credentials: Vec<String>,
    connecting: Semaphore,
    /// One for each connection that was tried.
    tried: Semaphore,
    tally: Mutex<Tally>,
    enough: Notify,
}

impl Order {
    /// Attacks until standard input ends.
    pub(crate) fn run(self) -> Result<(), Failure> {
        fits(usize::try_from(self.connections).unwrap_or(usize::MAX))?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        let attacker = Arc::new(Attacker {
            source: Ipv4Addr::new(127, 0, 2, self.number.saturating_add(1)),
            credentials: line.split_whitespace().map(str::to_owned).collect(),
            connecting: Semaphore::new(CONNECTING_MAX),
            tried: Semaphore::new(0),
            tally: Mutex::default(),
            enough: Notify::new(),
            order: self,
        });
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            io::copy(&mut io::stdin(), &mut io::sink()).ok();
            end.send(()).ok();
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(attacker.go_on(ended));
        drop(runtime);
        attacker.say_what_was_done();
        Ok(())
    }
}

impl Attacker {
    async fn go_on(self: &Arc<Self>, ended: oneshot::Receiver<()>) {
        let mut connections = JoinSet::new();
        for number in 0..self.order.connections {
            let attacker = self.clone();
            connections.spawn(async move { attacker.hold(number).await });
        }
        let saying = async {
            drop(self.tried.acquire_many(self.order.connections).await);
            say(BEGUN);
            if self.order.requests > 0 {
                self.enough.notified().await;
            }
            say(ENOUGH);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = ended => {}
            () = saying => {}
        }
    }

    /// One place: a connection, and the next when that was closed.
    async fn hold(&self, number: u32) {
        loop {
            let connected = self.connect().await;
            self.tried.add_permits(1);
            match connected {
                Ok(stream) => {
                    let end = self.abuse(number, stream).await;
                    self.count(end.map_or("broken", |()| "closed"));
                }
                Err(error) => self.count(&format!("not connected: {}", error.kind())),
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let Ok(_permit) = self.connecting.acquire().await else {
            return Err(io::ErrorKind::Interrupted.into());
        };
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        if self.order.attack == Attack::Unread {
            socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        }
        socket.bind(SocketAddr::from((self.source, 0)))?;
        let connecting = tokio::time::timeout(CONNECT_DEADLINE, socket.connect(self.order.address));
        let stream = connecting.await.map_err(|_| io::ErrorKind::TimedOut)??;
        stream.set_nodelay(true)?;
        self.lock().made += u64::from(self.order.requests == 0);
        Ok(stream)
    }

    /// What is done on one connection, until the service closes it.
    async fn abuse(&self, number: u32, stream: TcpStream) -> io::Result<()> {
        match self.order.attack {
            Attack::Slowloris => slowly(number, stream).await,
            Attack::HalfOpen => until_closed(stream).await.map(|_| ()),
            Attack::Unread => self.never_read(stream).await,
            Attack::Unfinished => self.half_a_delivery(stream).await,
            Attack::Reports | Attack::Names | Attack::Webhooks => self.flood(number, stream).await,
            Attack::Upstream => Ok(()),
        }
    }

    async fn never_read(&self, mut stream: TcpStream) -> io::Result<()> {
        let (host, token) = (self.order.address, self.credential(0));
        let request = format!(
            "GET /v1/repos/default/events?config={CONFIG}&inline=1 HTTP/1.1\r\nhost: {host}\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        // Nothing is read for as long as the attack lasts; the stream is here until its future is dropped.
        std::future::pending().await
    }

    async fn half_a_delivery(&self, mut stream: TcpStream) -> io::Result<()> {
        let (host, (announced, sent)) = (self.order.address, BODY_BYTES);
        let head = format!(
            "POST /hooks/push HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             content-length: {announced}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let chunk = vec![b' '; 64 << 10];
        for _ in 0..sent / chunk.len() {
            // Who was turned away is told before he has sent everything.
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let told = until_closed(stream).await?;
        if let Some(head) = answer(&told).ok().flatten() {
            self.count(&head.status.to_string());
        }
        Ok(())
    }

    /// Requests without a pause, for as long as the connection lasts.
    async fn flood(&self, number: u32, mut stream: TcpStream) -> io::Result<()> {
        let mut ammunition = Ammunition::new(
            &self.order.address,
            (self.order.attack, number),
            &self.credentials,
        );
        let (mut inbox, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let first = self.order_number();
            let shots: Vec<_> = (first..).take(PIPELINED).map(|at| ammunition.shot(at)).collect();
            let requests: Vec<u8> = shots.iter().flat_map(|shot| shot.request.bytes()).collect();
            stream.write_all(&requests).await?;
            for shot in shots {
                let status = loop {
                    let head = answer(&inbox).map_err(|error| io::Error::other(error.to_string()))?;
                    if let Some(head) = head {
                        inbox.drain(..head.bytes);
                        break head.status;
                    }
                    let count = stream.read(&mut buffer).await?;
                    if count == 0 {
                        return Ok(());
                    }
                    inbox.extend(buffer.iter().take(count));
                };
                self.count(&status.to_string());
                if !shot.is_expected(status) {
                    let told = format!("{} was answered with {status}", shot.what);
                    self.lock().unexpected.get_or_insert(told);
                }
            }
        }
    }

    /// Where in the row of all requests of all attackers the next ones stand.
    fn order_number(&self) -> u64 {
        let mut tally = self.lock();
        let sent = tally.made;
        tally.made += PIPELINED as u64;
        if tally.made >= u64::from(self.order.requests) {
            self.enough.notify_one();
        }
        // No two attackers use the same numbers.
        (u64::from(self.order.number) << 32) + sent
    }

    fn credential(&self, number: usize) -> &str {
        self.credentials.get(number).map_or("", String::as_str)
    }

    fn count(&self, what: &str) {
        *self.lock().answers.entry(what.to_owned()).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say_what_was_done(&self) {
        let tally = self.lock();
        let said = json!({"made": tally.made, "answers": tally.answers, "unexpected": tally.unexpected});
        say(&said.to_string());
    }
}

/// A head that never ends.
async fn slowly(number: u32, mut stream: TcpStream) -> io::Result<()> {
    let head = "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ";
    let mut begun = head.as_bytes().to_vec();
    if number.is_multiple_of(2) {
        begun.resize(FAT_HEAD_BYTES, b'a');
        stream.write_all(&begun).await?;
        begun.clear();
    }
    let endless = begun.into_iter().chain(std::iter::repeat(b'a'));
    for byte in endless {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(BYTE_PAUSE).await;
    }
    Ok(())
}

/// What comes until the other side closes the connection.
async fn until_closed(mut stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut told = Vec::new();
    stream.read_to_end(&mut told).await?;
    Ok(told)
}

#[expect(clippy::print_stdout, reason = "the words go to who started this")]
fn say(line: &str) {
    println!("{line}");
}
