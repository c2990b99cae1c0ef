//! The commit of a rollback, written into the mirror.
//!
//! Invariant: equal decisions and parents give equal commits. One config goes back with the files that decide it and
//! takes no other config with it.

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::{Rollback, Undone};
use headwater_wire::{CommitId, ConfigName, Digest, Person, RepoPath, Timestamp};

use super::super::Pipeline;
use super::RollbackError;
use crate::git::Mirror;
use crate::git::error::{Cause, GitError};
use crate::git::intent::{Intent, Scope, Undo};
use crate::git::revert::{RevertError, Written};
use crate::git::stop::Stop;
use crate::settings::WriteSettings;
use crate::tree;

impl Pipeline {
    /// Writes the commit on top of `base`. For one config, the files that decide it are found first.
    pub(super) async fn draft(
        &self,
        rollback: &mut Rollback,
        base: &CommitId,
    ) -> Result<Written, RollbackError> {
        let Undone::Restore {
            target,
            config: Some(config),
            ..
        } = rollback.undone.clone()
        else {
            let undo = undo(&rollback.undone);
            return self.write(rollback, undo, base).await;
        };
        let wanted = self.inputs(&target, &config).await?;
        let present = self.inputs(base, &config).await?;
        if wanted.is_none() && present.is_none() {
            return Err(RollbackError::NoSuchConfig(config));
        }
        let decides: BTreeSet<RepoPath> = wanted
            .iter()
            .chain(&present)
            .flat_map(|(_, paths)| paths.clone())
            .collect();
        let is_manifest = |path: &RepoPath| path.as_str() == tree::MANIFEST;
        let files: Vec<RepoPath> = decides
            .iter()
            .filter(|path| !is_manifest(path))
            .cloned()
            .collect();
        // The manifest speaks of other configs, too, so it goes back only where it must.
        for paths in [files, decides.into_iter().collect()] {
            let whole = paths.iter().any(is_manifest);
            let scope = Scope::Paths(paths.clone());
            let undo = Undo::Restore {
                target: target.clone(),
                scope,
            };
            let written = match self.write(rollback, undo, base).await {
                Err(RollbackError::Revert(RevertError::NothingToDo { .. })) if !whole => continue,
                other => other?,
            };
            let reached = self.inputs(&written.commit, &config).await?;
            if reached.map(|(digest, _)| digest) == wanted.as_ref().map(|(digest, _)| digest.clone()) {
                let others = self.others(base, &written.commit, &config).await?;
                if !others.is_empty() {
                    return Err(RollbackError::Entangled(config, others));
                }
                let config = Some(config);
                rollback.undone = Undone::Restore {
                    target,
                    config,
                    paths,
                };
                return Ok(written);
            }
        }
        Err(RevertError::NothingToDo { parent: base.clone() }.into())
    }

    /// Writes a commit into the mirror.
    pub(in crate::pipeline) async fn write(
        &self,
        rollback: &Rollback,
        undo: Undo,
        parent: &CommitId,
    ) -> Result<Written, RollbackError> {
        let settings = self.repo.settings();
        let intent = intent(rollback, undo, &settings.write)?;
        let (signing, parent) = (settings.write.signing.clone(), parent.clone());
        let job = move |mirror: &mut Mirror, stop: &Stop| {
            let written = mirror.write_revert(&intent, &parent, &signing, stop);
            Ok((written, mirror.reader()))
        };
        let (written, reader) = self.git_thread.call(settings.mirror_limits.list, job).await?;
        self.repo.set_reader(reader);
        Ok(written?)
    }

    /// Digest and paths of what decides a config at a commit.
    async fn inputs(
        &self,
        commit: &CommitId,
        config: &ConfigName,
    ) -> Result<Option<(Digest, Vec<RepoPath>)>, RollbackError> {
        let declared = self.repo.declared(commit).await?;
        let inputs = declared.as_ref().and_then(|declared| declared.get(config));
        Ok(inputs.map(|inputs| (inputs.digest().clone(), inputs.paths().to_vec())))
    }

    /// Configs other than `config` whose content differs between two commits.
    async fn others(
        &self,
        base: &CommitId,
        draft: &CommitId,
        config: &ConfigName,
    ) -> Result<Vec<ConfigName>, RollbackError> {
        let (before, after) = (self.digests(base).await?, self.digests(draft).await?);
        let names: BTreeSet<&ConfigName> = before.keys().chain(after.keys()).collect();
        let others = names
            .into_iter()
            .filter(|name| *name != config && before.get(*name) != after.get(*name));
        Ok(others.cloned().collect())
    }

    /// What decides every config of a commit.
    pub(super) async fn digests(
        &self,
        commit: &CommitId,
    ) -> Result<BTreeMap<ConfigName, Digest>, RollbackError> {
        let declared = self.repo.declared(commit).await?;
        let declared = declared.iter().flat_map(|declared| declared.iter());
        Ok(declared
            .map(|(config, inputs)| (config.clone(), inputs.digest().clone()))
            .collect())
    }
}

/// What is undone, in Git's words.
pub(in crate::pipeline) fn undo(undone: &Undone) -> Undo {
    match undone {
        Undone::Restore { target, paths, .. } => Undo::Restore {
            target: target.clone(),
            scope: if paths.is_empty() {
                Scope::WholeTree
            } else {
                Scope::Paths(paths.clone())
            },
        },
        Undone::Revert { commit, mainline } => Undo::Revert {
            commit: commit.clone(),
            mainline: *mainline,
        },
    }
}

fn intent(rollback: &Rollback, undo: Undo, write: &WriteSettings) -> Result<Intent, RollbackError> {
    let named = |problem: &'static str| GitError::Settings(Cause::ours(problem));
    let id = rollback.id.parse().map_err(named)?;
    let (name, email) = (&write.committer_name, &write.committer_email);
    let committer = person(name, email, rollback.at);
    let author = match &rollback.requested_by {
        Some(text) => author(text, email, rollback.at),
        None => committer.clone(),
    };
    Ok(Intent {
        id,
        undo,
        author,
        committer,
        reason: rollback.reason.clone(),
        requested_by: rollback.requested_by.clone().unwrap_or_default(),
        confirmed_by: rollback.confirmed_by.clone().unwrap_or_default(),
    })
}

/// `Name <address>`, an address, or a name.
fn author(text: &str, email: &str, at: Timestamp) -> Person {
    match text.split_once('<') {
        Some((name, address)) => person(name.trim(), address.trim_end_matches('>').trim(), at),
        None if text.contains('@') => person(text, text, at),
        None => person(text, email, at),
    }
}

fn person(name: &str, email: &str, at: Timestamp) -> Person {
    Person {
        name: name.to_owned(),
        email: email.to_owned(),
        at,
    }
}
