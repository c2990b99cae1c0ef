//! The official test suite of JSON Schema, through the same door as a repository's schemas.
//!
//! The counts are part of the test: an upgrade that changes one is to be seen. Documents and schemas go through the
//! spanned tree first, so a number that no config may hold (beyond `i64`) is counted apart and not judged.

#[path = "../../tests/support/suites.rs"]
mod suites;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_wire::RepoPath;
use serde_json::Value;

use super::compile::Compiled;
use super::seen::Seen;
use super::store::Store;
use super::{Dialect, Formats, RegexEngine, SchemaOptions};
use crate::document::{ParseOptions, parse};
use crate::source::Source;
use headwater_render::Format;

/// Base of the addresses under which the suite's remote schemas are referred to.
const REMOTES: &str = "http://localhost:1234/";

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    /// The schema itself was refused.
    refused: usize,
    /// Not representable in a config, schema or document.
    unportable: usize,
    /// File and group of what did not pass.
    named: BTreeSet<String>,
}

/// With both engines: the suite has no pattern that the linear one cannot match.
#[test]
fn the_official_suite_passes_for_every_draft() {
    let Some(root) = suites::find("json-schema-test-suite") else {
        return;
    };
    for regex in [RegexEngine::Linear, RegexEngine::Backtracking] {
        let (counts, named) = all_drafts(&root, regex);
        insta::allow_duplicates! {
            insta::assert_snapshot!(counts, @r"
            draft4 | mandatory: 618 passed | optional: 99 passed, 1 unportable | format: 212 passed, 7 refused
            draft6 | mandatory: 839 passed | optional: 105 passed, 1 unportable | format: 318 passed, 7 refused
            draft7 | mandatory: 927 passed | optional: 117 passed, 1 unportable | format: 669 passed, 7 refused
            draft2019-09 | mandatory: 1259 passed | optional: 157 passed, 1 unportable | format: 750 passed, 7 refused
            draft2020-12 | mandatory: 1299 passed | optional: 161 passed, 1 unportable | format: 757 passed, 7 refused
            ");
            // An integer beyond 64 bits is refused in every format of a config, and an unknown format is a mistake of
            // the schema that names it. There is no other exception.
            insta::assert_snapshot!(named, @r"
            bignum.json: maximum integer comparison
            unknown.json: unknown format: the schema is invalid: no such format: `unknown`
            ");
        }
    }
}

/// One line of counts for each draft, and what did not pass in any.
fn all_drafts(root: &Path, regex: RegexEngine) -> (String, String) {
    let store = remotes(&root.join("remotes"));
    let drafts = [
        ("draft4", Dialect::Draft4),
        ("draft6", Dialect::Draft6),
        ("draft7", Dialect::Draft7),
        ("draft2019-09", Dialect::Draft201909),
        ("draft2020-12", Dialect::Draft202012),
    ];
    let mut named = BTreeSet::new();
    let lines = drafts.map(|(folder, dialect)| {
        let tests = root.join("tests").join(folder);
        said(&tests, (dialect, regex), (&store, &mut named))
    });
    (lines.join("\n"), named.into_iter().collect::<Vec<_>>().join("\n"))
}

/// One line for a draft.
fn said(
    tests: &Path,
    (dialect, regex): (Dialect, RegexEngine),
    (store, named): (&Arc<Store>, &mut BTreeSet<String>),
) -> String {
    let parts = [
        ("mandatory", tests.to_owned(), Formats::Annotate),
        ("optional", tests.join("optional"), Formats::Assert),
        ("format", tests.join("optional/format"), Formats::Assert),
    ];
    let part = |(name, folder, formats): (&str, PathBuf, Formats)| {
        let options = SchemaOptions {
            dialect,
            regex,
            formats,
        };
        let counts = run(&folder, store, options);
        let others = [
            ("failed", counts.failed),
            ("refused", counts.refused),
            ("unportable", counts.unportable),
        ];
        let others = others
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!(", {count} {word}"));
        let line = format!("{name}: {} passed{}", counts.passed, others.collect::<String>());
        named.extend(counts.named);
        line
    };
    let draft = tests.file_name().and_then(|name| name.to_str()).unwrap();
    format!("{draft} | {}", parts.map(part).join(" | "))
}

fn run(folder: &Path, store: &Arc<Store>, options: SchemaOptions) -> Counts {
    let mut counts = Counts::default();
    for file in json_files(folder) {
        let groups: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for group in groups.as_array().unwrap() {
            run_group(&file, group, store, (options, &mut counts));
        }
    }
    counts
}

fn run_group(
    file: &Path,
    group: &Value,
    store: &Arc<Store>,
    (options, counts): (SchemaOptions, &mut Counts),
) {
    let tests = group["tests"].as_array().unwrap();
    let file = file.file_name().and_then(|name| name.to_str()).unwrap();
    let name = format!("{file}: {}", group["description"].as_str().unwrap());
    let Some(source) = source(&group["schema"]) else {
        counts.unportable += tests.len();
        counts.named.insert(name);
        return;
    };
    let compiled = Compiled::new(&source, store, options);
    for test in tests {
        let Some(document) = portable(&test["data"]) else {
            counts.unportable += 1;
            counts.named.insert(name.clone());
            continue;
        };
        let is_valid = compiled
            .as_ref()
            .map(|compiled| compiled.check(&Seen::plain(&document), 100).is_empty());
        match is_valid {
            Ok(is_valid) if test["valid"] == is_valid => counts.passed += 1,
            Ok(_) => {
                counts.failed += 1;
                counts
                    .named
                    .insert(format!("{name}: failed: {}", test["description"]));
            }
            Err(finding) => {
                counts.refused += 1;
                counts.named.insert(format!("{name}: {}", finding.message));
            }
        }
    }
}

fn source(schema: &Value) -> Option<Source> {
    let text = schema.to_string();
    let root = parse(Format::Json, text.as_bytes(), &ParseOptions::default()).ok()?;
    Some(Source {
        path: "schema.json".parse().unwrap(),
        bytes: text.into_bytes().into(),
        root,
        is_sops: false,
    })
}

fn portable(value: &Value) -> Option<Value> {
    parse(
        Format::Json,
        value.to_string().as_bytes(),
        &ParseOptions::default(),
    )
    .ok()
    .map(|root| root.to_json())
}

fn remotes(root: &Path) -> Arc<Store> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .parse::<RepoPath>()
                    .unwrap();
                files.insert(name, std::fs::read(&path).unwrap().into());
            }
        }
    }
    Arc::new(Store::addressed(REMOTES, files))
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}
