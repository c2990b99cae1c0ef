//! One replica of the service: its real state, its real comparison, its disk, and who watches it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_client::engine::Directive as Word;
use headwater_core::rollout::{Directive, Liveness, RollCall, Rollout, Tally, by_content, plan, tally};
use headwater_core::{
    Answer, Arrival, Command, Comparison, ConfigFacts, Due, FenceCheck, Fleet, Freshness, Heartbeat, Held,
    Moment, Relation, RepoState, Target, Token, Uptime, compare,
};
use headwater_wire::{
    ChangeKind, CommitId, ConfigName, FailPhase, Generation, InstanceId, InstanceReport, Phase, ReportAnswer,
    Timestamp, VersionEvent,
};

use crate::instance::Name;
use crate::story::{Story, commit, place};
use crate::world::Wrong;

/// A connection of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) instance: usize,
    pub(crate) connection: u64,
    /// What was told on it last, or said to be held at its beginning.
    pub(crate) told: Option<Token>,
    /// Generation that was told last, so that a raise is told too.
    pub(crate) generation: Option<Generation>,
}

#[derive(Debug, Default)]
pub(crate) struct Replica {
    /// What is shown.
    pub(crate) state: RepoState,
    /// What is on its disk.
    kept: Vec<u8>,
    /// A copy of that.
    backup: Option<Vec<u8>>,
    pub(crate) fleet: Fleet,
    pub(crate) watchers: Vec<Watcher>,
    /// Counts the processes; what was planned by one that is gone comes to nothing.
    pub(crate) process: u64,
    /// When its process began.
    began: Duration,
    /// How wrong its clock on the wall is.
    pub(crate) skew_ms: i64,
    /// Newest commit that it has heard of, and one more.
    pub(crate) heard: usize,
}

/// Steps that are due, and who was known when they were planned.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) due: Vec<Due>,
    pub(crate) known: BTreeSet<InstanceId>,
}

/// What one instance should hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) target: Target,
    pub(crate) generation: Generation,
    pub(crate) phase: Phase,
}

pub(crate) fn config() -> ConfigName {
    "app".parse().unwrap()
}

/// What an instance should hold, by a state.
pub(crate) fn told(state: &RepoState, name: &Name) -> Option<Told> {
    let directive = state.directive(&config(), Some((&name.id, &name.labels)))?;
    let (target, phase) = match directive {
        Directive::Baseline(_) => (state.targets.get(&config())?.clone(), Phase::Active),
        Directive::Prepare(_) => (state.target_of(state.moving_of(&config())?)?, Phase::Prepare),
        Directive::Target(_) => (state.target_of(state.moving_of(&config())?)?, Phase::Active),
    };
    Some(Told {
        target,
        generation: directive.generation(),
        phase,
    })
}

impl Told {
    pub(crate) fn token(&self, story: &Story, variant: usize) -> Token {
        let representation = (self.phase == Phase::Prepare).then(|| "prepare".to_owned());
        Token {
            representation,
            ..Token::new(
                &self.target.version,
                &story.digest(place(&self.target.version), variant),
            )
        }
    }

    pub(crate) fn word(&self, story: &Story, variant: usize, change: ChangeKind) -> Word {
        let target = headwater_client::engine::Target {
            version: self.target.version.clone(),
            digest: story.digest(place(&self.target.version), variant),
            token: headwater_client::Token::new(&self.token(story, variant).to_string()),
            generation: self.generation,
        };
        Word {
            config: config(),
            phase: self.phase,
            change,
            target,
        }
    }
}

impl Replica {
    /// What an admission of a commit says; those before it are skipped, as when several were pushed at once.
    pub(crate) fn arrival(&self, story: &Story, at: usize, now: Duration) -> Command {
        let facts = ConfigFacts {
            version: commit(story.version(at)),
            content: story.content(at),
        };
        let policy = story.policy(at);
        let policies = (!policy.is_immediate()).then(|| (config(), policy.clone()));
        Command::Admit(Box::new(Arrival {
            commit: commit(at),
            depth: u64::try_from(at).unwrap() + 1,
            configs: BTreeMap::from([(config(), facts)]),
            policies: policies.into_iter().collect(),
            urgency: story.urgency(at),
            at: self.wall(now),
        }))
    }

