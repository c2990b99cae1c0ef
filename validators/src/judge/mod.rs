//! The order of judging: names, manifest, guards of the manifest, documents, layers, schemas, rules, secrets.
//!
//! Invariant: a step runs only on what the step before let through, so nobody reads ten findings for one mistake. An
//! invalid manifest ends it: half-judged files would say more about the manifest than about themselves.

mod documents;
mod entries;
mod floor;
mod loosened;
pub(crate) mod notes;
mod protect;
pub(crate) mod rehearsal;
pub(crate) mod settled;
mod widened;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::collect::Collector;
use crate::context::{Context, Extent};
use crate::effective::Effective;
use crate::inputs::Inputs;
use crate::library::Library;
use crate::limits::Limits;
use crate::lineage::Lineage;
use crate::manifest;
use crate::plan::{Plan, Planned, Terms};
use crate::rules::before::Before;
use crate::rules::cel::budget::Budget;
use crate::rules::checker::{self, Checker};
use crate::rules::old::OldValues;
use crate::rules::reference::World;
use crate::schema::Schemas;
use crate::secrets;
use crate::tree::ConfigTree;
use crate::verdict::{Config, Rejection, Tree, ValidTree, Verdict};
use notes::Notes;
use settled::Settled;

/// What becomes of errors that leave every config with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// They reject the tree.
    Nothing,
    /// They count as warnings.
    Errors,
}

/// See [`crate::validate`] and [`crate::tolerate`]. What an earlier tree settled is not worked out again.
pub(crate) fn judge(
    tree: &ConfigTree,
    context: &Context<'_>,
    tolerance: Tolerance,
    earlier: Option<&ValidTree>,
) -> Verdict {
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
    let plan = settled::plan(tree, context.limits, earlier);
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
    let mut before = before(context, earlier, &mut found);
    let plan = match &before {
        Some(before) => before.hiding(plan),
        None => plan,
    };
    let errors = found.errors();
    found.extend(floor::check(tree, &plan, before.as_ref(), context));
    let guard_errors = found.errors() - errors;
    let judging = Judging {
        guard_errors,
        found,
        tolerance,
        ..Judging::new((tree, context), plan, earlier)
    };
    judging.configs(before.as_mut())
}

/// See [`crate::rehearse`].
pub(crate) fn rehearse(tree: &ConfigTree, context: &Context<'_>, only: &BTreeSet<ConfigName>) -> bool {
    let mut plan = Plan::of(tree, context.limits);
    plan.configs.retain(|name, _| only.contains(name));
    let is_whole = plan.configs.len() == only.len();
    let mut before = context.before.map(|before| {
        let plan = Plan::of(before, context.limits);
        Before::of(before, Arc::new(plan), context)
    });
    let judging = Judging::new((tree, context), Arc::new(plan), None);
    judging.rehearse(before.as_mut()) && is_whole
}

/// What is exposed now. Its manifest was valid once; if it is not any more, its guards cannot hold.
fn before<'a>(
    context: &Context<'a>,
    earlier: Option<&ValidTree>,
    found: &mut Collector,
) -> Option<Before<'a>> {
    let tree = context.before?;
    let before = Before::of(tree, settled::plan(tree, context.limits, earlier), context);
    let is_usable = before.plan.is_valid();
    let message = if !is_usable {
        "the manifest of the commit that is served now is not valid any more, so no change is measured"
    } else if !before.knows_what_is_besides() {
        "the manifest of a commit that instances still hold is not valid any more, so no change is measured from there"
    } else {
        return Some(before);
    };
    let finding = manifest::whole("guard/no-old-values", message);
    found.push(Finding {
        severity: Severity::Warning,
        ..finding
    });
    is_usable.then_some(before)
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
        let configs = plan.configs.iter();
        configs
            .map(|(name, planned)| (name.clone(), planned.inputs.clone()))
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
    /// A tree under the same manifest, of which some may still hold.
    earlier: Option<&'a ValidTree>,
    library: Library<'a>,
    schemas: Schemas<'a>,
    notes: Notes,
    merged_bytes: usize,
    /// Errors of guards and rules. They reject without a manifest too: the exposed one's may still hold.
    guard_errors: usize,
    found: Collector,
    plan: Arc<Plan>,
    context: &'a Context<'a>,
    tolerance: Tolerance,
}

