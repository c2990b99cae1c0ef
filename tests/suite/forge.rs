//! What we say to forges: statuses of commits, and pull requests, over a forge that keeps them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use headwater_server::forge::{
    ApiKind, Credential, ForgeApi, ForgeError, ForgeKind, PullRequestDraft, Status, StatusState,
};
use headwater_server::settings::ForgeSettings;
use headwater_tests::forge::{Instead, TestForge, gitea};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::Stopped;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::webhooks::{SECRET, hook, push_of};

pub(crate) const KINDS: [(ApiKind, &str); 3] = [
    (ApiKind::GitHub, ""),
    (ApiKind::Gitea, "/api/v1"),
    (ApiKind::GitLab, "/api/v4"),
];

/// A forge, its token in a file, and the settings to speak to it.
pub(crate) struct Spoken {
    pub(crate) forge: TestForge,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: ForgeSettings,
}

impl Spoken {
    pub(crate) fn with((kind, path): (ApiKind, &str)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let forge = TestForge::start("first");
        let settings = ForgeSettings {
            kind,
            ..gitea(forge.api_url(path), file)
        };
        Self { forge, dir, settings }
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.dir.path().join("token"), token).unwrap();
    }

    pub(crate) fn server(&self, origin: &TestOrigin) -> Stopped {
        Stopped::of(&origin.path_url()).with(|settings| {
            settings.forges = vec![self.settings.clone()];
            settings.public_url = Some("https://config.example.test".to_owned());
        })
    }

    pub(crate) fn ask<T>(&self, ask: impl AsyncFnOnce(&ForgeApi) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let api = ForgeApi::new(&self.settings).unwrap();
        runtime.block_on(ask(&api))
    }

    fn set_status(&self) -> Result<(), ForgeError> {
        self.ask(async |api| api.set_status(&a_status()).await)
    }
}

fn a_status() -> Status {
    Status {
        commit: "a".repeat(40).parse().unwrap(),
        context: "headwater".to_owned(),
        state: StatusState::Success,
        description: "fine".to_owned(),
        target_url: None,
        findings: Vec::new(),
    }
}

fn a_draft() -> PullRequestDraft {
    PullRequestDraft {
        title: "Revert a change".to_owned(),
        body: "because".to_owned(),
        head: "headwater/rollback-1".parse().unwrap(),
        base: "main".parse().unwrap(),
    }
}

pub(crate) fn origin() -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("a.toml", Some("x = 1\n"))], "begin");
    (origin, first)
}

/// Waits until a state was told of a commit.
pub(crate) fn until_told(forge: &TestForge, commit: &CommitId, state: &str) {
    wait_until(&format!("{state} of {commit}"), || {
        forge.states(commit.as_str()).last().map(String::as_str) == Some(state)
    });
}

// --- Statuses -----------------------------------------------------------------------------------------------------

#[test]
fn the_fate_of_a_head_is_told_to_each_forge_in_its_own_words() {
    for kind in KINDS {
        let ((origin, first), spoken) = (origin(), Spoken::with(kind));
        let server = spoken.server(&origin).start();
        until_told(&spoken.forge, &first, "success");

        let bad = origin.commit(&[("a.toml", Some("x = [\n"))], "break");
        let failure = if kind.0 == ApiKind::GitLab {
            "failed"
        } else {
            "failure"
        };
        until_told(&spoken.forge, &bad, failure);

        let told = spoken.forge.statuses().pop().unwrap().body;
        let (context, description) = if kind.0 == ApiKind::GitLab {
            ("name", "description")
        } else {
            ("context", "description")
        };
        assert_eq!(told[context], "headwater");
        let said = told[description].as_str().unwrap();
        assert!(
            said.starts_with("rejected: 2 errors; tree/lost-config at a.toml:1"),
            "{said}"
        );
        let link = format!("https://config.example.test/v1/repos/default/commits/{bad}");
        assert_eq!(told["target_url"], link);
        // The link leads somewhere.
        let path = link.strip_prefix("https://config.example.test").unwrap();
        assert_eq!(
            server.get(path).expect(200).json()["verdict"]["state"],
            "rejected"
        );
    }
}

#[test]
fn a_commit_is_pending_while_it_is_judged_and_a_held_one_waits() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[1]));
    let _server = spoken.server(&origin).start();
    until_told(&spoken.forge, &first, "success");
    origin.delete_branch("main");
    let other = origin.commit(&[("a.toml", Some("x = 3\n"))], "another history");
    until_told(&spoken.forge, &other, "pending");
    let told = spoken.forge.statuses().pop().unwrap().body;
    assert_eq!(
        told["description"],
        "held: history was rewritten, and a person has to accept it"
    );
}

