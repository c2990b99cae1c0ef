//! Names that `format` may have.

use jsonschema::ValidationError;
use serde_json::Value;

use super::message::shown;
use crate::suggest;

/// The formats of the dialects, for suggestions alone; what is known is the schema crate's to say.
const KNOWN: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// Whether a schema was refused because of a format that nobody knows.
pub(super) fn is_unknown(error: &ValidationError<'_>) -> bool {
    let is_format = error.instance_path().as_str().ends_with("/format");
    is_format
        && error
            .instance()
            .as_str()
            .is_some_and(|name| !KNOWN.contains(&name))
}

/// Message and hint.
pub(super) fn unknown(name: &Value) -> (String, String) {
    let near = name
        .as_str()
        .and_then(|name| suggest::closest(name, KNOWN.iter().copied()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "use `pattern`, or write `defaults.formats = \"annotate\"` to check no format".to_owned(),
    };
    (format!("no such format: {}", shown(name)), hint)
}
