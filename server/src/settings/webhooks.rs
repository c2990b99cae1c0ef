//! Webhooks that rules of a manifest may ask: `[webhook.NAME]`.
//!
//! Invariant: a manifest names a webhook and never an address, so that whoever may commit cannot make this service
//! speak to a host of its network. What is sent holds documents, so it is signed, and not in clear text.

use std::path::PathBuf;
use std::time::Duration;

use super::WebhookSettings;
use super::forges::{http_address, is_clear_text};
use super::hooks::secret;
use super::keys::{Key, path, put};
use super::named::{self, Named, Wrong, wrong};
use super::source::{Mistake, Place};
use super::values::duration;

/// Longest time of one request, unless it is said.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest that may be said: a verdict waits for it.
const DEADLINE_MAX: Duration = Duration::from_mins(1);

/// One webhook's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct WebhookDraft {
    place: Place,
    name: String,
    url: Option<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    ca_file: Option<PathBuf>,
    deadline: Duration,
}

const WEBHOOK_KEYS: &[Key<WebhookDraft>] = &[
    Key {
        name: "url",
        help: "address that is asked; https, or http on this machine",
        default: "",
        set: |draft, text| put(&mut draft.url, http_address(text).map(Some)),
    },
    Key {
        name: "secret_file",
        help: "file with the secret that signs what it is asked; read at the start",
        default: "",
        set: |draft, text| put(&mut draft.secret_file, path(text).map(Some)),
    },
    Key {
        name: "secret_env",
        help: "name of an environment variable with the secret, instead of `secret_file`",
        default: "",
        set: |draft, text| put(&mut draft.secret_env, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "ca_file",
        help: "PEM file with the only certificate authorities to trust",
        default: "",
        set: |draft, text| put(&mut draft.ca_file, path(text).map(Some)),
    },
    Key {
        name: "deadline",
        help: "longest time of one request; there are two at most",
        default: "5s",
        set: |draft, text| put(&mut draft.deadline, deadline(text)),
    },
];

/// How long one request to a service of the settings may take.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let deadline = duration(text)?;
    if deadline.is_zero() || deadline > DEADLINE_MAX {
        return Err(format!("expected at most `1m`, not `{text}`"));
    }
    Ok(deadline)
}

impl Named for WebhookDraft {
    const TABLE: &'static str = "webhook";
    const KEYS: &'static [Key<Self>] = WEBHOOK_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            url: None,
            secret_file: None,
            secret_env: None,
            ca_file: None,
            deadline: DEADLINE,
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The webhooks, and what is wrong with them.
pub(super) fn finish(
    drafts: &[WebhookDraft],
    environment: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) -> Vec<WebhookSettings> {
    named::finish(drafts, mistakes, |draft| whole(draft, environment))
}

fn whole(draft: &WebhookDraft, environment: &[(String, String)]) -> Result<WebhookSettings, Wrong> {
    let Some(url) = draft.url.clone() else {
        return wrong("has no `url`", "say which address is asked");
    };
    if is_clear_text(&url) {
        return wrong("would be sent documents in clear text", "use an https address");
    }
    let files = (&draft.secret_file, &draft.secret_env);
    let hint = "make one with `openssl rand -hex 32`, put it into a file, name that with `secret_file`, and tell it to whoever answers";
    let secret = match secret(("secret_file", files.0), ("secret_env", files.1), environment) {
        None => return wrong("has no secret that signs what it is asked", hint),
        Some(Err(what)) => return wrong(format!("has no secret that can be used: {what}"), hint),
        Some(Ok(secret)) => secret,
    };
    Ok(WebhookSettings {
        name: draft.name.clone(),
        url,
        secret,
        ca_file: draft.ca_file.clone(),
        deadline: draft.deadline,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Flags, Settings, load};

    /// What is read from a file with these tables, or what is wrong with it.
    pub(in super::super) fn read(webhook: &str) -> Result<Settings, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            format!("{webhook}\n[[repo]]\nurl = \"/srv/config\"\n"),
        )
        .unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        let environment = [
            ("GOOD".to_owned(), "a secret of some length".to_owned()),
            (
                "CHAT".to_owned(),
                "https://chat.example.test/services/T0/B0/x".to_owned(),
            ),
        ];
        load(&flags, &environment)
            .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn the_floor_knows_the_webhooks_and_nobody_has_to_ask_for_more() {
        let settings = read(concat!(
            "minimum_rollout = \"staged\"\nmanifest_owners = [\"a@example.test\", \"b@example.test\"]\n",
            "[webhook.change-calendar]\nurl = \"https://calendar.example.test/ask\"\nsecret_env = \"GOOD\"\n",
        ))
        .unwrap();
        let [webhook] = settings.webhooks.as_slice() else {
            panic!()
        };
        assert_eq!(webhook.deadline.as_secs(), 5);
        assert!(!format!("{webhook:?}").contains("a secret"));
        let floor = settings.floor;
        assert_eq!(floor.manifest_owners, ["a@example.test", "b@example.test"]);
        assert_eq!(floor.rollout.unwrap().as_str(), "staged");
        assert!(floor.webhooks.unwrap().contains("change-calendar"));
        let plain = read("").unwrap().floor;
        assert_eq!((plain.webhooks.unwrap().len(), plain.rollout), (0, None));
    }

    #[test]
    fn a_webhook_that_cannot_be_asked_safely_is_told_before_the_start() {
        for (webhook, expected) in [
            ("secret_env = \"GOOD\"", "webhook `w` has no `url`"),
            (
                "url = \"http://calendar.example.test\"\nsecret_env = \"GOOD\"",
                "webhook `w` would be sent documents in clear text",
            ),
            (
                "url = \"https://calendar.example.test\"",
                "webhook `w` has no secret that signs what it is asked",
            ),
            (
                "url = \"https://calendar.example.test\"\nsecret_env = \"ABSENT\"",
                "webhook `w` has no secret that can be used: there is no environment variable `ABSENT`",
            ),
            (
                "url = \"https://calendar.example.test\"\nsecret_env = \"GOOD\"\ndeadline = \"2m\"",
                "`deadline`: expected at most `1m`, not `2m`",
            ),
        ] {
            let told = read(&format!("[webhook.w]\n{webhook}")).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{webhook}: {told:?}");
        }
    }
}
