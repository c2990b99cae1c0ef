//! `[rule.ID]`: what must hold beyond schemas.
//!
//! Invariant: a rule checks exactly one thing, and every key of it has an effect on that; one that would be ignored is
//! a mistake.

use std::collections::BTreeMap;

use globset::Glob;
use headwater_wire::Severity;

use super::reader::Reader;
use crate::document::{Node, Range, Value};
use crate::pattern::{Pattern, Syntax};
use crate::rules::cel::ScopeKind;
use crate::rules::expression::Expression;
use crate::rules::rule::{
    Check, DeniedIn, OnCreate, OnError, Overriding, Reach, Rule, Says, Target, TargetPlace, WebhookRule,
};
use crate::rules::selector::Selector;
use crate::rules::template::{self, Template};
use crate::suggest;

/// Keys that say what is checked; a rule has one of them.
pub(super) const CHECKS: &[&str] = &[
    "immutable",
    "max_factor",
    "max_delta",
    "only_grow",
    "unique",
    "exists",
    "matches_path",
    "require_together",
    "deny_path",
    "expr",
    "webhook",
];

/// Keys that say how.
pub(super) const OTHERS: &[&str] = &[
    "at",
    "when",
    "scope",
    "severity",
    "message",
    "hint",
    "override",
    "on_create",
    "on_error",
];

pub(super) const UNIQUE_KEYS: &[&str] = &["across"];

pub(super) const EXISTS_KEYS: &[&str] = &["file", "config", "key"];

/// Words of `severity`.
const SEVERITIES: &[(&str, Severity)] = &[
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("info", Severity::Info),
];

/// Reads `[rule]`; one with a mistake is left out, and the mistake is a finding.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> BTreeMap<String, Rule> {
    let Some(table) = root.get("rule") else {
        return BTreeMap::new();
    };
    let mut rules = BTreeMap::new();
    if reader.object(table, "[rule]") {
        for member in table.members() {
            check_id(reader, &member.key, member.key_range);
            let what = format!("[rule.{}]", member.key);
            if let Some(says) = read_rule(reader, &member.value, (member.key_range, &what)) {
                let (id, range) = (member.key.to_string(), member.key_range);
                rules.insert(
                    id.clone(),
                    Rule {
                        id,
                        range,
                        says,
                        reach: Reach::default(),
                    },
                );
            }
        }
    }
    rules
}

/// An id is a word of a commit message.
fn check_id(reader: &mut Reader<'_>, id: &str, range: Range) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || !id.chars().all(fits) {
        let hint = "use letters, digits, `-`, `_` and `.`, since commit messages name it";
        reader.error(range, "manifest/value", format!("no id of a rule: `{id}`"), hint);
    } else if format!("rule/{id}") == crate::rules::finding::ERROR {
        let hint =
            "use another one: `rule/error` is the code of what is said of any rule that cannot be judged";
        reader.error(
            range,
            "manifest/value",
            format!("this id of a rule is reserved: `{id}`"),
            hint,
        );
    }
}

fn read_rule(reader: &mut Reader<'_>, node: &Node, owner: (Range, &str)) -> Option<Says> {
    let known: Vec<&str> = CHECKS.iter().chain(OTHERS).copied().collect();
    reader.table(node, owner.1, &known);
    let kind = only_check(reader, node, owner)?;
    let at = read_at(reader, node);
    let scope = read_scope(reader, node, kind);
    let check = read_check(reader, node, (kind, scope));
    check_keys(reader, node, (kind, owner));
    let message = read_message(reader, node);
    let when = read_expression(reader, node, ("when", scope));
    let overridings = [("never", Overriding::Never), ("trailer", Overriding::Trailer)];
    let creations = [("skip", OnCreate::Skip), ("check", OnCreate::Check)];
    let says = Says {
        at,
        when,
        check: check?,
        severity: reader
            .choice(node, "severity", SEVERITIES)
            .unwrap_or(Severity::Error),
        message,
        hint: reader.string(node, "hint").map(|hint| hint.value),
        overriding: reader.choice(node, "override", &overridings).unwrap_or_default(),
        on_create: reader.choice(node, "on_create", &creations).unwrap_or_default(),
    };
    Some(says)
}

