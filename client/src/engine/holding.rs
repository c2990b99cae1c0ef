//! One config of one instance: what it runs, what it was told, and the step between the two.
//!
//! Invariant: level-triggered. After every event the same question is asked again: is what runs what was told? So no
//! lost, repeated or late event leaves the config behind. What runs changes only by an activation that went well; the
//! last known good only by a probation that passed.

use std::collections::VecDeque;

use headwater_wire::{
    ChangeKind, ConfigName, ConfigReport, Digest, FailPhase, Generation, Phase, ReportError, ReportState,
    Running as Runs, ValueSource,
};

use super::durable::{Durable, SaveId};
use super::refusals::Refusals;
use super::saved::{SavedState, Trial};
use super::target::{Directive, Fence, Passage, Target};
use super::{Action, Attempt, Moment, NoValue, Rules};
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
pub(super) struct Holding {
    config: ConfigName,
    rules: Rules,
    fence: Option<Fence>,
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
    /// The program runs a value of its own.
    defaulted: bool,
}

impl Holding {
    /// A config that was just opened, with what the disk had of it.
    pub(super) fn open(
        config: ConfigName,
        saved: SavedState,
        rules: Rules,
        jitter: Jitter,
        now: Moment,
    ) -> Self {
        let mut holding = Self {
            config,
            rules,
            fence: saved.fence,
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
            defaulted: false,
        };
        holding.judge_unfinished();
        holding.boot.patience = Some(now + rules.patience);
        holding
    }

