//! The schemas of `SchemaStore`, which people wrote for files of all kinds: each is loaded, looked through and used, and
//! what becomes of them is counted, so that an upgrade of the schema crate which changes a count is seen.
//!
//! They are in `HEADWATER_SCHEMASTORE`, or where `.ci/schemastore` puts them. Without them the test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use headwater_validators::{ConfigTree, ContentId, Context, Entry, File, Limits, Verdict, report, validate};
use headwater_wire::Finding;

/// A config with one key that few schemas know, and the schema.
const MANIFEST: &str = "format = 1\n[defaults]\ndialect = \"draft-07\"\nregex = \"backtracking\"\nformats = \"annotate\"\n\
                        [[config]]\nname = \"x\"\nlayers = [\"x.toml\"]\nschema = \"s.schema.json\"\n";

/// Larger ones are left out, which take most of the time.
const BYTES_MAX: usize = 200_000;

/// How many schemas have a finding of each code about themselves; `used` are those that a document is checked by.
const EXPECTED: &[(&str, usize)] = &[
    ("lint/no-dialect", 4),
    ("lint/other-draft", 6),
    ("lint/ref-siblings", 36),
    ("lint/unknown-format", 3),
    ("lint/unknown-keyword", 43),
    // Pages of a server that says that there is no schema any more.
    ("parse/json", 7),
    // A whole number of more than 64 bits.
    ("parse/number", 1),
    // `http://json-schema-org/…`.
    ("schema/dialect", 1),
    // Twelve patterns that are none, or none without steps back; three references that are no addresses; four that put
    // something else where a schema or a number belongs.
    ("schema/invalid", 19),
    // References to the network, which are refused by design.
    ("schema/ref", 57),
    ("schemas", 562),
    // An example of an address.
    ("secret/url-password", 1),
    ("used", 476),
];

fn directory() -> Option<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemastore");
    let found = std::env::var_os("HEADWATER_SCHEMASTORE").map_or(near, PathBuf::from);
    if !found.is_dir() {
        let _said = writeln!(
            std::io::stderr(),
            "SKIPPED: the schemas of SchemaStore are not at {}; run .ci/schemastore",
            found.display()
        );
        return None;
    }
    Some(found)
}

fn tree(schema: &[u8]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    let files: [(&str, &[u8]); 3] = [
        ("headwater.toml", MANIFEST.as_bytes()),
        ("s.schema.json", schema),
        ("x.toml", b"headwater = 1\n"),
    ];
    for (path, bytes) in files {
        let file = File {
            id: ContentId::new(path),
            size: bytes.len() as u64,
            bytes: Some(bytes.into()),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

/// The codes of what is said of the schema itself, and not of the document.
fn codes(findings: &[Finding]) -> BTreeSet<String> {
    let own = findings.iter().filter(|finding| finding.path == "s.schema.json");
    own.map(|finding| finding.code.clone()).collect()
}

#[test]
fn the_schemas_of_the_world_are_loaded_and_looked_through() {
    let Some(directory) = directory() else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let schema = std::fs::read(&path).unwrap();
        if path.extension().is_none_or(|extension| extension != "json") || schema.len() > BYTES_MAX {
            continue;
        }
        let tree = tree(&schema);
        let verdict = validate(&tree, &Context::alone(&Limits::default()));
        // Whatever is said can be told, and a verdict that refuses says why.
        let text = report::text(
            verdict.findings(),
            report::Style::Plain,
            &report::Sources::of(&tree),
        );
        assert!(!text.is_empty());
        assert!(verdict.is_valid() || verdict.findings().iter().any(Finding::is_error));
        count("schemas");
        let codes = codes(verdict.findings());
        let is_used = match &verdict {
            Verdict::Valid(_) => true,
            Verdict::Invalid(_) => !verdict
                .findings()
                .iter()
                .any(|finding| finding.is_error() && finding.path == "s.schema.json"),
        };
        if is_used {
            count("used");
        }
        for code in &codes {
            count(code);
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(code, count)| (code.as_str(), *count))
        .collect();
    assert_eq!(counts, EXPECTED);
}
