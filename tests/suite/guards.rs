//! Rules and guards, on real histories: what is measured against what, what a guard outlives, what a person may allow.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use headwater_server::secret::Secret;
use headwater_server::settings::{Settings, WebhookSettings};
use headwater_tests::http::Ask;
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_validators::RolloutKind;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::command::WorkTree;

pub(crate) const CONFIG: &str = "format = 1\n[[config]]\nname = \"app\"\nlayers = [\"app.toml\"]\n";
const RULE: &str =
    "rules = [\"step\"]\n[rule.step]\nat = \"/pool/max\"\nmax_factor = 2\noverride = \"trailer\"\n";
pub(crate) const SECRET: &str = "a secret of the calendar";

pub(crate) fn guarded() -> String {
    format!("{CONFIG}{RULE}")
}

pub(crate) fn pool(max: u32) -> String {
    format!("[pool]\nmax = {max}\n")
}

/// A server that serves a pool of 10, under a rule that it may double in one step.
fn served() -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[
            ("headwater.toml", Some(&guarded())),
            ("app.toml", Some(&pool(10))),
        ],
        "first",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    (origin, server, first)
}

fn set(origin: &TestOrigin, max: u32, message: &str) -> CommitId {
    origin.commit(&[("app.toml", Some(&pool(max)))], message)
}

pub(crate) fn verdict(server: &TestServer, commit: &CommitId) -> Value {
    let view = server
        .get(&format!("/v1/repos/default/commits/{commit}"))
        .expect(200)
        .json();
    view["verdict"].clone()
}

/// Codes and severities of what was found in a commit.
pub(crate) fn found(server: &TestServer, commit: &CommitId) -> Vec<(String, String)> {
    let findings = verdict(server, commit)["findings"]
        .as_array()
        .expect("findings")
        .clone();
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    findings
        .iter()
        .map(|finding| (text(finding, "code"), text(finding, "severity")))
        .collect()
}

pub(crate) fn error(code: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), "error".to_owned())]
}

#[test]
fn two_commits_pushed_together_cannot_each_double_a_pool() {
    let (origin, server, _) = served();
    let stopped = server.stop();
    let once = set(&origin, 20, "double");
    let twice = set(&origin, 40, "double again");
    let server = stopped.start();
    let repo = server.until_head(&twice, "rejected");
    assert_eq!(repo["tip"], once.as_str());
    assert_eq!(found(&server, &twice), error("rule/step"));
    let message = verdict(&server, &twice)["findings"][0]["message"].clone();
    assert_eq!(
        message,
        "this value may not change by more than 2× in one step: `10` → `40`"
    );
    // Now that the first step is what instances hold, the second one is allowed.
    let again = set(&origin, 39, "double again, later");
    server.until_tip(&again);
}

#[test]
fn a_config_that_goes_and_comes_back_in_one_push_stays_and_is_measured_against_what_is_exposed() {
    let (origin, server, first) = served();
    let stopped = server.stop();
    origin.commit(
        &[("headwater.toml", Some("format = 1\n")), ("app.toml", None)],
        "no config",
    );
    let back = origin.commit(
        &[
            ("headwater.toml", Some(&guarded())),
            ("app.toml", Some(&pool(40))),
        ],
        "and back",
    );
    let server = stopped.start();
    // Nobody loses it for a push that was rejected, and nobody escapes the rule by a commit on top.
    let is_refused = |head: &CommitId| {
        assert_eq!(server.until_head(head, "rejected")["tip"], first.as_str());
        assert_eq!(found(&server, head), error("rule/step"));
    };
    is_refused(&back);
    is_refused(&origin.commit(&[("notes.txt", Some("x"))], "on top"));
    assert_eq!(server.config("app", None).status, 200);
    // What is meant to go goes with a good head.
    let gone = origin.commit(
        &[("headwater.toml", Some("format = 1\n")), ("app.toml", None)],
        "it goes",
    );
    server.until_tip(&gone);
    assert_eq!(server.config("app", None).status, 404);
}

