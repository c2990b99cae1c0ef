//! What became of a step: fetched, checked, written down, switched to.

use headwater_wire::{Digest, FailPhase, ReportError, ValueSource};

use super::{Boot, Goal, Holding, Probation, Running, Step};
use crate::engine::durable::SaveId;
use crate::engine::{Action, Attempt, CrashSign, Moment};

impl Holding {
    pub(in crate::engine) fn fetched(
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
                let (attempt, target, source) = (work.attempt, work.target.clone(), work.source);
                self.trouble = None;
                self.fetching.reset();
                out.push(Action::Prepare {
                    config: self.config.clone(),
                    attempt,
                    target,
                    source,
                });
            }
            Err(error) => self.fetch_again(error, now),
        }
        self.step_on(now, out);
    }

    pub(super) fn fetch_again(&mut self, error: ReportError, now: Moment) {
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

    pub(in crate::engine) fn prepared(
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
    pub(super) fn checked(&mut self) {
        let Some(mut work) = self.work.take() else { return };
        work.step = match work.goal {
            Goal::Prepared => {
                self.prepared = Some(work.target.clone());
                Step::Keep(self.durable.want())
            }
            Goal::Running => {
                let before = self.unfinished_starts(&work.target.digest);
                work.starts = match self.rules.sign {
                    CrashSign::Restart => before.saturating_add(1),
                    CrashSign::Word => before.max(1),
                };
                Step::Trial(self.durable.want())
            }
        };
        self.work = Some(work);
    }

    pub(super) fn unfinished_starts(&self, digest: &Digest) -> u32 {
        self.unfinished
            .as_ref()
            .filter(|trial| trial.target.digest == *digest)
            .map_or(0, |trial| trial.starts)
    }

    pub(in crate::engine) fn saved(&mut self, id: SaveId, now: Moment, out: &mut Vec<Action>) {
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

    pub(in crate::engine) fn activated(
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

    pub(super) fn run(&mut self, now: Moment) {
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
}
