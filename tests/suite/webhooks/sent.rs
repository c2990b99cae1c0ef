//! A delivery as a forge sends it, and what it is sent to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_server::clock;
use headwater_server::forge::ForgeKind;
use headwater_server::secret::Secret;
use headwater_server::settings::HookSettings;
use headwater_tests::git_http::GitHttp;
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_wire::CommitId;
use serde_json::json;

pub(crate) const SECRET: &str = "the secret of these tests";
pub(super) const SIGNING: &str = "whsec_dGhlIHNpZ25pbmcgdG9rZW4gb2YgdGhlc2UgdGVzdHM=";
pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, bytes).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn hook(name: &str, forge: ForgeKind, repos: &[&str], secrets: &[&str]) -> HookSettings {
    HookSettings {
        name: name.parse().unwrap(),
        forge,
        repos: repos.iter().map(|repo| repo.parse().unwrap()).collect(),
        secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
    }
}

/// A delivery as a forge would make it.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(super) hook: String,
    pub(super) forge: ForgeKind,
    pub(super) event: &'static str,
    pub(super) id: String,
    pub(super) secret: &'static str,
    pub(super) media: &'static str,
    pub(super) json: Vec<u8>,
}

impl Sent {
    pub(super) fn new(forge: ForgeKind, event: &'static str, json: &[u8]) -> Self {
        Self {
            hook: forge.as_str().to_owned(),
            forge,
            event,
            id: hex(&mac(b"id", json)),
            secret: SECRET,
            media: JSON,
            json: json.to_vec(),
        }
    }

    pub(crate) fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The same push as another forge tells of it.
    pub(crate) fn from(self, forge: ForgeKind) -> Self {
        if forge != ForgeKind::GitLab {
            return Self::new(forge, self.event, &self.json);
        }
        let mut body: serde_json::Value = serde_json::from_slice(&self.json).unwrap();
        body["object_kind"] = json!("push");
        body["project"] = json!({"id": 7, "path_with_namespace": "acme/config"});
        Self::new(forge, "Push Hook", body.to_string().as_bytes())
    }

    pub(super) fn in_form(mut self) -> Self {
        self.media = FORM;
        self
    }