/// The one key that says what is checked.
fn only_check<'k>(reader: &mut Reader<'_>, node: &Node, owner: (Range, &str)) -> Option<&'k str> {
    let found: Vec<&'k str> = CHECKS
        .iter()
        .copied()
        .filter(|key| node.get(key).is_some())
        .collect();
    match found.as_slice() {
        [only] => Some(only),
        [] => {
            let message = format!("{} checks nothing", owner.1);
            let hint = format!("add one of {}", suggest::list(CHECKS));
            reader.error(owner.0, "manifest/missing-key", message, hint);
            None
        }
        [_, second, ..] => {
            let range = node.member(second).map_or(owner.0, |member| member.key_range);
            let message = format!(
                "{} checks more than one thing: {}",
                owner.1,
                suggest::list(&found)
            );
            reader.error(range, "manifest/value", message, "make a rule of each");
            None
        }
    }
}

fn read_at(reader: &mut Reader<'_>, node: &Node) -> Option<Selector> {
    let text = reader.string(node, "at")?;
    selector(reader, &text.value, text.range)
}

fn selector(reader: &mut Reader<'_>, text: &str, range: Range) -> Option<Selector> {
    let selector = Selector::parse(text);
    if selector.is_none() {
        let hint = "begin with `/`, such as `/pool/max` or `/pools/*/max`";
        reader.error(
            range,
            "manifest/pointer",
            format!("no JSON pointer: `{text}`"),
            hint,
        );
    }
    selector
}

/// Keys that this kind of rule needs, and those that would have no effect on it.
fn check_keys(reader: &mut Reader<'_>, node: &Node, (kind, owner): (&str, (Range, &str))) {
    let needs_at = !matches!(kind, "require_together" | "expr" | "webhook");
    if needs_at && node.get("at").is_none() {
        reader.missing(owner, "at");
    }
    let is_transition = matches!(
        kind,
        "immutable" | "max_factor" | "max_delta" | "only_grow" | "expr"
    );
    let idle = [
        ("at", kind == "webhook"),
        ("scope", kind != "expr"),
        ("on_error", kind != "webhook"),
        ("on_create", !is_transition),
    ];
    for (key, _) in idle.into_iter().filter(|(_, is_idle)| *is_idle) {
        if let Some(member) = node.member(key) {
            let message = format!("`{key}` has no effect on a rule with `{kind}`");
            reader.error(member.key_range, "manifest/value", message, "remove it");
        }
    }
}

fn read_message(reader: &mut Reader<'_>, node: &Node) -> Option<Template> {
    let text = reader.string(node, "message")?;
    match Template::parse(&text.value) {
        Ok(template) => Some(template),
        Err(name) => {
            let message = format!("nothing gives this placeholder a value: `{{{name}}}`");
            reader.error(
                text.range,
                "manifest/unbound",
                message,
                suggest::hint(&name, template::NAMES),
            );
            None
        }
    }
}

fn read_check(reader: &mut Reader<'_>, node: &Node, (kind, scope): (&str, ScopeKind)) -> Option<Check> {
    match kind {
        "immutable" => reader.flag(node, kind).map(|()| Check::Immutable),
        "only_grow" => reader.flag(node, kind).map(|()| Check::OnlyGrow),
        "max_factor" => reader.number(node, kind, 1.0).map(Check::MaxFactor),
        "max_delta" => reader.number(node, kind, 0.0).map(Check::MaxDelta),
        "unique" => read_unique(reader, node.get(kind)?),
        "exists" => read_exists(reader, node.get(kind)?),
        "matches_path" => read_pattern(reader, node, (kind, Syntax::Text)).map(Check::MatchesPath),
        "require_together" => read_together(reader, node).map(Check::RequireTogether),
        "deny_path" => read_denied(reader, node.get(kind)?).map(Check::DenyPath),
        "webhook" => read_webhook(reader, node),
        _ => read_expression(reader, node, ("expr", scope)).map(|test| Check::Expr(test, scope)),
    }
}

fn read_unique(reader: &mut Reader<'_>, node: &Node) -> Option<Check> {
    reader.table(node, "`unique`", UNIQUE_KEYS);
    let across = reader.required_string(node, "across", (node.range, "`unique`"))?;
    reader.glob(&across, "*/prod").map(Check::Unique)
}

