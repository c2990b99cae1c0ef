//! One config of one instance: what it runs, what it was told, and the step between the two.
//!
//! Invariant: level-triggered. After every event the same question is asked again: is what runs what was told? So no
//! lost, repeated or late event leaves the config behind. What runs changes only by an activation that went well; the
//! last known good only by a probation that passed.

mod course;
mod program;
mod steps;
mod view;

use std::collections::VecDeque;

use headwater_wire::{
    ChangeKind, ConfigName, Digest, FailPhase, Generation, Phase, ReportError, ValueSource,
};

use super::durable::{Durable, SaveId};
use super::refusals::Refusals;
use super::saved::{SavedState, Trial};
use super::target::{Directive, Fence, Passage, Target};
use super::{Action, Attempt, CrashSign, Moment, Rules, Spare};
use crate::backoff::{Backoff, Jitter};

/// What runs.
#[derive(Debug, Clone)]
struct Running {
    target: Target,
    source: ValueSource,
    /// On probation until then; absent once confirmed.
    probation: Option<Probation>,
}

/// Content is watched for a while before it counts as good.
#[derive(Debug, Clone, Copy)]
struct Probation {
    until: Moment,
    starts: u32,
}

/// How far a content is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Checked and durable.
    Prepared,
    /// Running.
    Running,
}

/// The step that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Its document is being fetched.
    Fetch,
    /// A fetch failed; the next begins then.
    Wait(Moment),
    /// It is being decoded, checked and prepared for.
    Check,
    /// It is checked; that it is ready is being written down.
    Keep(SaveId),
    /// It is checked; that it is on trial is being written down.
    Trial(SaveId),
    /// The program is switching to it.
    Activate,
}

/// Content on its way.
#[derive(Debug, Clone)]
struct Work {
    target: Target,
    goal: Goal,
    source: ValueSource,
    step: Step,
    attempt: Attempt,
    /// Lives that began to run it, this one included; counted when it is put on trial.
    starts: u32,
}

impl Work {
    /// On trial from here on: what cannot be called back has begun, or is about to.
    fn is_switching(&self) -> bool {
        matches!(self.step, Step::Activate | Step::Trial(_))
    }
}

/// What an earlier life left, as long as nothing runs.
#[derive(Debug, Default)]
struct Boot {
    /// Best first.
    candidates: VecDeque<(Target, ValueSource)>,
    /// When waiting for the server is over; absent once nothing is left to wait for.
    patience: Option<Moment>,
    /// The caller was told that there is no value.
    told: bool,
}

/// The state of one config. See the module.
#[derive(Debug)]
pub(in crate::engine) struct Holding {
    config: ConfigName,
    rules: Rules,
    spare: Spare,
    fence: Option<Fence>,
    /// The state that has the newest word.
    word: SaveId,
    wanted: Option<Directive>,
    running: Option<Running>,
    confirmed: Option<Target>,
    prepared: Option<Target>,
    work: Option<Work>,
    refusals: Refusals,
    /// Content that earlier lives began to run and did not confirm.
    unfinished: Option<Trial>,
    boot: Boot,
    durable: Durable,
    attempts: u64,
    fetching: Backoff,
    unverified: u32,
    /// Why the content that is on its way is not further.
    trouble: Option<ReportError>,
    /// Why the newest word was not taken.
    stale: Option<ReportError>,
    /// The tip has no such config.
    removed: bool,
    /// The server was reached and said no.
    denied: bool,
    /// The program runs a value of its own.
    defaulted: bool,
}

