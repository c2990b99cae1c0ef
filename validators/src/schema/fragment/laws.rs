//! The one law of relaxing, on generated schemas and documents.

use std::sync::Arc;

use headwater_wire::RepoPath;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::compile::Compiled;
use super::super::seen::Seen;
use super::super::store::Store;
use super::super::{Dialect, Formats, RegexEngine, SchemaOptions};
use crate::document::{ParseOptions, parse};
use crate::source::Source;
use headwater_render::Format;

/// A document, a part of it, or anything else that schemas are asked about; few keys and values, so that they meet.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0_i64..3).prop_map(Value::from),
        "[xy]".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Any mix of keywords, with references to itself and to two definitions.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(json!(true)),
        1 => Just(json!(false)),
        4 => prop::sample::select(vec!["object", "integer", "string", "array"]).prop_map(|name| json!({"type": name})),
        1 => document().prop_map(|value| json!({"const": value})),
        2 => prop::collection::vec(document(), 1..4).prop_map(|values| json!({"enum": values})),
        3 => prop::sample::subsequence(vec!["a", "b", "c"], 1..3).prop_map(|names| json!({"required": names})),
        1 => (0_u8..3).prop_map(|least| json!({"minProperties": least})),
        1 => (0_u8..3).prop_map(|most| json!({"maxProperties": most})),
        1 => Just(json!({"dependentRequired": {"a": ["b"]}})),
        1 => Just(json!({"propertyNames": {"enum": ["a", "b"]}})),
        1 => Just(json!({"maximum": 1})),
        2 => prop::sample::select(vec!["#", "#/$defs/one", "#/$defs/two"]).prop_map(|to| json!({"$ref": to})),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        let named = prop::collection::btree_map("[a-c]", inner.clone(), 1..3);
        let one = |key: &'static str| inner.clone().prop_map(move |schema| json!({ key: schema }));
        let many = |key: &'static str| list.clone().prop_map(move |schemas| json!({ key: schemas }));
        let by_name = |key: &'static str| named.clone().prop_map(move |schemas| json!({ key: schemas }));
        prop_oneof![
            by_name("properties"),
            by_name("properties"),
            by_name("patternProperties"),
            by_name("dependentSchemas"),
            one("additionalProperties"),
            one("unevaluatedProperties"),
            one("not"),
            one("items"),
            one("contains"),
            many("allOf"),
            many("anyOf"),
            many("oneOf"),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(test, then, other)| json!({"if": test, "then": then, "else": other})),
            (inner.clone(), inner.clone()).prop_map(|(test, then)| json!({"if": test, "then": then})),
            (inner.clone(), inner).prop_map(|(one, other)| joined(one, other)),
        ]
    })
}

/// The keywords of both.
fn joined(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (_, other) => other,
    }
}

/// The document without the members at which `keep` runs out; lists and scalars stay whole.
fn part(document: &Value, keep: &mut impl Iterator<Item = bool>) -> Value {
    let Value::Object(members) = document else {
        return document.clone();
    };
    let kept = members
        .iter()
        .filter(|_| keep.next().unwrap_or(true))
        .collect::<Vec<_>>();
    kept.into_iter()
        .map(|(key, value)| (key.clone(), part(value, keep)))
        .collect()
}

const OPTIONS: SchemaOptions = SchemaOptions {
    dialect: Dialect::Draft202012,
    regex: RegexEngine::Linear,
    formats: Formats::Assert,
};

fn compiled(schema: &Value) -> Compiled {
    let text = schema.to_string();
    let source = Source {
        path: path(),
        root: parse(Format::Json, text.as_bytes(), &ParseOptions::default()).unwrap(),
        bytes: text.into_bytes().into(),
        is_sops: false,
    };
    let files = [(source.path.clone(), Arc::clone(&source.bytes))].into();
    let store = Arc::new(Store::of_json(files));
    Compiled::new(&source, &store, OPTIONS).unwrap()
}

