//! A WebSocket that keeps everything it was told and says what a test wants it to say.
//!
//! Invariant: a thread reads as fast as it can and answers pings; tests look at the list of what came
//! (level-triggered) and never race with the socket. Dropping it closes the connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use crate::wait::{PATIENCE, wait_for};

/// Messages a test may have said and the thread not yet sent.
const UP_LEN: usize = 1_024;
/// How long the thread listens before it looks whether there is something to say.
const TURN: Duration = Duration::from_millis(20);

/// One message down.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its event.
    pub event: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
    /// The whole message as it came.
    pub text: String,
}

#[derive(Debug, Default)]
struct Seen {
    told: Vec<Told>,
    pings: usize,
    closed: Option<u16>,
    ended: bool,
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    up: mpsc::SyncSender<Message>,
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

impl Socket {
    /// Opens a socket of `default`, which must be granted.
    #[track_caller]
    pub fn open(addr: SocketAddr, query: &str) -> Self {
        Self::open_as(addr, query, None)
    }

    /// The same as the holder of a token.
    #[track_caller]
    pub fn open_as(addr: SocketAddr, query: &str, token: Option<&str>) -> Self {
        let stream = TcpStream::connect(addr).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let url = format!("ws://{addr}/v1/repos/default/socket?{query}");
        let mut request = url.into_client_request().expect("an address");
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().expect("a header");
            request.headers_mut().insert("authorization", bearer);
        }
        let (socket, _) = tungstenite::client(request, stream).expect("a socket");
        let stream = socket.get_ref().try_clone().expect("a second handle");
        stream.set_read_timeout(Some(TURN)).expect("a timeout");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (up, to_say) = mpsc::sync_channel(UP_LEN);
        let shared = Arc::clone(&seen);
        drop(std::thread::spawn(move || {
            talk(socket, &to_say, &shared);
            lock(&shared).ended = true;
        }));
        Self { up, stream, seen }
    }

    /// Says a report.
    pub fn report(&self, report: &Value) {
        self.say(&json!({ "report": report }).to_string());
    }

    /// Says a text.
    pub fn say(&self, text: &str) {
        self.send(Message::text(text));
    }

    /// Says any message.
    pub fn send(&self, message: Message) {
        self.up.send(message).expect("a thread that sends");
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Told> {
        lock(&self.seen).told.clone()
    }

    /// Everything so far of one event.
    pub fn named(&self, event: &str) -> Vec<Told> {
        self.all()
            .into_iter()
            .filter(|told| told.event == event)
            .collect()
    }

    /// Waits until there are so many of an event, and returns the last one.
    #[track_caller]
    pub fn until(&self, event: &str, count: usize) -> Told {
        wait_for(&format!("{count} of `{event}`"), || {
            let named = self.named(event);
            (named.len() >= count).then(|| named.last().cloned()).flatten()
        })
    }

    /// Waits for a `version` of this version.
    #[track_caller]
    pub fn until_version(&self, version: &impl std::fmt::Display) -> Told {
        let version = version.to_string();
        wait_for(&format!("told of {version}"), || {
            let mut versions = self.named("version").into_iter();
            versions.find(|told| told.data["version"] == version.as_str())
        })
    }

    /// Pings so far.
    pub fn pings(&self) -> usize {
        lock(&self.seen).pings
    }

    /// Code of the goodbye, once there was one.
    pub fn closed(&self) -> Option<u16> {
        lock(&self.seen).closed
    }

    /// Whether the connection is over.
    pub fn ended(&self) -> bool {
        lock(&self.seen).ended
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The server may have closed already.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

fn talk(mut socket: WebSocket<TcpStream>, to_say: &mpsc::Receiver<Message>, seen: &Mutex<Seen>) {
    loop {
        match socket.read() {
            Ok(message) => lock(seen).take(message),
            Err(Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return,
        }
        while let Ok(message) = to_say.try_recv() {
            if socket.send(message).is_err() {
                break;
            }
        }
    }
}

impl Seen {
    fn take(&mut self, message: Message) {
        match message {
            Message::Text(text) => {
                let value: Value = serde_json::from_str(text.as_str()).expect("a JSON message");
                self.told.push(Told {
                    event: value["event"].as_str().expect("an event").to_owned(),
                    id: value["id"].as_str().map(str::to_owned),
                    data: value["data"].clone(),
                    text: text.as_str().to_owned(),
                });
            }
            Message::Ping(_) => self.pings += 1,
            Message::Close(frame) => {
                self.closed = Some(frame.map_or(1005, |CloseFrame { code, .. }| code.into()));
            }
            Message::Binary(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a socket of `default` by hand and leaves the rest to the test: nothing is read, and no ping is answered.
#[track_caller]
pub fn mute(addr: SocketAddr, query: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(addr).expect("a connection");
    stream.set_read_timeout(Some(2 * PATIENCE)).expect("a timeout");
    let head = format!(
        "GET /v1/repos/default/socket?{query} HTTP/1.1\r\nhost: {addr}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("a request that is sent");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a head");
    }
    reader
}
