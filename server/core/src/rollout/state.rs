//! A rollout, its states, and what each step changes.
//!
//! Invariant: [`Rollout::apply`] makes every change, and a step that does not fit the state changes nothing. Of one
//! fence number there is one decision: instances that were asked to get ready under it are told either to switch
//! under it, or to hold the baseline under a higher one, never both.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{CommitId, ConfigName, Generation, InstanceId, Phase, RolloutCounts};
use serde::{Deserialize, Serialize};

use super::course::Offer;
use super::membership::Threshold;
use super::policy::{Activation, Policy};
use super::signal::{Reading, Readings};
use super::step::{Step, Why};
use super::timeline::Timeline;
use crate::control::{ConfigFacts, Target};

/// One movement of one config's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Names it, and gives its members their order.
    pub id: String,
    /// Config.
    pub config: ConfigName,
    /// What they should hold in the end.
    pub target: ConfigFacts,
    /// Admitted commit that the target is handed out of; the one that gave it its version may have been rejected.
    pub source: CommitId,
    /// What they hold until then, and go back to.
    pub baseline: ConfigFacts,
    /// The commit that the baseline came to the branch as, after instances had gone back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<CommitId>,
    /// Fence number under which the baseline is told.
    pub baseline_generation: Generation,
    /// How it goes.
    pub policy: Policy,
    /// Whether it waits for what usually is waited for.
    pub urgency: Urgency,
    /// Where it is.
    pub state: State,
    /// Stages that were opened, in order.
    pub opened: Vec<Opened>,
    /// Steps that were taken. A step that was planned before the last of them is not taken any more.
    #[serde(default)]
    pub steps: u64,
    /// What happened, when, and who wanted it.
    #[serde(default)]
    pub timeline: Timeline,
    /// How its members stood when it ended, if they were counted: what the fleet does afterwards is none of its doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_with: Option<RolloutCounts>,
}

/// A stage that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Whose rank lies under it is in, if the labels fit.
    pub threshold: Threshold,
    /// Fence number of what its members are told.
    pub generation: Generation,
    /// Whether its members run the target, or only get ready for it.
    pub phase: Phase,
    /// Members when it was opened.
    pub members: u64,
    /// How long it has been open, in ms.
    pub open_ms: u64,
}

/// Whether a rollout waits for what usually is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It waits for the rollout before it, and for the end of a freeze.
    #[default]
    Usual,
    /// It does not. Its stages and its budget stay.
    Emergency,
}

/// Whether a person has let a stage begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Nobody has.
    Open,
    /// Somebody has.
    Given,
}

/// Where a rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The stage of this number, from 0, comes next.
    Due {
        /// Stage.
        stage: usize,
        /// Whether a person has let it begin.
        approval: Approval,
    },
    /// The members of a stage get ready.
    Preparing {
        /// Stage.
        stage: usize,
        /// Instances that must be ready; those who come later are never added.
        required: BTreeSet<InstanceId>,
        /// Instances that were lost when it began, and are not waited for.
        excluded: BTreeSet<InstanceId>,
        /// For how long, in ms.
        waited_ms: u64,
    },
    /// The members of the open stages take the target.
    Exposing {
        /// Newest open stage.
        stage: usize,
        /// For how long, in ms.
        waited_ms: u64,
    },
    /// They run it, and must stay well.
    Baking {
        /// Newest open stage.
        stage: usize,
        /// For how long, in ms.
        baked_ms: u64,
        /// What the signals have said meanwhile. Whoever comes back after a crash asks anew.
        #[serde(default, skip_serializing)]
        signals: BTreeMap<String, Readings>,
    },
    /// A person has stopped it.
    Paused {
        /// Where it goes on.
        from: Box<State>,
    },
    /// It has stopped by itself. Nobody new gets the target.
    Halted {
        /// Where it goes on, if a person says so.
        from: Box<State>,
        /// Why.
        why: Why,
        /// For how long, in ms.
        waited_ms: u64,
    },
    /// Everybody is told the baseline.
    RollingBack {
        /// Why.
        why: Why,
        /// For how long, in ms.
        waited_ms: u64,
    },
    /// Everybody should hold the target.
    Done,
    /// Everybody who was heard of holds the baseline again.
    RolledBack {
        /// Why.
        why: Why,
    },
    /// Everybody was told the baseline, and some have not said that they hold it.
    Incomplete {
        /// Why it went back.
        why: Why,
        /// Instances that have not said so.
        left: u64,
    },
    /// It ended before anybody was told to run the target.
    Aborted {
        /// Why.
        why: Why,
    },
    /// A newer commit took its place.
    Superseded,
}

