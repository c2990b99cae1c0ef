//! Gitea, Forgejo and Gogs: HMAC-SHA256 over the JSON, also where it travels in a form.
//!
//! They send each other's headers and GitHub's beside their own; only their own are looked at. A `secret` in the body,
//! which very old releases sent, is ignored.

use http::HeaderMap;

use super::delivery::Delivery;
use super::payload::Payload;
use super::signature::is_hmac;
use super::{first, github};
use crate::secret::Secret;

/// Whose headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Gitea,
    Forgejo,
    Gogs,
}

impl Family {
    /// Header of the signature. Early releases of Forgejo had Gitea's only; where both are, its own counts.
    fn signatures(self) -> &'static [&'static str] {
        match self {
            Self::Gitea => &["x-gitea-signature"],
            Self::Forgejo => &["x-forgejo-signature", "x-gitea-signature"],
            Self::Gogs => &["x-gogs-signature"],
        }
    }

    fn events(self) -> &'static [&'static str] {
        match self {
            Self::Gitea => &["x-gitea-event"],
            Self::Forgejo => &["x-forgejo-event", "x-gitea-event"],
            Self::Gogs => &["x-gogs-event"],
        }
    }

    fn deliveries(self) -> &'static [&'static str] {
        match self {
            Self::Gitea => &["x-gitea-delivery"],
            Self::Forgejo => &["x-forgejo-delivery", "x-gitea-delivery"],
            Self::Gogs => &["x-gogs-delivery"],
        }
    }
}

/// Whether the family's own signature is right. It has no prefix.
pub(super) fn is_signed(family: Family, secrets: &[Secret], headers: &HeaderMap, json: &[u8]) -> bool {
    first(headers, family.signatures()).is_some_and(|hex| is_hmac(secrets, json, hex))
}

/// Reads a delivery.
pub(super) fn parse(family: Family, headers: &HeaderMap, payload: Payload<'_>) -> Delivery {
    let event = first(headers, family.events()).unwrap_or_default();
    Delivery {
        id: first(headers, family.deliveries()).map(str::to_owned),
        event: github::event(event, payload),
        repository: github::repository(payload),
    }
}
