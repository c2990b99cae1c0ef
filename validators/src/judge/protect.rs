//! `[protect] manifest_changes = "alone"`: a commit that loosens a guard does nothing else.
//!
//! Invariant: the exposed commit's `[protect]` decides, so that it cannot be switched off by the commit it would
//! refuse. Tightening may come with its fixes.

use std::collections::BTreeMap;

use headwater_wire::{Finding, RepoPath, Severity, Span};

use super::loosened::{Kind, Loosened, loosened};
use crate::document::lines::LineIndex;
use crate::lineage::Lineage;
use crate::manifest;
use crate::manifest::protect::Changes;
use crate::plan::Plan;
use crate::rules::before::Before;
use crate::suggest;
use crate::tree::ConfigTree;

/// Most of a kind that are named; of the others their number is told.
const NAMED_MAX: usize = 5;

/// What a commit that loosens guards may not touch, as findings.
pub(super) fn check(
    tree: &ConfigTree,
    plan: &Plan,
    (before, lineage): (&Before<'_>, &Lineage),
) -> Vec<Finding> {
    if before.plan.protect.manifest_changes == Changes::Mixed {
        return Vec::new();
    }
    let touched = touched(tree, plan, before);
    if touched.is_empty() {
        return Vec::new();
    }
    let mut kinds: BTreeMap<Kind, Vec<Loosened>> = BTreeMap::new();
    for loosened in loosened((&before.plan, plan), lineage, tree) {
        kinds.entry(loosened.kind).or_default().push(loosened);
    }
    let hint = format!("leave these to another commit: {}", suggest::list(&touched));
    let finding = |(kind, all): (&Kind, &Vec<Loosened>)| finding(plan, *kind, all).hint(&hint);
    kinds.iter().map(finding).collect()
}

/// One for each kind, however many there are, at the first of them.
fn finding(plan: &Plan, kind: Kind, all: &[Loosened]) -> Finding {
    let names: Vec<&str> = all.iter().map(|loosened| loosened.name.as_str()).collect();
    let told = suggest::first(&names, NAMED_MAX);
    let what = match (kind.words(), all.len()) {
        ((one, _), 1) => format!("{one}: {told}"),
        ((_, more), count) => format!("{}: {told}", more.replace("{}", &count.to_string())),
    };
    let message =
        format!("this commit loosens a guard, so it may change the manifest and schemas alone: {what}");
    let range = all.iter().find_map(|loosened| loosened.range);
    let span = range.zip(plan.manifest.as_ref());
    let span = span.map_or(Span::START, |(range, bytes)| LineIndex::new(bytes).span(range));
    let finding = Finding::new("protect/alone", Severity::Error, (manifest::PATH, span), message);
    match all {
        [only] => Finding {
            config: only.config.clone(),
            ..finding
        },
        _ => finding,
    }
}

/// Paths that differ, besides the manifest and schemas.
pub(super) fn touched(tree: &ConfigTree, plan: &Plan, before: &Before<'_>) -> Vec<RepoPath> {
    let is_free = |path: &RepoPath| {
        path.as_str() == manifest::PATH || plan.schemas.contains(path) || before.plan.schemas.contains(path)
    };
    let edited = tree
        .iter()
        .filter(|(path, entry)| before.tree.get(path).is_none_or(|old| !old.is_same(entry)));
    let removed = before.tree.iter().filter(|(path, _)| tree.get(path).is_none());
    let mut touched: Vec<RepoPath> = edited.chain(removed).map(|(path, _)| path.clone()).collect();
    touched.retain(|path| !is_free(path));
    touched.sort();
    touched
}