fn read_exists(reader: &mut Reader<'_>, node: &Node) -> Option<Check> {
    reader.table(node, "`exists`", EXISTS_KEYS);
    let file = read_pattern(reader, node, ("file", Syntax::Path));
    let config = read_pattern(reader, node, ("config", Syntax::Text));
    let key = read_pattern(reader, node, ("key", Syntax::Text));
    if let Some(key) = key.as_ref().filter(|key| !key.text().starts_with('/')) {
        selector(reader, key.text(), node.get("key")?.range);
    }
    let place = match (file, config) {
        (Some(file), None) => TargetPlace::File(file),
        (None, Some(config)) => TargetPlace::Config(config),
        (None, None) => TargetPlace::Document,
        (Some(_), Some(_)) => {
            let message = "`exists` names both a file and a config";
            reader.error(node.range, "manifest/value", message, "keep one");
            return None;
        }
    };
    let of_place = match &place {
        TargetPlace::File(pattern) | TargetPlace::Config(pattern) => Some(pattern),
        TargetPlace::Document => None,
    };
    let mut patterns = key.iter().chain(of_place);
    if !patterns.any(|pattern| pattern.placeholders().any(|name| name == VALUE)) {
        let message = "`exists` does not say where the value is in what must exist";
        reader.error(
            node.range,
            "manifest/value",
            message,
            "write `{value}` into it, such as `databases/{value}.toml`",
        );
    }
    Some(Check::Exists(Target { place, key }))
}

/// Placeholder of the value that a rule is about.
pub(crate) const VALUE: &str = "value";

/// Placeholder of the config's own name.
pub(crate) const CONFIG: &str = "config";

fn read_pattern(reader: &mut Reader<'_>, node: &Node, (key, syntax): (&str, Syntax)) -> Option<Pattern> {
    let text = reader.string(node, key)?;
    match Pattern::parse(&text.value, syntax) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            reader.error(text.range, "manifest/pattern", error.message, error.hint);
            None
        }
    }
}

fn read_together(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Selector>> {
    let texts = reader.strings(node, "require_together");
    let list = node.get("require_together")?;
    if matches!(list.value, Value::Arr(_)) && texts.len() < 2 {
        let hint = "list at least two, such as `[\"/tls/cert\", \"/tls/key\"]`";
        reader.error(
            list.range,
            "manifest/value",
            "`require_together` has fewer than two pointers",
            hint,
        );
    }
    for text in texts
        .iter()
        .filter(|text| text.value.split('/').any(|token| token == "*"))
    {
        let message = format!("`*` cannot stand here: `{}`", text.value);
        reader.error(
            text.range,
            "manifest/pointer",
            message,
            "put the part with `*` into `at`",
        );
    }
    texts
        .iter()
        .map(|text| selector(reader, &text.value, text.range))
        .collect()
}

fn read_denied(reader: &mut Reader<'_>, node: &Node) -> Option<DeniedIn> {
    if node.value == Value::Bool(true) {
        return Some(DeniedIn::Everywhere);
    }
    let texts = reader.words(node, "`deny_path`", "`true`, or globs of files")?;
    let globs: Option<Vec<Glob>> = texts
        .iter()
        .map(|text| reader.glob(text, "services/**"))
        .collect();
    globs.map(DeniedIn::Files)
}

/// What an expression is about.
fn read_scope(reader: &mut Reader<'_>, node: &Node, kind: &str) -> ScopeKind {
    let scopes = [("document", ScopeKind::Document), ("commit", ScopeKind::Commit)];
    let scope = if kind == "expr" {
        reader.choice(node, "scope", &scopes)
    } else {
        None
    };
    scope.unwrap_or(ScopeKind::Document)
}

fn read_expression(
    reader: &mut Reader<'_>,
    node: &Node,
    (key, scope): (&str, ScopeKind),
) -> Option<Expression> {
    let text = reader.string(node, key)?;
    match Expression::compile(&text.value, scope) {
        Ok(expression) => Some(expression),
        Err(mistakes) => {
            for mistake in mistakes {
                let range = reader.inside(&text, mistake.range);
                reader.error(range, "manifest/expression", mistake.message, mistake.hint);
            }
            None
        }
    }
}

fn read_webhook(reader: &mut Reader<'_>, node: &Node) -> Option<Check> {
    let name = reader.setting_name(node, "webhook")?;
    let answers = [("reject", OnError::Reject), ("warn", OnError::Warn)];
    let on_error = reader.choice(node, "on_error", &answers).unwrap_or_default();
    Some(Check::Webhook(WebhookRule { name, on_error }))
}
