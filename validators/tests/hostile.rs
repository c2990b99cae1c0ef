//! What an author could do to the judge, and that it ends.
//!
//! The inputs are so large that a judge which takes quadratic or exponential time for one does not end within the
//! patience of whoever runs the tests; how long it takes when it is linear is a benchmark's business.

use std::fmt::Write as _;
use std::sync::Arc;

use headwater_validators::{ConfigTree, ContentId, Context, Entry, File, Limits, Verdict, validate};

fn judged(files: &[(&str, String)]) -> Verdict {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let file = File {
            id: ContentId::new(*path),
            size: bytes.len() as u64,
            bytes: Some(bytes),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    validate(&tree, &Context::alone(&Limits::default()))
}

fn manifest(config: &str) -> (&'static str, String) {
    ("headwater.toml", format!("format = 1\n[[config]]\n{config}\n"))
}

#[test]
fn alternatives_that_double_at_each_level_yield_few_findings() {
    let branch = r##"{"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"]}"##;
    let schema = format!(
        r##"{{"$defs": {{"n": {{"type": "object", "anyOf": [{branch}, {branch}]}}}}, "$ref": "#/$defs/n"}}"##
    );
    let document = format!("{}2{}", r#"{"a":"#.repeat(10), "}".repeat(10));
    let config = "name = \"x\"\nlayers = [\"x.json\"]\nschema = \"x.schema.json\"";
    let verdict = judged(&[manifest(config), ("x.json", document), ("x.schema.json", schema)]);
    assert!(!verdict.is_valid());
    assert!(verdict.findings().len() <= Limits::default().findings + 1);
}

#[test]
fn bindings_that_multiply_are_refused_before_they_do() {
    let values: Vec<String> = (0..100).map(|value| format!("\"{value}\"")).collect();
    let bind: Vec<String> = (0..26)
        .map(|at| format!("v{at} = [{}]", values.join(",")))
        .collect();
    let name: String = (0..26).fold(String::new(), |mut name, at| {
        write!(name, "{{v{at}}}-").unwrap();
        name
    });
    let config = format!(
        "name = \"{name}x\"\nbind = {{ {} }}\nlayers = [\"a.toml\"]",
        bind.join(", ")
    );
    let verdict = judged(&[manifest(&config), ("a.toml", String::new())]);
    assert_eq!(verdict.findings()[0].code, "limit/documents");
}

#[test]
fn a_layer_that_repeats_another_in_one_long_line_is_judged_in_time() {
    let mut text = "{\"k\":0".to_owned();
    for key in 0..40_000 {
        write!(text, ",\"key{key}\":{key}").unwrap();
    }
    text.push('}');
    let config = "name = \"x\"\nlayers = [\"a.json\", \"b.json\"]";
    let verdict = judged(&[manifest(config), ("a.json", text.clone()), ("b.json", text)]);
    assert!(verdict.is_valid());
}

#[test]
fn thousands_of_missing_layers_are_counted_and_not_pondered() {
    let values: Vec<String> = (0..20_000).map(|value| format!("\"v{value:05}\"")).collect();
    let config = format!(
        "name = \"{{v}}\"\nbind = {{ v = [{}] }}\nlayers = [\"a/base.toml\", \"a/{{v}}.toml\"]",
        values.join(",")
    );
    let paths: Vec<String> = (0..3_000).map(|value| format!("a/w{value:05}.toml")).collect();
    let mut files = vec![manifest(&config), ("a/base.toml", String::new())];
    files.extend(paths.iter().map(|path| (path.as_str(), String::new())));
    let verdict = judged(&files);
    assert!(!verdict.is_valid());
    assert_eq!(verdict.findings().len(), Limits::default().findings + 1);
}

#[test]
fn a_pattern_of_thousands_of_wildcards_is_refused() {
    let config = format!("name = \"x\"\nlayers = [\"a/{}.toml\"]", "*x".repeat(50_000));
    let verdict = judged(&[manifest(&config), ("a/b.toml", String::new())]);
    assert_eq!(verdict.findings()[0].code, "manifest/pattern");
}
