//! The floors: the least work that gives the answers, from one thread and a bare event loop.
//!
//! Nothing is parsed but the end of a request, nothing is decided, and every answer is the same bytes.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::failure::Failure;

const LISTENER: Token = Token(usize::MAX);
const ORDERS: Token = Token(usize::MAX - 1);
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Answers every request with the same bytes, for ever.
pub(crate) fn canned(bytes: usize) -> Result<(), Failure> {
    Floor::listen()?.run(canned_answer(bytes).as_bytes(), &[])
}

/// The same, and per line of standard input everybody is given the answer once more, as if he had waited for it.
pub(crate) fn herd(bytes: usize) -> Result<(), Failure> {
    let answer = canned_answer(bytes);
    Floor::listen()?.run(answer.as_bytes(), answer.as_bytes())
}

fn canned_answer(bytes: usize) -> String {
    let body = "x".repeat(bytes);
    format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{body}")
}

/// Answers every request with the head of an event stream, and tells everybody an event of that many bytes per line
/// of standard input.
pub(crate) fn push(bytes: usize) -> Result<(), Failure> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let data = "x".repeat(bytes.saturating_sub(PUSHED.len()));
    Floor::listen()?.run(head.as_bytes(), format!("data: {PUSHED}{data}\n\n").as_bytes())
}

/// What each event of [`push`] has in it.
pub(crate) const PUSHED: &str = "pushed";

/// One listener and those who are connected.
struct Floor {
    poll: Poll,
    listener: TcpListener,
    lines: HashMap<usize, TcpStream>,
    next: usize,
    orders: Receiver<()>,
}

impl Floor {
    /// Listens on a free port of loopback and says where.
    #[expect(clippy::print_stdout, reason = "the address goes to who started this")]
    fn listen() -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), ORDERS)?;
        let (order, orders) = channel();
        thread::spawn(move || {
            for line in io::stdin().lines() {
                if line.is_err() || order.send(()).is_err() || waker.wake().is_err() {
                    break;
                }
            }
        });
        println!("listening on http://{}", listener.local_addr()?);
        Ok(Self {
            poll,
            listener,
            lines: HashMap::new(),
            next: 0,
            orders,
        })
    }

    fn run(&mut self, answer: &[u8], event: &[u8]) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 8 << 10];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for ready in &events {
                match ready.token() {
                    LISTENER => self.accept()?,
                    ORDERS => self.tell(event),
                    Token(number) => self.serve(number, &mut buffer, answer),
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    let token = Token(self.next);
                    self.poll
                        .registry()
                        .register(&mut stream, token, Interest::READABLE)?;
                    self.lines.insert(self.next, stream);
                    self.next += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Requests of this program come in one piece.
    fn serve(&mut self, number: usize, buffer: &mut [u8], answer: &[u8]) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        loop {
            let ended = match line.read(buffer) {
                Ok(0) => true,
                Ok(count) => {
                    let whole = buffer.get(..count).is_some_and(|read| read.ends_with(HEAD_END));
                    whole && line.write_all(answer).is_err()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => true,
            };
            if ended {
                self.lines.remove(&number);
                return;
            }
        }
    }

    fn tell(&mut self, event: &[u8]) {
        while self.orders.try_recv().is_ok() {
            self.lines.retain(|_, line| line.write_all(event).is_ok());
        }
    }
}