    /// The number of commits up to the tip.
    pub(crate) fn admitted(&self) -> usize {
        self.state.tip.as_ref().map_or(0, |tip| place(tip) + 1)
    }

    /// What is decided is kept.
    pub(crate) fn keep(&mut self, state: &RepoState) {
        self.kept = serde_json::to_vec(state).unwrap();
    }

    /// The state in which time has passed until now.
    pub(crate) fn state_now(&self, now: Duration) -> RepoState {
        let mut state = self.state.clone();
        state.pass_until(self.uptime(now));
        state
    }

    /// The process ends, and another one begins with what was kept.
    pub(crate) fn restart(&mut self, now: Duration) {
        self.state = serde_json::from_slice(&self.kept).unwrap_or_default();
        self.fleet = Fleet::default();
        self.watchers.clear();
        self.process += 1;
        self.began = now;
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = Some(self.kept.clone());
    }

    /// The copy is put back, as the store does it: what follows is kept before anybody is told.
    pub(crate) fn restore(&mut self, now: Duration, wrong: Wrong) -> bool {
        let Some(copy) = self.backup.take() else {
            return false;
        };
        self.kept = copy;
        self.restart(now);
        if wrong == Wrong::GoesOnFromACopy {
            return true;
        }
        // As the store does it: more numbers than any service gives out, since a raise may skip many at once.
        let missed = 1 << 32;
        let at = self.wall(now);
        self.state.apply(Command::Restored { missed, at }).unwrap();
        self.keep(&self.state.clone());
        true
    }

    /// The store is gone: decisions are made again from Git, and counts begin at the depth of the history.
    pub(crate) fn lose_store(&mut self, now: Duration) {
        self.kept.clear();
        self.restart(now);
    }

    /// Plans what is due, as the driver does.
    pub(crate) fn plan(&self, state: &RepoState, now: Duration) -> (Planned, Option<(Rollout, Tally)>) {
        let uptime = self.uptime(now);
        let roll_call = if uptime.0 > Heartbeat::default().live_ms() {
            RollCall::Over
        } else {
            RollCall::Running
        };
        let members = self.fleet.members(&config(), uptime);
        let known = members.filter(|member| member.liveness != Liveness::Lost);
        let known = known.map(|member| member.instance.clone()).collect();
        let counted = state.moving_of(&config()).map(|rollout| {
            let members = self.fleet.members(&config(), uptime);
            let tally = by_content(members, (&config(), &state.stand_ins), |members| {
                tally(rollout, members, roll_call)
            });
            (rollout.clone(), tally)
        });
        let step = counted
            .as_ref()
            .and_then(|(rollout, tally)| plan(rollout, tally, self.wall(now)));
        let due = counted.as_ref().zip(step).map(|((rollout, tally), step)| Due {
            config: config(),
            id: rollout.id.clone(),
            after: rollout.steps,
            step,
            counts: Some(rollout.counts(tally)),
            at: self.wall(now),
        });
        let due = due.into_iter().collect();
        (Planned { due, known }, counted)
    }

