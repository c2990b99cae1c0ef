//! One attempt to bring the commit of a rollback to the branch, beside the pipeline.
//!
//! Invariant: whatever waits for the upstream or the forge waits here and in the annex for pushes, never in the
//! pipeline or on its thread of Git. Where the branch is, and whether it has the commit, is looked at before every push, and
//! after one whose outcome is not known. What is deliberately absent: any decision about the state; the pipeline is
//! asked for the commit that fits, and told the end. Dropping the errand ends it.

use std::sync::Arc;

use headwater_core::{Rollback, RollbackState, Undone};
use headwater_wire::{CommitId, RollbackMode};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{AGAIN, PushStop};
use crate::git::Mirror;
use crate::git::intent::IntentId;
use crate::git::push::{PushError, PushRef, PushRequest, WriteAccess};
use crate::git::revert::IntentSearch;
use crate::git::stop::Stop;
use crate::pipeline::source::RoundError;
use crate::repo::Repo;

/// How often a commit is built anew before a pause, when others push at the same time.
const TRIES: u32 = 3;
/// Commits looked through for one that fulfils an intent.
const SEARCH_MAX: usize = 4_096;

/// What an attempt says to the pipeline.
pub(in crate::pipeline) enum Word {
    /// It wants the commit for a branch that is at `tip`.
    Fit {
        /// The rollback.
        id: String,
        /// Where the branch is.
        tip: CommitId,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Rollback, PushStop>>,
    },
    /// It is over.
    Ended {
        /// The rollback.
        id: String,
        /// Where the rollback stands.
        result: Box<Result<RollbackState, PushStop>>,
    },
}

/// An attempt that is under way.
pub(super) struct Errand {
    /// The rollback.
    pub id: String,
    /// What the attempt says.
    pub words: mpsc::Receiver<Word>,
    _task: AbortOnDropHandle<()>,
}

