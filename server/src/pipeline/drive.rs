//! Rollouts go on: steps that are due, orders of people, and the way back into Git of what was gone back from.
//!
//! Invariant: a step is kept before anybody is told of it, and what is due for several configs at once is kept in one
//! write. Effect first: instances are turned back without Git; then the commit is written and decided like a person's
//! rollback, whose hold takes over. Where that cannot be, the rollout itself goes on holding its content back.

use headwater_core::rollout::{Order, Rollout};
use headwater_core::{
    Command, Due, Effect, Ordered, Refusal, RepoState, Rollback, Sight, TakenBack, Undone, Word,
};
use headwater_wire::{CommitId, ConfigName, RollbackMode};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::rollback::Wish;
use super::second_person::{confirm, may_be_confirmed};
use super::{AcceptError, OrderError, Pipeline};
use crate::clock;
use crate::measure::Against;

/// Steps that may follow each other before anybody is told: content that takes everybody at once begins and is exposed.
const AT_ONCE_MAX: usize = 4;

impl Pipeline {
    /// Takes steps that were planned, as far as their rollouts are as they were then. Says whether any was taken.
    pub(super) async fn take_steps(&mut self, due: Vec<Due>) -> bool {
        let mut state = self.state_now();
        let taken = take(&mut state, due);
        if taken.is_empty() {
            return false;
        }
        self.begin_at_once(&mut state).await;
        if let Err(error) = self.keep_and_show(state).await {
            // They are planned again.
            warn!(%error, "the steps of rollouts could not be kept, and are not taken: {error}");
            return false;
        }
        self.tell(&taken);
        true
    }

    /// Does what a person orders, and gives the rollout as it is then.
    pub(super) async fn order(
        &mut self,
        id: String,
        (order, after): (Order, Option<u64>),
        (reason, by): (String, Option<String>),
        word: Option<Word>,
    ) -> Result<Rollout, OrderError> {
        let mut state = self.state_now();
        may_be_confirmed(&state, word.as_ref())?;
        let counts = state.rollout(&id).and_then(|rollout| {
            let tally = self.repo.rollouts.tally(rollout)?;
            Some(rollout.counts(&tally))
        });
        let ordered = Ordered {
            id: id.clone(),
            order,
            after,
            reason,
            by,
            counts,
            at: clock::now(),
        };
        state.apply(Command::Order(Box::new(ordered)))?;
        confirm(&mut state, word, None)?;
        self.begin_at_once(&mut state).await;
        let rollout = state.rollout(&id).cloned();
        let rollout = rollout.ok_or(Refusal::NoSuchRollout(id))?;
        self.keep_and_show(state).await?;
        self.tell(&[(rollout.config.clone(), rollout.id.clone())]);
        Ok(rollout)
    }

    /// Takes a person's acceptance of a rewritten head. Says whether there is something to judge.
    pub(super) async fn accept(
        &mut self,
        head: CommitId,
        (reason, by): (String, Option<String>),
        word: Option<Word>,
        reply: oneshot::Sender<Result<(), AcceptError>>,
    ) -> bool {
        let mut state = self.state_now();
        let command = Command::Accept {
            head: head.clone(),
            reason,
            by,
            at: clock::now(),
        };
        let applied = may_be_confirmed(&state, word.as_ref()).and_then(|()| state.apply(command));
        let applied = applied.and_then(|_| confirm(&mut state, word, None));
        let result = match applied {
            Err(refusal) => Err(AcceptError::from(refusal)),
            Ok(()) => self.repo.keep_state(&state).await.map_err(AcceptError::from),
        };
        let taken = result.is_ok();
        if taken {
            info!(commit.id = %head, "a person accepted the rewritten history at {head}");
            self.show(|published| published.state = state);
            self.judge_again = true;
        }
        reply.send(result).ok();
        taken
    }

    /// Plans again what has only just begun, before anybody is told: what takes everybody at once is never told as a
    /// step back first.
    pub(super) async fn begin_at_once(&self, state: &mut RepoState) {
        for _ in 0..AT_ONCE_MAX {
            let is_new = |rollout: &Rollout| rollout.steps == 0;
            if !state.moving().any(is_new) {
                return;
            }
            let due = self.repo.due(state.moving().cloned().collect()).await;
            let new = due.into_iter().filter(|due| due.after == 0).collect();
            if take(state, new).is_empty() {
                return;
            }
        }
    }

    /// Says what happened to rollouts.
    fn tell(&self, moved: &[(ConfigName, String)]) {
        let published = self.repo.board.read();
        for (config, id) in moved {
            let Some(rollout) = published.state.rollout(id) else {
                continue;
            };
            let Some(last) = rollout.timeline.happenings.last() else {
                continue;
            };
            self.repo.flights.stepped(rollout, &last.what);
            let reason = last.reason.as_deref().unwrap_or_default();
            info!(
                rollout = id, %config, version = %rollout.target.version, step = last.what, reason,
                "rollout {id} of {config}: {}", last.what
            );
        }
    }