impl Holding {
    /// A config that was just opened, with what the disk had of it.
    pub(in crate::engine) fn open(
        config: ConfigName,
        (saved, spare): (SavedState, Spare),
        rules: Rules,
        jitter: Jitter,
        now: Moment,
    ) -> Self {
        let mut holding = Self {
            config,
            rules,
            spare,
            fence: saved.fence,
            word: 0,
            wanted: None,
            running: None,
            confirmed: saved.confirmed,
            prepared: None,
            work: None,
            refusals: Refusals::crashed(saved.crashed),
            unfinished: saved.trial,
            boot: Boot::default(),
            durable: Durable::default(),
            attempts: 0,
            fetching: Backoff::new(jitter),
            unverified: 0,
            trouble: None,
            stale: None,
            removed: false,
            denied: false,
            defaulted: false,
        };
        holding.judge_unfinished();
        holding.boot.patience = Some(now + rules.patience);
        holding
    }

    /// What earlier lives did not live through is not tried a third time, if there is something else to run. Without, it
    /// is tried again and again: the deaths may have another cause, and the alternative is nothing.
    fn judge_unfinished(&mut self) {
        let mut refusals = std::mem::take(&mut self.refusals);
        refusals.retain(|digest| !self.is_all_there_is(digest));
        self.refusals = refusals;
        if let Some(trial) = self.unfinished.take() {
            let counted = self.rules.sign == CrashSign::Restart && trial.starts >= self.rules.starts_max;
            if counted && !self.is_all_there_is(&trial.target.digest) {
                let message = format!(
                    "the program ended {} times while {} was on probation",
                    trial.starts,
                    trial.target.version.short()
                );
                self.refusals
                    .add(trial.target.digest, fault(FailPhase::Crash, message));
                self.durable.want();
            } else {
                let unconfirmed = (trial.target.clone(), ValueSource::Unconfirmed);
                self.boot.candidates.push_back(unconfirmed);
                self.unfinished = Some(trial);
            }
        }
        if let Some(confirmed) = &self.confirmed {
            let known_good = (confirmed.clone(), ValueSource::LastKnownGood);
            self.boot.candidates.push_back(known_good);
        }
    }

    pub(in crate::engine) fn told(&mut self, directive: Directive, now: Moment, out: &mut Vec<Action>) {
        self.removed = false;
        self.denied = false;
        match self.passage(&directive) {
            Passage::Stale => self.refuse_word(&directive),
            Passage::Again => {
                self.stale = None;
                self.wanted = Some(directive);
            }
            Passage::New => {
                self.stale = None;
                self.fence = Some(Fence::of(&directive));
                self.word = self.durable.want();
                self.wanted = Some(directive);
            }
        }
        self.step_on(now, out);
    }

    /// The fence keeps what runs from being undone by a late word. Where nothing runs and nothing is left to run,
    /// there is nothing to protect, and any word is better than none.
    fn passage(&self, directive: &Directive) -> Passage {
        let Some(fence) = &self.fence else {
            return Passage::New;
        };
        let empty = self.running.is_none() && self.work.is_none() && self.boot.candidates.is_empty();
        match fence.judge(directive) {
            Passage::Stale if empty => Passage::New,
            passage @ (Passage::New | Passage::Again | Passage::Stale) => passage,
        }
    }

    /// A connection began. Who does not report cannot tell a service that has lost count where the fence stands, so
    /// for him the fence holds for one connection; the service compares what he holds at its beginning anyway.
    pub(in crate::engine) fn connected(&mut self) {
        if !self.rules.reports {
            self.fence = None;
        }
    }

    /// A late word for what is held to be the newest anyway is no news; any other is told in the report, so that a service which lost
    /// count learns where the fence stands.
    fn refuse_word(&mut self, directive: &Directive) {
        let harmless = self
            .named()
            .is_some_and(|target| target.digest == directive.target.digest);
        let seen = self.generation();
        self.stale = (!harmless).then(|| {
            let message = format!(
                "told to hold {} at generation {}, after generation {seen}",
                directive.target.version.short(),
                directive.target.generation
            );
            fault(FailPhase::Fence, message)
        });
    }

