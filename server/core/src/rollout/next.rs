//! What happens next in a rollout, or who must act: one sentence for each of its states.
//!
//! Invariant: it says what the planner would do, and names orders in back-ticks, so that whoever reads it knows what to
//! type. Times are what is left of a deadline, never a moment: no clock but the service's is asked.

use std::collections::BTreeMap;

use headwater_validators::rollout::{OnHalt, Quorum};
use headwater_wire::Timestamp;

use super::blame::named;
use super::census::{RollCall, Tally};
use super::planner::{unproved, waited_for};
use super::policy::{Activation, StagePolicy};
use super::signal::Readings;
use super::state::{Approval, Rollout, State, Urgency};
use super::step::Why;
use super::view::needs_approval;
use crate::words::{count, span};

/// When those are known who may be chosen.
const AFTER_ROLL_CALL: &str = "once all instances have had time to report";

/// What happens next, or who must do what.
pub(super) fn next(rollout: &Rollout, tally: &Tally, now: Timestamp) -> String {
    let deadlines = &rollout.policy.deadlines;
    match &rollout.state {
        State::Due { stage, approval } => due(rollout, (*stage, *approval), tally, now),
        State::Preparing {
            required, waited_ms, ..
        } => preparing(
            rollout,
            required.len() as u64,
            &left(*waited_ms, deadlines.prepare_ms),
            tally,
        ),
        State::Exposing { waited_ms, .. } => {
            let waiting = waited_for(rollout, tally);
            let left = left(*waited_ms, deadlines.expose_ms);
            match (waiting, tally.roll_call) {
                (0, RollCall::Over) => "its quiet time begins".to_owned(),
                (0, RollCall::Running) => format!("goes on {AFTER_ROLL_CALL}"),
                _ => {
                    let more = count(waiting, "more instance");
                    let who = named(&tally.late, waiting);
                    format!("bakes once it runs on {more}{who}; halts {left} if it does not")
                }
            }
        }
        State::Baking {
            stage,
            baked_ms,
            signals,
        } => baking(rollout, (*stage, *baked_ms), signals, tally),
        State::Paused { .. } => "nothing, until a person says `resume`, or `abort` to go back".to_owned(),
        State::Halted { waited_ms, .. } => match rollout.policy.on_halt {
            OnHalt::RollBackAfter(ms) => {
                let left = left(*waited_ms, ms);
                format!("goes back by itself {left}; `resume` goes on, `abort` goes back now")
            }
            OnHalt::Stay => "stays as it is until a person says `resume`, or `abort` to go back".to_owned(),
        },
        State::RollingBack { waited_ms, .. } => {
            let left = left(*waited_ms, deadlines.roll_back_ms);
            let instances = count(tally.not_back, "instance");
            format!("waits for {instances} to hold the baseline again; ends {left} in any case")
        }
        State::Done => "nothing: everybody should hold it".to_owned(),
        State::RolledBack { why } | State::Aborted { why } => format!("nothing: {}", afterwards(why)),
        State::Incomplete { why, left } => {
            format!("{}; {}", look_at(*left), afterwards(why))
        }
        State::Superseded => "nothing: newer content took its place".to_owned(),
    }
}

