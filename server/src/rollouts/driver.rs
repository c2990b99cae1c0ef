//! The task that keeps rollouts going: counts, plans, and asks the pipeline for the steps.
//!
//! Invariant: level-triggered. Whatever woke it, it looks at all that moves as it is now, so no wake can be lost; reports
//! that come close together are counted once. It decides nothing: a step that was planned on what is no longer so is
//! not taken.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Heard;
use crate::pipeline::Request;
use crate::repo::Repo;

/// Longest pause while something moves: deadlines and quiet times end without anybody saying so.
const TICK: Duration = Duration::from_secs(1);
/// Shortest pause between two counts.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the pipeline may take to answer before it is planned anew.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Keeps the rollouts of a repository going until told to stop.
pub(crate) async fn drive(repo: Arc<Repo>, stop: CancellationToken) {
    let receiver = repo
        .rollouts
        .receiver
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(receiver) = receiver else { return };
    // Cancel-safe: it only plans, and asks.
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_going(&repo, receiver) => {}
    }
}

async fn keep_going(repo: &Arc<Repo>, mut readings: mpsc::Receiver<Heard>) {
    let mut decisions = repo.board.watch_published();
    loop {
        let is_moving = {
            let state = &decisions.borrow_and_update().state;
            state.moving().next().is_some() || !state.incomplete().is_empty()
        };
        if is_moving {
            if look(repo).await {
                continue;
            }
            sleep(PAUSE).await;
        }
        // Cancel-safe: all of them only wait.
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = repo.rollouts.news.notified(), if is_moving => {}
            () = sleep(TICK), if is_moving => {}
            Some(heard) = readings.recv() => repo.rollouts.hear(&repo.board.read().state, heard),
        }
    }
}

/// Counts, plans, and has the steps taken. Says whether any was, so that more may be due.
async fn look(repo: &Arc<Repo>) -> bool {
    let published = repo.board.read();
    let mut moving = published.state.moving_at(repo.moment().uptime);
    moving.extend(published.state.incomplete());
    let due = repo.due(moving).await;
    if due.is_empty() {
        return false;
    }
    let (reply, answer) = oneshot::channel();
    if let Err(error) = repo.send_urgent(Request::Steps { due, reply }) {
        debug!(%error, "steps that are due wait: {error}");
        return false;
    }
    matches!(timeout(ANSWER_DEADLINE, answer).await, Ok(Ok(true)))
}