#[test]
fn a_merge_is_announced_published_and_reported_without_a_poll() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let server = spoken.server(&origin).each(|repo| {
        repo.poll_interval = Duration::from_hours(1);
        repo.forge_repo = Some("acme/config".to_owned());
    });
    let server = server
        .with(|settings| settings.hooks = vec![hook("github", ForgeKind::GitHub, &["default"], &[SECRET])]);
    let server = server.start();
    until_told(&spoken.forge, &first, "success");

    let merged = origin.commit(&[("a.toml", Some("x = 2\n"))], "Merge pull request #1");
    push_of(&merged).to(&server).expect(202);

    server.until_tip(&merged);
    until_told(&spoken.forge, &merged, "success");
    let states = spoken.forge.states(merged.as_str());
    assert!(
        states == ["pending", "success"] || states == ["success"],
        "{states:?}"
    );
}

#[test]
fn publishing_does_not_wait_for_a_forge_that_hangs_or_fails() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let slow = Instead {
        delay: Duration::from_secs(15),
        ..Instead::status(500)
    };
    spoken.forge.answer_instead([slow]);
    let server = spoken.server(&origin).start();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    server.until_tip(&second);
}

#[test]
fn a_failure_of_the_forge_is_tried_again_until_it_is_told() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[2]));
    spoken.forge.answer_instead([
        Instead::status(502),
        Instead::status(429).header("retry-after", "1"),
    ]);
    let _server = spoken.server(&origin).start();
    until_told(&spoken.forge, &first, "success");
}

#[test]
fn a_token_that_is_replaced_works_without_a_restart() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let server = spoken.server(&origin).start();
    until_told(&spoken.forge, &first, "success");
    spoken.write_token("second");
    spoken.forge.take_only("second");
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    server.until_tip(&second);
    until_told(&spoken.forge, &second, "success");
}

// --- One request --------------------------------------------------------------------------------------------------

#[test]
fn a_refused_token_is_read_again_once() {
    let spoken = Spoken::with(KINDS[1]);
    spoken.forge.take_only("second");
    assert_eq!(spoken.set_status(), Err(ForgeError::Unauthorized));
    assert_eq!(
        spoken.forge.calls().len(),
        1,
        "the file holds the same token, so it would be refused again"
    );
    spoken.ask(async |api| {
        api.set_status(&a_status()).await.unwrap_err();
        spoken.write_token("second");
        api.set_status(&a_status()).await.unwrap();
    });
    let said: Vec<String> = spoken
        .forge
        .calls()
        .into_iter()
        .map(|call| call.authorization)
        .collect();
    assert_eq!(said, ["first", "first", "first", "second"]);
}

#[test]
fn what_a_forge_answers_says_what_to_do() {
    let in_a_minute = (headwater_server::clock::now().0 / 1_000 + 60).to_string();
    let spoken = Spoken::with(KINDS[0]);
    let answered = |instead: Instead| {
        spoken.forge.answer_instead([instead]);
        spoken.set_status().unwrap_err()
    };
    let limited = answered(Instead::status(403).header("retry-after", "7"));
    assert_eq!(limited, ForgeError::RateLimited(Duration::from_secs(7)));
    let used_up = Instead::status(403)
        .header("x-ratelimit-remaining", "0")
        .header("x-ratelimit-reset", in_a_minute);
    let ForgeError::RateLimited(pause) = answered(used_up) else {
        panic!("no limit")
    };
    assert!((55..=60).contains(&pause.as_secs()), "{pause:?}");
    let endless = answered(Instead::status(429).header("retry-after", "99999999"));
    assert_eq!(endless, ForgeError::RateLimited(Duration::from_hours(1)));
    let moved = answered(Instead::status(302).header("location", spoken.forge.api_url("/elsewhere")));
    assert_eq!(moved, ForgeError::Redirected);
    assert!(
        !spoken
            .forge
            .calls()
            .iter()
            .any(|call| call.line.contains("elsewhere"))
    );
    let refused = answered(Instead::status(403));
    insta::assert_snapshot!(refused, @"the forge answered 403: not now");
}

#[test]
fn a_forge_that_is_not_there_is_an_error_without_its_token() {
    let mut spoken = Spoken::with(KINDS[0]);
    spoken.settings.api_url = "http://127.0.0.1:1".to_owned();
    let error = spoken.set_status().unwrap_err();
    assert!(matches!(error, ForgeError::Unreachable(_)), "{error}");
    assert!(!format!("{error:?}").contains("first"));
    std::fs::remove_file(spoken.dir.path().join("token")).unwrap();
    let error = spoken.set_status().unwrap_err();
    assert!(matches!(error, ForgeError::Credentials(_)), "{error}");
}

