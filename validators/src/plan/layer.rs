//! Which files of the tree a layer or schema of the manifest stands for.

use std::collections::BTreeSet;

use headwater_wire::RepoPath;

use crate::pattern::Pattern;
use crate::tree::ConfigTree;
use headwater_render::Format;

/// What was found for a pattern whose placeholders are bound.
pub(super) enum Resolved {
    /// Files, in the order they are merged; none if they may be absent.
    Files(Vec<RepoPath>),
    /// Nothing, and something must be there.
    Missing,
    /// More than one alternative is there.
    Ambiguous(Vec<RepoPath>),
}

/// Files for `pattern`. Of alternatives at most one may be present; wildcards stand for all config files that match,
/// by path.
pub(super) fn resolve(tree: &ConfigTree, pattern: &Pattern) -> Resolved {
    let files = match pattern.choices() {
        Some(choices) => {
            let mut found: Vec<RepoPath> = choices
                .iter()
                .filter_map(|choice| tree.entry(choice))
                .map(|(path, _)| path.clone())
                .collect();
            found.dedup();
            if found.len() > 1 {
                return Resolved::Ambiguous(found);
            }
            found
        }
        None => matching(tree, pattern).collect(),
    };
    if files.is_empty() && !pattern.is_optional() {
        Resolved::Missing
    } else {
        Resolved::Files(files)
    }
}

/// Config files that a pattern with wildcards or free placeholders matches, by path.
pub(super) fn matching<'a>(
    tree: &'a ConfigTree,
    pattern: &'a Pattern,
) -> impl Iterator<Item = RepoPath> + 'a {
    tree.below(pattern.prefix())
        .map(|(path, _)| path)
        .filter(|path| Format::of(path).is_some() && path.as_str() != crate::manifest::PATH)
        .filter(|path| pattern.captures(path.as_str()).is_some())
        .cloned()
}

/// Paths whose change could change what `pattern` resolves to.
pub(super) fn watched(pattern: &Pattern) -> Vec<RepoPath> {
    let texts = pattern.choices().unwrap_or_else(|| pattern.directories());
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Adds files that are not in the list yet; returns the first that is. A wildcard simply skips those.
pub(super) fn append(
    layers: &mut Vec<RepoPath>,
    files: Vec<RepoPath>,
    named: &BTreeSet<RepoPath>,
    pattern: &Pattern,
) -> Option<RepoPath> {
    let mut twice = None;
    for file in files {
        let is_there = layers.contains(&file);
        if pattern.has_wildcard() {
            if !is_there && !named.contains(&file) {
                layers.push(file);
            }
        } else if is_there {
            twice = Some(file);
        } else {
            layers.push(file);
        }
    }
    twice
}
