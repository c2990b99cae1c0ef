//! The version of a config: the oldest commit of the unbroken run, in first-parent history, whose inputs equal those
//! at the commit asked.
//!
//! Invariant: it depends on history alone. Which commits this service happened to see, judge or reject plays no
//! part, so every replica names the same version. The walk itself is fed from outside, one parent at a time, with
//! the paths that differ: what did not change is never read.

use std::collections::BTreeMap;

use headwater_validators::Inputs;
use headwater_wire::{CommitId, ConfigName, Digest, RepoPath};

/// What is known of one commit: the digest of its configs' inputs, and the version each of them has there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// By config.
    pub configs: BTreeMap<ConfigName, (Digest, CommitId)>,
}

/// A walk from one commit towards the root that ends when every config has its version.
#[derive(Debug)]
pub struct VersionSearch {
    /// Oldest commit so far at which all open configs have the inputs they are searched with.
    reached: CommitId,
    open: BTreeMap<ConfigName, Inputs>,
    by_path: BTreeMap<RepoPath, Vec<ConfigName>>,
    found: BTreeMap<ConfigName, CommitId>,
}

impl VersionSearch {
    /// Starts at `commit`, which declares `inputs`.
    pub fn new(commit: CommitId, inputs: BTreeMap<ConfigName, Inputs>) -> Self {
        let mut by_path: BTreeMap<RepoPath, Vec<ConfigName>> = BTreeMap::new();
        for (config, declared) in &inputs {
            for path in declared.paths() {
                by_path.entry(path.clone()).or_default().push(config.clone());
            }
        }
        Self {
            reached: commit,
            open: inputs,
            by_path,
            found: BTreeMap::new(),
        }
    }

    /// Whether every config has its version.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the parent's declarations must be read to take it: something changed in a directory that a config takes
    /// files from by a pattern, and only the declarations say whether it matched.
    pub fn must_declare(&self, changed: &[RepoPath]) -> bool {
        let parents = |path: &RepoPath| {
            let text = path.as_str().to_owned();
            let ends: Vec<usize> = text.match_indices('/').map(|(end, _)| end).collect();
            ends.into_iter()
                .filter_map(move |end| text.get(..end).map(str::to_owned))
        };
        changed
            .iter()
            .flat_map(parents)
            .any(|directory| self.by_path.contains_key(directory.as_str()))
    }

    /// Takes the next parent, which has the same manifest: only configs whose paths `changed` are affected.
    pub fn step(&mut self, parent: CommitId, changed: &[RepoPath]) {
        for path in changed {
            for config in self.by_path.remove(path).unwrap_or_default() {
                self.close(&config);
            }
        }
        self.reached = parent;
    }

    /// Takes the next parent, which has another manifest and therefore may declare anything; `None` if its manifest
    /// cannot be read, which breaks every run.
    pub fn step_declared(&mut self, parent: CommitId, declared: Option<&BTreeMap<ConfigName, Inputs>>) {
        let differs = |(config, inputs): &(&ConfigName, &Inputs)| {
            declared.is_none_or(|declared| declared.get(*config) != Some(*inputs))
        };
        let changed: Vec<ConfigName> = self
            .open
            .iter()
            .filter(differs)
            .map(|(config, _)| config.clone())
            .collect();
        for config in changed {
            self.close(&config);
        }
        self.reached = parent;
    }

    /// Uses what is known of the commit just reached: configs with equal inputs there have the version they have there.
    pub fn meet(&mut self, known: &Known) {
        let shared: Vec<(ConfigName, CommitId)> = self
            .open
            .iter()
            .filter_map(|(config, inputs)| {
                let (known_inputs, version) = known.configs.get(config)?;
                (known_inputs == inputs.digest()).then(|| (config.clone(), version.clone()))
            })
            .collect();
        for (config, version) in shared {
            self.open.remove(&config);
            self.found.insert(config, version);
        }
    }

    /// Ends the walk: what is still open began at the last commit reached, which is the root or the walk's limit.
    pub fn finish(mut self) -> BTreeMap<ConfigName, CommitId> {
        for config in std::mem::take(&mut self.open).into_keys() {
            self.found.insert(config, self.reached.clone());
        }
        self.found
    }

    fn close(&mut self, config: &ConfigName) {
        if self.open.remove(config).is_some() {
            self.found.insert(config.clone(), self.reached.clone());
        }
    }
}
