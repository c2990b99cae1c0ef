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
    verdict_after(None, tree)
}

fn verdict_after(before: Option<&ConfigTree>, tree: &ConfigTree) -> Verdict {
    let (limits, exposed) = (Limits::default(), BTreeSet::new());
    validate(
        tree,
        &Context {
            exposed: &exposed,
            before,
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
    said_after(None, tree)
}

fn said_after(before: Option<&ConfigTree>, tree: &ConfigTree) -> String {
    let verdict = verdict_after(before, tree);
    let sources = report::Sources::of(tree).hiding(verdict.findings());
    let mut text = report::text(verdict.findings(), report::Style::Plain, &sources);
    text += &report::text(verdict.findings(), report::Style::Styled, &sources);
    text += &report::sarif::log(verdict.findings());
    text += &report::github::commands(verdict.findings());
    text += &report::junit::suites(verdict.findings());
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
fn a_secret_in_the_name_of_a_file_or_of_a_key_is_told_of_and_not_shown() {
    let path = format!("keys/{}.toml", token());
    for manifest in ["format = 1\n", "format = 1\n[secrets]\nplaintext = \"warn\"\n"] {
        let files = [
            ("headwater.toml", manifest.to_owned()),
            (path.as_str(), format!("\"{}\" = \"x\"\n[broken\n", token())),
            ("key.toml", format!("[a]\n\"{}\" = 1\n", token())),
        ];
        let text = said(&tree(&files));
        assert!(text.contains("in the name of a file"), "{text}");
        assert!(
            text.contains("parse/") && text.contains("keys/••••••.toml"),
            "{text}"
        );
        assert_silent(&text);
    }
    let both = tree(&[
        (path.as_str(), "a = 1\n".to_owned()),
        ("keys/x.toml", "a = 1\n".to_owned()),
    ]);
    let text = said_after(Some(&tree(&[])), &both);
    assert!(text.contains("secret/token"), "{text}");
    assert_silent(&text);
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

/// What stands before and behind a value in the sentence of a rule is glued to it.
const RULES: &str = r#"format = 1
[[config]]
name = "app"
layers = ["app.json"]
rules = ["file", "file-key", "config", "config-key", "key", "path", "deny", "same", "step", "grow", "few", "key-of", "int", "at"]
[[config]]
name = "x/{n}"
layers = ["x/{n}.json"]
[rule.file]
at = "/values/*"
exists = { file = "databases/x{value}.toml" }
[rule.file-key]
at = "/values/*"
exists = { file = "x/any.json", key = "/_{value}x" }
[rule.config]
at = "/values/*"
exists = { config = "/x{value}y" }
[rule.config-key]
at = "/values/*"
exists = { config = "x/{value}", key = "/none" }
[rule.key]
at = "/values/*"
exists = { key = "/of_{value}" }
[rule.path]
at = "/values/*"
matches_path = "x{config}/GLUEDy"
[rule.deny]
at = "/values/*"
deny_path = true
message = "a{new}b{value}c{pointer}d"
[rule.same]
at = "/values/*"
immutable = true
message = "a{old}b{new}c"
[rule.step]
at = "/values/*"
max_factor = 2
[rule.grow]
at = "/values"
only_grow = true
[rule.few]
at = "/values/list"
only_grow = true
[rule.key-of]
expr = "new.values.map(key, new.by[string(new.values[key])] > 1).size() > 0"
[rule.int]
expr = "configs.all(c, c.doc.values.password[new.values.pin])"
[rule.at]
at = "/values/pin"
expr = "new.by['x' + new.values.password + 'y']"
[secrets]
plaintext = "warn"
paths = ["/values/secret", "**/pin", "/values/list/1"]
"#;

#[test]
fn no_rule_shows_a_secret_that_it_puts_into_a_sentence() {
    let document = |secret: &str, more: &str| {
        format!(
            "{{\"values\": {{\"secret\": \"{secret}\", \"pin\": {CANARY_NUMBER}, \"token\": \"{}\", \"glued\": \"x_{}z\", \
             \"password\": \"{CANARY}\", \"list\": [{more}]}}, \"by\": {{\"a\": 1}}}}",
            token(),
            token()
        )
    };
    let files = |document: String| {
        tree(&[
            ("headwater.toml", RULES.replace("GLUED", &token())),
            ("app.json", document),
            ("x/any.json", "{\"a\": 1}".to_owned()),
        ])
    };
    let before = files(document(&format!("{CANARY}-before"), &format!("1, \"{CANARY}\"")));
    let text = said_after(Some(&before), &files(document(CANARY, "1")));
    for rule in [
        "file", "file-key", "config", "key", "path", "deny", "same", "step", "few", "key-of", "at",
    ] {
        let code = format!("rule/{rule}");
        let failed = format!("the rule `{rule}` cannot be judged");
        assert!(
            text.contains(&code) || text.contains(&failed),
            "{rule} says nothing:\n{text}"
        );
    }
    assert_silent(&text);
}

/// A schema knows what a secret must be, so naming what is allowed would name the secret.
#[test]
fn no_schema_says_what_a_secret_must_be() {
    let schema = format!(
        "{{\"properties\": {{\"db\": {{\"properties\": {{\"secret\": {{\"const\": \"{CANARY}\"}}}}}}, \
         \"pin\": {{\"enum\": [{CANARY_NUMBER}]}}, \"port\": {{\"const\": 80}}}}, \
         \"propertyNames\": {{\"maxLength\": 90}}}}"
    );
    let long_key = format!("{}{}{}", "k".repeat(50), token(), "k".repeat(9));
    let files = [
        ("headwater.toml", MANIFEST.to_owned()),
        ("app.schema.json", schema),
        (
            "base.json",
            format!(
                "{{\"db\": {{\"secret\": \"canary-4f9a1d\"}}, \"pin\": 7340912267, \"port\": 81, \"{long_key}\": 1}}"
            ),
        ),
    ];
    let tree = tree(&files);
    let verdict = verdict(&tree);
    let mut text = String::new();
    for finding in verdict.findings() {
        writeln!(text, "{}: {} {:?}", finding.code, finding.message, finding.hint).unwrap();
    }
    assert!(
        text.contains("must be `80`") && text.contains("schema/enum"),
        "{text}"
    );
    assert!(!text.contains("c4nary"), "a part of a token is shown:\n{text}");
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
