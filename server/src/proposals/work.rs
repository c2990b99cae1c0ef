//! Looking at what is proposed: one at a time, when the followed branch leaves time for it.
//!
//! Invariant: what is judged is what the upstream's ref holds now, merged with the branch as it is now; a verdict on the
//! same two is worked out once. What cannot be looked at is tried again a few times and then left until there is news
//! of it. What is deliberately absent: parallel work, since nobody waits for it but a person.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::OldContents;
use headwater_wire::{
    BranchName, CommitId, HeadState, MergeState, PlanView, ProposalView, VerdictState, VerdictView,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::agenda::{OPEN_MAX, Wait, Why};
use super::{Kept, Proposals, words};
use crate::besides;
use crate::forge::desk::{Desk, Words};
use crate::forge::{ForgeApi, ForgeError, ProposalKey};
use crate::git::Mirror;
use crate::git::error::GitError;
use crate::git::proposal::Merge;
use crate::git::read::Reader;
use crate::git::stop::Stop;
use crate::judge::judge;
use crate::measure::Against;
use crate::pipeline::git_thread::GitThreadError;
use crate::publish::{Published, Snapshot};
use crate::repo::{Repo, RepoError, read_in};

/// Longest wait for the followed branch to be judged: a branch that cannot be must not hold up everything for ever.
const BRANCH_FIRST_MAX: Duration = Duration::from_mins(1);

/// Commits of a proposal whose messages are read.
const COMMITS_MAX: usize = 100;

/// Everything that judging what is proposed for one repository needs.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) repo: Arc<Repo>,
    pub(crate) proposals: Arc<Proposals>,
    pub(crate) api: Arc<ForgeApi>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) words: Words,
    /// Time between two lists of the open pull requests.
    pub(crate) relist: Duration,
}

/// Why a proposal could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    GitThread(#[from] GitThreadError),
    #[error(transparent)]
    Repo(#[from] RepoError),
}

/// The branch that something is proposed for, as it is now.
#[derive(Debug, Clone)]
struct Base {
    branch: BranchName,
    commit: CommitId,
    /// What instances may hold now.
    snapshot: Option<Arc<Snapshot>>,
    /// What they may hold besides.
    old: OldContents,
}

impl Base {
    /// Names everything that a verdict is measured against.
    fn name(&self) -> (CommitId, Option<String>) {
        (self.commit.clone(), besides::name(&self.old))
    }
}

/// What was found out about a merge.
struct Looked {
    verdict: VerdictView,
    plan: Option<PlanView>,
    webhooks: Vec<String>,
}

impl Looked {
    /// There is nothing to judge.
    fn unjudged() -> Self {
        Self {
            verdict: VerdictView {
                state: VerdictState::Unjudged,
                findings: Vec::new(),
            },
            plan: None,
            webhooks: Vec::new(),
        }
    }
}

/// What was fetched of a proposal.
enum Found {
    Nothing,
    /// What it was, and so was the branch.
    Same(CommitId),
    New(CommitId, Merge, Box<Reader>),
}

