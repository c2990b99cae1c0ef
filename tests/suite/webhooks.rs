//! Webhooks: what each forge sends, signed as it signs, and what comes of it.
//!
//! Invariant: polling is off in these tests (an hour) unless a test says otherwise, so that whatever happens was
//! caused by a delivery.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_server::clock;
use headwater_server::forge::ForgeKind;
use headwater_server::secret::Secret;
use headwater_server::settings::HookSettings;
use headwater_tests::git_http::{Fault, GitHttp};
use headwater_tests::http::{Ask, Reply, raw};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{POLL, Stopped, TestServer};
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "the secret of these tests";
const SIGNING: &str = "whsec_dGhlIHNpZ25pbmcgdG9rZW4gb2YgdGhlc2UgdGVzdHM=";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
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
    hook: String,
    forge: ForgeKind,
    event: &'static str,
    id: String,
    secret: &'static str,
    media: &'static str,
    json: Vec<u8>,
}

impl Sent {
    fn new(forge: ForgeKind, event: &'static str, json: &[u8]) -> Self {
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

    fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    fn in_form(mut self) -> Self {
        self.media = FORM;
        self
    }

    fn body(&self) -> Vec<u8> {
        if self.media != FORM {
            return self.json.clone();
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", std::str::from_utf8(&self.json).unwrap());
        form.finish().into_bytes()
    }

    /// Headers without the signature, then the signature.
    fn headers(&self) -> (Vec<(&'static str, String)>, Vec<(&'static str, String)>) {
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

    fn ask_with(&self, signature: &[(&str, String)]) -> Ask {
        let mut ask = Ask::new("POST", &format!("/hooks/{}", self.hook));
        for (name, value) in self.headers().0.iter().map(|(n, v)| (*n, v)) {
            ask = ask.header(name, value);
        }
        for (name, value) in signature {
            ask = ask.header(name, value);
        }
        ask.body(self.media, &self.body())
    }

    fn ask(&self) -> Ask {
        self.ask_with(&self.headers().1)
    }

    pub(crate) fn to(&self, server: &TestServer) -> Reply {
        server.ask(&self.ask())
    }
}

/// A push as GitHub and its imitators write it.
fn push(name: &str, before: &str, after: &str) -> Vec<u8> {
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

/// A server of one repository `acme/config` with a hook of GitHub's, whose polls are an hour apart.
fn stopped(url: &str) -> Stopped {
    let stopped = Stopped::of(url).each(|repo| {
        repo.poll_interval = Duration::from_hours(1);
        repo.forge_repo = Some("acme/config".to_owned());
    });
    stopped.with(|settings| settings.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])])
}

fn origin() -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("a.toml", Some("x = 1\n"))], "begin");
    (origin, first)
}

fn outcome(reply: &Reply) -> (u16, String) {
    let word = reply.json()["outcome"].as_str().unwrap_or_default().to_owned();
    (reply.status, word)
}

/// Listings of the upstream so far.
fn listings(upstream: &GitHttp) -> usize {
    let is_listing = |line: &str| line.starts_with("GET ") && line.contains("info/refs");
    upstream
        .seen()
        .iter()
        .filter(|seen| is_listing(&seen.line))
        .count()
}

// --- What the forges send -----------------------------------------------------------------------------------------

fn suite() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut beside = here
        .ancestors()
        .map(|directory| directory.join("shared/suites/webhooks"));
    beside.find(|directory| directory.is_dir())
}

