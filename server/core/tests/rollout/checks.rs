//! What must hold, whatever happens: the invariants of a rollout that can be seen from outside, by name.
//!
//! What is known here is known to nobody in the world: it outlives every crash and every restored copy.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::rollout::{OnHalt, Quorum, Rollout, Share, State, Step, Tally, Why};
use headwater_wire::{CommitId, Generation, InstanceId, Phase};

use crate::commit;
use crate::coordinator::{Coordinator, Decision, Kept};
use crate::instance::{Instance, Message};

pub(crate) type Check = Result<(), String>;

const ROLL_CALL_MS: u64 = 70_000;

#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Instances that were ever ready under a number.
    ready: BTreeMap<Generation, BTreeSet<InstanceId>>,
    /// What a number means.
    meaning: BTreeMap<Generation, CommitId>,
    /// Numbers under which instances were asked to get ready.
    asked: BTreeSet<Generation>,
    decided: BTreeMap<Generation, bool>,
    /// The highest number that an instance was told.
    told: BTreeMap<InstanceId, Generation>,
    /// Versions that an instance has run.
    ran: BTreeMap<InstanceId, BTreeSet<CommitId>>,
    /// Instances that the rollout of this name told to run its target.
    exposed: (String, BTreeSet<InstanceId>),
    /// Who had to hold the target before the newest stage opened, and whom the coordinator knew then.
    opened: (BTreeSet<InstanceId>, BTreeSet<InstanceId>),
    /// Content that a rollout left, and that no commit and no person has let in again.
    left: Option<CommitId>,
    /// Rollouts that have left their content; a restored copy may show one of them again.
    leavers: BTreeSet<String>,
    /// The state that was seen last, and since when.
    lasting: Option<(State, u64)>,
}

impl Checks {
    /// An instance begins with what it has.
    pub(crate) fn began(&mut self, instance: &Instance) {
        let ran = self.ran.entry(instance.id.clone()).or_default();
        ran.insert(instance.active.clone());
    }

    pub(crate) fn is_ready(&mut self, instance: &InstanceId, generation: Generation) {
        self.ready.entry(generation).or_default().insert(instance.clone());
    }

    /// An instance has switched.
    pub(crate) fn activated(
        &mut self,
        coordinator: &Coordinator,
        instance: &InstanceId,
        (generation, version): (Generation, &CommitId),
    ) -> Check {
        self.ran
            .entry(instance.clone())
            .or_default()
            .insert(version.clone());
        self.means(generation, version)?;
        let kept = &coordinator.kept;
        if kept.aborted.contains(&generation) {
            return Err(format!(
                "I3 aborted-never-activates: {instance} switched under {generation}"
            ));
        }
        let is_decided = kept.activated.contains(&generation) || self.decided.get(&generation) == Some(&true);
        if self.asked.contains(&generation) && !is_decided {
            return Err(format!(
                "I2 no-orphan: {instance} switched under {generation}, which is undecided"
            ));
        }
        if generation > kept.newest && generation > coordinator.backup.newest {
            return Err(format!(
                "I2 no-orphan: {instance} switched under {generation}, which is not kept"
            ));
        }
        Ok(())
    }

    fn means(&mut self, generation: Generation, version: &CommitId) -> Check {
        let meant = self.meaning.entry(generation).or_insert_with(|| version.clone());
        if meant != version {
            return Err(format!(
                "I6 one-epoch-one-digest: {generation} is {meant} and {version}"
            ));
        }
        Ok(())
    }

    /// An instance is told something.
    pub(crate) fn says(
        &mut self,
        coordinator: &Coordinator,
        instance: &Instance,
        message: &Message,
    ) -> Check {
        let id = &instance.id;
        self.means(message.generation, &message.version)?;
        let before = self.told.entry(id.clone()).or_default();
        if message.generation < *before {
            return Err(format!(
                "I7 no-regress: {id} was told {before}, and then {}",
                message.generation
            ));
        }
        *before = message.generation;
        if self.left.as_ref() == Some(&message.version) {
            return Err(format!(
                "I12 hold: {id} is told {}, which was left",
                message.version
            ));
        }
        let Some(rollout) = coordinator.live.rollout() else {
            return Ok(());
        };
        if rollout.state.is_final() || rollout.state.is_back() {
            return Ok(());
        }
        if self.exposed.0 != rollout.id {
            self.exposed = (rollout.id.clone(), BTreeSet::new());
        }
        if message.phase == Phase::Active && message.version == rollout.target.version {
            self.exposed.1.insert(id.clone());
        } else if self.exposed.1.contains(id) {
            return Err(format!(
                "I10 monotone: {id} was exposed by {}, and is not now",
                rollout.id
            ));
        }
        Ok(())
    }

