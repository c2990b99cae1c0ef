//! What comes of a delivery: a look at the upstream, once, and soon.

use std::time::{Duration, Instant};

use headwater_server::forge::ForgeKind;
use headwater_tests::git_http::{Fault, GitHttp};
use headwater_tests::http::{Reply, raw};
use headwater_tests::server::POLL;
use headwater_tests::wait::wait_until;
use serde_json::{Value, json};

use super::sent::*;

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
