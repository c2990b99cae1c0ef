//! What became of a commit in the fleet, in the words of a commit status, a note or a line of history.
//!
//! Invariant: the worst of its rollouts decides and is told, so that nobody reads that all is well while something is
//! not. What instances that were not heard of may run is said apart.

use headwater_wire::{RolloutState, RolloutView};

use crate::words::count;

/// How a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// All that it brought is where it should be, or gave way to newer content.
    Well,
    /// Something moves.
    Moving,
    /// Something has stopped, or went back.
    Ill,
}

/// What became of a commit that these rollouts brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it stands.
    pub fate: Fate,
    /// The same with its counts and reasons, in one line.
    pub words: String,
}

impl Outcome {
    /// Of the rollouts of one commit, at most one for each config. `None` if there are none.
    pub fn of(rollouts: &[RolloutView]) -> Option<Self> {
        let worst = rollouts.iter().max_by_key(|view| fate(view.state))?;
        let clause = || format!("{} {}", worst.config, standing(worst));
        let well = rollouts
            .iter()
            .filter(|view| fate(view.state) == Fate::Well)
            .count();
        let words = match (rollouts.len(), fate(worst.state)) {
            (1, _) => clause(),
            (all, Fate::Well) => format!("{} done", count(all, "config")),
            (all, _) => format!("{well} of {} done; {}", count(all, "config"), clause()),
        };
        Some(Self {
            fate: fate(worst.state),
            words,
        })
    }
}

/// What a state means for the commit.
fn fate(state: RolloutState) -> Fate {
    match state {
        RolloutState::Done | RolloutState::Superseded => Fate::Well,
        RolloutState::Due
        | RolloutState::AwaitingApproval
        | RolloutState::Frozen
        | RolloutState::Preparing
        | RolloutState::Exposing
        | RolloutState::Baking
        | RolloutState::Paused
        | RolloutState::Other => Fate::Moving,
        RolloutState::Halted
        | RolloutState::RollingBack
        | RolloutState::RolledBack
        | RolloutState::Incomplete
        | RolloutState::Aborted => Fate::Ill,
    }
}

/// Where one rollout stands.
fn standing(view: &RolloutView) -> String {
    let mut said = vec![view.state.as_str().replace('_', " ")];
    if !view.state.is_final() && view.stages_total > 1 {
        said.push(format!("stage {} of {}", view.stage, view.stages_total));
    }
    let counts = view.counts.filter(|counts| counts.members > 0);
    if let Some(counts) = counts.filter(|_| view.state.goes_back()) {
        let members = count(counts.members, "instance");
        let not_back = (counts.not_back > 0).then(|| format!("{} of {members} not back", counts.not_back));
        said.extend(not_back);
    } else if let Some(counts) = counts {
        let running = counts.applied + counts.confirmed;
        said.push(format!(
            "{running} of {} run it",
            count(counts.members, "instance")
        ));
        let apart = [(counts.failed, "failed"), (counts.unknown, "unknown")];
        let apart = apart.iter().filter(|(number, _)| *number > 0);
        said.extend(apart.map(|(number, word)| format!("{number} {word}")));
    }
    let said = said.join(", ");
    match &view.why {
        Some(why) => format!("{said}: {why}"),
        None => said,
    }
}
