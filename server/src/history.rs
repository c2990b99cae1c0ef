//! What a commit changed, in configs and in files: for history pages and differences.

use std::collections::BTreeSet;

use headwater_validators::{Config, Effective, Mask};
use headwater_wire::{CommitId, ConfigDiff, ConfigName, FileDiff, RepoPath, VerdictState, VerdictView};

use crate::git::error::GitError;
use crate::git::history::{ChangedEntry, CommitInfo};
use crate::git::read::{ReadError, Reader};
use crate::repo::{Repo, RepoError};
use crate::text_diff::{self, Side};
use crate::tree::MANIFEST;

/// Largest file whose text is compared, in bytes of either side.
const TEXT_DIFF_BYTES_MAX: u64 = 1 << 20;
/// Files compared in one answer; the rest is named without its text.
const TEXT_DIFF_FILES_MAX: usize = 300;

/// Configs whose inputs a commit changed against its first parent.
pub(crate) async fn configs_changed(repo: &Repo, info: &CommitInfo) -> Result<Vec<ConfigName>, RepoError> {
    let after = repo.declared(&info.commit).await?;
    let before = match info.parents.first() {
        Some(parent) => repo.declared(parent).await?,
        None => None,
    };
    let empty = std::collections::BTreeMap::new();
    let (before, after) = (
        before.as_deref().unwrap_or(&empty),
        after.as_deref().unwrap_or(&empty),
    );
    let names: BTreeSet<&ConfigName> = before.keys().chain(after.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect())
}

/// The verdict on a commit, if somebody asked for it before.
pub(crate) async fn verdict(repo: &Repo, commit: &CommitId) -> VerdictView {
    match repo.kept_verdict(commit).await {
        Some(record) => VerdictView {
            state: record.state,
            findings: record.findings,
        },
        None => VerdictView {
            state: VerdictState::Unjudged,
            findings: Vec::new(),
        },
    }
}

/// Changed values of every config between two commits, the base document first, then each variant.
pub(crate) async fn config_diffs(
    repo: &Repo,
    (from, to): (&CommitId, &CommitId),
    only: Option<&ConfigName>,
) -> Result<Vec<ConfigDiff>, RepoError> {
    let (old, new) = (repo.judged(from).await?, repo.judged(to).await?);
    // A rejected commit has no documents: every config would look removed. Its files tell what it changed.
    let (Some(old), Some(new)) = (&old.valid, &new.valid) else {
        return Ok(Vec::new());
    };
    let (old, new) = (old.configs(), new.configs());
    let names: BTreeSet<&ConfigName> = old.keys().chain(new.keys()).collect();
    let mut diffs = Vec::new();
    for name in names
        .into_iter()
        .filter(|name| only.is_none_or(|only| only == *name))
    {
        let difference = difference(name, old.get(name), new.get(name));
        diffs.extend(difference.into_iter().flat_map(|(_, diffs)| diffs));
    }
    Ok(diffs)
}

/// How a config differs: whether it is `added`, `removed` or `modified`, and its changed values. `None` where what
/// decides it is the same.
pub(crate) fn difference(
    name: &ConfigName,
    before: Option<&Config>,
    after: Option<&Config>,
) -> Option<(&'static str, Vec<ConfigDiff>)> {
    if before.map(Config::inputs) == after.map(Config::inputs) {
        return None;
    }
    let kind = match (before, after) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) => "modified",
    };
    let documents = |config: Option<&Config>| -> Vec<Effective> {
        config
            .into_iter()
            .flat_map(|config| config.effectives().cloned())
            .collect()
    };
    Some((
        kind,
        document_diffs(name, kind, &documents(before), &documents(after)),
    ))
}

/// Differences of one config's documents, paired by variant.
fn document_diffs(
    name: &ConfigName,
    kind: &str,
    before: &[Effective],
    after: &[Effective],
) -> Vec<ConfigDiff> {
    let mut variants: Vec<Option<&str>> = Vec::new();
    for document in before.iter().chain(after) {
        if !variants.contains(&document.variant()) {
            variants.push(document.variant());
        }
    }
    let find = |documents: &[Effective], variant: Option<&str>| {
        documents
            .iter()
            .find(|document| document.variant() == variant)
            .cloned()
    };
    let diff = |variant: Option<&str>| {
        let changes =
            headwater_validators::diff(find(before, variant).as_ref(), find(after, variant).as_ref());
        let variant = variant.map(str::to_owned);
        (!changes.is_empty()).then(|| ConfigDiff {
            config: name.clone(),
            variant,
            kind: kind.to_owned(),
            changes,
        })
    };
    variants.into_iter().filter_map(diff).collect()
}

/// Changed files between two commits with their text, under limits. Secrets are hidden by the manifests of both.
pub(crate) fn file_diffs(
    reader: &Reader,
    from: &CommitId,
    to: &CommitId,
) -> Result<Vec<FileDiff>, RepoError> {
    let changed = reader.changed(Some(from), to)?;
    let masks = [mask(reader, from)?, mask(reader, to)?];
    let diffs = changed.iter().enumerate().map(|(index, entry)| {
        let text = if index < TEXT_DIFF_FILES_MAX {
            text_diff(reader, (from, to), entry, &masks)?
        } else {
            None
        };
        Ok(FileDiff {
            path: String::from_utf8_lossy(&entry.path).into_owned(),
            kind: kind(entry).to_owned(),
            text,
        })
    });
    diffs.collect()
}

fn kind(entry: &ChangedEntry) -> &'static str {
    match (&entry.old, &entry.new) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) => "modified",
    }
}

fn text_diff(
    reader: &Reader,
    (from, to): (&CommitId, &CommitId),
    entry: &ChangedEntry,
    masks: &[Mask],
) -> Result<Option<String>, RepoError> {
    let Some(path) = std::str::from_utf8(&entry.path)
        .ok()
        .and_then(|path| path.parse::<RepoPath>().ok())
    else {
        return Ok(None);
    };
    let old = if entry.old.is_some() {
        text(reader, from, &path)?
    } else {
        Some(String::new())
    };
    let new = if entry.new.is_some() {
        text(reader, to, &path)?
    } else {
        Some(String::new())
    };
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(None);
    };
    let side = |side: &str, there: bool, text: String| {
        let header = if there {
            format!("{side}/{path}")
        } else {
            "/dev/null".to_owned()
        };
        Side { header, text }
    };
    let old = side("a", entry.old.is_some(), old);
    let new = side("b", entry.new.is_some(), new);
    Ok(Some(text_diff::unified(path.as_str(), &old, &new, masks)))
}

/// What is secret in a commit, whatever its verdict: one that was rejected for a secret must not show it.
fn mask(reader: &Reader, commit: &CommitId) -> Result<Mask, GitError> {
    let Ok(path) = MANIFEST.parse::<RepoPath>() else {
        return Ok(Mask::of_manifest(None));
    };
    let manifest = text(reader, commit, &path)?;
    Ok(Mask::of_manifest(manifest.as_deref().map(str::as_bytes)))
}

/// A file as text; `None` if it is binary, too large, or no file.
fn text(reader: &Reader, commit: &CommitId, path: &RepoPath) -> Result<Option<String>, GitError> {
    match reader.blob(commit, path, TEXT_DIFF_BYTES_MAX) {
        Ok(bytes) if bytes.contains(&0) => Ok(None),
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(ReadError::TooLarge { .. } | ReadError::NotAFile { .. } | ReadError::FileNotFound { .. }) => {
            Ok(None)
        }
        Err(ReadError::Git(error)) => Err(error),
    }
}