    /// The server says that the token still holds.
    pub(in crate::engine) fn current(
        &mut self,
        token: &crate::answer::Token,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        self.removed = false;
        self.denied = false;
        if let Some(target) = self.running().filter(|target| target.token == *token).cloned() {
            self.rename(&target, out);
        } else if self.running.is_none() && self.wanted.is_none() {
            // What an earlier life left is what the server would send: from here on it is what was told.
            let left = self.boot.candidates.iter().map(|(target, _)| target);
            self.wanted = left
                .filter(|target| target.token == *token)
                .map(|target| Directive {
                    config: self.config.clone(),
                    phase: Phase::Active,
                    change: ChangeKind::Initial,
                    target: target.clone(),
                })
                .next();
        }
        self.step_on(now, out);
    }

    /// The tip has no such config.
    pub(in crate::engine) fn removed(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.removed = true;
        self.boot.patience = None;
        self.step_on(now, out);
    }

    /// The server says no: waiting for it is over.
    pub(in crate::engine) fn denied(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.denied = true;
        self.boot.patience = None;
        self.step_on(now, out);
    }

    /// The server cannot be reached: waiting for it is over.
    pub(in crate::engine) fn offline(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.running.is_none() {
            self.boot.patience = None;
        }
        self.step_on(now, out);
    }

    /// The program runs a value of its own, since there is no other.
    pub(in crate::engine) fn defaulted(&mut self) {
        self.defaulted = true;
    }

    pub(in crate::engine) fn tick(&mut self, now: Moment, out: &mut Vec<Action>) {
        if let Some(running) = &mut self.running
            && running.probation.is_some_and(|probation| probation.until <= now)
        {
            running.probation = None;
            self.confirmed = Some(running.target.clone());
            self.durable.want();
        }
        if let Some(work) = &mut self.work
            && let Step::Wait(until) = work.step
            && until <= now
        {
            let target = work.target.clone();
            self.attempts += 1;
            work.attempt = Attempt(self.attempts);
            work.step = Step::Fetch;
            out.push(Action::Fetch {
                config: self.config.clone(),
                attempt: work.attempt,
                target,
            });
        }
        self.step_on(now, out);
    }

    pub(in crate::engine) fn deadline(&self) -> Option<Moment> {
        let probation = self.running.as_ref().and_then(|running| running.probation);
        let waiting = self.work.as_ref().and_then(|work| match work.step {
            Step::Wait(until) => Some(until),
            Step::Fetch | Step::Check | Step::Keep(_) | Step::Trial(_) | Step::Activate => None,
        });
        let patience = self.running.is_none().then_some(self.boot.patience).flatten();
        [probation.map(|probation| probation.until), waiting, patience]
            .into_iter()
            .flatten()
            .min()
    }

    fn work_at(&mut self, attempt: Attempt, step: Step) -> Option<&mut Work> {
        self.work
            .as_mut()
            .filter(|work| work.attempt == attempt && work.step == step)
    }

    fn generation(&self) -> Generation {
        self.fence
            .as_ref()
            .map(|fence| fence.generation)
            .unwrap_or_default()
    }

    fn runs(&self, digest: &Digest) -> bool {
        self.running().is_some_and(|target| target.digest == *digest)
    }

    /// Whether without this content there is nothing to run: no other one is known to be good, and there is no default.
    fn is_all_there_is(&self, digest: &Digest) -> bool {
        let other = self
            .confirmed
            .as_ref()
            .is_some_and(|known| known.digest != *digest);
        self.spare == Spare::Nothing && !other
    }

    fn holds_prepared(&self, digest: &Digest) -> bool {
        self.prepared
            .as_ref()
            .is_some_and(|target| target.digest == *digest)
    }

    fn is_confirmed(&self, digest: &Digest) -> bool {
        self.confirmed
            .as_ref()
            .is_some_and(|target| target.digest == *digest)
    }
}

fn fault(phase: FailPhase, message: impl Into<String>) -> ReportError {
    ReportError {
        phase,
        message: message.into(),
    }
}