impl State {
    /// Whether nothing more will happen.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Done
            | Self::RolledBack { .. }
            | Self::Incomplete { .. }
            | Self::Aborted { .. }
            | Self::Superseded => true,
            Self::Due { .. }
            | Self::Preparing { .. }
            | Self::Exposing { .. }
            | Self::Baking { .. }
            | Self::Paused { .. }
            | Self::Halted { .. }
            | Self::RollingBack { .. } => false,
        }
    }

    /// The stage that it is about, from 0.
    pub fn stage(&self) -> Option<usize> {
        match self {
            Self::Due { stage, .. }
            | Self::Preparing { stage, .. }
            | Self::Exposing { stage, .. }
            | Self::Baking { stage, .. } => Some(*stage),
            Self::Paused { from } | Self::Halted { from, .. } => from.stage(),
            Self::RollingBack { .. }
            | Self::Done
            | Self::RolledBack { .. }
            | Self::Incomplete { .. }
            | Self::Aborted { .. }
            | Self::Superseded => None,
        }
    }

    /// Whether the newest stage still has to show that its members run the target and stay well, also if it was stopped
    /// meanwhile.
    pub(super) fn is_proving(&self) -> bool {
        match self {
            Self::Exposing { .. } | Self::Baking { .. } => true,
            Self::Paused { from } | Self::Halted { from, .. } => from.is_proving(),
            Self::Due { .. }
            | Self::Preparing { .. }
            | Self::RollingBack { .. }
            | Self::Done
            | Self::RolledBack { .. }
            | Self::Incomplete { .. }
            | Self::Aborted { .. }
            | Self::Superseded => false,
        }
    }

    /// Whether everybody is told the baseline, and nobody the target.
    pub fn is_back(&self) -> bool {
        matches!(
            self,
            Self::RollingBack { .. }
                | Self::RolledBack { .. }
                | Self::Incomplete { .. }
                | Self::Aborted { .. }
                | Self::Superseded
        )
    }
}

impl Rollout {
    /// A rollout of which nobody has heard.
    pub fn new(config: ConfigName, offer: Offer, stable: &Target) -> Self {
        Self {
            id: offer.id,
            config,
            target: offer.facts,
            source: offer.source,
            baseline: stable.facts(),
            adopted: None,
            baseline_generation: stable.generation,
            policy: offer.policy,
            urgency: offer.urgency,
            state: State::Due {
                stage: 0,
                approval: Approval::Open,
            },
            opened: Vec::new(),
            steps: 0,
            timeline: Timeline::default(),
            ended_with: None,
        }
    }

    /// Whether anybody was ever told to run the target.
    pub fn is_exposed(&self) -> bool {
        self.opened.iter().any(|opened| opened.phase == Phase::Active)
    }

    /// Whether newer content takes its place at once: nobody has heard of it, or it stands still, so that nothing is gained
    /// by letting it go first.
    pub fn gives_way(&self) -> bool {
        self.opened.is_empty() || matches!(self.state, State::Halted { .. })
    }

