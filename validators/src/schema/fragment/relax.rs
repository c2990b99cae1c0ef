//! A schema for parts of documents.
//!
//! Invariant: whatever a schema accepts, its relaxed form accepts every part of, where a part lacks members of objects
//! at any depth. So what a layer alone has wrong by the relaxed form no other layer can make right, unless it puts
//! another value in its place. It holds because a scalar or a list is never completed: it is judged by the schema
//! itself, `oneOf`, `not` and all. Of an object only those keywords stay that a part of it cannot break: `oneOf` becomes
//! `anyOf`, a choice by `if` becomes either outcome, and `required`, `enum`, `not` and their like are left out. Leaving
//! out is always safe. What is deliberately absent: drafts before 7, which have no `if`, and references that are not
//! pointers into the same file, which stand for anything where an object is meant.

use std::collections::BTreeMap;

use headwater_wire::RepoPath;
use serde_json::{Map, Value, json};

use super::super::Dialect;
use super::super::store::{decode, encode, uri_of};
use crate::pointer;

/// Largest schema that is relaxed, in schemas inside it: scalars and lists lead back to the schema itself, and each way
/// back is compiled anew.
const PARTS_MAX: usize = 2_000;

/// The relaxed form of the schema at `path`, which it refers to; `None` where there is none.
pub(in crate::schema) fn relax(schema: &Value, path: &RepoPath, default: Dialect) -> Option<Value> {
    let named = schema.get("$schema").and_then(Value::as_str);
    let dialect = named.map_or(Some(default), Dialect::of_uri)?;
    if dialect < Dialect::Draft7 {
        return None;
    }
    let mut work = Relaxer {
        root: schema,
        address: uri_of(path.as_str()),
        dialect,
        numbers: BTreeMap::new(),
        waiting: Vec::new(),
    };
    let entry = work.part(String::new());
    let mut definitions = Map::new();
    while let Some(pointer) = work.waiting.pop() {
        if work.numbers.len() > PARTS_MAX {
            return None;
        }
        let number = work.numbers.get(&pointer).copied().unwrap_or_default();
        definitions.insert(number.to_string(), work.schema(&pointer));
    }
    let mut relaxed = json!({ "allOf": [entry], "definitions": definitions });
    if let (Some(uri), Some(members)) = (named, relaxed.as_object_mut()) {
        members.insert("$schema".to_owned(), uri.into());
    }
    Some(relaxed)
}

/// Works off schemas one after the other, since they may refer to each other in circles.
struct Relaxer<'a> {
    root: &'a Value,
    /// Where the schema itself is found.
    address: String,
    dialect: Dialect,
    /// Schemas that have a relaxed form, by pointer.
    numbers: BTreeMap<String, usize>,
    waiting: Vec<String>,
}

impl Relaxer<'_> {
    /// The relaxed form of the schema at a pointer.
    fn part(&mut self, pointer: String) -> Value {
        if let Some(Value::Bool(answer)) = self.root.pointer(&pointer) {
            return Value::Bool(*answer);
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry(pointer.clone()).or_insert_with(|| {
            self.waiting.push(pointer);
            next
        });
        json!({ "$ref": format!("#/definitions/{number}") })
    }

    /// The schema at a pointer as it is.
    fn whole(&self, pointer: &str) -> Value {
        json!({ "$ref": format!("{}#{}", self.address, encode(pointer)) })
    }

    fn schema(&mut self, pointer: &str) -> Value {
        let Some(Value::Object(members)) = self.root.pointer(pointer) else {
            return Value::Bool(true);
        };
        // Below an address of its own, references mean something else.
        if !pointer.is_empty() && members.contains_key("$id") {
            return Value::Bool(true);
        }
        let has_own_type = self.dialect > Dialect::Draft7 || !members.contains_key("$ref");
        match members
            .get("type")
            .and_then(Value::as_str)
            .filter(|_| has_own_type)
        {
            Some("object") => self.object(members, pointer),
            Some(_) => self.whole(pointer),
            None => json!({
                "if": { "type": "object" },
                "then": self.object(members, pointer),
                "else": self.whole(pointer),
            }),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, at: &str) -> Value {
        let mut all = Vec::new();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            all.extend(self.target(reference));
            if self.dialect <= Dialect::Draft7 {
                return closed(Map::new(), all);
            }
        }
        let mut kept = Map::new();
        for (key, value) in members {
            match (key.as_str(), value) {
                ("type" | "maxProperties", _) => drop(kept.insert(key.clone(), value.clone())),
                ("propertyNames", _) => drop(kept.insert(key.clone(), self.whole(&below(at, key)))),
                ("additionalProperties", _) => drop(kept.insert(key.clone(), self.part(below(at, key)))),
                ("properties" | "patternProperties", Value::Object(named)) => {
                    let place = below(at, key);
                    let part = |name: &String| (name.clone(), self.part(below(&place, name)));
                    kept.insert(key.clone(), Value::Object(named.keys().map(part).collect()));
                }
                ("allOf", Value::Array(items)) => all.extend(self.parts(&below(at, key), items.len())),
                ("anyOf" | "oneOf", Value::Array(items)) => {
                    let parts = self.parts(&below(at, key), items.len());
                    all.push(json!({ "anyOf": parts }));
                }
                ("then", _) if members.contains_key("if") && members.contains_key("else") => {
                    let outcomes = [self.part(below(at, "then")), self.part(below(at, "else"))];
                    all.push(json!({ "anyOf": outcomes }));
                }
                _ => {}
            }
        }
        closed(kept, all)
    }

    fn parts(&mut self, at: &str, count: usize) -> Vec<Value> {
        (0..count)
            .map(|index| self.part(below(at, &index.to_string())))
            .collect()
    }

    /// What a reference into this file leads to.
    fn target(&mut self, reference: &str) -> Option<Value> {
        let pointer = decode(reference.strip_prefix('#')?);
        self.root.pointer(&pointer)?;
        Some(self.part(pointer))
    }
}

fn below(at: &str, token: &str) -> String {
    let mut pointer = at.to_owned();
    pointer::push(&mut pointer, token);
    pointer
}

fn closed(mut kept: Map<String, Value>, all: Vec<Value>) -> Value {
    if !all.is_empty() {
        kept.insert("allOf".to_owned(), all.into());
    }
    Value::Object(kept)
}
