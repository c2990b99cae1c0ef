//! What needs a person, in words: what happened, how many it concerns, what to do.
//!
//! Invariant: equal situations give equal events, so that one happening is told once. What is deliberately absent: who
//! is told, and how.

use std::time::Duration;

use headwater_core::{count, span};
use headwater_wire::{ConfigName, HeadState, RepoName, RolloutCounts, RolloutState, RolloutView};

use crate::canary::{CanaryView, MISSING_HINT};
use crate::forge::desk::errors;
use crate::publish::Published;
use crate::settings::CanarySettings;

/// Instances that are named; of the others their number is told.
const NAMED_MAX: usize = 3;

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A rollout stopped by itself.
    Halted,
    /// A rollout went back, or is about to.
    RolledBack,
    /// A rollout went back, and some have not said that they did.
    Incomplete,
    /// A rollout waits for a person for too long.
    Stuck,
    /// Instances refuse, or die of, content that nothing moves any more.
    Failing,
    /// The newest commit is not served.
    Rejected,
    /// The upstream was not listed for too long.
    Stale,
    /// What a job commits on a schedule does not come through.
    Canary,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Halted,
        Self::RolledBack,
        Self::Incomplete,
        Self::Stuck,
        Self::Failing,
        Self::Rejected,
        Self::Stale,
        Self::Canary,
    ];

    /// The word of the settings, and of what is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::RolledBack => "rolled-back",
            Self::Incomplete => "incomplete",
            Self::Stuck => "stuck",
            Self::Failing => "failing",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Canary => "canary",
        }
    }
}

/// Tells one happening from all others.
pub(crate) type Key = (EventKind, RepoName, Option<ConfigName>, String);

/// One happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub kind: EventKind,
    pub repo: RepoName,
    /// The config that it is about, if it is about one.
    pub config: Option<ConfigName>,
    /// Tells it from others of its kind: a rollout, a commit.
    pub id: String,
    /// What happened, in one line.
    pub summary: String,
    /// How many it concerns, or what else is known.
    pub detail: Option<String>,
    /// What to do.
    pub action: String,
}

impl Event {
    pub(crate) fn key(&self) -> Key {
        (self.kind, self.repo.clone(), self.config.clone(), self.id.clone())
    }
}

/// What is to be said of a rollout as it is now.
pub(super) fn of_rollout(repo: &RepoName, view: &RolloutView) -> Option<Event> {
    let (config, target) = (&view.config, view.target.short());
    let why = view.why.as_deref().unwrap_or("on request");
    let (kind, summary) = match view.state {
        RolloutState::Halted => {
            let (stage, stages) = (view.stage, view.stages_total);
            let summary =
                format!("rollout of `{config}` to {target} halted in stage {stage} of {stages}: {why}");
            (EventKind::Halted, summary)
        }
        RolloutState::RollingBack | RolloutState::RolledBack => {
            let summary = format!("rollout of `{config}` goes back from {target}: {why}");
            (EventKind::RolledBack, summary)
        }
        RolloutState::Incomplete => {
            let summary =
                format!("rollout of `{config}` went back from {target}, and not everybody said so: {why}");
            (EventKind::Incomplete, summary)
        }
        RolloutState::Aborted => {
            let summary = format!("rollout of `{config}` to {target} ended before anybody ran it: {why}");
            (EventKind::Halted, summary)
        }
        RolloutState::Due
        | RolloutState::AwaitingApproval
        | RolloutState::Frozen
        | RolloutState::Preparing
        | RolloutState::Exposing
        | RolloutState::Baking
        | RolloutState::Paused
        | RolloutState::Done
        | RolloutState::Superseded
        | RolloutState::Other => return None,
    };
    Some(Event {
        action: what_to_do(kind, view),
        ..about(repo, view, (kind, summary))
    })
}

/// What is to be said of one that waits for a person for so long that somebody should be told.
pub(super) fn stuck(repo: &RepoName, view: &RolloutView, waiting: &str) -> Event {
    let summary = format!(
        "rollout of `{}` to {} waits for a person for {waiting}",
        view.config,
        view.target.short()
    );
    let event = about(repo, view, (EventKind::Stuck, summary));
    Event {
        action: what_to_do(EventKind::Stuck, view),
        ..event
    }
}

/// Whether nothing goes on before a person says something.
pub(super) fn waits_for_a_person(view: &RolloutView) -> bool {
    match view.state {
        RolloutState::AwaitingApproval | RolloutState::Paused => true,
        RolloutState::Halted => view.policy.roll_back_after_ms.is_none(),
        RolloutState::Due
        | RolloutState::Frozen
        | RolloutState::Preparing
        | RolloutState::Exposing
        | RolloutState::Baking
        | RolloutState::RollingBack
        | RolloutState::Done
        | RolloutState::RolledBack
        | RolloutState::Incomplete
        | RolloutState::Aborted
        | RolloutState::Superseded
        | RolloutState::Other => false,
    }
}

fn about(repo: &RepoName, view: &RolloutView, (kind, summary): (EventKind, String)) -> Event {
    Event {
        kind,
        repo: repo.clone(),
        config: Some(view.config.clone()),
        id: view.id.clone(),
        summary,
        detail: view.counts.as_ref().map(|counts| counted(counts, view)),
        action: String::new(),
    }
}

