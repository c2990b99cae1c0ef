//! GitHub: HMAC-SHA256 over the raw body, also where the body is a form.

use http::HeaderMap;

use super::delivery::{Delivery, Event, MergeGroup, PullRequest, Ref, RefChange};
use super::first;
use super::identity::Identity;
use super::payload::Payload;
use super::signature::{is_hmac, only};
use crate::secret::Secret;

/// Whether `X-Hub-Signature-256` is right. The SHA-1 twin is not looked at.
pub(super) fn is_signed(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> bool {
    only(headers, "x-hub-signature-256")
        .and_then(|value| value.strip_prefix("sha256="))
        .is_some_and(|hex| is_hmac(secrets, body, hex))
}

/// Reads a delivery.
pub(super) fn parse(headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let event = first(headers, &["x-github-event"]).unwrap_or_default();
    Delivery {
        id: first(headers, &["x-github-delivery"]).map(str::to_owned),
        event: self::event(event, payload),
        repository: repository(payload),
    }
}

/// The events that GitHub, Gitea, Forgejo and Gogs write alike.
pub(super) fn event(name: &str, payload: Payload<'_>) -> Event {
    match name {
        "push" => Event::Push(vec![payload.change()]),
        "create" => Event::Push(vec![short_ref(payload, Fate::Created)]),
        "delete" => Event::Push(vec![short_ref(payload, Fate::Deleted)]),
        "ping" => Event::Ping,
        "merge_group" => Event::MergeGroup(MergeGroup {
            branch: full_branch(payload.text("/merge_group/head_ref")),
            standing: payload.standing(&[("/action", "destroyed")]),
            head: payload.commit("/merge_group/head_sha"),
            base: full_branch(payload.text("/merge_group/base_ref")),
        }),
        _ if name.starts_with("pull_request") => Event::PullRequest(PullRequest {
            number: payload
                .number("/number")
                .or_else(|| payload.number("/pull_request/number")),
            action: payload.text("/action").map(str::to_owned),
            standing: payload.standing(&[("/action", "closed"), ("/pull_request/state", "closed")]),
            head: payload.commit("/pull_request/head/sha"),
            base: payload.branch("/pull_request/base/ref"),
        }),
        _ => Event::Other,
    }
}

/// The repository, as the same four write it.
pub(super) fn repository(payload: Payload<'_>) -> Identity {
    let addresses = ["/repository/clone_url", "/repository/ssh_url"];
    Identity::new(
        payload.id("/repository/id"),
        payload.text("/repository/full_name"),
        addresses.map(|pointer| payload.text(pointer)),
    )
}

fn short_ref(payload: Payload<'_>, fate: Fate) -> RefChange {
    RefChange {
        name: Ref::from_short(payload.text("/ref"), payload.text("/ref_type")),
        before: None,
        after: None,
        deleted: fate == Fate::Deleted,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Created,
    Deleted,
}

fn full_branch(name: Option<&str>) -> Option<headwater_wire::BranchName> {
    match Ref::from_full(name?) {
        Ref::Branch(branch) => Some(branch),
        Ref::Else | Ref::Unknown => None,
    }
}