    /// The moment before a step is the last one at which it may be wrong.
    pub(crate) fn step(&mut self, rollout: &Rollout, step: &Step) -> Check {
        let State::Preparing { required, .. } = &rollout.state else {
            return Ok(());
        };
        if *step != Step::Activate {
            return Ok(());
        }
        let generation = rollout.opened.last().unwrap().generation;
        let ready = self.ready.entry(generation).or_default();
        let is_ready = required.iter().filter(|id| ready.contains(*id)).count();
        let enough = match rollout.policy.quorum {
            Quorum::All => required.len(),
            Quorum::Percent(percent) => (required.len() * usize::from(percent)).div_ceil(100),
        };
        if is_ready < enough {
            return Err(format!(
                "I1 all-ready: {is_ready} of {} were ready",
                required.len()
            ));
        }
        Ok(())
    }

    /// A stage is about to open.
    pub(crate) fn opens(&mut self, coordinator: &Coordinator, instances: &[Instance], now_ms: u64) {
        let Some(rollout) = coordinator.live.rollout() else {
            return;
        };
        if matches!(rollout.state, State::Due { .. }) {
            let known = coordinator.known(now_ms);
            let holds =
                |instance: &&Instance| coordinator.message(instance).version == rollout.target.version;
            let before = instances.iter().filter(holds);
            self.opened = (before.map(|instance| instance.id.clone()).collect(), known);
        }
    }

    /// A stage is open: how many may be told of those that were known when it opened. Who comes later is a join.
    pub(crate) fn radius(&self, coordinator: &Coordinator, instances: &[Instance]) -> Check {
        let Some(rollout) = coordinator.live.rollout() else {
            return Ok(());
        };
        let (State::Exposing { stage, .. } | State::Preparing { stage, .. }) = rollout.state else {
            return Ok(());
        };
        let policy = &rollout.policy.stages[stage];
        let (before, known) = &self.opened;
        let holds = |instance: &&Instance| coordinator.message(instance).version == rollout.target.version;
        let told: BTreeSet<InstanceId> = instances
            .iter()
            .filter(holds)
            .map(|instance| instance.id.clone())
            .collect();
        let there = instances
            .iter()
            .filter(|instance| known.contains(&instance.id))
            .count();
        let (told, limit) = match policy.share {
            _ if !policy.labels.is_empty() => return Ok(()),
            // A number stays what it is, whoever comes.
            Share::Count(count) => (told.difference(before).count(), usize::try_from(count).unwrap()),
            Share::Everyone => (told.intersection(known).count(), there),
            Share::Percent(percent) => {
                let share = (there * usize::from(percent)).div_ceil(100);
                (
                    told.intersection(known).count(),
                    share.max(before.intersection(known).count()),
                )
            }
        };
        if told > limit {
            return Err(format!(
                "I11 blast-radius: {told} of {there} are told, {limit} may be"
            ));
        }
        Ok(())
    }

    /// After a decision.
    pub(crate) fn decided(&mut self, live: &Kept) -> Check {
        if let Some(rollout) = live.rollout().filter(|rollout| !rollout.state.is_back()) {
            let asked = rollout
                .opened
                .iter()
                .filter(|opened| opened.phase == Phase::Prepare);
            self.asked.extend(asked.map(|opened| opened.generation));
        }
        for (generations, activates) in [(&live.activated, true), (&live.aborted, false)] {
            for generation in generations {
                if *self.decided.entry(*generation).or_insert(activates) != activates {
                    return Err(format!("I5 one-decision: {generation} was decided both ways"));
                }
            }
        }
        if let Some(rollout) = live.rollout() {
            self.note_left(rollout);
        }
        Ok(())
    }

    fn note_left(&mut self, rollout: &Rollout) {
        if let State::RollingBack { why, .. } | State::Aborted { why } = &rollout.state
            && !matches!(why, Why::Reverted { .. } | Why::Restored)
            && self.leavers.insert(rollout.id.clone())
        {
            self.left = Some(rollout.target.version.clone());
        }
    }

