//! What was decided about rollouts, noted in Git on the commit that they bring: who, when, why, and the outcome.
//!
//! Invariant: each decision is one line, noted once by this process; who has a clone can tell the whole story without
//! the service. What was decided before the process started was noted by the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::RepoState;
use headwater_core::rollout::{Happening, Rollout, ordered_word};
use headwater_validators::printable;
use headwater_wire::{CommitId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::repo::Repo;

/// What was noted of one rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Noted {
    decisions: u64,
    is_over: bool,
}

/// What was noted, by rollout.
type Seen = BTreeMap<String, Noted>;

/// Notes what is decided, until told to stop.
pub(crate) async fn follow(repo: Arc<Repo>, cancel: CancellationToken) {
    let mut board = repo.board.watch_published();
    let mut seen = news(&board.borrow_and_update().state, &Seen::new()).0;
    loop {
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
        let published = board.borrow_and_update().clone();
        let (now, lines) = news(&published.state, &seen);
        seen = now;
        if repo.settings().notes.is_some() && !lines.is_empty() {
            for (commit, line) in lines {
                repo.outward.notes.rollout(&commit, line);
            }
            repo.outward.notes.settle();
        }
    }
}

/// What was decided since `seen`, by the commit it is about.
fn news(state: &RepoState, seen: &Seen) -> (Seen, Vec<(CommitId, String)>) {
    let mut now = Seen::new();
    let mut lines = Vec::new();
    for rollout in state.ended.iter().chain(state.moving()) {
        let timeline = &rollout.timeline;
        let before = seen.get(&rollout.id).copied().unwrap_or_default();
        let noted = Noted {
            decisions: timeline.left_out + timeline.happenings.len() as u64,
            is_over: rollout.state.is_final(),
        };
        let new = usize::try_from(noted.decisions.saturating_sub(before.decisions)).unwrap_or(usize::MAX);
        let known = timeline.happenings.len().saturating_sub(new);
        let decided = timeline
            .happenings
            .iter()
            .skip(known)
            .map(|happening| decided(rollout, happening));
        let ended = (noted.is_over && !before.is_over).then(|| ended(rollout));
        lines.extend(decided.chain(ended).map(|line| (rollout.source.clone(), line)));
        now.insert(rollout.id.clone(), noted);
    }
    (now, lines)
}

/// A decision: what, when, who, why.
fn decided(rollout: &Rollout, happening: &Happening) -> String {
    let stage = happening
        .stage
        .map_or_else(String::new, |stage| format!(" stage {}", stage + 1));
    let by = happening
        .by_whom()
        .map_or_else(String::new, |by| format!(" by {by}"));
    let second = happening.confirmed_by.as_ref();
    let second = second.map_or_else(String::new, |second| format!(", confirmed by {second}"));
    let reason = happening
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    let word = if happening.by_whom().is_some() {
        ordered_word(&happening.what)
    } else {
        &happening.what
    };
    let what = word.replace('_', " ");
    let line = format!(
        "{} {} {what}{stage}, {}{by}{second}{reason}",
        rollout.config, rollout.id, happening.at
    );
    format!("Headwater-Rollout: {}", printable(&line))
}

/// How it ended.
fn ended(rollout: &Rollout) -> String {
    let outcome = rollout.view(None, Timestamp::default());
    let why = outcome.why.map_or_else(String::new, |why| format!(": {why}"));
    let state = outcome.state.as_str().replace('_', " ");
    let line = format!("{} {} {state}{why}", rollout.config, rollout.id);
    format!("Headwater-Outcome: {}", printable(&line))
}

#[cfg(test)]
mod tests {
    use headwater_core::rollout::{State, Why};

    use super::*;

    fn happening(what: &str, by: Option<&str>, reason: Option<&str>) -> serde_json::Value {
        serde_json::json!({"at": "2026-01-31T12:00:00Z", "what": what, "stage": 0, "by": by, "reason": reason})
    }

    /// A rollout with these decisions, as it is kept.
    fn state(decisions: &[serde_json::Value], rollout: &State) -> RepoState {
        let digest = format!("sha256:{}", "0".repeat(64));
        let commit = |digit: &str| digit.repeat(40);
        let facts = |digit: &str| serde_json::json!({"version": commit(digit), "inputs": digest});
        let policy = headwater_core::rollout::Policy::immediate();
        let rollout = serde_json::json!({
            "id": "r-7", "config": "payments/prod", "target": facts("b"), "source": commit("c"),
            "baseline": facts("a"), "baseline_generation": 1, "policy": policy, "urgency": "usual",
            "state": rollout, "opened": [], "timeline": {"happenings": decisions},
        });
        let ended = serde_json::from_value(rollout).unwrap();
        RepoState {
            ended: vec![ended],
            ..RepoState::default()
        }
    }

    #[test]
    fn each_decision_is_one_line_and_is_noted_once() {
        let begun = state(
            &[happening("begin", None, Some("commit c"))],
            &State::Due {
                stage: 0,
                approval: headwater_core::rollout::Approval::Open,
            },
        );
        let (seen, first) = news(&begun, &Seen::new());
        let why = Why::Asked {
            reason: "errors since noon".to_owned(),
        };
        let over = state(
            &[
                happening("begin", None, Some("commit c")),
                happening(
                    "roll_back",
                    Some("Ada <ada@example.test>"),
                    Some("errors\nsince noon"),
                ),
                serde_json::json!({"at": "2026-01-31T12:05:00Z", "what": "release", "ordered": true, "reason": "mended"}),
            ],
            &State::Aborted { why },
        );
        let (seen, then) = news(&over, &seen);
        let lines: Vec<String> = first.into_iter().chain(then).map(|(_, line)| line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
    Headwater-Rollout: payments/prod r-7 begin stage 1, 2026-01-31T12:00:00.000Z: commit c
    Headwater-Rollout: payments/prod r-7 abort stage 1, 2026-01-31T12:00:00.000Z by Ada <ada@example.test>: errors\nsince noon
    Headwater-Rollout: payments/prod r-7 release, 2026-01-31T12:05:00.000Z by somebody, not named: mended
    Headwater-Outcome: payments/prod r-7 aborted: on request: errors since noon
    ");
        assert_eq!(news(&over, &seen).1, []);
    }
}