/// Directory and file, the event, and what comes of it: `fetch`, `ignore` or `pong`.
const TABLE: &[(ForgeKind, &str, &str, &str)] = &[
    (ForgeKind::GitHub, "github/ping-payload.json", "ping", "pong"),
    // A tag that was deleted.
    (ForgeKind::GitHub, "github/push-payload.json", "push", "ignore"),
    (
        ForgeKind::GitHub,
        "github/push-with-new-branch.payload.json",
        "push",
        "fetch",
    ),
    (
        ForgeKind::GitHub,
        "github/delete-payload.json",
        "delete",
        "ignore",
    ),
    (
        ForgeKind::GitHub,
        "github/pull_request-opened.payload.json",
        "pull_request",
        "ignore",
    ),
    (
        ForgeKind::GitHub,
        "github/pull_request-synchronize.payload.json",
        "pull_request",
        "ignore",
    ),
    (
        ForgeKind::GitHub,
        "github/pull_request-closed.payload.json",
        "pull_request",
        "ignore",
    ),
    (ForgeKind::Gitea, "gitea/push-event.json", "push", "fetch"),
    (ForgeKind::Gitea, "gitea/create-event.json", "create", "fetch"),
    // A branch that nobody follows.
    (ForgeKind::Gitea, "gitea/delete-event.json", "delete", "ignore"),
    (
        ForgeKind::Gitea,
        "gitea/pull-request-event.json",
        "pull_request",
        "ignore",
    ),
    (ForgeKind::Forgejo, "gitea/push-event.json", "push", "fetch"),
    (ForgeKind::Forgejo, "gitea/create-event.json", "create", "fetch"),
    (ForgeKind::Forgejo, "gitea/delete-event.json", "delete", "ignore"),
    (
        ForgeKind::Forgejo,
        "gitea/pull-request-event.json",
        "pull_request",
        "ignore",
    ),
    (ForgeKind::Gogs, "gogs/push-event.json", "push", "fetch"),
    (ForgeKind::GitLab, "gitlab/push-event.json", "Push Hook", "fetch"),
    (
        ForgeKind::BitbucketCloud,
        "bitbucket-cloud/repo-push.json",
        "repo:push",
        "fetch",
    ),
    // The branch followed, deleted: there is something to look at.
    (
        ForgeKind::BitbucketDataCenter,
        "bitbucket-dc/repo-refs-changed.json",
        "repo:refs_changed",
        "fetch",
    ),
];

/// The name of each forge's repository at the forge, and the branch its samples push.
const REPOS: &[(ForgeKind, &str, &str)] = &[
    (ForgeKind::GitHub, "Codertocat/Hello-World", "master"),
    (ForgeKind::Gitea, "example/example", "master"),
    (ForgeKind::Forgejo, "1", "master"),
    (ForgeKind::Gogs, "unknwon/webhooks", "develop"),
    (ForgeKind::GitLab, "15", "master"),
    (
        ForgeKind::BitbucketCloud,
        "{673a6070-3421-46c9-9d48-90745f7bfe8e}",
        "name-of-branch",
    ),
    (
        ForgeKind::BitbucketDataCenter,
        "~gopher/webhook-test",
        "feature/wip",
    ),
];

/// One repository and one hook for each forge, both named like it.
fn all_forges(origin: &TestOrigin) -> Stopped {
    let mut stopped = Stopped::of(&origin.path_url());
    for (forge, ..) in REPOS {
        stopped = stopped.and(forge.as_str(), &origin.path_url());
    }
    stopped.with(|settings| {
        settings.repos.remove(0);
        for (repo, (forge, name, branch)) in settings.repos.iter_mut().zip(REPOS) {
            repo.poll_interval = Duration::from_hours(1);
            repo.forge_repo = Some((*name).to_owned());
            repo.branch = headwater_server::git::list::BranchWanted::Named(branch.parse().unwrap());
            let secrets = if *forge == ForgeKind::GitLab {
                vec![SECRET, SIGNING]
            } else {
                vec![SECRET]
            };
            settings
                .hooks
                .push(hook(forge.as_str(), *forge, &[forge.as_str()], &secrets));
        }
    })
}

fn takes_forms(forge: ForgeKind) -> bool {
    matches!(
        forge,
        ForgeKind::GitHub | ForgeKind::Gitea | ForgeKind::Forgejo | ForgeKind::Gogs
    )
}

