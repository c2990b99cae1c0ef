//! What rollbacks mean for an admission: which of them the branch fulfils, and whose documents are exposed instead of
//! the tip's.
//!
//! Invariant: everything here follows from the state and the mirror, so that a restart finds the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::RepoState;
use headwater_validators::ValidTree;
use headwater_wire::{CommitId, ConfigName};
use tracing::warn;

use super::super::Pipeline;
use super::super::source::RoundError;
use super::draft::undo;
use crate::git::error::GitError;
use crate::git::intent::IntentId;
use crate::git::read::Reader;
use crate::git::revert::IntentSearch;
use crate::judge::{Judged, judge};
use crate::measure::Measure;
use crate::publish::{Snapshot, Stock};

/// Commits looked through for the one that fulfils a rollback.
const LANDED_SEARCH_MAX: usize = 4_096;

impl Pipeline {
    /// Rollbacks that the branch fulfils up to `tip`, and by which commits.
    pub(in crate::pipeline) async fn landed(
        &self,
        reader: &Reader,
        state: &RepoState,
        tip: &CommitId,
    ) -> Result<Vec<(String, CommitId)>, RoundError> {
        let awaited = state.rollbacks.iter();
        let awaited: Vec<(String, CommitId)> = awaited
            .filter(|rollback| rollback.is_open() || state.holds_back(&rollback.id))
            .map(|rollback| (rollback.id.clone(), rollback.base.clone()))
            .collect();
        if awaited.is_empty() {
            return Ok(Vec::new());
        }
        let (reader, tip) = (reader.clone(), tip.clone());
        let work = move || {
            let mut landed = Vec::new();
            for (id, base) in awaited {
                let Ok(intent) = id.parse::<IntentId>() else {
                    continue;
                };
                if let IntentSearch::Found(commit) =
                    reader.find_intent(&intent, &tip, &base, LANDED_SEARCH_MAX)?
                {
                    landed.push((id, commit));
                }
            }
            Ok::<_, GitError>(landed)
        };
        let deadline = self.repo.settings().mirror_limits.fetch;
        let found = crate::task::blocking(deadline, work).await;
        Ok(found.map_err(crate::repo::RepoError::from)??)
    }

    /// What `state` says is handed out while `judged` is the tip.
    pub(in crate::pipeline) async fn snapshot(
        &self,
        reader: &Reader,
        state: &RepoState,
        judged: Arc<Judged>,
    ) -> Result<Arc<Snapshot>, RoundError> {
        let sources = self.sources(reader, state, &judged).await?;
        let before = self.repo.board.read().snapshot.clone();
        let mut stock = before.as_ref().map(|before| before.stock()).unwrap_or_default();
        stock.extend(stock_of(&sources));
        Ok(Arc::new(Snapshot::of(state, judged, &stock, before.as_deref())))
    }

    /// The documents of the commits out of which something is handed out, beside the tip and what is handed out already.
    pub(in crate::pipeline) async fn sources(
        &self,
        reader: &Reader,
        state: &RepoState,
        tip: &Judged,
    ) -> Result<Vec<(CommitId, Arc<Judged>)>, RoundError> {
        let before = self.repo.board.read().snapshot.clone();
        let has = |config: &ConfigName, commit: &CommitId| {
            let all = before.iter().flat_map(|before| [&before.configs, &before.moving]);
            let mut exposed = all.filter_map(|configs| configs.get(config));
            exposed.any(|exposed| exposed.source == *commit)
        };
        let wanted = state.sources();
        let wanted = wanted.filter(|(config, commit)| **commit != tip.commit && !has(config, commit));
        let wanted: BTreeSet<&CommitId> = wanted.map(|(_, commit)| commit).collect();
        let mut sources = Vec::new();
        for commit in wanted {
            let (reader, there) = if reader.contains(commit) {
                (reader.clone(), commit.clone())
            } else {
                let there = self.write_again(state, commit).await?;
                (self.repo.reader()?, there)
            };
            // It was judged when it was decided. Now its documents are wanted, whatever the rules have become.
            let rules = self.repo.rules().lenient();
            let judged = judge(&reader, &there, &rules, Measure::default()).await?;
            sources.push((commit.clone(), Arc::new(judged)));
        }
        Ok(sources)
    }

    /// Writes the commit of a rollback that was lost with the mirror. Its tree follows from the decision; its name does,
    /// too, unless the committer or the way of signing has changed. Gives the name.
    async fn write_again(&self, state: &RepoState, commit: &CommitId) -> Result<CommitId, RoundError> {
        let mut rollbacks = state.rollbacks.iter();
        let Some(rollback) = rollbacks.find(|rollback| rollback.exposed == *commit) else {
            return Ok(commit.clone());
        };
        match self.write(rollback, undo(&rollback.undone), &rollback.base).await {
            Ok(written) => {
                self.keep(&written.commit).await?;
                Ok(written.commit)
            }
            Err(error) => {
                warn!(commit.id = %commit, %error, "the commit of a rollback is lost: {error}");
                Ok(commit.clone())
            }
        }
    }
}

/// The configs of commits, by these commits.
pub(in crate::pipeline) fn stock_of(sources: &[(CommitId, Arc<Judged>)]) -> Stock {
    let configs = sources.iter().flat_map(|(commit, judged)| {
        let configs = judged.valid.iter().flat_map(ValidTree::configs);
        configs.map(move |(name, config)| ((commit.clone(), name.clone()), config.clone()))
    });
    configs.collect()
}
