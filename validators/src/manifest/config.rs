//! `[[config]]` and `[[config.variant]]`: which files make which config.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobMatcher};

use super::model::{ConfigEntry, Spanned, UnknownLayers, VariantEntry};
use super::reader::Reader;
use super::{Names, rules};
use crate::document::{Node, Range, Value};
use crate::pattern::{Pattern, Syntax, is_placeholder};
use crate::rules::rule::{Reach, Rule};
use crate::suggest;

pub(super) const KEYS: &[&str] = &[
    "name",
    "bind",
    "layers",
    "schema",
    "rules",
    "owners",
    "rollout",
    "deny_unknown_layers",
    "variant",
];

pub(super) const VARIANT_KEYS: &[&str] = &["name", "when", "layers"];

/// Most variants of one config; each is one more document to merge, check and keep.
const VARIANTS_MAX: usize = 64;

/// Reads all entries; one with a mistake is left out, and the mistake is a finding.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node, names: &Names<'_>) -> Vec<ConfigEntry> {
    let entries = reader.list(root, "config");
    entries
        .iter()
        .filter_map(|entry| read_entry(reader, entry, names))
        .collect()
}

fn read_entry(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Option<ConfigEntry> {
    let owner = (header_range(node), "a `[[config]]`");
    reader.table(node, owner.1, KEYS);
    let rules = read_rules(reader, node, names);
    let name = reader
        .required_string(node, "name", owner)
        .and_then(|text| pattern(reader, text, Syntax::Text));
    let bind = read_bind(reader, node);
    let layers = read_layers(reader, node, owner);
    let schema = reader
        .string(node, "schema")
        .and_then(|text| pattern(reader, text, Syntax::Path));
    let owners = reader.strings(node, "owners");
    let owners: Vec<_> = owners
        .into_iter()
        .filter_map(|text| pattern(reader, text, Syntax::Text))
        .collect();
    let rollout = read_rollout(reader, node, &names.rollouts);
    let unknown_layers = match reader.boolean(node, "deny_unknown_layers") {
        Some(true) => UnknownLayers::Deny,
        Some(false) | None => UnknownLayers::Allow,
    };
    let variants = read_variants(reader, node);
    if let Some(schema) = schema.as_ref().filter(|schema| schema.value.has_wildcard()) {
        let message = format!("a schema is one file: `{}`", schema.value.text());
        reader.error(schema.range, "manifest/pattern", message, "name it without `*`");
    }
    let entry = ConfigEntry {
        range: owner.0,
        name: name?,
        bind,
        layers,
        schema,
        rules,
        owners: owners.iter().map(|owner| owner.value.clone()).collect(),
        rollout,
        unknown_layers,
        variants,
    };
    check_placeholders(reader, &entry, &owners);
    check_deny(reader, &entry, node);
    (!entry.layers.is_empty()).then_some(entry)
}

/// The entry's `name`, since a `[[config]]` header itself has no range of its own.
fn header_range(node: &Node) -> Range {
    let first = node.member("name").or_else(|| node.members().first());
    first.map_or(node.range, |member| member.key_range)
}

#[expect(clippy::needless_pass_by_value, reason = "what is read becomes the pattern")]
fn pattern(reader: &mut Reader<'_>, text: Spanned<String>, syntax: Syntax) -> Option<Spanned<Pattern>> {
    match Pattern::parse(&text.value, syntax) {
        Ok(value) => Some(Spanned {
            value,
            range: text.range,
        }),
        Err(error) => {
            reader.error(text.range, "manifest/pattern", error.message, error.hint);
            None
        }
    }
}

fn read_bind(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Vec<String>> {
    let Some(table) = node.get("bind") else {
        return BTreeMap::new();
    };
    if !reader.object(table, "`bind`") {
        return BTreeMap::new();
    }
    let mut bind = BTreeMap::new();
    for member in table.members() {
        if !is_placeholder(&member.key) {
            let hint = "use lower-case letters, digits, `_` and `-`, a letter first";
            reader.error(
                member.key_range,
                "manifest/pattern",
                format!("no name of a placeholder: `{}`", member.key),
                hint,
            );
        }
        let values = reader.strings(table, &member.key);
        if matches!(member.value.value, Value::Arr(_)) && values.is_empty() {
            reader.error(
                member.value.range,
                "manifest/value",
                format!("`{}` is bound to nothing", member.key),
                "list its values",
            );
        }
        bind.insert(member.key.to_string(), checked_values(reader, values));
    }
    bind
}

/// Values become parts of paths and names, each once.
fn checked_values(reader: &mut Reader<'_>, values: Vec<Spanned<String>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for text in values {
        if text.value.is_empty() || text.value.contains('/') {
            let message = format!("a value must be a part of one path component: `{}`", text.value);
            reader.error(text.range, "manifest/value", message, "write it without `/`");
        } else if !seen.insert(text.value.clone()) {
            reader.error(
                text.range,
                "manifest/value",
                format!("a value is listed twice: `{}`", text.value),
                "remove one",
            );
        }
    }
    seen.into_iter().collect()
}

fn read_layers(reader: &mut Reader<'_>, node: &Node, owner: (Range, &str)) -> Vec<Spanned<Pattern>> {
    match node.get("layers") {
        None => reader.missing(owner, "layers"),
        Some(list) if matches!(&list.value, Value::Arr(items) if items.is_empty()) => {
            reader.error(
                list.range,
                "manifest/value",
                format!("{} has no layer", owner.1),
                "name at least one file",
            );
        }
        Some(_) => {}
    }
    let mut seen = BTreeSet::new();
    let mut layers = Vec::new();
    for text in reader.strings(node, "layers") {
        if !seen.insert(text.value.clone()) {
            let message = format!("a layer is listed twice: `{}`", text.value);
            reader.error(
                text.range,
                "manifest/layer-twice",
                message,
                "remove one; only the last could count",
            );
        } else if let Some(layer) = pattern(reader, text, Syntax::Path) {
            check_format(reader, &layer);
            layers.push(layer);
        }
    }
    layers
}

/// A layer that can never be parsed is better told of here than once a config.
fn check_format(reader: &mut Reader<'_>, layer: &Spanned<Pattern>) {
    let text = layer.value.text().trim_end_matches('?');
    let is_config = [".toml", ".json", ".yaml", ".yml", "}", "*"]
        .iter()
        .any(|end| text.ends_with(end));
    if !is_config {
        let message = format!("a layer is no config file: `{text}`");
        reader.error(
            layer.range,
            "manifest/pattern",
            message,
            "layers end in `.toml`, `.json`, `.yaml` or `.yml`",
        );
    }
}

fn read_rollout(reader: &mut Reader<'_>, node: &Node, rollouts: &[&str]) -> Option<String> {
    let rollout = reader.string(node, "rollout")?;
    if !rollouts.contains(&rollout.value.as_str()) {
        let hint = match suggest::closest(&rollout.value, rollouts.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `[rollout.{}]`", rollout.value),
        };
        reader.error(
            rollout.range,
            "manifest/rollout",
            format!("no rollout has this name: `{}`", rollout.value),
            hint,
        );
    }
    Some(rollout.value)
}

/// Ids of rules, each of which must be there once.
fn read_rules(reader: &mut Reader<'_>, node: &Node, names: &Names<'_>) -> Vec<Spanned<String>> {
    let mut rules: Vec<Spanned<String>> = Vec::new();
    for id in reader.strings(node, "rules") {
        if !names.rules.contains(&id.value.as_str()) {
            let hint = match suggest::closest(&id.value, names.rules.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `[rule.{}]`", id.value),
            };
            let message = format!("no rule has this id: `{}`", id.value);
            reader.error(id.range, "manifest/rule", message, hint);
        } else if rules.iter().any(|known| known.value == id.value) {
            let message = format!("a rule is listed twice: `{}`", id.value);
            reader.error(id.range, "manifest/value", message, "remove one");
        } else {
            rules.push(id);
        }
    }
    rules
}

/// Rules and configs must fit together: a rule that no config names holds for nothing, and what a rule needs to know
/// of a config every config that names it must have.
pub(super) fn assign_rules(
    reader: &mut Reader<'_>,
    entries: &[ConfigEntry],
    rules: &mut BTreeMap<String, Rule>,
) {
    for rule in rules.values_mut() {
        let users = entries
            .iter()
            .flat_map(|entry| entry.rules.iter().map(move |id| (entry, id)));
        let users: Vec<_> = users.filter(|(_, id)| id.value == rule.id).collect();
        if users.is_empty() && !rule.is_about_all() {
            let message = format!("no config names this rule, so it guards nothing: `{}`", rule.id);
            let hint = format!("add `rules = [\"{}\"]` to a `[[config]]`", rule.id);
            reader.warning(rule.range, "manifest/unused-rule", message, hint);
        }
        if !users.is_empty() {
            rule.reach = Reach::Named;
        }
        for (_, id) in users.iter().filter(|_| rule.is_about_commit()) {
            let message = format!(
                "a rule with `scope = \"commit\"` holds without being named: `{}`",
                rule.id
            );
            reader.error(id.range, "manifest/value", message, "remove it from `rules`");
        }
        let always = [rules::VALUE, rules::CONFIG];
        for (entry, id) in &users {
            let bound = bound(entry);
            let patterns = rule.patterns();
            let names = patterns.iter().flat_map(|pattern| pattern.placeholders());
            let free = names.filter(|name| !bound.contains(name) && !always.contains(name));
            for name in free.collect::<BTreeSet<_>>() {
                let message =
                    format!("this rule uses a placeholder that the config does not have: `{{{name}}}`");
                let hint = match suggest::closest(name, bound.iter().copied().chain(always)) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None => "use it in the first layer, or add it to `bind`".to_owned(),
                };
                reader.error(id.range, "manifest/unbound", message, hint);
            }
        }
    }
}

