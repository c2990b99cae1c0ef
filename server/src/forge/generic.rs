//! Anything that signs by Standard Webhooks: a script of CI, another forge behind a relay.
//!
//! The body is a JSON object, of which `ref` (a branch or a full ref), `commit` and `type` are looked at; `{}` is
//! enough, and says that something may have changed.

use headwater_wire::Timestamp;
use http::HeaderMap;

use super::delivery::{Delivery, Event, Ref, RefChange};
use super::first;
use super::identity::Identity;
use super::payload::{Payload, is_zeros};
use super::signature::is_standard;
use crate::secret::Secret;

/// Whether the signature by Standard Webhooks is right and recent.
pub(super) fn is_signed(secrets: &[Secret], headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    is_standard(secrets, headers, body, now)
}

/// Reads a delivery. It names no repository: the hook's address does.
pub(super) fn parse(headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let event = if payload.text("/type") == Some("ping") {
        Event::Ping
    } else {
        Event::Push(vec![RefChange {
            name: named(payload.text("/ref")),
            before: None,
            after: payload.commit("/commit"),
            deleted: payload.text("/commit").is_some_and(is_zeros),
        }])
    };
    Delivery {
        id: first(headers, &["webhook-id"]).map(str::to_owned),
        event,
        repository: Identity::default(),
    }
}

fn named(text: Option<&str>) -> Ref {
    match text {
        None => Ref::Unknown,
        Some(full) if full.starts_with("refs/") => Ref::from_full(full),
        Some(short) => Ref::from_short(Some(short), Some("branch")),
    }
}
