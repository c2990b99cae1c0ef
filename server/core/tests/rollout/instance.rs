//! One instance, with the fence of a real client and nothing else of it.

use std::collections::BTreeMap;

use headwater_wire::{
    CommitId, ConfigReport, FailPhase, Generation, InstanceId, Phase, ReportError, ReportState, Running,
    ValueSource,
};

use crate::digest;
use crate::mutations::Mutation;

/// One word about what to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub generation: Generation,
    pub phase: Phase,
    pub version: CommitId,
}

/// What an instance makes of new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It takes it.
    Good,
    /// It refuses it.
    Refuses,
    /// It dies of it, again and again.
    Dies,
}

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub id: InstanceId,
    pub labels: BTreeMap<String, String>,
    pub nature: Nature,
    /// Whether it can be reached.
    pub reachable: bool,
    /// Durable: the highest word taken.
    pub fence: Message,
    /// Durable: what runs.
    pub active: CommitId,
    pub prepared: Option<CommitId>,
    pub state: ReportState,
    pub restarts: u32,
    /// For how long it runs what it runs.
    pub probation: u32,
}

/// What a message did, for the checkers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Nothing,
    Ready(Generation),
    Activated(Generation, CommitId),
}

impl Instance {
    pub(crate) fn new(number: usize, version: CommitId, generation: Generation) -> Self {
        Self {
            id: format!("i-{number}").parse().unwrap(),
            labels: BTreeMap::new(),
            nature: Nature::Good,
            reachable: true,
            fence: Message {
                generation,
                phase: Phase::Active,
                version: version.clone(),
            },
            active: version,
            prepared: None,
            state: ReportState::Confirmed,
            restarts: 0,
            probation: 0,
        }
    }

    pub(crate) fn take(&mut self, message: &Message, bad: &CommitId, mutation: Mutation) -> Done {
        if !self.passes(message, mutation) {
            return Done::Nothing;
        }
        self.fence = message.clone();
        if message.version == self.active {
            self.prepared = None;
            if self.state != ReportState::Applied {
                self.state = ReportState::Confirmed;
            }
            return Done::Nothing;
        }
        if message.version == *bad && self.nature == Nature::Refuses {
            self.state = ReportState::Failed;
            return Done::Nothing;
        }
        if message.phase == Phase::Prepare {
            self.prepared = Some(message.version.clone());
            self.state = ReportState::Prepared;
            return Done::Ready(message.generation);
        }
        self.activate(message.version.clone());
        Done::Activated(message.generation, message.version.clone())
    }

    pub(crate) fn activate(&mut self, version: CommitId) {
        self.active = version;
        self.prepared = None;
        self.state = ReportState::Applied;
        self.restarts = 0;
        self.probation = 0;
    }

    fn passes(&self, message: &Message, mutation: Mutation) -> bool {
        let (new, old) = (message.generation, self.fence.generation);
        // Without a fence, or with one that is forgotten together with what was staged, any other word is news.
        let forgets = mutation == Mutation::FenceByStagedCopy && self.prepared.is_none();
        if forgets || mutation == Mutation::NoFence {
            return *message != self.fence;
        }
        if new != old {
            return new > old;
        }
        message.version == self.fence.version
            && (self.fence.phase, message.phase) == (Phase::Prepare, Phase::Active)
    }

    /// A while passes: what runs proves itself, or kills it.
    pub(crate) fn live_on(&mut self, bad: &CommitId) {
        if self.state != ReportState::Applied {
            return;
        }
        if self.active == *bad && self.nature == Nature::Dies {
            self.restarts += 1;
        } else {
            self.probation += 1;
            if self.probation >= 3 {
                self.state = ReportState::Confirmed;
            }
        }
    }

    pub(crate) fn report(&self) -> ConfigReport {
        let failed = self.state == ReportState::Failed;
        ConfigReport {
            running: Some(Running {
                version: self.active.clone(),
                digest: digest(1),
            }),
            generation: self.fence.generation,
            state: self.state,
            error: failed.then(|| ReportError {
                phase: FailPhase::Validate,
                message: "no".to_owned(),
            }),
            prepared: self.prepared.clone(),
            source: ValueSource::Server,
        }
    }
}
