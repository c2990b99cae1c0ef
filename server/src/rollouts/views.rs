//! What is told of the rollouts of a repository, as they stand at the moment of asking.
//!
//! Invariant: counted anew for each question, so that an order is seen at once, and bounded: more than a list holds is
//! said and left out. A config that is moved at once is told of while somebody does not run it yet, or when it is
//! asked for. What is deliberately absent: words, which are those of the rollout itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headwater_core::rollout::{Course, Rollout, State, immediate, immediate_id};
use headwater_core::{Target, Uptime};
use headwater_wire::{CommitId, ConfigName, RolloutList, RolloutState, RolloutView, Timestamp};

use crate::clock;
use crate::publish::Published;
use crate::repo::{Repo, RepoError};
use crate::task;

/// Rollouts of one list.
const LIST_MAX: usize = 1_000;
/// Longest time for a list.
const LIST_DEADLINE: Duration = Duration::from_secs(20);

/// Which rollouts are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Those of this config.
    pub config: Option<ConfigName>,
    /// Those in this state.
    pub state: Option<RolloutState>,
    /// Whether what was decided is told of each.
    pub steps: Steps,
}

/// Whether a list tells what was decided of each rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Steps {
    /// It does not: most readers want to know where they stand.
    #[default]
    LeftOut,
    /// It does.
    Told,
}

/// What people may have to be told of, beside what ended well.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Rollouts that move, and those whose content is held back since they left it; each with its number of steps.
    pub rollouts: Vec<(RolloutView, u64)>,
    /// Configs that nothing moves, where somebody does not run what is stable.
    pub outstanding: Vec<RolloutView>,
}

/// A repository at one moment.
struct Moment<'a> {
    repo: &'a Repo,
    published: Arc<Published>,
    now: Timestamp,
    uptime: Uptime,
}

impl Repo {
    /// The rollouts that are wanted.
    pub(crate) async fn rollout_list(self: &Arc<Self>, wanted: Wanted) -> Result<RolloutList, RepoError> {
        let repo = self.clone();
        let work = move || Moment::of(&repo).list(&wanted);
        Ok(task::blocking(LIST_DEADLINE, work).await?)
    }

    /// What people may have to be told of, as a list of rollouts tells it.
    pub(crate) async fn standing(self: &Arc<Self>) -> Result<Standing, RepoError> {
        let repo = self.clone();
        let work = move || Moment::of(&repo).standing();
        Ok(task::blocking(LIST_DEADLINE, work).await?)
    }

    /// One rollout, whole.
    pub(crate) async fn rollout_view(self: &Arc<Self>, id: String) -> Result<Option<RolloutView>, RepoError> {
        let repo = self.clone();
        let work = move || Moment::of(&repo).one(&id);
        Ok(task::blocking(LIST_DEADLINE, work).await?)
    }

    /// What brought these commits to instances, newest last; of each config the newest rollout.
    pub(crate) async fn brought_by(
        self: &Arc<Self>,
        commits: BTreeSet<CommitId>,
    ) -> Result<BTreeMap<CommitId, Vec<RolloutView>>, RepoError> {
        // Most commits were brought by none, and pages of history ask for many.
        let published = self.board.read();
        let state = &published.state;
        if state
            .ended
            .iter()
            .chain(state.moving())
            .all(|rollout| !commits.contains(&rollout.source))
        {
            return Ok(BTreeMap::new());
        }
        let repo = self.clone();
        let work = move || Moment::of(&repo).brought_by(&commits);
        Ok(task::blocking(LIST_DEADLINE, work).await?)
    }
}

impl<'a> Moment<'a> {
    fn of(repo: &'a Repo) -> Self {
        Self {
            repo,
            published: repo.board.read(),
            now: clock::now(),
            uptime: repo.moment().uptime,
        }
    }

    fn list(&self, wanted: &Wanted) -> RolloutList {
        let state = &self.published.state;
        let is_wanted = |config: &ConfigName| wanted.config.as_ref().is_none_or(|wanted| wanted == config);
        let stored = state.moving().chain(state.ended.iter().rev());
        let stored = stored
            .filter(|rollout| is_wanted(&rollout.config))
            .map(|rollout| self.stored(rollout));
        let at_once = state.targets.iter().filter(|(config, _)| is_wanted(config));
        let at_once = at_once.filter_map(|(config, stable)| self.at_once(config, stable));
        let outstanding = at_once.filter(|view| wanted.config.is_some() || view.state != RolloutState::Done);
        let mut rollouts: Vec<RolloutView> = stored
            .chain(outstanding)
            .filter(|view| wanted.state.is_none_or(|state| view.state == state))
            .collect();
        // Stable: those that are over stay in their order.
        rollouts.sort_by_key(|view| (!view.state.needs_a_person(), view.state.is_final()));
        let left_out = rollouts.len().saturating_sub(LIST_MAX) as u64;
        rollouts.truncate(LIST_MAX);
        if wanted.steps == Steps::LeftOut {
            for view in &mut rollouts {
                view.timeline.clear();
            }
        }
        RolloutList { rollouts, left_out }
    }

