//! A document as it is checked: what is encrypted may be anything, and what is secret is not repeated.
//!
//! Invariant: an error is excused only if it can be the ciphertext's doing. The schema itself is never rewritten: which
//! part of it concerns one value, no rewriting could tell. What is deliberately absent: conditions. An `if` that looks at
//! an encrypted value sees the ciphertext, which is text.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::effective::Effective;
use crate::secrets::mask::Mask;

/// A document under check.
pub(super) struct Seen<'a> {
    document: &'a Value,
    /// What of it is secret; a document of its own has nothing.
    mask: Option<&'a Mask>,
    /// Pointers of encrypted values.
    encrypted: BTreeSet<String>,
    /// The document without its secrets, once something is to be said of it.
    masked: OnceCell<Value>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(effective: &'a Effective) -> Self {
        Self {
            encrypted: effective.ciphertexts(),
            ..Self::part(effective.document(), effective.mask())
        }
    }

    /// A part of a document, with nothing encrypted in it.
    pub(super) fn part(document: &'a Value, mask: &'a Mask) -> Self {
        Self {
            mask: Some(mask),
            ..Self::plain(document)
        }
    }

    /// A document without secrets.
    pub(super) fn plain(document: &'a Value) -> Self {
        Self {
            document,
            mask: None,
            encrypted: BTreeSet::new(),
            masked: OnceCell::new(),
        }
    }

    pub(super) fn document(&self) -> &'a Value {
        self.document
    }

    /// The value that an error is about, as it may be repeated.
    pub(super) fn shown<'e>(&'e self, error: &'e ValidationError<'_>) -> &'e Value {
        let Some(mask) = self.mask else {
            return error.instance();
        };
        let masked = self.masked.get_or_init(|| mask.value("", self.document));
        masked
            .pointer(error.instance_path().as_str())
            .unwrap_or(&Value::Null)
    }

    /// Whether ciphertext alone can be the reason of an error.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other keyword judges a value by what it is, and the value is not encrypted"
    )]
    pub(super) fn excuses(&self, error: &ValidationError<'_>) -> bool {
        if self.encrypted.is_empty() {
            return false;
        }
        let at = error.instance_path().as_str();
        self.encrypted.contains(at)
            || match error.kind() {
                ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                    context
                        .iter()
                        .any(|branch| !branch.is_empty() && branch.iter().all(|inner| self.excuses(inner)))
                }
                // What is wrong here is that something fits, and as text it may fit where the value would not.
                ValidationErrorKind::OneOfMultipleValid { .. }
                | ValidationErrorKind::Not { .. }
                | ValidationErrorKind::Contains => self.encrypted.iter().any(|pointer| is_below(pointer, at)),
                _ => false,
            }
    }

    /// Where errors were excused.
    pub(super) fn excused<'e>(&self, errors: impl Iterator<Item = ValidationError<'e>>) -> Excused {
        if self.encrypted.is_empty() {
            return Excused::default();
        }
        let excused = errors.filter(|error| self.excuses(error));
        Excused(
            excused
                .map(|error| error.instance_path().as_str().to_owned())
                .collect(),
        )
    }
}

/// Pointers at which errors were excused.
#[derive(Debug, Default)]
pub(super) struct Excused(BTreeSet<String>);

impl Excused {
    /// A part of a schema that failed has evaluated nothing: what `unevaluated…` then finds may be its doing.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "no other keyword depends on what its neighbours found"
    )]
    pub(super) fn spreads_to(&self, error: &ValidationError<'_>) -> bool {
        match error.kind() {
            ValidationErrorKind::UnevaluatedProperties { .. }
            | ValidationErrorKind::UnevaluatedItems { .. } => self
                .0
                .iter()
                .any(|pointer| is_below(pointer, error.instance_path().as_str())),
            _ => false,
        }
    }
}

/// Whether a pointer is `above` itself or below it.
fn is_below(pointer: &str, above: &str) -> bool {
    pointer
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