#[test]
fn a_guard_cannot_be_removed_and_violated_in_one_commit() {
    let (origin, server, first) = served();
    let both = origin.commit(
        &[("headwater.toml", Some(CONFIG)), ("app.toml", Some(&pool(1_000)))],
        "no rule, no limit",
    );
    assert_eq!(server.until_head(&both, "rejected")["tip"], first.as_str());
    assert_eq!(found(&server, &both), error("rule/step"));
    // Nor can it be escaped by a new name.
    let renamed = guarded().replace("name = \"app\"", "name = \"main\"");
    assert_ne!(renamed, guarded());
    let both = origin.commit(
        &[
            ("headwater.toml", Some(&renamed)),
            ("app.toml", Some(&pool(1_000))),
        ],
        "another name, no limit",
    );
    assert_eq!(server.until_head(&both, "rejected")["tip"], first.as_str());
    assert_eq!(found(&server, &both), error("rule/step"));
    // First the guard, seen by everybody, then the step.
    let removed = origin.commit(
        &[("headwater.toml", Some(CONFIG)), ("app.toml", Some(&pool(10)))],
        "only the rule goes",
    );
    server.until_tip(&removed);
    let step = set(&origin, 1_000, "and now the step");
    server.until_tip(&step);
}

#[test]
fn a_guard_and_its_loosening_pushed_together_are_measured_against_what_is_exposed() {
    let (origin, server, first) = served();
    let stopped = server.stop();
    let removed = origin.commit(&[("headwater.toml", Some(CONFIG))], "the rule goes");
    let step = set(&origin, 1_000, "the step");
    let server = stopped.start();
    assert_eq!(server.until_head(&step, "rejected")["tip"], removed.as_str());
    assert_ne!(first, removed);
}

#[test]
fn what_a_trailer_allows_is_admitted_and_stays_on_the_record() {
    let (origin, server, _) = served();
    let stopped = server.stop();
    let step = set(&origin, 100, "Grow\n\nHeadwater-Allow: step launch day");
    let after = origin.commit(
        &[("app.toml", Some("[pool]\nmax = 100\nmin = 1\n"))],
        "stands on it",
    );
    let server = stopped.start();
    server.until_tip(&after);
    for commit in [&step, &after] {
        assert_eq!(
            found(&server, commit),
            [("rule/step".to_owned(), "info".to_owned())]
        );
        let hint = verdict(&server, commit)["findings"][0]["hint"].clone();
        assert_eq!(hint, "allowed by trailer: launch day");
    }
}

#[test]
fn a_way_back_to_what_was_admitted_takes_any_step() {
    let (origin, server, first) = served();
    let up = set(&origin, 20, "up");
    server.until_tip(&up);
    let further = set(&origin, 40, "further up");
    server.until_tip(&further);
    let back = set(&origin, 10, &format!("Roll back\n\nRollback-To: {first}"));
    server.until_tip(&back);
    assert!(found(&server, &back).is_empty());
    // The words alone are no way back: the content must be that of the commit.
    let forged = set(&origin, 1_000, &format!("Roll back\n\nRollback-To: {first}"));
    assert_eq!(server.until_head(&forged, "rejected")["tip"], back.as_str());
    // And it must have been exposed.
    let other = set(&origin, 1_000, &format!("Roll back\n\nRollback-To: {forged}"));
    assert_eq!(server.until_head(&other, "rejected")["tip"], back.as_str());
}

#[test]
fn what_was_admitted_is_served_again_after_a_start_with_a_higher_floor() {
    let (origin, server, _) = served();
    let step = set(&origin, 20, "double");
    server.until_tip(&step);
    let server = server
        .stop()
        .with(|settings| settings.floor.rollout = Some(RolloutKind::Staged))
        .start();
    server.until_tip(&step);
    assert_eq!(
        server.config("app", None).expect(200).json()["document"]["pool"]["max"],
        20
    );
    let next = set(&origin, 21, "below the floor");
    assert_eq!(server.until_head(&next, "rejected")["tip"], step.as_str());
    assert_eq!(found(&server, &next), error("floor/rollout"));
    // The refusal was the settings' own, so it ends with them.
    let server = server
        .stop()
        .with(|settings| settings.floor.rollout = None)
        .start();
    server.until_tip(&next);
}

