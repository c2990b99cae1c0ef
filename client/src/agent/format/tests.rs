use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const PREFIX: &str = "HWT_";

fn env_format() -> FileFormat {
    FileFormat::Env {
        prefix: PREFIX.to_owned(),
    }
}

/// What `sh` has in its environment after it sourced the text.
fn sourced(text: &str) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.env");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("sh")
        .args(["-euc", "set -a; . \"$1\"; env -0", "sh"])
        .arg(&file)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "sh cannot read:\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .split_terminator('\0')
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What systemd's reader of environment files makes of the text, as its manual says it.
fn read_as_systemd(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
        let mut value = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted => {
                    assert_eq!(chars.next(), Some('\n'));
                    break;
                }
                '\n' if !quoted => break,
                '\\' => match chars.next().unwrap() {
                    c @ ('"' | '\\' | '$' | '`') => value.push(c),
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
        out.insert(name, value);
    }
    out
}

/// What `java.util.Properties.load` makes of the text.
fn read_as_java(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let mut parts = [Vec::new(), Vec::new()];
        let mut part = 0;
        let mut units = line.encode_utf16().peekable();
        while let Some(unit) = units.next() {
            match u8::try_from(unit).map(char::from) {
                Ok('\\') => {
                    let next = units.next().unwrap();
                    let unit = match char::from(u8::try_from(next).unwrap()) {
                        't' => 9,
                        'n' => 10,
                        'r' => 13,
                        'f' => 12,
                        'u' => {
                            let digits: Vec<u16> = units.by_ref().take(4).collect();
                            u16::from_str_radix(&String::from_utf16(&digits).unwrap(), 16).unwrap()
                        }
                        _ => next,
                    };
                    parts[part].push(unit);
                }
                Ok('=' | ':' | ' ') if part == 0 => {
                    part = 1;
                    while units.next_if(|unit| *unit == 32).is_some() {}
                }
                _ => parts[part].push(unit),
            }
        }
        let [name, value] = parts.map(|units| String::from_utf16(&units).unwrap());
        out.insert(name, value);
    }
    out
}

/// Documents of words, so that most of them have no collision, with texts of every kind.
fn documents() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| text.replace('\0', "")),
        "[ -~\n\t\r]{0,20}",
        "[ '\"$`\\\\=#!:\n]{0,8}",
    ];
    let leaf = prop_oneof![
        text.prop_map(Value::String),
        any::<i64>().prop_map(|n| json!(n)),
        any::<bool>().prop_map(|b| json!(b)),
        Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z]{1,3}", tree, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn expected(document: &Value, name: impl Fn(&[Step<'_>]) -> String) -> BTreeMap<String, String> {
    let entries = flat::entries(document, name).unwrap();
    entries
        .into_iter()
        .map(|entry| (entry.name, entry.text))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_as_env_is_what_sh_and_systemd_read(document in documents()) {
        let Ok(text) = env_format().text(&document) else { return Ok(()) };
        let expected = expected(&document, |path| variable(PREFIX, path));
        prop_assert_eq!(&sourced(&text), &expected);
        prop_assert_eq!(&read_as_systemd(&text), &expected);
    }

    #[test]
    fn what_is_written_as_properties_is_what_java_reads(document in documents()) {
        let Ok(text) = FileFormat::Properties.text(&document) else { return Ok(()) };
        prop_assert!(text.is_ascii());
        prop_assert_eq!(read_as_java(&text), expected(&document, dotted));
    }
}

#[test]
fn an_env_file_names_each_value_by_its_path() {
    let document = json!({
        "db": {"pool-size": 10, "url": "postgres://h/d?a=$b", "tags": ["x", "two words"]},
        "on": true, "off": null, "none": {}, "ünï": "ü"
    });
    let format = FileFormat::Env {
        prefix: String::new(),
    };
    insta::assert_snapshot!(format.text(&document).unwrap(), @r#"
    DB_POOL_SIZE=10
    DB_TAGS_0=x
    DB_TAGS_1="two words"
    DB_URL="postgres://h/d?a=\$b"
    OFF=
    ON=true
    _N_="ü"
    "#);
}

#[test]
fn a_properties_file_uses_dots_indexes_and_escapes() {
    let document = json!({
        "db": {"pool size": 10, "hosts": [{"name": "a=b"}, {"name": " lead"}]}, "text": "line\nü 🦀 C:\\x", "half": 1.5
    });
    insta::assert_snapshot!(FileFormat::Properties.text(&document).unwrap(), @r"
    db.hosts[0].name=a=b
    db.hosts[1].name=\ lead
    db.pool\ size=10
    half=1.5
    text=line\n\u00fc \ud83e\udd80 C:\\x
    ");
}

#[test]
fn two_values_of_one_name_are_an_error_that_names_both() {
    let error = |format: FileFormat, document: Value| format.text(&document).unwrap_err().to_string();
    insta::assert_snapshot!(
        error(env_format(), json!({"a-b": 1, "a": {"b": 2}})),
        @"`/a/b` and `/a-b` would both be named `HWT_A_B`"
    );
    insta::assert_snapshot!(
        error(FileFormat::Properties, json!({"a.b": 1, "a": {"b": 2}})),
        @"`/a/b` and `/a.b` would both be named `a.b`"
    );
}

#[test]
fn what_no_flat_list_can_hold_is_an_error() {
    let error = |document: Value| env_format().text(&document).unwrap_err().to_string();
    insta::assert_snapshot!(error(json!([1])), @"a list of names and values is made of an object, and this document is a list");
    insta::assert_snapshot!(error(json!({"a": ["x\0"]})), @"the value at `/a/0` holds a NUL, which no environment variable can");
}

#[test]
fn a_name_is_one_that_a_shell_can_have() {
    let format = FileFormat::Env {
        prefix: String::new(),
    };
    assert_eq!(format.text(&json!({"1st": 1, "": 2})).unwrap(), "_=2\n_1ST=1\n");
}