    fn standing(&self) -> Standing {
        let state = &self.published.state;
        let over = state.ended.iter().filter(|rollout| {
            let newest = state.ended.iter().rfind(|ended| ended.config == rollout.config);
            newest.is_some_and(|newest| newest.id == rollout.id) && self.is_held_back(rollout)
        });
        let rollouts = state.moving().chain(over);
        let outstanding = state.targets.iter();
        let outstanding = outstanding.filter_map(|(config, stable)| self.at_once(config, stable));
        Standing {
            rollouts: rollouts
                .map(|rollout| (self.stored(rollout), rollout.steps))
                .collect(),
            outstanding: outstanding
                .filter(|view| view.state != RolloutState::Done)
                .collect(),
        }
    }

    /// Whether what a rollout went back from is kept from instances still.
    fn is_held_back(&self, rollout: &Rollout) -> bool {
        let state = &self.published.state;
        let course = state.courses.get(&rollout.config);
        let left = course.and_then(Course::holding);
        rollout.state.is_back()
            && (left.is_some_and(|left| left.id == rollout.id)
                || state.withheld.contains_key(&rollout.config))
    }

    fn one(&self, id: &str) -> Option<RolloutView> {
        let state = &self.published.state;
        if let Some(rollout) = state.rollout(id) {
            return Some(self.stored(rollout));
        }
        let mut stable = state.targets.iter();
        let (config, stable) = stable.find(|(config, stable)| immediate_id(config, &stable.version) == id)?;
        Some(self.immediate(config, stable))
    }

    fn brought_by(&self, commits: &BTreeSet<CommitId>) -> BTreeMap<CommitId, Vec<RolloutView>> {
        let state = &self.published.state;
        let mut newest: BTreeMap<(&CommitId, &ConfigName), &Rollout> = BTreeMap::new();
        for rollout in state.ended.iter().chain(state.moving()) {
            if commits.contains(&rollout.source) {
                newest.insert((&rollout.source, &rollout.config), rollout);
            }
        }
        let mut brought: BTreeMap<CommitId, Vec<RolloutView>> = BTreeMap::new();
        for ((commit, _), rollout) in newest {
            brought
                .entry(commit.clone())
                .or_default()
                .push(self.stored(rollout));
        }
        brought
    }

    /// One that was stored, whether or not it is over.
    fn stored(&self, rollout: &Rollout) -> RolloutView {
        if !rollout.state.is_final() {
            return self.moving(rollout);
        }
        self.published.state.view_over(rollout, self.now)
    }

    fn moving(&self, rollout: &Rollout) -> RolloutView {
        let mut rollout = self.repo.rollouts.with_signals(rollout);
        let state = &self.published.state;
        let since = state.passed_until.map_or(0, |until| self.uptime.ms_since(until));
        rollout.pass(since);
        let tally = self.repo.tally(&rollout, self.uptime);
        let mut view = rollout.view(Some(&tally), self.now);
        let course = state.courses.get(&rollout.config);
        let queued = course.and_then(|course| course.queued.as_ref());
        view.queued = queued.map(|offer| offer.facts.version.clone());
        view
    }

    /// A config that is moved at once, unless a rollout moves it. Where one has brought what it holds, that tells of it, and
    /// here stand only those that do not run it since.
    fn at_once(&self, config: &ConfigName, stable: &Target) -> Option<RolloutView> {
        let state = &self.published.state;
        if state.moving_of(config).is_some() {
            return None;
        }
        let view = self.immediate(config, stable);
        let newest = state.ended.iter().rfind(|ended| ended.config == *config);
        let is_brought = newest
            .is_some_and(|newest| newest.state == State::Done && newest.target.version == stable.version);
        (!is_brought || view.state != RolloutState::Done).then_some(view)
    }

    fn immediate(&self, config: &ConfigName, stable: &Target) -> RolloutView {
        let fleet = self.repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let stable = (stable, &self.published.state.stand_ins);
        immediate(config, stable, fleet.members(config, self.uptime), self.now)
    }
}
