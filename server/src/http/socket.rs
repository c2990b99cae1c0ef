//! A WebSocket: the feed of an event stream down, reports of state up, on one connection.
//!
//! Invariant: one report at a time. While it is being answered nothing more is read, so a peer that sends without end
//! fills its own socket and nothing of ours; a peer that neither sends nor answers pings is dropped. What is
//! deliberately absent: a queue in either direction, and HTTP/2, where a plain event stream does as well.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::StreamExt;
use headwater_wire::{InstanceId, Problem, ProblemCode, SocketDown, SocketUp};
use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::SpanContext;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};
use tungstenite::error::{Error as WsError, ProtocolError};

use super::feed::{Feed, HEARTBEAT, Item, spread};
use super::problem::{Answer, Result, bad_request};
use super::reports::{self, REPORT_BYTES_MAX};
use super::state::App;
use super::wanted::Wanted;
use super::{auth, origin};
use crate::auth::Identity;
use crate::limits::{Holder, Limits};
use crate::repo::Repo;

/// Buffer for what the peer sends, in bytes. It is there for the whole life of an idle socket, and the library's own
/// default is 128 KiB, which is a gigabyte for eight thousand of them.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// Largest message that is read at all. A report that is merely too large is told so; beyond this the line is cut.
const MESSAGE_BYTES_MAX: usize = 2 * REPORT_BYTES_MAX;
/// A peer that has not said anything for so long, nor answered a ping, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// Longest time one message may take to be sent to a peer that reads slowly.
const SEND_DEADLINE: Duration = Duration::from_secs(40);
/// Longest time a report may take to be answered.
const REPORT_DEADLINE: Duration = Duration::from_mins(1);
/// Longest wait for the peer's half of a goodbye.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// `GET /v1/repos/{repo}/socket?config=A&config=B&instance=ID`.
pub(super) async fn socket(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    (identity, holder, headers): (Option<Extension<Identity>>, Option<Extension<Holder>>, HeaderMap),
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> std::result::Result<Response, Response> {
    let wanted = Wanted::read(&app, &repo, query.as_deref(), None).map_err(IntoResponse::into_response)?;
    let identity = identity.map(|Extension(identity)| identity);
    let wanted = wanted.of(identity.clone());
    let upgrade = upgrade.map_err(|rejection| no_upgrade(&rejection))?;
    origin::refuse_other_sites(&headers).map_err(IntoResponse::into_response)?;
    let (repo, instance) = (wanted.repo.clone(), wanted.asker.instance.clone());
    let caller = app.traces().caller(&headers);
    let holder = holder.map(|Extension(holder)| holder);
    let share = holder
        .as_ref()
        .map(|holder| app.limits().watch(holder))
        .transpose();
    let share = share.map_err(|reached| Answer::from(reached).into_response())?;
    let feed = Feed::open(wanted).await.map_err(IntoResponse::into_response)?;
    // From here on a stop waits for this socket.
    let open = app.sockets().token();
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let line = Line {
            socket,
            liveness: Liveness::new(Instant::now()),
        };
        let door = Door {
            repo,
            instance,
            caller,
            identity,
            limits: app.limits().clone(),
            holder,
        };
        line.talk(feed, &door).await;
        drop(share);
        drop(open);
    }))
}

