//! Where the members of a rollout stand, counted.
//!
//! Invariant: an instance counts as applied only if it said itself that it runs the target, and was heard of lately:
//! silence is never success. A count is made from the fleet as it is now and keeps nothing, so it heals by itself.

use std::collections::{BTreeMap, BTreeSet};

use headwater_validators::rollout::Budget;
use headwater_wire::{CommitId, ConfigReport, Generation, InstanceId, ReportState};

use super::directive::{Directive, Directives};
use super::state::{Rollout, State};

/// Instances that are named in a count; the rest are only counted.
const NAMED_MAX: usize = 10;

/// How far an instance is with the content that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has not said that it runs it, nor that it cannot.
    Pending,
    /// It is ready, and waits for the word.
    Ready,
    /// It runs it, on probation.
    Applied,
    /// It runs it, and has survived its probation.
    Confirmed,
    /// It has refused it, or died of it.
    Failed,
}

/// Whether an instance was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liveness {
    /// Lately.
    Live,
    /// Not for longer than is usual.
    Stale,
    /// Not for so long that it is given up.
    Lost,
}

/// Where one instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// With what it is told.
    pub progress: Progress,
    /// Whether it was heard of.
    pub liveness: Liveness,
    /// For how long it was not, in ms.
    pub silent_ms: u64,
    /// How often it began anew since it was told.
    pub restarts: u32,
}

/// One instance of the fleet that has the config.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Who.
    pub instance: &'a InstanceId,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// What it reported of the config.
    pub report: &'a ConfigReport,
    /// Whether it was heard of.
    pub liveness: Liveness,
    /// For how long it was not, in ms.
    pub silent_ms: u64,
    /// Number of the newest directive that it was given, as far as is known.
    pub told: Generation,
    /// How often it began anew since it was given that one.
    pub restarts: u32,
}

/// Whether everybody has had time to report since the coordinator began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RollCall {
    /// Not yet: who is not there may only not have been heard.
    #[default]
    Running,
    /// They have.
    Over,
}

/// The members of a rollout, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the fleet is complete.
    pub roll_call: RollCall,
    /// Members of the open stages.
    pub members: u64,
    /// Those that run it on probation.
    pub applied: u64,
    /// Those that run it and have survived their probation.
    pub confirmed: u64,
    /// Those that are ready and wait for the word.
    pub ready: u64,
    /// Those that are on their way.
    pub pending: u64,
    /// Those that failed, or count as such by the policy.
    pub failed: u64,
    /// Those that were not heard of lately, however far they were.
    pub unknown: u64,
    /// Some of those that failed.
    pub failed_names: Vec<InstanceId>,
    /// Of the instances that must be ready: those that are.
    pub required_ready: u64,
    /// Of the instances that must be ready: those that refused.
    pub required_refused: u64,
    /// Live instances that the due stage would take, with their ranks.
    pub candidates: Vec<(InstanceId, u64)>,
    /// Instances that the due stage would take if they were not lost.
    pub lost_candidates: BTreeSet<InstanceId>,
    /// Live instances that should hold the baseline and have not said so.
    pub not_back: u64,
    /// Instances of the fleet that have the config and are live.
    pub fleet: u64,
}

impl Standing {
    /// Where `member` stands with `version`, told under `generation`.
    pub fn of(member: &Member<'_>, version: &CommitId, generation: Generation) -> Self {
        let report = member.report;
        let runs = report
            .running
            .as_ref()
            .is_some_and(|running| running.version == *version);
        let is_ready = report.prepared.as_ref() == Some(version);
        let has_heard = report.generation >= generation;
        let progress = match report.state {
            ReportState::Confirmed if runs => Progress::Confirmed,
            ReportState::Applied if runs => Progress::Applied,
            ReportState::Failed if has_heard => Progress::Failed,
            ReportState::Prepared if is_ready && has_heard => Progress::Ready,
            ReportState::Pending
            | ReportState::Prepared
            | ReportState::Applied
            | ReportState::Confirmed
            | ReportState::Failed
            | ReportState::Other => Progress::Pending,
        };
        // What it did before it was told is not this content's doing.
        let is_told = member.told >= generation;
        Self {
            progress,
            liveness: member.liveness,
            silent_ms: member.silent_ms,
            restarts: if is_told { member.restarts } else { 0 },
        }
    }