    pub(super) fn body(&self) -> Vec<u8> {
        if self.media != FORM {
            return self.json.clone();
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", std::str::from_utf8(&self.json).unwrap());
        form.finish().into_bytes()
    }

    /// Headers without the signature, then the signature.
    pub(super) fn headers(&self) -> (Vec<(&'static str, String)>, Vec<(&'static str, String)>) {
        let (event, id) = (self.event.to_owned(), self.id.clone());
        let of = |bytes: &[u8]| hex(&mac(self.secret.as_bytes(), bytes));
        match self.forge {
            ForgeKind::GitHub => (
                vec![("x-github-event", event), ("x-github-delivery", id)],
                vec![("x-hub-signature-256", format!("sha256={}", of(&self.body())))],
            ),
            // These send their imitations of the others', too.
            ForgeKind::Gitea => (
                vec![
                    ("x-gitea-event", event.clone()),
                    ("x-gogs-event", event.clone()),
                    ("x-github-event", event),
                    ("x-gitea-delivery", id),
                ],
                vec![("x-gitea-signature", of(&self.json))],
            ),
            ForgeKind::Forgejo => (
                vec![
                    ("x-forgejo-event", event.clone()),
                    ("x-gitea-event", event),
                    ("x-forgejo-delivery", id),
                ],
                vec![
                    ("x-forgejo-signature", of(&self.json)),
                    ("x-gitea-signature", of(&self.json)),
                ],
            ),
            ForgeKind::Gogs => (
                vec![("x-gogs-event", event), ("x-gogs-delivery", id)],
                vec![("x-gogs-signature", of(&self.json))],
            ),
            ForgeKind::GitLab if !self.secret.starts_with("whsec_") => (
                vec![("x-gitlab-event", event), ("idempotency-key", id)],
                vec![("x-gitlab-token", self.secret.to_owned())],
            ),
            ForgeKind::GitLab | ForgeKind::Generic => {
                let time = (clock::now().0 / 1_000).to_string();
                let key = self.secret.strip_prefix("whsec_").map_or_else(
                    || self.secret.as_bytes().to_vec(),
                    |text| STANDARD.decode(text).unwrap(),
                );
                let signed = [format!("{id}.{time}.").as_bytes(), &self.json].concat();
                let tag = STANDARD.encode(mac(&key, &signed));
                (
                    vec![("webhook-id", id), ("webhook-timestamp", time)],
                    vec![("webhook-signature", format!("v1,{tag}"))],
                )
            }
            ForgeKind::BitbucketCloud => (
                vec![("x-event-key", event), ("x-request-uuid", id)],
                vec![("x-hub-signature", format!("sha256={}", of(&self.json)))],
            ),
            ForgeKind::BitbucketDataCenter => (
                vec![("x-event-key", event), ("x-request-id", id)],
                vec![("x-hub-signature", format!("sha256={}", of(&self.json)))],
            ),
        }
    }

    pub(super) fn ask_with(&self, signature: &[(&str, String)]) -> Ask {
        let mut ask = Ask::new("POST", &format!("/hooks/{}", self.hook));
        for (name, value) in self.headers().0.iter().map(|(n, v)| (*n, v)) {
            ask = ask.header(name, value);
        }
        for (name, value) in signature {
            ask = ask.header(name, value);
        }
        ask.body(self.media, &self.body())
    }

    pub(crate) fn ask(&self) -> Ask {
        self.ask_with(&self.headers().1)
    }

    pub(crate) fn to(&self, server: &TestServer) -> Reply {
        server.ask(&self.ask())
    }
}

/// A push as GitHub and its imitators write it.
pub(super) fn push(name: &str, before: &str, after: &str) -> Vec<u8> {
    let body = json!({
        "ref": name, "before": before, "after": after,
        "repository": {"id": 7, "full_name": "acme/config", "clone_url": "https://git.example.test/acme/config.git"},
    });
    body.to_string().into_bytes()
}

pub(crate) fn push_of(commit: &CommitId) -> Sent {
    let json = push("refs/heads/main", &"1".repeat(40), commit.as_str());
    Sent::new(ForgeKind::GitHub, "push", &json)
}

/// What became of a pull request for `main`, as its forge tells it. `id` makes a delivery another one.
pub(crate) fn pull_of(forge: ForgeKind, number: u64, action: &str, head: &CommitId) -> Sent {
    let repository = json!({"id": 7, "full_name": "acme/config"});
    let state = if action == "closed" { "closed" } else { "open" };
    let (event, body) = if forge == ForgeKind::GitLab {
        let words = json!({"iid": number, "action": action, "state": if state == "open" { "opened" } else { "merged" },
            "last_commit": {"id": head.as_str()}, "target_branch": "main", "source_branch": "feature"});
        let project = json!({"id": 7, "path_with_namespace": "acme/config"});
        (
            "Merge Request Hook",
            json!({"object_kind": "merge_request", "object_attributes": words, "project": project}),
        )
    } else {
        let pull = json!({"state": state, "head": {"ref": "feature", "sha": head.as_str()}, "base": {"ref": "main"}});
        (
            "pull_request",
            json!({"action": action, "number": number, "pull_request": pull, "repository": repository}),
        )
    };
    Sent::new(forge, event, body.to_string().as_bytes())
}

/// What a merge queue of GitHub says of one of its branches.
pub(crate) fn group_of(branch: &str, action: &str, head: &CommitId) -> Sent {
    let body = json!({
        "action": action,
        "merge_group": {"head_sha": head.as_str(), "head_ref": format!("refs/heads/{branch}"), "base_ref": "refs/heads/main"},
        "repository": {"id": 7, "full_name": "acme/config"},
    });
    Sent::new(ForgeKind::GitHub, "merge_group", body.to_string().as_bytes())
}

/// A server of one repository `acme/config` with a hook of GitHub's, whose polls are an hour apart.
pub(super) fn stopped(url: &str) -> Stopped {
    let stopped = Stopped::of(url).each(|repo| {
        repo.poll_interval = Duration::from_hours(1);
        repo.forge_repo = Some("acme/config".to_owned());
    });
    stopped.with(|settings| settings.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])])
}

pub(super) fn origin() -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("a.toml", Some("x = 1\n"))], "begin");
    (origin, first)
}

pub(crate) fn outcome(reply: &Reply) -> (u16, String) {
    let word = reply.json()["outcome"].as_str().unwrap_or_default().to_owned();
    (reply.status, word)
}

/// Listings of the upstream so far.
pub(super) fn listings(upstream: &GitHttp) -> usize {
    let is_listing = |line: &str| line.starts_with("GET ") && line.contains("info/refs");
    upstream
        .seen()
        .iter()
        .filter(|seen| is_listing(&seen.line))
        .count()
}

// --- What the forges send -----------------------------------------------------------------------------------------

pub(super) fn suite() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut beside = here
        .ancestors()
        .map(|directory| directory.join("shared/suites/webhooks"));
    beside.find(|directory| directory.is_dir())
}
