//! Where the members of a rollout stand, counted.
//!
//! Invariant: an instance counts as applied only if it said itself that it runs the target, and was heard of lately:
//! silence is never success. Until its stage has ended well it is waited for, however far it said that it was; only
//! its own word that it ends lets it go. A count is made from the fleet as it is now and keeps nothing, so it heals by
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use headwater_validators::rollout::Budget;
use headwater_wire::{CommitId, ConfigReport, Generation, InstanceId, Phase, ReportState};

use super::blame::{Blamed, Fault};
use super::directive::{Directive, Directives};
use super::state::{Opened, Rollout, State};
use super::step::Why;

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
    /// It has said that it ends, and is no member of anything any more.
    Gone,
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
    /// For how long of that time it was given up, in ms.
    pub lost_ms: u64,
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
    /// Members of the open stages; while everybody goes back, those that may run the target.
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
    /// Those that were not heard of lately, however far they were, and are waited for.
    pub unknown: u64,
    /// Those that were not heard of lately after their stage had ended well with them: nobody waits for them.
    pub silent: u64,
    /// Those that have said that they end since their stage opened, and are in no other count.
    pub ended: u64,
    /// Some of those that failed or refused, by name.
    pub blamed: Vec<Blamed>,
    /// Some of those that are waited for, by name.
    pub late: Vec<Blamed>,
    /// Of the instances that must be ready: those that are.
    pub required_ready: u64,
    /// Of the instances that must be ready: those that refused.
    pub required_refused: u64,
    /// Of the instances that must be ready: those that were not heard of lately, whatever they said before.
    pub required_unknown: u64,
    /// Of these, those that were silent for longer than the policy bears.
    pub required_silent: u64,
    /// Live instances that the due stage would take, with their ranks.
    pub candidates: Vec<(InstanceId, u64)>,
    /// Instances that the due stage would take if they were not lost.
    pub lost_candidates: BTreeSet<InstanceId>,
    /// Instances that may run the target, should hold the baseline and have not said so, but for those that are lost.
    pub not_back: u64,
    /// Instances of the fleet that have the config and are live.
    pub fleet: u64,
    /// Of the members, those that are not.
    pub away: u64,
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

    /// For how long it was not heard of, if it counts as failed for that. Silence from before it was told is not this
    /// content's doing.
    fn missed_ms(&self, terms: &Terms<'_>) -> Option<u64> {
        let silent_ms = self.silent_ms.min(terms.open_ms);
        let limit = terms.budget.unknown_after_ms?;
        (self.liveness != Liveness::Live && silent_ms >= limit).then_some(silent_ms)
    }

    /// Why it counts as failed, if it does.
    fn fault(&self, terms: &Terms<'_>) -> Option<Fault> {
        match self.progress {
            Progress::Failed => Some(Fault::Said),
            Progress::Confirmed if terms.proof == Proof::Given => None,
            // Gone on probation: that is how the ack of content looks that takes its instance down.
            Progress::Applied if self.liveness == Liveness::Lost => Some(Fault::LostOnProbation),
            Progress::Confirmed | Progress::Applied | Progress::Pending | Progress::Ready
                if self.restarts >= terms.budget.restarts =>
            {
                Some(Fault::Restarts(self.restarts))
            }
            Progress::Confirmed | Progress::Applied | Progress::Pending | Progress::Ready => {
                self.missed_ms(terms).map(Fault::Silent)
            }
        }
    }
}

/// Whether a stage has shown what it had to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Its members must run it and stay well.
    Owed,
    /// They have. Who is not heard of since was stopped like any other.
    Given,
}

/// What the members of one stage are measured by.
#[derive(Debug)]
struct Terms<'a> {
    budget: &'a Budget,
    proof: Proof,
    /// For how long the stage has been open, in ms.
    open_ms: u64,
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
    census.counts.blamed.sort();
    census.counts.late.sort();
    census.counts
}

struct Census<'a> {
    rollout: &'a Rollout,
    directives: Directives<'a>,
    counts: Tally,
}

impl<'a> Census<'a> {
    fn add(&mut self, member: &Member<'_>) {
        let (instance, labels) = (member.instance, member.labels);
        let rank = self.directives.rank(instance);
        let opened = self.directives.stage_of(rank, labels);
        let directive = self.directives.one(instance, opened);
        if member.liveness == Liveness::Gone {
            let has_left = opened.is_some_and(|opened| member.silent_ms <= opened.open_ms);
            self.counts.ended += u64::from(has_left);
            return;
        }
        if member.liveness == Liveness::Live {
            self.counts.fleet += 1;
        }
        if let (State::Due { stage, .. }, None) = (&self.rollout.state, opened)
            && self.directives.may_join(*stage, labels)
        {
            if member.liveness == Liveness::Lost {
                self.counts.lost_candidates.insert(instance.clone());
            } else {
                self.counts.candidates.push((instance.clone(), rank));
            }
        }
        match directive {
            Directive::Baseline(generation) => self.add_baseline(member, generation, opened),
            Directive::Prepare(generation) => {
                let terms = self.terms(opened);
                self.add_required(member, generation, &terms);
            }
            Directive::Target(generation) => {
                let terms = self.terms(opened);
                self.add_member(member, generation, &terms);
            }
        }
    }

