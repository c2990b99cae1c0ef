use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use headwater_wire::{CommitId, HeadState, Timestamp};
use http::StatusCode;
use serde_json::{Value, json};

use super::dialect::{alertmanager, slack, webhook};
use super::event::EventKind;
use super::ledger::{Message, Turn};
use super::*;
use crate::canary::CanaryView;
use crate::publish::SourceStatus;
use crate::receiver::{Arrived, Receiver};
use crate::secret::Secret;
use crate::settings::CanarySettings;

fn commit(digit: &str) -> CommitId {
    digit.repeat(40).parse().unwrap()
}

fn repo() -> RepoName {
    "shop".parse().unwrap()
}

/// A staged rollout, with these members changed.
fn view(changes: &Value) -> RolloutView {
    let mut view = json!({
        "id": "5d1f0c2a",
        "config": "app/prod",
        "target": commit("b"),
        "baseline": commit("a"),
        "policy": { "kind": "staged", "stages": [], "failed_max": 1, "roll_back_after_ms": 600_000, "shortest_ms": 0 },
        "state": "halted",
        "stage": 2,
        "stages_total": 3,
        "why": "2 of 10 instances failed, and 1 may not",
        "counts": { "members": 10, "applied": 6, "confirmed": 1, "failed": 2, "unknown": 1, "not_back": 0, "fleet": 40 },
        "failed_names": ["i-7", "i-9"],
        "next": "goes back by itself in 10 min; `resume` goes on, `abort` goes back now",
        "orders": ["resume", "abort"],
        "timeline": [],
    });
    let changes = changes.as_object().unwrap().clone();
    view.as_object_mut().unwrap().extend(changes);
    serde_json::from_value(view).unwrap()
}

/// Everything that is said of an event, as in a log.
fn said(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let detail = event.detail.as_deref().unwrap_or("-");
        let kind = event.kind.as_str();
        writeln!(text, "{kind}: {}\n  {detail}\n  {}", event.summary, event.action).unwrap();
    }
    text
}

fn halted() -> Event {
    of_rollout(&repo(), &view(&json!({}))).unwrap()
}

