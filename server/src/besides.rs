//! Commits that instances hold some configs of, besides what is exposed: rollouts have not reached everybody yet, or
//! something was gone back from.
//!
//! Invariant: a step that people allowed on the way from such a commit to the tip is allowed from there for as long as
//! content goes on to the tip; content that was gone back from took its allowance with it. What is deliberately absent:
//! which contents these are, which is decided in the core, and what is measured from them.

use std::collections::BTreeMap;

use headwater_core::{OldContent, OldContents};
use headwater_validators::{Limits, OldConfig, declare};
use headwater_wire::{CommitId, ConfigName, RepoPath};

use crate::git::error::GitError;
use crate::git::read::Reader;
use crate::measure::{allowed_to, new_commits};
use crate::tree::{self, MANIFEST, RawEntry, assemble, content_id};

/// A commit that instances hold some configs of.
#[derive(Debug, Clone)]
pub(crate) struct Besides {
    /// The commit.
    pub(crate) commit: CommitId,
    /// The configs.
    pub(crate) configs: BTreeMap<ConfigName, OldConfig>,
}

/// Names what instances hold besides the tip; equal names mean equal contents.
pub(crate) fn name(old: &OldContents) -> Option<String> {
    let name = old.name()?;
    Some(content_id(name.as_bytes()).as_str().to_owned())
}

/// Leaves out what a commit leaves as it is exposed: nobody takes a step there, however much moves.
pub(crate) fn retain_changed(
    all: &mut Vec<Besides>,
    (before, entries): (&[RawEntry], &[RawEntry]),
    limits: &Limits,
) {
    if all.is_empty() {
        return;
    }
    let [old, new] = [before, entries].map(|entries| declare(&assemble(entries), limits));
    // Under a manifest that cannot be used nothing is measured at all.
    let (Some(old), Some(new)) = (old, new) else {
        all.clear();
        return;
    };
    for besides in &mut *all {
        besides
            .configs
            .retain(|name, _| !old.contains_key(name) || old.get(name) != new.get(name));
    }
    all.retain(|besides| !besides.configs.is_empty());
}

impl Besides {
    /// All that are there; one that is nowhere any more is handed out to nobody either.
    pub(crate) fn all(reader: &Reader, old: &OldContents, tip: &CommitId) -> Result<Vec<Self>, GitError> {
        let there = old.besides.iter().filter(|(commit, _)| reader.contains(commit));
        there
            .map(|(commit, configs)| Self::new(reader, (commit, configs), tip))
            .collect()
    }

    fn new(
        reader: &Reader,
        (commit, configs): (&CommitId, &BTreeMap<ConfigName, OldContent>),
        tip: &CommitId,
    ) -> Result<Self, GitError> {
        let on_the_way = if configs.values().any(OldContent::goes_on) {
            allowed_to(reader, &new_commits(reader, Some(commit), tip)?)?
        } else {
            Vec::new()
        };
        let config = |why: &OldContent| OldConfig {
            hint: why.hint(),
            allowed: if why.goes_on() {
                on_the_way.clone()
            } else {
                Vec::new()
            },
        };
        Ok(Self {
            commit: commit.clone(),
            configs: configs
                .iter()
                .map(|(name, why)| (name.clone(), config(why)))
                .collect(),
        })
    }

    /// The manifest of the commit, and the files that its configs are made of. Of what `newer` has too, the bytes are
    /// taken from there.
    pub(crate) fn read(
        &self,
        reader: &Reader,
        limits: &Limits,
        newer: &[RawEntry],
    ) -> Result<Vec<RawEntry>, GitError> {
        let entries = tree::read_before(reader, &self.commit, limits, newer)?.unwrap_or_default();
        let declared = declare(&assemble(&entries), limits).unwrap_or_default();
        let held = self.configs.keys().filter_map(|name| declared.get(name));
        let mut wanted: Vec<&str> = held
            .flat_map(|inputs| inputs.files().iter().map(RepoPath::as_str))
            .collect();
        wanted.push(MANIFEST);
        wanted.sort_unstable();
        let is_wanted = |path: &[u8]| {
            wanted
                .binary_search_by(|wanted| wanted.as_bytes().cmp(path))
                .is_ok()
        };
        Ok(entries.into_iter().filter(|(path, _)| is_wanted(path)).collect())
    }
}

#[cfg(test)]
mod tests {
    use headwater_validators::{Entry, File};

    use super::*;

    fn entries(files: &[(&str, &str)]) -> Vec<RawEntry> {
        let entry = |(path, text): &(&str, &str)| {
            let file = File {
                id: content_id(text.as_bytes()),
                size: text.len() as u64,
                bytes: Some(text.as_bytes().into()),
            };
            (path.as_bytes().to_vec(), Entry::File(file))
        };
        files.iter().map(entry).collect()
    }

    #[test]
    fn only_what_a_commit_changes_takes_a_step() {
        let manifest = ("headwater.toml", "format = 1");
        let old = entries(&[manifest, ("a.toml", "n = 1"), ("b.toml", "n = 1")]);
        let held = |names: &[&str]| Besides {
            commit: "a".repeat(40).parse().unwrap(),
            configs: names
                .iter()
                .map(|name| (name.parse().unwrap(), OldConfig::default()))
                .collect(),
        };
        let kept = |new: &[RawEntry]| {
            let mut all = vec![held(&["a", "b"]), held(&["b"]), held(&["gone"])];
            retain_changed(&mut all, (&old, new), &Limits::default());
            let names = all.iter().map(|besides| besides.configs.keys());
            names
                .map(|names| names.map(ConfigName::as_str).collect::<String>())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&old), ["gone"]);
        let a = entries(&[manifest, ("a.toml", "n = 2"), ("b.toml", "n = 1")]);
        assert_eq!(kept(&a), ["a", "gone"]);
        let renamed = entries(&[manifest, ("a.toml", "n = 1"), ("c.toml", "n = 1")]);
        assert_eq!(kept(&renamed), ["b", "b", "gone"]);
        assert_eq!(kept(&entries(&[("headwater.toml", "format")])), [""; 0]);
    }
}
