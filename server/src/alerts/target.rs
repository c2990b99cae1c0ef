//! One who is told: a queue, and the task that empties it.
//!
//! Invariant: the queue is bounded and never waited for. A message that cannot be told after some tries is dropped, and
//! that is said once. The address and what signs or lets in are in no log.

use std::time::Duration;

use headwater_validators::printable;
use opentelemetry::trace::SpanContext;
use reqwest::{Client, RequestBuilder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::dialect;
use super::ledger::Message;
use crate::clock;
use crate::outcall::{self, Silence};
use crate::settings::{AlertKind, AlertSettings};
use crate::trace;

/// Messages that may wait.
const WAITING_MAX: usize = 256;
/// Tries of one message before it is dropped: they take half an hour.
const TRIES_MAX: u32 = 12;
/// Pause after the first failure; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Longest time of one call.
const DEADLINE: Duration = Duration::from_secs(15);

/// Takes messages for one who is told.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    name: String,
    sender: mpsc::Sender<Waiting>,
}

/// A message, and the trace of what it tells.
type Waiting = (Option<SpanContext>, Message);

impl Queue {
    /// Puts a message in, if there is room.
    pub(super) fn put(&self, message: Message) {
        if let Err(refused) = self.sender.try_send((trace::origin(), message)) {
            let (_, message) = match &refused {
                mpsc::error::TrySendError::Full(waiting) | mpsc::error::TrySendError::Closed(waiting) => {
                    waiting
                }
            };
            warn!(
                alert = self.name,
                event = message.event.kind.as_str(),
                hint = "look whether it can be reached",
                "an alert is not told, because too many wait: {}",
                printable(&message.event.summary)
            );
        }
    }
}

/// Begins to tell one what its queue holds, until told to stop.
pub(super) fn start(
    settings: &AlertSettings,
    link: Option<String>,
    pause: Duration,
    stop: CancellationToken,
) -> Queue {
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let target = Target {
        client: outcall::client(settings.ca_file.as_ref(), DEADLINE),
        settings: settings.clone(),
        link,
        pause,
    };
    tokio::spawn(async move {
        // Cancel-safe: what is lost still holds after the next start, and is told then.
        tokio::select! {
            () = stop.cancelled() => {}
            () = target.tell_all(&mut receiver) => {}
        }
    });
    Queue {
        name: settings.name.clone(),
        sender,
    }
}

#[derive(Debug)]
struct Target {
    settings: AlertSettings,
    /// Without one, why nobody can be told.
    client: Result<Client, String>,
    /// Where more can be read.
    link: Option<String>,
    /// After the first failure.
    pause: Duration,
}

impl Target {
    async fn tell_all(&self, waiting: &mut mpsc::Receiver<Waiting>) {
        while let Some((origin, message)) = waiting.recv().await {
            trace::beside(origin, self.tell(&message)).await;
        }
    }

    /// Tells one message, however often that takes.
    async fn tell(&self, message: &Message) {
        let (alert, event) = (&self.settings.name, message.event.kind.as_str());
        for tried in 0..TRIES_MAX {
            let why = match self.call(message).await {
                Ok(()) => {
                    debug!(alert, event, "told");
                    return;
                }
                Err(Silence::Lasting(why)) => {
                    let hint = "check `kind`, the address and what lets us in";
                    error!(
                        alert,
                        event, hint, "an alert could not be told and is dropped: {why}"
                    );
                    return;
                }
                Err(Silence::Passing(why)) => why,
            };
            if tried == 0 {
                warn!(alert, event, "an alert could not be told yet: {why}");
            }
            let pause = self.pause.saturating_mul(1 << tried).min(PAUSE_MAX);
            tokio::time::sleep(pause).await;
        }
        let hint = "look whether it can be reached from here";
        error!(alert, event, hint, "an alert is dropped after {TRIES_MAX} tries");
    }

    async fn call(&self, message: &Message) -> Result<(), Silence> {
        let client = self
            .client
            .as_ref()
            .map_err(|why| Silence::Lasting(why.clone()))?;
        outcall::answer(self.request(client, message)).await.map(drop)
    }

    fn request(&self, client: &Client, message: &Message) -> RequestBuilder {
        let (url, now) = (self.settings.url.expose(), clock::now());
        // A value of JSON is always written.
        let bytes = |value: serde_json::Value| serde_json::to_vec(&value).unwrap_or_default();
        match &self.settings.kind {
            AlertKind::Webhook { secret } => {
                outcall::post_signed(client, url, &bytes(dialect::webhook(message)), secret)
            }
            AlertKind::Slack => outcall::post(client, url, bytes(dialect::slack(message))),
            AlertKind::Alertmanager { token } => {
                let body = bytes(dialect::alertmanager(message, now, self.link.as_deref()));
                let call = outcall::post(client, &format!("{url}/api/v2/alerts"), body);
                match token {
                    Some(token) => call.bearer_auth(token.expose()),
                    None => call,
                }
            }
        }
    }
}