impl Work {
    /// Looks at whatever is told of, until told to stop.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        // Cancel-safe: what is lost is a verdict, which the next start works out again.
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.list() => {}
            () = self.look() => {}
        }
    }

    /// Lists what is open again and again, so that a delivery that never came is made up for.
    async fn list(&self) {
        let mut board = self.repo.board.watch_published();
        let mut is_well = true;
        loop {
            let Some(base) = base(&mut board).await else {
                return;
            };
            let since = Instant::now();
            let pause = match self.api.open_pull_requests(&base.branch, OPEN_MAX).await {
                Ok(open) => {
                    is_well = true;
                    let open = open.into_iter().map(|pull| (pull.number, pull.head));
                    self.proposals.agenda().list(open, since, Instant::now());
                    self.proposals.changed.notify_one();
                    self.relist
                }
                Err(error) => {
                    if std::mem::take(&mut is_well) {
                        let hint = "webhooks tell of them all the same; to list them, let the token read pull requests";
                        warn!(repo = %self.repo.name(), hint, "the open pull requests could not be listed: {error}");
                    }
                    if let ForgeError::RateLimited(pause) = error {
                        pause.max(self.relist)
                    } else {
                        self.relist
                    }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at one after the other.
    async fn look(&self) {
        let mut board = self.repo.board.watch_published();
        let mut before = None;
        loop {
            let Some(base) = base(&mut board).await else {
                return;
            };
            let now = base.name();
            if before.is_some_and(|before| before != now) {
                self.proposals.agenda().branch_moved(Instant::now());
            }
            before = Some(now);
            let turn = self.proposals.agenda().take(Instant::now());
            if let Some((key, wait, known)) = turn {
                self.turn((key, wait, known), &base).await;
                continue;
            }
            let due = self.proposals.agenda().due();
            // Cancel-safe: all arms only wait.
            tokio::select! {
                () = self.proposals.changed.notified() => {}
                changed = board.changed() => if changed.is_err() { return },
                () = until(due) => {}
            }
        }
    }

    /// Looks at one proposal and notes how that went.
    async fn turn(&self, (key, wait, known): (ProposalKey, Wait, Option<CommitId>), base: &Base) {
        // What was announced and is known need not be fetched; a pull request is also talked about.
        let known = known.filter(|head| match &wait.why {
            Why::BranchMoved => true,
            Why::News(announced) => announced.as_ref() == Some(head),
        });
        let looked = self.look_at(&key, known, base).await;
        let now = Instant::now();
        match looked {
            Ok(Some(head)) => self.proposals.agenda().seen(&key, wait, head, now),
            Ok(None) => self.proposals.agenda().missed(&key, wait, now),
            Err(error) => {
                let is_left = !self.proposals.agenda().later(&key, wait, now);
                if is_left {
                    warn!(repo = %self.repo.name(), ?key, "a proposal could not be looked at: {error}");
                }
            }
        }
    }

    /// Looks at one proposal; `known` is where it is if that need not be asked. Gives its newest commit, if it has one.
    async fn look_at(
        &self,
        key: &ProposalKey,
        known: Option<CommitId>,
        base: &Base,
    ) -> Result<Option<CommitId>, LookError> {
        let (head, merge, reader) = match self.fetch(key, known, base).await? {
            Found::Nothing => return Ok(None),
            Found::Same(head) => return Ok(Some(head)),
            Found::New(head, merge, reader) => (head, merge, reader),
        };
        // What is the branch's newest commit is told of as such, and by others.
        if head == base.commit {
            return Ok(Some(head));
        }
        let told = self.proposals.kept.get(&head).and_then(|kept| kept.told);
        if told.is_none() {
            self.desk.put(words::pending(&self.words, &head));
        }
        let view = self.judge(key, (&head, merge), &reader, base).await?;
        let status = words::judged(&self.words, &view);
        // Forges keep every status of a commit that is told, and only so many.
        if told.as_ref() != Some(&status) {
            let (short, sentence) = (head.short().to_owned(), words::sentence(&view));
            info!(repo = %self.repo.name(), commit.id = %head, ?key, "the proposal at {short} {sentence}");
            self.desk.put(status.clone());
        }
        let kept = Kept {
            view: Arc::new(view),
            told: Some(status),
            old: besides::name(&base.old),
        };
        self.proposals.kept.put(head.clone(), kept);
        Ok(Some(head))
    }

    /// Brings what is proposed into the annex and merges it there.
    async fn fetch(
        &self,
        key: &ProposalKey,
        known: Option<CommitId>,
        base: &Base,
    ) -> Result<Found, LookError> {
        let (settings, proposals) = (self.repo.settings(), self.proposals.clone());
        let (name, key, commit) = (self.api.kind().ref_of(key), key.clone(), base.commit.clone());
        let old = besides::name(&base.old);
        let is_judged = move |head: &CommitId, base: &CommitId| {
            let kept = proposals.kept.get(head);
            kept.is_some_and(|kept| kept.holds(base, old.as_deref()))
        };
        let work = move |annex: &mut Mirror, stop: &Stop| -> Result<Found, GitError> {
            let known = known.filter(|head| annex.reader().contains(head));
            let head = match known {
                Some(head) => Some(head),
                None => annex.receive_proposal(&name, &commit, stop)?,
            };
            let Some(head) = head else {
                return Ok(Found::Nothing);
            };
            if is_judged(&head, &commit) {
                return Ok(Found::Same(head));
            }
            let merge = match key {
                ProposalKey::Pull(_) => annex.merge_proposal(&commit, &head)?,
                // It is the merge.
                ProposalKey::Group(_) => Merge::Clean(head.clone()),
            };
            Ok(Found::New(head, merge, Box::new(annex.reader())))
        };
        let deadline = settings.mirror_limits.fetch;
        Ok(self
            .repo
            .outward
            .proposed
            .call(&settings, &base.commit, deadline, work)
            .await?)
    }

    /// The verdict on the merge.
    async fn judge(
        &self,
        key: &ProposalKey,
        (head, merge): (&CommitId, Merge),
        reader: &Reader,
        base: &Base,
    ) -> Result<ProposalView, RepoError> {
        let (merge, result, conflicts) = match merge {
            Merge::Contained => (MergeState::Contained, Some(base.commit.clone()), Vec::new()),
            Merge::Clean(commit) => (MergeState::Clean, Some(commit), Vec::new()),
            Merge::Conflict(paths) => (MergeState::Conflict, None, paths),
            Merge::Unrelated => (MergeState::Unrelated, None, Vec::new()),
        };
        let Looked {
            verdict,
            plan,
            webhooks,
        } = match result {
            None => Looked::unjudged(),
            Some(commit) => self.verdict(reader, &commit, head, base).await?,
        };
        Ok(ProposalView {
            head: head.clone(),
            number: match key {
                ProposalKey::Pull(number) => Some(*number),
                ProposalKey::Group(_) => None,
            },
            branch: base.branch.clone(),
            base: base.commit.clone(),
            merge,
            conflicts,
            verdict,
            plan,
            webhooks,
        })
    }

    /// The verdict on a commit that is nowhere but in the annex, what it would touch, and the webhooks that will be asked
    /// about it once it is on the branch. What is allowed to one of the commits that are proposed counts.
    async fn verdict(
        &self,
        reader: &Reader,
        commit: &CommitId,
        head: &CommitId,
        base: &Base,
    ) -> Result<Looked, RepoError> {
        let (newest, known) = (head.clone(), base.commit.clone());
        let new = read_in(reader, move |reader| {
            Ok(reader.first_parents_beyond(&newest, &known, COMMITS_MAX)?)
        })
        .await?;
        let snapshot = base.snapshot.as_ref();
        let against = Against {
            exposed: snapshot
                .iter()
                .flat_map(|snapshot| snapshot.configs.keys().cloned())
                .collect(),
            before: snapshot.map(|snapshot| snapshot.commit.clone()),
            old: base.old.clone(),
            new,
        };
        let measure = self.repo.measure_in(reader, commit, against).await?;
        let judged = judge(reader, commit, &self.repo.rules().for_proposals(), measure).await?;
        let questions = judged
            .valid
            .iter()
            .flat_map(headwater_validators::ValidTree::questions);
        let mut webhooks: Vec<String> = questions.map(|question| question.webhook().to_owned()).collect();
        webhooks.sort();
        webhooks.dedup();
        let verdict = VerdictView {
            state: judged.state(),
            findings: judged.findings.clone(),
        };
        let plan = match judged.valid {
            Some(_) => Some(self.repo.plan(Arc::new(judged)).await?),
            None => None,
        };
        Ok(Looked {
            verdict,
            // It is known by the commit that is proposed, and not by the merge that nobody will ever see.
            plan: plan.map(|plan| PlanView {
                commit: head.clone(),
                ..plan
            }),
            webhooks,
        })
    }
}

/// The branch once it is known and not just being judged; `None` when nobody follows it any more.
async fn base(board: &mut watch::Receiver<Arc<Published>>) -> Option<Base> {
    let is_there =
        |published: &Arc<Published>| published.state.head.is_some() && published.state.branch.is_some();
    let is_calm = |published: &Arc<Published>| published.state.head_state != HeadState::Validating;
    board.wait_for(is_there).await.ok()?;
    // A branch that is not calm within the time is taken as it is.
    tokio::time::timeout(BRANCH_FIRST_MAX, board.wait_for(is_calm))
        .await
        .ok();
    let published = board.borrow_and_update().clone();
    Some(Base {
        branch: published.state.branch.clone()?,
        commit: published.state.head.clone()?,
        snapshot: published.snapshot.clone(),
        old: published.state.old_contents(),
    })
}

/// Completes at an instant; never, if there is none.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
