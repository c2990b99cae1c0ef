//! One task per repository: list, fetch, judge, decide, publish.
//!
//! Invariant: there is one way in. Whatever the trigger, the upstream's own listing says what the branch is; a step
//! is marked as done only after it succeeded, so a failure anywhere is tried again by the next round. What is
//! deliberately absent: any trust in what a wake carries.

mod admit;
mod again;
pub(crate) mod bell;
pub(crate) mod drive;
pub(crate) mod git_thread;
mod pusher;
mod raise;
mod request;
pub(crate) mod rollback;
mod second_person;
mod signed;
pub(crate) mod source;
mod traced;
pub(crate) mod trigger;
pub(crate) mod urgent;
pub(crate) mod versions;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Command, RepoState};
use headwater_wire::{BranchName, CommitId, SourceState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::clock;
use crate::git::Mirror;
use crate::git::list::{ListedHead, Listing};
use crate::git::stop::Stop;
use crate::publish::{Published, SourceStatus};
use crate::repo::Repo;
use crate::store::StoreFailure;
use crate::trace;
use git_thread::{GitThread, GitThreadError};
use pusher::Pusher;
pub(crate) use request::{AcceptError, Force, Fresh, OrderError, Posted, Request};
use source::{MissingBranch, RoundError};
use trigger::{Chase, FORCED_PAUSE, Jitter, Seen, pause};

/// Every so many rounds the tags are listed, too: they come, move and go without the branch.
const TAG_ROUNDS: u32 = 4;

/// The task's own state.
pub(crate) struct Pipeline {
    repo: Arc<Repo>,
    git_thread: GitThread,
    requests: mpsc::Receiver<Posted>,
    /// Failed rounds in a row.
    failures: u32,
    /// Requests that wait for the listing that starts next.
    waiting: Vec<oneshot::Sender<Fresh>>,
    last_listing: Option<Instant>,
    /// The head is judged even though the upstream has not moved: it was accepted, or instances hold something else now.
    judge_again: bool,
    /// The head that was judged again last for what instances hold, and the name of that.
    looked_again: Option<(CommitId, Option<String>)>,
    /// What the last listing that missed the branch said.
    missing: Option<MissingBranch>,
    /// Rounds so far; every few of them the tags are listed, too.
    rounds: u32,
    /// Somebody waits for the tags.
    wants_tags: bool,
    /// When fences may be raised again.
    raises: raise::Pace,
    /// Where the last listing saw the branch.
    seen: Option<Seen>,
    /// What a webhook announced and no listing has shown yet.
    chase: Option<Chase>,
    /// Last listing that a webhook caused.
    chased_at: Option<Instant>,
    /// Brings the commits of rollbacks to the branch.
    pusher: Pusher,
    /// The last round was put off for something urgent.
    put_off: bool,
    /// Rollouts whose way back into Git was tried, and from which head.
    brought_back: BTreeMap<String, Option<CommitId>>,
    /// Why this round lists, for the trace of what it finds.
    cause: traced::Cause,
    /// What the head was refused by, if by who signed it: to be looked at again when that says otherwise.
    refused_by: Option<signed::Basis>,
}

impl Pipeline {
    /// A pipeline that has not started yet.
    pub(crate) fn new(repo: Arc<Repo>, git_thread: GitThread, requests: mpsc::Receiver<Posted>) -> Self {
        Self {
            repo,
            git_thread,
            requests,
            failures: 0,
            waiting: Vec::new(),
            last_listing: None,
            judge_again: false,
            looked_again: None,
            missing: None,
            rounds: 0,
            wants_tags: false,
            raises: raise::Pace::default(),
            seen: None,
            chase: None,
            chased_at: None,
            pusher: Pusher::default(),
            put_off: false,
            brought_back: BTreeMap::new(),
            cause: traced::Cause::default(),
            refused_by: None,
        }
    }

    /// Serves what the mirror holds, then follows the upstream until told to stop.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let span = info_span!("repo", repo = %self.repo.name());
        let serve = async {
            self.start_from_disk().await;
            self.resume_pushing();
            self.bring_back().await;
            loop {
                // Cancel-safe: a round that is cut off leaves the store and the mirror valid, and starts over.
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = self.round() => {}
                }
                // Cancel-safe: receiving from a channel and sleeping lose nothing.
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = self.wait() => {}
                }
            }
            self.git_thread.interrupt();
        };
        // Boxed: what all of it needs together is too much for a stack.
        Box::pin(serve.instrument(span)).await;
    }

    /// One round, and what it means for the state of the source.
    async fn round(&mut self) {
        self.cause = self.cause_now();
        let waiting = std::mem::take(&mut self.waiting);
        self.rounds = self.rounds.wrapping_add(1);
        let lists_tags = std::mem::take(&mut self.wants_tags) || self.rounds.is_multiple_of(TAG_ROUNDS);
        let started = Instant::now();
        self.last_listing = Some(started);
        let before = self.seen.clone().filter(|_| self.failures == 0);
        let result = self.sync().await;
        self.put_off = matches!(result, Err(RoundError::GitThread(GitThreadError::PutOff)));
        if self.put_off {
            self.waiting.extend(waiting);
            self.wants_tags = lists_tags;
            return;
        }
        let now = self.seen.clone().filter(|_| result.is_ok());
        // Whatever a push waits for, the upstream that answers again or a head that is decided about, may be there now.
        if now.is_some() && before != now {
            self.pusher.hurry();
        }
        self.compare_with_hooks(started, before, now);
        if lists_tags && result.is_ok() {
            self.list_tags().await;
        }
        self.repo.metrics.listed(match &result {
            Ok(state) => *state,
            Err(error) => error.source_state(),
        });
        let fresh = match &result {
            Ok(_) => Fresh::Listed,
            Err(_) => Fresh::Failed,
        };
        self.note(result);
        for reply in waiting {
            // A request that has given up needs no answer.
            reply.send(fresh).ok();
        }
        self.bring_back().await;
    }

    /// Does what may be put off, unless something comes that may not wait. Only for work that nobody has acted on.
    async fn unless_urgent<T>(&self, work: impl Future<Output = T>) -> Result<T, GitThreadError> {
        // Cancel-safe: whoever calls this says that the work may be cut off.
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.repo.urgent.any() => Err(GitThreadError::PutOff),
        }
    }

    /// Lists the upstream, and follows where it points.
    async fn sync(&mut self) -> Result<SourceState, RoundError> {
        self.git_thread.aim(&self.repo.settings())?;
        let wanted = self.repo.settings().branch.clone();
        let deadline = self.repo.settings().mirror_limits.list;
        let urgent = self.repo.urgent.any();
        let listing = self
            .git_thread
            .call_unless(urgent, deadline, move |mirror, stop| mirror.list(&wanted, stop))
            .await?;
        let synced_at = clock::now();
        self.seen = Some(match &listing.head {
            ListedHead::At(head) => Seen::At(head.clone()),
            ListedHead::EmptyRepository | ListedHead::BranchMissing { .. } => Seen::Gone,
        });
        let state = match &listing.head {
            ListedHead::EmptyRepository => SourceState::EmptyRepository,
            ListedHead::BranchMissing { branch, others } => {
                let (branch, others) = (branch.clone(), others.clone());
                self.missing = Some(MissingBranch { branch, others });
                SourceState::BranchMissing
            }
            ListedHead::At(head) => self.follow(&listing, head.clone()).await?,
        };
        self.show_source(|source| source.synced_at = Some(synced_at));
        Ok(state)
    }

    /// Follows the branch to `head`, if it is not there already.
    async fn follow(&mut self, listing: &Listing, head: CommitId) -> Result<SourceState, RoundError> {
        let published = self.repo.board.read();
        let Some(branch) = listing.branch.clone() else {
            return Ok(SourceState::EmptyRepository);
        };
        if published.state.branch.as_ref() != Some(&branch) {
            if let Some(before) = &published.state.branch {
                warn!(%branch, %before, "the branch followed is now {branch}, it was {before}");
            }
            self.apply(Command::Follow(branch.clone())).await?;
        }
        let decided = published.state.head.as_ref() == Some(&head)
            && published.state.head_state != headwater_wire::HeadState::Validating
            && (published.snapshot.is_some() || published.state.tip.is_none())
            // A damaged mirror is looked at by the fetch, which fills it again, although the upstream has not moved.
            && self.repo.reader().is_ok_and(|reader| !reader.is_damaged());
        if !decided || self.judge_again || self.signers_changed() {
            self.take_traced(branch, head).await?;
            self.judge_again = false;
        }
        let is_held = self.repo.board.read().state.hold.is_some();
        Ok(if is_held {
            SourceState::HistoryRewritten
        } else {
            SourceState::Ok
        })
    }

    /// Fetches `head` and decides about it.
    async fn take(&mut self, branch: BranchName, head: CommitId) -> Result<(), RoundError> {
        let (followed, wanted) = (branch.clone(), head.clone());
        let deadline = self.repo.settings().mirror_limits.fetch;
        let fetch = self
            .git_thread
            .call_unless(self.repo.urgent.any(), deadline, move |mirror, stop| {
                // A recorded head was checked to be complete; what is merely in the store was not.
                if mirror.recorded(&followed).as_ref() != Some(&wanted) {
                    mirror.fetch(&followed, &wanted, stop)?;
                }
                Ok(mirror.reader())
            });
        let reader = trace::trying(|| trace::call("fetch"), fetch).await?;
        self.repo.set_reader(reader.clone());
        self.decide(&reader, &branch, head).await?;
        self.maintain().await;
        Ok(())
    }

    /// Moves our own ref to a head whose objects were checked. It comes before anything is exposed: what a restart
    /// serves must be pinned, and a mirror sweeps what was fetched and never adopted.
    pub(super) async fn adopt(&self, branch: &BranchName, head: &CommitId) -> Result<(), RoundError> {
        let (branch, head) = (branch.clone(), head.clone());
        let deadline = self.repo.settings().mirror_limits.list;
        let job = move |mirror: &mut Mirror, _: &Stop| {
            let recorded = mirror.recorded(&branch);
            mirror.adopt(&branch, &head, recorded.as_ref())
        };
        Ok(self.git_thread.call(deadline, job).await?)
    }

    /// Lists the tags. They are a convenience: a failure keeps the old ones.
    async fn list_tags(&self) {
        let deadline = self.repo.settings().mirror_limits.list;
        let listed = self
            .git_thread
            .call_unless(self.repo.urgent.any(), deadline, |mirror, stop| {
                mirror.refresh_tags(stop);
                Ok(mirror.reader())
            });
        if let (Ok(reader), true) = (listed.await, self.repo.reader().is_ok()) {
            self.repo.set_reader(reader);
        }
    }

    /// Keeps packs from piling up. A failure here harms nobody and is tried after the next fetch.
    async fn maintain(&self) {
        let deadline = self.repo.settings().mirror_limits.maintain;
        let maintained = self
            .git_thread
            .call_unless(self.repo.urgent.any(), deadline, |mirror, stop| {
                mirror.maintain(stop).map(|_| mirror.reader())
            });
        match maintained.await {
            Ok(reader) => self.repo.set_reader(reader),
            Err(GitThreadError::PutOff) => {}
            Err(error) => warn!(%error, "the mirror could not be compacted: {error}"),
        }
    }

    /// Applies a command, keeps the result, and only then shows it.
    async fn apply(&self, command: Command) -> Result<RepoState, StoreFailure> {
        let mut state = self.state_now();
        if let Err(refusal) = state.apply(command) {
            warn!(%refusal, "a decision was refused: {refusal}");
            return Ok(state);
        }
        self.repo.keep_state(&state).await?;
        self.show(|published| published.state = state.clone());
        Ok(state)
    }

    /// What was decided, with the time that has passed since in what moves.
    fn state_now(&self) -> RepoState {
        let mut state = self.repo.board.read().state.clone();
        state.pass_until(self.repo.moment().uptime);
        state
    }

    /// Replaces what readers see.
    fn show(&self, change: impl FnOnce(&mut Published)) {
        let mut next = (*self.repo.board.read()).clone();
        change(&mut next);
        self.repo.board.publish(next);
    }

    fn show_source(&self, change: impl FnOnce(&mut SourceStatus)) {
        self.show(|published| change(&mut published.source));
    }

    /// Waits for the next reason to list: the poll, a wake, or a request. Marks the source stale when its time comes.
    async fn wait(&mut self) {
        let poll_at =
            Instant::now() + pause(self.repo.poll_interval(), self.failures, Jitter(rand::random()));
        let stale_check = self.repo.settings().poll_interval.min(Duration::from_secs(5));
        if self.put_off {
            while let Ok(posted) = self.requests.try_recv() {
                self.handle_traced(posted).await;
            }
            return;
        }
        self.look_again().await;
        let is_there = matches!(self.seen, Some(Seen::At(_)));
        let mut due = if self.judge_again && is_there && self.failures == 0 {
            Instant::now()
        } else {
            poll_at
        };
        loop {
            self.recall();
            due = due.min(self.asked_for()).min(self.announced());
            let tick = Instant::now() + stale_check;
            // Cancel-safe: receiving from channels, looking whether a fence waits and sleeping lose nothing.
            tokio::select! {
                () = raise::due(&self.repo, &self.raises) => self.raise().await,
                turn = pusher::turn(&mut self.pusher) => if self.take_turn(turn).await { return },
                () = tokio::time::sleep_until(due.min(tick)) => {
                    if Instant::now() >= due { return }
                    self.mark_stale();
                    self.repo.bell().tell_silence(self.repo.name());
                }
                () = self.repo.bell().rung() => self.answer_bell(),
                posted = self.requests.recv() => match posted {
                    Some(posted) => {
                        let is_due = self.handle_traced(posted).await;
                        if is_due || (self.look_again().await && self.failures == 0) { return }
                    }
                    None => tokio::time::sleep_until(due).await,
                },
            }
        }
    }

    /// Does what somebody asks. Says whether the upstream has to be listed now.
    async fn handle(&mut self, request: Request) -> bool {
        if request.is_urgent() {
            self.repo.urgent.end();
        }
        match request {
            Request::Reconfigured => {
                // It may be another upstream now, of which no hook could have told.
                self.seen = None;
                self.pusher.hurry();
                true
            }
            Request::List { reply, force } => {
                self.waiting.push(reply);
                self.wants_tags |= force == Force::AtOnceWithTags;
                force != Force::Shared
            }
            Request::Accept {
                head,
                reason,
                by,
                word,
                reply,
            } => self.accept(head, (reason, by), word, reply).await,
            Request::RollBack { wish, word, reply } => {
                // Whoever asked may be gone; what was decided stays.
                reply.send(self.roll_back(*wish, word).await).ok();
                false
            }
            Request::Foresee { wish, reply } => {
                reply.send(self.foresee(*wish).await).ok();
                false
            }
            Request::Release {
                id,
                reason,
                by,
                word,
                reply,
            } => {
                reply.send(self.release(id, (reason, by), word).await).ok();
                false
            }
            Request::Steps { due, reply } => {
                reply.send(self.take_steps(due).await).ok();
                self.bring_back().await;
                false
            }
            Request::Order {
                id,
                order,
                after,
                reason,
                by,
                word,
                reply,
            } => {
                reply
                    .send(self.order(id, (order, after), (reason, by), word).await)
                    .ok();
                self.bring_back().await;
                false
            }
            Request::Give { order, wish, reply } => {
                reply.send(self.give(*order, wish).await).ok();
                false
            }
            Request::Withdraw { word, reply } => {
                reply.send(self.withdraw(word).await).ok();
                false
            }
        }
    }

    /// When the listing that somebody asked for may start. Many who ask within the pause share one.
    fn asked_for(&self) -> Instant {
        if self.waiting.is_empty() {
            return Instant::now() + Duration::from_hours(24);
        }
        self.last_listing
            .map_or_else(Instant::now, |last| last + FORCED_PAUSE)
    }
}