#[test]
fn every_delivery_of_every_forge_does_what_the_table_says() {
    let Some(suite) = suite() else {
        println!("skipped: `shared/suites/webhooks` is not beside this checkout");
        return;
    };
    let origin = TestOrigin::new();
    for (_, _, branch) in REPOS {
        origin.commit_on(branch, &[("a.toml", Some("x = 1\n"))], branch);
    }
    let server = all_forges(&origin).start();
    let state = |forge: ForgeKind| server.get(&format!("/v1/repos/{forge}")).expect(200).json();
    for (forge, ..) in REPOS {
        wait_until("listed", || state(*forge)["source_state"] == "ok");
    }
    for (forge, file, event, expected) in TABLE {
        let json = std::fs::read(suite.join(file)).unwrap();
        let sent = Sent::new(*forge, event, &json);
        let mut ways = vec![sent.clone()];
        if takes_forms(*forge) {
            ways.push(sent.clone().in_form().id(format!("{file} in a form")));
        }
        if *forge == ForgeKind::GitLab {
            ways.push(
                Sent {
                    secret: SIGNING,
                    ..sent.clone()
                }
                .id("signed"),
            );
        }
        for sent in ways {
            let synced_at = state(*forge)["synced_at"].clone();
            let reply = sent.to(&server);
            let seen = match outcome(&reply) {
                (202, word) if word == "accepted" => "fetch",
                (200, word) if word == "ignored" => "ignore",
                (200, word) if word == "pong" => "pong",
                other => panic!("{file}: {other:?} {}", reply.text()),
            };
            assert_eq!(seen, *expected, "{forge} {file} {} {}", sent.media, reply.text());
            if seen == "fetch" {
                assert_eq!(reply.json()["repos"], json!([forge.as_str()]), "{file}");
                wait_until("another listing", || state(*forge)["synced_at"] != synced_at);
            }
        }
    }
}

#[test]
fn a_form_is_refused_where_the_forge_sends_none() {
    let (origin, first) = origin();
    let server = all_forges(&origin).start();
    for forge in [
        ForgeKind::GitLab,
        ForgeKind::BitbucketCloud,
        ForgeKind::BitbucketDataCenter,
    ] {
        let mut sent = Sent::new(forge, "repo:push", &push("refs/heads/master", "", first.as_str()));
        // Signed as it is sent, so that only the media type is wrong.
        sent.json = sent.clone().in_form().body();
        let signature = sent.headers().1;
        let mut ask = Ask::new("POST", &format!("/hooks/{forge}"));
        for (name, value) in &signature {
            ask = ask.header(name, value);
        }
        let reply = server.ask(&ask.body(FORM, &sent.json)).expect(415);
        assert_eq!(reply.code(), "unsupported_media_type", "{forge}");
    }
}

// --- Who may send -------------------------------------------------------------------------------------------------

#[test]
fn without_the_right_signature_nothing_is_learned_but_that() {
    let (origin, first) = origin();
    let server = all_forges(&origin).start();
    for (forge, ..) in REPOS {
        let sent = Sent::new(*forge, "push", &push("refs/heads/master", "", first.as_str()));
        let right = sent.headers().1;
        let (name, value) = right[0].clone();
        let sha1 = "0".repeat(40);
        let cut: String = value.chars().take(value.len() - 2).collect();
        let wrong = {
            let mut other = sent.clone();
            other.secret = "another secret, equally long";
            other.headers().1[0].1.clone()
        };
        let mut bad: Vec<Vec<(&str, String)>> = vec![
            vec![],
            vec![(name, String::new())],
            vec![(name, "sha256=".to_owned())],
            vec![("x-hub-signature", format!("sha1={sha1}"))],
            vec![(name, wrong)],
            vec![(name, cut)],
            vec![(name, value.clone()), (name, value.clone())],
        ];
        if *forge != ForgeKind::GitLab {
            bad.push(vec![("x-gitlab-token", SECRET.to_owned())]);
        }
        for signature in bad {
            let reply = server.ask(&sent.ask_with(&signature)).expect(401);
            assert_eq!(reply.code(), "signature_refused", "{forge} {signature:?}");
            let mut body = reply.json();
            body.as_object_mut().unwrap().remove("request_id");
            insta::allow_duplicates! {
                insta::assert_snapshot!(body.to_string(), @r#"{"code":"signature_refused","detail":"the signature is missing or not the one of this hook's secret","hint":"set the same secret in the hook's settings at the forge and here","status":401,"title":"the signature was refused"}"#);
            }
        }
    }
}

#[test]
fn a_signature_over_other_bytes_is_refused() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    let sent = push_of(&first);
    let signature = sent.headers().1;
    let mut changed = sent.clone();
    changed.json.push(b' ');
    server.ask(&changed.ask_with(&signature)).expect(401);
    // The JSON of a form is not what GitHub signs; the form is.
    let form = sent.clone().in_form();
    server.ask(&form.ask_with(&signature)).expect(401);
    form.to(&server).expect(202);
}

