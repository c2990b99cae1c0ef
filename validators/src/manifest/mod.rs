//! `headwater.toml`: which configs a repository holds and how they are made and judged.
//!
//! Invariant: a [`Manifest`] exists only if nothing at all was wrong with it; all mistakes are reported together. What
//! is deliberately absent: the tree. Which files there are is [`crate::judge`]'s business.

mod config;
pub(crate) mod ignore;
pub(crate) mod migrate;
pub(crate) mod model;
pub(crate) mod protect;
mod reader;
mod rollout;
pub(crate) mod rules;
pub(crate) mod schema;
pub(crate) mod secrets;

use headwater_wire::{Finding, Severity};

use crate::document::lines::LineIndex;
use crate::document::{MergeKeys, Node, ParseOptions, TomlVersion, Value, parse};
use crate::limits::Limits;
use crate::merge::Nulls;
use crate::schema::{Dialect, Formats, RegexEngine};
use headwater_render::Format;
use ignore::Ignore;
use model::{Defaults, Manifest, Spanned, Unmatched};
use reader::Reader;

/// Where the manifest is.
pub(crate) const PATH: &str = "headwater.toml";

/// The newest format this release reads.
const FORMAT: i64 = 1;

const KEYS: &[&str] = &[
    "format", "defaults", "limits", "config", "rule", "secrets", "rollout", "protect",
];

const DEFAULTS_KEYS: &[&str] = &[
    "unmatched",
    "ignore",
    "dialect",
    "regex",
    "formats",
    "yaml",
    "toml",
    "null",
];

const YAML_KEYS: &[&str] = &["merge_keys"];

const LIMITS_KEYS: &[&str] = &["file_bytes", "files", "depth", "findings"];

/// What is ignored unless the manifest says otherwise.
const IGNORE: &[&str] = &[".*/**", "docs/**", "**/*.md"];

/// Reads a manifest, or says everything that is wrong with it.
pub(crate) fn load(bytes: &[u8], server: &Limits) -> Result<Manifest, Vec<Finding>> {
    let options = ParseOptions {
        depth: server.depth as usize,
        ..ParseOptions::default()
    };
    let root = parse(Format::Toml, bytes, &options).map_err(|faults| {
        let index = LineIndex::new(bytes);
        faults
            .iter()
            .map(|fault| crate::collect::fault_finding(PATH, &index, fault))
            .collect::<Vec<_>>()
    })?;
    let mut reader = Reader::new(bytes);
    if !is_readable_format(&mut reader, &root) {
        return Err(reader.into_findings());
    }
    let manifest = read(&mut reader, &root, server);
    let findings = reader.into_findings();
    match manifest {
        Some(manifest) if !findings.iter().any(Finding::is_error) => Ok(Manifest {
            warnings: findings,
            ..manifest
        }),
        _ => Err(findings),
    }
}

fn read(reader: &mut Reader<'_>, root: &Node, server: &Limits) -> Option<Manifest> {
    reader.table(root, "the manifest", KEYS);
    let defaults = read_defaults(reader, root);
    let limits = read_limits(reader, root, server);
    let rollouts = rollout::read(reader, root);
    let secrets = secrets::read(reader, root);
    let mut rules = rules::read(reader, root);
    let protect = protect::read(reader, root);
    let names = Names {
        rollouts: names(root, "rollout"),
        rules: names(root, "rule"),
    };
    let configs = config::read(reader, root, &names);
    config::assign_rules(reader, &configs, &mut rules);
    Some(Manifest {
        defaults: defaults?,
        limits,
        configs,
        rollouts,
        rules,
        protect,
        warnings: Vec::new(),
        secrets,
    })
}

/// What a `[[config]]` can name.
struct Names<'a> {
    rollouts: Vec<&'a str>,
    rules: Vec<&'a str>,
}

/// The tables of a kind. One with a mistake has a name all the same: one mistake, one finding.
fn names<'a>(root: &'a Node, kind: &str) -> Vec<&'a str> {
    let members = root.get(kind).map(Node::members).unwrap_or_default();
    members.iter().map(|member| &*member.key).collect()
}

/// Nothing else is read from a manifest of another format: its words may mean something else.
fn is_readable_format(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(node) = root.get("format") else {
        let first = root
            .members()
            .first()
            .map_or(root.range, |member| member.key_range);
        reader.error(
            first,
            "manifest/missing-key",
            "the manifest has no `format`",
            "add `format = 1` as the first line",
        );
        return true;
    };
    match (&node.value, migrate::number(&node.value)) {
        (Value::Int(FORMAT), _) => {}
        (_, Some(format)) if format > FORMAT => {
            let message = format!("this server is too old for the manifest's format: `{format}`");
            let hint = format!("upgrade the server; this one reads format {FORMAT}");
            reader.error(node.range, "manifest/format", message, hint);
            return false;
        }
        (_, Some(FORMAT)) => {
            let message = "the manifest's format is not written as a whole number";
            reader.error(
                node.range,
                "manifest/format",
                message,
                format!("write `format = {FORMAT}`"),
            );
        }
        (_, _) => {
            let message = "the manifest's format is no format";
            reader.error(
                node.range,
                "manifest/format",
                message,
                format!("write `format = {FORMAT}`"),
            );
        }
    }
    true
}

