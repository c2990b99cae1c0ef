//! What is exposed now: the guards of its manifest, and its documents, made when a rule asks for them; and the documents
//! that instances hold besides.
//!
//! Invariant: nothing here is judged. It was admitted; what cannot be read of it any more has no old value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, RepoPath};

use crate::collect::Collector;
use crate::context::{Context, OldConfig};
use crate::effective::Effective;
use crate::library::Library;
use crate::lineage::Lineage;
use crate::merge::{Merged, Nulls};
use crate::plan::{Plan, Planned};
use crate::rules::old::{Old, OldValues};
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
    /// Trees that instances hold some configs of, although they are not exposed.
    besides: Vec<(Before<'a>, &'a BTreeMap<ConfigName, OldConfig>)>,
    /// Configs of which nobody holds what is exposed.
    left: &'a BTreeSet<ConfigName>,
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
    /// The exposed tree of a context, under this plan, and what instances hold besides.
    pub(crate) fn of(tree: &'a ConfigTree, plan: Arc<Plan>, context: &Context<'a>) -> Self {
        let besides = context.besides.iter().map(|old| {
            let plan = Arc::new(Plan::of(&old.tree, context.limits));
            (Self::alone(&old.tree, plan, context.left), &old.configs)
        });
        Self {
            besides: besides.collect(),
            ..Self::alone(tree, plan, context.left)
        }
    }

    fn alone(tree: &'a ConfigTree, plan: Arc<Plan>, left: &'a BTreeSet<ConfigName>) -> Self {
        let library = Library::new(tree, &plan);
        Self {
            tree,
            plan,
            library,
            besides: Vec::new(),
            left,
        }
    }

    /// Whether every manifest of what instances hold besides can still be read.
    pub(crate) fn knows_what_is_besides(&self) -> bool {
        self.besides.iter().all(|(old, _)| old.plan.is_valid())
    }

    /// A plan that hides what is hidden here too.
    pub(crate) fn hiding(&self, plan: Arc<Plan>) -> Arc<Plan> {
        let all = std::iter::once(self).chain(self.besides.iter().map(|(old, _)| old));
        let mask = all.fold(plan.mask.clone(), |mask, old| mask.and(&old.plan.mask));
        if mask == plan.mask {
            return plan;
        }
        let mut plan = Arc::unwrap_or_clone(plan);
        plan.mask = mask;
        Arc::new(plan)
    }

    /// All documents, if any rule of `plan` or of this manifest measures a change.
    pub(crate) fn documents(&mut self, plan: &Plan, configs: &BTreeMap<ConfigName, Config>) -> OldValues<'a> {
        let measures = |plan: &Plan| plan.rules.values().any(Rule::is_transition);
        if !measures(plan) && !measures(&self.plan) {
            return OldValues::default();
        }
        let besides = self.besides.iter().flat_map(|(_, configs)| configs.keys());
        let names: BTreeSet<ConfigName> = self.plan.configs.keys().chain(besides).cloned().collect();
        let with_old = |name: ConfigName| {
            let old = self.old(&name, configs.get(&name));
            (name, old)
        };
        OldValues::new(names.into_iter().map(with_old))
    }

    /// All that instances may hold of a config.
    fn old(&mut self, name: &ConfigName, new: Option<&Config>) -> Vec<Old<'a>> {
        let exposed = self.of_config(name, new);
        let both = exposed.as_ref().zip(new);
        let is_unchanged = both.is_some_and(|(exposed, new)| exposed.is_same(new));
        let mut found = Vec::new();
        if is_unchanged || !self.left.contains(name) {
            found.extend(exposed.map(|documents| Old {
                documents,
                besides: None,
            }));
        }
        let others = self.besides.iter_mut().filter(|_| !is_unchanged);
        for (other, configs) in others {
            let besides = configs.get(name);
            let documents = besides.and_then(|_| other.of_config(name, new));
            found.extend(documents.map(|documents| Old { documents, besides }));
        }
        found
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
    /// Whether a config has these, for the same instances.
    fn is_same(&self, config: &Config) -> bool {
        let old = self.variants.iter();
        let old = old.map(|variant| (&variant.when, variant.effective.digest()));
        let new = config.variants().iter();
        let new = new.map(|variant| (variant.when(), variant.effective().digest()));
        self.base.digest() == config.base().digest() && old.eq(new)
    }

    /// The base document, and then each variant's.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Effective> {
        std::iter::once(&self.base).chain(self.variants.iter().map(|variant| &variant.effective))
    }
}
