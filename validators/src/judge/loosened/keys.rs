//! Each key of a manifest, and what an edit of it does to the guards: the one table in which that is decided.
//!
//! Invariant: a key that the manifest's schema has and this table has not is a failed test, so that nobody adds one
//! without asking whether it can let something through.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::loosened;
use crate::library::Library;
use crate::limits::Limits;
use crate::lineage::Lineage;
use crate::manifest::schema::MANIFEST_SCHEMA;
use crate::plan::Plan;
use crate::tree::{ConfigTree, ContentId, Entry, File};

/// What it is to go from the first manifest of a row to the second, and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It loosens a guard; the way back tightens it.
    Loosens,
    /// Nobody knows which of the two is stricter, so either way loosens.
    Edits,
    /// It is no guard. Whatever it lets documents say, rules, schemas and secrets are held against them.
    Neutral,
}

use Weight::{Edits, Loosens, Neutral};

/// A key, what an edit of it is, and the same manifest before and after one.
type Row = (&'static str, Weight, String, String);

#[test]
fn every_key_is_in_the_table() {
    let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).unwrap();
    let mut keys = BTreeSet::new();
    walk(&schema, &schema, "", &mut keys);
    let listed: BTreeSet<String> = table().into_iter().map(|(key, ..)| key.to_owned()).collect();
    let differ: Vec<&String> = keys.symmetric_difference(&listed).collect();
    assert!(
        differ.is_empty(),
        "decide whether an edit loosens a guard: {differ:?}"
    );
}

