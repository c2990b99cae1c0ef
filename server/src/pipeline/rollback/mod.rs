//! Going back: the effect, at once and without the upstream.
//!
//! Invariant: the commit that will go to the branch is written first, into the mirror alone, and judged like any
//! other; what instances are turned to is its content. The decision, with what it holds back, is on disk before
//! anybody is told. What is deliberately absent: pushing, which is the pusher's and comes afterwards.

pub(super) mod branch;
pub(super) mod draft;
mod released;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::{
    Command, ConfigFacts, Decision, Refusal, RepoState, Rollback, RollbackState, Sight, TakenBack, Undone,
    Word,
};
use headwater_wire::{CommitId, ConfigName, Finding, HeadState, RollbackMode, Timestamp};
use tracing::info;

use super::Pipeline;
use super::admit::facts;
use super::git_thread::GitThreadError;
use super::second_person::{confirm, may_be_confirmed, meant_tip};
use super::source::RoundError;
use crate::clock;
use crate::git::error::GitError;
use crate::git::read::Reader;
use crate::git::revert::RevertError;
use crate::judge::{Judged, Purpose, judge};
use crate::repo::RepoError;
use crate::store::StoreFailure;
use crate::trace;

/// What somebody asks for; all of it was looked up.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// The request, word for word.
    pub request: String,
    /// What shall be undone; paths are found here.
    pub undone: Undone,
    /// The revision that was named, as a person typed it.
    pub rev: String,
    /// First line of the message of the commit that it names.
    pub subject: String,
    /// How the branch was known when that was looked up.
    pub sight: Sight,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub requested_by: Option<String>,
    /// The second person, where it needed one.
    pub confirmed_by: Option<String>,
    /// The tip the person has seen.
    pub expected_tip: Option<CommitId>,
    /// How it comes to the branch.
    pub mode: RollbackMode,
    /// Whether content that does not validate is wanted all the same.
    pub insists: bool,
}

/// The id of a rollback that is only foreseen. No other can have it, since theirs have a number first.
const FORECAST: &str = "forecast";

/// What a wish would come to.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// The rollback as it would be decided, with what it leaves alone.
    pub rollback: Rollback,
    /// The configs that it is about.
    pub touched: BTreeSet<ConfigName>,
    /// What it has of them.
    pub judged: Arc<Judged>,
}

