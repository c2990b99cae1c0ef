//! The schema that editors get says the same of a manifest as the program that reads it, as far as a schema can.

#![expect(clippy::unwrap_used, reason = "a case that cannot be read is a failed test")]

use std::path::{Path, PathBuf};

use headwater_render::Format;
use headwater_validators::MANIFEST_SCHEMA;
use headwater_validators::catalogue;
use headwater_validators::document::{ParseOptions, parse};
use serde_json::Value;

/// Findings that a schema of the manifest alone can make too, whatever the case.
const SEEN: &[&str] = &["manifest/unknown-key", "manifest/format"];

/// Findings of which a schema can make some: those that the table of codes shows.
const SEEN_IN_EXAMPLES: &[&str] = &["manifest/missing-key", "manifest/type", "manifest/value"];

#[test]
fn a_manifest_that_is_read_without_a_finding_fits_the_schema() {
    let mut fitting = 0;
    for (case, manifest, told) in manifests() {
        let is_read =
            !told.contains("[manifest/") && !told.contains("[parse/") && !told.contains("headwater.toml:");
        if is_read {
            let errors = errors(&manifest);
            assert!(errors.is_empty(), "{case}: {errors:?}");
            fitting += 1;
        }
    }
    assert!(fitting > 20, "only {fitting} manifests are read");
}

#[test]
fn a_mistake_that_a_schema_can_see_does_not_fit() {
    let mut unfitting = 0;
    for (case, manifest, told) in manifests() {
        if SEEN.iter().any(|code| told.contains(&format!("error[{code}]"))) {
            assert!(!errors(&manifest).is_empty(), "{case}");
            unfitting += 1;
        }
    }
    assert!(unfitting >= 3, "only {unfitting} manifests are refused");
    for code in SEEN.iter().chain(SEEN_IN_EXAMPLES) {
        let files = catalogue::find(code).unwrap().example.files();
        let (_, text) = files.iter().find(|(path, _)| *path == "headwater.toml").unwrap();
        let root = parse(Format::Toml, text.as_bytes(), &ParseOptions::default()).unwrap();
        assert!(!errors(&root.to_json()).is_empty(), "{code}");
    }
}

#[test]
fn every_key_is_described() {
    let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).unwrap();
    let properties = schema.pointer("/properties").and_then(Value::as_object).unwrap();
    for (key, value) in properties {
        assert!(value.get("description").is_some(), "{key}");
    }
}

/// Name, manifest and expected findings of the cases whose manifest is a document, and of the sample repository.
fn manifests() -> Vec<(String, Value, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root.join("tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    let mut manifests = Vec::new();
    for case in cases {
        let told = std::fs::read_to_string(case.join("expected.txt")).unwrap();
        manifests.extend(manifest(&case.join("repo")).map(|value| (case.display().to_string(), value, told)));
    }
    let sample = manifest(&root.join("../sample-repo")).unwrap();
    manifests.push(("sample-repo".to_owned(), sample, String::new()));
    manifests
}

fn manifest(repo: &Path) -> Option<Value> {
    let bytes = std::fs::read(repo.join("headwater.toml")).ok()?;
    let root = parse(Format::Toml, &bytes, &ParseOptions::default()).ok()?;
    Some(root.to_json())
}

fn errors(manifest: &Value) -> Vec<String> {
    let schema = serde_json::from_str(MANIFEST_SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(manifest)
        .map(|error| error.to_string())
        .collect()
}
