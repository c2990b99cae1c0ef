//! What must hold, whatever happens: the invariants that can be seen from outside, by name.
//!
//! What is known here is known to nobody in the world: it outlives every crash and every copy that was put back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_client::engine::{Directive, SavedState, Target};
use headwater_core::rollout::{OnHalt, Policy, Quorum, Rollout, Share, State, Tally};
use headwater_core::{Content, RepoState};
use headwater_wire::{CommitId, Digest, Generation, InstanceId, Phase};

use crate::instance::Name;
use crate::replica::{Told, config, told};
use crate::world::Manner;

/// What a state may last longer than its deadline: the members are counted anew after a restart, and then looked at.
const SLACK: Duration = Duration::from_secs(100);

#[derive(Debug)]
pub(crate) struct Laws {
    /// Where replicas have stores of their own, a number is that of one store, and says nothing here.
    manner: Manner,
    /// What a number means.
    meaning: BTreeMap<Generation, Option<Digest>>,
    /// Numbers under which instances were told to get ready, and what was decided of them.
    asked: BTreeMap<Generation, Option<Decided>>,
    /// Numbers under which something is to be run.
    active: BTreeSet<Generation>,
    /// Instances that were durably ready under a number.
    ready: BTreeMap<Generation, BTreeSet<InstanceId>>,
    /// The newest number that was given out.
    newest: Generation,
    /// The highest number that an instance was told.
    told: BTreeMap<InstanceId, Generation>,
    /// The document that an instance was told under a number.
    words: BTreeMap<(InstanceId, Generation), Digest>,
    /// Instances that have run a version.
    ran: BTreeMap<CommitId, BTreeSet<InstanceId>>,
    /// Instances that the rollout of this name has told to run its target.
    exposed: (String, BTreeSet<InstanceId>),
    /// Who was known when the step was planned that is being taken.
    known: BTreeSet<InstanceId>,
    /// Contents that everybody may have: what a rollout brought to its end, or is moved at once.
    released: Vec<Content>,
    /// Content that a rollout left, and that no commit and no person has let in again.
    left: Option<Content>,
    /// Rollouts that have left their content; a copy that is put back may show one of them again.
    leavers: BTreeSet<String>,
    /// The state that was seen last, and since when.
    lasting: Option<(String, u64, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decided {
    Activate,
    Abort,
}

impl Laws {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            meaning: BTreeMap::new(),
            asked: BTreeMap::new(),
            active: BTreeSet::new(),
            ready: BTreeMap::new(),
            newest: Generation(0),
            told: BTreeMap::new(),
            words: BTreeMap::new(),
            ran: BTreeMap::new(),
            exposed: (String::new(), BTreeSet::new()),
            known: BTreeSet::new(),
            released: Vec::new(),
            left: None,
            leavers: BTreeSet::new(),
            lasting: None,
        }
    }

    /// Something was decided and kept, and nobody was told yet.
    pub(crate) fn decided(&mut self, before: &RepoState, after: &RepoState, names: &[&Name]) {
        if self.manner == Manner::AtOnce {
            return;
        }
        assert!(
            after.generation >= self.newest,
            "I7 no-regress: the newest number falls from {} to {}",
            self.newest,
            after.generation
        );
        self.newest = after.generation;
        self.mean(after);
        self.check_released(before, after);
        let rollouts = (before.moving_of(&config()), after.moving_of(&config()));
        self.check_activation(rollouts);
        self.settle(after);
        if let Some(rollout) = after.moving_of(&config()) {
            self.check_exposure(after, rollout, names);
            if rollouts
                .0
                .is_none_or(|old| old.opened.len() < rollout.opened.len())
            {
                self.check_radius(before, after, names);
            }
        }
        let ended = after.ended.iter().rev().take(3);
        ended.chain(after.moving()).for_each(|rollout| {
            self.note_left(rollout);
        });
    }

    fn mean(&mut self, state: &RepoState) {
        if let Some(target) = state.targets.get(&config()) {
            self.means(target.generation, &target.content);
            self.active.insert(target.generation);
        }
        let Some(rollout) = state.moving_of(&config()) else {
            return;
        };
        for opened in &rollout.opened {
            self.means(opened.generation, &rollout.target.content);
            if opened.phase == Phase::Active {
                self.active.insert(opened.generation);
            } else {
                self.asked.entry(opened.generation).or_default();
            }
        }
    }

    fn means(&mut self, generation: Generation, content: &Content) {
        let meant = self
            .meaning
            .entry(generation)
            .or_insert_with(|| content.documents.clone());
        assert_eq!(
            *meant, content.documents,
            "I6 one-epoch-one-digest: {generation} means two contents"
        );
    }

    /// What is everybody's was released: by the end of a rollout, at once, or before anybody looked.
    fn check_released(&mut self, before: &RepoState, after: &RepoState) {
        let done = after.ended.iter().filter(|rollout| rollout.state == State::Done);
        self.released
            .extend(done.map(|rollout| rollout.target.content.clone()));
        let Some(stable) = after.targets.get(&config()) else {
            return;
        };
        if before.targets.is_empty() {
            self.released.push(stable.content.clone());
        }
        let mut released = self.released.iter();
        assert!(
            released.any(|released| released.is_same(&stable.content)),
            "I11 blast-radius: everybody is told {}, which no rollout released",
            stable.version
        );
    }

