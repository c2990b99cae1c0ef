//! The next step of a rollout.
//!
//! Invariant: level-triggered and idempotent. What comes next follows from where the rollout is and how its members
//! stand now; nothing is remembered from one call to the next. Every state that is not final is left by a step of its
//! own within its deadline, except where a person was asked for.

use std::collections::{BTreeMap, BTreeSet};

use headwater_validators::rollout::{OnHalt, Quorum};
use headwater_wire::{InstanceId, Timestamp};

use super::census::{RollCall, Tally};
use super::membership::Threshold;
use super::policy::{Activation, Share, StagePolicy};
use super::signal::Readings;
use super::state::{Approval, Rollout, State, Urgency};
use super::step::{Step, Why};

/// The next step, if there is one to take now. What the clock says matters to freezes alone.
pub fn plan(rollout: &Rollout, tally: &Tally, now: Timestamp) -> Option<Step> {
    let is_frozen = rollout.urgency == Urgency::Usual && rollout.policy.frozen_until(now).is_some();
    match &rollout.state {
        State::Due { stage, approval } => match over_budget(rollout, tally) {
            Some(why) => Some(Step::Halt(why)),
            None if is_frozen => None,
            None => due(rollout, *stage, *approval, tally),
        },
        State::Preparing {
            required, waited_ms, ..
        } => match over_budget(rollout, tally) {
            Some(why) => Some(Step::AbortPrepare(why)),
            None if is_frozen => Some(Step::AbortPrepare(Why::Frozen)),
            None => preparing(rollout, required, *waited_ms, tally),
        },
        State::Exposing { waited_ms, .. } => over_budget(rollout, tally)
            .map(Step::Halt)
            .or_else(|| exposing(rollout, *waited_ms, tally)),
        State::Baking {
            stage,
            baked_ms,
            signals,
        } => over_budget(rollout, tally)
            .or_else(|| unwell(rollout, signals))
            .map(Step::Halt)
            .or_else(|| baking(rollout, (*stage, *baked_ms), signals, tally)),
        State::Halted { why, waited_ms, .. } => match rollout.policy.on_halt {
            OnHalt::RollBackAfter(ms) if *waited_ms >= ms => Some(Step::RollBack(why.clone())),
            OnHalt::RollBackAfter(_) | OnHalt::Stay => None,
        },
        State::RollingBack { waited_ms, .. } => rolling_back(rollout, *waited_ms, tally),
        State::Paused { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded => None,
    }
}

/// More than may have failed: that stops everything that goes forward.
fn over_budget(rollout: &Rollout, tally: &Tally) -> Option<Why> {
    let allowed = rollout.policy.budget.failed;
    (tally.failed >= allowed).then_some(Why::Failed {
        failed: tally.failed,
        members: tally.members,
        allowed,
        who: tally.blamed.clone(),
    })
}

fn is_complete(tally: &Tally) -> bool {
    tally.roll_call == RollCall::Over
}

/// A signal that says no, or has not said anything for too often.
fn unwell(rollout: &Rollout, signals: &BTreeMap<String, Readings>) -> Option<Why> {
    let mut heard = rollout.policy.signals.iter();
    heard.find_map(|policy| {
        let readings = signals.get(&policy.name)?;
        let signal = policy.name.clone();
        match &readings.failed {
            Some(message) => Some(Why::Unwell {
                signal,
                message: message.clone(),
            }),
            None => (readings.unclear >= policy.unclear_max.max(1)).then(|| Why::Unclear {
                signal,
                passes: readings.passes,
                message: readings.doubt.clone(),
            }),
        }
    })
}

/// Nobody is chosen before everybody has had time to say that he is there; where everybody is taken, nobody is chosen.
fn due(rollout: &Rollout, stage: usize, approval: Approval, tally: &Tally) -> Option<Step> {
    let policy = rollout.policy.stages.get(stage)?;
    let chooses = !policy.takes_everyone() || rollout.policy.activation == Activation::TwoPhase;
    if (chooses && !is_complete(tally)) || (policy.approval && approval == Approval::Open) {
        return None;
    }
    let threshold = choose(policy, tally);
    if proves_nothing(policy, tally) {
        return Some(Step::Halt(Why::NobodyInStage { stage }));
    }
    let chosen = tally.candidates.iter().filter(|(_, rank)| threshold.takes(*rank));
    let chosen: BTreeSet<InstanceId> = chosen.map(|(instance, _)| instance.clone()).collect();
    Some(match rollout.policy.activation {
        Activation::Single => Step::Expose {
            members: chosen.len() as u64,
            threshold,
        },
        Activation::TwoPhase => Step::Prepare {
            threshold,
            required: chosen,
            excluded: tally.lost_candidates.clone(),
        },
    })
}

/// Whether a stage would take nobody although there is somebody.
pub(super) fn proves_nothing(policy: &StagePolicy, tally: &Tally) -> bool {
    let is_empty = tally.candidates.is_empty() && tally.members == 0;
    is_empty && tally.fleet > 0 && !policy.takes_everyone()
}

/// Whom a stage takes. A share counts those whom earlier stages have taken: a quarter after a tenth takes fifteen more
/// of a hundred. Of those with certain labels it is a share of its own.
pub(super) fn choose(policy: &StagePolicy, tally: &Tally) -> Threshold {
    let ranks: Vec<u64> = tally.candidates.iter().map(|(_, rank)| *rank).collect();
    let there = if policy.labels.is_empty() {
        tally.members
    } else {
        0
    };
    let more = |wanted: u64| usize::try_from(wanted.saturating_sub(there)).unwrap_or(usize::MAX);
    match (policy.share, there + ranks.len() as u64) {
        (Share::Everyone, _) => Threshold::ALL,
        (Share::Count(count), _) => Threshold::these(more(u64::from(count)), ranks),
        (Share::Percent(percent), 0) => Threshold::percent(percent),
        (Share::Percent(percent), all) => {
            let wanted = (all * u64::from(percent)).div_ceil(100);
            Threshold::below(more(wanted), ranks)
        }
    }
}

fn preparing(
    rollout: &Rollout,
    required: &BTreeSet<InstanceId>,
    waited_ms: u64,
    tally: &Tally,
) -> Option<Step> {
    let (required, ready, refused) = (
        required.len() as u64,
        tally.required_ready,
        tally.required_refused,
    );
    if ready == required {
        return Some(Step::Activate);
    }
    let enough = match rollout.policy.quorum {
        Quorum::All => required,
        Quorum::Percent(percent) => (required * u64::from(percent)).div_ceil(100),
    };
    if required - refused < enough {
        return Some(Step::AbortPrepare(Why::Refused {
            refused,
            required,
            who: tally.blamed.clone(),
        }));
    }
    // Who is silent for longer than the policy bears counts as failed here as everywhere; the rest of the time is in vain.
    let is_hopeless = required - refused - tally.required_silent < enough;
    if !is_hopeless && waited_ms < rollout.policy.deadlines.prepare_ms {
        return None;
    }
    Some(if !is_hopeless && ready >= enough {
        Step::Activate
    } else {
        Step::AbortPrepare(Why::Late {
            pending: required - ready - refused,
            members: required,
            who: tally.late.clone(),
        })
    })
}

/// Members that do not run it yet, as far as anybody has heard. Those of whom a coordinator that came back has not
/// heard yet are waited for.
pub(super) fn waited_for(rollout: &Rollout, tally: &Tally) -> u64 {
    tally.pending + tally.ready + tally.unknown + missing(rollout, tally)
}

/// Everybody who is in runs it, but for those that may fail.
fn exposing(rollout: &Rollout, waited_ms: u64, tally: &Tally) -> Option<Step> {
    let waiting = waited_for(rollout, tally);
    if waiting == 0 && is_complete(tally) {
        return Some(Step::Bake);
    }
    (waited_ms >= rollout.policy.deadlines.expose_ms).then_some(Step::Halt(Why::Late {
        pending: waiting,
        members: tally.members.max(waiting),
        who: tally.late.clone(),
    }))
}

/// Quiet for long enough, and nothing left to prove.
fn baking(
    rollout: &Rollout,
    (stage, baked_ms): (usize, u64),
    signals: &BTreeMap<String, Readings>,
    tally: &Tally,
) -> Option<Step> {
    let quiet_ms = rollout.policy.quiet_ms(stage);
    if baked_ms < quiet_ms {
        return None;
    }
    let Some(why) = unproved(rollout, signals, tally) else {
        return Some(Step::Advance);
    };
    let limit = quiet_ms.saturating_add(rollout.policy.deadlines.expose_ms);
    (baked_ms >= limit).then_some(Step::Halt(why))
}

/// What keeps quiet from being success: somebody is not there, too few are, or a signal has not said yes. Who went
/// silent while it baked is waited for, so that a crash that takes the instance with it does not look like quiet; and
/// where there are instances, one must have run it.
pub(super) fn unproved(
    rollout: &Rollout,
    signals: &BTreeMap<String, Readings>,
    tally: &Tally,
) -> Option<Why> {
    let pending = waited_for(rollout, tally);
    if pending > 0 || !is_complete(tally) {
        return Some(Why::Late {
            pending,
            members: tally.members.max(pending),
            who: tally.late.clone(),
        });
    }
    let ran = tally.applied + tally.confirmed;
    let wanted = rollout.policy.sample_min.max(1).min(tally.fleet);
    if ran < wanted {
        return Some(Why::TooFew { ran, wanted });
    }
    let mut asked = rollout.policy.signals.iter();
    asked.find_map(|policy| {
        let readings = signals.get(&policy.name).cloned().unwrap_or_default();
        (!readings.consents(policy)).then(|| Why::Unclear {
            signal: policy.name.clone(),
            passes: readings.passes,
            message: readings.doubt,
        })
    })
}

fn rolling_back(rollout: &Rollout, waited_ms: u64, tally: &Tally) -> Option<Step> {
    if tally.not_back == 0 && is_complete(tally) {
        return Some(Step::Settle);
    }
    (waited_ms >= rollout.policy.deadlines.roll_back_ms).then_some(Step::GiveUp { left: tally.not_back })
}

/// Members that were there when their stages opened, are not in the fleet at all, and have not said that they end.
fn missing(rollout: &Rollout, tally: &Tally) -> u64 {
    let told: u64 = rollout.opened.iter().map(|opened| opened.members).sum();
    told.saturating_sub(tally.members + tally.ended)
}
