//! Names that `format` may have: those of the dialects, and our own for what configs are full of.
//!
//! Invariant: no name of ours is one of a dialect, in any draft, so a schema means here what it means in an editor.
//! That is why a length of time of Go's style is `go-duration`: from 2019-09 on `duration` is ISO 8601's.

mod cron;
mod own;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, ValidationOptions};
use serde_json::Value;

use super::message::shown;
use crate::suggest;
use own::OWN;

/// Schemes that a reference to a secret may have, unless the manifest names others.
pub(super) const SECRET_SCHEMES: &[&str] = &["vault:", "env:", "file:", "aws-sm:"];

/// The one format whose values are not repeated in a message.
pub(super) const SECRET_REF: &str = "secret-ref";

/// The formats of the dialects, for suggestions alone; what is known is the schema crate's to say.
const STANDARD: &[&str] = &[
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

/// Adds our own formats, in every draft. `secret_schemes` are what the text of a `secret-ref` may start with.
pub(super) fn install(
    options: ValidationOptions<'static>,
    secret_schemes: &[&str],
) -> ValidationOptions<'static> {
    let schemes: Vec<String> = secret_schemes.iter().map(|&scheme| scheme.to_owned()).collect();
    let options = options.with_format(SECRET_REF, move |text: &str| own::is_secret_ref(text, &schemes));
    OWN.iter()
        .fold(options, |options, own| options.with_format(own.name, own.accepts))
}

/// Whether a schema was refused because of a format that its draft does not have.
pub(super) fn is_unknown(error: &ValidationError<'_>) -> bool {
    let is_format = error.instance_path().as_str().ends_with("/format");
    is_format && error.instance().is_string() && matches!(error.kind(), ValidationErrorKind::Custom { .. })
}

/// Message and hint.
pub(super) fn unknown(name: &Value) -> (String, String) {
    let text = name.as_str().unwrap_or_default();
    let hint = if STANDARD.contains(&text) {
        "only newer drafts have it: name one in `$schema`".to_owned()
    } else if let Some(near) = closest(text) {
        format!("did you mean `{near}`?")
    } else {
        "use `pattern`, or write `defaults.formats = \"annotate\"` to check no format".to_owned()
    };
    (format!("no such format: {}", shown(name)), hint)
}

/// The known format that a misspelt one is closest to.
pub(super) fn closest(name: &str) -> Option<&'static str> {
    let ours = OWN.iter().map(|own| own.name).chain([SECRET_REF]);
    suggest::closest(name, STANDARD.iter().copied().chain(ours))
}

/// Whether anybody knows a format of this name.
pub(super) fn is_known(name: &str) -> bool {
    STANDARD.contains(&name) || name == SECRET_REF || OWN.iter().any(|own| own.name == name)
}

/// How a value of this format looks, where few know it by heart.
pub(super) fn hint(format: &str, value: &Value) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    if format == "duration" && own::go_duration_ns(text).is_some() {
        return Some(
            "write it as ISO 8601 does, such as `PT10M`, or let the schema say `go-duration`".to_owned(),
        );
    }
    if format == SECRET_REF {
        return Some(
            "write where the secret is, such as `vault:team/app#password` or `env:PASSWORD`".to_owned(),
        );
    }
    OWN.iter()
        .find(|own| own.name == format)
        .map(|own| own.hint.to_owned())
}
