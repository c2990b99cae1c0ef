//! What a delivery is answered: by its signature, its size, its type, and what the forge says in it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_server::clock;
use headwater_server::forge::ForgeKind;
use headwater_server::secret::Secret;
use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::Stopped;
use headwater_tests::wait::wait_until;
use serde_json::json;

use super::sent::*;

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
    // The newest of both kinds are told, so that who looks for a hook that is not heard sees why.
    let told = server.repo()["deliveries"].clone();
    let words: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| delivery["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["ignored", "refused"], "{told}");
    let sources = server.get("/sources").expect(200).text();
    for said in [
        "this delivery was taken before",
        "its signature is missing or wrong",
    ] {
        assert!(sources.contains(said), "{said}: {sources}");
    }
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