    /// Whether it counts as failed.
    fn counts_as_failed(&self, budget: &Budget) -> bool {
        let silent = budget
            .unknown_after_ms
            .is_some_and(|limit| self.silent_ms >= limit);
        match self.progress {
            Progress::Failed => true,
            // Gone after it has proved itself: it was stopped, like any other.
            Progress::Confirmed => false,
            // Gone before: that is how the ack of content looks that takes its instance down.
            Progress::Applied if self.liveness == Liveness::Lost => true,
            Progress::Applied | Progress::Pending | Progress::Ready => {
                self.restarts >= budget.restarts || (self.liveness != Liveness::Live && silent)
            }
        }
    }
}

/// Counts the members of a rollout.
pub fn tally<'a>(rollout: &Rollout, fleet: impl Iterator<Item = Member<'a>>, roll_call: RollCall) -> Tally {
    let mut census = Census {
        rollout,
        directives: Directives::of(rollout),
        counts: Tally {
            roll_call,
            ..Tally::default()
        },
    };
    for member in fleet {
        census.add(&member);
    }
    census.counts
}

struct Census<'a> {
    rollout: &'a Rollout,
    directives: Directives<'a>,
    counts: Tally,
}

impl Census<'_> {
    fn add(&mut self, member: &Member<'_>) {
        let (instance, labels) = (member.instance, member.labels);
        if member.liveness == Liveness::Live {
            self.counts.fleet += 1;
        }
        let rank = self.directives.rank(instance);
        let opened = self.directives.stage_of(rank, labels);
        if let (State::Due { stage, .. }, None) = (&self.rollout.state, opened)
            && self.directives.may_join(*stage, labels)
        {
            if member.liveness == Liveness::Lost {
                self.counts.lost_candidates.insert(instance.clone());
            } else {
                self.counts.candidates.push((instance.clone(), rank));
            }
        }
        match self.directives.one(instance, opened) {
            Directive::Baseline(generation) => self.add_baseline(member, generation),
            Directive::Prepare(generation) => self.add_required(member, generation),
            Directive::Target(generation) => {
                let open_ms = opened.map_or(u64::MAX, |opened| opened.open_ms);
                self.add_member(member, generation, open_ms);
            }
        }
    }

    fn add_baseline(&mut self, member: &Member<'_>, generation: Generation) {
        let names = [
            Some(&self.rollout.baseline.version),
            self.rollout.adopted.as_ref(),
        ];
        let is_back = names.into_iter().flatten().any(|version| {
            let standing = Standing::of(member, version, generation);
            matches!(standing.progress, Progress::Applied | Progress::Confirmed)
        });
        if member.liveness == Liveness::Live && !is_back {
            self.counts.not_back += 1;
        }
    }

    fn add_required(&mut self, member: &Member<'_>, generation: Generation) {
        let standing = Standing::of(member, &self.rollout.target.version, generation);
        match standing.progress {
            Progress::Ready => self.counts.required_ready += 1,
            Progress::Failed => {
                self.counts.required_refused += 1;
                self.name(member);
            }
            Progress::Pending | Progress::Applied | Progress::Confirmed => {}
        }
    }

    fn add_member(&mut self, member: &Member<'_>, generation: Generation, open_ms: u64) {
        // It was gone before its stage began, and nobody has seen it since.
        if member.liveness == Liveness::Lost && member.silent_ms > open_ms {
            return;
        }
        let standing = Standing::of(member, &self.rollout.target.version, generation);
        self.counts.members += 1;
        if standing.counts_as_failed(&self.rollout.policy.budget) {
            self.counts.failed += 1;
            self.name(member);
            return;
        }
        if standing.liveness != Liveness::Live {
            self.counts.unknown += u64::from(standing.progress != Progress::Confirmed);
            self.counts.confirmed += u64::from(standing.progress == Progress::Confirmed);
            return;
        }
        let count = match standing.progress {
            Progress::Applied => &mut self.counts.applied,
            Progress::Confirmed => &mut self.counts.confirmed,
            Progress::Ready => &mut self.counts.ready,
            Progress::Pending | Progress::Failed => &mut self.counts.pending,
        };
        *count += 1;
    }

    fn name(&mut self, member: &Member<'_>) {
        if self.counts.failed_names.len() < NAMED_MAX {
            self.counts.failed_names.push(member.instance.clone());
        }
    }
}