fn what_to_do(kind: EventKind, view: &RolloutView) -> String {
    let RolloutView { id, config, next, .. } = view;
    if kind == EventKind::Incomplete {
        return format!(
            "`headwater instances --config {config}` shows who has not said so; restart those that run what was left"
        );
    }
    if view.state.is_final() || view.state == RolloutState::RollingBack {
        return format!(
            "mend the content in a new commit: until one comes, it is held back; `headwater rollouts {config}` shows what \
             happened"
        );
    }
    let orders: Vec<String> = view
        .orders
        .iter()
        .map(|order| format!("`headwater {} {id} --reason …`", order.as_str()))
        .collect();
    format!("{next}: {}", orders.join(", "))
}

/// Of ten, how many run it, and how many do not; or, while they go back, how many are not.
fn counted(counts: &RolloutCounts, view: &RolloutView) -> String {
    let running = counts.applied + counts.confirmed;
    let mut parts = Vec::new();
    if running > 0 || !view.state.goes_back() {
        parts.push(format!("{running} run it"));
    }
    let others = [
        (counts.failed, "failed"),
        (counts.pending + counts.ready, "on the way"),
        (counts.unknown, "unknown"),
        (counts.not_back, "not back yet"),
    ];
    for (number, word) in others.into_iter().filter(|(number, _)| *number > 0) {
        parts.push(format!("{number} {word}"));
    }
    if parts.is_empty() {
        parts.push("all are back".to_owned());
    }
    let names: Vec<String> = view
        .failed_names
        .iter()
        .take(NAMED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let failed = if names.is_empty() {
        String::new()
    } else {
        format!("; failed: {}", names.join(", "))
    };
    let told = count(counts.members, "instance");
    format!("of {told} that were told, {}{failed}", parts.join(", "))
}

/// What is to be said of content that nothing moves any more.
pub(super) fn failing(repo: &RepoName, view: &RolloutView, allowed: u64) -> Option<Event> {
    let failed = view.counts.as_ref()?.failed;
    if failed < allowed {
        return None;
    }
    let (config, version) = (&view.config, view.target.short());
    let failed = count(failed, "instance");
    let summary = format!("{failed} refused `{config}` at {version}, or died of it");
    Some(Event {
        action: format!(
            "`headwater instances --config {config} --state failed` shows why; mend it by a commit, or go back with \
             `headwater rollback --config {config} --to … --reason …`"
        ),
        id: view.target.to_string(),
        ..about(repo, view, (EventKind::Failing, summary))
    })
}

/// What is to be said of the newest commit.
pub(super) fn of_head(repo: &RepoName, published: &Published) -> Option<Event> {
    let head = published.state.head.as_ref()?;
    let (what, action) = match published.state.head_state {
        HeadState::Rejected => (
            format!("was rejected; {}", published.served_meanwhile()),
            "`headwater status` shows the findings; push a fix, or a revert".to_owned(),
        ),
        HeadState::Held => (
            "is held: history was rewritten".to_owned(),
            format!(
                "look at it, then take it with `headwater accept {} --reason …`",
                head.short()
            ),
        ),
        HeadState::None | HeadState::Validating | HeadState::Published | HeadState::Other => {
            return None;
        }
    };
    let event = Event {
        kind: EventKind::Rejected,
        repo: repo.clone(),
        config: None,
        id: head.to_string(),
        summary: format!("commit {}{} {what}", head.short(), on_branch(published)),
        detail: errors(&published.head_findings),
        action,
    };
    Some(event)
}

fn on_branch(published: &Published) -> String {
    let branch = published.state.branch.as_ref();
    branch.map_or_else(String::new, |branch| format!(" on `{branch}`"))
}

/// What is to be said of the upstream.
pub(super) fn of_source(repo: &RepoName, published: &Published) -> Option<Event> {
    let source = &published.source;
    if !source.stale {
        return None;
    }
    let since = source.synced_at.map_or_else(
        || "the upstream was not listed since the start".to_owned(),
        |at| format!("the upstream was last listed at {at}"),
    );
    let hint = source
        .hint
        .as_deref()
        .unwrap_or("`headwater status` shows what is known");
    Some(Event {
        kind: EventKind::Stale,
        repo: repo.clone(),
        config: None,
        id: String::new(),
        summary: format!("{since}: new commits are not seen, and what is served goes on being served"),
        detail: source.error.clone(),
        action: hint.to_owned(),
    })
}

/// What is to be said of the config that somebody touches on a schedule.
pub(super) fn of_canary(repo: &RepoName, view: &CanaryView) -> Option<Event> {
    let CanarySettings { config, every } = &view.settings;
    let (age, every) = (said(view.age), said(*every));
    let (summary, action) = if view.is_missing() {
        (
            format!("the tip has no canary `{config}`"),
            MISSING_HINT.to_owned(),
        )
    } else if view.is_overdue() {
        let what = if view.is_there {
            format!("`{config}` has the same content for {age}")
        } else {
            format!("there is no `{config}` for {age}")
        };
        (
            format!("{what}, although it should change every {every}: what is committed may not come through"),
            "look whether the job that commits it has run and may push; `headwater status` shows how the upstream is, \
             and whether the newest commit is served"
                .to_owned(),
        )
    } else if view.has_not_arrived() {
        (
            format!(
                "{} of {} {} not run the `{config}` of {age} ago: what is served may not come through",
                view.late,
                count(view.instances, "instance"),
                if view.late == 1 { "does" } else { "do" }
            ),
            format!("`headwater instances --config {config}` shows who runs what, and who was not heard of"),
        )
    } else {
        return None;
    };
    Some(Event {
        kind: EventKind::Canary,
        repo: repo.clone(),
        config: Some(config.clone()),
        id: String::new(),
        summary,
        detail: None,
        action,
    })
}

fn said(time: Duration) -> String {
    span(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
