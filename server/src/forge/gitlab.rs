//! GitLab: a signature by Standard Webhooks if the secret is a signing token, else the secret itself in a header.

use headwater_wire::Timestamp;
use http::HeaderMap;

use super::delivery::{Delivery, Event, PullRequest};
use super::first;
use super::identity::Identity;
use super::payload::Payload;
use super::signature::{is_signing, is_standard, is_token, only};
use crate::secret::Secret;

/// Whether one of the secrets is proved: a signing token (`whsec_…`) by a signature and by nothing else, any other by
/// being sent.
pub(super) fn is_signed(secrets: &[Secret], headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let (signing, plain): (Vec<Secret>, Vec<Secret>) = secrets.iter().cloned().partition(is_signing);
    let is_proved = only(headers, "x-gitlab-token").is_some_and(|sent| is_token(&plain, sent));
    is_proved | is_standard(&signing, headers, body, now)
}

/// Reads a delivery. The kind is taken from the body, where hooks of a project and of the system write it alike.
pub(super) fn parse(headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let kind = payload
        .text("/object_kind")
        .or_else(|| payload.text("/event_name"));
    let event = match kind.unwrap_or_default() {
        "push" | "tag_push" => Event::Push(vec![payload.change()]),
        "repository_update" => Event::Push(payload.each("/changes").map(Payload::change).collect()),
        "merge_request" => Event::PullRequest(PullRequest {
            number: payload.number("/object_attributes/iid"),
            action: payload.text("/object_attributes/action").map(str::to_owned),
            standing: payload.standing(&["closed", "merged"].map(|word| ("/object_attributes/state", word))),
            head: payload.commit("/object_attributes/last_commit/id"),
            base: payload.branch("/object_attributes/target_branch"),
        }),
        _ => Event::Other,
    };
    let addresses = [
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/repository/git_http_url",
        "/repository/git_ssh_url",
    ];
    Delivery {
        // The UUID of the event is not one of the delivery: hooks that set off hooks share it.
        id: first(headers, &["webhook-id", "idempotency-key"]).map(str::to_owned),
        event,
        repository: Identity::new(
            payload.id("/project/id").or_else(|| payload.id("/project_id")),
            payload.text("/project/path_with_namespace"),
            addresses.map(|pointer| payload.text(pointer)),
        ),
    }
}
