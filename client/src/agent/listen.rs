//! The local HTTP door, for programs that would rather ask than read files.
//!
//! Invariant: it answers from what is in use and never asks the server, so it is as fast and as available as a file.
//! Web pages in a browser on this machine get nothing: requests for other names than that of this machine, and requests
//! of other origins, are refused. What is deliberately absent: TLS and passwords, hence the loopback address.

mod answer;
mod guard;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::ConfigName;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::board::Board;
use answer::{Answer, Query, Trouble};

/// Connections open at once; each is a program on this machine.
const CONNECTIONS_MAX: usize = 256;
/// Longest time until the head of a request is there.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest life of a connection; a client opens the next one by itself. It bounds a peer that does not read.
const CONNECTION_LIFE: Duration = Duration::from_mins(10);
/// Pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the agent knows besides its board.
pub(crate) trait Desk: Send + Sync + 'static {
    /// The words of the report of state.
    fn status(&self) -> Value;
    /// Tries again what was refused. Whether the config is one of this agent.
    fn retry(&self, config: &ConfigName) -> bool;
    /// Configs that have no value yet.
    fn missing(&self) -> Vec<ConfigName>;
}

/// Answers until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, board: watch::Receiver<Arc<Board>>, desk: Arc<dyn Desk>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let addr = listener.local_addr().ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    warn!("too many connections to the local address; one was closed at once");
                    continue;
                };
                let door = Door {
                    addr,
                    board: board.clone(),
                    desk: Arc::clone(&desk),
                };
                tokio::spawn(async move {
                    converse(stream, door).await;
                    drop(slot);
                });
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, door: Door) {
    // Without it an answer may wait for the acknowledgement of the one before.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_LIFE, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => debug!(%error, "a local connection ended: {error}"),
    }
}

#[derive(Clone)]
struct Door {
    addr: Option<SocketAddr>,
    board: watch::Receiver<Arc<Board>>,
    desk: Arc<dyn Desk>,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> http::Response<answer::Body> {
        let result = match guard::check(request.headers(), self.addr) {
            Ok(()) => self.route(&request).await,
            Err(trouble) => Err(trouble),
        };
        answer::response(request.method(), result)
    }

    async fn route(&self, request: &Request<Incoming>) -> Result<Answer, Trouble> {
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, _) => {}
            (&Method::POST, path) => return self.post(path),
            _ => return Err(Trouble::Method),
        }
        match path {
            "/livez" => Ok(Answer::text("ok\n")),
            "/readyz" => self.ready(),
            "/status" => Ok(Answer::json(&self.desk.status())),
            "/v1/configs" => Ok(answer::list(&self.board.borrow())),
            other => {
                let config = config_of(other, "").ok_or(Trouble::Path)?;
                self.config(&config, &Query::of(request)?).await
            }
        }
    }

    fn post(&self, path: &str) -> Result<Answer, Trouble> {
        let config = config_of(path, "/retry").ok_or(Trouble::Path)?;
        if self.desk.retry(&config) {
            Ok(Answer::accepted())
        } else {
            Err(Trouble::Config(config))
        }
    }

    fn ready(&self) -> Result<Answer, Trouble> {
        let missing = self.desk.missing();
        if missing.is_empty() {
            Ok(Answer::text("ok\n"))
        } else {
            Err(Trouble::NotReady(missing))
        }
    }

    /// The config, once it is another one than the caller holds.
    async fn config(&self, config: &ConfigName, query: &Query) -> Result<Answer, Trouble> {
        let mut board = self.board.clone();
        let until = Instant::now() + query.wait;
        loop {
            let shown = Arc::clone(&board.borrow_and_update());
            match shown.get(config) {
                Some(change) if !query.holds(change) => return answer::config(change, query),
                Some(change) if query.wait.is_zero() => return Ok(answer::unchanged(change)),
                None if query.wait.is_zero() || !self.desk.missing().contains(config) => {
                    return Err(self.absent(config));
                }
                Some(_) | None => {}
            }
            if !matches!(timeout_at(until, board.changed()).await, Ok(Ok(()))) {
                let shown = board.borrow();
                return match shown.get(config) {
                    Some(change) => Ok(answer::unchanged(change)),
                    None => Err(self.absent(config)),
                };
            }
        }
    }

    fn absent(&self, config: &ConfigName) -> Trouble {
        if self.desk.missing().contains(config) {
            Trouble::NoValue(config.clone())
        } else {
            Trouble::Config(config.clone())
        }
    }
}

/// The name in `/v1/configs/{config}` and what follows it.
fn config_of(path: &str, ending: &str) -> Option<ConfigName> {
    let encoded = path.strip_prefix("/v1/configs/")?.strip_suffix(ending)?;
    let name = percent_encoding::percent_decode_str(encoded).decode_utf8().ok()?;
    name.parse().ok()
}

#[cfg(test)]
mod tests;
