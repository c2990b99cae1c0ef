//! The version of a config: the oldest commit of the unbroken run, in first-parent history, whose inputs equal those
//! at the commit asked.
//!
//! Invariant: it depends on history alone. Which commits this service happened to see, judge or reject plays no
//! part, so every replica names the same version. The walk itself is fed from outside, one parent at a time, with
//! the paths that differ: what did not change is never read.

use std::collections::BTreeMap;

use headwater_validators::{Inputs, PathChange};
use headwater_wire::{CommitId, ConfigName, Digest, RepoPath};

/// What is known of one commit: the digest of its configs' inputs, and the version each of them has there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// By config.
    pub configs: BTreeMap<ConfigName, (Digest, CommitId)>,
}

/// A path that differs between a commit and its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPath {
    /// Path.
    pub path: RepoPath,
    /// What the commit did to it.
    pub change: PathChange,
}

/// A walk from one commit towards the root that ends when every config has its version.
#[derive(Debug)]
pub struct VersionSearch {
    /// Oldest commit so far at which all open configs have the inputs they are searched with.
    reached: CommitId,
    open: BTreeMap<ConfigName, Inputs>,
    /// Configs by each path that they watch; some may be closed.
    by_path: BTreeMap<RepoPath, Vec<ConfigName>>,
    found: BTreeMap<ConfigName, CommitId>,
}

impl VersionSearch {
    /// Starts at `commit`, which declares `inputs`.
    pub fn new(commit: CommitId, inputs: BTreeMap<ConfigName, Inputs>) -> Self {
        Self {
            reached: commit,
            by_path: by_path(&inputs),
            open: inputs,
            found: BTreeMap::new(),
        }
    }

    /// Whether every config has its version.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the parent's declarations must be read to take it, since only they say what became of the configs: the
    /// manifest changed, or names that came or went could decide which configs there are and from which files.
    pub fn must_declare(&self, changed: &[ChangedPath]) -> bool {
        let any = self.open.values().next();
        changed.iter().any(|changed| {
            any.is_some_and(|inputs| inputs.may_hang_on(&changed.path, changed.change))
                || self
                    .watching(&changed.path)
                    .any(|(_, inputs)| !holds(inputs, &changed.path))
        })
    }

    /// Takes the next parent, whose declarations [`Self::must_declare`] did not ask for: of the open configs only those
    /// that take a changed file as a layer differ there, and nobody else watches that path.
    pub fn step(&mut self, parent: CommitId, changed: &[ChangedPath]) {
        for ChangedPath { path, .. } in changed {
            for config in self.by_path.remove(path).unwrap_or_default() {
                self.close(&config);
            }
        }
        self.reached = parent;
    }

    /// Takes the next parent, which may declare anything; `None` if its manifest is invalid, which breaks every run.
    pub fn step_declared(&mut self, parent: CommitId, declared: Option<&BTreeMap<ConfigName, Inputs>>) {
        let mut open = BTreeMap::new();
        for (config, inputs) in std::mem::take(&mut self.open) {
            // Equal inputs may hang on other paths there, and those count from there on.
            match declared.and_then(|declared| declared.get(&config)) {
                Some(there) if *there == inputs => drop(open.insert(config, there.clone())),
                Some(_) | None => drop(self.found.insert(config, self.reached.clone())),
            }
        }
        self.by_path = by_path(&open);
        self.open = open;
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

    /// Open configs that watch `path`.
    fn watching(&self, path: &RepoPath) -> impl Iterator<Item = (&ConfigName, &Inputs)> {
        let configs = self.by_path.get(path).into_iter().flatten();
        configs.filter_map(|config| self.open.get_key_value(config))
    }
}

/// Whether the file at `path` is a layer of the config, so that any change there ends its run.
fn holds(inputs: &Inputs, path: &RepoPath) -> bool {
    inputs.files().binary_search(path).is_ok()
}

fn by_path(open: &BTreeMap<ConfigName, Inputs>) -> BTreeMap<RepoPath, Vec<ConfigName>> {
    let mut by_path: BTreeMap<RepoPath, Vec<ConfigName>> = BTreeMap::new();
    for (config, inputs) in open {
        // A file found by a wildcard is not among the paths.
        let found = inputs
            .files()
            .iter()
            .filter(|file| inputs.paths().binary_search(file).is_err());
        for path in inputs.paths().iter().chain(found) {
            by_path.entry(path.clone()).or_default().push(config.clone());
        }
    }
    by_path
}
