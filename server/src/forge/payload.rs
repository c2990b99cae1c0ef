//! The JSON of a delivery, of which nothing is required.
//!
//! Invariant: a field that is missing or of another type reads as absent; nothing here fails.

use headwater_wire::{BranchName, CommitId};
use serde_json::Value;

use super::delivery::{Ref, RefChange, Standing};

/// A parsed body, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a>(pub &'a Value);

impl<'a> Payload<'a> {
    /// A text at a JSON pointer.
    pub(super) fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer)?.as_str()
    }

    /// An identifier at a JSON pointer, which some forges write as a number.
    pub(super) fn id(self, pointer: &str) -> Option<String> {
        match self.0.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A whole number at a JSON pointer.
    pub(super) fn number(self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer)?.as_u64()
    }

    /// Whether there is a `true` at a JSON pointer.
    pub(super) fn says(self, pointer: &str) -> bool {
        self.0.pointer(pointer).and_then(Value::as_bool) == Some(true)
    }

    /// Whether something is proposed still: not if there is one of these words at its JSON pointer.
    pub(super) fn standing(self, closed: &[(&str, &str)]) -> Standing {
        let is_closed = closed
            .iter()
            .any(|(pointer, word)| self.text(pointer) == Some(word));
        if is_closed {
            Standing::Closed
        } else {
            Standing::Open
        }
    }

    /// A commit id at a JSON pointer; all zeros is none.
    pub(super) fn commit(self, pointer: &str) -> Option<CommitId> {
        let text = self.text(pointer)?;
        if is_zeros(text) { None } else { text.parse().ok() }
    }

    /// A branch at a JSON pointer, by its short name.
    pub(super) fn branch(self, pointer: &str) -> Option<BranchName> {
        self.text(pointer)?.parse().ok()
    }

    /// The elements of an array at a JSON pointer, of which there may be none.
    pub(super) fn each(self, pointer: &str) -> impl Iterator<Item = Payload<'a>> {
        let array = self.0.pointer(pointer).and_then(Value::as_array);
        array.into_iter().flatten().map(Payload)
    }

    /// A change as GitHub, Gitea, Gogs and GitLab write it: `ref`, `before`, `after`.
    pub(super) fn change(self) -> RefChange {
        let after = self.text("/after");
        RefChange {
            name: self.text("/ref").map_or(Ref::Unknown, Ref::from_full),
            before: self.commit("/before"),
            after: self.commit("/after"),
            deleted: self.says("/deleted") || after.is_some_and(is_zeros),
        }
    }
}

/// What stands for "no commit" where a commit id is expected.
pub(super) fn is_zeros(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'0')
}
