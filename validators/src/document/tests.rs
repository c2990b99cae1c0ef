use std::fmt::Write as _;

use proptest::prelude::*;

use super::lines::LineIndex;
use super::*;
use headwater_render::{canonical, render};

const FORMATS: [Format; 3] = [Format::Toml, Format::Json, Format::Yaml];

fn read(format: Format, text: &str) -> Result<Node, Vec<Fault>> {
    parse(format, text.as_bytes(), &ParseOptions::default())
}

fn json_of(format: Format, text: &str) -> String {
    read(format, text).unwrap().to_json().to_string()
}

/// Numbered lines of a large document.
fn repeated(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |text, n| text + &line(n))
}

/// Every fault as a person would read it.
fn told(format: Format, text: &str) -> String {
    let mut out = String::new();
    let lines = LineIndex::new(text);
    for fault in read(format, text).unwrap_err() {
        let (line, column) = lines.position(fault.range.start);
        write!(out, "{line}:{column} {}", fault.message).unwrap();
        if let Some(hint) = fault.hint {
            write!(out, "; {hint}").unwrap();
        }
        for (range, note) in fault.related {
            let (line, column) = lines.position(range.start);
            write!(out, "; {line}:{column} {note}").unwrap();
        }
        out.push('\n');
    }
    out
}

fn told_all(format: Format, texts: &[&str]) -> String {
    texts.iter().map(|text| told(format, text)).collect()
}

