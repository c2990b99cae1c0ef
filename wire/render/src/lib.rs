//! Documents to text: one canonical rendering for the digest, and one for people in each format.
//!
//! Invariant: reading what is rendered gives the same value, and equal values give equal bytes, because every walk
//! sorts the keys itself (by bytes) instead of trusting the order of a map that a feature elsewhere may change. What is
//! deliberately absent: comments and the author's layout, which a merged document does not have; and reading, which is
//! the work of `validators`. A crate of its own, since a client checks digests and writes files without knowing schemas.

mod format;
mod json;
mod yaml;

use std::fmt::Write as _;

use headwater_wire::Digest;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use format::Format;

/// Why a value cannot be written in a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRenderable {
    /// TOML has no null.
    #[error("TOML has no null, which stands at `{pointer}`")]
    Null {
        /// Where the null is.
        pointer: String,
    },
    /// A TOML document is a table.
    #[error("a TOML document is an object, and this one is {found}")]
    Root {
        /// What the document is, with its article.
        found: &'static str,
    },
    /// An integer outside the range that every format can read.
    #[error("integer does not fit 64 bits, at `{pointer}`")]
    Integer {
        /// Where the integer is.
        pointer: String,
    },
    /// The TOML writer gave up for a reason of its own.
    #[error("TOML cannot hold this document: {0}")]
    Toml(String),
}

/// JSON without white space, keys sorted by bytes, floats in their shortest form that reads back the same and stays a
/// float. The bytes of the digest: they never change for a value.
pub fn canonical(value: &Value) -> String {
    json::compact(value)
}

/// SHA-256 of a canonical rendering.
///
/// # Panics
/// Never: 64 hex digits behind `sha256:` are a digest.
pub fn digest(canonical: &str) -> Digest {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(canonical.as_bytes()) {
        let _infallible = write!(text, "{byte:02x}");
    }
    #[expect(clippy::expect_used, reason = "64 hex digits behind `sha256:` are a digest")]
    text.parse().expect("a digest")
}

/// The value as a person would write it, with a line break at the end.
pub fn render(value: &Value, format: Format) -> Result<String, NotRenderable> {
    check_integers(value, &mut Pointer::default())?;
    match format {
        Format::Json => Ok(json::pretty(value)),
        Format::Yaml => Ok(yaml::block(value)),
        Format::Toml => toml_text(value),
    }
}

fn toml_text(value: &Value) -> Result<String, NotRenderable> {
    if !value.is_object() {
        return Err(NotRenderable::Root {
            found: type_name(value),
        });
    }
    check_nulls(value, &mut Pointer::default())?;
    toml::to_string_pretty(value).map_err(|error| NotRenderable::Toml(error.to_string()))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn check_nulls(value: &Value, pointer: &mut Pointer) -> Result<(), NotRenderable> {
    pointer.each_value(value, &mut |value, at| match value {
        Value::Null => Err(NotRenderable::Null {
            pointer: at.to_owned(),
        }),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Ok(()),
    })
}

fn check_integers(value: &Value, pointer: &mut Pointer) -> Result<(), NotRenderable> {
    pointer.each_value(value, &mut |value, at| match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => Err(NotRenderable::Integer {
            pointer: at.to_owned(),
        }),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => Ok(()),
    })
}

/// The JSON pointer of where a walk is.
#[derive(Debug, Default)]
struct Pointer(String);

impl Pointer {
    /// Visits a value and everything in it, in the order of the rendering, until a visit fails.
    fn each_value<E>(
        &mut self,
        value: &Value,
        visit: &mut impl FnMut(&Value, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        visit(value, &self.0)?;
        let length = self.0.len();
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let _infallible = write!(self.0, "/{index}");
                    self.each_value(item, visit)?;
                    self.0.truncate(length);
                }
            }
            Value::Object(map) => {
                for (key, member) in sorted(map) {
                    let _infallible = write!(self.0, "/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.each_value(member, visit)?;
                    self.0.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(())
    }
}

/// Members in the order of their keys' bytes.
fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    members
}

#[cfg(test)]
mod tests;