    /// Lets time pass. It is the caller's monotonic time since the last call, and what passed while no coordinator
    /// ran does not count: a stage bakes longer rather than shorter.
    pub fn pass(&mut self, ms: u64) {
        for opened in &mut self.opened {
            opened.open_ms = opened.open_ms.saturating_add(ms);
        }
        match &mut self.state {
            State::Preparing { waited_ms, .. }
            | State::Exposing { waited_ms, .. }
            | State::Baking {
                baked_ms: waited_ms, ..
            }
            | State::Halted { waited_ms, .. }
            | State::RollingBack { waited_ms, .. } => *waited_ms = waited_ms.saturating_add(ms),
            State::Due { .. }
            | State::Paused { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => {}
        }
    }

    /// Takes what a signal says. It counts only while a stage bakes, and a stage that bakes again asks again.
    pub fn hear(&mut self, signal: &str, reading: Reading) {
        if let State::Baking { signals, .. } = &mut self.state {
            signals.entry(signal.to_owned()).or_default().take(reading);
        }
    }

    /// Takes one step. `next` is a fence number above all that were given out; it is used by the steps that tell
    /// instances something new. Says whether the step fitted the state.
    pub fn apply(&mut self, step: Step, next: Generation) -> bool {
        let state = match (self.state.clone(), step) {
            (
                State::Due { stage, .. },
                Step::Prepare {
                    threshold,
                    required,
                    excluded,
                },
            ) if self.policy.activation == Activation::TwoPhase => {
                self.open((threshold, required.len() as u64), next, Phase::Prepare);
                State::Preparing {
                    stage,
                    required,
                    excluded,
                    waited_ms: 0,
                }
            }
            (State::Due { stage, .. }, Step::Expose { threshold, members })
                if self.policy.activation == Activation::Single =>
            {
                self.open((threshold, members), next, Phase::Active);
                State::Exposing { stage, waited_ms: 0 }
            }
            (State::Preparing { stage, .. }, Step::Activate) => {
                if let Some(opened) = self.opened.last_mut() {
                    opened.phase = Phase::Active;
                }
                State::Exposing { stage, waited_ms: 0 }
            }
            (State::Preparing { stage, .. }, Step::AbortPrepare(why)) => self.abort_prepare(stage, why, next),
            (State::Exposing { stage, .. }, Step::Bake) => State::Baking {
                stage,
                baked_ms: 0,
                signals: BTreeMap::new(),
            },
            (State::Baking { stage, .. }, Step::Advance | Step::Promote)
            | (State::Exposing { stage, .. }, Step::Promote) => self.after(stage),
            (State::Due { stage, .. }, Step::Promote) => State::Due {
                stage,
                approval: Approval::Given,
            },
            (from, Step::Halt(why)) if is_moving(&from) => halted(from, why),
            (from, Step::Pause) if is_moving(&from) => State::Paused { from: Box::new(from) },
            (State::Paused { from } | State::Halted { from, .. }, Step::Resume) => anew(*from),
            (from, Step::RollBack(why)) if !from.is_final() && !from.is_back() => {
                self.baseline_generation = next;
                // An older copy does not know whom it exposed since.
                if self.is_exposed() || why == Why::Restored {
                    State::RollingBack { why, waited_ms: 0 }
                } else {
                    State::Aborted { why }
                }
            }
            (State::RollingBack { why, .. } | State::Incomplete { why, .. }, Step::Settle) => {
                State::RolledBack { why }
            }
            (State::RollingBack { why, .. }, Step::GiveUp { left }) => State::Incomplete { why, left },
            (from, Step::Supersede) if !from.is_final() => {
                if !self.opened.is_empty() {
                    self.baseline_generation = next;
                }
                State::Superseded
            }
            _ => return false,
        };
        self.state = state;
        self.ended_with = None;
        self.steps += 1;
        true
    }

    /// What is told stays the same and is told again under a higher fence number: somebody has seen a higher one than
    /// was kept. Each word gets a number of its own, since a number never means two contents; says the highest.
    pub fn reissue(&mut self, next: Generation) -> Generation {
        self.baseline_generation = next;
        let mut newest = next;
        for opened in &mut self.opened {
            newest = newest.next();
            opened.generation = newest;
        }
        newest
    }

    fn open(&mut self, (threshold, members): (Threshold, u64), generation: Generation, phase: Phase) {
        self.opened.push(Opened {
            threshold,
            generation,
            phase,
            members,
            open_ms: 0,
        });
    }

    /// Those who were getting ready are told what they must hold instead, under a higher number: one that had heard
    /// of a newer word would otherwise stay with whatever that word's end left it.
    fn abort_prepare(&mut self, stage: usize, why: Why, next: Generation) -> State {
        self.opened.pop();
        self.baseline_generation = next;
        if why == Why::Frozen {
            // They are asked again when it is over.
            State::Due {
                stage,
                approval: Approval::Given,
            }
        } else if self.is_exposed() {
            let from = State::Due {
                stage,
                approval: Approval::Given,
            };
            halted(from, why)
        } else {
            State::Aborted { why }
        }
    }

    fn after(&self, stage: usize) -> State {
        if stage + 1 < self.policy.stages.len() {
            State::Due {
                stage: stage + 1,
                approval: Approval::Open,
            }
        } else {
            State::Done
        }
    }
}

fn halted(from: State, why: Why) -> State {
    State::Halted {
        from: Box::new(from),
        why,
        waited_ms: 0,
    }
}

/// Whether it goes on by itself, or would if a person let it.
fn is_moving(state: &State) -> bool {
    matches!(
        state,
        State::Due { .. } | State::Preparing { .. } | State::Exposing { .. } | State::Baking { .. }
    )
}

/// Where it goes on: deadlines and quiet time begin anew.
fn anew(state: State) -> State {
    match state {
        State::Preparing {
            stage,
            required,
            excluded,
            ..
        } => State::Preparing {
            stage,
            required,
            excluded,
            waited_ms: 0,
        },
        State::Exposing { stage, .. } | State::Baking { stage, .. } => {
            State::Exposing { stage, waited_ms: 0 }
        }
        stays @ (State::Due { .. }
        | State::Paused { .. }
        | State::Halted { .. }
        | State::RollingBack { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded) => stays,
    }
}
