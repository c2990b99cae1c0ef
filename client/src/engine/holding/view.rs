//! What is seen of a config from outside: the report, what to name as held, which documents are still needed.

use headwater_wire::{ConfigReport, Digest, Phase, ReportError, ReportState, Running as Runs, ValueSource};

use super::Holding;
use crate::engine::target::Target;

impl Holding {
    /// What to say to the server as held.
    pub(in crate::engine) fn named(&self) -> Option<&Target> {
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.target);
        let left = self.boot.candidates.front().map(|(target, _)| target);
        let on_its_way = self.work.as_ref().map(|work| &work.target);
        wanted.or(self.running()).or(on_its_way).or(left)
    }

    /// What runs.
    pub(in crate::engine) fn running(&self) -> Option<&Target> {
        self.running.as_ref().map(|running| &running.target)
    }

    /// Digests whose documents are still needed.
    pub(in crate::engine) fn needs(&self, digest: &Digest) -> bool {
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

    pub(in crate::engine) fn report(&self) -> ConfigReport {
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
            prepared: self.ready_for().map(|target| target.version.clone()),
            source: self.source(),
        }
    }

    /// What could be run at once. One content has many names: what is ready, or runs, under another is ready under the
    /// newest.
    fn ready_for(&self) -> Option<&Target> {
        let asked = self
            .wanted
            .as_ref()
            .filter(|wanted| wanted.phase == Phase::Prepare);
        let asked = asked.map(|wanted| &wanted.target);
        asked
            .filter(|target| self.holds_prepared(&target.digest) || self.runs(&target.digest))
            .or(self.prepared.as_ref())
    }

    /// How far the newest word is; where there was none yet, how the running content stands.
    pub(super) fn progress(&self) -> (ReportState, Option<ReportError>) {
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
        let is_ready = wanted.is_some_and(|digest| self.holds_prepared(digest) || self.runs(digest));
        if waits && is_ready {
            // That it was asked must outlast a crash, like what it is ready for.
            if !self.durable.has(self.word) {
                return (ReportState::Pending, None);
            }
            return (ReportState::Prepared, None);
        }
        match &self.running {
            None => (ReportState::Pending, None),
            Some(running) if running.probation.is_some() => (ReportState::Applied, None),
            Some(running) if self.is_confirmed(&running.target.digest) => (ReportState::Confirmed, None),
            Some(_) => (ReportState::Applied, None),
        }
    }

    pub(super) fn source(&self) -> ValueSource {
        match &self.running {
            Some(running) => running.source,
            None if self.defaulted => ValueSource::Default,
            None => ValueSource::Server,
        }
    }
}
