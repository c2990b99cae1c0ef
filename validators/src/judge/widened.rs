//! `[protect] schema_changes = "alone"`: what a commit changes must suit the exposed schemas too.
//!
//! Invariant: the exposed commit's `[protect]` decides. Whether one schema admits more than another cannot be decided;
//! whether it admits more of what is really there can. A commit that changes the manifest and schemas alone may widen
//! them, and one that narrows them may bring its fixes.

use headwater_wire::{ConfigName, Finding, RepoPath};

use super::Judging;
use super::protect::touched;
use crate::lineage::Lineage;
use crate::manifest::protect::Changes;
use crate::rules::before::Before;
use crate::schema::{Schemas, place};
use crate::verdict::Tree;

const HINT: &str = "change the manifest and schemas in a commit of their own, and then the values";

impl Judging<'_> {
    /// What the exposed schemas refuse of the documents.
    pub(super) fn widened(
        &self,
        tree: &Tree,
        (before, lineage): (&mut Before<'_>, &Lineage),
    ) -> Vec<Finding> {
        let is_asked = before.plan.protect.schema_changes == Changes::Alone;
        if !is_asked || touched(self.tree, &self.plan, before).is_empty() {
            return Vec::new();
        }
        let exposed_plan = std::sync::Arc::clone(&before.plan);
        let mut exposed = Schemas::new(before.tree, &exposed_plan, None);
        let mut found = Vec::new();
        for (name, config) in &tree.configs {
            for (old_name, old) in lineage.ancestors(name) {
                let Some(path) = &old.schema else { continue };
                if self.is_bound_to(path, name, before) || self.is_restored(tree, name) {
                    continue;
                }
                let Some(schema) = before.schema(&mut exposed, path) else {
                    continue;
                };
                for effective in config.effectives() {
                    let violations = schema.violations(effective, self.plan.limits.findings);
                    let refused = place::findings(violations, name, effective).into_iter();
                    found.extend(refused.map(|refused| told(refused, (old_name, name))));
                }
            }
        }
        found
    }

    /// Whether a config has an exposed schema, made of the same files and read in the same way.
    fn is_bound_to(&self, path: &RepoPath, name: &ConfigName, before: &Before<'_>) -> bool {
        let planned = self.plan.configs.get(name);
        let is_read_alike = self.plan.defaults.schemas() == before.plan.defaults.schemas();
        planned.is_some_and(|planned| planned.schema.as_ref() == Some(path))
            && is_read_alike
            && self.schemas.is_made_as_in(path, before.tree)
    }
}

/// The exposed schema's finding, said as what it is.
fn told(refused: Finding, (old_name, name): (&ConfigName, &ConfigName)) -> Finding {
    let hint = if old_name == name {
        HINT.to_owned()
    } else {
        format!(
            "this config is made of files of `{old_name}`, which is served now, so the schema of that holds for it too; \
             rename it in a commit of its own"
        )
    };
    Finding {
        code: "protect/schema".to_owned(),
        message: format!("the schema that is served now refuses this: {}", refused.message),
        ..refused
    }
    .hint(hint)
}
