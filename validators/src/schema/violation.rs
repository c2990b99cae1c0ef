//! From the schema crate's errors to what a config author can act on.
//!
//! Invariant: at least one violation for each error. "None of the alternatives" is followed into the alternative that
//! the author most likely meant: one whose fixed values fit, and of those the one that fits deepest.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::compile::Compiled;
use super::message;
use crate::pointer;
use crate::suggest;

/// How many alternatives inside alternatives are followed.
const NESTING_MAX: usize = 8;

/// One thing wrong with a document.
#[derive(Debug)]
pub(super) struct Violation {
    /// The keyword of the schema.
    pub(super) keyword: String,
    /// Where in the document.
    pub(super) tokens: Vec<String>,
    pub(super) spot: Spot,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What of the place is meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The value.
    Value,
    /// The key of this name in the object.
    Key(String),
    /// A key of this name that is not in the object.
    Absent(String),
}

/// All that `error` says. Without a schema it is the schema itself that is wrong, and no keys are suggested.
pub(super) fn explain(schema: Option<&Compiled>, error: &ValidationError<'_>) -> Vec<Violation> {
    explain_nested(schema, error, NESTING_MAX)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a new kind of error is told in the words of the schema crate"
)]
fn explain_nested(schema: Option<&Compiled>, error: &ValidationError<'_>, nesting: usize) -> Vec<Violation> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(schema, error);
            unexpected
                .iter()
                .map(|key| unknown_key(error, key, &known))
                .collect()
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default().to_owned();
            vec![violation(error, Spot::Absent(key), None)]
        }
        ValidationErrorKind::PropertyNames { error: inner } => {
            let key = inner.instance().as_str().unwrap_or_default().to_owned();
            vec![violation(error, Spot::Key(key), message::hint(inner))]
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }
            if nesting > 0 =>
        {
            alternatives(schema, error, context, nesting - 1)
        }
        _ => vec![violation(error, Spot::Value, message::hint(error))],
    }
}

fn violation(error: &ValidationError<'_>, spot: Spot, hint: Option<String>) -> Violation {
    Violation {
        keyword: error.kind().keyword().to_owned(),
        tokens: pointer::tokens(error.instance_path().as_str()).unwrap_or_default(),
        spot,
        message: message::sentence(error),
        hint,
    }
}

fn unknown_key(error: &ValidationError<'_>, key: &str, known: &[String]) -> Violation {
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    // A key that is not there yet is the likelier meaning; but a layer may misspell what a lower one sets.
    let absent = words
        .iter()
        .copied()
        .filter(|name| error.instance().get(name).is_none());
    let hint = match suggest::closest(key, absent).or_else(|| suggest::closest(key, words.iter().copied())) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if words.is_empty() => None,
        None => Some(format!("known keys are {}", suggest::list(&words))),
    };
    let message = format!("unknown key: `{key}`");
    Violation {
        message,
        ..violation(error, Spot::Key(key.to_owned()), hint)
    }
}

/// The keys that the schema names beside the keyword that refused one.
fn known_keys(schema: Option<&Compiled>, error: &ValidationError<'_>) -> Vec<String> {
    let properties = schema.and_then(|schema| schema.sibling(error, "properties"));
    properties
        .as_ref()
        .and_then(Value::as_object)
        .map(|keys| keys.keys().cloned().collect())
        .unwrap_or_default()
}

type Branch = [ValidationError<'static>];

/// Follows the best alternative, if one is better than the others; else says what they all want.
fn alternatives(
    schema: Option<&Compiled>,
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    nesting: usize,
) -> Vec<Violation> {
    if let Some(message) = expected_types(error, context) {
        return vec![Violation {
            message,
            ..violation(error, Spot::Value, None)
        }];
    }
    let here = depth(error);
    let fitting: Vec<&Branch> = context
        .iter()
        .map(Vec::as_slice)
        .filter(|branch| !branch.is_empty() && fits(branch, here))
        .collect();
    let best = fitting
        .iter()
        .copied()
        .rev()
        .max_by_key(|branch| (deepest(branch), std::cmp::Reverse(branch.len())));
    match best {
        Some(branch) if fitting.len() == 1 || deepest(branch) > here => branch
            .iter()
            .flat_map(|inner| explain_nested(schema, inner, nesting))
            .collect(),
        _ => vec![violation(error, Spot::Value, fallback_hint(context, best))],
    }
}

/// A word that is nearly right in any alternative, else what the closest one says.
fn fallback_hint(context: &[Vec<ValidationError<'static>>], best: Option<&Branch>) -> Option<String> {
    let first = |branch: &&Branch| {
        branch
            .first()
            .and_then(message::hint)
            .filter(|hint| hint.starts_with("did you mean"))
    };
    let branches = || {
        context
            .iter()
            .map(Vec::as_slice)
            .filter(|branch| !branch.is_empty())
    };
    branches().find_map(|branch| first(&branch)).or_else(|| {
        let closest = best.or_else(|| branches().next())?.first()?;
        Some(format!(
            "the closest alternative says: {}",
            message::sentence(closest)
        ))
    })
}

/// Whether no fixed value and no type at the top speaks against an alternative.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only fixed values and types tell alternatives apart"
)]
fn fits(branch: &Branch, here: usize) -> bool {
    !branch.iter().any(|error| match error.kind() {
        ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. } => true,
        ValidationErrorKind::Type { .. } | ValidationErrorKind::FalseSchema => depth(error) <= here,
        _ => false,
    })
}

/// One sentence if every alternative only wants another type.
fn expected_types(error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> Option<String> {
    let mut names: Vec<&'static str> = Vec::new();
    for branch in context {
        let [inner] = branch.as_slice() else { return None };
        let ValidationErrorKind::Type { kind } = inner.kind() else {
            return None;
        };
        if depth(inner) != depth(error) {
            return None;
        }
        match kind {
            TypeKind::Single(kind) => names.push(message::type_name(*kind)),
            TypeKind::Multiple(kinds) => names.extend(kinds.iter().map(message::type_name)),
        }
    }
    names.dedup();
    let (expected, value) = (message::either(&names), error.instance());
    Some(format!(
        "expected {expected}, found {}: {}",
        message::found(value),
        message::shown(value)
    ))
}

fn deepest(branch: &Branch) -> usize {
    branch.iter().map(depth).max().unwrap_or_default()
}

fn depth(error: &ValidationError<'_>) -> usize {
    error.instance_path().as_str().matches('/').count()
}