    /// What an instance that holds `held` is told, if anything.
    pub(crate) fn look(
        &self,
        story: &Story,
        name: &Name,
        held: Option<&Token>,
    ) -> Option<(Told, ChangeKind)> {
        let told = told(&self.state, name)?;
        let version = &told.target.version;
        let token = told.token(story, name.variant);
        let stood_for =
            held.and_then(|held| Some((self.state.stand_ins.of(&config(), &held.version)?, held)));
        let translated = stood_for.map(|(came, held)| Token {
            version: came.clone(),
            ..held.clone()
        });
        let held = translated.as_ref().or(held);
        let mut comparison = Comparison {
            held,
            target: &token,
            relation: Relation::Unknown,
            restores: false,
            held_is_on_branch: held.is_some_and(|held| story.is_on_branch(place(&held.version))),
            freshness: Freshness::Fresh,
        };
        if let Some(held) = held.filter(|held| held.version != *version) {
            let relation = if self.state.is_unborn(&held.version) {
                Relation::Ancestor
            } else {
                relation(&held.version, version)
            };
            let held = Held {
                version: &held.version,
                relation,
                is_in_tip: place(&held.version) < self.admitted(),
            };
            (comparison.relation, comparison.restores) = self.state.relate(&config(), held, &told.target);
        }
        match compare(&comparison) {
            Answer::Target(change) => Some((told, change)),
            Answer::UpToDate | Answer::Hold | Answer::AskUpstream | Answer::ReplicaBehind => None,
        }
    }

    /// The command that has what an instance is told said again, if it would refuse it.
    pub(crate) fn raise(&self, name: &Name, report: &InstanceReport) -> Option<Command> {
        let report = report.configs.get(&config())?;
        let told = told(&self.state, name)?;
        let seen = report.generation;
        let refused = report
            .error
            .as_ref()
            .is_some_and(|error| error.phase == FailPhase::Fence);
        let raises = match self.state.fence_of(told.generation, seen) {
            FenceCheck::Overtaken => true,
            FenceCheck::Equal => refused,
            FenceCheck::Above | FenceCheck::Absurd => false,
        };
        raises.then(|| Command::RaiseGeneration {
            config: config(),
            above: seen,
        })
    }

    /// Takes a report: newest first. The answer tells which one is the newest.
    pub(crate) fn take(&mut self, name: &Name, report: &InstanceReport, now: Duration) -> ReportAnswer {
        let moment = Moment {
            at: self.wall(now),
            uptime: self.uptime(now),
        };
        let (_, newest) = self.fleet.take(&name.id, report.clone(), moment).unwrap();
        let newest = &newest.report;
        ReportAnswer {
            accepted: newest.incarnation == report.incarnation && newest.seq == report.seq,
            incarnation: newest.incarnation,
            seq: newest.seq,
            heartbeat_ms: 30_000,
            assignments: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// What the answer assigns, by the same comparison as the watch.
    pub(crate) fn assign(&self, story: &Story, name: &Name, report: &InstanceReport) -> Option<VersionEvent> {
        let running = report.configs.get(&config())?.running.as_ref();
        let held = running.map(|running| Token::new(&running.version, &running.digest));
        let (told, change) = self.look(story, name, held.as_ref())?;
        let word = told.word(story, name.variant, change);
        Some(event(&told.token(story, name.variant), &word))
    }

    fn uptime(&self, now: Duration) -> Uptime {
        Uptime(u64::try_from(now.saturating_sub(self.began).as_millis()).unwrap())
    }

    /// What its clock on the wall says.
    pub(crate) fn wall(&self, now: Duration) -> Timestamp {
        wall(now, self.skew_ms)
    }
}

/// What a clock on the wall says that is so wrong.
pub(crate) fn wall(now: Duration, skew_ms: i64) -> Timestamp {
    const BEGAN_MS: i64 = 1_800_000_000_000;
    Timestamp(BEGAN_MS + i64::try_from(now.as_millis()).unwrap() + skew_ms)
}

fn relation(held: &CommitId, target: &CommitId) -> Relation {
    if place(held) < place(target) {
        Relation::Ancestor
    } else {
        Relation::Descendant
    }
}

fn event(token: &Token, word: &Word) -> VersionEvent {
    let target = &word.target;
    VersionEvent {
        config: word.config.clone(),
        token: token.to_string(),
        version: target.version.clone(),
        tip: target.version.clone(),
        change: word.change,
        phase: word.phase,
        generation: target.generation,
        digest: target.digest.clone(),
        size: 2,
        document: None,
    }
}
