//! The head of an answer, and how its body is framed.
//!
//! Invariant: what the library would write, in the order in which it would: the routes cannot tell by whom they are asked,
//! nor clients by whom they are answered.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderName, StatusCode};

use crate::clock;

/// Behind the last chunk.
pub(super) const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");
/// Behind each chunk.
pub(super) const CHUNK_END: &[u8] = b"\r\n";
/// Headers that are about this connection, and written here.
const OURS: [HeaderName; 3] = [CONNECTION, DATE, TRANSFER_ENCODING];
/// Longest line before a chunk, in bytes.
const CHUNK_LINE_MAX: usize = 18;

/// How a body is told apart from what comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// The head says how long it is.
    Length,
    /// Each piece says how long it is.
    Chunks,
}

/// The line before a chunk.
pub(super) struct ChunkLine {
    text: [u8; CHUNK_LINE_MAX],
    len: usize,
}

impl ChunkLine {
    /// The line before so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        let mut text = [0; CHUNK_LINE_MAX];
        let mut rest = text.as_mut_slice();
        // It fits: 16 digits and the end of a line.
        let written = write!(rest, "{bytes:x}\r\n");
        let len = CHUNK_LINE_MAX - rest.len();
        debug_assert!(written.is_ok(), "a number has at most 16 digits");
        Self { text, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

/// The bytes of a head, the body behind it and how that is framed. `is_last` says that the connection ends with it.
pub(super) fn begin(response: Response, is_last: IsLast) -> (BytesMut, Body, Framing) {
    let (parts, body) = response.into_parts();
    let framing = match (body.size_hint().exact(), parts.status) {
        (_, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Framing::Nothing,
        (Some(_), _) => Framing::Length,
        (None, _) => Framing::Chunks,
    };
    let length = body.size_hint().exact().filter(|_| framing == Framing::Length);
    (head(&parts, length, (framing, is_last)), body, framing)
}

/// Whether the connection ends with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsLast {
    Yes,
    No,
}

fn head(parts: &Parts, length: Option<u64>, (framing, is_last): (Framing, IsLast)) -> BytesMut {
    let mut head = BytesMut::with_capacity(512);
    let reason = parts.status.canonical_reason().unwrap_or("<none>");
    put(
        &mut head,
        &["HTTP/1.1 ", parts.status.as_str(), " ", reason, "\r\n"],
    );
    let mut length = length;
    for (name, value) in &parts.headers {
        // Routes say it where they know it; of nothing it is said behind the rest.
        let is_later = *name == CONTENT_LENGTH && length.take_if(|length| *length > 0).is_none();
        if !is_later && !OURS.contains(name) {
            put(&mut head, &[name.as_str(), ": "]);
            head.extend_from_slice(value.as_bytes());
            put(&mut head, &["\r\n"]);
        }
    }
    if is_last == IsLast::Yes {
        put(&mut head, &["connection: close\r\n"]);
    }
    if let Some(length) = length {
        put(&mut head, &["content-length: ", &length.to_string(), "\r\n"]);
    }
    if framing == Framing::Chunks {
        put(&mut head, &["transfer-encoding: chunked\r\n"]);
    }
    let date = httpdate::HttpDate::from(clock::exactly(clock::now()));
    put(&mut head, &["date: ", &date.to_string(), "\r\n\r\n"]);
    head
}

fn put(head: &mut BytesMut, texts: &[&str]) {
    for text in texts {
        head.extend_from_slice(text.as_bytes());
    }
}
