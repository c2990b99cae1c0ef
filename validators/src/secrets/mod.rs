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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_render::Format;
use headwater_wire::{Finding, RepoPath, Span};

use crate::document::lines::LineIndex;
use crate::library::Library;
use crate::plan::Plan;
use crate::tree::{ConfigTree, ContentId, Entry, File};
use leaf::Ciphertext;

/// What was found in the files of a valid tree, by path: known of the next tree where the content is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled(BTreeMap<RepoPath, Searched>);

/// What was found in one file.
#[derive(Debug, Clone)]
struct Searched {
    id: ContentId,
    /// Absent if nothing was, which most files have in common.
    found: Option<Arc<Found>>,
}

#[derive(Debug, Clone)]
struct Found {
    findings: Vec<Finding>,
    /// Exceptions that the file needs.
    used: BTreeSet<usize>,
}

impl Settled {
    /// Whether the file was searched with this content.
    pub(crate) fn knows(&self, path: &RepoPath, id: &ContentId) -> bool {
        self.0.get(path).is_some_and(|searched| searched.id == *id)
    }
}

/// Findings for every secret in the config files, layers, schemas and the manifest of a tree. What the manifest ignores
/// is searched where a config is made of it. What `earlier` knows is not searched again; it must come from a tree with
/// the same manifest.
pub(crate) fn check(
    tree: &ConfigTree,
    plan: &Plan,
    (library, earlier): (&Library<'_>, Option<&Settled>),
) -> (Vec<Finding>, Settled) {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    let mut settled = Settled::default();
    for (path, file) in searched(tree, plan, |path| library.has_read(path)) {
        let known = earlier.and_then(|earlier| earlier.0.get(path));
        let searched = match known.filter(|known| known.id == file.id) {
            Some(known) => known.clone(),
            None => match library.text(path) {
                Some(bytes) => Searched {
                    id: file.id.clone(),
                    found: search(path, &bytes, (plan, library)),
                },
                None => continue,
            },
        };
        if let Some(found) = &searched.found {
            findings.extend(found.findings.iter().cloned());
            used.extend(&found.used);
        }
        settled.0.insert(path.clone(), searched);
    }
    findings.extend(unused(tree, plan, &used));
    (findings, settled)
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
    let mut findings = Vec::new();
    for path in paths.filter(|path| is_searched(path, exposed, |path| library.has_read(path))) {
        let Some(bytes) = library.text(path) else { continue };
        let found = search(path, &bytes, (exposed, library));
        findings.extend(found.iter().flat_map(|found| found.findings.iter().cloned()));
    }
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

/// The files that are searched.
pub(crate) fn searched<'t>(
    tree: &'t ConfigTree,
    plan: &Plan,
    is_needed: impl Fn(&RepoPath) -> bool,
) -> impl Iterator<Item = (&'t RepoPath, &'t File)> {
    tree.iter().filter_map(move |(path, entry)| match entry {
        Entry::File(file) if is_searched(path, plan, &is_needed) => Some((path, file)),
        Entry::File(_) | Entry::Symlink | Entry::Submodule => None,
    })
}

fn is_searched(path: &RepoPath, plan: &Plan, is_needed: impl Fn(&RepoPath) -> bool) -> bool {
    let is_ignored =
        || plan.defaults.ignore.is_match(path.as_str()) && path.as_str() != crate::manifest::PATH;
    Format::of(path).is_some() && (is_needed(path) || !is_ignored())
}

/// What is found in one file, if anything is.
fn search(path: &RepoPath, bytes: &[u8], (plan, library): (&Plan, &Library<'_>)) -> Option<Arc<Found>> {
    let source = library.peek(path);
    let is_sops = source.as_ref().is_some_and(|source| source.is_sops);
    let file = scan::File {
        role: plan.mask.role(path.as_str()),
        bytes,
        root: source.as_ref().map(|source| &source.root),
        ciphertext: if is_sops {
            Ciphertext::Usable
        } else {
            Ciphertext::Useless
        },
    };
    let secrets = plan.mask.secrets();
    let scan = scan::scan(secrets, file);
    let mut findings = findings::of(path, bytes, &scan.found);
    findings.extend(findings::of_name(path, secrets.plaintext));
    let is_nothing = findings.is_empty() && scan.used.is_empty();
    (!is_nothing).then(|| {
        Arc::new(Found {
            findings,
            used: scan.used,
        })
    })
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
