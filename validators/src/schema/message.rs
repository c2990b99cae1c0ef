//! One sentence for each way to break a schema.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::formats;

/// Most characters of a value that a message repeats.
const SHOWN_CHARS: usize = 60;

/// Most allowed values that a hint lists.
const LISTED: usize = 8;

/// What is wrong, with the value last as it may be repeated.
#[expect(clippy::too_many_lines, reason = "a table: one line for each keyword")]
pub(super) fn sentence(error: &ValidationError<'_>, instance: &Value) -> String {
    let value = shown(instance);
    match error.kind() {
        ValidationErrorKind::AdditionalItems { limit } => format!("the list has more than {limit} items"),
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            format!("unknown keys: {}", crate::suggest::list(unexpected))
        }
        ValidationErrorKind::UnevaluatedItems { unexpected } => {
            format!("unexpected items: {}", crate::suggest::list(unexpected))
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            format!("matches none of {} alternatives: {value}", context.len())
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            format!("matches more than one alternative, and exactly one may: {value}")
        }
        ValidationErrorKind::BacktrackLimitExceeded { .. } => {
            format!("too long to match against a pattern: {value}")
        }
        ValidationErrorKind::RegexEngineFailure { message } => {
            format!("a pattern cannot be matched: `{message}`")
        }
        // What a secret must be is the secret.
        ValidationErrorKind::Constant { .. } if is_masked(error, instance) => {
            format!("not the one value that is allowed: {value}")
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("must be {}, found {value}", shown(expected_value))
        }
        ValidationErrorKind::Contains => {
            "the list has no item of the kind it must have, or too many".to_owned()
        }
        ValidationErrorKind::ContentEncoding { content_encoding } => {
            format!("not encoded as `{content_encoding}`: {value}")
        }
        ValidationErrorKind::ContentMediaType { content_media_type } => {
            format!("not of the media type `{content_media_type}`: {value}")
        }
        ValidationErrorKind::Custom { message, .. } => message.clone(),
        ValidationErrorKind::Enum { .. } => format!("not one of the allowed values: {value}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}: {value}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be greater than {limit}: {value}"),
        ValidationErrorKind::FalseSchema => format!("nothing may stand here: {value}"),
        // What stands in the place of a reference to a secret may be the secret.
        ValidationErrorKind::Format { format } if format == formats::SECRET_REF => {
            format!("not a valid `{format}`")
        }
        ValidationErrorKind::Format { format } => format!("not a valid `{format}`: {value}"),
        ValidationErrorKind::FromUtf8 { .. } => format!("does not decode to UTF-8: {value}"),
        ValidationErrorKind::MaxItems { limit } => format!(
            "the list has more than {limit} items: `{}`",
            length(error.instance())
        ),
        ValidationErrorKind::Maximum { limit } => format!("greater than the maximum of {limit}: {value}"),
        ValidationErrorKind::MaxLength { limit } => format!("longer than {limit} characters: {value}"),
        ValidationErrorKind::MaxProperties { limit } => format!(
            "the object has more than {limit} keys: `{}`",
            length(error.instance())
        ),
        ValidationErrorKind::MinItems { limit } => format!(
            "the list has fewer than {limit} items: `{}`",
            length(error.instance())
        ),
        ValidationErrorKind::Minimum { limit } => format!("less than the minimum of {limit}: {value}"),
        ValidationErrorKind::MinLength { limit } => format!("shorter than {limit} characters: {value}"),
        ValidationErrorKind::MinProperties { limit } => format!(
            "the object has fewer than {limit} keys: `{}`",
            length(error.instance())
        ),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("not a multiple of {multiple_of}: {value}")
        }
        ValidationErrorKind::Not { .. } => format!("is what the schema forbids: {value}"),
        ValidationErrorKind::Pattern { pattern } => format!("does not match `{pattern}`: {value}"),
        ValidationErrorKind::PropertyNames { error } => {
            format!(
                "a key of this name is not allowed: {}",
                sentence(error, error.instance())
            )
        }
        ValidationErrorKind::Required { property } => format!("missing key: {}", shown(property)),
        ValidationErrorKind::Type { kind } => format!(
            "expected {}, found {}: {value}",
            expected(kind),
            found(error.instance())
        ),
        ValidationErrorKind::UniqueItems => "the list has an item twice".to_owned(),
        ValidationErrorKind::Referencing(error) => error.to_string(),
    }
}

/// What to do about it, where the schema tells; no word is suggested but for a value that may be repeated.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most keywords say all there is in their sentence"
)]
pub(super) fn hint(error: &ValidationError<'_>, instance: &Value) -> Option<String> {
    match error.kind() {
        ValidationErrorKind::Enum { options } => {
            (!is_masked(error, instance)).then(|| allowed(instance, options))
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(JsonType::Integer | JsonType::Number),
        } => {
            let is_quoted = error
                .instance()
                .as_str()
                .is_some_and(|text| text.parse::<f64>().is_ok());
            is_quoted.then(|| "remove the quotes".to_owned())
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(JsonType::Boolean),
        } => {
            let is_quoted = matches!(error.instance().as_str(), Some("true" | "false"));
            is_quoted.then(|| "remove the quotes".to_owned())
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(JsonType::String),
        } => (error.instance().is_number() || error.instance().is_boolean())
            .then(|| "put it in quotes".to_owned()),
        ValidationErrorKind::Format { format } => formats::hint(format, error.instance()),
        ValidationErrorKind::BacktrackLimitExceeded { .. } => {
            Some("simplify the pattern of the schema".to_owned())
        }
        _ => None,
    }
}

fn allowed(value: &Value, options: &Value) -> String {
    let options: Vec<&Value> = options
        .as_array()
        .map(|options| options.iter().collect())
        .unwrap_or_default();
    let words = options.iter().filter_map(|option| option.as_str());
    if let Some(near) = value
        .as_str()
        .and_then(|text| crate::suggest::closest(text, words))
    {
        return format!("did you mean `{near}`?");
    }
    let listed: Vec<String> = options.iter().take(LISTED).map(|option| shown(option)).collect();
    let more = if options.len() > LISTED {
        format!(" and {} more", options.len() - LISTED)
    } else {
        String::new()
    };
    format!("allowed are {}{more}", listed.join(", "))
}

/// Whether a value is repeated in another way than it is written, since a part of it is secret.
fn is_masked(error: &ValidationError<'_>, instance: &Value) -> bool {
    **error.instance() != *instance
}

/// A value in back-ticks: text as it is, anything else as JSON, cut where it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = crate::secrets::formats::redact(&text);
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_CHARS)
        .collect();
    let cut = if text.chars().nth(SHOWN_CHARS).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{clean}{cut}`")
}

fn length(value: &Value) -> usize {
    value
        .as_array()
        .map(Vec::len)
        .or_else(|| value.as_object().map(serde_json::Map::len))
        .unwrap_or_default()
}

/// The types that are allowed, with articles.
pub(super) fn expected(kind: &TypeKind) -> String {
    let names: Vec<&str> = match kind {
        TypeKind::Single(kind) => vec![type_name(*kind)],
        TypeKind::Multiple(kinds) => kinds.iter().map(type_name).collect(),
    };
    either(&names)
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn either(names: &[&str]) -> String {
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

pub(super) fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

/// What a value is, with its article.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
