//! The public conformance suites of the three formats, with the count that is expected of each.
//!
//! Every case that goes another way than its suite says is named here with the reason, so that an upgrade of a parser
//! which changes one is seen.

#![expect(clippy::unwrap_used, reason = "a suite that cannot be read is a failed test")]

#[path = "support/suites.rs"]
mod suites;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use headwater_render::Format;
use headwater_validators::document::{Fault, Node, ParseOptions, TomlVersion, Value, parse};

fn read(format: Format, bytes: &[u8]) -> Result<Node, Vec<Fault>> {
    parse(format, bytes, &ParseOptions::default())
}

/// The code of the first fault, or the canonical value.
fn outcome(result: &Result<Node, Vec<Fault>>) -> String {
    match result {
        Ok(node) => format!("accepted {}", node.to_json()),
        Err(faults) => faults
            .first()
            .map_or_else(String::new, |fault| format!("{}: {}", fault.code, fault.message)),
    }
}

// --- TOML ---------------------------------------------------------------------------------------------------------

/// Whether a decoded value is what toml-test's tagged JSON says.
fn equals_tagged(node: &Node, expected: &serde_json::Value) -> bool {
    let tag = expected.get("type").and_then(serde_json::Value::as_str);
    let text = expected.get("value").and_then(serde_json::Value::as_str);
    if let (Some(tag), Some(text), 2) = (tag, text, expected.as_object().map_or(0, serde_json::Map::len)) {
        return match (&node.value, tag) {
            (Value::Str(found), "string") => **found == *text,
            (Value::Str(found), "datetime" | "datetime-local" | "date-local" | "time-local") => {
                normal_time(found) == normal_time(text)
            }
            (Value::Int(found), "integer") => found.to_string() == text,
            (Value::Float(found), "float") => text
                .parse::<f64>()
                .is_ok_and(|expected| expected.to_bits() == found.to_bits()),
            (Value::Bool(found), "bool") => found.to_string() == text,
            _ => false,
        };
    }
    match (&node.value, expected) {
        (Value::Arr(found), serde_json::Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| equals_tagged(found, expected))
        }
        (Value::Obj(found), serde_json::Value::Object(expected)) => {
            found.len() == expected.len()
                && found.iter().all(|member| {
                    expected
                        .get(&*member.key)
                        .is_some_and(|expected| equals_tagged(&member.value, expected))
                })
        }
        _ => false,
    }
}

/// Fractions differ in trailing zeros only.
fn normal_time(text: &str) -> String {
    let Some((head, tail)) = text.split_once('.') else {
        return text.to_owned();
    };
    let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    let (fraction, zone) = tail.split_at(digits);
    format!("{head}.{}{zone}", fraction.trim_end_matches('0'))
}

fn toml_cases(root: &Path, list: &str) -> Vec<String> {
    let list = fs::read_to_string(root.join("tests").join(list)).unwrap();
    list.lines()
        .filter(|line| {
            Path::new(line)
                .extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(str::to_owned)
        .collect()
}

struct Tally {
    right: usize,
    wrong: BTreeMap<String, String>,
}

fn toml_tally(list: &str, prefix: &str, version: TomlVersion) -> Option<Tally> {
    let root = suites::find("toml-test")?;
    let options = ParseOptions {
        toml: version,
        ..ParseOptions::default()
    };
    let mut tally = Tally {
        right: 0,
        wrong: BTreeMap::new(),
    };
    for case in toml_cases(&root, list)
        .into_iter()
        .filter(|case| case.starts_with(prefix))
    {
        let path = root.join("tests").join(&case);
        let result = parse(Format::Toml, &fs::read(&path).unwrap(), &options);
        let is_right = match &result {
            Ok(node) if prefix == "valid" => {
                let expected = fs::read_to_string(path.with_extension("json")).unwrap();
                equals_tagged(node, &serde_json::from_str(&expected).unwrap())
            }
            Ok(_) => false,
            Err(_) => prefix == "invalid",
        };
        if is_right {
            tally.right += 1;
        } else {
            tally.wrong.insert(case, outcome(&result));
        }
    }
    Some(tally)
}

/// JSON has no word for infinity and not-a-number, so no format of a config has.
const NOT_FINITE: &str = "parse/number: not a finite number";

/// The names of the cases whose outcome starts like this; asserts that there is no other.
fn named<'a>(wrong: &'a BTreeMap<String, String>, start: &str) -> Vec<&'a str> {
    let odd: Vec<_> = wrong
        .iter()
        .filter(|(_, outcome)| !outcome.starts_with(start))
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
    wrong.keys().map(String::as_str).collect()
}

