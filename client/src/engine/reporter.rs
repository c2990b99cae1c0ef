//! When to report, and under which number.
//!
//! Invariant: at most one report is under way and none is queued: a report is a statement of the present, so the next
//! one says everything that the skipped ones would have said. Every change is reported at once, otherwise a heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_wire::{ConfigName, ConfigReport, InstanceReport, ReportAnswer};

use super::{Identity, Moment};
use crate::backoff::{Backoff, Jitter};

/// Time between two reports while nothing changes, until the server says another.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Shortest and longest heartbeat that a server may ask for.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
const HEARTBEAT_MAX: Duration = Duration::from_mins(10);

type Configs = BTreeMap<ConfigName, ConfigReport>;

/// The reporting half of an engine.
#[derive(Debug)]
pub(super) struct Reporter {
    identity: Identity,
    seq: u64,
    heartbeat: Duration,
    jitter: Jitter,
    backoff: Backoff,
    /// What the newest report said that was sent.
    told: Option<Configs>,
    in_flight: bool,
    /// A report was taken in this life.
    taken: bool,
    /// Another process reports under this name with a greater incarnation.
    superseded: bool,
    next: Moment,
    /// Not before, since the last one failed.
    held_back: Option<Moment>,
}

impl Reporter {
    pub(super) fn new(identity: Identity, seed: u64) -> Self {
        Self {
            identity,
            seq: 0,
            heartbeat: HEARTBEAT,
            jitter: Jitter::seeded(seed),
            backoff: Backoff::new(Jitter::seeded(seed.rotate_left(32))),
            told: None,
            in_flight: false,
            taken: false,
            superseded: false,
            next: Moment::ZERO,
            held_back: None,
        }
    }

    /// The report to send now, if one is due.
    pub(super) fn due(&mut self, configs: &Configs, now: Moment) -> Option<InstanceReport> {
        let held_back = self.held_back.is_some_and(|until| until > now);
        let news = self.told.as_ref() != Some(configs);
        if configs.is_empty() || self.in_flight || held_back || !(news || self.next <= now) {
            return None;
        }
        self.in_flight = true;
        self.held_back = None;
        self.seq += 1;
        self.told = Some(configs.clone());
        Some(InstanceReport {
            incarnation: self.identity.incarnation,
            seq: self.seq,
            labels: self.identity.labels.clone(),
            client: self.identity.client.clone(),
            configs: configs.clone(),
        })
    }

    pub(super) fn answered(&mut self, answer: &ReportAnswer, now: Moment) {
        self.in_flight = false;
        self.backoff.reset();
        self.heartbeat = Duration::from_millis(answer.heartbeat_ms).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        self.next = now + self.heartbeat.mul_f64(0.8 + 0.4 * self.jitter.fraction());
        if answer.accepted {
            self.taken = true;
            self.superseded = false;
        } else if answer.incarnation > self.identity.incarnation {
            self.overtaken(answer.incarnation);
        } else if answer.incarnation == self.identity.incarnation {
            // An answer that was lost: the server is further than what was heard of it.
            self.seq = self.seq.max(answer.seq);
            self.told = None;
        }
    }

    /// Before anything of this life was taken, an earlier life counted further, because its clock was ahead. After
    /// that, another process has this name: two of them must not outbid each other for ever.
    fn overtaken(&mut self, incarnation: u64) {
        if self.taken {
            self.superseded = true;
        } else {
            self.identity.incarnation = incarnation.saturating_add(1);
            self.told = None;
        }
    }

    pub(super) fn failed(&mut self, retry_after: Option<Duration>, now: Moment) {
        self.in_flight = false;
        self.told = None;
        self.held_back = Some(now + self.backoff.next_delay(retry_after));
    }

    pub(super) fn deadline(&self, configs: &Configs) -> Option<Moment> {
        if self.in_flight || configs.is_empty() {
            return None;
        }
        self.held_back.or(Some(self.next))
    }

