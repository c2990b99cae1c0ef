//! Which names, coming to a tree or leaving it, can change what the tree declares.
//!
//! Invariant: if no name changed for which [`Names::matter`] is true, two trees with one manifest plan the same
//! configs, but for those that have the name among their own paths. It may be true for a name that changes nothing.

use headwater_wire::RepoPath;

use crate::inputs::PathChange;
use crate::manifest::ignore::Ignore;
use crate::manifest::model::Manifest;
use crate::pattern::Pattern;
use headwater_render::Format;

/// The names that matter under one manifest, or without one.
#[derive(Debug, Default)]
pub(crate) struct Names {
    claims: Option<Claims>,
}

/// What a manifest says of files, as far as it goes beyond single configs.
#[derive(Debug)]
struct Claims {
    /// Every layer and schema. Each may bind a config, claim a file that would be another config, or be the one that
    /// is missing and makes the manifest invalid for all.
    patterns: Vec<Pattern>,
    ignore: Ignore,
}

impl Names {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let patterns = manifest.configs.iter().flat_map(|entry| {
            let variants = entry.variants.iter().flat_map(|variant| &variant.layers);
            entry.layers.iter().chain(variants).chain(&entry.schema)
        });
        Self {
            claims: Some(Claims {
                patterns: patterns.map(|pattern| pattern.value.clone()).collect(),
                ignore: manifest.defaults.ignore.clone(),
            }),
        }
    }

    /// Whether the older tree may declare something else because of this name. One that was added and that nobody
    /// claims does not: without it fewer files are left over, and nothing that was valid turns invalid. One that was
    /// removed does: it may have been left over where that is an error, or have had the name of another config.
    pub(crate) fn matter(&self, path: &RepoPath, change: PathChange) -> bool {
        let Some(claims) = &self.claims else { return false };
        let may_be_claimed = || {
            claims
                .patterns
                .iter()
                .any(|pattern| pattern.could_be(path.as_str()))
        };
        let was_left_over = || Format::of(path).is_some() && !claims.ignore.is_match(path.as_str());
        match change {
            PathChange::Edited => false,
            PathChange::Added => may_be_claimed(),
            PathChange::Removed | PathChange::Retyped => was_left_over() || may_be_claimed(),
        }
    }
}
