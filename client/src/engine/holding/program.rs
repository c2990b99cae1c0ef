//! What the program says of itself: that it died, that it is not well, that it ends in order.

use headwater_wire::{FailPhase, ReportError, ValueSource};

use super::{Goal, Holding, fault};
use crate::engine::refusals::Refusals;
use crate::engine::{Action, CrashSign, Moment};

impl Holding {
    /// The program died. On probation that counts against the content.
    pub(in crate::engine) fn crashed(&mut self, now: Moment, out: &mut Vec<Action>) {
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
    pub(in crate::engine) fn rejected(&mut self, message: String, now: Moment, out: &mut Vec<Action>) {
        self.give_up(fault(FailPhase::Health, message));
        self.step_on(now, out);
    }

    /// Refuses what runs.
    pub(super) fn give_up(&mut self, error: ReportError) {
        if let Some(running) = &mut self.running {
            running.probation = None;
            self.refusals.add(running.target.digest.clone(), error);
            self.durable.want();
        }
    }

    /// From content that was given up, back to the last known good. Without one the program keeps what it has, since
    /// the alternative is nothing.
    pub(super) fn go_back(&mut self, out: &mut Vec<Action>) {
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
    pub(in crate::engine) fn retry(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.refusals = Refusals::default();
        self.unverified = 0;
        self.durable.want();
        self.step_on(now, out);
    }

    /// The program ends in order: this life does not count against what is on probation, or was about to be.
    pub(in crate::engine) fn stop(&mut self, out: &mut Vec<Action>) {
        if self.rules.sign == CrashSign::Restart {
            let probation = self
                .running
                .as_mut()
                .and_then(|running| running.probation.as_mut());
            let running = probation.map(|probation| &mut probation.starts);
            let switching = self.work.as_mut().filter(|work| work.is_switching());
            let switching = switching.map(|work| &mut work.starts);
            for starts in running.into_iter().chain(switching) {
                *starts = starts.saturating_sub(1);
                self.durable.want();
            }
        }
        self.save(out);
    }

    /// The newest word was refused by the fence.
    pub(in crate::engine) fn is_at_odds(&self) -> bool {
        self.stale.is_some()
    }

    /// Nothing of it is unwritten.
    pub(in crate::engine) fn is_settled(&self) -> bool {
        self.durable.is_settled()
    }
}