#[test]
fn during_a_rotation_both_secrets_are_taken_and_no_third() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .with(|settings| {
            settings.hooks[0]
                .secrets
                .push(Secret::new("the next secret of these tests"));
        })
        .start();
    let signed_by = |secret| {
        Sent {
            secret,
            ..push_of(&first)
        }
        .id(secret)
    };
    signed_by("a third secret of these tests").to(&server).expect(401);
    signed_by(SECRET).to(&server).expect(202);
    let again = signed_by("the next secret of these tests").to(&server);
    assert_eq!(outcome(&again).0, 200, "the same content, signed anew");
}

#[test]
fn a_signing_token_is_not_taken_as_a_plain_one() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .with(|settings| settings.hooks = vec![hook("gitlab", ForgeKind::GitLab, &["default"], &[SIGNING])])
        .start();
    let body = json!({"object_kind": "push", "ref": "refs/heads/main", "after": first, "project": {"id": 7,
        "path_with_namespace": "acme/config"}});
    let sent = Sent::new(ForgeKind::GitLab, "Push Hook", body.to_string().as_bytes());
    let plain = Ask::new("POST", "/hooks/gitlab")
        .header("x-gitlab-token", SIGNING)
        .body(JSON, &sent.json);
    server.ask(&plain).expect(401);
    Sent {
        secret: SIGNING,
        ..sent
    }
    .to(&server)
    .expect(202);
}

#[test]
fn a_standard_webhook_is_taken_within_five_minutes() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .with(|settings| settings.hooks = vec![hook("generic", ForgeKind::Generic, &["default"], &[SIGNING])])
        .start();
    wait_until("listed", || server.repo()["source_state"] == "ok");
    let body = json!({"ref": "main", "commit": first}).to_string();
    let sent = Sent {
        secret: SIGNING,
        ..Sent::new(ForgeKind::Generic, "", body.as_bytes())
    };
    sent.to(&server).expect(202);
    let key = STANDARD.decode(SIGNING.strip_prefix("whsec_").unwrap()).unwrap();
    for (minutes, status) in [(-6, 401), (-4, 202), (4, 202), (6, 401)] {
        let time = clock::now().0 / 1_000 + minutes * 60;
        let id = format!("at {minutes}");
        let tag = STANDARD.encode(mac(&key, format!("{id}.{time}.{body}").as_bytes()));
        let ask = Ask::new("POST", "/hooks/generic")
            .header("webhook-id", &id)
            .header("webhook-timestamp", &time.to_string())
            .header("webhook-signature", &format!("v1,AAAA v1,{tag}"))
            .body(JSON, body.as_bytes());
        server.ask(&ask).expect(status);
    }
}

// --- What is no delivery ------------------------------------------------------------------------------------------

#[test]
fn what_is_wrong_with_a_request_has_its_own_answer() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    let sent = push_of(&first);
    let unknown = Sent {
        hook: "unknown".to_owned(),
        ..sent.clone()
    };
    assert_eq!(unknown.to(&server).expect(404).code(), "hook_not_found");
    for method in ["GET", "PUT"] {
        let reply = server.ask(&Ask::new(method, "/hooks/github")).expect(405);
        assert_eq!(reply.code(), "method_not_allowed");
        assert_eq!(reply.must("allow"), "POST");
    }
    let text = Sent {
        media: "text/plain",
        ..sent.clone()
    };
    assert_eq!(text.to(&server).expect(415).code(), "unsupported_media_type");
    for bad in ["{", "[]", "7", "", "null", "{\"ref\": }", "\u{0}"] {
        let malformed = Sent {
            json: bad.into(),
            ..sent.clone()
        };
        assert_eq!(malformed.to(&server).expect(400).code(), "bad_request", "{bad:?}");
    }
    let deep = Sent {
        json: "[".repeat(100_000).into_bytes(),
        ..sent.clone()
    };
    deep.to(&server).expect(400);
    // All of it optional: what says nothing may have been anything.
    Sent {
        json: b"{}".to_vec(),
        ..sent
    }
    .to(&server)
    .expect(202);
}

#[test]
fn a_body_of_26_megabytes_is_refused_although_its_signature_is_right() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    let mut large = push_of(&first);
    large.json.resize(26_000_000, b' ');
    let reply = large.to(&server).expect(413);
    assert_eq!(reply.code(), "too_large");
    // One that fits is taken, whatever is in it.
    let mut fits = push_of(&first);
    fits.json.resize(5 << 20, b' ');
    fits.to(&server).expect(202);
}