    /// By what the members of an open stage are measured; who is in none is told the target because everybody is.
    fn terms(&self, opened: Option<&Opened>) -> Terms<'a> {
        let newest = self.rollout.opened.last().map(|opened| opened.generation);
        let is_newest = opened.is_none_or(|opened| Some(opened.generation) == newest);
        Terms {
            budget: &self.rollout.policy.budget,
            proof: if is_newest && self.rollout.state.is_proving() {
                Proof::Owed
            } else {
                Proof::Given
            },
            open_ms: opened.map_or(u64::MAX, |opened| opened.open_ms),
        }
    }

    /// Counted are those who may run the target, and have to come back from it.
    fn add_baseline(&mut self, member: &Member<'_>, generation: Generation, opened: Option<&Opened>) {
        let (State::RollingBack { why, .. } | State::Incomplete { why, .. }) = &self.rollout.state else {
            return;
        };
        let running = member.report.running.as_ref().map(|running| &running.version);
        let runs_target = running == Some(&self.rollout.target.version);
        let was_told = opened.is_some_and(|opened| opened.phase == Phase::Active);
        // An older copy does not know whom it exposed since.
        let may_run_it = runs_target || was_told || *why == Why::Restored;
        let was_there = opened.is_none_or(|opened| member.lost_ms <= opened.open_ms);
        if !may_run_it || (member.liveness == Liveness::Lost && !was_there) {
            return;
        }
        self.count(member);
        let names = [
            Some(&self.rollout.baseline.version),
            self.rollout.adopted.as_ref(),
        ];
        let runs_baseline = names.into_iter().flatten().any(|version| {
            let standing = Standing::of(member, version, generation);
            matches!(standing.progress, Progress::Applied | Progress::Confirmed)
        });
        // What it said before it heard of the way back may be from before it took the target.
        let is_back = runs_baseline && (!was_told || member.report.generation >= generation);
        match member.liveness {
            Liveness::Live if is_back => {}
            Liveness::Live | Liveness::Stale => self.counts.not_back += 1,
            Liveness::Lost | Liveness::Gone => self.counts.unknown += 1,
        }
    }

    fn add_required(&mut self, member: &Member<'_>, generation: Generation, terms: &Terms<'_>) {
        let standing = Standing::of(member, &self.rollout.target.version, generation);
        match standing.progress {
            Progress::Failed => {
                self.counts.required_refused += 1;
                self.blame(member, Fault::Said);
                return;
            }
            // What it said before it fell silent is no promise that it is there to switch.
            _ if standing.liveness != Liveness::Live => {
                self.counts.required_unknown += 1;
                self.counts.required_silent += u64::from(standing.missed_ms(terms).is_some());
            }
            Progress::Ready => {
                self.counts.required_ready += 1;
                return;
            }
            Progress::Pending | Progress::Applied | Progress::Confirmed => {}
        }
        self.wait_for(member, &standing);
    }

    fn add_member(&mut self, member: &Member<'_>, generation: Generation, terms: &Terms<'_>) {
        // It was lost before its stage began, and nobody has seen it since.
        if member.liveness == Liveness::Lost && member.lost_ms > terms.open_ms {
            return;
        }
        let standing = Standing::of(member, &self.rollout.target.version, generation);
        self.count(member);
        if let Some(fault) = standing.fault(terms) {
            self.counts.failed += 1;
            self.blame(member, fault);
            return;
        }
        let has_proved = terms.proof == Proof::Given && standing.progress == Progress::Confirmed;
        let count = match standing.progress {
            _ if standing.liveness != Liveness::Live && has_proved => &mut self.counts.silent,
            _ if standing.liveness != Liveness::Live => &mut self.counts.unknown,
            Progress::Applied => &mut self.counts.applied,
            Progress::Confirmed => &mut self.counts.confirmed,
            Progress::Ready => &mut self.counts.ready,
            Progress::Pending | Progress::Failed => &mut self.counts.pending,
        };
        *count += 1;
        let is_waited_for = match standing.progress {
            _ if standing.liveness != Liveness::Live => !has_proved,
            Progress::Pending | Progress::Ready => true,
            Progress::Applied | Progress::Confirmed | Progress::Failed => false,
        };
        if is_waited_for {
            self.wait_for(member, &standing);
        }
    }

    fn wait_for(&mut self, member: &Member<'_>, standing: &Standing) {
        let fault = match (standing.liveness, standing.progress) {
            (Liveness::Live, Progress::Ready) => Fault::Ready,
            (Liveness::Live, _) => Fault::Pending,
            (Liveness::Stale | Liveness::Lost | Liveness::Gone, _) => Fault::Silent(standing.silent_ms),
        };
        if self.counts.late.len() < NAMED_MAX {
            let late = Blamed::of(member.instance, member.report, fault);
            self.counts.late.push(late);
        }
    }

    fn count(&mut self, member: &Member<'_>) {
        self.counts.members += 1;
        self.counts.away += u64::from(member.liveness != Liveness::Live);
    }

    fn blame(&mut self, member: &Member<'_>, fault: Fault) {
        if self.counts.blamed.len() < NAMED_MAX {
            let blamed = Blamed::of(member.instance, member.report, fault);
            self.counts.blamed.push(blamed);
        }
    }
}