#[test]
fn each_turn_of_a_rollout_says_what_happened_how_many_it_concerns_and_what_to_do() {
    let of = |changes: &Value| of_rollout(&repo(), &view(changes)).unwrap();
    let mut events = vec![
        halted(),
        of(&json!({ "state": "rolling_back" })),
        of(&json!({ "state": "rolled_back", "why": null, "counts": null })),
        of(&json!({ "state": "incomplete", "counts": null })),
        of(
            &json!({ "state": "aborted", "why": "1 of 3 instances refused to get ready", "counts": null, "orders": [] }),
        ),
    ];
    let awaiting = json!({
        "state": "awaiting_approval", "why": null, "orders": ["promote", "abort"], "failed_names": [],
        "counts": { "members": 10, "applied": 10 }, "next": "waits for `promote`",
    });
    events.push(stuck(&repo(), &view(&awaiting), "31 min"));
    let failing_view =
        view(&json!({ "counts": { "members": 40, "confirmed": 39, "failed": 1 }, "failed_names": ["i-7"] }));
    events.push(failing(&repo(), &failing_view, 1).unwrap());
    insta::assert_snapshot!(said(&events), @r#"
    halted: rollout of `app/prod` to bbbbbbbbbb halted in stage 2 of 3: 2 of 10 instances failed, and 1 may not
      of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`
      goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`
    rolled-back: rollout of `app/prod` goes back from bbbbbbbbbb: 2 of 10 instances failed, and 1 may not
      of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`
      mend the content in a new commit: until one comes, it is held back; `headwater rollouts app/prod` shows what happened
    rolled-back: rollout of `app/prod` goes back from bbbbbbbbbb: on request
      -
      mend the content in a new commit: until one comes, it is held back; `headwater rollouts app/prod` shows what happened
    incomplete: rollout of `app/prod` went back from bbbbbbbbbb, and not everybody said so: 2 of 10 instances failed, and 1 may not
      -
      `headwater instances --config app/prod` shows who has not said so; restart those that run what was left
    halted: rollout of `app/prod` to bbbbbbbbbb ended before anybody ran it: 1 of 3 instances refused to get ready
      -
      mend the content in a new commit: until one comes, it is held back; `headwater rollouts app/prod` shows what happened
    stuck: rollout of `app/prod` to bbbbbbbbbb waits for a person for 31 min
      of 10 instances that were told, 10 run it
      waits for `promote`: `headwater promote 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`
    failing: 1 instance refused `app/prod` at bbbbbbbbbb, or died of it
      of 40 instances that were told, 39 run it, 1 failed; failed: `i-7`
      `headwater instances --config app/prod --state failed` shows why; mend it by a commit, or go back with `headwater rollback --config app/prod --to … --reason …`
    "#);
    assert_eq!(failing(&repo(), &failing_view, 2), None);
}

fn canary_view(age: Duration, (late, is_there): (u64, bool)) -> CanaryView {
    CanaryView {
        settings: CanarySettings {
            config: "ops/canary".parse().unwrap(),
            every: Duration::from_hours(1),
        },
        age,
        is_there,
        is_published: true,
        late,
        instances: 3,
    }
}

#[test]
fn a_canary_that_does_not_come_through_says_which_part_of_the_way_to_look_at() {
    let of = |minutes, seen| of_canary(&repo(), &canary_view(Duration::from_mins(minutes), seen));
    assert_eq!(of(119, (0, true)), None);
    assert_eq!(of(59, (3, true)), None);
    let events = [of(121, (1, true)), of(1, (0, false)), of(61, (1, true))];
    insta::assert_snapshot!(said(&events.map(Option::unwrap)), @"
    canary: `ops/canary` has the same content for 2 h, although it should change every 60 min: what is committed may not come through
      -
      look whether the job that commits it has run and may push; `headwater status` shows how the upstream is, and whether the newest commit is served
    canary: the tip has no canary `ops/canary`
      -
      correct `canary` in the settings, or commit the config that it names; until then no broken path is noticed
    canary: 1 of 3 instances does not run the `ops/canary` of 61 min ago: what is served may not come through
      -
      `headwater instances --config ops/canary` shows who runs what, and who was not heard of
    ");
}

#[test]
fn a_rollout_that_goes_as_it_should_is_no_event() {
    for state in [
        "due",
        "awaiting_approval",
        "frozen",
        "preparing",
        "exposing",
        "baking",
        "paused",
        "done",
        "superseded",
    ] {
        assert_eq!(
            of_rollout(&repo(), &view(&json!({ "state": state }))),
            None,
            "{state}"
        );
    }
}

#[test]
fn commits_that_are_not_served_and_upstreams_that_are_not_seen_are_told() {
    let mut published = Published::default();
    published.state.head = Some(commit("c"));
    published.state.branch = Some("main".parse().unwrap());
    published.state.head_state = HeadState::Rejected;
    let mut events: Vec<Event> = of_head(&repo(), &published).into_iter().collect();
    published.state.tip = Some(commit("b"));
    for state in [HeadState::Rejected, HeadState::Held] {
        published.state.head_state = state;
        events.extend(of_head(&repo(), &published));
    }
    published.state.head_state = HeadState::Published;
    assert_eq!(of_head(&repo(), &published), None);
    assert_eq!(of_source(&repo(), &published), None);
    published.source = SourceStatus {
        stale: true,
        synced_at: Some(Timestamp::from_seconds(1_764_165_000)),
        error: Some("connection refused".to_owned()),
        hint: Some("look whether the upstream can be reached".to_owned()),
        ..SourceStatus::default()
    };
    events.extend(of_source(&repo(), &published));
    insta::assert_snapshot!(said(&events), @r#"
    rejected: commit cccccccccc on `main` was rejected; nothing is served until a commit is good
      -
      `headwater status` shows the findings; push a fix, or a revert
    rejected: commit cccccccccc on `main` was rejected; the last good commit keeps serving
      -
      `headwater status` shows the findings; push a fix, or a revert
    rejected: commit cccccccccc on `main` is held: history was rewritten
      -
      look at it, then take it with `headwater accept cccccccccc --reason …`
    stale: the upstream was last listed at 2025-11-26T13:50:00.000Z: new commits are not seen, and what is served goes on being served
      connection refused
      look whether the upstream can be reached
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot of three dialects")]
fn each_dialect_says_the_same() {
    let now = Timestamp::from_seconds(1_764_165_000);
    let [firing, resolved] = [Turn::Firing, Turn::Resolved].map(|turn| Message {
        turn,
        since: Timestamp::from_seconds(1_764_164_940),
        event: Event {
            summary: "rollout of `app/prod` halted: <!channel> & more".to_owned(),
            ..halted()
        },
    });
    let mut text = String::new();
    for message in [&firing, &resolved] {
        let link = Some("https://config.example.test");
        for body in [webhook(message), slack(message), alertmanager(message, now, link)] {
            writeln!(text, "{body:#}").unwrap();
        }
    }
    insta::assert_snapshot!(text, @r#"
    {
      "action": "goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`",
      "config": "app/prod",
      "detail": "of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`",
      "event": "halted",
      "id": "5d1f0c2a",
      "repo": "shop",
      "since": "2025-11-26T13:49:00.000Z",
      "state": "firing",
      "summary": "rollout of `app/prod` halted: <!channel> & more"
    }
    {
      "text": "*shop · app/prod* rollout of `app/prod` halted: &lt;!channel&gt; &amp; more\n> of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`\n_To do:_ goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`"
    }
    [
      {
        "annotations": {
          "action": "goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`",
          "description": "of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`",
          "summary": "rollout of `app/prod` halted: <!channel> & more"
        },
        "endsAt": "2025-11-26T14:05:00.000Z",
        "generatorURL": "https://config.example.test",
        "labels": {
          "alertname": "Headwater",
          "config": "app/prod",
          "event": "halted",
          "id": "5d1f0c2a",
          "repo": "shop"
        },
        "startsAt": "2025-11-26T13:49:00.000Z"
      }
    ]
    {
      "action": "goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`",
      "config": "app/prod",
      "detail": "of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`",
      "event": "halted",
      "id": "5d1f0c2a",
      "repo": "shop",
      "since": "2025-11-26T13:49:00.000Z",
      "state": "resolved",
      "summary": "rollout of `app/prod` halted: <!channel> & more"
    }
    {
      "text": "*shop · app/prod* Over: rollout of `app/prod` halted: &lt;!channel&gt; &amp; more"
    }
    [
      {
        "annotations": {
          "action": "goes back by itself in 10 min; `resume` goes on, `abort` goes back now: `headwater resume 5d1f0c2a --reason …`, `headwater abort 5d1f0c2a --reason …`",
          "description": "of 10 instances that were told, 7 run it, 2 failed, 1 unknown; failed: `i-7`, `i-9`",
          "summary": "rollout of `app/prod` halted: <!channel> & more"
        },
        "endsAt": "2025-11-26T13:50:00.000Z",
        "generatorURL": "https://config.example.test",
        "labels": {
          "alertname": "Headwater",
          "config": "app/prod",
          "event": "halted",
          "id": "5d1f0c2a",
          "repo": "shop"
        },
        "startsAt": "2025-11-26T13:49:00.000Z"
      }
    ]
    "#);
}