/// The placeholders of an entry that have a value.
fn bound(entry: &ConfigEntry) -> BTreeSet<&str> {
    let first = entry.layers.first().into_iter();
    let from_layer = first.flat_map(|layer| layer.value.placeholders());
    entry.bind.keys().map(String::as_str).chain(from_layer).collect()
}

fn read_variants(reader: &mut Reader<'_>, node: &Node) -> Vec<VariantEntry> {
    let mut variants: Vec<VariantEntry> = Vec::new();
    let nodes = reader.list(node, "variant");
    if let Some(extra) = nodes.get(VARIANTS_MAX) {
        let message = format!(
            "a config has more than {VARIANTS_MAX} variants: `{}`",
            nodes.len()
        );
        reader.error(extra.range, "manifest/value", message, "make configs of them");
    }
    for node in nodes.iter().take(VARIANTS_MAX) {
        let owner = (header_range(node), "a `[[config.variant]]`");
        reader.table(node, owner.1, VARIANT_KEYS);
        let name = reader.required_string(node, "name", owner);
        let (when, matchers) = read_when(reader, node, owner);
        let layers = read_layers(reader, node, owner);
        let Some(name) = name else { continue };
        if variants.iter().any(|variant| variant.name == name.value) {
            let message = format!("two variants of one config have one name: `{}`", name.value);
            reader.error(name.range, "manifest/duplicate-name", message, "rename one");
        }
        variants.push(VariantEntry {
            name: name.value,
            when,
            matchers,
            layers,
        });
    }
    variants
}

