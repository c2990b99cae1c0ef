//! `headwater watch`: one line an event, for as long as it runs.

use std::pin::pin;

use clap::Args;
use headwater_client::{ApiError, Inline, Transport, WatchEvent, WatchRequest};
use headwater_wire::{
    CommitId, ConfigName, InstanceId, Phase, ProblemCode, StatusEvent, Timestamp, VersionEvent,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::findings;
use super::options::{Output, ServerOptions, Session, label};
use super::out::{Out, Tone};
use super::reader;
use super::text::{clean, time_of_day};

const EXAMPLES: &str = "\
Examples:
  headwater watch payments/prod
  headwater watch payments/prod feature-flags --label region=eu-west
  headwater watch payments/prod --inline --output json | jq .document";

/// Tell each change of a config as it happens
///
/// Prints one line for the version that is current and for each that follows, and for what happens to the
/// repository. Comes back by itself when the connection breaks, and ends when its token does. With --output
/// json, one JSON object a line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Names of the configs
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<ConfigName>,
    /// Label of the client that watches; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Name of the client that watches
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,
    /// Ask for documents in the events, up to 256 KiB each
    #[arg(long)]
    inline: bool,
    /// End after so many versions
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Tell also that nothing changed, every half minute
    #[arg(long)]
    bookmarks: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// Whether the watch goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    /// A version was told.
    Version,
    /// Something else.
    Other,
}

impl Watch {
    pub(super) async fn run(
        &self,
        session: &Session,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let request = WatchRequest {
            configs: self.configs.clone(),
            instance: self.instance.clone(),
            labels: self.labels.iter().cloned().collect(),
            inline: if self.inline { Inline::Large } else { Inline::Small },
            seed: session.seed,
            ..WatchRequest::default()
        };
        let mut watch = headwater_client::Watch::start(session.repo().await?, request);
        let (mut connected, mut versions) = (false, 0);
        let mut gone = pin!(reader::gone());
        loop {
            // Cancel-safe: who is gone reads no event that is lost.
            let event = tokio::select! {
                event = watch.next() => event,
                error = &mut gone => return Err(error.into()),
            };
            let Some(event) = event else { break };
            match event {
                WatchEvent::Refused(error) => return Err(error.into()),
                // Whoever typed the command is still there and can mend a wrong address.
                WatchEvent::Disconnected {
                    error: Some(error), ..
                } if !connected || is_for_a_person(&error) => return Err(error.into()),
                WatchEvent::Connected(_) => connected = true,
                WatchEvent::Version(_)
                | WatchEvent::Bookmark(_)
                | WatchEvent::Status(_)
                | WatchEvent::Disconnected { .. } => {}
            }
            let went = match session.output {
                Output::Json => self.tell_json(&event, out)?,
                Output::Text => self.tell_text(&event, (session.now)(), out, err)?,
            };
            versions += u64::from(went == Went::Version);
            if self.count == Some(versions) && versions > 0 {
                break;
            }
        }
        Ok(Exit::Fine)
    }

    /// One JSON object a line: the event as the wire has it, and its name.
    fn tell_json(&self, event: &WatchEvent, out: &mut Out<'_>) -> Result<Went, Failure> {
        let line = match event {
            WatchEvent::Version(version) => named("version", version)?,
            WatchEvent::Status(status) => named("status", status)?,
            WatchEvent::Bookmark(_) if !self.bookmarks => return Ok(Went::Other),
            WatchEvent::Bookmark(bookmark) => named("bookmark", bookmark)?,
            WatchEvent::Connected(transport) => {
                json!({"event": "connected", "transport": transport.as_str()})
            }
            WatchEvent::Disconnected { error, retry_in, .. } => json!({
                "event": "disconnected",
                "error": error.as_ref().map(ToString::to_string),
                "retry_in_ms": u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
            }),
            WatchEvent::Refused(_) => return Ok(Went::Other),
        };
        out.json_line(&line)?;
        Ok(if matches!(event, WatchEvent::Version(_)) {
            Went::Version
        } else {
            Went::Other
        })
    }

    /// Changes go to standard output, the state of the connection to standard error.
    fn tell_text(
        &self,
        event: &WatchEvent,
        now: Timestamp,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Went, Failure> {
        let paint = out.paint();
        let time = paint.apply(Tone::Dim, &time_of_day(now));
        match event {
            WatchEvent::Version(version) => out.line(format!("{time}  {}", version_line(version, out)))?,
            WatchEvent::Status(status) => {
                out.line(format!("{time}  {}", status_line(status, out)))?;
                findings::print(&status.findings, "    ", out)?;
            }
            WatchEvent::Bookmark(bookmark) if self.bookmarks => {
                let config = clean(bookmark.config.as_str());
                out.line(format!(
                    "{time}  {config}  unchanged  tip {}",
                    bookmark.tip.short()
                ))?;
            }
            WatchEvent::Connected(Transport::LongPoll | Transport::Poll) => {
                err.line("note: event streams do not get through; polling instead")?;
            }
            WatchEvent::Disconnected { error, retry_in, .. } => {
                let why = error.as_ref().map_or_else(
                    || "the stream ended".to_owned(),
                    |error| clean(&error.to_string()),
                );
                err.line(format!(
                    "note: {why}; trying again in {:.1} s",
                    retry_in.as_secs_f64()
                ))?;
            }
            WatchEvent::Bookmark(_)
            | WatchEvent::Connected(Transport::Stream | Transport::Socket)
            | WatchEvent::Refused(_) => {}
        }
        out.flush()?;
        err.flush()?;
        Ok(if matches!(event, WatchEvent::Version(_)) {
            Went::Version
        } else {
            Went::Other
        })
    }
}

/// Whether only another token helps: this one has ended, or may no longer read this.
fn is_for_a_person(error: &ApiError) -> bool {
    matches!(
        error.code(),
        Some(ProblemCode::Unauthenticated | ProblemCode::Forbidden)
    )
}

fn named<T: Serialize>(name: &str, event: &T) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(event).map_err(std::io::Error::from)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("event".to_owned(), name.into());
    }
    Ok(value)
}

fn version_line(version: &VersionEvent, out: &Out<'_>) -> String {
    let prepare = if version.phase == Phase::Prepare {
        " (prepare only)"
    } else {
        ""
    };
    format!(
        "{}  {}{prepare}  {}  tip {}  generation {}  {} B",
        out.paint().apply(Tone::Strong, &clean(version.config.as_str())),
        version.change.as_str(),
        version.version.short(),
        version.tip.short(),
        version.generation,
        version.size,
    )
}

fn status_line(status: &StatusEvent, out: &Out<'_>) -> String {
    let head = status.head.as_ref().map_or("unknown", CommitId::short);
    let stale = if status.stale { ", stale" } else { "" };
    let reason = status
        .reason
        .as_deref()
        .map(|reason| format!(": {}", clean(reason)))
        .unwrap_or_default();
    let removed: Vec<String> = status
        .removed
        .iter()
        .map(|config| clean(config.as_str()))
        .collect();
    let removed = if removed.is_empty() {
        String::new()
    } else {
        format!("; no longer there: {}", removed.join(", "))
    };
    let word = out.paint().apply(Tone::Warning, "status");
    format!(
        "{word}  head {head} {}{stale}{reason}{removed}",
        status.head_state.as_str()
    )
}