impl<'a> Judging<'a> {
    fn new(
        (tree, context): (&'a ConfigTree, &'a Context<'a>),
        plan: Arc<Plan>,
        earlier: Option<&'a ValidTree>,
    ) -> Self {
        let earlier = settled::usable(earlier, tree, &plan);
        Self {
            tree,
            earlier,
            library: Library::new(tree, &plan),
            schemas: Schemas::new(tree, &plan, earlier.map(|earlier| &earlier.settled().schemas)),
            notes: Notes::default(),
            merged_bytes: 0,
            guard_errors: 0,
            found: Collector::default(),
            plan,
            context,
            tolerance: Tolerance::Nothing,
        }
    }

    fn configs(mut self, mut before: Option<&mut Before<'_>>) -> Verdict {
        let declared = self.plan.configs.len();
        let Some((mut tree, sound)) = self.work_out() else {
            return rejected(self.found, &self.plan.limits);
        };
        let lineage = self.lineage(before.as_deref_mut());
        let exposed = (before.as_deref_mut(), lineage.as_ref());
        self.guard_errors += self.rules(&mut tree, (&sound, declared), exposed);
        if let Some(before) = before.as_deref_mut().filter(|_| !restores_all(self.context))
            && let Some(lineage) = &lineage
        {
            let mut guarded = protect::check(self.tree, &self.plan, (before, lineage));
            guarded.extend(self.widened(&tree, (before, lineage)));
            self.guard_errors += guarded.len();
            self.found.extend(guarded);
        }
        self.finish(tree, before.as_deref())
    }

    /// Whether nothing is wrong. What rules say does not count: most of what they look at may be missing here.
    fn rehearse(mut self, mut before: Option<&mut Before<'_>>) -> bool {
        let declared = self.plan.configs.len();
        let Some((mut tree, sound)) = self.work_out() else {
            return false;
        };
        let found = std::mem::take(&mut self.found);
        let lineage = self.lineage(before.as_deref_mut());
        self.rules(
            &mut tree,
            (&sound, declared),
            (before.as_deref_mut(), lineage.as_ref()),
        );
        self.found = found;
        self.finish(tree, before.as_deref()).is_valid()
    }

    /// What the configs go on from, if anything is exposed. All of their files were read by now.
    fn lineage(&mut self, before: Option<&mut Before<'_>>) -> Option<Lineage> {
        before.map(|before| before.lineage(&self.plan, &mut self.library))
    }

    /// Secrets by the tree's own manifest, and by the exposed one in what differs from what is exposed.
    fn secrets(&self, tree: &Tree, before: Option<&Before<'_>>) -> (Vec<Finding>, secrets::Settled) {
        let known = self.earlier.map(|earlier| &earlier.settled().files);
        let (mut found, settled) = secrets::check(self.tree, &self.plan, (&self.library, known));
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
        (found, settled)
    }

    /// Whether a config is as it was in an admitted commit that is brought back.
    fn is_restored(&self, tree: &Tree, name: &ConfigName) -> bool {
        let restored = self.context.restored.zip(tree.configs.get(name));
        restored.is_some_and(|(restored, config)| restored.brings_back(config))
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

    /// All configs, and what the manifest says of those without a mistake; `None` if they are too much.
    fn work_out(&mut self) -> Option<(Tree, BTreeMap<ConfigName, Arc<Terms>>)> {
        let plan = Arc::clone(&self.plan);
        let mut tree = Tree {
            has_manifest: self.plan.has_manifest,
            ..Tree::default()
        };
        let mut sound = BTreeMap::new();
        for (name, planned) in &plan.configs {
            if self.merged_bytes > self.plan.limits.merged_bytes {
                self.found
                    .push(too_much_merged(planned, self.plan.limits.merged_bytes));
                return None;
            }
            let first = planned.layers.first().cloned();
            let errors = self.found.errors();
            match (self.config(name, planned), first) {
                (Some(config), _) => {
                    if self.found.errors() == errors {
                        sound.insert(name.clone(), Arc::clone(&planned.terms));
                    }
                    tree.configs.insert(name.clone(), config);
                }
                (None, Some(path)) => {
                    tree.unreadable.insert(name.clone(), path);
                }
                (None, None) => {}
            }
        }
        let blocked = plan.blocked.iter();
        tree.unreadable
            .extend(blocked.map(|(name, path)| (name.clone(), path.clone())));
        Some((tree, sound))
    }

    /// A document with a mistake is not held against rules: they would only say in other words what is wrong with it.
    /// How many errors there are by rules.
    fn rules(
        &mut self,
        tree: &mut Tree,
        (sound, declared): (&BTreeMap<ConfigName, Arc<Terms>>, usize),
        (before, lineage): (Option<&mut Before<'_>>, Option<&Lineage>),
    ) -> usize {
        let errors = self.found.errors();
        let (before, old) = match before {
            Some(before) => {
                let old = before.documents(&self.plan, &tree.configs);
                (Some(&*before), old)
            }
            None => (None, OldValues::default()),
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
            lineage,
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
        self.found.errors() - errors
    }

    /// With a manifest every error rejects. Without one a file that never was a good config is tolerated; a secret is
    /// not, since that file is served as raw bytes.
    fn finish(mut self, mut tree: Tree, before: Option<&Before<'_>>) -> Verdict {
        let notes = std::mem::take(&mut self.notes);
        self.found
            .extend(notes.into_findings(|| documents::merges(&tree)));
        let is_config = |path: &RepoPath| {
            tree.configs
                .values()
                .any(|config| config.base().sources().contains(path))
        };
        let schemas = self
            .schemas
            .finish((&mut self.library, &mut self.found), is_config, || {
                documents::documents(&tree)
            });
        let lost: Vec<_> = tree
            .unreadable
            .iter()
            .filter(|(name, _)| self.context.exposed.contains(*name))
            .collect();
        let (secrets, files) = self.secrets(&tree, before);
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
        tree.settled = Arc::new(Settled::new((self.tree, &self.plan), schemas, files));
        tree.rollouts.clone_from(&self.plan.rollouts);
        Verdict::Valid(ValidTree::new(tree))
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
