//! The one question, asked after every event: is what runs what was told, and what is missing between the two?

use headwater_wire::{Phase, ReportError, ValueSource};

use super::{Goal, Holding, Step, Work};
use crate::engine::saved::{SavedState, Trial};
use crate::engine::target::Target;
use crate::engine::{Action, Attempt, Moment, NoValue};

impl Holding {
    /// Begins what is missing between what runs and what was told.
    pub(super) fn step_on(&mut self, now: Moment, out: &mut Vec<Action>) {
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
    pub(super) fn is_switching(&self) -> bool {
        self.work.as_ref().is_some_and(Work::is_switching)
    }

    pub(super) fn pursue(&mut self, out: &mut Vec<Action>) {
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
    pub(super) fn fall_back(&mut self, out: &mut Vec<Action>) {
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

    pub(super) fn why_nothing(&self) -> NoValue {
        let refused = self
            .wanted
            .as_ref()
            .and_then(|wanted| self.refusals.get(&wanted.target.digest));
        match refused {
            Some(error) => NoValue::Refused(error.clone()),
            None if self.removed => NoValue::NotFound,
            None if self.denied => NoValue::Denied,
            None => NoValue::Unreachable,
        }
    }

    pub(super) fn begin(&mut self, target: Target, goal: Goal, source: ValueSource, out: &mut Vec<Action>) {
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

    pub(super) fn refuse(&mut self, error: ReportError) {
        let Some(work) = self.work.take() else { return };
        self.trouble = None;
        if self.holds_prepared(&work.target.digest) {
            self.prepared = None;
        }
        // It was refused alive: earlier lives did not die of it.
        self.unfinished
            .take_if(|trial| trial.target.digest == work.target.digest);
        self.refusals.add(work.target.digest, error);
        self.durable.want();
    }

    pub(super) fn drop_server_work(&mut self) {
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
    pub(super) fn rename(&mut self, target: &Target, out: &mut Vec<Action>) {
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

    pub(super) fn save(&mut self, out: &mut Vec<Action>) {
        if let Some(id) = self.durable.start() {
            out.push(Action::Save {
                config: self.config.clone(),
                id,
                state: self.state_to_save(),
            });
        }
    }

    pub(super) fn state_to_save(&self) -> SavedState {
        let on_trial = self
            .work
            .as_ref()
            .filter(|work| work.is_switching() && !self.is_confirmed(&work.target.digest));
        let running = self.running.as_ref().and_then(|running| {
            let digest = &running.target.digest;
            let starts = match running.probation {
                Some(probation) => probation.starts,
                // It was given up, and is what the next life has to begin with all the same.
                None if !self.is_confirmed(digest) && self.is_all_there_is(digest) => 0,
                None => return None,
            };
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
}
