//! The documents of configs: read, merged, checked against schemas, or taken over from an earlier tree.
//!
//! Invariant: what is found of a config is kept beside its documents, in such a form that it counts the same when the
//! config is taken over as when it is worked out.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::{ConfigName, RepoPath};

use super::notes::Noted;
use super::{Judging, settled};
use crate::effective::Effective;
use crate::merge::Merged;
use crate::plan::Planned;
use crate::source::Source;
use crate::verdict::{Config, ConfigParts, JudgedConfig, Tree, Variant};

impl Judging<'_> {
    /// `None` if a file cannot be read; the findings are with the file.
    pub(super) fn config(&mut self, name: &ConfigName, planned: &Planned) -> Option<Config> {
        let known = self
            .earlier
            .and_then(|earlier| settled::config(earlier, name, planned));
        if let Some((config, judged)) = known
            && judged
                .schema
                .as_ref()
                .is_none_or(|schema| self.schemas.is_kept(schema))
        {
            return Some(self.take_over(config, judged, planned));
        }
        let found = self.found.count();
        let mut judged = JudgedConfig::of(planned.schema.clone());
        let (base, variants) = self.documents((name, planned), &mut judged)?;
        let documents: Vec<&Effective> = std::iter::once(&base)
            .chain(variants.iter().map(|variant| &variant.effective))
            .collect();
        self.notes.count(name, &documents, &judged.noted);
        self.schemas.count(&judged.hidden);
        let is_checked = planned
            .schema
            .as_ref()
            .is_none_or(|schema| self.schemas.is_usable(schema));
        let is_sound = is_checked && self.found.count() == found;
        Some(Config::new(ConfigParts {
            name: name.clone(),
            inputs: planned.inputs.clone(),
            rollout: planned.rollout.clone(),
            owners: planned.owners.clone(),
            base,
            variants,
            judged: is_sound.then_some(judged).and_then(settled::kept),
        }))
    }

    /// A config of the earlier tree; what was found of it counts again.
    fn take_over(&mut self, config: &Config, judged: &JudgedConfig, planned: &Planned) -> Config {
        if let Some(schema) = &judged.schema {
            self.schemas.schema(&mut self.library, schema, &mut self.found);
        }
        let documents: Vec<&Effective> = config.effectives().collect();
        for effective in &documents {
            self.library.put(effective.layers());
            self.merged_bytes = self.merged_bytes.saturating_add(effective.canonical().len());
        }
        self.notes.count(config.name(), &documents, &judged.noted);
        self.schemas.count(&judged.hidden);
        settled::again(config, planned)
    }

    /// The base document and each variant's.
    fn documents(
        &mut self,
        (name, planned): (&ConfigName, &Planned),
        judged: &mut JudgedConfig,
    ) -> Option<(Effective, Vec<Variant>)> {
        let layers = self.sources(&planned.layers)?;
        let merged = self.merge(&layers, judged);
        let base = self.effective((name, None), (merged.clone(), layers.clone()), judged);
        let mut variants = Vec::new();
        for (index, variant) in planned.variants.iter().enumerate() {
            let mut all = layers.clone();
            all.extend(self.sources(&variant.layers)?);
            let merged = self.patch(merged.clone(), &all, (index + 1, layers.len()), judged);
            let effective = self.effective((name, Some(&variant.name)), (merged, all), judged);
            variants.push(Variant {
                name: variant.name.clone(),
                when: variant.when.clone(),
                matchers: variant.matchers.clone(),
                effective,
            });
        }
        Some((base, variants))
    }

    /// All of the documents, or none; every one is tried, so that all faults are found.
    fn sources(&mut self, paths: &[RepoPath]) -> Option<Vec<Arc<Source>>> {
        let found = &mut self.found;
        let sources: Vec<_> = paths
            .iter()
            .map(|path| self.library.source(path, found))
            .collect();
        sources.into_iter().collect()
    }

    fn merge(&self, layers: &[Arc<Source>], judged: &mut JudgedConfig) -> Merged {
        match layers.split_first() {
            Some((lowest, _)) => self.patch(Merged::document(&lowest.root), layers, (0, 1), judged),
            None => Merged::empty(),
        }
    }

    /// Puts the layers from index `from` on top; they make the document of this number.
    fn patch(
        &self,
        mut merged: Merged,
        layers: &[Arc<Source>],
        (document, from): (usize, usize),
        judged: &mut JudgedConfig,
    ) -> Merged {
        for (index, layer) in layers.iter().enumerate().skip(from) {
            let notes = merged.apply(&layer.root, index, self.plan.defaults.nulls);
            let of_document = |note| Noted { document, note };
            judged.noted.extend(notes.into_iter().map(of_document));
        }
        merged
    }

    fn effective(
        &mut self,
        (name, variant): (&ConfigName, Option<&str>),
        (merged, layers): (Merged, Vec<Arc<Source>>),
        judged: &mut JudgedConfig,
    ) -> Effective {
        let mask = self.plan.mask.clone();
        let effective = Effective::new(variant.map(str::to_owned), merged, layers, mask);
        self.merged_bytes = self.merged_bytes.saturating_add(effective.canonical().len());
        if let Some(schema) = &judged.schema {
            let hidden = self
                .schemas
                .check(&mut self.library, schema, (name, &effective), &mut self.found);
            judged.hidden.extend(hidden);
        }
        effective
    }
}

/// How often each file is part of a merge: the layers of a base document once, whatever variants are on top.
pub(super) fn merges(tree: &Tree) -> BTreeMap<RepoPath, usize> {
    let of_config = |config: &Config| {
        let base = config.base().sources();
        let above = config
            .variants()
            .iter()
            .flat_map(|variant| variant.effective.sources().iter().skip(base.len()));
        base.iter().chain(above).cloned().collect::<Vec<_>>()
    };
    counted(tree.configs.values().flat_map(of_config))
}

/// How many documents each file is part of.
pub(super) fn documents(tree: &Tree) -> BTreeMap<RepoPath, usize> {
    let effectives = tree.configs.values().flat_map(Config::effectives);
    counted(effectives.flat_map(|effective| effective.sources().iter().cloned()))
}

fn counted(paths: impl Iterator<Item = RepoPath>) -> BTreeMap<RepoPath, usize> {
    let mut counts = BTreeMap::new();
    for path in paths {
        *counts.entry(path).or_default() += 1;
    }
    counts
}