type When = (BTreeMap<String, String>, Vec<(String, GlobMatcher)>);

fn read_when(reader: &mut Reader<'_>, node: &Node, owner: (Range, &str)) -> When {
    let labels = reader.string_map(node, "when");
    match node.get("when") {
        None => reader.missing(owner, "when"),
        Some(table) if table.members().is_empty() => {
            let hint = "name a label, such as `{ canary = \"true\" }`";
            reader.error(
                table.range,
                "manifest/value",
                "a variant without a condition would replace the base",
                hint,
            );
        }
        Some(_) => {}
    }
    let mut when = BTreeMap::new();
    let mut matchers = Vec::new();
    for (label, text) in labels {
        match Glob::new(&text.value) {
            Ok(glob) => matchers.push((label.clone(), glob.compile_matcher())),
            Err(error) => {
                let message = format!("{}: `{}`", error.kind(), text.value);
                reader.error(
                    text.range,
                    "manifest/pattern",
                    message,
                    "write a value or a glob such as `eu-*`",
                );
            }
        }
        when.insert(label, text.value);
    }
    (when, matchers)
}

/// Every placeholder must get its value from the first layer or from `bind`.
fn check_placeholders(reader: &mut Reader<'_>, entry: &ConfigEntry, owners: &[Spanned<Pattern>]) {
    let bound = bound(entry);
    let variant_layers = entry.variants.iter().flat_map(|variant| &variant.layers);
    let users = entry
        .layers
        .iter()
        .chain(&entry.schema)
        .chain(variant_layers)
        .chain(owners)
        .chain([&entry.name]);
    for user in users {
        for name in user.value.placeholders().filter(|name| !bound.contains(name)) {
            let known: Vec<&str> = bound.iter().copied().collect();
            let hint = match suggest::closest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => format!("use it in the first layer, or add `bind = {{ {name} = [\"…\"] }}`"),
            };
            reader.error(
                user.range,
                "manifest/unbound",
                format!("nothing gives this placeholder a value: `{{{name}}}`"),
                hint,
            );
        }
    }
    let used: BTreeSet<&str> = entry
        .layers
        .iter()
        .chain([&entry.name])
        .flat_map(|user| user.value.placeholders())
        .collect();
    for name in entry.bind.keys().filter(|name| !used.contains(name.as_str())) {
        let message = format!("a bound placeholder is used in neither `name` nor `layers`: `{{{name}}}`");
        reader.error(
            entry.range,
            "manifest/unbound",
            message,
            "use it, or remove it from `bind`",
        );
    }
}

fn check_deny(reader: &mut Reader<'_>, entry: &ConfigEntry, node: &Node) {
    let in_root = entry
        .layers
        .first()
        .is_some_and(|layer| !layer.value.text().contains('/'));
    if entry.unknown_layers == UnknownLayers::Deny && in_root {
        let range = node
            .member("deny_unknown_layers")
            .map_or(node.range, |member| member.key_range);
        let message =
            "`deny_unknown_layers` watches the first layer's directory, which is the whole repository here";
        reader.error(
            range,
            "manifest/value",
            message,
            "move the layers into a directory, or use `defaults.unmatched = \"reject\"`",
        );
    }
}
