//! What a verdict takes over from an earlier one.
//!
//! Invariant: it changes no verdict. Something is taken over only where everything that decides it is the same: the
//! manifest, what is hidden and the limits for all of it, besides these the content of its files, and of every file that its schema is
//! made of. What hangs on more than that is worked out each time: the plan, guards, rules, which see the documents of
//! all configs, the commit and what is exposed. Only what has no mistake is taken over, and only from a tree that was
//! judged in this process: what a child says of a tree is never taken for the truth about another.

use std::sync::Arc;

use headwater_wire::ConfigName;

use crate::limits::Limits;
use crate::manifest;
use crate::plan::{Plan, Planned};
use crate::schema;
use crate::secrets;
use crate::secrets::mask::Mask;
use crate::tree::{ConfigTree, ContentId, Entry};
use crate::verdict::{Config, ConfigParts, JudgedConfig, ValidTree, Variant};

/// Notes of one config, of either kind, beyond which it is worked out again: a layer that thousands share may have
/// thousands.
const NOTES_MAX: usize = 256;

/// What a valid tree leaves for the next one, besides its configs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    /// What everything hangs on; absent of a tree that nothing was taken note of.
    terms: Option<Terms>,
    pub(crate) tree: ConfigTree,
    pub(crate) schemas: schema::Settled,
    pub(crate) files: secrets::Settled,
}

/// What everything that was settled hangs on.
#[derive(Debug, Clone)]
struct Terms {
    /// The manifest, if there is one.
    manifest: Option<ContentId>,
    /// What is hidden, by that manifest and the one before it.
    mask: Mask,
    /// How deep documents may be.
    depth: u32,
    /// The largest file that was read, in bytes.
    largest: u64,
    /// The plan, which hides what its own manifest says.
    plan: Arc<Plan>,
}

impl Settled {
    pub(super) fn new(
        (tree, plan): (&ConfigTree, &Arc<Plan>),
        schemas: schema::Settled,
        files: secrets::Settled,
    ) -> Self {
        let sizes = tree.iter().filter_map(|(_, entry)| match entry {
            Entry::File(file) => Some(file.size).filter(|size| *size <= plan.limits.file_bytes),
            Entry::Symlink | Entry::Submodule => None,
        });
        let terms = Terms {
            manifest: manifest_id(tree),
            depth: plan.limits.depth,
            largest: sizes.max().unwrap_or_default(),
            plan: alone(plan),
            mask: plan.mask.clone(),
        };
        Self {
            terms: Some(terms),
            tree: tree.clone(),
            schemas,
            files,
        }
    }
}

/// A plan of which the manifest before it is no part.
fn alone(plan: &Arc<Plan>) -> Arc<Plan> {
    let mask = plan.mask.alone();
    if mask == plan.mask {
        return Arc::clone(plan);
    }
    let mut plan = Plan::clone(plan);
    plan.mask = mask;
    Arc::new(plan)
}

fn manifest_id(tree: &ConfigTree) -> Option<ContentId> {
    match tree.entry(manifest::PATH) {
        Some((_, Entry::File(file))) => Some(file.id.clone()),
        Some((_, Entry::Symlink | Entry::Submodule)) | None => None,
    }
}

/// The plan of a tree: that of the earlier one, as far as it is the same.
pub(super) fn plan(tree: &ConfigTree, limits: &Limits, earlier: Option<&ValidTree>) -> Arc<Plan> {
    let known = earlier.and_then(|earlier| {
        let settled = earlier.settled();
        let terms = settled.terms.as_ref()?;
        terms.plan.after((tree, &settled.tree), limits)
    });
    known.unwrap_or_else(|| Arc::new(Plan::of(tree, limits)))
}

/// An earlier tree, if anything of it holds for this one. Limits may differ as long as no file feels it.
pub(super) fn usable<'a>(
    earlier: Option<&'a ValidTree>,
    tree: &ConfigTree,
    plan: &Plan,
) -> Option<&'a ValidTree> {
    earlier.filter(|earlier| {
        let terms = earlier.settled().terms.as_ref();
        terms.is_some_and(|terms| {
            terms.manifest == manifest_id(tree)
                && terms.mask == plan.mask
                && terms.depth == plan.limits.depth
                && terms.largest <= plan.limits.file_bytes
        })
    })
}

/// The config that `earlier` has under a name, if it is made of the same files and had no mistake.
pub(super) fn config<'a>(
    earlier: &'a ValidTree,
    name: &ConfigName,
    planned: &Planned,
) -> Option<(&'a Config, &'a JudgedConfig)> {
    let config = earlier.configs().get(name)?;
    let judged = config.parts().judged.as_ref()?;
    let is_same = *config.inputs() == planned.inputs && judged.schema == planned.schema;
    is_same.then_some((config, judged))
}

/// The same config, as this tree's manifest has it.
pub(super) fn again(config: &Config, planned: &Planned) -> Config {
    let parts = config.parts();
    let is_same = parts.owners == planned.owners
        && parts.rollout == planned.rollout
        && parts.inputs.paths() == planned.inputs.paths();
    if is_same {
        return config.clone();
    }
    let variants = planned.variants.iter().zip(&parts.variants);
    Config::new(ConfigParts {
        name: parts.name.clone(),
        inputs: planned.inputs.clone(),
        rollout: planned.rollout.clone(),
        owners: planned.owners.clone(),
        base: parts.base.clone(),
        variants: variants
            .map(|(planned, known)| Variant {
                name: planned.name.clone(),
                when: planned.when.clone(),
                matchers: planned.matchers.clone(),
                effective: known.effective.clone(),
            })
            .collect(),
        judged: parts.judged.clone(),
    })
}

/// What is kept of a config without a mistake; nothing, if it is too much.
pub(super) fn kept(judged: JudgedConfig) -> Option<JudgedConfig> {
    let is_small = judged.noted.len() <= NOTES_MAX && judged.hidden.len() <= NOTES_MAX;
    is_small.then_some(judged)
}