#[test]
fn a_delivery_of_another_repository_is_well_signed_and_ignored() {
    let (origin, _) = origin();
    let server = stopped(&origin.path_url()).start();
    let mut body: Value = serde_json::from_slice(&push("refs/heads/main", "", &"2".repeat(40))).unwrap();
    body["repository"]["full_name"] = json!("acme/config-old");
    let other = Sent::new(ForgeKind::GitHub, "push", body.to_string().as_bytes());
    let reply = other.to(&server).expect(200);
    insta::assert_snapshot!(reply.text(), @r#"{"outcome":"ignored","reason":"this hook tells of another repository"}"#);
    // An organisation's ping names no repository of ours, and is a ping all the same.
    let ping = Sent::new(ForgeKind::GitHub, "ping", body.to_string().as_bytes());
    assert_eq!(outcome(&ping.to(&server)), (200, "pong".to_owned()));
}

// --- What comes of it ---------------------------------------------------------------------------------------------

#[test]
fn a_push_is_published_without_waiting_for_a_poll() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");

    push_of(&second).to(&server).expect(202);

    server.until_tip(&second);
}

#[test]
fn a_hook_that_is_earlier_than_what_it_tells_of_is_believed_until_it_shows() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    let before = server.until_tip(&first)["synced_at"].clone();
    let second = origin.commit_on("main", &[("a.toml", Some("x = 2\n"))], "change");
    origin.force_reset("main", &first);

    push_of(&second).to(&server).expect(202);
    server.until("a listing that does not show it", |repo| {
        repo["synced_at"] != before
    });
    origin.force_reset("main", &second);

    server.until_tip(&second);
}

#[test]
fn a_hook_that_comes_twice_or_late_changes_nothing() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    let third = origin.commit(&[("a.toml", Some("x = 3\n"))], "another");
    push_of(&third).to(&server).expect(202);
    server.until_tip(&third);

    // Late: it tells of what is long past, and the listing decides.
    push_of(&second).to(&server).expect(202);
    // Twice.
    assert_eq!(outcome(&push_of(&third).to(&server)), (200, "ignored".to_owned()));

    assert_eq!(server.repo()["tip"], third.as_str());
}

#[test]
fn ten_thousand_replays_cause_a_single_listing() {
    let (origin, first) = origin();
    let upstream = GitHttp::plain(origin.root());
    let server = stopped(&upstream.url()).start();
    server.until_tip(&first);
    let before = listings(&upstream);
    push_of(&first).to(&server).expect(202);
    // With its own id, and with others, which the signature does not cover; many on one connection.
    for batch in 0..100 {
        let ask = |replay: usize| {
            let sent = push_of(&first);
            let sent = if replay.is_multiple_of(2) {
                sent
            } else {
                sent.id(format!("{batch}-{replay}"))
            };
            String::from_utf8(sent.ask().bytes()).unwrap()
        };
        let most: String = (0..99).map(ask).collect();
        let bytes = most.replace("connection: close", "connection: keep-alive") + &ask(99);
        let answers = String::from_utf8(raw(server.addr(), bytes.as_bytes())).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 100, "{answers}");
    }
    wait_until("the listing", || listings(&upstream) > before);
    assert_eq!(listings(&upstream) - before, 1);
}

