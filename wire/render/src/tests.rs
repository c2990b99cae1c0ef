use serde_json::json;

use super::*;

#[test]
fn the_canonical_rendering_sorts_by_bytes_and_keeps_the_kind_of_numbers() {
    let value = json!({"b": [1, 1.0, 1e16, 1e-7, -0.0, 0.1, null, true], "a": {"é": "\u{7f}\n\u{1}\"/", "z": {}, "Z": []}});
    let expected = "{\"a\":{\"Z\":[],\"z\":{},\"é\":\"\u{7f}\\n\\u0001\\\"/\"},\"b\":[1,1.0,1e16,1e-7,-0.0,0.1,null,true]}";
    assert_eq!(canonical(&value), expected);
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    let expected = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(digest(&canonical(&json!({}))).as_str(), expected);
}

fn document() -> Value {
    json!({
        "pool": {"max": 20, "ratio": 1.0, "big": 1e300, "name": "primary db"},
        "flags": ["yes", "1", "", "it's", "a: b", "two\nlines"],
        "nested": [[1, 2], {"a": 1, "b": {}}, []],
    })
}

#[test]
fn a_document_is_rendered_as_json_for_people() {
    insta::assert_snapshot!(render(&document(), Format::Json).unwrap(), @r#"
    {
      "flags": [
        "yes",
        "1",
        "",
        "it's",
        "a: b",
        "two\nlines"
      ],
      "nested": [
        [
          1,
          2
        ],
        {
          "a": 1,
          "b": {}
        },
        []
      ],
      "pool": {
        "big": 1e300,
        "max": 20,
        "name": "primary db",
        "ratio": 1.0
      }
    }
    "#);
}

#[test]
fn a_document_is_rendered_as_yaml_for_people() {
    insta::assert_snapshot!(render(&document(), Format::Yaml).unwrap(), @r#"
    flags:
      - "yes"
      - "1"
      - ""
      - "it's"
      - "a: b"
      - "two\nlines"
    nested:
      - - 1
        - 2
      - a: 1
        b: {}
      - []
    pool:
      big: 1.0e+300
      max: 20
      name: primary db
      ratio: 1.0
    "#);
}

#[test]
fn a_document_is_rendered_as_toml_for_people() {
    insta::assert_snapshot!(render(&document(), Format::Toml).unwrap(), @r#"
    flags = [
        "yes",
        "1",
        "",
        "it's",
        "a: b",
        """
    two
    lines""",
    ]
    nested = [
        [
        1,
        2,
    ],
        { a = 1, b = {} },
        [],
    ]

    [pool]
    big = 1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000.0
    max = 20
    name = "primary db"
    ratio = 1.0
    "#);
}

#[test]
fn every_format_but_toml_has_null() {
    assert_eq!(
        render(&json!({"on": null}), Format::Yaml).unwrap(),
        "\"on\": null\n"
    );
    assert_eq!(render(&json!(null), Format::Json).unwrap(), "null\n");
}

#[test]
fn what_toml_cannot_say_is_told_with_its_pointer() {
    let told = |value: &Value, format: Format| render(value, format).unwrap_err().to_string();
    assert_eq!(
        told(&json!({"a": [{"b/c": null}]}), Format::Toml),
        "TOML has no null, which stands at `/a/0/b~1c`"
    );
    assert_eq!(
        told(&json!([1]), Format::Toml),
        "a TOML document is an object, and this one is a list"
    );
    assert_eq!(
        told(&json!({"a": u64::MAX}), Format::Yaml),
        "integer does not fit 64 bits, at `/a`"
    );
}
