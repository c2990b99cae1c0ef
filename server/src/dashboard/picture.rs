//! Pictures of numbers that stand beside them as text: drawn on the server, so that they need no script.
//!
//! Invariant: a picture says nothing that its table does not say, too.

use std::fmt::Write;

use headwater_core::count;
use headwater_wire::{
    CommitView, ConfigCounts, PropagationView, ReportState, RolloutCounts, Timestamp, VerdictState,
};

use super::sign;

/// Width of every bar, in its own units.
const WIDTH: u64 = 1_000;

/// One stretch of a bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Where it begins.
    pub x: u64,
    /// How long it is.
    pub width: u64,
    /// Where it begins from above.
    pub y: u64,
    /// How high it is: what is not well stands out also to whoever sees no colours.
    pub height: u64,
    /// Class that colours it.
    pub class: &'static str,
}

/// A whole, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    /// Its parts, from the left.
    pub stretches: Vec<Stretch>,
    /// The same in words.
    pub label: String,
}

impl Bar {
    /// A bar of numbers with their classes and names.
    fn of(parts: &[(u64, &'static str, &str)]) -> Self {
        let total: u64 = parts.iter().map(|(number, ..)| number).sum();
        let mut stretches = Vec::new();
        let mut before = 0_u64;
        for (number, class, _) in parts.iter().filter(|(number, ..)| *number > 0) {
            let x = before.saturating_mul(WIDTH) / total;
            before += number;
            let end = before.saturating_mul(WIDTH) / total;
            // Few among very many are seen all the same.
            let width = (end - x).max(4);
            let (y, height) = if matches!(*class, "bad" | "warn") {
                (0, 10)
            } else {
                (2, 6)
            };
            stretches.push(Stretch {
                x,
                width,
                y,
                height,
                class,
            });
        }
        let said = parts.iter().filter(|(number, ..)| *number > 0);
        let said: Vec<String> = said.map(|(number, _, name)| format!("{number} {name}")).collect();
        Self {
            stretches,
            label: if said.is_empty() {
                "none".to_owned()
            } else {
                said.join(", ")
            },
        }
    }

    /// The instances of a config; unknown ones apart and last.
    pub(super) fn of_config(counts: &ConfigCounts) -> Self {
        let live = |state| in_state(counts, state);
        Self::of(&[
            (live(ReportState::Confirmed), "good", "confirmed"),
            (live(ReportState::Applied), "near", "applied"),
            (
                live(ReportState::Pending) + live(ReportState::Prepared),
                "move",
                "on their way",
            ),
            (live(ReportState::Failed), "bad", "failed"),
            (counts.stale + counts.lost, "warn", "unknown"),
        ])
    }

    /// The members of a rollout; unknown ones apart and last.
    pub(super) fn of_rollout(counts: &RolloutCounts) -> Self {
        Self::of(&[
            (counts.confirmed, "good", "confirmed"),
            (counts.applied, "near", "applied"),
            (counts.ready, "move", "ready"),
            (counts.pending, "move", "pending"),
            (counts.failed, "bad", "failed"),
            (counts.unknown, "warn", "unknown"),
        ])
    }
}

/// How many had something by when, as a curve of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    /// Corners, for a polyline: `0,100 0,50 …`.
    pub corners: String,
    /// Heights at which a half, nearly all and all of them are.
    pub marks: [u64; 3],
    /// The same in words.
    pub label: String,
}

/// Height of a curve.
const HEIGHT: u64 = 100;

impl Curve {
    /// The curve of a propagation; none while nobody has it.
    pub(super) fn of(view: &PropagationView) -> Option<Self> {
        let (first, last) = (view.points.first()?.at, view.points.last()?.at);
        let since = |at: Timestamp| u64::try_from(at.ms_since(first)).unwrap_or(0);
        let span = since(last).max(1);
        let total = view.instances.max(view.arrived).max(1);
        let mut corners = format!("0,{HEIGHT}");
        let mut before = HEIGHT;
        for point in &view.points {
            let x = since(point.at).saturating_mul(WIDTH) / span;
            let y = HEIGHT - point.instances.min(total).saturating_mul(HEIGHT) / total;
            // A `String` takes everything.
            write!(corners, " {x},{before} {x},{y}").ok();
            before = y;
        }
        write!(corners, " {WIDTH},{before}").ok();
        Some(Self {
            corners,
            marks: [50, 95, 100].map(|percent| HEIGHT - percent),
            label: format!(
                "{} of {} have it",
                view.arrived,
                count(view.instances, "instance")
            ),
        })
    }
}

/// Live instances of a config that are in a state.
pub(super) fn in_state(counts: &ConfigCounts, state: ReportState) -> u64 {
    let versions = counts.versions.iter();
    versions
        .map(|version| version.states.get(&state).copied().unwrap_or(0))
        .sum()
}

/// One commit of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dot {
    /// Where it is.
    pub x: u64,
    /// Class that colours and shapes it.
    pub class: &'static str,
    /// Which it is, its verdict and what became of it.
    pub said: String,
}

/// Commits in a row, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    /// One for each commit.
    pub dots: Vec<Dot>,
    /// Width of all, in its own units.
    pub width: u64,
    /// The same in words.
    pub label: String,
}

/// Distance of two dots.
const STEP: u64 = 24;

impl Timeline {
    /// A timeline of commits, newest first.
    pub(super) fn of(commits: &[CommitView]) -> Self {
        let oldest_first = commits.iter().rev().zip(0_u64..);
        let dots = oldest_first.map(|(commit, place)| Dot {
            x: place * STEP + STEP / 2,
            class: class(commit),
            said: said(commit),
        });
        let rejected = commits.iter().filter(|commit| class(commit) == "bad").count();
        Self {
            dots: dots.collect(),
            width: (commits.len() as u64 * STEP).max(STEP),
            label: format!("{}, {rejected} rejected", count(commits.len() as u64, "commit")),
        }
    }
}

fn said(commit: &CommitView) -> String {
    let verdict = sign::verdict(commit.verdict.state).word;
    let outcome = commit.outcome.as_ref().unwrap_or(&verdict);
    format!("{}: {outcome}", commit.commit.short())
}

fn class(commit: &CommitView) -> &'static str {
    match commit.verdict.state {
        VerdictState::Admitted => "good",
        VerdictState::Rejected => "bad",
        VerdictState::Unjudged | VerdictState::Other => "dim",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_that_failed_among_very_many_are_seen() {
        let bar = Bar::of(&[
            (9_999, "good", "confirmed"),
            (1, "bad", "failed"),
            (0, "warn", "unknown"),
        ]);
        let bad = &bar.stretches[1];
        assert_eq!((bad.class, bad.width), ("bad", 4));
        assert_eq!(bar.label, "9999 confirmed, 1 failed");
    }

    #[test]
    fn nobody_is_a_bar_without_stretches() {
        let bar = Bar::of(&[(0, "good", "confirmed")]);
        assert_eq!((bar.stretches.len(), bar.label.as_str()), (0, "none"));
    }
}