#[test]
fn toml_1_1_documents_are_read_as_the_suite_says() {
    let Some(valid) = toml_tally("files-toml-1.1.0", "valid", TomlVersion::V1_1) else {
        return;
    };
    assert_eq!(valid.right, 217);
    let refused = named(&valid.wrong, NOT_FINITE);
    assert_eq!(
        refused,
        [
            "valid/comment/after-literal-no-ws.toml",
            "valid/float/inf-and-nan.toml",
            "valid/spec-1.1.0/common-25.toml"
        ]
    );
}

#[test]
fn toml_1_1_documents_that_are_invalid_are_refused() {
    let Some(invalid) = toml_tally("files-toml-1.1.0", "invalid", TomlVersion::V1_1) else {
        return;
    };
    assert_eq!((invalid.right, invalid.wrong), (492, BTreeMap::new()));
}

#[test]
fn toml_1_0_on_request_refuses_what_1_1_added_and_nothing_else() {
    let Some(invalid) = toml_tally("files-toml-1.0.0", "invalid", TomlVersion::V1_0) else {
        return;
    };
    assert_eq!((invalid.right, invalid.wrong), (499, BTreeMap::new()));
    let Some(valid) = toml_tally("files-toml-1.0.0", "valid", TomlVersion::V1_0) else {
        return;
    };
    assert_eq!(valid.right, 207);
    let refused = named(&valid.wrong, NOT_FINITE);
    assert_eq!(
        refused,
        [
            "valid/comment/after-literal-no-ws.toml",
            "valid/float/inf-and-nan.toml",
            "valid/spec-1.0.0/float-2.toml"
        ]
    );
}

// --- JSON ---------------------------------------------------------------------------------------------------------

