//! Entries of the tree that are no files, or that some machines cannot tell apart.

use std::collections::BTreeMap;

use headwater_wire::{Finding, RepoPath, Severity, Span};

use crate::collect::Collector;
use crate::library::{submodule, symlink};
use crate::manifest;
use crate::plan::Plan;
use crate::tree::{ConfigTree, Entry};
use headwater_render::Format;

/// Warnings for what is there and not served. Where a config needs the very entry, it is an error later.
pub(super) fn check(tree: &ConfigTree, plan: &Plan, found: &mut Collector) {
    found.extend(collisions(tree));
    for (path, entry) in tree
        .iter()
        .filter(|(path, _)| !plan.defaults.ignore.is_match(path.as_str()))
    {
        match entry {
            Entry::Symlink if path.as_str() != manifest::PATH && is_config_or_directory(path) => {
                found.push(symlink(path, Severity::Warning));
            }
            Entry::Submodule => found.push(submodule(path, Severity::Warning)),
            Entry::File(_) | Entry::Symlink => {}
        }
    }
}

/// A link with another extension than a config's hides nothing.
fn is_config_or_directory(path: &RepoPath) -> bool {
    path.extension().is_none() || Format::of(path).is_some()
}

/// Paths that are one file on a disk that ignores case; whoever clones there edits the wrong one.
fn collisions(tree: &ConfigTree) -> Vec<Finding> {
    let mut folded: BTreeMap<String, &RepoPath> = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, _) in tree.iter() {
        let Some(first) = folded.insert(path.as_str().to_lowercase(), path) else {
            continue;
        };
        let message = format!("two paths differ in case alone: `{path}`");
        let finding = Finding::new(
            "tree/case-collision",
            Severity::Warning,
            (path.as_str(), Span::START),
            message,
        );
        findings.push(
            finding
                .related(first.as_str(), Span::START, "the other path")
                .hint("rename one"),
        );
    }
    findings
}