#[test]
fn many_deliveries_at_once_cause_at_most_two_listings_a_second() {
    let (origin, first) = origin();
    let upstream = GitHttp::plain(origin.root());
    let server = stopped(&upstream.url()).start();
    server.until_tip(&first);
    let (before, started) = (listings(&upstream), Instant::now());
    for number in 0..100 {
        let json = push("refs/heads/main", &format!("{number:040}"), first.as_str());
        Sent::new(ForgeKind::GitHub, "push", &json)
            .to(&server)
            .expect(202);
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!(listings(&upstream) - before <= 2 + seconds);
    wait_until("the trailing one", || listings(&upstream) - before >= 2);
}

#[test]
fn a_delivery_is_answered_at_once_although_the_upstream_hangs() {
    let (origin, first) = origin();
    let upstream = GitHttp::plain(origin.root());
    let server = stopped(&upstream.url()).start();
    server.until_tip(&first);
    upstream.fail_with(Fault::Silent);
    let started = Instant::now();
    for number in 0..20 {
        let json = push("refs/heads/main", &format!("{number:040}"), &"2".repeat(40));
        Sent::new(ForgeKind::GitHub, "push", &json)
            .to(&server)
            .expect(202);
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn tags_and_other_branches_are_nothing_to_do_and_the_end_of_the_branch_is() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    server.until_tip(&first);
    let zeros = "0".repeat(40);
    for (name, after) in [
        ("refs/tags/v1", first.as_str()),
        ("refs/tags/main", first.as_str()),
        ("refs/heads/mainly", first.as_str()),
        ("refs/heads/gh-readonly-queue/main/pr-1", first.as_str()),
        ("refs/heads/other", &zeros),
        ("refs/notes/commits", first.as_str()),
    ] {
        let reply = Sent::new(ForgeKind::GitHub, "push", &push(name, &zeros, after)).to(&server);
        assert_eq!(outcome(&reply), (200, "ignored".to_owned()), "{name}");
    }
    origin.delete_branch("main");
    let gone = Sent::new(
        ForgeKind::GitHub,
        "push",
        &push("refs/heads/main", first.as_str(), &zeros),
    );
    gone.to(&server).expect(202);
    server.until_source("empty_repository");
    assert_eq!(
        server.repo()["tip"],
        first.as_str(),
        "what was good keeps serving"
    );
}

#[test]
fn of_several_refs_in_one_push_the_branch_followed_counts() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .with(|settings| {
            settings.hooks = vec![hook(
                "bitbucket-cloud",
                ForgeKind::BitbucketCloud,
                &["default"],
                &[SECRET],
            )];
        })
        .start();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    let side = |kind: &str, name: &str| json!({"type": kind, "name": name, "target": {"hash": second}});
    let with = |changes: Value| {
        let body = json!({"push": {"changes": changes}, "repository": {"full_name": "acme/config"}});
        Sent::new(
            ForgeKind::BitbucketCloud,
            "repo:push",
            body.to_string().as_bytes(),
        )
    };
    let other = json!({"new": side("branch", "other"), "old": null});
    let tag = json!({"new": null, "old": side("tag", "main")});
    let reply = with(json!([other, tag])).to(&server);
    assert_eq!(outcome(&reply), (200, "ignored".to_owned()));
    let main = json!({"new": side("branch", "main"), "old": side("branch", "main")["x"]});
    with(json!([other, main, tag])).to(&server).expect(202);
    server.until_tip(&second);
}

#[test]
fn one_hook_may_tell_of_several_repositories() {
    let ((one, first), (two, _)) = (origin(), origin());
    let server = stopped(&one.path_url())
        .and("second", &two.path_url())
        .with(|settings| {
            settings.repos[1].poll_interval = Duration::from_hours(1);
            settings.repos[1].forge_repo = Some("acme/second".to_owned());
            settings.hooks[0].repos.push("second".parse().unwrap());
        })
        .start();
    server.until_tip(&first);
    let reply = push_of(&first).to(&server).expect(202);
    assert_eq!(reply.json()["repos"], json!(["default"]));
}

#[test]
fn hooks_that_miss_a_change_are_told_of_until_they_come_again() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .each(|repo| {
            repo.poll_interval = POLL;
            repo.hook_grace = Duration::from_millis(200);
        })
        .start();
    server.until_tip(&first);
    assert_eq!(server.repo()["hook_silence"], Value::Null);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    server.until_tip(&second);
    server.until("silence is told", |repo| repo["hook_silence"].is_string());

    push_of(&second).to(&server).expect(202);

    assert_eq!(server.repo()["hook_silence"], Value::Null);
}

#[test]
fn polling_goes_on_beside_hooks() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url())
        .each(|repo| repo.poll_interval = POLL)
        .start();
    server.until_tip(&first);
    push_of(&first).to(&server).expect(202);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    server.until_tip(&second);
}

#[test]
fn no_secret_is_in_an_answer() {
    let (origin, first) = origin();
    let server = stopped(&origin.path_url()).start();
    let replies = [
        push_of(&first).to(&server),
        push_of(&first).to(&server),
        Sent {
            secret: "another secret, equally long",
            ..push_of(&first)
        }
        .to(&server),
    ];
    let told: String = replies.iter().map(Reply::text).collect();
    assert!(!told.contains(SECRET), "{told}");
}
