//! One peer: its socket, and how long it may keep everybody waiting.
//!
//! Invariant: whoever is connected either gets on or is cut: the first bytes come within a deadline, and bytes of ours
//! are taken within another. The framework times the heads of requests only once it knows the protocol. Bytes that were
//! heard and not taken are read again by whoever reads next, so that a connection can be looked at before it is decided
//! who serves it. What is deliberately absent: what the bytes mean.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::limits::{Holder, Share};
use crate::metrics::ConnectionMetrics;

/// Bytes after which it is known which protocol is spoken: those of the preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE_LEN: usize = 24;
/// Bytes that are heard at once.
const HEARD_BYTES: usize = 2 << 10;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a request, or from the beginning of the connection, to the end of its head.
    pub head: Duration,
    /// To take bytes of ours.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            write: Duration::from_secs(30),
        }
    }
}

/// The place of one connection among all; given back when the socket is closed, also if it has become a WebSocket meanwhile.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// Of what its address may have.
    _share: Option<Share<Holder>>,
    metrics: ConnectionMetrics,
}

impl Slot {
    pub(super) fn new(
        (permit, share): (OwnedSemaphorePermit, Option<Share<Holder>>),
        metrics: &ConnectionMetrics,
    ) -> Self {
        metrics.opened();
        Self {
            _permit: permit,
            _share: share,
            metrics: metrics.clone(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.closed();
    }
}

/// A socket whose beginning and whose writes must get on; otherwise reading or writing fails and the connection ends.
pub(super) struct Peer<S> {
    stream: S,
    patience: Patience,
    /// Heard, and taken by nobody yet.
    unread: BytesMut,
    /// What has come so far, until it is known which protocol is spoken.
    heard: usize,
    silent: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
    _slot: Slot,
}

impl<S> Peer<S> {
    pub(super) fn new(stream: S, slot: Slot, patience: Patience) -> Self {
        Self {
            stream,
            patience,
            unread: BytesMut::new(),
            heard: 0,
            silent: Some(Box::pin(tokio::time::sleep(patience.head))),
            stalled: None,
            _slot: slot,
        }
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// What was heard and not taken.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Takes so many of the bytes that were heard.
    pub(super) fn take(&mut self, count: usize) {
        self.unread.advance(count.min(self.unread.len()));
        if self.unread.is_empty() {
            // Who waits for long keeps no room for what he asked.
            self.unread = BytesMut::new();
        }
    }

    /// Lets progress of writing through, and bounds the lack of it.
    fn guard<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        // Whoever is answered has said enough.
        self.silent = None;
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let patience = self.patience.write;
        let sleep = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(late("the peer reads nothing")))
    }
}

fn late(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncRead + Unpin> Peer<S> {
    /// Hears more: how many bytes came, and 0 if no more will.
    pub(super) fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); HEARD_BYTES];
        let mut buf = ReadBuf::uninit(&mut room);
        ready!(self.poll_stream(cx, &mut buf))?;
        self.unread.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Reads from the socket itself.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.silent.is_none() {
            return poll;
        }
        if poll.is_ready() {
            self.heard += buf.filled().len() - before;
            if self.heard >= PREFACE_LEN {
                self.silent = None;
            }
            return poll;
        }
        if let Some(sleep) = &mut self.silent {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(Err(late("the peer says nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Peer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return self.poll_stream(cx, buf);
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(count));
        self.take(0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Peer<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.guard(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.guard(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.guard(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.guard(cx, poll)
    }
}