#[test]
fn the_three_formats_say_the_same() {
    let expected = r#"{"a":[1,2.5,true],"b":{"c":"x"}}"#;
    assert_eq!(
        json_of(Format::Toml, "a = [1, 2.5, true]\n[b]\nc = 'x'\n"),
        expected
    );
    assert_eq!(
        json_of(Format::Json, r#"{"a": [1, 2.5, true], "b": {"c": "x"}}"#),
        expected
    );
    assert_eq!(
        json_of(Format::Yaml, "a:\n- 1\n- 2.5\n- true\nb:\n  c: x\n"),
        expected
    );
}

#[test]
fn a_format_is_named_by_a_lower_case_extension() {
    let of = |path: &str| Format::of(&path.parse().unwrap());
    assert_eq!(of("a/b.toml"), Some(Format::Toml));
    assert_eq!(of("b.json"), Some(Format::Json));
    assert_eq!(
        (of("b.yaml"), of("b.yml")),
        (Some(Format::Yaml), Some(Format::Yaml))
    );
    assert_eq!(
        (of("b.JSON"), of("yaml"), of(".toml"), of("b.toml.bak")),
        (None, None, None, None)
    );
}

#[test]
fn a_file_without_content_is_an_object_without_keys_but_in_json() {
    for text in ["", "\n", "# only a comment\n", "\u{feff}"] {
        assert_eq!(json_of(Format::Toml, text), "{}");
        assert_eq!(json_of(Format::Yaml, text), "{}");
    }
    assert_eq!(json_of(Format::Yaml, "---\n# nothing yet\n"), "{}");
    assert_eq!(json_of(Format::Yaml, "null\n"), "null");
    assert_eq!(
        told(Format::Json, " \n"),
        "1:1 document is empty; write `{}` for an object without keys\n"
    );
}

#[test]
fn toml_members_keep_the_order_of_the_file_and_times_get_their_seconds() {
    let node = read(
        Format::Toml,
        "z = 07:32\na = 1979-05-27 07:32Z\n[m]\nb.y = 1\nb.x = 2\n[[l]]\nq = 1\n",
    )
    .unwrap();
    let keys: Vec<_> = node.members().iter().map(|member| &*member.key).collect();
    assert_eq!(keys, ["z", "a", "m", "l"]);
    assert_eq!(node.at("/z").and_then(Node::as_str), Some("07:32:00"));
    assert_eq!(node.at("/a").and_then(Node::as_str), Some("1979-05-27T07:32:00Z"));
    let inner: Vec<_> = node
        .at("/m/b")
        .unwrap()
        .members()
        .iter()
        .map(|member| &*member.key)
        .collect();
    assert_eq!(inner, ["y", "x"]);
}

#[test]
fn yaml_words_of_older_versions_are_text() {
    let text =
        "[yes, Off, 12:30:45, 1_000, 2001-01-01, 014, 0o14, 0x1F, 1e3, .5, ~, NULL, True, +1, -0.0, 0b1, <<]";
    let expected = r#"["yes","Off","12:30:45","1_000","2001-01-01",14,12,31,1000.0,0.5,null,null,true,1,-0.0,"0b1","<<"]"#;
    assert_eq!(json_of(Format::Yaml, text), expected);
}

#[test]
fn merge_keys_fill_in_what_is_not_written_when_asked_for() {
    let options = ParseOptions {
        merge_keys: MergeKeys::Expand,
        ..ParseOptions::default()
    };
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n";
    let node = parse(Format::Yaml, text.as_bytes(), &options).unwrap();
    assert_eq!(
        node.at("/c").unwrap().to_json().to_string(),
        r#"{"x":3,"y":1,"z":2}"#
    );
    let faults = parse(Format::Yaml, b"<<: 1\n", &options).unwrap_err();
    assert_eq!(
        faults[0].message,
        "merge key must name an object or a list of objects, found an integer"
    );
    assert_eq!(json_of(Format::Yaml, "'<<': 1\n"), r#"{"<<":1}"#);
}

#[test]
fn a_pointer_finds_keys_with_slashes_and_elements() {
    let node = read(Format::Json, r#"{"a/b": [1, {"~": "x"}], "": 2}"#).unwrap();
    assert_eq!(node.at("/a~1b/1/~0").and_then(Node::as_str), Some("x"));
    assert_eq!(node.at("/").map(|node| &node.value), Some(&Value::Int(2)));
    assert_eq!(node.at(""), Some(&node));
    for missing in [
        "a",
        "/a",
        "/a~1b/2",
        "/a~1b/01",
        "/a~1b/-",
        "/a~1b/+1",
        "/a~2b",
        "/a~1b/0/x",
        "/a~1b/",
    ] {
        assert_eq!(node.at(missing), None, "{missing}");
    }
}

#[test]
fn places_are_those_of_an_editor() {
    let text = "\u{feff}a:\r\n\t  # é\r\n  \"ü\": é1\r\n";
    let node = read(Format::Yaml, text).unwrap();
    let lines = LineIndex::new(text);
    let member = &node.get("a").unwrap().members()[0];
    let key = lines.span(member.key_range);
    assert_eq!((key.line, key.column, key.end_line, key.end_column), (3, 3, 3, 6));
    let value = lines.span(member.value.range);
    assert_eq!(
        (value.line, value.column, value.end_line, value.end_column),
        (3, 8, 3, 10)
    );
    assert_eq!(lines.position(0), (1, 1));
    assert_eq!(
        lines.position(5),
        (1, 3),
        "a line feed behind a carriage return is at the end of its line"
    );
    assert_eq!(lines.position(u32::MAX), (4, 1));
    assert_eq!(
        (lines.line(1), lines.line(3), lines.line(9)),
        (Some("a:"), Some("  \"ü\": é1"), None)
    );
}

#[test]
fn a_byte_that_is_no_utf_8_is_shown_where_it_is() {
    let fault = |bytes: &[u8]| {
        parse(Format::Toml, bytes, &ParseOptions::default())
            .unwrap_err()
            .remove(0)
    };
    let found = fault(b"a = 'x'\nb = '\xff'\n");
    assert_eq!(
        (found.code, found.range),
        ("parse/encoding", Range { start: 13, end: 14 })
    );
    assert_eq!(LineIndex::new(b"a = 'x'\nb = '\xff'\n").position(13), (2, 6));
    assert_eq!(
        fault(b"\xff\xfea\0").hint.as_deref(),
        Some("this looks like UTF-16; save the file as UTF-8")
    );
    assert_eq!(
        fault("\u{feff}\u{feff}a = 1".as_bytes()).message,
        "two byte order marks"
    );
}

#[test]
fn numbers_that_do_not_travel_are_refused_in_every_format() {
    for (format, text) in [
        (Format::Toml, "a = 9223372036854775808"),
        (Format::Json, r#"{"a": 9223372036854775808}"#),
        (Format::Yaml, "a: 9223372036854775808"),
        (Format::Toml, "a = -inf"),
        (Format::Yaml, "a: -.inf"),
        (Format::Toml, "a = 1e999"),
        (Format::Json, r#"{"a": 1e999}"#),
        (Format::Yaml, "a: 1e999"),
        (Format::Toml, "a = 0x"),
        (Format::Toml, "a = 1٣"),
    ] {
        let faults = read(format, text).unwrap_err();
        assert_eq!(faults.len(), 1, "{text}: {faults:#?}");
        assert!(
            matches!(faults[0].code, "parse/number" | "parse/toml"),
            "{faults:#?}"
        );
    }
    assert_eq!(
        json_of(Format::Toml, "a = -9_223_372_036_854_775_808"),
        r#"{"a":-9223372036854775808}"#
    );
}

#[test]
fn equal_keys_are_found_however_they_are_written() {
    for (format, text) in [
        (Format::Json, r#"{"a": 1, "\u0061": 2}"#),
        (Format::Yaml, "a: 1\n\"\\x61\": 2\n"),
        (Format::Yaml, "- &k a\n- {a: 1, *k : 2}\n"),
        (Format::Yaml, "1: x\n'1': y\n"),
        (Format::Toml, "a = 1\n\"\\u0061\" = 2\n"),
        (Format::Toml, "a.b = 1\n[a]\nc = 1\n"),
    ] {
        let faults = read(format, text).unwrap_err();
        assert_eq!(
            (faults.len(), faults[0].code),
            (1, "parse/duplicate-key"),
            "{text}"
        );
    }
}

// --- Hostile documents ----------------------------------------------------------------------------------------------

/// The code of the first fault.
fn refused(format: Format, text: &str) -> &'static str {
    let faults = read(format, text).unwrap_err();
    assert!(faults.len() <= FAULTS_MAX);
    faults[0].code
}

#[test]
fn deep_nesting_is_refused_before_it_costs_a_stack() {
    let n = 100_000;
    assert_eq!(refused(Format::Json, &"[".repeat(n)), "parse/depth");
    assert_eq!(
        refused(Format::Json, &format!("{}{}", "[".repeat(n), "]".repeat(n))),
        "parse/depth"
    );
    assert_eq!(refused(Format::Json, &"{\"a\":".repeat(n)), "parse/depth");
    assert_eq!(refused(Format::Yaml, &"[".repeat(n)), "parse/depth");
    assert_eq!(refused(Format::Yaml, &"{a: ".repeat(n)), "parse/depth");
    assert_eq!(refused(Format::Yaml, &"- ".repeat(n)), "parse/depth");
    assert_eq!(refused(Format::Yaml, &"? ".repeat(n)), "parse/depth");
    assert_eq!(
        refused(Format::Toml, &format!("a = {}", "[".repeat(n))),
        "parse/depth"
    );
    assert_eq!(
        refused(Format::Toml, &format!("a = {}", "{a = ".repeat(n))),
        "parse/depth"
    );
    assert_eq!(
        refused(Format::Toml, &format!("{}a = 1", "a.".repeat(n))),
        "parse/depth"
    );
    assert_eq!(
        refused(Format::Toml, &format!("[{}a]", "a.".repeat(n))),
        "parse/depth"
    );
    let dotted = format!("{}a = {{", "a.".repeat(60));
    assert_eq!(refused(Format::Toml, &dotted.repeat(60)), "parse/depth");
}

#[test]
fn the_deepest_document_that_is_allowed_is_read() {
    for (format, before, after) in [
        (Format::Json, "", ""),
        (Format::Yaml, "", ""),
        (Format::Toml, "a = ", ""),
    ] {
        let levels = if format == Format::Toml {
            DEPTH_MAX - 1
        } else {
            DEPTH_MAX
        };
        let nested = |levels: usize| format!("{before}{}{}{after}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(format, &nested(levels)).is_ok(), "{format:?}");
        assert_eq!(refused(format, &nested(levels + 1)), "parse/depth");
    }
    let lists_of_tables = |n: usize| repeated(n, |n| format!("[[{}a]]\n", "a.".repeat(n)));
    assert!(read(Format::Toml, &lists_of_tables(31)).is_ok());
    assert_eq!(refused(Format::Toml, &lists_of_tables(32)), "parse/depth");
}

#[test]
fn aliases_cost_what_their_copies_would() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert_eq!(refused(Format::Yaml, &laughs), "parse/budget");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100));
    assert_eq!(refused(Format::Yaml, &long), "parse/budget");
    let key = format!(
        "- &a {{? {} : 1}}\n- [{}]\n",
        "x".repeat(900),
        "*a, ".repeat(10_000)
    );
    assert_eq!(refused(Format::Yaml, &key), "parse/budget");
    let mut deep = "- &a0 [x]\n".to_owned();
    for level in 1..100 {
        writeln!(deep, "- &a{level} [*a{}]", level - 1).unwrap();
    }
    assert_eq!(refused(Format::Yaml, &deep), "parse/depth");
    assert_eq!(refused(Format::Yaml, "a: &a {b: *a}\n"), "parse/alias");
}

#[test]
fn many_values_keys_and_anchors_are_refused_or_read() {
    let anchors = repeated(1_000_000, |n| format!("- &a{n} x\n"));
    assert_eq!(refused(Format::Yaml, &anchors), "parse/budget");
    let nested_anchors = format!("{}{}", repeated(60, |n| format!("&n{n} [")), "]".repeat(60));
    assert!(read(Format::Yaml, &nested_anchors).is_ok());
    assert_eq!(
        refused(Format::Json, &format!("[{}1]", "1,".repeat(300_000))),
        "parse/budget"
    );
    assert_eq!(
        refused(Format::Json, &format!("\"{}\"", "x".repeat(5 << 20))),
        "parse/budget"
    );
    assert_eq!(
        refused(Format::Toml, &format!("a = '{}'", "x".repeat(5 << 20))),
        "parse/budget"
    );
    assert_eq!(
        refused(Format::Yaml, &format!("a: '{}'", "x".repeat(5 << 20))),
        "parse/budget"
    );
    assert_eq!(
        refused(Format::Yaml, &" ".repeat(DOCUMENT_BYTES_MAX + 1)),
        "parse/budget"
    );
}

#[test]
fn two_hundred_thousand_keys_are_read() {
    let keys = |line: fn(usize) -> String| repeated(200_000, line);
    let toml = read(Format::Toml, &keys(|n| format!("key{n} = 1\n"))).unwrap();
    let yaml = read(Format::Yaml, &keys(|n| format!("key{n}: 1\n"))).unwrap();
    let json = read(
        Format::Json,
        &format!("{{{}\"x\": 1}}", keys(|n| format!("\"key{n}\": 1,\n"))),
    )
    .unwrap();
    assert_eq!(
        (toml.members().len(), yaml.members().len(), json.members().len()),
        (200_000, 200_000, 200_001)
    );
}

#[test]
fn a_file_full_of_faults_is_refused() {
    assert_eq!(
        refused(Format::Toml, &"a = 1\n".repeat(50_000)),
        "parse/duplicate-key"
    );
    assert_eq!(
        refused(Format::Toml, &"a = x y = z\n".repeat(50_000)),
        "parse/toml"
    );
    assert_eq!(
        refused(Format::Toml, &"a = {a = 1, a = 1}\n".repeat(20_000)),
        "parse/duplicate-key"
    );
    assert_eq!(
        refused(Format::Yaml, &"a: 1\n".repeat(100_000)),
        "parse/duplicate-key"
    );
    assert_eq!(
        refused(
            Format::Json,
            &format!("{{{}\"a\": 1}}", "\"a\": 1,".repeat(100_000))
        ),
        "parse/duplicate-key"
    );
}

// --- What authors read ----------------------------------------------------------------------------------------------

#[test]
fn mistakes_in_toml_are_told_with_what_to_write() {
    let texts = [
        "a = 1\nb = 2\na = 3\n",
        "[a]\nx = 1\n[b]\n[a]\n",
        "[[s]]\nn = 1\n[[s]]\nn = 1\nn = 2\n",
        "a = {b = 1, b = 2}\n",
        "a = 1\n[a.b]\n",
        "a = x\nb = yes\nc = True\nd = null\n",
        "a: 1\n",
        "a = \n",
        "a = 'x\n",
        "a = \"C:\\dir\"\n",
        "a = [1, 2\nb = 1\n",
        "[a\nb = 1\n",
        "a = 1 b = 2\n",
        "a = 012\n",
        "a = 1979-13-40\n",
        "é = 1\n",
        "a = 99999999999999999999\nb = nan\n",
        "a = 5.\n",
    ];
    insta::assert_snapshot!(told_all(Format::Toml, &texts), @r#"
        3:1 key is written twice: `a`; keep one of the two; 1:1 first written here
        4:2 key is written twice: `a`; keep one of the two; 1:2 first written here
        5:1 key is written twice: `n`; keep one of the two; 4:1 first written here
        1:13 key is written twice: `b`; keep one of the two; 1:6 first written here
        2:2 key already holds a value of type integer: `a`; rename one of the two, or write all of it in one place; 1:1 first written here
        1:5 text needs quotes: `x`; put the whole value in quotes
        2:5 not a value: `yes`; TOML writes `true` and `false`; quote it if it is text
        3:5 not a truth value: `True`; use lower case
        4:5 TOML has no null: `null`; leave the key out
        1:2 key and value are separated by `=`, found: `:`; write `key = value`
        1:5 value is missing; write a value after the `=`, or delete the key
        1:7 string is not closed; add the closing `'`
        1:9 unknown escape; write `\\` for a backslash, or use single quotes, which know no escapes
        2:1 expected a comma or `]`; put a comma between two values, or close the list
        1:3 header is not closed; add the closing `]`
        1:5 not a number or a date: `1 b`; quote it if it is text, and put each key on a line of its own
        1:5 number starts with a zero; delete the zero, or quote the value if it is text
        1:5 invalid date, expected month between 01 and 12
        1:1 key needs quotes: `é`; without quotes a key holds ASCII letters, digits, `-` and `_`
        1:5 integer does not fit 64 bits: `99999999999999999999`; integers go from -9223372036854775808 to 9223372036854775807; put longer digits in quotes
        2:5 not a finite number: `nan`; leave the key out, or quote a word that the program understands
        1:7 number needs a digit after its point; write `5.0`
        "#);
}

#[test]
fn toml_1_1_is_refused_where_1_0_is_asked_for() {
    let options = ParseOptions {
        toml: TomlVersion::V1_0,
        ..ParseOptions::default()
    };
    let text =
        "a = {\n  x = 1, # c\n  y = [\n    1,\n  ],\n}\nb = \"\\e\"\nc = 07:32\nd = 1979-05-27 07:32:00Z\n";
    let faults = parse(Format::Toml, text.as_bytes(), &options).unwrap_err();
    let messages: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    a line break in an inline table came with TOML 1.1, and this repository keeps to 1.0
    a comma after the last key of an inline table came with TOML 1.1, and this repository keeps to 1.0
    an escape `\e` or `\x` came with TOML 1.1, and this repository keeps to 1.0
    a time without seconds came with TOML 1.1, and this repository keeps to 1.0
    "#);
    assert!(read(Format::Toml, text).is_ok());
}

#[test]
fn mistakes_in_json_are_told_with_what_to_write() {
    let texts = [
        "{\n  // why\n  \"a\": 1\n}",
        "# why\n{}",
        "{\"a\": 1,}",
        "{'a': 1}",
        "{a: 1}",
        "{\"a\": 1\n \"b\": 2}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\": [1, 2}",
        "{\"a\": 1",
        "{} {}",
        "{\"a\": True}",
        "{\"a\": NaN}",
        "{\"a\": .5}",
        "{\"a\": 0x1F}",
        "{\"a\": \"C:\\dir\"}",
        "{\"a\": \"two\nlines\"}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": \"x",
        "{\"a\": 1, \"b\": 2, \"a\": 3, \"b\": 1e999}",
        "{\"a\": \u{a0}1}",
    ];
    insta::assert_snapshot!(told_all(Format::Json, &texts), @r#"
        2:3 JSON has no comments; delete it, or keep the document as TOML or YAML, which have comments
        1:1 JSON has no comments; delete it, or keep the document as TOML or YAML, which have comments
        1:8 comma before a closing bracket; delete the comma
        1:2 single quotes around a string; use double quotes: `"`
        1:2 key needs double quotes: `a`; write `"key": value`
        1:8 expected a comma or a closing bracket; put a comma between two values
        1:6 expected a colon after the key; write `"key": value`
        1:6 unexpected text: `}`; a value may be missing before it, or a bracket of another kind is open
        1:12 unexpected text: `}`; a value may be missing before it, or a bracket of another kind is open
        1:1 this is never closed: `{`; add the closing bracket
        1:4 text behind the end of the document: `{`; a file holds one value; look for a bracket too many
        1:7 unexpected text: `True`; JSON writes `true` and `false`
        1:7 unexpected text: `NaN`; JSON has no infinity and no not-a-number; leave the key out
        1:7 number needs a digit on both sides of its point: `.`; write `0.5` or `5.0`
        1:7 hexadecimal number; write it in decimal digits
        1:10 unknown escape: `\d`; write `\\` for a backslash; the others are `\" \/ \b \f \n \r \t \uXXXX`
        1:11 control character in a string: `\n`; write it as an escape: `\n` for a line break, `\t` for a tab
        1:8 escape is half of a character: `\ud800"`; write the character itself, or both halves, such as `\ud83d\ude00`
        1:7 string is never closed; add the closing `"`
        1:18 key is written twice: `a`; keep one of the two; 1:2 first written here
        1:26 key is written twice: `b`; keep one of the two; 1:10 first written here
        1:31 number is too large: `1e999`; the largest is 1.7976931348623157e308
        1:7 expected value, found: `\u{a0}`; between values JSON has spaces, tabs and line breaks only
        "#);
}

#[test]
fn mistakes_in_yaml_are_told_with_what_to_write() {
    let texts = [
        "a: b: c\n",
        "a:\n\tb: 1\n",
        "a:\n  b: 1\n c: 2\n",
        "a: 1\nb:2\n",
        "- a\nb: 1\n",
        "a: [1, 2\n",
        "a: [\n  1\n]\n",
        "a: {b: 1]\n",
        "a: \"x\nb: 1\n",
        "a: 'it's'\n",
        "a: @x\n",
        "a: {{ x }}\n",
        "a: \"\\q\"\n",
        "a: *x\n",
        "a: !Ref x\n",
        "a: !!int x\n",
        "<<: {a: 1}\n",
        "a: 1\nb: 2\na: 3\n",
        "a: 1\n---\nb: 2\n",
        "a: .inf\nb: 99999999999999999999\n",
        "? [a]\n: 1\n",
    ];
    insta::assert_snapshot!(told_all(Format::Yaml, &texts), @r#"
        1:5 a key cannot stand here; check the indentation of this line; quote a value that holds `: `
        2:2 tab in the indentation; indent with spaces
        3:2 expected a key, as in the lines above; indent this line like the keys beside it
        2:1 line is neither a key nor part of a value; write `key: value` with a space after the colon; quote a value that holds `: `
        2:1 expected `- `, as in the lines above; a list and keys cannot share one indentation
        1:4 bracket is never closed: `[`; close the bracket, and indent every line of it, the closing one too
        3:1 line inside brackets is not indented; indent every line of a value in brackets, the closing one too
        1:4 bracket is closed by one of another kind: `{`; close the bracket, and indent every line of it, the closing one too
        2:1 string is not closed before this line; close the quote, or indent the lines that continue the string
        1:8 text after the closing quote; write `''` for a quote inside single quotes
        1:4 unquoted value starts with a reserved character: `@`; put the value in quotes
        1:5 key must be a scalar, found an object; write the key as text; quote a value that starts with `{` or `[`
        1:4 string has an unknown escape; write `\\` for a backslash, or use single quotes, which know no escapes
        1:4 alias refers to no anchor before it; write `&name` at the value that `*name` repeats
        1:4 tag is not known: `!Ref`; delete it; a config is plain data, so only the tags of YAML's core schema are read
        1:10 value is not an integer, as its tag says: `x`; fix the value or delete the tag
        1:1 YAML 1.2 has no merge key: `<<`; write the keys out, or move them to a layer; `yaml = { merge_keys = true }` in headwater.toml allows them
        3:1 key is written twice: `a`; keep one of the two; 1:1 first written here
        2:1 a file holds one document, and a second one starts here; move it to a file of its own
        1:4 not a finite number: `.inf`; leave the key out, or quote a word that the program understands
        2:4 integer does not fit 64 bits: `99999999999999999999`; integers go from -9223372036854775808 to 9223372036854775807; put longer digits in quotes
        1:3 key must be a scalar, found a list; write the key as text; quote a value that starts with `{` or `[`
        "#);
}

// --- Laws -----------------------------------------------------------------------------------------------------------

/// Texts that some reader takes for something else.
#[rustfmt::skip]
const ODD_TEXTS: &[&str] = &[
    "", " ", "yes", "No", "on", "~", "null", "NULL", "1", "-1", "0o7", "0x1F", "1e3", "1_000", ".5", "5.",
    ".inf", "12:30", "2001-01-01", "<<", "=", "!x", "&a", "*a", "- a", "a: b", "a #b", "#", "'", "\"",
    "\\", "a\nb", "\t", "---", "...", "{", "[", "%", "@", "`", "|", ">", "?", ":", "\u{feff}", "\u{85}",
    "\u{2028}", "\u{7f}", "\0", "true", "y", "é", "日本", "🦀", "\r", "\r\n", "'''", "\"\"\"", "a ", " a",
    "\u{fffe}", "\u{e000}", "\n", "\n\n",
];

fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(ODD_TEXTS);
    prop_oneof![
        3 => odd.prop_map(|text| (*text).to_owned()),
        2 => "[a-z_-]{1,8}",
        2 => any::<String>(),
        1 => "[ -~\\n\\t]{0,40}",
        1 => "x{1020,1040}",
    ]
}

fn value(nulls: u32) -> impl Strategy<Value = serde_json::Value> {
    let float = any::<f64>().prop_filter("finite", |float| float.is_finite());
    let leaf = prop_oneof![
        nulls => Just(serde_json::Value::Null),
        2 => any::<bool>().prop_map(serde_json::Value::from),
        2 => any::<i64>().prop_map(serde_json::Value::from),
        1 => (-5_i64..5).prop_map(serde_json::Value::from),
        2 => float.prop_map(serde_json::Value::from),
        1 => (-9_i32..9).prop_map(|float| serde_json::Value::from(f64::from(float))),
        4 => text().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            object(inner),
        ]
    })
}

fn object(member: impl Strategy<Value = serde_json::Value>) -> impl Strategy<Value = serde_json::Value> {
    prop::collection::btree_map(text(), member, 0..6).prop_map(|map| map.into_iter().collect())
}

/// Whole documents, and documents with a few bytes changed.
fn mutated(format: Format) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        prop_oneof![
            any::<u8>(),
            prop::sample::select(b"[]{}:,\"'\n\t -#&*!|>=.\\".to_vec())
        ],
    );
    (object(value(0)), prop::collection::vec(change, 0..4)).prop_map(move |(document, changes)| {
        let mut bytes = render(&document, format).unwrap().into_bytes();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

fn assert_range(range: Range, bytes: &[u8]) {
    let (start, end) = (range.start as usize, range.end as usize);
    assert!(start <= end && end <= bytes.len(), "{range:?} of {}", bytes.len());
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(
            text.is_char_boundary(start) && text.is_char_boundary(end),
            "{range:?}"
        );
    }
}

fn assert_ranges(node: &Node, bytes: &[u8]) {
    assert_range(node.range, bytes);
    node.items().iter().for_each(|item| assert_ranges(item, bytes));
    for member in node.members() {
        assert_range(member.key_range, bytes);
        assert_ranges(&member.value, bytes);
    }
}

fn assert_places(bytes: &[u8]) {
    let lines = LineIndex::new(bytes);
    for format in FORMATS {
        for merge_keys in [MergeKeys::Refuse, MergeKeys::Expand] {
            let options = ParseOptions {
                merge_keys,
                toml: TomlVersion::V1_0,
                ..ParseOptions::default()
            };
            match parse(format, bytes, &options) {
                Ok(node) => assert_ranges(&node, bytes),
                Err(faults) => {
                    assert!(!faults.is_empty());
                    for fault in faults {
                        assert_range(fault.range, bytes);
                        let span = lines.span(fault.range);
                        assert!((span.line, span.column) <= (span.end_line, span.end_column));
                        fault
                            .related
                            .iter()
                            .for_each(|(range, _)| assert_range(*range, bytes));
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_as_json_reads_back_the_same(value in value(1)) {
        let text = render(&value, Format::Json).unwrap();
        prop_assert_eq!(&read(Format::Json, &text).unwrap().to_json(), &value);
        prop_assert_eq!(&read(Format::Json, &canonical(&value)).unwrap().to_json(), &value);
    }

    #[test]
    fn what_is_rendered_as_yaml_reads_back_the_same(value in value(1)) {
        let text = render(&value, Format::Yaml).unwrap();
        let read = read(Format::Yaml, &text);
        prop_assert_eq!(read.as_ref().map(Node::to_json), Ok(value), "{}", text);
    }

    #[test]
    fn what_is_rendered_as_toml_reads_back_the_same(value in object(value(0))) {
        let text = render(&value, Format::Toml).unwrap();
        let read = read(Format::Toml, &text);
        prop_assert_eq!(read.as_ref().map(Node::to_json), Ok(value), "{}", text);
    }

    #[test]
    fn every_place_is_inside_its_file_for_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_places(&bytes);
    }

    #[test]
    fn every_place_is_inside_its_file_for_any_text(
        text in "([\\[\\]{}:,\"'\n\r\t #&*!|>=.\\\\a-c0-3é\u{feff}<-]|---|: |- |\\. ){0,60}",
    ) {
        assert_places(text.as_bytes());
    }

    #[test]
    fn every_place_is_inside_its_file_for_broken_toml(bytes in mutated(Format::Toml)) {
        assert_places(&bytes);
    }

    #[test]
    fn every_place_is_inside_its_file_for_broken_json(bytes in mutated(Format::Json)) {
        assert_places(&bytes);
    }

    #[test]
    fn every_place_is_inside_its_file_for_broken_yaml(bytes in mutated(Format::Yaml)) {
        assert_places(&bytes);
    }

    #[test]
    fn any_offset_of_any_bytes_has_a_place(bytes in prop::collection::vec(any::<u8>(), 0..40), offset in any::<u32>()) {
        let lines = LineIndex::new(&bytes);
        for offset in (0..50).chain([offset]) {
            let (line, column) = lines.position(offset);
            prop_assert!(line >= 1 && column >= 1);
            let _ = lines.line(line);
        }
    }
}