// --- Pull requests ------------------------------------------------------------------------------------------------

#[test]
fn a_pull_request_is_opened_once_however_often_it_is_asked_for() {
    for kind in KINDS {
        let spoken = Spoken::with(kind);
        let (first, again) = spoken.ask(async |api| {
            let first = api.open_pull_request(&a_draft()).await.unwrap();
            (first, api.open_pull_request(&a_draft()).await.unwrap())
        });
        assert_eq!(first, again);
        assert_eq!(
            (first.number, first.url.as_str()),
            (1, "https://forge.example.test/pull/1")
        );
        assert_eq!(spoken.forge.pulls().len(), 1);
        let other = PullRequestDraft {
            head: "headwater/rollback-2".parse().unwrap(),
            ..a_draft()
        };
        let second = spoken.ask(async |api| api.open_pull_request(&other).await.unwrap());
        assert_eq!(second.number, 2);
    }
}

#[test]
fn a_pull_request_that_the_forge_refuses_is_refused_in_its_words() {
    let spoken = Spoken::with(KINDS[0]);
    // There is no such pull request either, so it is not one that exists.
    spoken.forge.answer_instead([Instead::status(422)]);
    let error = spoken.ask(async |api| api.open_pull_request(&a_draft()).await.unwrap_err());
    let expected = ForgeError::Refused {
        status: 422,
        message: "not now".to_owned(),
    };
    assert_eq!(error, expected);
}

#[test]
fn a_protected_branch_takes_no_push() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    origin.force_reset("main", &first);
    spoken.forge.protect(&origin, "main");
    let url = origin.path_url();
    assert!(!origin.git_ok(&["push", "-q", &url, &format!("{second}:refs/heads/main")]));
    assert!(origin.git_ok(&["push", "-q", &url, &format!("{second}:refs/heads/proposal")]));
    assert_eq!(origin.head("main"), Some(first));
}

// --- An App -------------------------------------------------------------------------------------------------------

/// A key in a PEM file, and what verifies its signatures.
pub(crate) fn app_key(dir: &Path) -> (PathBuf, Vec<u8>) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = key.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let file = dir.join("app.pem");
    std::fs::write(&file, pem).unwrap();
    (file, key.public_key().as_ref().to_vec())
}

#[test]
fn an_app_signs_a_claim_and_uses_the_token_it_gets_for_it() {
    let mut spoken = Spoken::with(KINDS[0]);
    let (key_file, public) = app_key(spoken.dir.path());
    spoken.settings.credential = Credential::App {
        app_id: "Iv1.app".to_owned(),
        key_file,
        installation_id: "77".to_owned(),
    };
    spoken.ask(async |api| {
        api.set_status(&a_status()).await.unwrap();
        api.set_status(&a_status()).await.unwrap();
    });
    let calls = spoken.forge.calls();
    let lines: Vec<&str> = calls.iter().map(|call| call.line.as_str()).collect();
    let run = "POST /repos/acme/config/check-runs";
    assert_eq!(lines, ["POST /app/installations/77/access_tokens", run, run]);
    assert_eq!(calls[1].authorization, "installation-1");
    assert_eq!(calls[2].authorization, "installation-1", "it is good for an hour");

    let (signed, signature) = calls[0].authorization.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public);
    key.verify(signed.as_bytes(), &signature).unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(read(head), json!({"alg": "RS256", "typ": "JWT"}));
    let claim = read(body);
    assert_eq!(claim["iss"], "Iv1.app");
    let (from, to) = (claim["iat"].as_i64().unwrap(), claim["exp"].as_i64().unwrap());
    assert!(to - from <= 600, "GitHub takes ten minutes at most");
}

#[test]
fn an_installation_whose_token_is_refused_asks_for_another() {
    let mut spoken = Spoken::with(KINDS[0]);
    let (key_file, _) = app_key(spoken.dir.path());
    spoken.settings.credential = Credential::App {
        app_id: "1".to_owned(),
        key_file,
        installation_id: "77".to_owned(),
    };
    spoken.ask(async |api| {
        api.set_status(&a_status()).await.unwrap();
        spoken.forge.take_only("revoked");
        api.set_status(&a_status()).await.unwrap();
    });
    assert_eq!(
        spoken.forge.calls().last().unwrap().authorization,
        "installation-2"
    );
}
