//! One watch that is answered: its socket, and what is told over it.
//!
//! Invariant: who waits for long weighs little: there is no buffer, and what is told is written from the bytes that all who
//! are told the same share. Nothing more is asked of the answer before the last piece of it is written, so that
//! who reads slowly skips versions; who reads nothing is cut by the deadline of his [`Peer`]. Who has gone ends what he
//! waited for.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::answer::{self, CHUNK_END, ChunkLine, Framing, IsLast, LAST_CHUNK};
use crate::http::peer::Peer;

/// Bytes of further requests that are kept; from then on nothing is read before this one is answered.
const AHEAD_BYTES_MAX: usize = 4 << 10;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All was told, and more may be asked.
    Told,
    /// All was told, and the connection ends.
    Over,
    /// The peer is gone, or the answer broke off.
    Gone,
}

/// The answer that is waited for.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// A watch that is answered.
pub(super) struct Held<'a, S> {
    peer: &'a mut Peer<S>,
    stage: Stage,
    outgoing: Outgoing,
    is_last: IsLast,
    draining: &'a CancellationToken,
}

enum Stage {
    /// The answer is waited for.
    Asked(Answering),
    /// Its body is told.
    Telling(Body, Framing),
    /// All of it is told.
    Told,
}

/// What is being written.
#[derive(Default)]
struct Outgoing {
    bytes: Bytes,
    /// They are a chunk.
    is_chunk: bool,
    /// Bytes of it that were written, those of the framing among them.
    written: usize,
    /// Something was written since all was last flushed.
    is_fresh: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Held<'a, S> {
    /// An answer for a peer; the connection ends with it if that was asked, or if the process ends.
    pub(super) fn new(
        peer: &'a mut Peer<S>,
        answering: Answering,
        (is_last, draining): (bool, &'a CancellationToken),
    ) -> Self {
        Self {
            peer,
            stage: Stage::Asked(answering),
            outgoing: Outgoing::default(),
            is_last: if is_last { IsLast::Yes } else { IsLast::No },
            draining,
        }
    }

    /// Tells as far as it goes without waiting.
    fn poll_tell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.outgoing.poll_write(self.peer, cx))?;
            match &mut self.stage {
                Stage::Asked(answering) => {
                    let Ok(response) = ready!(answering.as_mut().poll(cx));
                    self.begin(cx, response)?;
                }
                Stage::Telling(body, framing) => {
                    let framing = *framing;
                    match body_piece(body, cx) {
                        Poll::Ready(Some(piece)) => self.outgoing.put(piece?, framing),
                        Poll::Ready(None) => self.end(framing),
                        // What was written goes out before anything is waited for.
                        Poll::Pending => return self.outgoing.poll_flush(self.peer, cx),
                    }
                }
                Stage::Told => return self.outgoing.poll_flush(self.peer, cx),
            }
        }
    }

    /// Puts the head of the answer, and the beginning of its body if it is there: one packet for both.
    fn begin(&mut self, cx: &mut Context<'_>, response: Response) -> io::Result<()> {
        if self.draining.is_cancelled() {
            self.is_last = IsLast::Yes;
        }
        let (mut text, mut body, framing) = answer::begin(response, self.is_last);
        if framing == Framing::Nothing {
            self.stage = Stage::Told;
        } else {
            if let Poll::Ready(Some(piece)) = body_piece(&mut body, cx) {
                let piece = piece?;
                if framing == Framing::Chunks && !piece.is_empty() {
                    text.extend_from_slice(ChunkLine::of(piece.len()).as_bytes());
                    text.extend_from_slice(&piece);
                    text.extend_from_slice(CHUNK_END);
                } else {
                    text.extend_from_slice(&piece);
                }
            }
            self.stage = Stage::Telling(body, framing);
        }
        self.outgoing.put(text.freeze(), Framing::Length);
        Ok(())
    }

    fn end(&mut self, framing: Framing) {
        self.stage = Stage::Told;
        if framing == Framing::Chunks {
            self.outgoing.put(LAST_CHUNK, Framing::Length);
        }
    }

    /// Whether the peer is still there; what he says meanwhile is for later.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.peer.unread().len() < AHEAD_BYTES_MAX {
            match ready!(self.peer.poll_hear(cx)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Held<'_, S> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let told = self.poll_tell(cx);
        match told {
            Poll::Ready(Err(_)) => Poll::Ready(Outcome::Gone),
            Poll::Ready(Ok(())) if matches!(self.stage, Stage::Told) => Poll::Ready(match self.is_last {
                IsLast::No if !self.draining.is_cancelled() => Outcome::Told,
                IsLast::No | IsLast::Yes => Outcome::Over,
            }),
            Poll::Ready(Ok(())) | Poll::Pending => self.poll_gone(cx).map(|()| Outcome::Gone),
        }
    }
}

impl Outgoing {
    /// Writes these bytes next; nothing must be left of those before. An empty chunk would be the last one.
    fn put(&mut self, bytes: Bytes, framing: Framing) {
        *self = Self {
            is_chunk: framing == Framing::Chunks && !bytes.is_empty(),
            bytes,
            written: 0,
            is_fresh: true,
        };
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        peer: &mut Peer<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let line = self.is_chunk.then(|| ChunkLine::of(self.bytes.len()));
            let line = line.as_ref().map(ChunkLine::as_bytes).unwrap_or_default();
            let end = if self.is_chunk { CHUNK_END } else { &[] };
            let mut slices = [line, &self.bytes, end].map(IoSlice::new);
            let whole: usize = slices.iter().map(|slice| slice.len()).sum();
            let mut left = slices.as_mut_slice();
            IoSlice::advance_slices(&mut left, self.written);
            self.written += match ready!(Pin::new(&mut *peer).poll_write_vectored(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => written,
            };
            if self.written >= whole {
                // Who waits keeps nothing of what he was told.
                self.bytes = Bytes::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        peer: &mut Peer<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_fresh {
            ready!(Pin::new(peer).poll_flush(cx))?;
            self.is_fresh = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// The next piece of a body.
fn body_piece(body: &mut Body, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
    loop {
        let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => return Poll::Ready(Some(Ok(data))),
            // Trailers: no answer of ours has any.
            Ok(Err(_)) => {}
            Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
        }
    }
}
