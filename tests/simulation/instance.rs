//! One instance: its engine while the process lives, its disk for as long as it keeps it, and the laws it must keep.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_client::engine::{Engine, Event, Identity, Rules, SavedState, Spare, Target};
use headwater_wire::{Digest, Generation, InstanceId, InstanceReport, ReportState, ValueSource};

use crate::replica::{config, wall};
use crate::story::{Nature, Story, VARIANTS, place};
use crate::world::Manner;

pub(crate) const PROBATION: Duration = Duration::from_mins(1);

/// Who an instance is, and what it gets.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) number: usize,
    pub(crate) id: InstanceId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) variant: usize,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) name: Name,
    manner: Manner,
    /// How wrong its clock on the wall is.
    pub(crate) skew_ms: i64,
    /// Number of its newest life, if it has a disk to keep it on.
    incarnation: u64,
    /// Counts the lives; what a dead life began comes to nothing.
    pub(crate) life: u64,
    pub(crate) engine: Option<Engine>,
    pub(crate) disk: SavedState,
    pub(crate) connection: u64,
    pub(crate) replica: usize,
    /// Time at which the newest message on the connection arrives: one connection keeps its order.
    pub(crate) last_arrival: Duration,
    /// When the engine is woken next.
    pub(crate) tick_at: Option<Duration>,
    /// Whether the service has said anything in this life.
    pub(crate) was_told: bool,
    /// What the program runs, since when.
    pub(crate) runs: Option<(Target, Duration)>,
    /// Highest generation seen in this life.
    fence: Generation,
    /// Contents that ran through a whole probation in one life.
    proven: Vec<Digest>,
    /// What it died of last, and how often in a row while something else was known to be good.
    deaths: Option<(Digest, u32)>,
}

impl Instance {
    pub(crate) fn new(number: usize, manner: Manner) -> Self {
        let canary = number
            .is_multiple_of(3)
            .then(|| ("canary".to_owned(), "yes".to_owned()));
        let name = Name {
            number,
            id: format!("i-{number}").parse().unwrap(),
            labels: canary.into_iter().collect(),
            variant: number % VARIANTS,
        };
        Self {
            name,
            manner,
            skew_ms: 0,
            incarnation: 0,
            life: 0,
            engine: None,
            disk: SavedState::default(),
            connection: 0,
            replica: 0,
            last_arrival: Duration::ZERO,
            tick_at: None,
            was_told: false,
            runs: None,
            fence: Generation(0),
            proven: Vec::new(),
            deaths: None,
        }
    }

    /// A new process begins; returns its first event.
    pub(crate) fn boot(&mut self, seed: u64, now: Duration) -> Event {
        self.life += 1;
        self.runs = None;
        self.tick_at = None;
        self.was_told = false;
        self.fence = Generation(0);
        // As `Life::begin` counts: by the clock, and above what the disk has.
        let clock = u64::try_from(wall(now, self.skew_ms).0).unwrap();
        self.incarnation = clock.max(self.incarnation + 1);
        let identity = Identity {
            incarnation: self.incarnation,
            labels: self.name.labels.clone(),
            client: "simulated".to_owned(),
        };
        let rules = Rules {
            probation: PROBATION,
            ..Rules::default()
        };
        self.engine = Some(Engine::new(rules, Some(identity), seed));
        Event::Opened {
            config: config(),
            saved: self.disk.clone(),
            spare: Spare::Nothing,
        }
    }

    pub(crate) fn die(&mut self) {
        self.engine = None;
        self.runs = None;
        self.connection += 1;
    }

    /// It comes again on another machine, under its name and with nothing else.
    pub(crate) fn lose_disk(&mut self) {
        self.disk = SavedState::default();
        self.incarnation = 0;
        self.deaths = None;
    }

    /// The program switches. Checks what a switch must never be.
    pub(crate) fn switch(&mut self, story: &Story, target: Target, source: ValueSource, now: Duration) {
        assert_ne!(
            story.nature_of(&target.digest, self.name.number),
            Nature::Refused,
            "{}: runs what its own check refuses",
            self.name.id
        );
        assert_eq!(
            story.digest(place(&target.version), self.name.variant),
            target.digest,
            "I15 atomic: {} runs one commit's name with another's document",
            self.name.id
        );
        if let Some((running, _)) = &self.runs {
            assert_ne!(
                running.digest, target.digest,
                "{}: the same content was applied twice",
                self.name.id
            );
            let back = self.manner == Manner::AtOnce && place(&target.version) < place(&running.version);
            assert!(
                !back || source == ValueSource::LastKnownGood,
                "{}: taken back from {} to {}",
                self.name.id,
                place(&running.version),
                place(&target.version)
            );
        }
        self.prove(now);
        self.deaths.take_if(|(digest, _)| *digest != target.digest);
        self.runs = Some((target, now));
    }

