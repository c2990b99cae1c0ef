//! What the error of an expression must not repeat: it quotes keys that were looked up, and a key may come out of a
//! document.
//!
//! Invariant: an expression sees the secrets of every document, so those of every document are left out of what it says.
//! What is deliberately absent: following a value through an expression. A part of a secret that is shorter than a word,
//! or one that was turned into something else, is not known any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cel::RunError;
use crate::effective::Effective;
use crate::secrets::mask::{Mask, requoted};
use crate::source::Source;

/// Shortest text that is known for a part of another, in bytes.
const PART_BYTES_MIN: usize = 6;

/// Texts of secrets.
#[derive(Debug, Default)]
pub(super) struct Unsaid(BTreeSet<String>);

impl Unsaid {
    /// All that is secret in these documents and files, by the mask of each.
    pub(super) fn of<'a>(
        documents: impl IntoIterator<Item = &'a Effective>,
        (files, mask): (&[Arc<Source>], &Mask),
    ) -> Self {
        let mut texts = BTreeSet::new();
        for document in documents {
            document.mask().texts(document.document(), &mut texts);
        }
        for file in files {
            mask.texts(&file.root.to_json(), &mut texts);
        }
        Self(texts)
    }

    /// The error, as it may be said.
    pub(super) fn leave_out(&self, mut error: RunError) -> RunError {
        for text in std::iter::once(&mut error.message).chain(&mut error.hint) {
            *text = requoted(text, |literal| self.is_secret(literal));
        }
        error
    }

    fn is_secret(&self, literal: &str) -> bool {
        let is_part = |part: &str, whole: &str| part.len() >= PART_BYTES_MIN && whole.contains(part);
        self.0.contains(literal)
            || self
                .0
                .iter()
                .any(|secret| is_part(secret, literal) || is_part(literal, secret))
    }
}
