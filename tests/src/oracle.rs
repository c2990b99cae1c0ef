//! A service that rules ask: it keeps what it is asked and answers as it is told.
//!
//! Invariant: one answer a connection, in the order of the connections. What is deliberately absent: any opinion; a
//! test says the bytes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

/// One question that arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Value of `Headwater-Signature`.
    pub signature: String,
    /// Value of `traceparent`, if it was sent.
    pub traceparent: Option<String>,
    /// The bytes that are signed.
    pub bytes: Vec<u8>,
}

impl Asked {
    /// What was asked.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a question in JSON")
    }
}

/// The service. It ends with the process.
#[derive(Debug, Clone)]
pub struct Oracle {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    answers: VecDeque<String>,
}

impl Oracle {
    /// Starts it. Without an answer that was told, it says yes.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let oracle = Self {
            addr: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        let answering = oracle.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answering.answer(stream);
            }
        });
        oracle
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/ask", self.addr)
    }

    /// Answers the next question with a status line and a body.
    pub fn next(&self, status: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        self.lock().answers.push_back(answer);
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(asked) = read(&stream) else { return };
        let yes = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"allowed\": true}";
        let answer = {
            let mut state = self.lock();
            state.asked.push(asked);
            state.answers.pop_front()
        };
        // Whoever asked may be gone.
        stream.write_all(answer.as_deref().unwrap_or(yes).as_bytes()).ok();
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut signature, mut traceparent) = (0, String::new(), None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "traceparent" => traceparent = Some(value.trim().to_owned()),
            "headwater-signature" => value.trim().clone_into(&mut signature),
            _ => {}
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(Asked {
        signature,
        traceparent,
        bytes,
    })
}
