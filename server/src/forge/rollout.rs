//! What became of commits in the fleet, told to the forge as a status of its own.
//!
//! Invariant: told when a rollout takes a step, and not with every report; of one commit the latest counts. Only what
//! moves, or moved while this process ran, is told, so that a start does not tell what was told long ago. Nobody waits
//! for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::{Fate, Outcome, RepoState};
use headwater_wire::{CommitId, RolloutView};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::ask::{Status, StatusState};
use super::desk::{Desk, Words};
use crate::repo::Repo;

/// Puts what became of each commit on the desk, until told to stop.
pub(super) async fn follow(repo: Arc<Repo>, desk: Arc<Desk>, words: Words, cancel: CancellationToken) {
    let mut board = repo.board.watch_published();
    let mut moving: BTreeSet<CommitId> = BTreeSet::new();
    let mut last = Vec::new();
    loop {
        let published = board.borrow_and_update().clone();
        let steps = steps(&published.state);
        if steps != last {
            last = steps;
            let now: BTreeSet<CommitId> = published
                .state
                .moving()
                .map(|rollout| rollout.source.clone())
                .collect();
            // What has stopped moving is told once more.
            let wanted = std::mem::replace(&mut moving, now.clone());
            let wanted = wanted.union(&now).cloned().collect();
            for status in statuses(&repo, &words, wanted).await {
                desk.put(status);
            }
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = board.changed() => if changed.is_err() { return },
        }
    }
}

/// What a status may change with: which rollouts there are, and how many steps they have taken.
fn steps(state: &RepoState) -> Vec<(String, u64)> {
    let all = state.moving().chain(&state.ended);
    all.map(|rollout| (rollout.id.clone(), rollout.steps)).collect()
}

async fn statuses(repo: &Arc<Repo>, words: &Words, commits: BTreeSet<CommitId>) -> Vec<Status> {
    match repo.brought_by(commits).await {
        Ok(brought) => brought
            .iter()
            .filter_map(|(commit, rollouts)| status(words, commit, rollouts))
            .collect(),
        Err(error) => {
            // The next step tells it.
            debug!(%error, "what became of commits could not be counted: {error}");
            Vec::new()
        }
    }
}

fn status(words: &Words, commit: &CommitId, rollouts: &[RolloutView]) -> Option<Status> {
    let outcome = Outcome::of(rollouts)?;
    Some(Status {
        commit: commit.clone(),
        context: format!("{}/rollout", words.context),
        state: match outcome.fate {
            Fate::Moving => StatusState::Pending,
            Fate::Well => StatusState::Success,
            Fate::Ill => StatusState::Failure,
        },
        description: outcome.words,
        target_url: words.link("commits", commit),
        findings: Vec::new(),
    })
}
