//! A watch that stays up: over several addresses, by the best transport that gets through, and back by itself.
//!
//! Invariant: a caller hears each version of a config once, and after every gap one compare makes up for what the
//! gap may have swallowed. The compare stands *before* the new stream, so that it can never tell something older
//! than the stream already told. What is deliberately absent: fetching documents, applying and deciding what to report.
//!
//! `run` is the loop, `session` what it knows, one file per transport the turns; `ladder` says which transport is next.

mod ladder;
mod long_poll;
mod poll;
mod report;
mod run;
mod session;
mod socket;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{
    BookmarkEvent, ConfigName, InstanceId, InstanceReport, ReportAnswer, StatusEvent, VersionEvent,
};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::answer::Token;
use crate::error::ApiError;
use crate::pulse::Pulse;
use crate::query::{Inline, Labels};
use crate::servers::Servers;
use report::Reports;
use run::Watcher;

/// Events a caller may be behind before the stream is no longer read.
const MAILBOX_LEN: usize = 64;

/// How events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket, which takes reports too.
    Socket,
    /// Server-Sent Events.
    Stream,
    /// One request that the server holds, again and again.
    LongPoll,
    /// A request now and then.
    Poll,
}

impl Transport {
    /// One word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Stream => "stream",
            Self::LongPoll => "long_poll",
            Self::Poll => "poll",
        }
    }
}

/// Which transport to begin with. Either way a watch goes on with a lesser one where that one does not get through,
/// and comes back to it by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// Server-Sent Events.
    #[default]
    Auto,
    /// A WebSocket, where one connection must carry events and reports.
    Socket,
}

/// What to watch, and for whom.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// Configs; at least one.
    pub configs: Vec<ConfigName>,
    /// Who watches.
    pub instance: Option<InstanceId>,
    /// Labels of who watches.
    pub labels: Labels,
    /// Whether events carry documents.
    pub inline: Inline,
    /// What is held already; its versions are not told again.
    pub held: BTreeMap<ConfigName, Token>,
    /// Which transport to begin with.
    pub choice: TransportChoice,
    /// Seed of the jitter: different for each process, so that they do not come back together.
    pub seed: u64,
}

/// What a watch tells its caller.
#[derive(Debug)]
pub enum WatchEvent {
    /// The server answered, for the first time or again. What was held is compared by now, and told if it changed.
    Connected(Transport),
    /// What to hold now.
    Version(Box<VersionEvent>),
    /// Nothing changed.
    Bookmark(BookmarkEvent),
    /// Something about the repository that changes no content.
    Status(Box<StatusEvent>),
    /// The connection is gone and will be tried again.
    Disconnected {
        /// Why, if it did not end in order.
        error: Option<ApiError>,
        /// When it is tried again.
        retry_in: Duration,
        /// When the server was last heard, if ever.
        heard_at: Option<Instant>,
    },
    /// The server refused the very first request; this is the last event.
    Refused(ApiError),
}

/// Where a watch stands at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Address in use, without credentials.
    pub server: String,
    /// Transport that is up.
    pub transport: Option<Transport>,
    /// When the server was last heard, if ever.
    pub heard_at: Option<Instant>,
}

/// A running watch. Dropping it stops it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    reports: Reports,
    up: watch::Receiver<Option<Transport>>,
    pulse: Arc<Pulse>,
    servers: Servers,
    task: AbortHandle,
}

impl Watch {
    /// Starts watching on the current runtime.
    pub fn start(servers: impl Into<Servers>, request: WatchRequest) -> Self {
        let servers = servers.into();
        let (sender, events) = mpsc::channel(MAILBOX_LEN);
        let (up_sender, up) = watch::channel(None);
        let (uplink_sender, uplink) = watch::channel(None);
        let pulse = Arc::new(Pulse::default());
        let reports = Reports {
            servers: servers.clone(),
            instance: request.instance.clone(),
            uplink,
            turn: Arc::default(),
        };
        let watcher = Watcher::new(&servers, request, (sender, up_sender), (uplink_sender, &pulse));
        Self {
            events,
            reports,
            up,
            pulse,
            servers,
            task: tokio::spawn(watcher.run()).abort_handle(),
        }
    }

    /// The next event; `None` after [`WatchEvent::Refused`]. Cancel-safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }

    /// Sends a report once, over the socket if that is up, else as a call to the address in use. Reports go one after
    /// the other. A watch for no instance has nobody to report on, and never answers.
    pub fn report(
        &self,
        report: InstanceReport,
    ) -> impl Future<Output = Result<ReportAnswer, ApiError>> + Send + 'static {
        self.reports.clone().send(report)
    }

    /// Where it stands.
    pub fn link(&self) -> Link {
        Link {
            server: self.servers.current().server(),
            transport: *self.up.borrow(),
            heard_at: self.pulse.last(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