fn read_defaults(reader: &mut Reader<'_>, root: &Node) -> Option<Defaults> {
    let empty = Node {
        range: root.range,
        value: Value::Obj(Vec::new()),
    };
    let table = root.get("defaults").unwrap_or(&empty);
    reader.table(table, "[defaults]", DEFAULTS_KEYS);
    let unmatched = [
        ("serve", Unmatched::Serve),
        ("warn", Unmatched::Warn),
        ("reject", Unmatched::Reject),
    ];
    let engines = [
        ("linear", RegexEngine::Linear),
        ("backtracking", RegexEngine::Backtracking),
    ];
    let formats = [("assert", Formats::Assert), ("annotate", Formats::Annotate)];
    let versions = [("1.0", TomlVersion::V1_0), ("1.1", TomlVersion::V1_1)];
    let nulls = [("delete", Nulls::Delete), ("keep", Nulls::Keep)];
    Some(Defaults {
        unmatched: reader
            .choice(table, "unmatched", &unmatched)
            .unwrap_or(Unmatched::Serve),
        ignore: read_ignore(reader, table)?,
        dialect: reader
            .choice(table, "dialect", Dialect::NAMES)
            .unwrap_or_default(),
        regex: reader.choice(table, "regex", &engines).unwrap_or_default(),
        formats: reader.choice(table, "formats", &formats).unwrap_or_default(),
        merge_keys: read_merge_keys(reader, table),
        toml: reader.choice(table, "toml", &versions).unwrap_or_default(),
        nulls: reader.choice(table, "null", &nulls).unwrap_or_default(),
    })
}

fn read_merge_keys(reader: &mut Reader<'_>, defaults: &Node) -> MergeKeys {
    let Some(yaml) = defaults.get("yaml") else {
        return MergeKeys::Refuse;
    };
    reader.table(yaml, "`yaml`", YAML_KEYS);
    match reader.boolean(yaml, "merge_keys") {
        Some(true) => MergeKeys::Expand,
        Some(false) | None => MergeKeys::Refuse,
    }
}

fn read_ignore(reader: &mut Reader<'_>, defaults: &Node) -> Option<Ignore> {
    let mut texts = reader.strings(defaults, "ignore");
    if defaults.get("ignore").is_none() {
        texts = IGNORE
            .iter()
            .map(|&glob| Spanned {
                value: glob.to_owned(),
                range: defaults.range,
            })
            .collect();
    }
    let globs = texts.iter().filter_map(|text| reader.glob(text, "docs/**"));
    Ignore::of(globs.collect())
}

/// A repository may ask for less than the server allows, never for more.
fn read_limits(reader: &mut Reader<'_>, root: &Node, server: &Limits) -> Limits {
    let mut limits = server.clone();
    let Some(table) = root.get("limits") else {
        return limits;
    };
    reader.table(table, "[limits]", LIMITS_KEYS);
    let mut lower = |key: &str, ceiling: u64| {
        let asked = reader.integer(table, key, 1..=i64::MAX)?;
        let value = u64::try_from(asked.value).unwrap_or(ceiling);
        if value > ceiling {
            let message = format!("`{key}` is above the server's limit of {ceiling}: `{value}`");
            reader.error(
                asked.range,
                "manifest/limit",
                message,
                format!("write {ceiling} or less"),
            );
        }
        Some(value.min(ceiling))
    };
    if let Some(value) = lower("file_bytes", server.file_bytes) {
        limits.file_bytes = value;
    }
    if let Some(value) = lower("files", server.files as u64) {
        limits.files = usize::try_from(value).unwrap_or(server.files);
    }
    if let Some(value) = lower("depth", u64::from(server.depth)) {
        limits.depth = u32::try_from(value).unwrap_or(server.depth);
    }
    if let Some(value) = lower("findings", server.findings as u64) {
        limits.findings = usize::try_from(value).unwrap_or(server.findings);
    }
    limits
}

/// Kept apart so that the default manifest of a repository without one says the same as an empty one.
impl Defaults {
    /// What holds where there is no manifest.
    pub(crate) fn without_manifest() -> Self {
        Self {
            unmatched: Unmatched::Serve,
            ignore: Ignore::default(),
            dialect: Dialect::default(),
            regex: RegexEngine::default(),
            formats: Formats::default(),
            merge_keys: MergeKeys::default(),
            toml: TomlVersion::default(),
            nulls: Nulls::default(),
        }
    }
}

/// A finding at the start of the manifest.
pub(crate) fn whole(code: &str, message: impl Into<String>) -> Finding {
    Finding::new(
        code,
        Severity::Error,
        (PATH, headwater_wire::Span::START),
        message,
    )
}
