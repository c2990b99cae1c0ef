//! What a layer has wrong, although every layer above it hides that.
//!
//! A merged document shows what is wrong with the values that won, in the file that holds them. A wrong value that is
//! overridden in every document reaches nobody, so it is a warning and rejects no commit; but the day an override goes,
//! the commit that removes it would be rejected for a file that its author did not touch. Invariant: a value is told of
//! only if it is wrong whatever other layers add ([`relax`]), another layer took its place in every document that the
//! file is part of, and each of these has a schema that refuses it. A deleted value is not told of: deleting is how a
//! config does without what a shared layer has for others.

pub(super) mod relax;

#[cfg(test)]
mod laws;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{Finding, RepoPath, Severity, Span};
use serde_json::Value as Json;

use super::SchemaOptions;
use super::compile::Compiled;
use super::seen::Seen;
use super::violation::{Spot, Violation};
use crate::document::lines::LineIndex;
use crate::document::{Node, Range, Value};
use crate::effective::Effective;
use crate::pointer;
use crate::secrets::mask::Mask;
use crate::source::Source;

/// Most violations of one layer that are looked at.
const VIOLATIONS_MAX: usize = 20;

const HINT: &str = "every document overrides it, so nobody gets it yet; repair or remove it";

/// A value that a layer has wrong, in one document that overrides it.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    layer: RepoPath,
    tokens: Vec<String>,
    finding: Finding,
}

/// A value that a layer has wrong.
struct Wrong {
    tokens: Vec<String>,
    span: Span,
    message: String,
}

/// What the layers of one tree have wrong by themselves.
#[derive(Default)]
pub(super) struct Fragments {
    /// By schema and layer.
    wrong: BTreeMap<(RepoPath, RepoPath), Arc<[Wrong]>>,
    /// In how many documents a wrong value of a file is overridden.
    hidden: BTreeMap<(RepoPath, Vec<String>), (usize, Finding)>,
}

impl Fragments {
    /// What the layers of a document have wrong that the document hides; the schema at `path` judges it.
    pub(super) fn look_at(
        &mut self,
        effective: &Effective,
        (path, schema): (&RepoPath, &Compiled),
        options: SchemaOptions,
    ) -> Vec<Hidden> {
        let layers = effective.layers();
        let mut found = Vec::new();
        // What the highest layer says is in the document.
        let Some((_, lower)) = layers.split_last() else {
            return found;
        };
        if !effective.merged().has_overridden() {
            return found;
        }
        let resolver = effective.resolver();
        // Of a file with encrypted values nobody can say what is wrong with them.
        for (index, layer) in lower.iter().enumerate().filter(|(_, layer)| !layer.is_sops) {
            let mut counted = BTreeSet::new();
            let all = self.wrong((layer, effective.mask()), (path, schema), options);
            for wrong in all.iter() {
                let (merged, _) = effective.merged().descend(&wrong.tokens);
                let is_overridden = merged.overridden().iter().any(|place| place.layer == index);
                if is_overridden && counted.insert(&wrong.tokens) {
                    let winner = merged.origin();
                    let above = resolver.span(winner.layer, winner.key.unwrap_or(winner.value));
                    found.push(wrong.hidden(&layer.path, above));
                }
            }
        }
        found
    }

    /// Counts what a document hides.
    pub(super) fn count(&mut self, found: &[Hidden]) {
        for hidden in found {
            let key = (hidden.layer.clone(), hidden.tokens.clone());
            let first = || (0, hidden.finding.clone());
            self.hidden.entry(key).or_insert_with(first).0 += 1;
        }
    }

    /// Warnings for what is overridden wherever its file is used; `documents` says how many documents each file is part
    /// of.
    pub(super) fn findings(self, documents: impl FnOnce() -> BTreeMap<RepoPath, usize>) -> Vec<Finding> {
        if self.hidden.is_empty() {
            return Vec::new();
        }
        let documents = documents();
        let everywhere = self
            .hidden
            .into_iter()
            .filter(|((path, _), (times, _))| documents.get(path) == Some(times));
        everywhere.map(|(_, (_, finding))| finding).collect()
    }

    fn wrong(
        &mut self,
        (layer, mask): (&Source, &Mask),
        (path, schema): (&RepoPath, &Compiled),
        options: SchemaOptions,
    ) -> Arc<[Wrong]> {
        let key = (path.clone(), layer.path.clone());
        if let Some(known) = self.wrong.get(&key) {
            return Arc::clone(known);
        }
        let fragment = part(&layer.root);
        let found = schema
            .relaxed(path, options)
            .filter(|_| fragment.is_object())
            .map(|relaxed| relaxed.check(&Seen::part(&fragment, mask), VIOLATIONS_MAX));
        let index = LineIndex::new(&*layer.bytes);
        let wrong = |violation: Violation| {
            let tokens = tokens(&violation);
            Wrong {
                span: index.span(place(&layer.root, &tokens, &violation.spot)),
                message: violation.message,
                tokens,
            }
        };
        let found: Arc<[Wrong]> = found.into_iter().flatten().map(wrong).collect();
        self.wrong.insert(key, Arc::clone(&found));
        found
    }
}

impl Wrong {
    fn hidden(&self, layer: &RepoPath, above: (&str, Span)) -> Hidden {
        let mut pointer = String::new();
        for token in &self.tokens {
            pointer::push(&mut pointer, token);
        }
        let at = (layer.as_str(), self.span);
        let finding = Finding::new("schema/overridden", Severity::Warning, at, self.message.clone())
            .pointer(pointer)
            .related(above.0, above.1, "overrides this value")
            .hint(HINT);
        Hidden {
            layer: layer.clone(),
            tokens: self.tokens.clone(),
            finding,
        }
    }
}

fn tokens(violation: &Violation) -> Vec<String> {
    let mut tokens = violation.tokens.clone();
    if let Spot::Key(key) = &violation.spot {
        tokens.push(key.clone());
    }
    tokens
}

/// A layer without what it deletes.
fn part(node: &Node) -> Json {
    let Value::Obj(members) = &node.value else {
        return node.to_json();
    };
    let kept = members.iter().filter(|member| member.value.value != Value::Null);
    kept.map(|member| (member.key.to_string(), part(&member.value)))
        .collect()
}

/// The value that tokens lead to, or its key where that is meant or the value may go on for pages.
fn place(root: &Node, tokens: &[String], spot: &Spot) -> Range {
    let (mut node, mut key) = (root, None);
    for token in tokens {
        let member = node.member(token);
        let item = token
            .parse::<usize>()
            .ok()
            .and_then(|index| node.items().get(index));
        let next = member.map(|member| (&member.value, Some(member.key_range)));
        let Some((child, range)) = next.or_else(|| item.map(|item| (item, None))) else {
            break;
        };
        (node, key) = (child, range);
    }
    let is_key = matches!(spot, Spot::Key(_)) || !node.members().is_empty();
    key.filter(|_| is_key).unwrap_or(node.range)
}
