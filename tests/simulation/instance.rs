//! One instance: its engine while the process lives, its disk for ever, and the laws it must keep.

use std::time::Duration;

use headwater_client::engine::{Engine, Event, Identity, Rules, SavedState, Spare, Target};
use headwater_wire::{Digest, Generation, InstanceId, ReportState, ValueSource};

use crate::replica::config;
use crate::story::{Nature, Story, place};

pub(crate) const PROBATION: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
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
    pub(crate) fn new(number: usize) -> Self {
        Self {
            id: format!("i-{number}").parse().unwrap(),
            life: 0,
            engine: None,
            disk: SavedState::default(),
            connection: 0,
            replica: 0,
            last_arrival: Duration::ZERO,
            tick_at: None,
            runs: None,
            fence: Generation(0),
            proven: Vec::new(),
            deaths: None,
        }
    }

    /// A new process begins; returns its first event.
    pub(crate) fn boot(&mut self, seed: u64) -> Event {
        self.life += 1;
        self.runs = None;
        self.tick_at = None;
        self.fence = Generation(0);
        let identity = Identity {
            incarnation: self.life,
            labels: std::collections::BTreeMap::new(),
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

    /// The program switches. Checks what a switch must never be.
    pub(crate) fn switch(&mut self, story: &Story, target: Target, source: ValueSource, now: Duration) {
        assert_ne!(
            story.nature_of(&target.digest),
            Nature::Refused,
            "{}: runs what its own check refuses",
            self.id
        );
        if let Some((running, _)) = &self.runs {
            assert_ne!(
                running.digest, target.digest,
                "{}: the same content was applied twice",
                self.id
            );
            let back = place(&target.version) < place(&running.version);
            assert!(
                !back || source == ValueSource::LastKnownGood,
                "{}: taken back from {} to {}",
                self.id,
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
            self.id
        );
    }

    /// A person has everything tried again that was refused.
    pub(crate) fn forgive(&mut self) {
        self.deaths = None;
    }

    /// Whether all it ever had is a content that kills it: it dies of it again and again, since the alternative is
    /// nothing.
    pub(crate) fn has_only_what_kills_it(&self, story: &Story) -> bool {
        let trial = self.disk.trial.as_ref().map(|trial| &trial.target.digest);
        self.disk.confirmed.is_none()
            && trial.is_some_and(|digest| story.nature_of(digest) == Nature::Deadly)
            && story.nature_of(&story.digest(story.len() - 1)) != Nature::Good
    }

    /// The disk gets a new state. Checks what a last known good must be.
    pub(crate) fn save(&mut self, state: SavedState, now: Duration) {
        self.prove(now);
        if let Some(confirmed) = &state.confirmed {
            assert!(
                self.proven.contains(&confirmed.digest),
                "{}: the last known good did not survive a probation",
                self.id
            );
        }
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

    /// After every event: the fence never falls.
    pub(crate) fn check_fence(&mut self) {
        let Some(engine) = &self.engine else { return };
        let Some(report) = engine.standing().remove(&config()) else {
            return;
        };
        // Where nothing runs there is nothing to protect.
        assert!(
            report.generation >= self.fence || self.runs.is_none(),
            "{}: the fence fell",
            self.id
        );
        self.fence = report.generation;
    }

    /// When all is quiet: what runs is what was told, or the program has said why not.
    pub(crate) fn check_settled(&self, story: &Story) {
        let only_deadly = self.has_only_what_kills_it(story);
        let Some(engine) = &self.engine else {
            assert!(only_deadly, "{}: not running at the end", self.id);
            return;
        };
        let report = engine.standing().remove(&config()).unwrap();
        let wanted = story.digest(story.len() - 1);
        let runs = self.runs.as_ref().map(|(target, _)| &target.digest);
        assert_eq!(
            report.running.as_ref().map(|running| &running.digest),
            runs,
            "{}: says that it runs what it does not",
            self.id
        );
        match story.nature_of(&wanted) {
            Nature::Good => {
                assert_eq!(runs, Some(&wanted), "{}: a version was lost: {report:?}", self.id);
                assert_eq!(report.state, ReportState::Confirmed, "{}: {report:?}", self.id);
            }
            Nature::Refused | Nature::Deadly if only_deadly => {
                assert_ne!(report.state, ReportState::Confirmed, "{}: {report:?}", self.id);
            }
            Nature::Refused | Nature::Deadly => {
                assert_ne!(runs, Some(&wanted), "{}: runs what kills it", self.id);
                assert_eq!(report.state, ReportState::Failed, "{}: {report:?}", self.id);
                let known_good = self.disk.confirmed.as_ref().map(|target| &target.digest);
                assert!(
                    runs.is_some() || known_good.is_none(),
                    "{}: runs nothing: {report:?}",
                    self.id
                );
            }
        }
    }
}