    /// It dies of what it runs. Checks that this does not go on while there is something else to run.
    pub(crate) fn dies_of_it(&mut self) {
        let Some((target, _)) = &self.runs else { return };
        let (_, times) = self.deaths.get_or_insert_with(|| (target.digest.clone(), 0));
        *times = if self.disk.confirmed.is_some() {
            *times + 1
        } else {
            0
        };
        assert!(
            *times <= Rules::default().starts_max,
            "{}: dies of the same content again and again",
            self.name.id
        );
    }

    /// A person has everything tried again that was refused.
    pub(crate) fn forgive(&mut self) {
        self.deaths = None;
    }

    /// Whether all it ever had is a content that kills it: it dies of it again and again, since the alternative is
    /// nothing.
    pub(crate) fn has_only_what_kills_it(&self, story: &Story, wanted: &Digest) -> bool {
        let trial = self.disk.trial.as_ref().map(|trial| &trial.target.digest);
        self.disk.confirmed.is_none()
            && trial.is_some_and(|digest| story.nature_of(digest, self.name.number) == Nature::Deadly)
            && story.nature_of(wanted, self.name.number) != Nature::Good
    }

    /// The disk gets a new state. Checks what a last known good must be.
    pub(crate) fn save(&mut self, state: SavedState, now: Duration) {
        self.prove(now);
        if let Some(confirmed) = &state.confirmed {
            assert!(
                self.proven.contains(&confirmed.digest),
                "I14 LKG-proven: the last known good of {} did not survive a probation",
                self.name.id
            );
        }
        let fence = |state: &SavedState| state.fence.as_ref().map(|fence| fence.generation);
        let is_empty = self.disk.confirmed.is_none() && self.disk.trial.is_none();
        assert!(
            is_empty || fence(&state) >= fence(&self.disk),
            "I4 fence: that of {} fell on its disk",
            self.name.id
        );
        self.disk = state;
    }

    fn prove(&mut self, now: Duration) {
        if let Some((target, since)) = &self.runs
            && now.saturating_sub(*since) >= PROBATION
            && !self.proven.contains(&target.digest)
        {
            self.proven.push(target.digest.clone());
        }
    }

    /// What it says is what it does.
    pub(crate) fn check_report(&self, report: &InstanceReport) {
        let said = report
            .configs
            .get(&config())
            .and_then(|said| said.running.as_ref());
        assert_eq!(
            said.map(|running| &running.digest),
            self.runs.as_ref().map(|(target, _)| &target.digest),
            "I13 truthful: {} says that it runs what it does not",
            self.name.id
        );
    }

    /// What it names as held before it was told anything in this life.
    pub(crate) fn check_cursor(&self, named: Option<&headwater_client::Token>) {
        let (Some(named), None) = (named, &self.runs) else {
            return;
        };
        let trial = self.disk.trial.as_ref().map(|trial| &trial.target);
        let mut at_hand = self.disk.confirmed.iter().chain(trial);
        assert!(
            at_hand.any(|target| target.token == *named),
            "I17 cursor-after-apply: {} names what it never applied",
            self.name.id
        );
    }

    /// After every event: the fence never falls.
    pub(crate) fn check_fence(&mut self) {
        let Some(engine) = &self.engine else { return };
        let Some(report) = engine.standing().remove(&config()) else {
            return;
        };
        // Where nothing runs there is nothing to protect.
        assert!(
            report.generation >= self.fence || self.runs.is_none(),
            "I4 fence: that of {} fell",
            self.name.id
        );
        self.fence = report.generation;
    }

    /// When all is quiet: what runs is what was told, or the program has said why not.
    pub(crate) fn check_settled(&self, story: &Story, wanted: &Digest) {
        let only_deadly = self.has_only_what_kills_it(story, wanted);
        let Some(engine) = &self.engine else {
            assert!(only_deadly, "{}: not running at the end", self.name.id);
            return;
        };
        let report = engine.standing().remove(&config()).unwrap();
        let runs = self.runs.as_ref().map(|(target, _)| &target.digest);
        assert_eq!(
            report.running.as_ref().map(|running| &running.digest),
            runs,
            "{}: says that it runs what it does not",
            self.name.id
        );
        match story.nature_of(wanted, self.name.number) {
            Nature::Good => {
                assert_eq!(
                    runs,
                    Some(wanted),
                    "I8 converge: {} does not run what it should: {report:?}",
                    self.name.id
                );
                assert_eq!(
                    report.state,
                    ReportState::Confirmed,
                    "{}: {report:?}",
                    self.name.id
                );
            }
            Nature::Refused | Nature::Deadly if only_deadly => {
                assert_ne!(
                    report.state,
                    ReportState::Confirmed,
                    "{}: {report:?}",
                    self.name.id
                );
            }
            Nature::Refused | Nature::Deadly => {
                assert_ne!(runs, Some(wanted), "{}: runs what kills it", self.name.id);
                assert_eq!(report.state, ReportState::Failed, "{}: {report:?}", self.name.id);
                let known_good = self.disk.confirmed.as_ref().map(|target| &target.digest);
                assert!(
                    runs.is_some() || known_good.is_none(),
                    "{}: runs nothing: {report:?}",
                    self.name.id
                );
            }
        }
    }
}