#[test]
fn a_check_without_publishing_measures_against_what_is_exposed() {
    let (_origin, server, _) = served();
    let check = |max: u32| {
        let files = [("headwater.toml", guarded()), ("app.toml", pool(max))];
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, text)| (*path, text.as_bytes()))
            .collect();
        let tar = crate::checks::tar(&files);
        let ask = Ask::new("POST", "/v1/repos/default/checks").body("application/x-tar", &tar);
        server.ask(&ask).expect(200).json()
    };
    assert_eq!(check(20)["verdict"], "admitted");
    let refused = check(21);
    assert_eq!(refused["verdict"], "rejected");
    assert_eq!(refused["findings"][0]["code"], "rule/step");
}

/// A server whose commits a calendar must allow.
fn asked(oracle: &Oracle) -> (TestOrigin, TestServer, CommitId) {
    let origin = TestOrigin::new();
    let manifest = format!("{CONFIG}[rule.window]\nwebhook = \"calendar\"\n");
    let first = origin.commit(
        &[("headwater.toml", Some(&manifest)), ("app.toml", Some(&pool(1)))],
        "first",
    );
    let server = Stopped::of(&origin.path_url())
        .with(|settings| asking(settings, oracle))
        .start();
    server.until_tip(&first);
    (origin, server, first)
}

/// Lets rules ask `calendar`.
pub(crate) fn asking(settings: &mut Settings, oracle: &Oracle) {
    settings.floor.webhooks = Some(BTreeSet::from(["calendar".to_owned()]));
    settings.webhooks = vec![WebhookSettings {
        name: "calendar".to_owned(),
        url: oracle.url(),
        secret: Secret::new(SECRET),
        ca_file: None,
        deadline: Duration::from_secs(5),
    }];
}

/// HMAC-SHA256 in hex.
pub(crate) fn signed(bytes: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, bytes);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_webhook_is_asked_what_changes_in_signed_words_and_its_answer_counts() {
    let oracle = Oracle::start();
    let (origin, server, first) = asked(&oracle);
    // A first commit changes nothing that anybody holds.
    assert!(oracle.asked().is_empty());
    let good = set(&origin, 2, "allowed");
    server.until_tip(&good);
    let [asked] = oracle.asked().try_into().expect("one question");
    assert_eq!(asked.signature, format!("sha256={}", signed(&asked.bytes)));
    let expected = json!({
        "repo": "default", "commit": good.as_str(), "base": first.as_str(), "rule": "window",
        "configs": [{"name": "app", "old": {"pool": {"max": 1}}, "new": {"pool": {"max": 2}}}],
    });
    assert_eq!(asked.json(), expected);
    oracle.next(
        "200 OK",
        "{\"allowed\": false, \"reason\": \"no changes on Fridays\"}",
    );
    let bad = set(&origin, 3, "refused");
    server.until_head(&bad, "rejected");
    let finding = verdict(&server, &bad)["findings"][0].clone();
    assert_eq!(finding["code"], "rule/window");
    assert_eq!(
        finding["message"],
        "the webhook `calendar` refuses this commit: no changes on Fridays"
    );
}

#[test]
fn a_webhook_that_gives_no_answer_rejects_after_one_more_try() {
    let oracle = Oracle::start();
    let (origin, server, first) = asked(&oracle);
    oracle.next("503 Service Unavailable", "");
    oracle.next("503 Service Unavailable", "");
    let bad = set(&origin, 2, "nobody there");
    let repo = server.until_head(&bad, "rejected");
    assert_eq!(repo["tip"], first.as_str());
    assert_eq!(repo["findings"][0]["code"], "webhook/unanswered");
    assert_eq!(oracle.asked().len(), 2);
    oracle.next("503 Service Unavailable", "");
    let good = set(&origin, 3, "the second try is answered");
    server.until_tip(&good);
}

