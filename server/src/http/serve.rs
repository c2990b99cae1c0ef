//! The accept loop: one task per connection, with deadlines that the framework's own loop does not have.
//!
//! Invariant: a peer that sends half a head, or nothing, that reads nothing or opens too many connections hurts itself
//! alone: each has a named limit, and the limit ends its connection. Who is one too many is told so.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use headwater_wire::{Problem, ProblemCode};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::caller::Caller;
use super::connection::{Connection, Origin};
use super::peer::{Patience, Peer, Slot};
use super::{lane, limits};
use crate::limits::{Limits, Reached};
use crate::metrics::ConnectionMetrics;
use crate::seldom::Seldom;
use crate::tls::{Presented, Tls};

/// Descriptors kept back for Git, the store and the listener.
const DESCRIPTORS_RESERVED: u64 = 256;
/// Pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long who was one too many should wait, in seconds.
const COME_BACK_SECONDS: u32 = 5;

/// The type of the first record of a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// What is served, to how many at once, and how long it may take to end.
pub(crate) struct Serving {
    pub router: Router,
    /// Its name in the log.
    pub label: &'static str,
    /// Open sockets, which a stop waits for.
    pub sockets: TaskTracker,
    /// Most connections at once.
    pub connections_max: usize,
    /// What one address may have of them.
    pub limits: Limits,
    pub patience: Patience,
    pub drain_deadline: Duration,
    pub metrics: ConnectionMetrics,
    /// Certificates; without them, in clear text.
    pub tls: Option<Arc<Tls>>,
}

/// Serves on `listener` until `draining` is cancelled; then lets open requests and sockets finish.
pub(crate) async fn serve(listener: TcpListener, serving: Serving, draining: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let connections_max = serving.connections_max;
    serving.metrics.may_be(connections_max);
    let slots = Arc::new(Semaphore::new(connections_max));
    let refusals = Seldom::default();
    loop {
        // Cancel-safe: both arms only wait.
        let accepted = tokio::select! {
            () = draining.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match place(&serving, &slots, Caller(peer.ip())) {
                Ok(slot) => welcome(
                    (stream, slot, Caller(peer.ip())),
                    &serving,
                    graceful.watcher(),
                    &draining,
                ),
                Err(full) => {
                    if full == Full::ForAll && refusals.is_due() {
                        let hint = "raise the limit of descriptors of the process, or `connections_max` of the listener; \
                                    `headwater_connections_refused_total` counts them";
                        let listener = serving.label;
                        warn!(%peer, listener, connections_max, hint, "too many connections; one was turned away, and maybe others");
                    }
                    // Who waits for a handshake understands no answer in clear text; the end of the connection is one.
                    if serving.tls.is_none()
                        && let Err(error) = turn_away(stream, full)
                    {
                        debug!(%peer, %error, "one that was turned away was not told");
                    }
                }
            },
            Err(error) => {
                warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    serving.sockets.close();
    // A socket has left its connection's future, so it is waited for by itself.
    let finished = async {
        graceful.shutdown().await;
        serving.sockets.wait().await;
    };
    if tokio::time::timeout(serving.drain_deadline, finished)
        .await
        .is_err()
    {
        warn!("some requests did not finish within the drain deadline and were cut");
    }
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    ForAll,
    ForOne(Reached),
}

/// The place of a connection: of its address first, so that who has too many takes none from others.
fn place(serving: &Serving, slots: &Arc<Semaphore>, caller: Caller) -> Result<Slot, Full> {
    let share = serving.limits.connection(caller.network());
    let share = share.map_err(Full::ForOne)?;
    let permit = slots.clone().try_acquire_owned().map_err(|_full| {
        serving.metrics.refused();
        Full::ForAll
    })?;
    Ok(Slot::new((permit, share), &serving.metrics))
}

/// Serves one connection, after a handshake if there is to be one; whoever takes long for it keeps nobody else.
fn welcome(
    (stream, slot, caller): (TcpStream, Slot, Caller),
    serving: &Serving,
    watcher: Watcher,
    draining: &CancellationToken,
) {
    // Without this, an event waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the socket could not be set up");
    }
    let patience = serving.patience;
    let connection = Connection {
        router: serving.router.clone(),
        origin: Origin {
            caller,
            presented: None,
        },
        watcher,
        draining: draining.clone(),
    };
    let Some(tls) = serving.tls.clone() else {
        lane::enter(Peer::new(stream, slot, patience), connection);
        return;
    };
    tokio::spawn(async move {
        let shaken = tokio::time::timeout(patience.head, shake_hands(&tls, stream));
        let Some(shaken) = connection.draining.run_until_cancelled(shaken).await else {
            return;
        };
        match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((stream, presented)) => {
                let origin = Origin {
                    caller,
                    presented: presented.map(Arc::new),
                };
                let connection = Connection { origin, ..connection };
                lane::enter(Peer::new(stream, slot, patience), connection);
            }
            Err(error) => {
                tls.metrics().failed();
                debug!(%error, caller = %caller.0, "a handshake failed: {error}");
            }
        }
    });
}

type Shaken = (tokio_rustls::server::TlsStream<TcpStream>, Option<Presented>);

/// The handshake, and what it tells of a client. Who speaks HTTP in clear text is told so.
async fn shake_hands(tls: &Tls, stream: TcpStream) -> io::Result<Shaken> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
        refuse_clear_text(stream)?;
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it began in clear text",
        ));
    }
    let stream = tls.acceptor().accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let presented = certificates.and_then(<[_]>::first).map(Presented::of);
    Ok((stream, presented))
}

