//! What the signals of rollouts may ask: `[signal.NAME]`.
//!
//! Invariant: a manifest names a signal and never an address, and a token or a signature is not sent in clear text. A
//! Prometheus without a token may be spoken to in clear text: it is told nothing that is secret, and most have nothing
//! else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::forges::{http_address, is_clear_text};
use super::hooks::secret;
use super::keys::{Key, path, put};
use super::named::{self, Named, Wrong, wrong};
use super::source::{Mistake, Place};
use super::webhooks::deadline;
use super::{SignalKind, SignalSettings};
use crate::secret::Secret;

/// Longest time of one request, unless it is said.
const DEADLINE: Duration = Duration::from_secs(10);

/// One signal's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct SignalDraft {
    place: Place,
    name: String,
    kind: Option<&'static str>,
    url: Option<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    deadline: Duration,
}

const KINDS: [&str; 2] = ["prometheus", "webhook"];

const SIGNAL_KEYS: &[Key<SignalDraft>] = &[
    Key {
        name: "kind",
        help: "`prometheus`, or `webhook` for a service that says yes or no itself",
        default: "",
        set: |draft, text| {
            let kind = KINDS.into_iter().find(|kind| *kind == text);
            draft.kind =
                Some(kind.ok_or_else(|| format!("expected `prometheus` or `webhook`, not `{text}`"))?);
            Ok(())
        },
    },
    Key {
        name: "url",
        help: "address that is asked; of a Prometheus, what stands before `/api/v1/query`",
        default: "",
        set: |draft, text| put(&mut draft.url, http_address(text).map(Some)),
    },
    Key {
        name: "secret_file",
        help: "file with the secret that signs what a webhook is asked; read at the start",
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
        name: "token_file",
        help: "file with the bearer token of a Prometheus, if it wants one; read at the start",
        default: "",
        set: |draft, text| put(&mut draft.token_file, path(text).map(Some)),
    },
    Key {
        name: "token_env",
        help: "name of an environment variable with the token, instead of `token_file`",
        default: "",
        set: |draft, text| put(&mut draft.token_env, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "ca_file",
        help: "PEM file with the only certificate authorities to trust",
        default: "",
        set: |draft, text| put(&mut draft.ca_file, path(text).map(Some)),
    },
    Key {
        name: "deadline",
        help: "longest time of one request",
        default: "10s",
        set: |draft, text| put(&mut draft.deadline, deadline(text)),
    },
];

impl Named for SignalDraft {
    const TABLE: &'static str = "signal";
    const KEYS: &'static [Key<Self>] = SIGNAL_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            kind: None,
            url: None,
            secret_file: None,
            secret_env: None,
            token_file: None,
            token_env: None,
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

/// The signals, and what is wrong with them.
pub(super) fn finish(
    drafts: &[SignalDraft],
    environment: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) -> Vec<SignalSettings> {
    named::finish(drafts, mistakes, |draft| whole(draft, environment))
}

/// What manifests may name, with its kind.
pub(super) fn kinds(signals: &[SignalSettings]) -> BTreeMap<String, String> {
    let kind = |signal: &SignalSettings| (signal.name.clone(), signal.kind.as_str().to_owned());
    signals.iter().map(kind).collect()
}

fn whole(draft: &SignalDraft, environment: &[(String, String)]) -> Result<SignalSettings, Wrong> {
    let Some(url) = draft.url.clone() else {
        return wrong("has no `url`", "say which address is asked");
    };
    let kind = kind(draft, environment)?;
    if is_clear_text(&url) {
        match kind {
            SignalKind::Prometheus { token: None } => {}
            SignalKind::Prometheus { token: Some(_) } => {
                return wrong("would be sent a token in clear text", "use an https address");
            }
            SignalKind::Webhook { .. } => {
                return wrong("would be asked in clear text", "use an https address");
            }
        }
    }
    Ok(SignalSettings {
        name: draft.name.clone(),
        url,
        kind,
        ca_file: draft.ca_file.clone(),
        deadline: draft.deadline,
    })
}

fn kind(draft: &SignalDraft, environment: &[(String, String)]) -> Result<SignalKind, Wrong> {
    let read = |(file_key, file), (env_key, variable)| -> Result<Option<Secret>, Wrong> {
        match secret((file_key, file), (env_key, variable), environment) {
            None => Ok(None),
            Some(Ok(secret)) => Ok(Some(secret)),
            Some(Err(what)) => wrong(
                format!("has a secret or token that cannot be used: {what}"),
                "put it into a file that this service may read",
            ),
        }
    };
    let signs = read(
        ("secret_file", &draft.secret_file),
        ("secret_env", &draft.secret_env),
    )?;
    let token = read(("token_file", &draft.token_file), ("token_env", &draft.token_env))?;
    match (draft.kind, signs, token) {
        (Some("prometheus"), None, token) => Ok(SignalKind::Prometheus { token }),
        (Some("webhook"), Some(secret), None) => Ok(SignalKind::Webhook { secret }),
        (Some("webhook"), None, _) => wrong(
            "has no secret that signs what it is asked",
            "make one with `openssl rand -hex 32`, put it into a file, name that with `secret_file`, and tell it to \
             whoever answers",
        ),
        (Some(_), Some(_), _) => wrong(
            "has a secret, and no use for it",
            "a Prometheus takes a token: `token_file`",
        ),
        (Some(_), None, _) | (None, _, _) => wrong("has no `kind`", "say `prometheus` or `webhook`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::webhooks::tests::read;

    #[test]
    fn the_floor_knows_the_signals_and_their_kinds() {
        let settings = read(concat!(
            "[signal.main]\nkind = \"prometheus\"\nurl = \"http://prometheus:9090/\"\n",
            "[signal.orders]\nkind = \"webhook\"\nurl = \"https://o.example.test/ask\"\nsecret_env = \"GOOD\"\n",
        ))
        .unwrap();
        let known = settings.floor.signals.unwrap();
        assert_eq!(
            (known["main"].as_str(), known["orders"].as_str()),
            ("prometheus", "webhook")
        );
        assert_eq!(settings.signals[0].url, "http://prometheus:9090");
        assert!(!format!("{:?}", settings.signals).contains("a secret"));
        assert_eq!(read("").unwrap().floor.signals.unwrap().len(), 0);
    }

    #[test]
    fn a_signal_that_cannot_be_asked_safely_is_told_before_the_start() {
        let address = "url = \"https://p.example.test\"";
        for (signal, expected) in [
            ("kind = \"prometheus\"".to_owned(), "signal `s` has no `url`"),
            (address.to_owned(), "signal `s` has no `kind`"),
            (
                format!("kind = \"webhook\"\n{address}"),
                "signal `s` has no secret that signs what it is asked",
            ),
            (
                format!("kind = \"prometheus\"\n{address}\nsecret_env = \"GOOD\""),
                "signal `s` has a secret, and no use for it",
            ),
            (
                "kind = \"prometheus\"\nurl = \"http://p.example.test\"\ntoken_env = \"GOOD\"".to_owned(),
                "signal `s` would be sent a token in clear text",
            ),
            (
                "kind = \"webhook\"\nurl = \"http://p.example.test\"\nsecret_env = \"GOOD\"".to_owned(),
                "signal `s` would be asked in clear text",
            ),
            (
                format!("kind = \"graphite\"\n{address}"),
                "`kind`: expected `prometheus` or `webhook`, not `graphite`",
            ),
        ] {
            let told = read(&format!("[signal.s]\n{signal}")).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{signal}: {told:?}");
        }
    }
}
