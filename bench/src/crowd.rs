//! Many connections of one thread: the asking side.
//!
//! Invariant: nothing here is spent per connection but one read, so that the asking side does not hide what is measured.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::failure::{Failure, while_doing};

/// Descriptors that are left for everything that is no connection.
const DESCRIPTORS_KEPT: usize = 300;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// One connection, and what came on it that nobody took yet.
struct Line {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// Connections to one address.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    lines: Vec<Line>,
    buffer: Vec<u8>,
}

/// The head of an answer.
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    /// Bytes of head and body.
    pub(crate) bytes: usize,
    /// Bytes of the body alone.
    pub(crate) body: usize,
    /// The entity tag, if there is one.
    pub(crate) etag: Option<String>,
}

impl Crowd {
    /// Connects so many times.
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Result<Self, Failure> {
        fits(count)?;
        let poll = Poll::new()?;
        let mut lines = Vec::with_capacity(count);
        for number in 0..count {
            let stream = Blocking::connect(address).map_err(while_doing("a connection cannot be made"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(number), Interest::READABLE)?;
            lines.push(Line {
                stream,
                inbox: Vec::new(),
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            lines,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Sends a request, which is smaller than what a socket takes at once.
    pub(crate) fn send(&mut self, number: usize, request: &[u8]) -> Result<(), Failure> {
        let line = self
            .lines
            .get_mut(number)
            .ok_or_else(|| Failure::new("no such connection"))?;
        line.stream
            .write_all(request)
            .map_err(while_doing("a request cannot be sent"))
    }

    /// Waits for what comes, at most `longest`, and gives the inbox of each connection on which something came.
    pub(crate) fn turn(
        &mut self,
        longest: Duration,
        mut take: impl FnMut(usize, &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(line) = self.lines.get_mut(number) else {
                continue;
            };
            loop {
                match line.stream.read(&mut self.buffer) {
                    Ok(0) => return Err(Failure::new("a connection was ended by the other side")),
                    Ok(count) => line.inbox.extend(self.buffer.iter().take(count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(while_doing("a connection broke")(error)),
                }
            }
            take(number, &mut line.inbox)?;
        }
        Ok(())
    }
}

/// The head of the answer at the start of `inbox`, once the answer is whole.
pub(crate) fn answer(inbox: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(inbox)
        .map_err(|error| Failure::new(format!("what came is no HTTP: {error}")))?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    let value = |name: &str| {
        let header = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body = value("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let found = Head {
        status: response.code.unwrap_or(0),
        bytes: head + body,
        body,
        etag: value("etag").map(str::to_owned),
    };
    Ok((inbox.len() >= found.bytes).then_some(found))
}

/// Refuses more connections than there are descriptors for, here and in the other process, which has the same limit.
pub(crate) fn fits(count: usize) -> Result<(), Failure> {
    match open_files() {
        Some(soft) if count > soft.saturating_sub(DESCRIPTORS_KEPT) => Err(Failure::new(format!(
            "{count} connections need more than the {soft} open files that a process may have here; raise it with \
             `ulimit -n`, or ask for fewer"
        ))),
        _ => Ok(()),
    }
}

/// How many descriptors a process may have here, where the system says.
pub(crate) fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    line?.split_whitespace().next()?.parse().ok()
}