/// Says that there is no room, as far as that goes without waiting for anybody.
fn turn_away(stream: TcpStream, full: Full) -> io::Result<()> {
    let (status, problem) = match full {
        Full::ForAll => (
            "503 Service Unavailable",
            Problem::new(ProblemCode::Overloaded, "too many connections are open")
                .hint("come back after a pause, and keep one connection for many requests"),
        ),
        Full::ForOne(reached) => ("429 Too Many Requests", limits::problem(reached)),
    };
    let status = format!("{status}\r\nretry-after: {COME_BACK_SECONDS}");
    tell(stream, &status, &problem)
}

/// Says that TLS is spoken here, as far as that goes without waiting for anybody.
fn refuse_clear_text(stream: TcpStream) -> io::Result<()> {
    let problem = Problem::new(
        ProblemCode::BadRequest,
        "this port speaks HTTPS, and the request came in clear text",
    )
    .hint("ask with an address that begins with `https://`");
    tell(stream, "400 Bad Request", &problem)
}

/// Answers a connection that no request is read from, and closes it.
fn tell(stream: TcpStream, status: &str, problem: &Problem) -> io::Result<()> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = stream.into_std()?;
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    // What was sent and not read would have the peer told of a reset instead of the answer.
    match stream.read(&mut [0; 4_096]) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    stream.shutdown(std::net::Shutdown::Write)
}

/// How many connections fit into the descriptors this process may open.
pub(crate) fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(1_024);
    let room = limit.saturating_sub(DESCRIPTORS_RESERVED).clamp(64, 1 << 20);
    usize::try_from(room).unwrap_or(1_024)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::settings::LimitSettings;

    /// Long enough for a busy machine to answer whoever behaves, and short enough to be waited for.
    const SHORT: Duration = Duration::from_millis(500);
    const LARGE: usize = 64 << 20;

    async fn started(connections_max: usize) -> (SocketAddr, ConnectionMetrics, CancellationToken) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (addr, draining) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new()
            .route("/", get(|| async { "well" }))
            .route("/large", get(|| async { vec![0_u8; LARGE] }));
        let metrics = ConnectionMetrics::default();
        let serving = Serving {
            router,
            label: "main",
            sockets: TaskTracker::new(),
            connections_max,
            limits: Limits::new(LimitSettings::default(), connections_max),
            patience: Patience {
                head: SHORT,
                write: SHORT,
            },
            drain_deadline: SHORT,
            metrics: metrics.clone(),
            tls: None,
        };
        tokio::spawn(serve(listener, serving, draining.clone()));
        (addr, metrics, draining)
    }

    async fn sent(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn answer(addr: SocketAddr) -> String {
        let mut stream = sent(
            addr,
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Until nobody is connected any more.
    async fn until_empty(metrics: &ConnectionMetrics) {
        while metrics.open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn who_never_finishes_its_head_is_cut_and_others_are_served_meanwhile() {
        let (addr, metrics, draining) = started(16).await;
        let mut slow = Vec::new();
        for begun in [
            "",
            "G",
            "GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
            "PRI * HTT",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n",
        ] {
            slow.push(sent(addr, begun.as_bytes()).await);
        }
        assert!(answer(addr).await.ends_with("well"));
        for stream in &mut slow {
            let mut rest = Vec::new();
            let cut = tokio::time::timeout(20 * SHORT, stream.read_to_end(&mut rest)).await;
            // A reset is an end as well.
            assert!(cut.is_ok(), "it is still connected");
        }
        drop(slow);
        until_empty(&metrics).await;
        draining.cancel();
    }

    #[tokio::test]
    async fn who_never_reads_is_cut_and_others_are_served_meanwhile() {
        let (addr, metrics, draining) = started(16).await;
        let request = b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let (first, second) = (sent(addr, request).await, sent(addr, request).await);
        assert!(answer(addr).await.ends_with("well"));
        until_empty(&metrics).await;
        drop((first, second));
        draining.cancel();
    }

    #[tokio::test]
    async fn who_is_one_too_many_is_told_so_and_counted() {
        let (addr, metrics, draining) = started(1).await;
        let mut held = sent(addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        held.read_exact(&mut [0; 12]).await.unwrap();
        let told = answer(addr).await;
        assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
        assert!(told.contains("too many connections are open"), "{told}");
        assert_eq!((metrics.open(), metrics.turned_away()), (1, 1));
        drop(held);
        until_empty(&metrics).await;
        assert!(answer(addr).await.ends_with("well"));
        draining.cancel();
    }
}