    /// A person goes back to this content, which everybody had, or may have had before anybody looked.
    pub(crate) fn goes_back(&mut self, content: &Content) {
        let is_older = !self.released.iter().any(|released| released.is_same(content));
        self.released.extend(is_older.then(|| content.clone()));
        self.left.take_if(|left| left.is_same(content));
    }

    /// Who is to switch together was ready before.
    fn check_activation(&mut self, (before, after): (Option<&Rollout>, Option<&Rollout>)) {
        let (Some(before), Some(after)) = (before, after) else {
            return;
        };
        let (State::Preparing { required, .. }, State::Exposing { .. }) = (&before.state, &after.state)
        else {
            return;
        };
        let generation = before.opened.last().unwrap().generation;
        // One decision may end a rollout and begin the next.
        if before.id != after.id {
            return;
        }
        let ready = self.ready.entry(generation).or_default();
        let is_ready = required
            .iter()
            .filter(|instance| ready.contains(*instance))
            .count();
        let enough = match before.policy.quorum {
            Quorum::All => required.len(),
            Quorum::Percent(percent) => (required.len() * usize::from(percent)).div_ceil(100),
        };
        assert!(
            is_ready >= enough,
            "I1 all-ready: {generation} is activated with {is_ready} of {} ready",
            required.len()
        );
    }

    /// What became of the numbers under which instances got ready.
    fn settle(&mut self, state: &RepoState) {
        let moving = state.moving_of(&config());
        let opened = |generation: &Generation| {
            let rollout = moving.filter(|rollout| !rollout.state.is_back())?;
            rollout
                .opened
                .iter()
                .find(|opened| opened.generation == *generation)
        };
        for (generation, decided) in &mut self.asked {
            let now = match opened(generation).map(|opened| opened.phase) {
                Some(Phase::Prepare | Phase::Other) => continue,
                Some(Phase::Active) => Decided::Activate,
                // What ended after it was activated was activated.
                None => decided.unwrap_or(Decided::Abort),
            };
            assert!(
                decided.is_none_or(|before| before == now),
                "I5 one-decision: {generation} was decided both ways"
            );
            *decided = Some(now);
        }
    }

    /// Whom a rollout has told to run its target is told so until it goes back.
    fn check_exposure(&mut self, state: &RepoState, rollout: &Rollout, names: &[&Name]) {
        if self.exposed.0 != rollout.id {
            self.exposed = (rollout.id.clone(), BTreeSet::new());
        }
        if rollout.state.is_back() {
            self.exposed.1.clear();
            return;
        }
        for name in names {
            let runs_it = told(state, name).is_some_and(|told| is_exposed(&told, rollout));
            if runs_it {
                self.exposed.1.insert(name.id.clone());
            }
            assert!(
                runs_it || !self.exposed.1.contains(&name.id),
                "I10 monotone: {} was exposed by {}, and is not now",
                name.id,
                rollout.id
            );
        }
    }

    /// Of those that were known when a stage was planned, it takes no more than it may.
    fn check_radius(&self, before: &RepoState, after: &RepoState, names: &[&Name]) {
        let Some(rollout) = after.moving_of(&config()) else {
            return;
        };
        let (State::Exposing { stage, .. } | State::Preparing { stage, .. }) = rollout.state else {
            return;
        };
        let policy = &rollout.policy.stages[stage];
        let fits = |name: &&&Name| {
            let mut labels = policy.labels.globs().iter();
            self.known.contains(&name.id)
                && labels.all(|(label, value)| name.labels.get(label) == Some(value))
        };
        let there: Vec<&&Name> = names.iter().filter(fits).collect();
        let takes = |state: &RepoState| {
            let is_told = |name: &&&&Name| {
                told(state, name).is_some_and(|told| told.target.version == rollout.target.version)
            };
            there.iter().filter(is_told).count()
        };
        let already = takes(before);
        let more = if policy.labels.is_empty() { 0 } else { already };
        let limit = more
            + match policy.share {
                Share::Everyone => there.len(),
                Share::Percent(percent) => (there.len() * usize::from(percent)).div_ceil(100),
                Share::Count(count) => usize::try_from(count).unwrap(),
            };
        let told = takes(after);
        assert!(
            told <= limit.max(already),
            "I11 blast-radius: stage {stage} takes {told} of {}, {limit} may be",
            there.len()
        );
    }

    fn note_left(&mut self, rollout: &Rollout) {
        let (State::RollingBack { why, .. }
        | State::RolledBack { why }
        | State::Incomplete { why, .. }
        | State::Aborted { why }) = &rollout.state
        else {
            return;
        };
        let is_blamed = !why.is_blameless();
        if is_blamed && self.leavers.insert(rollout.id.clone()) {
            self.left = Some(rollout.target.content.clone());
        }
    }

