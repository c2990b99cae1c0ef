//! What a layer has wrong, although every layer above it hides that.
//!
//! A merged document shows what is wrong with the values that won, in the file that holds them. A wrong value that is
//! overridden in every document reaches nobody, so it is a warning and rejects no commit; but the day an override goes,
//! the commit that removes it would be rejected for a file that its author did not touch. Invariant: a value is told of
//! only if it is wrong whatever other layers add ([`relax`]), another layer took its place in every document that the
//! file is part of, and each of these has a schema that refuses it. A deleted value is not told of: deleting is how a
//! config does without what a shared layer has for others.

mod relax;

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

/// What the layers of one tree have wrong by themselves.
#[derive(Default)]
pub(super) struct Fragments {
    relaxed: BTreeMap<RepoPath, Option<Compiled>>,
    /// By schema and layer.
    wrong: BTreeMap<(RepoPath, RepoPath), Arc<[Violation]>>,
    /// How many documents each file is part of.
    uses: BTreeMap<RepoPath, usize>,
    /// In how many of them a wrong value of a file is overridden.
    hidden: BTreeMap<(RepoPath, Vec<String>), (usize, Finding)>,
}

impl Fragments {
    /// A document that no schema judges.
    pub(super) fn unchecked(&mut self, effective: &Effective) {
        for layer in effective.sources() {
            *self.uses.entry(layer.clone()).or_default() += 1;
        }
    }

    /// A document that the schema at `path` judges.
    pub(super) fn checked(
        &mut self,
        effective: &Effective,
        (path, schema): (&RepoPath, &Compiled),
        options: SchemaOptions,
    ) {
        self.unchecked(effective);
        let layers = effective.layers();
        // What the highest layer says is in the document.
        let Some((_, lower)) = layers.split_last() else {
            return;
        };
        if !effective.merged().has_overridden() {
            return;
        }
        let resolver = effective.resolver();
        // Of a file with encrypted values nobody can say what is wrong with them.
        for (index, layer) in lower.iter().enumerate().filter(|(_, layer)| !layer.is_sops) {
            let mut counted = BTreeSet::new();
            for violation in self
                .wrong((layer, effective.mask()), (path, schema), options)
                .iter()
            {
                let tokens = tokens(violation);
                let (merged, _) = effective.merged().descend(&tokens);
                let is_overridden = merged.overridden().iter().any(|place| place.layer == index);
                if is_overridden && counted.insert(tokens.clone()) {
                    let winner = merged.origin();
                    let above = resolver.span(winner.layer, winner.key.unwrap_or(winner.value));
                    self.hide(layer, violation, tokens, above);
                }
            }
        }
    }

    /// Warnings for what is overridden wherever its file is used.
    pub(super) fn findings(self) -> Vec<Finding> {
        let Self { uses, hidden, .. } = self;
        let everywhere = hidden
            .into_iter()
            .filter(|((path, _), (times, _))| uses.get(path) == Some(times));
        everywhere.map(|(_, (_, finding))| finding).collect()
    }

    fn wrong(
        &mut self,
        (layer, mask): (&Source, &Mask),
        (path, schema): (&RepoPath, &Compiled),
        options: SchemaOptions,
    ) -> Arc<[Violation]> {
        let key = (path.clone(), layer.path.clone());
        if let Some(known) = self.wrong.get(&key) {
            return Arc::clone(known);
        }
        let relaxed = self
            .relaxed
            .entry(path.clone())
            .or_insert_with(|| schema.relaxed(path, options));
        let fragment = part(&layer.root);
        let found = relaxed
            .as_ref()
            .filter(|_| fragment.is_object())
            .map(|relaxed| relaxed.check(&Seen::part(&fragment, mask), VIOLATIONS_MAX));
        let found: Arc<[Violation]> = found.unwrap_or_default().into();
        self.wrong.insert(key, Arc::clone(&found));
        found
    }

    fn hide(&mut self, layer: &Source, violation: &Violation, tokens: Vec<String>, above: (&str, Span)) {
        let key = (layer.path.clone(), tokens);
        if let Some((times, _)) = self.hidden.get_mut(&key) {
            *times += 1;
            return;
        }
        let mut pointer = String::new();
        for token in &key.1 {
            pointer::push(&mut pointer, token);
        }
        let span = LineIndex::new(&*layer.bytes).span(place(&layer.root, &key.1, &violation.spot));
        let at = (layer.path.as_str(), span);
        let finding = Finding::new(
            "schema/overridden",
            Severity::Warning,
            at,
            violation.message.clone(),
        )
        .pointer(pointer)
        .related(above.0, above.1, "overrides this value")
        .hint(HINT);
        self.hidden.insert(key, (1, finding));
    }
}

impl Compiled {
    /// The same schema for parts of documents, if it has such a form.
    fn relaxed(&self, path: &RepoPath, options: SchemaOptions) -> Option<Self> {
        let relaxed = relax::relax(self.schema(), path, options.dialect)?;
        Self::of_json(relaxed, self.store(), options)
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
