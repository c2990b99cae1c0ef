//! Those who behave: programs that read at a fixed rate on connections that they keep, watchers that wait for news, and
//! now and then somebody who comes anew.
//!
//! Invariant: the time of a read counts from when it was due, so that a service which stalls makes every read slow that
//! should have been made meanwhile. What fails is counted and told, never tried again unseen. They come from addresses
//! of their own, as programs on other machines do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::site::{PROGRAMS, Site};
use crate::crowd::answer;
use crate::failure::Failure;
use crate::repository::CONFIG;

/// Longest wait for an answer, after which a read has failed.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Pause before a connection that failed is made again.
const REST: Duration = Duration::from_secs(1);
/// Time between two who come anew.
const NEWCOMER_EVERY: Duration = Duration::from_millis(250);
/// What stands before the version in an event.
const VERSION: &str = "\"version\":\"";

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) readers: u32,
    /// Reads of all of them in one second.
    pub(super) reads_per_second: u32,
    pub(super) watchers: u32,
}

/// What became of what they asked for.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Time of each read.
    pub(super) reads: Vec<Duration>,
    /// Reads and watches that failed.
    pub(super) failed: u64,
    /// The first of them, in words.
    pub(super) failure: Option<String>,
    /// Those who came anew, and those of them who were not answered.
    pub(super) newcomers: u64,
    pub(super) refused: u64,
}

/// A watcher was told of a version.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) watcher: u32,
    pub(super) version: String,
    pub(super) at: Instant,
}

/// All of them, at work until this is dropped.
pub(super) struct Behaved {
    shared: Arc<Shared>,
    pub(super) numbers: Numbers,
    pub(super) told: Receiver<Told>,
    _runtime: Runtime,
}

struct Shared {
    address: SocketAddr,
    tokens: Vec<String>,
    /// What is read by its commit.
    commit: Mutex<String>,
    samples: Mutex<Samples>,
}

impl Behaved {
    /// Has them all begin.
    pub(super) fn start(site: &Site, numbers: Numbers) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            address: site.service.address,
            tokens: site.tokens.clone(),
            commit: Mutex::new(site.first.clone()),
            samples: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (tell, told) = channel();
        for number in 0..numbers.watchers {
            let (shared, tell) = (shared.clone(), tell.clone());
            runtime.spawn(async move { shared.watch(number, tell).await });
        }
        for number in 0..numbers.readers {
            let shared = shared.clone();
            runtime.spawn(async move { shared.read(number, numbers).await });
        }
        let newcomers = shared.clone();
        runtime.spawn(async move { newcomers.come_anew().await });
        Ok(Self {
            shared,
            numbers,
            told,
            _runtime: runtime,
        })
    }

    /// What became of everything since this was last asked.
    pub(super) fn samples(&self) -> Samples {
        std::mem::take(&mut *self.shared.samples())
    }

    /// From now on they read this commit.
    pub(super) fn read_commit(&self, commit: &str) {
        commit.clone_into(&mut self.shared.commit.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, what: &str, why: impl std::fmt::Display) {
        let mut samples = self.samples();
        samples.failed += 1;
        samples.failure.get_or_insert_with(|| format!("{what}: {why}"));
    }

    /// One program's connection, whose reads are due at fixed moments.
    async fn read(&self, number: u32, numbers: Numbers) {
        let every = Duration::from_secs(1) * numbers.readers / numbers.reads_per_second;
        let mut due = Instant::now() + every * number / numbers.readers;
        let mut line = None;
        for count in 0_u64.. {
            tokio::time::sleep_until(due.into()).await;
            let commit = self.commit.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let path = if count.is_multiple_of(2) {
                format!("/v1/repos/default/configs/{CONFIG}")
            } else {
                format!("/v1/repos/default/commits/{commit}/configs/{CONFIG}")
            };
            let request = self.request(number, &path);
            let asked = self.asked(&mut line, &request);
            let asked = tokio::time::timeout(ANSWER_DEADLINE, asked).await;
            match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(200) => self.samples().reads.push(due.elapsed()),
                Ok(status) => self.failed("a read was answered with", status),
                Err(error) => {
                    self.failed("a read failed", error);
                    line = None;
                }
            }
            due += every;
        }
    }

    async fn asked(&self, line: &mut Option<(TcpStream, Vec<u8>)>, request: &Request) -> io::Result<u16> {
        if line.is_none() {
            *line = Some((self.connect(request.program).await?, Vec::new()));
        }
        let Some((stream, inbox)) = line else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        stream.write_all(request.text.as_bytes()).await?;
        let status = answered(stream, inbox).await?;
        Ok(status)
    }

    async fn come_anew(&self) {
        for number in 0.. {
            tokio::time::sleep(NEWCOMER_EVERY).await;
            let request = self.request(number, &format!("/v1/repos/default/configs/{CONFIG}"));
            let mut line = None;
            let asked = tokio::time::timeout(ANSWER_DEADLINE, self.asked(&mut line, &request)).await;
            let mut samples = self.samples();
            samples.newcomers += 1;
            samples.refused += u64::from(!matches!(asked, Ok(Ok(200))));
        }
    }

    /// One watcher; where its stream ends before the benchmark does, that is a failure.
    async fn watch(&self, number: u32, tell: Sender<Told>) {
        loop {
            let end = self.watch_once(number, &tell).await;
            self.failed(
                "a watch ended",
                end.err().map_or_else(String::new, |error| error.to_string()),
            );
            tokio::time::sleep(REST).await;
        }
    }

    async fn watch_once(&self, number: u32, tell: &Sender<Told>) -> io::Result<()> {
        let request = self.request(number, &format!("/v1/repos/default/events?config={CONFIG}"));
        let mut stream = self.connect(request.program).await?;
        stream.write_all(request.text.as_bytes()).await?;
        let (mut inbox, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            inbox.extend(buffer.iter().take(count));
            let Some(end) = memchr::memrchr(b'\n', &inbox) else {
                continue;
            };
            let whole: Vec<u8> = inbox.drain(..=end).collect();
            for line in String::from_utf8_lossy(&whole).lines() {
                let version = line.split(VERSION).nth(1).and_then(|rest| rest.split('"').next());
                if let Some(version) = version {
                    let told = Told {
                        watcher: number,
                        version: version.to_owned(),
                        at: Instant::now(),
                    };
                    // Nobody listens any more when the phase is over.
                    tell.send(told).ok();
                }
            }
        }
    }

    fn request(&self, number: u32, path: &str) -> Request {
        let program = u8::try_from(number % u32::from(PROGRAMS)).unwrap_or(0);
        let token = self.tokens.get(usize::from(program)).map_or("", String::as_str);
        Request {
            program,
            text: format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
                self.address
            ),
        }
    }

    /// A connection from the address of a program.
    async fn connect(&self, program: u8) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, program + 1), 0)))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

struct Request {
    program: u8,
    text: String,
}

/// The status of the next answer, once it is whole.
async fn answered(stream: &mut TcpStream, inbox: &mut Vec<u8>) -> io::Result<u16> {
    let mut buffer = [0; 8_192];
    loop {
        let head = answer(inbox).map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(head) = head {
            inbox.drain(..head.bytes);
            return Ok(head.status);
        }
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        inbox.extend(buffer.iter().take(count));
    }
}
