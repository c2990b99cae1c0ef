//! What rollbacks mean for an admission: which of them the branch fulfils, and whose documents are exposed instead of
//! the tip's.
//!
//! Invariant: everything here follows from the state and the mirror, so that a restart finds the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::RepoState;
use headwater_wire::CommitId;
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

    /// The documents of the commits that are exposed for rollbacks, by those commits.
    pub(in crate::pipeline) async fn sources(
        &self,
        reader: &Reader,
        state: &RepoState,
    ) -> Result<BTreeMap<CommitId, Arc<Judged>>, RoundError> {
        let wanted: BTreeSet<&CommitId> = state.withheld.values().map(|held| &held.source).collect();
        let mut sources = BTreeMap::new();
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
            sources.insert(commit.clone(), Arc::new(judged));
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
