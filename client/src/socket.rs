//! A WebSocket that tells events and takes reports, until its first fault.
//!
//! Invariant: it is one of our own connections: TLS, token and deadlines are those of every other call, and a socket on
//! which no byte arrives for [`Deadlines::stream_idle`](crate::Deadlines) is over. What is deliberately absent: coming
//! back, and pings of our own, since the server says something every 15 s.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt as _, StreamExt as _};
use headwater_wire::{InstanceReport, Problem, ReportAnswer, SocketDown, SocketUp};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::address::PathBuilder;
use crate::error::{ApiError, Stage};
use crate::events::{Event, Frame, Heard};
use crate::http::{Call, Connection};
use crate::pulse::Pulse;
use crate::sse::EVENT_BYTES_MAX;

/// Buffers of one connection, in bytes; messages are small, and a program may have many.
const BUFFER_BYTES: usize = 4 << 10;
/// Bytes that may wait to be written: one report of many configs.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// What a socket tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// An event, as a stream would tell it.
    Event(Box<Frame>),
    /// The answer to a report.
    Answer(Box<ReportAnswer>),
    /// A message was not taken.
    Problem(Box<Problem>),
}

/// An open socket.
#[derive(Debug)]
pub(crate) struct EventSocket {
    messages: WebSocketStream<Listening<TokioIo<Upgraded>>>,
    connection: Arc<Connection>,
    pulse: Arc<Pulse>,
    opened: Instant,
}

impl EventSocket {
    pub(crate) async fn open(connection: Arc<Connection>, path: PathBuilder) -> Result<Self, ApiError> {
        let key = generate_key();
        let no_key = |_| connection.malformed("a request", "the key is no header value");
        let call = Call::get(path)
            .header(CONNECTION, HeaderValue::from_static("upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).map_err(no_key)?);
        let response = connection.upgrade(call).await?;
        if !accepts(response.headers(), &key) {
            return Err(connection.malformed("a WebSocket", "the answer does not fit the request"));
        }
        let upgraded = timeout(connection.deadlines.answer, hyper::upgrade::on(response))
            .await
            .map_err(|_| connection.timed_out(Stage::Answer, connection.deadlines.answer))?
            .map_err(|error| connection.cut_off(error))?;
        let pulse = Arc::new(Pulse::default());
        let listening = Listening {
            inner: TokioIo::new(upgraded),
            pulses: vec![Arc::clone(&pulse)],
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(Some(EVENT_BYTES_MAX))
            .max_frame_size(Some(EVENT_BYTES_MAX));
        Ok(Self {
            messages: WebSocketStream::from_raw_socket(listening, Role::Client, Some(config)).await,
            connection,
            pulse,
            opened: Instant::now(),
        })
    }

    /// The same socket, which also says to `pulse` that it hears something.
    pub(crate) fn with_pulse(mut self, pulse: &Arc<Pulse>) -> Self {
        self.messages.get_mut().pulses.push(Arc::clone(pulse));
        self
    }

    /// What is told next; `None` when the server ended the socket. Cancel-safe: what was read is kept.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, ApiError> {
        let idle = self.connection.deadlines.stream_idle;
        loop {
            let silent_at = self.pulse.last().unwrap_or(self.opened) + idle;
            let message = match timeout_at(silent_at, self.messages.next()).await {
                // A piece of a long message, or a ping, may have arrived meanwhile.
                Err(_) if self.pulse.last().is_some_and(|last| last + idle > silent_at) => continue,
                Err(_) => return Err(self.connection.timed_out(Stage::Stream, idle)),
                Ok(None | Some(Ok(Message::Close(_)))) => return Ok(None),
                Ok(Some(message)) => message.map_err(|error| self.connection.cut_off(error))?,
            };
            if let Message::Text(text) = message {
                return self.read(&text).map(Some);
            }
        }
    }

    /// Sends a report; its answer is told in its turn.
    pub(crate) async fn report(&mut self, report: InstanceReport) -> Result<(), ApiError> {
        let text = serde_json::to_string(&SocketUp { report })
            .map_err(|error| self.connection.malformed("a report", error))?;
        let waited = self.connection.deadlines.answer;
        timeout(waited, self.messages.send(Message::text(text)))
            .await
            .map_err(|_| self.connection.timed_out(Stage::Stream, waited))?
            .map_err(|error| self.connection.cut_off(error))
    }

    pub(crate) fn heard(&self) -> Heard {
        self.pulse.last().map_or(Heard::Nothing, |_| Heard::Something)
    }

    fn read(&self, text: &str) -> Result<Told, ApiError> {
        let malformed = |error| self.connection.malformed("a message of a socket", error);
        let down: SocketDown = serde_json::from_str(text).map_err(malformed)?;
        Ok(match down.event.as_str() {
            "report" => Told::Answer(serde_json::from_value(down.data).map_err(malformed)?),
            "problem" => Told::Problem(serde_json::from_value(down.data).map_err(malformed)?),
            name => Told::Event(Box::new(Frame {
                event: Event::read(name, &down.data.to_string(), &self.connection)?,
                id: down.id,
            })),
        })
    }
}

/// Whether the answer is the one to this very request, and not some proxy's.
fn accepts(headers: &HeaderMap, key: &str) -> bool {
    headers
        .get(SEC_WEBSOCKET_ACCEPT)
        .is_some_and(|accept| accept.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes())
}

/// A connection that tells a pulse of each byte that arrives.
#[derive(Debug)]
struct Listening<Io> {
    inner: Io,
    pulses: Vec<Arc<Pulse>>,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Listening<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pulses.iter().for_each(|pulse| pulse.beat());
        }
        Poll::Ready(read)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Listening<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
