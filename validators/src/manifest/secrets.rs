//! `[secrets]`: which values must not stand in Git in plain text, and what is said of one that does.
//!
//! Invariant: reading always gives a policy. Whatever is wrong is a finding, and the default takes its place, so that
//! values can be masked even in what is said of a manifest that cannot be used.

use super::model::Spanned;
use super::reader::Reader;
use crate::document::Node;
use crate::pointer::PointerPattern;

/// Beginnings of values that say where a secret is kept, and are none.
const REFERENCES: &[&str] = &["vault:", "env:", "file:", "aws-sm:"];

/// What becomes of a value that looks like a secret, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It is an error.
    Reject,
    /// It is a warning.
    Warn,
    /// Nothing is said of it.
    Off,
}

/// `[secrets]`; equal for two that say the same at different places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Secrets {
    /// What becomes of tokens of a known format, private keys and passwords in addresses; never off.
    pub(crate) plaintext: Level,
    /// What becomes of a literal whose key is the name of a secret.
    pub(crate) names: Level,
    /// What must be a reference or ciphertext, with everything below it.
    pub(crate) paths: Vec<PointerPattern>,
    pub(crate) exceptions: Vec<Exception>,
    /// Beginnings of references.
    pub(crate) references: Vec<String>,
}

/// One entry of `allow`.
#[derive(Debug, Clone)]
pub(crate) struct Exception {
    pub(crate) at: Spanned<PointerPattern>,
}

impl PartialEq for Exception {
    fn eq(&self, other: &Self) -> bool {
        self.at.value == other.at.value
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            plaintext: Level::Reject,
            names: Level::Warn,
            paths: Vec::new(),
            exceptions: Vec::new(),
            references: REFERENCES.iter().map(|&text| text.to_owned()).collect(),
        }
    }
}

impl Secrets {
    /// Whether a text says where a secret is kept.
    pub(crate) fn is_reference(&self, text: &str) -> bool {
        let names_something =
            |scheme: &String| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
        self.references.iter().any(names_something)
    }

    /// The exceptions that allow a value, by index. One names the very value: what is put below it later is not allowed.
    pub(crate) fn exceptions<T: AsRef<str>>(&self, tokens: &[T]) -> Vec<usize> {
        let covering = self
            .exceptions
            .iter()
            .enumerate()
            .filter(|(_, exception)| exception.at.value.matches(tokens));
        covering.map(|(index, _)| index).collect()
    }
}

/// Keys of `[secrets]`.
pub(super) const KEYS: &[&str] = &["plaintext", "names", "paths", "allow", "refs"];
/// Keys of an exception of `allow`.
pub(super) const EXCEPTION_KEYS: &[&str] = &["at", "reason"];

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Secrets {
    let mut secrets = Secrets::default();
    let Some(table) = root.get("secrets") else {
        return secrets;
    };
    reader.table(table, "[secrets]", KEYS);
    let plaintext = [("reject", Level::Reject), ("warn", Level::Warn)];
    let names = [
        ("reject", Level::Reject),
        ("warn", Level::Warn),
        ("off", Level::Off),
    ];
    secrets.plaintext = reader
        .choice(table, "plaintext", &plaintext)
        .unwrap_or(secrets.plaintext);
    secrets.names = reader.choice(table, "names", &names).unwrap_or(secrets.names);
    let paths = reader.strings(table, "paths");
    secrets.paths = paths
        .into_iter()
        .filter_map(|text| pattern(reader, &text))
        .map(|path| path.value)
        .collect();
    let exceptions = reader.list(table, "allow").iter();
    secrets.exceptions = exceptions.filter_map(|node| exception(reader, node)).collect();
    if table.get("refs").is_some() {
        secrets.references = read_references(reader, table);
    }
    secrets
}

/// What the manifest says of secrets, if that much of it can be read, whatever else is wrong with it.
pub(crate) fn read_alone(bytes: &[u8]) -> Secrets {
    let root = crate::document::parse(
        headwater_render::Format::Toml,
        bytes,
        &crate::document::ParseOptions::default(),
    );
    root.map(|root| read(&mut Reader::new(bytes), &root))
        .unwrap_or_default()
}

fn pattern(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<Spanned<PointerPattern>> {
    match PointerPattern::parse(&text.value) {
        Ok(value) => Some(Spanned {
            value,
            range: text.range,
        }),
        Err((message, hint)) => {
            reader.error(text.range, "manifest/pattern", message, hint);
            None
        }
    }
}

fn exception(reader: &mut Reader<'_>, node: &Node) -> Option<Exception> {
    let owner = (node.range, "an exception of `allow`");
    reader.table(node, owner.1, EXCEPTION_KEYS);
    let reason = reader.required_string(node, "reason", owner);
    if let Some(reason) = reason.filter(|reason| reason.value.trim().is_empty()) {
        let hint = "say why this value may be read by everybody";
        reader.error(
            reason.range,
            "manifest/value",
            "an exception has an empty `reason`",
            hint,
        );
    }
    let at = reader.required_string(node, "at", owner)?;
    pattern(reader, &at).map(|at| Exception { at })
}

/// An empty scheme would make everything a reference.
fn read_references(reader: &mut Reader<'_>, table: &Node) -> Vec<String> {
    let mut references = Vec::new();
    for text in reader.strings(table, "refs") {
        if text.value.is_empty() {
            let hint = "write the beginning of a reference, such as `vault:`";
            reader.error(
                text.range,
                "manifest/value",
                "an empty scheme makes every value a reference",
                hint,
            );
        } else {
            references.push(text.value);
        }
    }
    references
}
