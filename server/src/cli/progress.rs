//! How far a rollout is, in the few characters of a table or of a status.
//!
//! Invariant: plain ASCII, since it is read in logs and on old terminals. Instances that were not heard of stand apart
//! and last, and never among those that run it.

use headwater_core::{count, span};
use headwater_wire::{RolloutState, RolloutView};

use super::out::Tone;

/// Cells of a bar.
const CELLS: u64 = 8;

/// `[####....] 2/3, 4 min of 15 min`.
pub(crate) fn progress(view: &RolloutView) -> String {
    let time = match (view.waited_ms, view.limit_ms) {
        (Some(waited), Some(limit)) => format!(", {} of {}", span(waited.min(limit)), span(limit)),
        (Some(waited), None) => format!(", {}", span(waited)),
        (None, _) => String::new(),
    };
    format!("{} {}/{}{time}", bar(view), view.stage, view.stages_total)
}

/// Stages that are behind it, and the part of the quiet time that has passed.
fn bar(view: &RolloutView) -> String {
    let total = view.stages_total.max(1) as u64;
    let behind = (view.stage.max(1) - 1) as u64;
    let filled = match (view.state, view.waited_ms, view.limit_ms) {
        (RolloutState::Done, _, _) => CELLS,
        (RolloutState::Baking, Some(waited), Some(limit)) if limit > 0 => {
            let within = CELLS.saturating_mul(waited.min(limit)) / limit;
            (CELLS * behind + within) / total
        }
        _ => CELLS * behind / total,
    };
    let cells = (0..CELLS).map(|cell| if cell < filled { '#' } else { '.' });
    format!("[{}]", cells.collect::<String>())
}

/// `12 of 40 instances: 9 confirmed, 1 applied, 1 failed; 1 unknown`.
pub(crate) fn counts(view: &RolloutView) -> String {
    let Some(counts) = view.counts else {
        return String::new();
    };
    let of = [
        (counts.confirmed, "confirmed"),
        (counts.applied, "applied"),
        (counts.ready, "ready"),
        (counts.pending, "pending"),
        (counts.failed, "failed"),
        (counts.not_back, "not back yet"),
    ];
    let said = of.iter().filter(|(number, _)| *number > 0);
    let said: Vec<String> = said.map(|(number, name)| format!("{number} {name}")).collect();
    let unknown = (counts.unknown > 0).then(|| format!("{} unknown", counts.unknown));
    let apart: Vec<String> = [said.join(", ")]
        .into_iter()
        .filter(|said| !said.is_empty())
        .chain(unknown)
        .collect();
    let members = format!("{} of {}", counts.members, count(counts.fleet, "instance"));
    if apart.is_empty() {
        members
    } else {
        format!("{members}: {}", apart.join("; "))
    }
}

/// What its state means to who looks.
pub(crate) fn tone(view: &RolloutView) -> Tone {
    let has_failed = view.counts.is_some_and(|counts| counts.failed > 0);
    match view.state {
        RolloutState::Halted | RolloutState::RollingBack | RolloutState::Incomplete => Tone::Bad,
        RolloutState::AwaitingApproval
        | RolloutState::Paused
        | RolloutState::Frozen
        | RolloutState::Other => Tone::Warning,
        RolloutState::RolledBack | RolloutState::Aborted | RolloutState::Superseded => Tone::Dim,
        RolloutState::Due | RolloutState::Preparing | RolloutState::Exposing | RolloutState::Baking
            if has_failed =>
        {
            Tone::Bad
        }
        RolloutState::Due | RolloutState::Preparing | RolloutState::Exposing | RolloutState::Baking => {
            Tone::Normal
        }
        RolloutState::Done => Tone::Good,
    }
}

/// Whether a person should look at it.
pub(crate) fn needs_a_person(view: &RolloutView) -> bool {
    let has_failed = view.counts.is_some_and(|counts| counts.failed > 0);
    view.state.needs_a_person() || (has_failed && !view.state.is_final())
}