    /// Writes the commits of what rollouts went back from, where that may be done and was not.
    pub(super) async fn bring_back(&mut self) {
        if !self.repo.settings().write.allowed {
            return;
        }
        let state = self.repo.board.read().state.clone();
        let courses = state.courses.values();
        let left: Vec<String> = courses
            .filter_map(|course| Some(course.left.as_ref()?.id.clone()))
            .collect();
        self.brought_back.retain(|id, _| left.contains(id));
        for id in left {
            // One that could not be written is tried again when the branch has moved.
            if self.brought_back.get(&id) == Some(&state.head) {
                continue;
            }
            self.brought_back.insert(id.clone(), state.head.clone());
            let Some(rollout) = state.rollout(&id) else {
                continue;
            };
            if self.is_mended(&state, rollout).await {
                info!(
                    rollout = id,
                    "rollout {id} went back, and what is newest on the branch has nothing of it: no commit is needed"
                );
                continue;
            }
            let Some(mut wish) = way_back(&state, rollout) else {
                continue;
            };
            wish.subject = self.subject(&wish.rev).await;
            match self.roll_back(wish, None).await {
                Ok(rollback) => {
                    info!(
                        rollout = id,
                        rollback = rollback.id,
                        "rollout {id} went back, and rollback {} brings it to the branch",
                        rollback.id
                    );
                }
                Err(error) => warn!(
                    rollout = id, %error,
                    "rollout {id} went back, and no commit can be written for it; what it left stays held back: {error}"
                ),
            }
        }
    }

    /// Whether the branch has other content by now, without a value that the rollout brought. It comes when everybody is
    /// back; a commit that restores what was before would undo what somebody wrote since.
    async fn is_mended(&self, state: &RepoState, rollout: &Rollout) -> bool {
        let newest = state
            .courses
            .get(&rollout.config)
            .and_then(|course| course.newest.as_ref());
        if newest.is_none_or(|newest| newest.facts.content.is_same(&rollout.target.content)) {
            return false;
        }
        let Some(snapshot) = self.repo.board.read().snapshot.clone() else {
            return false;
        };
        let Ok(reader) = self.repo.reader() else {
            return false;
        };
        let left = match self.verdict(&reader, &rollout.source, Against::default()).await {
            Ok(left) => left,
            Err(error) => {
                warn!(rollout = rollout.id, %error, "what rollout {} brought cannot be read: {error}", rollout.id);
                return false;
            }
        };
        let kept = snapshot.configs.get(&rollout.config).map(|kept| &kept.config);
        let brought = TakenBack::and(left.config(&rollout.config).into_iter(), kept, &[]);
        let now = snapshot.judged.config(&rollout.config);
        now.is_some_and(|now| !brought.iter().any(|brought| brought.is_in(now)))
    }

    /// First line of the message of a commit.
    async fn subject(&self, commit: &str) -> String {
        let Ok(commit) = commit.parse() else {
            return String::new();
        };
        let info = self.repo.read(move |reader| Ok(reader.commit(&commit)?)).await;
        let message = info.map(|info| info.message).unwrap_or_default();
        message.lines().next().unwrap_or_default().trim().to_owned()
    }
}

/// Applies what fits. Gives the rollouts that moved.
fn take(state: &mut RepoState, due: Vec<Due>) -> Vec<(ConfigName, String)> {
    let mut moved = Vec::new();
    for due in due {
        // One that has moved on is planned again.
        let effects = state.apply(Command::Step(Box::new(due))).unwrap_or_default();
        moved.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::RolloutMoved { config, id } => Some((config, id)),
            Effect::TipMoved { .. }
            | Effect::TargetMoved { .. }
            | Effect::TargetAdopted { .. }
            | Effect::TargetReissued { .. }
            | Effect::TargetRemoved(_)
            | Effect::HeadChanged
            | Effect::JudgeAgain(_) => None,
        }));
    }
    moved
}

/// What a person would ask for who goes back with a rollout.
fn way_back(state: &RepoState, rollout: &Rollout) -> Option<Wish> {
    let config = rollout.config.clone();
    let target: CommitId = match state.source_of(&config) {
        Some(source) => source.clone(),
        None => state.targets.get(&config)?.version.clone(),
    };
    let mut newest_first = rollout.timeline.happenings.iter().rev();
    let why = newest_first.find_map(|happening| happening.reason.clone());
    Some(Wish {
        request: Rollback::request_of_rollout(&rollout.id),
        rev: target.to_string(),
        undone: Undone::Restore {
            target,
            config: Some(config.clone()),
            paths: Vec::new(),
        },
        subject: String::new(),
        sight: Sight::default(),
        reason: format!(
            "rollout {} of `{config}` went back: {}",
            rollout.id,
            why.unwrap_or_default()
        ),
        requested_by: None,
        confirmed_by: None,
        expected_tip: None,
        mode: RollbackMode::Push,
        insists: false,
    })
}