    /// A commit with this content came.
    pub(crate) fn offered(&mut self, content: u64) {
        if self.left.as_ref() != Some(&commit(content)) {
            self.left = None;
        }
    }

    /// What was decided since the copy is known to nobody.
    pub(crate) fn restored(&mut self) {
        self.left = None;
        self.exposed.1.clear();
    }

    /// Who counts as running it has run it.
    pub(crate) fn counts(&self, rollout: &Rollout, tally: &Tally) -> Check {
        let has_run = |ran: &&BTreeSet<CommitId>| ran.contains(&rollout.target.version);
        let ran = self.ran.values().filter(has_run).count() as u64;
        if tally.applied + tally.confirmed > ran {
            return Err(format!(
                "I13 truthful: {} count as running it, {ran} have",
                tally.applied + tally.confirmed
            ));
        }
        Ok(())
    }

    /// No state lasts longer than it may, unless a person was asked for it, or the coordinator was away.
    pub(crate) fn lasts(&mut self, rollout: &Rollout, now_ms: u64) -> Check {
        let Some((state, since_ms)) = self
            .lasting
            .as_ref()
            .filter(|(state, _)| is_same(state, &rollout.state))
        else {
            self.lasting = Some((rollout.state.clone(), now_ms));
            return Ok(());
        };
        let deadlines = rollout.policy.deadlines;
        let limit_ms = match state {
            State::Preparing { .. } => deadlines.prepare_ms,
            State::Exposing { .. } => deadlines.expose_ms,
            State::Baking { stage, .. } => rollout.policy.quiet_ms(*stage) + deadlines.expose_ms,
            State::RollingBack { .. } => deadlines.roll_back_ms,
            State::Halted { .. } => match rollout.policy.on_halt {
                OnHalt::RollBackAfter(ms) => ms,
                OnHalt::Stay => return Ok(()),
            },
            State::Due { stage, .. }
                if !rollout.policy.stages[*stage].approval && rollout.policy.freezes.is_empty() =>
            {
                0
            }
            State::Due { .. }
            | State::Paused { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => return Ok(()),
        };
        if now_ms - since_ms > limit_ms + ROLL_CALL_MS {
            return Err(format!(
                "I9 no-wedge: {state:?} since {since_ms}, and it is {now_ms}"
            ));
        }
        Ok(())
    }

    /// A coordinator that comes back begins to count anew.
    pub(crate) fn began_anew(&mut self) {
        self.lasting = None;
    }
}

fn is_same(one: &State, other: &State) -> bool {
    let stage = |state: &State| match state {
        State::Due { stage, .. }
        | State::Preparing { stage, .. }
        | State::Exposing { stage, .. }
        | State::Baking { stage, .. } => Some(*stage),
        State::Paused { .. }
        | State::Halted { .. }
        | State::RollingBack { .. }
        | State::Done
        | State::RolledBack { .. }
        | State::Incomplete { .. }
        | State::Aborted { .. }
        | State::Superseded => None,
    };
    std::mem::discriminant(one) == std::mem::discriminant(other) && stage(one) == stage(other)
}

/// The decisions alone give back what they made, but for the time that has passed.
pub(crate) fn replayed(kept: &Kept) -> Check {
    let mut again = Kept::new();
    for (decision, next) in &kept.log {
        again.newest = Generation(next.0 - 1);
        if matches!(decision, Decision::Step(_)) && again.course.rollout.is_none() {
            return Err("I21 audit-complete: a step of no rollout".to_owned());
        }
        again.take(decision.clone());
    }
    let (again, kept) = (
        timeless(&(&again.course, &again.stable)),
        timeless(&(&kept.course, &kept.stable)),
    );
    if again != kept {
        return Err(format!("I21 audit-complete: {again} and {kept}"));
    }
    Ok(())
}

fn timeless(value: &impl serde::Serialize) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        if let Some(members) = value.as_object_mut() {
            members.retain(|name, _| !["waited_ms", "baked_ms", "open_ms"].contains(&name.as_str()));
            members.values_mut().for_each(strip);
        } else if let Some(items) = value.as_array_mut() {
            items.iter_mut().for_each(strip);
        }
    }
    let mut value = serde_json::to_value(value).unwrap();
    strip(&mut value);
    value
}