#[test]
fn an_edit_of_each_key_is_what_the_table_says() {
    let mut wrong = Vec::new();
    for (key, weight, one, other) in table() {
        let expected = match weight {
            Loosens => (Ok(true), Ok(false)),
            Edits => (Ok(true), Ok(true)),
            Neutral => (Ok(false), Ok(false)),
        };
        let ways = (is_loosened(&one, &other), is_loosened(&other, &one));
        if ways != expected {
            wrong.push(format!(
                "{key}: {weight:?}, and not {ways:?}:\n{one}\n->\n{other}"
            ));
        }
        assert_ne!(is_loosened(&one, &one), Ok(true), "{key}: nothing is edited");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Each row of it is a line, whatever its width.
fn table() -> Vec<Row> {
    let mut rows = of_the_tree();
    rows.extend(of_configs());
    rows.extend(of_rules());
    rows.extend(of_rollouts());
    rows
}

/// Two manifests that differ in some lines of a template.
fn row(key: &'static str, weight: Weight, template: impl Fn(&str) -> String, edit: (&str, &str)) -> Row {
    (key, weight, template(edit.0), template(edit.1))
}

#[rustfmt::skip]
fn of_the_tree() -> Vec<Row> {
    let defaults = |says: &str| config(&format!("[defaults]\n{says}\n"), "");
    let limits = |says: &str| config(&format!("[limits]\n{says}\n"), "");
    let secrets = |says: &str| config(&format!("[secrets]\n{says}\n"), "");
    let protect = |says: &str| config(&format!("[protect]\n{says}\n"), "");
    let plain = |says: &str| config(says, "");
    let allow = |says: &str| secrets(&format!("allow = [{says}]"));
    let one = r#"{ at = "/a", reason = "public" }"#;
    vec![
        // There is one format.
        row("format", Neutral, plain, ("", "")),
        row("defaults", Loosens, plain, ("[defaults]\nunmatched = \"warn\"\n", "")),
        row("defaults.unmatched", Loosens, defaults, ("unmatched = \"warn\"", "unmatched = \"serve\"")),
        row("defaults.ignore", Loosens, defaults, ("ignore = []", "ignore = [\"docs/**\"]")),
        row("defaults.dialect", Edits, defaults, ("dialect = \"draft-07\"", "dialect = \"2019-09\"")),
        row("defaults.regex", Edits, defaults, ("", "regex = \"backtracking\"")),
        row("defaults.formats", Loosens, defaults, ("", "formats = \"annotate\"")),
        row("defaults.yaml", Neutral, defaults, ("", "yaml = { merge_keys = true }")),
        row("defaults.yaml.merge_keys", Neutral, defaults, ("yaml.merge_keys = false", "yaml.merge_keys = true")),
        row("defaults.toml", Neutral, defaults, ("toml = \"1.0\"", "toml = \"1.1\"")),
        row("defaults.null", Neutral, defaults, ("", "null = \"keep\"")),
        // The server's limits stay, whatever a manifest takes back of its own.
        row("limits", Neutral, plain, ("[limits]\nfiles = 10\n", "")),
        row("limits.file_bytes", Neutral, limits, ("file_bytes = 1000", "file_bytes = 2000")),
        row("limits.files", Neutral, limits, ("files = 10", "files = 20")),
        row("limits.depth", Neutral, limits, ("depth = 10", "depth = 20")),
        row("limits.findings", Neutral, limits, ("findings = 10", "findings = 20")),
        row("secrets", Loosens, plain, ("[secrets]\nnames = \"reject\"\n", "")),
        row("secrets.plaintext", Loosens, secrets, ("", "plaintext = \"warn\"")),
        row("secrets.names", Loosens, secrets, ("", "names = \"off\"")),
        row("secrets.paths", Loosens, secrets, ("paths = [\"/a\"]", "paths = []")),
        row("secrets.allow", Loosens, allow, ("", one)),
        row("secrets.allow.at", Edits, allow, (one, r#"{ at = "/b", reason = "public" }"#)),
        row("secrets.allow.reason", Neutral, allow, (one, r#"{ at = "/a", reason = "a sample" }"#)),
        row("secrets.refs", Loosens, secrets, ("refs = [\"env:\"]", "refs = [\"env:\", \"my:\"]")),
        row("protect", Loosens, plain, ("[protect]\nmanifest_changes = \"alone\"\n", "")),
        row("protect.manifest_changes", Loosens, protect, ("manifest_changes = \"alone\"", "manifest_changes = \"mixed\"")),
        row("protect.schema_changes", Loosens, protect, ("schema_changes = \"alone\"", "schema_changes = \"mixed\"")),
    ]
}

#[rustfmt::skip]
fn of_configs() -> Vec<Row> {
    let says = |says: &str| config("", says);
    let variant = |says: &str| config("", &format!("[[config.variant]]\n{says}\n"));
    let entry = |says: &str| format!("{says}owners = [\"@a\"]\n");
    let more = "[[config]]\nname = \"more\"\nlayers = [\"more.toml\"]\nschema = \"schemas/a.json\"\n";
    let named = "[[config]]\nname = \"app\"\nlayers = [\"app/base.toml\"]\n";
    let other_layer = "[[config]]\nname = \"app\"\nlayers = [\"app/base.toml\", \"more.toml\"]\n";
    let bound = "[[config]]\nname = \"{x}\"\nbind = { x = [\"a\", \"b\"] }\nlayers = [\"app/base.toml\"]\n";
    let eu = "name = \"eu\"\nwhen = { region = \"eu\" }\nlayers = [\"region.toml?\"]";
    let ruled = |says: &str| format!("{}[rule.r]\nat = \"/a\"\nimmutable = true\n", config("", says));
    let rolled = |says: &str| format!("{}[rollout.r]\nkind = \"two-phase\"\n", config("", says));
    vec![
        // All of its files are there, and no guard is.
        row("config", Loosens, entry, (&format!("{more}{named}"), named)),
        // It goes on under another name, but whoever names it in a rule or asks for it does not know.
        row("config.name", Edits, entry, (named, &named.replace("\"app\"", "\"web\""))),
        row("config.bind", Loosens, entry, (bound, &bound.replace(", \"b\"", ""))),
        row("config.layers", Neutral, entry, (named, other_layer)),
        row("config.schema", Loosens, says, ("schema = \"schemas/a.json\"", "")),
        row("config.rules", Loosens, ruled, ("rules = [\"r\"]", "")),
        row("config.owners", Edits, says, ("owners = [\"@a\"]", "owners = [\"@b\"]")),
        row("config.rollout", Loosens, rolled, ("rollout = \"r\"", "")),
        row("config.deny_unknown_layers", Loosens, says, ("deny_unknown_layers = true", "")),
        row("config.variant", Neutral, says, ("", &format!("[[config.variant]]\n{eu}"))),
        row("config.variant.name", Neutral, variant, (eu, &eu.replace("name = \"eu\"", "name = \"us\""))),
        row("config.variant.when", Neutral, variant, (eu, &eu.replace("{ region", "{ zone"))),
        row("config.variant.layers", Neutral, variant, (eu, &eu.replace("region.toml?", "more.toml"))),
    ]
}

#[rustfmt::skip]
fn of_rules() -> Vec<Row> {
    let rule = |says: &str| format!("{}[rule.r]\n{says}\n", config("", "rules = [\"r\"]"));
    let at = |says: &str| rule(&format!("at = \"/a\"\n{says}"));
    let grows = |says: &str| at(&format!("only_grow = true\n{says}"));
    let unnamed = |says: &str| format!("{}[rule.r]\nexpr = \"true\"\n{says}\n", config("", ""));
    let asked = |says: &str| rule(&format!("webhook = \"w\"\n{says}"));
    let key = |says: &str| at(&format!("exists = {{ file = \"{{value}}.toml\"{says} }}"));
    vec![
        row("rule", Loosens, at, ("immutable = true\n[rule.s]\nat = \"/b\"\nimmutable = true", "immutable = true")),
        row("rule.at", Edits, rule, ("at = \"/a\"\nimmutable = true", "at = \"/b\"\nimmutable = true")),
        row("rule.immutable", Edits, at, ("immutable = true", "only_grow = true")),
        row("rule.max_factor", Loosens, at, ("max_factor = 2", "max_factor = 3")),
        row("rule.max_delta", Loosens, at, ("max_delta = 2", "max_delta = 3")),
        row("rule.only_grow", Edits, at, ("only_grow = true", "max_delta = 1")),
        row("rule.unique", Edits, at, ("unique = { across = \"*\" }", "immutable = true")),
        row("rule.unique.across", Edits, at, ("unique = { across = \"*\" }", "unique = { across = \"a/*\" }")),
        row("rule.exists", Edits, at, ("exists = { file = \"{value}.toml\" }", "immutable = true")),
        row("rule.exists.file", Edits, at, ("exists = { file = \"{value}.toml\" }", "exists = { file = \"a/{value}.toml\" }")),
        row("rule.exists.config", Edits, at, ("exists = { config = \"{value}\" }", "exists = { config = \"a/{value}\" }")),
        row("rule.exists.key", Edits, key, ("", ", key = \"/a\"")),
        row("rule.matches_path", Edits, at, ("matches_path = \"a\"", "matches_path = \"b\"")),
        row("rule.require_together", Edits, rule, ("require_together = [\"/a\", \"/b\"]", "require_together = [\"/a\", \"/c\"]")),
        row("rule.deny_path", Edits, at, ("deny_path = \"a/**\"", "deny_path = \"b/**\"")),
        row("rule.expr", Edits, rule, ("expr = \"new.a == 1\"", "expr = \"new.a == 2\"")),
        row("rule.webhook", Edits, rule, ("webhook = \"w\"", "webhook = \"v\"")),
        row("rule.when", Edits, grows, ("", "when = \"new.a == 1\"")),
        row("rule.scope", Edits, unnamed, ("", "scope = \"commit\"")),
        row("rule.severity", Loosens, grows, ("", "severity = \"warning\"")),
        row("rule.message", Neutral, grows, ("", "message = \"no\"")),
        row("rule.hint", Neutral, grows, ("", "hint = \"do\"")),
        row("rule.override", Loosens, grows, ("", "override = \"trailer\"")),
        row("rule.on_create", Loosens, grows, ("on_create = \"check\"", "")),
        row("rule.on_error", Loosens, asked, ("on_error = \"reject\"", "on_error = \"warn\"")),
    ]
}

#[rustfmt::skip]
fn of_rollouts() -> Vec<Row> {
    let policy = |says: &str| format!("{}[rollout.r]\n{says}\n", config("", "rollout = \"r\""));
    let staged = |says: &str| {
        policy(&format!(
            "kind = \"staged\"\nstages = [{{ percent = 10 }}]\n{says}"
        ))
    };
    let both = |says: &str| policy(&format!("kind = \"two-phase\"\n{says}"));
    let stage = |says: &str| policy(&format!("kind = \"staged\"\nstages = [{{ {says} }}]"));
    let signal = |says: &str| staged(&format!("[[rollout.r.signals]]\n{says}"));
    let asked = |says: &str| signal(&format!("name = \"s\"\nwebhook = \"w\"\n{says}"));
    let query = |says: &str| {
        let plain = r#"server = "s", query = "q", pass_if = "< 1""#;
        let (old, new) = says.split_once('>').unwrap_or(("", ""));
        signal(&format!(
            "name = \"s\"\nprometheus = {{ {} }}",
            plain.replace(old.trim(), new.trim())
        ))
    };
    let freeze = |says: &str| staged(&format!("[[rollout.r.freeze]]\n{says}"));
    let friday = "from = \"fri 16:00\"\nuntil = \"mon 08:00\"";
    vec![
        row("rollout", Loosens, |says| format!("{}{says}", config("", "")), ("[rollout.r]\nkind = \"two-phase\"", "[rollout.r]\nkind = \"immediate\"")),
        row("rollout.kind", Loosens, policy, ("kind = \"two-phase\"", "kind = \"immediate\"")),
        row("rollout.stages", Loosens, both, ("stages = [{ percent = 1 }, { percent = 10 }]", "stages = [{ percent = 10 }]")),
        row("rollout.stages.labels", Edits, stage, ("labels = { a = \"b\" }", "labels = { a = \"*\" }")),
        row("rollout.stages.percent", Loosens, stage, ("percent = 10", "percent = 20")),
        row("rollout.stages.count", Loosens, stage, ("count = 1", "count = 2")),
        row("rollout.stages.bake", Loosens, stage, ("percent = 10, bake = \"10m\"", "percent = 10, bake = \"5m\"")),
        row("rollout.stages.approval", Loosens, stage, ("percent = 10, approval = true", "percent = 10")),
        row("rollout.quorum", Loosens, both, ("quorum = \"all\"", "quorum = \"80%\"")),
        row("rollout.deadlines", Loosens, both, ("", "deadlines = { expose = \"1h\" }")),
        row("rollout.deadlines.prepare", Loosens, both, ("", "deadlines = { prepare = \"1h\" }")),
        row("rollout.deadlines.expose", Loosens, both, ("deadlines = { expose = \"20m\" }", "deadlines = { expose = \"1h\" }")),
        row("rollout.deadlines.roll_back", Loosens, both, ("", "deadlines = { roll_back = \"1h\" }")),
        row("rollout.abort", Loosens, staged, ("", "abort = { failed = 5 }")),
        row("rollout.abort.failed", Loosens, staged, ("abort = { failed = 2 }", "abort = { failed = 5 }")),
        row("rollout.abort.unknown_after", Loosens, staged, ("abort = { unknown_after = \"10m\" }", "")),
        row("rollout.abort.restarts", Loosens, staged, ("", "abort = { restarts = 5 }")),
        row("rollout.on_halt", Loosens, staged, ("", "on_halt = \"stay\"")),
        row("rollout.on_halt.roll_back_after", Loosens, staged, ("", "on_halt = { roll_back_after = \"1h\" }")),
        row("rollout.sample_min", Loosens, staged, ("sample_min = 5", "sample_min = 4")),
        row("rollout.known", Loosens, staged, ("", "known = \"at-once\"")),
        row("rollout.freeze", Loosens, staged, (&format!("[[rollout.r.freeze]]\n{friday}"), "")),
        row("rollout.freeze.from", Loosens, freeze, (friday, &friday.replace("16:00", "17:00"))),
        row("rollout.freeze.until", Loosens, freeze, (friday, &friday.replace("08:00", "07:00"))),
        row("rollout.signals", Loosens, staged, ("[[rollout.r.signals]]\nname = \"s\"\nwebhook = \"w\"", "")),
        row("rollout.signals.name", Edits, signal, ("name = \"s\"\nwebhook = \"w\"", "name = \"t\"\nwebhook = \"w\"")),
        row("rollout.signals.prometheus", Edits, signal, ("name = \"s\"\nprometheus = { server = \"s\", query = \"q\", pass_if = \"< 1\" }", "name = \"s\"\nwebhook = \"s\"")),
        row("rollout.signals.prometheus.server", Edits, query, ("", "\"s\" > \"t\"")),
        row("rollout.signals.prometheus.query", Edits, query, ("", "\"q\" > \"r\"")),
        row("rollout.signals.prometheus.pass_if", Edits, query, ("", "< 1 > < 2")),
        row("rollout.signals.webhook", Edits, signal, ("name = \"s\"\nwebhook = \"w\"", "name = \"s\"\nwebhook = \"v\"")),
        row("rollout.signals.passes_min", Loosens, asked, ("", "passes_min = 1")),
        row("rollout.signals.unclear_max", Loosens, asked, ("", "unclear_max = 9")),
        row("rollout.signals.interval", Edits, asked, ("", "interval = \"1m\"")),
    ]
}

/// A manifest with one config, and what stands before and in it.
fn config(before: &str, says: &str) -> String {
    format!("{before}[[config]]\nname = \"app\"\nlayers = [\"app/base.toml\"]\n{says}\n")
}

/// Whether any guard is; what is wrong with a manifest that cannot be used.
fn is_loosened(one: &str, other: &str) -> Result<bool, String> {
    let (before, after) = (tree(one), tree(other));
    let (old, new) = (plan(&before)?, plan(&after)?);
    let (mut old_files, mut new_files) = (Library::new(&before, &old), Library::new(&after, &new));
    let lineage = Lineage::trace((&old, &mut old_files), (&new, &mut new_files));
    Ok(!loosened((&old, &new), &lineage, &after).is_empty())
}

fn plan(tree: &ConfigTree) -> Result<Arc<Plan>, String> {
    let plan = Plan::of(tree, &Limits::default());
    let wrong = plan.findings.iter().find(|finding| finding.is_error());
    wrong.map_or_else(
        || Ok(Arc::new(plan.clone())),
        |finding| Err(finding.message.clone()),
    )
}

fn tree(manifest: &str) -> ConfigTree {
    let mut tree = ConfigTree::new();
    let files = [
        ("headwater.toml", format!("format = 1\n{manifest}")),
        ("app/base.toml", "a = 1\n".to_owned()),
        ("more.toml", "b = 1\n".to_owned()),
        ("schemas/a.json", "{}".to_owned()),
    ];
    for (path, text) in files {
        let file = File {
            id: ContentId::new(text.clone()),
            size: text.len() as u64,
            bytes: Some(text.into_bytes().into()),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

/// The keys of a schema, with dots between them.
fn walk(root: &Value, node: &Value, place: &str, keys: &mut BTreeSet<String>) {
    if !node.is_object() {
        return;
    }
    if let Some(reference) = node["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return walk(root, root.pointer(pointer).unwrap(), place, keys);
    }
    for (key, value) in node["properties"].as_object().into_iter().flatten() {
        let key = if place.is_empty() {
            key.clone()
        } else {
            format!("{place}.{key}")
        };
        walk(root, value, &key, keys);
        keys.insert(key);
    }
    let alternatives = ["oneOf", "anyOf", "allOf"]
        .iter()
        .filter_map(|word| node[*word].as_array());
    let below = ["items", "additionalProperties"].iter().map(|word| &node[*word]);
    for value in alternatives.flatten().chain(below) {
        walk(root, value, place, keys);
    }
}