    pub(super) fn is_superseded(&self) -> bool {
        self.superseded
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    /// The life that the service would miss if it ended without a word: if not this one, then the one before it.
    pub(super) fn missed(&self) -> Option<u64> {
        (!self.superseded).then_some(self.identity.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::{Generation, ReportState, ValueSource};

    use super::*;

    fn configs(generation: u64) -> Configs {
        let report = ConfigReport {
            running: None,
            generation: Generation(generation),
            state: ReportState::Pending,
            error: None,
            prepared: None,
            source: ValueSource::Server,
        };
        BTreeMap::from([("a".parse().unwrap(), report)])
    }

    fn reporter() -> Reporter {
        let identity = Identity {
            incarnation: 100,
            labels: BTreeMap::new(),
            client: "test".to_owned(),
        };
        Reporter::new(identity, 1)
    }

    /// The answer of a server that knows this incarnation as the newest; it took the report if it is our own.
    fn answer(incarnation: u64) -> ReportAnswer {
        ReportAnswer {
            accepted: incarnation == 100,
            incarnation,
            seq: 1,
            heartbeat_ms: 30_000,
            assignments: Vec::new(),
            unknown: Vec::new(),
        }
    }

    const fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn changes_while_a_report_is_under_way_are_told_by_one_next_report() {
        let mut reporter = reporter();
        assert_eq!(reporter.due(&configs(1), at(0)).unwrap().seq, 1);
        for generation in 2..100 {
            assert_eq!(reporter.due(&configs(generation), at(0)), None);
        }
        reporter.answered(&answer(100), at(1));
        let next = reporter.due(&configs(99), at(1)).unwrap();
        assert_eq!((next.seq, &next.configs), (2, &configs(99)));
    }

    #[test]
    fn without_news_there_is_a_heartbeat_around_the_time_the_server_asks_for() {
        let mut reporter = reporter();
        reporter.due(&configs(1), at(0)).unwrap();
        reporter.answered(&answer(100), at(0));
        assert_eq!(reporter.due(&configs(1), at(23)), None);
        assert!(reporter.due(&configs(1), at(37)).is_some());
    }

    #[test]
    fn a_report_that_failed_is_sent_again_after_a_while_even_without_news() {
        let mut reporter = reporter();
        reporter.due(&configs(1), at(0)).unwrap();
        reporter.failed(Some(Duration::from_secs(5)), at(0));
        assert_eq!(reporter.due(&configs(2), at(4)), None);
        assert_eq!(reporter.due(&configs(2), at(6)).unwrap().configs, configs(2));
    }

    #[test]
    fn a_life_whose_clock_is_behind_an_earlier_one_counts_on_from_there() {
        let mut reporter = reporter();
        reporter.due(&configs(1), at(0)).unwrap();
        reporter.answered(&answer(900), at(0));
        assert_eq!(reporter.due(&configs(1), at(0)).unwrap().incarnation, 901);
    }

    #[test]
    fn only_a_life_that_was_not_replaced_has_something_to_say_at_its_end() {
        let mut reporter = reporter();
        assert_eq!(reporter.missed(), Some(100));
        reporter.due(&configs(1), at(0)).unwrap();
        reporter.answered(&answer(100), at(0));
        assert_eq!(reporter.missed(), Some(100));
        reporter.due(&configs(2), at(0)).unwrap();
        reporter.answered(&answer(900), at(0));
        assert_eq!(reporter.missed(), None);
    }

    #[test]
    fn two_processes_of_one_name_do_not_outbid_each_other() {
        let mut reporter = reporter();
        reporter.due(&configs(1), at(0)).unwrap();
        reporter.answered(&answer(100), at(0));
        reporter.due(&configs(2), at(0)).unwrap();
        reporter.answered(&answer(900), at(0));
        assert!(reporter.is_superseded());
        assert_eq!(reporter.due(&configs(3), at(0)).unwrap().incarnation, 100);
    }
}
