//! The order of judging: names, manifest, guards of the manifest, documents, layers, schemas, rules, secrets.
//!
//! Invariant: a step runs only on what the step before let through, so nobody reads ten findings for one mistake. An
//! invalid manifest ends it: half-judged files would say more about the manifest than about themselves.

mod entries;
mod floor;
mod loosened;
mod notes;
mod protect;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::collect::Collector;
use crate::context::{Context, Extent};
use crate::effective::Effective;
use crate::inputs::Inputs;
use crate::library::Library;
use crate::limits::Limits;
use crate::manifest;
use crate::merge::Merged;
use crate::plan::{Plan, Planned, Terms};
use crate::rules::before::Before;
use crate::rules::cel::budget::Budget;
use crate::rules::checker::{self, Checker};
use crate::rules::reference::World;
use crate::schema::Schemas;
use crate::secrets;
use crate::source::{Resolver, Source};
use crate::tree::ConfigTree;
use crate::verdict::{Config, ConfigParts, Rejection, Tree, ValidTree, Variant, Verdict};
use notes::Notes;

/// What becomes of errors that leave every config with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// They reject the tree.
    Nothing,
    /// They count as warnings.
    Errors,
}

/// See [`crate::validate`] and [`crate::tolerate`].
pub(crate) fn judge(tree: &ConfigTree, context: &Context<'_>, tolerance: Tolerance) -> Verdict {
    let mut found = Collector::default();
    found.extend(tree.hostile().iter().cloned());
    // With a manifest every name counts. Without one, whatever a repository holds beside its configs is its own affair.
    let weight = if tree.entry(manifest::PATH).is_some() {
        Severity::Error
    } else {
        Severity::Warning
    };
    found.extend(tree.odd().iter().map(|finding| Finding {
        severity: weight,
        ..finding.clone()
    }));
    if tree.len() > context.limits.files {
        let hint = "split the repository, or let the operator of the server raise `files_max`";
        found.push(too_many_files(tree.len(), context.limits.files, hint));
        return rejected(found, context.limits);
    }
    let mut plan = Plan::of(tree, context.limits);
    if tree.len() > plan.limits.files {
        let most = context.limits.files;
        let hint = format!(
            "raise `files` under `[limits]` of the manifest, up to the server's {most}, or split the repository"
        );
        found.push(too_many_files(tree.len(), plan.limits.files, hint));
    }
    entries::check(tree, &plan, &mut found);
    let must_reject = found.has_error() || !plan.is_valid();
    found.extend(plan.findings.iter().cloned());
    if must_reject {
        return rejected(found, &plan.limits);
    }
    let mut before = before(context, &mut found);
    if let Some(before) = &before {
        plan.mask = plan.mask.and(&before.plan.mask);
    }
    let errors = found.errors();
    guard_manifest(tree, &plan, (before.as_ref(), context), &mut found);
    let judging = Judging {
        tree,
        library: Library::new(tree, &plan),
        schemas: Schemas::new(tree, &plan),
        notes: Notes::default(),
        merged_bytes: 0,
        guard_errors: found.errors() - errors,
        found,
        plan,
        context,
        tolerance,
    };
    judging.configs(before.as_mut())
}

/// What is exposed now. Its manifest was valid once; if it is not any more, its guards cannot hold.
fn before<'a>(context: &Context<'a>, found: &mut Collector) -> Option<Before<'a>> {
    let before = Before::of(context.before?, context.limits);
    if before.plan.is_valid() {
        return Some(before);
    }
    let message =
        "the manifest of the commit that is served now is not valid any more, so no change is measured";
    let finding = manifest::whole("guard/no-old-values", message);
    found.push(Finding {
        severity: Severity::Warning,
        ..finding
    });
    None
}

/// How the manifest may differ from the exposed one, and from what the server wants.
fn guard_manifest(
    tree: &ConfigTree,
    plan: &Plan,
    (before, context): (Option<&Before<'_>>, &Context<'_>),
    found: &mut Collector,
) {
    if let Some(before) = before.filter(|_| !restores_all(context)) {
        found.extend(protect::check(tree, plan, before));
    }
    found.extend(floor::check(tree, plan, before, context));
}

fn restores_all(context: &Context<'_>) -> bool {
    context
        .restored
        .is_some_and(|restored| restored.extent == Extent::WholeTree)
}

/// See [`crate::declare`].
pub(crate) fn declare(tree: &ConfigTree, limits: &Limits) -> Option<BTreeMap<ConfigName, Inputs>> {
    let plan = Plan::of(tree, limits);
    plan.is_valid().then(|| {
        plan.configs
            .into_iter()
            .map(|(name, planned)| (name, planned.inputs))
            .collect()
    })
}

