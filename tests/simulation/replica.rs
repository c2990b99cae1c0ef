//! One replica of the service: its real state, its real comparison, and who watches it.

use std::collections::BTreeMap;

use headwater_client::engine::Directive;
use headwater_core::rollout::Urgency;
use headwater_core::{
    Answer, Arrival, Command, Comparison, ConfigFacts, Content, FenceCheck, Fleet, Freshness, Moment,
    Relation, RepoState, Token, Uptime, compare,
};
use headwater_wire::{
    ChangeKind, CommitId, ConfigName, FailPhase, Generation, InstanceId, InstanceReport, Phase, ReportAnswer,
    Timestamp, VersionEvent,
};

use crate::story::{Story, commit, place};

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

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) state: RepoState,
    pub(crate) fleet: Fleet,
    pub(crate) watchers: Vec<Watcher>,
    /// Commits that were admitted here.
    pub(crate) admitted: usize,
}

pub(crate) fn config() -> ConfigName {
    "app".parse().unwrap()
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self {
            state: RepoState::default(),
            fleet: Fleet::default(),
            watchers: Vec::new(),
            admitted: 0,
        }
    }

    /// Admits everything up to a commit; those in between are skipped, as when several were pushed at once.
    pub(crate) fn admit(&mut self, story: &Story, at: usize) {
        let facts = ConfigFacts {
            version: commit(story.version(at)),
            content: Content {
                inputs: story.digest(at),
                documents: None,
            },
        };
        let arrival = Arrival {
            commit: commit(at),
            depth: u64::try_from(at).unwrap() + 1,
            configs: BTreeMap::from([(config(), facts)]),
            policies: BTreeMap::new(),
            urgency: Urgency::Usual,
            at: Timestamp(0),
        };
        self.state.apply(Command::Admit(Box::new(arrival))).unwrap();
        self.admitted = at + 1;
    }

    /// The store is gone: decisions are made again from Git, and counts begin at the depth of the history.
    pub(crate) fn lose_store(&mut self, story: &Story) {
        let admitted = self.admitted;
        *self = Self::new();
        if admitted > 0 {
            self.admit(story, admitted - 1);
        }
    }

    /// What a client that holds `held` is told, if anything. `newest` is the newest commit upstream, which a forced
    /// listing would show.
    pub(crate) fn look(
        &self,
        story: &Story,
        held: Option<&Token>,
        newest: usize,
    ) -> Option<(Token, Directive)> {
        let target = self.state.targets.get(&config())?;
        let at = place(&target.version);
        let token = story.token(at);
        let relation = held.map_or(Relation::Unknown, |held| relation(&held.version, &target.version));
        let comparison = Comparison {
            held,
            target: &token,
            relation,
            restores: held.is_some_and(|held| target.restores(&held.version)),
            held_is_on_branch: held.is_some_and(|held| place(&held.version) <= newest),
            freshness: Freshness::Fresh,
        };
        match compare(&comparison) {
            Answer::Target(change) => Some((token.clone(), self.directive(&token, change, story))),
            Answer::UpToDate | Answer::Hold | Answer::AskUpstream | Answer::ReplicaBehind => None,
        }
    }

    pub(crate) fn directive(&self, token: &Token, change: ChangeKind, story: &Story) -> Directive {
        let target = &self.state.targets[&config()];
        let at = place(&target.version);
        Directive {
            config: config(),
            phase: Phase::Active,
            change,
            target: headwater_client::engine::Target {
                version: target.version.clone(),
                digest: story.digest(at),
                token: headwater_client::Token::new(&token.to_string()),
                generation: target.generation,
            },
        }
    }

    /// Takes a report as the service does: newest first, the fence raised where it was overtaken, and an assignment
    /// by the same comparison as the watch.
    pub(crate) fn report(
        &mut self,
        story: &Story,
        instance: &InstanceId,
        report: &InstanceReport,
        (now, newest_commit): (Timestamp, usize),
    ) -> ReportAnswer {
        let (_, newest) = self.fleet.take(instance, report.clone(), moment(now)).unwrap();
        let newest = &newest.report;
        let mut answer = ReportAnswer {
            accepted: newest.incarnation == report.incarnation && newest.seq == report.seq,
            incarnation: newest.incarnation,
            seq: newest.seq,
            heartbeat_ms: 30_000,
            assignments: Vec::new(),
            unknown: Vec::new(),
        };
        let Some(config_report) = report.configs.get(&config()) else {
            return answer;
        };
        let seen = config_report.generation;
        let refused = config_report
            .error
            .as_ref()
            .is_some_and(|error| error.phase == FailPhase::Fence);
        let raise = match self.state.fence(&config(), seen) {
            FenceCheck::Overtaken => true,
            FenceCheck::Equal => refused,
            FenceCheck::Above | FenceCheck::Absurd => false,
        };
        if raise {
            let command = Command::RaiseGeneration {
                config: config(),
                above: seen,
            };
            self.state.apply(command).unwrap();
        }
        let held = config_report
            .running
            .as_ref()
            .map(|running| Token::new(&running.version, &running.digest));
        if let Some((token, directive)) = self.look(story, held.as_ref(), newest_commit) {
            answer.assignments.push(event(&token, &directive));
        }
        answer
    }
}

/// A moment of the simulation, in which no clock steps.
fn moment(now: Timestamp) -> Moment {
    Moment {
        at: now,
        uptime: Uptime(u64::try_from(now.0).unwrap()),
    }
}

fn relation(held: &CommitId, target: &CommitId) -> Relation {
    if place(held) < place(target) {
        Relation::Ancestor
    } else {
        Relation::Descendant
    }
}

fn event(token: &Token, directive: &Directive) -> VersionEvent {
    let target = &directive.target;
    VersionEvent {
        config: directive.config.clone(),
        token: token.to_string(),
        version: target.version.clone(),
        tip: target.version.clone(),
        change: directive.change,
        phase: directive.phase,
        generation: target.generation,
        digest: target.digest.clone(),
        size: 2,
        document: None,
    }
}