/// The request opens no WebSocket.
fn no_upgrade(rejection: &WebSocketUpgradeRejection) -> Response {
    let problem = Problem::new(ProblemCode::UpgradeRequired, rejection.to_string())
        .hint("open it as a WebSocket over HTTP/1.1, or read …/events");
    let mut response = Answer::from(problem).into_response();
    response
        .headers_mut()
        .insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// Why a conversation ends.
enum Ending {
    /// The feed has ended, and has said goodbye.
    Away,
    /// The peer sent what is no message: the code of that, and what is wrong.
    Unreadable(CloseCode, &'static str),
    /// The peer says goodbye.
    Goodbye,
    /// The peer is silent, reads nothing, or is gone.
    Lost,
    /// The token that it was opened with has ended.
    Forbidden,
}

/// One open socket.
struct Line {
    socket: WebSocket,
    liveness: Liveness,
}

/// A report that is being answered.
type Handling = BoxFuture<'static, Message>;

impl Line {
    /// Tells what the feed tells and answers reports until one side has had enough.
    async fn talk(mut self, feed: Feed, door: &Door) {
        let ending = self.exchange(feed, door).await;
        let close = match ending {
            Ending::Away => Some((close_code::AWAY, "come back later")),
            Ending::Unreadable(code, reason) => Some((code, reason)),
            Ending::Forbidden => Some((close_code::POLICY, "the token has ended")),
            Ending::Goodbye => None,
            Ending::Lost => return,
        };
        if let Some((code, reason)) = close {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            if self.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
        }
        // Reading on sends our half of the goodbye, or waits for theirs.
        let goodbye = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        timeout(CLOSE_DEADLINE, goodbye).await.ok();
    }

    async fn exchange(&mut self, feed: Feed, door: &Door) -> Ending {
        let mut items = feed;
        let mut handling: Option<Handling> = None;
        let mut ended = pin!(door.ended());
        loop {
            let due = self.liveness.due();
            // Cancel-safe: the stream keeps what the feed began, a report is handled on, a frame that has come in
            // part stays in the socket. What the peer sent is looked at first: it may be the pong that counts.
            let to_send = tokio::select! {
                biased;
                message = self.socket.recv(), if handling.is_none() => {
                    self.liveness.heard(Instant::now());
                    match message {
                        Some(Ok(Message::Text(text))) => handling = Some(door.handle(text.as_str())),
                        Some(Ok(Message::Binary(_))) => handling = Some(door.refuse_binary()),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) => return Ending::Goodbye,
                        Some(Err(error)) => return unreadable(error),
                        None => return Ending::Lost,
                    }
                    continue;
                }
                () = &mut ended => return Ending::Forbidden,
                () = sleep_until(due) => {
                    if handling.is_some() {
                        // Nobody listens meanwhile, so silence means nothing.
                        self.liveness.heard(Instant::now());
                    }
                    match self.liveness.tick(Instant::now()) {
                        Tick::Lost => return Ending::Lost,
                        Tick::Ping => Message::Ping(bytes::Bytes::new()),
                        Tick::Early => continue,
                    }
                }
                answer = wait_for(&mut handling) => {
                    handling = None;
                    self.liveness.heard(Instant::now());
                    answer
                }
                item = items.next() => match item {
                    Some(Item::Event(line)) => message(line.name, line.id.clone(), &line.data),
                    Some(Item::Beat | Item::Retry(_)) => continue,
                    None => return Ending::Away,
                }
            };
            if self.send(to_send).await.is_err() {
                return Ending::Lost;
            }
        }
    }

    async fn send(&mut self, message: Message) -> std::result::Result<(), ()> {
        match timeout(SEND_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(()),
        }
    }
}

/// What to say of something that came and is no message, if there is somebody left to say it to.
fn unreadable(error: axum::Error) -> Ending {
    let Ok(error) = error.into_inner().downcast::<WsError>() else {
        return Ending::Lost;
    };
    match *error {
        WsError::Capacity(_) => Ending::Unreadable(close_code::SIZE, "the message is too large"),
        WsError::Utf8(_) => Ending::Unreadable(close_code::INVALID, "the text is not UTF-8"),
        WsError::Protocol(ref fault) if !matches!(fault, ProtocolError::ResetWithoutClosingHandshake) => {
            Ending::Unreadable(close_code::PROTOCOL, "that is no frame of a WebSocket client")
        }
        WsError::Protocol(_)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Io(_)
        | WsError::Tls(_)
        | WsError::WriteBufferFull(_)
        | WsError::AttackAttempt
        | WsError::Url(_)
        | WsError::Http(_)
        | WsError::HttpFormat(_) => Ending::Lost,
    }
}

/// The answer to the report that is being handled; never, if there is none.
async fn wait_for(handling: &mut Option<Handling>) -> Message {
    match handling {
        Some(handling) => handling.await,
        None => std::future::pending().await,
    }
}

/// One message down.
fn message<T: Serialize>(event: &str, id: Option<String>, data: &T) -> Message {
    let down = SocketDown {
        event: event.to_owned(),
        id,
        data,
    };
    Message::Text(serde_json::to_string(&down).unwrap_or_default().into())
}

/// What takes the peer's reports.
struct Door {
    repo: Arc<Repo>,
    instance: Option<InstanceId>,
    /// The trace that the socket was opened in.
    caller: Option<SpanContext>,
    /// Whoever opened the socket, where anybody is asked.
    identity: Option<Identity>,
    limits: Limits,
    /// Whose reports they are.
    holder: Option<Holder>,
}

impl Door {
    /// Completes when the peer is not let in any more.
    async fn ended(&self) {
        match &self.identity {
            Some(identity) => identity.ended().cancelled().await,
            None => std::future::pending().await,
        }
    }

    fn handle(&self, text: &str) -> Handling {
        let (repo, instance, text) = (self.repo.clone(), self.instance.clone(), text.to_owned());
        let caller = self.caller.clone();
        let identity = self.identity.clone();
        let (limits, holder) = (self.limits.clone(), self.holder.clone());
        let work = async move {
            reports::refuse_flood(&limits, holder.as_ref())?;
            let report = reading(&text)?;
            let instance = instance.ok_or_else(|| {
                bad_request(
                    "the socket was opened for no instance",
                    "open it with `instance=ID` to report on it",
                )
            })?;
            auth::refuse_role(identity.as_ref())?;
            auth::may_report(identity.as_ref(), &repo, (&instance, &report))?;
            limits.report_of(repo.name(), &instance)?;
            let taking = repo.traces.under(caller, reports::take(&repo, &instance, report));
            match timeout(REPORT_DEADLINE, taking).await {
                Ok(answer) => answer,
                Err(_) => Err(
                    Problem::new(ProblemCode::DeadlineExceeded, "the report took too long")
                        .hint("send it again after a pause")
                        .into(),
                ),
            }
        };
        let answered = work.map(|answered: Result<_>| match answered {
            Ok(answer) => message("report", None, &answer),
            Err(refused) => message("problem", None, &refused.into_problem()),
        });
        answered.boxed()
    }

    #[expect(
        clippy::unused_self,
        reason = "it stands beside what takes the other messages"
    )]
    fn refuse_binary(&self) -> Handling {
        let refused = bad_request(
            "a binary message is not taken here",
            "send one JSON object as one text message",
        );
        std::future::ready(message("problem", None, &refused.into_problem())).boxed()
    }
}

