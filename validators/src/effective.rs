//! One merged document, where each of its values comes from, and its digest.
//!
//! Invariant: the digest depends on the document's value alone, not on the files, formats or layers that made it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use headwater_wire::{Digest, ExplainEntry, Origin, RepoPath, Span};
use serde_json::Value;

use crate::merge::{Merged, Place};
use crate::pointer;
use crate::secrets::mask::Mask;
use crate::secrets::{formats, sops};
use crate::source::{Resolver, Source};

/// The document one instance gets: a config's base, or one of its variants. Cheap to clone.
#[derive(Clone)]
pub struct Effective(Arc<Inner>);

struct Inner {
    variant: Option<String>,
    document: Value,
    canonical: Arc<str>,
    digest: Digest,
    sources: Vec<RepoPath>,
    layers: Vec<Arc<Source>>,
    merged: Merged,
    mask: Mask,
}

impl Effective {
    pub(crate) fn new(variant: Option<String>, merged: Merged, layers: Vec<Arc<Source>>, mask: Mask) -> Self {
        let document = merged.to_json();
        let canonical: Arc<str> = headwater_render::canonical(&document).into();
        let digest = headwater_render::digest(&canonical);
        let sources = layers.iter().map(|layer| layer.path.clone()).collect();
        Self(Arc::new(Inner {
            variant,
            document,
            canonical,
            digest,
            sources,
            layers,
            merged,
            mask,
        }))
    }

    /// Name of the variant; `None` for the base document.
    pub fn variant(&self) -> Option<&str> {
        self.0.variant.as_deref()
    }

    /// The merged document.
    pub fn document(&self) -> &Value {
        &self.0.document
    }

    /// The canonical rendering, whose digest is [`Effective::digest`].
    pub fn canonical(&self) -> &Arc<str> {
        &self.0.canonical
    }

    /// Digest of the canonical rendering.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// The files that made the document, lowest layer first.
    pub fn sources(&self) -> &[RepoPath] {
        &self.0.sources
    }

    /// Where the value at a JSON pointer was set; `None` if there is no such value. For an object, where it first
    /// appears; for an element of a list, the element itself.
    pub fn origin(&self, pointer: &str) -> Option<Origin> {
        self.origin_with(&self.resolver(), pointer)
    }

    /// Which layer set each leaf (scalar, list or empty object), by pointer; below `pointer` if one is given. A
    /// pointer into a list gives that one element. It is for eyes, so secrets are hidden.
    pub fn explain(&self, pointer: Option<&str>) -> Vec<ExplainEntry> {
        let from = pointer.unwrap_or_default();
        let Some(tokens) = pointer::tokens(from) else {
            return Vec::new();
        };
        let (merged, rest) = self.0.merged.descend(&tokens);
        let mut explainer = Explainer {
            resolver: self.resolver(),
            pointer: from.to_owned(),
            mask: self.mask(),
            entries: Vec::new(),
        };
        if rest.is_empty() {
            explainer.below(merged);
        } else if let (Some(place), Some(value)) = (merged.element(rest), self.0.document.pointer(from)) {
            explainer.push(value, place, merged.overridden());
        }
        explainer.entries
    }

    /// As [`Effective::origin`], for many pointers.
    pub(crate) fn origin_with(&self, resolver: &Resolver<'_>, pointer: &str) -> Option<Origin> {
        let place = self.place(&pointer::tokens(pointer)?)?;
        Some(resolver.origin(place))
    }

    /// File and span of what was set at a place of the document.
    pub(crate) fn span_with(&self, resolver: &Resolver<'_>, tokens: &[String]) -> (String, Span) {
        let place = self.place(tokens).unwrap_or_else(|| self.0.merged.origin());
        let (path, span) = resolver.span(place.layer, place.key.unwrap_or(place.value));
        (path.to_owned(), span)
    }

    fn place(&self, tokens: &[String]) -> Option<Place> {
        let (merged, rest) = self.0.merged.descend(tokens);
        if rest.is_empty() {
            Some(merged.origin())
        } else {
            merged.element(rest)
        }
    }

    pub(crate) fn resolver(&self) -> Resolver<'_> {
        Resolver::new(&self.0.layers)
    }

    /// The parsed files, lowest layer first.
    pub(crate) fn layers(&self) -> &[Arc<Source>] {
        &self.0.layers
    }

    /// What of it is not for eyes.
    pub(crate) fn mask(&self) -> &Mask {
        &self.0.mask
    }

    /// Pointers of the values that are encrypted, so that nobody here can say what they are.
    pub(crate) fn ciphertexts(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if self.0.layers.iter().any(|layer| layer.is_sops) {
            let is_sops = |layer: usize| self.0.layers.get(layer).is_some_and(|layer| layer.is_sops);
            sops::ciphertexts(&self.0.merged, &is_sops, &mut String::new(), &mut found);
        }
        found
    }

    pub(crate) fn merged(&self) -> &Merged {
        &self.0.merged
    }
}

/// Walks a merged document and writes down its leaves.
struct Explainer<'a> {
    resolver: Resolver<'a>,
    pointer: String,
    mask: &'a Mask,
    entries: Vec<ExplainEntry>,
}

impl Explainer<'_> {
    fn below(&mut self, merged: &Merged) {
        match merged.members() {
            Some(members) if !members.is_empty() => {
                for (key, child) in members {
                    let length = self.pointer.len();
                    pointer::push(&mut self.pointer, key);
                    self.below(child);
                    self.pointer.truncate(length);
                }
            }
            Some(_) | None => self.push(&merged.to_json(), merged.origin(), merged.overridden()),
        }
    }

    fn push(&mut self, value: &Value, origin: Place, overridden: &[Place]) {
        self.entries.push(ExplainEntry {
            pointer: formats::redact(&self.pointer).into_owned(),
            value: self.mask.value(&self.pointer, value),
            origin: self.resolver.origin(origin),
            overrides: overridden
                .iter()
                .rev()
                .map(|place| self.resolver.origin(*place))
                .collect(),
        });
    }
}

impl PartialEq for Effective {
    /// Equal variant and equal content; where the content came from is not compared.
    fn eq(&self, other: &Self) -> bool {
        self.variant() == other.variant() && self.digest() == other.digest()
    }
}

impl Eq for Effective {}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effective")
            .field("variant", &self.0.variant)
            .field("digest", &self.0.digest)
            .field("sources", &self.0.sources)
            .finish_non_exhaustive()
    }
}
