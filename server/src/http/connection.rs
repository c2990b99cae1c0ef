//! One connection, and who answers the requests that come by it.
//!
//! Invariant: whoever answers, the same routes do, with the same word of who calls. What is deliberately absent: which
//! connections there may be (`serve`), and which requests are watches (`lane`).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Extensions, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::debug;

use super::caller::Caller;
use super::peer::Peer;
use crate::tls::Presented;

/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Streams one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 1_024;
/// Time between two pings of an HTTP/2 connection, and longest wait for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What is known of a connection besides its socket.
pub(super) struct Connection {
    /// Answers every request.
    pub router: Router,
    /// Who calls.
    pub origin: Origin,
    /// Held as long as a stop has to wait for the connection.
    pub watcher: Watcher,
    /// Cancelled when the process stops taking requests.
    pub draining: CancellationToken,
}

/// Who calls, as far as the connection says.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// From where.
    pub caller: Caller,
    /// What was shown in the handshake.
    pub presented: Option<Arc<Presented>>,
}

impl Origin {
    /// Says so of one request.
    pub(super) fn mark(&self, extensions: &mut Extensions) {
        extensions.insert(self.caller);
        if let Some(presented) = &self.presented {
            extensions.insert(presented.clone());
        }
    }
}

impl Connection {
    /// Has the HTTP library serve the connection from now on, whatever is spoken over it.
    pub(super) fn serve<S>(self, peer: Peer<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            origin,
            watcher,
            ..
        } = self;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(peer.patience().head)
            .max_buf_size(HEAD_BYTES_MAX)
            .half_close(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(Some(PING_INTERVAL))
            .keep_alive_timeout(PING_INTERVAL);
        let router = router.map_request(move |mut request: Request<Incoming>| {
            origin.mark(request.extensions_mut());
            request
        });
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(peer), TowerToHyperService::new(router))
            .into_owned();
        let connection = watcher.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended: {error}");
            }
        });
    }
}
