//! `[rule]`, `[secrets]` and `[protect]`: guards that the format knows and this release cannot enforce yet.
//!
//! Invariant: a guard that is not enforced never looks enforced. Whatever asks for one is refused; what only describes
//! or switches off is read.

use super::reader::Reader;
use crate::document::{Node, Range, Value};

const CODE: &str = "manifest/unsupported";

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) {
    if let Some(rules) = root.get("rule")
        && reader.object(rules, "[rule]")
    {
        for rule in rules.members() {
            refuse_rule(reader, rule.key_range, &rule.key);
        }
    }
    if let Some(secrets) = root.get("secrets") {
        read_secrets(reader, secrets);
    }
    if let Some(protect) = root.get("protect") {
        reader.table(protect, "[protect]", &["manifest_changes"]);
        let alone = reader.choice(protect, "manifest_changes", &[("alone", true), ("mixed", false)]);
        if alone == Some(true) {
            refuse(
                reader,
                protect,
                "manifest_changes",
                "write `manifest_changes = \"mixed\"` or remove it",
            );
        }
    }
}

/// The `rules` of one `[[config]]`.
pub(super) fn read_rule_names(reader: &mut Reader<'_>, config: &Node) {
    for rule in reader.strings(config, "rules") {
        refuse_rule(reader, rule.range, &rule.value);
    }
}

fn refuse_rule(reader: &mut Reader<'_>, range: Range, name: &str) {
    let hint = "remove it, and state what you can in the JSON Schema";
    reader.error(
        range,
        CODE,
        format!("rules are not supported yet: `{name}`"),
        hint,
    );
}

fn read_secrets(reader: &mut Reader<'_>, secrets: &Node) {
    reader.table(
        secrets,
        "[secrets]",
        &["plaintext", "names", "paths", "allow", "refs"],
    );
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
        reader.table(exception, "an exception of `allow`", &["at", "reason"]);
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
