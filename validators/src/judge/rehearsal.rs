//! What of a tree must be worked out where it can be stopped, before the rest of the verdict is.
//!
//! A verdict that takes over what an earlier one settled works out the rest. That rest may hang or take all memory, as
//! a whole tree may, so it is tried first where that does no harm: on the files that it is made of and no others.
//! Invariant: whatever the verdict works out anew is tried, with the same content. What a rehearsal finds is no verdict:
//! half of the tree is not there. What is deliberately absent: rules that look at any file or config, and configs that go
//! on under another name. Nobody can rehearse these without all of them; a tree that may have one is not rehearsed.

use std::collections::BTreeSet;

use headwater_wire::{ConfigName, RepoPath};

use super::settled;
use crate::limits::Limits;
use crate::manifest;
use crate::plan::{Plan, Planned};
use crate::rules::checker::holds_for;
use crate::rules::rule::{Check, Rule};
use crate::schema::Schemas;
use crate::secrets;
use crate::tree::ConfigTree;
use crate::verdict::ValidTree;

/// What an earlier tree does not settle of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// Configs that must be worked out.
    pub configs: BTreeSet<ConfigName>,
    /// The files that takes, the manifest among them.
    pub files: BTreeSet<RepoPath>,
    /// Files of the earlier tree that old values come from.
    pub before: BTreeSet<RepoPath>,
}

/// See [`crate::unsettled`].
pub(crate) fn unsettled(tree: &ConfigTree, limits: &Limits, earlier: &ValidTree) -> Option<Unsettled> {
    let plan = settled::plan(tree, limits, Some(earlier));
    let earlier = settled::usable(Some(earlier), tree, &plan)?;
    if !plan.is_valid() || plan.rules.values().any(Rule::ranges_widely) {
        return None;
    }
    let is_missing = |name: &ConfigName| !plan.configs.contains_key(name);
    let is_new = |name: &ConfigName| !earlier.configs().contains_key(name);
    if earlier.configs().keys().any(is_missing) && plan.configs.keys().any(is_new) {
        return None;
    }
    let schemas = &earlier.settled().schemas;
    let mut work = Work {
        schemas: Schemas::new(tree, &plan, Some(schemas)),
        plan: &plan,
        earlier,
        found: Unsettled::default(),
    };
    for (name, planned) in &plan.configs {
        work.config(name, planned)?;
    }
    let mut found = work.found;
    let known = &earlier.settled().files;
    let searched = secrets::searched(tree, &plan, |path| found.files.contains(path));
    let unknown: Vec<RepoPath> = searched
        .filter(|(path, file)| !known.knows(path, &file.id))
        .map(|(path, _)| path.clone())
        .collect();
    found.files.extend(unknown);
    if let Ok(manifest) = manifest::PATH.parse::<RepoPath>() {
        found.files.insert(manifest.clone());
        found.before.insert(manifest);
    }
    Some(found)
}

struct Work<'a> {
    schemas: Schemas<'a>,
    plan: &'a Plan,
    earlier: &'a ValidTree,
    found: Unsettled,
}

impl Work<'_> {
    /// `None` if nobody knows what its schema is made of.
    fn config(&mut self, name: &ConfigName, planned: &Planned) -> Option<()> {
        let is_kept = planned
            .schema
            .as_ref()
            .is_none_or(|schema| self.schemas.is_kept(schema));
        let is_settled = is_kept && settled::config(self.earlier, name, planned).is_some();
        if is_settled && !self.is_compared(planned) {
            return Some(());
        }
        if let Some(schema) = &planned.schema {
            let files = self.earlier.settled().schemas.files(schema);
            self.found.files.extend(files.filter(|_| is_kept).cloned());
            is_kept.then_some(())?;
        }
        self.found.configs.insert(name.clone());
        let of_variants = planned.variants.iter().flat_map(|variant| &variant.layers);
        self.found
            .files
            .extend(planned.layers.iter().chain(of_variants).cloned());
        if let Some(old) = self.earlier.configs().get(name) {
            self.found.before.extend(old.inputs().files().iter().cloned());
        }
        Some(())
    }

    /// Whether a rule compares it with other configs, any of which may have changed.
    fn is_compared(&self, planned: &Planned) -> bool {
        let mut rules = self.plan.rules.values();
        rules.any(|rule| matches!(rule.says.check, Check::Unique(_)) && holds_for(rule, &planned.terms))
    }
}
