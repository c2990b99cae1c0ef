//! JSON (RFC 8259) to the tree.
//!
//! Invariant: `serde_json` decides what is JSON, `jsonc-parser` where everything stands: the first has no places, the
//! second takes raw control characters in strings. A document that either refuses is refused. What is deliberately
//! absent: comments, trailing commas and every other dialect.

mod explain;

use std::collections::HashMap;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, parse_to_ast};

use super::build::{Build, Stop, duplicate_key};
use super::{Fault, Member, Node, Range, Value, number};

const CODE: &str = "parse/json";

const STRICT: jsonc_parser::ParseOptions = jsonc_parser::ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The tree of the document; what is wrong goes to `build`.
pub(super) fn parse(build: &mut Build<'_>) -> Result<Node, Stop> {
    let text = build.text();
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        let fault = Fault::new(CODE, build.range(0..0), "document is empty");
        return build.stop(fault.hint("write `{}` for an object without keys"));
    }
    let refusal = serde_json::from_str::<serde_json::Value>(text).err();
    let root = match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let fault = explain::syntax(build, &error);
            return build.stop(fault);
        }
    };
    let tree = match &root {
        Some(root) => node(build, root, 1),
        None => Err(Stop),
    };
    if let Some(refusal) = refusal.filter(|_| !build.has_faults()) {
        let fault = explain::refusal(build, &refusal);
        return build.stop(fault);
    }
    tree
}

fn node(build: &mut Build<'_>, value: &ast::Value<'_>, depth: usize) -> Result<Node, Stop> {
    let range = range_of(build, value.range());
    build.charge_nodes(1, range)?;
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NumberLit(literal) => number_value(build, literal.value, range),
        ast::Value::StringLit(literal) => Value::Str(build.shared_text(&literal.value, range)?),
        ast::Value::Array(array) => {
            build.check_depth(depth, range)?;
            let items = array
                .elements
                .iter()
                .map(|element| node(build, element, depth + 1));
            Value::Arr(items.collect::<Result<_, _>>()?)
        }
        ast::Value::Object(object) => {
            build.check_depth(depth, range)?;
            Value::Obj(members(build, object, depth)?)
        }
    };
    Ok(Node { range, value })
}

fn members(build: &mut Build<'_>, object: &ast::Object<'_>, depth: usize) -> Result<Vec<Member>, Stop> {
    let mut seen: HashMap<&str, Range> = HashMap::with_capacity(object.properties.len());
    let mut members = Vec::with_capacity(object.properties.len());
    for property in &object.properties {
        let name = property.name.as_str();
        let key_range = range_of(build, property.name.range());
        if let Some(first) = seen.insert(name, key_range) {
            build.fault(duplicate_key(name, key_range, Some(first)));
            if build.is_full() {
                return Err(Stop);
            }
        }
        let key = build.shared_text(name, key_range)?;
        members.push(Member {
            key,
            key_range,
            value: node(build, &property.value, depth + 1)?,
        });
    }
    Ok(members)
}

fn number_value(build: &mut Build<'_>, literal: &str, range: Range) -> Value {
    let value = if literal.contains(['.', 'e', 'E']) {
        number::float(literal, literal, range)
    } else {
        number::integer(literal, 10, literal, range)
    };
    value.unwrap_or_else(|fault| {
        build.fault(fault);
        Value::Null
    })
}

fn range_of(build: &Build<'_>, range: jsonc_parser::common::Range) -> Range {
    build.range(range.start..range.end)
}