#[test]
fn who_waits_for_a_person_is_stuck_after_a_while_and_anew_after_each_step() {
    let mut waiting = BTreeMap::new();
    let half_an_hour = Duration::from_mins(30);
    let mut look = |state: &str, steps: u64, minute: u64| {
        let views = [(view(&json!({ "state": state })), steps)];
        stuck_ones(&repo(), &views, (&mut waiting, minute * 60_000), half_an_hour).len()
    };
    assert_eq!(
        [look("paused", 1, 0), look("paused", 1, 29), look("paused", 1, 30)],
        [0, 0, 1]
    );
    assert_eq!(
        [
            look("paused", 2, 31),
            look("paused", 2, 60),
            look("paused", 2, 61)
        ],
        [0, 0, 1]
    );
    assert_eq!([look("baking", 3, 62), look("paused", 2, 63)], [0, 0]);
}

fn settings(kind: AlertKind, url: &str) -> AlertSettings {
    AlertSettings {
        name: "ops".to_owned(),
        url: Secret::new(url),
        kind,
        ca_file: None,
        repos: Vec::new(),
        events: BTreeSet::from(EventKind::ALL),
        stuck_after: Duration::from_mins(30),
    }
}

fn message() -> Message {
    Message {
        turn: Turn::Firing,
        since: Timestamp::default(),
        event: halted(),
    }
}

/// Puts some messages in and waits until so many requests have arrived.
async fn arrivals(
    receiver: &Receiver,
    kind: AlertKind,
    (messages, requests): (usize, usize),
) -> Vec<Arrived> {
    let stop = CancellationToken::new();
    let settings = settings(kind, &receiver.url);
    let queue = target::start(&settings, None, Duration::from_millis(1), stop.clone());
    for _ in 0..messages {
        queue.put(message());
    }
    let all = async {
        while receiver.arrived().len() < requests {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    stop.cancel();
    receiver.arrived()
}

#[tokio::test]
async fn each_kind_is_told_where_it_listens_with_what_it_asks_for() {
    let secret = Secret::new("a secret of some length");
    let kinds = [
        AlertKind::Webhook {
            secret: secret.clone(),
        },
        AlertKind::Slack,
        AlertKind::Alertmanager { token: Some(secret) },
    ];
    let mut told = Vec::new();
    for kind in kinds {
        let receiver = Receiver::answering(200, "ok").await;
        let arrived = arrivals(&receiver, kind, (1, 1)).await.remove(0);
        let is_signed = arrived.signature.starts_with("sha256=");
        told.push((arrived.path, arrived.authorization, is_signed));
    }
    let expected = [
        ("/", "", true),
        ("/", "", false),
        ("/api/v2/alerts", "Bearer a secret of some length", false),
    ];
    assert_eq!(
        told,
        expected.map(|(path, let_in, signed)| (path.to_owned(), let_in.to_owned(), signed))
    );
}

#[tokio::test]
async fn who_is_down_is_told_when_he_is_back_and_who_refuses_is_not_asked_again() {
    let tries = Arc::new(AtomicU32::new(0));
    let down = Receiver::with(move || match tries.fetch_add(1, Ordering::Relaxed) {
        0..3 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    })
    .await;
    assert_eq!(arrivals(&down, AlertKind::Slack, (1, 4)).await.len(), 4);
    let refuses = Receiver::answering(404, "no_such_hook").await;
    // The second message arrives after the first one only if that is not tried again.
    assert_eq!(arrivals(&refuses, AlertKind::Slack, (2, 2)).await.len(), 2);
}

#[tokio::test]
async fn a_queue_that_is_full_holds_nobody_up() {
    let stop = CancellationToken::new();
    let nobody = settings(AlertKind::Slack, "http://127.0.0.1:1");
    let queue = target::start(&nobody, None, Duration::from_hours(1), stop.clone());
    for _ in 0..1_000 {
        queue.put(message());
    }
    stop.cancel();
}
