//! The accept loop: one task per connection, with deadlines that the framework's own loop does not have.
//!
//! Invariant: a peer that sends half a head, reads nothing or opens too many connections hurts itself alone: each
//! has a named limit, and the limit ends its connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Longest time from the first byte of a request to the end of its head.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Longest time a peer may leave bytes of ours unread before the connection is cut.
const WRITE_STALL_DEADLINE: Duration = Duration::from_secs(30);
/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Streams one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 1_024;
/// Descriptors kept back for Git, the store and the listener.
const DESCRIPTORS_RESERVED: u64 = 256;
/// Pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `draining` is cancelled; then lets open requests and `sockets` finish for at
/// most `drain_deadline`.
pub(crate) async fn serve(
    listener: TcpListener,
    (router, sockets): (Router, TaskTracker),
    draining: CancellationToken,
    drain_deadline: Duration,
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(connections_max()));
    loop {
        // Cancel-safe: both arms only wait.
        let accepted = tokio::select! {
            () = draining.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Ok(slot) = slots.clone().try_acquire_owned() {
                    open(stream, router.clone(), &graceful, slot);
                } else {
                    warn!(%peer, "too many connections; one was closed at once");
                }
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    sockets.close();
    // A socket has left its connection's future, so it is waited for by itself.
    let finished = async {
        graceful.shutdown().await;
        sockets.wait().await;
    };
    if tokio::time::timeout(drain_deadline, finished).await.is_err() {
        warn!("some requests did not finish within the drain deadline and were cut");
    }
}

fn open(stream: TcpStream, router: Router, graceful: &GracefulShutdown, slot: OwnedSemaphorePermit) {
    // Without this, an event waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the socket could not be set up");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(20));
    let io = TokioIo::new(StallGuard::new(stream, slot));
    let connection = builder
        .serve_connection_with_upgrades(io, TowerToHyperService::new(router))
        .into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            debug!(%error, "a connection ended: {error}");
        }
    });
}

/// How many connections fit into the descriptors this process may open.
fn connections_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(1_024);
    let room = limit.saturating_sub(DESCRIPTORS_RESERVED).clamp(64, 1 << 20);
    usize::try_from(room).unwrap_or(1_024)
}

/// A socket whose writes must get on: if the peer reads nothing for too long, writing fails and the connection ends.
struct StallGuard {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Given back when the socket is closed, also if it has become a WebSocket meanwhile.
    _slot: OwnedSemaphorePermit,
}

impl StallGuard {
    fn new(stream: TcpStream, slot: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            stalled: None,
            _slot: slot,
        }
    }

    /// Lets progress through, and bounds the lack of it.
    fn guard<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let sleep = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_STALL_DEADLINE)));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer reads nothing",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for StallGuard {
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