#[test]
fn json_documents_are_judged_as_the_suite_says() {
    let Some(root) = suites::find("json-test-suite") else {
        return;
    };
    let (mut right, mut wrong, mut free) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for entry in fs::read_dir(root.join("test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let result = read(Format::Json, &bytes);
        match (name.split_once('_').unwrap().0, &result) {
            ("y", Ok(node)) if equals_json(node, &bytes) => *right.entry("valid").or_insert(0) += 1,
            ("n", Err(_)) => *right.entry("invalid").or_insert(0) += 1,
            ("i", Ok(_)) => drop(free.insert(name, outcome(&result))),
            ("i", Err(_)) => *right.entry("free, refused").or_insert(0) += 1,
            _ => drop(wrong.insert(name, outcome(&result))),
        }
    }
    // By design: `-0` is the integer 0, and keys are unique. The suite leaves the `i` cases to the reader.
    assert_eq!(
        right,
        BTreeMap::from([("free, refused", 32), ("invalid", 188), ("valid", 91)])
    );
    insta::assert_debug_snapshot!(wrong, @r#"
    {
        "y_number_minus_zero.json": "accepted [0]",
        "y_number_negative_zero.json": "accepted [0]",
        "y_object_duplicated_key.json": "parse/duplicate-key: key is written twice: `a`",
        "y_object_duplicated_key_and_value.json": "parse/duplicate-key: key is written twice: `a`",
    }
    "#);
    insta::assert_debug_snapshot!(free, @r#"
    {
        "i_number_double_huge_neg_exp.json": "accepted [0.0]",
        "i_number_real_underflow.json": "accepted [0.0]",
        "i_structure_UTF-8_BOM_empty_object.json": "accepted {}",
    }
    "#);
}

fn equals_json(node: &Node, bytes: &[u8]) -> bool {
    let expected: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    expected == node.to_json()
}

// --- YAML ---------------------------------------------------------------------------------------------------------

/// The suite writes invisible characters with visible ones.
fn visible(text: &str) -> String {
    let mut text = text
        .replace('␣', " ")
        .replace('↵', "")
        .replace('←', "\r")
        .replace('⇔', "\u{feff}");
    text = text
        .trim_end_matches('\n')
        .strip_suffix('∎')
        .map_or(text.clone(), str::to_owned);
    let mut out = String::new();
    let mut dashes = String::new();
    for c in text.chars() {
        match c {
            '—' => dashes.push(c),
            '»' => {
                dashes.clear();
                out.push('\t');
            }
            c => {
                out.push_str(&std::mem::take(&mut dashes));
                out.push(c);
            }
        }
    }
    out + &dashes
}

#[derive(Debug, Default)]
struct YamlCounts {
    /// Invalid and refused.
    refused: usize,
    /// Valid, and the same value as the suite's JSON.
    equal: usize,
    /// Valid, without JSON to compare with.
    accepted: usize,
    /// Valid and read otherwise, or refused: case and outcome.
    otherwise: BTreeMap<String, String>,
}

#[test]
fn yaml_documents_are_read_as_the_suite_says() {
    let Some(root) = suites::find("yaml-test-suite") else {
        return;
    };
    let mut counts = YamlCounts::default();
    let mut files: Vec<_> = fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let file = read(Format::Yaml, &fs::read(&path).unwrap()).unwrap();
        // The suite itself skips one file. A case that gives no result of its own has that of the case before.
        if file.at("/0/skip").is_some() {
            continue;
        }
        let mut json = None;
        for (index, case) in file.items().iter().enumerate() {
            json = case
                .get("json")
                .and_then(Node::as_str)
                .or(json.filter(|_| case.get("tree").is_none()));
            judge(&mut counts, &format!("{name}/{index}"), case, json);
        }
    }
    // 402 cases. By design: a file without a value is an object without keys; a file holds one document; keys are
    // unique scalars; only the core schema's tags are known, since the others make more than plain data.
    assert_eq!((counts.refused, counts.equal, counts.accepted), (94, 235, 14));
    insta::assert_debug_snapshot!(counts.otherwise, @r#"
    {
        "accepted {}": "8G76/0 98YD/0 AVM7/0 DK95/7 HWV9/0 MUS6/2 MUS6/3 MUS6/4 MUS6/5 MUS6/6 QT73/0",
        "parse/document: a file holds one document, and a second one starts here": "35KP/0 6XDY/0 6ZKB/0 7Z25/0 9DXL/0 9KAX/0 JHB9/0 KSS4/0 L383/0 M7A3/0 NKF9/0 PUW8/0 RZT7/0 U9NS/0 UT92/0 W4TN/0",
        "parse/duplicate-key: key is written twice": "2JQS/0",
        "parse/key: key must be a scalar, found a list": "4FJ6/0 6BFJ/0 6PBE/0 KK5P/0 LX3P/0 M5DY/0 RZP5/0 SBG9/0 X38W/0 XW4D/0",
        "parse/key: key must be a scalar, found an object": "9MMW/0 M2N8/0 M2N8/1 Q9WF/0 V9D5/0",
        "parse/tag: tag is not known": "2XXW/0 565N/0 5TYM/0 6CK3/0 6WLZ/0 7FWL/0 9WXW/0 C4HZ/0 CC74/0 CUP7/0 J7PZ/0 M5C3/0 P76L/0 UGM3/0 Z67P/0 Z9M4/0",
    }
    "#);
}

fn judge(counts: &mut YamlCounts, name: &str, case: &Node, json: Option<&str>) {
    let text = visible(case.get("yaml").and_then(Node::as_str).unwrap());
    let result = read(Format::Yaml, text.as_bytes());
    let is_invalid = case
        .get("fail")
        .is_some_and(|node| node.value == Value::Bool(true));
    match (&result, is_invalid, json) {
        (Err(_), true, _) => counts.refused += 1,
        (Ok(node), false, Some(json)) if equals_text(node, json) => counts.equal += 1,
        (Ok(_), false, None) => counts.accepted += 1,
        _ => {
            let outcome = outcome(&result);
            let kind = outcome
                .split_once(": `")
                .map_or(outcome.as_str(), |(kind, _)| kind)
                .to_owned();
            let names = counts.otherwise.entry(kind).or_default();
            if !names.is_empty() {
                names.push(' ');
            }
            names.push_str(name);
        }
    }
}

fn equals_text(node: &Node, json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json).is_ok_and(|expected| expected == node.to_json())
}
