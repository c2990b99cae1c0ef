//! Bitbucket, in the cloud and in a data center: HMAC-SHA256 over the raw body, in a header that was once SHA-1's.

use http::HeaderMap;

use super::delivery::{Delivery, Event, PullRequest, Ref, RefChange, Standing};
use super::first;
use super::identity::Identity;
use super::payload::{Payload, is_zeros};
use super::signature::{is_hmac, only};
use crate::secret::Secret;

/// Whether `X-Hub-Signature` is right. The id of a hook is no secret and is not looked at.
pub(super) fn is_signed(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> bool {
    only(headers, "x-hub-signature")
        .and_then(|value| value.strip_prefix("sha256="))
        .is_some_and(|hex| is_hmac(secrets, body, hex))
}

/// Reads a delivery of the cloud.
pub(super) fn parse_cloud(headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let event = match first(headers, &["x-event-key"]).unwrap_or_default() {
        "repo:push" => Event::Push(payload.each("/push/changes").map(cloud_change).collect()),
        "diagnostics:ping" => Event::Ping,
        key if key.starts_with("pullrequest:") => Event::PullRequest(PullRequest {
            number: payload.number("/pullrequest/id"),
            action: Some(key.to_owned()),
            standing: Standing::Open,
            head: payload.commit("/pullrequest/source/commit/hash"),
            base: payload.branch("/pullrequest/destination/branch/name"),
        }),
        _ => Event::Other,
    };
    Delivery {
        id: first(headers, &["x-request-uuid"]).map(str::to_owned),
        event,
        repository: Identity::new(
            payload.id("/repository/uuid"),
            payload.text("/repository/full_name"),
            [],
        ),
    }
}

/// Reads a delivery of a data center.
pub(super) fn parse_data_center(headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let event = match first(headers, &["x-event-key"]).unwrap_or_default() {
        "repo:refs_changed" => Event::Push(payload.each("/changes").map(data_center_change).collect()),
        "diagnostics:ping" => Event::Ping,
        key if key.starts_with("pr:") => Event::PullRequest(PullRequest {
            number: payload.number("/pullRequest/id"),
            action: Some(key.to_owned()),
            standing: Standing::Open,
            head: payload.commit("/pullRequest/fromRef/latestCommit"),
            base: payload.branch("/pullRequest/toRef/displayId"),
        }),
        _ => Event::Other,
    };
    let project = payload.text("/repository/project/key");
    let full_name = project
        .zip(payload.text("/repository/slug"))
        .map(|(project, slug)| format!("{project}/{slug}"));
    let addresses = payload.each("/repository/links/clone");
    Delivery {
        id: first(headers, &["x-request-id"]).map(str::to_owned),
        event,
        repository: Identity::new(
            payload.id("/repository/id"),
            full_name.as_deref(),
            addresses.map(|link| link.text("/href")),
        ),
    }
}

/// `new` is `null` where the ref is gone.
fn cloud_change(change: Payload<'_>) -> RefChange {
    let of = |side: &str, field: &str| change.text(&format!("/{side}/{field}"));
    let deleted = change.says("/closed") || (of("new", "name").is_none() && of("old", "name").is_some());
    let side = if deleted { "old" } else { "new" };
    RefChange {
        name: Ref::from_short(of(side, "name"), of(side, "type")),
        before: change.commit("/old/target/hash"),
        after: change.commit("/new/target/hash"),
        deleted,
    }
}

fn data_center_change(change: Payload<'_>) -> RefChange {
    let is_deletion = change.text("/type") == Some("DELETE");
    RefChange {
        name: change.text("/ref/id").map_or(Ref::Unknown, Ref::from_full),
        before: change.commit("/fromHash"),
        after: change.commit("/toHash"),
        deleted: is_deletion || change.text("/toHash").is_some_and(is_zeros),
    }
}