impl Errand {
    /// Sets out for a rollback.
    pub(super) fn begin(repo: Arc<Repo>, rollback: &Rollback) -> Self {
        let (pipeline, words) = mpsc::channel(1);
        let courier = Courier {
            repo,
            rollback: rollback.clone(),
            pipeline,
        };
        let task = tokio::spawn(courier.run().in_current_span());
        Self {
            id: rollback.id.clone(),
            words,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

/// Whoever is under way for one rollback.
pub(super) struct Courier {
    pub(super) repo: Arc<Repo>,
    rollback: Rollback,
    pipeline: mpsc::Sender<Word>,
}

impl Courier {
    async fn run(self) {
        let ended = Word::Ended {
            id: self.rollback.id.clone(),
            result: Box::new(self.bring().await),
        };
        // A pipeline that has ended asks the branch at its next start.
        self.pipeline.send(ended).await.ok();
    }

    /// Gives where the rollback stands afterwards.
    async fn bring(&self) -> Result<RollbackState, PushStop> {
        let write = self.repo.settings().write.clone();
        let Some(branch) = self.repo.branch().filter(|_| write.allowed) else {
            let why = "writing is not allowed any more".to_owned();
            return Err(PushStop::Stuck(why, "start the service with `--allow-write`"));
        };
        let target = PushRef::Branch(branch.clone());
        for _ in 0..TRIES {
            let tip = match self.look(&target, &write.access).await? {
                Look::Fulfilled(commit) => return Ok(RollbackState::Pushed { commit }),
                Look::At(tip) => tip,
            };
            let ready = self.fit(tip).await?;
            if self.rollback.mode == RollbackMode::Propose {
                return self.propose(&ready, &branch, &write.access).await;
            }
            let request = request(target.clone(), &ready, Some(ready.parent.clone()));
            match self.send(&write.access, request).await {
                Ok(()) => return Ok(RollbackState::Pushed { commit: ready.commit }),
                // Somebody else was quicker: where the branch is now is looked at again.
                Err(PushStop::Push(PushError::LeaseLost { .. })) => {}
                Err(unknown @ PushStop::Push(PushError::Unknown { .. })) => {
                    return match self.look(&target, &write.access).await {
                        Ok(Look::Fulfilled(commit)) => Ok(RollbackState::Pushed { commit }),
                        Err(PushStop::Behind) => Err(PushStop::Behind),
                        Ok(Look::At(_)) | Err(_) => Err(unknown),
                    };
                }
                Err(PushStop::Push(error)) if is_forbidden(&error) && self.repo.outward.forge().is_some() => {
                    return self.propose(&ready, &branch, &write.access).await;
                }
                Err(stop) => return Err(stop),
            }
        }
        let why = "others push at the same time".to_owned();
        Err(PushStop::Stuck(why, AGAIN))
    }

    /// Looks where the branch is and whether it has the commit.
    async fn look(&self, target: &PushRef, access: &WriteAccess) -> Result<Look, PushStop> {
        let (asked, access) = (target.clone(), access.clone());
        let work = move |annex: &mut Mirror, stop: &Stop| annex.target_at(&access, &asked, stop);
        let tip = self.in_annex(work).await?;
        let Some(tip) = tip else {
            let hint = "push the branch again, or follow another one";
            return Err(PushStop::Stuck("the branch is gone".to_owned(), hint));
        };
        let (id, base) = (self.rollback.id.parse::<IntentId>(), self.rollback.base.clone());
        let read = self.repo.read(move |reader| {
            // What was not fetched yet may have the commit, which whoever fetches it finds out.
            if !reader.contains(&tip) {
                return Ok(None);
            }
            let found = match id {
                Ok(id) => reader.find_intent(&id, &tip, &base, SEARCH_MAX)?,
                Err(_) => IntentSearch::Absent,
            };
            Ok(Some(match found {
                IntentSearch::Found(commit) => Look::Fulfilled(commit),
                IntentSearch::Absent | IntentSearch::GaveUp { .. } => Look::At(tip),
            }))
        });
        read.await.map_err(RoundError::from)?.ok_or(PushStop::Behind)
    }

    /// The rollback with a commit on top of `tip`, from the pipeline.
    async fn fit(&self, tip: CommitId) -> Result<Rollback, PushStop> {
        let (reply, answer) = oneshot::channel();
        let id = self.rollback.id.clone();
        // If nobody listens any more, nobody hears of the end either.
        self.pipeline
            .send(Word::Fit { id, tip, reply })
            .await
            .map_err(|_| PushStop::Settled)?;
        answer.await.map_err(|_| PushStop::Settled)?
    }

    /// Moves a ref of the upstream.
    pub(super) async fn send(&self, access: &WriteAccess, request: PushRequest) -> Result<(), PushStop> {
        let access = access.clone();
        let work = move |annex: &mut Mirror, stop: &Stop| annex.push(&access, &request, stop);
        self.in_annex(work).await?;
        Ok(())
    }

    /// Speaks to the upstream, as long as a push may take.
    async fn in_annex<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Mirror, &Stop) -> Result<T, PushError> + Send + 'static,
    ) -> Result<T, PushStop> {
        let (settings, like) = (self.repo.settings(), &self.rollback.base);
        let deadline = settings.mirror_limits.push;
        let work = |annex: &mut Mirror, stop: &Stop| Ok(work(annex, stop));
        let annex = &self.repo.outward.pushed;
        Ok(annex.call(&settings, like, deadline, work).await??)
    }
}

/// What was found on the branch.
enum Look {
    /// This commit fulfils the rollback.
    Fulfilled(CommitId),
    /// The branch is at this commit, which is in the mirror, and does not have it.
    At(CommitId),
}

/// The push of a rollback's commit to `target`.
pub(super) fn request(target: PushRef, rollback: &Rollback, expected: Option<CommitId>) -> PushRequest {
    let source = match &rollback.undone {
        Undone::Restore { target, .. } => target,
        Undone::Revert { commit, .. } => commit,
    };
    PushRequest {
        target,
        commit: rollback.commit.clone(),
        expected,
        sources: vec![source.clone(), rollback.base.clone()],
    }
}

/// Whether a pull request may be taken where a push is not.
fn is_forbidden(error: &PushError) -> bool {
    matches!(
        error,
        PushError::Protected { .. } | PushError::RefusedByHook { .. } | PushError::Refused { .. }
    )
}
