//! Who is told when something needs a person: `[alert.NAME]`.
//!
//! Invariant: an address that is a secret itself, as those of chats are, comes from a file or a variable, and nothing is
//! sent in clear text over a network.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use headwater_wire::RepoName;

use super::forges::{http_address, is_clear_text};
use super::hooks::secret;
use super::keys::{Key, path, put};
use super::named::{self, Named, Wrong, wrong};
use super::source::{Mistake, Place};
use super::values::duration;
use super::{AlertKind, AlertSettings, RepoSettings};
use crate::alerts::event::EventKind;
use crate::secret::Secret;

/// Time after which a rollout that waits for a person counts as stuck, unless it is said.
const STUCK_AFTER: Duration = Duration::from_mins(30);

/// One target's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct AlertDraft {
    place: Place,
    name: String,
    kind: Option<&'static str>,
    url: Option<String>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    repos: Vec<RepoName>,
    events: BTreeSet<EventKind>,
    stuck_after: Duration,
}

const KINDS: [&str; 3] = ["webhook", "slack", "alertmanager"];

const ALERT_KEYS: &[Key<AlertDraft>] = &[
    Key {
        name: "kind",
        help: "`webhook`, `slack` (or a chat with the same incoming webhooks) or `alertmanager`",
        default: "",
        set: |draft, text| {
            let kind = KINDS.into_iter().find(|kind| *kind == text);
            let expected = || format!("expected `webhook`, `slack` or `alertmanager`, not `{text}`");
            draft.kind = Some(kind.ok_or_else(expected)?);
            Ok(())
        },
    },
    Key {
        name: "url",
        help: "address that is told; of an Alertmanager, what stands before `/api/v2/alerts`",
        default: "",
        set: |draft, text| put(&mut draft.url, http_address(text).map(Some)),
    },
    Key {
        name: "url_file",
        help: "file with the address, where whoever knows it may write there; read at the start",
        default: "",
        set: |draft, text| put(&mut draft.url_file, path(text).map(Some)),
    },
    Key {
        name: "url_env",
        help: "name of an environment variable with the address, instead of `url_file`",
        default: "",
        set: |draft, text| put(&mut draft.url_env, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "secret_file",
        help: "file with the secret that signs what a webhook is told; read at the start",
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
        help: "file with the bearer token of an Alertmanager, if it wants one; read at the start",
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
        name: "repos",
        help: "repositories it is told of; without any, all",
        default: "",
        set: |draft, text| {
            let names = text.split(',').map(|name| name.trim().parse::<RepoName>());
            draft.repos = names
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?;
            Ok(())
        },
    },
    Key {
        name: "events",
        help: "what it is told: `halted`, `rolled-back`, `incomplete`, `stuck`, `failing`, `rejected`, `stale`, `canary`; without any, all",
        default: "",
        set: |draft, text| {
            let kinds = text.split(',').map(|kind| event(kind.trim()));
            draft.events = kinds.collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Key {
        name: "stuck_after",
        help: "how long a rollout may wait for a person before it is told",
        default: "30m",
        set: |draft, text| put(&mut draft.stuck_after, duration(text)),
    },
];

fn event(text: &str) -> Result<EventKind, String> {
    let names = EventKind::ALL.map(EventKind::as_str);
    let found = EventKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| match headwater_validators::closest(text, names) {
        Some(near) => format!("there is no event `{text}`; did you mean `{near}`?"),
        None => format!("there is no event `{text}`; there are {}", names.join(", ")),
    })
}

impl Named for AlertDraft {
    const TABLE: &'static str = "alert";
    const KEYS: &'static [Key<Self>] = ALERT_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            kind: None,
            url: None,
            url_file: None,
            url_env: None,
            secret_file: None,
            secret_env: None,
            token_file: None,
            token_env: None,
            ca_file: None,
            repos: Vec::new(),
            events: EventKind::ALL.into(),
            stuck_after: STUCK_AFTER,
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Those who are told, and what is wrong with them.
pub(super) fn finish(
    drafts: &[AlertDraft],
    repos: &[RepoSettings],
    environment: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) -> Vec<AlertSettings> {
    named::finish(drafts, mistakes, |draft| whole(draft, repos, environment))
}

fn whole(
    draft: &AlertDraft,
    repos: &[RepoSettings],
    environment: &[(String, String)],
) -> Result<AlertSettings, Wrong> {
    let unknown = draft
        .repos
        .iter()
        .find(|name| !repos.iter().any(|repo| repo.name == **name));
    if let Some(name) = unknown {
        return wrong(
            format!("is told of `{name}`, which is no repository"),
            "write the name of a `[[repo]]`",
        );
    }
    let url = url(draft, environment)?;
    if is_clear_text(url.expose()) {
        return wrong("would be told in clear text", "use an https address");
    }
    Ok(AlertSettings {
        name: draft.name.clone(),
        url,
        kind: kind(draft, environment)?,
        ca_file: draft.ca_file.clone(),
        repos: draft.repos.clone(),
        events: draft.events.clone(),
        stuck_after: draft.stuck_after,
    })
}

type Pair<'a> = (
    (&'static str, &'a Option<PathBuf>),
    (&'static str, &'a Option<String>),
);

fn read((file, variable): Pair<'_>, environment: &[(String, String)]) -> Result<Option<Secret>, Wrong> {
    let what = match secret(file, variable, environment) {
        None => return Ok(None),
        Some(Ok(secret)) => return Ok(Some(secret)),
        Some(Err(what)) => what,
    };
    let (file, variable) = (file.0, variable.0);
    wrong(
        format!("has a `{file}` or `{variable}` that cannot be used: {what}"),
        "put it into a file that this service may read",
    )
}

fn url(draft: &AlertDraft, environment: &[(String, String)]) -> Result<Secret, Wrong> {
    let hidden = (("url_file", &draft.url_file), ("url_env", &draft.url_env));
    match (&draft.url, read(hidden, environment)?) {
        (Some(_), Some(_)) => wrong("has two addresses", "keep one of `url`, `url_file` and `url_env`"),
        (None, None) => wrong(
            "has no `url`",
            "say which address is told, or where it is with `url_file`",
        ),
        (Some(url), None) => Ok(Secret::new(url.as_str())),
        (None, Some(url)) => match http_address(url.expose()) {
            Ok(url) => Ok(Secret::new(url)),
            // The address is not quoted: it may be a secret.
            Err(expected) => wrong("has an address that is none", expected),
        },
    }
}

fn kind(draft: &AlertDraft, environment: &[(String, String)]) -> Result<AlertKind, Wrong> {
    let signs = (
        ("secret_file", &draft.secret_file),
        ("secret_env", &draft.secret_env),
    );
    let token = (("token_file", &draft.token_file), ("token_env", &draft.token_env));
    let (signs, token) = (read(signs, environment)?, read(token, environment)?);
    match (draft.kind, signs, token) {
        (Some("webhook"), Some(secret), None) => Ok(AlertKind::Webhook { secret }),
        (Some("slack"), None, None) => Ok(AlertKind::Slack),
        (Some("alertmanager"), None, token) => Ok(AlertKind::Alertmanager { token }),
        (Some("webhook"), None, _) => wrong(
            "has no secret that signs what it is told",
            "make one with `openssl rand -hex 32`, put it into a file, name that with `secret_file`, and tell it to \
             whoever listens",
        ),
        (Some(kind), _, _) => wrong(
            format!("has a secret or token, and `{kind}` has no use for it"),
            "remove it",
        ),
        (None, _, _) => wrong("has no `kind`", "say `webhook`, `slack` or `alertmanager`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::webhooks::tests::read;
    use super::EventKind;

    #[test]
    fn whoever_is_told_is_told_everything_unless_it_is_said() {
        let settings = read(concat!(
            "[alert.ops]\nkind = \"alertmanager\"\nurl = \"http://localhost:9093/\"\n",
            "[alert.chat]\nkind = \"slack\"\nurl_env = \"CHAT\"\nevents = [\"halted\", \"stuck\"]\nstuck_after = \"1h\"\n",
        ))
        .unwrap();
        let [chat, ops] = [&settings.alerts[1], &settings.alerts[0]];
        assert_eq!(
            (ops.events.len(), ops.stuck_after.as_secs()),
            (EventKind::ALL.len(), 1_800)
        );
        assert_eq!((chat.events.len(), chat.stuck_after.as_secs()), (2, 3_600));
        assert!(!format!("{chat:?}").contains("services"), "{chat:?}");
    }

    #[test]
    fn whoever_cannot_be_told_safely_is_told_of_before_the_start() {
        let address = "url = \"https://a.example.test\"";
        for (alert, expected) in [
            ("kind = \"slack\"".to_owned(), "alert `a` has no `url`"),
            (address.to_owned(), "alert `a` has no `kind`"),
            (
                format!("kind = \"webhook\"\n{address}"),
                "alert `a` has no secret that signs what it is told",
            ),
            (
                "kind = \"slack\"\nurl = \"http://a.example.test\"".to_owned(),
                "alert `a` would be told in clear text",
            ),
            (
                format!("kind = \"slack\"\n{address}\nurl_env = \"CHAT\""),
                "alert `a` has two addresses",
            ),
            (
                "kind = \"slack\"\nurl_env = \"GOOD\"".to_owned(),
                "alert `a` has an address that is none",
            ),
            (
                format!("kind = \"slack\"\n{address}\nrepos = [\"nowhere\"]"),
                "alert `a` is told of `nowhere`, which is no repository",
            ),
            (
                format!("kind = \"slack\"\n{address}\nevents = \"haltd\""),
                "`events`: there is no event `haltd`; did you mean `halted`?",
            ),
            (
                format!("kind = \"slack\"\n{address}\ntoken_env = \"GOOD\""),
                "alert `a` has a secret or token, and `slack` has no use for it",
            ),
        ] {
            let told = read(&format!("[alert.a]\n{alert}")).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{alert}: {told:?}");
        }
    }
}
