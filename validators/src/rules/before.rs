//! What is exposed now: the guards of its manifest, and its documents, made when a rule asks for them.
//!
//! Invariant: nothing here is judged. It was admitted; what cannot be read of it any more has no old value.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::{ConfigName, RepoPath};

use crate::collect::Collector;
use crate::effective::Effective;
use crate::library::Library;
use crate::lineage::Lineage;
use crate::merge::{Merged, Nulls};
use crate::plan::{Plan, Planned};
use crate::rules::rule::Rule;
use crate::rules::steps::When;
use crate::schema::{Compiled, Schemas};
use crate::secrets::mask::Mask;
use crate::source::Source;
use crate::tree::ConfigTree;
use crate::verdict::{Config, Variant};

/// The exposed tree under its own manifest.
pub(crate) struct Before<'a> {
    pub(crate) tree: &'a ConfigTree,
    pub(crate) plan: Arc<Plan>,
    library: Library<'a>,
}

/// The documents of one exposed config.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) base: Effective,
    pub(crate) variants: Vec<OldVariant>,
}

/// A document for the instances whose labels meet a condition.
#[derive(Debug, Clone)]
pub(crate) struct OldVariant {
    pub(crate) when: When,
    pub(crate) effective: Effective,
}

impl<'a> Before<'a> {
    pub(crate) fn of(tree: &'a ConfigTree, plan: Arc<Plan>) -> Self {
        let library = Library::new(tree, &plan);
        Self { tree, plan, library }
    }

    /// A plan that hides what is hidden here too.
    pub(crate) fn hiding(&self, plan: Arc<Plan>) -> Arc<Plan> {
        let mask = plan.mask.clone().and(&self.plan.mask);
        if mask == plan.mask {
            return plan;
        }
        let mut plan = Arc::unwrap_or_clone(plan);
        plan.mask = mask;
        Arc::new(plan)
    }

    /// All documents, if any rule of `plan` or of this manifest measures a change.
    pub(crate) fn documents(
        &mut self,
        plan: &Plan,
        configs: &BTreeMap<ConfigName, Config>,
    ) -> BTreeMap<ConfigName, Documents> {
        let measures = |plan: &Plan| plan.rules.values().any(Rule::is_transition);
        if !measures(plan) && !measures(&self.plan) {
            return BTreeMap::new();
        }
        let names: Vec<ConfigName> = self.plan.configs.keys().cloned().collect();
        let with_documents = |name: ConfigName| {
            let documents = self.of_config(&name, configs.get(&name))?;
            Some((name, documents))
        };
        names.into_iter().filter_map(with_documents).collect()
    }

    /// What the configs of a plan go on from.
    pub(crate) fn lineage(&mut self, plan: &Plan, library: &mut Library<'_>) -> Lineage {
        Lineage::trace((&self.plan, &mut self.library), (plan, library))
    }

    /// A schema of the exposed tree; `None` if it cannot be used any more.
    pub(crate) fn schema(&mut self, schemas: &mut Schemas<'a>, path: &RepoPath) -> Option<Arc<Compiled>> {
        schemas.schema(&mut self.library, path, &mut Collector::default())
    }

    /// The documents of a config. Where the same inputs decide `new`, they are its documents.
    fn of_config(&mut self, name: &ConfigName, new: Option<&Config>) -> Option<Documents> {
        let planned = self.plan.configs.get(name)?;
        if let Some(new) = new.filter(|new| *new.inputs() == planned.inputs) {
            let variant = |variant: &Variant| OldVariant {
                when: variant.when().clone(),
                effective: variant.effective().clone(),
            };
            return Some(Documents {
                base: new.base().clone(),
                variants: new.variants().iter().map(variant).collect(),
            });
        }
        Self::merge(
            &mut self.library,
            planned,
            (self.plan.defaults.nulls, &self.plan.mask),
        )
    }

    fn merge(
        library: &mut Library<'a>,
        planned: &Planned,
        (nulls, mask): (Nulls, &Mask),
    ) -> Option<Documents> {
        let mut unread = Collector::default();
        let mut sources = |paths: &[RepoPath]| -> Option<Vec<Arc<Source>>> {
            paths
                .iter()
                .map(|path| library.source(path, &mut unread))
                .collect()
        };
        let layers = sources(&planned.layers)?;
        let merged = Merged::of_layers(&layers, nulls);
        let mut variants = Vec::new();
        for variant in &planned.variants {
            let mut all = layers.clone();
            all.extend(sources(&variant.layers)?);
            let merged = Merged::of_layers(&all, nulls);
            variants.push(OldVariant {
                when: variant.when.clone(),
                effective: Effective::new(Some(variant.name.clone()), merged, all, mask.clone()),
            });
        }
        Some(Documents {
            base: Effective::new(None, merged, layers, mask.clone()),
            variants,
        })
    }
}

impl Documents {
    /// The base document, and then each variant's.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Effective> {
        std::iter::once(&self.base).chain(self.variants.iter().map(|variant| &variant.effective))
    }
}