    /// What earlier lives did not live through is not tried a third time.
    fn judge_unfinished(&mut self) {
        if let Some(trial) = self.unfinished.take() {
            if trial.starts >= self.rules.starts_max {
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

    // ---- what is told ----

    pub(super) fn told(&mut self, directive: Directive, now: Moment, out: &mut Vec<Action>) {
        self.removed = false;
        match self.passage(&directive) {
            Passage::Stale => self.refuse_word(&directive),
            Passage::Again => {
                self.stale = None;
                self.wanted = Some(directive);
            }
            Passage::New => {
                self.stale = None;
                self.fence = Some(Fence::of(&directive));
                self.durable.want();
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
    pub(super) fn connected(&mut self) {
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
    pub(super) fn current(&mut self, token: &crate::answer::Token, now: Moment, out: &mut Vec<Action>) {
        self.removed = false;
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
    pub(super) fn removed(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.removed = true;
        self.boot.patience = None;
        self.step_on(now, out);
    }

    /// The server cannot be reached: waiting for it is over.
    pub(super) fn offline(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.running.is_none() {
            self.boot.patience = None;
        }
        self.step_on(now, out);
    }

    /// The program runs a value of its own, since there is no other.
    pub(super) fn defaulted(&mut self) {
        self.defaulted = true;
    }

    // ---- what became of a step ----

    pub(super) fn fetched(
        &mut self,
        attempt: Attempt,
        outcome: Result<(), ReportError>,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some(work) = self.work_at(attempt, Step::Fetch) else {
            return;
        };
        match outcome {
            Ok(()) => {
                work.step = Step::Check;
                let (attempt, target) = (work.attempt, work.target.clone());
                self.trouble = None;
                self.fetching.reset();
                out.push(Action::Prepare {
                    config: self.config.clone(),
                    attempt,
                    target,
                });
            }
            Err(error) => self.fetch_again(error, now),
        }
        self.step_on(now, out);
    }

    fn fetch_again(&mut self, error: ReportError, now: Moment) {
        if error.phase == FailPhase::Verify {
            self.unverified += 1;
        }
        if self.unverified >= self.rules.verify_attempts_max {
            self.refuse(error);
            return;
        }
        // What an earlier life left and cannot be read any more gives way to the next best.
        let left_over = self
            .work
            .as_ref()
            .is_some_and(|work| work.source != ValueSource::Server);
        if left_over && self.running.is_none() {
            self.work = None;
            return;
        }
        let pause = self.fetching.next_delay(None);
        self.trouble = Some(error);
        if let Some(work) = &mut self.work {
            work.step = Step::Wait(now + pause);
        }
    }

    pub(super) fn prepared(
        &mut self,
        attempt: Attempt,
        outcome: Result<(), ReportError>,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        if self.work_at(attempt, Step::Check).is_none() {
            return;
        }
        match outcome {
            Ok(()) => self.checked(),
            Err(error) => self.refuse(error),
        }
        self.step_on(now, out);
    }

    /// What was checked is kept, or put on trial; both are written down before anything else happens.
    fn checked(&mut self) {
        let Some(mut work) = self.work.take() else { return };
        work.step = match work.goal {
            Goal::Prepared => {
                self.prepared = Some(work.target.clone());
                Step::Keep(self.durable.want())
            }
            Goal::Running => {
                work.starts = 1 + self.unfinished_starts(&work.target.digest);
                Step::Trial(self.durable.want())
            }
        };
        self.work = Some(work);
    }

    fn unfinished_starts(&self, digest: &Digest) -> u32 {
        self.unfinished
            .as_ref()
            .filter(|trial| trial.target.digest == *digest)
            .map_or(0, |trial| trial.starts)
    }

    pub(super) fn saved(&mut self, id: SaveId, now: Moment, out: &mut Vec<Action>) {
        self.durable.ended(id);
        if let Some(work) = &mut self.work {
            match work.step {
                Step::Keep(wanted) if self.durable.has(wanted) => self.work = None,
                Step::Trial(wanted) if self.durable.has(wanted) => {
                    work.step = Step::Activate;
                    out.push(Action::Activate {
                        config: self.config.clone(),
                        attempt: work.attempt,
                        target: work.target.clone(),
                        source: work.source,
                    });
                }
                Step::Fetch
                | Step::Wait(_)
                | Step::Check
                | Step::Keep(_)
                | Step::Trial(_)
                | Step::Activate => {}
            }
        }
        self.step_on(now, out);
    }

    pub(super) fn activated(
        &mut self,
        attempt: Attempt,
        outcome: Result<(), ReportError>,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        if self.work_at(attempt, Step::Activate).is_none() {
            return;
        }
        match outcome {
            Ok(()) => self.run(now),
            Err(error) => self.refuse(error),
        }
        self.step_on(now, out);
    }

    fn run(&mut self, now: Moment) {
        let Some(work) = self.work.take() else { return };
        let proven = self.is_confirmed(&work.target.digest);
        let probation = (!proven).then(|| Probation {
            until: now + self.rules.probation,
            starts: work.starts,
        });
        if self.holds_prepared(&work.target.digest) {
            self.prepared = None;
        }
        self.unfinished = None;
        self.trouble = None;
        self.running = Some(Running {
            target: work.target,
            source: work.source,
            probation,
        });
        self.boot = Boot::default();
        self.durable.want();
    }

    // ---- what the program says ----

    /// The program died. On probation that counts against the content.
    pub(super) fn crashed(&mut self, now: Moment, out: &mut Vec<Action>) {
        let until = now + self.rules.probation;
        if let Some(running) = &mut self.running
            && let Some(probation) = &mut running.probation
        {
            if probation.starts >= self.rules.starts_max {
                let message = format!("the program ended {} times on probation", probation.starts);
                self.give_up(fault(FailPhase::Crash, message));
            } else {
                probation.starts += 1;
                probation.until = until;
                self.durable.want();
            }
        }
        self.step_on(now, out);
    }

    /// The program is not well with what it runs.
    pub(super) fn rejected(&mut self, message: String, now: Moment, out: &mut Vec<Action>) {
        self.give_up(fault(FailPhase::Health, message));
        self.step_on(now, out);
    }

    /// Refuses what runs.
    fn give_up(&mut self, error: ReportError) {
        if let Some(running) = &mut self.running {
            running.probation = None;
            self.refusals.add(running.target.digest.clone(), error);
            self.durable.want();
        }
    }

    /// From content that was given up, back to the last known good. Without one the program keeps what it has, since
    /// the alternative is nothing.
    fn go_back(&mut self, out: &mut Vec<Action>) {
        let Some(running) = &self.running else { return };
        if self.work.is_some() || !self.refusals.has(&running.target.digest) {
            return;
        }
        let known_good = self.confirmed.clone();
        if let Some(target) = known_good.filter(|target| !self.refusals.has(&target.digest)) {
            self.begin(target, Goal::Running, ValueSource::LastKnownGood, out);
        }
    }

    /// Tries again what was refused.
    pub(super) fn retry(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.refusals = Refusals::default();
        self.unverified = 0;
        self.durable.want();
        self.step_on(now, out);
    }

    /// The program ends in order: this life does not count against what is on probation.
    pub(super) fn stop(&mut self, out: &mut Vec<Action>) {
        if let Some(running) = &mut self.running
            && let Some(probation) = &mut running.probation
        {
            probation.starts = probation.starts.saturating_sub(1);
            self.durable.want();
        }
        self.save(out);
    }

    /// The newest word was refused by the fence.
    pub(super) fn is_at_odds(&self) -> bool {
        self.stale.is_some()
    }

    /// Nothing of it is unwritten.
    pub(super) fn is_settled(&self) -> bool {
        self.durable.is_settled()
    }

    // ---- time ----

    pub(super) fn tick(&mut self, now: Moment, out: &mut Vec<Action>) {
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

    pub(super) fn deadline(&self) -> Option<Moment> {
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

    // ---- the one question ----

    /// Begins what is missing between what runs and what was told.
    fn step_on(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.boot.patience.is_some_and(|until| until <= now) {
            self.boot.patience = None;
        }
        if !self.is_switching() {
            self.pursue(out);
            self.fall_back(out);
            self.go_back(out);
        }
        self.save(out);
    }

    /// An activation cannot be called back: whatever comes meanwhile waits for its end.
    fn is_switching(&self) -> bool {
        self.work
            .as_ref()
            .is_some_and(|work| matches!(work.step, Step::Activate | Step::Trial(_)))
    }

    fn pursue(&mut self, out: &mut Vec<Action>) {
        let Some(wanted) = self.wanted.clone() else {
            return;
        };
        let (digest, goal) = match wanted.phase {
            Phase::Active => (&wanted.target.digest, Goal::Running),
            Phase::Prepare => (&wanted.target.digest, Goal::Prepared),
            Phase::Other => return,
        };
        if goal == Goal::Running {
            // The word to run something else is also the word to drop what was only prepared.
            let dropped = self.prepared.take_if(|prepared| prepared.digest != *digest);
            if dropped.is_some() {
                self.durable.want();
            }
            if self.runs(digest) {
                self.drop_server_work();
                self.rename(&wanted.target, out);
                return;
            }
        }
        let ready = goal == Goal::Prepared && (self.holds_prepared(digest) || self.runs(digest));
        if ready || self.refusals.has(digest) {
            let working = self
                .work
                .as_ref()
                .is_some_and(|work| work.target.digest != *digest);
            if working {
                self.drop_server_work();
            }
            return;
        }
        match &mut self.work {
            Some(work) if work.target.digest == *digest && work.source == ValueSource::Server => {
                work.target = wanted.target;
                work.goal = goal;
            }
            // What brings the program back to a value is not interrupted, unless it hangs itself.
            Some(work) if work.source != ValueSource::Server && self.running.is_none() => {}
            Some(work) if work.source != ValueSource::Server && work.step == Step::Check => {}
            Some(_) | None => self.begin(wanted.target, goal, ValueSource::Server, out),
        }
    }

    /// While nothing runs and the server keeps one waiting, what an earlier life left is better than nothing.
    fn fall_back(&mut self, out: &mut Vec<Action>) {
        if self.running.is_some() || self.boot.told {
            return;
        }
        let waits = match &self.work {
            None => true,
            // The server has spoken but cannot deliver: what is on disk is used meanwhile.
            Some(work) => {
                work.source == ValueSource::Server && matches!(work.step, Step::Fetch | Step::Wait(_))
            }
        };
        let expects_word = self.wanted.is_none() && self.boot.patience.is_some();
        let on_its_way = self.work.is_some() && self.boot.patience.is_some();
        if !waits || expects_word || on_its_way {
            return;
        }
        while let Some((target, source)) = self.boot.candidates.pop_front() {
            if !self.refusals.has(&target.digest) {
                self.begin(target, Goal::Running, source, out);
                return;
            }
        }
        self.boot.told = true;
        out.push(Action::NoValue {
            config: self.config.clone(),
            why: self.why_nothing(),
        });
    }

    fn why_nothing(&self) -> NoValue {
        let refused = self
            .wanted
            .as_ref()
            .and_then(|wanted| self.refusals.get(&wanted.target.digest));
        match refused {
            Some(error) => NoValue::Refused(error.clone()),
            None if self.removed => NoValue::NotFound,
            None => NoValue::Unreachable,
        }
    }

    fn begin(&mut self, target: Target, goal: Goal, source: ValueSource, out: &mut Vec<Action>) {
        self.attempts += 1;
        let attempt = Attempt(self.attempts);
        self.trouble = None;
        self.unverified = 0;
        let ready = goal == Goal::Running && self.holds_prepared(&target.digest);
        let step = if ready { Step::Check } else { Step::Fetch };
        self.work = Some(Work {
            target: target.clone(),
            goal,
            source,
            step,
            attempt,
            starts: 0,
        });
        if ready {
            self.checked();
        } else {
            out.push(Action::Fetch {
                config: self.config.clone(),
                attempt,
                target,
            });
        }
    }

    fn refuse(&mut self, error: ReportError) {
        let Some(work) = self.work.take() else { return };
        self.trouble = None;
        if self.holds_prepared(&work.target.digest) {
            self.prepared = None;
        }
        self.refusals.add(work.target.digest, error);
        self.durable.want();
    }

    fn drop_server_work(&mut self) {
        if self
            .work
            .as_ref()
            .is_some_and(|work| work.source == ValueSource::Server)
        {
            self.work = None;
            self.trouble = None;
        }
    }

    /// The same content under a newer name: nobody is moved, and the names are those of the newest word.
    fn rename(&mut self, target: &Target, out: &mut Vec<Action>) {
        let Some(running) = &mut self.running else { return };
        if running.target == *target && running.source == ValueSource::Server {
            return;
        }
        running.source = ValueSource::Server;
        running.target = target.clone();
        if let Some(confirmed) = &mut self.confirmed
            && confirmed.digest == target.digest
        {
            *confirmed = target.clone();
        }
        self.durable.want();
        out.push(Action::Rename {
            config: self.config.clone(),
            target: target.clone(),
        });
    }

    fn save(&mut self, out: &mut Vec<Action>) {
        if let Some(id) = self.durable.start() {
            out.push(Action::Save {
                config: self.config.clone(),
                id,
                state: self.state_to_save(),
            });
        }
    }

    fn state_to_save(&self) -> SavedState {
        let on_trial = self.work.as_ref().filter(|work| {
            matches!(work.step, Step::Trial(_) | Step::Activate) && !self.is_confirmed(&work.target.digest)
        });
        let running = self.running.as_ref().and_then(|running| {
            let starts = running.probation?.starts;
            let target = running.target.clone();
            Some(Trial { target, starts })
        });
        let trial = on_trial.map(|work| Trial {
            target: work.target.clone(),
            starts: work.starts,
        });
        SavedState {
            fence: self.fence.clone(),
            confirmed: self.confirmed.clone(),
            trial: trial.or(running).or_else(|| self.unfinished.clone()),
            prepared: self.prepared.clone(),
            crashed: self.refusals.crashes(),
        }
    }

    // ---- what is seen from outside ----

    /// What to say to the server as held.
    pub(super) fn named(&self) -> Option<&Target> {
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.target);
        let left = self.boot.candidates.front().map(|(target, _)| target);
        let on_its_way = self.work.as_ref().map(|work| &work.target);
        wanted.or(self.running()).or(on_its_way).or(left)
    }

    /// What runs.
    pub(super) fn running(&self) -> Option<&Target> {
        self.running.as_ref().map(|running| &running.target)
    }

    /// Digests whose documents are still needed.
    pub(super) fn needs(&self, digest: &Digest) -> bool {
        let kept = [self.running(), self.confirmed.as_ref(), self.prepared.as_ref()];
        let on_its_way = self.work.as_ref().map(|work| &work.target);
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.target);
        let boot = self.boot.candidates.iter().map(|(target, _)| target);
        kept.into_iter()
            .chain([on_its_way, wanted])
            .flatten()
            .chain(boot)
            .any(|target| target.digest == *digest)
    }

    pub(super) fn report(&self) -> ConfigReport {
        let (state, error) = self.progress();
        let running = self.running.as_ref();
        ConfigReport {
            running: running.map(|running| Runs {
                version: running.target.version.clone(),
                digest: running.target.digest.clone(),
            }),
            generation: self.generation(),
            state,
            error: error.or_else(|| self.stale.clone()),
            prepared: self.prepared.as_ref().map(|prepared| prepared.version.clone()),
            source: self.source(),
        }
    }

    /// How far the newest word is; where there was none yet, how the running content stands.
    fn progress(&self) -> (ReportState, Option<ReportError>) {
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.target.digest);
        let subject = wanted.or_else(|| self.running().map(|target| &target.digest));
        if let Some(error) = subject.and_then(|digest| self.refusals.get(digest)) {
            return (ReportState::Failed, Some(error.clone()));
        }
        // Earlier lives died of something that the server has not named again yet.
        if wanted.is_none()
            && let Some(error) = self.refusals.newest_crash()
        {
            return (ReportState::Failed, Some(error.clone()));
        }
        if self.work.is_some() {
            return (ReportState::Pending, self.trouble.clone());
        }
        let waits = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.phase == Phase::Prepare);
        if waits && wanted.is_some_and(|digest| self.holds_prepared(digest)) {
            return (ReportState::Prepared, None);
        }
        match &self.running {
            None => (ReportState::Pending, None),
            Some(running) if running.probation.is_some() => (ReportState::Applied, None),
            Some(running) if self.is_confirmed(&running.target.digest) => (ReportState::Confirmed, None),
            Some(_) => (ReportState::Applied, None),
        }
    }

    fn source(&self) -> ValueSource {
        match &self.running {
            Some(running) => running.source,
            None if self.defaulted => ValueSource::Default,
            None => ValueSource::Server,
        }
    }

    // ---- small questions ----

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
