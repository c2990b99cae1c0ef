//! A rollout as people and programs are told of it.
//!
//! Invariant: a pure function of the rollout and a count of its members, so that the API, the command line, a forge
//! and an alert say the same. What is deliberately absent: any influence on the rollout.

use headwater_validators::rollout::OnHalt;
use headwater_wire::{
    RolloutCounts, RolloutFailure, RolloutOrder, RolloutPolicyView, RolloutStageView, RolloutState,
    RolloutStepView, RolloutView, Timestamp,
};

use super::blame::Blamed;
use super::census::Tally;
use super::course::Course;
use super::next::{next, next_without_hold};
use super::order::Order;
use super::policy::{Activation, Policy, Share, StagePolicy};
use super::state::{Approval, Rollout, State, Urgency};
use super::timeline::{Happening, RELEASE};

impl Course {
    /// The newest rollout, and what comes after it.
    pub fn view(&self, tally: Option<&Tally>, now: Timestamp) -> Option<RolloutView> {
        let rollout = self.rollout.as_ref()?;
        let mut view = rollout.view(tally.filter(|_| !rollout.state.is_final()), now);
        view.queued = self.queued.as_ref().map(|offer| offer.facts.version.clone());
        Some(view)
    }
}

impl Rollout {
    /// What is told of it. Without a count nobody is counted; once it is over, those count who did when it ended.
    pub fn view(&self, tally: Option<&Tally>, now: Timestamp) -> RolloutView {
        let happenings = &self.timeline.happenings;
        let (waited_ms, limit_ms) = clock(self).unzip();
        let blamed = blamed(self, tally);
        RolloutView {
            id: self.id.clone(),
            config: self.config.clone(),
            target: self.target.version.clone(),
            baseline: Some(self.baseline.version.clone()),
            policy: self.policy_view(),
            state: state(self, now),
            stage: stage(self),
            stages_total: self.policy.stages.len(),
            why: why(&self.state),
            since: since(happenings),
            waited_ms,
            limit_ms: limit_ms.flatten(),
            counts: self.ended_with.or_else(|| tally.map(|tally| self.counts(tally))),
            failed_names: blamed.iter().map(|blamed| blamed.instance.clone()).collect(),
            failures: blamed.iter().map(failure).collect(),
            next: next(self, tally.unwrap_or(&Tally::default()), now),
            orders: self.orders(),
            steps: self.steps,
            queued: None,
            timeline: happenings.iter().map(step).collect(),
            steps_left_out: self.timeline.left_out,
        }
    }

    /// The same of one that is over and whose content nobody holds back any more.
    pub(crate) fn view_without_hold(&self, now: Timestamp) -> RolloutView {
        let view = self.view(None, now);
        RolloutView {
            next: next_without_hold(&self.state).unwrap_or_else(|| view.next.clone()),
            ..view
        }
    }

    /// What can be ordered now.
    pub fn orders(&self) -> Vec<RolloutOrder> {
        let abort = Order::Abort {
            reason: String::new(),
        };
        let orders = [
            (RolloutOrder::Promote, Order::Promote),
            (RolloutOrder::Pause, Order::Pause),
            (RolloutOrder::Resume, Order::Resume),
            (RolloutOrder::Abort, abort),
        ];
        let fitting = orders
            .into_iter()
            .filter(|(_, order)| self.order(order.clone()).is_ok());
        fitting.map(|(word, _)| word).collect()
    }

    /// Where its instances stand. While a stage gets ready its members are those that must be.
    pub fn counts(&self, tally: &Tally) -> RolloutCounts {
        let counts = RolloutCounts {
            not_back: tally.not_back,
            fleet: tally.fleet + tally.away,
            ..RolloutCounts::default()
        };
        if let State::Preparing { required, .. } = &self.state {
            let members = required.len() as u64;
            let answered = tally.required_ready + tally.required_refused + tally.required_unknown;
            return RolloutCounts {
                members,
                ready: tally.required_ready,
                failed: tally.required_refused,
                unknown: tally.required_unknown,
                pending: members.saturating_sub(answered),
                fleet: counts.fleet.max(members),
                ..counts
            };
        }
        RolloutCounts {
            members: tally.members,
            applied: tally.applied,
            confirmed: tally.confirmed,
            pending: tally.pending,
            ready: tally.ready,
            failed: tally.failed,
            unknown: tally.unknown + tally.silent,
            ..counts
        }
    }

    fn policy_view(&self) -> RolloutPolicyView {
        let mut view = self.policy.view();
        for (stage, opened) in view.stages.iter_mut().zip(&self.opened) {
            stage.members = Some(opened.members);
        }
        view
    }
}

impl Policy {
    /// What is told of it.
    pub fn view(&self) -> RolloutPolicyView {
        let stages = self.stages.iter().enumerate();
        RolloutPolicyView {
            kind: self.kind().to_owned(),
            stages: stages
                .map(|(number, stage)| self.stage_view(number, stage))
                .collect(),
            failed_max: self.budget.failed,
            roll_back_after_ms: match self.on_halt {
                OnHalt::RollBackAfter(ms) => Some(ms),
                OnHalt::Stay => None,
            },
            shortest_ms: self.shortest_ms(),
        }
    }

    /// Shortest time that it takes, in ms: what its stages must stay quiet.
    pub fn shortest_ms(&self) -> u64 {
        let quiet = (0..self.stages.len()).map(|stage| self.quiet_ms(stage));
        quiet.fold(0, u64::saturating_add)
    }

