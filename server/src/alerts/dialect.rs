//! One message in the words of whoever is told.
//!
//! Invariant: what a repository or an instance may have written is never markup in a chat.

use headwater_wire::Timestamp;
use serde_json::{Value, json};

use super::event::Event;
use super::ledger::{Message, Turn};

/// How long an Alertmanager believes what it is told, in ms: three times as long as it takes to say it again.
const BELIEVED_MS: i64 = 3 * super::AGAIN_MS;

/// Signed JSON of our own.
pub(super) fn webhook(message: &Message) -> Value {
    let Event {
        kind,
        repo,
        config,
        id,
        summary,
        detail,
        action,
    } = &message.event;
    json!({
        "event": kind.as_str(),
        "state": word(message.turn),
        "repo": repo,
        "config": config,
        "id": id,
        "summary": summary,
        "detail": detail,
        "action": action,
        "since": message.since,
    })
}

/// One text, as Slack's incoming webhooks take it.
pub(super) fn slack(message: &Message) -> Value {
    let event = &message.event;
    let about = match &event.config {
        Some(config) => format!("{} · {config}", event.repo),
        None => event.repo.to_string(),
    };
    let lines = match message.turn {
        Turn::Firing => {
            let mut lines = vec![format!("*{}* {}", escaped(&about), escaped(&event.summary))];
            lines.extend(
                event
                    .detail
                    .as_ref()
                    .map(|detail| format!("> {}", escaped(detail))),
            );
            lines.push(format!("_To do:_ {}", escaped(&event.action)));
            lines
        }
        Turn::Resolved => vec![format!("*{}* Over: {}", escaped(&about), escaped(&event.summary))],
    };
    json!({ "text": lines.join("\n") })
}

/// The alerts of the API of version 2.
pub(super) fn alertmanager(message: &Message, now: Timestamp, link: Option<&str>) -> Value {
    let event = &message.event;
    let ends_at = match message.turn {
        Turn::Firing => Timestamp(now.0.saturating_add(BELIEVED_MS)),
        Turn::Resolved => now,
    };
    let mut labels = json!({
        "alertname": "Headwater",
        "event": event.kind.as_str(),
        "repo": event.repo,
        "id": event.id,
    });
    if let Some(config) = &event.config {
        labels["config"] = json!(config);
    }
    let mut alert = json!({
        "labels": labels,
        "annotations": {
            "summary": event.summary,
            "description": event.detail.clone().unwrap_or_default(),
            "action": event.action,
        },
        "startsAt": message.since,
        "endsAt": ends_at,
    });
    if let Some(link) = link {
        alert["generatorURL"] = json!(link);
    }
    json!([alert])
}

const fn word(turn: Turn) -> &'static str {
    match turn {
        Turn::Firing => "firing",
        Turn::Resolved => "resolved",
    }
}

/// What Slack asks to have escaped. A name cannot call a whole channel then, nor be a link to elsewhere.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
