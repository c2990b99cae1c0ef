//! A secret that is easy to recognise is looked for in everything that a person is shown.
//!
//! What is deliberately absent: the documents that programs get. They hold what was committed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tree that cannot be made or judged is a failed test"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use headwater_validators::{
    ConfigTree, ContentId, Context, Effective, Entry, File, Limits, Mask, ValidTree, Verdict, diff, report,
    validate,
};

/// Stands at a secret path, as text and as a number.
const CANARY: &str = "canary-4f9a1c";
const CANARY_NUMBER: &str = "7340912266";

/// Has a known format; put together here, so that no scanner takes this file for a leak.
fn token() -> String {
    format!("gh{}_{}", 'p', "c4naryLmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0Z")
}

fn tree(files: &[(&str, String)]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let file = File {
            id: ContentId::new(format!("{path} {text}")),
            size: text.len() as u64,
            bytes: Some(text.as_bytes().into()),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

fn verdict(tree: &ConfigTree) -> Verdict {
    let (limits, exposed) = (Limits::default(), BTreeSet::new());
    validate(
        tree,
        &Context {
            exposed: &exposed,
            ..Context::alone(&limits)
        },
    )
}

fn valid(tree: &ConfigTree) -> ValidTree {
    match verdict(tree) {
        Verdict::Valid(valid) => valid,
        Verdict::Invalid(rejection) => panic!("rejected: {:?}", rejection.findings()),
    }
}

/// Everything that is said of a tree, and all of its files as they are shown.
fn said(tree: &ConfigTree) -> String {
    let verdict = verdict(tree);
    let sources = report::Sources::of(tree);
    let mut text = report::text(verdict.findings(), report::Style::Plain, &sources);
    text += &report::text(verdict.findings(), report::Style::Styled, &sources);
    text += &serde_json::to_string(&verdict.view()).unwrap();
    write!(text, "{verdict:?}").unwrap();
    text + &files(tree)
}

fn files(tree: &ConfigTree) -> String {
    let mask = Mask::of(tree);
    let mut text = String::new();
    for (path, entry) in tree.iter() {
        if let Entry::File(file) = entry {
            let bytes = file.bytes.as_deref().unwrap();
            let shown = mask.text(path.as_str(), bytes);
            text += std::str::from_utf8(&shown).unwrap();
            let characters = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().chars().count();
            assert_eq!(characters(&shown), characters(bytes), "places in {path} moved");
        }
    }
    text
}

fn assert_silent(text: &str) {
    for canary in [CANARY, CANARY_NUMBER, &token()] {
        assert!(!text.contains(canary), "`{canary}` is shown in:\n{text}");
    }
}

const MANIFEST: &str = r#"format = 1
[[config]]
name = "app"
layers = ["base.{toml,json,yaml}", "top.yaml?"]
schema = "app.schema.json?"
[secrets]
plaintext = "warn"
paths = ["/db/secret", "**/pin"]
"#;

/// Every keyword that quotes a value, and alternatives that quote it by a detour.
const SCHEMA: &str = r#"{
  "properties": {
    "db": {"properties": {
      "secret": {"type": "integer", "enum": ["x"], "const": "y", "pattern": "^z$", "maxLength": 1, "format": "ipv4",
        "not": {"type": "string"}, "anyOf": [{"const": 1}, {"minLength": 99}], "oneOf": [true, true]},
      "port": {"maximum": 1}}, "anyOf": [{"required": ["nothing"]}, {"properties": {"secret": {"const": 2}}}]},
    "pin": {"maximum": 1, "multipleOf": 3, "type": "string"},
    "token": {"enum": ["x"]},
    "list": {"uniqueItems": true, "contains": {"const": 1}, "items": {"type": "integer"}}
  },
  "additionalProperties": false,
  "propertyNames": {"maxLength": 5}
}"#;

fn documents() -> Vec<(&'static str, String)> {
    let token = token();
    vec![
        (
            "base.toml",
            format!(
                "pin = {CANARY_NUMBER} # {token}\nlist = [\"{token}\", \"{token}\"]\n\
            db = {{ secret = \"{CANARY}\", port = 2 }}\nother = 1\n\"{token}\" = \"x\"\n"
            ),
        ),
        (
            "base.json",
            format!(
                "{{\"pin\": {CANARY_NUMBER}, \"token\": \"{token}\", \"db\": {{\"secret\": \"{CANARY}\", \
            \"port\": 2}}, \"toolong\": [\"see {token}\"]}}"
            ),
        ),
        (
            "base.yaml",
            format!(
                "pin: {CANARY_NUMBER}\ntoken: |\n  see\n  {token}\ndb:\n  secret: >-\n    {CANARY}\n    \
            {CANARY}\n  port: 2\ndb.x: &a {token}\nlist: [*a, *a]\n"
            ),
        ),
    ]
}

#[test]
fn no_finding_line_or_message_shows_a_secret() {
    for (path, text) in documents() {
        let files = [
            ("headwater.toml", MANIFEST.to_owned()),
            ("app.schema.json", SCHEMA.to_owned()),
            (path, text),
            ("top.yaml", format!("db: {{secret: {CANARY}, port: 3}}\n")),
        ];
        let text = said(&tree(&files));
        for code in ["secret/path", "secret/token", "schema/maximum"] {
            assert!(text.contains(code), "{path} says nothing of {code}:\n{text}");
        }
        assert_silent(&text);
    }
}

#[test]
fn a_file_that_cannot_be_parsed_shows_no_secret_either() {
    let token = token();
    let broken = [
        (
            "base.toml",
            format!("pin = {CANARY_NUMBER}x\n[db]\nsecret = \"{CANARY}\nport = \"{token}\n"),
        ),
        (
            "base.json",
            format!("{{\"db\": {{\"secret\": \"{CANARY}\", \"x\": {token}, \"pin\": 0{CANARY_NUMBER}}}\n"),
        ),
        (
            "base.yaml",
            format!("db: {{secret: {CANARY}, pin: {CANARY_NUMBER}\n- \"{token}\n"),
        ),
        (
            "base.yaml",
            format!(
                "pin: {CANARY_NUMBER}\npin: {CANARY_NUMBER}\ndb: !x {{secret: {CANARY}, port: {token}}}\n"
            ),
        ),
    ];
    for (path, text) in broken {
        let text = said(&tree(&[("headwater.toml", MANIFEST.to_owned()), (path, text)]));
        assert!(text.contains("parse/"), "{path} was parsed:\n{text}");
        assert_silent(&text);
    }
}

#[test]
fn a_manifest_that_cannot_be_used_hides_what_it_says_is_secret() {
    let manifest = format!("{MANIFEST}unknown = \"{}\"\n", token());
    let text = said(&tree(&[
        ("headwater.toml", manifest),
        (
            "base.toml",
            format!("pin = {CANARY_NUMBER}\n[db]\nsecret = \"{CANARY}\"\n"),
        ),
    ]));
    assert!(text.contains("manifest/unknown-key"));
    assert_silent(&text);
}

/// The older manifest does not know of the path yet, so the value could be committed.
#[test]
fn differences_and_explanations_show_no_secret() {
    let old_manifest = MANIFEST.replace(r#"paths = ["/db/secret", "**/pin"]"#, r#"names = "off""#);
    let document = |secret: &str| {
        format!(
            "{{\"db\": {{\"secret\": {secret}, \"port\": 1, \"url\": \"{}\"}}}}",
            token()
        )
    };
    let old = valid(&tree(&[
        ("headwater.toml", old_manifest),
        (
            "base.json",
            document(&format!("[{{\"pin\": {CANARY_NUMBER}}}, \"{CANARY}\"]")),
        ),
    ]));
    let new = valid(&tree(&[
        ("headwater.toml", MANIFEST.to_owned()),
        (
            "base.json",
            document("\"vault:db/secret\"").replace("url", "address"),
        ),
    ]));
    let (old, new) = (base(&old), base(&new));
    for (old, new) in [
        (Some(&old), Some(&new)),
        (Some(&new), Some(&old)),
        (Some(&new), None),
        (None, Some(&new)),
    ] {
        let changes = serde_json::to_string(&diff(old, new)).unwrap();
        assert!(
            changes.contains("vault:db/secret"),
            "a reference is no secret: {changes}"
        );
        assert_silent(&changes);
    }
    let explained = serde_json::to_string(&new.explain(None)).unwrap();
    assert_silent(&explained);
    assert!(explained.contains("••••••"), "{explained}");
    assert!(
        new.document().to_string().contains(&token()),
        "a program gets what was committed"
    );
}

fn base(tree: &ValidTree) -> Effective {
    tree.configs().values().next().unwrap().base().clone()
}
