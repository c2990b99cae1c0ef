//! Which configs of a rollback may have what is there although it is not known that everybody had it.
//!
//! Invariant: those that are moved at once anyhow, now and there, so that a commit of the same content would do no less; and
//! those whose content is of a commit that is no newer than what is remembered of them. Nobody knows what was released
//! before, and whoever has just begun to follow a branch needs a way back, too.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::rollout::Policy;
use headwater_core::{ConfigFacts, RepoState, Rollback, Undone, Way};
use headwater_wire::{CommitId, ConfigName};

use super::super::Pipeline;
use super::RollbackError;
use crate::git::error::GitError;
use crate::git::read::Reader;
use crate::judge::Judged;
use crate::repo::RepoError;

impl Pipeline {
    /// Those of `touched`.
    pub(super) async fn may_be_at_once(
        &self,
        state: &RepoState,
        rollback: &Rollback,
        (touched, facts): (&BTreeSet<ConfigName>, &BTreeMap<ConfigName, ConfigFacts>),
        draft: &Judged,
    ) -> Result<BTreeSet<ConfigName>, RollbackError> {
        let snapshot = self.repo.board.read().snapshot.clone();
        let snapshot = snapshot.ok_or(RepoError::NotReady)?;
        let is_at_once = |config: &ConfigName| {
            let both = [draft, &*snapshot.judged];
            both.iter().all(|judged| is_moved_at_once(judged, config))
        };
        let barred = touched
            .iter()
            .filter(|config| state.way(config, facts.get(*config)) == Way::Barred);
        let (mut found, unknown): (BTreeSet<_>, BTreeSet<_>) = barred.cloned().partition(is_at_once);
        if unknown.is_empty() {
            return Ok(found);
        }
        let undone = rollback.undone.clone();
        let Some(there) = self.repo.read(move |reader| Ok(there(reader, &undone)?)).await? else {
            return Ok(found);
        };
        let digests = self.digests(&there).await?;
        let is_that = |config: &ConfigName| {
            let new = facts.get(config).map(|facts| &facts.content.inputs);
            digests.get(config) == new
        };
        let horizons: Vec<(ConfigName, CommitId)> = unknown
            .into_iter()
            .filter(is_that)
            .filter_map(|config| Some((config.clone(), state.stable(&config)?.horizon().clone())))
            .collect();
        let older = move |reader: &Reader| {
            let mut older = Vec::new();
            for (config, horizon) in horizons {
                if reader.contains(&horizon) && (there == horizon || reader.is_ancestor(&there, &horizon)?) {
                    older.push(config);
                }
            }
            Ok(older)
        };
        found.extend(self.repo.read(older).await?);
        Ok(found)
    }
}

/// Whether a commit moves a config at once.
fn is_moved_at_once(judged: &Judged, config: &ConfigName) -> bool {
    let valid = judged.valid.as_ref();
    let found = valid.and_then(|valid| Some((valid, valid.configs().get(config)?)));
    found.is_some_and(|(valid, config)| Policy::of_config(valid, config).is_immediate())
}

/// The commit whose content comes back.
fn there(reader: &Reader, undone: &Undone) -> Result<Option<CommitId>, GitError> {
    match undone {
        Undone::Restore { target, .. } => Ok(Some(target.clone())),
        Undone::Revert { commit, mainline } => {
            let parents = reader.commit(commit)?.parents;
            Ok(parents.into_iter().nth(mainline.unwrap_or(1).saturating_sub(1)))
        }
    }
}
