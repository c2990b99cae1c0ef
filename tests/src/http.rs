//! A small HTTP/1.1 client that sends exactly the bytes it is told and shows exactly what comes back.
//!
//! Invariant: one connection per request, blocking, bounded by [`PATIENCE`]. What is
//! deliberately absent: any politeness (escaping, redirects, retries) that would hide what the server does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::wait::PATIENCE;

/// Names in lower case with their values, in order.
pub type Headers = Vec<(String, String)>;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Headers,
    /// Body without its framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A header that must be there.
    #[track_caller]
    pub fn must(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("there is no `{name}` in {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, which it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// The `code` of a problem; the answer must be one.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["status"], self.status, "{body}");
        body["code"].as_str().expect("a code").to_owned()
    }

    /// The same answer, which must have this status.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often the status is all that matters"
    )]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }
}

/// A request line and its headers; `connection` is added, and `host` where there is none.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    method: String,
    target: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Ask {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            ..Self::default()
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("content-type", media_type)
            .header("content-length", &body.len().to_string())
    }

    /// The bytes of it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nconnection: close\r\n",
            self.method, self.target
        );
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head += "host: localhost\r\n";
        }
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and reads the whole answer.
    #[track_caller]
    pub fn send(&self, addr: SocketAddr) -> Reply {
        let (mut reader, status, headers) = self.open(addr).expect("an answer");
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        let has_body = self.method != "HEAD" && status != 304 && status >= 200;
        if !has_body {
            return reply;
        }
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        let length = reply
            .header("content-length")
            .and_then(|text| text.parse::<u64>().ok());
        if chunked {
            while let Some(chunk) = chunk(&mut reader).expect("a chunk") {
                reply.body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = length {
            reader.take(length).read_to_end(&mut reply.body).expect("a body");
            assert_eq!(reply.body.len() as u64, length, "the body was cut");
        } else {
            reader.read_to_end(&mut reply.body).expect("a body");
        }
        reply
    }

    /// Sends it and reads the head of the answer.
    pub fn open(&self, addr: SocketAddr) -> std::io::Result<(BufReader<TcpStream>, u16, Headers)> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // A server that refuses early closes before everything is written; what it said is there all the same.
        stream.write_all(&self.bytes()).ok();
        let mut reader = BufReader::new(stream);
        let (status, headers) = head(&mut reader)?;
        Ok((reader, status, headers))
    }
}

/// Sends raw bytes and returns everything that comes back until the server closes or is silent for a while.
pub fn raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    stream.read_to_end(&mut answer).ok();
    answer
}

fn head(reader: &mut impl BufRead) -> std::io::Result<(u16, Headers)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status in `{line}`")))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => return Ok((status, headers)),
            None => headers.push((
                line.trim_end().trim_end_matches(':').to_ascii_lowercase(),
                String::new(),
            )),
        }
    }
}

/// One chunk of a chunked body; `None` at its proper end.
pub fn chunk(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let size = usize::from_str_radix(line.trim_end(), 16)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("no chunk: `{line}`")))?;
    let mut bytes = vec![0; size];
    reader.read_exact(&mut bytes)?;
    line.clear();
    reader.read_line(&mut line)?;
    Ok((size > 0).then_some(bytes))
}

/// Percent-encodes everything but letters, digits and a few marks, so that any path survives.
pub fn escaped(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            other => text.extend([format!("%{other:02X}")]),
        }
    }
    text
}