#[test]
fn a_webhook_is_not_followed_elsewhere() {
    let (oracle, elsewhere) = (Oracle::start(), Oracle::start());
    let (origin, server, _) = asked(&oracle);
    let url = elsewhere.url();
    oracle.next(&format!("307 Temporary Redirect\r\nlocation: {url}"), "");
    let bad = set(&origin, 2, "redirected");
    let repo = server.until_head(&bad, "rejected");
    assert!(elsewhere.asked().is_empty());
    assert_eq!(
        repo["findings"][0]["message"],
        "the webhook `calendar` gave no answer: it redirects, which is not followed"
    );
}

#[test]
fn a_webhook_that_the_settings_do_not_know_is_asked_nothing() {
    let (origin, server, first) = served();
    for (webhook, code) in [
        ("http://169.254.169.254/", "manifest/value"),
        ("calender", "floor/webhook"),
    ] {
        let manifest = format!("{CONFIG}[rule.window]\nwebhook = \"{webhook}\"\n");
        let bad = origin.commit(&[("headwater.toml", Some(&manifest))], "reach inside");
        assert_eq!(server.until_head(&bad, "rejected")["tip"], first.as_str());
        assert_eq!(found(&server, &bad), error(code), "{webhook}");
    }
}

#[test]
fn headwater_check_measures_the_work_tree_against_head_or_what_is_named() {
    let tree = WorkTree::with(&[("headwater.toml", &guarded()), ("app.toml", &pool(10))]);
    tree.write("app.toml", &pool(21));
    insta::assert_snapshot!(tree.headwater(&["check"]), @"
    exit 1
    error[rule/step]: this value may not change by more than 2× in one step: `10` → `21`
     --> app.toml:2:7
      |
    2 | max = 21
      |       ^^ /pool/max
      |
      = note: in config `app`
      = help: if it must be, write `Headwater-Allow: step <reason>` into the commit message

    what a code means: headwater explain-code rule/step
    1 error in 1 config: the commit would be rejected
    ");
    tree.write("app.toml", &pool(20));
    assert!(tree.headwater(&["check"]).starts_with("exit 0\n"));
    tree.commit("double");
    tree.write("app.toml", &pool(40));
    assert!(tree.headwater(&["check"]).starts_with("exit 0\n"));
    let told = tree.headwater(&["check", "--against", "HEAD~1"]);
    assert!(
        told.contains("`10` → `40`") && told.starts_with("exit 1\n"),
        "{told}"
    );
    tree.commit("double again\n\nHeadwater-Allow: step measured");
    let told = tree.headwater(&["check", "HEAD", "--against", "HEAD~2"]);
    assert!(
        told.contains("allowed by trailer: measured") && told.starts_with("exit 0\n"),
        "{told}"
    );
}

#[test]
fn headwater_check_sees_a_guard_that_goes_with_what_it_guarded() {
    let protect = format!("{}[protect]\nmanifest_changes = \"alone\"\n", guarded());
    let tree = WorkTree::with(&[
        ("headwater.toml", &protect),
        ("app.toml", &pool(10)),
        ("notes.txt", "x"),
    ]);
    tree.write("headwater.toml", CONFIG);
    assert!(tree.headwater(&["check"]).starts_with("exit 0\n"));
    tree.write("notes.txt", "longer");
    tree.write("app.toml", &pool(50));
    let told = tree.headwater(&["check"]);
    assert!(
        told.contains("error[rule/step]") && told.contains("error[protect/alone]"),
        "{told}"
    );
    assert!(told.contains("`app.toml`, `notes.txt`"), "{told}");
}

#[test]
fn headwater_check_says_that_it_asks_no_webhook() {
    let manifest = format!("{CONFIG}[rule.window]\nwebhook = \"calendar\"\n");
    let tree = WorkTree::with(&[("headwater.toml", &manifest), ("app.toml", &pool(1))]);
    tree.write("app.toml", &pool(2));
    let told = tree.headwater(&["check"]);
    assert!(told.starts_with("exit 0\ninfo[webhook/not-run]"), "{told}");
}
