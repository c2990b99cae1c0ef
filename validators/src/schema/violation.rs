//! From the schema crate's errors to what a config author can act on.
//!
//! Invariant: at least one violation for each error. "None of the alternatives" is followed into the alternative that
//! the author most likely meant: one whose fixed values fit, and of those the one that fits deepest.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::compile::Compiled;
use super::message;
use super::seen::Seen;
use crate::pointer;
use crate::suggest;

/// Most keys of a schema that one of a document is compared with.
const KNOWN_MAX: usize = 5_000;

/// How many alternatives inside alternatives are followed.
const NESTING_MAX: usize = 8;

/// One thing wrong with a document.
#[derive(Debug)]
pub(crate) struct Violation {
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

/// What explains an error in a document.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) schema: &'a Compiled,
    pub(super) seen: &'a Seen<'a>,
}

/// The value that `error` is about as it may be repeated. What a schema says of itself is no secret place.
fn shown<'a>(context: Option<Context<'a>>, error: &'a ValidationError<'_>) -> &'a Value {
    context.map_or(error.instance(), |context| context.seen.shown(error))
}

/// All that `error` says. Without a schema it is the schema itself that is wrong, and no keys are suggested.
pub(super) fn explain(context: Option<Context<'_>>, error: &ValidationError<'_>) -> Vec<Violation> {
    explain_nested(context, error, NESTING_MAX)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a new kind of error is told in the words of the schema crate"
)]
fn explain_nested(
    context: Option<Context<'_>>,
    error: &ValidationError<'_>,
    nesting: usize,
) -> Vec<Violation> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(context, error);
            unexpected
                .iter()
                .map(|key| unknown_key(context, error, (key, &known)))
                .collect()
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default().to_owned();
            vec![violation(context, error, Spot::Absent(key), None)]
        }
        ValidationErrorKind::PropertyNames { error: inner } => {
            let key = inner.instance().as_str().unwrap_or_default().to_owned();
            let hint = message::hint(inner, inner.instance());
            vec![violation(context, error, Spot::Key(key), hint)]
        }
        ValidationErrorKind::AnyOf { context: branches }
        | ValidationErrorKind::OneOfNotValid { context: branches }
            if nesting > 0 =>
        {
            alternatives(context, error, branches, nesting - 1)
        }
        _ => {
            let hint = message::hint(error, shown(context, error));
            vec![violation(context, error, Spot::Value, hint)]
        }
    }
}

fn violation(
    context: Option<Context<'_>>,
    error: &ValidationError<'_>,
    spot: Spot,
    hint: Option<String>,
) -> Violation {
    Violation {
        keyword: error.kind().keyword().to_owned(),
        tokens: pointer::tokens(error.instance_path().as_str()).unwrap_or_default(),
        spot,
        message: message::sentence(error, shown(context, error)),
        hint,
    }
}

fn unknown_key(
    context: Option<Context<'_>>,
    error: &ValidationError<'_>,
    (key, known): (&str, &[String]),
) -> Violation {
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
        ..violation(context, error, Spot::Key(key.to_owned()), hint)
    }
}

/// The keys that the schema names beside the keyword that refused one.
fn known_keys(context: Option<Context<'_>>, error: &ValidationError<'_>) -> Vec<String> {
    let names = |properties: &Value| {
        let keys = properties.as_object().into_iter().flat_map(|keys| keys.keys());
        keys.take(KNOWN_MAX).cloned().collect()
    };
    let known = context.and_then(|context| context.schema.sibling(error, "properties", names));
    known.unwrap_or_default()
}

type Branch = [ValidationError<'static>];

/// Follows the best alternative, if one is better than the others; else says what they all want.
fn alternatives(
    context: Option<Context<'_>>,
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    nesting: usize,
) -> Vec<Violation> {
    if let Some(message) = expected_types(context, error, branches) {
        return vec![Violation {
            message,
            ..violation(context, error, Spot::Value, None)
        }];
    }
    let here = depth(error);
    let fitting: Vec<&Branch> = branches
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
            .flat_map(|inner| explain_nested(context, inner, nesting))
            .collect(),
        _ => {
            let hint = fallback_hint(context, branches, best);
            vec![violation(context, error, Spot::Value, hint)]
        }
    }
}

/// A word that is nearly right in any alternative, else what the closest one says.
fn fallback_hint(
    context: Option<Context<'_>>,
    branches: &[Vec<ValidationError<'static>>],
    best: Option<&Branch>,
) -> Option<String> {
    let first = |branch: &&Branch| {
        branch
            .first()
            .and_then(|error| message::hint(error, shown(context, error)))
            .filter(|hint| hint.starts_with("did you mean"))
    };
    let branches = || {
        branches
            .iter()
            .map(Vec::as_slice)
            .filter(|branch| !branch.is_empty())
    };
    branches().find_map(|branch| first(&branch)).or_else(|| {
        let closest = best.or_else(|| branches().next())?.first()?;
        Some(format!(
            "the closest alternative says: {}",
            message::sentence(closest, shown(context, closest))
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
fn expected_types(
    context: Option<Context<'_>>,
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
) -> Option<String> {
    let mut names: Vec<&'static str> = Vec::new();
    for branch in branches {
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
        message::shown(shown(context, error))
    ))
}

fn deepest(branch: &Branch) -> usize {
    branch.iter().map(depth).max().unwrap_or_default()
}

fn depth(error: &ValidationError<'_>) -> usize {
    error.instance_path().as_str().matches('/').count()
}