    /// As a manifest writes it.
    fn kind(&self) -> &'static str {
        match self.activation {
            Activation::TwoPhase => "two-phase",
            Activation::Single if self.is_immediate() => "immediate",
            Activation::Single => "staged",
        }
    }

    fn stage_view(&self, number: usize, stage: &StagePolicy) -> RolloutStageView {
        let (percent, count) = match stage.share {
            Share::Everyone => (None, None),
            Share::Percent(percent) => (Some(percent), None),
            Share::Count(count) => (None, Some(count)),
        };
        RolloutStageView {
            labels: stage.labels.globs().clone(),
            percent,
            count,
            bake_ms: self.quiet_ms(number),
            approval: stage.approval,
            members: None,
        }
    }
}

/// When it came to where it is: that what it left may come again changes nothing of that.
fn since(happenings: &[Happening]) -> Option<Timestamp> {
    let mut newest_first = happenings.iter().rev();
    newest_first
        .find(|happening| happening.what != RELEASE)
        .map(|happening| happening.at)
}

fn step(happening: &Happening) -> RolloutStepView {
    RolloutStepView {
        at: happening.at,
        step: happening.what.clone(),
        stage: happening.stage.map(|stage| stage + 1),
        ordered: happening.ordered || happening.by.is_some(),
        by: happening.by.clone(),
        confirmed_by: happening.confirmed_by.clone(),
        reason: happening.reason.clone(),
    }
}

/// Its state, in a word.
fn state(rollout: &Rollout, now: Timestamp) -> RolloutState {
    match &rollout.state {
        State::Due { stage, approval } => {
            let is_frozen = rollout.urgency == Urgency::Usual && rollout.policy.frozen_until(now).is_some();
            if is_frozen {
                RolloutState::Frozen
            } else if needs_approval(&rollout.policy, *stage, *approval) {
                RolloutState::AwaitingApproval
            } else {
                RolloutState::Due
            }
        }
        State::Preparing { .. } => RolloutState::Preparing,
        State::Exposing { .. } => RolloutState::Exposing,
        State::Baking { .. } => RolloutState::Baking,
        State::Paused { .. } => RolloutState::Paused,
        State::Halted { .. } => RolloutState::Halted,
        State::RollingBack { .. } => RolloutState::RollingBack,
        State::Done => RolloutState::Done,
        State::RolledBack { .. } => RolloutState::RolledBack,
        State::Incomplete { .. } => RolloutState::Incomplete,
        State::Aborted { .. } => RolloutState::Aborted,
        State::Superseded => RolloutState::Superseded,
    }
}

/// Whether a stage that comes next waits for a person.
pub(super) fn needs_approval(policy: &Policy, stage: usize, approval: Approval) -> bool {
    let is_asked_for = policy.stages.get(stage).is_some_and(|stage| stage.approval);
    is_asked_for && approval == Approval::Open
}

/// The stage it is in, or that comes next, from 1; the last that was opened where it is over.
fn stage(rollout: &Rollout) -> usize {
    rollout
        .state
        .stage()
        .map_or_else(|| rollout.opened.len().max(1), |stage| stage + 1)
}

fn why(state: &State) -> Option<String> {
    match state {
        State::Halted { why, .. }
        | State::RollingBack { why, .. }
        | State::RolledBack { why }
        | State::Incomplete { why, .. }
        | State::Aborted { why } => Some(why.to_string()),
        State::Due { .. }
        | State::Preparing { .. }
        | State::Exposing { .. }
        | State::Baking { .. }
        | State::Paused { .. }
        | State::Done
        | State::Superseded => None,
    }
}

/// For how long it has waited where it is, and how long it may, in ms.
fn clock(rollout: &Rollout) -> Option<(u64, Option<u64>)> {
    let deadlines = &rollout.policy.deadlines;
    match &rollout.state {
        State::Preparing { waited_ms, .. } => Some((*waited_ms, Some(deadlines.prepare_ms))),
        State::Exposing { waited_ms, .. } => Some((*waited_ms, Some(deadlines.expose_ms))),
        State::Baking { stage, baked_ms, .. } => Some((*baked_ms, Some(rollout.policy.quiet_ms(*stage)))),
        State::Halted { waited_ms, .. } => match rollout.policy.on_halt {
            OnHalt::RollBackAfter(ms) => Some((*waited_ms, Some(ms))),
            OnHalt::Stay => Some((*waited_ms, None)),
        },
        State::RollingBack { waited_ms, .. } => Some((*waited_ms, Some(deadlines.roll_back_ms))),
        State::Due { .. }
        | State::Paused { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded => None,
    }
}

/// Those that failed, or that it went back for: they say nothing of it any more once they were told something else.
fn blamed<'a>(rollout: &'a Rollout, tally: Option<&'a Tally>) -> &'a [Blamed] {
    let now = tally.map_or(&[][..], |tally| &tally.blamed);
    match &rollout.state {
        State::Halted { why, .. } if now.is_empty() => why.who(),
        State::RollingBack { why, .. }
        | State::RolledBack { why }
        | State::Incomplete { why, .. }
        | State::Aborted { why } => why.who(),
        State::Due { .. }
        | State::Preparing { .. }
        | State::Exposing { .. }
        | State::Baking { .. }
        | State::Paused { .. }
        | State::Halted { .. }
        | State::Done
        | State::Superseded => now,
    }
}

fn failure(blamed: &Blamed) -> RolloutFailure {
    RolloutFailure {
        instance: blamed.instance.clone(),
        how: blamed.how.clone(),
        message: blamed.said.clone(),
    }
}