fn path() -> RepoPath {
    "app.schema.json".parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn every_part_of_a_valid_document_is_valid_by_the_relaxed_schema(
        (schema, one, two) in (schema(), schema(), schema()),
        document in document(),
        keep in prop::collection::vec(any::<bool>(), 0..12),
    ) {
        let schema = joined(json!({"$defs": {"one": one, "two": two}}), schema);
        // A schema that refers to itself without going deeper means nothing.
        prop_assume!(is_grounded(&schema));
        let whole = compiled(&schema);
        prop_assume!(whole.check(&Seen::plain(&document), 1).is_empty());
        let part = part(&document, &mut keep.into_iter());
        let relaxed = whole.relaxed(&path(), OPTIONS).expect("every schema of this draft has a relaxed form");
        prop_assert!(relaxed.check(&Seen::plain(&part), 1).is_empty(), "{schema} accepts {document} and not its part {part}");
    }
}

/// Whether no reference leads back to itself at the same place of the document.
fn is_grounded(schema: &Value) -> bool {
    fn here<'a>(root: &'a Value, schema: &'a Value, on_the_way: &mut Vec<&'a str>) -> bool {
        let Value::Object(members) = schema else {
            return true;
        };
        members.iter().all(|(key, value)| match (key.as_str(), value) {
            ("$ref", Value::String(target)) => {
                if on_the_way.contains(&target.as_str()) {
                    return false;
                }
                on_the_way.push(target);
                let next = root
                    .pointer(target.trim_start_matches('#'))
                    .unwrap_or(&Value::Null);
                let is_grounded = here(root, next, on_the_way);
                on_the_way.pop();
                is_grounded
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
                items.iter().all(|item| here(root, item, on_the_way))
            }
            ("not" | "if" | "then" | "else", schema) => here(root, schema, on_the_way),
            ("dependentSchemas", Value::Object(named)) => {
                named.values().all(|item| here(root, item, on_the_way))
            }
            _ => true,
        })
    }
    fn all<'a>(root: &'a Value, value: &'a Value) -> bool {
        match value {
            Value::Object(members) => {
                here(root, value, &mut Vec::new()) && members.values().all(|value| all(root, value))
            }
            Value::Array(items) => items.iter().all(|value| all(root, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    all(schema, schema)
}

fn relaxed_accepts(schema: &Value, part: &Value) -> bool {
    let compiled = compiled(schema);
    let relaxed = compiled.relaxed(&path(), OPTIONS).unwrap();
    relaxed.check(&Seen::plain(part), 1).is_empty()
}

/// What chance seldom finds: the law for each keyword that a part of an object could break.
#[test]
fn a_keyword_that_a_part_could_break_is_left_out() {
    let whole = json!({"a": 1, "b": {"c": 2}});
    for schema in [
        json!({"required": ["a", "b"]}),
        json!({"minProperties": 2}),
        json!({"const": whole}),
        json!({"enum": [whole]}),
        json!({"not": {"required": ["z"], "maxProperties": 1}}),
        json!({"not": {"maxProperties": 1}}),
        json!({"dependentRequired": {"b": ["a"], "a": ["b"]}}),
        json!({"dependentSchemas": {"b": {"required": ["a"]}, "a": {"required": ["b"]}}}),
        json!({"dependencies": {"b": ["a"], "a": ["b"]}}),
        json!({"oneOf": [{"maxProperties": 1}, {"minProperties": 2}, {"type": "string"}]}),
        json!({"anyOf": [{"required": ["a", "b"]}]}),
        json!({"allOf": [{"required": ["a", "b"]}]}),
        json!({"if": {"required": ["a", "b"]}, "then": true, "else": false}),
        json!({"if": {"maxProperties": 1}, "then": false}),
        json!({"if": {"minProperties": 2}, "else": false}),
        json!({"$ref": "#/$defs/both", "$defs": {"both": {"required": ["a", "b"]}}}),
        json!({"properties": {"b": {"required": ["c"], "minProperties": 1, "const": {"c": 2}}}}),
        json!({"patternProperties": {"b": {"required": ["c"]}}}),
        json!({"additionalProperties": {"anyOf": [{"type": "integer"}, {"required": ["c"]}]}}),
        json!({"anyOf": [{"properties": {"a": true}, "required": ["a", "b"]}], "unevaluatedProperties": {"required": ["c"]}}),
    ] {
        let compiled = compiled(&schema);
        assert!(
            compiled.check(&Seen::plain(&whole), 1).is_empty(),
            "{schema} refuses the whole"
        );
        let relaxed = compiled.relaxed(&path(), OPTIONS).unwrap();
        for part in [
            json!({"a": 1}),
            json!({"b": {"c": 2}}),
            json!({"b": {}}),
            json!({}),
            json!({"a": 1, "b": {}}),
        ] {
            assert!(
                relaxed.check(&Seen::plain(&part), 1).is_empty(),
                "{schema} refuses {part}"
            );
        }
    }
}

#[test]
fn what_no_other_layer_can_make_right_is_still_refused() {
    let schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "port": {"type": "integer", "minimum": 1},
            "list": {"items": {"required": ["a"]}},
            "size": {"oneOf": [{"const": 1}, {"not": {"type": "integer"}}]},
            "deep": {"$ref": "#/$defs/deep"},
        },
        "oneOf": [{"properties": {"kind": {"const": "a"}}}, {"properties": {"kind": {"const": "b"}}}],
        "if": {"properties": {"x": {"const": 1}}, "required": ["x"]},
        "then": {"properties": {"y": {"const": 1}}},
        "else": {"properties": {"y": {"const": 2}}},
        "maxProperties": 3,
        "propertyNames": {"pattern": "^[a-z]+$"},
        "$defs": {"deep": {"required": ["a"], "additionalProperties": false, "properties": {"a": {"type": "string"}, "b": {}}}},
    });
    for good in [
        json!({}),
        json!({"port": 1}),
        json!({"kind": "b"}),
        json!({"y": 2}),
        json!({"deep": {}}),
        json!({"deep": {"b": 1}}),
        json!({"list": [{"a": 1}]}),
        json!({"size": 1}),
        json!({"size": "s"}),
    ] {
        assert!(relaxed_accepts(&schema, &good), "{good}");
    }
    for bad in [
        json!({"port": "1"}),
        json!({"port": 0}),
        json!({"kind": "c"}),
        json!({"y": 3}),
        json!({"deep": {"a": 1}}),
        json!({"deep": {"c": 1}}),
        json!({"list": [{}]}),
        json!({"size": 2}),
        json!({"A": 1}),
        json!({"a": 1, "b": 1, "c": 1, "d": 1}),
        json!({"deep": 1.5, "port": {}}),
    ] {
        assert!(!relaxed_accepts(&schema, &bad), "{bad}");
    }
}

#[test]
fn a_schema_of_an_older_draft_has_no_relaxed_form() {
    let has_one = |uri: &str| {
        let compiled = compiled(&json!({"$schema": uri, "type": "object"}));
        compiled.relaxed(&path(), OPTIONS).is_some()
    };
    assert!(!has_one("http://json-schema.org/draft-04/schema#"));
    assert!(!has_one("http://json-schema.org/draft-06/schema#"));
    assert!(has_one("http://json-schema.org/draft-07/schema#"));
}

#[test]
fn beside_a_reference_a_draft_7_schema_says_nothing() {
    let uri = "http://json-schema.org/draft-07/schema#";
    let schema = json!({"$schema": uri, "$ref": "#/definitions/a", "maxProperties": 0, "definitions": {"a": {"maxProperties": 1}}});
    assert!(relaxed_accepts(&schema, &json!({"x": 1})));
    assert!(!relaxed_accepts(&schema, &json!({"x": 1, "y": 1})));
}