/// The same of one that went back from content that is not held back any more, which is not known by the rollout itself.
pub(super) fn next_without_hold(state: &State) -> Option<String> {
    let ended = "its content is not held back any more";
    match state {
        State::RolledBack { why } | State::Aborted { why } if !why.is_blameless() => {
            Some(format!("nothing: {ended}"))
        }
        State::Incomplete { why, left } if !why.is_blameless() => {
            Some(format!("{}; {ended}", look_at(*left)))
        }
        State::Due { .. }
        | State::Preparing { .. }
        | State::Exposing { .. }
        | State::Baking { .. }
        | State::Paused { .. }
        | State::Halted { .. }
        | State::RollingBack { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded => None,
    }
}

/// Who did not say that he is back.
fn look_at(left: u64) -> String {
    let instances = count(left, "instance");
    format!("look at the {instances} that did not say so; it ends when they do, or when you say `abort`")
}

/// What is left of a time, in words.
fn left(passed_ms: u64, limit_ms: u64) -> String {
    match limit_ms.saturating_sub(passed_ms) {
        0..1_000 => "now".to_owned(),
        left_ms => format!("in {}", span(left_ms)),
    }
}

fn due(rollout: &Rollout, (stage, approval): (usize, Approval), tally: &Tally, now: Timestamp) -> String {
    let name = stage_name(rollout, stage);
    let waits = needs_approval(&rollout.policy, stage, approval);
    let frozen = rollout
        .policy
        .frozen_until(now)
        .filter(|_| rollout.urgency == Urgency::Usual);
    if let Some(until) = frozen {
        let then = if waits {
            format!("{name} waits for a person to say `promote`")
        } else {
            format!("{name} begins")
        };
        return format!("nothing new is exposed until {until}; then {then}");
    }
    let takes_everyone = rollout
        .policy
        .stages
        .get(stage)
        .is_some_and(StagePolicy::takes_everyone);
    let chooses = !takes_everyone || rollout.policy.activation == Activation::TwoPhase;
    if waits {
        format!("{name} waits for a person: `promote` lets it begin")
    } else if chooses && tally.roll_call == RollCall::Running {
        format!("{name} begins {AFTER_ROLL_CALL}")
    } else {
        format!("{name} begins now")
    }
}

fn preparing(rollout: &Rollout, required: u64, left: &str, tally: &Tally) -> String {
    let ready = tally.required_ready;
    let end = match rollout.policy.quorum {
        Quorum::All => format!("nobody switches if not all are ready {left}"),
        Quorum::Percent(percent) => format!("{left}, {percent} % are enough, and with fewer nobody switches"),
    };
    format!("all switch together once {required} are ready (now {ready}); {end}")
}

fn baking(
    rollout: &Rollout,
    (stage, baked_ms): (usize, u64),
    signals: &BTreeMap<String, Readings>,
    tally: &Tally,
) -> String {
    let quiet_ms = rollout.policy.quiet_ms(stage);
    let then = after(rollout, stage);
    if baked_ms < quiet_ms {
        return format!("{then} {}, if all stays well", left(baked_ms, quiet_ms));
    }
    let Some(why) = unproved(rollout, signals, tally) else {
        return format!("{then} now");
    };
    let limit_ms = quiet_ms.saturating_add(rollout.policy.deadlines.expose_ms);
    format!(
        "{then} once {}; halts {} if not",
        missing(&why),
        left(baked_ms, limit_ms)
    )
}

/// What the end of a stage's quiet time brings.
fn after(rollout: &Rollout, stage: usize) -> String {
    let next = stage + 1;
    if next >= rollout.policy.stages.len() {
        "is done".to_owned()
    } else if needs_approval(&rollout.policy, next, Approval::Open) {
        format!("{} asks a person for `promote`", stage_name(rollout, next))
    } else {
        format!("{} comes", stage_name(rollout, next))
    }
}

/// What has to be so before quiet is success.
fn missing(why: &Why) -> String {
    if let Why::Late { pending, who, .. } = why {
        if *pending == 0 {
            "all instances have had time to report".to_owned()
        } else {
            let who = named(who, *pending);
            format!("it runs on {}{who}", count(*pending, "more instance"))
        }
    } else if let Why::TooFew { ran, wanted } = why {
        format!("it runs on {}, and not only on {ran}", count(*wanted, "instance"))
    } else if let Why::Unclear { signal, .. } = why {
        format!("signal `{signal}` says yes")
    } else {
        why.to_string()
    }
}

/// What becomes of the content that was left.
fn afterwards(why: &Why) -> &'static str {
    if matches!(why, Why::Reverted { .. }) {
        "the branch has the content from before"
    } else if *why == Why::Restored {
        "what the branch has begins anew"
    } else if matches!(why, Why::HistoryHeld { .. }) {
        "it begins anew if the history that a person accepts still has it"
    } else {
        "its content is held back until the branch has other content, or a person releases it"
    }
}

fn stage_name(rollout: &Rollout, stage: usize) -> String {
    if rollout.policy.stages.len() == 1 {
        "the only stage".to_owned()
    } else {
        format!("stage {}", stage + 1)
    }
}