fn rejected(found: Collector, limits: &Limits) -> Verdict {
    Verdict::Invalid(Rejection::new(found.finish(limits.findings)))
}

fn too_many_files(files: usize, limit: usize, hint: impl Into<String>) -> Finding {
    Finding::of_all(
        "limit/files",
        Severity::Error,
        format!("the tree has more than {limit} entries: `{files}`"),
    )
    .hint(hint)
}

/// The work on the documents of one tree.
struct Judging<'a> {
    tree: &'a ConfigTree,
    library: Library<'a>,
    schemas: Schemas<'a>,
    notes: Notes,
    merged_bytes: usize,
    /// Errors of guards and rules. They reject without a manifest too: the exposed one's may still hold.
    guard_errors: usize,
    found: Collector,
    plan: Plan,
    context: &'a Context<'a>,
    tolerance: Tolerance,
}

impl Judging<'_> {
    fn configs(mut self, mut before: Option<&mut Before<'_>>) -> Verdict {
        let planned = std::mem::take(&mut self.plan.configs);
        let declared = planned.len();
        let mut tree = Tree {
            has_manifest: self.plan.has_manifest,
            ..Tree::default()
        };
        let mut sound = BTreeMap::new();
        for (name, mut planned) in planned {
            if self.merged_bytes > self.plan.limits.merged_bytes {
                self.found
                    .push(too_much_merged(&planned, self.plan.limits.merged_bytes));
                return rejected(self.found, &self.plan.limits);
            }
            let first = planned.layers.first().cloned();
            let terms = std::mem::take(&mut planned.terms);
            let errors = self.found.errors();
            match (self.config(&name, planned), first) {
                (Some(config), _) => {
                    if self.found.errors() == errors {
                        sound.insert(name.clone(), terms);
                    }
                    tree.configs.insert(name, config);
                }
                (None, Some(path)) => {
                    tree.unreadable.insert(name, path);
                }
                (None, None) => {}
            }
        }
        let blocked = std::mem::take(&mut self.plan.blocked);
        tree.unreadable.extend(blocked);
        self.rules(&mut tree, (&sound, declared), before.as_deref_mut());
        let secrets = self.secrets(&tree, before.as_deref());
        self.finish(tree, secrets)
    }

    /// Secrets by the tree's own manifest, and by the exposed one in what differs from what is exposed.
    fn secrets(&self, tree: &Tree, before: Option<&Before<'_>>) -> Vec<Finding> {
        let mut found = secrets::check(self.tree, &self.plan, &self.library);
        if let Some(before) = before.filter(|_| !restores_all(self.context)) {
            let restored = self.restored_files(tree);
            let differs =
                |path: &RepoPath, entry| before.tree.get(path).is_none_or(|old| !old.is_same(entry));
            let changed = self.tree.iter().filter(|(path, entry)| differs(path, entry));
            let paths = changed
                .map(|(path, _)| path)
                .filter(|path| !restored.contains(path));
            let still = secrets::check_still(paths, (&self.plan, &before.plan), &self.library, &found);
            found.extend(still);
        }
        found
    }

    /// The files of configs that are as they were in an admitted commit.
    fn restored_files<'t>(&self, tree: &'t Tree) -> BTreeSet<&'t RepoPath> {
        let is_restored = |config: &&Config| {
            self.context
                .restored
                .is_some_and(|restored| restored.brings_back(config))
        };
        let restored = tree.configs.values().filter(is_restored);
        restored
            .flat_map(Config::effectives)
            .flat_map(Effective::sources)
            .collect()
    }

    /// A document with a mistake is not held against rules: they would only say in other words what is wrong with it.
    fn rules(
        &mut self,
        tree: &mut Tree,
        (sound, declared): (&BTreeMap<ConfigName, Terms>, usize),
        before: Option<&mut Before<'_>>,
    ) {
        let errors = self.found.errors();
        let (before, old) = match before {
            Some(before) => {
                let old = before.documents(&self.plan, &tree.configs);
                (Some(&*before), old)
            }
            None => (None, BTreeMap::new()),
        };
        let is_whole = sound.len() == declared;
        let coverage = if is_whole {
            checker::Coverage::Whole
        } else {
            checker::Coverage::Part
        };
        let checker = Checker {
            context: self.context,
            plan: &self.plan,
            before,
            old: &old,
            sound,
            coverage,
            budget: Budget::for_commit(),
            world: World {
                tree: self.tree,
                library: &mut self.library,
                configs: &tree.configs,
                found: &mut self.found,
            },
        };
        tree.questions = checker.run();
        self.guard_errors += self.found.errors() - errors;
    }

    /// With a manifest every error rejects. Without one a file that never was a good config is tolerated; a secret is
    /// not, since that file is served as raw bytes.
    fn finish(mut self, mut tree: Tree, secrets: Vec<Finding>) -> Verdict {
        self.found.extend(std::mem::take(&mut self.notes).into_findings());
        let is_config = |path: &RepoPath| {
            tree.configs
                .values()
                .any(|config| config.base().sources().contains(path))
        };
        self.found.extend(self.schemas.finish(is_config));
        let lost: Vec<_> = tree
            .unreadable
            .iter()
            .filter(|(name, _)| self.context.exposed.contains(*name))
            .collect();
        let has_secret = secrets.iter().any(Finding::is_error);
        self.found.extend(secrets);
        let (must_reject, is_readable) = if self.plan.has_manifest {
            (self.found.has_error(), tree.unreadable.is_empty())
        } else {
            let is_lost = !lost.is_empty();
            (has_secret || is_lost || self.guard_errors > 0, !is_lost)
        };
        for (name, path) in lost.into_iter().filter(|_| !self.plan.has_manifest) {
            let message =
                format!("this config is good in the exposed commit and cannot be read any more: `{name}`");
            let finding = Finding::new(
                "tree/lost-config",
                Severity::Error,
                (path.as_str(), Span::START),
                message,
            );
            self.found.push(
                finding
                    .config(name)
                    .hint("repair the file, or remove it to withdraw the config"),
            );
        }
        if must_reject {
            if self.tolerance == Tolerance::Nothing || !is_readable {
                return rejected(self.found, &self.plan.limits);
            }
            self.found.soften();
        }
        tree.findings = self.found.finish(self.plan.limits.findings);
        tree.rollouts = self.plan.rollouts;
        Verdict::Valid(ValidTree::new(tree))
    }

    /// `None` if a file cannot be read; the findings are with the file.
    fn config(&mut self, name: &ConfigName, planned: Planned) -> Option<Config> {
        let layers = self.sources(&planned.layers)?;
        let merged = self.merge(name, &layers);
        let schema = planned.schema.as_ref();
        let base = self.effective((name, None), merged.clone(), layers.clone(), schema);
        let mut variants = Vec::new();
        for variant in planned.variants {
            let mut all = layers.clone();
            all.extend(self.sources(&variant.layers)?);
            let merged = self.patch(name, merged.clone(), &all, layers.len());
            let effective = self.effective((name, Some(&variant.name)), merged, all, schema);
            let (name, when, matchers) = (variant.name, variant.when, variant.matchers);
            variants.push(Variant {
                name,
                when,
                matchers,
                effective,
            });
        }
        let Planned {
            inputs,
            rollout,
            owners,
            ..
        } = planned;
        Some(Config::new(ConfigParts {
            name: name.clone(),
            inputs,
            rollout,
            owners,
            base,
            variants,
        }))
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

    fn merge(&mut self, name: &ConfigName, layers: &[Arc<Source>]) -> Merged {
        let Some((lowest, _)) = layers.split_first() else {
            return Merged::empty();
        };
        self.notes.used(&lowest.path);
        self.patch(name, Merged::document(&lowest.root), layers, 1)
    }

    /// Puts the layers from index `from` on top.
    fn patch(
        &mut self,
        name: &ConfigName,
        mut merged: Merged,
        layers: &[Arc<Source>],
        from: usize,
    ) -> Merged {
        let resolver = Resolver::new(layers);
        for (index, layer) in layers.iter().enumerate().skip(from) {
            self.notes.used(&layer.path);
            for note in merged.apply(&layer.root, index, self.plan.defaults.nulls) {
                self.notes.add(name, &resolver, &note);
            }
        }
        merged
    }

    fn effective(
        &mut self,
        (name, variant): (&ConfigName, Option<&str>),
        merged: Merged,
        layers: Vec<Arc<Source>>,
        schema: Option<&RepoPath>,
    ) -> Effective {
        let mask = self.plan.mask.clone();
        let effective = Effective::new(variant.map(str::to_owned), merged, layers, mask);
        self.merged_bytes = self.merged_bytes.saturating_add(effective.canonical().len());
        if let Some(schema) = schema {
            self.schemas
                .check(&mut self.library, schema, (name, &effective), &mut self.found);
        } else {
            self.schemas.unchecked(&effective);
        }
        effective
    }
}

fn too_much_merged(planned: &Planned, limit: usize) -> Finding {
    let path = planned.layers.first().map_or(manifest::PATH, RepoPath::as_str);
    let message = format!("all documents of the tree together are larger than the limit in bytes: `{limit}`");
    Finding::new(
        "limit/merged-bytes",
        Severity::Error,
        (path, Span::START),
        message,
    )
    .hint("make the layers that many configs share smaller, or split the repository")
}
