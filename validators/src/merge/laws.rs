//! Laws of merging, on generated layers.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{Merged, Nulls};
use crate::document::{Node, ParseOptions, parse};
use headwater_render as render;
use headwater_render::Format;

/// Whether a layer may delete.
#[derive(Clone, Copy, PartialEq)]
enum Contains {
    Nulls,
    Values,
}

/// Layers whose keys keep their kind: `o…` is an object or absent, `s…` is a scalar, a list or `null`.
fn layer(nulls: Contains) -> impl Strategy<Value = Json> {
    let text = "[a-z]{0,4}".prop_map(Json::from);
    let scalar = prop_oneof![
        any::<bool>().prop_map(Json::from),
        (-9_i64..9).prop_map(Json::from),
        text
    ];
    let list = prop::collection::vec(scalar.clone(), 0..3).prop_map(Json::from);
    let leaf = if nulls == Contains::Nulls {
        prop_oneof![scalar, list, Just(Json::Null)].boxed()
    } else {
        prop_oneof![scalar, list].boxed()
    };
    let scalars = prop::collection::btree_map("s[a-d]", leaf, 0..4);
    let flat = scalars
        .clone()
        .prop_map(|members| Json::Object(members.into_iter().collect()));
    flat.prop_recursive(3, 16, 3, move |inner| {
        let objects = prop::collection::btree_map("o[a-c]", inner, 0..3);
        (scalars.clone(), objects)
            .prop_map(|(scalars, objects)| Json::Object(scalars.into_iter().chain(objects).collect()))
    })
}

/// Any document at all.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-9_i64..9).prop_map(Json::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn node(value: &Json) -> Node {
    read(Format::Json, &value.to_string())
}

fn read(format: Format, text: &str) -> Node {
    parse(format, text.as_bytes(), &ParseOptions::default()).unwrap()
}

fn merged(document: &Json, patches: &[&Json]) -> Json {
    let mut merged = Merged::document(&node(document));
    for (index, patch) in patches.iter().enumerate() {
        let _notes = merged.apply(&node(patch), index + 1, Nulls::Delete);
    }
    merged.to_json()
}

/// RFC 7396, as it is printed there.
fn rfc7396(target: Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = if let Json::Object(target) = target {
        target
    } else {
        Map::new()
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let below = target.remove(key).unwrap_or(Json::Null);
            target.insert(key.clone(), rfc7396(below, value));
        }
    }
    Json::Object(target)
}

/// One patch that does what `first` and then `second` do, where keys keep their kind.
fn composed(first: &Json, second: &Json) -> Json {
    let (Json::Object(first), Json::Object(second)) = (first, second) else {
        return second.clone();
    };
    let mut both = first.clone();
    for (key, value) in second {
        let below = both.get(key).cloned().unwrap_or(Json::Null);
        both.insert(key.clone(), composed(&below, value));
    }
    Json::Object(both)
}

proptest! {
    #[test]
    fn merging_is_rfc_7396(document in anything(), patch in anything().prop_filter("an empty layer is no patch", |p| !p.is_null())) {
        prop_assert_eq!(merged(&document, &[&patch]), rfc7396(document.clone(), &patch));
    }

    #[test]
    fn an_empty_layer_changes_nothing(document in layer(Contains::Nulls)) {
        prop_assert_eq!(merged(&document, &[&json!({})]), document.clone());
        prop_assert_eq!(merged(&document, &[&Json::Null]), document);
    }

    #[test]
    fn a_layer_twice_is_a_layer_once(document in anything(), patch in anything()) {
        prop_assert_eq!(merged(&document, &[&patch, &patch]), merged(&document, &[&patch]));
    }

    #[test]
    fn patches_are_associative(document in layer(Contains::Values), first in layer(Contains::Nulls), second in layer(Contains::Nulls)) {
        let together = composed(&first, &second);
        prop_assert_eq!(merged(&document, &[&first, &second]), merged(&document, &[&together]));
    }

    #[test]
    fn the_formats_of_the_layers_do_not_matter(document in layer(Contains::Values), patch in layer(Contains::Values)) {
        let formats = [Format::Toml, Format::Json, Format::Yaml];
        let in_format = |value: &Json, format| read(format, &render::render(value, format).unwrap());
        for (one, other) in formats.into_iter().flat_map(|one| formats.map(|other| (one, other))) {
            let mut result = Merged::document(&in_format(&document, one));
            let _notes = result.apply(&in_format(&patch, other), 1, Nulls::Delete);
            prop_assert_eq!(result.to_json(), merged(&document, &[&patch]));
        }
    }

    /// Every leaf comes from the highest layer that has it, and stands there with that value.
    #[test]
    fn a_value_is_where_its_origin_says(document in layer(Contains::Values), patch in layer(Contains::Values)) {
        let layers = [node(&document), node(&patch)];
        let mut result = Merged::document(&layers[0]);
        let _notes = result.apply(&layers[1], 1, Nulls::Delete);
        check_origins(&result, &layers, "")?;
    }
}

fn check_origins(merged: &Merged, layers: &[Node; 2], pointer: &str) -> Result<(), TestCaseError> {
    if let Some(members) = merged.members() {
        for (key, child) in members {
            check_origins(child, layers, &format!("{pointer}/{key}"))?;
        }
        return Ok(());
    }
    let winner = layers
        .iter()
        .rposition(|layer| layer.at(pointer).is_some())
        .unwrap();
    prop_assert_eq!(merged.origin().layer, winner);
    let there = layers[winner].at(pointer).unwrap();
    prop_assert_eq!(merged.origin().value, there.range);
    prop_assert_eq!(merged.to_json(), there.to_json());
    let below = (0..winner)
        .filter(|&layer| layers[layer].at(pointer).is_some())
        .count();
    prop_assert_eq!(merged.overridden().len(), below);
    Ok(())
}
