//! `[secrets]`: guards that the format knows and this release cannot enforce yet.
//!
//! Invariant: a guard that is not enforced never looks enforced. Whatever asks for one is refused; what only describes
//! or switches off is read.

use super::reader::Reader;
use crate::document::{Node, Value};

pub(super) const KEYS: &[&str] = &["plaintext", "names", "paths", "allow", "refs"];

pub(super) const EXCEPTION_KEYS: &[&str] = &["at", "reason"];

const CODE: &str = "manifest/unsupported";

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) {
    if let Some(secrets) = root.get("secrets") {
        read_secrets(reader, secrets);
    }
}

fn read_secrets(reader: &mut Reader<'_>, secrets: &Node) {
    reader.table(secrets, "[secrets]", KEYS);
    if reader
        .choice(secrets, "plaintext", &[("reject", ()), ("warn", ())])
        .is_some()
    {
        refuse(
            reader,
            secrets,
            "plaintext",
            "remove it, and look for secrets in the forge or in CI",
        );
    }
    if reader.choice(
        secrets,
        "names",
        &[("reject", true), ("warn", true), ("off", false)],
    ) == Some(true)
    {
        refuse(reader, secrets, "names", "write `names = \"off\"` or remove it");
    }
    if !reader.strings(secrets, "paths").is_empty() {
        refuse(
            reader,
            secrets,
            "paths",
            "remove it, and state a `pattern` in the JSON Schema",
        );
    }
    let _accepted_schemes = reader.strings(secrets, "refs");
    for exception in reader.list(secrets, "allow") {
        reader.table(exception, "an exception of `allow`", EXCEPTION_KEYS);
        for key in ["at", "reason"] {
            let _text = reader.required_string(exception, key, (exception.range, "an exception of `allow`"));
        }
    }
}

fn refuse(reader: &mut Reader<'_>, table: &Node, key: &str, hint: &str) {
    let range = table.member(key).map_or(table.range, |member| member.key_range);
    let shown = match table.get(key).map(|node| &node.value) {
        Some(Value::Str(text)) => format!("`{key} = \"{text}\"`"),
        _ => format!("`{key}`"),
    };
    reader.error(
        range,
        CODE,
        format!("this guard is not supported yet, so it would guard nothing: {shown}"),
        hint,
    );
}