    /// A commit with this content came, and wants it moved so.
    pub(crate) fn offered(&mut self, content: &Content, policy: &Policy) {
        if policy.is_immediate() {
            self.released.push(content.clone());
        }
        self.left.take_if(|left| !left.is_same(content));
    }

    /// A person lets in what was left.
    pub(crate) fn released(&mut self) {
        self.left = None;
    }

    /// These were known when the step was planned that is taken next.
    pub(crate) fn knows(&mut self, known: &BTreeSet<InstanceId>) {
        self.known.clone_from(known);
    }

    /// An instance is told something.
    pub(crate) fn told(&mut self, name: &Name, word: &Directive) {
        if self.manner == Manner::AtOnce {
            return;
        }
        let generation = word.target.generation;
        let digest = word.target.digest.clone();
        self.words.insert((name.id.clone(), generation), digest);
        let before = self.told.entry(name.id.clone()).or_default();
        assert!(
            generation >= *before,
            "I7 no-regress: {} was told {before}, and then {generation}",
            name.id
        );
        *before = generation;
        let is_left = self
            .left
            .as_ref()
            .is_some_and(|left| self.meaning.get(&generation) == Some(&left.documents));
        assert!(
            !is_left,
            "I12 hold: {} is told {generation}, whose content was left",
            name.id
        );
    }

    /// The disk of an instance has this.
    pub(crate) fn saved(&mut self, name: &Name, state: &SavedState) {
        let Some(fence) = state.fence.as_ref().filter(|fence| fence.phase == Phase::Prepare) else {
            return;
        };
        let told = self.words.get(&(name.id.clone(), fence.generation));
        if state.digests().any(|digest| Some(digest) == told) {
            let ready = self.ready.entry(fence.generation).or_default();
            ready.insert(name.id.clone());
        }
    }

    /// An instance has switched.
    pub(crate) fn switched(&mut self, name: &Name, target: &Target) {
        if self.manner == Manner::AtOnce {
            return;
        }
        let generation = target.generation;
        assert_ne!(
            self.asked.get(&generation),
            Some(&Some(Decided::Abort)),
            "I3 aborted-never-activates: {} switched under {generation}",
            name.id
        );
        assert!(
            self.active.contains(&generation),
            "I2 no-orphan: {} switched under {generation}, and nobody decided that",
            name.id
        );
        self.runs(name, target);
    }

    /// An instance runs this, by whatever name.
    pub(crate) fn runs(&mut self, name: &Name, target: &Target) {
        let ran = self.ran.entry(target.version.clone()).or_default();
        ran.insert(name.id.clone());
    }

    /// Who counts as running it has run it, and no state lasts longer than it may.
    pub(crate) fn counts(&mut self, rollout: &Rollout, tally: &Tally, now: Duration) {
        let counted = tally.applied + tally.confirmed;
        let ran = self.ran.get(&rollout.target.version).map_or(0, BTreeSet::len);
        assert!(
            counted <= ran as u64,
            "I13 truthful: {counted} count as running it, {ran} have"
        );
        self.check_time(rollout, now);
    }

    fn check_time(&mut self, rollout: &Rollout, now: Duration) {
        let seen = (rollout.id.clone(), rollout.steps);
        let since = match &self.lasting {
            Some((id, steps, since)) if (id, *steps) == (&seen.0, seen.1) => *since,
            Some(_) | None => {
                self.lasting = Some((seen.0, seen.1, now));
                return;
            }
        };
        let deadlines = rollout.policy.deadlines;
        let limit_ms = match &rollout.state {
            State::Preparing { .. } => deadlines.prepare_ms,
            State::Exposing { .. } => deadlines.expose_ms,
            State::Baking { stage, .. } => rollout.policy.quiet_ms(*stage) + deadlines.expose_ms,
            State::RollingBack { .. } => deadlines.roll_back_ms,
            State::Halted { .. } => match rollout.policy.on_halt {
                OnHalt::RollBackAfter(ms) => ms,
                OnHalt::Stay => return,
            },
            State::Due { stage, .. } if !rollout.policy.stages[*stage].approval => 0,
            State::Due { .. }
            | State::Paused { .. }
            | State::Done
            | State::RolledBack { .. }
            | State::Incomplete { .. }
            | State::Aborted { .. }
            | State::Superseded => return,
        };
        assert!(
            now.saturating_sub(since) <= Duration::from_millis(limit_ms) + SLACK,
            "I9 no-wedge: {:?} since {since:?}",
            rollout.state
        );
    }

    /// A service that comes back begins to count anew.
    pub(crate) fn began_anew(&mut self) {
        self.lasting = None;
    }

    /// A copy was put back. What was decided since is known to nobody; what it believes undecided may have been decided.
    pub(crate) fn restored(&mut self, state: &RepoState) {
        self.left = None;
        self.exposed.1.clear();
        // What is told below what was told before is refused, and told again above it.
        self.told.clear();
        self.asked.retain(|_, decided| decided.is_some());
        self.newest = state.generation;
        self.mean(state);
    }
}

fn is_exposed(told: &Told, rollout: &Rollout) -> bool {
    told.phase == Phase::Active && told.target.version == rollout.target.version
}
