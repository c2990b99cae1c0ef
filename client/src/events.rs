//! A stream of events, until its first fault.
//!
//! Invariant: a stream on which no byte arrives for [`Deadlines::stream_idle`](crate::Deadlines) is over, whatever
//! the connection believes of itself. What is deliberately absent: coming back, which is the work of `watch.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{BookmarkEvent, GoawayEvent, StatusEvent, VersionEvent};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::error::{ApiError, Stage};
use crate::http::Connection;
use crate::pulse::Pulse;
use crate::sse::{Item, Parser};

/// What the server tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What to hold now.
    Version(Box<VersionEvent>),
    /// Nothing changed.
    Bookmark(BookmarkEvent),
    /// Something about the repository that changes no content.
    Status(Box<StatusEvent>),
    /// The stream ends soon.
    Goaway(GoawayEvent),
    /// How long to wait before the next connect.
    Retry(Duration),
    /// A kind of event this version does not know.
    Other(String),
}

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Last id the stream named, to be sent as `Last-Event-ID`.
    pub id: Option<String>,
    /// What was told.
    pub event: Event,
}

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    connection: Arc<Connection>,
    parser: Parser,
    ready: VecDeque<Item>,
    /// When the stream is given up unless a byte arrives.
    silent_at: Instant,
    heard: Heard,
    pulse: Arc<Pulse>,
}

/// Whether a stream has said anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Not a byte: perhaps something in between holds the stream back.
    Nothing,
    /// At least a byte.
    Something,
}

impl Event {
    /// The event of this name.
    pub(crate) fn read(name: &str, data: &str, connection: &Connection) -> Result<Self, ApiError> {
        fn json<T: DeserializeOwned>(
            data: &str,
            connection: &Connection,
            expected: &'static str,
        ) -> Result<T, ApiError> {
            serde_json::from_str(data).map_err(|error| connection.malformed(expected, error))
        }
        Ok(match name {
            "version" => Self::Version(json(data, connection, "a version event")?),
            "bookmark" => Self::Bookmark(json(data, connection, "a bookmark event")?),
            "status" => Self::Status(json(data, connection, "a status event")?),
            "goaway" => Self::Goaway(json(data, connection, "a goaway event")?),
            other => Self::Other(other.to_owned()),
        })
    }
}

impl EventStream {
    pub(crate) fn new(body: Incoming, connection: Arc<Connection>) -> Self {
        let silent_at = Instant::now() + connection.deadlines.stream_idle;
        let (parser, ready) = (Parser::default(), VecDeque::new());
        Self {
            body,
            connection,
            parser,
            ready,
            silent_at,
            heard: Heard::Nothing,
            pulse: Arc::default(),
        }
    }

    /// The same stream, which also says to `pulse` that it hears something.
    pub(crate) fn with_pulse(mut self, pulse: &Arc<Pulse>) -> Self {
        self.pulse = Arc::clone(pulse);
        self
    }

    /// The next event; `None` when the server ended the stream. Cancel-safe: what was read is kept.
    pub async fn next(&mut self) -> Result<Option<Frame>, ApiError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return self.frame(item).map(Some);
            }
            let waited = self.connection.deadlines.stream_idle;
            let frame = match timeout_at(self.silent_at, self.body.frame()).await {
                Err(_) => return Err(self.connection.timed_out(Stage::Stream, waited)),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(|error| self.connection.cut_off(error))?,
            };
            self.silent_at = Instant::now() + waited;
            if let Some(piece) = frame.data_ref().filter(|piece| !piece.is_empty()) {
                self.heard = Heard::Something;
                self.pulse.beat();
                let mut items = Vec::new();
                let read = self.parser.push(piece, &mut items);
                self.ready.extend(items);
                read.map_err(|source| ApiError::Stream {
                    server: self.connection.server(),
                    source,
                })?;
            }
        }
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard
    }

    fn frame(&self, item: Item) -> Result<Frame, ApiError> {
        match item {
            Item::Retry(after) => Ok(Frame {
                id: None,
                event: Event::Retry(after),
            }),
            Item::Message(message) => Ok(Frame {
                event: Event::read(&message.event, &message.data, &self.connection)?,
                id: Some(message.id).filter(|id| !id.is_empty()),
            }),
        }
    }
}
