//! A document as the text of a file: the formats of Headwater, and two that hold flat lists of texts.
//!
//! Invariant: what a reader of the format takes from the text are the values of the document; where two values would
//! have one name, or a value cannot stand in the format, there is no text but an error. What is deliberately absent:
//! comments, and any choice of layout.

mod flat;

use std::fmt::Write as _;
use std::str::FromStr;

use headwater_render::{Format, NotRenderable, render};
use serde_json::Value;

use flat::{Entry, Step};

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// One of the formats that a document can also be kept in.
    Document(Format),
    /// Shell assignments: `sh` can source them, systemd can read them.
    Env {
        /// Put before each name, so that no document can set `PATH`.
        prefix: String,
    },
    /// Java properties.
    Properties,
}

/// The words of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormatWord {
    Document(Format),
    Env,
    Properties,
}

impl FromStr for FormatWord {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "env" => Ok(Self::Env),
            "properties" => Ok(Self::Properties),
            other => other
                .parse()
                .map(Self::Document)
                .map_err(|_| "not one of toml, json, yaml, env, properties"),
        }
    }
}

/// Why a document cannot be written in a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error(transparent)]
    NotRenderable(#[from] NotRenderable),
    #[error("a list of names and values is made of an object, and this document is {found}")]
    Root { found: &'static str },
    #[error("`{first}` and `{second}` would both be named `{name}`")]
    Collision {
        name: String,
        first: String,
        second: String,
    },
    #[error("the value at `{pointer}` holds a NUL, which no environment variable can")]
    Nul { pointer: String },
}

impl FileFormat {
    /// What stands behind the dot of a file's name.
    pub(crate) fn extension(&self) -> &'static str {
        match self {
            Self::Document(format) => format.as_str(),
            Self::Env { .. } => "env",
            Self::Properties => "properties",
        }
    }

    /// The media type of the text.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Document(Format::Json) => "application/json",
            Self::Document(Format::Toml) => "application/toml",
            Self::Document(Format::Yaml) => "application/yaml",
            Self::Env { .. } | Self::Properties => "text/plain; charset=utf-8",
        }
    }

    /// The document as text, with a line break at its end.
    pub(crate) fn text(&self, document: &Value) -> Result<String, FormatError> {
        match self {
            Self::Document(format) => Ok(render(document, *format)?),
            Self::Env { prefix } => env(document, prefix),
            Self::Properties => properties(document),
        }
    }
}

fn env(document: &Value, prefix: &str) -> Result<String, FormatError> {
    let entries = flat::entries(document, |path| variable(prefix, path))?;
    let mut out = String::new();
    for Entry { name, pointer, text } in entries {
        if text.contains('\0') {
            return Err(FormatError::Nul { pointer });
        }
        out.push_str(&name);
        out.push('=');
        shell_quoted(&mut out, &text);
        out.push('\n');
    }
    Ok(out)
}

/// Upper case, `_` between steps and for each character that no variable may have.
fn variable(prefix: &str, path: &[Step<'_>]) -> String {
    let mut name = prefix.to_owned();
    for (depth, step) in path.iter().enumerate() {
        if depth > 0 {
            name.push('_');
        }
        match step {
            Step::Key(key) => name.extend(key.chars().map(|c| match c {
                'A'..='Z' | '0'..='9' => c,
                'a'..='z' => c.to_ascii_uppercase(),
                _ => '_',
            })),
            Step::Index(index) => {
                let _infallible = write!(name, "{index}");
            }
        }
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Double quotes and backslashes: the one spelling that both `sh` and systemd undo in the same way, line breaks
/// included. Plain words stay bare, since `docker --env-file` would take quotes for a part of the value.
fn shell_quoted(out: &mut String, text: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if text.chars().all(is_plain) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn properties(document: &Value) -> Result<String, FormatError> {
    let entries = flat::entries(document, dotted)?;
    let mut out = String::new();
    for Entry { name, text, .. } in entries {
        escaped(&mut out, &name, Part::Key);
        out.push('=');
        escaped(&mut out, &text, Part::Value);
        out.push('\n');
    }
    Ok(out)
}

/// `a.b[0].c`, as Spring and its like read it.
fn dotted(path: &[Step<'_>]) -> String {
    let mut name = String::new();
    for (depth, step) in path.iter().enumerate() {
        match step {
            Step::Key(key) => {
                if depth > 0 {
                    name.push('.');
                }
                name.push_str(key);
            }
            Step::Index(index) => {
                let _infallible = write!(name, "[{index}]");
            }
        }
    }
    name
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// Escapes of `java.util.Properties`; everything outside of printable ASCII as UTF-16, so that the encoding of the
/// file does not matter.
fn escaped(out: &mut String, text: &str, part: Part) {
    for (index, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if part == Part::Key || index == 0 => out.push_str("\\ "),
            ':' | '=' | '#' | '!' if part == Part::Key => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
