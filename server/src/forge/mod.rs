//! What the forges say to us, one small adapter for each behind one face; and what we say to them.
//!
//! Invariant: nothing is read out of a delivery before its signature was verified, which the types say: only a
//! [`Verified`] can be parsed. The forge comes from the hook's settings and is never guessed from headers, since
//! several of them imitate each other's. What is deliberately absent: trust in file lists and addresses of a payload.

pub(crate) mod api;
mod ask;
mod bitbucket;
mod checks;
mod credential;
mod delivery;
pub(crate) mod desk;
mod generic;
mod gitea;
mod github;
mod gitlab;
mod identity;
pub(crate) mod outbound;
mod payload;
mod rollout;
mod signature;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use headwater_wire::Timestamp;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::secret::Secret;
use gitea::Family;

pub use api::{ForgeApi, ForgeError, ListedPullRequest, OpenPullRequest};
pub use ask::{ApiKind, PullRequestDraft, Status, StatusState};
pub use credential::Credential;
pub use delivery::{
    Delivery, Event, Expected, Meaning, MergeGroup, ProposalKey, ProposalNews, PullRequest, Ref, RefChange,
    Standing,
};
pub use identity::Identity;
pub(crate) use identity::remote_path;
pub(crate) use signature::{is_signing, signing_key};

/// Longest delivery id that is remembered, in bytes; every forge's own is shorter.
const DELIVERY_ID_BYTES_MAX: usize = 200;

/// A forge, by how it signs and writes its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForgeKind {
    /// github.com and GitHub Enterprise.
    GitHub,
    /// Gitea.
    Gitea,
    /// Forgejo and Codeberg.
    Forgejo,
    /// Gogs.
    Gogs,
    /// gitlab.com and GitLab of one's own.
    GitLab,
    /// bitbucket.org.
    BitbucketCloud,
    /// Bitbucket Data Center and Server.
    BitbucketDataCenter,
    /// Anything that signs by Standard Webhooks, such as a script.
    Generic,
}

impl ForgeKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::GitHub,
        Self::Gitea,
        Self::Forgejo,
        Self::Gogs,
        Self::GitLab,
        Self::BitbucketCloud,
        Self::BitbucketDataCenter,
        Self::Generic,
    ];

    /// The word of the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Gogs => "gogs",
            Self::GitLab => "gitlab",
            Self::BitbucketCloud => "bitbucket-cloud",
            Self::BitbucketDataCenter => "bitbucket-data-center",
            Self::Generic => "generic",
        }
    }

    /// Whether bodies may be forms with the JSON in their field `payload`.
    fn takes_forms(self) -> bool {
        matches!(self, Self::GitHub | Self::Gitea | Self::Forgejo | Self::Gogs)
    }

    /// Whether whoever replays a delivery can change its id, because the signature does not cover it.
    pub(crate) fn leaves_id_unsigned(self) -> bool {
        !matches!(self, Self::Generic | Self::GitLab)
    }
}

impl fmt::Display for ForgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ForgeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let words: Vec<String> = Self::ALL.iter().map(|kind| format!("`{kind}`")).collect();
            format!("expected one of {}, not `{text}`", words.join(", "))
        })
    }
}

/// A delivery as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which forge the hook's settings name.
    pub forge: ForgeKind,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, untouched.
    pub body: &'a [u8],
}

/// A delivery whose sender knows the secret.
#[derive(Debug)]
pub struct Verified<'a>(Message<'a>);

/// Why a delivery with a good signature could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A media type that this forge does not send.
    #[error("`{0}` is not taken here")]
    MediaType(String),
    /// No JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Form,
    Other,
}

impl<'a> Message<'a> {
    /// The delivery, if one of `secrets` signed it.
    pub fn verify(self, secrets: &[Secret], now: Timestamp) -> Option<Verified<'a>> {
        let Self { forge, headers, body } = self;
        let is_signed = match forge {
            ForgeKind::GitHub => github::is_signed(secrets, headers, body),
            // What these sign is the JSON, also where it travels in a form: the one thing that is read before.
            ForgeKind::Gitea => gitea::is_signed(Family::Gitea, secrets, headers, &self.json()),
            ForgeKind::Forgejo => gitea::is_signed(Family::Forgejo, secrets, headers, &self.json()),
            ForgeKind::Gogs => gitea::is_signed(Family::Gogs, secrets, headers, &self.json()),
            ForgeKind::GitLab => gitlab::is_signed(secrets, headers, body, now),
            ForgeKind::BitbucketCloud | ForgeKind::BitbucketDataCenter => {
                bitbucket::is_signed(secrets, headers, body)
            }
            ForgeKind::Generic => generic::is_signed(secrets, headers, body, now),
        };
        is_signed.then_some(Verified(self))
    }

    /// The bytes of the JSON; those of the body, unless it is a form.
    fn json(self) -> Cow<'a, [u8]> {
        if !self.forge.takes_forms() || self.media() != Media::Form {
            return Cow::Borrowed(self.body);
        }
        let field = form_urlencoded::parse(self.body).find(|(name, _)| name == "payload");
        field.map_or(Cow::Borrowed(&[]), |(_, value)| {
            Cow::Owned(value.into_owned().into_bytes())
        })
    }

    fn media(self) -> Media {
        let essence = self.media_type().split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Media::Json
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Media::Form
        } else {
            Media::Other
        }
    }

    fn media_type(self) -> &'a str {
        let value = self.headers.get(CONTENT_TYPE);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Verified<'_> {
    /// What it says.
    pub fn parse(&self) -> Result<Delivery, Unreadable> {
        let Self(message) = self;
        let Message { forge, headers, .. } = *message;
        match message.media() {
            Media::Json => {}
            Media::Form if forge.takes_forms() => {}
            Media::Form | Media::Other => {
                return Err(Unreadable::MediaType(message.media_type().to_owned()));
            }
        }
        let value: Value = serde_json::from_slice(&message.json()).map_err(|_| Unreadable::NotAnObject)?;
        if !value.is_object() {
            return Err(Unreadable::NotAnObject);
        }
        let payload = payload::Payload(&value);
        let mut delivery = match forge {
            ForgeKind::GitHub => github::parse(headers, payload),
            ForgeKind::Gitea => gitea::parse(Family::Gitea, headers, payload),
            ForgeKind::Forgejo => gitea::parse(Family::Forgejo, headers, payload),
            ForgeKind::Gogs => gitea::parse(Family::Gogs, headers, payload),
            ForgeKind::GitLab => gitlab::parse(headers, payload),
            ForgeKind::BitbucketCloud => bitbucket::parse_cloud(headers, payload),
            ForgeKind::BitbucketDataCenter => bitbucket::parse_data_center(headers, payload),
            ForgeKind::Generic => generic::parse(headers, payload),
        };
        delivery.id = delivery
            .id
            .filter(|id| !id.is_empty() && id.len() <= DELIVERY_ID_BYTES_MAX);
        Ok(delivery)
    }
}

/// The value of the first header that is there.
fn first<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    let found = names.iter().find(|name| headers.contains_key(**name))?;
    signature::only(headers, found)
}

#[cfg(test)]
mod tests;
