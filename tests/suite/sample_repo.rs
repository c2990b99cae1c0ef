//! The sample repository: without findings, and with every config it promises.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_validators::{
    ConfigTree, ContentId, Context, Entry, File, Limits, ValidTree, Verdict, validate,
};
use serde_json::{Value, json};

use crate::command::headwater;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-repo");

/// All files below a directory, by path, without those of Git.
pub(crate) fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with(".git") {
                pending.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(root).expect("below").display().to_string();
                files.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

fn valid() -> ValidTree {
    let mut tree = ConfigTree::new();
    for (path, bytes) in files_below(Path::new(SAMPLE)) {
        let file = File {
            id: ContentId::new(path.as_str()),
            size: bytes.len() as u64,
            bytes: Some(Arc::from(bytes)),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    let limits = Limits::default();
    match validate(&tree, &Context::alone(&limits)) {
        Verdict::Valid(valid) => valid,
        Verdict::Invalid(rejection) => panic!("{:#?}", rejection.findings()),
    }
}

fn value(tree: &ValidTree, config: &str, labels: &[(&str, &str)], pointer: &str) -> Value {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let config = &tree.configs()[config];
    let document: Value = serde_json::from_str(config.select(&labels).canonical()).unwrap();
    document.pointer(pointer).cloned().unwrap_or(Value::Null)
}

#[test]
fn it_passes_the_check_without_a_finding() {
    assert_eq!(
        headwater(Path::new("/"), &["check", SAMPLE]),
        "exit 0\nno findings in 10 configs: the commit would be admitted\n"
    );
}

#[test]
fn every_service_has_a_config_in_every_environment() {
    let tree = valid();
    let mut expected: Vec<String> = vec!["feature-flags".to_owned()];
    for service in ["catalog", "payments", "web"] {
        expected.extend(["dev", "prod", "staging"].map(|environment| format!("{service}/{environment}")));
    }
    expected.sort();
    let names: Vec<String> = tree.configs().keys().map(ToString::to_string).collect();
    assert_eq!(names, expected);
    assert!(tree.findings().is_empty() && tree.has_manifest());
    for (name, config) in tree.configs() {
        let rollout = match name.as_str() {
            "feature-flags" => "together",
            name if name.ends_with("/prod") => "canary-first",
            _ => "at-once",
        };
        assert_eq!(config.rollout(), Some(rollout), "{name}");
    }
}

#[test]
fn each_layer_has_its_say() {
    let tree = valid();
    // Of the service alone, of the environment, of both, and of the canary instances.
    assert_eq!(value(&tree, "payments/staging", &[], "/pool/max"), json!(10));
    assert_eq!(value(&tree, "payments/prod", &[], "/log/level"), json!("warn"));
    assert_eq!(value(&tree, "payments/dev", &[], "/log/level"), json!("debug"));
    assert_eq!(value(&tree, "payments/prod", &[], "/pool/max"), json!(40));
    assert_eq!(value(&tree, "catalog/prod", &[], "/cache/size_mib"), json!(2048));
    assert_eq!(
        value(&tree, "web/staging", &[], "/tracing/sample_ratio"),
        json!(0.5)
    );
    assert_eq!(
        value(&tree, "payments/prod", &[], "/refunds/mode"),
        json!("batch")
    );
    assert_eq!(
        value(&tree, "payments/prod", &[("canary", "true")], "/refunds/mode"),
        json!("instant")
    );
    assert_eq!(
        value(&tree, "feature-flags", &[], "/flags/new-checkout/percent"),
        json!(25)
    );
}

#[test]
fn every_key_of_every_schema_says_what_it_means() {
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            if property["description"]
                .as_str()
                .is_none_or(|text| text.len() < 10)
            {
                found.push(at.clone());
            }
            undescribed(property, &at, found);
        }
        if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()) {
            undescribed(more, &format!("{at}/*"), found);
        }
    }
    for (path, bytes) in files_below(Path::new(SAMPLE))
        .iter()
        .filter(|(path, _)| path.starts_with("schemas/"))
    {
        let mut found = Vec::new();
        undescribed(&serde_json::from_slice(bytes).unwrap(), "", &mut found);
        assert_eq!(found, [""; 0], "{path}");
    }
}