/// Why nothing was rolled back, or released.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RollbackError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A rewritten history waits for a person, so nobody knows what the branch is.
    #[error("the history was rewritten, and its head is held back: {0}")]
    HistoryHeld(CommitId),
    /// A revision that is counted from somewhere has come to stand for what was gone away from.
    #[error("`{rev}` is {}, which rollback {id} went away from: {reason}", .commit.short())]
    RolledBack {
        /// The revision.
        rev: String,
        /// The commit that it names now.
        commit: CommitId,
        /// The rollback.
        id: String,
        /// Why it went back.
        reason: String,
    },
    /// Another tip than the person has seen.
    #[error("the tip of the branch is {0}")]
    TipMoved(CommitId),
    /// The commit cannot be written.
    #[error(transparent)]
    Revert(#[from] RevertError),
    /// The content does not validate.
    #[error("the content of that commit does not validate")]
    Invalid(Vec<Finding>),
    /// Neither commit has the config.
    #[error("there is no config `{0}`, neither there nor now")]
    NoSuchConfig(ConfigName),
    /// Other configs are made of the same files.
    #[error("`{0}` shares what has to go back with other configs")]
    Entangled(ConfigName, Vec<ConfigName>),
    /// The mirror could not be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The mirror could not be written.
    #[error(transparent)]
    GitThread(#[from] GitThreadError),
    /// The pipeline could not go on.
    #[error(transparent)]
    Round(#[from] RoundError),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl From<GitError> for RollbackError {
    fn from(error: GitError) -> Self {
        Self::Repo(error.into())
    }
}

impl Pipeline {
    /// Turns instances to what somebody wants back, and leaves the commit for the pusher.
    pub(super) async fn roll_back(
        &mut self,
        wish: Wish,
        word: Option<Word>,
    ) -> Result<Rollback, RollbackError> {
        let state = self.state_now();
        may_be_confirmed(&state, word.as_ref())?;
        if let Some(same) = state.same_request(&wish.request) {
            return Ok(same.clone());
        }
        let base = base(&state, wish.expected_tip.as_ref())?;
        if meant_tip(&state, word.as_ref()).is_some_and(|meant| *meant != base) {
            return Err(RollbackError::TipMoved(base));
        }
        let (decision, judged) = self.consider(&state, wish, Stamp::new()).await?;
        self.keep_draft(&judged).await?;
        self.repo.flights.begin(&judged.commit);
        let publish = || trace::span("publish");
        let rollback = trace::trying(publish, self.decide_rollback(state, decision, word)).await?;
        self.pusher.wake();
        Ok(rollback)
    }

    /// What somebody's wish comes to, up to the decision, of which nothing is kept or told: the very way that
    /// [`Self::roll_back`] goes, so that it promises nothing that is refused then.
    pub(super) async fn foresee(&self, wish: Wish) -> Result<Foreseen, RollbackError> {
        let before = self.state_now();
        let (decision, judged) = self.consider(&before, wish, Stamp::of_a_forecast()).await?;
        let (touched, asked) = (decision.touched.clone(), decision.rollback.clone());
        let mut after = before.clone();
        after.apply(Command::RollBack(Box::new(decision)))?;
        Ok(Foreseen {
            rollback: after.rollback(&asked.id).cloned().unwrap_or(asked),
            touched,
            judged,
        })
    }

    /// The commit that is wished, written and judged, and the decision that it comes to.
    async fn consider(
        &self,
        state: &RepoState,
        wish: Wish,
        stamp: Stamp,
    ) -> Result<(Decision, Arc<Judged>), RollbackError> {
        self.refuse_what_was_left(state, &wish).await?;
        let base = base(state, wish.expected_tip.as_ref())?;
        let mut rollback = begin(wish, &base, stamp);
        let written = match self.draft(&mut rollback, &base).await {
            Err(RollbackError::Revert(nothing @ RevertError::NothingToDo { .. })) => {
                return Err(self.why_nothing(&rollback, nothing).await?);
            }
            written => written?,
        };
        rollback.exposed = written.commit.clone();
        rollback.commit = written.commit.clone();
        let judged = self.judge_draft(&rollback, &written.commit).await?;
        let decision = self.weigh(state, rollback, judged.clone()).await?;
        Ok((decision, judged))
    }

    /// The branch has the content that is asked for; instances have it only if it was admitted.
    async fn why_nothing(
        &self,
        rollback: &Rollback,
        nothing: RevertError,
    ) -> Result<RollbackError, RollbackError> {
        let Undone::Restore { target, .. } = &rollback.undone else {
            return Ok(nothing.into());
        };
        let judged = self.repo.judged(target).await?;
        Ok(match judged.valid {
            Some(_) => nothing.into(),
            None => RollbackError::Invalid(judged.findings.clone()),
        })
    }

    /// After a rollback `HEAD~1` is what it went away from. Whoever says the same again, or did not know of the first
    /// one, would bring back what was bad; who wants that names the commit itself.
    async fn refuse_what_was_left(&self, state: &RepoState, wish: &Wish) -> Result<(), RollbackError> {
        let Undone::Restore { target, config, .. } = &wish.undone else {
            return Ok(());
        };
        if target.as_str().starts_with(&wish.rev) {
            return Ok(());
        }
        let (rollbacks, commit, config) = (state.rollbacks.clone(), target.clone(), config.clone());
        let look = move |reader: &Reader| Ok(left_by(reader, &rollbacks, &commit, config.as_ref())?.cloned());
        match self.repo.read(look).await? {
            None => Ok(()),
            Some(rollback) => Err(RollbackError::RolledBack {
                rev: wish.rev.clone(),
                commit: target.clone(),
                id: rollback.id,
                reason: rollback.reason,
            }),
        }
    }

    /// Lifts what a rollback holds back: instances get what the tip has.
    pub(super) async fn release(
        &self,
        id: String,
        (reason, by): (String, Option<String>),
        word: Option<Word>,
    ) -> Result<(), RollbackError> {
        let mut state = self.state_now();
        may_be_confirmed(&state, word.as_ref())?;
        let at = clock::now();
        state.apply(Command::Release {
            id: id.clone(),
            reason,
            by,
            at,
        })?;
        confirm(&mut state, word, None)?;
        self.begin_at_once(&mut state).await;
        self.keep_and_show(state).await?;
        info!(rollback = id, "a person released what {id} held back");
        Ok(())
    }

    /// The verdict on a commit of ours, and its documents. That it goes back, so that rules about the step from what is
    /// exposed do not count, follows from its trailers as it does when it comes by the branch.
    pub(super) async fn judge_draft(
        &self,
        rollback: &Rollback,
        commit: &CommitId,
    ) -> Result<Arc<Judged>, RollbackError> {
        let (reader, rules) = (self.repo.reader()?, self.repo.rules());
        let snapshot = self.repo.board.read().snapshot.clone();
        let snapshot = snapshot.ok_or(RepoError::NotReady)?;
        let against = self.repo.against(&snapshot, commit).await?;
        let measure = self.repo.measure(commit, against).await?;
        let mut judged = judge(&reader, commit, rules, measure.clone()).await?;
        if judged.valid.is_none() && rollback.insists {
            judged = judge(&reader, commit, &rules.to(Purpose::Documents), measure).await?;
        }
        if judged.valid.is_none() {
            return Err(RollbackError::Invalid(judged.findings));
        }
        Ok(Arc::new(judged))
    }

    /// Keeps the verdict on a commit of ours that is exposed.
    pub(super) async fn keep_draft(&self, judged: &Arc<Judged>) -> Result<(), RollbackError> {
        self.repo.keep_verdict(judged, clock::now()).await?;
        self.repo.remember(judged);
        Ok(())
    }

    /// What the commit has, and which configs the rollback is about.
    async fn weigh(
        &self,
        state: &RepoState,
        rollback: Rollback,
        judged: Arc<Judged>,
    ) -> Result<Decision, RollbackError> {
        let (known, limits) = (self.repo.known_at_tip(), self.repo.rules().limits.clone());
        let reader = self.repo.reader()?;
        let draft = judged.clone();
        let work = move || facts(&reader, &draft, known.as_ref(), &limits);
        let deadline = self.repo.settings().mirror_limits.fetch;
        let found = crate::task::blocking(deadline, work)
            .await
            .map_err(RepoError::from)??;
        let facts = found.configs;
        let touched = self.touched(state, &rollback, &facts).await?;
        Ok(Decision {
            at_once: self
                .may_be_at_once(state, &rollback, (&touched, &facts), &judged)
                .await?,
            taken_back: self.taken_back(state, &touched, &judged),
            rollback,
            facts,
            touched,
        })
    }

    /// The configs that the rollback is about. What a rejected head has besides goes by its own way when it is mended.
    async fn touched(
        &self,
        state: &RepoState,
        rollback: &Rollback,
        facts: &BTreeMap<ConfigName, ConfigFacts>,
    ) -> Result<BTreeSet<ConfigName>, RollbackError> {
        let mut touched = state.touched(&rollback.undone, facts);
        if rollback.undone.is_everything() || state.tip.as_ref() == Some(&rollback.base) {
            return Ok(touched);
        }
        let at_base = self.digests(&rollback.base).await?;
        touched.retain(|config| at_base.get(config) != facts.get(config).map(|facts| &facts.content.inputs));
        Ok(touched)
    }

    /// The values by which a later commit is known that still has what is gone away from: of what instances hold, and
    /// of what the tip has.
    fn taken_back(
        &self,
        state: &RepoState,
        touched: &BTreeSet<ConfigName>,
        kept: &Judged,
    ) -> BTreeMap<ConfigName, Vec<TakenBack>> {
        let snapshot = self.repo.board.read().snapshot.clone();
        let of = |config: &ConfigName| {
            let exposed = snapshot
                .iter()
                .filter_map(|snapshot| snapshot.configs.get(config));
            let exposed = exposed.map(|exposed| &exposed.config);
            let at_tip = snapshot
                .iter()
                .filter_map(|snapshot| snapshot.judged.config(config));
            let known = state
                .withheld
                .get(config)
                .map_or(&[][..], |held| &held.taken_back);
            TakenBack::and(at_tip.chain(exposed), kept.config(config), known)
        };
        touched
            .iter()
            .map(|config| (config.clone(), of(config)))
            .collect()
    }

    async fn decide_rollback(
        &self,
        mut state: RepoState,
        decision: Decision,
        word: Option<Word>,
    ) -> Result<Rollback, RollbackError> {
        let asked = decision.rollback.clone();
        let effects = state.apply(Command::RollBack(Box::new(decision)))?;
        let rollback = state.rollback(&asked.id).cloned().unwrap_or(asked);
        confirm(&mut state, word, Some(rollback.id.clone()))?;
        self.keep(&rollback.exposed).await?;
        self.keep_and_show(state).await?;
        info!(
            rollback = rollback.id, commit.id = %rollback.exposed, effects = effects.len(), reason = rollback.reason,
            "rolled back: instances are turned to {}", rollback.exposed.short()
        );
        Ok(rollback)
    }

    /// Keeps a state whose targets changed without a new tip, then shows it.
    pub(super) async fn keep_and_show(&self, state: RepoState) -> Result<(), RollbackError> {
        let published = self.repo.board.read();
        let judged = match &published.snapshot {
            Some(snapshot) => snapshot.judged.clone(),
            None => return Err(RepoError::NotReady.into()),
        };
        let snapshot = self.snapshot(&self.repo.reader()?, &state, judged).await?;
        self.repo.keep_state(&state).await?;
        self.show(|published| {
            published.state = state;
            published.snapshot = Some(snapshot);
        });
        Ok(())
    }
}

/// What the commit is built on: the head of the branch, also where it was rejected. One that is being judged still is
/// only for who has seen it.
fn base(state: &RepoState, expected: Option<&CommitId>) -> Result<CommitId, RollbackError> {
    if let Some(hold) = &state.hold {
        return Err(RollbackError::HistoryHeld(hold.head.clone()));
    }
    let is_known = |head: &CommitId| state.head_state != HeadState::Validating || expected == Some(head);
    let head = state.head.clone().filter(is_known);
    let base = head.or_else(|| state.tip.clone()).ok_or(RepoError::NotReady)?;
    match expected {
        Some(expected) if *expected != base => Err(RollbackError::TipMoved(base)),
        Some(_) | None => Ok(base),
    }
}

/// The newest rollback that counts and went away from the content of a commit, of one config or of all.
fn left_by<'a>(
    reader: &Reader,
    rollbacks: &'a [Rollback],
    commit: &CommitId,
    config: Option<&ConfigName>,
) -> Result<Option<&'a Rollback>, GitError> {
    for rollback in rollbacks.iter().rev() {
        let counts = !matches!(
            rollback.state,
            RollbackState::Released { .. } | RollbackState::Superseded { .. }
        );
        if !counts || !reader.contains(&rollback.base) || !reader.is_ancestor(commit, &rollback.base)? {
            continue;
        }
        let is_left = match &rollback.undone {
            Undone::Restore {
                config: Some(other), ..
            } if config.is_some_and(|config| config != other) => false,
            Undone::Restore { target, .. } => !reader.is_ancestor(commit, target)?,
            Undone::Revert { commit: undone, .. } => reader.is_ancestor(undone, commit)?,
        };
        if is_left {
            return Ok(Some(rollback));
        }
    }
    Ok(None)
}

/// What tells a rollback from every other one.
struct Stamp {
    id: String,
    at: Timestamp,
}

impl Stamp {
    fn new() -> Self {
        let at = clock::now();
        let id = format!("{:x}-{:08x}", at.0, rand::random::<u32>());
        Self { id, at }
    }

    /// Always the same, so that the mirror has one commit of a forecast however often somebody looks.
    fn of_a_forecast() -> Self {
        let (id, at) = (FORECAST.to_owned(), Timestamp(0));
        Self { id, at }
    }
}

fn begin(wish: Wish, base: &CommitId, Stamp { id, at }: Stamp) -> Rollback {
    Rollback {
        id,
        request: wish.request,
        undone: wish.undone,
        subject: Some(wish.subject),
        sight: wish.sight,
        reason: wish.reason,
        requested_by: wish.requested_by,
        confirmed_by: wish.confirmed_by,
        expected_tip: wish.expected_tip,
        mode: wish.mode,
        insists: wish.insists,
        at,
        base: base.clone(),
        exposed: base.clone(),
        parent: base.clone(),
        commit: base.clone(),
        state: RollbackState::Effective,
        left_alone: BTreeMap::new(),
    }
}
