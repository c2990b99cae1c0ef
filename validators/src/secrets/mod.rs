//! Secrets in plain text: found, told of without being repeated, and hidden from eyes.
//!
//! Invariant: one function ([`leaf`]) says what a secret is; findings and masks both follow it. What is deliberately
//! absent: guessing by how random a text looks, and decrypting.

pub(crate) mod findings;
pub(crate) mod formats;
mod leaf;
pub(crate) mod mask;
mod names;
mod placeholder;
mod scan;
pub(crate) mod sops;
#[cfg(test)]
mod suite;

use std::collections::BTreeSet;

use headwater_render::Format;
use headwater_wire::{Finding, RepoPath, Span};

use crate::document::lines::LineIndex;
use crate::library::Library;
use crate::plan::Plan;
use crate::tree::{ConfigTree, Entry};
use leaf::Ciphertext;

/// Findings for every secret in the config files, layers, schemas and the manifest of a tree. What the manifest ignores
/// is searched where a config is made of it.
pub(crate) fn check(tree: &ConfigTree, plan: &Plan, library: &Library<'_>) -> Vec<Finding> {
    let (mut findings, used) = search(tree.iter().map(|(path, _)| path), plan, library);
    findings.extend(unused(tree, plan, &used));
    findings
}

/// The errors that the manifest which is exposed now finds in these files, and the tree's own does not: what is a secret
/// cannot be called none by the commit that brings it.
pub(crate) fn check_still<'t>(
    paths: impl Iterator<Item = &'t RepoPath>,
    (plan, exposed): (&Plan, &Plan),
    library: &Library<'_>,
    own: &[Finding],
) -> Vec<Finding> {
    if plan.mask.says_the_same(&exposed.mask) && plan.defaults.ignore == exposed.defaults.ignore {
        return Vec::new();
    }
    let refused: BTreeSet<_> = own.iter().filter(|one| one.is_error()).map(place).collect();
    let (mut findings, _) = search(paths, exposed, library);
    findings.retain(|finding| finding.is_error() && !refused.contains(&place(finding)));
    for finding in &mut findings {
        let still = "the `[secrets]` and `ignore` of the commit that is served now hold for the commit that changes them too";
        let hint = finding.hint.take().map(|hint| format!("{hint}; {still}"));
        finding.hint = Some(hint.unwrap_or_else(|| still.to_owned()));
    }
    findings
}

fn place(finding: &Finding) -> (&str, Span) {
    (&finding.path, finding.span)
}

/// What a manifest finds in files, and which of its exceptions something needs.
fn search<'t>(
    paths: impl Iterator<Item = &'t RepoPath>,
    plan: &Plan,
    library: &Library<'_>,
) -> (Vec<Finding>, BTreeSet<usize>) {
    let policy = plan.mask.secrets();
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    let is_searched = |path: &&RepoPath| {
        let is_ignored =
            plan.defaults.ignore.is_match(path.as_str()) && path.as_str() != crate::manifest::PATH;
        Format::of(path).is_some() && (!is_ignored || library.has_read(path))
    };
    for path in paths.filter(is_searched) {
        let Some(bytes) = library.text(path) else { continue };
        let source = library.peek(path);
        let is_sops = source.as_ref().is_some_and(|source| source.is_sops);
        let file = scan::File {
            role: plan.mask.role(path.as_str()),
            bytes: &bytes,
            root: source.as_ref().map(|source| &source.root),
            ciphertext: if is_sops {
                Ciphertext::Usable
            } else {
                Ciphertext::Useless
            },
        };
        let scan = scan::scan(policy, file);
        findings.extend(findings::of(path, &bytes, &scan.found));
        used.extend(scan.used);
    }
    (findings, used)
}

fn unused(tree: &ConfigTree, plan: &Plan, used: &BTreeSet<usize>) -> Vec<Finding> {
    let Some((_, Entry::File(file))) = tree.entry(crate::manifest::PATH) else {
        return Vec::new();
    };
    let exceptions = plan.mask.secrets().exceptions.iter().enumerate();
    let unused: Vec<_> = exceptions
        .filter(|(index, _)| !used.contains(index))
        .map(|(_, exception)| exception)
        .collect();
    if unused.is_empty() {
        return Vec::new();
    }
    let index = LineIndex::new(file.bytes.as_deref().unwrap_or_default());
    unused
        .into_iter()
        .map(|exception| findings::unused(exception, &index))
        .collect()
}