/// The report of a message.
pub(super) fn reading(text: &str) -> Result<headwater_wire::InstanceReport> {
    if text.len() > REPORT_BYTES_MAX {
        let detail = format!("a report has at most {REPORT_BYTES_MAX} bytes");
        let problem = Problem::new(ProblemCode::TooLarge, detail);
        return Err(problem.hint("report fewer configs, or shorter messages").into());
    }
    let form = "send {\"report\": {…}} with the body of PUT …/instances/ID";
    let up: SocketUp = super::body::read(text.as_bytes(), ("the message", form))?;
    reports::check(&up.report)?;
    Ok(up.report)
}

/// Whether the peer is there.
#[derive(Debug)]
struct Liveness {
    heard_at: Instant,
    ping_at: Instant,
}

/// What to do when the time has come.
#[derive(Debug, PartialEq, Eq)]
enum Tick {
    /// Give the peer a reason to say something.
    Ping,
    /// It has been silent for too long.
    Lost,
    /// Nothing yet.
    Early,
}

impl Liveness {
    fn new(now: Instant) -> Self {
        Self {
            heard_at: now,
            ping_at: now + spread(HEARTBEAT, 0.2),
        }
    }

    /// The peer said something.
    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// When to look next.
    fn due(&self) -> Instant {
        self.ping_at.min(self.heard_at + SILENCE_MAX)
    }

    fn tick(&mut self, now: Instant) -> Tick {
        if now >= self.heard_at + SILENCE_MAX {
            Tick::Lost
        } else if now >= self.ping_at {
            self.ping_at = now + spread(HEARTBEAT, 0.2);
            Tick::Ping
        } else {
            Tick::Early
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_pinged_and_then_lost() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        let mut pings = 0;
        let lost_at = loop {
            let now = liveness.due();
            match liveness.tick(now) {
                Tick::Ping => pings += 1,
                Tick::Lost => break now,
                Tick::Early => panic!("it looked too early"),
            }
        };
        assert_eq!(lost_at - start, SILENCE_MAX);
        assert!((2..=3).contains(&pings), "{pings} pings");
    }

    #[test]
    fn a_peer_that_answers_its_pings_stays() {
        let mut liveness = Liveness::new(Instant::now());
        for _ in 0..1_000 {
            let now = liveness.due();
            assert_eq!(liveness.tick(now), Tick::Ping);
            liveness.heard(now);
        }
    }
}
